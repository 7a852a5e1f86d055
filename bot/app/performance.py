"""Win rates of closed trades: the figure with its interval, its course, and who earned what.

Owns the shapes that /metrics, the page and /trades/summary show; every rate is a fraction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot.adapters.store import Earned
from bot.domain.portfolio import to_micro_cents
from bot.domain.statistics import wilson
from bot.domain.types import ZERO, Trade

WINDOW = 50  # trades behind each point of the course
COURSE_COLUMNS = ("ms", "rate", "low", "high", "trades")


def figures_of(trades: Sequence[Trade], total: int) -> dict[str, object]:
    """Win rates and average over `trades`; `total` is of all closed ones.

    `win_rate_decided` leaves out what ended at exactly nothing; `ci95` is its interval.
    """
    won, lost = _won(trades), sum(trade.net_pnl < 0 for trade in trades)
    net = sum((trade.net_pnl for trade in trades), ZERO)
    return {
        "total_trades": total,
        "trades_counted": len(trades),
        "win_rate": _rate(won, len(trades)),
        "win_rate_decided": _rate(won, won + lost),
        "ci95": _interval(won, won + lost),
        "average_pnl_usd": to_micro_cents(net / len(trades)) if trades else None,
    }


def course_of(trades: Sequence[Trade]) -> dict[str, object]:
    """After each of `trades`, oldest first: the win rate of the last 50 with its 95 % band."""
    points: list[list[float]] = []
    for number, trade in enumerate(trades, start=1):
        part = trades[max(0, number - WINDOW) : number]
        won = _won(part)
        low, high = wilson(won, len(part)) or (0.0, 1.0)
        rates = [round(rate, 4) for rate in (won / len(part), low, high)]
        points.append([int(trade.closed_at), *rates, len(part)])
    return {"window": WINDOW, "columns": COURSE_COLUMNS, "points": points}


def standings_of(rows: Iterable[Earned]) -> list[dict[str, object]]:
    """Who earned what, best first."""
    ranked = sorted(rows, key=lambda row: (-row.net_usd, row.name))
    return [
        {
            "name": row.name,
            "trades": row.closed,
            "won": row.won,
            "win_rate": _rate(row.won, row.closed),
            "ci95": _interval(row.won, row.closed),
            "net_usd": round(row.net_usd, 2),
        }
        for row in ranked
    ]


def _won(trades: Sequence[Trade]) -> int:
    return sum(trade.net_pnl > 0 for trade in trades)


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _interval(won: int, decided: int) -> list[float] | None:
    interval = wilson(won, decided)
    return None if interval is None else [round(bound, 4) for bound in interval]
