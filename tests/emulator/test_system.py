"""The whole system: which settings reach its parts, how they start and stop, and a start with a ruined state."""

import json
import signal
from dataclasses import fields
from pathlib import Path
from typing import Any

from emulator import settings
from emulator.system import System
from functions.runtime.settings import SECRETS, Settings
from tests.waiting import until


def test_every_setting_of_a_function_can_be_set_through_make_run() -> None:
    """All but those that the catalogue has, that say where parts are, or that would send mail past the mailbox."""
    mail = {"mail_transport", "smtp_host", "smtp_port", "smtp_user", "smtp_starttls", "smtp_ca_file"}
    ours = {"concurrency", "k_sink", *mail}
    names = {field.name for field in fields(Settings)} - set(SECRETS) - ours
    assert set(settings.FOR_FUNCTIONS) == {name.upper() for name in names}


def test_a_part_that_serves_has_the_time_to_end_by_itself(tmp_path: Path) -> None:
    """A broker that was killed must recover at the next start, and the work of a convert that was killed is lost."""
    with System(tmp_path, {}, durable=False) as running:
        processes = [process for part in running.parts for process in part.processes]
    assert len(processes) > len(running.parts)
    killed = [process.name for process in processes if process.exit_code in (None, -signal.SIGKILL)]
    assert killed == ["mongo"]  # which does not notice other signals (emulator/servers/mongo.py)


def test_sweep_is_called_as_soon_as_the_system_runs(system: System) -> None:
    """A system that was stopped may owe work from before, so it does not wait for the next minute."""
    until((system.clock.directory / "clock.log").exists)
    called = {"message": "called", "function": "sweep", "status": 200}

    def lines() -> list[dict[str, Any]]:
        text = (system.clock.directory / "clock.log").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    until(lambda: any(called.items() <= line.items() for line in lines()))


def test_a_broker_whose_state_is_ruined_begins_anew(tmp_path: Path, database: str, mongo_uri: str) -> None:
    """Break: the machine stopped while RabbitMQ wrote. Symptom: the node dies. Recovery: it starts empty."""
    environ = {"DATABASE_URL": database, "MONGO_URI": mongo_uri, "MONGO_MP3_URI": mongo_uri}
    reported: list[str] = []
    with System(tmp_path, environ):
        pass
    (schema,) = tmp_path.glob("rabbitmq/state/*/schema.DAT")
    schema.write_bytes(b"ruins")
    with System(tmp_path, environ, report=reported.append):
        assert any("rabbitmq begins anew" in line for line in reported)
        assert [*tmp_path.glob("rabbitmq/state.unusable/*/schema.DAT")]
