"""Every secret that can be set, looked for in all that leaves the process or is kept by it.

The daemon runs with a council that trades, on PostgreSQL; the endpoints send its keys back in
several spellings, every route is asked, and at the end it is made to crash with all of them.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from config.settings import known
from tests.aimock import Aimock, Fixture, answer, fails, obeys_probe, replies
from tests.daemon import ROOT, Daemon, Process
from tests.postgres import PostgresServer, postgres
from tests.scenarios.councils import LIMIT_S, MODELS, PATIENT, ROOMY, START_S, guarded
from tests.scenarios.speaking import Speaker, speakers

__all__ = ["postgres"]

DATABASE, USER, PASSWORD = "canary", "canary", "db-canary-0123456789abcdef"
ANSWER_LIMIT_S = 10.0
CRASH = """
import os, runpy, sys
import bot.app.daemon as daemon

def broken(*_, **__):
    raise RuntimeError("made to crash with " + os.environ["CANARIES"])

setattr(daemon, sys.argv.pop(1), broken)
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def canaries() -> dict[str, str]:
    """A value of its own for every secret setting there is; a new one is looked for at once."""
    secrets = sorted(name for name, setting in known().items() if setting.secret)
    found = {name: f"canary-{name.lower().replace('_', '-')}-0123456789" for name in secrets}
    found["HYPERLIQUID_API_KEY"] = "0x" + "c4" * 32
    return found | {"DATABASE_URL": PASSWORD}


CANARIES = canaries()


def in_bytes(key: str) -> str:
    """As JSON may write it: every character by its number."""
    return "".join(f"\\u{ord(char):04x}" for char in key)


def echoes() -> list[Fixture]:
    """One refuses the key and quotes it, two quote theirs in an answer that counts."""
    grok, deepseek = CANARIES["GROK_API_KEY"], CANARIES["DEEPSEEK_API_KEY"]
    found = [obeys_probe(), fails(MODELS["OPENAI"], 401, _quoting(CANARIES["OPENAI_API_KEY"]))]
    for side, direction in (("LONG", "bullish"), ("SHORT", "bearish")):
        said = answer(action=side, evidence=[{"key": "signal.side", "direction": direction}])
        plain = json.dumps({**said, "reasoning": _quoting(grok)})
        spelt = json.dumps({**said, "reasoning": "HERE"}).replace("HERE", in_bytes(deepseek))
        for model, text, key in (
            (MODELS["GROK"], plain, grok),
            (MODELS["DEEPSEEK"], spelt, deepseek),
        ):
            one = replies(model, text, systemFingerprint=key)
            one["match"]["userMessage"] = f"signal.side = {side}"
            found.append(one)
    return found


def _quoting(key: str) -> str:
    return f"Incorrect API key provided: {key}, that is {in_bytes(key)}."


def spellings(secret: str) -> set[bytes]:
    """How a secret may stand in a text."""
    bare = secret.removeprefix("0x")
    forms = {secret, bare, bare.upper(), quote(secret, safe=""), in_bytes(secret)}
    return {form.encode() for form in forms | {in_bytes(secret).replace("\\", "\\\\")}}


def nothing_in(where: str, content: bytes) -> None:
    found = [name for name, secret in CANARIES.items() for s in spellings(secret) if s in content]
    assert found == [], f"{where} holds {found}"


def files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, what is packed also unpacked."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        yield str(path), gzip.decompress(content) if path.suffix == ".gz" else content


def rows_of(server: PostgresServer) -> Iterator[tuple[str, bytes]]:
    """Every row of every table, what is packed also unpacked."""
    tables = server.sql(DATABASE, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    for (table,) in tables:
        for row in server.sql(DATABASE, f'SELECT * FROM "{table}"'):
            for value in row:
                packed = isinstance(value, bytes) and value[:1] == b"\x78"
                yield table, zlib.decompress(value) if packed else str(value).encode()


def keep(folder: Path, database_url: str) -> None:
    """All secrets in .env, as an operator keeps them."""
    given = {**CANARIES, "DATABASE_URL": database_url}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))


def start(folder: Path, coin: Speaker, url: str) -> Daemon:
    """Three models at one address, everything logged."""
    given = {**ROOMY, **PATIENT, "RULES_MAY_TRADE": "false", "LOG_LEVEL": "DEBUG"}
    for name in MODELS:
        given |= {f"ENABLE_{name}": "true", f"{name}_BASE_URL": url}
    return Daemon(folder, "--candles", str(coin.file), settings=given)


def asked(daemon: Daemon, method: str, path: str, **headers: str) -> bytes:
    """The whole answer with its headers; of a stream the first event."""
    place = daemon._place()
    assert place is not None
    with closing(HTTPConnection(*place, timeout=ANSWER_LIMIT_S)) as line:
        line.request(method, path, body="{}" if method == "POST" else None, headers=headers)
        said = line.getresponse()
        stream = "event-stream" in said.getheader("content-type", "")
        body = said.read1(65_536) if stream else said.read()
        return str(said.getheaders()).encode() + body


def every_route(daemon: Daemon, trace: str, coin: str) -> Iterator[tuple[str, bytes]]:
    """All that the API's own description names, with and without the token, and the pages."""
    token = {"Authorization": f"Bearer {CANARIES['API_TOKEN']}"}
    described: Mapping[str, Mapping[str, Any]] = daemon.get("/openapi.json")[1]["paths"]
    assert {"/events", "/decisions", "/traces/report", "/metrics", "/status"} <= set(described)
    pages = ["/", "/docs", "/openapi.json", "/metrics?format=prometheus", f"/candles?symbol={coin}"]
    gets = [path.replace("{trace_id}", trace) for path in described if "get" in described[path]]
    for path in [*pages, *gets]:
        yield path, asked(daemon, "GET", path)
        yield path, asked(daemon, "GET", path, **token)
    for path in (path for path in described if "post" in described[path]):
        yield path, asked(daemon, "POST", path, **token, **{"Content-Type": "application/json"})


def test_no_secret_gets_out(tmp_path: Path, postgres: PostgresServer) -> None:
    """Log, console, database, files, every route; and the trade was made all the same."""
    postgres.fresh(DATABASE)
    postgres.sql("postgres", f"DROP ROLE IF EXISTS {USER}")
    postgres.sql("postgres", f"CREATE ROLE {USER} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
    (coin,) = speakers(tmp_path / "candles", 1)
    folder = tmp_path / "keel"
    keep(folder, postgres.url(DATABASE, USER, PASSWORD))
    keys = [CANARIES[f"{name}_API_KEY"] for name in MODELS]
    with (
        Aimock(tmp_path / "aimock", echoes(), keys) as server,  # refuses any other key
        start(folder, coin, server.url) as daemon,
    ):
        daemon.healthy(START_S)
        status = daemon.until(guarded(1), LIMIT_S, "the council's trade")
        trace = status["positions"][0]["trace_id"]
        for path, said in every_route(daemon, trace, coin.symbol):
            nothing_in(path, said)
        assert daemon.terminate() == 0, daemon.output()
    kinds = postgres.sql(DATABASE, f"SELECT seat, kind FROM decisions WHERE trace_id = '{trace}'")
    assert sorted(kinds) == [("deepseek", "answered"), ("grok", "answered"), ("openai", "error")]
    for where, content in [*rows_of(postgres), *files_of(folder / "data")]:
        nothing_in(where, content)
    nothing_in("the console", daemon.output().encode())


@pytest.mark.parametrize("place", ["FolderLock", "open_store"])
def test_a_crash_tells_no_secret(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there is a log and after: the report names the crash and none of the secrets."""
    monkeypatch.setenv("CANARIES", " ".join(CANARIES.values()))
    keep(tmp_path, f"postgresql+asyncpg://{USER}:{PASSWORD}@127.0.0.1:1/{DATABASE}")
    words = ["-c", CRASH, place, str(ROOT / "main.py"), "run", "--http-port", "0"]
    with Process(tmp_path, "crash", words) as process:
        assert process.finish(START_S) == 1, process.output()
        said = process.output()
    assert "RuntimeError" in said and "made to crash with ***" in said
    nothing_in("the console", said.encode())
    for where, content in files_of(tmp_path / "data") if (tmp_path / "data").exists() else ():
        nothing_in(where, content)
