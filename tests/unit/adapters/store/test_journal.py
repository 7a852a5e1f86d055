"""The money journal: all or nothing, durable, and never back from a final state."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import signal
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table

from bot.adapters.store import EquityPoint, Store, StoreOptions, open_store, tables
from bot.adapters.store.rows import decode_money, encode_money, money_rows
from bot.domain import canonical
from bot.domain.breakers import BreakerEvent
from bot.domain.errors import InvariantBroken, TransientError
from bot.domain.types import Cloid, Fill, Funding, Leg, Ms, Order, OrderStatus, Position, Trade
from bot.ports import Changes
from tests.unit.adapters.store.conftest import Opener
from tests.unit.adapters.store.fakes import (
    AT,
    TRACE,
    FakeClock,
    fill,
    locked,
    order,
    payment,
    position,
    query,
    trade,
)

FILL_IDS = itertools.count()
ROOT = Path(__file__).resolve().parents[4]
FULL_ORDER = order(
    9,
    OrderStatus.PARTIAL,
    leg=Leg.STOP,
    attempt=2,
    trigger=Decimal("1E-18"),
    reduce_only=True,
    venue_id=2**53,
    filled=Decimal("0.0001"),
    average_price=Decimal("98765432109876543210.0123456789012345678901234567"),
    expires_at=AT + 5000,
    reason="stop",
    executions=(
        (AT, 2**50, Decimal("0.0001"), Decimal("98765432109876543210.01234567890123456789")),
    ),
)


async def test_every_money_row_comes_back_as_it_was(opener: Opener) -> None:
    """What is recorded is what a new process recovers, with every digit."""
    first = await opener()
    state = {"trading_state": "HALTED", "guards": {"losses": 2, "day_equity": "1000.5"}}
    changes = Changes(
        orders=(order(1), FULL_ORDER),
        fills=(fill(1, cloid=Cloid("0x1"), liquidation=True), fill(2)),
        funding=(payment(),),
        positions=(position(),),
        trades=(trade(),),
        state=state,
    )
    await first.journal.record(changes)
    await first.close()
    found = await (await opener()).journal.recover()
    assert set(found.open_orders) == {order(1), FULL_ORDER}
    assert found.fills == changes.fills
    assert found.positions == changes.positions
    assert found.recent_trades == changes.trades
    assert found.state == state
    assert (found.last_fill_at, found.last_funding_at) == (AT, AT)
    assert (found.realised, found.fees) == (Decimal("0.2"), Decimal("0.071"))
    assert (found.funding, found.closed_trades) == (Decimal("-0.0123"), 1)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.decimals(min_value=-(10**30), max_value=10**30, places=40),
        min_size=1,
        max_size=8,
    )
)
def test_totals_are_exact_sums(database: Path, values: list[Decimal]) -> None:
    """A sum over fills loses no digit, however far apart the amounts lie."""

    async def recovered() -> tuple[Fraction, Fraction]:
        options = StoreOptions(f"sqlite+aiosqlite:///{database}", database.parent)
        store = await open_store(options, FakeClock())
        try:
            before = await store.journal.recover()
            rows = tuple(
                fill(next(FILL_IDS), closed_pnl=value, fee=value.copy_negate()) for value in values
            )
            await store.journal.record(Changes(fills=rows))
            after = await store.journal.recover()
        finally:
            await store.close()
        realised = Fraction(after.realised) - Fraction(before.realised)
        return realised, Fraction(after.fees) - Fraction(before.fees)

    expected = sum((Fraction(value) for value in values), start=Fraction(0))
    assert asyncio.run(recovered()) == (expected, -expected)


async def test_an_empty_journal_recovers_to_nothing(store: Store) -> None:
    """A first start has no history and no special case."""
    found = await store.journal.recover()
    assert not (found.open_orders or found.positions or found.fills or found.recent_trades)
    assert (found.last_fill_at, found.realised, found.closed_trades) == (0, Decimal(0), 0)


async def test_a_change_that_fails_in_the_middle_leaves_nothing(store: Store) -> None:
    """Money rows that belong together are written together or not at all."""
    broken = fill(1, price=Decimal("NaN"))
    with pytest.raises(InvariantBroken):
        await store.journal.record(Changes(orders=(order(1),), fills=(broken,)))
    assert await store.journal.orders_of(TRACE) == ()
    await store.journal.record(Changes(orders=(order(1),)))
    assert await store.journal.orders_of(TRACE) == (order(1),)


async def test_state_without_canonical_form_is_refused_whole(store: Store) -> None:
    """State that could not be read back is never written."""
    with pytest.raises(InvariantBroken, match="finite"):
        await store.journal.record(Changes(orders=(order(1),), state={"x": float("nan")}))
    assert await store.journal.orders_of(TRACE) == ()


async def test_fills_funding_and_trades_are_inserted_once(store: Store) -> None:
    """The venue tells the same fill twice; it counts once, as it was first told."""
    changes = Changes(fills=(fill(1),), funding=(payment(),), trades=(trade(),))
    await store.journal.record(changes)
    again = Changes(fills=(fill(1, fee=Decimal(9)), fill(2)), funding=(payment(usd="9"),))
    await store.journal.record(again)
    await store.journal.record(changes)
    found = await store.journal.recover()
    assert found.fills == (fill(1), fill(2))
    assert (found.funding, found.closed_trades) == (Decimal("-0.0123"), 1)


async def test_positions_are_replaced_and_deleted_when_flat(store: Store) -> None:
    """The table holds what is open now, nothing else."""
    await store.journal.record(Changes(positions=(position("BTC"), position("ETH"))))
    later = Changes(positions=(position("ETH", AT + 1),), flat=(position("BTC").symbol,))
    await store.journal.record(later)
    assert (await store.journal.recover()).positions == (position("ETH", AT + 1),)


@pytest.mark.parametrize("final", [status for status in OrderStatus if status.terminal])
@pytest.mark.parametrize("late", [status for status in OrderStatus if not status.terminal])
async def test_a_final_order_never_comes_back_to_life(
    store: Store, final: OrderStatus, late: OrderStatus
) -> None:
    """A late answer to an old question changes nothing."""
    await store.journal.record(Changes(orders=(order(1, final),)))
    await store.journal.record(Changes(orders=(order(1, late, filled=Decimal(5)),)))
    assert await store.journal.orders_of(TRACE) == (order(1, final),)
    assert (await store.journal.recover()).open_orders == ()


async def test_an_order_moves_forward_and_keeps_its_birth(store: Store) -> None:
    """Updates replace everything but identity and time of birth; a late fill may correct."""
    await store.journal.record(Changes(orders=(order(1),)))
    sent = order(1, OrderStatus.CANCELLED, created_at=Ms(AT + 9), updated_at=Ms(AT + 9))
    filled = order(1, OrderStatus.FILLED, filled=Decimal("0.00123"), updated_at=Ms(AT + 10))
    await store.journal.record(Changes(orders=(sent,)))
    assert (await store.journal.orders_of(TRACE))[0].created_at == AT
    await store.journal.record(Changes(orders=(filled,)))
    assert await store.journal.orders_of(TRACE) == (filled,)


async def test_recovered_fills_reach_back_to_the_oldest_position(store: Store) -> None:
    """The last 500, and all since the oldest open position, in the order they arrived."""
    fills = tuple(fill(1000 - n, at=Ms(AT + n // 2)) for n in range(700))
    await store.journal.record(Changes(fills=fills))
    assert (await store.journal.recover()).fills == fills[200:]
    await store.journal.record(Changes(positions=(position(opened_at=AT + 50),)))
    assert (await store.journal.recover()).fills == fills[100:]
    await store.journal.record(Changes(positions=(position(opened_at=AT + 300),)))
    assert (await store.journal.recover()).fills == fills[200:]


async def test_recent_trades_are_the_last_hundred_oldest_first(store: Store) -> None:
    """Losses in a row are counted from these."""
    trades = tuple(trade(n) for n in range(1, 131))
    await store.journal.record(Changes(trades=trades))
    found = await store.journal.recover()
    assert (found.recent_trades, found.closed_trades) == (trades[30:], 130)
    assert await store.journal.trades(2) == trades[-2:]
    assert query(store, "select net_pnl_real from trades limit 1") == [(5.8,)]


async def test_a_locked_database_is_a_transient_error(store: Store) -> None:
    """Entries are refused while the journal cannot write; the next write works."""
    with locked(store), pytest.raises(TransientError, match="locked"):
        await store.journal.record(Changes(orders=(order(1),)))
    await store.journal.record(Changes(orders=(order(1),)))


async def test_a_database_that_does_not_answer_is_given_up(opener: Opener) -> None:
    """No await on the outside without a limit, and SQLite's own waiting does not stretch it."""
    store = await opener(busy_timeout_s=0.3, limit_s=0.05)
    loop = asyncio.get_running_loop()
    with locked(store):
        started = loop.time()
        with pytest.raises(TransientError, match="no answer within"):
            await store.journal.record(Changes(orders=(order(1),)))
        with pytest.raises(TransientError, match="no answer within"):
            await store.journal.record(Changes(orders=(order(2),)))
        assert loop.time() - started < 0.25
    await store.close()
    rows = query(store, "select cloid from orders")
    assert (order(2).cloid,) not in rows  # given up before it began: never written


async def test_a_cancelled_write_is_left_at_once(opener: Opener) -> None:
    """The desk waits 20 ms for an exit's row and goes on; the next row is written."""
    store = await opener(busy_timeout_s=0.3)
    loop = asyncio.get_running_loop()
    with locked(store):
        started = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await store.journal.record(Changes(orders=(order(1),)))
        assert loop.time() - started < 0.2
    await store.journal.record(Changes(orders=(order(2),)))
    assert order(2) in await store.journal.orders_of(TRACE)


async def test_the_clock_is_held_while_the_database_works(store: Store, clock: FakeClock) -> None:
    """In lockstep market time stands still while a row is written."""
    before = clock.holds
    await store.journal.record(Changes(orders=(order(1),)))
    assert clock.holds > before
    assert clock.held == 0


async def test_writes_side_by_side_all_arrive(store: Store) -> None:
    """Money and traces write the same file at once, and nobody finds it locked."""
    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(store.journal.record(Changes(orders=(order(n),))))
            group.create_task(store.journal.put_config(str(n), AT, {}))
    assert len(await store.journal.orders_of(TRACE)) == 20


async def test_a_reader_works_while_a_transaction_is_open(store: Store) -> None:
    """The page reads the database of a daemon that writes."""
    await store.journal.record(Changes(orders=(order(1),)))
    with locked(store):
        assert await store.journal.orders_of(TRACE) == (order(1),)


async def test_configurations_are_kept_once(store: Store) -> None:
    """A fingerprint names one configuration for ever."""
    await store.journal.put_config("abc", AT, {"risk": {"percent": 2}})
    await store.journal.put_config("abc", Ms(AT + 1), {"risk": {"percent": 3}})
    assert await store.journal.get_config("abc") == {"risk": {"percent": 2}}
    assert await store.journal.get_config("def") is None


async def test_the_equity_curve_comes_back_in_order(store: Store) -> None:
    """One point a moment, exact."""
    points = [
        EquityPoint(Ms(AT + n), Decimal("1000.01") + n, Decimal(900), Decimal("-1E-9"), Decimal(n))
        for n in range(3)
    ]
    for point in (points[2], points[0], points[1], points[1]):
        await store.journal.record(Changes(equity=(point,)))
    assert await store.journal.equity_since(Ms(AT + 1)) == tuple(points[1:])


async def test_a_closed_store_opens_no_new_connection(store: Store) -> None:
    """A connection opened after close would keep the process alive for ever."""
    await store.close()
    with pytest.raises(TransientError, match="closed"):
        await store.journal.record(Changes(orders=(order(1),)))


def test_money_rows_survive_the_spool_format() -> None:
    """What is spooled is what would have been written."""
    changes = Changes(
        orders=(FULL_ORDER,),
        fills=(fill(1),),
        funding=(payment(),),
        positions=(position(),),
        flat=(position().symbol,),
        trades=(trade(),),
        state={"a": [1, "x"]},
    )
    rows = money_rows(changes, AT)
    line = canonical.loads(encode_money(rows))
    assert isinstance(line, dict)
    assert decode_money(line) == rows


def test_a_recorded_order_survives_kill_9(database: Path) -> None:
    """When `record` has returned the row is there, whatever happens to the process."""
    program = f"""
import asyncio, sys
from pathlib import Path
from bot.adapters.store import StoreOptions, open_store
from bot.ports import Changes
from tests.unit.adapters.store.fakes import FakeClock, order

async def main():
    options = StoreOptions("sqlite+aiosqlite:///{database}", Path({str(database.parent)!r}))
    store = await open_store(options, FakeClock())
    await store.journal.record(Changes(orders=(order(7),)))
    print("recorded", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"recorded\n"
        child.send_signal(signal.SIGKILL)
    assert query(database, "select cloid from orders") == [(order(7).cloid,)]


@pytest.mark.parametrize(
    ("value", "table"),
    [
        (Order, tables.orders),
        (Fill, tables.fills),
        (Funding, tables.funding),
        (Position, tables.positions),
        (Trade, tables.trades),
        (BreakerEvent, tables.circuit_breaker_events),
        (EquityPoint, tables.equity),
    ],
)
def test_every_field_of_a_money_value_has_its_column(value: type, table: Table) -> None:
    """A field added to the domain without a column, and a migration, fails here."""
    added = {"seq", "net_pnl_real"}
    assert {field.name for field in dataclasses.fields(value)} == set(table.columns.keys()) - added


def test_an_order_is_a_value() -> None:
    """The comparisons of this file compare every field."""
    assert isinstance(FULL_ORDER, Order)
    assert order(1) != order(1, OrderStatus.SENT)
