"""The trace report and the why-not of a world, read from its database; a daemon may run beside.

Owns opening the database read-only and gathering what the reports ask for; the figures are
`bot.research.reports`'.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store import report_rows as rows
from bot.adapters.store.place import Place
from bot.adapters.store.read_only import look_at_spool, reading, ready_to_read, size_of
from bot.adapters.store.report_rows import Asked as Window
from bot.app.coins import meant, near
from bot.app.running import ask_status, owner_of, place_named
from bot.app.world import world_name
from bot.domain.breakers import BreakerBook, book_from_mapping
from bot.domain.errors import ConfigError, Misasked
from bot.domain.portfolio import to_micro_cents
from bot.domain.types import Ms
from bot.ports import Clock
from bot.research.reports.held import held
from bot.research.reports.tally import Tally, TradeTally
from bot.research.reports.trace_report import Found, report
from bot.research.reports.whynot import Asked, Misses, Standing, why_not
from config.settings import Settings

HOUR_MS = 3_600_000
MOST_TRACES = 100_000  # read in a few seconds
KEEP_S = 30.0  # an answer for the page is given again for so long
_UNITS = {"m": 60_000, "h": HOUR_MS, "d": 24 * HOUR_MS}
_SPAN = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([mhd])")


def trace_report(
    settings: Settings, since: str | None, symbol: str | None, limit: int = MOST_TRACES
) -> Mapping[str, object]:
    """The report for the terminal. `since`: 24h, 7d, 30m or ISO 8601, of market time.

    Raises ConfigError for what cannot be understood and for a database that is not there.
    """
    return asyncio.run(_trace_report(settings, since, symbol, limit))


async def _trace_report(
    settings: Settings, since: str | None, symbol: str | None, limit: int
) -> Mapping[str, object]:
    place = database_of(settings)
    await ready_to_read(place)
    start = Ms(0)
    if since is not None:
        async with reading(place) as db:
            start = moment(since, await rows.last_moment(db))
    return await trace_report_of(place, start, symbol, limit)


async def trace_report_of(
    place: Place, since: Ms, symbol: str | None, limit: int
) -> Mapping[str, object]:
    """The report of one database from `since` on.

    Raises TransientError, and Misasked for a coin that nothing is recorded of.
    """
    tally, trades = Tally(), TradeTally()
    async with reading(place) as db:
        symbol = None if symbol is None else await _recorded_name(db, symbol)
        asked = Window(since, symbol)
        stored = await rows.count_traces(db, asked)
        async for trace in rows.stream_traces(db, asked, limit):
            tally.add(trace)
        # Trades of the very traces that were counted, so that every figure has one window.
        first = Ms(tally.first_at) if tally.first_at is not None else since
        async for trade in rows.stream_trades(db, Window(first, symbol)):
            trades.add(trade)
        enabled, _ = await _policies(db, tally.fingerprint)
        events = await rows.breaker_events(db, first)
        breakers = held(events, int(first), int(await rows.last_moment(db)))
    return report(Found(tally, trades, stored, await size_of(place), enabled, breakers))


class ReportView:
    """`GET /traces/report`: computed in a thread with a loop and a connection of its own.

    The daemon's loop is never held: a hundred thousand traces take seconds. One at a time.
    """

    def __init__(self, place: Place, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self._one = asyncio.Lock()
        self._kept: dict[tuple[int, str | None, int], tuple[float, Mapping[str, object]]] = {}

    async def traces_report(
        self, since: Ms | None, symbol: str | None = None, limit: int = MOST_TRACES
    ) -> Mapping[str, object]:
        """The report since a moment of market time; an answer is kept for 30 s of machine time.

        Raises TransientError when the database cannot be read, and Misasked.
        """
        asked = (int(since or 0), symbol, limit)
        async with self._one:
            now = self._clock.monotonic()
            fresh = {key: made for key, made in self._kept.items() if now - made[0] < KEEP_S}
            if asked not in fresh:
                work = trace_report_of(self._place, Ms(asked[0]), symbol, limit)
                fresh[asked] = (now, await asyncio.to_thread(asyncio.run, work))
            self._kept = fresh
        return fresh[asked][1]


async def _recorded_name(db: AsyncConnection, said: str) -> str:
    """The coin as it is recorded; where nothing is recorded at all, as it was said."""
    known = await rows.symbols(db)
    found = meant(said, known)
    if found is None and known:
        raise Misasked(
            f"symbol {said[:20]!r}: nothing is recorded of such a coin{near(said, known)}"
        )
    return found or said


def why_not_traded(settings: Settings, hours: float) -> Mapping[str, object]:
    """Why nothing was traded in the last `hours` of market time. Errors as in `trace_report`."""
    return asyncio.run(_why_not_traded(settings, hours))


async def _why_not_traded(settings: Settings, hours: float) -> Mapping[str, object]:
    place = database_of(settings)
    await ready_to_read(place)
    status = ask_status(settings)
    misses, trades = Misses(), TradeTally()
    async with reading(place) as db:
        until = await rows.last_moment(db)
        since = Ms(max(0, until - round(hours * HOUR_MS)))
        async for trace in rows.stream_traces(db, Window(since), MOST_TRACES):
            misses.add(trace)
        async for trade in rows.stream_trades(db, Window(since)):
            trades.add(trade)
        enabled, min_tier = await _policies(db, misses.tally.fingerprint)
        standing = await _standing(db, misses, status)
    asked = Asked(
        hours=hours,
        since=since,
        until=until,
        enabled=enabled,
        min_tier=min_tier or settings.gates.min_tier,
        disk=await _disk(place, settings, misses),
        daemon=_daemon(settings, status, until),
    )
    return why_not(asked, misses, trades, standing)


def database_of(settings: Settings) -> Place:
    """The database of the world that the settings name. Raises ConfigError when there is none."""
    place = place_named(settings)
    if not place.is_file or (place.path.is_file() and place.path.stat().st_size > 0):
        return place
    others = sorted(file.parent.name for file in settings.general.data_dir.glob("*/keel.db"))
    known = f"; worlds there: {', '.join(others)}" if others else ""
    raise ConfigError(
        f"there is no database at {place}: give the DATA_DIR, PROFILE, DEMO_SEED and DEMO_CANDLES "
        f"of a run, or start one with python main.py{known}"
    )


def moment(text: str, now: Ms) -> Ms:
    """A moment of market time: "24h", "7d" and "30m" before `now`, or ISO 8601 (UTC).

    Raises ConfigError, also for an empty span and for what lies after `now`; `now` of 0 is
    a world without records, in which nothing lies after them.
    """
    span = _SPAN.fullmatch(text.strip())
    if span is not None:
        if not float(span[1]):
            raise ConfigError(f"--since {text[:40]!r} is an empty span; give one such as 24h")
        return Ms(max(0, now - round(float(span[1]) * _UNITS[span[2]])))
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError(
            f"--since {text[:40]!r} is not understood; give a span such as 24h, 7d or 30m, or a "
            f"time such as 2026-11-21T08:00"
        ) from None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    moment_ms = Ms(max(0, int(aware.timestamp() * 1000)))
    if now and moment_ms > now:
        last = datetime.fromtimestamp(now / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        raise ConfigError(
            f"--since {text[:40]!r} lies after the newest record ({last}, market time); "
            f"give an earlier time"
        )
    return moment_ms


async def _policies(db: AsyncConnection, mark: str) -> tuple[tuple[str, ...], int | None]:
    """(enabled strategies, worst tier that may trade) of a stored configuration."""
    policies = _table((await rows.config(db, mark)).get("policies"))
    strategies = policies.get("strategies")
    tier = _table(policies.get("approval")).get("min_tier")
    names = tuple(map(str, strategies)) if isinstance(strategies, list) else ()
    return names, tier if isinstance(tier, int) else None


async def _standing(db: AsyncConnection, misses: Misses, status: Mapping[str, Any]) -> Standing:
    """State and breakers are durable; which symbols are blocked only the daemon knows by now."""
    state = await rows.state(db)
    trading, breakers = _table(state.get("trading")), _table(state.get("breakers"))
    book = book_from_mapping(breakers) if breakers else BreakerBook()
    seen = _table(_table(misses.look).get("view"))
    blocked = _table(status.get("blocked") if status else seen.get("blocked"))
    return Standing(
        source="daemon" if status else "database",
        trading_state=str(trading.get("state", "ACTIVE")),
        why=str(trading.get("why", "")),
        breakers=book,
        blocked={str(symbol): str(why) for symbol, why in blocked.items()},
        capital=await _capital(db, seen, state, misses.looked_at, status),
        positions=tuple(position.symbol for position in await rows.open_positions(db)),
    )


async def _capital(
    db: AsyncConnection,
    seen: Mapping[str, Any],
    state: Mapping[str, Any],
    looked_at: int,
    status: Mapping[str, Any],
) -> Mapping[str, object]:
    """Equity as the daemon has it, else the newest point; what the desk had when it looked."""
    point = await rows.last_equity(db)
    recorded = (None, None) if point is None else (point.equity, point.at)
    equity, at = (status.get("equity"), status.get("market_time_at")) if status else recorded
    return {
        "baseline": state.get("baseline"),
        "equity": equity,
        "equity_at": at,
        "peak": None if point is None else point.peak,
        "capital_at_last_look": _money(seen.get("capital")),
        "free_margin_at_last_look": _money(seen.get("free_margin")),
        "looked_at": looked_at or None,
    }


async def _disk(place: Place, settings: Settings, misses: Misses) -> Mapping[str, object]:
    folder = settings.general.data_dir / world_name(settings)
    facts = _table(_table(misses.look).get("facts"))
    spooled, rejected = await look_at_spool(place, folder)
    return {
        "free_bytes": shutil.disk_usage(settings.general.data_dir).free,
        "database_bytes": await size_of(place),
        "spooled_rows": spooled,
        "rejected_rows": rejected,
        "traces_waiting_at_last_look": facts.get("trace_backlog"),
    }


def _daemon(settings: Settings, status: Mapping[str, Any], until: Ms) -> Mapping[str, object]:
    owner = owner_of(settings.general.data_dir)
    return {
        "process": owner,
        "answers": bool(status),
        "phase": status.get("phase"),
        "last_record_at": until or None,
        "skipped_symbols": status.get("skipped") or {},
    }


def _money(recorded: object) -> str | None:
    """As a trace holds it, exact, without the digits that a division left."""
    return None if recorded is None else str(to_micro_cents(Decimal(str(recorded))))


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
