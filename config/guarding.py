"""What guards the account while it trades: breakers, and the care of open positions.

The defaults are the conservative profile's. Reads nothing and decides nothing.
"""

from __future__ import annotations

from config.fields import Section, setting


class Breakers(Section):
    """What stops entries until a cool-down or a person lifts it; exits always go on."""

    daily_loss_limit_percent: float = setting(
        0.05, "Loss of a day (UTC), of the day's opening equity.", "fraction", gt=0, le=1
    )
    max_drawdown_percent: float = setting(
        0.12, "Fall from the highest equity; lifted by hand only.", "fraction", gt=0, le=1
    )
    max_losses_in_a_row: int = setting(3, "Losing trades in a row.", ge=1, le=100)
    loss_cooldown_minutes: float = setting(
        240, "Pause after too many losses in a row, market time.", "min", ge=0, le=10_080
    )
    volatility_limit_x_median: float = setting(
        3.0,
        "1h ATR % over its own median: of a symbol for its entries, of the middle symbol for all.",
        "x",
        gt=1,
        le=100,
    )
    volatility_cooldown_minutes: float = setting(
        60, "Pause after the market was last seen so volatile, market time.", "min", gt=0, le=10_080
    )
    stale_data_limit_percent: float = setting(
        0.5, "Watched symbols without a confirmed price, of all.", "fraction", gt=0, le=1
    )
    stale_data_cooldown_seconds: float = setting(
        30, "Prices must have been fresh again for so long.", "s", ge=0, le=86_400
    )
    max_api_errors: int = setting(5, "Failed requests to the venue in the window.", ge=1, le=1000)
    api_error_window_seconds: float = setting(
        60, "Window in which failed requests are counted.", "s", gt=0, le=3600
    )
    api_error_cooldown_seconds: float = setting(
        120, "Fewer errors must have come for so long.", "s", ge=0, le=86_400
    )


class Care(Section):
    """How an open position is looked after."""

    break_even_at_r: float = setting(
        1.0, "Profit from which the stop goes to entry plus fees.", "R", gt=0, le=20
    )
    trail_from_r: float = setting(1.5, "Profit from which the stop trails.", "R", gt=0, le=20)
    trail_atr: float = setting(2.0, "Distance of the trailing stop.", "x ATR", gt=0, le=20)
    trail_step_r: float = setting(0.25, "Smallest move of a trailing stop.", "R", gt=0, le=5)
    trail_spacing_seconds: float = setting(
        30, "Time between two moves of a trailing stop.", "s", ge=0, le=3600
    )
    time_stop_minutes: float = setting(
        4320, "A position is closed after this long, market time.", "min", gt=0, le=100_000
    )
