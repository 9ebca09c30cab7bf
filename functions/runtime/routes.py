"""Which paths a function has below its own root, and the methods that each of them takes."""

from collections.abc import Mapping

from flask import Request

from functions.model.errors import MethodNotAllowed, NotFound

# Methods by path. A segment in angle brackets, as in `/<id>/retry`, stands for any one; GET brings HEAD with it.
Routes = Mapping[str, tuple[str, ...]]


def methods(routes: Routes, path: str) -> tuple[str, ...]:
    """The methods of the route that this path belongs to. Raises NotFound."""
    given = path.strip("/").split("/")
    for route, taken in routes.items():
        own = route.strip("/").split("/")
        if len(own) == len(given) and all(
            each.startswith("<") or each == segment for each, segment in zip(own, given, strict=True)
        ):
            return taken
    raise NotFound(f"there is nothing at this address; there is at {', '.join(routes)}")


def allowed(methods: tuple[str, ...]) -> tuple[str, ...]:
    """The methods that a route takes, with HEAD wherever GET is (RFC 9110, 9.3.2)."""
    return ("GET", "HEAD", *(each for each in methods if each != "GET")) if "GET" in methods else methods


def require(request: Request, methods: tuple[str, ...]) -> None:
    """Raises MethodNotAllowed, which names what is allowed."""
    if request.method not in allowed(methods):
        raise MethodNotAllowed(allowed(methods))
