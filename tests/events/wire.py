"""A wire that can be cut and stalled: a TCP proxy between a client and its server."""

import contextlib
import socket
from collections.abc import Callable
from threading import Event, Lock, Thread


class Wire:
    """Listens on a port of its own and passes bytes both ways between its clients and the server.

    With several ports, each connection goes to the next one that accepts it, as with a Kubernetes Service.
    """

    def __init__(self, host: str, *ports: int) -> None:
        self.targets = [(host, port) for port in ports]
        self.on_data: Callable[[bytes], object] = len  # called with all bytes that pass, in either direction
        self.altered: Callable[[bytes], bytes] = bytes  # what is passed on of them
        self._flowing, self._connecting = Event(), Event()
        self._flowing.set()
        self._connecting.set()
        self._ends: list[socket.socket] = []
        self._lock = Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self) -> int:
        """How many are open. When one side hangs up, the other side's end is closed a moment later."""
        with self._lock:
            return sum(end.fileno() >= 0 for end in self._ends) // 2

    def cut(self) -> None:
        """Closes every connection, and each new one at once, until `restore`."""
        self._connecting.clear()
        self._flowing.set()
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            _close(end)

    def stall(self) -> None:
        """Keeps connections open, but passes nothing on until `restore`."""
        self._flowing.clear()

    def restore(self) -> None:
        """Ends a cut or a stall."""
        self._connecting.set()
        self._flowing.set()

    def close(self) -> None:
        self.cut()
        _close(self._listener)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connect() if self._connecting.is_set() else None
                if server is None:
                    _close(client)
                    continue
                with self._lock:
                    self._ends = [end for end in self._ends if end.fileno() >= 0] + [client, server]
                Thread(target=self._copy, args=(client, server), daemon=True).start()
                Thread(target=self._copy, args=(server, client), daemon=True).start()

    def _connect(self) -> socket.socket | None:
        for _ in self.targets:
            self.targets.append(self.targets.pop(0))
            with contextlib.suppress(OSError):
                return socket.create_connection(self.targets[-1])
        return None

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                self.on_data(data)
                target.sendall(self.altered(data))
        _close(source)
        _close(target)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for data from it
    end.close()
