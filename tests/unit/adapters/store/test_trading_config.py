"""The view `trading_config`: one row, for those who look with SQL, on either database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from bot.adapters.store import EquityPoint, Store
from bot.domain.types import Ms
from bot.ports import Changes
from tests.unit.adapters.store.fakes import AT, query

COLUMNS = "initial_capital, current_capital, is_trading_enabled, mode, profile, last_updated"


def shown(store: Store) -> tuple[Any, ...]:
    ((*row,),) = query(store, f"select {COLUMNS} from trading_config")
    return tuple(row)


async def test_it_shows_what_this_run_trades_with(store: Store) -> None:
    """Money as its exact text; without an equity row yet, what it began with."""
    said = {"mode": "demo", "profile": "scalper", "initial_capital": Decimal("1000.10")}
    await store.journal.record(Changes(state={"settings": said}))
    initial, current, enabled, mode, profile, _ = shown(store)
    assert (Decimal(initial), Decimal(current)) == (Decimal("1000.1"), Decimal("1000.1"))
    assert (bool(enabled), mode, profile) == (True, "demo", "scalper")


async def test_it_follows_equity_state_and_time(store: Store) -> None:
    """The newest equity, the trading state, and when either was last written, in UTC."""
    state = {"settings": {"initial_capital": "5"}, "trading": {"state": "HALTED", "why": "test"}}
    await store.journal.record(Changes(state=state))
    for n, worth in enumerate(("7", "6.25")):
        point = EquityPoint(Ms(AT + 60_000 * n), Decimal(worth), Decimal(1), Decimal(1), Decimal(7))
        await store.journal.record(Changes(equity=(point,)))
    _, current, enabled, _, _, last = shown(store)
    assert (Decimal(current), bool(enabled)) == (Decimal("6.25"), False)
    text = last if isinstance(last, str) else f"{last:%Y-%m-%dT%H:%M:%SZ}"
    assert text == "2026-09-21T14:14:20Z"


async def test_an_empty_database_has_an_empty_row(store: Store) -> None:
    """Before the first start: no error, nothing known."""
    assert shown(store)[:2] == (None, None)
    assert shown(store)[3:] == (None, None, None)
