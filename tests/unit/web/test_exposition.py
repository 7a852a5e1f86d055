"""Figures for Prometheus."""

from __future__ import annotations

from decimal import Decimal

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_parse
from prometheus_client.parser import text_string_to_metric_families as parse

from bot.web.exposition import expose

FIGURES: dict[str, object] = {
    "total_trades": 7,
    "win_rate": 0.5,
    "win_rate_decided": 0.6,
    "equity_usd": Decimal("1000.5"),
    "latency": {"p95_ms": 250.0, "scan": {"max_ms": 10}},
    "rss_mb": 120.0,
    "errors_count": 2,
    "requests_total": 9,
    "entries_halted": True,
    "next_scan_at": 1_700_000_000_000,
    "ci95": [0.1, 0.9],
    "mode": "demo",
    "best-symbol": 1,
    "nothing": None,
}
EXPECTED = {
    "keel_trades_total": 7.0,
    "keel_win_rate_ratio": 0.5,
    "keel_win_rate_decided_ratio": 0.6,
    "keel_ci95_low_ratio": 0.1,
    "keel_ci95_high_ratio": 0.9,
    "keel_equity_usd": 1000.5,
    "keel_latency_p95_seconds": 0.25,
    "keel_latency_scan_max_seconds": 0.01,
    "keel_rss_bytes": 120e6,
    "keel_errors_total": 2.0,
    "keel_requests_total": 9.0,
    "keel_entries_halted": 1.0,
    "keel_next_scan_timestamp_seconds": 1.7e9,
    "keel_best_symbol": 1.0,
}


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text; version=1.0.0"])
def test_figures_become_series_with_base_units(accept: str) -> None:
    """Numbers only; seconds, bytes and ratios; both formats parse."""
    body, content_type = expose(FIGURES, accept)
    assert content_type.startswith(accept.partition(";")[0])
    families = (open_parse if "openmetrics" in accept else parse)(body.decode())
    found = {sample.name: sample.value for family in families for sample in family.samples}
    assert found == pytest.approx(EXPECTED)


def test_names_follow_what_promtool_checks() -> None:
    """Every family has help; counters end in _total, gauges do not, nor in a histogram's suffix."""
    body, _ = expose(FIGURES, "text/plain")
    for family in parse(body.decode()):
        assert family.documentation
        sample = family.samples[0].name
        assert sample.startswith("keel_")
        assert sample.endswith("_total") is (family.type == "counter")
        assert not sample.endswith(("_count", "_sum", "_bucket", "_ms", "_mb", "_s"))


def test_two_spellings_of_one_figure_are_one_series() -> None:
    """A doubled family would make the whole answer unreadable."""
    body, _ = expose({"total_trades": 1, "trades_total": 2}, "")
    assert body.decode().count("\nkeel_trades_total ") == 1
