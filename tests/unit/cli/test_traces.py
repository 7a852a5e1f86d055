"""`main.py traces`: what stands in the terminal and in the JSON, and what is refused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bot.adapters.store.place import place_of_file
from bot.adapters.store.read_only import reading, ready_to_read
from bot.cli import main as cli
from bot.domain.errors import ConfigError
from tests.daemon import ROOT
from tests.unit.research.recorded import World, record, trade


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.records = [
        record(1, "propose", "no_signal"),
        record(2, "protect", "executed"),
        record(3, "approve", "rejected", strategy="sma_trend.fast"),
    ]
    made.trades = [trade(2, "1.5")]
    return made.write()


def run(world: World, *more: str) -> int:
    return cli.main(["traces", "--data-dir", str(world.folder), *more], {}, None)


def test_the_report_in_the_terminal(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Every part of spec 40 has its heading; plain text where no terminal is."""
    assert run(world) == 0
    output = capsys.readouterr().out
    for title in (
        "Traces",
        "Latency",
        "Errors",
        "Funnel",
        "Strategies",
        "Symbols",
        "Regimes",
        "Bottlenecks",
    ):
        assert any(line.startswith(title) for line in output.splitlines()), title
    assert "100.0 % (21 to 100)" in output  # one of one won, and how little that says
    assert "\x1b" not in output


def test_the_report_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """One document; times in ISO 8601."""
    assert run(world, "--json") == 0
    report: Any = json.loads(capsys.readouterr().out)
    assert list(report) == [
        "head",
        "latency_ms",
        "errors",
        "strategies",
        "funnel",
        "symbols",
        "regimes",
        "breakers",
        "findings",
    ]
    assert report["head"]["first_at"].endswith("Z")
    assert set(report["latency_ms"]["all"]) == {
        "count", "min", "p50", "p75", "p90", "p95", "p99", "max", "mean",
    }  # fmt: skip
    assert [step["step"] for step in report["funnel"]][-1] == "won"


def test_a_world_without_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is divided by nothing, and no coin is wrong where none is recorded."""
    assert run(World(tmp_path).write(), "--symbol", "NOPE") == 0
    assert "nothing was measured" in capsys.readouterr().out


def test_a_coin_is_found_whatever_the_case_of_its_letters(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """As SYMBOLS takes it."""
    assert run(world, "--symbol", "btc", "--json") == 0
    assert json.loads(capsys.readouterr().out)["head"]["traces"] == 3


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--since", "soon"], "--since"),
        (["--since", "0h"], "is an empty span"),
        (["--since", "2030-01-01"], "lies after the newest record (2026-09-21T"),
        (["--symbol", "NOPE"], "nothing is recorded of such a coin"),
        (["--symbol", "btcc"], "did you mean BTC?"),
        (["--limit", "0"], "--limit"),
        (["--limit", "many"], "--limit"),
        (["--seed", "77"], "there is no database"),
    ],
)
def test_bad_input_is_one_line(
    flags: list[str], word: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, on stderr."""
    assert run(world, *flags) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert word in output.err
    assert output.err.count("\n") == 1


def test_no_database_names_the_worlds_there_are(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another seed is another world: the message says which were recorded."""
    run(world, "--seed", "77")
    assert world.path.parent.name in capsys.readouterr().err


def test_reading_changes_nothing(world: World) -> None:
    """The database is opened read-only: not a byte of it moves, no spool is taken over."""
    spool = world.path.with_name("spool.jsonl")
    spool.write_bytes(b'{"id":"abc","kind":"spool"}\n{}\ntorn')
    before = world.path.read_bytes()
    assert run(world) == 0
    assert world.path.read_bytes() == before
    assert spool.read_bytes().endswith(b"torn")


async def test_nothing_can_be_written_by_a_reader(tmp_path: Path) -> None:
    """Not by mistake either: the connection itself refuses, and makes no file."""
    world = World(tmp_path, [record(1, "propose", "no_signal")])
    await asyncio.to_thread(world.write)
    with pytest.raises(ConfigError, match="readonly"):
        async with reading(place_of_file(world.path)) as db:
            await db.execute(text("delete from traces"))
    missing = tmp_path / "missing.db"
    with pytest.raises(ConfigError, match="cannot be opened"):
        await ready_to_read(place_of_file(missing))
    assert not missing.exists()


@pytest.mark.parametrize("command", ["check", "traces", "whynot"])
def test_help_loads_nothing_heavy(command: str) -> None:
    """--help answers at once: no database, no web framework, no client, no signing."""
    heavy = ("sqlalchemy", "fastapi", "aiohttp", "eth_account", "hyperliquid", "psutil")
    code = f"import sys; from bot.cli.main import main; main([{command!r}, '--help'], {{}}, None)"
    proof = (
        f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit:\n    "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", proof], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.splitlines()[-1] == "[]", ended.stdout[-200:] + ended.stderr
