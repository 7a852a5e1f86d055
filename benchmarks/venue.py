"""A simulated exchange of 200 coins in a process of its own: python -m benchmarks.venue

Owns its prices and a log of what left and what came in; everything else is bot.simulator's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from aiohttp import web

from bot.domain.instrument import Instrument
from bot.domain.types import Ms
from bot.runtime.clock import ScaledClock
from bot.simulator import client
from bot.simulator.bars import VOLUME_UNITS, Bar, Quote, on_tick
from bot.simulator.coins import coin, instrument
from bot.simulator.options import SimulatorOptions
from bot.simulator.server import SimulatedExchange

COINS = 200
RISING = "RISE"  # the first coin: it climbs by the same step with every tick
STEP = 0.30  # USD a tick from 100: 0.3 of a stop of 1 %, one trailing step each
MINUTE_MS, TICKS = 60_000, 4  # ticks of a minute
PAST_MIN, FUTURE_MIN = 9_000, 1_500
START = 1_790_000_040_000  # on a minute


class Prices:
    """Random walks on a grid of 15 s, and one straight line upwards; `bars.PriceSource`."""

    def __init__(self, coins: int) -> None:
        rng = np.random.default_rng(7)
        self.base_ms, self.start_at, self.first_tick = MINUTE_MS, Ms(START), 0
        self.identity = f"benchmark {coins}"
        self._past = PAST_MIN * TICKS
        ticks = self._past + FUTURE_MIN * TICKS
        names = [RISING, *(f"C{number:03}" for number in range(1, coins))]
        self._row = {name: number for number, name in enumerate(names)}
        steps = rng.normal(0, 3e-4, (coins, ticks)).cumsum(axis=1)
        line = np.concatenate((np.zeros(self._past), np.arange(FUTURE_MIN * TICKS) * STEP))
        walks = 100.0 * np.exp(steps - steps.mean(axis=1, keepdims=True))
        walks[0] = 100.0 + np.tile([0.0, 0.05], ticks // 2) * (line == 0) + line
        rules = [coin(name, 50.0) for name in names]
        self._price = on_tick(walks, rules[0].size_decimals)
        self._volume = rng.lognormal(9.0, 0.7, (coins, ticks // TICKS))
        self.instruments: Mapping[str, Instrument] = {
            row.name: instrument(row, number) for number, row in enumerate(rules)
        }

    def tick_at(self, index: int) -> Ms | None:
        return Ms(START + index * MINUTE_MS // TICKS) if index < FUTURE_MIN * TICKS else None

    def quotes(self, index: int) -> Sequence[Quote]:
        column = self._price[:, self._past + index].tolist()
        return [Quote(name, column[row], VOLUME_UNITS) for name, row in self._row.items()]

    def last_price(self, coin: str, index: int) -> float:
        return float(self._price[self._row[coin], self._past + index])

    def forming(self, coin: str, index: int) -> Bar | None:
        place = self._past + index
        return self._bar(self._row[coin], place // TICKS, place % TICKS + 1)

    def closed(self, coin: str, interval_ms: int, first: int, before: int) -> list[Bar]:
        row = self._row[coin]
        start, end = (self._minute(at) for at in (first, before))
        if start >= end:
            return []
        minutes = self._price[row, start * TICKS : end * TICKS].reshape(-1, TICKS)
        opens = START + (np.arange(start, end) - PAST_MIN) * MINUTE_MS
        bars = opens // interval_ms
        at = np.flatnonzero(np.diff(bars, prepend=bars[0] - 1))  # the first minute of each bar
        last = np.append(at[1:], end - start) - 1
        units = (self._volume[row, start:end] * VOLUME_UNITS).astype(np.int64)
        columns = (
            bars[at] * interval_ms,
            minutes[at, 0],
            np.maximum.reduceat(minutes.max(axis=1), at),
            np.minimum.reduceat(minutes.min(axis=1), at),
            minutes[last, -1],
            np.add.reduceat(units, at),
            (last - at + 1) * TICKS,
        )
        return [Bar(*values) for values in zip(*(column.tolist() for column in columns))]

    def oldest(self, interval_ms: int) -> int:
        at = START - PAST_MIN * MINUTE_MS
        return at - at % -interval_ms

    def prepare(self, coin: str, interval_ms: int, first: int, before: int) -> Iterator[None]:
        return iter(())

    def _minute(self, at: int) -> int:
        return min(max(0, (at - START) // MINUTE_MS + PAST_MIN), PAST_MIN + FUTURE_MIN)

    def _bar(self, row: int, minute: int, ticks: int) -> Bar:
        path = self._price[row, minute * TICKS : minute * TICKS + ticks].tolist()
        opened = START + (minute - PAST_MIN) * MINUTE_MS
        volume = int(self._volume[row, minute] * VOLUME_UNITS) * ticks // TICKS
        return Bar(opened, path[0], max(path), min(path), path[-1], volume, ticks)


class Watched(SimulatedExchange):
    """Notes when a price of the rising coin leaves and when an order comes in."""

    def note_into(self, lines: TextIO) -> None:
        self._lines = lines
        plain = client.Client._put

        async def put(one: client.Client, frame: str | bytes) -> None:
            if isinstance(frame, str) and f'"coin":"{RISING}"' in frame[:80]:
                said = json.loads(frame)
                if said["channel"] == "activeAssetCtx":
                    self._note("out", said["data"]["ctx"]["markPx"])
            await plain(one, frame)

        client.Client._put = put  # type: ignore[method-assign, assignment]

    async def _on_exchange(self, request: web.Request) -> web.Response:
        at = time.monotonic()
        body = json.loads(await request.read())  # aiohttp keeps it for the second reader
        for order in body["action"].get("orders", ()):
            trigger = order["t"].get("trigger", {}).get("triggerPx", "")
            self._note("in", f"{order['c']} {trigger}", at)
        return await super()._on_exchange(request)

    def _note(self, kind: str, what: Any, at: float | None = None) -> None:
        self._lines.write(f"{kind} {at if at is not None else time.monotonic():.6f} {what}\n")


async def serve(port: int, speed: float, coins: int, folder: Path) -> None:
    """Answer until the process is ended."""
    options = SimulatorOptions(ledger=folder / "venue.db", rate_limit=False)
    made = Watched(options, Ms(START), Prices(coins))
    with (folder / "venue.log").open("w", buffering=1) as lines:
        made.note_into(lines)
        await made.serve(ScaledClock(made.start_at, speed), port=port)
        await made.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.venue")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--speed", type=float, required=True)
    parser.add_argument("--coins", type=int, default=COINS)
    parser.add_argument("--folder", type=Path, required=True)
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.speed, chosen.coins, chosen.folder))
