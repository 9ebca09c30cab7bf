"""What a person does at the page, and sees there."""

import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from selenium.common.exceptions import NoAlertPresentException, StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.waiting import PATIENCE

PASSWORD = "correct horse"


class Visitor:
    def __init__(self, chrome: Chrome, downloads: Path) -> None:
        self.chrome = chrome
        self.downloads = downloads
        self.username = f"{secrets.token_hex(6)}@video-to-mp3.example"
        self.command("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        self.chrome.get_log("browser")  # what the last one left

    def open(self, url: str) -> None:
        self.chrome.get(url)
        self.await_that(lambda: self.sees("#login"))

    def leave(self) -> None:
        """Closes the page, even one that asks whether to stay."""
        self.command("Network.enable")
        self.command("Network.setBlockedURLs", urls=[])
        self.command(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        self.command("Emulation.clearDeviceMetricsOverride")
        self.run("sessionStorage.clear()")
        self.chrome.get("about:blank")
        with suppress(NoAlertPresentException):
            self.chrome.switch_to.alert.accept()

    def register(self, username: str | None = None) -> None:
        """By an address, unless another name is given."""
        self.find("[data-shows=register]").click()
        self.fill("register", name="Ada", username=username or self.username, password=PASSWORD)
        self.await_that(lambda: self.sees("#tracks, #nothing"))

    def fill(self, form: str, **values: str) -> None:
        """Writes into the fields of a form and sends it off."""
        for name, value in values.items():
            field = self.find(f"#{form}-{name}")
            field.clear()
            field.send_keys(value)
        self.find(f"#{form} button.button").click()

    def select(self, form: str, **values: str) -> None:
        """Chooses from the lists of a form."""
        for name, value in values.items():
            Select(self.find(f"{form} [name={name}]")).select_by_value(value)

    def choose(self, *videos: Path) -> None:
        self.find("#videos").send_keys("\n".join(map(str, videos)))

    def drag(self, event: str, video: Path) -> None:
        """One step of dragging a file from outside over the middle of the page."""
        data = {"items": [], "files": [str(video)], "dragOperationsMask": 1}
        self.command("Input.dispatchDragEvent", type=event, x=600, y=400, data=data)

    def press(self, action: str) -> None:
        """Presses a button of the topmost track."""
        self.await_that(lambda: self.sees(f".track [data-action={action}]"))
        self.find(f".track [data-action={action}]").click()

    def await_state(self, state: str) -> None:
        """Of the topmost track."""
        self.await_that(lambda: self.find(".track").get_attribute("data-state") == state)

    def await_that(self, holds: Callable[[], Any]) -> Any:
        waiting = WebDriverWait(
            self.chrome, PATIENCE, 0.1, ignored_exceptions=[IndexError, StaleElementReferenceException]
        )
        return waiting.until(lambda _: holds())

    def find(self, selector: str) -> WebElement:
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)[0]

    def sees(self, selector: str) -> bool:
        return any(element.is_displayed() for element in self.chrome.find_elements(By.CSS_SELECTOR, selector))

    def read(self, selector: str) -> str:
        return self.find(selector).text

    def count(self, selector: str) -> int:
        return len(self.chrome.find_elements(By.CSS_SELECTOR, selector))

    @property
    def focus(self) -> str:
        """The id of what the keyboard is on."""
        return self.chrome.switch_to.active_element.get_attribute("id")

    @property
    def complaints(self) -> list[str]:
        """What the browser holds against the page: broken scripts, and what the content security policy forbade."""
        return [entry["message"] for entry in self.chrome.get_log("browser") if entry["source"] != "network"]

    def run(self, script: str) -> Any:
        return self.chrome.execute_script(script)

    def command(self, name: str, **parameters: Any) -> None:
        """One of the DevTools protocol."""
        self.chrome.execute_cdp_cmd(name, parameters)
