"""What is wrong with the settings, one line each: setting, value, what is allowed, what to do.

Owns the wording and the checks between settings; a secret's value is never in a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic_core import ErrorDetails

from bot.runtime.database_url import wrong_with
from config.fields import Known

if TYPE_CHECKING:
    from config.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")

# A long unbroken run of these is more likely a key in the wrong place than a value.
_KEY_LIKE = re.compile(r"[A-Za-z0-9_+=-]{32,}")
_URL_USER = re.compile(r"//[^/@\s]*@")
_SHOWN_CHARACTERS = 60


def show(value: object, secret: bool = False) -> str:
    """A value as it may be printed: short, and nothing that may be a key or a password."""
    value = " ".join(value) if isinstance(value, list) else value
    text = _URL_USER.sub("//(hidden)@", str(value))
    if secret or _KEY_LIKE.search(text):
        return "(hidden)"
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def wrong_value(known: Known, value: object, where: str, error: ErrorDetails) -> str:
    """The line for a value that is not allowed."""
    allowed = known.allowed
    if error["type"] == "value_error":
        allowed = str(error["msg"]).removeprefix("Value error, ")
    return (
        f"{known.name}: {show(value, known.secret)} ({where}) is not allowed; "
        f"allowed is {allowed}{_percent(known, value)}{_remedy(known, where)}"
    )


def _percent(known: Known, value: object) -> str:
    """ "; did you mean 0.07?" for a fraction that was given as a percentage."""
    if not known.is_fraction:
        return ""
    try:
        fraction = float(str(value).rstrip("% ")) / 100
    except ValueError:
        return ""
    if not 0 < fraction <= (known.upper or 1.0):
        return ""
    return f" (a fraction: 0.07 is 7 %); did you mean {fraction:.6g}?"


def _remedy(known: Known, where: str) -> str:
    match where:
        case "flag":
            return f"; mend {known.flag}"
        case typed if typed.startswith("--"):
            return f"; mend {typed}"
        case "the environment":
            return f"; change or unset {known.name}"
        case _:
            return f"; mend it in {where}"


def between(settings: Settings, skip: Iterable[str], where: Callable[[str], str]) -> list[str]:
    """Lines for values that are allowed alone and wrong together.

    `skip`: names that were already found wrong; a rule that needs one of them is left out.
    """
    bad = set(skip)
    return [
        line
        for names, rule in _RULES.items()
        if bad.isdisjoint(names) and (line := rule(settings, where)) is not None
    ]


Rule = Callable[["Settings", Callable[[str], str]], str | None]


def _stops(settings: Settings, where: Callable[[str], str]) -> str | None:
    low, high = settings.risk.min_stop_loss_percent, settings.risk.max_stop_loss_percent
    if low <= high:
        return None
    return (
        f"MIN_STOP_LOSS_PERCENT {low:g} ({where('MIN_STOP_LOSS_PERCENT')}) is above "
        f"MAX_STOP_LOSS_PERCENT {high:g} ({where('MAX_STOP_LOSS_PERCENT')}); no stop fits between"
    )


def _margins(settings: Settings, where: Callable[[str], str]) -> str | None:
    low, high = settings.risk.min_margin_usd, settings.risk.max_margin_usd
    if high is None or low <= high:
        return None
    return f"MIN_MARGIN_USD {low} is above MAX_MARGIN_USD {high}; no trade fits between"


def _losses(settings: Settings, where: Callable[[str], str]) -> str | None:
    risk, bound = settings.risk.risk_per_trade_percent, settings.risk.max_loss_percent
    if risk < bound:
        return None
    return (
        f"RISK_PER_TRADE_PERCENT {risk:g} is not below MAX_LOSS_PERCENT {bound:g}; "
        f"with costs every trade would be refused"
    )


def _frames(settings: Settings, where: Callable[[str], str]) -> str | None:
    decision = settings.signals.decision_timeframe
    previous = decision
    for frame in settings.signals.context_timeframes:
        if frame.ms <= previous.ms or frame.ms % decision.ms:
            return (
                f"CONTEXT_TIMEFRAMES: {frame} must be longer than {previous} and a multiple of "
                f"DECISION_TIMEFRAME {decision}; give them in rising order"
            )
        previous = frame
    return None


def _universe(settings: Settings, where: Callable[[str], str]) -> str | None:
    signals = settings.signals
    excluded = {name.upper() for name in signals.exclude_symbols}
    if not signals.symbols or {name.upper() for name in signals.symbols} - excluded:
        return None
    return "EXCLUDE_SYMBOLS names every coin of SYMBOLS; nothing is left to trade"


def _database(settings: Settings, where: Callable[[str], str]) -> str | None:
    """What can be seen without opening it; the value is never shown: it may hold a password."""
    if settings.general.database_url is None:
        return None
    wrong = wrong_with(settings.general.database_url.get_secret_value())
    return None if wrong is None else f"DATABASE_URL ({where('DATABASE_URL')}) {wrong}"


def _venue_address(settings: Settings, where: Callable[[str], str]) -> str | None:
    url = settings.venue.hyperliquid_base_url
    if url is None:
        return None
    parts = urlsplit(url)
    local = parts.hostname in LOOPBACK
    if settings.general.mode == "demo" and not local:
        return (
            f"HYPERLIQUID_BASE_URL: {show(url)} is not on this machine; in MODE=demo allowed is "
            f"an address on loopback, such as http://127.0.0.1:9000, or none"
        )
    if parts.scheme == "http" and not local:
        return f"HYPERLIQUID_BASE_URL: {show(url)} must be https; http is for loopback only"
    return None


def _candles(settings: Settings, where: Callable[[str], str]) -> str | None:
    if settings.general.mode != "demo":
        return None
    missing = [str(path) for path in settings.demo.demo_candles if not path.is_file()]
    if not missing:
        return None
    typed = where("DEMO_CANDLES")
    remedy = "mend the path"
    if typed == "--candles" and any("," in path for path in missing):
        remedy = "name the files apart, --candles a.csv b.csv, or mend the path"
    there = any(path.exists() for path in settings.demo.demo_candles if not path.is_file())
    what = "not a file" if there else "no such file"
    return f"DEMO_CANDLES ({typed}): {what}: {', '.join(missing)}; {remedy}"


def _built(settings: Settings, where: Callable[[str], str]) -> str | None:
    mode = settings.general.mode
    if mode == "demo":
        return None
    return f"MODE={mode} ({where('MODE')}) is not built yet in this version; MODE=demo is"


_RULES: Mapping[tuple[str, ...], Rule] = {
    ("MODE",): _built,
    ("MIN_STOP_LOSS_PERCENT", "MAX_STOP_LOSS_PERCENT"): _stops,
    ("MIN_MARGIN_USD", "MAX_MARGIN_USD"): _margins,
    ("RISK_PER_TRADE_PERCENT", "MAX_LOSS_PERCENT"): _losses,
    ("DECISION_TIMEFRAME", "CONTEXT_TIMEFRAMES"): _frames,
    ("SYMBOLS", "EXCLUDE_SYMBOLS"): _universe,
    ("DATABASE_URL",): _database,
    ("MODE", "HYPERLIQUID_BASE_URL"): _venue_address,
    ("MODE", "DEMO_CANDLES"): _candles,
}
