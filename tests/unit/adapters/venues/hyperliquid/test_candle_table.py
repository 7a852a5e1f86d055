"""Rows of candles in one block of numbers: what goes in comes out, in order, and no more."""

from __future__ import annotations

import pytest

from bot.adapters.venues.hyperliquid.candle_table import CandleTable
from bot.adapters.venues.hyperliquid.parse_market import Candle

MIN = 60_000
T0 = 1_790_000_040_000


def row(minute: int) -> Candle:
    return T0 + minute * MIN, 1.1, 1.3 + minute, 0.7, 1.2, 0.1 * minute


def filled(count: int, capacity: int = 100) -> CandleTable:
    table = CandleTable(capacity)
    table.extend(row(minute) for minute in range(count))
    return table


def test_rows_come_back_as_they_were() -> None:
    assert list(filled(5)) == [row(minute) for minute in range(5)]
    assert filled(5).rows(1, 3) == [row(1), row(2)]
    assert isinstance(filled(1).rows(0, 1)[0][0], int)


def test_the_oldest_make_room() -> None:
    table = filled(7, capacity=4)
    assert (len(table), table.full, table.first_ts) == (4, True, row(3)[0])
    table.extend([row(9)])
    assert list(table) == [row(4), row(5), row(6), row(9)]


def test_a_row_out_of_order_is_refused() -> None:
    with pytest.raises(AssertionError, match="out of order"):
        filled(3).extend([row(2)])


def test_a_row_is_found_by_its_time() -> None:
    table = filled(5)
    assert table.find(row(3)[0]) == row(3)
    assert table.find(row(3)[0] + 1) is None
    assert table.find(row(9)[0]) is None
    assert [table.place(row(minute)[0]) for minute in (-1, 0, 3, 9)] == [0, 0, 3, 5]


def test_columns_are_a_copy_that_nobody_writes_into() -> None:
    table = filled(5)
    bars = table.bars(1, 5)
    table.extend([row(5)])  # what is handed out holds no piece of the block
    assert bars.ts.tolist() == [row(minute)[0] for minute in range(1, 5)]
    assert bars.volume.tolist() == [row(minute)[5] for minute in range(1, 5)]
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0] = 2.0
    assert len(table.bars(2, 2)) == 0
