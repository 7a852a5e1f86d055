"""Owns who may ask: the Host header, the token, and where the token is kept.

Refuses to know what is asked for, but for the routes that are open to everyone.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.domain.errors import ConfigError
from bot.runtime.mask import register_secret
from bot.web.answers import refusal

TOKEN_FILE = "api_token"
# Probes, and the page without any figure: the same bytes for everyone. It asks for the token, since
# a browser that opens an address cannot send one.
OPEN_ROUTES = ("/", "/health", "/live", "/ready")
OPEN_FOLDER = "/static/"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
READING = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class WebOptions:
    """`host` is what the server listens on; `hosts` are further names it is asked by."""

    token: str
    host: str = "127.0.0.1"
    hosts: tuple[str, ...] = ()

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load_token(data_dir: Path, configured: str | None) -> str:
    """The API token: the configured one, else the one in `data_dir/api_token`, made when absent.

    The file is 0600. The token is masked in logs from then on. Raises ConfigError when the file
    can be neither read nor written.
    """
    token = configured or _kept_token(data_dir / TOKEN_FILE)
    register_secret(token)
    return token


def _kept_token(path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) != 0o600:
                os.fchmod(file.fileno(), 0o600)
            token = file.read().strip()
            if not token:
                token = secrets.token_urlsafe(32)
                file.seek(0)
                file.write(token + "\n")
    except OSError as error:
        raise ConfigError(
            f"API token file {path}: {error.strerror}; make it readable and writable, "
            "or set API_TOKEN"
        ) from error
    return token


class Guard:
    """ASGI middleware in front of every route.

    On loopback the Host header must name loopback or the configured host (a page on the web must
    not reach us by a name of its own), and what changes something needs the token. On any other
    address all routes but /health, /live, /ready and the empty page need it.
    """

    def __init__(self, app: ASGIApp, options: WebOptions) -> None:
        self._app = app
        self._options = options
        self._names = {name.lower() for name in (*LOOPBACK_NAMES, options.host, *options.hosts)}
        self._token = options.token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no WebSocket here
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        if not self._host_fits(headers.get("host", "")):
            answer = refusal(
                400, "unknown_host", "the Host header names neither loopback nor HTTP_HOST"
            )
        elif self._token_needed(scope["method"], scope["path"]) and not self._token_fits(headers):
            answer = refusal(
                401,
                "token_needed",
                "send Authorization: Bearer and the API token (API_TOKEN or DATA_DIR/api_token)",
                {"WWW-Authenticate": "Bearer"},
            )
        else:
            await self._app(scope, receive, send)
            return
        await answer(scope, receive, send)

    def _host_fits(self, header: str) -> bool:
        """On another address the token decides: who knows it is no page of a stranger."""
        return not self._options.loopback or host_name(header) in self._names

    def _token_needed(self, method: str, path: str) -> bool:
        if method not in READING:
            return True
        free = path in OPEN_ROUTES or path.startswith(OPEN_FOLDER)
        return not self._options.loopback and not free

    def _token_fits(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)


def host_name(header: str) -> str:
    """The name in a Host header, without port and brackets, in small letters."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()
