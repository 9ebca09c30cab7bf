"""A wire that can be cut and stalled: a TCP proxy between a client and its server."""

import contextlib
import socket
from collections.abc import Callable
from threading import Event, Lock, Thread


class Wire:
    """Listens on a port of its own and passes bytes both ways, until told otherwise.

    Where it leads to several ports, each connection goes to the next one that takes it, as a Kubernetes Service has it.
    """

    def __init__(self, host: str, *ports: int) -> None:
        self.targets = [(host, port) for port in ports]
        self.hear: Callable[[bytes], object] = len  # told of all that passes, either way
        self._flowing, self._whole = Event(), Event()
        self._flowing.set()
        self._whole.set()
        self._ends: list[socket.socket] = []
        self._lock = Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        """Those that stand: once one side has gone, the other hears of it from us a moment later."""
        with self._lock:
            return sum(end.fileno() >= 0 for end in self._ends) // 2

    def cut(self) -> None:
        """Resets every connection, and those that come."""
        self._whole.clear()
        self._flowing.set()
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            _close(end)

    def stall(self) -> None:
        """Passes nothing on, and says nothing."""
        self._flowing.clear()

    def restore(self) -> None:
        self._whole.set()
        self._flowing.set()

    def close(self) -> None:
        self.cut()
        _close(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = self._reach() if self._whole.is_set() else None
                if far is None:
                    _close(near)
                    continue
                with self._lock:
                    self._ends = [end for end in self._ends if end.fileno() >= 0] + [near, far]
                Thread(target=self._pass_on, args=(near, far), daemon=True).start()
                Thread(target=self._pass_on, args=(far, near), daemon=True).start()

    def _reach(self) -> socket.socket | None:
        for _ in self.targets:
            self.targets.append(self.targets.pop(0))
            with contextlib.suppress(OSError):
                return socket.create_connection(self.targets[-1])
        return None

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                self.hear(data)
                target.sendall(data)
        _close(source)
        _close(target)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
    end.close()
