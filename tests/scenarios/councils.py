"""Daemons at speed 1 with a council of three, each on a copy of one world that has begun.

Owns the beginning (a position of one coin with its stop resting, all others undecided on a bar
on which they have a signal), the copies, and reading what came of a case; knows no case.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.app.offline import replay
from config.settings import load
from tests.aimock import Fixture, answer, obeys_probe, replies
from tests.books import reading, venue_orders
from tests.daemon import ROOT, Daemon, Process, free_port, wait_for
from tests.scenarios.speaking import CAPITAL, SIGNAL, Speaker, speakers

MODELS = {"OPENAI": "gpt-5.4-mini", "GROK": "grok-4-1-fast", "DEEPSEEK": "deepseek-v4-flash"}
KEYS = {
    "OPENAI": "sk-canary-openai-0123456789",
    "GROK": "xai-canary-grok-0123456789",
    "DEEPSEEK": "sk-canarydeepseek0123456789",
}
START_S = 90.0  # several start at once, on machines with other work
LIMIT_S = 60.0
# Nothing but the council stands between a signal and its order.
ROOMY = {
    "DEMO_SPEED": 1,
    "INITIAL_CAPITAL": CAPITAL,
    "RISK_PER_TRADE_PERCENT": 0.001,
    "MAX_POSITIONS": 50,
    "MAX_CORRELATED_POSITIONS": 50,
    "MAX_NOTIONAL_X_EQUITY": 20,
    "ENTRY_SPACING_SECONDS": 0,
}
# Long enough for a loaded machine; only what never answers comes to this end.
PATIENT = {"COUNCIL_DEADLINE_SECONDS": 10, "MODEL_ATTEMPT_SECONDS": 8, "MODEL_ATTEMPTS": 2}


def agrees(model: str, latency_ms: int = 0) -> list[Fixture]:
    """It says what the signal says, whichever side that is."""
    return says(model, {"LONG": "LONG", "SHORT": "SHORT"}, latency_ms)


def holds(model: str) -> list[Fixture]:
    """It would rather not."""
    return says(model, {"LONG": "HOLD", "SHORT": "HOLD"})


def says(model: str, actions: Mapping[str, str], latency_ms: int = 0) -> list[Fixture]:
    """An answer by the side of the signal."""
    found = []
    for side, direction in (("LONG", "bullish"), ("SHORT", "bearish")):
        evidence = [{"key": SIGNAL, "direction": direction}]
        said = answer(action=actions[side], evidence=evidence)
        one = replies(model, said, latency_ms=latency_ms)
        one["match"]["userMessage"] = f"{SIGNAL} = {side}"
        found.append(one)
    return found


def everybody(**latency_ms: int) -> list[Fixture]:
    """All three agree, and obey the trial at start."""
    said = (agrees(model, latency_ms.get(name, 0)) for name, model in MODELS.items())
    return [obeys_probe(), *(fixture for both in said for fixture in both)]


def about(speaker: Speaker, fixture: Fixture) -> Fixture:
    """The same, for questions about this coin only."""
    return {**fixture, "match": {**fixture["match"], "userMessage": speaker.line}}


def settings(url: str, **more: object) -> dict[str, object]:
    """Three models at one address; the rules may not trade in their place."""
    found: dict[str, object] = {**ROOMY, **PATIENT, "RULES_MAY_TRADE": "false"}
    for name, key in KEYS.items():
        found |= {f"ENABLE_{name}": "true", f"{name}_BASE_URL": url, f"{name}_API_KEY": key}
    return found | more


def away(*names: str) -> dict[str, object]:
    """Nobody listens where these models should be."""
    return {f"{name}_BASE_URL": f"http://127.0.0.1:{free_port()}/v1" for name in names}


def rows(daemon: Daemon, sql: str, *values: object) -> list[Any]:
    with closing(reading(daemon.books)) as books:
        return books.execute(sql, values).fetchall()


def guarded(number: int) -> Callable[[dict[str, Any]], bool]:
    """Of a /status: whether so many positions have their stop at the venue."""
    return lambda status: sum(p["stop_rests"] for p in status["positions"]) == number


@dataclass(frozen=True, slots=True)
class Begun:
    """A stopped world: `held` has a position and a resting stop, `others` a signal to decide."""

    folder: Path
    held: Speaker
    others: tuple[Speaker, ...]

    @classmethod
    def begin(cls, folder: Path, coins: int) -> Begun:
        held, *others = speakers(folder / "candles", coins + 1)
        begun = cls(folder / "begun", held, tuple(others))
        with begun.daemon(begun.folder, [held], ROOMY) as daemon:
            daemon.healthy(START_S)
            daemon.until(
                lambda s: [p for p in s["positions"] if p["stop_rests"]],
                LIMIT_S,
                "a guarded position",
            )
            assert daemon.terminate() == 0, daemon.output()
        return begun

    def resumed(
        self, folder: Path, coins: Sequence[Speaker], settings: Mapping[str, object]
    ) -> Daemon:
        """A daemon that goes on in a copy of this world, and looks at these coins."""
        shutil.copytree(self.folder / "data", folder / "data")
        return self.daemon(folder, coins, settings)

    def daemon(
        self, folder: Path, coins: Sequence[Speaker], settings: Mapping[str, object]
    ) -> Daemon:
        files = [str(one.file) for one in (self.held, *self.others)]
        named = {"SYMBOLS": ",".join(one.symbol for one in coins)}
        return Daemon(folder, "--candles", *files, settings={**settings, **named})

    @property
    def ledger(self) -> Path:
        """Of the venue, as it was when the beginning ended."""
        (path,) = (self.folder / "data").glob("demo-*/simulator.db")
        return path

    @property
    def candles(self) -> str:
        return ",".join(str(one.file) for one in (self.held, *self.others))

    def trace(self, daemon: Daemon, coin: Speaker) -> dict[str, Any]:
        """The newest decided trace of a coin, as the API tells it; rows come behind the money."""
        what = f"{coin.symbol}: a decided trace"
        found = wait_for(lambda: decided(daemon, coin), LIMIT_S, what)
        return self.told(daemon, found[-1])

    def told(self, daemon: Daemon, trace_id: str) -> dict[str, Any]:
        """A trace as the API tells it."""
        code, body = daemon.get(f"/traces/{trace_id}")
        assert code == 200, f"{trace_id}: {code}"
        return dict(body)

    def replayed(self, daemon: Daemon, trace_id: str) -> tuple[int, str]:
        """What replay says of a trace of this daemon."""
        flags = {"DATA_DIR": str(daemon.data), "DEMO_CANDLES": self.candles}
        code, lines = replay(load(flags, {}, None).settings, trace_id)
        return code, "\n".join(lines)


def decided(daemon: Daemon, coin: Speaker) -> list[str]:
    """Traces of a coin that came as far as the council, oldest first."""
    sql = "SELECT id FROM traces WHERE symbol = ? AND stage NOT IN ('scan', 'observe', 'propose')"
    return [str(ident) for (ident,) in rows(daemon, f"{sql} ORDER BY started_at, id", coin.symbol)]


def voices(trace: Mapping[str, Any]) -> dict[str, str]:
    """What each seat's part in the decision was: its action, or the kind of its abstention."""
    decision = trace["body"]["decision"]
    said = {one["seat"]: one["action"] for one in decision["opinions"]}
    return said | {one["seat"]: one["kind"] for one in decision["abstentions"]}


def at_venue(ledger: Path, coin: Speaker) -> dict[str, Any]:
    """All that the simulated exchange has of one coin: position, orders, executions."""
    with closing(reading(ledger)) as db:
        accounts = [json.loads(body) for (body,) in db.execute("SELECT body FROM accounts")]
        fills = [json.loads(b) for (b,) in db.execute("SELECT body FROM events WHERE kind='fill'")]
    held = [one for account in accounts for one in account["holdings"]]
    return {
        "position": [one for one in held if one["coin"] == coin.symbol],
        "orders": [one for one in venue_orders(ledger) if one["coin"] == coin.symbol],
        "fills": [one for one in fills if one["coin"] == coin.symbol],
    }


def replayed_by_hand(begun: Begun, daemon: Daemon, trace_id: str) -> None:
    """`main.py replay` says that the decision comes out the same, and ends with 0."""
    words = [str(ROOT / "main.py"), "replay", trace_id, "--data-dir", str(daemon.data)]
    with Process(
        daemon.data.parent, "replay", [*words, "--demo-candles", begun.candles]
    ) as process:
        assert process.finish(START_S) == 0, process.output()
        assert f"{trace_id}: ended at" in process.output()
        assert "replayed equal: seen, " in process.output()
        assert "answers, decision, approval" in process.output()


def no_key_anywhere(folder: Path, said: Sequence[object]) -> None:
    """Log, database, spool, backups, terminal, and what the API said."""
    places = [path for path in folder.rglob("*") if path.is_file()]
    for key in KEYS.values():
        assert key not in str(said)
        assert not [path for path in places if key.encode() in path.read_bytes()]
