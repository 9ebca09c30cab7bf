"""How tests run side by side: what workers share, which tests stay together, and in which processes coverage measures.

pytest-xdist starts the workers (`make test` says how many). Without it, as in `pytest tests/stores`, everything runs in
one process and nothing here makes a difference.
"""

import os
import re
from collections.abc import Callable

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.servers import LentServers, NotStarted, OwnServers, Servers

# The tests of one file run in one worker, one after the other, so what its fixtures start is started once. Files of one
# of these groups share a worker too, because what they share is expensive to start. They are begun first: they take
# longest, and much of it is waiting.
_GROUPS = {
    # A whole system with two instances of each function, which is broken and healed.
    "faults": re.compile(r"tests/faults/"),
    # A whole system that nobody breaks: the fixture `system`.
    "system": re.compile(r"tests/(browser/|acceptance/test_(gateway|hostile|journey|original|place|readme)\.py)"),
    # A whole system that is broken at random. It is alone in its group, so that the run does not end with it.
    "soak": re.compile(r"tests/soak/"),
}
_SERVERS = pytest.StashKey[Servers]()
# The environment of a process that is to measure itself. To measure one costs 0.13 s of CPU at its start and up to half
# as much again as it computes, and tests start hundreds. So `make test` measures the tests' own processes and those of
# the fixture `system`, and `make coverage` all of them.
_MEASURING = pytest.StashKey[dict[str, str]]()
_VARIABLE = "COVERAGE_PROCESS_CONFIG"  # pytest-cov sets it, and every Python that inherits it measures itself


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make coverage` says."""
    parser.addoption("--cov-processes", action="store_true", help="measure every process that tests start")


def pytest_configure(config: pytest.Config) -> None:
    """Servers of our own, or those of the process that has started this worker."""
    lent: tuple[str, str] | None = getattr(config, "workerinput", {}).get("servers")
    config.stash[_SERVERS] = LentServers(*lent) if lent else OwnServers()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Keep for the fixture `system` what pytest-cov has set by now, and take it from all other processes.

    Workers are processes too, in which pytest-cov measures by itself.
    """
    name, config = _VARIABLE, session.config
    config.stash[_MEASURING] = {name: os.environ[name]} if name in os.environ else {}
    starts_workers = config.getoption("numprocesses", None)
    if starts_workers or not config.getoption("--cov-processes"):
        os.environ.pop(name, None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker at its start where to ask for servers."""
    servers = node.config.stash[_SERVERS]
    assert isinstance(servers, OwnServers)
    node.workerinput["servers"] = servers.lend()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers: by now every worker has ended."""
    if isinstance(servers := config.stash.get(_SERVERS, None), OwnServers):
        servers.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Give a worker a whole file, or a whole group of files, at a time."""
    config.option.loadscopereorder = False  # in the order of collection, which is ours or that of --ff
    return _ByGroup(config, log)


class _ByGroup(LoadScopeScheduling):  # type: ignore[misc] # xdist ships no types
    def _split_scope(self, nodeid: str) -> str:
        return _group_of(nodeid)

    def remove_node(self, node: WorkerController) -> str | None:
        """Give the test during which a worker has crashed: it has failed, and the rest of its work goes to others.

        Left to xdist, the next worker would be given that test again, and crash, and so on.
        """
        work = self.assigned_work[node]
        crashed = next((test for unit in work.values() for test, is_done in unit.items() if not is_done), None)
        for unit in work.values():
            if crashed in unit:
                unit[crashed] = True
        self.assigned_work[node] = {scope: unit for scope, unit in work.items() if not all(unit.values())}
        super().remove_node(node)
        return crashed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The groups first, in their order. (`--ff` puts what has failed before them.)"""
    ranks = {group: rank for rank, group in enumerate(_GROUPS)}
    items.sort(key=lambda item: ranks.get(_group_of(item.nodeid), len(ranks)))


@pytest.fixture(scope="session")
def server_url(pytestconfig: pytest.Config) -> Callable[[str], str]:
    """The URL of the server that an environment variable names, or else of ours of that kind.

    Where ours cannot start tests skip; in CI they fail.
    """

    def find(name: str) -> str:
        try:
            return os.environ.get(name) or pytestconfig.stash[_SERVERS].url(name)
        except NotStarted as failure:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(str(failure))

    return find


@pytest.fixture(scope="session")
def measuring(pytestconfig: pytest.Config) -> dict[str, str]:
    """What the environment of a process has to hold so that coverage measures it; nothing where nothing is measured."""
    return pytestconfig.stash[_MEASURING]


def _group_of(nodeid: str) -> str:
    """The group that a test belongs to, or else its file."""
    path = nodeid.partition("::")[0]
    return next((name for name, files in _GROUPS.items() if files.match(path)), path)
