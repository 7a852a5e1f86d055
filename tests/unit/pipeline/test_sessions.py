"""Signals before the council: they delay nobody, and the newer one of a symbol counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bot.domain.reasons import Reason, Stage
from bot.domain.types import Symbol
from bot.pipeline.council import CouncilOptions
from bot.pipeline.road import RoadOptions
from bot.ports import untold
from tests.council import FakeModel
from tests.judgement import FixedRule
from tests.series import walk
from tests.unit.pipeline.given import BTC, ETH, SOL
from tests.unit.pipeline.test_council import council
from tests.unit.pipeline.thinking import BARS, M5, Thinking, show, thinking
from tests.until import until

PATIENT = CouncilOptions()


def slow() -> tuple[FakeModel, Thinking]:
    """A council of one model whose answers wait for its gate."""
    seat = FakeModel("a", gate=asyncio.Event())
    return seat, council(seat, options=PATIENT)


async def next_bar(made: Thinking, symbol: Symbol = BTC) -> None:
    made.kit.clock.advance(M5.ms)
    show(made.kit, symbol, BARS + 1)


async def test_a_cycle_ends_while_the_council_still_thinks() -> None:
    """Signals before the council run beside the cycles."""
    seat, made = slow()
    async with made.chamber.open():
        async with asyncio.timeout(3):
            await made.road.cycle([BTC])
        assert not seat.gate.is_set()  # type: ignore[union-attr]
        (fact,) = [fact for fact in made.kit.told if fact.name == "cycle_done"]
        assert fact.figures["before_council"] == 1
        assert made.offers == []


async def test_of_many_symbols_those_without_a_session_are_done_before_any_answer() -> None:
    """20 of 200 worth asking: the other 180 are traced while every model still hangs."""
    names = [Symbol(f"C{n:03}") for n in range(200)]
    asked = {name for number, name in enumerate(names) if number % 10 == 0}
    seat = FakeModel("a", gate=asyncio.Event())
    rule = FixedRule("scalper.standard", target_r=4.0)
    made = council(seat, options=PATIENT)
    bars = walk(BARS, seed=8)
    silent = walk(BARS, seed=8)[: BARS - 295]  # fewer bars than the rule's warm-up: no signal
    assert len(silent) < rule.warm_up
    for name in names:
        made.kit.instruments[name] = replace(made.kit.instruments[BTC], symbol=name)
        shown = bars if name in asked else replace(silent, ts=bars.ts[-len(silent) :])
        made.kit.feed.windows[name, M5] = shown
        made.kit.price(name, round(float(bars.close[-1]), 2))
    async with made.chamber.open():
        async with asyncio.timeout(20):
            await made.road.cycle(names)
        assert {record.symbol for record in made.records} == set(names) - asked
        assert made.offers == []
        await until(lambda: len(seat.questions) == 20)
        seat.gate.set()  # type: ignore[union-attr]
        await until(lambda: len(made.offers) == 20)


async def test_the_same_bar_is_not_put_before_the_council_twice() -> None:
    """The next cycle finds no new candle, and the session goes on."""
    seat, made = slow()
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: len(seat.questions) == 1)
        await made.road.cycle([BTC])
        assert made.ended() == [(Stage.SCAN, Reason.NO_NEW_CANDLE)]
        seat.gate.set()  # type: ignore[union-attr]
        await until(lambda: len(made.offers) == 1)
    assert len(seat.questions) == 1


async def test_a_newer_signal_of_the_symbol_takes_the_place_of_the_older() -> None:
    """One session a symbol: the older trace ends as replaced, and is never offered."""
    seat, made = slow()
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: len(seat.questions) == 1)
        await next_bar(made)
        await made.road.cycle([BTC])
        await until(lambda: len(seat.questions) == 2)
        assert made.ended() == [(Stage.DELIBERATE, Reason.REPLACED)]
        assert made.chamber.busy >= 1
        seat.gate.set()  # type: ignore[union-attr]
        await until(lambda: len(made.offers) == 1 and made.council.counts["late"] == 1)
        await until(lambda: made.chamber.busy == 0)
    (offer,) = made.offers
    assert offer.trail.id == seat.questions[1].trace_id
    assert "late" in made.records[-1].body  # the first question was paid for: its answer is kept


async def test_answers_of_a_cycle_are_offered_best_score_first() -> None:
    """Whatever the order in which they came."""
    gates = {name: asyncio.Event() for name in (BTC, ETH, SOL)}

    class Gated(FakeModel):
        async def ask(self, question, tell=untold):  # type: ignore[no-untyped-def]
            await gates[question.signal.symbol].wait()
            return await super().ask(question, tell)

    made = council(Gated("a"), options=PATIENT)
    async with made.chamber.open():
        await made.road.cycle([BTC, ETH, SOL])
        for name in (SOL, BTC, ETH):
            gates[name].set()
            await asyncio.sleep(0)
        await until(lambda: len(made.offers) == 3)
    scores = [offer.score for offer in made.offers]
    assert scores == sorted(scores, reverse=True)


async def test_an_answer_waits_for_its_neighbours_no_longer_than_the_gathering_time() -> None:
    """One symbol's council hangs: the others are offered, it comes after."""
    gate = asyncio.Event()

    class Hangs(FakeModel):
        async def ask(self, question, tell=untold):  # type: ignore[no-untyped-def]
            if question.signal.symbol == ETH:
                await gate.wait()
            return await super().ask(question, tell)

    made = council(Hangs("a"), options=PATIENT, road=RoadOptions(gather_s=0.05))
    async with made.chamber.open():
        await made.road.cycle([BTC, ETH, SOL])
        await until(lambda: len(made.offers) == 2)
        assert {offer.symbol for offer in made.offers} == {BTC, SOL}
        gate.set()
        await until(lambda: len(made.offers) == 3)
    assert made.offers[-1].symbol == ETH


async def test_a_stop_ends_the_sessions_with_a_word() -> None:
    """Their traces say so, and no task is left."""
    seat, made = slow()
    async with made.chamber.open():
        await made.road.cycle([BTC])
        await until(lambda: len(seat.questions) == 1)
    assert set(made.ended()) == {(Stage.DELIBERATE, Reason.STOPPING)}  # and again with the late row
    assert (seat.cancelled, made.chamber.busy) == (1, 0)


async def test_a_straggler_holds_up_no_cycle_and_is_not_started_twice() -> None:
    """Its bars hang: after the gathering time the road goes on; the next cycle leaves it alone."""
    made = council(FakeModel("a"), options=PATIENT, road=RoadOptions(gather_s=0.05))
    gate = made.kit.feed.gates[ETH] = asyncio.Event()
    async with made.chamber.open():
        async with asyncio.timeout(3):
            await made.road.cycle([ETH, BTC])
            await made.road.cycle([ETH, BTC])
        await until(lambda: len(made.offers) == 1)
        gate.set()
        await until(lambda: len(made.offers) == 2)
    assert [offer.symbol for offer in made.offers] == [BTC, ETH]
    assert [record.symbol for record in made.records] == [BTC]  # no second trace of ETH


async def test_the_rules_analyst_alone_answers_within_the_cycle() -> None:
    """Without models nothing waits: the offer is there when the cycle ends."""
    made = thinking()
    assert made.council.at_once
    async with made.chamber.open():
        await made.road.cycle([BTC])
        assert len(made.offers) == 1
