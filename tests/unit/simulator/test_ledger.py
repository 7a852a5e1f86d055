"""The venue's memory: what a killed process finds again, and what it refuses."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.domain.errors import ConfigError
from bot.domain.types import Ms
from bot.simulator.duties import Duties
from bot.simulator.engine import Engine
from bot.simulator.ledger import Dirty
from bot.simulator.options import SimulatorOptions
from bot.simulator.world import World
from tests.unit.simulator.given import (
    BTC,
    ETH,
    START,
    WALL,
    Venue,
    cloid,
    limit,
    trigger,
    walk,
    write_candles,
)

QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("clearinghouseState", {}),
    ("frontendOpenOrders", {}),
    ("historicalOrders", {}),
    ("userFills", {}),
    ("userFunding", {"startTime": 0}),
    ("userNonFundingLedgerUpdates", {"startTime": 0}),
    ("userRateLimit", {}),
    ("activeAssetData", {"coin": "BTC"}),
)


def test_a_killed_venue_is_found_as_it_was_left(venue: Venue) -> None:
    """Every answer is the same before and after: orders, fills, margin, funding, limits."""
    from tests.unit.simulator.test_duties import to_hour

    venue.leverage(BTC, 5)
    venue.place(limit(BTC, "0.01", "60300", "Ioc"))
    venue.place(
        limit(ETH, "1", "2900", cloid=cloid(1)),
        trigger(ETH, "-1", "2850", "sl", "2565", cloid=cloid(2)),
        grouping="normalTpsl",
    )
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    venue.tick(ETH=3005.0)
    to_hour(venue)
    before = [venue.ask(kind, **body) for kind, body in QUESTIONS]
    now, index = venue.world.now, venue.world.index
    again = venue.reopen()
    assert (again.world.now, again.world.index) == (now, index)
    assert [again.ask(kind, **body) for kind, body in QUESTIONS] == before
    again.tick(ETH=2890.0)
    assert again.size("ETH") == 2
    assert again.status(cloid(2)) == "open"
    again.tick(ETH=2840.0)
    assert again.status(cloid(2)) == "filled"
    again.world.ledger.close()


def test_numbers_go_on_and_nonces_stay_spent(venue: Venue) -> None:
    venue.place(limit(ETH, "1", "3010", "Ioc"))
    last = venue.ask("userFills")[0]
    venue.act({"type": "noop"}, nonce=WALL + 500)
    again = venue.reopen()
    again.place(limit(ETH, "1", "3010", "Ioc"))
    new = again.ask("userFills")[0]
    assert new["oid"] > last["oid"] and new["tid"] > last["tid"]
    assert new["hash"] != last["hash"]
    answer = again.act({"type": "noop"}, nonce=WALL + 500)
    assert answer["response"] == f"Invalid nonce: duplicate nonce {WALL + 500}"
    again.world.ledger.close()


def test_market_time_stands_still_while_the_process_is_down(tmp_path: Path) -> None:
    """However late the next start by the wall clock, the world goes on where it was."""
    options = SimulatorOptions(tmp_path / "s.db", seed=3)
    world = World(options, START)
    duties = Duties(world, Engine(world))
    for _ in range(5):
        index = world.index + 1
        at = world.source.tick_at(index)
        assert at is not None
        duties.tick(index, at)
        world.save()
    left, price = world.now, world.prices.shown("ETH")
    world.ledger.close()
    later = World(options, Ms(START + 9_000_000_000))
    assert (later.now, later.prices.shown("ETH")) == (left, price)
    assert later.epoch == START
    later.ledger.close()


def test_a_ledger_of_another_world_is_refused(tmp_path: Path) -> None:
    """Another seed, tick or file: the caller gave the wrong folder."""
    ledger = tmp_path / "s.db"
    World(SimulatorOptions(ledger, seed=3), START).ledger.close()
    file = write_candles(tmp_path / "ETH.csv", walk(40))
    for other in (
        SimulatorOptions(ledger, seed=4),
        SimulatorOptions(ledger, seed=3, tick_s=10.0),
        SimulatorOptions(ledger, seed=3, candles=(file,)),
    ):
        with pytest.raises(ConfigError, match="a ledger of another world"):
            World(other, START)
    World(SimulatorOptions(ledger, seed=3), START).ledger.close()


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match="ledger cannot be opened"):
        World(SimulatorOptions(path), START)


def play(world: World, most: int = 10_000) -> None:
    duties = Duties(world, Engine(world))
    for _ in range(most):
        index = world.index + 1
        at = world.source.tick_at(index)
        if at is None:
            return
        duties.tick(index, at)
        world.ended = world.source.tick_at(index + 1) is None
        world.save()


def test_a_candle_world_cut_off_goes_on_and_one_at_its_end_starts_anew(tmp_path: Path) -> None:
    file = write_candles(tmp_path / "ETH.csv", walk(40))
    options = SimulatorOptions(tmp_path / "s.db", candles=(file,), balance=Decimal(500))
    world = World(options, START)
    first_now, life = world.now, world.incarnation
    world.admit("0x" + "ab" * 20)
    play(world, most=30)
    cut_off = world.now
    world.ledger.close()
    world = World(options, START)
    assert world.now == cut_off and len(world.accounts) == 1
    assert world.incarnation == life and not world.began_anew
    play(world)
    assert world.ended
    world.ledger.close()
    world = World(options, START)
    assert world.now == first_now and world.accounts == {}
    assert world.incarnation != life and world.began_anew
    world.ledger.close()


def test_a_ledger_from_before_lives_had_names_gets_one_and_keeps_it(tmp_path: Path) -> None:
    """Whoever asks twice is told the same."""
    options = SimulatorOptions(tmp_path / "s.db", seed=3)
    world = World(options, START)
    state = world.ledger.state()
    assert state is not None and state.pop("incarnation") == world.incarnation
    world.ledger.write(state, Dirty())
    world.ledger.close()
    lives = []
    for _ in range(2):
        world = World(options, START)
        lives.append(world.incarnation)
        assert not world.began_anew
        world.ledger.close()
    assert lives[0] == lives[1] != ""


def damaged(path: Path, options: SimulatorOptions) -> None:
    """A ledger with rows, of which a page in the middle is overwritten."""
    world = World(options, START)
    for number in range(400):
        world.admit(f"0x{number:040x}")
    world.save()
    world.ledger.close()
    raw = bytearray(path.read_bytes())
    for page in range(3, len(raw) // 4096 - 1):
        raw[page * 4096 : page * 4096 + 200] = b"\xaa" * 200
    path.write_bytes(raw)


def test_a_damaged_ledger_is_refused_at_the_start(tmp_path: Path) -> None:
    """Not in the middle of the first answer; the file stays as it is, for whoever mends it."""
    path = tmp_path / "s.db"
    options = SimulatorOptions(path, seed=3)
    damaged(path, options)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="ledger cannot be opened") as caught:
        World(options, START)
    assert str(path) in str(caught.value) and "malformed" in str(caught.value)
    assert path.read_bytes() == before


def test_a_ledger_with_an_index_that_lacks_rows_is_refused(tmp_path: Path) -> None:
    """Every table can be read, and an answer would still be wrong: only the check sees it."""
    path = tmp_path / "s.db"
    options = SimulatorOptions(path, seed=3)
    world = World(options, START)
    for number in range(50):
        world.admit(f"0x{number:040x}")
    world.save()
    world.ledger.close()
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events_of'")
        db.execute("PRAGMA journal_mode=DELETE")
    raw = bytearray(path.read_bytes())
    place = (root - 1) * 4096 + 3
    cells = int.from_bytes(raw[place : place + 2], "big")
    assert cells > 1
    raw[place : place + 2] = (cells - 1).to_bytes(2, "big")
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"ledger cannot be opened \(damaged"):
        World(options, START)


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        SimulatorOptions(
            tmp_path / "s.db",
            seed=-1,
            balance=Decimal(-1),
            tick_s=7.0,
            half_spread_bps=0,
            depth_usd=0,
            warmup_bars=-1,
            accounts=("0x12",),
        )
    assert len(refusal.value.problems) == 7


def test_a_seed_beyond_its_bound_is_refused(tmp_path: Path) -> None:
    """The largest one is allowed; so it is with money."""
    SimulatorOptions(tmp_path / "s.db", seed=2**63 - 1, balance=Decimal(10**15), depth_usd=1e15)
    for wrong in ("1e16", "1e999999", "NaN"):
        with pytest.raises(ConfigError, match=r"balance: expected 0 to 1e[+]15"):
            SimulatorOptions(tmp_path / "s.db", balance=Decimal(wrong))
    with pytest.raises(ConfigError, match=r"depth_usd: expected more than 0, at most 1e[+]15"):
        SimulatorOptions(tmp_path / "s.db", depth_usd=float("inf"))
    with pytest.raises(
        ConfigError, match=r"seed: expected 0 to 2\^63 - 1, found 9223372036854775808"
    ):
        SimulatorOptions(tmp_path / "s.db", seed=2**63)
