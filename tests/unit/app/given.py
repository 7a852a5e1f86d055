"""The app's own wiring (`parts.build`) on fakes of store and venue."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bot.adapters.seats.model import Purse
from bot.app.models import Models, limits_of
from bot.app.parts import Parts, build
from bot.app.policies import rules_of
from bot.app.world import Pace, World
from bot.domain.types import Ms
from bot.runtime.calls import Calls
from bot.runtime.clock import ManualClock
from tests.fake_venue import FakeVenue
from tests.fakes import FakeFeed, MemoryCandles, MemoryJournal, MemoryTraces, instrument
from tests.unit.adapters.seats.given import MemoryAttempts
from tests.unit.config.given import settings
from tests.unit.pipeline.given import BTC, ETH, START


def parts(**flags: str) -> tuple[Parts, FakeVenue, FakeFeed, ManualClock]:
    """Every part of a Keel, wired as the daemon does; nothing is started."""
    clock = ManualClock(Ms(START))
    venue, feed, journal, traces = FakeVenue(clock), FakeFeed(), MemoryJournal(), MemoryTraces()
    store = SimpleNamespace(
        traces=traces,
        journal=journal,
        candles=MemoryCandles(),
        browse=None,
        archive=None,
        answers=None,
        calls=lambda: {"database_money": Calls(3, 0, 1.0, 2.0)},
    )
    cast(Any, traces).backlog = lambda: 0
    cast(Any, journal).spool = None
    chosen = settings(flags)
    world = World(
        name="demo-test",
        folder=Path("nowhere"),
        clock=clock,
        speed=1.0,
        lockstep=None,
        exchange=None,
        base_url="http://127.0.0.1:1",
        pace=Pace(),
    )
    line = SimpleNamespace(
        feed=feed,
        venue=venue,
        on_failure=lambda listener: None,
        calls=lambda: {"venue_questions": Calls(12, 1, 4.0, 9.5)},
    )
    purse = Purse(MemoryAttempts(), clock, limits_of(chosen))
    models = Models(purse, (), cast(Any, store), clock, {})
    made = build(chosen, world, cast(Any, store), cast(Any, line), models, rules_of(chosen))
    for symbol in (BTC, ETH):
        made.instruments[symbol] = instrument(symbol)
        feed.rules[symbol] = made.instruments[symbol]
        venue.prices[symbol] = Decimal(100)
        feed.price(symbol, 100.0, clock.now())
    return made, venue, feed, clock
