"""What the API says of a running daemon: memory only, and always fit for JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

from bot.app.parts import Parts
from bot.app.quarantine_view import reconciliation_of
from bot.app.recorded import trade_row
from bot.app.view import DaemonView, Phase, nearest
from bot.domain.errors import TransientError
from bot.domain.orders import new_orders
from bot.domain.sizing import exact
from bot.domain.types import ZERO, ExitReason, Leg, Side
from bot.pipeline.blocks import BlockKind
from bot.pipeline.facts import Fact
from bot.runtime.resources import LoopLag, ResourceMeter
from bot.runtime.supervisor import Service, Supervisor
from bot.web.encode import encode
from bot.web.view import HealthState
from tests.fake_venue import FakeVenue
from tests.fakes import FakeFeed
from tests.unit.app.given import parts
from tests.unit.pipeline.given import BTC, ETH, START, entry, plan
from tests.until import until


def view_of(made: Parts) -> DaemonView:
    supervisor = Supervisor(made.world.clock)
    supervisor.add(Service("desk", asyncio.Event().wait, critical=True))  # type: ignore[arg-type]
    view = DaemonView(made, supervisor, ResourceMeter(LoopLag()), ("a warning",), "1.2.3")
    view.phase = Phase.RUNNING
    return view


def read(value: object) -> Any:
    """As a client gets it; fails for what JSON cannot say."""
    return json.loads(encode(value))


def component(view: DaemonView, name: str) -> tuple[HealthState, str]:
    (one,) = [each for each in view.health().components if each.name == name]
    return one.state, one.detail


@asynccontextmanager
async def holding() -> AsyncIterator[tuple[Parts, FakeVenue, FakeFeed]]:
    """A Keel with one open, protected position."""
    made, venue, feed, clock = parts()
    tasks = [asyncio.create_task(run()) for run in (made.rows.run, made.reconcile.listen)]
    cleared = entry()
    task = asyncio.ensure_future(made.execution.enter(cleared, plan(cleared)))
    while not task.done():
        await clock.run_for(50)
    await clock.run_for(50)
    try:
        yield made, venue, feed
    finally:
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_status_and_metrics_are_json_without_a_position() -> None:
    """Freshly wired: everything has a value, nothing fails."""
    made, _, _, _ = parts()
    view = view_of(made)
    status, metrics = read(view.status()), read(view.metrics())
    assert status["phase"] == "running"
    assert status["trading_state"] == "ACTIVE"
    assert status["positions"] == status["open_orders"] == []
    assert status["equity"] == "1000"
    assert status["warnings"] == ["a warning"]
    assert status["market_time_at"].endswith("Z")
    assert (metrics["total_trades"], metrics["win_rate"]) == (0, None)
    assert metrics["equity_usd"] == "1000"


async def test_status_shows_a_position_with_its_protection_and_its_worth() -> None:
    """Mark, stop, target, whether the stop rests, what it earns; money as text."""
    async with holding() as (made, _, feed):
        feed.price(BTC, 101.0, made.world.clock.now())
        (shown,) = read(view_of(made).status())["positions"]
        position = made.books.positions[BTC]
        assert shown["symbol"] == "BTC"
        assert shown["side"] == "LONG"
        assert shown["quantity"] == str(position.quantity)
        assert shown["stop_rests"] is True
        resting = {o.leg: o for o in made.books.open_orders(BTC)}
        assert shown["stop"] == str(resting[Leg.STOP].trigger)
        assert shown["target"] == str(resting[Leg.TARGET].trigger)
        assert float(shown["stop"]) < 100.0 < float(shown["target"])
        assert float(shown["unrealised_pnl"]) == float(position.quantity)
        assert shown["trace_id"] == position.trace_id


async def test_a_position_closed_since_the_last_look_is_nobody_elses() -> None:
    """The account of that look still holds it; foreign is only what was judged so."""
    async with holding() as (made, _, _):
        assert await made.reconcile.step()
        del made.books.positions[BTC]
        assert reconciliation_of(made)["foreign_positions"] == []
        made.books.safety.block(ETH, "not ours", BlockKind.FOREIGN_POSITION)
        assert reconciliation_of(made)["foreign_positions"] == [ETH]


async def test_the_stop_shown_is_the_one_that_rests() -> None:
    """Rounded to the venue's tick and exact, not the price that care asked for."""
    async with holding() as (made, _, _):
        task = asyncio.ensure_future(made.execution.move_stop(BTC, 98.56099999999))
        await until(task.done)
        assert task.result()
        (shown,) = read(view_of(made).status())["positions"]
        (resting,) = made.books.resting_stops(BTC)
        assert shown["stop"] == str(resting.trigger)
        assert resting.trigger != exact(made.books.guards[BTC].stop)


def test_of_two_stops_the_one_that_is_met_first_is_shown() -> None:
    """While a stop moves the old one and the new one rest; without any there is no price."""
    stop = new_orders(entry().intent, START)[1]
    two = [replace(stop, trigger=Decimal(price)) for price in ("98.5", "99")]
    assert nearest(two, Side.LONG) == Decimal(99)
    assert nearest(two, Side.SHORT) == Decimal("98.5")
    assert nearest([], Side.LONG) is None


async def test_a_position_without_a_price_is_shown_all_the_same() -> None:
    """Its worth is not known, and is not invented."""
    async with holding() as (made, _, feed):
        feed.prices.clear()
        view = view_of(made)
        (shown,) = read(view.status())["positions"]
        assert shown["mark"] is None and shown["unrealised_pnl"] is None
        read(view.metrics())


async def test_a_closed_trade_is_in_status_and_metrics() -> None:
    """Newest first, with its reason; the win rate counts it."""
    async with holding() as (made, venue, feed):
        venue.prices[BTC] += 5
        feed.price(BTC, 105.0, made.world.clock.now())
        task = asyncio.ensure_future(made.execution.leave(BTC, ExitReason.MANUAL))
        await until(task.done)
        view = view_of(made)
        status, metrics = read(view.status()), read(view.metrics())
        (trade,) = status["recent_trades"]
        assert (trade["exit_reason"], status["positions"]) == ("manual", [])
        assert (metrics["total_trades"], metrics["win_rate"]) == (1, 1.0)
        assert metrics["trades_24h"] == 1


async def test_averages_are_shown_to_the_eighth_decimal() -> None:
    """Position, trade and log line; the books keep what the division gave."""
    async with holding() as (made, _, _):
        third = Decimal(100) / 3
        told: list[Fact] = []
        made.facts.listen(told.append)
        made.books.positions[BTC] = replace(made.books.positions[BTC], entry_price=third)
        (shown,) = read(view_of(made).status())["positions"]
        assert shown["entry_price"] == "33.33333333"
        task = asyncio.ensure_future(made.execution.leave(BTC, ExitReason.MANUAL))
        await until(task.done)
        (closed,) = (fact for fact in told if fact.name == "trade_closed")
        assert (closed.figures["entry"], closed.figures["exit"]) == ("33.33333333", "100")
        (trade,) = made.books.trades
        assert trade.entry_price == third
        row = trade_row(replace(trade, exit_price=third, gross_pnl=third, fees=ZERO, funding=ZERO))
        shown_trade = {row[part] for part in ("entry_price", "exit_price", "gross_pnl", "net_pnl")}
        assert shown_trade == {Decimal("33.33333333")}


async def test_health_is_ok_when_everything_works() -> None:
    """Every component says so."""
    made, _, _, _ = parts()
    view = view_of(made)
    await made.reconcile.step()
    assert view.health().status is HealthState.OK
    assert {each.name for each in view.health().components} == {
        "database",
        "venue",
        "clock",
        "market_data",
        "reconciliation",
        "scheduler",
        "disk",
        "services",
    }
    read(view.health())


async def test_health_names_what_does_not_work() -> None:
    """Venue, prices and reconciliation each for themselves."""
    made, venue, feed, clock = parts()
    view = view_of(made)
    assert component(view, "reconciliation")[0] is HealthState.DEGRADED
    await made.reconcile.step()
    await made.scan.due()
    assert component(view, "market_data") == (HealthState.OK, "2 symbols")
    feed.ages[BTC] = 11.0
    assert component(view, "market_data")[0] is HealthState.DEGRADED
    venue.works = False
    assert component(view, "venue")[0] is HealthState.DEGRADED
    clock.advance(121_000)
    assert component(view, "reconciliation")[0] is HealthState.DEGRADED
    assert view.health().status is HealthState.DEGRADED


async def test_the_venues_clock_is_told_with_its_figures() -> None:
    """Before an answer, after one, too far apart, and when none has come for too long."""
    made, venue, _, clock = parts()
    view = view_of(made)
    assert component(view, "clock") == (HealthState.OK, "not compared yet")
    venue.skew_ms = -250
    await made.reconcile.step()
    clock.advance(7_000)
    assert read(view.status())["venue_clock"] == {
        "compared": True,
        "known": True,
        "ahead_ms": -250,
        "age_s": 7.0,
        "limit_ms": 1_000,
    }
    assert component(view, "clock") == (HealthState.OK, "the venue's is -250 ms from ours")
    venue.skew_ms = 3_600_000
    await made.reconcile.step()
    assert component(view, "clock") == (
        HealthState.DEGRADED,
        "the venue's is +3600000 ms from ours, 1000 allowed",
    )
    venue.fail("clock_skew_ms", TransientError("502"))
    clock.advance(121_000)
    await made.reconcile.step()
    assert read(view.status())["venue_clock"]["known"] is False
    assert component(view, "clock") == (
        HealthState.DEGRADED,
        "the venue's is not known, last +3600000 ms from ours",
    )


async def test_where_both_clocks_are_one_the_clock_is_well() -> None:
    """Lockstep asks nobody."""
    made, _, _, _ = parts()
    made.health._speed = None
    await made.reconcile.step()
    assert component(view_of(made), "clock") == (HealthState.OK, "one with the venue's")
    assert read(view_of(made).status())["venue_clock"]["compared"] is False


async def test_readiness_follows_the_phase() -> None:
    """Not before reconciliation, not while stopping."""
    made, _, _, _ = parts()
    view = view_of(made)
    ready = {}
    for phase in Phase:
        view.phase = phase
        ready[phase] = view.ready().ready
    assert ready == {phase: phase is Phase.RUNNING for phase in Phase}
    assert view.live()


async def test_what_happened_is_counted_by_name() -> None:
    """Facts become figures without a wait."""
    made, _, _, _ = parts()
    view = view_of(made)
    made.books.safety.block(BTC, "foreign position")
    await made.road.cycle([])
    status = read(view.status())
    assert status["events"] == {"symbol_blocked": 1, "cycle_done": 1}
    assert status["blocked"] == {"BTC": "foreign position"}
    assert status["last_cycle"]["number"] == 1
