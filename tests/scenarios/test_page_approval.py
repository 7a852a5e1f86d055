"""The page in a real browser while a trade waits for a person: seen, answered by key, told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import missing
from tests.scenarios.test_by_hand import ASKED_LIMIT_S, Operated
from tests.scenarios.test_page import Eyes, chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "a browser is here")
__all__ = ["chromium"]  # the fixture
SAID = "#approvals-said"


def answer(eyes: Eyes, word: str) -> str:
    """Press Approve or Reject of the first card by key; what the page says of it."""
    button = f".approval .{word}:enabled"  # one that was pressed waits for the next push
    eyes.see(button, ASKED_LIMIT_S)
    eyes.page.evaluate("document.querySelector('#approvals-said').textContent = ''")
    eyes.page.locator(button).first.focus()
    eyes.page.keyboard.press("Enter")
    if eyes.page.evaluate("sessionStorage.getItem('keel-token') === null"):
        eyes.see("#ask-token[open]")
        eyes.page.locator("#token").fill(eyes.token)  # type: ignore[attr-defined]
        eyes.page.keyboard.press("Enter")
    eyes.until(f"document.querySelector('{SAID}').textContent !== ''")
    return eyes.page.locator(SAID).inner_text()


def test_a_waiting_trade_is_answered_on_the_page(chromium: Browser, tmp_path: Path) -> None:
    """The card shows what is at stake; no and yes work by keyboard; the token is asked once."""
    settings = {"APPROVAL_MODE": "manual", "APPROVAL_EXPIRY_SECONDS": 300}
    with Operated(tmp_path, **settings) as daemon:
        daemon.healthy()
        eyes = Eyes(chromium, f"http://127.0.0.1:{daemon.port}")
        eyes.token = (daemon.data / "api_token").read_text().strip()  # type: ignore[attr-defined]
        card = eyes.see(".approval", ASKED_LIMIT_S)
        for word in ("Size", "At risk", "Stop", "Target", "Liquidation", "Score", "Costs", "left"):
            assert word in card
        assert eyes.page.title().startswith("Answer wanted")
        for word, wanted in (("no", "Rejected:"), ("yes", "Approved:")):
            end = time.monotonic() + ASKED_LIMIT_S
            while wanted not in (said := answer(eyes, word)):
                assert "newer signal" in said or "price is" in said, said  # it was too late
                assert time.monotonic() < end
        said_by = {
            (event["said"], event["by"])
            for event in daemon.events()
            if event.get("event") == "approval_answered" and event["by"] != "nobody"
        }
        assert {("rejected", "page"), ("approved", "page")} <= said_by
        for width in (360, 240):
            eyes.page.set_viewport_size({"width": width, "height": 800})
            assert eyes.page.evaluate("document.documentElement.scrollWidth") <= width
        refused = [text for text in eyes.complaints if "40" not in text]  # 401 and 409 are said
        assert refused == []
        eyes.close()
