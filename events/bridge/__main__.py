"""`python -m events.bridge` serves; `… replay` sends parked events back to where they were given up on."""

import logging.config
import os
import sys
from typing import Any

from gunicorn.app.base import BaseApplication

from events import catalogue
from events.bridge.broker import BrokerError, Publisher, Subscriber, move
from events.bridge.dispatcher import Dispatcher, released
from events.bridge.ingress import Ingress
from events.bridge.settings import Settings
from serving import logs
from serving.environment import SettingsError


def main(arguments: list[str]) -> int | str:
    try:
        settings = Settings.read(os.environ, catalogue.load())
        match arguments:
            case []:
                Server(settings).run()
            case ["replay"]:
                count = move(settings.amqp_url, settings.topology, settings.topology.parked, released)
                sys.stdout.write(f"{count} parked event{'' if count == 1 else 's'} sent again\n")
            case _:
                return "use: python -m events.bridge [replay]"
    except (SettingsError, BrokerError) as error:
        return str(error)
    return 0


class Server(BaseApplication):  # type: ignore[misc] # gunicorn is untyped, so its class is Any
    """gunicorn around the ingress; its one worker also holds the links to the broker and the dispatcher."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher = Publisher(settings.amqp_url, settings.topology)
        self._subscriber = Subscriber(settings.amqp_url, settings.topology)
        self._dispatcher = Dispatcher(settings, self._publisher, self._subscriber)
        super().__init__()

    def load(self) -> Ingress:
        return Ingress(self._settings.topology, self._publisher, self._subscriber)

    def load_config(self) -> None:
        choices = {
            "bind": f"{self._settings.host}:{self._settings.port}",
            "worker_class": "serving.worker.Worker",  # gthread
            "threads": 8,
            "timeout": 0,  # the worker's heartbeat to its master, not a request's time
            "graceful_timeout": int(self._settings.grace) + 5,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108  its heartbeat must not wait for a disk
            "control_socket_disable": True,
            "logconfig_dict": logs.configuration(self._settings.log_level),
            "post_worker_init": self._begin,
            "worker_exit": self._end,
        }
        for name, value in choices.items():
            self.cfg.set(name, value)

    def _begin(self, _worker: Any) -> None:
        self._publisher.start()
        self._subscriber.start()

    def _end(self, _master: Any, worker: Any) -> None:
        """The ingress has answered its last request by now."""
        # Without its master the bridge was killed, not stopped: nothing may linger beside its successor.
        try:
            if os.getppid() == worker.ppid:
                self._dispatcher.drain(self._settings.grace)
                self._subscriber.close()
                self._publisher.close()
        finally:
            logging.shutdown()
            os._exit(0)  # Threads that still wait for a function would keep the process.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
