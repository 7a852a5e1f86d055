"""What /health says of each thing that the daemon leans on, and a log line when one changes.

Owns the components and their limits; reads what others know and mends nothing.
"""

from __future__ import annotations

import asyncio

import structlog

from bot.app.clock_view import clock_component
from bot.app.model_view import model_components
from bot.app.parts import Parts
from bot.pipeline.facts import Fact
from bot.runtime.resources import DiskMeter, ResourceMeter
from bot.runtime.supervisor import Condition, Supervisor
from bot.web.view import Component, HealthState

STALE_RECONCILE_S = 120.0
INTERVALS_MISSED = 3  # scan intervals without a finished cycle
# However fast the market runs, a cycle may gather proposals for 5 s of machine time (spec 05).
SHORTEST_STILL_S = 15.0
# A day of traces and its backup fit in the first; the log, the spool and the money in the second.
LOW_DISK_MB = 1_000.0
NO_DISK_MB = 100.0
WATCH_S = 10.0

log = structlog.get_logger(__name__)


class DaemonHealth:
    """The components, worst news included; `watch` is a service that tells of changes."""

    def __init__(
        self, parts: Parts, supervisor: Supervisor, disk: DiskMeter, resources: ResourceMeter
    ) -> None:
        self._parts = parts
        self._resources = resources
        self._supervisor = supervisor
        self._disk = disk
        self._cycle_at: float | None = None  # machine time; None: no cycle is expected
        self._told: dict[str, HealthState] = {}
        parts.facts.listen(self._note)

    def expect_cycles(self, wanted: bool) -> None:
        """From now on a cycle is due each interval, or none is."""
        self._cycle_at = self._parts.world.clock.monotonic() if wanted else None

    def _note(self, fact: Fact) -> None:
        if fact.name == "cycle_done" and self._cycle_at is not None:
            self._cycle_at = self._parts.world.clock.monotonic()

    def components(self) -> tuple[Component, ...]:
        """All of them; from memory."""
        return (
            self._database(),
            self._venue(),
            clock_component(self._parts),
            self._market_data(),
            self._reconciled(),
            self._scheduler(),
            self._disk_space(),
            self._services(),
            *model_components(self._parts.models),
        )

    @property
    def cycle_age_s(self) -> float | None:
        """Machine seconds since a cycle was finished; None while none is expected."""
        if self._cycle_at is None:
            return None
        return self._parts.world.clock.monotonic() - self._cycle_at

    @property
    def cycle_limit_s(self) -> float:
        """Machine seconds after which a scan stands still; in lockstep of market time."""
        intervals_s = INTERVALS_MISSED * self._parts.scan.interval_ms / 1000
        return max(SHORTEST_STILL_S, intervals_s / self._parts.world.speed)

    async def watch(self) -> None:
        """Service: look at disk and process, say once when a component gets worse or well again."""
        while True:
            await asyncio.to_thread(self._resources.look)
            await asyncio.to_thread(self._disk.look)  # a network disk that hangs holds no loop
            self.tell_changes()
            await asyncio.sleep(WATCH_S)  # on the loop: no deadline of market time

    def tell_changes(self) -> None:
        """One line a change; before the first cycle is due nothing is told."""
        if self._cycle_at is None:
            return
        for one in self.components():
            before = self._told.get(one.name, HealthState.OK)
            self._told[one.name] = one.state
            if one.state is before:
                continue
            if one.state is HealthState.OK:
                log.info("component_well", component=one.name)
            else:
                log.warning(
                    "component_unwell",
                    component=one.name,
                    state=one.state.value,
                    detail=one.detail,
                )

    def _database(self) -> Component:
        backlog = self._parts.store.traces.backlog()
        if self._parts.rows.away:
            waiting = self._parts.rows.backlog
            rows = "1 money row waits" if waiting == 1 else f"{waiting} money rows wait"
            return Component("database", HealthState.FAILING, f"away; {rows}")
        return Component("database", HealthState.OK, f"{backlog} traces queued")

    def _venue(self) -> Component:
        if self._parts.hyperliquid.venue.healthy():
            return Component("venue", HealthState.OK)
        state = HealthState.DEGRADED if self._cycle_at is not None else HealthState.FAILING
        return Component("venue", state, "stream or requests do not work now")

    def _market_data(self) -> Component:
        limit = self._parts.policies.limits.max_mark_age_s
        feed = self._parts.hyperliquid.feed
        symbols = self._parts.scan.universe.symbols
        stale = [symbol for symbol in symbols if feed.confirmed_age_s(symbol) > limit]
        if not stale:
            return Component("market_data", HealthState.OK, f"{len(symbols)} symbols")
        detail = f"{len(stale)} of {len(symbols)} symbols older than {limit:g} s: {stale[0]} …"
        return Component("market_data", HealthState.DEGRADED, detail)

    def _reconciled(self) -> Component:
        at = self._parts.reconcile.last_at
        if at is None:
            return Component("reconciliation", HealthState.DEGRADED, "not done yet")
        age = self._parts.world.clock.monotonic() - at
        lockstep = self._parts.world.lockstep is not None
        late = age > STALE_RECONCILE_S and not lockstep
        state = HealthState.DEGRADED if late else HealthState.OK
        return Component("reconciliation", state, f"{age:.0f} s ago")

    def _scheduler(self) -> Component:
        age, limit = self.cycle_age_s, self.cycle_limit_s
        if age is None:
            return Component("scheduler", HealthState.OK, "no cycle is due")
        if age <= limit:
            return Component("scheduler", HealthState.OK, f"last cycle {age:.0f} s ago")
        detail = f"no cycle for {age:.0f} s, one is due within {limit:.0f} s"
        return Component("scheduler", HealthState.DEGRADED, detail)

    def _disk_space(self) -> Component:
        free = self._disk.free_mb
        if free is None:
            return Component("disk", HealthState.OK, "not looked at yet")
        detail = f"{free / 1000:.1f} GB free"
        if free >= LOW_DISK_MB:
            return Component("disk", HealthState.OK, detail)
        state = HealthState.DEGRADED if free >= NO_DISK_MB else HealthState.FAILING
        return Component("disk", state, f"{free:.0f} MB free in {self._disk.folder}; make room")

    def _services(self) -> Component:
        given_up = [
            state.name
            for state in self._supervisor.states().values()
            if state.condition is Condition.GIVEN_UP
        ]
        if given_up:
            return Component("services", HealthState.DEGRADED, f"given up: {', '.join(given_up)}")
        return Component("services", HealthState.OK)
