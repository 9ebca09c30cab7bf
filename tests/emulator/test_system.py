"""What of the environment reaches the parts."""

from dataclasses import fields

from events.emulator import system
from functions.settings import SECRETS, Settings


def test_every_setting_of_a_function_can_be_set_through_make_run():
    """All but what the catalogue says, where the parts find each other, and mail, which always goes to the mailbox."""
    ours = {"concurrency", "k_sink", "mail_transport", "smtp_host", "smtp_port", "smtp_user", "smtp_starttls"}
    names = {field.name for field in fields(Settings)} - set(SECRETS) - ours
    assert set(system.FOR_FUNCTIONS) == {name.upper() for name in names}
