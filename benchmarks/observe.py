"""CPU from closed bars to a score: python -m benchmarks observe

Owns the windows and the rounds; what is measured is the road's own code. Beside it runs
pandas-ta-classic on the same window, for the indicators alone.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from benchmarks.figures import Figure, say, tell
from bot.domain import indicators
from bot.domain.proposal import Rule
from bot.domain.types import Bars, Market, Symbol, Timeframe
from bot.pipeline.decide import Thought, see, think
from bot.pipeline.policies import Policies
from bot.pipeline.sight import Sight
from bot.plugins import load_strategies, names
from tests.series import market, walk
from tests.unit.pipeline.given import POLICIES

M5, H1, H4 = Timeframe.M5, Timeframe.H1, Timeframe.H4
FRAMES = (M5, H1, H4)
SYMBOLS, WINDOW, ROUNDS = 200, 500, 15
LATER = 50  # decision bars after the context's close
COLD_MS, COLD_AIM_MS, WARM_MS = 200.0, 140.0, 90.0
STARTS = (4e-5, 0.31, 27.4, 64_000.0)  # USD; cheap coins take the same road as dear ones
DRIFTS = (0.0, 2e-4, -2e-4, 0.0, 1e-4)  # so that every regime occurs
END = 1_700_006_400_000 + WINDOW * H4.ms
PEER_WINDOWS = 10

Windows = Mapping[Timeframe, Bars]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print cold and warm CPU, and the peer; 0 when both figures are met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks observe")
    parser.add_argument("--symbols", type=int, default=SYMBOLS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--no-peer", action="store_true")
    chosen = parser.parse_args(arguments)
    scan = Scan(chosen.symbols)
    scan.cold()  # imports and first compilations are the start's figure
    gc.collect()
    gc.freeze()  # as the daemon does after its start
    cold = [_cpu_ms(scan.cold) for _ in range(chosen.rounds)]
    warm = [_cpu_ms(scan.warm(after)) for after in range(1, chosen.rounds + 1)]
    regimes = ", ".join(f"{name} {n}" for name, n in sorted(scan.regimes.items()))
    say(
        f"{chosen.symbols} symbols x {len(FRAMES)} timeframes x {WINDOW} candles, "
        f"{len(scan.rules)} strategy variants, {scan.thoughts} scored a round; {regimes}"
    )
    for name, found in (("cold", cold), ("warm", warm)):
        say(f"  {name}: best {min(found):.1f}, median {median(found):.1f}, worst {max(found):.1f}")
    if not chosen.no_peer:
        _peer(scan.windows[0][M5][:WINDOW])
    share = chosen.symbols / SYMBOLS
    return tell(
        Figure("observe to score, cold (CPU)", median(cold), COLD_MS * share, "ms", COLD_AIM_MS),
        Figure("observe to score, context unchanged (CPU)", median(warm), WARM_MS * share, "ms"),
    )


class Scan:
    """What a cycle computes for each symbol, without feed, trace and desk."""

    def __init__(self, symbols: int) -> None:
        self.windows = [_windows(number) for number in range(symbols)]
        self.markets = [market(window[M5]) for window in self.windows]
        self.rules: tuple[Rule, ...] = load_strategies(names("strategies"), {})
        self.policies: Policies = replace(
            POLICIES, context=(H1, H4), regime_timeframe=H1, window_bars=WINDOW
        )
        self.thoughts = 0
        self.regimes: dict[str, int] = {}
        self._sight = Sight()

    def cold(self) -> None:
        """Every window is new."""
        self._sight = Sight()
        self._round([_at(window, 0) for window in self.windows])

    def warm(self, after: int) -> Callable[[], None]:
        """Only the decision timeframe is new: `after` bars later than the context's close."""
        windows = [_at(window, after) for window in self.windows]
        return lambda: self._round(windows)

    def _round(self, windows: Sequence[Windows]) -> None:
        self.thoughts, self.regimes = 0, {}
        for number, (window, prices) in enumerate(zip(windows, self.markets, strict=True)):
            self._one(Symbol(f"C{number}"), window, prices)

    def _one(self, symbol: Symbol, window: Windows, prices: Market) -> None:
        snapshot = see(symbol, window, prices, self.policies, self._sight.reader(symbol))
        for frame, bars in snapshot.bars.items():  # the trace names each window by its hash
            self._sight.digest(symbol, frame, bars)
        self.thoughts += isinstance(think(snapshot, self.rules, self.policies), Thought)
        regime = snapshot.regime.regime.value
        self.regimes[regime] = self.regimes.get(regime, 0) + 1


def _at(window: Windows, after: int) -> Windows:
    """The last 500 decision bars, `after` bars beyond the context's close."""
    return {**window, M5: window[M5][after : after + WINDOW]}


def _windows(number: int) -> Windows:
    """Frames of which the decision frame goes on after the others, as it does between closes."""
    start, drift = STARTS[number % len(STARTS)], DRIFTS[number % len(DRIFTS)]
    return {
        frame: walk(
            WINDOW + (LATER if frame is M5 else 0),
            seed=len(FRAMES) * number + place,
            start=start,
            drift=drift,
            timeframe=frame,
            ts=END - WINDOW * frame.ms,
        )
        for place, frame in enumerate(FRAMES)
    }


def _cpu_ms(work: Callable[[], None]) -> float:
    before = time.process_time()
    work()
    return (time.process_time() - before) * 1000


def _peer(bars: Bars) -> None:
    """The indicators of one window: ours, and pandas-ta-classic with and without TA-Lib."""
    ours = min(_cpu_ms(lambda: _repeat(lambda: indicators.compute(bars), 50)) for _ in range(5))
    say(f"  indicators of one window: {ours / 50:.3f} ms")
    try:
        import pandas as pd
        import pandas_ta_classic as peer
    except ImportError as missing:
        say(f"  pandas-ta-classic is not installed ({missing.name}): no comparison")
        return
    index = pd.DatetimeIndex(np.asarray(bars.ts, dtype="datetime64[ms]"))
    columns = {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    frame = pd.DataFrame(columns, index=index)
    _theirs(peer, frame)
    each = _cpu_ms(lambda: _repeat(lambda: _theirs(peer, frame), PEER_WINDOWS)) / PEER_WINDOWS
    say(f"    pandas-ta-classic: {each:.2f} ms, {each / (ours / 50):.0f} times as long")


def _theirs(peer: Any, frame: Any, talib: bool = False) -> None:
    """The same list as `indicators.Indicators`, by its own formulas."""
    high, low, close, volume = frame["high"], frame["low"], frame["close"], frame["volume"]
    for length in (20, 50, 200):
        peer.ema(close, length=length, talib=talib)
        peer.sma(close, length=length, talib=talib)
    peer.rsi(close, talib=talib)
    peer.macd(close, talib=talib)
    peer.bbands(close, length=20, talib=talib)
    peer.atr(high, low, close, talib=talib)
    peer.adx(high, low, close, talib=talib)
    peer.stoch(high, low, close, talib=talib)
    peer.mfi(high, low, close, volume, talib=talib)
    peer.obv(close, volume, talib=talib)
    peer.vwap(high, low, close, volume)
    peer.roc(close, talib=talib)


def _repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


if __name__ == "__main__":
    raise SystemExit(main())
