"""The models of the council in the daemon: tried at the start, and again when in doubt."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.adapters.seats.model import AskPolicy, ModelOptions, ModelSeat, Purse
from bot.app.model_view import model_components
from bot.app.models import Models, open_models
from bot.domain.types import Abstention, Opinion
from bot.ports import Clock
from bot.runtime.clock import ManualClock
from tests.aimock import ANSWER
from tests.unit.adapters.seats.given import NOW, FakeLine, MemoryAttempts, chat, question
from tests.unit.config.given import settings
from tests.until import until

OBEYS = chat({"answer": "LEFT"})
ON = {"ENABLE_OPENAI": "true", "OPENAI_API_KEY": "sk-" + "a" * 40}


class Answers:
    async def run(self) -> None:
        await asyncio.Event().wait()

    async def flush(self) -> None:
        await asyncio.sleep(0)


async def opened(monkeypatch: pytest.MonkeyPatch, line: FakeLine) -> Models:
    def connect(options: ModelOptions, purse: Purse, clock: Clock, policy: AskPolicy) -> ModelSeat:
        return ModelSeat(options, line, purse, clock, policy)

    monkeypatch.setattr("bot.app.models.connect", connect)
    store = SimpleNamespace(attempts=MemoryAttempts(), answers=Answers())
    return await open_models(settings(ON), cast(Any, store), ManualClock(NOW))


async def stopped(service: asyncio.Task[None], models: Models) -> None:
    service.cancel()
    with suppress(asyncio.CancelledError):
        await service
    await models.close()


async def test_a_model_is_tried_before_its_first_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question of the first second waits for it; /status says since when it is proven."""
    line = FakeLine(OBEYS, chat(ANSWER))
    models = await opened(monkeypatch, line)
    (seat,) = models.seats
    asking = asyncio.create_task(seat.ask(question()))
    await asyncio.sleep(0.02)
    assert line.asked == []
    assert models.states()["openai"]["probed"] is False  # type: ignore[index]
    service = asyncio.create_task(models.run())
    assert isinstance(await asking, Opinion)
    assert ["keel probe" in str(body) for body in line.asked] == [True, False]
    assert models.states()["openai"]["probed"] is True  # type: ignore[index]
    await stopped(service, models)


async def test_a_model_in_doubt_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service waits for the next doubt; one that then obeys nothing says so in /health."""
    line = FakeLine(OBEYS, *[chat({"verdict": "buy"})] * 3, chat({"answer": "Paris"}))
    models = await opened(monkeypatch, line)
    (seat,) = models.seats
    service = asyncio.create_task(models.run())
    said = [await seat.ask(question(f"T-{n}")) for n in range(3)]
    assert all(isinstance(one, Abstention) and one.kind == "schema" for one in said)
    await until(lambda: seat.format is None)
    assert len(line.asked) == 1 + 3 + len(seat.options.capabilities.formats)
    (component,) = model_components(models)
    assert "obeys no schema" in component.detail
    await stopped(service, models)
