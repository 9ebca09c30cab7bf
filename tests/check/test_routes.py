"""Routes are data: what each function declares fits its entry in template.yml and what the gateway lets through."""

import re
from collections.abc import Callable, Iterator

import pytest

from events import catalogue
from functions.runtime.routes import Routes, allowed
from tests.check.given import ROOT
from tests.check.test_settings import WHOLE
from tests.functions.harness import routes

HTTP = [entry for entry in catalogue.load() if entry.path]
OTHERS = [entry for entry in catalogue.load() if not entry.path]
NAMES = [entry.name for entry in HTTP]
GATEWAY = (ROOT / "gateway" / "nginx.conf.template").read_text(encoding="utf-8")
# The original's auth service has this path itself, so AUTH_SVC_ADDR may name the function: no gateway stands before it.
INSIDE = {("validate", "/validate")}
LOCATION = re.compile(r"^ +location +(=? *)(/[a-z/]*) +\{[^{}]*?proxy_pass http://([a-z-]+)/;", re.MULTILINE)


def declared(entry: catalogue.Function) -> Routes:
    return routes(entry.target, WHOLE)


def outside(entry: catalogue.Function) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each address of the function at the gateway, and its methods."""
    for path, methods in declared(entry).items():
        if (entry.name, path) not in INSIDE:
            yield f"{entry.path}{path}".replace("//", "/").replace("<id>", "some-id"), methods


@pytest.mark.parametrize("entry", OTHERS, ids=lambda entry: entry.name)
def test_a_function_without_a_path_is_for_posting_events_to(entry: catalogue.Function) -> None:
    """A clock, or whoever delivers, posts to its root."""
    assert declared(entry) == {"/": ("POST",)}


@pytest.mark.parametrize("entry", HTTP, ids=NAMES)
def test_the_gateway_leads_to_every_route_of_a_function_with_a_path(entry: catalogue.Function) -> None:
    """An exact location for a function of one address, and one for all below it where there are more."""
    first_server = re.sub(r"\$\{\w+\}", "", GATEWAY.partition("listen ${AUTH_LISTEN}")[0])
    exact = {path: name for sign, path, name in LOCATION.findall(first_server) if sign}
    below = {path: name for sign, path, name in LOCATION.findall(first_server) if not sign}
    assert len(exact | below) > len(HTTP)
    for address, _ in outside(entry):
        address = address if address == "/" else address.rstrip("/")
        nearest = max((path for path in below if address.startswith(path)), key=len)
        assert exact.get(address, below[nearest]) == entry.name, address


@pytest.mark.parametrize("entry", HTTP, ids=NAMES)
def test_the_gateway_says_of_each_address_what_its_function_takes(entry: catalogue.Function) -> None:
    """nginx refuses TRACE by itself, and owes the client the methods that the address takes (RFC 9110, 15.5.6)."""
    for address, methods in outside(entry):
        address = address if address == "/" else address.rstrip("/")
        for each in (address, f"{address}?x=1"):
            assert set(own_allow()(each).split(", ")) == set(allowed(methods)), each


def own_allow() -> Callable[[str], str]:
    """The map of that name, as nginx reads it: the first pattern that fits, else the default."""
    [body] = re.findall(r"^map \$request_uri \$own_allow \{\n(.*?)^\}", GATEWAY, re.MULTILINE | re.DOTALL)
    [default] = re.findall(r'default "([^"]+)";', body)
    patterns = re.findall(r'^ +"~(\S+)" "([^"]+)";$', body, re.MULTILINE)
    assert len(patterns) == len(body.splitlines()) - 1
    return lambda address: next((methods for pattern, methods in patterns if re.search(pattern, address)), default)
