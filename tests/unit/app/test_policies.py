"""Every number of the profile table (spec 05) reaches the rule that it governs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from bot.app.models import policy_of
from bot.app.parts import council_options
from bot.app.policies import council_template, overrides_of, policies_of, rules_of, universe_of
from bot.domain.council import RULES_SEAT
from bot.domain.red_flags import FlagCode
from bot.domain.types import Tier, Timeframe
from bot.pipeline.council import CouncilOptions
from bot.pipeline.policies import Policies, fingerprint
from config.catalogue import SHIPPED
from config.templates import prompt_text
from tests.unit.config.given import settings

M1, M5, M15, H1, H4 = (Timeframe(name) for name in ("1m", "5m", "15m", "1h", "4h"))
MINUTE = 60_000
HOUR = 60 * MINUTE


@dataclass(frozen=True)
class Column:
    """One column of the table "Numbers by profile"."""

    risk: float
    stop: tuple[float, float]
    min_profit: str
    reward_to_risk: float
    min_tier: int
    confidence: float
    capital: int
    leverage: int
    scan_s: int
    context: tuple[Timeframe, ...]
    caps: tuple[int, float, int]  # positions, notional x equity, correlated
    breakers: tuple[float, float, int, int]  # daily loss, drawdown, losses in a row, cool-down
    time_stop_ms: int
    timeframe: Timeframe
    regime_frame: Timeframe


TABLE = {
    "conservative": Column(
        0.02,
        (0.07, 0.08),
        "3",
        1.5,
        2,
        0.80,
        100,
        3,
        300,
        (H1, H4),
        (2, 1.0, 1),
        (0.05, 0.12, 3, 4 * HOUR),
        72 * HOUR,
        M5,
        H1,
    ),
    "aggressive": Column(
        0.01,
        (0.05, 0.10),
        "5",
        1.5,
        3,
        0.75,
        500,
        5,
        180,
        (H1, H4),
        (4, 2.0, 2),
        (0.10, 0.20, 4, HOUR),
        24 * HOUR,
        M5,
        H1,
    ),
    "scalper": Column(
        0.01,
        (0.006, 0.02),
        "0.50",
        1.3,
        3,
        0.75,
        500,
        5,
        45,
        (M5, M15),
        (3, 2.0, 2),
        (0.05, 0.15, 5, HOUR),
        45 * MINUTE,
        M1,
        M15,
    ),
    "demo": Column(
        0.01,
        (0.005, 0.02),
        "0.50",
        1.3,
        3,
        0.55,
        1000,
        5,
        45,
        (M5, M15),
        (5, 2.0, 2),
        (0.10, 0.30, 10, 10 * MINUTE),
        45 * MINUTE,
        M1,
        M15,
    ),
}


def made(interval: Timeframe | None = None, **flags: str) -> Policies:
    chosen = settings(flags)
    return policies_of(chosen, rules_of(chosen), interval)


@pytest.mark.parametrize("profile", TABLE)
def test_sizing_has_the_numbers_of_the_table(profile: str) -> None:
    """Risk, stop bounds, leverage, notional and reward to risk."""
    column, sizing = TABLE[profile], made(PROFILE=profile).sizing
    assert sizing.risk_frac == column.risk
    assert (sizing.min_stop_frac, sizing.max_stop_frac) == column.stop
    assert (sizing.max_leverage, sizing.max_notional_x) == (column.leverage, column.caps[1])
    assert sizing.min_reward_to_risk == column.reward_to_risk
    assert (sizing.ranging_leverage, sizing.volatile_leverage) == (3, 2)
    assert sizing.entry_slippage_frac == 0.005


@pytest.mark.parametrize("profile", TABLE)
def test_the_risk_gate_has_the_numbers_of_the_table(profile: str) -> None:
    """Positions, exposure, correlation, profit, and what holds for every profile."""
    column, limits = TABLE[profile], made(PROFILE=profile).limits
    assert (limits.max_positions, limits.max_notional_x, limits.max_correlated) == column.caps
    assert limits.correlation_bound == 0.85
    assert (limits.max_leverage, limits.min_profit_usd) == (
        column.leverage,
        Decimal(column.min_profit),
    )
    assert (limits.min_stop_frac, limits.max_stop_frac) == column.stop
    assert (limits.trades_per_hour, limits.entry_spacing_ms) == (20, MINUTE)
    assert limits.max_loss_frac == 0.10
    assert limits.max_mark_age_s == 10.0
    assert limits.max_clock_skew_ms == 1_000


@pytest.mark.parametrize("profile", TABLE)
def test_the_approval_gate_has_the_numbers_of_the_table(profile: str) -> None:
    """Confidence, tier and reward to risk."""
    column, approval = TABLE[profile], made(PROFILE=profile).approval
    assert approval.min_confidence == column.confidence
    assert approval.min_tier is Tier(column.min_tier)
    assert approval.min_reward_to_risk == column.reward_to_risk
    assert approval.rules_may_trade


@pytest.mark.parametrize("profile", TABLE)
def test_breakers_and_care_have_the_numbers_of_the_table(profile: str) -> None:
    """Daily loss, drawdown, losses in a row with their cool-down; time stop, break-even, trail."""
    column, policies = TABLE[profile], made(PROFILE=profile)
    found = policies.breakers
    assert (
        found.daily_loss_frac,
        found.drawdown_frac,
        found.losses_in_row,
        found.cooldown_ms,
    ) == column.breakers
    care = policies.protection
    assert care.time_stop_ms == column.time_stop_ms
    assert (care.break_even_r, care.trail_from_r, care.trail_atr) == (1.0, 1.5, 2.0)
    assert (care.trail_step_r, care.trail_spacing_s, care.through_s) == (0.25, 30.0, 2.0)
    assert care.round_trip_fee_frac == 0.0009


@pytest.mark.parametrize("profile", TABLE)
def test_the_road_has_the_frames_of_the_table(profile: str) -> None:
    """Decision frame, context, and where the regime is read."""
    column, policies = TABLE[profile], made(PROFILE=profile)
    assert (policies.timeframe, policies.context) == (column.timeframe, column.context)
    assert policies.regime_timeframe is column.regime_frame
    assert policies.timeframes == (column.timeframe, *column.context)
    assert policies.max_move_r == 0.5
    chosen = settings({"PROFILE": profile})
    assert chosen.signals.scan_interval_seconds == column.scan_s
    assert chosen.risk.initial_capital == column.capital


def test_the_scalpers_margin_and_range_are_its_own() -> None:
    """25 to 75 USD of margin, 3 % of range in a day."""
    policies = made(PROFILE="scalper")
    assert policies.sizing.min_margin_usd == 25
    assert policies.sizing.max_margin_usd == 75
    assert policies.limits.min_margin_usd == 25
    assert policies.min_range_frac == 0.03
    assert made(PROFILE="demo").sizing.max_margin_usd is None


def test_volatile_is_a_hard_flag_for_the_conservative_alone() -> None:
    """Elsewhere it halves the size; the setting puts it over the profile."""
    hard = {name: FlagCode.VOLATILE in made(PROFILE=name).flags.hard for name in TABLE}
    assert hard == {"conservative": True, "aggressive": False, "scalper": False, "demo": False}
    assert FlagCode.VOLATILE in made(PROFILE="demo", VOLATILE_IS_HARD="true").flags.hard
    flags = made(PROFILE="conservative", VOLATILE_IS_HARD="false").flags
    assert FlagCode.VOLATILE not in flags.hard
    assert FlagCode.LOW_VOLUME in flags.hard


def test_a_run_on_files_decides_on_the_coarser_frame() -> None:
    """The files' interval when it is coarser; context frames not above it fall away."""
    policies = made(M5, PROFILE="demo")
    assert (policies.timeframe, policies.context) == (M5, (M15,))
    hourly = made(H1, PROFILE="demo")
    assert (hourly.timeframe, hourly.context, hourly.regime_timeframe) == (H1, (), H1)
    assert made(M1, PROFILE="aggressive").timeframe is M5


def test_strategies_and_their_overrides_are_named_in_the_policies() -> None:
    """What decided can be read back: ids in order, parameters that were changed."""
    policies = made(STRATEGIES="breakout,scalper")
    assert policies.strategies[0].startswith("breakout.")
    assert {name.partition(".")[0] for name in policies.strategies} == {"breakout", "scalper"}
    assert policies.seats == (RULES_SEAT,)
    changed = settings().model_copy(
        update={"strategy_overrides": {"scalper": {"standard": {"volume_burst": 9.0}}}}
    )
    assert overrides_of(changed) == {"scalper.standard": {"volume_burst": 9.0}}


def test_the_universe_is_what_the_settings_say() -> None:
    """Top 20 by volume and at least $10 M, or the list."""
    universe = universe_of(settings({"PROFILE": "aggressive"}))
    assert (universe.symbols, universe.top_n, universe.min_volume_usd) == ((), 20, 10_000_000)
    named = universe_of(settings({"SYMBOLS": "BTC,ETH", "EXCLUDE_SYMBOLS": "DOGE"}))
    assert (named.symbols, named.exclude) == (("BTC", "ETH"), ("DOGE",))


def test_the_fingerprint_changes_with_every_number_that_decides_and_with_nothing_else() -> None:
    """Evidence belongs to one configuration."""
    one = fingerprint(made(PROFILE="demo"))
    assert fingerprint(made(PROFILE="demo", HTTP_PORT="8099", LOG_LEVEL="debug")) == one
    for name, value in (
        ("MAX_POSITIONS", "4"),
        ("MIN_AI_CONFIDENCE", "0.56"),
        ("TIME_STOP_MINUTES", "44"),
        ("MAX_DRAWDOWN_PERCENT", "0.29"),
        ("STRATEGIES", "scalper"),
        ("COUNCIL_MIN_SHARE", "0.61"),
    ):
        chosen = settings({"PROFILE": "demo", name: value})
        assert fingerprint(policies_of(chosen, rules_of(chosen), None)) != one, name


def test_the_councils_numbers_reach_who_uses_them() -> None:
    """Disagreement, waits, late answers, the life of a kept answer: each is a setting."""
    given = settings(
        {
            "COUNCIL_DEADLINE_SECONDS": "40",
            "COUNCIL_MIN_SHARE": "0.75",
            "MODEL_FIRST_WAIT_SECONDS": "1",
            "MODEL_LONGEST_WAIT_SECONDS": "3",
            "MODEL_JITTER_SECONDS": "0",
            "LATE_ANSWER_SECONDS": "12",
            "LATE_ANSWERS_AT_ONCE": "4",
            "MAX_BAR_AGE_CANDLES": "3",
        }
    )
    policies = policies_of(given, rules_of(given), None)
    assert policies.council.min_share == 0.75
    asked = policy_of(given)
    assert (asked.first_wait_s, asked.longest_wait_s, asked.jitter_s) == (1.0, 3.0, 0.0)
    assert council_options(given, policies) == CouncilOptions(
        40.0, 12.0, 4, 2 * policies.timeframe.ms
    )


def test_the_prompt_is_chosen_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file of config/prompts is another version, and another fingerprint."""
    shipped = prompt_text("council-v1")
    (tmp_path / "council-v1.md").write_text(shipped, encoding="utf-8")
    (tmp_path / "terse.md").write_text(shipped.replace("Is it", "Tell: is it"), encoding="utf-8")
    monkeypatch.setattr("config.templates.PROMPTS", tmp_path)
    council = {"ENABLE_OLLAMA": "true"}
    assert (
        council_template(settings({**council, "COUNCIL_PROMPT": "terse"})).version[:6] == "terse-"
    )
    assert marked(council) != marked({**council, "COUNCIL_PROMPT": "terse"})


def marked(flags: dict[str, str]) -> str:
    chosen = settings(flags)
    return fingerprint(policies_of(chosen, rules_of(chosen), None))


@pytest.mark.parametrize(
    "changed",
    [
        {"OPENAI_MODEL": "gpt-5.5"},
        {"OLLAMA_BASE_URL": "http://127.0.0.1:9999/v1"},
        {"ENABLE_OLLAMA": "false"},
    ],
)
def test_another_model_or_endpoint_is_another_fingerprint(changed: dict[str, str]) -> None:
    """Evidence about a council holds for these models, where they are asked."""
    council = {"ENABLE_OPENAI": "true", "OPENAI_API_KEY": "sk-" + "a" * 24, "ENABLE_OLLAMA": "true"}
    assert marked(council) != marked({**council, **changed})


def test_a_models_parameters_are_in_the_fingerprint_and_its_key_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Formats, temperature, seed, length and what else is sent."""
    council = {"ENABLE_OPENAI": "true", "OPENAI_API_KEY": "sk-" + "a" * 24}
    before = marked(council)
    assert marked({**council, "OPENAI_API_KEY": "sk-" + "b" * 24}) == before
    hotter = {**SHIPPED, "openai": SHIPPED["openai"].model_copy(update={"temperature": 0.7})}
    monkeypatch.setattr("config.models.SHIPPED", hotter)
    assert marked(council) != before
