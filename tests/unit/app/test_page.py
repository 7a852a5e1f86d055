"""What a push to the page holds."""

from __future__ import annotations

import json
from typing import Any, cast

from bot.app.view import DaemonView, Phase
from bot.domain.breakers import BreakerCode
from bot.domain.types import Ms, Symbol, Timeframe
from bot.runtime.resources import LoopLag, ResourceMeter
from bot.runtime.supervisor import Supervisor
from bot.web.encode import encode
from tests.unit.app.given import parts


def a_view(warnings: tuple[str, ...] = ()) -> tuple[DaemonView, Any]:
    """A running daemon's view, and its parts."""
    made, _, _, _ = parts()
    cast(Any, made.store.traces).proposals = 3
    supervisor = Supervisor(made.world.clock)
    view = DaemonView(made, supervisor, ResourceMeter(LoopLag()), warnings, "1.2.3")
    view.phase = Phase.RUNNING
    return view, cast(Any, made)


def test_a_push_says_mode_pace_money_and_limits() -> None:
    """All that the head of the page and the breakers' bars need; money as text."""
    view, _ = a_view(("say this",))
    page = json.loads(encode(view.page()))
    assert (page["mode"], page["speed"], page["phase"]) == ("demo", 1.0, "running")
    assert (page["equity"], page["baseline"], page["drawdown_peak"]) == ("1000", "1000", "1000")
    assert [gauge["code"] for gauge in page["gauges"]] == [code.value for code in BreakerCode]
    assert {gauge["holds"] for gauge in page["gauges"]} == {False}
    assert page["health"]["components"]
    assert page["warnings"] == ["say this"]
    assert page["positions"] == page["not_running"] == []


def test_a_push_tells_what_has_changed() -> None:
    """The page fetches decisions and trades only when their number moved."""
    view, made = a_view()
    before = json.loads(encode(view.page()))["versions"]
    made.store.traces.proposals += 1
    made.books.closed_trades += 1
    after = json.loads(encode(view.page()))["versions"]
    assert (after["decisions"], after["trades"]) == (before["decisions"] + 1, before["trades"] + 1)


async def test_cycles_and_closed_trades_draw_the_curve() -> None:
    """A point each once start-up is over; before it, equity is not known yet."""
    view, made = a_view()
    made.store.browse = None
    view.phase = Phase.STARTING
    made.facts.tell("cycle_done", Ms(1))
    view.phase = Phase.RUNNING
    now = made.world.clock.now()
    made.facts.tell("cycle_done", now)
    made.facts.tell("something_else", now)
    found = json.loads(encode(await view.equity(now, 10)))
    assert found["points"] == [[int(now), "1000", "1000"]]


async def test_candles_of_an_unknown_symbol_are_not_looked_for() -> None:
    """Neither scanned nor held: there is nothing to say."""
    view, _ = a_view()
    assert await view.candles(Symbol("NOPE"), Timeframe.M1, 10) is None
