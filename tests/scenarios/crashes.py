"""A crash between any two steps of the event loop, over and over on one database and one venue.

Owns where a life is cut off and what must be true afterwards, judged on the venue's ledger.
`python -m tests.scenarios.crashes FOLDER SEED CRASHES` runs one chain of lives: a parent without
threads imports Keel once and forks a child for each life, so that a crash is a true end of a
process and costs no import.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from tests.books import closed_trades, differences, read_ledger, unguarded, venue_orders
from tests.daemon import as_flag
from tests.scenarios.kills import BUSY, Watch, one_order_an_intent

CRASHED = 99
LIFE_LIMIT_S = 60.0
WHOLE_LIFE = 30_000  # steps of the loop: start-up, recovery, and about an hour of the market
LAST_LIFE = 30_000
NEAR_MONEY = 60  # steps after a row, an order or an answer: where a crash hurts most
LOOK_S = 0.05
IMPORTS = ("bot.app.daemon", "bot.cli.run", "bot.adapters.store.money", "bot.simulator")


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a life ends: after `steps` of the loop, counted from the `rows`-th money write on.

    Without `rows` they are counted from the start of the process.
    """

    steps: int
    rows: int = 0
    graceful: bool = False  # SIGTERM to itself instead of a crash


@dataclass(frozen=True, slots=True)
class Chain:
    """What came of one chain of lives."""

    crashes: int
    holding: int  # crashes with a position open
    entries: int
    closed: int
    longest_naked_s: float
    problems: tuple[str, ...]


def cuts(seed: int, crashes: int) -> list[Cut]:
    """Seeded: half anywhere in a life, half within a few steps of a money row."""
    random = Random(seed)
    found = []
    for _ in range(crashes):
        if random.random() < 0.5:
            found.append(Cut(random.randrange(WHOLE_LIFE)))
        else:
            found.append(Cut(random.randrange(NEAR_MONEY), rows=random.randint(1, 40)))
    return found


def chain(folder: Path, seed: int, crashes: int) -> Chain:
    """Crash `crashes` times, then live once to an orderly end; judge."""
    for name in IMPORTS:
        importlib.import_module(name)
    problems: list[str] = []
    holding = happened = 0
    watch: Watch | None = None
    for number, cut in enumerate([*cuts(seed, crashes), Cut(LAST_LIFE, graceful=True)]):
        code, watch = _life(folder, seed, cut, watch)
        wanted = 0 if cut.graceful else CRASHED
        if code != wanted:
            problems.append(f"life {number} {cut} ended with {code}: {_said(folder)}")
            break
        happened += not cut.graceful
        holding += bool(_positions(folder)) and not cut.graceful
    problems += _judged(folder)
    ledger = _ledger(folder)
    orders = venue_orders(ledger) if ledger else []
    return Chain(
        crashes=happened,
        holding=holding,
        entries=sum(not order["reduce_only"] for order in orders),
        closed=_closed(folder),
        longest_naked_s=watch.longest_s if watch else 0.0,
        problems=tuple(problems),
    )


# --- one life -------------------------------------------------------------------------------


def _life(folder: Path, seed: int, cut: Cut, watch: Watch | None) -> tuple[int, Watch | None]:
    """Fork, live until the cut; (exit code, what was seen of naked positions)."""
    if watch is not None:
        watch.restart()
    pid = os.fork()
    if pid == 0:
        _live(folder, seed, cut)  # never returns
    end = time.monotonic() + LIFE_LIMIT_S
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), watch
        if watch is None:
            watch = _first_watch(folder)
        else:
            watch.look()
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -1, watch
        time.sleep(LOOK_S)


def _first_watch(folder: Path) -> Watch | None:
    """Once the venue's ledger can be read; a crash may come before that."""
    ledger = _ledger(folder)
    try:
        return Watch(ledger) if ledger and unguarded(ledger) is not None else None
    except sqlite3.OperationalError:
        return None


def _live(folder: Path, seed: int, cut: Cut) -> None:
    """The child: Keel as `main.py run` starts it, with a crash built into its loop."""
    code = 1
    try:
        out = os.open(folder / "lives.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(folder)
        _arm(cut)
        from bot.cli.main import main

        settings = {**BUSY, "DEMO_SEED": seed, "DEMO_SPEED": "max", "HTTP_PORT": 0}
        flags = [word for name, value in settings.items() for word in as_flag(name, value)]
        code = main(["run", "--data-dir", str(folder / "data"), *flags], {}, None)
    except BaseException as error:  # noqa: BLE001  the child says why, whatever it is
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _arm(cut: Cut) -> None:
    """Count the steps of the loop; at the cut the process ends, or asks itself to."""
    from bot.adapters.store import journal

    written = 0
    left = cut.steps if cut.rows == 0 else 2 * WHOLE_LIFE  # a quiet life is cut off too
    record = journal.SqlJournal.record
    step = asyncio.events.Handle._run  # every callback and every step of a task goes through it

    async def counted(self: journal.SqlJournal, *args: object) -> None:
        nonlocal written, left
        written += 1
        if written == cut.rows:
            left = cut.steps
        await record(self, *args)  # type: ignore[arg-type]

    def stepped(self: asyncio.Handle) -> None:
        nonlocal left
        if left == 0:
            if not cut.graceful:
                os._exit(CRASHED)
            os.kill(os.getpid(), signal.SIGTERM)
        left -= 1
        step(self)

    journal.SqlJournal.record = counted  # type: ignore[method-assign,assignment]
    asyncio.events.Handle._run = stepped  # type: ignore[method-assign]


# --- looking and judging --------------------------------------------------------------------


def _ledger(folder: Path) -> Path | None:
    return next(folder.glob("data/*/simulator.db"), None)


def _books(folder: Path) -> Path | None:
    return next(folder.glob("data/*/keel.db"), None)


def _said(folder: Path) -> str:
    return (folder / "lives.out").read_text(errors="replace")[-600:]


def _positions(folder: Path) -> list[str]:
    ledger = _ledger(folder)
    try:
        return sorted(read_ledger(ledger).positions) if ledger else []
    except (ValueError, sqlite3.OperationalError):  # no account, no table yet
        return []


def _closed(folder: Path) -> int:
    books = _books(folder)
    return len(closed_trades(books)) if books else 0


def _judged(folder: Path) -> list[str]:
    """What is wrong in the end; the last life ended in order."""
    ledger, books = _ledger(folder), _books(folder)
    if ledger is None or books is None:
        return ["no ledger or no books were ever written"]
    found = [f"books: {line}" for line in differences(books, ledger)]
    found += [f"{coin} has no stop" for coin in unguarded(ledger)]
    return [*found, *_told(lambda: one_order_an_intent(venue_orders(ledger)))]


def _told(judge: Callable[[], None]) -> list[str]:
    try:
        judge()
    except AssertionError as failure:
        return [str(failure)]
    return []


def run_chain(folder: Path, seed: int, crashes: int) -> Chain:
    """A chain in a process of its own, which holds no thread when it forks."""
    words = [str(folder), str(seed), str(crashes)]
    done = subprocess.run(
        [sys.executable, "-m", __name__, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=(crashes + 1) * LIFE_LIMIT_S,
        check=False,
    )
    lines = done.stdout.decode().splitlines()
    if not lines:
        return Chain(0, 0, 0, 0, 0.0, (done.stderr.decode()[-2000:],))
    said = json.loads(lines[-1])
    return Chain(**{**said, "problems": tuple(said["problems"])})


def main(arguments: list[str]) -> int:
    """One chain; a line of JSON, 0 when nothing is wrong."""
    folder, seed, crashes = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = chain(folder, seed, crashes)
    except AssertionError as failure:  # a position without a stop for too long
        done = Chain(0, 0, 0, 0, 0.0, (str(failure),))
    sys.stdout.write(json.dumps(asdict(done)) + "\n")
    return 1 if done.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
