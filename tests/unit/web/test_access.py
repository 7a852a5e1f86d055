"""Who may ask."""

from __future__ import annotations

import stat
from pathlib import Path

import httpx
import pytest

from bot.domain.errors import ConfigError
from bot.runtime.mask import redact
from bot.web.access import WebOptions, host_name, is_loopback, load_token
from tests.unit.web.conftest import BEARER, TOKEN, FakeDaemon, client_of


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer tökén".encode()},
    ],
)
async def test_controls_need_the_token(
    client: httpx.AsyncClient, daemon: FakeDaemon, headers: dict[str, str]
) -> None:
    """Without it, or with another: 401, nothing done, and the remedy said."""
    answer = await client.post("/control/halt", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "token_needed"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text
    assert daemon.asked == []


@pytest.mark.parametrize(
    "path",
    [
        "/status",
        "/metrics",
        "/traces",
        "/decisions",
        "/equity",
        "/trades",
        "/docs",
        "/openapi.json",
    ],
)
async def test_another_address_needs_the_token_for_reading(daemon: FakeDaemon, path: str) -> None:
    """Every route with a figure, once others can reach the port."""
    async with client_of(daemon, WebOptions(TOKEN, host="0.0.0.0")) as client:
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers=BEARER)).status_code == 200


async def test_the_empty_page_asks_for_the_token_itself(daemon: FakeDaemon) -> None:
    """A browser cannot send a token with an address: the page comes without any figure."""
    async with client_of(daemon, WebOptions(TOKEN, host="0.0.0.0")) as client:
        page = await client.get("/")
        assert page.status_code == 200
        assert "0.1.0" not in page.text
        assert (await client.get("/static/main.js")).status_code == 200
        assert (await client.get("/events")).status_code == 401
        assert (await client.get("/static")).status_code == 401
    assert daemon.pushes == 0


async def test_probes_are_open_everywhere(daemon: FakeDaemon) -> None:
    """/health, /live and /ready answer supervisors that have no token, by any name."""
    async with client_of(daemon, WebOptions(TOKEN, host="0.0.0.0"), at="keel:8000") as client:
        for path in ("/health", "/live", "/ready"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/healthy")).status_code == 401


@pytest.mark.parametrize("at", ["evil.example", "127.0.0.1.evil.example:8000", "10.0.0.1:8000"])
async def test_a_strange_host_is_refused_on_loopback(daemon: FakeDaemon, at: str) -> None:
    """A page on the web cannot reach us by a name that resolves to loopback."""
    async with client_of(daemon, WebOptions(TOKEN), at=at) as client:
        for path in ("/status", "/health"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_host")
        assert (await client.post("/control/halt", headers=BEARER)).status_code == 400


@pytest.mark.parametrize("at", ["localhost:8000", "127.0.0.1", "[::1]:8000", "keel.lan:8000"])
async def test_our_own_names_are_let_in(daemon: FakeDaemon, at: str) -> None:
    """Loopback's names and the configured ones."""
    async with client_of(daemon, WebOptions(TOKEN, hosts=("Keel.lan",)), at=at) as client:
        assert (await client.get("/status")).status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("keel.lan", False),
    ],
)
def test_loopback_is_known_by_its_address(host: str, expected: bool) -> None:
    """A name that is not localhost counts as another address."""
    assert is_loopback(host) is expected


def test_the_host_header_is_taken_apart() -> None:
    """With and without port, IPv6 in brackets, any case."""
    assert host_name("LocalHost:8000") == "localhost"
    assert host_name("[::1]:8000") == "::1"
    assert host_name("") == ""


def test_the_configured_token_is_used_and_masked(tmp_path: Path) -> None:
    """No file is made; the token never reaches a log."""
    assert load_token(tmp_path, "configured-token") == "configured-token"
    assert list(tmp_path.iterdir()) == []
    assert redact("say configured-token") == "say ***"


def test_a_random_token_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    """Made once, 0600, the same after a restart; a lax mode is mended."""
    token = load_token(tmp_path / "data", None)
    path = tmp_path / "data" / "api_token"
    assert len(token) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert load_token(tmp_path / "data", None) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_token(tmp_path / "other", None) != token


def test_an_empty_token_file_is_filled(tmp_path: Path) -> None:
    """A crash between making and writing it must not leave an empty token."""
    (tmp_path / "api_token").touch()
    assert len(load_token(tmp_path, None)) >= 32


def test_a_token_file_that_cannot_be_used_is_a_config_error(tmp_path: Path) -> None:
    """One line with the path and the remedy."""
    (tmp_path / "api_token").mkdir()
    with pytest.raises(ConfigError, match="API_TOKEN"):
        load_token(tmp_path, None)
