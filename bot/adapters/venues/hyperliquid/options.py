"""What the Hyperliquid adapter is told at start, checked before anything is sent.

Owns addresses, limits and their plausibility; knows no settings file and no environment.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bot.domain.errors import ConfigError

MAINNET_URL = "https://api.hyperliquid.xyz"  # SDK constants.MAINNET_API_URL
TESTNET_URL = "https://api.hyperliquid-testnet.xyz"  # SDK constants.TESTNET_API_URL

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """Cadence of the WebSocket, in machine seconds.

    The server closes after 60 s in which it sent nothing (Hyperliquid docs, "Timeouts and
    heartbeats"), so a ping each 30 s keeps it open; a pong is usual within one second.
    """

    ping_s: float = 30.0
    pong_s: float = 10.0
    silence_s: float = 60.0
    prove_s: float = 10.0  # how often a quiet coin's price is compared with the one by request
    backoff_first_s: float = 0.25
    backoff_max_s: float = 30.0


@dataclass(frozen=True, slots=True)
class HyperliquidOptions:
    """How to reach the venue and in whose name. Raises ConfigError for what cannot be.

    `account` is the master or sub-account that is asked about; default: the signer. With an
    agent key it must be given: an agent's own address answers empty but valid data.
    """

    base_url: str
    private_key: str = field(repr=False)
    is_mainnet: bool
    account: str | None = None
    rest_weight_per_minute: int = 1200  # Hyperliquid docs, "Rate limits": weight a minute per IP
    info_limit_s: float = 10.0
    exchange_limit_s: float = 5.0
    connect_limit_s: float = 3.0
    stream: StreamTiming = StreamTiming()
    settle_ms: int = 2000  # spec 05: a bar is closed by the clock plus 2 s
    max_actions_in_flight: int = 8  # 1 makes the order of actions deterministic (lockstep)
    entry_life_s: float = 8.0  # docs recommend expiresAfter 5 to 15 s ahead
    event_queue: int = 10_000
    jitter_seed: int = 0

    def __post_init__(self) -> None:
        problems = [*_url_problems(self.base_url, self.is_mainnet)]
        if self.account is not None and not _ADDRESS.fullmatch(self.account):
            problems.append(
                f"hyperliquid account: expected 0x and 40 hex digits, found {self.account!r}"
            )
        if self.max_actions_in_flight < 1:
            problems.append("hyperliquid max_actions_in_flight: expected at least 1")
        if self.rest_weight_per_minute < 200:
            problems.append("hyperliquid rest_weight_per_minute: expected at least 200")
        if problems:
            raise ConfigError(*problems)

    @property
    def stream_url(self) -> str:
        """The WebSocket address that belongs to `base_url`."""
        return "ws" + self.base_url.removeprefix("http") + "/ws"


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine: localhost or a loopback address, any port."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _url_problems(url: str, is_mainnet: bool) -> list[str]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return [f"hyperliquid base_url: expected http(s)://host, found {url!r}"]
    problems = []
    if parts.path or parts.query or parts.fragment or parts.username:
        problems.append(f"hyperliquid base_url: expected no path, no slash at the end: {url!r}")
    if parts.scheme == "http" and not is_loopback(url):
        problems.append(f"hyperliquid base_url: plain http only on loopback, found {url!r}")
    looks_mainnet = parts.hostname == urlsplit(MAINNET_URL).hostname
    if is_mainnet and url != MAINNET_URL:
        problems.append(
            f"hyperliquid signs for mainnet, but base_url is {url!r}, not {MAINNET_URL}"
        )
    if not is_mainnet and looks_mainnet:
        problems.append("hyperliquid base_url is mainnet, but signing is not set to mainnet")
    return problems
