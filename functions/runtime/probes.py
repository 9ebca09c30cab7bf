"""What a platform asks a function, below /_/: health, ready, stores and metrics. Our gateway passes none of it on."""

from collections.abc import Callable, Mapping

import flask
from flask import Response
from werkzeug.routing import Rule

from functions.model.errors import Unavailable
from functions.runtime import metrics, responses, routes
from functions.runtime.readiness import Readiness


def mount(
    app: flask.Flask,
    name: str,
    ready: Callable[[], None],
    counts: metrics.Counts | None,
    detail: Mapping[str, str],
) -> None:
    """Adds these addresses to the application of the function of that name. `detail` is told with its readiness."""
    readiness = Readiness(ready)

    def readiness_answer(trouble: Unavailable | None) -> Response:
        return responses.problem(trouble) if trouble else responses.json({"function": name, "ready": True, **detail})

    probes: dict[str, Callable[[], Response]] = {
        "health": lambda: responses.json({"function": name}),
        "ready": lambda: readiness_answer(readiness.trouble_until_first_answer()),
        "stores": lambda: readiness_answer(readiness.trouble_now()),
        "metrics": lambda: Response(metrics.page(counts), mimetype="text/plain; version=0.0.4"),
    }

    def ask(probe: str) -> Response:
        routes.require(flask.request, ("GET",))
        return probes[probe]()

    for probe in probes:
        # For all methods: one that this rule did not take would go to the framework's rule for every other path.
        app.url_map.add(Rule(f"/_/{probe}", endpoint="probe", defaults={"probe": probe}))
    app.view_functions["probe"] = ask
