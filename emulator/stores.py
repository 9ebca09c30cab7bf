"""The stores and the broker: those that the environment names, or servers of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emulator import settings
from emulator.parts import Part
from emulator.servers.mongo import Mongo
from emulator.servers.postgres import Postgres
from emulator.servers.rabbitmq import RabbitMQ


@dataclass(frozen=True)
class Stores:
    """Where the stores and the broker are, and which of them are ours to run."""

    urls: Mapping[str, str]  # by the setting that says so: DATABASE_URL, MONGO_URI, MONGO_MP3_URI, AMQP_URL
    servers: tuple[Part, ...]  # those that take longest to start come first


def choose(environ: Mapping[str, str], directory: Path, *, durable: bool) -> Stores:
    """A server of ours, with its state below `directory`, for each store that the environment does not name."""
    urls, servers = settings.choose(environ, settings.STORES), list[Part]()
    if "AMQP_URL" not in urls:
        servers.append(rabbitmq := RabbitMQ(directory / "rabbitmq"))
        urls["AMQP_URL"] = rabbitmq.url
    if "DATABASE_URL" not in urls:
        servers.append(postgres := Postgres(directory / "postgres", durable=durable))
        urls["DATABASE_URL"] = postgres.url
    if not {"MONGO_URI", "MONGO_MP3_URI"} <= urls.keys():
        servers.append(mongo := Mongo(directory / "mongo", durable=durable))
        urls = {"MONGO_URI": f"{mongo.url}videos", "MONGO_MP3_URI": f"{mongo.url}mp3s"} | urls
    return Stores(urls, tuple(servers))
