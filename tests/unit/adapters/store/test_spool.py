"""The spool: in order, once, and whole lines only."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.store import Store
from bot.adapters.store.money import write_money
from bot.adapters.store.spool import Spool
from bot.domain.errors import ConfigError, TransientError
from bot.domain.types import Ms, OrderStatus
from bot.ports import Changes
from tests.unit.adapters.store.conftest import Opener
from tests.unit.adapters.store.fakes import AT, TRACE, fill, locked, order, position, query, record


def filled(store: Store) -> Path:
    return store._spool.path


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def test_spooled_money_goes_in_before_the_next_row(store: Store) -> None:
    """Rows keep their order: an older state never covers a newer one."""
    sent = order(1, OrderStatus.SENT, updated_at=Ms(AT + 1))
    resting = order(1, OrderStatus.OPEN, updated_at=Ms(AT + 2))
    await store.journal.spool_money(Changes(orders=(sent,), fills=(fill(1),)))
    assert filled(store).exists()
    await store.journal.record(Changes(orders=(resting,)))
    assert await store.journal.orders_of(TRACE) == (
        order(1, OrderStatus.OPEN, updated_at=Ms(AT + 2)),
    )
    assert (await store.journal.recover()).fills == (fill(1),)
    assert not filled(store).exists()


async def test_the_trace_writer_replays_spooled_money_too(store: Store) -> None:
    """When no entry follows, the database still gets the exit's rows."""
    await store.journal.spool_money(Changes(orders=(order(1),)))
    assert store.traces.backlog() == 1
    await store.traces.flush()
    assert query(store, "select count(*) from orders") == [(1,)]


async def test_money_spooled_while_away_is_replayed_by_the_next_start(opener: Opener) -> None:
    """A crash during an outage loses no exit."""
    store = await opener()
    with locked(store):
        with pytest.raises(TransientError):
            await store.journal.record(Changes(orders=(order(1),)))
        await store.journal.spool_money(Changes(orders=(order(1),), state={"x": 1}))
        await store.journal.spool_money(Changes(orders=(order(1, OrderStatus.FILLED),)))
    again = await opener()  # the first was never closed
    found = await again.journal.recover()
    assert (found.open_orders, found.state) == ((), {"x": 1})
    assert not filled(store).exists()


async def test_a_replayed_spool_that_comes_back_changes_nothing(opener: Opener) -> None:
    """Killed between the last commit and the removal of the file: nothing is replayed twice."""
    store = await opener()
    await store.journal.spool_money(Changes(positions=(position(),)))
    kept = store._spool.path.parent / "kept"
    shutil.copyfile(filled(store), kept)
    await store.journal.record(Changes(flat=(position().symbol,)))
    await store.close()
    shutil.copyfile(kept, filled(store))
    again = await opener()
    assert (await again.journal.recover()).positions == ()
    assert again.traces.backlog() == 0


async def test_half_a_replay_goes_on_where_it_stopped(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark is written with the rows, so that a stop between two batches repeats none."""
    store = await opener()
    for n in range(60):
        changes = Changes(fills=(fill(n),), state={"n": n}, positions=(position(opened_at=AT + n),))
        await store.journal.spool_money(changes)
    seen: list[int] = []

    async def counted(db: object, rows: object) -> None:
        seen.append(1)
        if len(seen) == 40:
            raise TransientError("the database went away")
        await write_money(db, rows)  # type: ignore[arg-type]

    monkeypatch.setattr("bot.adapters.store.replay.write_money", counted)
    with pytest.raises(TransientError):
        await store.journal.recover()
    assert query(store, "select lines from spool_marks") == [(25,)]
    assert query(store, "select count(*) from fills") == [(25,)]
    seen[:] = [1] * 100
    again = await opener()
    found = await again.journal.recover()
    assert len(seen) == 100 + 35
    assert [row.fill_id for row in found.fills] == list(range(60))
    assert found.state == {"n": 59}


async def test_a_replay_given_up_midway_repeats_nothing(opener: Opener) -> None:
    """The caller was cancelled while the lines were being written: they may be there already."""
    store = await opener(busy_timeout_s=1.0)
    await store.journal.spool_money(Changes(positions=(position(),)))
    with locked(store), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await store.replay.run()  # its transaction has begun and ends when the lock goes
    flat = Changes(flat=(position().symbol,))
    await store.journal.record(flat)
    assert (await store.journal.recover()).positions == ()
    assert query(store, "select lines from spool_marks") == [(1,)]


async def test_a_spool_that_vanished_is_a_transient_error(store: Store) -> None:
    """Somebody removed the file: nothing to replay from, and no service dies of it."""
    await store.journal.spool_money(Changes(orders=(order(1),)))
    filled(store).rename(store._spool.path.parent / "elsewhere")
    with pytest.raises(TransientError, match="cannot be read"):
        await store.traces.flush()
    (store._spool.path.parent / "elsewhere").rename(filled(store))
    await store.traces.flush()


async def test_a_line_that_cannot_be_replayed_is_kept_aside(opener: Opener) -> None:
    """One bad line does not hold back those behind it."""
    store = await opener()
    for n in (1, 2):
        await store.journal.spool_money(Changes(orders=(order(n),)))
    _append(filled(store), b'{"kind":"money"}\nnot json\n')
    again = await opener()
    assert await again.journal.orders_of(TRACE) == (order(1), order(2))
    assert again.traces.backlog() == 0
    assert (store._spool.path.parent / "spool.rejected.jsonl").read_bytes().count(b"\n") == 2


async def test_a_row_that_the_tables_refuse_is_kept_aside(opener: Opener) -> None:
    """Readable, but not writable: found line by line, the rest goes in."""
    store = await opener()
    broken = fill(2, venue_id=2**70)
    for one in (fill(1), broken, fill(3)):
        await store.journal.spool_money(Changes(fills=(one,)))
    store.traces.put(record(1))
    await store.traces.flush()
    assert (await store.journal.recover()).fills == (fill(1), fill(3))
    assert await store.traces.recent(2) == (record(1),)
    assert (
        b"1180591620717411303424"
        in (store._spool.path.parent / "spool.rejected.jsonl").read_bytes()
    )


async def test_money_and_traces_share_one_order(opener: Opener) -> None:
    """Both kinds in one file, replayed together."""
    store = await opener(queue_rows=1)
    await store.journal.spool_money(Changes(fills=(fill(1, fee=Decimal(1)),)))
    for n in (1, 2, 3):
        store.traces.put(record(n))
    await store.journal.spool_money(Changes(fills=(fill(2, fee=Decimal(2)),)))
    assert store.traces.backlog() == 5
    await store.traces.flush()
    assert query(store, "select count(*) from traces") == [(3,)]
    assert (await store.journal.recover()).fees == Decimal(3)


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    """The process died while writing: the whole lines count, the rest was never promised."""
    spool = Spool(tmp_path)
    spool.append(b'{"n":1}')
    spool.close()
    with spool.path.open("ab") as file:
        file.write(b'{"n":2')
    again = Spool(tmp_path)
    again.open()
    assert again.pending == 1
    again.append(b'{"n":3}')
    again.close()
    assert again.path.read_bytes().splitlines()[1:] == [b'{"n":1}', b'{"n":3}']
    assert again.read(10).lines == (b'{"n":1}', b'{"n":3}')


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written whole is taken back, so that the next line is whole."""
    spool = Spool(tmp_path)
    spool.append(b"first")
    real = os.write

    def half(fd: int, data: bytes) -> int:
        if len(data) < 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[: len(data) - 3])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        spool.append(b"second")
    monkeypatch.undo()
    spool.append(b"third")
    spool.close()
    assert spool.read(10).lines == (b"first", b"third")
    assert spool.path.read_bytes().count(b"\n") == 3


async def test_money_is_synced_before_it_is_promised(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exit's row in the spool survives a power cut: file and folder are synced."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    await store.journal.spool_money(Changes(orders=(order(1),)))
    assert len(synced) == 2


async def test_a_spool_that_cannot_be_written_is_a_transient_error(
    opener: Opener, tmp_path: Path
) -> None:
    """The caller learns that neither database nor file took the rows."""
    folder = tmp_path / "gone"
    store = await opener(data_dir=folder)
    folder.rmdir()
    with pytest.raises(TransientError, match=r"spool\.jsonl"):
        await store.journal.spool_money(Changes(orders=(order(1),)))


@pytest.mark.parametrize("content", [b"hello\n", b'{"kind":"money"}\n', b"[]\n"])
def test_a_file_that_is_no_spool_is_not_touched(tmp_path: Path, content: bytes) -> None:
    """It may be somebody's; the operator decides."""
    (tmp_path / "spool.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match="move it away"):
        Spool(tmp_path).open()
    assert (tmp_path / "spool.jsonl").read_bytes() == content


def test_an_empty_or_torn_header_is_no_spool_at_all(tmp_path: Path) -> None:
    """The process died with the first line: there is nothing to replay."""
    contents: Sequence[bytes] = (b"", b'{"id":"a","kind":"spo')
    for content in contents:
        (tmp_path / "spool.jsonl").write_bytes(content)
        spool = Spool(tmp_path)
        spool.open()
        assert (spool.pending, spool.path.exists()) == (0, False)
