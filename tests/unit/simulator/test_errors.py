"""Every refusal of the table, provoked over HTTP or WebSocket and compared to the letter."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from bot.simulator.errors import Error, Place, table
from tests.unit.simulator import provoked_faults
from tests.unit.simulator.given import ETH
from tests.unit.simulator.online import online

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("error", Error, ids=lambda error: error.name)
async def test_every_saying_is_heard_to_the_letter(tmp_path: Path, error: Error) -> None:
    """What the table says is what a client hears; a row nobody can provoke has no place in it."""
    provoke, parts, options = provoked_faults.CASES[error]
    expected = error.says(**parts)
    if error.value.place is Place.ORDER:
        expected += f" asset={ETH}"
    async with online(tmp_path, **options) as client:
        assert await provoke(client) == expected


def test_the_page_shows_the_table() -> None:
    """docs/simulator.md carries what `python -m bot.simulator --errors` writes."""
    page = (ROOT / "docs/simulator.md").read_text(encoding="utf-8")
    assert table() in page


def test_no_text_of_a_refusal_stands_outside_the_table() -> None:
    """One place for words: elsewhere in the simulator nothing raises or sends its own."""
    texts = [error.value.text.split("{")[0].strip() for error in Error]
    for file in sorted((ROOT / "bot/simulator").glob("*.py")):
        if file.name != "errors.py":
            code = file.read_text(encoding="utf-8")
            assert not [text for text in texts if len(text) > 5 and text in code], file.name


async def test_a_connection_too_many_is_answered_like_a_request_too_many(tmp_path: Path) -> None:
    """429 and null; no text is known for it."""
    async with online(tmp_path) as client:
        open_ones = [await client.session.ws_connect(client.url + "/ws") for _ in range(10)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await client.session.ws_connect(client.url + "/ws")
        assert refusal.value.status == 429
        for socket in open_ones:
            await socket.close()
    assert json.loads(Error.RATE.says()) is None
