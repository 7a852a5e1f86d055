"""How long the loop of a real daemon is deaf: python -m benchmarks loop_stretch

Owns two runs, one of 200 symbols beside an exchange of its own process and one of the demo,
exchange, page and all in one loop; the probe is benchmarks.lag.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from http import HTTPStatus
from itertools import cycle
from pathlib import Path

import aiohttp

from benchmarks import rig
from benchmarks.figures import Figure, say, tell
from benchmarks.lag import LIMIT_MS, Probe
from bot.app.parts import Parts
from tests.daemon import wait_for

SECONDS = 60.0
# What the page asks for, and more of it at once than it does.
ROUTES = (
    *("/", "/static/main.js", "/health", "/status", "/metrics", "/breakers?limit=500"),
    *("/decisions?limit=100", "/traces?limit=500", "/traces/funnel", "/traces/report"),
    *("/equity", "/trades", "/candles?symbol=BTC&timeframe=1m&limit=240"),
)
# No trade gets through: a scan is measured, not the luck of its strategies.
NO_ENTRIES = {"MIN_TIER": "1", "MIN_AI_CONFIDENCE": "1"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both, or the one that is named; 0 when no stretch was longer than the limit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks loop_stretch")
    parser.add_argument("kind", nargs="?", choices=("scan", "demo", "both"), default="both")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--speed", default="60")
    chosen = parser.parse_args(arguments)
    worst = 0
    if chosen.kind in ("scan", "both"):
        worst = max(worst, scan(chosen.seconds, chosen.symbols, chosen.speed))
    if chosen.kind in ("demo", "both"):
        worst = max(worst, demo(chosen.seconds))
    return worst


def scan(seconds: float, symbols: int, speed: str) -> int:
    """A candle of every symbol closes each second at speed 60: it scans all the time."""
    probe = Probe()

    async def during(parts: Parts, probe: Probe) -> None:
        before, cpu = parts.road.cycles, time.process_time()
        with probe.watched():
            await asyncio.sleep(seconds)
        spent = (time.process_time() - cpu) / seconds
        say(f"  {parts.road.cycles - before} cycles in {seconds:g} s, {spent:.0%} of one core")

    with tempfile.TemporaryDirectory(prefix="keel-") as name:
        folder = Path(name)
        with rig.Venue(folder / "venue", symbols, float(speed)) as venue:
            wait_for(lambda: venue.log.exists(), 60.0, "the exchange serves")
            flags = {
                "HYPERLIQUID_BASE_URL": venue.url,
                "UNIVERSE_TOP_N": str(symbols),
                "MIN_VOLUME_24H_USD": "0",
                **NO_ENTRIES,
            }
            code = rig.run(probe, folder / "data", flags, during)
    return _told(f"{symbols} symbols, exchange in its own process", probe, code)


def demo(seconds: float) -> int:
    """As `make run`, while somebody asks every route of the page again and again."""
    probe = Probe()

    async def during(parts: Parts, probe: Probe) -> None:
        await asyncio.sleep(20)  # traces to show
        port = parts.settings.web.http_port
        with probe.watched():
            asked = await _asked(f"http://127.0.0.1:{port}", seconds)
        say(f"  {asked} requests for {len(ROUTES)} routes answered beside the event stream")

    with tempfile.TemporaryDirectory(prefix="keel-") as name:
        code = rig.run(probe, Path(name), {}, during)
    return _told("the demo, exchange and page in the same loop", probe, code)


async def _asked(url: str, seconds: float) -> int:
    """Ask every route in turn while an event stream is open; how many requests that were."""
    end, asked = time.monotonic() + seconds, 0
    async with aiohttp.ClientSession() as session, session.get(f"{url}/events") as events:
        assert events.status == HTTPStatus.OK, f"/events answers {events.status}"
        reading = asyncio.create_task(_read(events))
        for route in cycle(ROUTES):
            if time.monotonic() > end:
                break
            async with session.get(url + route) as answer:
                await answer.read()
                assert answer.status == HTTPStatus.OK, f"{route} answers {answer.status}"
            asked += 1
            await asyncio.sleep(0.3)
        assert not reading.done(), "the event stream has ended"
        reading.cancel()
    return asked


async def _read(events: aiohttp.ClientResponse) -> None:
    async for _ in events.content:
        pass


def _told(what: str, probe: Probe, code: int) -> int:
    say(f"{what} (exit code {code})")
    for line in probe.report():
        say(line)
    worst = probe.stretches.at(1.0)
    wall = probe.stretches_wall
    say(f"  longest stretch by the wall clock {wall.at(1.0):.1f} ms, p99.9 {wall.at(0.999):.1f} ms")
    return max(tell(Figure("longest stretch of the loop (CPU)", worst, LIMIT_MS, "ms")), code)


if __name__ == "__main__":
    raise SystemExit(main())
