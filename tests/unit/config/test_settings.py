"""config.settings: the layers, and what is said of wrong input."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.domain.types import Timeframe
from config.settings import known, load
from tests.unit.config.given import CANARY, loaded, one_problem, problems, settings


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


# --- layers -------------------------------------------------------------------------


def test_the_first_command_needs_nothing() -> None:
    """Without any setting the mode is demo with the demo profile, and nothing is said."""
    result = loaded()
    assert result.settings.general.mode == "demo"
    assert result.settings.general.profile == "demo"
    assert result.settings.risk.initial_capital == 1000
    assert result.warnings == ()


def test_later_layers_win(dotenv: Path) -> None:
    """Rising: default, profile, .env, environment, flags; each is seen to override the last."""
    name = "MAX_POSITIONS"
    assert known()[name].default == 2
    assert loaded(environ={"PROFILE": "aggressive"}).settings.risk.max_positions == 4
    dotenv.write_text(f"{name}=6\n")
    environ = {"PROFILE": "aggressive"}
    assert loaded({}, environ, dotenv).settings.risk.max_positions == 6
    environ[name] = "7"
    assert loaded({}, environ, dotenv).settings.risk.max_positions == 7
    assert loaded({name: "8"}, environ, dotenv).settings.risk.max_positions == 8


def test_a_default_holds_where_no_layer_speaks() -> None:
    """No profile names MAX_CORRELATION."""
    assert settings().risk.max_correlation == 0.85


def test_an_empty_value_is_not_set() -> None:
    """`NAME=` in a copied file must not break the start."""
    assert loaded(environ={"MAX_POSITIONS": "  "}).settings.risk.max_positions == 5


def test_the_process_environment_is_not_read_behind_the_argument(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only what is handed over counts, also inside pydantic-settings."""
    monkeypatch.setenv("RISK", '{"max_positions": 9}')
    monkeypatch.setenv("MAX_POSITIONS", "9")
    assert settings().risk.max_positions == 5


def test_lists_come_from_commas_and_from_tables() -> None:
    """Flags and .env have commas, a profile has TOML arrays."""
    assert settings({"SYMBOLS": "BTC, kPEPE,ETH"}).signals.symbols == ("BTC", "kPEPE", "ETH")
    frames = settings({"PROFILE": "scalper"}).signals.context_timeframes
    assert frames == (Timeframe.M5, Timeframe.M15)


def test_an_alias_is_its_setting_and_keeps_its_layer(dotenv: Path) -> None:
    """POLL_INTERVAL_SEC is SCAN_INTERVAL_SECONDS, and a higher layer wins under either name."""
    dotenv.write_text("SCAN_INTERVAL_SECONDS=100\n")
    result = loaded({}, {"POLL_INTERVAL_SEC": "90"}, dotenv)
    assert result.settings.signals.scan_interval_seconds == 90
    lines = problems({"POLL_INTERVAL_SEC": "90", "SCAN_INTERVAL_SECONDS": "91"})
    assert "twice" in lines[0]


def test_demo_speed_is_a_number_or_max() -> None:
    """`max` is a word of its own, not a large number."""
    assert settings({"DEMO_SPEED": "max"}).demo.demo_speed == "max"
    assert settings({"DEMO_SPEED": "2.5"}).demo.demo_speed == 2.5
    for wrong in ("fast", "0", "-1", "nan", "inf"):
        line = one_problem({"DEMO_SPEED": wrong})
        assert "allowed is a number above 0 and at most 100000, or max" in line


# --- what is said of wrong input ----------------------------------------------------


def test_all_wrong_values_are_told_at_once(dotenv: Path) -> None:
    """One line each, with the value, its layer, what is allowed, what to do."""
    dotenv.write_text("MAX_POSITIONS=none\nTRAIL_ATTR=3\n")
    lines = problems({"HTTP_PORT": "99999", "MODE": "paper"}, {"MIN_TIER": "7"}, dotenv)
    text = "\n".join(lines)
    assert len(lines) == 5
    assert "HTTP_PORT: '99999' (flag)" in text and "from 0 to 65535" in text
    assert "mend --http-port" in text
    assert "MIN_TIER: '7' (the environment)" in text and "change or unset MIN_TIER" in text
    assert "MAX_POSITIONS: 'none' (.env)" in text and "a whole number" in text
    assert "TRAIL_ATTR (.env) is not a setting; did you mean TRAIL_ATR?" in text
    assert "MODE=paper (flag) is not built yet" in text
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_only_demo_starts_today(mode: str) -> None:
    """The other worlds are refused plainly, never replaced by demo."""
    assert one_problem({"MODE": mode}).startswith(f"MODE={mode} (flag) is not built yet")


def test_an_env_file_that_cannot_be_read_is_no_empty_one(dotenv: Path) -> None:
    """Docker makes a folder of a file that was not there; nobody's settings are left out."""
    dotenv.mkdir()
    [line] = problems(env_file=dotenv)
    assert "cannot be read (IsADirectoryError)" in line


def test_unknown_names_are_errors_in_env_file_and_flags(dotenv: Path) -> None:
    """A slip that nobody answers is a setting that silently does nothing."""
    dotenv.write_text("export MAX_LEVRAGE=3\n")
    assert "did you mean MAX_LEVERAGE?" in problems(env_file=dotenv)[0]
    assert "did you mean MAX_LEVERAGE?" in one_problem({"MAX_LEVRAGE": "3"})


def test_a_strangers_variable_is_no_error_and_a_near_miss_a_warning() -> None:
    """The environment belongs to others too."""
    result = loaded(environ={"PATH": "/bin", "HTTP_PROXY": "x", "MAX_LEVRAGE": "3"})
    assert result.warnings == ("MAX_LEVRAGE in the environment is not a setting; MAX_LEVERAGE is",)


def test_a_broken_line_of_the_env_file_is_told_by_number(dotenv: Path) -> None:
    """python-dotenv would only log it and go on."""
    dotenv.write_text("MAX_POSITIONS=3\n=nonsense\nMIN_TIER\n")
    lines = problems(env_file=dotenv)
    assert [line[:11] for line in lines] == [".env line 2", ".env line 3"]


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("MIN_STOP_LOSS_PERCENT", "7", "0.07"),
        ("MAX_STOP_LOSS_PERCENT", "10", "0.1"),
        ("MIN_AI_CONFIDENCE", "75", "0.75"),
        ("RISK_PER_TRADE_PERCENT", "1", "0.01"),
        ("MAX_STOP_LOSS_PERCENT", "8%", "0.08"),
    ],
)
def test_a_percentage_is_answered_with_its_fraction(name: str, given: str, meant: str) -> None:
    """*_PERCENT and *_CONFIDENCE are fractions."""
    assert f"did you mean {meant}?" in one_problem({name: given})


def test_no_fraction_may_exceed_one() -> None:
    """Every setting named so is bounded, also those added later."""
    unbounded = [s.name for s in known().values() if s.is_fraction and not (s.upper or 9) <= 1]
    assert unbounded == []


def test_hyperliquids_secret_is_answered() -> None:
    """There is no such pair; the line says where the key goes."""
    line = one_problem({"HYPERLIQUID_API_SECRET": CANARY})
    assert "HYPERLIQUID_API_KEY" in line and "HYPERLIQUID_ACCOUNT" in line
    assert CANARY not in line


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"MIN_STOP_LOSS_PERCENT": "0.05", "MAX_STOP_LOSS_PERCENT": "0.04"}, "no stop fits"),
        ({"MIN_MARGIN_USD": "80", "MAX_MARGIN_USD": "75"}, "no trade fits"),
        ({"MAX_LOSS_PERCENT": "0.01"}, "RISK_PER_TRADE_PERCENT"),
        ({"CONTEXT_TIMEFRAMES": "15m,5m"}, "rising order"),
        ({"DECISION_TIMEFRAME": "5m", "CONTEXT_TIMEFRAMES": "5m"}, "longer than"),
        ({"DECISION_TIMEFRAME": "3m", "CONTEXT_TIMEFRAMES": "5m"}, "multiple"),
        ({"SYMBOLS": "BTC", "EXCLUDE_SYMBOLS": "BTC"}, "nothing is left"),
        ({"SYMBOLS": "BTC,kPEPE", "EXCLUDE_SYMBOLS": "KPEPE,btc"}, "nothing is left"),
        ({"DATABASE_URL": f"postgresql+asyncpg://u:{CANARY}@/d"}, "names no host"),
        ({"DATABASE_URL": f"mysql://u:{CANARY}@h/d"}, "sqlite+aiosqlite"),
        ({"DATABASE_URL": "sqlite:///x"}, "DATABASE_URL (flag) must be written sqlite+aiosqlite"),
        ({"DATABASE_URL": "sqlite+aiosqlite:///x?mode=ro"}, "nothing after the file's name"),
        ({"DATABASE_URL": f"postgresql+asyncpg://u:{CANARY}@h/d?x=1"}, "nothing after ?"),
        ({"DATA_DIR": "da?ta"}, "a folder, UTF-8, without ?"),
        ({"DEMO_SEED": str(2**63)}, "from 0 to 9223372036854775807; mend --demo-seed"),
        ({"DEMO_SEED": "9" * 5000}, "from 0 to 9223372036854775807; mend --demo-seed"),
        ({"INITIAL_CAPITAL": "1e13"}, "a number above 0"),
        ({"HYPERLIQUID_BASE_URL": "https://api.hyperliquid.xyz"}, "loopback"),
        ({"HYPERLIQUID_BASE_URL": "http://127.0.0.1.evil.example"}, "loopback"),
        ({"HYPERLIQUID_BASE_URL": "ftp://x"}, "http:// or https://"),
        ({"HYPERLIQUID_BASE_URL": "http://127.0.0.1:99999"}, "such as http://127.0.0.1:3001"),
        ({"HYPERLIQUID_BASE_URL": "http://127.0.0.1:x"}, "such as http://127.0.0.1:3001"),
        ({"HYPERLIQUID_BASE_URL": "http://[::1"}, "such as http://127.0.0.1:3001"),
        ({"HYPERLIQUID_BASE_URL": "http://localhost/ foo"}, "such as http://127.0.0.1:3001"),
        ({"HYPERLIQUID_BASE_URL": "http://u:p@localhost"}, "such as http://127.0.0.1:3001"),
        ({"API_TOKEN": f"{CANARY} b"}, "without spaces"),
        ({"API_TOKEN": f"{CANARY}\u00fc"}, "without spaces"),
        ({"DATA_DIR": "da\udcffta"}, "a folder, UTF-8"),
        ({"DEMO_CANDLES": "no/such.csv"}, "no such file"),
        ({"DEMO_CANDLES": "tests"}, "not a file: tests"),
        ({"PROFILE": "scalpr"}, "did you mean scalper?"),
        ({"PROFILE": "../demo"}, "is not a profile"),
        ({"USE_PAPER_TRADING": "true", "MODE": "demo"}, "take one of the two out"),
        ({"USE_PAPER_TRADING": "true"}, "MODE=paper (USE_PAPER_TRADING=true, flag) is"),
        ({"USE_PAPER_TRADING": "no"}, "MODE=live (USE_PAPER_TRADING=no, flag) is"),
        ({"INITIAL_CAPITAL": "NaN"}, "a number above 0"),
        ({"MAX_SPREAD_BPS": "inf"}, "a number"),
        ({"VENUE": "coinbase"}, "hyperliquid"),
        ({"SYMBOLS": "BTC,BTC"}, "each once"),
        ({"DECISION_TIMEFRAME": "7m"}, "one of 1m"),
    ],
)
def test_contradictions_and_impossible_values_are_refused(flags: dict[str, str], says: str) -> None:
    """One line, which names the rule; never a password of an address."""
    line = one_problem(flags)
    assert says in line
    assert CANARY not in line


@pytest.mark.parametrize(
    "host",
    [
        "foo bar", "999.1.1.1", "1.2.3", "127.1", "0x7f.1", "[127.0.0.1]", "::g", "[::1", "a..b",
        "localhost:8000", "http://localhost", "-a", "*", "127.0.0.1/8", "x" * 64 + ".org",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_listened_on_is_refused(host: str) -> None:
    """Otherwise the page would fail for ever with a remedy about its port."""
    line = one_problem({"HTTP_HOST": host})
    assert line.startswith("HTTP_HOST: ")
    assert "an IPv4 or IPv6 address without its port, or a name such as localhost" in line
    assert "mend --http-host" in line


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("::", "::"),
        ("localhost", "localhost"),
        ("LocalHost", "localhost"),
        ("keel-1.example.org", "keel-1.example.org"),
        ("my_service", "my_service"),
    ],
)
def test_addresses_and_names_may_be_listened_on(given: str, kept: str) -> None:
    """Brackets around an IPv6 address are taken off, names are compared in lower case."""
    assert settings({"HTTP_HOST": given}).web.http_host == kept


def test_coins_are_what_the_operator_typed() -> None:
    """The venue's own spelling is found when coins are chosen, whatever the case."""
    assert settings({"SYMBOLS": "btc, kPEPE"}).signals.symbols == ("btc", "kPEPE")


def test_the_largest_seed_and_capital_are_allowed() -> None:
    """The bounds are those of the simulated exchange."""
    chosen = settings({"DEMO_SEED": str(2**63 - 1), "INITIAL_CAPITAL": "1e12"})
    assert chosen.demo.demo_seed == 2**63 - 1
    assert chosen.risk.initial_capital == 10**12


def test_the_message_names_what_was_typed() -> None:
    """A flag with a shorter name is mended by that name."""
    with pytest.raises(ConfigError) as caught:
        load(
            {"DEMO_SPEED": "0", "DEMO_CANDLES": ["no,such.csv"], "HTTP_PORT": "x"},
            {},
            None,
            {"DEMO_SPEED": "--speed", "DEMO_CANDLES": "--candles", "HTTP_PORT": "--http-port"},
        )
    port, speed, candles = caught.value.problems
    assert "HTTP_PORT: 'x' (flag)" in port and port.endswith("; mend --http-port")
    assert "DEMO_SPEED: '0' (--speed)" in speed and speed.endswith("; mend --speed")
    assert candles.startswith("DEMO_CANDLES (--candles): no such file: no,such.csv; name the files")
    line = one_problem({"DEMO_SPEED": "0"})
    assert "(flag)" in line and line.endswith("; mend --demo-speed")


def test_a_rule_between_settings_waits_for_valid_ones() -> None:
    """A value already found wrong is told once, not again by every rule it takes part in."""
    line = one_problem({"MIN_STOP_LOSS_PERCENT": "9", "MAX_STOP_LOSS_PERCENT": "0.001"})
    assert line.startswith("MIN_STOP_LOSS_PERCENT: '9'")
