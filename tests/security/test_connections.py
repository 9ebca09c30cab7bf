"""What one client's connections, slow or silent or many, can take from another."""

import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from threading import Event, Thread, Timer

import pytest
import requests

from functions.model.errors import Throttled
from functions.model.jobs import Job
from functions.runtime import slots
from functions.runtime.settings import Settings
from serving import pace
from serving.pace import PacedSocket, TooSlow
from tests.functions.harness import VIDEO, Person, Served
from tests.waiting import PATIENCE

MANY = 40
LARGE = 64 * 1024 * 1024  # bytes: more than the kernel takes off our hands for a client that does not read
Open = Callable[..., socket.socket]


@pytest.fixture
def talk() -> Iterator[Open]:
    """Opens a connection and sends the head of a request; what it returns is closed in the end."""
    with ExitStack() as opened:

        def begin(served: Served, *lines: str) -> socket.socket:
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", served.port), PATIENCE))
            connection.sendall("\r\n".join([*lines, "Host: x", "", ""]).encode())
            return connection

        yield begin


def status(connection: socket.socket) -> int:
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status


def bearer(who: Person) -> str:
    return f"Authorization: {who.headers['Authorization']}"


def test_many_quiet_uploads_of_one_user_leave_room_for_another(
    served: Callable[..., Served], ada: Person, eve: Person, talk: Open
) -> None:
    """Eve begins forty and sends nothing of them. There are ten threads."""
    upload = served("upload")
    quiet = [talk(upload, "POST / HTTP/1.1", bearer(eve), "Content-Length: 1000000") for _ in range(MANY)]
    answer = requests.post(upload.url, headers=ada.headers, data=VIDEO, timeout=PATIENCE)
    assert answer.status_code == 202
    refused = [connection for connection in quiet if has_answer(connection)]
    assert len(refused) >= MANY - Settings().transfers_per_user
    assert {status(connection) for connection in refused} == {429}


def test_many_downloads_that_nobody_reads_leave_room_for_another(
    served: Callable[..., Served], ada: Person, eve: Person, finish: Callable[..., Job], talk: Open
) -> None:
    download = served("download")
    hers, mine = finish(bytes(LARGE), owner=eve.id), finish(b"ID3 mine", owner=ada.id)
    for _ in range(MANY):
        talk(download, f"GET /?fid={hers.fid} HTTP/1.1", bearer(eve))
    answer = requests.get(download.url, {"fid": str(mine.fid)}, headers=ada.headers, timeout=PATIENCE)
    assert answer.content == b"ID3 mine"


def test_a_download_that_was_read_gives_its_slot_back(
    served: Callable[..., Served], ada: Person, finish: Callable[..., Job]
) -> None:
    """So does one that its client has left, and one of which only the head was asked for."""
    download, job = served("download", TRANSFERS_PER_USER="1"), finish(bytes(LARGE), owner=ada.id)
    url = f"{download.url}?fid={job.fid}"
    for _ in range(3):
        assert requests.head(url, headers=ada.headers, timeout=PATIENCE).status_code == 200
        assert len(requests.get(url, headers=ada.headers, timeout=PATIENCE).content) == LARGE
    with requests.get(url, headers=ada.headers, timeout=PATIENCE, stream=True) as left:
        other = requests.get(url, headers=ada.headers, timeout=PATIENCE)
        assert (left.status_code, other.status_code) == (200, 429)
        assert "1 download" in other.json()["detail"]
        assert int(other.headers["Retry-After"]) > 0
    answers = iter(lambda: requests.head(url, headers=ada.headers, timeout=PATIENCE).status_code, 200)
    assert list(answers) == []


@contextmanager
def dripping(connection: socket.socket) -> Iterator[None]:
    """Sends a byte a second, until the block ends or the other side hangs up."""
    stop = Event()

    def drip() -> None:
        while not stop.wait(0.05):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    thread = Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_client_that_drips_is_given_up() -> None:
    """Twenty bytes a second keep an idle limit from ever striking; nobody reads anything of that socket meanwhile."""
    ours, theirs = socket.socketpair()
    with PacedSocket.of(ours) as paced, theirs:
        paced.begin(patience=0.5)
        with dripping(theirs), pytest.raises(TooSlow):
            _exactly(paced, pace.RATE * 10)


def test_a_client_that_rests_for_a_while_is_not() -> None:
    """What counts is all that has come since the request began."""
    ours, theirs = socket.socketpair()
    with PacedSocket.of(ours) as paced, theirs:
        paced.begin(patience=0.0)
        theirs.sendall(bytes(pace.RATE * 10))
        assert _exactly(paced, pace.RATE * 10)
        rest = Timer(0.5, theirs.sendall, (b"x",))
        rest.start()
        assert _exactly(paced, 1) == b"x"


def test_time_that_we_need_ourselves_is_not_the_client_s() -> None:
    """Only what is spent waiting for the client counts."""
    ours, theirs = socket.socketpair()
    with PacedSocket.of(ours) as paced, theirs:
        paced.begin(patience=0.3)
        for _ in range(10):
            theirs.sendall(b"x")
            Event().wait(0.1)
            assert paced.recv(10) == b"x"


@pytest.mark.usefixtures("postgres")  # which is emptied afterwards
def test_clients_that_are_refused_and_stay_hold_up_nobody(served: Callable[..., Served], talk: Open) -> None:
    """Each was waited for, two seconds long, by the thread that accepts all others."""
    ui = served("ui")
    for _ in range(int(PATIENCE)):
        talk(ui, "x")
    assert requests.get(f"{ui.url}/_/health", timeout=PATIENCE).status_code == 200


def test_forty_logins_at_once_are_each_answered(served: Callable[..., Served]) -> None:
    """With a token or at once with 429, and never with 5xx; whoever comes then gets in."""
    login = served("login")
    basic = {"Authorization": "Basic " + b64encode(b"nobody:wrong password").decode()}

    def attempt(_: int) -> int:
        return requests.post(login.url, headers=basic, timeout=PATIENCE).status_code

    with ThreadPoolExecutor(MANY) as threads:
        answers = list(threads.map(attempt, range(MANY)))
    assert set(answers) <= {401, 429}
    assert 429 in answers
    assert 401 in answers


@pytest.mark.usefixtures("postgres")
def test_registrations_that_are_not_made_are_refused(served: Callable[..., Served]) -> None:
    """What was answered with 429 was not made, and a repeat of it succeeds."""
    register = served("register")

    def attempt(number: int) -> int:
        body = {"name": "Ada", "username": f"ada{number}", "password": "correct horse"}
        return requests.post(register.url, json=body, timeout=PATIENCE).status_code

    with ThreadPoolExecutor(MANY) as threads:
        answers = list(threads.map(attempt, range(MANY)))
    assert set(answers) == {201, 429}
    assert {attempt(number) for number, answer in enumerate(answers) if answer == 429} == {201}


def test_a_slot_that_is_given_back_can_be_taken() -> None:
    """Also after an error; and nobody is remembered who has none."""
    three = slots.transfers(2, "upload")
    refusal = pytest.raises(Throttled, match="2 uploads under way")
    with three.of("ada"), three.of("ada"), three.of("eve"), refusal, three.of("ada"):
        pass
    with pytest.raises(ZeroDivisionError), three.of("ada"):
        raise ZeroDivisionError
    with three.of("ada"), three.of("ada"):
        pass
    assert not three._taken


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += connection.recv(count - len(data))
    return data


def has_answer(connection: socket.socket) -> bool:
    """Whether the first bytes of one come within the time that a thread may need for all that were before."""
    connection.settimeout(0.5)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return False
    finally:
        connection.settimeout(PATIENCE)
