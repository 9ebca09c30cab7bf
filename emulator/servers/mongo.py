"""A server that speaks MongoDB's wire protocol: SecantusDB, on WiredTiger, from a Python wheel."""

import signal
from pathlib import Path

from emulator import privileges
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Part, Process, answers, python

_SETTINGS = """\
[server]
host = "{address}"
port = {port}
storage_path = "data"
standalone = true  # so it keeps no oplog, a second copy of every upload

[storage]
cache_size = "256M"
sync_on_commit = {durable}
"""
# A log file goes only after a checkpoint: by default, once a minute, a 2 GB upload would keep 4 GB of disk.
_ENVIRONMENT = {"SECANTUS_CHECKPOINT_SECONDS": "5"}


class Mongo(Part):
    """The server on loopback, data in `directory`. Not `durable` is faster, and lost if the machine crashes."""

    def __init__(self, directory: Path, *, port: int | None = None, durable: bool = True) -> None:
        super().__init__("mongo", directory)
        self.port = port or reserve_port()
        self.durable = durable

    @property
    def url(self) -> str:
        """Where it is; append the name of a database."""
        return f"mongodb://{LOOPBACK}:{self.port}/"

    def start(self) -> None:
        """Start it, on the data of an earlier start if there are any. Raises PartFailed."""
        privileges.give(self.directory / "data")
        settings = _SETTINGS.format(address=LOOPBACK, port=self.port, durable=str(self.durable).lower())
        privileges.keep(self.directory / "secantusd.toml", settings)
        argv = python("-m", "secantus", "--config", "secantusd.toml")
        self.run(
            Process(
                self.name,
                argv,
                self.directory,
                _ENVIRONMENT,
                cwd=self.directory,
                # It misses most gentle signals: Python runs their handler in the main thread, which sleeps on a lock
                # that a signal taken by another thread does not end. What it has confirmed is in WiredTiger's log.
                stop_signal=signal.SIGKILL,
                ports=[self.port],
            )
        )

    def is_ready(self) -> bool:
        """Look once whether it accepts connections, which it does only after its storage is open."""
        return answers(self.port)
