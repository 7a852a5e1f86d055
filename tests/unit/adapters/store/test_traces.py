"""The trace store: never in the way, bounded, and nothing lost while the database is away."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from bot.adapters.store import Store
from bot.adapters.store.trace_rows import record_of
from bot.adapters.store.traces import LAST_RETRY_S
from bot.domain import canonical
from bot.domain.errors import InvariantBroken, TransientError
from bot.domain.reasons import Check, CheckCode
from bot.domain.types import ASKED, Attempt, Ms, Side, Symbol, TraceId, trace_id
from bot.ports import TraceRecord
from tests.unit.adapters.store.conftest import Opener
from tests.unit.adapters.store.fakes import AT, BTC, FakeClock, locked, query, record
from tests.until import until


@asynccontextmanager
async def writing(store: Store) -> AsyncIterator[None]:
    """The writer service runs."""
    task = asyncio.create_task(store.traces.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_trace_comes_back_as_it_was(store: Store) -> None:
    """Queued or stored, a reader sees the same."""
    store.traces.put(record(1))
    queued = await store.traces.get(record(1).trace_id)
    await store.traces.flush()
    assert queued == await store.traces.get(record(1).trace_id) == record(1)
    assert store.traces.backlog() == 0
    assert await store.traces.get(TraceId("BTC-20260921T1320-9")) is None


@pytest.mark.parametrize("body", [b"", b"\x00\xff", zlib.compress(b"[1]"), zlib.compress(b"{")])
def test_a_damaged_body_is_said_with_its_trace(body: bytes) -> None:
    """One line that a command line can show, not the reader's own words."""
    with pytest.raises(InvariantBroken, match="trace BTC-1 is damaged"):
        record_of({"id": "BTC-1", "body": body})


async def test_our_own_types_are_stored_as_plain_data(store: Store) -> None:
    """A body may hold the frozen dataclasses of the road."""
    check = Check(CheckCode.TIER, True, 2, 3)
    store.traces.put(
        record(1, body={"approval": {"verdict": {"checks": (check,)}}, "side": Side.LONG})
    )
    await store.traces.flush()
    found = await store.traces.get(record(1).trace_id)
    assert found is not None
    assert found.body == canonical.plain(
        {"approval": {"verdict": {"checks": [check]}}, "side": "LONG"}
    )


async def test_a_trace_written_again_replaces_itself(store: Store) -> None:
    """A road that went further is one row, with the checks of its last writing only."""
    store.traces.put(record(1))
    await store.traces.flush()
    gate = {"checks": [{"code": "exposure", "ok": True, "value": "1.5", "limit": 2, "unit": "x"}]}
    body = {"proposal": {"signal": {}}, "desk": {"verdict": gate}}
    further = record(1, stage="execute", result="executed", body=body)
    store.traces.put(record(1, stage="clear"))
    store.traces.put(further)
    assert store.traces.backlog() == 1
    await store.traces.flush()
    assert await store.traces.recent(10) == (further,)
    assert query(store, "select gate, code, ok, value, limit_value, unit from gate_results") == [
        ("risk", "exposure", 1, "1.5", "2", "x")
    ]
    assert query(store, "select taken, gate_reason, price from signals") == [(1, None, None)]


async def test_a_trace_put_again_while_it_is_written_is_written_again(store: Store) -> None:
    """The row on its way is the older one: the newer stays queued until it is written too."""
    further = record(1, stage="execute")
    store.traces.put(record(1))
    writing_first = asyncio.create_task(store.traces._write_next())
    await asyncio.sleep(0)
    store.traces.put(further)
    await writing_first
    assert await store.traces.get(record(1).trace_id) == further
    await store.traces.flush()
    assert await store.traces.recent(5) == (further,)


async def test_signals_and_checks_get_rows_of_their_own(store: Store) -> None:
    """What gates rejected can be asked for in SQL."""
    store.traces.put(record(1))
    store.traces.put(record(2, body={}, side=None, strategy=None))
    await store.traces.flush()
    columns = "trace_id, symbol, side, strategy, score, tier, price, taken, gate_reason, at"
    assert query(store, f"select {columns} from signals") == [
        (
            record(1).trace_id,
            "BTC",
            "LONG",
            "breakout.standard",
            71.25,
            2,
            64.5,
            0,
            "rejected",
            AT + 1,
        )
    ]
    assert query(store, "select n, gate, code, ok, value, limit_value, at from gate_results") == [
        (0, "approval", "tier", 1, "2", "3", AT + 1),
        (1, "approval", "confidence", 0, "0.71", "0.75", AT + 1),
    ]


async def test_many_checks_in_one_batch_all_arrive(store: Store) -> None:
    """Checks are written in parts; none is forgotten at a seam."""
    for n in range(1, 251):
        store.traces.put(record(n))
    await store.traces.flush()
    assert query(store, "select count(*) from gate_results") == [(500,)]
    assert query(store, "select count(*) from traces") == [(250,)]


async def test_recent_is_newest_first_with_queued_ones_among_them(store: Store) -> None:
    """A reader does not wait for the writer."""
    for n in (1, 3, 5):
        store.traces.put(record(n))
    await store.traces.flush()
    store.traces.put(record(4))
    store.traces.put(record(5, stage="execute"))
    found = await store.traces.recent(3)
    assert found == (record(5, stage="execute"), record(4), record(3))


async def test_last_number_counts_stored_queued_and_spooled(opener: Opener) -> None:
    """A number given twice would be a client order id given twice."""
    store = await opener(queue_rows=1)
    assert await store.traces.last_number(BTC, AT) == 0
    store.traces.put(record(9))
    await store.traces.flush()
    store.traces.put(record(12))
    assert await store.traces.last_number(BTC, AT) == 12
    store.traces.put(record(11))
    assert store.traces.backlog() == 2
    assert await store.traces.last_number(BTC, AT) == 12
    assert await store.traces.last_number(Symbol("ETH"), AT) == 0
    assert await store.traces.last_number(BTC, Ms(AT + 1)) == 0
    await store.traces.flush()
    assert await store.traces.last_number(BTC, AT) == 12


async def test_a_number_under_which_a_model_was_asked_is_taken(store: Store) -> None:
    """Killed before its trace was written, and once more: no reserve is booked over."""
    for n in (1, 3, 40):
        ident = trace_id(BTC, AT, n)
        await store.attempts.put([Attempt(ident, "openai", 1, ASKED, AT, reserved=Decimal("0.01"))])
    assert await store.traces.last_number(BTC, AT) == 3
    await store.attempts.put([Attempt(trace_id(BTC, AT, 21), "openai", 1, ASKED, AT)])
    assert await store.traces.last_number(BTC, AT) == 40
    assert await store.traces.last_number(BTC, Ms(AT + 300_000)) == 0
    assert await store.traces.last_number(Symbol("BT"), AT) == 0


async def test_a_bar_just_closed_needs_no_question(store: Store) -> None:
    """With 200 symbols it is 200 questions a cycle, each of a dozen turns of the loop."""
    assert await store.traces.last_number(BTC, AT) == 0
    before = store.calls()["database_traces"].calls
    assert await store.traces.last_number(BTC, Ms(AT + 300_000)) == 0
    assert store.calls()["database_traces"].calls == before
    store.traces.put(replace(record(4), bar_close=Ms(AT + 900_000)))
    assert await store.traces.last_number(BTC, Ms(AT + 900_000)) == 4, "met since"


async def test_a_bar_that_an_earlier_life_has_seen_is_no_new_one(opener: Opener) -> None:
    """Also one that lies ahead: the clock was set back, or a model was asked about it."""
    earlier = await opener()
    earlier.traces.put(record(7))
    await earlier.traces.flush()
    ahead = Ms(AT + 600_000)
    asked = Attempt(trace_id(Symbol("ETH"), ahead, 1), "openai", 1, ASKED, AT)
    await earlier.attempts.put([asked])
    await earlier.close()
    store = await opener()
    for symbol in (BTC, Symbol("ETH")):
        assert await store.traces.last_number(symbol, Ms(AT - 300_000)) == 0
    assert await store.traces.last_number(BTC, AT) == 7
    assert await store.traces.last_number(Symbol("ETH"), ahead) == 1


async def test_the_funnel_counts_by_stage_and_result(store: Store) -> None:
    """Since a moment, with what is still queued."""
    store.traces.put(record(1, stage="scan", result="no_new_candle"))
    for n in (2, 3):
        store.traces.put(record(n))
    store.traces.put(record(4, stage="execute", result="executed"))
    assert await store.traces.funnel(Ms(AT + 2)) == {
        ("approve", "rejected"): 2,
        ("execute", "executed"): 1,
    }


async def test_a_body_without_canonical_form_says_so(store: Store) -> None:
    """NaN in a trace never raises on the road, and is not silently dropped."""
    store.traces.put(record(1, body={"x": float("nan")}))
    found = await store.traces.get(record(1).trace_id)
    assert found is not None
    assert "$.x" in str(found.body["refused"])


async def test_a_body_changed_after_put_is_stored_as_it_was(store: Store) -> None:
    """The queue holds values, not references."""
    body: dict[str, object] = {"a": 1}
    store.traces.put(record(1, body=body))
    body["a"] = 2
    await store.traces.flush()
    found = await store.traces.get(record(1).trace_id)
    assert found is not None
    assert found.body == {"a": 1}


async def test_the_writer_writes_what_is_put(store: Store) -> None:
    """The service needs no flush from outside."""
    async with writing(store):
        store.traces.put(record(1))
        await until(lambda: store.traces.backlog() == 0)
        store.traces.put(record(2))
        await until(lambda: store.traces.backlog() == 0)
    assert query(store, "select count(*) from traces") == [(2,)]


async def test_an_idle_writer_sets_no_deadline(store: Store, clock: FakeClock) -> None:
    """In lockstep each deadline is a step of market time: idle must cost none."""
    async with writing(store):
        store.traces.put(record(1))
        await until(lambda: store.traces.backlog() == 0)
        before = clock.holds
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (clock.holds, clock.pauses) == (before, [])


async def test_the_writer_backs_off_and_goes_on(store: Store, clock: FakeClock) -> None:
    """While the database is away rows stay queued; pauses double up to a bound."""
    async with writing(store):
        with locked(store):
            store.traces.put(record(1))
            await until(lambda: len(clock.pauses) >= 7)
            assert store.traces.backlog() == 1
        await until(lambda: store.traces.backlog() == 0)
    assert clock.pauses[:6] == [0.25, 0.5, 1.0, 2.0, 4.0, LAST_RETRY_S]
    assert await store.traces.get(record(1).trace_id) == record(1)


async def test_the_queue_is_bounded_and_the_oldest_go_to_the_spool(opener: Opener) -> None:
    """A full queue drops nothing and grows no further; replay keeps the order, once."""
    store = await opener(queue_rows=3)
    with locked(store):
        for n in range(1, 6):
            store.traces.put(record(n))
        store.traces.put(record(1, stage="execute"))
        with pytest.raises(TransientError):
            await store.traces.flush()
    spool = store._spool.path.parent / "spool.jsonl"
    lines = [json.loads(line) for line in spool.read_bytes().splitlines()]
    assert [line["row"]["id"] for line in lines[1:]] == [record(n).trace_id for n in (1, 2, 3)]
    assert store.traces.backlog() == 6
    await store.traces.flush()
    assert store.traces.backlog() == 0
    assert not spool.exists()
    found = {trace.trace_id: trace for trace in await store.traces.recent(10)}
    assert len(found) == 5
    assert found[record(1).trace_id] == record(1, stage="execute")


async def test_rows_lost_with_a_dead_disk_are_counted(opener: Opener, tmp_path: Path) -> None:
    """Neither queue nor spool takes it: `put` still does not raise, and the loss is counted."""
    folder = tmp_path / "gone"
    store = await opener(queue_rows=1, data_dir=folder)
    folder.rmdir()
    store.traces.put(record(1))
    store.traces.put(record(2))
    assert (store.traces.lost, store.traces.backlog()) == (1, 1)


async def test_closing_with_the_database_away_spools_the_queue(opener: Opener) -> None:
    """The next start finds what this one could not write."""
    store = await opener()
    store.traces.put(record(1))
    with locked(store):
        await store.close()
    again = await opener()
    assert await again.traces.recent(5) == (record(1),)


async def test_a_row_that_no_table_takes_does_not_block_the_others(store: Store) -> None:
    """It is kept aside; the writer goes on."""
    store.traces.put(replace(record(1), cycle=2**70))
    await store.traces.flush()
    store.traces.put(record(2))
    await store.traces.flush()
    assert [trace.trace_id for trace in await store.traces.recent(5)] == [record(2).trace_id]
    assert (
        b"BTC-20260921T1320-1" in (store._spool.path.parent / "spool.rejected.jsonl").read_bytes()
    )


def test_a_trace_is_small() -> None:
    """The columns beside the body are scalars."""
    assert all(
        not isinstance(getattr(record(1), name), list | tuple) for name in TraceRecord.__slots__
    )


async def test_heads_are_the_newest_traces_without_their_bodies(store: Store) -> None:
    """A list of 500 opens no body; queued and written ones come in one order."""
    store.traces.put(record(1))
    await store.traces.flush()
    store.traces.put(record(2))
    heads = await store.traces.heads(5)
    full = await store.traces.recent(5)
    assert [row["id"] for row in heads] == [trace.trace_id for trace in full]
    assert [(row["stage"], row["bar_close"]) for row in heads] == [
        (trace.stage, trace.bar_close) for trace in full
    ]
    assert "body" not in heads[-1]  # of the one that was asked of the database
