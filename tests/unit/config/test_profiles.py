"""Profiles: their numbers, and what no profile may set."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from config import layers
from config.settings import known
from tests.unit.config.given import one_problem, settings

NUMBERS = {  # spec 05, "Numbers by profile", in its order of rows
    "RISK_PER_TRADE_PERCENT": (0.02, 0.01, 0.01, 0.01),
    "MIN_STOP_LOSS_PERCENT": (0.07, 0.05, 0.006, 0.005),
    "MAX_STOP_LOSS_PERCENT": (0.08, 0.10, 0.02, 0.02),
    "MIN_PROFIT_USD": (Decimal(3), Decimal(5), Decimal("0.5"), Decimal("0.5")),
    "MIN_REWARD_TO_RISK": (1.5, 1.5, 1.3, 1.3),
    "MIN_TIER": (2, 3, 3, 3),
    "MIN_AI_CONFIDENCE": (0.80, 0.75, 0.75, 0.55),
    "INITIAL_CAPITAL": (100, 500, 500, 1000),
    "MAX_LEVERAGE": (3, 5, 5, 5),
    "SCAN_INTERVAL_SECONDS": (300, 180, 45, 45),
    "CONTEXT_TIMEFRAMES": (("1h", "4h"), ("1h", "4h"), ("5m", "15m"), ("5m", "15m")),
    "MAX_POSITIONS": (2, 4, 3, 5),
    "MAX_NOTIONAL_X_EQUITY": (1, 2, 2, 2),
    "MAX_CORRELATED_POSITIONS": (1, 2, 2, 2),
    "DAILY_LOSS_LIMIT_PERCENT": (0.05, 0.10, 0.05, 0.10),
    "MAX_DRAWDOWN_PERCENT": (0.12, 0.20, 0.15, 0.30),
    "MAX_LOSSES_IN_A_ROW": (3, 4, 5, 10),
    "LOSS_COOLDOWN_MINUTES": (240, 60, 60, 10),
    "TIME_STOP_MINUTES": (72 * 60, 24 * 60, 45, 45),
    "DECISION_TIMEFRAME": ("5m", "5m", "1m", "1m"),
    "MIN_VOLUME_24H_USD": (10_000_000, 10_000_000, 10_000_000, 0),
    "MIN_VOLATILITY_24H_PERCENT": (0, 0, 0.03, 0),
    "MIN_MARGIN_USD": (0, 0, 25, 0),
    "MAX_MARGIN_USD": (None, None, 75, None),
    "VOLATILE_IS_HARD": (True, False, False, False),
}
PROFILES = ("conservative", "aggressive", "scalper", "demo")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_profile_has_the_numbers_of_the_specification(name: str, profile: str) -> None:
    """Spec 05's table, cell by cell."""
    tree = settings({"PROFILE": profile})
    section = getattr(tree, known()[name].section)
    assert getattr(section, name.lower()) == NUMBERS[name][PROFILES.index(profile)]


def test_the_scalper_has_its_own_universe_and_pace() -> None:
    """Spec 40: five coins, 20 trades an hour, 60 s apart, twice the cost of the round trip."""
    tree = settings({"PROFILE": "scalper"})
    assert tree.signals.symbols == ("BTC", "ETH", "SOL", "DOGE", "AVAX")
    assert (tree.risk.max_trades_per_hour, tree.risk.entry_spacing_seconds) == (20, 60)
    assert tree.risk.min_profit_x_cost == 2


def test_the_defaults_are_the_conservative_profiles() -> None:
    """Whoever writes a new profile and forgets a number gets the careful one."""
    tree = settings({"PROFILE": "conservative"})
    for section in ("signals", "gates", "risk", "breakers", "care"):
        part = getattr(tree, section)
        assert part == type(part)(), section


@pytest.fixture
def own_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(layers, "PROFILES", tmp_path)
    (tmp_path / "demo.toml").write_text("")
    return tmp_path / "mine.toml"


@pytest.mark.parametrize("line", ['MODE = "live"', "USE_PAPER_TRADING = false", 'API_TOKEN = "x"'])
def test_no_profile_sets_the_mode_or_a_secret(own_profile: Path, line: str) -> None:
    """A mode is never entered by accident."""
    own_profile.write_text(line)
    assert "cannot be set by a profile" in one_problem({"PROFILE": "mine"})


def test_a_profile_with_a_slip_is_refused(own_profile: Path) -> None:
    """Names of a profile are checked as those of .env are."""
    own_profile.write_text("MAX_LEVRAGE = 2\n")
    assert "did you mean MAX_LEVERAGE?" in one_problem({"PROFILE": "mine"})
    own_profile.write_text("MAX_LEVERAGE = 2 2\n")
    assert "cannot be read" in one_problem({"PROFILE": "mine"})


def test_parameters_of_strategies_are_handed_on(own_profile: Path) -> None:
    """`[strategies.<id>.<variant>]` is the strategy's to judge; here only its shape is."""
    own_profile.write_text("[strategies.sma_trend.fast]\nfast = 8\nstrict = true\nadx = 20.5\n")
    overrides = settings({"PROFILE": "mine"}).strategy_overrides
    assert overrides == {"sma_trend": {"fast": {"fast": 8, "strict": True, "adx": 20.5}}}
    own_profile.write_text("[strategies.sma_trend]\nfast = 8\n")
    assert "[strategies.sma_trend.fast]" in one_problem({"PROFILE": "mine"})
