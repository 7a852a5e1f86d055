"""health_server.py and its app: an address or an argument that cannot be is refused at once."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import health_server
from bot.app.offline import run_health_server
from bot.domain.errors import ConfigError
from tests.unit.config.given import settings


def unknown(*_: object, **__: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_name_that_does_not_resolve_is_refused_before_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where there is no database: the address is asked for first, and nothing is made."""
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr("bot.app.offline.configure", lambda options: None)
    chosen = settings({"HTTP_HOST": "no-such-name", "DATA_DIR": str(tmp_path)})
    with pytest.raises(ConfigError, match="HTTP_HOST: 'no-such-name' is not known"):
        run_health_server(chosen)
    assert list(tmp_path.iterdir()) == []


def test_arguments_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not ignored: a port that was typed would not be the one listened on."""
    monkeypatch.setattr(health_server, "run_health_server", lambda _: 0)
    assert health_server.main(["--http-port", "8001"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "takes no arguments" in line and "HTTP_PORT=8001" in line
