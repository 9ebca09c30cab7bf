"""The addresses below a function's own, and the methods that each of them takes."""

from collections.abc import Mapping

from flask import Request

from functions.model.errors import MethodNotAllowed, NotFound


def methods(addresses: Mapping[str, tuple[str, ...]], path: str) -> tuple[str, ...]:
    """Those of the address that this path is; <name> in an address stands for any one segment. Raises NotFound."""
    given = path.strip("/").split("/")
    for address, taken in addresses.items():
        own = address.strip("/").split("/")
        if len(own) == len(given) and all(
            each.startswith("<") or each == segment for each, segment in zip(own, given, strict=True)
        ):
            return taken
    raise NotFound(f"there is nothing at this address; there is at {', '.join(addresses)}")


def require(request: Request, methods: tuple[str, ...]) -> None:
    """Raises MethodNotAllowed; HEAD is allowed wherever GET is (RFC 9110, 9.3.2)."""
    allowed = ("GET", "HEAD", *(each for each in methods if each != "GET")) if "GET" in methods else methods
    if request.method not in allowed:
        raise MethodNotAllowed(allowed)
