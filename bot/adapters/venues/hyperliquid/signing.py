"""One signer: its key, its nonces and its network; the only place that touches the key.

Owns signatures of actions; knows no HTTP and no meaning of an action.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from eth_account import Account as EthAccount
from eth_keys.main import KeyAPI
from hyperliquid.utils.signing import sign_l1_action

from bot.adapters.venues.hyperliquid.options import MAINNET_URL, is_loopback
from bot.domain.errors import ConfigError

_KEY = re.compile(r"[0-9a-fA-F]{64}")
_CURVE_ORDER = (
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # SEC 2, secp256k1
)
_DEMO_CONSTANT = b"keel demo signer, loopback only|"


def demo_key(seed: int) -> str:
    """The demo's private key, the same for the same seed. Worth nothing: loopback only."""
    return "0x" + hashlib.sha256(_DEMO_CONSTANT + str(seed).encode()).hexdigest()


def demo_key_for(base_url: str, seed: int) -> str:
    """`demo_key`, refused with ConfigError where `base_url` is not this machine."""
    if not is_loopback(base_url):
        raise ConfigError(f"the demo key is for loopback only, base_url is {base_url!r}")
    return demo_key(seed)


def signing_backend() -> str:
    """Name of the secp256k1 implementation in use: "coincurve" (fast) or "native".

    Measured: 0.27 ms a signature with coincurve, 2.75 ms without.
    """
    backend = KeyAPI().backend
    return "coincurve" if "CoinCurve" in type(backend).__name__ else "native"


BELOW_BOUND_MS = 10_000  # the request that brought the bound may have been long on its way


class NonceSource:
    """Strictly increasing nonces of one signer key, near the wall clock in ms.

    The venue keeps the 100 highest nonces per signer and refuses a repeated or too low one
    (docs, "Nonces and API wallets"); a clock that steps back must therefore not show.
    `persist` gets each new nonce before it is used; `high_water` is the last one of an
    earlier process. It also refuses one that lies a day ahead of its own clock: then ours was
    wrong, and what it gave us is taken back.
    """

    def __init__(
        self,
        wall: Callable[[], int],
        high_water: int = 0,
        persist: Callable[[int], None] | None = None,
    ) -> None:
        self._wall = wall
        self._last = high_water
        self._persist = persist
        self._refused_from: int | None = None

    def next(self) -> int:
        wall = self._wall()
        if self._refused_from is not None and wall < self._refused_from:
            self._refused_from = None  # the clock was mended
        believed = wall if self._refused_from is None else 0
        self._last = max(self._last + 1, believed)
        if self._persist is not None:
            self._persist(self._last)
        return self._last

    def keep(self, high_water: int, persist: Callable[[int], None]) -> None:
        """Go on above an earlier life's last nonce, and tell each new one to `persist`."""
        self.advance(high_water)
        self._persist = persist

    def advance(self, beyond: int) -> None:
        """Make the next nonce larger than `beyond`."""
        self._last = max(self._last, beyond)

    def retreat(self, bound: int) -> None:
        """Go on below `bound`, from which on the venue has taken none, and above all it took.

        Its bound moves with its clock, so what it took lies below an earlier one. Told by
        several requests that were under way, it goes back once.
        """
        self._refused_from = bound
        if self._last >= bound:
            self._last = bound - BELOW_BOUND_MS


class Signer:
    """Signs actions for one network. Its repr and its errors never show the key."""

    def __init__(
        self, private_key: str, base_url: str, *, is_mainnet: bool, nonces: NonceSource
    ) -> None:
        if is_mainnet != (base_url == MAINNET_URL):
            raise ConfigError(
                f"signing for mainnet is {is_mainnet}, but base_url is {base_url!r}: "
                f"mainnet means exactly {MAINNET_URL}"
            )
        self._wallet = _wallet(private_key)
        self._is_mainnet = is_mainnet
        self.nonces = nonces

    def __repr__(self) -> str:
        return f"Signer({self.address})"

    @property
    def address(self) -> str:
        """The signer's address, lower case."""
        return str(self._wallet.address).lower()

    def envelope(
        self, action: Mapping[str, object], expires_after: int | None
    ) -> dict[str, object]:
        """The signed body for /exchange.

        Nonce order is signing order because nothing is awaited between the two.
        """
        nonce = self.nonces.next()
        signature = sign_l1_action(
            self._wallet, action, None, nonce, expires_after, self._is_mainnet
        )
        return {
            "action": action,
            "nonce": nonce,
            "signature": signature,
            "vaultAddress": None,
            "expiresAfter": expires_after,
        }


def _wallet(private_key: str) -> Any:  # eth_account's LocalAccount is untyped
    # Checked here first, because the library's own errors may quote the key.
    digits = private_key.removeprefix("0x")
    if not _KEY.fullmatch(digits) or not 0 < int(digits, 16) < _CURVE_ORDER:
        raise ConfigError("hyperliquid private key: expected 32 bytes as hex (value not shown)")
    return EthAccount.from_key("0x" + digits)
