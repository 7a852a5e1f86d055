"""The one TaskGroup: start, restart, stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from bot.domain.errors import AlreadyRunning, ConfigError
from bot.domain.types import Ms
from bot.runtime.clock import ManualClock
from bot.runtime.supervisor import Condition, Service, Supervisor
from tests.until import until


async def forever() -> None:
    await asyncio.Event().wait()


def dies(error: Exception) -> Callable[[], asyncio.Future[None]]:
    async def run() -> None:
        raise error

    return lambda: asyncio.ensure_future(run())


def build() -> tuple[Supervisor, ManualClock]:
    clock = ManualClock(Ms(0))
    return Supervisor(clock), clock


async def test_a_stop_that_was_asked_for_gives_its_exit_code() -> None:
    """The end of the data is a clean end: 0."""
    supervisor, _ = build()
    supervisor.add(Service("loop", forever, critical=True))
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.states()["loop"].condition is Condition.RUNNING)
    supervisor.request_stop(0, "end of data")
    assert await running == 0
    assert supervisor.states()["loop"].condition is Condition.STOPPED


@pytest.mark.parametrize("returns", [True, False], ids=["returns", "dies"])
async def test_the_end_of_a_critical_service_ends_the_process(returns: bool) -> None:
    """A critical service that returns or dies: exit code 1, and one line that says why."""
    supervisor, _ = build()

    async def short() -> None:
        if not returns:
            raise RuntimeError("the desk broke")

    supervisor.add(Service("desk", short, critical=True))
    supervisor.add(Service("loop", forever, critical=True))
    with capture_logs() as lines:
        async with asyncio.timeout(2):
            assert await supervisor.run() == 1
    failed = [line for line in lines if line["event"] == "service_failed"]
    assert [line["log_level"] for line in failed] == ["error"]
    assert isinstance(failed[0]["exc_info"], Exception)


async def test_a_cancellation_from_within_is_a_death() -> None:
    """A service that awaits something cancelled must not vanish without a word."""
    supervisor, _ = build()

    async def leaky() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    supervisor.add(Service("care", leaky, critical=True))
    async with asyncio.timeout(2):
        assert await supervisor.run() == 1
    assert "cancelled from within" in supervisor.states()["care"].last_error


@pytest.mark.parametrize("error", [ConfigError("DATA_DIR: no"), AlreadyRunning("pid 7")])
@pytest.mark.parametrize("critical", [True, False])
async def test_errors_for_the_operator_pass_through(error: Exception, critical: bool) -> None:
    """ConfigError and AlreadyRunning have exit codes of their own, whoever raised them."""
    supervisor, _ = build()
    supervisor.add(Service("store", dies(error), critical=critical))
    with pytest.raises(type(error)) as caught:
        async with asyncio.timeout(2):
            await supervisor.run()
    assert caught.value is error


async def test_a_service_is_restarted_with_doubling_pauses() -> None:
    """1 s, then 2 s, then 4 s of machine time."""
    supervisor, clock = build()
    starts: list[float] = []

    async def flaky() -> None:
        starts.append(clock.monotonic())
        if len(starts) < 4:
            raise RuntimeError("gone")
        await forever()

    supervisor.add(Service("page", flaky, critical=False))
    running = asyncio.create_task(supervisor.run())
    await clock.run_for(500)
    assert supervisor.states()["page"].condition is Condition.BACKING_OFF
    await clock.run_for(20_000)
    assert starts == [0, 1, 3, 7]
    assert supervisor.states()["page"].condition is Condition.RUNNING
    assert supervisor.states()["page"].restarts == 3
    supervisor.request_stop()
    assert await running == 0


async def test_a_spent_budget_gives_the_service_up_with_one_error() -> None:
    """After its restarts within an hour it is left alone; the process goes on."""
    supervisor, clock = build()
    supervisor.add(Service("page", dies(OSError("disk")), critical=False, restarts=2))
    supervisor.add(Service("desk", forever, critical=True))
    with capture_logs() as lines:
        running = asyncio.create_task(supervisor.run())
        await clock.run_for(600_000)
        state = supervisor.states()["page"]
        assert (state.condition, state.restarts) == (Condition.GIVEN_UP, 2)
        assert state.last_error == "OSError: disk"
        assert supervisor.states()["desk"].condition is Condition.RUNNING
        supervisor.request_stop()
        assert await running == 0
    errors = [line["event"] for line in lines if line["log_level"] == "error"]
    assert errors == ["service_given_up"]
    assert sum(line["event"] == "service_failed" for line in lines) == 3


async def test_the_budget_counts_the_last_hour_only() -> None:
    """One failure every 40 minutes is never too many."""
    supervisor, clock = build()
    starts: list[float] = []

    async def tires() -> None:
        starts.append(clock.monotonic())
        await clock.pause(2400)
        raise RuntimeError("tired")

    supervisor.add(Service("page", tires, critical=False, restarts=2))
    running = asyncio.create_task(supervisor.run())
    await clock.run_for(10 * 2_410_000)
    assert supervisor.states()["page"].condition is Condition.RUNNING
    assert len(starts) >= 10
    supervisor.request_stop()
    await running


async def test_a_stop_runs_its_stages_then_services_in_reverse() -> None:
    """Stages in their order while everything lives; then the last started ends first."""
    supervisor, _ = build()
    story: list[str] = []

    def service(name: str) -> Service:
        async def run() -> None:
            try:
                await forever()
            finally:
                await asyncio.sleep(0)
                story.append(name)

        return Service(name, run, critical=True)

    async def stage(name: str) -> None:
        assert supervisor.stopping.is_set()
        await asyncio.sleep(0)
        story.append(name)

    for name in ("store", "venue", "desk"):
        supervisor.add(service(name))
    supervisor.on_stop("drain", lambda: stage("drain"), 1)
    supervisor.on_stop("write", lambda: stage("write"), 1)
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.states()["desk"].condition is Condition.RUNNING)
    supervisor.request_stop()
    assert await running == 0
    assert story == ["drain", "write", "desk", "venue", "store"]


async def test_a_stage_that_hangs_or_fails_does_not_stop_the_stop() -> None:
    """Each stage has its limit; the next one runs all the same."""
    supervisor, _ = build()
    done: list[str] = []

    async def broken() -> None:
        raise RuntimeError("no")

    async def last() -> None:
        done.append("last")

    supervisor.add(Service("loop", forever, critical=True))
    supervisor.on_stop("hangs", forever, 0.02)
    supervisor.on_stop("broken", broken, 1)
    supervisor.on_stop("last", last, 1)
    supervisor.request_stop()
    with capture_logs() as lines:
        async with asyncio.timeout(2):
            assert await supervisor.run() == 0
    assert done == ["last"]
    told = [line["event"] for line in lines if line["log_level"] == "error"]
    assert told == ["stop_stage_late", "stop_stage_failed"]


async def test_a_stage_may_use_what_the_ones_before_it_left() -> None:
    """A quick drain leaves its time to the last write, which a slow disk may need."""
    supervisor, _ = build()
    done: list[str] = []

    async def quick() -> None:
        done.append("quick")

    async def slow() -> None:
        await asyncio.sleep(0.1)
        done.append("slow")

    supervisor.add(Service("loop", forever, critical=True))
    supervisor.on_stop("quick", quick, 5)
    supervisor.on_stop("slow", slow, 0.02)
    supervisor.request_stop()
    async with asyncio.timeout(5):
        assert await supervisor.run() == 0
    assert done == ["quick", "slow"]


async def test_stages_may_not_ask_for_more_than_a_stop_may_take() -> None:
    """The whole stop stays within 10 s by construction."""
    supervisor, _ = build()
    supervisor.on_stop("one", forever, 5)
    with pytest.raises(ValueError, match="together"):
        supervisor.on_stop("two", forever, 3.5)


async def test_a_service_that_will_not_end_meets_the_last_resort() -> None:
    """Past the limit of the whole stop the process is ended, naming what would not."""
    stuck: list[tuple[str, ...]] = []
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    def resort(names: tuple[str, ...]) -> None:
        stuck.append(names)
        release.set()

    supervisor = Supervisor(ManualClock(Ms(0)), stop_limit_s=0.03, last_resort=resort)
    supervisor.add(Service("stubborn", stubborn, critical=True))
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.states()["stubborn"].condition is Condition.RUNNING)
    supervisor.request_stop()
    asyncio.get_running_loop().call_later(1, release.set)  # so that a failure ends, too
    async with asyncio.timeout(2):
        assert await running == 0
    assert stuck == [("stubborn",)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_one_signal_stops_cleanly(number: int) -> None:
    """SIGTERM and SIGINT: `stopping` is set, the stages run, exit code 0."""
    supervisor, _ = build()
    ran: list[str] = []

    async def stage() -> None:
        ran.append("stage")

    supervisor.add(Service("loop", forever, critical=True))
    supervisor.on_stop("stage", stage, 1)
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.states()["loop"].condition is Condition.RUNNING)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(2):
        assert await running == 0
    assert ran == ["stage"]


@pytest.mark.parametrize("again", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_at_once(again: signal.Signals) -> None:
    """Everything is cancelled where it stands, the remaining stages are left out.

    The same one later than a moment, another one at once.
    """
    moment_s = 0.0 if again is signal.SIGTERM else 60.0
    supervisor = Supervisor(ManualClock(Ms(0)), same_signal_s=moment_s)
    story: list[str] = []

    async def slow() -> None:
        story.append("slow stage")
        await forever()

    async def never() -> None:
        story.append("never")

    async def service() -> None:
        try:
            await forever()
        finally:
            story.append("service ended")

    supervisor.add(Service("loop", service, critical=True))
    supervisor.on_stop("slow", slow, 5)
    supervisor.on_stop("never", never, 1)
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.states()["loop"].condition is Condition.RUNNING)
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: story)
    os.kill(os.getpid(), again)
    async with asyncio.timeout(1):
        assert await running == 128 + again
    assert story == ["slow stage", "service ended"]


async def test_the_same_signal_handed_on_is_one_signal() -> None:
    """`make` hands on what the whole group was sent: the stop goes on in order, exit code 0."""
    supervisor = Supervisor(ManualClock(Ms(0)), same_signal_s=60.0)
    story: list[str] = []

    async def stage() -> None:
        story.append("begun")
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.01)
        story.append("done")

    supervisor.add(Service("loop", forever, critical=True))
    supervisor.on_stop("stage", stage, 1)
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.states()["loop"].condition is Condition.RUNNING)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(2):
        assert await running == 0
    assert story == ["begun", "done"]


async def test_a_service_that_leaves_by_itself_at_stop_is_no_failure() -> None:
    """Watching `stopping` and returning is polite."""
    supervisor, _ = build()

    async def polite() -> None:
        await supervisor.stopping.wait()

    supervisor.add(Service("polite", polite, critical=True))
    supervisor.request_stop()
    with capture_logs() as lines:
        assert await supervisor.run() == 0
    assert all(line["event"] != "service_failed" for line in lines)


def test_a_name_is_given_once() -> None:
    """Two services of one name could not be told apart in /status."""
    supervisor, _ = build()
    supervisor.add(Service("page", forever, critical=False))
    with pytest.raises(ValueError, match="twice"):
        supervisor.add(Service("page", forever, critical=False))
