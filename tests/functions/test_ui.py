"""The function ui hands out the files of the page, with the headers that limit what a browser does with them."""

import re
from datetime import UTC, datetime
from pathlib import Path

import functions_framework
import pytest
from werkzeug.test import Client

import functions
from functions.model.encoding import ENCODINGS, M4A, MP3, OPUS, Quality
from tests.functions.conditional import TABLE, Known, Row


@pytest.fixture(scope="module")
def client() -> Client:
    source = Path(functions.__file__).with_name("ui") / "main.py"
    return functions_framework.create_app(target="ui", source=str(source)).test_client()


def offered(client: Client, name: str) -> dict[str, str]:
    """What the page says of each choice in the list of that name."""
    below = client.get("/").get_data(as_text=True).partition(f'<select name="{name}">')[2].partition("</select>")[0]
    return dict(re.findall(r'<option value="(\w+)">([^<]+)</option>', below))


def test_the_page_offers_every_format_by_its_name(client: Client) -> None:
    """The name stands before the colon: the page takes it from there for what it says of a job."""
    formats = {value: text.partition(":")[0] for value, text in offered(client, "format").items()}
    assert formats == {value: encoding.name for value, encoding in ENCODINGS.items()}


def test_the_page_says_what_an_hour_of_each_quality_takes(client: Client) -> None:
    """As the encodings have it; a variable bitrate takes about as much."""
    offers = offered(client, "quality")
    assert list(offers) == list(Quality)
    for quality, text in offers.items():
        [megabytes] = re.findall(r"(\d+) MB an hour", text)
        for encoding in (MP3, M4A, OPUS):
            bitrate = encoding.meanings[Quality(quality)].bitrate
            assert bitrate is None or int(megabytes) == round(bitrate * 3600 / 8000), (quality, encoding.name)
        assert ("mono" in text) == MP3.meanings[Quality(quality)].mono


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/icon.svg", "image/svg+xml")],
)
def test_each_file_of_the_page_has_its_type(client: Client, path: str, kind: str) -> None:
    """`nosniff` keeps a browser from guessing another one."""
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, kind)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.data


def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(client: Client) -> None:
    """Markup that a stranger managed to put into the page would do nothing."""
    answer = client.get("/")
    policy = dict(rule.strip().split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == policy["object-src"] == "'none'"
    assert not any("unsafe" in values or "http" in values for values in policy.values())
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_the_page_names_its_files_relatively(client: Client) -> None:
    """On OpenFaaS the page is at /function/ui/, where an address from the root would lead elsewhere."""
    page = client.get("/").text
    assert 'href="page.css"' in page
    assert 'src="page.js"' in page
    assert '="/' not in page
    assert "//" not in page


def test_an_unchanged_file_is_not_sent_again(client: Client) -> None:
    """A browser asks each time, and gets 304 until the file changes."""
    first = client.get("/page.js")
    again = client.get("/page.js", headers={"If-None-Match": first.headers["ETag"]})
    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.get("/page.js", headers={"If-None-Match": '"older"'}).status_code == 200


@pytest.mark.parametrize("rows", TABLE.values(), ids=TABLE)
def test_a_file_of_the_page_knows_the_same_conditions(client: Client, rows: list[Row]) -> None:
    """As a download does, except those about dates and ranges: a file of the page has neither (RFC 9110, 13 and 14)."""
    known = Known(client.get("/page.js").headers["ETag"], datetime.now(UTC))
    about_tags = {"If-Match", "If-None-Match"}
    alone = [row for rows in TABLE.values() for row in rows if row[0].keys() <= about_tags]
    for sent, _ in rows:
        heeded = {name: value for name, value in sent.items() if name in about_tags}
        expected = next((status for headers, status in alone if headers == heeded), 200)
        for method in ("GET", "HEAD"):
            assert client.open("/page.js", method=method, headers=known.fill(sent)).status_code == expected, sent


def test_head_tells_the_length_and_sends_nothing(client: Client) -> None:
    """RFC 9110, 9.3.2."""
    answer = client.head("/page.css")
    assert answer.data == b""
    assert answer.content_length == len(client.get("/page.css").data)


@pytest.mark.parametrize("path", ["/main.py", "/index.html", "/../login/main.py", "/page.css/", "/nothing", "/%00"])
def test_everything_else_is_a_404_problem(client: Client, path: str) -> None:
    """No path leads to a file that is not the page's."""
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert answer.json["type"] == "urn:videotomp3:problem:not-found"


def test_the_page_is_for_reading_only(client: Client) -> None:
    """The answer to another method names those that are allowed."""
    answer = client.post("/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/upload", "/index.html", "/nothing"])
def test_what_is_not_there_allows_nothing(client: Client, method: str, path: str) -> None:
    """Break: POST /upload/, one slash too many, comes here. Symptom: 405 that recommends a GET, which is a 404 then."""
    assert client.open(path, method=method).status_code == 404
