"""Owns whom a line over TLS trusts: the system's certificates, read when one is first opened.

Refuses to know who is called. A demo calls loopback only and never reads them: 3 MB.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache


def trust(url: str) -> ssl.SSLContext | bool:
    """What aiohttp takes as `ssl` for this address."""
    return _system() if url.startswith(("https://", "wss://")) else True


@lru_cache(maxsize=1)
def _system() -> ssl.SSLContext:
    return ssl.create_default_context()


@contextmanager
def trusting_nobody() -> Iterator[None]:
    """For a library that makes TLS contexts when it is imported: they refuse everybody.

    One that checks nobody reads the system's certificates all the same, by the method.
    """
    made = ssl.create_default_context
    ssl.create_default_context = _refusing
    ssl.SSLContext.set_default_verify_paths = _reading_nothing  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        ssl.create_default_context = made
        del ssl.SSLContext.set_default_verify_paths  # the one of its base is there again


def _reading_nothing(_: ssl.SSLContext) -> None:
    pass


def _refusing(*_: object, **__: object) -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks, and knows no certificate
