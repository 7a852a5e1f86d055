"""Telling a running daemon what to do: over HTTP, with its token, in one clear line when not.

Owns the client's side of POST /control/*; knows neither what a command does nor a terminal.
"""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from bot.domain.errors import ConfigError, KeelError
from bot.web.access import TOKEN_FILE
from config.settings import Settings

HEALTH_S = 3.0
ANSWER_S = 40.0  # closing is followed for 20 s
EVERYWHERE = ("0.0.0.0", "::", "")  # listened on; asked locally


class NotDone(KeelError):
    """The daemon was not reached, or did not carry it out; the message says which."""


@dataclass(frozen=True, slots=True)
class _Line:
    """Where the daemon is asked, and with what right."""

    host: str
    port: int
    token: str
    source: str  # of the token

    @property
    def url(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{name}:{self.port}"


def command(settings: Settings, route: str, body: Mapping[str, object]) -> Mapping[str, Any]:
    """POST `body` to /control/`route`; the daemon's answer.

    Raises ConfigError for what the operator must mend (port, token, name of a coin), NotDone
    when nobody answers or the daemon declined.
    """
    line = _line(settings)
    _is_keel(settings, line)  # a token is for nobody else's ears
    status, answer = _post(line, f"/control/{route}", {"by": _who(), **body})
    if status == 200:
        return answer
    error = answer.get("error")
    said = error.get("message", "") if isinstance(error, Mapping) else ""
    if status == 401:
        raise ConfigError(
            f"{line.url} did not accept the token from {line.source}: it is another Keel's, or "
            "was changed; name the daemon's --data-dir, or set API_TOKEN"
        )
    if status in (404, 422):
        raise ConfigError(f"{route}: {said or 'this daemon knows no such command'}")
    raise NotDone(f"{route}: {said or f'the daemon answered {status}; its log says why'}")


def _line(settings: Settings) -> _Line:
    web, folder = settings.web, settings.general.data_dir
    if web.http_port == 0:
        raise ConfigError(
            "HTTP_PORT is 0, so the daemon took a free port: name it with --http-port"
        )
    host = "127.0.0.1" if web.http_host in EVERYWHERE else web.http_host
    if web.api_token is not None:
        return _Line(host, web.http_port, web.api_token.get_secret_value(), "API_TOKEN")
    path = folder / TOKEN_FILE
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        token = ""
    return _Line(host, web.http_port, token, str(path))


def _is_keel(settings: Settings, line: _Line) -> None:
    """Raises NotDone when nobody listens, or somebody else."""
    try:
        with closing(HTTPConnection(line.host, line.port, timeout=HEALTH_S)) as asked:
            asked.request("GET", "/health")
            health = json.loads(asked.getresponse().read())
    except ConnectionRefusedError:
        raise NotDone(f"nobody listens on {line.url}: {_who_works(settings)}") from None
    except TimeoutError:
        raise NotDone(f"{line.url} did not answer within {HEALTH_S:g} s") from None
    except (OSError, HTTPException, ValueError):
        health = None
    if not isinstance(health, dict) or not {"status", "mode", "version"} <= health.keys():
        raise NotDone(f"what listens on {line.url} is no Keel; nothing was sent to it")
    if not line.token:
        raise ConfigError(
            f"no token: API_TOKEN is not set and {line.source} holds none; name the daemon's "
            "--data-dir, or set API_TOKEN"
        )


def _who_works(settings: Settings) -> str:
    from bot.app.running import owner_of  # slow to import, and seldom needed

    folder = settings.general.data_dir
    owner = owner_of(folder)
    if owner is None:
        return f"no daemon runs in {folder}; start it, or name its --data-dir and --http-port"
    return (
        f"process {owner} works in {folder} on another port, or without its page; try --http-port"
    )


def _post(line: _Line, path: str, body: Mapping[str, object]) -> tuple[int, Mapping[str, Any]]:
    headers = {"Authorization": f"Bearer {line.token}", "Content-Type": "application/json"}
    try:
        with closing(HTTPConnection(line.host, line.port, timeout=ANSWER_S)) as asked:
            asked.request("POST", path, json.dumps(body), headers)
            answer = asked.getresponse()
            found = json.loads(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        raise NotDone(
            f"{line.url} gave no answer ({str(error) or type(error).__name__}): it may have been "
            "carried out; look at /status, then ask again"
        ) from error
    return answer.status, found if isinstance(found, dict) else {}


def _who() -> str:
    """For the audit: the user of this terminal, in the letters that the API takes."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container without a user list
        name = "unknown"
    return "cli:" + re.sub(r"[^\w.-]", "-", name)[:36]
