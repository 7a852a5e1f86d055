"""The rules of the test run and of the tree do catch what they are for."""

from __future__ import annotations

import ast
import asyncio
import socket

import pytest

from tests.guards import NO_SHARED_DATA, LoopbackOnly, OutsideSocket, forbidden_skips, is_local
from tests.source_tree import (
    asks_for_the_mode,
    clock_reads,
    imports,
    is_broad,
    is_set,
    sources,
    swallows,
    walked,
)
from tests.until import until

# TEST-NET-1 (RFC 5737): nobody answers there, whatever the guard does.
ELSEWHERE = ("192.0.2.1", 9)


@pytest.fixture
def expected_attempts() -> LoopbackOnly:
    """The guard that conftest installed; what a test provokes on purpose is taken off again."""
    from tests.conftest import sockets

    return sockets


def test_another_host_cannot_be_reached(expected_attempts: LoopbackOnly) -> None:
    """By connection, by datagram, or by asking for its address."""
    with socket.socket() as stream, pytest.raises(OutsideSocket):
        stream.connect(ELSEWHERE)
    with socket.socket(type=socket.SOCK_DGRAM) as datagram, pytest.raises(OutsideSocket):
        datagram.sendto(b"x", ELSEWHERE)
    with pytest.raises(OutsideSocket):
        socket.getaddrinfo("keel.invalid", 80)
    assert len(expected_attempts.attempts) == 3
    expected_attempts.attempts.clear()


async def test_loopback_works() -> None:
    """Real servers on loopback are how adapters are tested."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x")
        await until(lambda: heard == [b"x"])
        writer.close()
        await writer.wait_closed()


async def test_until_gives_up() -> None:
    """A test that waits for what never comes fails soon, with what it waited for."""
    with pytest.raises(AssertionError, match=r"not true within 0\.01 s"):
        await until(lambda: False, limit_s=0.01)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        (b"localhost", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_recognised(host: object, local: bool) -> None:
    """By address, not by how a name begins."""
    assert is_local(host) is local


def test_only_the_shared_data_may_be_skipped_in_ci() -> None:
    """A test that does not run is told apart from one that passed."""
    reasons = {"a": f"Skipped: {NO_SHARED_DATA}: no folder", "b": "Skipped: no promtool"}
    assert forbidden_skips(reasons) == ["b: Skipped: no promtool"]


# --- the detectors of test_architecture.py --------------------------------------------


def test_the_tree_is_read() -> None:
    """An empty tree would pass every rule."""
    assert {"main.py", "bot/domain/types/__init__.py", "config/settings.py"} <= sources().keys()


@pytest.mark.parametrize(
    "code",
    [
        "for x in {1, 2}: f(x)",
        "[x for x in set(y)]",
        "list(frozenset(y))",
        "f(*{a, b})",
        "[x for x in set(a) - b]",
        "tuple({x for x in y})",
    ],
)
def test_a_walk_over_a_set_is_seen(code: str) -> None:
    """In loops, comprehensions, unpacking and conversions."""
    assert any(is_set(place) for place in walked(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["sorted({1, 2})", "x in {1, 2}", "for x in [1]: f(x)", "len({1})"]
)
def test_other_uses_of_a_set_are_fine(code: str) -> None:
    """Sorting, membership and size do not depend on the order."""
    assert not any(is_set(place) for place in walked(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.time()",
        "from time import monotonic as m; m()",
        "time.perf_counter()",
        "time.sleep(1)",
        "datetime.datetime.now(UTC)",
        "date.today()",
    ],
)
def test_a_reading_of_the_clock_is_seen(code: str) -> None:
    """Under each name it can be imported by."""
    assert list(clock_reads(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["settings.general.mode", 'f("MODE")', 'if mode == "demo": f()', "self.settings.mode"]
)
def test_a_question_for_the_mode_is_seen(code: str) -> None:
    """By attribute, by name, or by comparison."""
    assert any(asks_for_the_mode(node) for node in ast.walk(ast.parse(code)))


@pytest.mark.parametrize("code", ["except:", "except Exception:", "except (OSError, Exception):"])
def test_a_broad_except_is_seen(code: str) -> None:
    """Also without a name, and in a list."""
    tree = ast.parse(f"try:\n    f()\n{code}\n    g()")
    assert any(is_broad(n) for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler))


@pytest.mark.parametrize(
    ("body", "broad", "swallowed"),
    [("log()", True, False), ("pass", True, True), ("close()\n    raise", False, False)],
)
def test_cleaning_up_and_raising_again_is_fine(body: str, broad: bool, swallowed: bool) -> None:
    """What matters is whether the error goes on."""
    tree = ast.parse(f"try:\n    f()\nexcept BaseException:\n    {body}")
    handler = next(n for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler))
    assert (is_broad(handler), swallows(handler)) == (broad, swallowed)


def test_an_import_inside_a_function_is_seen() -> None:
    """A lazy import is an import."""
    assert list(imports(ast.parse("def f():\n    import os.path"))) == [(2, "os.path")]
