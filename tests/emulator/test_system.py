"""What of the environment reaches the parts, how they stop, and what becomes of a start that finds ruins."""

import signal
from dataclasses import fields
from pathlib import Path

from emulator import settings
from emulator.system import System
from functions.runtime.settings import SECRETS, Settings


def test_every_setting_of_a_function_can_be_set_through_make_run():
    """All but what the catalogue says, where the parts find each other, and mail, which always goes to the mailbox."""
    ours = {"concurrency", "k_sink", "mail_transport", "smtp_host", "smtp_port", "smtp_user", "smtp_starttls"}
    names = {field.name for field in fields(Settings)} - set(SECRETS) - ours
    assert set(settings.FOR_FUNCTIONS) == {name.upper() for name in names}


def test_a_part_that_serves_has_the_time_to_end_by_itself(tmp_path: Path):
    """A broker that is killed has to recover at the next start, and a conversion that is was for nothing."""
    with System(tmp_path, {}, durable=False) as running:
        processes = [process for part in running.parts for process in part.processes]
    assert len(processes) > len(running.parts)
    killed = [process.name for process in processes if process.exit_code in (None, -signal.SIGKILL)]
    assert killed == ["mongo"]  # which hears nothing else


def test_a_broker_whose_state_is_ruined_begins_anew(tmp_path: Path, database: str, mongo_uri: str):
    """Break: the machine stopped while RabbitMQ wrote. Symptom: the node dies. Recovery: without what it held."""
    environ = {"DATABASE_URL": database, "MONGO_URI": mongo_uri, "MONGO_MP3_URI": mongo_uri}
    told: list[str] = []
    with System(tmp_path, environ):
        pass
    (schema,) = tmp_path.glob("rabbitmq/state/*/schema.DAT")
    schema.write_bytes(b"ruins")
    with System(tmp_path, environ, tell=told.append):
        assert any("rabbitmq begins anew" in line for line in told)
        assert [*tmp_path.glob("rabbitmq/state.unusable/*/schema.DAT")]
