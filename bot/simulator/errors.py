"""Every word of refusal the simulated venue has: its text, where it is said, its source.

Owns the texts; knows no rule by which one of them is chosen. docs/simulator.md carries this
table, and `python -m bot.simulator --errors` writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Place(StrEnum):
    """Where a text stands in an answer."""

    ORDER = "one of `statuses`, then ` asset=<n>`"
    ACTION = '`{"status":"err"}`'
    HTTP = "the body, with an HTTP status"
    SOCKET = "a frame of channel `error`"
    POST = "the answer to a WebSocket `post`"


@dataclass(frozen=True, slots=True)
class Saying:
    """A text with {parts}; `status` is what an order refused with it is kept under.

    `source` names a section of the fact sheet (docs, SDK and probes compiled). One that ends
    with [?] is a guess: nobody has recorded the text.
    """

    text: str
    place: Place
    source: str
    status: str = "rejected"


_O, _A, _S = Place.ORDER, Place.ACTION, Place.SOCKET
_DOCS = "2.3, docs"
_PROBE = "2.3, probe"
_SCHEMA = "6, schema"
_PROGRAM = "strings of the node program [?]"
_GUESS = "guess [?]"


class Error(Enum):
    """Code -> saying."""

    # one order
    INVALID_PRICE = Saying("Order has invalid price.", _O, _PROBE, "tickRejected")
    INVALID_SIZE = Saying("Order has invalid size.", _O, _PROBE)
    ZERO_SIZE = Saying("Order has zero size.", _O, _PROBE)
    TICK = Saying("Price must be divisible by tick size.", _O, _DOCS, "tickRejected")
    MINIMUM = Saying("Order must have minimum value of $10.", _O, _DOCS, "minTradeNtlRejected")
    MARGIN = Saying("Insufficient margin to place order.", _O, _DOCS, "perpMarginRejected")
    TIER = Saying(
        "Order would cause position to exceed margin tier limit at current leverage",
        _O,
        _PROBE,
        "perpMarginRejected",
    )
    REDUCE_ONLY = Saying(
        "Reduce only order would increase position.", _O, _DOCS, "reduceOnlyRejected"
    )
    POST_ONLY = Saying(
        "Post only order would have immediately matched, bbo was {bid}@{ask}.",
        _O,
        _DOCS,
        "badAloPxRejected",
    )
    NO_MATCH = Saying(
        "Order could not immediately match against any resting orders.",
        _O,
        _DOCS,
        "iocCancelRejected",
    )
    NO_LIQUIDITY = Saying(
        "No liquidity available for market order.", _O, _DOCS, "marketOrderNoLiquidityRejected"
    )
    OPEN_INTEREST = Saying(
        "Order would increase open interest while open interest is capped",
        _O,
        _DOCS,
        "positionIncreaseAtOpenInterestCapRejected",
    )
    TPSL = Saying("Invalid TP/SL price.", _O, _DOCS, "badTriggerPxRejected")
    TOO_MANY_ORDERS = Saying("Too many open orders", _O, _PROGRAM, "tooManyOpenOrdersRejected")
    GONE = Saying("Order was never placed, already canceled, or filled.", _O, _DOCS)
    UNMODIFIABLE = Saying("Cannot modify canceled or filled order", _O, "2.2, 2.3, schema")
    REPLACEMENT = Saying("Error placing new order during modify: {error}", _O, "2.2, probe")
    FAST_CANCEL = Saying("Fast cancel is not allowed for trigger orders.", _O, _GUESS)

    # a whole batch
    EMPTY = Saying("Order batch is empty.", _A, "2.3 names the case; the text is a guess [?]")
    WEIGHT = Saying("Signed action over weight limit of {limit}.", _A, "2.2, probe")
    FAR = Saying(
        "Order price cannot be more than 80% away from the reference price asset={asset}",
        _A,
        "2.3, probe (95 % seen too)",
    )
    NOT_REDUCING = Saying(
        "TP/SL orders must be reduce only.", _A, "2.2 names the case; the text is a guess [?]"
    )
    TRIGGERS = Saying("Unexpected number of trigger orders", _A, "2.2, GitHub thread")
    POST_ONLY_WINDOW = Saying(
        "Only post-only orders allowed immediately after a network upgrade", _A, _PROBE
    )
    HALTED = Saying("Trading is halted. asset={asset}", _A, _GUESS)
    DELISTED = Saying("Asset is delisted. asset={asset}", _A, _GUESS)
    BUILDER = Saying("Builder fee has not been approved", _A, _PROBE)

    # who signed, and when
    NO_ACCOUNT = Saying("User or API Wallet {address} does not exist.", _A, _DOCS)
    NO_DEPOSIT = Saying(
        "Must deposit before performing actions. User: {address}", _A, "2.3, 2.4, probe"
    )
    NOT_RECOVERED = Saying("Unable to recover signer", _A, _PROBE)
    OTHER_NETWORK = Saying("Mainnet and testnet require different signature.", _A, "2.3, 2.5")
    NONCE_MISMATCH = Saying("Nonce mismatch.", _A, "2.3, 2.5")
    NONCE_LOW = Saying("Invalid nonce: nonce too low {nonce} < {bound}", _A, _PROBE)
    NONCE_HIGH = Saying("Invalid nonce: nonce too high {nonce} > {bound}", _A, _PROBE)
    NONCE_TWICE = Saying("Invalid nonce: duplicate nonce {nonce}", _A, _PROBE)
    EXPIRED = Saying("Action already expired", _A, _PROBE)
    NO_VAULT = Saying("Vault not registered: {address}", _A, _PROBE)
    BUDGET = Saying(
        "Too many cumulative requests sent ({used} > {cap}) for cumulative volume traded "
        "${volume}. Place taker orders to free up 1 request per USDC traded.",
        _A,
        "2.3, 5, probe",
    )

    # leverage, margin, transfers
    LEVERAGE = Saying("Invalid leverage value", _A, "2.3, schema")
    NO_CROSS = Saying("Cross margin is not allowed for this asset.", _A, "2.3, schema")
    MODE_SWITCH = Saying("Cannot switch leverage type with open position.", _A, _PROBE)
    CROSS_LEVERAGE = Saying(
        "Cross position does not have sufficient margin available to decrease leverage. "
        "To decrease leverage, deposit more collateral.",
        _A,
        _PROBE,
    )
    ISOLATED_LEVERAGE = Saying(
        "Isolated position does not have sufficient margin available to decrease leverage. "
        "To decrease leverage, add margin to the position.",
        _A,
        _PROBE,
    )
    NOT_ISOLATED = Saying("Position does not use isolated margin.", _A, "2.3, schema")
    NO_CHANGE = Saying("Update to isolated margin cannot be zero.", _A, "2.3, schema")
    NO_POSITION = Saying("Cannot update margin for empty position.", _A, "2.3, schema")
    NO_INCREASE = Saying(
        "Account does not have sufficient margin available for increase.", _A, "2.3, schema"
    )
    NO_REDUCTION = Saying(
        "Position does not have sufficient margin for reduction.", _A, "2.3, schema"
    )
    UNIFIED = Saying("Action disabled when unified account is active", _A, "1.4, probe")
    NO_FUNDS = Saying("Insufficient balance for transfer.", _A, _GUESS)
    NOT_YOURS = Saying("User does not match the signer.", _A, _GUESS)
    ABSTRACTION_BUSY = Saying(
        "Cannot change account abstraction with open positions or orders.", _A, _GUESS
    )

    # scheduled cancels
    VOLUME = Saying(
        "Cannot set scheduled cancel time until enough volume traded. "
        "Required: ${required}. Traded: ${traded}.",
        _A,
        "2.2, probe",
    )
    TOO_EARLY = Saying(
        "Scheduled cancel time too early, must be at least 5 seconds from now.", _A, _PROGRAM
    )
    TOO_OFTEN = Saying(
        "Too many scheduled cancels triggered for the day. Limit is {limit}.", _A, _PROGRAM
    )

    # agents
    AGENT_USED = Saying("Extra agent already used.", _A, "2.3, schema")
    AGENT_EXPIRED = Saying("Agent valid_until already expired.", _A, "2.3, schema")
    AGENT_REMOVAL = Saying("User has pending agent removal", _A, "2.3, 2.4, schema")
    AGENT_NAME = Saying("Agent name must be at most 16 characters.", _A, _GUESS)
    AGENT_FAR = Saying("Agent valid_until is more than 180 days ahead.", _A, _GUESS)
    AGENT_COUNT = Saying("Too many extra agents.", _A, _GUESS)
    NO_AGENT = Saying("Extra agent does not exist.", _A, _GUESS)

    # HTTP
    MALFORMED = Saying(
        "Failed to deserialize the JSON body into the target type", Place.HTTP, "2.3: 422"
    )
    RATE = Saying("null", Place.HTTP, "5: 429, also for a connection too many [?]")

    # WebSocket
    SUBSCRIBED = Saying("Already subscribed: {wish}", _S, _SCHEMA)
    UNSUBSCRIBED = Saying("Already unsubscribed: {wish}", _S, _SCHEMA)
    INVALID = Saying("Invalid subscription {wish}", _S, _SCHEMA)
    UNREADABLE = Saying("Error parsing JSON into valid websocket request: {text}", _S, _SCHEMA)
    USERS = Saying("Cannot track more than {limit} total users.", _S, _SCHEMA)
    SUBSCRIPTIONS = Saying("Cannot subscribe to more than {limit} channels.", _S, _GUESS)
    MESSAGES = Saying("Too many messages: more than {limit} in a minute.", _S, _GUESS)
    PENDING = Saying("too many pending post requests id={id}", _S, _SCHEMA)
    POST_RATE = Saying("429 Too Many Requests: null", Place.POST, "6, docs (the ending [?])")
    POST_MALFORMED = Saying("422: {text}", Place.POST, _GUESS)

    def says(self, **parts: object) -> str:
        """The text with its parts filled in."""
        return self.value.text.format(**parts)


class Refused(Exception):
    """The venue refuses a whole action; the text is its answer."""

    def __init__(self, error: Error | str, **parts: object) -> None:
        """`error` may be a text that was said of one order and now stands for the action."""
        super().__init__(error.says(**parts) if isinstance(error, Error) else error)


class Malformed(Exception):
    """The body is nothing the venue knows; answered with HTTP 422."""

    def __init__(self, detail: str = "") -> None:
        text = Error.MALFORMED.says()
        super().__init__(f"{text}: {detail}" if detail else text)


@dataclass(frozen=True, slots=True)
class Denial:
    """Why one order is refused, in the venue's words without the asset."""

    error: Error
    text: str

    @property
    def status(self) -> str:
        """The status the order is kept under."""
        return self.error.value.status


def denial(error: Error, **parts: object) -> Denial:
    """A refusal of one order."""
    return Denial(error, error.says(**parts))


def table() -> str:
    """All sayings as a table of Markdown, in the order of this module."""
    lines = ["| code | text | where | source |", "|---|---|---|---|"]
    for error in Error:
        saying = error.value
        text = saying.text.replace("|", "\\|")
        lines.append(f"| {error.name} | `{text}` | {saying.place} | {saying.source} |")
    return "\n".join(lines) + "\n"
