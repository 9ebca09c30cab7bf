"""`make run`, as a person at a terminal sees it."""

import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from emulator.ports import has_ipv6, reserve_port
from tests.acceptance.terminal import Terminal, emulate, interrupt_while_loading, running_below
from tests.emulator.test_privileges import CAP_DAC_READ_SEARCH, rights
from tests.waiting import PATIENCE, until


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("emulator")


@pytest.fixture(scope="module")
def terminal(directory: Path) -> Iterator[Terminal]:
    """One emulator for all tests of this module."""
    terminal = Terminal(directory)
    yield terminal
    terminal.close()


def test_what_it_says_works_when_pasted(terminal: Terminal) -> None:
    """Registering, logging in, uploading and listing jobs, with nothing but what is on every machine."""
    assert terminal.paste().count('"sample.mp4"') == 2


@pytest.mark.usefixtures("terminal")
def test_nothing_listens_beyond_loopback(directory: Path) -> None:
    """Nobody else on the network reaches a development machine's stores, with their simple passwords."""
    listening = set()
    for process in running_below(directory):
        with suppress(psutil.NoSuchProcess):  # one of those that only look at something has ended since
            found = process.net_connections("inet")
            listening |= {connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN}
    assert "127.0.0.1" in listening
    assert listening <= {"127.0.0.1", "::1"}


def test_whatever_localhost_means_the_gateway_is_there(terminal: Terminal) -> None:
    """Some clients take it for ::1 and try no other address. nginx listens there too, on both ports."""
    if not has_ipv6():
        pytest.skip("this machine has no ::1")
    for url in (terminal.url, terminal.auth_url):
        health = url.replace("127.0.0.1", "[::1]") + "/_/health"
        assert requests.get(health, timeout=PATIENCE).json() == {"function": "gateway"}


def test_nothing_that_it_started_can_change_what_is_not_its_own(terminal: Terminal, directory: Path) -> None:
    """If root starts the emulator, only that runs as root. Its parts may read what is closed to them, no more."""
    children = [process for process in running_below(directory) if process.pid != terminal.emulator.pid]
    assert len(children) > 20
    assert set().union(*(rights(process.pid) for process in children)) <= {CAP_DAC_READ_SEARCH}


@pytest.mark.usefixtures("terminal")
def test_a_second_one_on_the_same_state_is_refused(directory: Path) -> None:
    """Otherwise the two would ruin each other's data."""
    second = emulate(directory)
    assert second.returncode == 1
    assert "another one is running" in second.stderr
    assert "What to do" in second.stderr


@pytest.mark.parametrize("part", ["functions/ui", "mailbox", "gateway", "clock"])
def test_a_part_that_dies_is_told_of_and_started_again(terminal: Terminal, directory: Path, part: str) -> None:
    """Break: kill -9 of one process. Symptom: that part is away. Recovery: the emulator starts it again."""
    name = part.rpartition("/")[2]
    process = psutil.Process(int((directory / "state" / part / f"{name}.pid").read_text(encoding="utf-8").split()[0]))
    process.kill()
    terminal.hears(f"{name}: has stopped (SIGKILL)")
    terminal.hears(f"{name} is started again")
    until(lambda: answers(f"{terminal.url}/"))


def test_a_kill_does_not_stand_in_the_way_of_the_next_start(tmp_path: Path) -> None:
    """Break: kill -9 of the emulator. Recovery: all parts end, and the next start has the data of the first."""
    first = Terminal(tmp_path)
    assert first.paste().count('"sample.mp4"') == 2
    first.close()
    until(lambda: running_below(tmp_path) == [])
    second = Terminal(tmp_path)
    shown = second.paste()
    assert '"status": 409' in shown
    assert shown.count('"sample.mp4"') == 3
    assert second.send(signal.SIGINT) == 0
    assert running_below(tmp_path) == []


def test_ctrl_c_while_its_modules_are_loaded_is_quiet(tmp_path: Path) -> None:
    """Break: Ctrl-C in the first half second. Symptom: a traceback from the middle of an import."""
    code, said = interrupt_while_loading(tmp_path)
    assert code in (-signal.SIGINT, 130)
    assert "Traceback" not in said
    assert running_below(tmp_path) == []


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path, family: socket.AddressFamily) -> None:
    """A system that could not be reached there, by IPv4 or IPv6, does not start at all."""
    if family == socket.AF_INET6 and not has_ipv6():
        pytest.skip("this machine has no ::1")
    with socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family) as other:
        ports = {"GATEWAY_PORT": str(other.getsockname()[1]), "AUTH_PORT": str(reserve_port())}
        done = emulate(tmp_path, **ports)
    assert done.returncode == 1
    assert f"another program has port {ports['GATEWAY_PORT']}" in done.stderr
    assert "make run GATEWAY_PORT=" in done.stderr
    assert running_below(tmp_path) == []


def test_sigterm_stops_everything(terminal: Terminal, directory: Path) -> None:
    """As Ctrl-C does. This test is the last because it ends the emulator of the module."""
    assert terminal.send(signal.SIGTERM) == 0
    assert running_below(directory) == []


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=PATIENCE).status_code == 200
    except requests.ConnectionError:
        return False
