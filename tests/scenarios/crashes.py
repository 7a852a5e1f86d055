"""A crash between any two steps of the event loop, over and over on one database and one venue.

Owns where a life is cut off and what must be true afterwards, judged on the venue's ledger.
`python -m tests.scenarios.crashes FOLDER SEED CRASHES [bare]` runs one chain of lives: a parent
without threads imports Keel once and forks a child for each life, so that a crash is a true end
of a process and costs no import.
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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from bot.domain.types import Symbol
from tests.books import closed_trades, differences, read_ledger, unguarded, venue_orders
from tests.daemon import as_flag
from tests.scenarios.kills import BUSY, FAULTS, one_order_an_intent
from tests.scenarios.nakedness import longest_s, naked_moments

CRASHED = 99
LIFE_LIMIT_S = 120.0
NAKED_LIMIT_S = 10.0  # of market time, which in lockstep is machine time, while a life runs
WHOLE_LIFE = 20_000  # steps of the loop: start-up, recovery, and about 40 minutes of the market
LAST_LIFE = 20_000
NEAR_MONEY = 60  # steps after a row, an order or an answer: where a crash hurts most
NEAR_STOP = 20  # steps after a missing stop was found out: it is on its way, or not yet
LOOK_S = 0.02
IMPORTS = ("bot.app.daemon", "bot.cli.run", "bot.adapters.store.money", "bot.simulator")


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a life ends: after `steps` of the loop, counted from the `rows`-th money write on.

    Without `rows` they are counted from the start of the process; with `bare` from the moment
    at which a position is to be given a stop that it does not have.
    """

    steps: int
    rows: int = 0
    bare: bool = False
    compared: bool = False  # once books and venue were compared: all is asked for then
    graceful: bool = False  # SIGTERM to itself instead of a crash
    patience: int = WHOLE_LIFE  # steps after which a life is cut off in which neither came


@dataclass(frozen=True, slots=True)
class Chain:
    """What came of one chain of lives."""

    crashes: int
    holding: int  # crashes with a position open
    entries: int
    closed: int
    naked: int  # moments in which a position had no stop at the venue
    longest_naked_s: float
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.crashes} crashes, {self.holding} with a position, {self.entries} entries, "
            f"{self.closed} trades closed, {self.naked} times without a stop, "
            f"the longest {self.longest_naked_s:.1f} s"
        )


def cuts(seed: int, crashes: int) -> list[Cut]:
    """Seeded: anywhere in a life, near a money row, or before a missing stop is there."""
    random = Random(seed)
    found = []
    for _ in range(crashes):
        kind = random.random()
        if kind < 0.4:
            found.append(Cut(random.randrange(WHOLE_LIFE)))
        elif kind < 0.8:
            found.append(Cut(random.randrange(NEAR_MONEY), rows=random.randint(1, 40)))
        else:
            found.append(Cut(random.randrange(NEAR_STOP), bare=True))
    return found


def chain(folder: Path, seed: int, planned: Sequence[Cut]) -> Chain:
    """Crash at each cut under faults, then live once without to an orderly end; judge."""
    for name in IMPORTS:
        importlib.import_module(name)
    problems: list[str] = []
    holding = happened = 0
    for number, cut in enumerate([*planned, Cut(LAST_LIFE, graceful=True)]):
        code = _life(folder, seed, cut, number)
        wanted = 0 if cut.graceful else CRASHED
        if code != wanted:
            problems.append(f"life {number} {cut} ended with {code}: {_said(folder)}")
            break
        happened += not cut.graceful
        holding += bool(_positions(folder)) and not cut.graceful
    if not problems and _unequal(folder):  # a fill in the very moment of the stop
        _life(folder, seed, Cut(0, compared=True, graceful=True), len(planned) + 1)
    problems += _judged(folder)
    ledger = _ledger(folder)
    orders = venue_orders(ledger) if ledger else []
    moments = naked_moments(ledger) if ledger else []
    late = [one for one in moments if one.lasted_ms() > NAKED_LIMIT_S * 1000]
    problems += [f"{one.coin} without a stop for {one.lasted_ms() / 1000:.1f} s" for one in late]
    return Chain(
        crashes=happened,
        holding=holding,
        entries=sum(not order["reduce_only"] for order in orders),
        closed=_closed(folder),
        naked=len(moments),
        longest_naked_s=longest_s(moments),
        problems=tuple(problems),
    )


# --- one life -------------------------------------------------------------------------------


def _life(folder: Path, seed: int, cut: Cut, number: int) -> int:
    """Fork and live until the cut; the exit code."""
    pid = os.fork()
    if pid == 0:
        _live(folder, seed, cut, number)  # never returns
    end = time.monotonic() + LIFE_LIMIT_S
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return -1
        time.sleep(LOOK_S)


def _live(folder: Path, seed: int, cut: Cut, number: int) -> None:
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
        if not cut.graceful:
            script = folder / "faults.json"
            script.write_text(json.dumps({"seed": 1_000 * seed + number, "fault": FAULTS}))
            settings["DEMO_FAULTS"] = script
        flags = [word for name, value in settings.items() for word in as_flag(name, value)]
        code = main(["run", "--data-dir", str(folder / "data"), *flags], {}, None)
    except BaseException as error:  # noqa: BLE001  the child says why, whatever it is
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def _arm(cut: Cut) -> None:
    """Count the steps of the loop; at the cut the process ends, or asks itself to."""
    from bot.adapters.store import journal
    from bot.pipeline.execute import Execution
    from bot.pipeline.reconcile import Reconcile

    written = 0
    waits = cut.rows or cut.bare or cut.compared
    left = cut.patience if waits else cut.steps
    record = journal.SqlJournal.record
    defend = Execution.defend
    start = Reconcile.start
    step = asyncio.events.Handle._run  # every callback and every step of a task goes through it

    async def counted(self: journal.SqlJournal, *args: object) -> None:
        nonlocal written, left
        written += 1
        if written == cut.rows:
            left = cut.steps
        await record(self, *args)  # type: ignore[arg-type]

    async def defended(self: Execution, symbol: Symbol) -> None:
        nonlocal left
        if cut.bare:
            left = min(left, cut.steps)
        await defend(self, symbol)

    async def compared(self: Reconcile) -> None:
        nonlocal left
        await start(self)
        if cut.compared:
            left = cut.steps

    def stepped(self: asyncio.Handle) -> None:
        nonlocal left
        if left == 0:
            if not cut.graceful:
                os._exit(CRASHED)
            os.kill(os.getpid(), signal.SIGTERM)
        left -= 1
        step(self)

    journal.SqlJournal.record = counted  # type: ignore[method-assign,assignment]
    Execution.defend = defended  # type: ignore[method-assign]
    Reconcile.start = compared  # type: ignore[method-assign]
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
    found = [f"books: {line}" for line in _unequal(folder)]
    found += [f"{coin} has no stop" for coin in unguarded(ledger)]
    return [*found, *_told(lambda: one_order_an_intent(venue_orders(ledger), 1.0))]


def _unequal(folder: Path) -> list[str]:
    ledger, books = _ledger(folder), _books(folder)
    return differences(books, ledger) if ledger and books else []


def _told(judge: Callable[[], None]) -> list[str]:
    try:
        judge()
    except AssertionError as failure:
        return [str(failure)]
    return []


def run_chain(folder: Path, seed: int, crashes: int, *, bare: bool = False) -> Chain:
    """A chain in a process of its own, which holds no thread when it forks.

    `bare`: every crash comes just before a missing stop is placed.
    """
    words = [str(folder), str(seed), str(crashes), *(["bare"] if bare else [])]
    done = subprocess.run(
        [sys.executable, "-m", __name__, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=(crashes + 1) * LIFE_LIMIT_S,
        check=False,
    )
    lines = done.stdout.decode().splitlines()
    if not lines:
        return Chain(0, 0, 0, 0, 0, 0.0, (done.stderr.decode()[-2000:],))
    said = json.loads(lines[-1])
    return Chain(**{**said, "problems": tuple(said["problems"])})


def main(arguments: list[str]) -> int:
    """One chain; a line of JSON, 0 when nothing is wrong."""
    folder, seed, crashes = Path(arguments[0]), int(arguments[1]), int(arguments[2])
    folder.mkdir(parents=True, exist_ok=True)
    bare = [Cut(0, bare=True, patience=5 * WHOLE_LIFE)] * crashes
    done = chain(folder, seed, bare if "bare" in arguments else cuts(seed, crashes))
    sys.stdout.write(json.dumps(asdict(done)) + "\n")
    return 1 if done.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
