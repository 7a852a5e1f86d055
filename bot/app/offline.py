"""What works on the database alone: replay of a trace, and the page without a daemon.

Owns opening the store for reading; starts no stage of the road.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.adapters.store import Store, StoreOptions, open_store, place_of_file
from bot.app.address import refuse_unknown_host
from bot.app.recorded import RecordedView
from bot.app.world import world_name
from bot.domain.errors import ConfigError
from bot.domain.reasons import Stage
from bot.domain.types import TraceId
from bot.plugins import load_strategies
from bot.ports import TraceRecord
from bot.research.replay import replay as decide_again
from bot.research.replay import revive_policies, revive_prompts, windows_of
from bot.runtime.clock import SystemClock
from bot.runtime.logs import LogOptions, configure
from bot.runtime.supervisor import Service, Supervisor
from bot.version import VERSION
from bot.web.access import WebOptions, load_token
from bot.web.api import build_api
from bot.web.server import WebServer
from config.settings import Settings


def replay(settings: Settings, trace_id: str) -> tuple[int, tuple[str, ...]]:
    """Decide one trace again; exit code (0 when equal, 1 when not) and what to say."""
    return asyncio.run(_replay(settings, TraceId(trace_id)))


async def _replay(settings: Settings, trace_id: TraceId) -> tuple[int, tuple[str, ...]]:
    record, store, name = await _find(settings, trace_id)
    try:
        if "inputs" not in record.body and record.stage in (Stage.SCAN, Stage.OBSERVE):
            where = f"{record.stage} ({record.result})"
            return 0, (f"{trace_id}: ended at {where}; nothing was decided",)
        stored = await store.journal.get_config(record.fingerprint)
        if stored is None:
            raise ConfigError(f"the configuration {record.fingerprint} of {trace_id} is gone")
        policies = revive_policies(stored["policies"])
        prompts = revive_prompts(stored.get("prompts", []))
        rules = load_strategies(policies.strategies, policies.overrides)
        bars = await windows_of(record, store.candles, f"hyperliquid:{name}")
    finally:
        await store.close()
    result = decide_again(record, bars, policies, rules, prompts)
    said = f"{trace_id}: ended at {record.stage} ({record.result})"
    if result.differs is None:
        return 0, (f"{said}; replayed equal: {', '.join(result.sections)}",)
    return 1, (
        f"{said}; differs at {result.differs}",
        f"  recorded:   {result.recorded!r}",
        f"  recomputed: {result.recomputed!r}",
    )


def run_health_server(settings: Settings) -> int:
    """Serve the page and the API on what is recorded, until stopped."""
    configure(LogOptions(None, settings.general.log_console_level))
    return asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    await refuse_unknown_host(settings.web.http_host)
    store, name = await _open(settings)
    try:
        clock = SystemClock()
        web = settings.web
        token = web.api_token.get_secret_value() if web.api_token is not None else None
        general = settings.general
        source = f"hyperliquid:{name}"
        view = RecordedView(store, source, general.mode, clock, general.data_dir)
        options = WebOptions(host=web.http_host, token=load_token(settings.general.data_dir, token))
        server = WebServer(build_api(view, options, VERSION), web.http_host, web.http_port, clock)
        supervisor = Supervisor(clock)
        supervisor.add(Service("database", view.run, critical=False))
        supervisor.add(Service("web", server.run, critical=True))
        return await supervisor.run()
    finally:
        await store.close()


async def _find(settings: Settings, trace_id: TraceId) -> tuple[TraceRecord, Store, str]:
    """Look in the world that the settings name, then in the others of DATA_DIR, newest first."""
    named = world_name(settings)
    worlds = _worlds(settings.general.data_dir)
    for name in (named, *(world for world in worlds if world != named)):
        if name not in worlds and settings.general.database_url is None:
            continue
        store = await _open_world(settings, name)
        record = await store.traces.get(trace_id)
        if record is not None:
            return record, store, name
        gone = await store.archive.find(trace_id)
        await store.close()
        if gone is not None:
            raise ConfigError(
                f"trace {trace_id} is archived: {settings.general.data_dir / name}/archive/"
                f"{gone.file}; only traces in the database are replayed (TRACES_KEPT_DAYS)"
            )
    raise ConfigError(
        f"there is no trace {trace_id} in any world of {settings.general.data_dir} "
        f"({', '.join(worlds) or 'it holds none'}); GET /traces lists the newest"
    )


def _worlds(data_dir: Path) -> tuple[str, ...]:
    """Names of the worlds that have a database, the one written last first."""
    found = sorted(data_dir.glob("*/keel.db"), key=lambda path: -path.stat().st_mtime)
    return tuple(path.parent.name for path in found)


async def _open(settings: Settings) -> tuple[Store, str]:
    """The store of the world that the settings name. Raises ConfigError when there is none."""
    name = world_name(settings)
    path = settings.general.data_dir / name / "keel.db"
    if settings.general.database_url is None and not path.exists():
        raise ConfigError(
            f"there is no database at {path}: run python main.py with the same DATA_DIR, PROFILE, "
            f"DEMO_SEED and DEMO_CANDLES first"
        )
    return await _open_world(settings, name), name


async def _open_world(settings: Settings, name: str) -> Store:
    folder = settings.general.data_dir / name
    given = settings.general.database_url
    url = given.get_secret_value() if given else place_of_file(folder / "keel.db").whole
    return await open_store(StoreOptions(url, folder, reader=True), SystemClock())
