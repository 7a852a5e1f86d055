"""Candle files: reading, judging, and playing them as ticks.

Owns what a file must look like and the four ticks of a bar; knows no order and no
invented price. Every problem is a ConfigError of one line: file, line, found, allowed.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np

from bot.domain.errors import ConfigError
from bot.domain.instrument import Instrument
from bot.domain.types import Ms, Timeframe
from bot.simulator.bars import VOLUME_UNITS, Bar, Quote, fold, on_tick
from bot.simulator.coins import Coin, coin, instrument

COLUMNS = ("ts", "open", "high", "low", "close", "volume")
TICKS_A_BAR = 4
QUOTE_VOLUME = "BTC-PERP"  # files of this name count volume in quote currency (data README)
WARMUP_SHARE = 4  # at most one part in four of the data is past
NAME = re.compile(r"[A-Za-z0-9]{1,20}")
LARGEST = 1e15  # of a price or a volume; beyond it numbers are no market's
LATEST = 253_402_300_800_000  # ms: the year 10000, which no calendar here can show
Row = tuple[int, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class CandleFile:
    """One file as loaded: prices on the venue's tick, volumes in base units."""

    coin: str
    path: Path
    interval: Timeframe
    bars: tuple[Bar, ...]
    rules: Coin
    digest: str


def load(path: Path) -> CandleFile:
    """Read one file; raises ConfigError when it cannot be played."""
    raw = _read(path)
    rows = _rows(path, raw)
    interval = _interval(path, rows)
    name = path.name.split(".")[0].split("-")[0]
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{path}: the file's name must begin with the coin, letters and digits, then - or .; "
            f"found {name!r}; rename the file, such as BTC-5m.csv.gz"
        )
    name = name.upper()
    row = coin(name, min(row[3] for row in rows))
    prices = on_tick(np.array([row[1:5] for row in rows]), row.size_decimals)
    if prices.min() <= 0:
        raise ConfigError(
            f"{path}: a price rounds to 0 at the venue's smallest tick of "
            f"{10.0 ** (row.size_decimals - 6):f}; choose a coin with larger prices"
        )
    quote = path.name.startswith(QUOTE_VOLUME)
    bars = tuple(
        Bar(ts, o, h, low, c, round(volume / (c if quote else 1.0) * VOLUME_UNITS), TICKS_A_BAR)
        for (ts, *_, volume), (o, h, low, c) in zip(rows, prices.tolist())
    )
    return CandleFile(name, path, interval, bars, row, sha256(raw).hexdigest())


class CandleFiles:
    """Price source of a world made from files: the span that all of them share."""

    def __init__(self, paths: Sequence[Path], warmup_bars: int) -> None:
        files = sorted((load(path) for path in paths), key=lambda file: file.coin)
        _judge(files)
        first = max(file.bars[0].t for file in files)
        last = min(file.bars[-1].t for file in files)
        self.interval = files[0].interval
        self.base_ms = self.interval.ms
        self._bars = {file.coin: tuple(bar for bar in file.bars if bar.t <= last) for file in files}
        self._times = {name: [bar.t for bar in bars] for name, bars in self._bars.items()}
        shared = {t for times in self._times.values() for t in times if t >= first}
        self._grid = sorted(shared)
        self._places = {
            name: dict(zip(times, range(len(times)))) for name, times in self._times.items()
        }
        third = self.base_ms // 3
        self._offsets = (0, third, 2 * third, self.base_ms - 1)
        warm = min(warmup_bars, len(self._grid) // WARMUP_SHARE)
        self.start_at = Ms(self._grid[warm])
        self.first_tick = warm * TICKS_A_BAR
        self.instruments: Mapping[str, Instrument] = {
            file.coin: instrument(file.rules, number) for number, file in enumerate(files)
        }
        self.identity = "files " + " ".join(file.digest for file in files)

    def tick_at(self, index: int) -> Ms | None:
        place, phase = divmod(index, TICKS_A_BAR)
        if place >= len(self._grid):
            return None
        return Ms(self._grid[place] + self._offsets[phase])

    def quotes(self, index: int) -> Sequence[Quote]:
        place, phase = divmod(index, TICKS_A_BAR)
        opened = self._grid[place]
        found = []
        for name, places in self._places.items():
            row = places.get(opened)
            if row is None:
                continue
            bar = self._bars[name][row]
            volumes = _shares(bar.v)
            found.append(Quote(name, path_of(bar)[phase], volumes[phase]))
        return found

    def last_price(self, coin: str, index: int) -> float:
        forming = self.forming(coin, index)
        return self._bars[coin][0].o if forming is None else forming.c

    def forming(self, coin: str, index: int) -> Bar | None:
        place, phase = divmod(min(index, len(self._grid) * TICKS_A_BAR - 1), TICKS_A_BAR)
        opened = self._grid[place] if place >= 0 else self._grid[0] - 1
        row = bisect_right(self._times[coin], opened) - 1
        if row < 0:
            return None
        bar = self._bars[coin][row]
        if bar.t < opened or phase == TICKS_A_BAR - 1:
            return bar
        seen = path_of(bar)[: phase + 1]
        volume = sum(_shares(bar.v)[: phase + 1])
        return Bar(bar.t, seen[0], max(seen), min(seen), seen[-1], volume, phase + 1)

    def closed(self, coin: str, interval_ms: int, first: int, before: int) -> list[Bar]:
        if interval_ms % self.base_ms:
            return []
        times = self._times[coin]
        window = slice(bisect_left(times, first), bisect_left(times, before))
        return fold(self._bars[coin][window], interval_ms)

    def oldest(self, interval_ms: int) -> int:
        first = min(times[0] for times in self._times.values())
        return first - first % interval_ms

    def prepare(self, coin: str, interval_ms: int, first: int, before: int) -> Iterator[None]:
        return iter(())


def path_of(bar: Bar) -> tuple[float, float, float, float]:
    """The four prices of a bar: open, nearer extreme, farther extreme, close."""
    high_first = bar.h - bar.o <= bar.o - bar.l
    nearer, farther = (bar.h, bar.l) if high_first else (bar.l, bar.h)
    return bar.o, nearer, farther, bar.c


def _shares(volume: int) -> tuple[int, int, int, int]:
    quarter = volume // TICKS_A_BAR
    return quarter, quarter, quarter, volume - 3 * quarter


# --- reading and judging ---------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such candle file; mend the path") from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); mend the path or its rights"
        ) from None
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, ValueError) as error:
            raise ConfigError(f"{path}: not a readable gzip file ({error})") from None
        except zlib.error as error:
            raise ConfigError(f"{path}: not a readable gzip file ({error})") from None
    return raw


def _rows(path: Path, raw: bytes) -> list[Row]:
    try:
        lines = raw.decode("utf-8-sig").splitlines()  # a spreadsheet puts a mark in front
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file; expected csv or csv.gz") from None
    if not lines:
        raise ConfigError(f"{path}: empty; expected a header and at least two rows")
    header = [name.strip().lower() for name in lines[0].split(",")]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ConfigError(
            f"{path} line 1: no column {', '.join(missing)}; expected {', '.join(COLUMNS)}"
        )
    twice = [name for name in COLUMNS if header.count(name) > 1]
    if twice:
        raise ConfigError(f"{path} line 1: column {', '.join(twice)} twice; expected each once")
    places = [header.index(name) for name in COLUMNS]
    rows: list[Row] = []
    try:
        for number, fields in enumerate(csv.reader(lines[1:]), start=2):
            if fields:
                before = rows[-1][0] if rows else -1
                rows.append(_row(path, number, fields, places, before))
    except csv.Error as error:
        where = f"{path} line {len(rows) + 2}"
        raise ConfigError(f"{where}: not a row of numbers ({error})") from None
    if len(rows) < 2:
        raise ConfigError(f"{path}: {len(rows)} rows; expected at least two")
    return rows


def _row(path: Path, number: int, fields: list[str], places: list[int], before: int) -> Row:
    where = f"{path} line {number}"
    try:
        values = [float(fields[place]) for place in places]
    except (ValueError, IndexError):
        raise ConfigError(f"{where}: not a number in {','.join(fields)!r}") from None
    if not all(np.isfinite(values)):
        raise ConfigError(f"{where}: a value is not finite in {','.join(fields)!r}")
    ts, o, h, low, c, volume = values
    if ts >= LATEST:
        raise ConfigError(f"{where}: ts {ts:g} is no time; expected milliseconds since 1970")
    if max(values[1:]) > LARGEST:
        raise ConfigError(
            f"{where}: {max(values[1:]):g} is no price or volume; at most {LARGEST:g}"
        )
    if min(o, h, low, c) <= 0:
        raise ConfigError(f"{where}: a price is {min(o, h, low, c):g}; prices must be positive")
    if h < low or h < max(o, c) or low > min(o, c):
        raise ConfigError(
            f"{where}: high {h:g} and low {low:g} do not enclose open {o:g} and close {c:g}"
        )
    if volume < 0:
        raise ConfigError(f"{where}: volume is {volume:g}; expected at least 0")
    if ts != int(ts) or ts <= before:
        raise ConfigError(
            f"{where}: ts {ts:.0f} does not follow {before}; "
            "expected whole milliseconds, each later than the one before"
        )
    return int(ts), o, h, low, c, volume


def _interval(path: Path, rows: list[Row]) -> Timeframe:
    steps = [later[0] - earlier[0] for earlier, later in pairwise(rows)]
    step = min(steps)
    allowed = {timeframe.ms: timeframe for timeframe in Timeframe}
    if step not in allowed:
        raise ConfigError(
            f"{path}: rows are {step} ms apart; expected one of {', '.join(Timeframe)}"
        )
    for number, row in enumerate(rows, start=2):
        if row[0] % step:
            raise ConfigError(
                f"{path} line {number}: ts {row[0]} does not lie on the grid of "
                f"{allowed[step]}; expected a multiple of {step}"
            )
    return allowed[step]


def _judge(files: Sequence[CandleFile]) -> None:
    """What several files of one run must have in common."""
    seen: dict[str, CandleFile] = {}
    for file in files:
        other = seen.setdefault(file.coin, file)
        if other is not file:
            raise ConfigError(
                f"{file.path}: a second file of {file.coin} (first: {other.path}); "
                "expected one file a coin"
            )
        if file.interval is not files[0].interval:
            raise ConfigError(
                f"{file.path}: bars of {file.interval}, but {files[0].path} has "
                f"{files[0].interval}; expected one interval"
            )
    first, last = max(file.bars[0].t for file in files), min(file.bars[-1].t for file in files)
    if first >= last:
        late = max(files, key=lambda file: file.bars[0].t)
        early = min(files, key=lambda file: file.bars[-1].t)
        raise ConfigError(f"{late.path}: begins after {early.path} ends; expected shared time")
