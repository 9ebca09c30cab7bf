"""Who asks can name the request, operators find it in every log by that name, and its trace goes on in the events."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from emulator.ports import reserve_port
from emulator.servers.gateway import Gateway
from events import catalogue
from events.contract import Event
from functions.model.jobs import Job
from functions.stores.jobs import Jobs
from serving.tracing import identity
from tests.events import harness
from tests.events.harness import uploaded
from tests.functions.harness import VIDEO, Person, Served, deliver, problem, replied
from tests.waiting import PATIENCE, until

Function = Callable[..., FlaskClient]

CATALOGUE = catalogue.load()
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = f"00-{TRACE_ID}-b7ad6b7169203331-01"
MALFORMED = {
    "nothing": "",
    "no hexadecimal digits": TRACE.replace("a", "x"),
    "capitals": TRACE.upper(),
    "too short": TRACE[:-1],
    "too long": f"{TRACE}-00",
    "a trace of zeros": TRACE.replace(TRACE_ID, "0" * 32),
    "a parent of zeros": TRACE.replace("b7ad6b7169203331", "0" * 16),
    "a version that is not defined": f"ff{TRACE[2:]}",
}


@pytest.mark.parametrize("given", MALFORMED.values(), ids=MALFORMED)
def test_a_traceparent_that_breaks_the_rules_begins_a_new_trace(given: str) -> None:
    """W3C Trace Context, 3.2.2; and each request has a trace of its own."""
    found = [identity({"HTTP_TRACEPARENT": given}) for _ in range(2)]
    assert len({TRACE_ID, "0" * 32, *(each.trace_id for each in found)}) == 4
    for each in found:
        assert identity({"HTTP_TRACEPARENT": each.traceparent}).traceparent == each.traceparent
        assert each.request_id == each.trace_id


@pytest.mark.parametrize("given", ["", "x" * 65, "no spaces", "no\x80header", "no\nlines"])
def test_a_request_id_that_no_header_or_log_can_carry_is_replaced(given: str) -> None:
    """By the trace's."""
    assert identity({"HTTP_TRACEPARENT": TRACE, "HTTP_X_REQUEST_ID": given}).request_id == TRACE_ID


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What the log said of requests."""
    return [record.fields for record in caplog.records if "milliseconds" in getattr(record, "fields", {})]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [entry.target for entry in CATALOGUE])
def test_every_answer_names_its_request(name: str, function: Function, ada: Person) -> None:
    """The function's own, a probe's, and what the framework finds to be nowhere."""
    client = function(name)
    for path in ("/", "/_/health", "/_/ready", "/_/metrics", "/favicon.ico", "/_//x", "/x/y/z"):
        for method in ("GET", "POST", "DELETE"):
            named = client.open(path, method=method, headers={**ada.headers, "X-Request-Id": "r1"})
            assert named.headers.getlist("X-Request-Id") == ["r1"], (method, path)
            traced = client.open(path, method=method, headers={**ada.headers, "traceparent": TRACE})
            assert traced.headers["X-Request-Id"] == TRACE_ID
            assert len(client.open(path, method=method, headers=ada.headers).headers["X-Request-Id"]) == 32


@pytest.mark.usefixtures("database", "videos")  # emptied afterwards
def test_an_upload_without_a_trace_has_one_in_its_line_in_its_event_and_in_its_answer(
    served: Callable[..., Served], ada: Person, sink: harness.Function
) -> None:
    """The trace that was begun for it stood in the event alone, and nobody could say which request had made it."""
    server = served("upload")
    answer = requests.post(server.url, data=VIDEO, headers=ada.headers, timeout=PATIENCE)
    [line] = until(lambda: server.lines(job=answer.json()["id"]))
    [event] = [asked.event for asked in sink.asked]
    assert event.traceparent
    assert answer.headers["X-Request-Id"] == line["request"] == line["trace"] == event.traceparent.split("-")[1]
    assert event.correlationid == line["request"]


def test_whoever_takes_the_event_goes_on_with_its_trace(
    function: Function, add: Callable[..., Job], jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    """And not with that of the delivery, which Knative's dispatcher may have begun for itself."""
    caplog.set_level("INFO")
    job = add(traceparent=TRACE)
    attempt = jobs.claim(job.id)
    assert attempt
    jobs.fail(attempt, "no_audio", "")
    delivered = uploaded(job.id)
    assert delivered.traceparent == TRACE
    client = function("dead_letter")
    answer = deliver(client, delivered)
    headers = {name: value for name, value in answer.headers.items() if name.lower().startswith("ce-")}
    assert (headers["ce-traceparent"], answer.headers["X-Request-Id"]) == (TRACE, TRACE_ID)
    [line] = lines(caplog)
    assert (line["trace"], line["request"]) == (TRACE_ID, TRACE_ID)
    another = {"traceparent": TRACE.replace(TRACE_ID, "1" * 32), "X-Request-Id": "r"}
    hop = client.post("/", data=answer.data, headers={**dict(answer.headers), **another})
    assert hop.headers["X-Request-Id"] == "r"
    assert (lines(caplog)[1]["trace"], lines(caplog)[1]["request"]) == (TRACE_ID, "r")


REFUSALS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "nobody": ("jobs", {"path": "/"}, {"status": 401, "reason": "unauthorized"}),
    "nowhere": ("jobs", {"path": "/x/y/z"}, {"status": 404, "reason": "not-found"}),
    "nowhere, as the framework finds": ("jobs", {"path": "/_//hush"}, {"status": 404, "reason": "not-found"}),
    "no such method": ("jobs", {"path": "/", "method": "PUT"}, {"status": 405, "reason": "method-not-allowed"}),
    "a field of ours": (
        "register", {"path": "/", "method": "POST", "json": {"name": "hush"}},
        {"status": 400, "reason": "bad-request", "field": "username"},
    ),
    "a field of theirs": (
        "register", {"path": "/", "method": "POST", "json": {"hush": 1}}, {"status": 400, "reason": "bad-request"},
    ),
    "a query of theirs": (
        "register", {"path": "/", "method": "POST", "query_string": {"hush": 1}},
        {"status": 400, "reason": "bad-request"},
    ),
    "no event": ("convert", {"path": "/", "method": "POST", "data": b"hush"}, {"status": 400, "reason": "bad-request"}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "request_", "told"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_in_the_log_what_and_why(
    name: str, request_: dict[str, Any], told: dict[str, Any], function: Function, caplog: pytest.LogCaptureFixture
) -> None:
    """Enough to find it and to count its kind, and no word of whoever asked."""
    caplog.set_level("INFO")
    answer = function(name).open(**request_, headers={"X-Request-Id": "r1"})
    problem(answer, told["status"], told["reason"])
    [line] = lines(caplog)
    assert line.pop("milliseconds") >= 0
    assert len(line.pop("trace")) == 32
    assert line == {"function": name, "request": "r1", **told}
    assert "hush" not in str([vars(record) for record in caplog.records])


def test_a_function_has_one_name_everywhere(
    function: Function, add: Callable[..., Job], jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    """Break: functions said `dead_letter`, the bridge `dead-letter`. Symptom: half of the lines in a search for it."""
    caplog.set_level("INFO")
    job = add()
    attempt = jobs.claim(job.id)
    assert attempt
    jobs.fail(attempt, "no_audio", "")
    client = function("dead_letter")
    event: Event = replied(deliver(client, uploaded(job.id)))
    [name] = [entry.name for entry in CATALOGUE if entry.dead_letter]
    assert name == "dead-letter"
    assert event.source == f"/functions/{name}"
    assert [line["function"] for line in lines(caplog)] == [name]
    assert [record.getMessage() for record in caplog.records if "milliseconds" in getattr(record, "fields", {})] == [
        f"POST {name}"
    ]
    assert client.get("/_/health").json == {"function": name}
    page = client.get("/_/metrics").text
    assert f'videotomp3_requests_total{{function="{name}",status="200"}}' in page
    assert "dead_letter" not in page


@pytest.fixture
def gateway(served: Callable[..., Served], tmp_path: Path) -> Iterator[Gateway]:
    """In front of the real jobs function."""
    elsewhere = f"127.0.0.1:{reserve_port()}"
    addresses = {entry.name: elsewhere for entry in CATALOGUE if entry.path}
    addresses["jobs"] = f"127.0.0.1:{served('jobs').port}"
    with Gateway(tmp_path, port=reserve_port(), auth_port=reserve_port(), addresses=addresses, settings={}) as gateway:
        yield gateway


@pytest.mark.parametrize("status", [200, 401])
def test_behind_the_gateway_a_request_has_the_id_that_the_gateway_gave_it(
    status: int, gateway: Gateway, served: Callable[..., Served], ada: Person
) -> None:
    """Once in the answer, whether it is passed on or made anew; what the client calls it does not count there."""
    headers = {"X-Request-Id": "mine", **(ada.headers if status == 200 else {})}
    answer = requests.get(f"{gateway.url}/jobs", headers=headers, timeout=PATIENCE)
    assert answer.status_code == status
    [named] = answer.raw.headers.getlist("X-Request-Id")
    assert named != "mine"
    [line] = until(lambda: served("jobs").lines(request=named))
    assert line["status"] == status
