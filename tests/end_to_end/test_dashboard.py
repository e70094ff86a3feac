"""What a person sees in Ray's dashboard during a sweep, in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SWEEP = ("--protocol", "demo", "--width", "0.0625", "--epochs", "500", "--variants", "elu", "--workers", "2")


@pytest.fixture
def browser() -> Iterator[Any]:
    """Headless Chromium, driven by selenium; skipped by name where either is missing."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install 'raysweep[browser]'")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1700"):
        options.add_argument(option)
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as opened:
        yield opened


@pytest.fixture
def dashboard(small_images: Path, tmp_path: Path) -> Iterator[str]:
    """Address of the dashboard of a sweep with two trials under way, on a Ray of its own."""
    words = [
        "run",
        "activation",
        *SWEEP,
        "--data",
        str(small_images),
        "--store",
        str(tmp_path / "s"),
        "--address",
        "local",
    ]
    log = tmp_path / "log"
    with log.open("w") as lines:
        command = [sys.executable, "-m", "raysweep", *words]
        process = subprocess.Popen(command, stderr=lines, env=os.environ | {"RAY_AUTH_MODE": "disabled"})
    try:
        wait_for(log, "epoch 1/500", process)
        yield re.findall(r"dashboard at (\S+)", log.read_text())[0]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    """Until the sweep has said this of two trials."""
    deadline = time.monotonic() + 120
    while log.read_text().count(text) < 2:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)


@pytest.mark.long
def test_the_dashboard_shows_trials_by_name(browser: Any, dashboard: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    def shows(text: str) -> Any:
        return WebDriverWait(browser, 60).until(
            lambda page: page.find_element("xpath", f"//*[contains(text(), '{text}')]")
        )

    browser.get(f"{dashboard}/#/jobs/01000000")
    shows("Task Table").click()
    label = WebDriverWait(browser, 60).until(lambda page: page.find_element("xpath", "//label[text()='State']"))
    browser.find_element("id", label.get_attribute("for")).send_keys("RUNNING")
    for name in ("activation/relu seed 0", "activation/elu seed 0"):
        assert shows(name).text.startswith(name)
    browser.get(f"{dashboard}/#/actors")
    assert shows("raysweep: activation").is_displayed()
    browser.get(f"{dashboard}/api/jobs/")
    for word in ('"studies":', '"activation"', '"protocol":', '"demo"', '"commit":', '"trials":', '"2 of 2"'):
        assert word in browser.page_source.replace("&quot;", '"')
