"""Register, login, validate: who people are."""

import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.model.tokens import Links, Tokens
from tests.functions.conftest import SECRETS
from tests.functions.stage import Person, Served, problem

Function = Callable[..., FlaskClient]
PASSWORD = "correct hörse"
WRONG = "the username or the password is wrong"


@pytest.fixture
def register(function: Function) -> Callable[..., Any]:
    client = function("register")
    whole = {"name": "Ada", "username": "ada@example.org", "password": PASSWORD}
    return lambda **changes: client.post("/", json=whole | changes)


def test_who_registers_can_log_in_and_is_who_they_are(register: Callable[..., Any], function: Function) -> None:
    """Through all three functions; names are the same in any case, passwords are not."""
    user = register(email="ada@example.com")
    assert user.status_code == 201
    assert user.json.keys() == {"id", "username", "name", "email"}
    login = function("login").post("/", auth=("ADA@example.org", PASSWORD))
    assert login.status_code == 200
    assert (login.json["token_type"], login.json["expires_in"]) == ("Bearer", 86400)
    claims = function("validate").post("/", headers={"Authorization": f"bearer {login.json['access_token']}"})
    assert claims.status_code == 200
    assert (claims.json["sub"], claims.json["username"]) == (user.json["id"], "ada@example.org")
    refused = function("login").post("/", auth=("ada@example.org", PASSWORD.upper()))
    assert problem(refused, 401, "unauthorized")["detail"] == WRONG
    problem(register(username="Ada@Example.org"), 409, "conflict", field="username")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"ada"', b"\xff\xfe", b"[" * 60_000])
def test_what_is_no_json_object_is_refused(body: bytes, function: Function) -> None:
    """The field is the body."""
    problem(function("register").post("/", data=body), 400, "bad-request", field="body")


def test_what_cannot_be_registered_is_refused_by_its_field(register: Callable[..., Any]) -> None:
    """Each field is judged by functions/model/accounts.py."""
    problem(register(password="short"), 400, "bad-request", field="password")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, deadline=None, max_examples=30)
@given(
    st.fixed_dictionaries(
        {"name": st.text(max_size=20), "username": st.just("x@example.org") | st.text(max_size=20)},
        optional={"password": st.text(max_size=7) | st.none(), "email": st.text(max_size=20) | st.integers()},
    )
)
def test_no_registration_breaks_register(function: Function, body: dict[str, Any]) -> None:
    """Half characters, NUL, numbers: whatever JSON can spell."""
    assert function("register").post("/", data=json.dumps(body)).status_code == 400


NO_LOGINS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a token": {"headers": {"Authorization": "Bearer x"}},
    "no base64": {"headers": {"Authorization": "Basic !"}},
    "no ASCII": {"headers": {"Authorization": "Basic é"}},
    "no password": {"auth": ("ada", "")},
    "no username": {"auth": ("", "secret")},
    "NUL in the username": {"auth": ("a\0a", "secret")},
}


@pytest.mark.parametrize("request_", NO_LOGINS.values(), ids=NO_LOGINS)
def test_who_sends_no_username_and_password_is_asked_for_them(request_: dict[str, Any], function: Function) -> None:
    """As browsers and curl understand it."""
    answer = function("login").post("/", **request_)
    assert "Basic authentication" in problem(answer, 401, "unauthorized")["detail"]
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="video-to-mp3"'


def test_an_unknown_user_is_refused_like_a_wrong_password(register: Callable[..., Any], function: Function) -> None:
    """The same words, headers and time: nobody can find out who has an account."""
    register()
    client = function("login", LOGIN_FREE_ATTEMPTS="100")
    client.post("/", auth=("warm@example.org", PASSWORD))
    times: dict[str, list[float]] = {"ada@example.org": [], "eve@example.org": []}
    answers = set()
    for _ in range(3):
        for username, taken in times.items():
            began = time.thread_time()
            answer = client.post("/", auth=(username, "wrong password"))
            taken.append(time.thread_time() - began)
            answers.add((answer.status_code, answer.data, str(answer.headers)))
    assert len(answers) == 1
    known, unknown = (median(taken) for taken in times.values())
    assert 0.7 < known / unknown < 1.4


def test_too_many_failed_logins_must_wait(function: Function) -> None:
    """Told when to come back; for this name only, and for one that nobody has too."""
    client = function("login", LOGIN_FREE_ATTEMPTS="1")
    statuses = [client.post("/", auth=("ada@example.org", "x" * 1025)).status_code for _ in range(4)]
    assert statuses == [401, 401, 429, 429]
    answer = client.post("/", auth=("ADA@example.org", "x" * 1025))
    problem(answer, 429, "throttled")
    assert answer.headers["Retry-After"] == "1"
    problem(client.post("/", auth=("eve@example.org", "x" * 1025)), 401, "unauthorized")


REFUSED = {
    "nobody": None,
    "another scheme": "Basic YTpi",
    "no token": "Bearer ",
    "no token at all": "Bearer not-a-token",
    "another signature": "Bearer " + Tokens("o" * 32, 60).issue(uuid4(), "ada"),
    "expired": "Bearer " + Tokens(SECRETS["JWT_SECRET"], -1).issue(uuid4(), "ada"),
    "a link": "Bearer " + Links(SECRETS["LINK_SECRET"], 60).sign(uuid4()),
    "a link signed with the tokens' key": "Bearer " + Links(SECRETS["JWT_SECRET"], 60).sign(uuid4()),
}


@pytest.mark.parametrize("name", ["validate", "upload", "jobs", "download"])
@pytest.mark.parametrize("authorization", REFUSED.values(), ids=REFUSED)
def test_who_is_nobody_gets_nowhere(name: str, authorization: str | None, function: Function) -> None:
    """401 before anything else is looked at."""
    headers = {"Authorization": authorization} if authorization else {}
    method, address = {"upload": ("POST", "/"), "download": ("GET", f"/?fid={uuid4()}")}.get(name, ("GET", "/"))
    answer = function(name).open(address, method=method, headers=headers)
    problem(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="video-to-mp3"'


def test_a_proxy_can_ask_validate_about_any_request(function: Function, ada: Person) -> None:
    """nginx' auth_request repeats the headers of a large upload, and no body."""
    headers = {**ada.headers, "Content-Length": "300000000", "Content-Type": "multipart/form-data"}
    assert function("validate").get("/", headers=headers).status_code == 200


def test_validate_never_asks_itself(function: Function, ada: Person) -> None:
    """AUTH_SVC_ADDR may be set for all functions alike."""
    assert function("validate", AUTH_SVC_ADDR="127.0.0.1:1").get("/", headers=ada.headers).status_code == 200


def test_where_auth_svc_addr_is_set_tokens_are_checked_there(
    function: Function, served: Callable[..., Served], ada: Person
) -> None:
    """As the original system did; the answers are the same."""
    client = function("jobs", AUTH_SVC_ADDR=f"127.0.0.1:{served('validate').port}")
    assert client.get("/", headers=ada.headers).json == {"jobs": []}
    problem(client.get("/", headers={"Authorization": REFUSED["expired"] or ""}), 401, "unauthorized")
    problem(client.get("/"), 401, "unauthorized")


def test_while_validate_is_away_nobody_is_let_in_or_sent_away(function: Function, ada: Person) -> None:
    """503: the token may well be good."""
    problem(function("jobs", AUTH_SVC_ADDR="127.0.0.1:1").get("/", headers=ada.headers), 503, "unavailable")
