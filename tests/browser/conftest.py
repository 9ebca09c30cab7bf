"""A headless Chromium on the page for people, as tests need it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from emulator.system import System
from tests.browser.visitor import Visitor

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVERS = ("chromedriver", "chromium.chromedriver")
REMEDY = (
    "the browser tests need Chromium and its driver: apt-get install --no-install-recommends chromium chromium-driver"
)


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = _find(BROWSERS)
    for argument in ("--headless=new", "--window-size=1360,860", "--disable-dev-shm-usage", "--mute-audio"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's sandbox refuses to be root's
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, ChromeService(_find(DRIVERS)))
    yield driver
    driver.quit()


@pytest.fixture
def visit(chrome: Chrome, tmp_path: Path) -> Iterator[Visitor]:
    """Somebody new at the browser, with no session and a download folder of their own."""
    visitor = Visitor(chrome, tmp_path / "downloads")
    yield visitor
    visitor.leave()


@pytest.fixture
def visitor(visit: Visitor, system: System) -> Visitor:
    """The same, on the page of the running system."""
    visit.open(f"{system.gateway.url}/")
    return visit


def _find(names: tuple[str, ...]) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(REMEDY)
    return found
