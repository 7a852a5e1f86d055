"""How each refusal of the table is provoked, over HTTP or WebSocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from eth_account import Account

from bot.simulator.errors import Error
from tests.unit.simulator.given import ETH, OTHER_KEY, SOL, cloid, limit, trigger
from tests.unit.simulator.online import USER, Online

D = Decimal
OTHER = Account.from_key(OTHER_KEY).address.lower()
VAULT = "0x" + "ab" * 20
DAY_MS = 86_400_000
Provoke = Callable[[Online], Awaitable[str]]

CASES: dict[Error, tuple[Provoke, dict[str, Any], dict[str, Any]]] = {}


def case(
    error: Error, parts: dict[str, Any] | None = None, **options: Any
) -> Callable[[Provoke], Provoke]:
    """Register how a saying is provoked: its parts, and the world's options."""

    def register(provoke: Provoke) -> Provoke:
        CASES[error] = (provoke, parts or {}, options)
        return provoke

    return register


def refused(error: Error, kind: str, parts: dict[str, Any] | None = None, **fields: Any) -> None:
    """One action on a fresh account, refused as a whole."""

    async def provoke(client: Online) -> str:
        answer = await client.act(kind, **fields)
        assert answer["status"] == "err", answer
        return str(answer["response"])

    case(error, parts)(provoke)


def denied(error: Error, order: dict[str, Any], parts: dict[str, Any] | None = None) -> None:
    """One order on a fresh account, refused by itself."""

    async def provoke(client: Online) -> str:
        [reply] = await client.place(order)
        return str(reply["error"])

    case(error, parts)(provoke)


async def said(answer: Awaitable[Any]) -> str:
    body = await answer
    assert body["status"] == "err", body
    return str(body["response"])


async def own(client: Online, *, cross: bool = False, value: int = 10) -> None:
    """A position of 1 ETH."""
    await client.act("updateLeverage", asset=ETH, isCross=cross, leverage=value)
    assert "filled" in (await client.place(limit(ETH, "1", "3010", "Ioc")))[0]


# --- one order -------------------------------------------------------------------------------

denied(Error.INVALID_PRICE, limit(ETH, "1", "0"))
denied(Error.INVALID_SIZE, limit(ETH, "1.00001", "3000"))
denied(Error.ZERO_SIZE, limit(ETH, "0", "3000"))
denied(Error.TICK, limit(ETH, "1", "3000.123"))
denied(Error.MINIMUM, limit(ETH, "0.003", "3000"))
denied(Error.MARGIN, limit(ETH, "100", "3000"))
denied(Error.REDUCE_ONLY, limit(ETH, "-1", "3000", reduce_only=True))
denied(Error.POST_ONLY, limit(ETH, "1", "3010", "Alo"), {"bid": "2999.7", "ask": "3000.3"})
denied(Error.NO_MATCH, limit(ETH, "1", "2900", "Ioc"))
denied(Error.NO_LIQUIDITY, limit(ETH, "1", "2900", "FrontendMarket"))


@case(Error.TIER, balance=D(100_000_000), depth_usd=1e9)
async def beyond_the_tier(client: Online) -> str:
    await client.act("updateLeverage", asset=ETH, isCross=True, leverage=25)
    [reply] = await client.place(limit(ETH, "40000", "2990"))
    return str(reply["error"])


@case(Error.TPSL)
async def a_stop_behind_the_mark(client: Online) -> str:
    await own(client)
    [reply] = await client.place(trigger(ETH, "-1", "3100", "sl", "2800"))
    return str(reply["error"])


@case(Error.TOO_MANY_ORDERS, balance=D(100_000_000))
async def one_order_too_many(client: Online) -> str:
    for _ in range(5):
        await client.place(*[limit(ETH, "0.01", "2900")] * 200)
    [reply] = await client.place(limit(ETH, "0.01", "2900"))
    return str(reply["error"])


@case(Error.GONE)
async def cancelling_what_is_gone(client: Online) -> str:
    answer = await client.act("cancel", cancels=[{"a": ETH, "o": 5}])
    return str(answer["response"]["data"]["statuses"][0]["error"])


@case(Error.UNMODIFIABLE)
async def modifying_what_is_gone(client: Online) -> str:
    modify = {"oid": 5, "order": limit(ETH, "1", "2900")}
    answer = await client.act("batchModify", modifies=[modify])
    return str(answer["response"]["data"]["statuses"][0]["error"])


@case(Error.REPLACEMENT, {"error": "Price must be divisible by tick size."})
async def replacing_by_nonsense(client: Online) -> str:
    [reply] = await client.place(limit(ETH, "1", "2900"))
    modify = {"oid": reply["resting"]["oid"], "order": limit(ETH, "1", "2900.123")}
    answer = await client.act("batchModify", modifies=[modify])
    return str(answer["response"]["data"]["statuses"][0]["error"])


@case(Error.FAST_CANCEL)
async def cancelling_a_trigger_fast(client: Online) -> str:
    await own(client)
    await client.place(trigger(ETH, "-1", "2900", "sl", "2610", cloid=cloid(1)))
    oid = (await client.ask("openOrders"))[0]["oid"]
    answer = await client.act("cancel", cancels=[{"a": ETH, "o": oid}], f=True)
    return str(answer["response"]["data"]["statuses"][0]["error"])


# --- a whole batch ---------------------------------------------------------------------------

NA: dict[str, Any] = {"grouping": "na"}
refused(Error.EMPTY, "order", orders=[], **NA)
refused(
    Error.WEIGHT,
    "cancel",
    {"limit": 200},
    cancels=[{"a": ETH, "o": number} for number in range(201)],
)
refused(Error.FAR, "order", {"asset": ETH}, orders=[limit(ETH, "1", "100")], **NA)
refused(
    Error.NOT_REDUCING,
    "order",
    orders=[trigger(ETH, "-1", "2900", "sl", "2610") | {"r": False}],
    **NA,
)
refused(
    Error.TRIGGERS,
    "order",
    orders=[trigger(ETH, "-1", "2900", "sl", "2610")],
    grouping="normalTpsl",
)
refused(
    Error.BUILDER, "order", orders=[limit(ETH, "1", "2900")], builder={"b": VAULT, "f": 10}, **NA
)

# --- who signed, and when --------------------------------------------------------------------

refused(Error.NO_ACCOUNT, "noop", {"address": OTHER}, key=OTHER_KEY)
refused(Error.NO_VAULT, "noop", {"address": VAULT}, vault=VAULT)
refused(
    Error.OTHER_NETWORK,
    "usdClassTransfer",
    amount="1",
    toPerp=True,
    mainnet=True,
)


@case(Error.NO_DEPOSIT, {"address": USER}, balance=D(0))
async def acting_with_nothing(client: Online) -> str:
    return await said(client.act("noop"))


@case(Error.NOT_RECOVERED)
async def a_broken_signature(client: Online) -> str:
    body = client.sign({"type": "noop"}) | {"signature": {"r": "0x0", "s": "0x0", "v": 27}}
    return await said(client.send(body))


@case(Error.NONCE_MISMATCH)
async def two_nonces(client: Online) -> str:
    body = client.sign({"type": "usdClassTransfer", "amount": "1", "toPerp": True})
    return await said(client.send(body | {"nonce": body["nonce"] + 1}))


@case(Error.NONCE_TWICE, {"nonce": 1_790_000_100_001})
async def a_nonce_twice(client: Online) -> str:
    await client.act("noop")
    return await said(client.act("noop", nonce=client.nonce))


LOW, HIGH = 1_790_000_100_000 - 2 * DAY_MS, 1_790_000_100_000 + DAY_MS
refused(Error.NONCE_LOW, "noop", {"nonce": 7, "bound": LOW}, nonce=7)
refused(Error.NONCE_HIGH, "noop", {"nonce": HIGH, "bound": HIGH}, nonce=HIGH)
refused(Error.EXPIRED, "noop", expires=1)


@case(Error.BUDGET, {"used": 10_001, "cap": 10_000, "volume": "0.00"})
async def an_exhausted_address(client: Online) -> str:
    client.account.requests = 10_000
    client.account.last_pass = client.clock.now()
    return await said(client.act("noop"))


# --- leverage, margin, transfers -------------------------------------------------------------

refused(Error.LEVERAGE, "updateLeverage", asset=ETH, isCross=True, leverage=26)
refused(Error.NO_CROSS, "updateLeverage", asset=SOL, isCross=True, leverage=2)
refused(Error.NO_CHANGE, "updateIsolatedMargin", asset=ETH, isBuy=True, ntli=0)
refused(Error.NO_POSITION, "updateIsolatedMargin", asset=ETH, isBuy=True, ntli=5)
refused(Error.NO_FUNDS, "usdClassTransfer", amount="1", toPerp=True)


@case(Error.MODE_SWITCH)
async def switching_the_margin_mode(client: Online) -> str:
    await own(client)
    return await said(client.act("updateLeverage", asset=ETH, isCross=True, leverage=10))


@case(Error.CROSS_LEVERAGE, balance=D(1_000))
async def less_leverage_than_the_cash_carries(client: Online) -> str:
    await own(client, cross=True)
    return await said(client.act("updateLeverage", asset=ETH, isCross=True, leverage=2))


@case(Error.ISOLATED_LEVERAGE, balance=D(1_000))
async def less_isolated_leverage(client: Online) -> str:
    await own(client)
    return await said(client.act("updateLeverage", asset=ETH, isCross=False, leverage=2))


def moving_margin(error: Error, usd: int, *, cross: bool = False) -> None:
    async def provoke(client: Online) -> str:
        await own(client, cross=cross)
        action = client.act("updateIsolatedMargin", asset=ETH, isBuy=True, ntli=usd * 1_000_000)
        return await said(action)

    case(error)(provoke)


moving_margin(Error.NOT_ISOLATED, 5, cross=True)
moving_margin(Error.NO_INCREASE, 50_000)
moving_margin(Error.NO_REDUCTION, -200)


@case(Error.UNIFIED, abstraction="unifiedAccount")
async def moving_within_one_pot(client: Online) -> str:
    return await said(client.act("usdClassTransfer", amount="1", toPerp=False))


refused(Error.NOT_YOURS, "userSetAbstraction", user=OTHER, abstraction="disabled")


@case(Error.ABSTRACTION_BUSY)
async def a_new_mode_with_a_position(client: Online) -> str:
    await own(client)
    return await said(client.act("userSetAbstraction", user=USER, abstraction="unifiedAccount"))


# --- scheduled cancels -----------------------------------------------------------------------

refused(Error.VOLUME, "scheduleCancel", {"required": 1_000_000, "traded": "0.00"})


@case(Error.TOO_EARLY)
async def a_cancel_too_soon(client: Online) -> str:
    client.account.volume = D(2_000_000)
    return await said(client.act("scheduleCancel", time=client.clock.now() + 4_999))


@case(Error.TOO_OFTEN, {"limit": 10})
async def an_eleventh_cancel(client: Online) -> str:
    client.account.volume = D(2_000_000)
    client.account.cancels_fired = (client.clock.now() // DAY_MS, 10)
    return await said(client.act("scheduleCancel", time=client.clock.now() + 9_000))


# --- agents ----------------------------------------------------------------------------------


def agent(number: int) -> str:
    return f"0x{number:040x}"


refused(Error.AGENT_NAME, "approveAgent", agentAddress=agent(1), agentName="a" * 17)
refused(Error.AGENT_EXPIRED, "approveAgent", agentAddress=agent(1), agentName="a valid_until 5")
refused(
    Error.AGENT_FAR, "approveAgent", agentAddress=agent(1), agentName=f"a valid_until {2 * HIGH}"
)
refused(Error.AGENT_USED, "approveAgent", agentAddress=USER, agentName="a")
refused(Error.NO_AGENT, "approveAgent", agentAddress=agent(0), agentName="a")


@case(Error.AGENT_COUNT)
async def a_fourth_name(client: Online) -> str:
    for number in (1, 2, 3):
        await client.act("approveAgent", agentAddress=agent(number), agentName=f"n{number}")
    return await said(client.act("approveAgent", agentAddress=agent(4), agentName="n4"))


@case(Error.AGENT_REMOVAL)
async def approving_right_after_a_removal(client: Online) -> str:
    await client.act("approveAgent", agentAddress=agent(1), agentName="n")
    await client.act("approveAgent", agentAddress=agent(0), agentName="n")
    return await said(client.act("approveAgent", agentAddress=agent(2), agentName="n"))


# --- HTTP and WebSocket ----------------------------------------------------------------------


@case(Error.MALFORMED)
async def nonsense(client: Online) -> str:
    status, text = await client.post("/info", {"type": "nonsense"})
    assert status == 422
    return text


@case(Error.RATE)
async def too_much_in_a_minute(client: Online) -> str:
    for _ in range(60):
        await client.ask("openOrders")
    status, text = await client.post("/info", {"type": "meta"})
    assert status == 429
    return text


def told(error: Error, parts: dict[str, Any], *messages: object) -> None:
    """The last of these messages over a WebSocket is answered with an error."""

    async def provoke(client: Online) -> str:
        async with client.socket() as socket:
            for message in messages:
                await socket.say(message)
            return str(await socket.hear("error"))

    case(error, parts)(provoke)


def wish(method: str, **fields: Any) -> dict[str, Any]:
    return {"method": method, "subscription": fields}


MIDS, NOPE = '{"type":"allMids"}', '{"type":"bbo","coin":"NOPE"}'
USERS = [wish("subscribe", type="userFills", user=agent(number)) for number in range(11)]
told(Error.SUBSCRIBED, {"wish": MIDS}, *[wish("subscribe", type="allMids")] * 2)
told(Error.UNSUBSCRIBED, {"wish": MIDS}, wish("unsubscribe", type="allMids"))
told(Error.INVALID, {"wish": NOPE}, wish("subscribe", type="bbo", coin="NOPE"))
told(Error.UNREADABLE, {"text": "{broken"}, "{broken")
told(Error.USERS, {"limit": 10}, *USERS)
told(Error.MESSAGES, {"limit": 2_000}, *[{"method": "ping"}] * 2_001)


@case(Error.SUBSCRIPTIONS, {"limit": 1_000})
async def one_channel_too_many(client: Online) -> str:
    stream, account = client.exchange._stream, client.exchange._world
    async with client.socket() as socket:
        await socket.subscribe(type="allMids")
        await socket.hear("subscriptionResponse")
        [mine] = stream._clients.values()
        for number in range(999):
            mine[next(iter(mine))._replace(interval=str(number))] = None
        assert account.options.rate_limit
        await socket.subscribe(type="bbo", coin="ETH")
        return str(await socket.hear("error"))


@case(Error.PENDING, {"id": 101})
async def more_posts_than_may_be_under_way(client: Online) -> str:
    async with client.socket() as socket:
        for number in range(1, 102):
            await socket.request(number, "info", {"type": "exchangeStatus"})
        return str(await socket.hear("error"))


async def posted(client: Online, payload: object) -> str:
    async with client.socket() as socket:
        await socket.request(7, "info", payload)
        answer = await socket.hear("post")
        assert answer["id"] == 7 and answer["response"]["type"] == "error"
        return str(answer["response"]["payload"])


@case(Error.POST_RATE)
async def too_much_by_post(client: Online) -> str:
    await too_much_in_a_minute(client)
    return await posted(client, {"type": "meta"})


@case(Error.POST_MALFORMED, {"text": "Failed to deserialize the JSON body into the target type"})
async def nonsense_by_post(client: Online) -> str:
    return await posted(client, {"type": "nonsense"})
