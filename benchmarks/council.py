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
from pathlib import Path

from benchmarks.council_money import money
from benchmarks.figures import Figure, say, tell
from bot.adapters.seats.model import AskPolicy
from bot.domain.types import Ms, Question
from bot.pipeline.council import Heard
from bot.pipeline.trace import Trail
from tests.aimock import Aimock, answer, missing, replies
from tests.scenarios.test_council import GOOD, NAMES, QUICK, sitting

ROUNDS = 5
ANSWER_MS = 1_000
TOGETHER_S = 1.15  # three models answering in 1.0 s each
BEYOND_S = 0.1  # past the deadline, with one hanging
DEADLINE_S = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 when every limit is met, 1 when not, 2 when the server is not installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks council")
    parser.parse_args(arguments)
    if why := missing():
        say(f"not measured: {why}")
        return 2
    with tempfile.TemporaryDirectory(prefix="keel-") as name:
        folder = Path(name)
        with Aimock(folder / "aimock", GOOD) as server:
            worst = max(asyncio.run(kind(server)) for kind in (_together, _hanging))
            return max(worst, asyncio.run(money(server, folder / "books")))


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


if __name__ == "__main__":
    raise SystemExit(main())
