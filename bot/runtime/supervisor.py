"""Owns the one TaskGroup of the process: starting, restarting and stopping its services.

Refuses to know what a service does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from bot.domain.errors import AlreadyRunning, ConfigError
from bot.ports import Clock

log = structlog.get_logger(__name__)

STOP_LIMIT_S = 10.0  # spec 40 "Stopping": exit 0 within 10 s
STAGES_LIMIT_S = 8.0  # what the stages may ask for together; the rest is for cancelling services
CANCEL_LIMIT_S = 1.0  # for one service to end once cancelled
RESTART_WINDOW_S = 3600.0
LONGEST_BACKOFF_S = 60.0
SAME_SIGNAL_S = 0.5  # `make` hands on what the whole process group was sent: one wish, twice
CRASHED = 1


@dataclass(frozen=True, slots=True)
class Service:
    """A coroutine that is meant to run for ever.

    A critical one that dies or returns ends the process with exit code 1. Another one is started
    again after `backoff_s`, doubled with each restart up to a minute, at most `restarts` times in
    an hour; then it is given up.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    critical: bool
    restarts: int = 5
    backoff_s: float = 1.0


class Condition(StrEnum):
    """Where a service stands."""

    WAITING = "waiting"  # not started yet
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    GIVEN_UP = "given_up"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What /status shows of a service."""

    name: str
    critical: bool
    condition: Condition = Condition.WAITING
    restarts: int = 0
    last_error: str = ""


class _Returned(Exception):
    """A service ended although it is meant to run for ever."""


class _Leave(Exception):
    """Ends the TaskGroup: its `cancel` is too new to lean on."""


@dataclass(frozen=True, slots=True)
class _Stage:
    name: str
    run: Callable[[], Awaitable[object]]
    limit_s: float


def end_at_once(stuck: tuple[str, ...]) -> None:
    """End the process without its leave; safe, since a kill at any instant loses nothing."""
    log.error("stop_took_too_long", limit_s=STOP_LIMIT_S, unfinished=stuck, remedy="report this")
    logging.shutdown()
    os._exit(CRASHED)


class Supervisor:
    """Starts services in the order of `add`, and stops them in reverse.

    `stopping` is set when a stop is asked for. The stages of `on_stop` run first, while all
    services still live. A second signal ends everything at once, without the stages; the same
    one again within `same_signal_s` of machine time is the first one, handed on by somebody.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        stop_limit_s: float = STOP_LIMIT_S,
        same_signal_s: float = SAME_SIGNAL_S,
        last_resort: Callable[[tuple[str, ...]], None] = end_at_once,
    ) -> None:
        self.stopping = asyncio.Event()
        self._clock = clock
        self._stop_limit_s = stop_limit_s
        self._same_signal_s = same_signal_s
        self._signal: tuple[int, float] | None = None  # the first one, and when
        self._last_resort = last_resort
        self._services: list[Service] = []
        self._states: dict[str, ServiceState] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stages: list[_Stage] = []
        self._leave = asyncio.Event()
        self._exit_code = 0
        self._fatal: ConfigError | AlreadyRunning | None = None

    def add(self, service: Service) -> None:
        """Register a service. Raises ValueError for a name that is taken."""
        if service.name in self._states:
            raise ValueError(f"service {service.name!r} is registered twice")
        self._services.append(service)
        self._states[service.name] = ServiceState(service.name, service.critical)

    def on_stop(self, name: str, run: Callable[[], Awaitable[object]], limit_s: float) -> None:
        """Register a stage of the stop. Raises ValueError when all together exceed 8 s."""
        asked_s = sum(stage.limit_s for stage in self._stages) + limit_s
        if asked_s > STAGES_LIMIT_S:
            raise ValueError(
                f"stop stage {name!r}: the stages may take {STAGES_LIMIT_S} s together, "
                f"with this one they ask for {asked_s} s"
            )
        self._stages.append(_Stage(name, run, limit_s))

    def states(self) -> Mapping[str, ServiceState]:
        """All services in order of registration."""
        return dict(self._states)

    def request_stop(self, exit_code: int = 0, why: str = "asked for") -> None:
        """Begin to stop; later calls only raise an exit code of 0."""
        self._exit_code = self._exit_code or exit_code
        if not self.stopping.is_set():
            self.stopping.set()
            log.info("stopping", why=why, exit_code=self._exit_code)

    async def run(self, signals: Sequence[int] = (signal.SIGTERM, signal.SIGINT)) -> int:
        """Run everything until a stop; gives the exit code.

        Raises ConfigError or AlreadyRunning when a service raised it, after the stop.
        """
        loop = asyncio.get_running_loop()
        for number in signals:
            loop.add_signal_handler(number, self._signalled, number)
        alarm: list[asyncio.TimerHandle] = []
        try:
            async with asyncio.TaskGroup() as group:
                for service in self._services:
                    self._start(group, service)
                await self.stopping.wait()
                alarm.append(loop.call_later(self._stop_limit_s, self._too_late))
                stop = group.create_task(self._stop_in_order(), name="stop")
                stop.add_done_callback(lambda _: self._leave.set())
                await self._leave.wait()
                raise _Leave
        except* _Leave:
            pass
        finally:
            for handle in alarm:
                handle.cancel()
            for number in signals:
                loop.remove_signal_handler(number)
        log.info("stopped", exit_code=self._exit_code)
        if self._fatal is not None:
            raise self._fatal
        return self._exit_code

    # --- services -------------------------------------------------------------------

    def _start(self, group: asyncio.TaskGroup, service: Service) -> None:
        self._tasks[service.name] = group.create_task(self._keep(service), name=service.name)

    async def _keep(self, service: Service) -> None:
        """Run a service for as long as its budget lasts."""
        restarts: deque[float] = deque()
        while True:
            error = await self._run_once(service)
            if self.stopping.is_set():
                self._note(service, condition=Condition.STOPPED)
                return
            if service.critical or isinstance(error, ConfigError | AlreadyRunning):
                self._note(service, condition=Condition.STOPPED)
                self._end_by(service, error)
                return
            now = self._clock.monotonic()
            while restarts and now - restarts[0] >= RESTART_WINDOW_S:
                restarts.popleft()
            if len(restarts) >= service.restarts:
                self._give_up(service)
                return
            restarts.append(now)
            await self._back_off(service, len(restarts))

    async def _run_once(self, service: Service) -> Exception:
        """Run a service to its end, and say how it ended."""
        self._note(service, condition=Condition.RUNNING)
        log.info("service_started", service=service.name)
        error: Exception
        try:
            await service.run()
            error = _Returned(f"service {service.name} ended; it is meant to run for ever")
            if self.stopping.is_set():
                return error  # it saw the stop itself
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.stopping.is_set() or (task is not None and task.cancelling()):
                self._note(service, condition=Condition.STOPPED)
                raise
            # Nobody cancelled the service: it awaited something that was.
            error = _Returned(f"service {service.name} was cancelled from within")
        except Exception as caught:  # noqa: BLE001 - the border: one service, not the process
            error = caught
        self._note(service, last_error=f"{type(error).__name__}: {error}")
        if not isinstance(error, ConfigError | AlreadyRunning):  # these have their own last words
            tell = log.error if service.critical else log.warning
            tell("service_failed", service=service.name, critical=service.critical, exc_info=error)
        return error

    def _end_by(self, service: Service, error: Exception) -> None:
        if isinstance(error, ConfigError | AlreadyRunning):
            self._fatal = self._fatal or error
        self.request_stop(CRASHED, why=f"service {service.name} died")

    def _give_up(self, service: Service) -> None:
        self._note(service, condition=Condition.GIVEN_UP)
        log.error(
            "service_given_up",
            service=service.name,
            restarts=service.restarts,
            within_s=RESTART_WINDOW_S,
            error=self._states[service.name].last_error,
            remedy="the rest runs on without it; restart Keel once the cause is mended",
        )

    async def _back_off(self, service: Service, restart: int) -> None:
        self._note(service, condition=Condition.BACKING_OFF)
        wait_s = min(service.backoff_s * 2 ** (restart - 1), LONGEST_BACKOFF_S)
        await self._clock.wait(self.stopping, wait_s)
        self._note(service, restarts=self._states[service.name].restarts + 1)

    def _note(self, service: Service, **changes: object) -> None:
        self._states[service.name] = replace(self._states[service.name], **changes)  # type: ignore[arg-type]

    # --- stopping -------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        name, now = signal.Signals(number).name, asyncio.get_running_loop().time()
        if self._signal is None:
            self._signal = number, now
            if not self.stopping.is_set():
                self.request_stop(why=name)
                return
        elif number == self._signal[0] and now - self._signal[1] < self._same_signal_s:
            return
        log.warning("stopping_at_once", why=f"{name} again", note="stops rest at the venue")
        self._exit_code = self._exit_code or 128 + number  # the shell's convention
        self._leave.set()

    async def _stop_in_order(self) -> None:
        """Run the stages; what one leaves of its time the next may use, on a slow disk say."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for stage in self._stages:
            due += stage.limit_s
            await self._run_stage(stage, due)
        for service in reversed(self._services):
            task = self._tasks[service.name]
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_LIMIT_S)

    async def _run_stage(self, stage: _Stage, due: float) -> None:
        try:
            async with asyncio.timeout_at(due):
                await stage.run()
        except TimeoutError:
            log.error("stop_stage_late", stage=stage.name, limit_s=stage.limit_s)
        except Exception:
            log.exception("stop_stage_failed", stage=stage.name)

    def _too_late(self) -> None:
        running = [name for name, task in self._tasks.items() if not task.done()]
        self._last_resort(tuple(running))
