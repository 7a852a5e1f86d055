"""The council against a real server: how long it takes, and whether the money is right.

Owns the figures of asking; what a council decides is in tests/scenarios. Needs node and aimock
(npm ci --prefix tests/peers).
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from benchmarks.figures import Figure, say, tell
from bot.adapters.seats.model import AskPolicy
from bot.domain.types import ANSWERED, Ms, Question, TraceId
from bot.pipeline.council import Heard
from bot.pipeline.trace import Trail
from tests.aimock import Aimock, Fixture, answer, fails, missing, replies
from tests.daemon import Daemon
from tests.scenarios.councils import everybody, settings
from tests.scenarios.test_council import GOOD, NAMES, QUICK, sitting
from tests.unit.adapters.seats.given import question

ROUNDS = 5
CALLS = 1_000
AT_ONCE = 20
ANSWER_MS = 1_000
TOGETHER_S = 1.15  # three models answering in 1.0 s each
LEAST_CENTS = 0.5  # equal to the cent
BEYOND_S = 0.1  # past the deadline, with one hanging
DEADLINE_S = 2.0
DAEMON_LIMIT_S = 1_800.0
CALM = AskPolicy(deadline_s=30.0, attempt_s=10.0, attempts=1, breaker_threshold=100_000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 when every limit is met, 1 when not, 2 when the server is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks council")
    parser.add_argument("--daemon", action="store_true", help="the whole daemon at speed 1 too")
    chosen = parser.parse_args(arguments)
    if why := missing():
        say(f"not measured: {why}")
        return 2
    with tempfile.TemporaryDirectory(prefix="keel-") as name:
        folder = Path(name)
        with Aimock(folder / "aimock", GOOD) as server:
            worst = max(asyncio.run(kind(server)) for kind in (_together, _hanging, _money))
            if chosen.daemon:
                worst = max(worst, _daemon(folder, server))
    return worst


async def _together(server: Aimock) -> int:
    server.give([replies(name, answer(), latency_ms=ANSWER_MS) for name in NAMES])
    policy = replace(QUICK, deadline_s=10.0, attempt_s=5.0)
    taken = [await _cycle(server, policy) for _ in range(ROUNDS)]
    return tell(Figure("three models at 1.0 s, slowest council", max(taken), TOGETHER_S, "s"))


async def _hanging(server: Aimock) -> int:
    hanging = replies(NAMES[2], answer(), latency_ms=30_000)
    server.give([*GOOD[:2], hanging])
    policy = AskPolicy(deadline_s=DEADLINE_S, attempt_s=DEADLINE_S, attempts=1)
    taken = [await _cycle(server, policy) for _ in range(ROUNDS)]
    name = f"one hanging, deadline {DEADLINE_S:g} s, slowest council"
    return tell(Figure(name, max(taken), DEADLINE_S + BEYOND_S, "s"))


async def _cycle(server: Aimock, policy: AskPolicy) -> float:
    """Seconds between putting the question and hearing the council; late answers come after."""
    async with sitting(server.url, policy=policy) as table:
        council, taken = table.made.council, list[float]()
        deliberate = council.deliberate

        async def timed(question: Question, trail: Trail, next_close: Ms) -> Heard:
            began = time.perf_counter()
            heard = await deliberate(question, trail, next_close)
            taken.append(time.perf_counter() - began)
            return heard

        council.deliberate = timed  # type: ignore[method-assign]
        await table.sit()
        return taken[0]


async def _money(server: Aimock) -> int:
    """Mixed calls; what is booked against what the server says it served."""
    first, second, third = NAMES
    server.give([replies(first, answer()), replies(second, "no JSON"), fails(third, 500, "broken")])
    before = len(server.journal())
    policy = replace(CALM, attempt_s=30.0)
    async with sitting(server.url, policy=policy) as table:
        for seat in table.seats:
            seat._limit.take = lambda: 0.0  # type: ignore[method-assign]
            seat._limit.wait_s = lambda: 0.0  # type: ignore[method-assign]
        table.seats[0]._purse.limits = replace(table.seats[0]._purse.limits, per_day=Decimal(1_000))
        began = time.perf_counter()
        for start in range(0, CALLS, AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, CALLS))
            await asyncio.gather(*(table.seats[n % 3].ask(_asked(n)) for n in numbers))
        seconds = time.perf_counter() - began
        await table.seats[0]._purse.flush()
        booked = sum((row.cost for row in table.store.rows.values()), Decimal(0))
        standing = sum((row.reserved for row in table.store.rows.values()), Decimal(0))
        answered = sum(row.kind == ANSWERED for row in table.store.rows.values())
    served = _served(server, before)
    say(f"{CALLS} mixed calls in {seconds:.1f} s, {answered} answered, {standing} USD reserved")
    say(f"booked {booked} USD, the server's journal {served} USD")
    assert booked > 0, "nothing was booked"
    cents = float(100 * abs(booked - served))
    return tell(Figure("booked beside what the server served", cents, LEAST_CENTS, "c"))


def _served(server: Aimock, before: int) -> Decimal:
    """Tokens of the journal's replies at the prices of `sitting`: 0.5 in, 2 out a million."""
    total = Decimal(0)
    for entry in server.journal()[before:]:
        fixture: Fixture = entry["response"].get("fixture") or {}
        usage = (fixture.get("response") or {}).get("usage")
        if entry["response"]["status"] == 200 and usage:
            total += usage["prompt_tokens"] * Decimal("0.5") + usage["completion_tokens"] * 2
    return total / 1_000_000


def _asked(number: int) -> Question:
    return replace(question(), trace_id=TraceId(f"BTC-20261121T1200-{number}"))


def _daemon(folder: Path, server: Aimock) -> int:
    """As it comes: speed 1, the rules asked to stand aside, until the council has opened."""
    server.give(everybody(OPENAI=ANSWER_MS, GROK=ANSWER_MS, DEEPSEEK=ANSWER_MS))
    with Daemon(folder / "daemon", settings=settings(server.url, DEMO_SPEED=1)) as daemon:
        daemon.healthy()
        began = time.monotonic()
        status = daemon.until(lambda s: s["positions"], DAEMON_LIMIT_S, "a position at speed 1")
        say(
            f"the daemon at speed 1: {status['positions'][0]['trace_id']} opened after "
            f"{time.monotonic() - began:.0f} s, {status['models']['cost_usd']} USD"
        )
        return int(daemon.terminate() != 0 or bool(daemon.errors()))


if __name__ == "__main__":
    raise SystemExit(main())
