"""How the refusals are provoked that need a fault: the market is not as usual then."""

from __future__ import annotations

from bot.simulator.errors import Error
from bot.simulator.faults import plan_of
from tests.unit.simulator.given import ETH, limit
from tests.unit.simulator.online import Online
from tests.unit.simulator.provocations import CASES, case, said

__all__ = ["CASES"]


def at_a_bad_time(error: Error, fault: str, parts: dict[str, object] | None = None) -> None:
    """An order that would trade, while `fault` lasts."""

    async def provoke(client: Online) -> str:
        client.exchange._faults.install(plan_of({"fault": [{"kind": fault}]}))
        order = limit(ETH, "1", "3100", "Ioc")
        return await said(client.act("order", orders=[order], grouping="na"))

    case(error, parts)(provoke)


at_a_bad_time(Error.POST_ONLY_WINDOW, "post_only")
at_a_bad_time(Error.HALTED, "halt", {"asset": ETH})
at_a_bad_time(Error.DELISTED, "delist", {"asset": ETH})


@case(Error.OPEN_INTEREST)
async def at_the_cap(client: Online) -> str:
    client.exchange._faults.install(plan_of({"fault": [{"kind": "open_interest_cap"}]}))
    [reply] = await client.place(limit(ETH, "1", "3100", "Ioc"))
    return str(reply["error"])
