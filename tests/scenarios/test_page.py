"""The page in a real browser: a trade happens before the eyes, and silence is told."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import browser, missing
from tests.daemon import Daemon, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "a browser is here")

SPEED = 120  # a signal lives half a second: a busy machine decides within it
TRADE_LIMIT_S = 120.0  # machine time; most runs need ten to thirty seconds
TOKEN = "a-token-for-this-test-only"
OF_THE_DATABASE = ("/equity", "/candles", "/decisions", "/traces/funnel", "/trades/summary")


class Eyes:
    """One open page; what it logs and asks for is kept."""

    def __init__(self, chromium: Browser, url: str, **context: Any) -> None:
        self.url = url
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self._context = chromium.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **context}
        )
        self.page: Page = self._context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._console)
        self.page.goto(url)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def see(self, what: str, limit_s: float = 15.0) -> str:
        """Wait for an element that is shown; its text."""
        found = self.page.locator(what).first
        found.wait_for(state="visible", timeout=limit_s * 1000)
        return found.text_content() or ""

    def until(self, script: str, limit_s: float = 15.0) -> None:
        """Wait until a script is true. Asked from outside: the page's policy allows no eval."""
        end = time.monotonic() + limit_s
        while not self.page.evaluate(script):
            assert time.monotonic() < end, f"not within {limit_s:g} s: {script}"
            self.page.wait_for_timeout(100)

    def close(self) -> None:
        self._context.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def keel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running demo."""
    port = free_port()
    folder = tmp_path_factory.mktemp("keel")
    with Daemon(folder, settings={"DEMO_SPEED": SPEED, "HTTP_PORT": port}) as daemon:
        daemon.healthy()
        yield f"http://127.0.0.1:{port}"
        assert daemon.errors() == []


def test_a_trade_is_seen_from_entry_to_exit(chromium: Browser, keel: str) -> None:
    """Position, chart, decision, funnel and result appear by themselves; nothing is asked of
    another host and the console stays silent."""
    eyes = Eyes(chromium, keel)
    assert "invented" in eyes.see("#mode")
    assert eyes.see(".stream.fresh") == "live"
    assert str(SPEED) in eyes.see("#market-time")

    position = eyes.see(".position", TRADE_LIMIT_S)
    for word in ("Stop", "Target", "Liquidation", "Entry", "Mark"):
        assert word in position
    eyes.until("document.querySelectorAll('#candle-chart rect').length > 30")
    eyes.see("#candle-chart .level.stop text")
    eyes.see("#candle-chart .entry-mark")
    eyes.see(".decision.taken")

    eyes.see(".trades li", TRADE_LIMIT_S)
    assert re.search(r"[−+]?\$\d", eyes.see(".trades .result"))
    eyes.until("document.querySelector('#equity-chart .curve')?.getAttribute('d').length > 40")
    assert re.fullmatch(r"\$[\d,. ]+", eyes.see("#equity-now"))
    eyes.until("document.querySelectorAll('.funnel li').length === 8")
    assert re.search(r"% of \d+ won", eyes.see("#symbols-body .standings li"))
    assert eyes.see("#strategies-body .standings .name")
    assert re.fullmatch(r"[\d.,]+\s% won, of \d+", eyes.see("#rate-now"))
    assert "Venue, orders" in eyes.see("#calls-body table")

    assert eyes.complaints == []
    assert {url for url in eyes.asked if not url.startswith(keel)} == set()
    eyes.close()


def test_a_decision_opens_with_its_score_and_checks(chromium: Browser, keel: str) -> None:
    """Score parts, votes and every check are one key away; a miss names its number."""
    eyes = Eyes(chromium, keel)
    eyes.see(".decision", TRADE_LIMIT_S)
    eyes.page.locator("#decision-filter button", has_text="Near misses").click()
    summary = eyes.page.locator(".decision summary").first
    summary.focus()
    eyes.page.keyboard.press("Enter")
    assert "had to be" in eyes.see(".inside .miss")
    assert eyes.page.locator(".inside .parts li").count() >= 3
    assert "✗" in eyes.see(".inside .checks .failed")
    assert eyes.complaints == []
    eyes.close()


def test_no_two_lines_of_the_equity_grid_are_named_the_same(chromium: Browser, keel: str) -> None:
    """A curve that is flat has lines a quarter of a dollar apart: "$1,000" thrice, and "$999"."""
    eyes = Eyes(chromium, keel)
    name = "import('/static/format.js').then(m => (s => s.map(m.moneyOf(s)))(%s))"
    fine = eyes.page.evaluate(name % "[999.5, 999.75, 1000, 1000.25]")
    whole = eyes.page.evaluate(name % "[990, 1000]")
    eyes.see("#equity .grid text")
    ends = "t => t.getBoundingClientRect().right - t.ownerSVGElement.getBoundingClientRect().right"
    over = eyes.page.locator("#equity .grid text").evaluate_all(f"all => all.map({ends})")
    eyes.close()
    assert fine == ["$999.50", "$999.75", "$1,000.00", "$1,000.25"]
    assert whole == ["$990", "$1,000"]
    assert max(over) < 0, "no name is cut off"


def test_the_end_of_the_log_is_there_when_it_is_wanted(chromium: Browser, keel: str) -> None:
    """Folded until then, and nothing is asked for; newest first, by level, with the keyboard."""
    eyes = Eyes(chromium, keel)
    eyes.see(".stream.fresh")
    eyes.page.wait_for_timeout(1_500)
    assert not [url for url in eyes.asked if "/logs" in url]
    eyes.page.locator("#log-fold summary").focus()
    eyes.page.keyboard.press("Enter")
    eyes.until("document.querySelectorAll('.log li').length > 5")
    stamps = eyes.page.locator(".log time").evaluate_all("all => all.map(t => t.dateTime)")
    assert stamps == sorted(stamps, reverse=True)
    eyes.page.locator("#log-level button", has_text="Errors").click()
    assert "None of the last lines" in eyes.see("#log-body .empty")
    assert eyes.complaints == []
    eyes.close()


def test_the_keyboard_reaches_every_panel(chromium: Browser, keel: str) -> None:
    """By Tab alone, each stop with a visible ring; arrows read the charts point by point."""
    eyes = Eyes(chromium, keel)
    eyes.see(".decision", TRADE_LIMIT_S)
    eyes.until("document.querySelector('#equity-chart .curve') !== null")
    reached, rings = set(), set()
    for _ in range(60):
        eyes.page.keyboard.press("Tab")
        place, ring = eyes.page.evaluate(
            "() => { const e = document.activeElement; return [e.closest('section')?.id ?? e.id,"
            " e === document.body ? 'left' : getComputedStyle(e).outlineStyle]; }"
        )
        reached.add(place)
        rings.add(ring)
    assert {"theme", "equity", "candles", "trades", "decisions"} <= reached
    assert rings - {"left"} == {"solid"}
    before = eyes.page.locator("#equity-readout").inner_text()
    eyes.page.locator("#equity-chart svg").focus()
    eyes.page.keyboard.press("Home")
    assert eyes.page.locator("#equity-readout").inner_text() != before
    assert eyes.page.locator("#equity-chart svg").get_attribute("aria-label") != ""
    eyes.page.locator("#candles .as-table summary").click()
    eyes.until("document.querySelectorAll('#candle-table tbody tr').length > 10")
    assert eyes.complaints == []
    eyes.close()


def test_dark_follows_the_system_and_the_button(chromium: Browser, keel: str) -> None:
    """What the system says until the button is pressed; then that, also after a reload."""
    paper = "() => getComputedStyle(document.body).backgroundColor"
    eyes = Eyes(chromium, keel, color_scheme="dark")
    dark = eyes.page.evaluate(paper)
    eyes.page.locator("#theme").click()
    light = eyes.page.evaluate(paper)
    assert dark != light
    eyes.page.reload()
    assert eyes.page.evaluate(paper) == light
    eyes.page.locator("#theme").click()
    assert eyes.page.locator("#theme").inner_text() == "Theme: dark"
    assert eyes.page.evaluate(paper) == dark
    eyes.close()


@pytest.mark.parametrize("width", [240, 280, 319, 320, 360, 390, 768, 1280, 1920])
def test_no_width_scrolls_sideways(chromium: Browser, keel: str, width: int) -> None:
    """From a watch, or a phone whose letters were made large, to a large screen."""
    eyes = Eyes(chromium, keel, viewport={"width": width, "height": 800})
    eyes.see(".decision", TRADE_LIMIT_S)
    eyes.see(".trades li, #trades .empty")
    eyes.page.locator(".decision summary").first.click()
    eyes.see(".inside")
    assert eyes.page.evaluate("document.documentElement.scrollWidth") <= width
    eyes.close()


def test_silence_is_told_and_ends(chromium: Browser, tmp_path: Path) -> None:
    """A killed daemon: within seconds the page says from when its figures are, and greys them;
    when it is back the page is too, without a reload."""
    port = free_port()
    with Daemon(tmp_path, settings={"DEMO_SPEED": 60, "HTTP_PORT": port}) as daemon:
        daemon.healthy()
        eyes = Eyes(chromium, f"http://127.0.0.1:{port}")
        assert eyes.see(".stream.fresh") == "live"
        daemon.kill()
        eyes.until("document.body.classList.contains('stale')", 9.0)
        said = eyes.see(".notice.bad")
        assert "Nothing heard for" in said and "What you see is from" in said
        assert "no news" in eyes.see("#stream")
    with Daemon(tmp_path, settings={"DEMO_SPEED": 60, "HTTP_PORT": port}) as daemon:
        daemon.healthy()
        eyes.until("!document.body.classList.contains('stale')", 20.0)
        assert "Nothing heard" not in eyes.page.locator("#notices").inner_text()
        eyes.close()


def test_an_old_answer_is_told_and_asked_for_again(chromium: Browser, keel: str) -> None:
    """The database was away for one answer of each panel: the page says so, and stops saying so
    by itself, without waiting for a new trade or decision."""
    eyes = Eyes(chromium, "about:blank")
    first: set[str] = set()

    def older(route: Route) -> None:
        path = route.request.url.split("?")[0]
        if path in first:
            route.continue_()
            return
        first.add(path)
        old = {"stale": True, "stale_since_at": "2026-11-21T10:00:00Z", "stale_why": "away"}
        route.fulfill(json=route.fetch().json() | old)

    for path in OF_THE_DATABASE:
        eyes.page.route(re.compile(re.escape(keel + path)), older)
    eyes.page.goto(keel)
    assert "does not answer" in eyes.see(".notice.warn")
    eyes.until("!document.getElementById('notices').textContent.includes('not answer')", 30.0)
    assert {f"{keel}{path}" for path in OF_THE_DATABASE} == first
    assert eyes.complaints == []
    eyes.close()


def test_on_another_address_the_page_asks_for_the_token(chromium: Browser, tmp_path: Path) -> None:
    """Once a tab; a wrong one is told, and no figure is shown before the right one."""
    port = free_port()
    settings = {"DEMO_SPEED": 60, "HTTP_PORT": port, "HTTP_HOST": "0.0.0.0", "API_TOKEN": TOKEN}
    with Daemon(tmp_path, settings=settings) as daemon:
        daemon.healthy()
        eyes = Eyes(chromium, f"http://127.0.0.1:{port}")
        eyes.see("#ask-token")
        assert eyes.page.locator("#equity-now").inner_text() == "–"
        eyes.page.locator("#token").fill("wrong")
        eyes.page.keyboard.press("Enter")
        eyes.see("#token-wrong")
        eyes.page.locator("#token").fill(TOKEN)
        eyes.page.keyboard.press("Enter")
        eyes.until("document.querySelector('#equity-now').textContent.includes('$')")
        eyes.page.reload()
        eyes.until("document.querySelector('#equity-now').textContent.includes('$')")
        eyes.close()
