"""The whole daemon at speed 1 with three models behind a real server, and a position to lose.

Each case goes on in a copy of one world: a coin is held with its stop at the venue, and each
other coin has a signal that trades when the models agree (the first test shows it). So what
does not trade later was held back by the council alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.aimock import Aimock, Fixture, answer, fails, obeys_probe, replies
from tests.books import books_equal
from tests.daemon import Daemon, wait_for
from tests.scenarios.councils import (
    LIMIT_S,
    MODELS,
    START_S,
    Begun,
    about,
    at_venue,
    away,
    decided,
    everybody,
    guarded,
    holds,
    no_key_anywhere,
    replayed_by_hand,
    rows,
    settings,
    voices,
)
from tests.scenarios.speaking import Speaker

HANGS_MS = 30_000  # longer than any deadline here
NOTHING: dict[str, list[object]] = {"position": [], "orders": [], "fills": []}
# What two of three models do instead of answering; the third agrees with the signal.
INSTEAD: dict[str, tuple[dict[str, Any], str]] = {
    "broken JSON": ({"content": '{"evidence": [{"key"'}, "not_json"),
    "cut off": ({"content": '{"evidence": [', "finishReason": "length"}, "cut_off"),
    "refusal": ({"content": "I cannot.", "finishReason": "content_filter"}, "refusal"),
    "slow": ({"content": answer(), "latency_ms": HANGS_MS}, "timeout"),
    "wrong schema": ({"content": {"verdict": "buy"}}, "schema"),
    "names a price": ({"content": answer(entry_price=64_000)}, "schema"),
    "names a symbol": ({"content": answer(symbol="C0")}, "schema"),
    "names a size": ({"content": answer(quantity=100)}, "schema"),
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Begun:
    return Begun.begin(tmp_path_factory.mktemp("begun"), len(INSTEAD) + 1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aimock]:
    with Aimock(tmp_path_factory.mktemp("aimock"), everybody()) as running:
        yield running


def ended(daemon: Daemon, coin: Speaker) -> tuple[str, str]:
    """Stage and result of the newest trace of a coin that came as far as the council."""
    ((stage, result),) = rows(
        daemon, "SELECT stage, result FROM traces WHERE id = ?", decided(daemon, coin)[-1]
    )
    return stage, result


def wait_for_decisions(daemon: Daemon, *coins: Speaker) -> None:
    def all_there() -> bool:
        assert daemon.alive, daemon.output()
        return all(decided(daemon, coin) for coin in coins)

    wait_for(all_there, LIMIT_S, "every coin is decided")


def untouched(begun: Begun, daemon: Daemon) -> None:
    """The held coin's position, stop and executions at the venue are what they were."""
    before = at_venue(begun.ledger, begun.held)
    assert [order["remaining"] for order in before["orders"] if order["is_stop"]] > ["0"]
    assert before["position"] != []
    assert at_venue(daemon.ledger, begun.held) == before


def held_back(daemon: Daemon, coin: Speaker) -> None:
    """Nothing of a coin came to the venue, nor to our own books."""
    assert at_venue(daemon.ledger, coin) == NOTHING
    assert rows(daemon, "SELECT count(*) FROM orders WHERE symbol = ?", coin.symbol) == [(0,)]


def attempts(trace: Mapping[str, Any], seat: str) -> list[str]:
    """How each request of a seat ended, from the trace."""
    answers = trace["body"]["answers"]
    (said,) = [
        one for one in (*answers["opinions"], *answers["abstentions"]) if one["seat"] == seat
    ]
    return [one["kind"] for one in said["attempts"]]


def test_three_that_agree_trade_and_the_cost_is_booked(
    begun: Begun, server: Aimock, tmp_path: Path
) -> None:
    """Every coin trades: votes in the table, money in /status and /metrics, a stop each."""
    coins = begun.others[: len(INSTEAD)]
    server.give(everybody())
    with begun.resumed(tmp_path, [begun.held, *coins], settings(server.url)) as daemon:
        daemon.healthy(START_S)
        status = daemon.until(guarded(1 + len(coins)), LIMIT_S, "a guarded position of each coin")
        metrics, health = daemon.get("/metrics")[1], daemon.get("/health")[1]
        trials = len(MODELS)
        assert status["models"]["answers"] == trials + 3 * len(coins)
        assert float(metrics["models"]["cost_today_usd"]) > 0
        assert {one["name"] for one in health["components"]} >= {"model_openai", "model_grok"}
        traces = {coin: begun.trace(daemon, coin) for coin in coins}
        assert daemon.terminate() == 0, daemon.output()
        assert daemon.errors() == []
    for coin, trace in traces.items():
        assert voices(trace) == {name.lower(): coin.side.value for name in MODELS}
        sql = "SELECT seat, kind FROM decisions WHERE trace_id = ? ORDER BY seat"
        assert rows(daemon, sql, trace["id"]) == [(n.lower(), "answered") for n in sorted(MODELS)]
    booked = rows(daemon, "SELECT cost_usd, reserved_usd FROM decisions WHERE kind = 'answered'")
    assert all(float(cost) > 0 and float(reserved) == 0 for cost, reserved in booked)
    untouched(begun, daemon)
    books_equal(daemon.books, daemon.ledger)
    replayed_by_hand(begun, daemon, decided(daemon, coins[0])[-1])
    no_key_anywhere(tmp_path, [status, metrics, health, traces])


def instead_of(coin: Speaker, how: Mapping[str, Any], *names: str) -> list[Fixture]:
    return [about(coin, replies(MODELS[name], **how)) for name in names]


def test_whatever_two_of_three_do_instead_nothing_trades(
    begun: Begun, server: Aimock, tmp_path: Path
) -> None:
    """One coin a case, all at once: kinds in the trace, no order, nothing held is touched.

    Beside them a coin about which one model hangs: that costs the deadline, not the trade.
    """
    cases = dict(zip(INSTEAD, begun.others))
    hanging = begun.others[len(INSTEAD)]
    given = instead_of(hanging, INSTEAD["slow"][0], "GROK")
    for name, coin in cases.items():
        given += instead_of(coin, INSTEAD[name][0], "GROK", "DEEPSEEK")
    server.give([*given, *everybody()])
    with begun.resumed(tmp_path, [begun.held, *begun.others], settings(server.url)) as daemon:
        daemon.healthy(START_S)
        status = daemon.until(guarded(2), LIMIT_S, "the one trade")
        wait_for_decisions(daemon, *begun.others)
        traces = {name: begun.trace(daemon, coin) for name, coin in cases.items()}
        assert daemon.terminate() == 0, daemon.output()
        assert daemon.errors() == []
    for name, coin in cases.items():
        kind = INSTEAD[name][1]
        said = {"openai": coin.side.value, "grok": kind, "deepseek": kind}
        assert voices(traces[name]) == said, name
        assert set(attempts(traces[name], "grok")) == {kind}, name
        assert ended(daemon, coin) == ("approve", "no_quorum"), name
        held_back(daemon, coin)
        assert begun.replayed(daemon, traces[name]["id"])[0] == 0, name
    untouched(begun, daemon)
    books_equal(daemon.books, daemon.ledger)
    assert ended(daemon, hanging)[1] == "executed"
    sql = "SELECT kind, cost_usd, reserved_usd FROM decisions WHERE trace_id = ? AND seat = 'grok'"
    ((kind, cost, reserved),) = rows(daemon, sql, decided(daemon, hanging)[-1])
    assert (kind, float(cost)) == ("timeout", 0.0) and float(reserved) > 0
    no_key_anywhere(tmp_path, [status, traces])


def test_models_that_are_away_or_out_of_turn(begun: Begun, server: Aimock, tmp_path: Path) -> None:
    """One, two, all down and 429: four daemons side by side, each on its own copy."""
    coin, (openai, grok, deepseek) = begun.others[0], MODELS.values()
    once = about(coin, fails(openai, 429, "slow down", retry_after=1))
    once["match"]["sequenceIndex"] = 0
    wait = [
        about(coin, fails(model, 429, "slow down", retry_after=600)) for model in (grok, deepseek)
    ]
    limited = Aimock(tmp_path / "limited", [once, *wait, *everybody()])
    server.give(everybody())
    side = coin.side.value
    with ExitStack() as stack:
        stack.enter_context(limited)
        given = {
            "one down": settings(server.url, **away("GROK")),
            "two down": settings(server.url, **away("GROK", "DEEPSEEK")),
            "all down": settings(server.url, **away(*MODELS)),
            "429": settings(limited.url),
        }
        running = {
            name: stack.enter_context(begun.resumed(tmp_path / name, [begun.held, coin], one))
            for name, one in given.items()
        }
        traces = {}
        for name, daemon in running.items():
            daemon.healthy(START_S)
            wait_for_decisions(daemon, coin)
            if name == "one down":
                daemon.until(guarded(2), LIMIT_S, "the trade of two")
            traces[name] = begun.trace(daemon, coin)
            assert daemon.terminate() == 0, daemon.output()
            assert begun.replayed(daemon, traces[name]["id"])[0] == 0, name
            untouched(begun, daemon)
            books_equal(daemon.books, daemon.ledger)
            no_key_anywhere(tmp_path / name, [traces[name]])
            if name != "one down":
                held_back(daemon, coin)
    down, late = "transport", "rate_limit"
    said = {name: voices(trace) for name, trace in traces.items()}
    assert said["one down"] == {"openai": side, "grok": down, "deepseek": side}
    assert ended(running["one down"], coin)[1] == "executed"
    assert said["two down"] == {"openai": side, "grok": down, "deepseek": down}
    assert ended(running["two down"], coin) == ("approve", "no_quorum")
    assert said["all down"] == {"rules": side, "openai": down, "grok": down, "deepseek": down}
    assert traces["all down"]["body"]["decision"]["stand_in"] is True
    assert ended(running["all down"], coin) == ("approve", "rejected")
    assert said["429"] == {"openai": side, "grok": late, "deepseek": late}
    assert ended(running["429"], coin) == ("approve", "no_quorum")
    # Told to wait a second the first was asked again; told to wait for ever the others were not.
    assert attempts(traces["429"], "openai") == [late, "answered"]
    assert attempts(traces["429"], "grok") == attempts(traces["429"], "deepseek") == [late]


def test_a_killed_daemon_asks_nothing_again_within_the_bar(
    begun: Begun, server: Aimock, tmp_path: Path
) -> None:
    """kill -9 after the answers: the next life decides the bar by them, and replays equal."""
    coin = begun.others[0]
    server.give([obeys_probe(), *(one for model in MODELS.values() for one in holds(model))])
    with begun.resumed(tmp_path, [begun.held, coin], settings(server.url)) as daemon:
        daemon.healthy(START_S)
        wait_for_decisions(daemon, coin)
        kept = lambda: rows(daemon, "SELECT count(*) FROM ai_cache") == [(3,)]  # noqa: E731
        wait_for(kept, LIMIT_S, "three answers are kept")
        daemon.kill()
        first = decided(daemon, coin)
    asked = questions(server)
    both = [begun.held, coin]
    with begun.daemon(tmp_path, both, settings(server.url)) as daemon:
        daemon.healthy(START_S)
        again = lambda: [one for one in decided(daemon, coin) if one not in first]  # noqa: E731
        (second,) = wait_for(again, LIMIT_S, "decided once more")
        assert daemon.status()["models"]["council"]["cache_hits"] == 3
        trace = begun.told(daemon, second)
        assert daemon.terminate() == 0, daemon.output()
    assert [one["from_cache"] for one in trace["body"]["answers"]["opinions"]] == [True] * 3
    assert set(voices(trace).values()) == {"HOLD"}
    assert questions(server) == asked
    assert rows(daemon, "SELECT count(*) FROM decisions WHERE trace_id = ?", trace["id"]) == [(0,)]
    for ident in (*first, trace["id"]):
        assert begun.replayed(daemon, ident)[0] == 0
    held_back(daemon, coin)
    untouched(begun, daemon)


def test_a_daemon_killed_while_models_are_at_work_forgets_no_reserve(
    begun: Begun, server: Aimock, tmp_path: Path
) -> None:
    """kill -9 before any answer: the next life asks under another id and keeps what stands."""
    coin = begun.others[0]
    both = [begun.held, coin]
    standing = "SELECT * FROM decisions WHERE kind = 'asked' AND trace_id NOT LIKE 'probe-%'"
    server.give(everybody(**dict.fromkeys(MODELS, HANGS_MS)))
    with begun.resumed(tmp_path, both, settings(server.url)) as daemon:
        daemon.healthy(START_S)
        wait_for(lambda: len(rows(daemon, standing)) == len(MODELS), LIMIT_S, "all are asked")
        daemon.kill()
    stood = rows(daemon, standing)
    server.give([obeys_probe(), *(one for model in MODELS.values() for one in holds(model))])
    with begun.daemon(tmp_path, both, settings(server.url)) as daemon:
        daemon.healthy(START_S)
        wait_for_decisions(daemon, coin)
        money = daemon.status()["models"]
        assert daemon.terminate() == 0, daemon.output()
    assert rows(daemon, standing) == stood
    reserved = "SELECT reserved_usd FROM decisions"
    assert (
        Decimal(money["reserved_usd"]) == sum(Decimal(one) for (one,) in rows(daemon, reserved)) > 0
    )
    untouched(begun, daemon)


def questions(server: Aimock) -> int:
    """Requests so far that were no trial of a model."""
    return sum("keel probe" not in str(entry["body"]) for entry in server.journal())
