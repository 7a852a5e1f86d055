"""Invented prices: seeded, switching between regimes, addressable at any moment.

Owns the paths; knows no order and no client. Every (seed, coin, day) has its own
counter-based random stream and days are bridged between anchors, so any day can be had
without the days before it, and a restart goes on with the very same series.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.domain.instrument import Instrument
from bot.domain.types import Ms
from bot.simulator.bars import VOLUME_UNITS, Bar, Quote, on_tick
from bot.simulator.coins import COINS, Coin, instrument

MINUTE_MS = 60_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
DAY_MIN = 1_440
COARSE_MS = 5 * MINUTE_MS  # older days are kept in bars of this length, unless finer are asked for
KEPT_BARS = 600  # day and length; in use are about 200, each of 4 to 58 kB
PAST_BARS = 1_000  # closed bars of each timeframe before a world's first moment
SHORTEST_MIN, LONGEST_MIN = 20.0, 90.0  # life of a regime
UP, DOWN, RANGE, WILD = range(4)
SHARES = (0.28, 0.28, 0.29, 0.15)  # of regimes, in the order above
SIGMA_MIN = np.array([0.00066, 0.00066, 0.00054, 0.0014])  # of a minute's return, at scale 1
VOLUME = np.array([1.25, 1.25, 0.7, 1.9])  # relative to a usual moment
DRIFT_MIN = (0.00018, 0.00045)  # of a trend, a minute
SWING = (0.0022, 0.0048)  # amplitude of a range around its middle
SWING_MIN = (14.0, 28.0)  # its period
ANCHOR_SIGMA = 0.02  # of the level at midnight
TIDE = (0.04, 0.10)  # amplitude of the slow movement over weeks
TIDE_DAYS = (25.0, 70.0)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Path:
    """Prices and volumes (1e-8 base units) of the ticks of one UTC day."""

    price: Floats
    volume: Ints


class Day:
    """The ticks of a path from `first` on, as whole numbers of the coin's smallest steps.

    Half the size, and exact: a price on the venue's tick is the double nearest its decimal.
    """

    def __init__(self, path: Path, size_decimals: int) -> None:
        self.first = 0
        self._scale: float = 10.0 ** (6 - size_decimals)  # the venue's most decimals of a price
        self._lot: int = VOLUME_UNITS // 10**size_decimals
        self._prices = np.round(path.price * self._scale).astype(np.int32)
        self._lots = (path.volume // self._lot).astype(np.int32)

    def forget(self, first: int) -> None:
        """Drop the ticks before `first`."""
        rest = slice(first - self.first, None)
        self._prices, self._lots = self._prices[rest].copy(), self._lots[rest].copy()
        self.first = first

    def __len__(self) -> int:
        return len(self._prices)

    def price(self, place: int) -> float:
        return int(self._prices[place - self.first]) / self._scale

    def volume(self, place: int) -> int:
        return int(self._lots[place - self.first]) * self._lot

    def prices(self, start: int, end: int) -> list[float]:
        """Of the ticks [start, end)."""
        ticks = self._prices[start - self.first : end - self.first]
        prices: list[float] = (ticks / self._scale).tolist()
        return prices

    def volumes(self, start: int, end: int) -> int:
        """The sum over the ticks [start, end)."""
        return (
            int(self._lots[start - self.first : end - self.first].sum(dtype=np.int64)) * self._lot
        )

    def path(self) -> Path:
        """The same in doubles."""
        return Path(self._prices / self._scale, self._lots.astype(np.int64) * self._lot)


@dataclass(frozen=True, slots=True)
class Columns:
    """Bars of one day as columns."""

    o: Floats
    h: Floats
    l: Floats  # noqa: E741  (the venue's own letter)
    c: Floats
    v: Ints


class Generator:
    """Price source of a world without files; ticks lie on a fixed grid of UTC."""

    def __init__(self, seed: int, tick_s: float, epoch: Ms) -> None:
        """`epoch` is the market time at which the world began (kept in its ledger)."""
        self._seed = seed
        self._tick_ms = round(tick_s * 1000)
        self._ticks_a_day = DAY_MS // self._tick_ms
        self._ticks_a_minute = MINUTE_MS // self._tick_ms
        self._origin_day = self._today = epoch // DAY_MS
        self._epoch = epoch
        self._hour = 0  # of the day, in which the past was last forgotten
        self._index_of = {row.name: number for number, row in enumerate(COINS)}
        self._days: OrderedDict[tuple[int, int], Day] = OrderedDict()
        self._bars: OrderedDict[tuple[int, int, int], Columns] = OrderedDict()
        self._tides = [self._tide(number) for number in range(len(COINS))]
        self.instruments: Mapping[str, Instrument] = {
            row.name: instrument(row, number) for number, row in enumerate(COINS)
        }
        self.base_ms = MINUTE_MS
        self.identity = f"generator seed={seed} tick_s={tick_s:g}"
        self.start_at = epoch
        self.first_tick = epoch // self._tick_ms + 1

    def tick_at(self, index: int) -> Ms | None:
        return Ms(index * self._tick_ms)

    def quotes(self, index: int) -> Sequence[Quote]:
        day, place = divmod(index, self._ticks_a_day)
        self._go_on(day, place)
        found = []
        for number, row in enumerate(COINS):
            path = self._day(number, day, place)
            found.append(Quote(row.name, path.price(place), path.volume(place)))
        return found

    def last_price(self, coin: str, index: int) -> float:
        day, place = divmod(index, self._ticks_a_day)
        return self._day(self._index_of[coin], day, place).price(place)

    def forming(self, coin: str, index: int) -> Bar | None:
        day, place = divmod(index, self._ticks_a_day)
        start = place - place % self._ticks_a_minute
        path = self._day(self._index_of[coin], day, start)
        prices, volume = path.prices(start, place + 1), path.volumes(start, place + 1)
        opened = day * DAY_MS + start * self._tick_ms
        return Bar(opened, prices[0], max(prices), min(prices), prices[-1], volume, len(prices))

    def closed(self, coin: str, interval_ms: int, first: int, before: int) -> list[Bar]:
        if interval_ms <= 0 or DAY_MS % interval_ms or interval_ms % MINUTE_MS:
            return []
        rows: list[Bar] = []
        while first < before:
            day = first // DAY_MS
            end = min(before, (day + 1) * DAY_MS)
            rows += self._of_day(self._index_of[coin], day, interval_ms, first, end)
            first = end
        return rows

    def oldest(self, interval_ms: int) -> int:
        start = self._epoch - self._epoch % interval_ms
        return start - PAST_BARS * interval_ms

    def prepare(self, coin: str, interval_ms: int, first: int, before: int) -> Iterator[None]:
        number = self._index_of[coin]
        for day in range(first // DAY_MS, -(-before // DAY_MS)):
            if (number, day, interval_ms) not in self._bars:
                self._folds(number, day, interval_ms)
                yield

    def _go_on(self, day: int, place: int) -> None:
        """Once an hour forget what is past; late in a day make the next, one coin a tick."""
        left = self._ticks_a_day - place
        if left <= len(COINS):
            self._day(len(COINS) - left, day + 1)
        self._today = day
        hour = place * self._tick_ms // HOUR_MS
        if hour == self._hour or hour == 0:  # after midnight the last ticks are still asked for
            return
        self._hour = hour
        before = place - HOUR_MS // self._tick_ms
        for key, path in tuple(self._days.items()):
            if key[1] < day:
                del self._days[key]
            elif key[1] == day and path.first < before:
                path.forget(before)
        for bars in [bars for bars in self._bars if bars[1] < day - 1]:
            del self._bars[bars]

    # --- bars of a day ---------------------------------------------------------------

    def _of_day(
        self, number: int, day: int, interval_ms: int, first: int, before: int
    ) -> list[Bar]:
        """Bars of one day out of [first, before); whole folds come from the cache."""
        midnight = day * DAY_MS
        size = interval_ms // MINUTE_MS
        aligned = (first - midnight) % interval_ms == 0
        whole_end = before - (before - midnight) % interval_ms
        if not aligned or whole_end <= first:
            return self._part(number, day, interval_ms, first, before)
        columns = self._folds(number, day, interval_ms)
        start, end = (first - midnight) // interval_ms, (whole_end - midnight) // interval_ms
        rows = _rows(columns, midnight, interval_ms, start, end, size * self._ticks_a_minute)
        if whole_end < before:
            rows += self._part(number, day, interval_ms, whole_end, before)
        return rows

    def _part(self, number: int, day: int, interval_ms: int, first: int, before: int) -> list[Bar]:
        midnight = day * DAY_MS
        window = slice((first - midnight) // MINUTE_MS, (before - midnight) // MINUTE_MS)
        minutes = self._folds(number, day, MINUTE_MS)
        count = window.stop - window.start
        if count <= 0:
            return []
        return [
            Bar(
                first - first % interval_ms,
                float(minutes.o[window.start]),
                float(minutes.h[window].max()),
                float(minutes.l[window].min()),
                float(minutes.c[window.stop - 1]),
                int(minutes.v[window].sum()),
                count * self._ticks_a_minute,
            )
        ]

    def _folds(self, number: int, day: int, interval_ms: int) -> Columns:
        """All bars of a day; those of finer bars that they are folded from are kept as well."""
        key = (number, day, interval_ms)
        known = self._bars.get(key)
        if known is None:
            known = self._bars[key] = self._folded(number, day, interval_ms)
            while len(self._bars) > KEPT_BARS:
                self._bars.popitem(last=False)
        return known

    def _folded(self, number: int, day: int, interval_ms: int) -> Columns:
        if interval_ms == MINUTE_MS:
            return self._minutes(number, day)
        if interval_ms > COARSE_MS and interval_ms % COARSE_MS == 0:
            return folded(self._folds(number, day, COARSE_MS), interval_ms // COARSE_MS)
        if day < self._today:  # a past that is asked for once, at the start of a world
            return folded(self._minutes(number, day), interval_ms // MINUTE_MS)
        return folded(self._folds(number, day, MINUTE_MS), interval_ms // MINUTE_MS)

    def _minutes(self, number: int, day: int) -> Columns:
        known = self._days.get((number, day))
        past = known.first > 0 if known is not None else day < self._today
        if past:
            path = self._make(number, day - self._origin_day)
        else:
            path = self._day(number, day).path()
        ticks = Columns(path.price, path.price, path.price, path.price, path.volume)
        return folded(ticks, self._ticks_a_minute)

    # --- the path of a day -----------------------------------------------------------

    def _day(self, number: int, day: int, place: int = 0) -> Day:
        """The path of a day with the tick at `place` and all after it."""
        key = (number, day)
        known = self._days.get(key)
        if known is None or known.first > place:
            path = self._make(number, day - self._origin_day)
            known = self._days[key] = Day(path, COINS[number].size_decimals)
            while len(self._days) > 3 * len(COINS):
                self._days.popitem(last=False)
        return known

    def _stream(self, number: int, day: int) -> np.random.Generator:
        counter = (number << 32) | (day + (1 << 31))
        return np.random.Generator(np.random.Philox(key=[self._seed, counter]))

    def _tide(self, number: int) -> tuple[float, float, float]:
        draw = self._stream(number, -(1 << 30))
        return draw.uniform(*TIDE), draw.uniform(*TIDE_DAYS), draw.uniform(0, 2 * np.pi)

    def _anchor(self, number: int, day: int) -> float:
        """Logarithm of the level at midnight of a day, 0 on the world's first."""
        height, period, phase = self._tides[number]
        tide = np.sin(2 * np.pi * day / period + phase) - np.sin(phase)
        if day == 0:
            return 0.0
        draw = self._stream(number, day + (1 << 29))
        return float(height * tide + ANCHOR_SIGMA * COINS[number].sigma * draw.standard_normal())

    def _make(self, number: int, day: int) -> Path:
        """One day of ticks: regimes laid end to end, bent to meet the next anchor."""
        row, draw = COINS[number], self._stream(number, day)
        n, tick_min = self._ticks_a_day, self._tick_ms / MINUTE_MS
        minute = np.arange(n) * (self._tick_ms / MINUTE_MS)
        lives = draw.uniform(SHORTEST_MIN, LONGEST_MIN, int(DAY_MIN / SHORTEST_MIN) + 1)
        ends = np.minimum(np.cumsum(lives), DAY_MIN)  # the last regime ends with the day
        lives = np.maximum(np.diff(ends, prepend=0.0), tick_min)
        kinds = draw.choice(4, size=len(lives), p=SHARES)
        slopes = draw.uniform(*DRIFT_MIN, len(lives)) * row.sigma
        heights = draw.uniform(*SWING, len(lives)) * row.sigma
        cycles = np.maximum(1, np.round(lives / draw.uniform(*SWING_MIN, len(lives))))
        place = np.searchsorted(ends, minute, side="right")
        kind, life = kinds[place], lives[place]
        age = minute - (ends[place] - life)
        sigma = SIGMA_MIN[kind] * row.sigma * np.sqrt(tick_min)
        noise = draw.standard_normal(n) * sigma
        drift = slopes[place] * (1.0 * (kind == UP) - 1.0 * (kind == DOWN)) * tick_min
        swing = (
            np.where(kind == RANGE, 1.0, 0.15) * heights[place] * np.minimum(life / SHORTEST_MIN, 1)
        )
        wave = swing * np.sin(2 * np.pi * cycles[place] * age / life)
        walk = np.concatenate(([0.0], np.cumsum(noise + drift)))
        start, end = self._anchor(number, day), self._anchor(number, day + 1)
        bent = walk + (end - start - walk[-1]) * np.arange(n + 1) / n
        price = on_tick(row.price * np.exp(start + bent[:n] + wave), row.size_decimals)
        return Path(price, self._volume(row, draw, price, kind, age))

    def _volume(
        self, row: Coin, draw: np.random.Generator, price: Floats, kind: Ints, age: Floats
    ) -> Ints:
        """Volume in whole lots: heavier with moves, and as a trend begins."""
        n = len(price)
        usual = row.daily_usd / n / price
        moves = np.abs(np.diff(np.log(price), prepend=np.log(price[0])))
        typical = SIGMA_MIN[RANGE] * row.sigma * np.sqrt(self._tick_ms / MINUTE_MS)
        push = 0.5 + 0.5 * np.minimum(moves / typical, 6.0)
        burst = 1.0 + 2.5 * np.exp(-age / 6.0) * (kind != RANGE)
        size = usual * VOLUME[kind] * push * burst * np.exp(0.35 * draw.standard_normal(n))
        lots = np.maximum(1, np.round(size * 10.0**row.size_decimals)).astype(np.int64)
        return np.asarray(lots * (VOLUME_UNITS // 10**row.size_decimals), dtype=np.int64)


def folded(columns: Columns, size: int) -> Columns:
    """Bars of `size` bars each; arrays of their own, so that the finer ones can be forgotten."""
    shape = (-1, size)
    return Columns(
        columns.o[::size].copy(),
        columns.h.reshape(shape).max(axis=1),
        columns.l.reshape(shape).min(axis=1),
        columns.c[size - 1 :: size].copy(),
        columns.v.reshape(shape).sum(axis=1),
    )


def _rows(
    columns: Columns, midnight: int, interval_ms: int, start: int, end: int, ticks: int
) -> list[Bar]:
    window = slice(start, end)
    times = range(midnight + start * interval_ms, midnight + end * interval_ms, interval_ms)
    return [
        Bar(t, o, h, low, c, v, ticks)
        for t, o, h, low, c, v in zip(
            times,
            columns.o[window].tolist(),
            columns.h[window].tolist(),
            columns.l[window].tolist(),
            columns.c[window].tolist(),
            columns.v[window].tolist(),
            strict=True,
        )
    ]
