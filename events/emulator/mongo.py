"""A server that speaks MongoDB's wire protocol: SecantusDB, on WiredTiger, from a Python wheel."""

from pathlib import Path

from events.emulator.ports import LOOPBACK, reserve_port
from events.emulator.processes import Part, Process, answers, python

_SETTINGS = """\
[server]
host = "{address}"
port = {port}
storage_path = "data"
standalone = true

[storage]
cache_size = "256M"
"""


class Mongo(Part):
    """The server on loopback, data in `directory`."""

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        super().__init__("mongo", directory)
        self.port = port or reserve_port()

    @property
    def url(self) -> str:
        """Where it is; append the name of a database."""
        return f"mongodb://{LOOPBACK}:{self.port}/"

    def start(self) -> None:
        """Start it, on the data of an earlier start if there are any. Raises PartFailed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "secantusd.toml").write_text(_SETTINGS.format(address=LOOPBACK, port=self.port))
        argv = python("-m", "secantus", "--config", "secantusd.toml")
        self.run(Process(self.name, argv, self.directory, cwd=self.directory))

    def is_ready(self) -> bool:
        """Look once whether it accepts connections, which it does only after its storage is open."""
        return answers(self.port)
