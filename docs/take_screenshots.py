"""Takes the pictures of the page for README and docs from a real demo run.

    .venv/bin/python docs/take_screenshots.py [FOLDER]

Starts `main.py run` in a folder of its own, waits in a real browser (apt-get install chromium;
playwright is among the development requirements) until trades were closed and one is open, and
writes pictures of desktop, phone, dark and a decision. What is shown is what happened: nothing is
staged. Owns the pictures; knows nothing of the page but a few names of its elements.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import browser, missing  # noqa: E402
from tests.daemon import Daemon, free_port  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SPEED = 150  # market seconds a second: a dozen trades within some minutes
SEED = 7
CLOSED = 12
LIMIT_S = 900.0
FOLDER = ROOT / "docs" / "screenshots"
DESKTOP, PHONE = (1280, 900), (390, 844)
PICTURES = (("desktop", DESKTOP, "light"), ("phone", PHONE, "light"), ("dark", DESKTOP, "dark"))


def main(folder: Path) -> None:
    """Take them all. Raises SystemExit where there is no browser."""
    why = missing()
    if why:
        raise SystemExit(f"no pictures: {why}")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    settings = {"DEMO_SPEED": SPEED, "DEMO_SEED": SEED, "HTTP_PORT": port}
    with (
        tempfile.TemporaryDirectory() as data,
        browser() as chromium,
        Daemon(Path(data), settings=settings) as daemon,
    ):
        daemon.healthy()
        url = f"http://127.0.0.1:{port}"
        watching = opened(chromium, url, DESKTOP, "light")
        await_trades(watching)
        take(chromium, watching, url, folder)


def opened(chromium: Browser, url: str, size: tuple[int, int], scheme: str) -> Page:
    """A page at `url`, without movement so that pictures are sharp."""
    context = chromium.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if size == PHONE else 1,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(url)
    page.locator(".stream.fresh").wait_for()
    return page


def await_trades(page: Page) -> None:
    """Until some trades were closed and a position is open and drawn."""
    end = time.monotonic() + LIMIT_S
    while True:
        closed = page.locator(".trades li").count()
        if closed >= CLOSED and presentable(page):
            return
        if time.monotonic() > end:
            raise SystemExit(f"within {LIMIT_S:g} s only {closed} trades were closed")
        page.wait_for_timeout(250)


def presentable(page: Page) -> bool:
    """A position is open and drawn, the curve is there, and no panel is late."""
    wanted = (".position", "#candle-chart .level.stop", "#equity-chart .curve")
    late = page.locator("#notices .notice").count()
    return not late and all(page.locator(one).count() for one in wanted)


def take(chromium: Browser, watching: Page, url: str, folder: Path) -> None:
    """The pictures, those with the open position first: all pages are there before one is taken."""
    pages = {name: opened(chromium, url, size, scheme) for name, size, scheme in PICTURES}
    end = time.monotonic() + LIMIT_S
    while not all(map(presentable, pages.values())):  # what was open may have been closed meanwhile
        if time.monotonic() > end:
            raise SystemExit(f"within {LIMIT_S:g} s no position was open on every page")
        watching.wait_for_timeout(500)
    phone = pages["phone"]
    chart = pages["desktop"].locator("#candles").bounding_box()
    assert chart is not None
    pages["desktop"].screenshot(
        path=folder / "desktop.png",
        full_page=True,
        clip={"x": 0, "y": 0, "width": DESKTOP[0], "height": chart["y"] + chart["height"] + 20},
    )
    pages["dark"].screenshot(path=folder / "dark.png", full_page=True)
    phone.screenshot(path=folder / "phone.png")
    phone.evaluate("document.getElementById('positions').scrollIntoView()")
    phone.screenshot(path=folder / "phone-chart.png")
    watching.locator("#decision-filter button", has_text="Near misses").click()
    first = watching.locator("#decisions summary").first
    first.click()
    watching.locator("#decisions .inside").first.wait_for()
    watching.locator("#decisions").screenshot(path=folder / "decision.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
