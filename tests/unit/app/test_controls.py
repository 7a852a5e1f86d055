"""What a person may do to the daemon: each call is carried out, told, and in the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar, cast

import pytest
from structlog.testing import capture_logs

from bot.app.controls import DaemonControls
from bot.app.parts import Parts
from bot.domain.breakers import BreakerCode, trip
from bot.domain.errors import VenueRejected
from bot.domain.types import Leg, Ms, Symbol, TradingState
from bot.pipeline.safety import Safety
from bot.runtime.clock import ManualClock
from bot.web.view import Declined
from tests.fake_venue import FakeVenue
from tests.fakes import FakeFeed, MemoryJournal, Tables
from tests.unit.app.given import parts
from tests.unit.app.test_view import read
from tests.unit.pipeline.given import BTC, ETH, entry, plan

T = TypeVar("T")


class Running:
    """A wired Keel whose rows, stream, desk and reconciliation run."""

    def __init__(
        self,
        made: Parts,
        venue: FakeVenue,
        clock: ManualClock,
        services: list[asyncio.Task[None]],
    ) -> None:
        self.made, self.venue, self.clock = made, venue, clock
        self._services = services
        self.controls = DaemonControls(made)

    async def finish(self, work: Awaitable[T]) -> T:
        """Play market time until `work` is done."""
        task = asyncio.ensure_future(work)
        for _ in range(2_000):
            await self.clock.run_for(50)
            if task.done():
                return task.result()
        raise AssertionError("not done after 100 s of market time")

    def alive(self) -> bool:
        return not any(service.done() for service in self._services)

    async def enter(self, symbol: Symbol = BTC) -> None:
        cleared = entry(symbol)
        await self.finish(self.made.execution.enter(cleared, plan(cleared)))

    async def close(self, symbol: str) -> Mapping[str, Any]:
        return cast(Mapping[str, Any], await self.finish(self.controls.close(symbol, "ada")))

    async def close_all(self) -> Mapping[str, Any]:
        return cast(Mapping[str, Any], await self.finish(self.controls.close_all("ada")))

    @property
    def journal(self) -> MemoryJournal:
        return cast(MemoryJournal, self.made.store.journal)


@asynccontextmanager
async def keel(compared: bool = True) -> AsyncIterator[Running]:
    made, venue, _, clock = parts()
    work = (made.rows.run, made.reconcile.listen, made.desk.run, made.reconcile.run)
    tasks = [asyncio.create_task(service()) for service in work]
    running = Running(made, venue, clock, tasks)
    try:
        if compared:
            await running.finish(made.reconcile.start())
        yield running
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- halt and resume ---------------------------------------------------------------------


async def test_a_halt_is_on_the_disk_when_it_is_answered() -> None:
    """A kill right after the answer: the next start is HALTED, with its reason."""
    async with keel() as running:
        told = await running.finish(running.controls.halt("lunch", "ada"))
        assert read(told) == {
            "trading_state": "HALTED",
            "trading_state_why": "lunch",
            "survives_restart": True,
        }
        made = running.made
        after = Safety(made.rows, running.clock, made.facts, made.policies.breakers)
        after.recover(Tables(running.journal.written).state)
        assert (after.state, after.why) == (TradingState.HALTED, "lunch")


async def test_a_halt_that_cannot_be_written_holds_and_says_so() -> None:
    """No database and no spool: entries stop all the same."""
    async with keel() as running:
        running.journal.away = True
        told = read(await running.controls.halt("lunch", "ada"))
        assert (told["trading_state"], told["survives_restart"]) == ("HALTED", False)
        assert running.made.books.safety.state is TradingState.HALTED


async def test_a_second_halt_changes_nothing() -> None:
    """The first reason stands; it is no error."""
    async with keel() as running:
        await running.finish(running.controls.halt("first", "ada"))
        again = await running.finish(running.controls.halt("second", "bob"))
        assert read(again)["trading_state_why"] == "first"


async def test_resume_closes_what_only_a_person_closes_and_names_the_rest() -> None:
    """Drawdown goes; a daily loss stays to its midnight and is told with it."""
    async with keel() as running:
        safety, now = running.made.books.safety, running.clock.now()
        midnight = Ms((now // 86_400_000 + 1) * 86_400_000)
        for code, until in ((BreakerCode.DRAWDOWN, None), (BreakerCode.DAILY_LOSS, midnight)):
            safety.book, _ = trip(safety.book, code, Decimal("0.3"), Decimal("0.1"), now, until)
        safety.set_state(TradingState.HALTED, "by hand")
        told = read(await running.finish(running.controls.resume("ada")))
        assert told["trading_state"] == "ACTIVE"
        assert told["breakers_reset"] == ["drawdown"]
        assert [one["code"] for one in told["breakers_open"]] == ["daily_loss"]
        assert told["breakers_open"][0]["until_at"].endswith("T00:00:00.000Z")
        assert safety.open_codes() == ("daily_loss",)
        assert told["survives_restart"] is True


# --- closing -----------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(TradingState))
async def test_close_all_closes_all_in_every_state(state: TradingState) -> None:
    """Each with its result; whether entries may open new ones is told."""
    async with keel() as running:
        await running.enter(BTC)
        await running.enter(ETH)
        running.made.books.safety.set_state(state, "by hand")
        told = read(await running.close_all())
        assert told["ok"] is True
        assert [(one["symbol"], one["state"]) for one in told["results"]] == [
            ("BTC", "closed"),
            ("ETH", "closed"),
        ]
        assert told["entries_allowed"] is (state is TradingState.ACTIVE)
        assert running.venue.positions == {}
        again = read(await running.close_all())
        assert (again["ok"], again["results"]) == (True, [])


async def test_close_takes_one_and_leaves_the_others() -> None:
    """Named as a person writes it; asked again there is nothing open, and that is fine."""
    async with keel() as running:
        await running.enter(BTC)
        await running.enter(ETH)
        told = read(await running.close("btc"))
        assert [one["state"] for one in told["results"]] == ["closed"]
        assert list(running.made.books.positions) == [ETH]
        again = read(await running.close("BTC"))
        assert (again["ok"], again["results"][0]["state"]) == (True, "nothing_open")


async def test_what_stays_open_is_told_as_not_ok() -> None:
    """With the venue's own words."""
    async with keel() as running:
        await running.enter()
        running.venue.fail("submit:exit", *[VenueRejected("market is halted")] * 99)
        told = read(await running.close("BTC"))
        assert told["ok"] is False
        assert told["results"][0]["state"] == "still_open"
        assert "market is halted" in told["results"][0]["why"]


async def test_close_all_before_the_venues_coins_are_known_closes_once_they_are() -> None:
    """A start whose venue is away: nothing dies of it, nothing is forgotten."""
    async with keel() as running:
        await running.enter()
        rules = dict(running.made.instruments)
        running.made.instruments.clear()
        feed = cast(FakeFeed, running.made.hyperliquid.feed)
        feed.rules.clear()
        told = read(await running.close_all())
        assert (told["ok"], told["going_on"]) == (False, ["BTC"])
        assert running.alive()
        feed.rules.update(rules)
        going_on = asyncio.create_task(running.made.closing.run())
        await running.clock.run_for(20_000)
        going_on.cancel()
        assert running.venue.positions == {}


async def test_close_before_the_first_comparison_never_says_that_nothing_is_open() -> None:
    """A start that has not compared: not known, so not ok; it goes on by itself, over a crash."""
    async with keel(compared=False) as running:
        told = read(await running.close_all())
        assert (told["ok"], told["compared"], told["results"]) == (False, False, [])
        assert (told["going_on"], told["survives_restart"]) == (["*"], True)
        assert Tables(running.journal.written).state["leave:*"] is not None
        named = read(await running.close("eth"))
        assert (named["ok"], named["results"][0]["state"]) == (False, "unknown")
        await running.enter(BTC)
        known = read(await running.close("BTC"))
        assert (known["results"][0]["state"], known["ok"]) == ("closed", False)
        await running.finish(running.made.reconcile.start())
        told = read(await running.close_all())
        assert (told["ok"], told["compared"]) == (False, True)
        assert told["going_on"] == ["*", "ETH", "BTC"]
        running.made.closing.step()
        told = read(await running.close_all())
        assert (told["ok"], told["compared"], told["going_on"]) == (True, True, [])


async def test_a_coin_is_not_denied_before_the_venues_coins_are_known() -> None:
    """The books know one of them; of the others nothing can be said yet."""
    async with keel() as running:
        await running.enter(BTC)
        running.made.instruments.clear()
        early = await running.controls.close("ETH", "ada")
        assert isinstance(early, Declined) and early.code == "not_ready"


async def test_what_stays_open_goes_on_until_a_resume_withdraws_it() -> None:
    """Told with the answer, kept over a restart, in /status; a resume names what it leaves open."""
    async with keel() as running:
        await running.enter()
        running.venue.fail("submit:exit", *[VenueRejected("market is halted")] * 999)
        told = read(await running.close_all())
        assert (told["going_on"], told["survives_restart"]) == (["BTC"], True)
        assert Tables(running.journal.written).state["leave:BTC"] is not None
        assert [wish.by for wish in running.made.closing.standing()] == ["ada"]
        resumed = read(await running.finish(running.controls.resume("ada")))
        assert resumed["closing_withdrawn"] == ["BTC"]
        assert Tables(running.journal.written).state["leave:BTC"] is None
        assert "BTC" in running.made.books.positions


async def test_a_position_of_somebody_else_is_named_and_never_touched() -> None:
    """Opened by hand at the venue: Keel sends nothing for it."""
    async with keel() as running:
        running.venue.positions[ETH] = (Decimal(3), Decimal(100))
        await running.finish(running.made.reconcile.step())
        refused = await running.controls.close("ETH", "ada")
        assert isinstance(refused, Declined)
        assert (refused.status, refused.code) == (409, "not_ours")
        assert read(await running.close_all())["not_ours"] == ["ETH"]
        assert running.venue.positions[ETH][0] == Decimal(3)
        assert running.venue.of_leg(Leg.EXIT) == []


async def test_what_was_ours_until_just_now_is_not_called_somebody_elses() -> None:
    """The venue's last account still shows it: closed since, it is neither open nor foreign."""
    async with keel() as running:
        await running.enter()
        await running.finish(running.made.reconcile.step())
        assert read(await running.close_all())["not_ours"] == []
        again = read(await running.close("BTC"))
        assert again["results"][0]["state"] == "nothing_open"
        assert read(await running.close_all())["not_ours"] == []


async def test_a_coin_that_there_is_not_is_said_with_the_nearest() -> None:
    """Nothing is sent; before the venue's coins are known, it is asked for patience."""
    async with keel() as running:
        wrong = await running.controls.close("BTCC", "ada")
        assert isinstance(wrong, Declined)
        assert (wrong.status, wrong.code) == (404, "unknown_symbol")
        assert "did you mean BTC?" in wrong.message
        running.made.instruments.clear()
        early = await running.controls.close("BTC", "ada")
        assert isinstance(early, Declined) and early.code == "not_ready"


# --- audit and answers ---------------------------------------------------------------------


async def test_every_call_is_in_the_log_with_who_made_it() -> None:
    """Also those that were refused."""
    async with keel() as running:
        with capture_logs() as lines:
            await running.finish(running.controls.halt("lunch", "ada"))
            await running.finish(running.controls.resume("ada"))
            await running.close("BTC")
            await running.controls.close("nope", "ada")
            await running.close_all()
            await running.controls.approve("0" * 16, "ada")
            await running.controls.reject("0" * 16, "ada")
    said = [line["event"] for line in lines if line.get("by") == "ada"]
    assert said == [
        "control_halt",
        "control_resume",
        "control_close",
        "control_close",
        "control_close_all",
        "approval_denied",
        "approval_denied",
    ]


async def test_an_id_that_is_not_known_is_404() -> None:
    """By its named reason."""
    async with keel() as running:
        for answer in (running.controls.approve, running.controls.reject):
            refused = await answer("0" * 16, "ada")
            assert isinstance(refused, Declined)
            assert (refused.status, refused.code) == (404, "unknown_approval")
