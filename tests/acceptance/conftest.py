import pytest

from emulator.system import System
from tests.acceptance.person import Person


@pytest.fixture
def person(system: System) -> Person:
    """A new user."""
    return Person(system)
