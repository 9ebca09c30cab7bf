"""A private RabbitMQ node, from the distribution's package."""

import secrets
import shutil
from pathlib import Path

from emulator import privileges
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import Part, PartFailed, Process, answers

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_PROTOCOL, _METHOD_FRAME = b"AMQP\0\0\x09\x01", b"\x01"
_SETTINGS = """\
listeners.tcp.1 = {address}:{port}
default_user = emulator
default_pass = {password}
disk_free_limit.absolute = {spare}
log.console = true
log.console.level = info
log.file = false
"""
# Its scripts split paths at spaces, its searches at colons, and it asks a shell for the free space of its disk. So the
# directory, in which the node runs, has a plain name for it.
_HERE = "/proc/self/cwd"
_SPARE_DISK = 100_000_000  # bytes; with less free the node silently takes no messages


class RabbitMQ(Part):
    """One node on loopback with an epmd of its own, state in `directory`."""

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        super().__init__("rabbitmq", directory)
        self.port = port or reserve_port()
        self._distribution_port, self._epmd_port = reserve_port(), reserve_port()
        self._state = self.directory / "state"
        self._resumed = False

    @property
    def url(self) -> str:
        """Where it is, with name and password."""
        return f"amqp://emulator:{self._secret('password')}@{LOOPBACK}:{self.port}/%2F"

    def start(self) -> None:
        """Start it, on the state of an earlier start if there is any. Raises PartFailed."""
        if not _SERVER.exists() or not (epmd := shutil.which("epmd")):
            raise PartFailed(self.name, "it is not installed", "python -m emulator.packages")
        self._resumed = self._state.exists()
        for written in (self._state, self.directory / "log"):
            privileges.give(written)
        self._secret(".erlang.cookie")
        if shutil.disk_usage(self.directory).free < 2 * _SPARE_DISK:
            raise PartFailed(self.name, f"the disk of {self.directory} is nearly full", "free some hundred megabytes")
        password = self._secret("password")
        settings = _SETTINGS.format(address=LOOPBACK, port=self.port, password=password, spare=_SPARE_DISK)
        privileges.keep(self.directory / "rabbitmq.conf", settings)
        self._link_installation()
        env = self._environment()
        # In the foreground and ours: the one that a node starts by itself outlives the node.
        self.run(Process("epmd", [epmd], self.directory, env, ports=[self._epmd_port]))
        self.run(Process(self.name, [str(_SERVER)], self.directory, env, self.directory, ports=[self.port]))

    def begin_anew(self) -> bool:
        """Start again on nothing and keep beside it what was there. False where it was started on nothing already.

        A machine that stops at the wrong moment can leave a state that the node dies of, or a queue without a leader
        (seen with RabbitMQ 3.10, killed while it declared the queue).
        """
        if not self._resumed:
            return False
        self.stop()
        unusable = self.directory / "state.unusable"
        shutil.rmtree(unusable, ignore_errors=True)
        self._state.rename(unusable)
        self.start()
        return True

    def is_ready(self) -> bool:
        """Look once whether it answers the first bytes of AMQP with a method."""
        return answers(self.port, _PROTOCOL, _METHOD_FRAME)

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": _HERE,  # where Erlang looks for its cookie
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._epmd_port),
            # For every Erlang that the node's scripts start: nothing beyond loopback, and no epmd of theirs.
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            "RUNNING_UNDER_SYSTEMD": "1",  # its script then becomes the node, which so gets our signals
            "RABBITMQ_SCRIPTS_DIR": f"{_HERE}/installation/sbin",
            "RABBITMQ_PLUGINS_DIR": f"{_HERE}/installation/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2",
            "RABBITMQ_NODENAME": "emulator@localhost",  # names the state on disk, so always the same
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": f"{_HERE}/state",
            "RABBITMQ_LOG_BASE": f"{_HERE}/log",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # not the machine's own node's
            "RABBITMQ_CONFIG_FILE": f"{_HERE}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{_HERE}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{_HERE}/enabled_plugins",
        }

    def _link_installation(self) -> None:
        """Link to the installation without its plugins: the node opens each at every start, a third of its time."""
        installed, slim = _SERVER.resolve().parent.parent, self.directory / "installation"
        shutil.rmtree(slim, ignore_errors=True)
        (slim / "plugins").mkdir(parents=True)
        for name in ("sbin", "escript"):
            (slim / name).symlink_to(installed / name)
        for library in (installed / "plugins").iterdir():
            if not library.name.startswith("rabbitmq_") or library.name.startswith("rabbitmq_prelaunch"):
                (slim / "plugins" / library.name).symlink_to(library)

    def _secret(self, name: str) -> str:
        path = self.directory / name
        if not path.exists():
            privileges.keep(path, secrets.token_hex(20))
        return path.read_text(encoding="ascii")
