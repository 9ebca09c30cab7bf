"""`python -m events.bridge` runs the bridge; `… replay` sends each parked event back to its work queue."""

import logging.config
import os
import sys
from typing import Any

from gunicorn.app.base import BaseApplication

from events import catalogue
from events.bridge import messages
from events.bridge.broker.errors import BrokerError
from events.bridge.broker.publisher import Publisher
from events.bridge.broker.subscriber import Subscriber
from events.bridge.broker.transfer import move
from events.bridge.dispatcher import Dispatcher
from events.bridge.ingress import Ingress
from events.bridge.loss import Loss
from events.bridge.settings import Settings
from serving import logs
from serving.environment import SettingsError


def main(arguments: list[str]) -> int | str:
    """Runs the command and returns what sys.exit() takes: 0, or what went wrong in one line."""
    try:
        settings = Settings.read(os.environ, catalogue.load())
        match arguments:
            case []:
                Server(settings).run()
            case ["replay"]:
                count = move(settings.amqp_url, settings.topology, settings.topology.parked, messages.for_replay)
                sys.stdout.write(f"{count} parked event{'' if count == 1 else 's'} sent again\n")
            case _:
                return "use: python -m events.bridge [replay]"
    except (SettingsError, BrokerError) as error:
        return str(error)
    return 0


class Server(BaseApplication):  # type: ignore[misc] # gunicorn is untyped, so its class is Any
    """gunicorn with one worker, which serves the ingress and runs the dispatcher and both connections to the broker."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loss = Loss(settings.clockwork)
        self._publisher = Publisher(settings.amqp_url, settings.topology, self._loss.note)
        self._subscriber = Subscriber(settings.amqp_url, settings.topology, self._loss.note)
        self._dispatcher = Dispatcher(settings, self._publisher, self._subscriber)
        super().__init__()

    def load(self) -> Ingress:
        return Ingress(self._settings.topology, self._publisher, self._subscriber)

    def load_config(self) -> None:
        choices = {
            "bind": f"{self._settings.host}:{self._settings.port}",
            "worker_class": "serving.worker.Worker",  # gthread
            "threads": 8,
            "timeout": 0,  # never kills a worker that seems to hang; in gthread this is no limit on a request
            "graceful_timeout": int(self._settings.grace) + 5,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108  in memory: the worker's heartbeat must not wait for a disk
            "control_socket_disable": True,
            "logconfig_dict": logs.configuration(self._settings.log_level),
            "post_worker_init": self._connect,
            "worker_exit": self._stop,
        }
        for name, value in choices.items():
            self.cfg.set(name, value)

    def _connect(self, _worker: Any) -> None:
        # In the worker and not before: neither threads nor connections survive gunicorn's fork.
        self._loss.start((self._publisher.ready, self._subscriber.ready))
        self._publisher.start()
        self._subscriber.start()

    def _stop(self, _master: Any, worker: Any) -> None:
        """gunicorn calls this once the ingress has answered its last request."""
        try:
            # A worker whose master is gone was not stopped but killed with it. Another bridge may be starting already,
            # so this one ends at once.
            if os.getppid() == worker.ppid:
                self._dispatcher.drain(self._settings.grace)
                self._subscriber.close()
                self._publisher.close()
        finally:
            logging.shutdown()
            os._exit(0)  # A normal exit would wait for the threads that still wait for a function.


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
