"""Who signed an action, and whether the nonce may still be used.

Owns signer recovery and nonce sets; knows no account and no order. Sources: Hyperliquid
docs "Signing" and "Nonces and API wallets"; the SDK's `signing.py` for the bytes.
"""

from __future__ import annotations

from bisect import insort
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from hyperliquid.utils.signing import (
    USD_CLASS_TRANSFER_SIGN_TYPES,
    USD_SEND_SIGN_TYPES,
    USER_SET_ABSTRACTION_SIGN_TYPES,
    WITHDRAW_SIGN_TYPES,
    action_hash,
    construct_phantom_agent,
    l1_payload,
    user_signed_payload,
)

from bot.simulator.errors import Error, Refused

KEPT_NONCES = 100  # highest ones, by signer
NONCE_PAST_MS = 2 * 86_400_000
NONCE_AHEAD_MS = 86_400_000
LOWERCASE = ("c", "cloid", "b", "oid")
AGENT_FIELDS = [
    {"name": "hyperliquidChain", "type": "string"},
    {"name": "agentAddress", "type": "address"},
    {"name": "agentName", "type": "string"},
    {"name": "nonce", "type": "uint64"},
]
USER_SIGNED: dict[str, tuple[str, list[dict[str, str]]]] = {  # actions signed for a person to read
    "approveAgent": ("ApproveAgent", AGENT_FIELDS),
    "usdClassTransfer": ("UsdClassTransfer", USD_CLASS_TRANSFER_SIGN_TYPES),
    "userSetAbstraction": ("UserSetAbstraction", USER_SET_ABSTRACTION_SIGN_TYPES),
    "usdSend": ("UsdSend", USD_SEND_SIGN_TYPES),
    "withdraw3": ("Withdraw", WITHDRAW_SIGN_TYPES),
}
TIMED = ("UsdSend", "Withdraw")  # their nonce is called time
DECIMALS = ("p", "s", "triggerPx")
MALFORMED = (KeyError, TypeError, ValueError, OverflowError, AttributeError)


def recover(body: dict[str, Any]) -> str:
    """The address, in lower case, whose key signed these bytes.

    An L1 action is first brought into the form the venue hashes (lower-case ids, numbers
    without idle zeros). A local venue is never mainnet, so the source is "b". Raises
    Refused when nothing can be recovered.
    """
    try:
        signature = body["signature"]
        # r and s come without leading zeros: integers, not fixed-width text
        vrs = (signature["v"], int(signature["r"], 16), int(signature["s"], 16))
        if vrs[0] not in (27, 28):
            raise Refused(Error.NOT_RECOVERED)
        signed = USER_SIGNED.get(body["action"]["type"])
        payload = _l1(body) if signed is None else _user(body, *signed)
        address = Account.recover_message(encode_typed_data(full_message=payload), vrs=vrs)
    except (BadSignature, ValidationError, *MALFORMED) as error:
        raise Refused(Error.NOT_RECOVERED) from error
    return str(address).lower()


def _l1(body: dict[str, Any]) -> dict[str, Any]:
    vault = body.get("vaultAddress")
    digest = action_hash(
        normal_form(body["action"]),
        vault.lower() if vault else None,
        body["nonce"],
        body.get("expiresAfter"),
    )
    return dict(l1_payload(construct_phantom_agent(digest, False)))


def _user(body: dict[str, Any], name: str, fields: list[dict[str, str]]) -> dict[str, Any]:
    action = body["action"]
    if action["hyperliquidChain"] != "Testnet":
        raise Refused(Error.OTHER_NETWORK)
    if body["nonce"] != action["time" if name in TIMED else "nonce"]:
        raise Refused(Error.NONCE_MISMATCH)
    # the SDK signs an empty agentName and then leaves it out of the body
    message = {"agentName": ""} | action if name == "ApproveAgent" else action
    return dict(user_signed_payload(f"HyperliquidTransaction:{name}", fields, message))


def normal_form(value: Any, key: str = "") -> Any:
    """The form in which the venue serialises an action, key order kept."""
    if isinstance(value, dict):
        return {name: normal_form(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [normal_form(inner, key) for inner in value]
    if isinstance(value, str) and key in LOWERCASE:
        return value.lower()
    if isinstance(value, str) and key in DECIMALS and "." in value:
        return value.rstrip("0").rstrip(".") or "0"
    return value


class Nonces:
    """The highest nonces of each signer; a new one lies above the lowest and is unused."""

    def __init__(self, used: dict[str, list[int]]) -> None:
        self._used = used

    def use(self, signer: str, nonce: int, wall: int) -> list[int]:
        """Take a nonce, or raise Refused with the venue's words; returns what to store.

        `wall` is the venue's clock in ms, never scaled.
        """
        if nonce <= wall - NONCE_PAST_MS:
            raise Refused(Error.NONCE_LOW, nonce=nonce, bound=wall - NONCE_PAST_MS)
        if nonce >= wall + NONCE_AHEAD_MS:
            raise Refused(Error.NONCE_HIGH, nonce=nonce, bound=wall + NONCE_AHEAD_MS)
        used = self._used.setdefault(signer, [])
        if nonce in used:
            raise Refused(Error.NONCE_TWICE, nonce=nonce)
        if len(used) >= KEPT_NONCES and nonce <= used[0]:
            raise Refused(Error.NONCE_LOW, nonce=nonce, bound=used[0])
        insort(used, nonce)
        del used[:-KEPT_NONCES]
        return used
