"""Whom a line trusts: the system's certificates where it is TLS, read when it is opened."""

from __future__ import annotations

import ssl

import pytest

from bot.runtime.tls import trust, trusting_nobody


@pytest.mark.parametrize("url", ["https://venue.example", "wss://venue.example/ws"])
def test_a_line_over_tls_checks_by_the_systems_certificates(url: str) -> None:
    found = trust(url)
    assert isinstance(found, ssl.SSLContext)
    assert found.verify_mode is ssl.CERT_REQUIRED
    assert found.check_hostname
    known = ssl.create_default_context().cert_store_stats()
    assert found.cert_store_stats() == known
    assert trust("https://other.example") is found, "they are read once"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ws://127.0.0.1:1/ws"])
def test_a_plain_line_needs_none(url: str) -> None:
    assert trust(url) is True


def test_who_trusts_nobody_refuses_everybody_and_only_meanwhile() -> None:
    with trusting_nobody():
        found = ssl.create_default_context()
    assert found.verify_mode is ssl.CERT_REQUIRED
    assert found.check_hostname
    assert found.cert_store_stats()["x509"] == 0
    assert ssl.create_default_context.__module__ == "ssl"


def test_who_checks_nobody_reads_no_certificates_either() -> None:
    """aiohttp makes such a context when it is imported: 25 ms and 3 MB for nothing."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with trusting_nobody():
        found.set_default_verify_paths()
    assert found.cert_store_stats()["x509"] == 0
    found.set_default_verify_paths()
    assert found.cert_store_stats() == ssl.create_default_context().cert_store_stats()
