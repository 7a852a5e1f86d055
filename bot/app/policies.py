"""From settings to the policies of the domain: the one place where names meet.

Owns the translation; knows no adapter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from bot.domain import canonical
from bot.domain.approval import ApprovalMode, ApprovalPolicy
from bot.domain.breakers import BreakerLimits
from bot.domain.council import RULES_SEAT, CouncilPolicy
from bot.domain.errors import ConfigError
from bot.domain.prompt import Template, template_of
from bot.domain.protection import ProtectionPolicy
from bot.domain.red_flags import POLICIES as FLAGS_BY_PROFILE
from bot.domain.red_flags import FlagCode, FlagPolicy
from bot.domain.risk import RiskLimits
from bot.domain.scoring import ScoreWeights
from bot.domain.sizing import TAKER_FEE, SizingPolicy
from bot.domain.types import Symbol, Tier, Timeframe
from bot.pipeline.policies import Policies
from bot.pipeline.scan import UniversePolicy
from bot.plugins import STRATEGIES, LoadedStrategy, load_strategies, names
from config.models import Chosen, chosen
from config.settings import Settings
from config.templates import prompt_text

MINUTE_MS = 60_000


def rules_of(settings: Settings) -> tuple[LoadedStrategy, ...]:
    """Load the enabled strategies. Raises ConfigError naming every problem."""
    enabled = settings.signals.strategies or names(STRATEGIES)
    return load_strategies(enabled, overrides_of(settings))


def overrides_of(settings: Settings) -> dict[str, dict[str, object]]:
    """Parameters of strategies by "file.variant"."""
    return {
        f"{strategy}.{variant}": dict(params)
        for strategy, variants in settings.strategy_overrides.items()
        for variant, params in variants.items()
    }


def policies_of(
    settings: Settings, rules: tuple[LoadedStrategy, ...], interval: Timeframe | None
) -> Policies:
    """Gather every number that decides. `interval` is that of the candle files played.

    A run on files decides on the coarser of the profile's frame and the files' (spec 05).
    """
    signals, gates, risk = settings.signals, settings.gates, settings.risk
    asked = chosen(settings)
    timeframe = signals.decision_timeframe
    if interval is not None and interval.ms > timeframe.ms:
        timeframe = interval
    coarser = sorted(
        (frame for frame in signals.context_timeframes if frame.ms > timeframe.ms),
        key=lambda frame: frame.ms,
    )
    return Policies(
        timeframe=timeframe,
        context=tuple(coarser),
        regime_timeframe=_regime_frame(settings, timeframe, coarser),
        strategies=tuple(rule.id for rule in rules),
        overrides=overrides_of(settings),
        seats=tuple(one.name for one in asked) or (RULES_SEAT,),
        models=tuple(_named(one) for one in asked),
        prompt=council_template(settings).version if asked else "",
        flags=_flags(settings),
        weights=ScoreWeights(),
        council=CouncilPolicy(settings.council.council_min_share),
        approval=ApprovalPolicy(
            min_confidence=gates.min_ai_confidence,
            min_tier=Tier(gates.min_tier),
            min_reward_to_risk=gates.min_reward_to_risk,
            rules_may_trade=gates.rules_may_trade,
            mode=ApprovalMode(gates.approval_mode),
        ),
        sizing=SizingPolicy(
            risk_frac=risk.risk_per_trade_percent,
            min_stop_frac=risk.min_stop_loss_percent,
            max_stop_frac=risk.max_stop_loss_percent,
            max_leverage=risk.max_leverage,
            max_notional_x=risk.max_notional_x_equity,
            min_reward_to_risk=gates.min_reward_to_risk,
            min_margin_usd=risk.min_margin_usd or None,
            max_margin_usd=risk.max_margin_usd,
            entry_slippage_frac=risk.entry_slippage_percent,
            ranging_leverage=risk.max_leverage_ranging,
            volatile_leverage=risk.max_leverage_volatile,
            liquidation_buffer=risk.min_liquidation_distance_x_stop,
        ),
        limits=_limits(settings),
        protection=_protection(settings),
        breakers=_breakers(settings),
        min_range_frac=signals.min_volatility_24h_percent,
        max_move_r=gates.max_price_move_r,
    )


def _named(one: Chosen) -> str:
    """A model by all that shapes its answers; how it is asked in the end stands in the trace."""
    can = one.shipped
    asked = [
        can.formats,
        can.strict,
        can.temperature,
        can.seed,
        can.max_tokens_field,
        can.max_output_tokens,
        can.extra_body,
    ]
    digest = hashlib.sha256(canonical.dumps(asked)).hexdigest()[:12]
    return f"{one.name}:{one.model} at {one.base_url} #{digest}"


def stored_config(policies: Policies, template: Template | None) -> Mapping[str, object]:
    """What is kept under the fingerprint, so that a decision can be decided again."""
    return {"policies": policies, "prompts": [template] if template is not None else []}


def council_template(settings: Settings) -> Template:
    """The prompt that is chosen. Raises ConfigError when its form is wrong."""
    name = settings.council.council_prompt
    try:
        return template_of(name, prompt_text(name))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def universe_of(settings: Settings) -> UniversePolicy:
    """Which symbols may be traded."""
    signals = settings.signals
    return UniversePolicy(
        symbols=tuple(Symbol(name) for name in signals.symbols),
        exclude=tuple(Symbol(name) for name in signals.exclude_symbols),
        top_n=signals.universe_top_n,
        min_volume_usd=signals.min_volume_24h_usd,
    )


def _regime_frame(settings: Settings, timeframe: Timeframe, coarser: list[Timeframe]) -> Timeframe:
    """The lower context frame; scalper and demo 15m; else the decision frame (spec 05)."""
    if settings.general.profile in ("scalper", "demo"):
        return Timeframe.M15 if Timeframe.M15 in coarser else timeframe
    return coarser[0] if coarser else timeframe


def _flags(settings: Settings) -> FlagPolicy:
    """The profile's hard flags, VOLATILE_IS_HARD put over them."""
    base = FLAGS_BY_PROFILE.get(settings.general.profile, FlagPolicy())
    hard: tuple[FlagCode, ...] = tuple(c for c in base.hard if c is not FlagCode.VOLATILE)
    if settings.gates.volatile_is_hard:
        hard = (*hard, FlagCode.VOLATILE)
    return FlagPolicy(hard)


def _limits(settings: Settings) -> RiskLimits:
    risk = settings.risk
    return RiskLimits(
        max_positions=risk.max_positions,
        max_notional_x=risk.max_notional_x_equity,
        max_correlated=risk.max_correlated_positions,
        max_leverage=risk.max_leverage,
        min_stop_frac=risk.min_stop_loss_percent,
        max_stop_frac=risk.max_stop_loss_percent,
        min_profit_usd=risk.min_profit_usd,
        min_margin_usd=risk.min_margin_usd,
        correlation_bound=risk.max_correlation,
        trades_per_hour=risk.max_trades_per_hour,
        entry_spacing_ms=round(risk.entry_spacing_seconds * 1000),
        max_loss_frac=risk.max_loss_percent,
        profit_cost_multiple=risk.min_profit_x_cost,
        max_spread_bps=risk.max_spread_bps,
        max_funding_hourly=risk.max_funding_hourly_percent,
        max_mark_age_s=risk.max_mark_age_seconds,
        max_bar_ages=risk.max_bar_age_candles,
        max_clock_skew_ms=round(risk.max_clock_skew_seconds * 1000),
        max_volatility_x=settings.breakers.volatility_limit_x_median,
        liquidation_buffer=risk.min_liquidation_distance_x_stop,
    )


def _breakers(settings: Settings) -> BreakerLimits:
    given = settings.breakers
    return BreakerLimits(
        daily_loss_frac=given.daily_loss_limit_percent,
        drawdown_frac=given.max_drawdown_percent,
        losses_in_row=given.max_losses_in_a_row,
        cooldown_ms=round(given.loss_cooldown_minutes * MINUTE_MS),
        volatility_x=given.volatility_limit_x_median,
        volatility_cooldown_ms=round(given.volatility_cooldown_minutes * MINUTE_MS),
        stale_share=given.stale_data_limit_percent,
        stale_cooldown_s=given.stale_data_cooldown_seconds,
        api_errors=given.max_api_errors,
        api_window_s=given.api_error_window_seconds,
        api_cooldown_s=given.api_error_cooldown_seconds,
    )


def _protection(settings: Settings) -> ProtectionPolicy:
    care = settings.care
    return ProtectionPolicy(
        time_stop_ms=round(care.time_stop_minutes * MINUTE_MS),
        break_even_r=care.break_even_at_r,
        round_trip_fee_frac=2 * TAKER_FEE,
        trail_from_r=care.trail_from_r,
        trail_atr=care.trail_atr,
        trail_step_r=care.trail_step_r,
        trail_spacing_s=care.trail_spacing_seconds,
    )
