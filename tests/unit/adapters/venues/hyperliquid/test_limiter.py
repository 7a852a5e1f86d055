"""The weight limiter: never beyond the venue's minute, exits first, polling last."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.venues.hyperliquid.limiter import (
    PENALTY_FIRST_MS,
    WINDOW_MS,
    Priority,
    Shed,
    WeightLimiter,
    action_weight,
    answer_weight,
    info_weight,
)
from bot.domain.types import Ms
from bot.runtime.clock import ManualClock

START = Ms(1_000_000)


def build(per_minute: int = 1000, **options: int) -> tuple[ManualClock, WeightLimiter]:
    clock = ManualClock(START)
    return clock, WeightLimiter(clock, per_minute, Random(1), **options)


async def test_weight_beyond_the_minute_waits_for_market_time() -> None:
    """What does not fit waits until the oldest spending is a minute old."""
    clock, limiter = build()
    await limiter.acquire(1000, Priority.EXIT)
    waiting = asyncio.ensure_future(limiter.acquire(10, Priority.EXIT))
    await clock.run_for(WINDOW_MS - 1)
    assert not waiting.done()
    await clock.run_for(1)
    assert waiting.done()


async def test_polling_never_eats_the_reserve() -> None:
    """However much is polled, an exit and an entry still go at once."""
    clock, limiter = build()
    polls = [asyncio.ensure_future(limiter.acquire(20, Priority.POLLING)) for _ in range(60)]
    await clock.run_for(0)
    assert limiter.used == 700
    await limiter.acquire(50, Priority.ENTRY)
    await limiter.acquire(50, Priority.EXIT)
    assert clock.now() == START
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)


async def test_exits_overtake_entries_overtake_questions_overtake_polling() -> None:
    """Those who wait go by importance, and within one by arrival."""
    clock, limiter = build()
    await limiter.acquire(1000, Priority.EXIT)
    order: list[str] = []

    async def one(name: str, priority: Priority) -> None:
        await limiter.acquire(100, priority)
        order.append(name)

    wishes = [
        ("poll", Priority.POLLING),
        ("account", Priority.ACCOUNT),
        ("entry", Priority.ENTRY),
        ("exit 1", Priority.EXIT),
        ("exit 2", Priority.EXIT),
    ]
    tasks = [asyncio.ensure_future(one(*wish)) for wish in wishes]
    await clock.run_for(WINDOW_MS)
    await asyncio.gather(*tasks)
    assert order == ["exit 1", "exit 2", "entry", "account", "poll"]


@given(st.lists(st.tuples(st.integers(1, 150), st.sampled_from(Priority)), max_size=40))
def test_no_minute_ever_holds_more_than_the_limit(wishes: list[tuple[int, Priority]]) -> None:
    """Whatever is asked for, every window of a minute stays within the weight."""

    async def play() -> list[tuple[int, int]]:
        clock, limiter = build(300)
        spent: list[tuple[int, int]] = []

        async def one(weight: int, priority: Priority) -> None:
            await limiter.acquire(weight, priority)
            spent.append((clock.now(), weight))

        tasks = [asyncio.ensure_future(one(*wish)) for wish in wishes]
        await clock.run_for(60 * WINDOW_MS)
        await asyncio.gather(*tasks)
        return spent

    spent = asyncio.run(play())
    assert len(spent) == len(wishes)
    for at, _ in spent:
        assert sum(weight for when, weight in spent if at - 60_000 < when <= at) <= 300


async def test_a_429_sheds_polling_and_delays_the_rest_but_hardly_an_exit() -> None:
    """Exits and cancels are never dropped and barely wait; polling is refused."""
    clock, limiter = build()
    limiter.penalise()
    with pytest.raises(Shed) as caught:
        await limiter.acquire(2, Priority.POLLING)
    assert caught.value.retry_after_s is not None
    exit_, entry = (
        asyncio.ensure_future(limiter.acquire(1, priority))
        for priority in (Priority.EXIT, Priority.ENTRY)
    )
    await clock.run_for(500)
    assert exit_.done() and not entry.done()
    await clock.run_for(2 * PENALTY_FIRST_MS)
    assert entry.done()


async def test_polling_that_waits_is_shed_by_a_429() -> None:
    """What waits for its turn gives up its place, too."""
    clock, limiter = build()
    await limiter.acquire(1000, Priority.EXIT)
    polls = [asyncio.ensure_future(limiter.acquire(20, Priority.POLLING)) for _ in range(3)]
    await clock.run_for(0)
    limiter.penalise()
    await clock.run_for(WINDOW_MS)
    results = await asyncio.gather(*polls, return_exceptions=True)
    assert all(isinstance(result, Shed) for result in results)


async def test_penalties_double_until_an_answer_comes() -> None:
    """Seeded jitter, doubling, and small again after success."""
    clock, limiter = build()
    lengths = []
    for _ in range(3):
        limiter.penalise()
        limiter.penalise()  # the burst counts once
        begun = clock.now()
        waiting = asyncio.ensure_future(limiter.acquire(1, Priority.ENTRY))
        while not waiting.done():
            await clock.run_for(100)
        lengths.append(clock.now() - begun)
    for n, length in enumerate(lengths):
        assert PENALTY_FIRST_MS * 2**n <= length <= 2 * PENALTY_FIRST_MS * 2**n + 100
    limiter.answered()
    limiter.penalise()
    waiting = asyncio.ensure_future(limiter.acquire(1, Priority.ENTRY))
    await clock.run_for(2 * PENALTY_FIRST_MS)
    assert waiting.done()


async def test_the_queue_is_bounded_but_not_for_exits() -> None:
    """A full queue refuses everything except exits."""
    clock, limiter = build(max_waiting=2)
    await limiter.acquire(1000, Priority.EXIT)
    waiting = [asyncio.ensure_future(limiter.acquire(1, Priority.ENTRY)) for _ in range(2)]
    await clock.run_for(0)
    with pytest.raises(Shed):
        await limiter.acquire(1, Priority.ENTRY)
    last = asyncio.ensure_future(limiter.acquire(1, Priority.EXIT))
    await clock.run_for(WINDOW_MS)
    assert last.done()
    await asyncio.gather(*waiting)


async def test_a_cancelled_waiter_gives_its_place_away() -> None:
    """Nobody waits behind a task that is gone."""
    clock, limiter = build()
    await limiter.acquire(1000, Priority.EXIT)
    first = asyncio.ensure_future(limiter.acquire(500, Priority.EXIT))
    second = asyncio.ensure_future(limiter.acquire(1, Priority.EXIT))
    await clock.run_for(0)
    first.cancel()
    await clock.run_for(WINDOW_MS)
    assert second.done() and not second.cancelled()
    assert limiter.waiting == 0


def test_weights_are_those_of_the_docs() -> None:
    """Cheap questions 2, others 20, roles 60; long answers cost more afterwards."""
    assert info_weight("clearinghouseState") == 2
    assert info_weight("userRole") == 60
    assert info_weight("meta") == info_weight("candleSnapshot") == 20
    assert answer_weight("candleSnapshot", [0] * 5000) == 83
    assert answer_weight("userFillsByTime", [0] * 2000) == 100
    assert answer_weight("meta", {}) == answer_weight("meta", [0] * 99) == 0
    assert action_weight(1) == 1
    assert action_weight(40) == 2


class SetClock(ManualClock):
    """Its time can be set back, as a machine's wall clock can."""

    back_ms = 0

    def now(self) -> Ms:
        return Ms(super().now() - self.back_ms)


async def test_a_request_that_waits_while_the_clock_is_set_back_goes_soon() -> None:
    """Asleep for its weight when the hour begins again: two windows at most, not the hour."""
    clock = SetClock(START)
    limiter = WeightLimiter(clock, 1000, Random(1))
    await limiter.acquire(1000, Priority.EXIT)
    waiting = asyncio.ensure_future(limiter.acquire(20, Priority.EXIT))
    await clock.run_for(WINDOW_MS // 2)
    clock.back_ms = 3_600_000
    await clock.run_for(WINDOW_MS // 2)
    assert not waiting.done(), "the venue may still count what was spent"
    await clock.run_for(WINDOW_MS + 1)
    assert waiting.done() and limiter.used == 20


async def test_a_clock_that_is_set_back_before_an_answer_is_weighed_binds_nothing_either() -> None:
    """The answer's own weight comes after what was spent in the hour that begins again."""
    clock = SetClock(START)
    limiter = WeightLimiter(clock, 1000, Random(1))
    await limiter.acquire(980, Priority.EXIT)
    clock.back_ms = 3_600_000
    limiter.charge(20)
    waiting = asyncio.ensure_future(limiter.acquire(20, Priority.EXIT))
    await clock.run_for(WINDOW_MS - 1)
    assert not waiting.done()
    await clock.run_for(1)
    assert waiting.done() and limiter.used == 20


async def test_a_clock_that_is_set_back_binds_nothing_for_longer_than_a_window() -> None:
    """Weight spent, and a pause begun, in an hour that comes again: both end as ever."""
    clock = SetClock(START)
    limiter = WeightLimiter(clock, 1000, Random(1))
    await limiter.acquire(1000, Priority.EXIT)
    limiter.penalise()
    clock.back_ms = 3_600_000
    assert limiter.used == 1000, "the venue still counts it"
    task = asyncio.ensure_future(limiter.acquire(20, Priority.ACCOUNT))
    for _ in range(WINDOW_MS // 1000 + 1):
        assert not task.done()
        clock.advance(1000)
        for _ in range(4):
            await asyncio.sleep(0)
        if task.done():
            break
    await asyncio.wait_for(task, 1)
    assert limiter.used == 20
