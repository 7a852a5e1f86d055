"""bot.app.incarnation: books of one life of the exchange never meet another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.app.incarnation import STATE, refuse_another_life
from bot.app.world import Pace, World
from bot.domain.errors import ConfigError
from bot.domain.types import Ms
from bot.ports import Recovered
from bot.runtime.clock import ManualClock
from tests.fakes import MemoryJournal


def world(life: str, *, embedded: bool = False, anew: bool = False) -> World:
    exchange = SimpleNamespace(began_anew=anew) if embedded else None
    return World(
        name="demo-1",
        folder=Path("data/demo-1"),
        clock=ManualClock(Ms(0)),
        speed=1.0,
        lockstep=None,
        exchange=cast(Any, exchange),
        base_url="http://127.0.0.1:1",
        pace=Pace(),
        incarnation=life,
    )


async def books(known: str | None, *, fills: bool = True) -> Recovered:
    state = {} if known is None else {STATE: known}
    recovered = await MemoryJournal().recover()
    return replace(recovered, state=state, last_fill_at=Ms(5 if fills else 0))


async def test_the_same_life_goes_on() -> None:
    """Every start but the first."""
    refuse_another_life(world("a"), await books("a"), "keel.db")
    refuse_another_life(world("a", embedded=True), await books("a"), "keel.db")


async def test_books_of_another_life_are_refused_without_a_fill_too() -> None:
    """Their times, drawdown and ids of traces are of that life: a play that only looked on."""
    for other in (world("b"), world("b", embedded=True), world("b", embedded=True, anew=True)):
        with pytest.raises(ConfigError, match="of another run"):
            refuse_another_life(other, await books("a", fills=False), "keel.db")


async def test_books_that_name_no_life_are_taken_over() -> None:
    """There is nothing to compare."""
    refuse_another_life(world("b"), await books(None), "keel.db")
    refuse_another_life(world(""), await books("a"), "keel.db")


async def test_a_remote_exchange_that_began_anew_is_refused() -> None:
    """Which books, and both ways out."""
    with pytest.raises(ConfigError, match="HYPERLIQUID_BASE_URL") as caught:
        refuse_another_life(world("b"), await books("a"), "data/keel.db")
    [line] = caught.value.problems
    for words in ("began anew", "data/keel.db", "--ledger", "another DATA_DIR"):
        assert words in line


async def test_a_database_that_holds_the_books_of_a_run_that_ended_is_refused() -> None:
    """The embedded exchange began anew; a file of its own world would have been set aside."""
    ended = world("b", embedded=True, anew=True)
    for known in ("a", None):
        with pytest.raises(ConfigError, match="name an empty database"):
            refuse_another_life(ended, await books(known), "keel.db")
    refuse_another_life(ended, await books(None, fills=False), "keel.db")


async def test_another_ledger_in_the_folder_is_refused() -> None:
    """Somebody put another simulator.db beside the books."""
    with pytest.raises(ConfigError, match=r"data/demo-1/simulator\.db is not the ledger"):
        refuse_another_life(world("b", embedded=True), await books("a"), "keel.db")
