"""Signing: the SDK's golden vectors, nonces, and a key that never shows."""

from __future__ import annotations

import traceback
from decimal import Decimal

import pytest
from hyperliquid.utils.signing import action_hash
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.venues.hyperliquid import (
    MAINNET_URL,
    HyperliquidOptions,
    connect,
    demo_key,
    demo_key_for,
    signing_backend,
)
from bot.adapters.venues.hyperliquid.signing import NonceSource, Signer
from bot.adapters.venues.hyperliquid.wire import number
from bot.domain.errors import ConfigError
from bot.runtime.clock import SystemClock

# hyperliquid-python-sdk, tests/signing_test.py
GOLDEN_KEY = "0x0123456789012345678901234567890123456789012345678901234567890123"
GOLDEN_ADDRESS = "0x14791697260e4c9a71f18484c9f997b308e59325"


def order_action(asset: int, price: str, size: str, tif: str) -> dict[str, object]:
    order = {
        "a": asset,
        "b": True,
        "p": number(Decimal(price)),
        "s": number(Decimal(size)),
        "r": False,
        "t": {"limit": {"tif": tif}},
    }
    return {"type": "order", "orders": [order], "grouping": "na"}


def test_golden_signature_of_the_sdk() -> None:
    """The same key, action and nonce give the signature that the SDK's own test holds."""
    # The mainnet signer comes from the mainnet URL alone; nothing is sent here.
    signer = Signer(GOLDEN_KEY, MAINNET_URL, is_mainnet=True, nonces=NonceSource(lambda: 0, -1))
    body = signer.envelope(order_action(1, "100", "100", "Gtc"), None)
    assert signer.address == GOLDEN_ADDRESS
    assert body["nonce"] == 0
    assert body["signature"] == {
        "r": "0xd65369825a9df5d80099e513cce430311d7d26ddf477f5b3a33d2806b100d78e",
        "s": "0x2b54116ff64054968aa237c20ca9ff68000f977c93289157748a3162b6ea940e",
        "v": 28,
    }


def test_golden_connection_id_of_the_sdk() -> None:
    """Our order dict hashes to the connection id of the SDK's own test."""
    digest = action_hash(order_action(4, "1670.10", "0.01470", "Ioc"), None, 1677777606040, None)
    assert digest.hex() == "0fcbeda5ae3c4950a548021552a4fea2226858c4453571bf3f24ba017eac2908"


def test_signatures_differ_by_network() -> None:
    """What is signed for the simulator can never be replayed on mainnet."""
    main = Signer(GOLDEN_KEY, MAINNET_URL, is_mainnet=True, nonces=NonceSource(lambda: 5))
    local = Signer(
        GOLDEN_KEY, "http://127.0.0.1:1", is_mainnet=False, nonces=NonceSource(lambda: 5)
    )
    action = order_action(1, "100", "100", "Gtc")
    assert main.envelope(action, None)["signature"] != local.envelope(action, None)["signature"]


@pytest.mark.parametrize(
    ("url", "mainnet"),
    [
        (MAINNET_URL, False),
        (MAINNET_URL + "/", True),
        (MAINNET_URL + "/", False),
        ("http://api.hyperliquid.xyz", False),
        ("http://127.0.0.1:9", True),
        ("http://10.0.0.4:9", False),
        ("https://api.hyperliquid-testnet.xyz", True),
        ("ftp://127.0.0.1", False),
    ],
)
def test_url_and_network_must_agree(url: str, mainnet: bool) -> None:
    """A wrong pair is found before anything is signed; plain http is for loopback."""
    with pytest.raises(ConfigError):
        HyperliquidOptions(base_url=url, private_key=GOLDEN_KEY, is_mainnet=mainnet)


def test_the_signer_itself_refuses_a_wrong_pair() -> None:
    """The last guard before the key: also without options."""
    with pytest.raises(ConfigError):
        Signer(GOLDEN_KEY, "http://127.0.0.1:9", is_mainnet=True, nonces=NonceSource(lambda: 0))
    with pytest.raises(ConfigError):
        Signer(GOLDEN_KEY, MAINNET_URL, is_mainnet=False, nonces=NonceSource(lambda: 0))


def test_demo_key_is_a_function_of_the_seed_and_stays_on_this_machine() -> None:
    """Same seed, same account; never with another host."""
    assert demo_key(1) == demo_key(1) != demo_key(2)
    assert demo_key_for("http://localhost:80", 1) == demo_key(1)
    with pytest.raises(ConfigError):
        demo_key_for("https://api.hyperliquid-testnet.xyz", 1)
    signer = Signer(
        demo_key(1), "http://127.0.0.1:1", is_mainnet=False, nonces=NonceSource(lambda: 0)
    )
    assert len(signer.address) == 42


def test_the_backend_is_named() -> None:
    """Start-up says whether signing is the fast one."""
    assert signing_backend() in ("coincurve", "native")


@given(st.lists(st.integers(0, 2**42), min_size=1, max_size=50), st.integers(0, 2**42))
def test_nonces_only_rise(readings: list[int], high_water: int) -> None:
    """Whatever the wall clock does, each nonce is larger than the last and persisted first."""
    clock = iter(readings)
    kept: list[int] = []
    source = NonceSource(lambda: next(clock), high_water, kept.append)
    nonces = [source.next() for _ in readings]
    assert nonces == sorted(set(nonces))
    assert nonces[0] > high_water
    assert kept == nonces
    assert all(nonce >= reading for nonce, reading in zip(nonces, readings, strict=True))


def test_a_nonce_source_can_be_told_that_it_is_behind() -> None:
    """After "nonce too low" the next one lies beyond what the venue named."""
    source = NonceSource(lambda: 10)
    source.advance(500)
    assert source.next() == 501


def test_a_nonce_source_goes_back_once_below_what_the_venue_refused() -> None:
    """Our clock is ahead: below the bound, rising, whatever that clock goes on to say."""
    day = 86_400_000
    wall = 10 * day
    source = NonceSource(lambda: wall)
    source.next()
    bound = 9 * day
    for _ in range(3):  # three requests were under way
        source.retreat(bound)
        first = source.next()
        assert bound - 20_000 < first < bound
        assert source.next() == first + 1
        bound += 1
    wall = 8 * day  # the clock is mended: rising all the same
    assert bound > source.next() > first
    wall = 9 * day - 1_000
    assert source.next() == wall


@pytest.mark.parametrize("shape", ["{}", "{}aa", "0x{}zz", "0x", "0x" + "f" * 64, "0x" + "0" * 64])
def test_a_bad_key_is_refused_without_being_shown(shape: str) -> None:
    """The error says what was expected and nothing of what was given."""
    canary = "deadbeefcafe0042"
    with pytest.raises(ConfigError) as caught:
        Signer(
            shape.format(canary), "http://127.0.0.1:1", is_mainnet=False, nonces=NonceSource(int)
        )
    assert canary not in "".join(traceback.format_exception(caught.value))


def test_the_key_is_in_no_repr() -> None:
    """Options, signer and adapter may be logged."""
    canary = "c0ffee" * 10 + "beef"
    options = HyperliquidOptions(
        base_url="http://127.0.0.1:1", private_key="0x" + canary, is_mainnet=False
    )
    hyperliquid = connect(options, SystemClock())
    signer = Signer("0x" + canary, options.base_url, is_mainnet=False, nonces=NonceSource(int))
    for thing in (options, hyperliquid, hyperliquid.venue, hyperliquid.feed, signer):
        assert canary not in repr(thing)
        assert canary not in str(thing)
