"""Whether the exchange that answers is the one that our books were written with.

Owns the comparison at start; opens neither. An exchange that began anew knows nothing of the
orders in old books, and its times and numbers begin again below theirs.
"""

from __future__ import annotations

from bot.app.world import World
from bot.domain.errors import ConfigError
from bot.ports import Recovered

STATE = "exchange_incarnation"  # in bot_state


def refuse_another_life(world: World, recovered: Recovered, place: str) -> None:
    """Raise ConfigError when books meet an exchange of another life, or one that began anew.

    Any row makes books of another life, fills or not: what they hold of time (drawdown, spacing,
    ids of traces, nonces) is of that world too. Those written before an exchange said which life
    it is in are taken over while they hold no fill. `place`: where the books lie.
    """
    known = recovered.state.get(STATE)
    anew = world.exchange is not None and world.exchange.began_anew
    other = bool(known and world.incarnation) and known != world.incarnation
    if not (other or (anew and recovered.last_fill_at)):
        return
    books = f"the books in {place} are of another run of it"
    if world.exchange is None:
        raise ConfigError(
            f"HYPERLIQUID_BASE_URL: the simulator at {world.base_url} began anew, and {books}; "
            f"start it with the --ledger that it had, or begin anew as well: "
            f"another DATA_DIR, and an empty DATABASE_URL where one is set"
        )
    if anew:
        raise ConfigError(
            f"DATABASE_URL: the simulated exchange began anew, and {books}, one that ended; "
            f"name an empty database, or take DATABASE_URL out"
        )
    raise ConfigError(
        f"{world.folder / 'simulator.db'} is not the ledger that was there before, and {books}; "
        "put that ledger back, or name another DATA_DIR, and an empty DATABASE_URL where one is set"
    )
