"""Every setting that Keel has, by section: type, default, bounds, unit, meaning.

The defaults are the conservative profile's. Reads nothing and decides nothing.
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr

from bot.domain.types import Timeframe
from config.fields import Section, setting, words

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
Speed = float | Literal["max"]

MAX_SPEED = 100_000.0  # beyond it a scaled clock cannot keep step; "max" is what is meant

LARGEST_SEED = 2**63 - 1  # of the simulated exchange
ADDRESS = "an http:// or https:// address without a path, such as http://127.0.0.1:3001"
TOKEN = "a text of letters, digits and signs, without spaces"
HOST = "an IPv4 or IPv6 address without its port, or a name such as localhost"
FOLDER = "a folder, UTF-8, without ? in its path"

COINS = "names of coins such as BTC, separated by commas"

_SYMBOL = re.compile(r"[A-Za-z0-9]{1,20}")
_STRATEGY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")
_PRIVATE_KEY = re.compile(r"0x[0-9a-fA-F]{64}")
_AUTHORITY = re.compile(r"https?://[^\s@?#\\]+")
_TOKEN = re.compile(r"[!-~]+")  # what a header can carry, without the space that ends it
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
_NUMBER_AT_END = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)\.?")  # an address gone wrong, no name
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


_SPEEDS = f"a number above 0 and at most {MAX_SPEED:g}, or max"


def _speed(value: object) -> Speed:
    text = str(value).strip().lower()
    if text == "max":
        return "max"
    try:
        speed = float(text)
    except ValueError:
        raise ValueError(_SPEEDS) from None
    if not 0 < speed <= MAX_SPEED:
        raise ValueError(_SPEEDS)
    return speed


def _timeframe(value: object) -> object:
    if str(value) not in tuple(Timeframe):
        raise ValueError("one of " + " ".join(Timeframe))
    return value


def _private_key(value: SecretStr) -> SecretStr:
    if not _PRIVATE_KEY.fullmatch(value.get_secret_value()):
        raise ValueError("0x and 64 hex digits: the private key of an API wallet")
    return value


def _address(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError("0x and 40 hex digits: the account's address")
    return value


def _url(value: str) -> str:
    bare = value.rstrip("/")
    try:
        parts = urlsplit(bare)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of brackets and ports
        sound = False
    if not sound or bare != f"{parts.scheme}://{parts.netloc}" or not _AUTHORITY.fullmatch(bare):
        raise ValueError(ADDRESS)
    return bare


def _host(value: str) -> str:
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        kept = ipaddress.ip_address(bare)
    except ValueError:
        name = value.lower()
        if not _HOST_NAME.fullmatch(name) or _NUMBER_AT_END.fullmatch(name):
            raise ValueError(HOST) from None
        return name
    if kept.version == 4 and bare != value:
        raise ValueError(HOST)
    return bare


def _folder(value: Path) -> Path:
    try:
        text = str(value).encode()
    except UnicodeEncodeError:
        raise ValueError(FOLDER) from None
    if b"?" in text or b"\0" in text:  # a ? would end the database's URL
        raise ValueError(FOLDER)
    return value


def _token(value: SecretStr) -> SecretStr:
    if not _TOKEN.fullmatch(value.get_secret_value()):
        raise ValueError(TOKEN)
    return value


def _level(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


_symbols = words(lambda item: bool(_SYMBOL.fullmatch(item)), "names of coins such as BTC")
_strategies = words(lambda item: bool(_STRATEGY.fullmatch(item)), "ids of strategies")
_frames = words(lambda item: item in tuple(Timeframe), "frames out of " + " ".join(Timeframe))
_paths = words(lambda item: True, "paths of candle files")

Symbols = Annotated[tuple[str, ...], BeforeValidator(_symbols)]
Frame = Annotated[Timeframe, BeforeValidator(_timeframe)]
Frames = Annotated[tuple[Timeframe, ...], BeforeValidator(_frames)]
LogLevel = Annotated[Level, BeforeValidator(_level)]


class General(Section):
    """Which world, which profile, where things are kept."""

    mode: Annotated[Literal["demo", "paper", "live"], BeforeValidator(_lower)] = setting(
        "demo", "The world to trade in. demo is the built-in simulated exchange."
    )
    profile: str = setting(
        "conservative",
        "Set of numbers to start from.",
        allowed="a name of config/profiles/: conservative, aggressive, scalper or demo",
        shown="demo in mode demo, else conservative",
    )
    use_paper_trading: bool | None = setting(
        None, "Another way to say MODE: true is paper, false is live. Not beside a different MODE."
    )
    data_dir: Annotated[Path, AfterValidator(_folder)] = setting(
        Path("data"), "Folder for database, logs and token.", allowed=FOLDER
    )
    database_url: SecretStr | None = setting(
        None,
        "Where the database is; it may hold a password.",
        allowed="sqlite+aiosqlite:///path/to/file.db or "
        "postgresql+asyncpg://user:password@host/database",
        shown="keel.db in the world's folder below DATA_DIR",
    )
    backups_kept: int = setting(
        7, "How many daily backups of the database are kept.", "files", ge=1, le=365
    )
    traces_kept_days: int = setting(
        90,
        "Age, in market time, at which traces go from the database to compressed files; "
        "rows of the tables decisions and ai_cache are deleted at that age.",
        "days",
        ge=1,
        le=3650,
    )
    log_level: LogLevel = setting("INFO", "Lowest level written to the log file.")
    log_console_level: LogLevel | None = setting(
        None,
        "Lowest level written to the console.",
        shown="INFO on a terminal, WARNING as a service",
        allowed="DEBUG, INFO, WARNING or ERROR",
    )


class Web(Section):
    """The page, the API and the health routes."""

    http_host: Annotated[str, AfterValidator(_host)] = setting(
        "127.0.0.1", "Address to listen on.", allowed=HOST
    )
    http_port: int = setting(8000, "Port to listen on; 0 takes a free one.", ge=0, le=65535)
    api_token: Annotated[SecretStr, AfterValidator(_token)] | None = setting(
        None,
        "Token for what changes something, and for everything on another address than loopback.",
        allowed=TOKEN,
        shown="a random one, kept in DATA_DIR/api_token",
    )


class Demo(Section):
    """The simulated exchange of MODE=demo."""

    demo_speed: Annotated[Speed, PlainValidator(_speed)] = setting(
        60.0,
        "Market seconds in one real second; max is as fast as it goes.",
        "x",
        allowed=_SPEEDS,
        shown="60, with a model in the council 1",
    )
    demo_candles: Annotated[tuple[Path, ...], BeforeValidator(_paths)] = setting(
        (),
        "Candle files to play, separated by commas (a name with a comma in it goes only with "
        "--candles, file by file); empty plays generated prices.",
        allowed="paths of candle files, separated by commas",
    )
    demo_seed: int = setting(
        1,
        "Seed of everything random in the simulated exchange.",
        ge=0,
        le=LARGEST_SEED,
        allowed=f"a whole number from 0 to {LARGEST_SEED}",
    )
    demo_faults: Path | None = setting(
        None,
        "Script of what goes wrong at the embedded simulated exchange (docs/faults.md).",
        allowed="path of a .toml or .json file",
        shown="nothing goes wrong",
    )


class Venue(Section):
    """The exchange and how it is asked."""

    venue: Annotated[Literal["hyperliquid"], BeforeValidator(_lower)] = setting(
        "hyperliquid", "The exchange."
    )
    hyperliquid_base_url: Annotated[str, AfterValidator(_url)] | None = setting(
        None,
        "Address of the venue's API. In demo: a simulator of its own process, on loopback.",
        allowed=ADDRESS,
        shown="the embedded simulator in demo",
    )
    hyperliquid_api_key: Annotated[SecretStr, AfterValidator(_private_key)] | None = setting(
        None,
        "Private key of the API wallet. Ignored in demo.",
        allowed="0x and 64 hex digits",
    )
    hyperliquid_account: Annotated[str, AfterValidator(_address)] | None = setting(
        None,
        "Address of the account that the API wallet trades for. Ignored in demo.",
        allowed="0x and 40 hex digits",
    )
    reconcile_interval_seconds: float = setting(
        30.0, "How often our books are compared with the venue's.", "s", ge=1, le=600
    )


class Signals(Section):
    """What is looked at, how often, and by which strategies."""

    symbols: Symbols = setting((), "Coins to trade; empty: by volume.", allowed=COINS)
    universe_top_n: int = setting(
        20, "How many coins by volume, where SYMBOLS is empty.", ge=1, le=200
    )
    min_volume_24h_usd: float = setting(10_000_000, "Smallest volume of a coin.", "USD a day", ge=0)
    exclude_symbols: Symbols = setting((), "Coins never to trade.", allowed=COINS)
    min_volatility_24h_percent: float = setting(
        0.0, "Smallest 24 h range, (high - low) / low.", "fraction, 0.03 = 3 %", ge=0, le=1
    )
    scan_interval_seconds: float = setting(
        300, "Time between two scans. POLL_INTERVAL_SEC is its older name.", "s", ge=5, le=3600
    )
    decision_timeframe: Frame = setting(
        Timeframe.M5, "Candles that decide.", allowed="one of " + " ".join(Timeframe)
    )
    context_timeframes: Frames = setting(
        (Timeframe.H1, Timeframe.H4),
        "Longer candles for regime and agreement.",
        allowed="rising multiples of DECISION_TIMEFRAME, separated by commas",
    )
    strategies: Annotated[tuple[str, ...], BeforeValidator(_strategies)] = setting(
        (),
        "Strategies to run, whole (rsi_mean_reversion) or one variant (sma_trend.fast).",
        allowed="ids of strategies, separated by commas",
        shown="all there are",
    )


class Gates(Section):
    """Is this a good trade? Limits of the approval gate."""

    min_tier: int = setting(
        2, "Worst tier that may trade, 1 (score 85 and more) to 4 (below 55).", ge=1, le=4
    )
    min_ai_confidence: float = setting(
        0.80, "Smallest confidence of the council.", "fraction, 0.75 = 75 %", ge=0, le=1
    )
    min_reward_to_risk: float = setting(
        1.5, "Smallest distance to the target over distance to the stop.", "R", gt=0, le=10
    )
    rules_may_trade: bool = setting(
        True,
        "Whether the rules analyst alone, without any model, may open trades.",
        shown="true, in mode live false",
    )
    volatile_is_hard: bool = setting(
        True, "Whether a volatile regime forbids the trade; if not: half size, leverage 2 at most."
    )
    approval_mode: Annotated[Literal["auto", "manual", "hybrid"], BeforeValidator(_lower)] = (
        setting("auto", "Who says yes: nobody, a person for each trade, or a person below tier 1.")
    )
    approval_expiry_seconds: float = setting(
        120, "How long a person is waited for, machine time; then it is a no.", "s", ge=5, le=3600
    )
    max_price_move_r: float = setting(
        0.5, "How far price may have moved between the signal and the order.", "R", gt=0, le=2
    )


class Risk(Section):
    """Can the account bear it? Sizing and the limits of the risk gate."""

    initial_capital: Decimal = setting(
        Decimal(100),
        "Funds demo and paper accounts; the drawdown's baseline.",
        "USD",
        gt=0,
        le=1_000_000_000_000,
    )
    max_leverage: int = setting(3, "Largest leverage of a position.", "x", ge=1, le=50)
    max_leverage_ranging: int = setting(
        3, "Largest leverage in a ranging regime.", "x", ge=1, le=50
    )
    max_leverage_volatile: int = setting(
        2, "Largest leverage in a volatile regime.", "x", ge=1, le=50
    )
    risk_per_trade_percent: float = setting(
        0.02, "What a trade loses at its stop, of equity.", "fraction, 0.02 = 2 %", gt=0, le=0.1
    )
    max_loss_percent: float = setting(
        0.10, "Largest loss of one trade, costs included, of equity.", "fraction", gt=0, le=0.5
    )
    min_stop_loss_percent: float = setting(
        0.07, "Nearest stop, of the price.", "fraction, 0.07 = 7 %", gt=0, le=0.5
    )
    max_stop_loss_percent: float = setting(
        0.08, "Farthest stop, of the price.", "fraction, 0.08 = 8 %", gt=0, le=0.5
    )
    min_profit_usd: Decimal = setting(
        Decimal(3), "Smallest profit at the target, after costs.", "USD", ge=0
    )
    min_profit_x_cost: float = setting(
        2.0, "Smallest profit at the target as a multiple of the round trip's cost.", "x", ge=0
    )
    min_margin_usd: Decimal = setting(Decimal(0), "Smallest margin of a trade.", "USD", ge=0)
    max_margin_usd: Decimal | None = setting(
        None, "Largest margin of a trade; caps its size.", "USD", gt=0, shown="no bound"
    )
    max_positions: int = setting(2, "Positions open at once.", ge=1, le=100)
    max_notional_x_equity: float = setting(
        1.0, "Notional of all positions together.", "x equity", gt=0, le=50
    )
    max_correlated_positions: int = setting(
        1, "Positions of one side that move together, the new one included.", ge=1, le=100
    )
    max_correlation: float = setting(
        0.85, "Correlation of returns above which two coins move together.", gt=0, le=1
    )
    max_trades_per_hour: int = setting(20, "Entries in any hour of market time.", ge=1, le=1000)
    entry_spacing_seconds: float = setting(
        60, "Time between two entries, market time.", "s", ge=0, le=3600
    )
    max_spread_bps: float = setting(20.0, "Widest spread at an entry.", "bps", gt=0, le=500)
    max_funding_hourly_percent: float = setting(
        0.0005, "Dearest funding paid, of notional.", "fraction an hour", gt=0, le=0.04
    )
    max_mark_age_seconds: float = setting(
        10, "Longest time since a mark price was confirmed.", "s", gt=0, le=120
    )
    max_bar_age_candles: float = setting(
        2.0, "Oldest newest bar, in candles of DECISION_TIMEFRAME.", "candles", ge=1, le=20
    )
    max_clock_skew_seconds: float = setting(
        1.0, "How far our clock and the venue's may be apart.", "s", gt=0, le=60
    )
    min_liquidation_distance_x_stop: float = setting(
        1.25, "Distance to liquidation, of the distance to the stop.", "x", ge=1, le=10
    )
    entry_slippage_percent: float = setting(
        0.005, "How far an entry may fill from its reference.", "fraction", gt=0, le=0.1
    )
