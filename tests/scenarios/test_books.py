"""The judge itself: tests.books names what differs, and only that."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.books import books_equal, differences, unguarded

OURS = """
CREATE TABLE fills (symbol, fill_id, is_buy, quantity, price, fee, closed_pnl);
CREATE TABLE funding (symbol, at, usd);
CREATE TABLE positions (symbol, side, quantity, realised, entry_fees, exit_fees, funding);
CREATE TABLE trades (gross_pnl, fees, funding);
CREATE TABLE bot_state (key, value);
INSERT INTO fills VALUES ('BTC', 1, 1, '2', '100', '0.09', '0');
INSERT INTO fills VALUES ('BTC', 2, 0, '2', '110', '0.1', '20');
INSERT INTO fills VALUES ('ETH', 3, 0, '5', '10', '0.02', '0');
INSERT INTO funding VALUES ('BTC', 7, '-0.5');
INSERT INTO positions VALUES ('ETH', 'SHORT', '5', '0', '0.02', '0', '0');
INSERT INTO trades VALUES ('20', '0.19', '-0.5');
INSERT INTO bot_state VALUES ('baseline', '"1000"');
"""
THEIRS = """
CREATE TABLE accounts (address, body);
CREATE TABLE events (id INTEGER PRIMARY KEY, address, kind, body);
CREATE TABLE orders (oid INTEGER PRIMARY KEY, live, body);
"""
STOP = {
    "coin": "ETH",
    "is_buy": True,
    "is_stop": True,
    "reduce_only": True,
    "trigger": "11",
    "armed": True,
    "fired": False,
    "whole": False,
    "remaining": "5",
}


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    return write(tmp_path / "keel.db", OURS)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = write(tmp_path / "simulator.db", THEIRS)
    held = {"coin": "ETH", "size": "-5", "entry": "10", "raw_usd": "60"}
    rows = [
        ("fill", fill(1, "BTC", "B", "2", "100", "0.09", "0")),
        ("fill", fill(2, "BTC", "A", "2", "110", "0.1", "20")),
        ("fill", fill(3, "ETH", "A", "5", "10", "0.02", "0")),
        ("funding", {"time": 7, "delta": {"coin": "BTC", "usdc": "-0.5"}}),
    ]
    with closing(sqlite3.connect(path)) as db:
        cash = {"cash": "1009.29", "holdings": [held]}  # and 60 - 5 x 10 in the position
        db.execute("INSERT INTO accounts VALUES ('0xa', ?)", (json.dumps(cash),))
        db.executemany(
            "INSERT INTO events (address, kind, body) VALUES ('0xa', ?, ?)",
            [(kind, json.dumps(row)) for kind, row in rows],
        )
        db.commit()
    return path


def fill(tid: int, coin: str, side: str, size: str, price: str, fee: str, pnl: str) -> Any:
    row = {"tid": tid, "coin": coin, "side": side, "sz": size}
    return {**row, "px": price, "fee": fee, "closedPnl": pnl}


def write(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.executescript(statement)
    return path


def test_equal_books_have_no_difference(ours: Path, theirs: Path) -> None:
    """Fills, funding, positions, totals and cash all agree."""
    books_equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DELETE FROM fills WHERE fill_id = 3", "fill 3 is not in our books"),
        ("UPDATE fills SET fill_id = 4 WHERE fill_id = 3", "fill 4 is not in the venue's"),
        ("UPDATE fills SET price = '10.000002' WHERE fill_id = 3", "fill 3 price"),
        ("UPDATE fills SET is_buy = 1 WHERE fill_id = 3", "fill 3 size"),
        ("UPDATE fills SET symbol = 'ARB' WHERE fill_id = 3", "fill 3 coin"),
        ("UPDATE fills SET fee = '0.03' WHERE fill_id = 3", "fill 3 fee"),
        ("UPDATE fills SET closed_pnl = '21' WHERE fill_id = 2", "fill 2 closed_pnl"),
        ("DELETE FROM funding", "funding ('BTC', 7): we have None"),
        ("UPDATE funding SET usd = '-0.6'", "funding ('BTC', 7)"),
        ("DELETE FROM positions", "position ETH"),
        ("UPDATE positions SET side = 'LONG'", "position ETH"),
        ("UPDATE trades SET gross_pnl = '21'", "realised P&L"),
        ("UPDATE trades SET fees = '0'", "fees"),
        ("UPDATE trades SET funding = '0'", "funding of all trades"),
        ("UPDATE bot_state SET value = '\"1001\"'", "cash"),
    ],
)
def test_each_difference_is_named(ours: Path, theirs: Path, change: str, told: str) -> None:
    """Whatever differs by more than 1e-6 is told, with both values."""
    write(ours, change)
    assert [line for line in differences(ours, theirs) if line.startswith(told)]
    with pytest.raises(AssertionError, match="books differ"):
        books_equal(ours, theirs)


def test_less_than_a_millionth_is_no_difference(ours: Path, theirs: Path) -> None:
    """The venue tells six decimals."""
    write(ours, "UPDATE fills SET fee = '0.0200004' WHERE fill_id = 3")
    assert differences(ours, theirs) == []


@pytest.mark.parametrize(
    "change",
    [
        {"is_buy": False},
        {"is_stop": False},
        {"reduce_only": False},
        {"armed": False},
        {"fired": True},
        {"remaining": "4"},
        {"coin": "BTC"},
    ],
)
def test_what_is_no_stop_guards_nothing(theirs: Path, change: dict[str, object]) -> None:
    """Another coin or side, a target, a child without parent, a part: each leaves it naked."""
    place(theirs, {**STOP, **change})
    assert unguarded(theirs) == ["ETH"]


def test_a_resting_stop_guards(theirs: Path) -> None:
    """All of the position, or following it."""
    assert unguarded(theirs) == ["ETH"]
    place(theirs, {**STOP, "remaining": "0", "whole": True})
    assert unguarded(theirs) == []


def place(path: Path, order: dict[str, object]) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT INTO orders (live, body) VALUES (1, ?)", (json.dumps(order),))
        db.commit()
