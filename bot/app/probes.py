"""What a pre-flight tries on this machine: Python, settings, files, database, signing, page.

Owns each trial and the remedy that goes with its failure; knows no venue.
"""

from __future__ import annotations

import errno
import platform
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from bot.adapters.store.read_only import Soundness, look, look_at_spool
from bot.adapters.store.schema import REVISION
from bot.adapters.venues.hyperliquid import demo_key, signing_backend
from bot.adapters.venues.hyperliquid.signing import NonceSource, Signer
from bot.app.keeping import BACKUP_FOLDER
from bot.app.running import EVERYWHERE, HEALTH, ask_page, place_named
from bot.app.world import world_name
from bot.domain.errors import ConfigError, TransientError
from bot.ports import Clock
from config.settings import Settings

OLDEST_PYTHON = (3, 11)  # facts/libraries.md
LEAST_FREE, LITTLE_FREE = 100e6, 1e9  # bytes; a day of traces is up to 100 MB
LEAST_MEMORY, LITTLE_MEMORY = 150e6, 300e6  # bytes; the daemon takes about 110 MB
QUICK_CHECK_S = 10.0
SLOW_SIGNING_MS = 1.5  # coincurve 0.27 ms, without it 2.75 ms (facts/libraries.md)
_LOCAL = "http://127.0.0.1:1"  # an address to sign for; nothing is sent
_REAL_KEYS = ("HYPERLIQUID_API_KEY", "HYPERLIQUID_ACCOUNT")


class Outcome(StrEnum):
    """warn: it starts, and the operator should know; fail: it does not start, or never trades."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Line:
    """One trial: its layer, what was tried, how it ended, what was found, what to do now."""

    layer: str
    tried: str
    outcome: Outcome
    found: str
    remedy: str = ""


def failure(layer: str, tried: str, error: BaseException, remedy: str) -> Line:
    """A failed line from an error, whose text ends with what to do; `remedy` where it does not."""
    found, _, rest = " ".join(str(error).splitlines()).partition("; ")
    return Line(layer, tried, Outcome.FAIL, found, rest or remedy)


def python() -> Line:
    """The interpreter, the platform, and SQLite."""
    version = ".".join(map(str, sys.version_info[:3]))
    libc = " ".join(platform.libc_ver()).strip()
    where = f"{platform.system()} {platform.machine()} {libc}".strip()
    found = f"Python {version} on {where}, SQLite {sqlite3.sqlite_version}"
    tried = "version and platform"
    if sys.version_info < OLDEST_PYTHON:
        return Line("python", tried, Outcome.FAIL, found, "use Python 3.11 or later")
    if platform.system() not in ("Linux", "Darwin") or (platform.system() == "Linux" and not libc):
        remedy = "run on Linux with glibc or on macOS; nothing else is tested"
        return Line("python", tried, Outcome.WARN, found, remedy)
    return Line("python", tried, Outcome.OK, found)


def configuration(settings: Settings, warnings: Sequence[str]) -> Iterator[Line]:
    """What was read, and each warning that came with it."""
    general = settings.general
    found = f"mode {general.mode}, profile {general.profile}, world {world_name(settings)}"
    yield Line("configuration", "read settings", Outcome.OK, found)
    for warning in warnings:
        if not _about_keys(warning):
            yield Line("configuration", "read settings", Outcome.WARN, warning, "see .env.example")


def breakers(settings: Settings) -> Line:
    """The numbers that stop entries, as they are set."""
    given = settings.breakers
    found = (
        f"daily loss {given.daily_loss_limit_percent:.3g} and"
        f" drawdown {given.max_drawdown_percent:.3g} of equity;"
        f" {given.max_losses_in_a_row} losses in a row, then {given.loss_cooldown_minutes:g} min;"
        f" 1h ATR over {given.volatility_limit_x_median:g} x median;"
        f" {given.stale_data_limit_percent:.3g} of prices stale; {given.max_api_errors}"
        f" errors in {given.api_error_window_seconds:g} s, then"
        f" {given.api_error_cooldown_seconds:g} s"
    )
    return Line("breakers", "what stops entries", Outcome.OK, found)


def keys(settings: Settings, warnings: Sequence[str]) -> Line:
    """Key formats are judged while settings are read; demo needs none."""
    ignored = [warning for warning in warnings if _about_keys(warning)]
    if ignored:
        remedy = "nothing to do; take it out of .env where only demo runs"
        return Line("keys", "format of keys", Outcome.WARN, "; ".join(ignored), remedy)
    found = f"none is needed: demo signs with a key of DEMO_SEED {settings.demo.demo_seed}"
    return Line("keys", "format of keys", Outcome.OK, found)


def data_folder(folder: Path) -> Line:
    """Whether files can be made in DATA_DIR, or where it will be made."""
    tried = f"write to {folder}"
    place = _existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            found = (
                "writable"
                if place == folder.absolute()
                else f"is made at the first start, in {place}"
            )
    except OSError as error:
        remedy = "mend its rights, or choose another DATA_DIR"
        return Line("data folder", tried, Outcome.FAIL, str(error.strerror), remedy)
    return Line("data folder", tried, Outcome.OK, found)


def disk(folder: Path) -> Line:
    """Free space where DATA_DIR lies."""
    free = shutil.disk_usage(_existing(folder)).free
    found = f"{free / 1e9:.1f} GB free"
    remedy = "free some space, or choose another DATA_DIR: a full disk halts entries"
    outcome = _below(free, LEAST_FREE, LITTLE_FREE)
    return Line("disk", "free space", outcome, found, remedy if outcome is not Outcome.OK else "")


def lock(folder: Path, owner: int | None) -> Line:
    """Whether a daemon works here; that is no fault."""
    if owner is None:
        found = "no daemon runs on this folder"
    else:
        found = f"a daemon (process {owner}) runs on this folder; its files were only read"
    return Line("lock", f"owner of {folder}", Outcome.OK, found)


async def database(settings: Settings, monotonic: Callable[[], float]) -> list[Line]:
    """Schema, integrity, size and what waits beside it."""
    folder = settings.general.data_dir / world_name(settings)
    try:
        place = place_named(settings)
        if place.is_file and (not place.path.exists() or place.path.stat().st_size == 0):
            found = "none yet; the first start makes it"
            waiting, rejected = await look_at_spool(None, folder)
            beside = [_spool(folder, waiting, rejected, empty=True)] if waiting or rejected else []
            return [Line("database", f"open {place}", Outcome.OK, found), *beside]
        sound = await look(place, folder, QUICK_CHECK_S, monotonic)
    except (ConfigError, TransientError) as error:
        return [failure("database", "open it", error, "use another DATABASE_URL or DATA_DIR")]
    spool = _spool(folder, sound.spooled, sound.rejected, empty=not sound.tables)
    return [_schema(str(place), sound), _integrity(sound), spool]


def signing(settings: Settings, clock: Clock) -> Line:
    """Sign once with the demo's key; which library did it, and how fast."""
    backend = signing_backend()
    signer = Signer(
        demo_key(settings.demo.demo_seed),
        _LOCAL,
        is_mainnet=False,
        nonces=NonceSource(clock.wall),
    )
    signer.envelope({"type": "noop"}, None)  # the first one loads tables
    started = clock.monotonic()
    signer.envelope({"type": "noop"}, None)
    spent = 1000 * (clock.monotonic() - started)
    found = f"{backend}, {spent:.2f} ms a signature"
    if backend == "coincurve" or spent <= SLOW_SIGNING_MS:
        return Line("signing", "sign an action", Outcome.OK, found)
    remedy = "install coincurve (Python below 3.14): orders leave 2.5 ms sooner"
    return Line("signing", "sign an action", Outcome.WARN, found, remedy)


def page(settings: Settings, owner: int | None) -> Line:
    """Whether HTTP_PORT is free, or our daemon answers there."""
    host, port = settings.web.http_host, settings.web.http_port
    tried = f"{host}:{port}"
    refused = _bind(host, port)
    if refused is None:
        found = "the port is free" if port else "port 0: the daemon takes a free one, see its log"
        return Line("page", tried, Outcome.OK, found)
    # An address of another machine is asked nothing: who answers there is not in our way.
    answer = ask_page(settings, HEALTH) if refused.errno == errno.EADDRINUSE else None
    if answer is None:
        return _not_bound(refused, tried)
    if not answer.is_keel:
        remedy = "stop that program, or set HTTP_PORT; without it Keel trades without its page"
        return Line("page", tried, Outcome.FAIL, "another program listens there", remedy)
    said = f"health {answer.body['status']}, version {answer.body['version']}"
    if owner is not None:
        return Line("page", tried, Outcome.OK, f"the daemon answers: {said}")
    found = f"a Keel of another DATA_DIR answers: {said}"
    return Line("page", tried, Outcome.FAIL, found, "set another HTTP_PORT, or stop it")


def memory() -> Line:
    """What the machine has left, and what this process took with everything loaded."""
    free = psutil.virtual_memory().available
    own = psutil.Process().memory_info().rss
    found = f"{free / 1e6:.0f} MB available, this check took {own / 1e6:.0f} MB"
    outcome = _below(free, LEAST_MEMORY, LITTLE_MEMORY)
    remedy = "" if outcome is Outcome.OK else "stop other programs: the daemon needs about 120 MB"
    return Line("memory", "available memory", outcome, found, remedy)


# --- parts ----------------------------------------------------------------------------


def _schema(place: str, sound: Soundness) -> Line:
    tried = f"schema of {place}"
    if sound.current:
        found = f"{REVISION}, {sound.tables} tables, {sound.size / 1e6:.1f} MB"
        return Line("database", tried, Outcome.OK, found)
    if sound.older:
        remedy = "nothing to do, or python setup_database.py now; make a backup first"
        found = f"{sound.revision}; the next start upgrades it to {REVISION}"
        return Line("database", tried, Outcome.WARN, found, remedy)
    if sound.revision is None and sound.tables:
        remedy = "use another DATABASE_URL or DATA_DIR"
        return Line("database", tried, Outcome.FAIL, "it belongs to another program", remedy)
    if not sound.tables:
        found = "an empty database; the first start makes the tables"
        return Line("database", tried, Outcome.OK, found)
    found = f"{sound.revision}; this code knows up to {REVISION}"
    return Line("database", tried, Outcome.FAIL, found, "update Keel, or use another DATA_DIR")


def _integrity(sound: Soundness) -> Line:
    tried = "integrity, quick check"
    if sound.problem:
        remedy = "stop the daemon and restore a backup over it"
        return Line("database", tried, Outcome.FAIL, sound.problem, remedy)
    if not sound.checked:
        found = f"not finished within {QUICK_CHECK_S:g} s; no fault until then"
        remedy = "run PRAGMA quick_check on a copy of it"
        return Line("database", tried, Outcome.WARN, found, remedy)
    return Line("database", tried, Outcome.OK, "passed")


def _spool(folder: Path, waiting: int, rejected: int, *, empty: bool) -> Line:
    tried = "rows that wait in the spool"
    if rejected:
        found = f"{rejected} rows were refused and kept in {folder}/spool.rejected.jsonl"
        return Line("database", tried, Outcome.WARN, found, "look at them, then move the file away")
    if waiting and empty:
        found = f"{waiting} rows of an outage, and the database they were meant for is empty"
        remedy = f"put its newest copy from {folder}/{BACKUP_FOLDER} back first, if there is one"
        found += "; a start writes them into that all the same"
        return Line("database", tried, Outcome.WARN, found, remedy)
    if waiting:
        found = f"{waiting} rows of an outage"
        remedy = "nothing to do: they are replayed in order at the next start, or by the daemon"
        return Line("database", tried, Outcome.WARN, found, remedy)
    return Line("database", tried, Outcome.OK, "none")


def _bind(host: str, port: int) -> OSError | None:
    """Why the address cannot be listened on; None when it can."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host or EVERYWHERE[0], port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        return error
    return None


def _not_bound(error: OSError, tried: str) -> Line:
    remedies = {
        errno.EACCES: "ports below 1024 need rights: set HTTP_PORT",
        errno.EADDRNOTAVAIL: "HTTP_HOST is no address of this machine",
    }
    remedy = remedies.get(error.errno or 0, "mend HTTP_HOST and HTTP_PORT")
    return Line("page", tried, Outcome.FAIL, error.strerror or str(error), remedy)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _below(value: float, least: float, little: float) -> Outcome:
    if value < least:
        return Outcome.FAIL
    return Outcome.WARN if value < little else Outcome.OK


def _about_keys(warning: str) -> bool:
    return any(name in warning for name in _REAL_KEYS) and "ignored" in warning
