"""Candles: which bars are final, which are asked for, and what never changes afterwards."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.venues.hyperliquid.candles import Series, fold, unbroken_tail
from bot.adapters.venues.hyperliquid.history import History
from bot.adapters.venues.hyperliquid.parse_market import Candle
from bot.domain.errors import TransientError
from bot.domain.types import Bars, Ms, Symbol, Timeframe
from bot.runtime.clock import ManualClock
from tests.unit.adapters.venues.hyperliquid.candle_rows import MIN, T0, row, settled

BTC = Symbol("BTC")
M1, M5, M15 = Timeframe.M1, Timeframe.M5, Timeframe.M15


def times(series: Series, until: int = T0 + 99 * MIN, limit: int = 99) -> list[int]:
    return [(ts[0] - T0) // MIN for ts in series.window(Ms(until), limit)]


def test_a_later_frame_closes_the_bar_before() -> None:
    """The last state before the next open time is final."""
    series = settled()
    series.frame(row(T0, 2.0))
    series.frame(row(T0, 3.0))
    assert times(series) == [-3, -2, -1]
    series.frame(row(T0 + MIN, 4.0))
    assert times(series) == [-3, -2, -1, 0]
    assert series.window(Ms(T0 + 9 * MIN), 1)[0][4] == 3.0
    assert series.missing_from(Ms(T0 + MIN), Ms(T0 - 3 * MIN)) is None


def test_a_bar_without_a_later_frame_is_missing_once_it_is_over() -> None:
    """Its last frame may not have come yet: REST is asked, from that bar on."""
    series = settled()
    series.frame(row(T0, 2.0))
    assert series.missing_from(Ms(T0 + MIN - 1), Ms(T0 - 3 * MIN)) is None
    assert series.missing_from(Ms(T0 + MIN), Ms(T0 - 3 * MIN)) == T0


def test_a_lost_connection_makes_the_open_bar_doubtful() -> None:
    """Its final frame may have been lost, so that the next bar's frame no longer closes it."""
    series = settled()
    series.frame(row(T0, 2.0))
    series.disconnected()
    series.frame(row(T0 + MIN, 3.0))
    assert times(series) == [-3, -2, -1]
    assert series.missing_from(Ms(T0 + MIN), Ms(T0 - 3 * MIN)) == T0


def test_a_frame_of_the_same_bar_after_a_loss_counts_again() -> None:
    """A frame is the whole state of its bar: the one after the loss has everything."""
    series = settled()
    series.frame(row(T0, 2.0))
    series.disconnected()
    series.frame(row(T0, 2.5))
    series.frame(row(T0 + MIN, 3.0))
    assert times(series) == [-3, -2, -1, 0]


def test_a_skipped_open_time_is_a_gap_that_rest_decides() -> None:
    """No bar is invented; bars that truly do not exist are not asked for twice."""
    series = settled()
    series.frame(row(T0, 2.0))
    series.frame(row(T0 + 3 * MIN, 3.0))
    assert times(series) == [-3, -2, -1, 0]
    assert series.missing_from(Ms(T0 + 3 * MIN), Ms(T0)) == T0 + MIN
    series.settle([row(T0 + 2 * MIN, 9.0), row(T0 + 3 * MIN)], Ms(T0 + MIN), Ms(T0 + 3 * MIN))
    assert times(series) == [-3, -2, -1, 0, 2]
    assert series.missing_from(Ms(T0 + 3 * MIN), Ms(T0)) is None
    series.frame(row(T0 + 4 * MIN))
    assert times(series) == [-3, -2, -1, 0, 2, 3]


def test_bars_after_a_gap_wait_until_the_gap_is_decided() -> None:
    """Otherwise the gap would lie between bars that look complete."""
    series = settled()
    for minute in (0, 3, 4):
        series.frame(row(T0 + minute * MIN))
    assert times(series) == [-3, -2, -1, 0]
    assert series.missing_from(Ms(T0 + 4 * MIN), Ms(T0)) == T0 + MIN
    unknown = Series(M1)
    unknown.frame(row(T0))
    unknown.frame(row(T0 + MIN))
    assert times(unknown) == []


def test_decided_bars_never_change_but_corrections_are_counted() -> None:
    """A later word of the venue is recorded, not decided again."""
    series = settled()
    before = series.window(Ms(T0), 9)
    series.frame(row(T0 - MIN, 7.0))
    series.frame(row(T0 - MIN, 1.0))
    assert series.corrections == 1
    series.settle([row(T0 - 2 * MIN, 8.0), row(T0, 2.0)], Ms(T0 - 3 * MIN), Ms(T0 + MIN))
    assert series.corrections == 2
    assert series.window(Ms(T0), 9) == before


def test_rest_overrides_the_open_frame_and_a_frame_fills_its_silence() -> None:
    """REST is the last word on a bar; where it lags behind a trade, the frame stands."""
    told = settled()
    told.frame(row(T0, 2.0))
    told.settle([row(T0, 5.0)], Ms(T0), Ms(T0 + MIN))
    assert told.window(Ms(T0 + MIN), 1) == [row(T0, 5.0)]
    silent = settled()
    silent.frame(row(T0, 2.0))
    silent.settle([], Ms(T0), Ms(T0 + MIN))
    assert silent.window(Ms(T0 + MIN), 1) == [row(T0, 2.0)]


def test_the_open_bar_of_a_rest_answer_is_not_final() -> None:
    """REST gives the bar that contains now: it is left out."""
    series = Series(M1)
    series.settle([row(T0), row(T0 + MIN)], Ms(T0), Ms(T0 + MIN + 1))
    assert times(series) == [0]


def test_what_lies_before_a_hole_is_given_up() -> None:
    """Bars on both sides of a hole would look adjacent."""
    series = settled()
    series.settle([row(T0 + 50 * MIN)], Ms(T0 + 50 * MIN), Ms(T0 + 51 * MIN))
    assert times(series) == [50]
    assert series.missing_from(Ms(T0 + 51 * MIN), Ms(T0)) == T0
    assert not series.covers(Ms(T0 - 3 * MIN), Ms(T0))


def test_memory_is_bounded() -> None:
    """The oldest bars leave."""
    series = Series(M1, capacity=10)
    series.settle([row(T0)], Ms(T0), Ms(T0 + MIN))
    for n in range(1, 30):
        series.frame(row(T0 + n * MIN))
    assert times(series) == list(range(19, 29))
    assert not series.covers(Ms(T0), Ms(T0 + 5 * MIN))
    assert series.covers(Ms(T0 + 20 * MIN), Ms(T0 + 25 * MIN))


@given(st.lists(st.tuples(st.integers(0, 200), st.floats(1, 9), st.floats(0, 5)), max_size=60))
def test_folding_keeps_extremes_ends_and_volume(raw: list[tuple[int, float, float]]) -> None:
    """A coarse bar is made of exactly its fine ones; where there are none there is no bar."""
    rows = sorted({T0 + n * MIN: row(T0 + n * MIN, p, v) for n, p, v in raw}.values())
    folded = fold(rows, M5)
    for ts, first, high, low, last, volume in folded:
        inside = [each for each in rows if ts <= each[0] < ts + 5 * MIN]
        assert first == inside[0][1] and last == inside[-1][4]
        assert high == max(each[2] for each in inside)
        assert low == min(each[3] for each in inside)
        assert volume == pytest.approx(sum(each[5] for each in inside))
    assert [each[0] for each in folded] == sorted({each[0] // (5 * MIN) * 5 * MIN for each in rows})


@given(
    st.lists(st.one_of(st.integers(0, 3), st.just("cut"), st.just("rest")), max_size=60),
    st.data(),
)
def test_final_bars_are_what_the_venue_had(steps: list[object], data: st.DataObject) -> None:
    """Whatever is lost on the way, a bar that is given out is the venue's final one."""
    venue: dict[int, Candle] = {}
    series = Series(M1)
    now, price = T0, 1.0
    for step in steps:
        if step == "cut":
            series.disconnected()
        elif step == "rest":
            asked = series.missing_from(Ms(now), Ms(T0))
            if asked is not None:
                series.settle([venue[ts] for ts in sorted(venue) if ts >= asked], asked, Ms(now))
        else:
            assert isinstance(step, int)
            now += step * MIN // 2
            price += 1
            ts = now // MIN * MIN
            venue[ts] = row(ts, price)
            if data.draw(st.booleans(), "arrives"):
                series.frame(venue[ts])
            else:
                series.disconnected()  # a frame is only lost with its connection
        for each in series.window(Ms(now), 99):
            assert each == venue[each[0]]
        known = series.covered_from is not None
        decided = {ts for ts in venue if ts >= T0 and ts + MIN <= min(now, series.settled_to)}
        assert not known or decided <= {each[0] for each in series.window(Ms(now), 99)}


def test_only_the_unbroken_tail_of_our_store_is_trusted() -> None:
    """A hole in the store may be a time when we were not there."""
    rows = [row(T0), row(T0 + 2 * MIN), row(T0 + 3 * MIN)]
    assert unbroken_tail(rows, M1) == rows[1:]
    assert unbroken_tail(rows[:1], M1) == rows[:1]
    assert unbroken_tail([], M1) == []


# --- history -----------------------------------------------------------------------------


class Rest:
    """Answers candle questions from a table of one-minute bars."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.asked: list[tuple[Timeframe, int, int]] = []
        self.absent: set[int] = set()
        self.fails = 0

    def price(self, ts: int) -> float:
        return 100.0 + (ts - T0) // MIN % 50

    async def __call__(self, coin: str, timeframe: Timeframe, first: Ms, last: Ms) -> list[Candle]:
        self.asked.append((timeframe, first - T0, last - T0))
        await asyncio.sleep(0)
        if self.fails:
            self.fails -= 1
            raise TransientError("away")
        start = first // timeframe.ms * timeframe.ms
        minutes = [
            row(ts, self.price(ts)) for ts in range(start, last + 1, MIN) if ts not in self.absent
        ]
        return fold(minutes, timeframe)


def history(now: int = T0, settle_ms: int = 0) -> tuple[ManualClock, Rest, History]:
    clock = ManualClock(Ms(now))
    rest = Rest(clock)
    built = History(clock, rest, settle_ms, None)
    built.follow([BTC], M1)
    return clock, rest, built


async def test_only_bars_closed_by_the_clock_are_given() -> None:
    """A bar is over at its end plus the settling time, not before."""
    clock, _, built = history(T0, settle_ms=2000)
    assert (await built.bars(BTC, M1, 5)).ts[-1] == T0 - 2 * MIN
    clock.advance(1999)
    assert (await built.bars(BTC, M1, 5)).ts[-1] == T0 - 2 * MIN
    clock.advance(1)
    found = await built.bars(BTC, M1, 5)
    assert found.ts[-1] == T0 - MIN
    assert len(found) == 5


async def test_frames_make_further_questions_needless() -> None:
    """History once by REST; afterwards the stream is enough, for coarser bars too."""
    clock, rest, built = history()
    await built.bars(BTC, M1, 20)
    await built.bars(BTC, M5, 20)
    asked = len(rest.asked)
    for n in range(16):
        built.frame(BTC, M1, row(T0 + n * MIN, rest.price(T0 + n * MIN)))
        clock.set(Ms(T0 + n * MIN))
        fine, coarse = await built.bars(BTC, M1, 20), await built.bars(BTC, M5, 20)
        assert fine.ts[-1] == T0 + (n - 1) * MIN
        assert coarse.ts[-1] == T0 + (n // 5 - 1) * 5 * MIN
    assert len(rest.asked) == asked
    expected = fold(
        [row(ts, rest.price(ts)) for ts in range(T0 - 100 * MIN, T0 + 15 * MIN, MIN)], M5
    )
    assert np.array_equal(coarse.close, [each[4] for each in expected[-20:]])
    assert np.array_equal(coarse.high, [each[2] for each in expected[-20:]])


async def test_a_missing_bar_is_asked_for_once() -> None:
    """No trade, no frame, no bar: REST confirms it, and is not asked again for the same."""
    clock, rest, built = history()
    rest.absent = {T0 + MIN}
    await built.bars(BTC, M1, 5)
    built.frame(BTC, M1, row(T0, rest.price(T0)))
    clock.set(Ms(T0 + 2 * MIN))
    found = await built.bars(BTC, M1, 5)
    assert found.ts[-1] == T0
    assert len(rest.asked) == 2
    await built.bars(BTC, M1, 5)
    assert len(rest.asked) == 2


async def test_a_longer_window_is_fetched_when_asked_for() -> None:
    """More history than known is one more question."""
    _, rest, built = history()
    await built.bars(BTC, M1, 5)
    assert len(await built.bars(BTC, M1, 50)) == 50
    assert len(rest.asked) == 2
    await built.bars(BTC, M1, 30)
    assert len(rest.asked) == 2


async def test_two_who_ask_at_once_are_one_question() -> None:
    """The second waits for the first."""
    clock, rest, built = history()
    both = asyncio.gather(built.bars(BTC, M1, 5), built.bars(BTC, M1, 5))
    await clock.run_for(0)
    assert [len(found) for found in await both] == [5, 5]
    assert len(rest.asked) == 1


async def test_when_the_first_fails_the_second_asks_itself() -> None:
    """One failure is one caller's failure."""
    clock, rest, built = history()
    rest.fails = 1
    both = asyncio.gather(built.bars(BTC, M1, 5), built.bars(BTC, M1, 5), return_exceptions=True)
    await clock.run_for(0)
    first, second = await both
    assert isinstance(first, TransientError)
    assert isinstance(second, Bars) and len(second) == 5


async def test_our_own_store_warms_the_start() -> None:
    """Only what the store lacks at the end is asked for, and nothing across a hole in it."""
    clock = ManualClock(Ms(T0))
    rest = Rest(clock)

    async def warm(symbol: Symbol, timeframe: Timeframe, first: Ms, last: Ms) -> Bars:
        kept = range(T0 - 30 * MIN, T0 - 4 * MIN, MIN)
        return Bars.of([row(ts, rest.price(ts)) for ts in kept if ts >= first])

    built = History(clock, rest, 0, warm)
    built.follow([BTC], M1)
    assert len(await built.bars(BTC, M1, 20)) == 20
    assert rest.asked == [(M1, -4 * MIN, 0)]


async def test_a_long_outage_asks_for_the_window_only() -> None:
    """After days away the venue is not asked for more than is kept."""
    clock, rest, built = history()
    await built.bars(BTC, M1, 5)
    clock.set(Ms(T0 + 5000 * MIN))
    found = await built.bars(BTC, M1, 5)
    assert found.ts[0] == T0 + 4995 * MIN
    assert rest.asked[-1][1] == 4000 * MIN


async def test_catching_up_asks_only_for_symbols_with_a_history() -> None:
    """After a reconnection what is missing is fetched; what nobody asked for is not."""
    clock, rest, built = history()
    built.follow([BTC, Symbol("ETH")], M1)
    await built.bars(BTC, M1, 5)
    clock.set(Ms(T0 + 2 * MIN))
    await built.catch_up([BTC, Symbol("ETH")])
    assert rest.asked[1:] == [(M1, 0, 2 * MIN)]
