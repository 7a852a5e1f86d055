"""Imports the large libraries first, without the parts that no part of Keel calls.

Owns what is left out and why; knows nothing else of the libraries. In all it is 18 MB of memory
(4 of them rich, where it is installed) and a seventh of a start's processor time:
docs/benchmarks.md.
"""

from __future__ import annotations

from bot.runtime.lean import built_when_used, left_out, missing
from bot.runtime.tls import trusting_nobody

# Tracebacks in colour frames: they print local variables, which may be secret.
with missing("rich"):
    import structlog

# The system's certificates, 3 MB: read when a line over TLS is opened (`bot.runtime.tls`).
with trusting_nobody():
    import aiohttp

# The ORM, which the asyncio extension imports to offer it (DESIGN: Core, no ORM).
with left_out("sqlalchemy.ext.asyncio.session", "sqlalchemy.ext.asyncio.scoping"):
    import sqlalchemy.ext.asyncio

# Orders are typed messages: no seed phrase, no key file, no Ethereum transaction, no chain list.
with left_out(
    "eth_account._utils.legacy_transactions",
    "eth_account._utils.transaction_utils",
    "eth_account.hdaccount",
    "eth_account.typed_transactions",
    "eth_keyfile",
    "eth_typing.networks",
    "eth_utils.network",
):
    import eth_account
    import hyperliquid.utils.signing

# The models of /openapi.json: a fifth of the time that FastAPI takes to be imported.
with built_when_used():
    import fastapi

# uvicorn's own command line with its reloader and its processes.
with left_out("uvicorn.main"):
    import uvicorn.server

# The exporter's own HTTP servers; ours answers /metrics.
with left_out("http.server", "wsgiref.simple_server"):
    import prometheus_client

LEAN = (
    *(aiohttp, structlog, sqlalchemy, eth_account, hyperliquid, fastapi, uvicorn),
    prometheus_client,
)
