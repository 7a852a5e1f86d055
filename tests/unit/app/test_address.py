"""bot.app.address: a HTTP_HOST that nobody knows is refused before anything is opened."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bot.app import address
from bot.app.address import refuse_unknown_host
from bot.domain.errors import ConfigError


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "203.0.113.7", "localhost"])
async def test_addresses_and_known_names_pass(host: str) -> None:
    """An address is not looked up: whether it is this machine's shows at the port."""
    await refuse_unknown_host(host)


async def test_a_name_that_does_not_resolve_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line: setting, value, why, what is allowed."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigError) as caught:
        await refuse_unknown_host("no-such-name")
    [line] = caught.value.problems
    assert "HTTP_HOST: 'no-such-name'" in line and "Name or service not known" in line
    assert "127.0.0.1" in line and "mend HTTP_HOST" in line


async def test_a_resolver_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every question to the outside has its limit."""

    async def silent(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    monkeypatch.setattr(address, "LOOK_UP_S", 0.01)
    with pytest.raises(ConfigError, match=r"no answer within 0\.01 s"):
        await refuse_unknown_host("slow-name")
