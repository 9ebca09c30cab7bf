"""A RabbitMQ node of our own, from the distribution's package."""

import secrets
import shutil
from pathlib import Path

from emulator import privileges
from emulator.parts import Part, answers
from emulator.ports import LOOPBACK, reserve_port
from emulator.processes import PartFailed, Process

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
# RabbitMQ cannot have odd characters in its paths: its scripts split them at spaces, its searches at colons, and it
# asks a shell how much of its disk is free. So the node runs in its directory, and knows it only by this name.
_HERE = "/proc/self/cwd"
_SPARE_DISK = 100_000_000  # bytes; with less free disk the node takes no messages, and does not say so


class RabbitMQ(Part):
    """One node on loopback, with its state in `directory`, and the epmd (Erlang's port mapper) that it needs."""

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        super().__init__("rabbitmq", directory)
        self.port = port or reserve_port()
        self._distribution_port, self._epmd_port = reserve_port(), reserve_port()
        self._state = self.directory / "state"
        self._resumed = False

    @property
    def url(self) -> str:
        """Its URL, with user and password."""
        return f"amqp://emulator:{self._secret('password')}@{LOOPBACK}:{self.port}/%2F"

    def start(self) -> None:
        """Start it with the state of an earlier start if there is any. Raises PartFailed."""
        if not _SERVER.exists() or not (epmd := shutil.which("epmd")):
            raise PartFailed(self.name, "it is not installed", "python -m emulator.packages")
        self._resumed = self._state.exists()
        for written in (self._state, self.directory / "log"):
            privileges.make_writable_directory(written)
        self._secret(".erlang.cookie")
        if shutil.disk_usage(self.directory).free < 2 * _SPARE_DISK:
            raise PartFailed(self.name, f"the disk of {self.directory} is nearly full", "free some hundred megabytes")
        password = self._secret("password")
        settings = _SETTINGS.format(address=LOOPBACK, port=self.port, password=password, spare=_SPARE_DISK)
        privileges.write_private_file(self.directory / "rabbitmq.conf", settings)
        self._link_installation()
        env = self._environment()
        # As a process of ours, because the epmd that a node starts by itself outlives the node.
        self.run(Process("epmd", [epmd], self.directory, env, ports=[self._epmd_port]))
        self.run(Process(self.name, [str(_SERVER)], self.directory, env, self.directory, ports=[self.port]))

    def start_without_state(self) -> bool:
        """Start again with an empty state, and keep the old one in `state.unusable`. Raises PartFailed.

        False, and nothing is done, if the last start was with an empty state already. A machine that stops at the wrong
        moment can leave a state with which the node dies, or a queue without a leader (seen with RabbitMQ 3.10, killed
        while it declared the queue).
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
        """Look once whether it answers AMQP's protocol header with a method frame (AMQP 0-9-1, 4.2.2 and 4.2.3)."""
        return answers(self.port, _PROTOCOL, _METHOD_FRAME)

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": _HERE,  # where Erlang looks for its cookie
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._epmd_port),
            # Every Erlang that the node's scripts start listens on loopback only, and starts no epmd.
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            "RUNNING_UNDER_SYSTEMD": "1",  # its script then replaces itself by the node, which so gets our signals
            "RABBITMQ_SCRIPTS_DIR": f"{_HERE}/installation/sbin",
            "RABBITMQ_PLUGINS_DIR": f"{_HERE}/installation/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2",
            "RABBITMQ_NODENAME": "emulator@localhost",  # always the same, because the state on disk is named after it
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": f"{_HERE}/state",
            "RABBITMQ_LOG_BASE": f"{_HERE}/log",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # not that of the node that the machine itself may run
            "RABBITMQ_CONFIG_FILE": f"{_HERE}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{_HERE}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{_HERE}/enabled_plugins",
        }

    def _link_installation(self) -> None:
        """Make `installation`, links to what is installed but its plugins, which would take a third of each start."""
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
            privileges.write_private_file(path, secrets.token_hex(20))
        return path.read_text(encoding="ascii")
