"""The parts that the system is made of: each is one server or one function, and runs as one or more processes."""

import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from emulator.ports import LOOPBACK
from emulator.processes import Process, wait_until


class Part(ABC):
    """One part. Starting it does not wait until it serves, so that many can start side by side."""

    grace = 15.0  # seconds it may take to stop

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory.absolute()
        self.processes: list[Process] = []

    @abstractmethod
    def start(self) -> None:
        """Start the processes. Raises PartFailed."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Look once whether it serves."""

    def has_loaded(self) -> bool:
        """Look once whether its start needs no more processor time, though it may still wait for another part."""
        return self.is_ready()

    def wait(self, seconds: float = 60) -> None:
        """Wait until it serves. Raises PartFailed when one of its processes has ended, or after that time."""
        if not wait_until(self._serves, seconds):
            raise self.processes[-1].failed(f"is not ready after {seconds:g} s")

    def check(self) -> None:
        """Raises PartFailed when one of its processes has ended by itself."""
        for process in self.processes:
            if not process.alive:
                raise process.failed("has stopped")

    def _serves(self) -> bool:
        self.check()
        return self.is_ready()

    def stop(self) -> None:
        """Stop the processes, the one that was started last first.

        A part that has not loaded has no work to finish, so it is killed after 1 s.
        """
        grace = self.grace if self.processes and self.has_loaded() else 1
        while self.processes:
            self.processes.pop().stop(grace)

    def kill(self) -> None:
        """End the processes as a crash would."""
        while self.processes:
            self.processes.pop().kill()

    def run(self, process: Process) -> Process:
        """Start one more process of this part. Raises PartFailed."""
        self.processes.append(process)  # before it starts, so that `stop` cleans up after a start that fails half way
        process.start()
        return process

    def __enter__(self) -> Self:
        with ExitStack() as on_failure:
            on_failure.callback(self.stop)
            self.start()
            self.wait()
            on_failure.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def running(*parts: Part) -> Iterator[None]:
    """Start parts side by side, wait until each serves, and stop them all in the end, whatever happens."""
    try:
        for part in parts:
            part.start()
        for part in parts:
            part.wait()
        yield
    finally:
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(lambda part: part.stop(), parts))


def answers(port: int, greeting: bytes = b"", answer: bytes = b"") -> bool:
    """Whether a server on loopback accepts a connection and, after we have sent `greeting`, begins with `answer`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as connection:
            connection.sendall(greeting)
            return not answer or connection.recv(len(answer)) == answer
    except OSError:
        return False
