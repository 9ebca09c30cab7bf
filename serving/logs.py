"""Logs: one line of JSON on stdout for each outcome. A line holds ids and numbers, never a token or an address."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

LEVEL = "INFO"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Line(logging.Formatter):
    """Formats a record as one line of JSON, with what `fields()` made beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """The `extra` of a log call. A value that is None is left out."""
    return {"fields": {name: value for name, value in values.items() if value is not None}}


def configuration(level: str = LEVEL) -> dict[str, Any]:
    """What logging.config.dictConfig and gunicorn's `logconfig_dict` take.

    A level that does not exist becomes LEVEL: the complaint about it (serving/environment.py) has to be logged somehow.
    """
    quiet = {"handlers": [], "propagate": True, "level": "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": Line}},
        "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stdout"}},
        "root": {"level": level if level in LEVELS else LEVEL, "handlers": ["stdout"]},
        # gunicorn's access log holds queries and addresses; pika reports each lost connection five times.
        "loggers": {
            "gunicorn.error": quiet,
            "gunicorn.access": {**quiet, "level": "CRITICAL"},
            "pika": {**quiet, "level": "CRITICAL"},
            "urllib3": quiet,
        },
    }
