"""What a default start may import: every library is memory and time of each start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tests.daemon import ROOT

LIMIT_S = 60.0

# Top-level modules beside the standard library, and who asks for them. A new line here is a
# decision: measure it first (python -m benchmarks start, python -m benchmarks memory).
ALLOWED = {
    *("bot", "config", "strategies"),
    # aiohttp: the line to the venue, and the simulated exchange
    *("aiohttp", "aiohappyeyeballs", "aiosignal", "attr", "frozenlist", "idna", "multidict"),
    *("propcache", "yarl", "tenacity"),
    "sitecustomize",  # Debian's own Python brings one
    # taken by aiohttp where it is found: it comes with ccxt, which only the tests have
    *("aiodns", "cffi", "pycares", "pycparser"),
    # signing
    *("cytoolz", "eth_abi", "eth_account", "eth_hash", "eth_keys", "eth_typing", "eth_utils"),
    *("hexbytes", "hyperliquid", "msgpack", "parsimonious", "regex", "toolz"),
    *("coincurve", "Crypto"),  # the curve and the hash, whichever of their kind is installed
    # the database
    *("sqlalchemy", "greenlet", "aiosqlite"),
    # the page and /metrics
    *("annotated_doc", "anyio", "fastapi", "h11", "opentelemetry", "prometheus_client"),
    *("sniffio", "starlette", "uvicorn"),
    # settings, logs, figures, numbers
    *("annotated_types", "dotenv", "pydantic", "pydantic_core", "pydantic_settings"),
    *("typing_extensions", "typing_inspection", "structlog", "psutil", "numpy", "talib"),
    "cython_runtime",  # what compiled extensions share
}

# Parts of allowed libraries that nobody calls (bot/app/libraries.py), and corners of our own.
LEFT_OUT = (
    "bot.research",
    "eth_account.hdaccount",
    "eth_account.typed_transactions",
    "eth_keyfile",
    "eth_utils.network",
    "http.server",
    "numpy.ma",
    "pydantic.v1",
    "hyperliquid.exchange",
    "hyperliquid.info",
    "sqlalchemy.dialects.mysql",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
    "uvicorn.main",
)

# A daemon that tells what it has imported once its first scan is done, and then stops.
START = """
import json, os, signal, sys, threading, time
from pathlib import Path
data = Path(sys.argv[1])
log = data / "keel.log"
def tell():
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if log.exists() and '"cycle_done"' in log.read_text():
            late = sys.modules["fastapi.openapi.models"].OpenAPI
            read = sys.modules["aiohttp.connector"]._SSL_CONTEXT_UNVERIFIED.cert_store_stats()
            made = {"modules": sorted(sys.modules), "certificates": read["x509"]}
            made["models"] = late.__pydantic_complete__
            (data / "made.json").write_text(json.dumps(made))
            break
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=tell, daemon=True).start()
from bot.cli.main import main
flags = ["run", "--data-dir", str(data), "--http-port", "0"]
sys.exit(main(flags, {}, None))
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What a fresh daemon has made after its first finished scan, the page being served."""
    data = tmp_path_factory.mktemp("daemon") / "data"
    ran = subprocess.run(
        [sys.executable, "-c", START, str(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    told = data / "made.json"
    assert ran.returncode == 0 and told.exists(), ran.stdout + ran.stderr
    made: Mapping[str, Any] = json.loads(told.read_text())
    return made


@pytest.fixture(scope="module")
def imported(started: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(started["modules"])


def test_a_default_start_imports_only_what_is_allowed(imported: frozenset[str]) -> None:
    """No pandas, ccxt, telegram, openai, matplotlib, alembic, rich, pygments; nothing unseen."""
    tops = {name.partition(".")[0] for name in imported}
    third = {name for name in tops - set(sys.stdlib_module_names) if not name.startswith("_")}
    strange = third - ALLOWED
    assert strange == set(), f"a default start imports {sorted(strange)}: allow it or drop it"


def test_parts_that_nobody_calls_stay_out(imported: frozenset[str]) -> None:
    """A library that is imported before bot/app/libraries.py brings all of itself along."""
    assert [name for name in LEFT_OUT if name in imported] == []


def test_what_an_answer_needs_is_imported_before_the_first(imported: frozenset[str]) -> None:
    """An import holds up the loop: this one took 15 ms when the page was first asked."""
    assert "anyio._backends._asyncio" in imported


def test_what_nobody_asked_for_is_not_made(started: Mapping[str, Any]) -> None:
    """Certificates without a line over TLS; models of an API that nobody had described."""
    assert (started["certificates"], started["models"]) == (0, False)
