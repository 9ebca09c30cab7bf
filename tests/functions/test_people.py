"""Register, login, validate and account: users and their tokens."""

import json
import random
import time
import unicodedata
from base64 import b64encode
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
from tests.functions.harness import Person, Served, problem

Function = Callable[..., FlaskClient]
PASSWORD = "correct hörse"
WRONG = "the username or the password is wrong"


@pytest.fixture
def register(function: Function) -> Callable[..., Any]:
    client = function("register")
    whole = {"name": "Ada", "username": "ada@example.org", "password": PASSWORD}
    return lambda **changes: client.post("/", json=whole | changes)


def test_who_registers_can_log_in_and_is_who_they_are(register: Callable[..., Any], function: Function) -> None:
    """Usernames are the same in any case, passwords are not."""
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


@pytest.mark.parametrize(("name", "method"), [("register", "POST"), ("account", "PATCH")])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"ada"', b"\xff\xfe", b"[" * 60_000])
def test_what_is_no_json_object_is_refused(
    body: bytes, name: str, method: str, function: Function, ada: Person
) -> None:
    answer = function(name).open("/", method=method, data=body, headers=ada.headers)
    problem(answer, 400, "bad-request", field="body")


@pytest.mark.parametrize(("name", "method"), [("register", "POST"), ("account", "PATCH")])
def test_a_member_that_comes_twice_is_refused(name: str, method: str, function: Function, ada: Person) -> None:
    """Otherwise one of the two would be dropped silently, here or by a program in front of us (RFC 8259, 4)."""
    body = '{"name": "Ada", "email": "ada@example.org", "email": "eve@example.org", "password": "correct horse"}'
    refused = problem(function(name).open("/", method=method, data=body, headers=ada.headers), 400, "bad-request")
    assert (refused["field"], refused["detail"]) == ("email", "the body has `email` twice; which one is meant?")


def test_who_gives_no_address_is_registered_without_one(register: Callable[..., Any], function: Function) -> None:
    """As in the original system."""
    john = {"name": "John Doe", "username": "johndoe", "password": "password123"}
    assert register(**john).json["email"] is None
    token = function("login").post("/", auth=("johndoe", "password123")).json["access_token"]
    whole = function("account").get("/", headers={"Authorization": f"Bearer {token}"}).json
    assert (whole["username"], whole["name"], whole["email"]) == ("johndoe", "John Doe", None)


def test_what_cannot_be_registered_is_refused_by_its_field(register: Callable[..., Any]) -> None:
    """tests/check/test_accounts.py has every rule; here one of them goes through HTTP."""
    problem(register(password="short"), 400, "bad-request", field="password")


def test_a_member_that_means_nothing_is_refused(register: Callable[..., Any]) -> None:
    """Were a misspelt `email` ignored, that address would never get an email."""
    refused = problem(register(mail="ada@example.com"), 400, "bad-request", field="mail")
    assert refused["detail"] == "there is no member `mail`; did you mean `email`?"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], database=None, deadline=None, max_examples=30)
@given(
    st.fixed_dictionaries(
        {"name": st.text(max_size=20), "username": st.just("x@example.org") | st.text(max_size=20)},
        optional={"password": st.text(max_size=7) | st.none(), "email": st.text(max_size=20) | st.integers()},
    )
)
def test_no_registration_breaks_register(function: Function, body: dict[str, Any]) -> None:
    """Lone surrogates, NUL, numbers: whatever JSON can spell."""
    assert function("register").post("/", data=json.dumps(body)).status_code == 400


def basic(octets: bytes, scheme: str = "Basic ") -> dict[str, str]:
    """A header that no client library would make."""
    return {"Authorization": scheme + b64encode(octets).decode()}


NO_LOGINS: dict[str, dict[str, str]] = {
    "nothing": {},
    "no header's value": {"Authorization": ""},
    "a token": {"Authorization": "Bearer x"},
    "the scheme alone": {"Authorization": "Basic"},
    "nothing after the scheme": {"Authorization": "Basic "},
    "no base64": {"Authorization": "Basic !"},
    "base64 cut off": {"Authorization": "Basic YWRhOnNlY3J"},
    "base64 and more": {"Authorization": "Basic YTpi YTpi"},
    "no ASCII": {"Authorization": "Basic é"},
    "another scheme": basic(b"ada:secret", "Digest "),
    "a scheme's name that goes on": basic(b"ada:secret", "Basics "),
    "no colon": basic(b"ada"),
    "no octets": basic(b""),
    "a colon alone": basic(b":"),
    "no password": basic(b"ada:"),
    "no username": basic(b":secret"),
    "spaces for a username": basic(b"  :secret"),
    "NUL in the username": basic(b"a\0a:secret"),
    "a line end in the username": basic(b"a\r\nda:secret"),
    "a control character in the username": basic(b"a\x1fda:secret"),
    "a username of kilobytes": basic(random.Random(1).randbytes(4000).replace(b":", b"") + b":secret"),
}


@pytest.mark.parametrize("headers", NO_LOGINS.values(), ids=NO_LOGINS)
def test_who_sends_no_username_and_password_is_asked_for_them(headers: dict[str, str], function: Function) -> None:
    """With the challenge that browsers and curl understand, and the encoding to use (RFC 7617, 2.1)."""
    answer = function("login").post("/", headers=headers)
    assert "Basic authentication" in problem(answer, 401, "unauthorized")["detail"]
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="video-to-mp3", charset="UTF-8"'


LOGINS = {
    "in UTF-8": basic("größe:pässwörd ÿ".encode()),
    "in Latin-1": basic("größe:pässwörd ÿ".encode("latin-1")),
    "decomposed": basic(unicodedata.normalize("NFD", "größe:pässwörd ÿ").encode()),
    "with spaces around the username": basic(" größe :pässwörd ÿ".encode()),
    "in lower case": basic("größe:pässwörd ÿ".encode(), "basic "),
    "in upper case": basic("größe:pässwörd ÿ".encode(), "BASIC "),
    "after many spaces": basic("größe:pässwörd ÿ".encode(), "Basic   "),
}


@pytest.mark.parametrize("headers", LOGINS.values(), ids=LOGINS)
def test_a_name_with_umlauts_can_log_in_however_its_client_encodes_it(
    headers: dict[str, str], register: Callable[..., Any], function: Function
) -> None:
    """The challenge asks for UTF-8; Python's requests and old browsers send Latin-1, and macOS decomposes."""
    register(username=" größe ", password="pässwörd ÿ", email="ada@example.org")
    assert function("login").post("/", headers=headers).status_code == 200


def test_a_password_in_windows_letters_is_the_same(register: Callable[..., Any], function: Function) -> None:
    """Latin-1 has no € and no “. Curl in a Windows terminal and old browsers send them in code page 1252."""
    register(username="größe", password="„50 €“ – 5 €", email="ada@example.org")
    headers = basic("größe:„50 €“ – 5 €".encode("cp1252"))
    assert function("login").post("/", headers=headers).status_code == 200


def test_who_registers_decomposed_can_log_in_composed(register: Callable[..., Any], function: Function) -> None:
    """Unicode has two forms of one text, and systems differ in which they send (RFC 7617, 2.1; RFC 8265, 4.2)."""
    whole = {"username": "größe", "password": "pässwörd ÿ"}
    apart = {field: unicodedata.normalize("NFD", text) for field, text in whole.items()}
    assert register(**apart, email="ada@example.org").json["username"] == "größe"
    problem(register(**whole, email="ada@example.org"), 409, "conflict", field="username")
    assert function("login").post("/", headers=LOGINS["in UTF-8"]).status_code == 200


@pytest.mark.parametrize(
    "password", ["a:colon:and more", ":leading", "tabs\tand\x7f", "  spaces  ", "ÿ" * 900, "\U0001f600" * 8]
)
def test_a_password_may_hold_what_a_person_can_type(
    password: str, register: Callable[..., Any], function: Function
) -> None:
    """Colons too: only the first one separates it from the username."""
    assert register(password=password).status_code == 201
    client = function("login")
    assert client.post("/", headers=basic(f"ada@example.org:{password}".encode())).status_code == 200
    refused = client.post("/", headers=basic(f"ada@example.org:{password}\0".encode()))
    assert problem(refused, 401, "unauthorized")["detail"] == WRONG


def test_an_unknown_user_is_refused_like_a_wrong_password(register: Callable[..., Any], function: Function) -> None:
    """With the same words, headers and CPU time: nobody can find out who has an account."""
    register()
    client = function("login", LOGIN_FREE_ATTEMPTS="100")
    client.post("/", auth=("warm@example.org", PASSWORD))
    times: dict[str, list[float]] = {"ada@example.org": [], "eve@example.org": []}
    answers = set()
    for _ in range(3):
        for username, taken in times.items():
            began = time.thread_time()
            answer = client.post("/", auth=(username, "wrong password"), headers={"X-Request-Id": "same"})
            taken.append(time.thread_time() - began)
            answers.add((answer.status_code, answer.data, str(answer.headers)))
    assert len(answers) == 1
    known, unknown = (median(taken) for taken in times.values())
    assert 0.7 < known / unknown < 1.4


def test_too_many_failed_logins_must_wait(function: Function) -> None:
    """The answer says for how long. Only that username waits, and it need not be anybody's."""
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


@pytest.mark.parametrize("name", ["validate", "account", "upload", "jobs", "download"])
@pytest.mark.parametrize("authorization", REFUSED.values(), ids=REFUSED)
def test_who_is_nobody_gets_nowhere(name: str, authorization: str | None, function: Function) -> None:
    """The token is checked before anything else in the request."""
    headers = {"Authorization": authorization} if authorization else {}
    method, address = {"upload": ("POST", "/"), "download": ("GET", f"/?fid={uuid4()}")}.get(name, ("GET", "/"))
    answer = function(name).open(address, method=method, headers=headers)
    problem(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="video-to-mp3"'


def test_a_proxy_can_ask_validate_about_any_request(function: Function, ada: Person) -> None:
    """nginx' auth_request repeats the headers of a large upload, without its body."""
    headers = {**ada.headers, "Content-Length": "300000000", "Content-Type": "multipart/form-data"}
    assert function("validate").get("/", headers=headers).status_code == 200


def test_validate_never_asks_itself(function: Function, ada: Person) -> None:
    """AUTH_SVC_ADDR may be set for all functions alike."""
    assert function("validate", AUTH_SVC_ADDR="127.0.0.1:1").get("/", headers=ada.headers).status_code == 200


def test_where_auth_svc_addr_is_set_tokens_are_checked_there(
    function: Function, served: Callable[..., Served], ada: Person
) -> None:
    """As in the original system, with the same answers as without."""
    client = function("jobs", AUTH_SVC_ADDR=f"127.0.0.1:{served('validate').port}")
    assert client.get("/", headers=ada.headers).json == {"jobs": [], "next": None}
    problem(client.get("/", headers={"Authorization": REFUSED["expired"] or ""}), 401, "unauthorized")
    problem(client.get("/"), 401, "unauthorized")


def test_while_validate_is_away_nobody_is_let_in_or_sent_away(function: Function, ada: Person) -> None:
    """503, for the token may well be valid."""
    problem(function("jobs", AUTH_SVC_ADDR="127.0.0.1:1").get("/", headers=ada.headers), 503, "unavailable")


def test_an_account_tells_its_own_person_alone(function: Function, ada: Person, eve: Person) -> None:
    """The token alone says whose account it is, and no password leaves."""
    client = function("account")
    for person in (ada, eve):
        whole = {"id": str(person.id), "name": "Ada", "username": person.username, "email": person.username}
        assert client.get("/", headers=person.headers).json == whole
    assert client.head("/", headers=ada.headers).status_code == 200


def test_the_address_of_an_account_can_be_changed_and_taken_away(function: Function, ada: Person, eve: Person) -> None:
    """Nobody else's changes, and two accounts may share an address."""
    client = function("account")
    for said, email in ((f" {eve.username} ", eve.username), (None, None), ("ada@example.org", "ada@example.org")):
        answer = client.patch("/", json={"email": said}, headers=ada.headers)
        assert (answer.status_code, answer.json["email"]) == (200, email)
        assert client.get("/", headers=ada.headers).json == answer.json
    assert client.get("/", headers=eve.headers).json["email"] == eve.username


@pytest.mark.parametrize(
    ("body", "field"), [({"email": "ada"}, "email"), ({"username": "eve"}, "username"), ({}, "email")]
)
def test_what_cannot_be_changed_of_an_account_is_refused_by_its_field(
    body: dict[str, Any], field: str, function: Function, ada: Person
) -> None:
    """And nothing is changed."""
    client = function("account")
    problem(client.patch("/", json=body, headers=ada.headers), 400, "bad-request", field=field)
    assert client.get("/", headers=ada.headers).json["email"] == ada.username


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_token_that_outlives_its_account_opens_nothing(method: str, function: Function) -> None:
    """Its holder is asked to register again."""
    headers = {"Authorization": f"Bearer {Tokens(SECRETS['JWT_SECRET'], 60).issue(uuid4(), 'nobody')}"}
    answer = function("account").open("/", method=method, json={"email": None}, headers=headers)
    assert "gone" in problem(answer, 401, "unauthorized")["detail"]


def test_an_account_has_nothing_below_it(function: Function, ada: Person) -> None:
    """A mistake in the path must not be answered as if it were right."""
    problem(function("account").get("/password", headers=ada.headers), 404, "not-found")
