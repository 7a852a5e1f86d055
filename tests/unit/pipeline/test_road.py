"""The road from a closed bar to an offer: where it ends, why, and in which order it arrives."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from bot.domain.proposal import NoProposal
from bot.domain.reasons import Reason, Stage
from bot.domain.red_flags import FlagCode, FlagPolicy
from bot.domain.signals import SignalArray
from bot.domain.types import (
    Action,
    Bars,
    Decision,
    Market,
    Ms,
    Regime,
    Rejected,
    Side,
    Symbol,
)
from bot.pipeline.council import CouncilOptions
from bot.pipeline.road import RoadOptions
from tests.fakes import FakeSeat
from tests.judgement import FixedRule
from tests.unit.pipeline.given import BTC, ETH, POLICIES, SOL
from tests.unit.pipeline.thinking import BARS, CLOSE, LONG, M5, show, thinking
from tests.until import until

QUICK = RoadOptions(gather_s=0.05)
SHORT = CouncilOptions(deadline_s=0.05)


async def test_a_good_signal_becomes_an_offer_with_all_that_the_desk_needs() -> None:
    """Wish, score, decided price, and a life until the next decision close."""
    made = thinking()
    await made.road.cycle([BTC])
    (one,) = made.offers
    market = made.kit.feed.market(BTC)
    assert market is not None
    assert (one.symbol, one.decided_price) == (BTC, market.mark)
    assert one.expires_at == CLOSE + M5.ms
    assert one.wish.signal.strategy == LONG.id
    assert made.records == []  # the desk closes it


async def test_a_cycle_without_a_new_candle_asks_nobody_again() -> None:
    """One short trace, and no second offer of the same bar."""
    seat = FakeSeat()
    made = thinking(seats=[seat])
    await made.road.cycle([BTC])
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.SCAN, Reason.NO_NEW_CANDLE)]
    assert len(made.offers) == len(seat.questions) == 1
    show(made.kit, BTC, BARS + 1)
    made.kit.clock.advance(M5.ms)
    await made.road.cycle([BTC])
    assert len(made.offers) == 2


async def test_a_bar_that_was_acted_on_is_not_decided_again_after_a_restart() -> None:
    """The journal knows it, the road's memory does not."""
    made = thinking()
    made.kit.books.decided[BTC] = CLOSE
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.SCAN, Reason.NO_NEW_CANDLE)]
    made.kit.books.decided[BTC] = Ms(CLOSE - M5.ms)
    await made.road.cycle([BTC])
    assert len(made.offers) == 1


async def test_a_mark_not_confirmed_for_10_s_stops_the_road_and_says_so() -> None:
    """Stale data: no decision on this bar until the feed is back, then at once."""
    made = thinking()
    made.kit.feed.ages[BTC] = 10.5
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.OBSERVE, Reason.STALE_DATA)]
    assert "mark not confirmed for 10 s" in str(made.records[0].body["stale"])
    made.kit.feed.ages[BTC] = 0.0
    await made.road.cycle([BTC])
    assert len(made.offers) == 1


async def test_bars_older_than_two_lengths_stop_the_road() -> None:
    """The newest candle is too old to decide on."""
    made = thinking()
    made.kit.clock.advance(2 * M5.ms)
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.OBSERVE, Reason.STALE_DATA)]


@pytest.mark.parametrize("missing", ["bars", "price", "feed"])
async def test_without_bars_or_price_nothing_is_decided(missing: str) -> None:
    """NO_BARS, whatever keeps them away."""
    made = thinking()
    if missing == "bars":
        made.kit.feed.windows.clear()
    elif missing == "price":
        made.kit.feed.prices.clear()
    else:
        made.kit.feed.away = True
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.OBSERVE, Reason.NO_BARS)]


async def test_a_feed_that_is_away_is_told_once_while_it_lasts() -> None:
    """Not for every symbol and timeframe of every cycle: the log would tell nothing else."""
    made = thinking()
    made.kit.feed.away = True
    with capture_logs() as told:
        await made.road.cycle([BTC])
        first = [line["event"] for line in told].count("no_bars")
        await made.road.cycle([BTC])
        assert [line["event"] for line in told].count("no_bars") == first > 0
        made.kit.feed.away = False
        await made.road.cycle([BTC])
        made.kit.feed.away = True
        await made.road.cycle([BTC])
    assert [line["event"] for line in told].count("no_bars") == 2 * first


async def test_no_wish_is_no_signal() -> None:
    """Asked, and silent."""
    made = thinking(rules=[FixedRule("scalper.standard", side=0)])
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.PROPOSE, Reason.NO_SIGNAL)]


async def test_opposite_signals_on_one_bar_cancel_each_other() -> None:
    """CONFLICT, with both of them in the trace."""
    made = thinking(rules=[LONG, FixedRule("breakout.standard", side=-1)])
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.PROPOSE, Reason.CONFLICT)]
    found = made.records[0].body["proposal"]
    assert isinstance(found, NoProposal)
    assert {signal.side for signal in found.signals} == {Side.LONG, Side.SHORT}


async def test_a_quiet_day_is_not_traded_where_the_profile_asks_for_range() -> None:
    """24 h range under the profile's minimum."""
    made = thinking(policies=replace(POLICIES, min_range_frac=0.9))
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.PROPOSE, Reason.QUIET)]


async def test_a_hard_red_flag_ends_the_road_before_anybody_is_asked() -> None:
    """No model is paid for a trade that code forbids."""
    seat = FakeSeat()
    everything = FlagPolicy(tuple(FlagCode))
    made = thinking(seats=[seat], policies=replace(POLICIES, flags=everything))
    for symbol in (BTC, ETH, SOL):
        await made.road.cycle([symbol])
    flagged = [r for r in made.records if r.result == Reason.RED_FLAG]
    assert flagged and all(record.stage == Stage.SCORE for record in flagged)
    assert len(seat.questions) == 3 - len(flagged)


# --- the council -------------------------------------------------------------------------------


async def test_a_seat_that_does_not_answer_in_time_abstains_and_there_is_no_quorum() -> None:
    """Never a HOLD, never a side: NO_QUORUM, with the reason in the trace."""
    made = thinking(seats=[FakeSeat(gate=asyncio.Event())], options=QUICK, council=SHORT)
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.APPROVE, Reason.NO_QUORUM)]
    decision = made.records[0].body["decision"]
    assert isinstance(decision, Decision)
    assert [a.kind for a in decision.abstentions] == ["timeout"]


async def test_a_seat_that_fails_abstains_and_ends_nothing_else() -> None:
    """A border: its error is a kind of silence, the other symbols go on."""
    failing = FakeSeat(error=ValueError("not JSON"))
    policies = replace(POLICIES, seats=("rules", "other", "third"))
    seats = [failing, FakeSeat("other"), FakeSeat("third")]
    made = thinking(seats=seats, policies=policies)
    await made.road.cycle([BTC, ETH])
    assert len(made.offers) == 2
    answers = made.offers[0].trail.body["answers"]
    assert isinstance(answers, dict)
    assert [(a.seat, a.kind) for a in answers["abstentions"]] == [("rules", "error")]


async def test_one_of_three_seats_is_no_quorum() -> None:
    """A majority of the enabled seats must have voted."""
    policies = replace(POLICIES, seats=("rules", "other", "third"))
    seats = [FakeSeat(), FakeSeat("other", abstains="budget"), FakeSeat("third", abstains="schema")]
    made = thinking(seats=seats, policies=policies)
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.APPROVE, Reason.NO_QUORUM)]


async def test_a_council_that_holds_ends_the_road() -> None:
    """HOLD is an answer."""
    made = thinking(seats=[FakeSeat(action=Action.HOLD)])
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.APPROVE, Reason.HOLD)]


async def test_a_doubtful_signal_is_rejected_with_its_checks() -> None:
    """Confidence under the gate: REJECTED, and the trace says which rule."""
    made = thinking(seats=[FakeSeat(confidence=0.2)])
    await made.road.cycle([BTC])
    assert made.ended() == [(Stage.APPROVE, Reason.REJECTED)]
    approval = made.records[0].body["approval"]
    assert isinstance(approval, dict)
    verdict = approval["verdict"]
    assert isinstance(verdict, Rejected)
    assert [check.code.value for check in verdict.failed] == ["confidence"]


# --- order and delay -----------------------------------------------------------------------------


async def test_offers_arrive_best_score_first() -> None:
    """Whatever the order of the symbols."""
    for order in ([BTC, ETH, SOL], [SOL, ETH, BTC]):
        made = thinking()
        await made.road.cycle(order)
        scores = [one.score for one in made.offers]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)


async def test_a_symbol_without_an_answer_delays_no_other_and_comes_after() -> None:
    """After the gathering time the others are offered, best first; the straggler later."""
    made = thinking(options=QUICK)
    gate = made.kit.feed.gates[ETH] = asyncio.Event()
    cycle = asyncio.ensure_future(made.road.cycle([ETH, BTC, SOL]))
    await until(lambda: len(made.offers) == 2)
    assert {one.symbol for one in made.offers} == {BTC, SOL}
    assert not cycle.done()
    gate.set()
    await cycle
    assert made.offers[-1].symbol == ETH


async def test_a_database_that_is_away_ends_no_cycle() -> None:
    """Without a number there is no trace and no decision; the road goes on when it is back."""
    made = thinking()
    made.kit.traces.away = True
    with capture_logs() as told:
        await made.road.cycle([BTC])
        await made.road.cycle([BTC])
    assert [line["event"] for line in told].count("trace_not_opened") == 1, "once while it lasts"
    assert (made.offers, made.records) == ([], [])
    made.kit.traces.away = False
    await made.road.cycle([BTC])
    assert len(made.offers) == 1
    made.kit.traces.away = True
    with capture_logs() as told:
        await made.road.cycle([ETH])
    assert [line["event"] for line in told].count("trace_not_opened") == 1, "and again later"


async def test_every_symbol_of_a_cycle_is_traced_once() -> None:
    """Offered, rejected or silent: nothing is lost without a word."""
    made = thinking(rules=[FixedRule("scalper.standard", fits={Regime.RANGING: (Side.LONG,)})])
    await made.road.cycle([BTC, ETH, SOL])
    traced = [record.symbol for record in made.records] + [one.symbol for one in made.offers]
    assert sorted(traced) == sorted([BTC, ETH, SOL])
    (fact,) = [fact for fact in made.kit.told if fact.name == "cycle_done"]
    assert (fact.figures["number"], fact.figures["symbols"]) == (1, 3)


async def test_the_bars_of_a_decision_are_kept_once() -> None:
    """What a decision saw can be read again; the next one adds its new bar alone."""
    made = thinking()
    await made.road.cycle([BTC])
    await made.keeper.flush()
    show(made.kit, BTC, BARS + 1)
    made.kit.clock.advance(M5.ms)
    await made.road.cycle([BTC])
    await made.keeper.flush()
    ((_, symbol, frame),) = made.candles.rows
    assert (symbol, frame) == (BTC, M5)
    assert len(made.candles.rows["hyperliquid:test", Symbol("BTC"), M5]) == BARS + 1


async def test_each_symbol_thinks_in_a_turn_of_the_loop_of_its_own() -> None:
    """However many candles close at once, a price is looked at between two symbols.

    And between what is seen of one, what is kept of it and what is thought of it.
    """
    turns, looked, kept, thought = [0], [], [], []

    class Noted(FixedRule):
        def signals(self, bars: Bars) -> SignalArray:
            thought.append(turns[0])
            return super().signals(bars)

    made = thinking(rules=(Noted("scalper.standard"),))

    async def count() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    seen, together = made.kit.feed.market, asyncio.Event()

    async def bars(symbol: Symbol, *_: object) -> Bars:
        await together.wait()  # every symbol gets its candles in the same turn
        return made.kit.feed.windows[symbol, M5]

    def market(symbol: Symbol) -> Market | None:
        looked.append((turns[0], symbol))
        return seen(symbol)

    made.kit.feed.bars = bars  # type: ignore[method-assign, assignment]
    made.kit.feed.market = market  # type: ignore[method-assign]
    made.keeper.saw = lambda *_: kept.append(turns[0])  # type: ignore[method-assign]
    counter = asyncio.create_task(count())
    cycle = asyncio.create_task(made.road.cycle([BTC, ETH, SOL]))
    asyncio.get_running_loop().call_later(0.01, together.set)
    async with asyncio.timeout(5):
        await cycle
    counter.cancel()
    assert sorted(symbol for _, symbol in looked) == [BTC, ETH, SOL]
    assert len(looked) == len(kept) == len(thought) == 3
    assert len({*(turn for turn, _ in looked), *kept, *thought}) == 9


async def test_symbols_set_out_one_a_turn() -> None:
    """Fetching the windows is work too: 200 symbols do not begin at once."""
    made = thinking(rules=())
    turns, asked = [0], []

    async def count() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    async def bars(symbol: Symbol, *_: object) -> Bars:
        asked.append(turns[0])
        return made.kit.feed.windows[symbol, M5]

    made.kit.feed.bars = bars  # type: ignore[method-assign, assignment]
    counter = asyncio.create_task(count())
    async with asyncio.timeout(5):
        await made.road.cycle([BTC, ETH, SOL])
    counter.cancel()
    assert len(asked) == len(set(asked)) == 3
