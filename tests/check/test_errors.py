"""Problems are a small fixed set that clients can rely on."""

from collections.abc import Iterator
from http import HTTPStatus

from functions.model import errors
from functions.model.errors import Problem


def kinds(kind: type[Problem] = Problem) -> Iterator[type[Problem]]:
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield below
            yield from kinds(below)


def test_each_status_has_one_stable_name() -> None:
    """A client cannot tell Missing from NotFound."""
    named = {(kind.status, kind.slug) for kind in kinds()}
    assert len(named) == len(dict(named)) == len({slug for _, slug in named})
    assert {status for status, _ in named} <= set(HTTPStatus)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """It is what a newcomer reads first."""
    drawn = errors.__doc__ or ""
    direct = Problem.__subclasses__()
    assert all(f"{kind.__name__} {kind.status}" in drawn for kind in direct if kind.__module__ == errors.__name__)


def test_what_a_client_must_know_stands_in_the_headers() -> None:
    """When to come back, which methods are allowed, how to log in, how long the file is."""
    assert errors.Throttled("wait", retry_after=9).headers == {"Retry-After": "9"}
    assert errors.MethodNotAllowed(("GET", "POST")).headers == {"Allow": "GET, POST"}
    assert errors.Unauthorized("who?").headers == {"WWW-Authenticate": 'Bearer realm="video-to-mp3"'}
    basic = {"WWW-Authenticate": 'Basic realm="video-to-mp3", charset="UTF-8"'}
    assert errors.Unauthorized("who?", scheme="Basic").headers == basic
    assert errors.RangeNotSatisfiable(7).headers == {"Content-Range": "bytes */7"}
    assert errors.Unavailable("later").headers == {"Retry-After": "5"}
