"""A headless Chromium that is driven by Selenium, and what it says of a page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401 -- asks trio, which Selenium brings, for its random state: not once that is frozen

PROGRAMS = {"browser": ("chromium", "chromium-browser", "google-chrome"), "driver": ("chromedriver",)}


class NotToBeHad(Exception):
    """There is no browser here, for this reason."""


def programs() -> tuple[str, str]:
    """The browser and its driver.

    Raises:
        NotToBeHad: one of them is not installed.
    """
    found = {what: next(filter(None, map(shutil.which, names)), None) for what, names in PROGRAMS.items()}
    for what, place in found.items():
        if place is None:
            raise NotToBeHad(f"there is no {PROGRAMS[what][0]} here (apt-get install chromium chromium-driver)")
    return str(found["browser"]), str(found["driver"])


@contextmanager
def chromium(profile: Path, *arguments: str) -> Iterator[Any]:
    """A browser of its own, with a new profile; nothing is fetched for it.

    Raises:
        NotToBeHad: there is none.
    """
    browser, driver = programs()
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service
    except ImportError as error:
        raise NotToBeHad(f"there is no selenium here ({error})") from error
    options = Options()
    options.binary_location = browser
    own = (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}",
        "--window-size=1280,900", "--disable-dev-shm-usage", "--force-prefers-reduced-motion",
    )  # fmt: skip
    for argument in (*own, *arguments):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    running = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield running
    finally:
        running.quit()


def complaints(browser: Any) -> list[str]:
    """What the console has said since it was last asked."""
    return [entry["message"] for entry in browser.get_log("browser")]


def requests(browser: Any) -> list[str]:
    """The address of whatever was asked for since this was last asked."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]


def colour_scheme(browser: Any, scheme: str, media: str = "screen") -> None:
    """Let the browser say that a person prefers `light` or `dark`, on a screen or in print."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})


def width(browser: Any, pixels: int, height: int = 900) -> None:
    """Let the page be so wide."""
    size = {"width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": pixels < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
