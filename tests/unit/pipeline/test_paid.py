"""Which payments a start knows, and from when it asks for the others."""

from __future__ import annotations

import json
from decimal import Decimal

from bot.domain.types import ZERO, Funding, Ms, Symbol
from bot.pipeline.paid import Paid
from tests.unit.pipeline.given import BTC, ETH, SOL


def payment(symbol: Symbol, at: int) -> Funding:
    return Funding(symbol, Decimal(-1), ZERO, ZERO, Ms(at))


def reborn(state: object, last_at: int = 0, began: int = 0) -> Paid:
    """What the next life knows by these rows, which are JSON."""
    paid = Paid()
    paid.recover(json.loads(json.dumps(state)), Ms(last_at), Ms(began))
    return paid


def test_the_next_life_asks_from_where_this_one_was_sure() -> None:
    """And knows what is in since then, at whatever time; of before nothing is told again."""
    paid = Paid()
    paid.add(payment(BTC, 5))
    assert paid.complete(Ms(10)) and not paid.complete(Ms(10)) and not paid.complete(Ms(9))
    for symbol, at in ((BTC, 10), (ETH, 10), (BTC, 13)):
        paid.add(payment(symbol, at))
    again = reborn(paid.state(), last_at=13)
    assert again.since == 10
    assert all(payment(symbol, at) in again for symbol, at in ((BTC, 10), (ETH, 10), (BTC, 13)))
    assert payment(SOL, 10) not in again and payment(BTC, 5) not in again


def test_a_row_of_an_older_keel_tells_of_the_last_payment() -> None:
    """The coins that paid then; it is asked from there on."""
    paid = reborn({"funded": ["BTC"]}, last_at=13, began=1)
    assert paid.since == 13
    assert payment(BTC, 13) in paid and payment(ETH, 13) not in paid


def test_before_the_first_payment_it_is_asked_from_the_beginning() -> None:
    """Nothing says which hours are in."""
    assert reborn({}, began=7).since == 7
