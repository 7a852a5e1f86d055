"""Whether Keel's books say the same as the venue's ledger, row by row, to 1e-6.

One comparison for kill, candle and demo tests. Owns reading both sides; knows nothing of how
either came to be: the bot's side is its database file, or whoever asks its server; the venue's
its ledger file or its API.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TOLERANCE = Decimal("0.000001")
ZERO = Decimal(0)
API_LIMIT_S = 3.0
SHOWN = 12  # differences told before "and n more"

Rows = Sequence[tuple[Any, ...]]
Ask = Callable[[str], Rows]  # one query of a database server


@dataclass(frozen=True, slots=True)
class FillRow:
    """One execution as either side knows it; `size` is signed, negative for a sale."""

    coin: str
    size: Decimal
    price: Decimal
    fee: Decimal
    closed_pnl: Decimal


@dataclass(frozen=True, slots=True)
class BookRows:
    """What both sides must agree on. Positions are signed; a flat coin is not named.

    `cash` is the account's value with open positions at their entry price. `realised`,
    `fees` and `funding_sum` are totals that were *not* made from `fills` and `funding`
    where a side keeps its own (the bot: closed trades and open positions).
    """

    fills: Mapping[int, FillRow]
    funding: Mapping[tuple[str, int], Decimal]
    positions: Mapping[str, Decimal]
    realised: Decimal
    fees: Decimal
    funding_sum: Decimal
    cash: Decimal


@dataclass(frozen=True, slots=True)
class VenueApi:
    """A simulator that runs as its own process, and whose account is meant."""

    url: str
    address: str


def books_equal(bot_db: Path | Ask, venue: Path | VenueApi) -> None:
    """Raise AssertionError naming every difference between the two sides."""
    found = differences(bot_db, venue)
    if found:
        more = f"\n  and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise AssertionError("books differ:\n  " + "\n  ".join(found[:SHOWN]) + more)


def differences(bot_db: Path | Ask, venue: Path | VenueApi) -> list[str]:
    """Every difference, one line each; empty when the books are equal."""
    ours = read_bot(bot_db)
    theirs = read_ledger(venue) if isinstance(venue, Path) else read_api(venue)
    found = [*_fills(ours.fills, theirs.fills), *_funding(ours, theirs)]
    for coin in sorted({*ours.positions, *theirs.positions}):
        found += _unequal(
            f"position {coin}", ours.positions.get(coin, ZERO), theirs.positions.get(coin, ZERO)
        )
    found += _unequal("realised P&L", ours.realised, theirs.realised)
    found += _unequal("fees", ours.fees, theirs.fees)
    found += _unequal("funding of all trades and positions", ours.funding_sum, theirs.funding_sum)
    found += _unequal("cash", ours.cash, theirs.cash)
    return found


def memory_differences(status: Mapping[str, Any], bot_db: Path) -> list[str]:
    """What the daemon says of its money in /status, against the rows it has written."""
    rows = read_bot(bot_db)
    fills = rows.fills.values()
    written = {
        "realised": sum((fill.closed_pnl for fill in fills), ZERO),
        "fees": sum((fill.fee for fill in fills), ZERO),
        "funding": sum(rows.funding.values(), ZERO),
    }
    return [
        f"{name}: /status says {status[name]}, the rows {total}"
        for name, total in written.items()
        if abs(Decimal(status[name]) - total) > TOLERANCE
    ]


# --- comparing ----------------------------------------------------------------------------


def _fills(ours: Mapping[int, FillRow], theirs: Mapping[int, FillRow]) -> Iterator[str]:
    for tid in sorted(theirs.keys() - ours.keys()):
        yield f"fill {tid} is not in our books: {theirs[tid]}"
    for tid in sorted(ours.keys() - theirs.keys()):
        yield f"fill {tid} is not in the venue's: {ours[tid]}"
    for tid in sorted(ours.keys() & theirs.keys()):
        us, them = ours[tid], theirs[tid]
        if us.coin != them.coin:
            yield f"fill {tid} coin: we have {us.coin}, the venue {them.coin}"
        for name in ("size", "price", "fee", "closed_pnl"):
            yield from _unequal(f"fill {tid} {name}", getattr(us, name), getattr(them, name))


def _funding(ours: BookRows, theirs: BookRows) -> Iterator[str]:
    for key in sorted({*ours.funding, *theirs.funding}):
        us, them = ours.funding.get(key), theirs.funding.get(key)
        if us is None or them is None:
            yield f"funding {key}: we have {us}, the venue {them}"
        else:
            yield from _unequal(f"funding {key}", us, them)


def _unequal(what: str, ours: Decimal, theirs: Decimal) -> Iterator[str]:
    if abs(ours - theirs) > TOLERANCE:
        yield f"{what}: we have {ours}, the venue {theirs}"


# --- our side -----------------------------------------------------------------------------


def read_bot(books: Path | Ask) -> BookRows:
    """Read keel.db as of one moment, also while the daemon writes it; or a server's tables."""
    if not isinstance(books, Path):
        return _bot_rows(books)
    with closing(reading(books)) as db:
        db.execute("BEGIN")
        return _bot_rows(lambda query: db.execute(query).fetchall())


def _bot_rows(ask: Ask) -> BookRows:
    fills = {
        int(tid): FillRow(
            coin,
            Decimal(quantity) if is_buy else -Decimal(quantity),
            Decimal(price),
            Decimal(fee),
            Decimal(pnl),
        )
        for coin, tid, is_buy, quantity, price, fee, pnl in ask(
            "SELECT symbol, fill_id, is_buy, quantity, price, fee, closed_pnl FROM fills"
        )
    }
    funding = {
        (str(coin), int(at)): Decimal(usd)
        for coin, at, usd in ask("SELECT symbol, at, usd FROM funding")
    }
    held = ask(
        "SELECT symbol, side, quantity, realised, entry_fees, exit_fees, funding FROM positions"
    )
    closed = ask("SELECT gross_pnl, fees, funding FROM trades")
    baseline = ask("SELECT value FROM bot_state WHERE key = 'baseline'")
    net = sum((fill.closed_pnl - fill.fee for fill in fills.values()), ZERO)
    start = Decimal(json.loads(baseline[0][0])) if baseline else ZERO
    return BookRows(
        fills=fills,
        funding=funding,
        positions={
            row[0]: Decimal(row[2]) if row[1] == "LONG" else -Decimal(row[2]) for row in held
        },
        realised=_sum([row[0] for row in closed] + [row[3] for row in held]),
        fees=_sum([row[1] for row in closed] + [fee for row in held for fee in row[4:6]]),
        funding_sum=_sum([row[2] for row in closed] + [row[6] for row in held]),
        cash=start + net + sum(funding.values(), ZERO),
    )


def closed_trades(path: Path) -> list[tuple[Any, ...]]:
    """Every row of `trades`, oldest first: what two runs of one seed must have in common."""
    with closing(reading(path)) as db:
        return db.execute("SELECT * FROM trades ORDER BY opened_at, symbol, closed_at").fetchall()


def ends_of_trades(path: Path) -> dict[str, tuple[str, str] | None]:
    """Where the trace of each closed trade says that it ended; None where there is no trace."""
    with closing(reading(path)) as db:
        rows = db.execute(
            "SELECT trades.trace_id, traces.stage, traces.result FROM trades "
            "LEFT JOIN traces ON traces.id = trades.trace_id"
        ).fetchall()
    return {trace: None if stage is None else (stage, result) for trace, stage, result in rows}


def trace_counts(path: Path) -> dict[tuple[str, str], int]:
    """How many traces ended where: {(stage, result): count}."""
    with closing(reading(path)) as db:
        rows = db.execute("SELECT stage, result, count(*) FROM traces GROUP BY 1, 2").fetchall()
    return {(stage, result): count for stage, result, count in rows}


# --- the venue's side ---------------------------------------------------------------------


def venue_orders(path: Path) -> list[dict[str, Any]]:
    """Every order that simulator.db holds, in the order in which they came."""
    with closing(reading(path)) as db:
        return [json.loads(body) for (body,) in db.execute("SELECT body FROM orders ORDER BY oid")]


def unguarded(path: Path) -> list[str]:
    """Coins whose position in simulator.db no resting stop covers, as of one moment."""
    with closing(reading(path)) as db:
        db.execute("BEGIN")
        accounts = [json.loads(body) for (body,) in db.execute("SELECT body FROM accounts")]
        orders = [json.loads(body) for (body,) in db.execute(_LIVE)]
    found = []
    for held in (held for account in accounts for held in account["holdings"]):
        size = Decimal(held["size"])
        stops = [row for row in orders if _guards(row, held["coin"], size)]
        covered = sum((Decimal(stop["remaining"]) for stop in stops), ZERO)
        if not any(stop["whole"] for stop in stops) and covered < abs(size):
            found.append(str(held["coin"]))
    return sorted(found)


_LIVE = "SELECT body FROM orders WHERE live = 1"


def _guards(row: Mapping[str, Any], coin: str, size: Decimal) -> bool:
    resting = row["armed"] and not row["fired"] and row["trigger"] is not None
    against = row["is_buy"] == (size < 0)
    return bool(resting and against and row["is_stop"] and row["reduce_only"]) and (
        row["coin"] == coin
    )


def read_ledger(path: Path) -> BookRows:
    """Read simulator.db: the one account in it."""
    with closing(reading(path)) as db:
        db.execute("BEGIN")
        ((address, text),) = db.execute("SELECT address, body FROM accounts").fetchall()
        rows = db.execute(
            "SELECT kind, body FROM events WHERE address = ? ORDER BY id", (address,)
        ).fetchall()
    account = json.loads(text)
    cash = Decimal(account["cash"])
    positions = {}
    for held in account["holdings"]:
        size = positions[held["coin"]] = Decimal(held["size"])
        cash += Decimal(held["raw_usd"]) + size * Decimal(held["entry"])
    return _venue_rows(
        (json.loads(body) for kind, body in rows if kind == "fill"),
        (json.loads(body) for kind, body in rows if kind == "funding"),
        positions,
        cash,
    )


def read_api(venue: VenueApi) -> BookRows:
    """Ask a running simulator over HTTP."""
    state = ask(venue.url, {"type": "clearinghouseState", "user": venue.address})
    positions, unrealised = {}, ZERO
    for row in state["assetPositions"]:
        positions[row["position"]["coin"]] = Decimal(row["position"]["szi"])
        unrealised += Decimal(row["position"]["unrealizedPnl"])
    return _venue_rows(
        _paged(venue, "userFillsByTime"),
        _paged(venue, "userFunding"),
        positions,
        Decimal(state["marginSummary"]["accountValue"]) - unrealised,
    )


def ask(url: str, body: Mapping[str, object]) -> Any:
    """POST /info of a simulator on loopback."""
    place = urlsplit(url)
    with closing(HTTPConnection(place.hostname or "", place.port, timeout=API_LIMIT_S)) as line:
        line.request("POST", "/info", json.dumps(body), {"Content-Type": "application/json"})
        answer = line.getresponse()
        text = answer.read()
    if answer.status != 200:
        raise OSError(f"simulator at {url}: {answer.status} to {body.get('type')}")
    return json.loads(text)


def _venue_rows(
    fills: Iterable[Any], funding: Iterable[Any], positions: Mapping[str, Decimal], cash: Decimal
) -> BookRows:
    done = {
        int(row["tid"]): FillRow(
            row["coin"],
            Decimal(row["sz"]) if row["side"] == "B" else -Decimal(row["sz"]),
            Decimal(row["px"]),
            Decimal(row["fee"]),
            Decimal(row["closedPnl"]),
        )
        for row in fills
    }
    paid = {
        (row["delta"]["coin"], int(row["time"])): Decimal(row["delta"]["usdc"]) for row in funding
    }
    return BookRows(
        fills=done,
        funding=paid,
        positions={coin: size for coin, size in positions.items() if size},
        realised=sum((fill.closed_pnl for fill in done.values()), ZERO),
        fees=sum((fill.fee for fill in done.values()), ZERO),
        funding_sum=sum(paid.values(), ZERO),
        cash=cash,
    )


def _paged(venue: VenueApi, kind: str) -> Iterator[Any]:
    """Every row from the beginning; a page that brings nothing new is the last."""
    seen: set[str] = set()
    start = 0
    while True:
        page = ask(venue.url, {"type": kind, "user": venue.address, "startTime": start})
        new = [row for row in page if json.dumps(row, sort_keys=True) not in seen]
        if not new:
            return
        seen.update(json.dumps(row, sort_keys=True) for row in new)
        start = int(new[-1]["time"])
        yield from new


def _sum(texts: Iterable[str]) -> Decimal:
    return sum((Decimal(text) for text in texts), ZERO)


def reading(path: Path) -> sqlite3.Connection:
    """Open for reading; a writer beside us is waited for."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", 5.0, uri=True)
