"""What a trace takes on the disk: python -m benchmarks trace_size

Owns a demo long enough for a few thousand decisions and the asking of the database; candles
have a table of their own and are told apart.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]

from benchmarks.figures import Figure, say, tell
from benchmarks.process import tell_lag
from tests.daemon import Daemon
from tests.postgres import PostgresServer, programs

SECONDS, SPEED = 60.0, 300
LIMIT_KB = 4.0  # spec 40: a cycle and symbol on average
# Everything that one decision writes: its own row, its signal's, one for each check.
TABLES = ("traces", "signals", "gate_results")

Sizes = Mapping[str, int]  # bytes by table, indexes included


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure SQLite, and PostgreSQL where its programs are; 0 when the limit is kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks trace_size")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--speed", type=int, default=SPEED)
    chosen = parser.parse_args(arguments)
    worst = 0
    with tempfile.TemporaryDirectory(prefix="keel-") as name:
        folder = Path(name)
        database = _play(folder, chosen.seconds, {"DEMO_SPEED": chosen.speed})
        worst = max(worst, _told("SQLite", *sqlite_sizes(database)))
        found = programs()
        if found is None:
            say("PostgreSQL's server programs are not installed: not measured")
            return worst
        server = PostgresServer(found)
        try:
            url = server.fresh("keel")
            _play(folder / "pg", chosen.seconds, {"DEMO_SPEED": chosen.speed, "DATABASE_URL": url})
            worst = max(worst, _told("PostgreSQL", *asyncio.run(_postgres_sizes(url))))
        finally:
            server.remove()
    return worst


def sqlite_sizes(database: Path) -> tuple[int, Sizes, Mapping[str, int]]:
    """(traces, bytes by table, traces by where they ended), from SQLite's own page counts."""
    with closing(sqlite3.connect(database)) as db:
        owner = dict(db.execute("SELECT name, tbl_name FROM sqlite_schema"))
        sizes: dict[str, int] = {}
        for name, size in db.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"):
            table = owner.get(name, name)
            sizes[table] = sizes.get(table, 0) + size
        ended = dict(db.execute("SELECT result, count(*) FROM traces GROUP BY result"))
    return sum(ended.values()), sizes, ended


async def _postgres_sizes(url: str) -> tuple[int, Sizes, Mapping[str, int]]:
    db = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await db.execute("VACUUM")
        sizes = {
            table: int(await db.fetchval("SELECT pg_total_relation_size($1::regclass)", table))
            for table in (*TABLES, "candles")
        }
        rows = await db.fetch("SELECT result, count(*) AS n FROM traces GROUP BY result")
    finally:
        await db.close()
    ended = {row["result"]: int(row["n"]) for row in rows}
    return sum(ended.values()), sizes, ended


def _play(folder: Path, seconds: float, settings: Mapping[str, object]) -> Path:
    """A demo of `seconds` on the wall; its SQLite file, where it has one."""
    with Daemon(folder, settings=settings) as daemon:
        daemon.healthy()
        time.sleep(seconds)
        tell_lag(daemon)
        code = daemon.terminate()
        if code:
            raise SystemExit(f"the demo ended with {code}: {daemon.output()}")
        return daemon.books


def _told(kind: str, traces: int, sizes: Sizes, ended: Mapping[str, int]) -> int:
    if not traces:
        say(f"{kind}: no trace was written")
        return 1
    kinds = ", ".join(f"{name} {n}" for name, n in sorted(ended.items(), key=lambda e: -e[1]))
    say(f"{kind}: {traces} traces ({kinds})")
    for table in TABLES:
        say(f"  {table:<14} {sizes.get(table, 0) / traces / 1024:6.2f} KB a trace")
    say(f"  candles, apart {sizes.get('candles', 0) / 1024:9.0f} KB in all")
    whole = sum(sizes.get(table, 0) for table in TABLES) / traces / 1024
    return tell(
        Figure(f"a trace in its table with indexes, {kind}", sizes["traces"] / traces / 1024,
               LIMIT_KB, "KB"),
        Figure(f"with its signal and its checks, {kind}", whole, LIMIT_KB, "KB"),
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
