"""Numbers as the venue writes them.

Owns formatting only; knows no message.
"""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal

from bot.simulator.bars import VOLUME_UNITS, Bar

USD_STEP = Decimal("0.000001")


dumps = json.JSONEncoder(separators=(",", ":")).encode  # JSON without blanks


def error(text: str) -> str:
    """A frame of the WebSocket's channel `error`."""
    return dumps({"channel": "error", "data": text})


def number(value: Decimal) -> str:
    """A price, size or rate: no exponent, no idle zeros, at least one decimal."""
    text = format(value, "f")
    if "." not in text:
        return f"{text}.0" if text != "-0" else "0.0"
    text = text.rstrip("0")
    if text.endswith("."):
        text += "0"
    return "0.0" if text == "-0.0" else text


def usd(value: Decimal) -> str:
    """An amount in USD, at most 6 decimals."""
    return number(value.quantize(USD_STEP, rounding=ROUND_HALF_EVEN))


def real(value: float) -> str:
    """A float whose shortest form is exact (prices on tick)."""
    text = repr(value)
    return number(Decimal(text)) if "e" in text else text


def volume(units: int) -> str:
    """A volume given in 1e-8 base units."""
    whole, part = divmod(units, VOLUME_UNITS)
    return f"{whole}." + (f"{part:08d}".rstrip("0") or "0")


def candle(coin: str, interval: str, interval_ms: int, bar: Bar) -> dict[str, object]:
    """One candle of a snapshot or a frame."""
    return {
        "t": bar.t,
        "T": bar.t + interval_ms - 1,
        "s": coin,
        "i": interval,
        "o": real(bar.o),
        "c": real(bar.c),
        "h": real(bar.h),
        "l": real(bar.l),
        "v": volume(bar.v),
        "n": bar.n,
    }


def candle_frame(coin: str, interval: str, interval_ms: int, bar: Bar) -> str:
    """The frame of channel `candle`, as `dumps` would write it: the stream's hottest line."""
    return (
        f'{{"channel":"candle","data":{{"t":{bar.t},"T":{bar.t + interval_ms - 1},'
        f'"s":"{coin}","i":"{interval}","o":"{real(bar.o)}","c":"{real(bar.c)}",'
        f'"h":"{real(bar.h)}","l":"{real(bar.l)}","v":"{volume(bar.v)}","n":{bar.n}}}}}'
    )
