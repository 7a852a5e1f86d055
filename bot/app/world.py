"""The world a demo trades in: its folder, its clock, its exchange, and the line to it.

Owns how mode and speed become wiring; knows no stage of the road.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal

import aiohttp
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.adapters.venues.hyperliquid import HyperliquidOptions, StreamTiming, demo_key_for
from bot.domain.errors import ConfigError
from bot.domain.types import Ms, Timeframe
from bot.pipeline.desk import DeskOptions
from bot.pipeline.haste import GIVE_WAY_S
from bot.pipeline.reconcile import Cadence
from bot.ports import Clock
from bot.runtime.clock import LockstepClock, ScaledClock, SystemClock
from bot.runtime.tls import trust
from bot.simulator import SimulatedExchange, SimulatorOptions
from bot.simulator.faults import NO_FAULTS, load_plan
from config.sections import MAX_SPEED
from config.settings import Settings

log = structlog.get_logger(__name__)

SETTLE_MS = 2_000  # spec 05: a bar is closed by the clock plus 2 s
ANSWER_LIMIT_S = 10.0
ANSWER_BYTES = 10_000  # the clock says less than 200


@dataclass(frozen=True, slots=True)
class Pace:
    """Cadences of one wiring, machine seconds; in lockstep they are market seconds."""

    care_s: float = 1.0
    heartbeat_s: float = 60.0
    lookout_s: float = 1.0
    transfers_s: float = 120.0
    cadence: Cadence = Cadence()
    desk: DeskOptions = DeskOptions()
    stream: StreamTiming = StreamTiming()
    check_skew: bool = True
    give_way_s: float = GIVE_WAY_S


@dataclass(frozen=True, slots=True)
class World:
    """What is fixed before anything is connected."""

    name: str
    folder: Path
    clock: Clock
    speed: float
    lockstep: LockstepClock | None
    exchange: SimulatedExchange | None
    base_url: str
    pace: Pace
    incarnation: str = ""  # which life of the exchange: a new, empty ledger has another

    @property
    def interval(self) -> Timeframe | None:
        """Interval of the candle files played."""
        return self.exchange.interval if self.exchange is not None else None

    @property
    def source(self) -> str:
        """Under which name this world's candles are stored."""
        return f"hyperliquid:{self.name}"


def world_name(settings: Settings) -> str:
    """`demo-` and a hash of seed, candle files and profile (spec 05): worlds never mix."""
    if settings.venue.hyperliquid_base_url is not None:
        kind = settings.venue.hyperliquid_base_url
    else:
        kind = ",".join(sorted(str(path.resolve()) for path in settings.demo.demo_candles))
    said = f"{settings.demo.demo_seed}|{kind}|{settings.general.profile}"
    return f"demo-{hashlib.sha256(said.encode()).hexdigest()[:10]}"


async def open_world(settings: Settings, warmup_bars: int) -> World:
    """Open the ledger and the candle files, start the clock, listen.

    Raises ConfigError for files, ledgers and addresses that cannot be used.
    """
    name = world_name(settings)
    folder = settings.general.data_dir / name
    await asyncio.to_thread(_make_folder, folder)
    if settings.venue.hyperliquid_base_url is not None:
        return await _remote(settings, name, folder)
    return await _embedded(settings, name, folder, warmup_bars)


def options_of(settings: Settings, world: World) -> HyperliquidOptions:
    """How the live adapter reaches the simulated exchange."""
    return HyperliquidOptions(
        base_url=world.base_url,
        private_key=demo_key_for(world.base_url, settings.demo.demo_seed),
        is_mainnet=False,
        stream=world.pace.stream,
        settle_ms=SETTLE_MS,
        max_actions_in_flight=1 if world.lockstep is not None else 8,
    )


async def _embedded(settings: Settings, name: str, folder: Path, warmup_bars: int) -> World:
    faults = settings.demo.demo_faults
    options = SimulatorOptions(
        ledger=folder / "simulator.db",
        seed=settings.demo.demo_seed,
        balance=settings.risk.initial_capital,
        candles=settings.demo.demo_candles,
        warmup_bars=warmup_bars,
        faults=load_plan(faults) if faults is not None else NO_FAULTS,
    )
    exchange = SimulatedExchange(options, Ms(SystemClock().now()))
    if exchange.began_anew:
        await asyncio.to_thread(_set_aside, folder)
    speed = settings.demo.demo_speed
    lockstep = LockstepClock(exchange.start_at) if speed == "max" else None
    clock: Clock = lockstep or ScaledClock(exchange.start_at, float(speed))
    port = await exchange.serve(clock, drain=lockstep is not None)
    return World(
        name=name,
        folder=folder,
        clock=clock,
        speed=1.0 if lockstep is not None else float(speed),
        lockstep=lockstep,
        exchange=exchange,
        base_url=f"http://127.0.0.1:{port}",
        pace=_lockstep_pace(exchange.interval) if lockstep is not None else Pace(),
        incarnation=exchange.incarnation,
    )


def _lockstep_pace(interval: Timeframe | None) -> Pace:
    """Cadences as deadlines of market time; between two ticks nothing can happen."""
    tick_s = interval.ms / 3000 if interval is not None else 5.0
    return Pace(
        care_s=max(5.0, tick_s),
        heartbeat_s=3_600.0,
        lookout_s=max(60.0, tick_s),
        transfers_s=3_600.0,
        cadence=Cadence(every_s=max(600.0, 10 * tick_s)),
        desk=DeskOptions(orders_at_once=1),
        stream=StreamTiming(ping_s=3_600.0, pong_s=600.0, silence_s=86_400.0, prove_s=3_600.0),
        check_skew=False,
        give_way_s=0.0,  # there no decision may depend on machine time
    )


async def _remote(settings: Settings, name: str, folder: Path) -> World:
    """A simulator that runs as its own process; its clock is followed."""
    url = str(settings.venue.hyperliquid_base_url)
    said = await ask_clock(url)
    if said.speed == "max":
        raise ConfigError(
            f"HYPERLIQUID_BASE_URL: the simulator at {url} runs at speed 'max', which cannot "
            f"be followed from another process; start it with --speed and a number"
        )
    return World(
        name=name,
        folder=folder,
        clock=ScaledClock(said.now, float(said.speed)),
        speed=float(said.speed),
        lockstep=None,
        exchange=None,
        base_url=url,
        pace=Pace(),
        incarnation=said.incarnation,
    )


class _SaidClock(BaseModel):
    """GET /simulator/clock, as far as it is needed; whoever listens there may answer."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    now: Annotated[Ms, Field(ge=0, lt=2**53)]
    speed: Annotated[float, Field(gt=0, le=MAX_SPEED)] | Literal["max"]
    incarnation: Annotated[str, Field(min_length=1, max_length=64)]


async def ask_clock(url: str) -> _SaidClock:
    """What the simulator at `url` says of its clock. Raises ConfigError without such an answer."""
    try:
        async with (
            asyncio.timeout(ANSWER_LIMIT_S),
            aiohttp.ClientSession() as session,
            session.get(f"{url}/simulator/clock", allow_redirects=False, ssl=trust(url)) as answer,
        ):
            body = await _read(answer)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise ConfigError(
            f"HYPERLIQUID_BASE_URL: no simulator answers at {url} ({type(error).__name__}); "
            f"start one with python -m bot.simulator --port PORT, or take the setting out"
        ) from error
    try:
        return _SaidClock.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = " ".join(str(part) for part in wrong["loc"][:1]) or "no JSON"
        raise ConfigError(
            f"HYPERLIQUID_BASE_URL: what answers at {url} is no simulated exchange of this Keel "
            f"(GET /simulator/clock: {answer.status}, {where}); start one with "
            f"python -m bot.simulator --port PORT, or mend or take out the setting"
        ) from None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body of a 200, no longer than a clock's answer can be."""
    body = b""
    if answer.status != HTTPStatus.OK:
        return body
    while len(body) <= ANSWER_BYTES and (more := await answer.content.read(ANSWER_BYTES)):
        body += more
    return body


def _set_aside(folder: Path) -> None:
    """A world that begins anew must not meet the books of the one that ended: they are kept."""
    # The journal files first: a database must never stand beside the journal of another one.
    found = [*sorted(folder.glob("keel.db*"), reverse=True), *sorted(folder.glob("spool*"))]
    books = [path for path in found if path.is_file()]
    if not books:
        return
    ended = len(list(folder.glob("ended-*"))) + 1
    shelf = folder / f"ended-{ended}"
    shelf.mkdir()
    for path in books:
        path.rename(shelf / path.name)
    log.info("books_set_aside", folder=str(shelf), why="the simulated exchange began anew")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"DATA_DIR: {folder} cannot be written ({error.strerror}); "
            f"choose another folder or mend its rights"
        ) from error
