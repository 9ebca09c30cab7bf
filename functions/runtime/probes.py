"""What a platform asks a function: /_/health, /_/ready, /_/stores and /_/metrics. Our gateway passes none of it on."""

from collections.abc import Callable

import flask
from flask import Response
from werkzeug.routing import Rule

from functions.model.errors import Unavailable
from functions.runtime import metrics, responses, routes
from functions.runtime.readiness import Readiness


def mount(app: flask.Flask, name: str, ready: Callable[[], None], counts: metrics.Counts | None) -> None:
    """Adds them to the application of that function."""
    readiness = Readiness(ready)

    def told(trouble: Unavailable | None) -> Response:
        return responses.problem(trouble) if trouble else responses.json({"function": name, "ready": True})

    probes: dict[str, Callable[[], Response]] = {
        "health": lambda: responses.json({"function": name}),
        "ready": lambda: told(readiness.trouble_until_first_answer()),
        "stores": lambda: told(readiness.trouble_now()),
        "metrics": lambda: Response(metrics.page(counts), mimetype="text/plain; version=0.0.4"),
    }

    def ask(probe: str) -> Response:
        routes.require(flask.request, ("GET",))
        return probes[probe]()

    for probe in probes:
        # For all methods: those that a route lacks would fall to the framework's route for everything else.
        app.url_map.add(Rule(f"/_/{probe}", endpoint="probe", defaults={"probe": probe}))
    app.view_functions["probe"] = ask
