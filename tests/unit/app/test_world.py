"""Which world a demo trades in: its name, and how speed becomes wiring."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.app.world import World, open_world, options_of, world_name
from bot.domain.errors import ConfigError
from bot.runtime.clock import LockstepClock, ScaledClock
from tests.unit.config.given import settings
from tests.unit.simulator.given import walk, write_candles


def test_worlds_differ_by_seed_files_profile_and_address(tmp_path: Path) -> None:
    """Invented candles of one never feed another; the same settings find their world again."""
    one, other = tmp_path / "BTC_1m.csv", tmp_path / "ETH_1m.csv"
    for path in (one, other):
        path.write_text("ts,open,high,low,close,volume\n")
    flags: list[dict[str, str]] = [
        {},
        {"DEMO_SEED": "43"},
        {"PROFILE": "aggressive"},
        {"DEMO_CANDLES": str(one)},
        {"DEMO_CANDLES": str(other)},
        {"DEMO_CANDLES": f"{one},{other}"},
        {"HYPERLIQUID_BASE_URL": "http://127.0.0.1:3001"},
    ]
    names = [world_name(settings(each)) for each in flags]
    assert len(set(names)) == len(names)
    assert names == [world_name(settings(each)) for each in flags]
    assert all(name.startswith("demo-") for name in names)


def test_the_order_of_the_files_and_what_does_not_matter_change_no_name(tmp_path: Path) -> None:
    """The same candles are the same world."""
    one, other = tmp_path / "BTC_1m.csv", tmp_path / "ETH_1m.csv"
    for path in (one, other):
        path.write_text("ts,open,high,low,close,volume\n")
    there = world_name(settings({"DEMO_CANDLES": f"{one},{other}"}))
    back = world_name(settings({"DEMO_CANDLES": f"{other},{one}"}))
    port = world_name(settings({"DEMO_CANDLES": f"{one},{other}", "HTTP_PORT": "8099"}))
    assert there == back == port


async def test_a_world_has_its_own_folder_exchange_and_scaled_clock(tmp_path: Path) -> None:
    """The ledger lies in DATA_DIR/<world>; the exchange listens on loopback."""
    chosen = settings({"DATA_DIR": str(tmp_path), "DEMO_SPEED": "60"})
    world = await open_world(chosen, 60)
    assert world.exchange is not None
    try:
        assert world.folder == tmp_path / world_name(chosen)
        assert (world.folder / "simulator.db").exists()
        assert isinstance(world.clock, ScaledClock)
        assert (world.speed, world.lockstep) == (60.0, None)
        assert world.base_url.startswith("http://127.0.0.1:")
        assert world.pace.desk.orders_at_once > 1
        assert world.source == f"hyperliquid:{world.name}"
        options = options_of(chosen, world)
        assert not options.is_mainnet
        assert options.base_url == world.base_url
    finally:
        await world.exchange.close()


async def test_speed_max_is_lockstep_with_one_order_at_a_time(tmp_path: Path) -> None:
    """Same seed, same trades: nothing runs beside an order, skew has no meaning."""
    chosen = settings({"DATA_DIR": str(tmp_path), "DEMO_SPEED": "max"})
    world = await open_world(chosen, 60)
    assert world.exchange is not None
    try:
        assert isinstance(world.clock, LockstepClock)
        assert world.lockstep is world.clock
        assert world.pace.desk.orders_at_once == 1
        assert not world.pace.check_skew
        assert options_of(chosen, world).max_actions_in_flight == 1
    finally:
        await world.exchange.close()


async def test_an_address_where_no_simulator_answers_is_said(tmp_path: Path) -> None:
    """Before anything is opened: what was tried and what to do."""
    url = "http://127.0.0.1:9"
    chosen = settings({"DATA_DIR": str(tmp_path), "HYPERLIQUID_BASE_URL": url})
    with pytest.raises(ConfigError, match=f"no simulator answers at {url}"):
        await open_world(chosen, 60)


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match="DATA_DIR"):
        await open_world(settings({"DATA_DIR": str(tmp_path / "data")}), 60)


async def closed(tmp_path: Path) -> World:
    """A world that was opened and let go at once."""
    world = await open_world(settings({"DATA_DIR": str(tmp_path), "DEMO_SPEED": "max"}), 60)
    assert world.exchange is not None
    await world.exchange.close()
    return world


async def test_books_of_an_exchange_that_began_anew_are_set_aside_whole(tmp_path: Path) -> None:
    """Database, its journal files and the spool; a second time beside the first."""
    world = await closed(tmp_path)
    names = ["keel.db", "keel.db-shm", "keel.db-wal", "spool.jsonl", "spool.rejected.jsonl"]
    for shelf in ("ended-1", "ended-2"):
        for name in names:
            (world.folder / name).write_text(f"{shelf} {name}")
        (world.folder / "simulator.db").unlink()
        again = await closed(tmp_path)
        assert again.folder == world.folder
        kept = sorted(path.name for path in (world.folder / shelf).iterdir())
        assert kept == names
        assert (world.folder / shelf / "spool.jsonl").read_text() == f"{shelf} spool.jsonl"
        assert not [name for name in names if (world.folder / name).exists()]


async def test_the_journal_of_a_database_goes_before_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between, no new database ever stands beside the journal of the old one."""
    world = await closed(tmp_path)
    for name in ("keel.db", "keel.db-wal", "keel.db-shm"):
        (world.folder / name).write_text("")
    (world.folder / "simulator.db").unlink()
    moved: list[str] = []
    rename = Path.rename

    def noted(self: Path, target: Path) -> Path:
        moved.append(self.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", noted)
    await closed(tmp_path)
    assert moved == ["keel.db-wal", "keel.db-shm", "keel.db"]


async def test_books_of_a_world_that_goes_on_stay(tmp_path: Path) -> None:
    """Only an exchange that knows nothing of them sends them away."""
    world = await closed(tmp_path)
    (world.folder / "keel.db").write_text("books")
    again = await closed(tmp_path)
    assert again.incarnation == world.incarnation != ""
    assert (world.folder / "keel.db").read_text() == "books"
    assert not (world.folder / "ended-1").exists()


async def test_the_same_files_in_another_order_go_on_with_their_world(tmp_path: Path) -> None:
    """A shell's glob and a person's list need not agree."""
    files = [write_candles(tmp_path / f"{coin}.csv", walk(40)) for coin in ("ETH", "SOL")]
    worlds = []
    for order in (files, files[::-1]):
        played = ",".join(str(file) for file in order)
        chosen = settings({"DATA_DIR": str(tmp_path / "data"), "DEMO_CANDLES": played})
        world = await open_world(chosen, 5)
        assert world.exchange is not None
        await world.exchange.close()
        worlds.append(world)
    assert worlds[0].folder == worlds[1].folder
    assert worlds[0].incarnation == worlds[1].incarnation
