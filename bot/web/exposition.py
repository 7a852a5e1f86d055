"""Owns the Prometheus form of /metrics: names, kinds and units.

Refuses to know where the figures come from. Rules: prometheus.io/docs/practices/naming and
what `promtool check metrics` asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX = "keel_"
# Suffixes that mean a unit: what promtool wants instead, and the factor.
UNITS = {
    "ms": ("seconds", 0.001),
    "s": ("seconds", 1.0),
    "mb": ("bytes", 1e6),
    "percent": ("ratio", 0.01),
    "pct": ("ratio", 0.01),
    "frac": ("ratio", 1.0),
    "at": ("timestamp_seconds", 0.001),
}
INTERVAL = "ci95"
RESERVED = ("count", "sum", "bucket")  # belong to histograms


class _Figures(Collector):
    def __init__(self, figures: Mapping[str, object]) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        seen: set[str] = set()
        for path, value in _numbers(self._figures, ()):
            family = _family(path, value)
            if family.name not in seen:
                seen.add(family.name)
                yield family


def expose(figures: Mapping[str, object], accept: str) -> tuple[bytes, str]:
    """`figures` in the exposition format that `accept` asks for, with its content type.

    Rates are fractions everywhere; an interval of one goes out as its two ends. Numbers and
    booleans become `keel_<key>`, nested mappings join their keys; text is left out.
    A key `total_x`, `x_total` or `x_count` is a counter `keel_x_total`, anything else a gauge.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(figures))
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _numbers(
    figures: Mapping[str, object], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], float]]:
    for key, value in figures.items():
        path = (*above, key)
        if isinstance(value, Mapping):
            yield from _numbers(cast(Mapping[str, object], value), path)
        elif key == INTERVAL and isinstance(value, Sequence):
            for end, bound in zip(("low", "high"), value, strict=True):
                yield (*path, end, "frac"), float(bound)
        elif isinstance(value, bool | int | float | Decimal):
            yield path, float(value)


def _family(path: tuple[str, ...], value: float) -> Metric:
    words = [word for word in _clean("_".join(path)).split("_") if word]
    text = f"Keel figure {'.'.join(path)}."
    if words[0] == "total" and len(words) > 1:
        return CounterMetricFamily(PREFIX + "_".join(words[1:]), text, value)
    if words[-1] in ("total", *RESERVED) and len(words) > 1:
        return CounterMetricFamily(PREFIX + "_".join(words[:-1]), text, value)
    if words[-1] in UNITS:
        unit, factor = UNITS[words[-1]]
        return GaugeMetricFamily(PREFIX + "_".join([*words[:-1], unit]), text, value * factor)
    if "rate" in words:
        return GaugeMetricFamily(PREFIX + "_".join([*words, "ratio"]), text, value)
    return GaugeMetricFamily(PREFIX + "_".join(words), text, value)


def _clean(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
