"""bot.app.lost_books: a database that was removed is noticed by what the venue remembers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.store import Backups, place_of_file
from bot.app.lost_books import STATE, WEEK_MS, Lost, begun_at, find_lost
from bot.domain.errors import TransientError
from bot.domain.orders import client_id
from bot.domain.types import Leg, Ms, TraceId
from tests.fakes import MemoryJournal
from tests.unit.pipeline.given import BTC, ETH, START, Kit, kit

OURS = client_id(TraceId("BTC-20261121T1000-1"), Leg.ENTRY, 0)
LATER = Ms(START + 60_000)


async def look(made: Kit, begun: Ms | None = LATER, now: Ms = LATER) -> Lost | None:
    account = await made.venue.account()
    return await find_lost(begun, now, made.venue, account, made.books)


async def test_fills_of_ours_that_are_older_than_the_books_are_told() -> None:
    """The database was begun after them, so it was not there when they came."""
    made = kit()
    made.venue.trade(BTC, Decimal(1), OURS)
    assert await look(made) == Lost(LATER, 1, (), (BTC,))


async def test_a_position_beside_which_an_order_of_ours_rests_is_told() -> None:
    """Its fills may be older than what is asked for."""
    made = kit()
    made.venue.positions[ETH] = (Decimal(1), Decimal(100))
    made.venue.rest(ETH, OURS, Decimal(1), Decimal(90))
    lost = await look(made)
    assert lost is not None and (lost.fills, lost.guarded, lost.symbols) == (0, (ETH,), (ETH,))


@pytest.mark.parametrize(
    ("cloid", "begun", "now"),
    [
        (None, LATER, LATER),
        ("0x" + "11" * 16, LATER, LATER),
        (OURS, START, LATER),
        (OURS, None, LATER),
        (OURS, LATER, Ms(LATER + WEEK_MS + 1)),
    ],
    ids=["by hand", "of another program", "after the first start", "old books", "after a week"],
)
async def test_nothing_else_is_called_lost(cloid: str | None, begun: Ms | None, now: Ms) -> None:
    """Strangers' fills, our own since the first start, and books whose beginning is unknown."""
    made = kit()
    made.venue.trade(BTC, Decimal(1), cloid)  # type: ignore[arg-type]
    assert await look(made, begun, now) is None


async def test_a_venue_that_does_not_answer_keeps_no_start_up() -> None:
    """It is a warning, no condition."""
    made = kit()
    made.venue.fail("fills_since", TransientError("away"))
    assert await look(made) is None


async def test_books_are_as_old_as_their_first_start() -> None:
    """Noted then; of those that were begun before it was noted nobody knows."""
    new = await MemoryJournal().recover()
    assert begun_at(new, Ms(7)) == 7
    assert begun_at(replace(new, state={"lives": 2, STATE: 5}), Ms(7)) == 5
    assert begun_at(replace(new, state={"lives": 2}), Ms(7)) is None


def test_the_line_names_the_copies_and_the_way_back(tmp_path: Path) -> None:
    """Or says that there is none."""
    made, folder = kit(), tmp_path / "backups"
    place = place_of_file(tmp_path / "keel.db")
    backups, lost = Backups(place, folder, made.clock, 7), Lost(START, 3, (ETH,), (BTC, ETH))
    assert f"there is no copy in {folder}" in lost.told(place, backups)
    folder.mkdir()
    (folder / "keel-20261121T095732.db").touch()
    line = lost.told(place, backups)
    for words in ("3 fills", "BTC, ETH", "keel.db", str(folder), "setup_database.py"):
        assert words in line
