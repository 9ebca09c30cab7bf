"""SecantusDB, a server from a Python wheel that speaks MongoDB's wire protocol and stores with WiredTiger."""

import signal
from pathlib import Path

from emulator import privileges
from emulator.parts import Part, answers
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Process, python

_SETTINGS = """\
[server]
host = "{address}"
port = {port}
storage_path = "data"
standalone = true  # otherwise it keeps an oplog, which holds a second copy of every upload

[storage]
cache_size = "256M"
sync_on_commit = {durable}
"""
# Log files are removed only after a checkpoint. With the default, one a minute, a 2 GB upload would take 4 GB of disk.
_ENVIRONMENT = {"SECANTUS_CHECKPOINT_SECONDS": "5"}


class Mongo(Part):
    """The server on loopback, with its data in `directory`.

    Without `durable` it is faster, and the data are lost if the machine crashes.
    """

    def __init__(self, directory: Path, *, port: int | None = None, durable: bool = True) -> None:
        super().__init__("mongo", directory)
        self.port = port or reserve_port()
        self.durable = durable

    @property
    def url(self) -> str:
        """Its URL, which ends in a slash: append the name of a database."""
        return f"mongodb://{LOOPBACK}:{self.port}/"

    def start(self) -> None:
        """Start it with the data of an earlier start if there are any. Raises PartFailed."""
        privileges.make_writable_directory(self.directory / "data")
        settings = _SETTINGS.format(address=LOOPBACK, port=self.port, durable=str(self.durable).lower())
        privileges.write_private_file(self.directory / "secantusd.toml", settings)
        argv = python("-m", "secantus", "--config", "secantusd.toml")
        self.run(
            Process(
                self.name,
                argv,
                self.directory,
                _ENVIRONMENT,
                cwd=self.directory,
                # It does not notice most of the signals that could be handled: Python runs handlers in the main thread,
                # which sleeps on a lock, and a signal that another thread takes does not wake it. Killing it is safe:
                # what it has confirmed is in WiredTiger's log.
                stop_signal=signal.SIGKILL,
                ports=[self.port],
            )
        )

    def is_ready(self) -> bool:
        """Look once whether it accepts connections, which it does only when its storage is open."""
        return answers(self.port)
