"""The archive: old traces into files that can be read, checked before a row is deleted."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.adapters.store import Store, archive_file
from bot.adapters.store.archive import LOCK_NAME, ROWS_A_BATCH
from bot.domain.errors import AlreadyRunning, TransientError
from bot.domain.types import Ms, TraceId
from bot.ports import TraceRecord
from bot.runtime.lock import FolderLock
from tests.unit.adapters.store.fakes import AT, FakeClock, locked, query, record

DAY_MS = 86_400_000


def at_day(day: int, number: int = 1) -> TraceRecord:
    """A trace of the bar that closed `day` days after AT."""
    close = AT + day * DAY_MS
    stamp = f"{datetime.fromtimestamp(close / 1000, UTC):%Y%m%dT%H%M}"
    ident = TraceId(f"BTC-{stamp}-{number}")
    return record(number, trace_id=ident, bar_close=Ms(close), started_at=Ms(close + number))


async def stored(store: Store, *records: TraceRecord) -> None:
    for one in records:
        store.traces.put(one)
    await store.traces.flush()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


async def test_old_rows_go_to_the_file_of_their_month(store: Store, tmp_path: Path) -> None:
    """By market time; younger ones stay, and so do the signals of both."""
    old = [at_day(day) for day in (0, 1, 20, 21)]
    await stored(store, *old, at_day(60))
    assert await store.archive.move_older(Ms(AT + 30 * DAY_MS)) == 4
    folder = tmp_path / "archive"
    september = lines(folder / "traces-202609.jsonl.gz")
    october = lines(folder / "traces-202610.jsonl.gz")
    assert [line["id"] for line in (*september, *october)] == [one.trace_id for one in old]
    assert september[0]["body"] == dict(old[0].body)
    assert september[0]["score"] == 71.25
    assert await store.traces.recent(10) == (at_day(60),)
    assert query(store, "select count(distinct trace_id) from gate_results") == [(1,)]
    assert query(store, "select count(*) from signals") == [(5,)]
    assert await store.archive.newest() == AT + 60 * DAY_MS + 1


async def test_many_rows_go_batch_by_batch(store: Store, clock: FakeClock) -> None:
    """No long transaction: the road is let in between two batches."""
    await stored(store, *(at_day(0, n) for n in range(1, 2 * ROWS_A_BATCH + 10)))
    clock.pauses.clear()
    assert await store.archive.move_older(Ms(AT + DAY_MS)) == 2 * ROWS_A_BATCH + 9
    assert len(clock.pauses) == 3
    assert await store.archive.move_older(Ms(AT + DAY_MS)) == 0


async def test_an_archived_trace_is_found_again(store: Store) -> None:
    """By its id, in its month's file; what never was is not."""
    night = record(
        7,
        trace_id=TraceId("BTC-20260930T2359-7"),
        bar_close=Ms(1_790_812_740_000),
        started_at=Ms(1_790_812_802_000),  # after midnight: in October's file
    )
    await stored(store, at_day(0, 1), at_day(0, 11), night)
    await store.archive.move_older(Ms(AT + 30 * DAY_MS))
    found = await store.archive.find(at_day(0, 1).trace_id)
    assert found is not None
    assert found.file == "traces-202609.jsonl.gz"
    assert json.loads(found.line)["id"] == at_day(0, 1).trace_id
    late = await store.archive.find(night.trace_id)
    assert late is not None
    assert late.file == "traces-202610.jsonl.gz"
    assert await store.archive.find(at_day(0, 2).trace_id) is None
    assert await store.archive.find(TraceId("nonsense")) is None
    assert await store.archive.find(TraceId("BTC-20269999T9999-1")) is None


async def test_nothing_is_deleted_that_the_file_does_not_give_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk took it and returned something else: the rows stay, the file is as before."""
    await stored(store, at_day(0))
    await store.archive.move_older(Ms(AT + DAY_MS))
    path = tmp_path / "archive" / "traces-202609.jsonl.gz"
    before = path.read_bytes()
    await stored(store, at_day(1))
    real = gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda data, mtime: real(data[:-9], mtime=mtime))
    with pytest.raises(TransientError, match="does not give back"):
        await store.archive.move_older(Ms(AT + 5 * DAY_MS))
    assert path.read_bytes() == before
    assert await store.traces.get(at_day(1).trace_id) == at_day(1)
    monkeypatch.undo()
    assert await store.archive.move_older(Ms(AT + 5 * DAY_MS)) == 1
    assert len(lines(path)) == 2


async def test_a_write_cut_off_by_a_kill_is_taken_back(store: Store, tmp_path: Path) -> None:
    """Half a member in the middle would make all behind it unreadable."""
    await stored(store, at_day(0))
    await store.archive.move_older(Ms(AT + DAY_MS))
    folder = tmp_path / "archive"
    path = folder / "traces-202609.jsonl.gz"
    size = path.stat().st_size
    (folder / archive_file.PENDING).write_text(f"{path.name} {size}")
    with path.open("ab") as file:
        file.write(gzip.compress(b"half a line")[:15])
    await stored(store, at_day(1))
    await store.archive.move_older(Ms(AT + 5 * DAY_MS))
    assert [line["id"] for line in lines(path)] == [at_day(0).trace_id, at_day(1).trace_id]
    assert not (folder / archive_file.PENDING).exists()


async def test_a_half_written_end_hides_nothing_before_it(store: Store, tmp_path: Path) -> None:
    """A batch is on its way while the page asks, or a kill cut it off and none came since."""
    await stored(store, at_day(0))
    await store.archive.move_older(Ms(AT + DAY_MS))
    with (tmp_path / "archive" / "traces-202609.jsonl.gz").open("ab") as file:
        file.write(gzip.compress(b"the rows of the next batch\n" * 50)[:-9])
    assert await store.archive.find(at_day(0).trace_id) is not None
    assert await store.archive.find(at_day(1).trace_id) is None


async def test_a_damaged_file_is_said(store: Store, tmp_path: Path) -> None:
    """As an error of the disk, which the routes and `replay` answer; never as "no such trace"."""
    await stored(store, at_day(0))
    await store.archive.move_older(Ms(AT + DAY_MS))
    path = tmp_path / "archive" / "traces-202609.jsonl.gz"
    data = bytearray(path.read_bytes())
    data[12] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(TransientError, match="traces-202609"):
        await store.archive.find(at_day(0).trace_id)


def test_a_damaged_row_stays_and_is_named(tmp_path: Path) -> None:
    """Raised as what the daily jobs bear: a crash of theirs would end the backups, too."""
    row = {"id": "BTC-20260901T0000-1", "started_at": AT, "body": b"no zlib"}
    with pytest.raises(OSError, match="BTC-20260901T0000-1 is damaged"):
        archive_file.append(tmp_path, [row])
    assert list(tmp_path.iterdir()) == []


async def test_rows_that_could_not_be_deleted_are_archived_again(
    store: Store, tmp_path: Path
) -> None:
    """Killed, or locked, between file and table: in both, never in neither."""
    await stored(store, at_day(0))
    with locked(store), pytest.raises(TransientError):
        await store.archive.move_older(Ms(AT + DAY_MS))
    assert await store.traces.get(at_day(0).trace_id) == at_day(0)
    assert await store.archive.move_older(Ms(AT + DAY_MS)) == 1
    assert len(lines(tmp_path / "archive" / "traces-202609.jsonl.gz")) == 2


async def test_a_full_disk_keeps_the_rows(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is deleted that is not on the disk."""
    await stored(store, at_day(0))

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TransientError, match="No space left"):
        await store.archive.move_older(Ms(AT + DAY_MS))
    monkeypatch.undo()
    assert await store.traces.get(at_day(0).trace_id) == at_day(0)


async def test_only_one_process_archives(store: Store, tmp_path: Path) -> None:
    """`db archive` beside a daemon that does so at this moment."""
    with FolderLock(tmp_path / "archive", LOCK_NAME), pytest.raises(AlreadyRunning):
        await store.archive.move_older(Ms(AT))
    assert await store.archive.move_older(Ms(AT)) == 0
