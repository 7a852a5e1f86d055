"""The daemon: open, recover, serve, stop; reads top to bottom on the way up.

Owns the life of the process; every stage of the road lives in bot.pipeline.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

import structlog

from bot.adapters.store import (
    Backups,
    StoreOptions,
    open_store,
    place_of_file,
)
from bot.adapters.venues.hyperliquid import connect
from bot.app.address import refuse_unknown_host
from bot.app.controls import DaemonControls
from bot.app.followed import Followed
from bot.app.heartbeat import Heartbeat
from bot.app.incarnation import STATE as INCARNATION
from bot.app.incarnation import refuse_another_life
from bot.app.keeping import BACKUP_FOLDER, Keeping, trading_config
from bot.app.last_rows import write_behind
from bot.app.lost_books import STATE as BOOKS_FROM
from bot.app.lost_books import begun_at, find_lost
from bot.app.models import open_models
from bot.app.nonces import NonceKeeper
from bot.app.parts import Parts, build
from bot.app.policies import rules_of, stored_config
from bot.app.reach import refuse_dead
from bot.app.reload import Reload, ignore
from bot.app.telling import log_fact
from bot.app.view import DaemonView, Phase
from bot.app.world import World, open_world, options_of
from bot.domain.errors import ConfigError, TransientError
from bot.domain.types import ExitReason, Ms
from bot.pipeline.facts import Fact
from bot.pipeline.recover import lives, restore
from bot.ports import Changes, Recovered
from bot.runtime.garbage import Garbage
from bot.runtime.heap import Heap
from bot.runtime.lock import FolderLock
from bot.runtime.logs import LogOptions, configure
from bot.runtime.mask import register_secret
from bot.runtime.resources import LoopLag, ResourceMeter
from bot.runtime.supervisor import Service, Supervisor
from bot.version import VERSION
from bot.web.access import WebOptions, load_token
from bot.web.api import build_api
from bot.web.server import WebServer
from config.settings import Loaded, Settings

log = structlog.get_logger(__name__)

HEARD_ROUNDS = 10  # turns of the loop, in which the listener takes what the socket brought
END_ROUNDS = 300  # s of market time: an exit that has not filled by then will not
WARM_AFTER = 2  # cycles
BEHIND_LIMIT_S = 1.3  # of the stop's 8 s, for rows that are no money


def run_daemon(loaded: Loaded) -> int:
    """Run until stopped or until the candles end; the exit code."""
    ignore()
    general = loaded.settings.general
    lock = FolderLock(general.data_dir)
    lock.acquire()
    try:
        configure(LogOptions(general.data_dir, general.log_console_level, general.log_level))
        return asyncio.run(_live(loaded))
    finally:
        lock.release()


async def _live(loaded: Loaded) -> int:
    """Open everything, run, close everything in reverse, also when opening failed half way."""
    settings = loaded.settings
    await refuse_unknown_host(settings.web.http_host)
    rules = rules_of(settings)
    warm_up = max(rule.warm_up for rule in rules)
    async with AsyncExitStack() as opened:
        world = await open_world(settings, warm_up)
        if world.exchange is not None:
            opened.push_async_callback(world.exchange.close)
        store = await open_store(_store_options(settings, world), world.clock)
        opened.push_async_callback(store.close)
        options = options_of(settings, world)
        register_secret(options.private_key)
        hyperliquid = connect(
            options, world.clock, warm=partial(store.candles.window, world.source)
        )
        opened.push_async_callback(hyperliquid.close)
        await store.claim(f"{world.name} {hyperliquid.account}", hyperliquid.account)
        models = await open_models(settings, store, world.clock)
        opened.push_async_callback(models.close)
        recovered = await store.journal.recover()
        refuse_another_life(world, recovered, str(store.place))
        parts = build(settings, world, store, hyperliquid, models, rules)
        parts.facts.listen(log_fact)
        body = stored_config(parts.policies, parts.council.template)
        await store.journal.put_config(parts.fingerprint, world.clock.now(), body)
        await store.journal.record(trading_config(settings))
        begun = begun_at(recovered, world.clock.now())
        await _recover(parts, recovered, begun)
        return await _Daemon(parts, loaded, begun).run()


async def _recover(parts: Parts, recovered: Recovered, begun: Ms | None) -> None:
    clock, journal = parts.world.clock, parts.store.journal
    expires_at = clock.wall() + parts.execution.waits.entry_life_ms
    past = [
        order
        for position in recovered.positions
        for order in await journal.orders_of(position.trace_id)
    ]
    restore(parts.books, recovered, clock.now(), expires_at, past)
    parts.closing.recover(recovered.state)
    keeper = NonceKeeper(parts.rows)
    parts.hyperliquid.nonces.keep(keeper.recover(recovered.state), keeper.used)
    parts.transfers.recover(recovered.state, clock.now())
    began = {"lives": lives(recovered) + 1, INCARNATION: parts.world.incarnation, BOOKS_FROM: begun}
    await journal.record(Changes(state=began))
    for symbol, ident in parts.books.intents.items():
        parts.traces.used(symbol, parts.books.decided.get(symbol, Ms(0)), ident)
    if recovered.positions or recovered.open_orders:
        log.warning(
            "recovered",
            positions=[position.symbol for position in recovered.positions],
            open_orders=len(recovered.open_orders),
        )


def _store_options(settings: Settings, world: World) -> StoreOptions:
    given = settings.general.database_url
    if given is None:
        return StoreOptions(place_of_file(world.folder / "keel.db").whole, world.folder)
    return StoreOptions(given.get_secret_value(), world.folder)


class _Daemon:
    """The services of one Keel and the order in which they end."""

    def __init__(self, parts: Parts, loaded: Loaded, begun: Ms | None) -> None:
        self._parts = parts
        self._begun = begun  # since when there are books
        self._loaded = loaded
        self._clock = parts.world.clock
        self._supervisor = Supervisor(self._clock)
        stepped = parts.world.lockstep is not None  # there no decision may depend on real time
        look = parts.reconcile
        watched = LoopLag(look.stood_still, look.clock_set, self._clock.wall)
        self._lag = LoopLag() if stepped else watched
        self._ready = asyncio.Event()
        self._garbage = Garbage()
        self._heartbeat = Heartbeat(parts, self._ready)
        meter = ResourceMeter(self._lag)
        self.view = DaemonView(parts, self._supervisor, meter, loaded.warnings, version=VERSION)
        self._web = self._server()
        self.view.web = self._web
        self._add_services()
        self._add_stages()

    async def run(self) -> int:
        self._garbage.begin()
        self._parts.facts.listen(self._tidy)
        log.info("started", version=VERSION, world=self._parts.world.name, mode="demo")
        return await self._supervisor.run()

    def _tidy(self, fact: Fact) -> None:
        """Between two cycles; from the second one on the windows of all symbols are known."""
        if fact.name != "cycle_done":
            return
        if fact.figures.get("number") == WARM_AFTER:
            self._garbage.warm()
        self._garbage.calm(exposed=bool(self._parts.books.positions))

    def _server(self) -> WebServer:
        settings, web = self._parts.settings, self._parts.settings.web
        token = web.api_token.get_secret_value() if web.api_token is not None else None
        options = WebOptions(host=web.http_host, token=load_token(settings.general.data_dir, token))
        register_secret(options.token)
        controls = DaemonControls(self._parts)
        api = build_api(self.view, options, VERSION, controls)
        return WebServer(api, web.http_host, web.http_port, self._clock)

    def _add_services(self) -> None:
        """In the order in which they start; the simulated exchange first, thought last."""
        parts, add = self._parts, self._supervisor.add
        world = parts.world
        if world.lockstep is not None:
            add(Service("clock", world.lockstep.run, critical=True))
        if world.exchange is not None:
            add(Service("exchange", world.exchange.run, critical=True))
        else:
            followed = Followed(world)
            parts.hyperliquid.stream.on_up(followed.came_up)
            add(Service("exchange_clock", followed.run, critical=True))
        add(Service("rows", parts.rows.run, critical=True))
        add(Service("traces", parts.store.traces.run, critical=False))
        add(Service("candles", parts.keeper.run, critical=False))
        add(Service("stream", parts.hyperliquid.run, critical=True))
        add(Service("account", parts.reconcile.listen, critical=True))
        add(Service("desk", parts.desk.run, critical=True))
        add(Service("approvals", parts.approvals.run, critical=False))
        add(Service("care", parts.care.run, critical=True))
        add(Service("reconcile", self._reconcile, critical=True))
        add(Service("closing", parts.closing.run, critical=True))
        add(Service("lookout", self._lookout, critical=True))
        add(Service("heartbeat", self._heartbeat.run, critical=False))
        add(Service("loop_lag", self._lag.run, critical=False))
        add(Service("heap", Heap().run, critical=False))
        add(Service("health", self.view.watched.watch, critical=False))
        add(Service("keeping", self._keeping().run, critical=False))
        if parts.store.lock is not None:
            held = partial(parts.store.lock.run, self._clock)
            add(Service("account_lock", held, critical=True))
        closed = partial(self._supervisor.request_stop, why="its terminal was closed")
        add(Service("reload", Reload(self._loaded, closed).run, critical=False))
        add(Service("web", self._web.run, critical=False))
        if parts.models.seats:
            add(Service("models", parts.models.run, critical=False))
        add(Service("road", self._road, critical=False))
        if world.exchange is not None and world.interval is not None:
            add(Service("end_of_data", self._end_of_data, critical=True))

    def _keeping(self) -> Keeping:
        """The daily jobs, and what /status says of them."""
        parts, days = self._parts, self._parts.settings.general.traces_kept_days
        self.view.keeping = Keeping(parts.store, self._backups(), self._clock, days)
        return self.view.keeping

    def _backups(self) -> Backups:
        parts, kept = self._parts, self._parts.settings.general.backups_kept
        return Backups(parts.store.place, parts.world.folder / BACKUP_FOLDER, self._clock, kept)

    def _add_stages(self) -> None:
        stop = self._supervisor.on_stop
        stop("desk", self._quiet_desk, 5.25)
        stop("world", self._rest_world, 0.25)
        stop("rows", self._heartbeat.stop, 1.0)
        stop("behind", self._write_behind, 1.5)

    # --- services ----------------------------------------------------------------------

    async def _road(self) -> None:
        """Agree with the venue first; only then look for trades."""
        parts = self._parts
        if not self._ready.is_set():
            self.view.phase = Phase.RECONCILING
            await self._connect()
            parts.instruments.update(await parts.hyperliquid.feed.instruments())
            await refuse_dead(parts)
            await parts.scan.watch()
            await parts.reconcile.start()
            await self._look_for_lost_books()
            self._keep_baseline()
            self.view.phase = Phase.RUNNING
            self._ready.set()
        await parts.road.run()

    async def _look_for_lost_books(self) -> None:
        """Say it where the venue remembers of us what is older than our books."""
        parts, now = self._parts, self._clock.now()
        venue, account = parts.hyperliquid.venue, parts.reconcile.account
        lost = await find_lost(self._begun, now, venue, account, parts.books)
        if lost is not None:
            line = lost.told(parts.store.place, self._backups())
            log.warning("books_lost", what=line)
            self.view.warn(line)

    async def _connect(self) -> None:
        """Read the venue's rules; a venue that is away is waited for."""
        wait_s = 1.0
        while True:
            try:
                await self._parts.hyperliquid.start()
                return
            except TransientError as error:
                log.warning("venue_away", error=str(error), again_in_s=wait_s)
                await self._clock.pause(wait_s)
                wait_s = min(wait_s * 2, 30.0)

    def _keep_baseline(self) -> None:
        """The first balance ever read is what drawdown is measured from."""
        parts = self._parts
        account, books = parts.reconcile.account, parts.books
        if account is not None and not books.baseline_known:
            books.ledger = replace(books.ledger, baseline=account.equity)
            books.baseline_known = True
            books.safety.begin(account.equity)
            began = {"baseline": str(account.equity), **parts.transfers.begin(account.at)}
            parts.rows.behind(Changes(state={**began, **books.safety.durable()}))

    async def _lookout(self) -> None:
        """Breakers see the world from when there is one to see."""
        await self._ready.wait()
        await self._parts.lookout.run()

    async def _reconcile(self) -> None:
        await self._ready.wait()
        await self._parts.reconcile.run()

    async def _end_of_data(self) -> None:
        """The candles are played: no more entries, close what is open, leave with 0."""
        parts = self._parts
        if parts.world.exchange is None:
            raise ConfigError("end of data: there is no embedded exchange")
        await parts.world.exchange.finished.wait()
        log.info("end_of_data", at=self._clock.now())
        parts.approvals.stop("the candles are played")
        parts.desk.stop_entries("the candles are played")
        books, code = parts.books, 0
        for _ in range(END_ROUNDS):
            if not books.reservations and not books.positions.keys() - books.gone - books.dust:
                break
            with self._clock.busy():
                parts.desk.flatten(ExitReason.END_OF_DATA)
            await self._clock.pause(1.0)
        else:
            log.error("end_of_data_with_positions", symbols=sorted(books.positions))
        if books.positions or not self._ready.is_set():
            code = 1
        self._supervisor.request_stop(code, why="end of data")
        await asyncio.Event().wait()

    async def _write_behind(self) -> None:
        """Traces and candles, as far as time allows: the rest is spooled, or fetched again."""
        await write_behind(self._parts.store.traces, self._parts.keeper, BEHIND_LIMIT_S)

    async def _rest_world(self) -> None:
        """Demo's own exchange stands still before the books are closed over what it did."""
        if self._parts.world.exchange is None:
            return
        await self._parts.world.exchange.rest()
        for _ in range(HEARD_ROUNDS):
            await asyncio.sleep(0)

    async def _quiet_desk(self) -> None:
        self.view.phase = Phase.STOPPING
        self._parts.approvals.stop("stopping")
        self._parts.desk.stop_entries("stopping")
        await self._parts.desk.drained()
