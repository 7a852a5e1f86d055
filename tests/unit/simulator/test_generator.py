"""Invented prices: deterministic, continuous, and folding without a seam."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bot.domain.types import Ms, Timeframe
from bot.simulator.bars import Rolling, fold
from bot.simulator.coins import COINS
from bot.simulator.generator import DAY_MS, Day, Generator

EPOCH = Ms(1_790_000_123_000)
MINUTE = 60_000


@pytest.fixture(scope="module")
def prices() -> Generator:
    return Generator(7, 5.0, EPOCH)


def series(source: Generator, coin: str, count: int, start: int = 0) -> list[float]:
    first = source.first_tick + start
    return [source.last_price(coin, first + number) for number in range(count)]


def test_one_seed_is_one_series(prices: Generator) -> None:
    again, other = Generator(7, 5.0, EPOCH), Generator(8, 5.0, EPOCH)
    assert series(prices, "ETH", 50) == series(again, "ETH", 50)
    assert series(prices, "ETH", 50) != series(other, "ETH", 50)
    assert series(prices, "ETH", 50) != series(prices, "BTC", 50)


def test_any_day_can_be_had_without_the_days_before(prices: Generator) -> None:
    """A restart after a month finds the same prices as a run through it."""
    tick = prices.first_tick + 30 * DAY_MS // 5_000
    prices.last_price("SOL", prices.first_tick)
    fresh = Generator(7, 5.0, EPOCH)
    assert fresh.last_price("SOL", tick) == prices.last_price("SOL", tick)


def test_midnight_is_no_seam(prices: Generator) -> None:
    """The step from day to day is a step like any other."""
    for day in range(EPOCH // DAY_MS - 5, EPOCH // DAY_MS + 5):
        for coin in prices.instruments:
            tick = day * DAY_MS // 5_000
            before, after = prices.last_price(coin, tick - 1), prices.last_price(coin, tick)
            assert abs(after / before - 1) < 0.0025, (coin, day)


def test_prices_lie_on_the_venues_tick(prices: Generator) -> None:
    from decimal import Decimal

    for coin, rules in prices.instruments.items():
        for price in series(prices, coin, 40):
            assert rules.price_is_valid(Decimal(repr(price))), (coin, price)


def test_ticks_follow_the_clock(prices: Generator) -> None:
    at = prices.tick_at(prices.first_tick)
    assert at is not None and 0 < at - EPOCH <= 5_000
    assert len(prices.quotes(prices.first_tick)) == len(COINS) == 12


def test_a_thousand_closed_bars_lie_before_the_first_moment(prices: Generator) -> None:
    for timeframe in (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4):
        end = EPOCH - EPOCH % timeframe.ms
        bars = prices.closed("LTC", timeframe.ms, prices.oldest(timeframe.ms), end)
        assert len(bars) == 1_000
        assert [bar.t for bar in bars] == list(range(end - 1_000 * timeframe.ms, end, timeframe.ms))


@pytest.mark.parametrize("timeframe", [Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4])
def test_coarser_bars_are_folds_of_the_finer(prices: Generator, timeframe: Timeframe) -> None:
    end = EPOCH - EPOCH % timeframe.ms
    start = end - 8 * timeframe.ms
    assert prices.closed("XRP", timeframe.ms, start, end) == fold(
        prices.closed("XRP", MINUTE, start, end), timeframe.ms
    )


def test_a_minute_is_the_fold_of_its_ticks(prices: Generator) -> None:
    start = EPOCH - EPOCH % MINUTE
    [bar] = prices.closed("ETH", MINUTE, start, start + MINUTE)
    ticks = [prices.last_price("ETH", start // 5_000 + n) for n in range(12)]
    assert (bar.o, bar.h, bar.l, bar.c) == (ticks[0], max(ticks), min(ticks), ticks[-1])
    volumes = [
        quote.volume
        for n in range(12)
        for quote in prices.quotes(start // 5_000 + n)
        if quote.coin == "ETH"
    ]
    assert bar.v == sum(volumes)


@pytest.mark.parametrize("timeframe", [Timeframe.M1, Timeframe.M5, Timeframe.H1])
def test_the_last_state_sent_of_a_bar_is_what_a_snapshot_answers(
    prices: Generator, timeframe: Timeframe
) -> None:
    """Bars as the stream shows them, tick by tick, end as the closed bar."""
    rolling = Rolling(prices)
    start = EPOCH - EPOCH % timeframe.ms + timeframe.ms
    ticks = range(start // 5_000, (start + timeframe.ms) // 5_000)
    states = [rolling.state("OP", timeframe.ms, tick) for tick in ticks]
    [closed] = prices.closed("OP", timeframe.ms, start, start + timeframe.ms)
    assert states[-1] == closed
    assert {state.t for state in states if state} == {start}


def test_the_market_moves_enough_to_trade_and_not_more(prices: Generator) -> None:
    """1m true range about 0.08 to 0.25 %; half an hour often moves by half a percent."""
    end = EPOCH - EPOCH % MINUTE
    for coin in ("BTC", "ETH", "SUI"):
        bars = prices.closed(coin, MINUTE, end - 4_000 * MINUTE, end)
        close = np.array([bar.c for bar in bars])
        ranges = np.array([(bar.h - bar.l) / bar.c for bar in bars]) * 100
        assert 0.05 < float(np.mean(ranges)) < 0.25, coin
        moves = np.abs(np.log(close[30:] / close[:-30])) * 100
        assert 0.3 < float(np.median(moves)) < 1.5, coin
        assert 0.5 < close.min() / close.max() < 1


def test_volume_is_heavier_when_prices_move(prices: Generator) -> None:
    end = EPOCH - EPOCH % MINUTE
    bars = prices.closed("ETH", MINUTE, end - 4_000 * MINUTE, end)
    ranges = np.array([bar.h / bar.l - 1 for bar in bars])
    volumes = np.array([float(bar.v) for bar in bars])
    assert np.corrcoef(ranges, volumes)[0, 1] > 0.4


def test_the_first_prices_come_quickly() -> None:
    """Start-up is not paid with CPU: days are made when somebody asks."""
    Generator(3, 5.0, EPOCH).last_price("BTC", Generator(3, 5.0, EPOCH).first_tick)
    began = time.process_time()
    fresh = Generator(4, 5.0, EPOCH)
    fresh.quotes(fresh.first_tick)
    assert time.process_time() - began < 0.15


def test_past_days_are_forgotten_an_hour_into_the_next() -> None:
    """A world that runs for weeks holds the prices of one day and the bars of two, no more."""
    prices = Generator(7, 60.0, EPOCH)
    ticks_a_day = 1_440
    first = prices.first_tick
    for day in range(4):
        for interval_ms in (60_000, 900_000):
            end = EPOCH + day * 86_400_000
            prices.closed("BTC", interval_ms, end - 10 * 86_400_000, end)
        for index in range(first + day * ticks_a_day, first + (day + 1) * ticks_a_day, 30):
            prices.quotes(index)
    assert len(prices._days) <= 2 * len(prices.instruments)
    assert {day for _, day, _ in prices._bars} <= {prices._today, prices._today - 1}


def test_hours_that_are_over_are_forgotten_and_can_be_had_again() -> None:
    """Ticks from an hour back on are held; earlier ones are made anew, and are the same."""
    prices, whole = Generator(7, 60.0, EPOCH), Generator(7, 60.0, EPOCH)
    midnight = (EPOCH // 86_400_000 + 1) * 1_440
    for index in range(midnight, midnight + 12 * 60 + 1, 30):
        assert prices.quotes(index) == Generator(7, 60.0, EPOCH).quotes(index)
    assert {len(day) for day in prices._days.values()} == {13 * 60}
    early = midnight + 100
    assert prices.last_price("ETH", early) == whole.last_price("ETH", early)
    assert prices.forming("SOL", early) == whole.forming("SOL", early)
    window = ("BTC", 60_000, midnight * 60_000, (midnight + 600) * 60_000)
    assert prices.closed(*window) == whole.closed(*window)


@pytest.mark.parametrize("number", range(len(COINS)))
def test_ticks_are_held_at_half_their_size_and_to_the_last_bit(number: int) -> None:
    """Whole numbers of the smallest steps: each price and volume comes back as it was."""
    whole = Generator(11, 5.0, EPOCH)._make(number, 3)
    held = Day(whole, COINS[number].size_decimals)
    assert held.prices(0, len(held)) == whole.price.tolist()
    assert [held.volume(place) for place in range(len(held))] == whole.volume.tolist()
    held.forget(17_000)
    assert [held.price(17_000), held.price(17_279)] == whole.price[[17_000, 17_279]].tolist()
    assert held.volumes(17_000, 17_280) == int(whole.volume[17_000:].sum())
    assert sum(array.nbytes for array in (held._prices, held._lots)) == 280 * 8


def test_bars_of_a_day_keep_no_ticks_alive(prices: Generator) -> None:
    """Columns are arrays of their own: a view would hold all ticks of its day."""
    prices.closed("BTC", 900_000, EPOCH - 3 * 86_400_000, EPOCH)
    columns = [array for bars in prices._bars.values() for array in (bars.o, bars.c, bars.h)]
    assert columns
    assert all(array.base is None or array.base.size <= 1_440 for array in columns)


def test_the_next_day_is_made_before_it_is_needed() -> None:
    """Twelve days made at midnight would hold the loop up for 40 ms; one a tick does not."""
    prices = Generator(7, 5.0, EPOCH)
    ticks_a_day = 17_280
    midnight = (prices.first_tick // ticks_a_day + 1) * ticks_a_day
    for index in range(midnight - 12, midnight):
        prices.quotes(index)
    tomorrow = {number for number, day in prices._days if day == midnight // ticks_a_day}
    assert tomorrow == set(range(12))
