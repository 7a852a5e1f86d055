"""Whether HTTP_HOST is known to this machine, asked before anything is opened.

Owns that one question; binding, and a port that is taken, are the web server's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from bot.domain.errors import ConfigError

LOOK_UP_S = 5.0


async def refuse_unknown_host(host: str) -> None:
    """Raise ConfigError for a name that does not resolve; the page could never be served."""
    try:
        ipaddress.ip_address(host)
        return
    except ValueError:  # a name: it is looked up
        loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_UP_S):
            await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, TimeoutError) as error:
        why = getattr(error, "strerror", None) or f"no answer within {LOOK_UP_S:g} s"
        raise ConfigError(
            f"HTTP_HOST: {host!r} is not known to this machine ({why}); allowed is an address of "
            "it, such as 127.0.0.1, or a name of it, such as localhost; mend HTTP_HOST"
        ) from None
