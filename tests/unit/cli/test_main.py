"""bot.cli.main: finding the command, exit codes, what stands on stderr."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import structlog

from bot.cli import commands
from bot.cli import main as cli
from bot.cli.settings_flags import add_alias
from bot.domain.errors import AlreadyRunning, ConfigError
from bot.runtime.logs import LogOptions, configure
from config.settings import Loaded

CANARY = "canary7f3e"


class FakeCommand(ModuleType):
    """A command that keeps what it was given and ends as it is told."""

    NAME = "run"
    HELP = "a fake"

    def __init__(self) -> None:
        super().__init__("fake")
        self.outcome: int | str | BaseException = 0
        self.loaded: Loaded | None = None

    def configure(self, parser: argparse.ArgumentParser) -> None:
        add_alias(parser, "--candles", "DEMO_CANDLES", nargs="+")
        add_alias(parser, "--speed", "DEMO_SPEED")

    def run(self, args: argparse.Namespace, loaded: Loaded) -> int:
        self.loaded = loaded
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        if isinstance(self.outcome, str):
            sys.stdout.write(self.outcome)
            return 0
        return self.outcome


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCommand:
    command = FakeCommand()
    monkeypatch.setattr(cli, "command", lambda name: command)
    return command


def run(argv: Sequence[str]) -> int:
    return cli.main(argv, {}, None)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (0, 0),
        (1, 1),
        (ConfigError("a", "b"), 2),
        (AlreadyRunning("another one"), 3),
        (KeyboardInterrupt(), 0),
    ],
)
def test_exit_codes(fake: FakeCommand, outcome: int | BaseException, code: int) -> None:
    """0 clean, 1 crash, 2 mend something first, 3 already running."""
    fake.outcome = outcome
    assert run([]) == code


def test_a_crash_is_not_hidden(fake: FakeCommand) -> None:
    """It goes up to the last line of main.py, which reports it once and exits with 1."""
    fake.outcome = RuntimeError("a defect")
    with pytest.raises(RuntimeError, match="a defect"):
        run([])


@pytest.mark.parametrize("rows", [1, 20_000], ids=["buffered", "written"])
def test_output_that_nobody_reads_to_its_end_is_no_crash(
    fake: FakeCommand, capfd: pytest.CaptureFixture[str], rows: int
) -> None:
    """`traces | head`: told by the exit code alone, as the shell tells SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as nobody, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", nobody)
        fake.outcome = "a line\n" * rows
        assert run(["traces"]) == 141
        nobody.write("the end of what was buffered\n")
    assert capfd.readouterr().err == ""


def test_a_pipe_that_breaks_in_the_daemon_is_a_crash(fake: FakeCommand) -> None:
    """It prints nothing for a reader, so the pipe is another."""
    fake.outcome = BrokenPipeError()
    with pytest.raises(BrokenPipeError):
        run([])


def test_a_crash_tells_no_secret(
    fake: FakeCommand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever the settings came from, and whether logs are configured or not."""
    env = tmp_path / ".env"
    env.write_text(f"API_TOKEN={CANARY}-of-file-0123456789\n")
    environ = {"OPENAI_API_KEY": f"sk-{CANARY}-of-environment"}
    said = f"no {CANARY}-of-file-0123456789 and no sk-{CANARY}-of-environment"
    fake.outcome = RuntimeError(said)
    for before in (structlog.reset_defaults, partial(configure, LogOptions(tmp_path))):
        before()
        with pytest.raises(RuntimeError) as raised:
            cli.main([], environ, env)
        assert cli.crashed(raised.value) == 1
        told = capsys.readouterr().err
        assert "RuntimeError: no *** and no ***" in told
    structlog.reset_defaults()
    assert "RuntimeError: no *** and no ***" in (tmp_path / "keel.log").read_text()


def test_each_problem_is_a_line(fake: FakeCommand, capsys: pytest.CaptureFixture[str]) -> None:
    """Prefixed, on stderr, nothing on stdout."""
    fake.outcome = ConfigError("first", "second")
    run([])
    output = capsys.readouterr()
    assert output.err == "keel: first\nkeel: second\n"
    assert output.out == ""


def test_settings_are_flags_and_run_is_the_default(fake: FakeCommand) -> None:
    """--max-leverage 2 is MAX_LEVERAGE, with or without the command's name."""
    for argv in (["--max-leverage", "2"], ["run", "--max-leverage=2"]):
        assert run(argv) == 0
        assert fake.loaded is not None
        assert fake.loaded.settings.risk.max_leverage == 2


def test_an_alias_takes_several_files(
    fake: FakeCommand, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """--candles A B takes file by file, also one with a comma in its name."""
    files = [tmp_path_factory.mktemp("c") / name for name in ("BTC-a,b.csv", "ETH.csv")]
    for file in files:
        file.write_text("")
    assert run(["--candles", *map(str, files)]) == 0
    assert fake.loaded is not None
    assert fake.loaded.settings.demo.demo_candles == tuple(files)


def test_an_older_name_is_a_flag_too(fake: FakeCommand) -> None:
    """POLL_INTERVAL_SEC is understood on the command line, HYPERLIQUID_API_SECRET answered."""
    assert run(["--poll-interval-sec", "90"]) == 0
    assert fake.loaded is not None
    assert fake.loaded.settings.signals.scan_interval_seconds == 90
    assert run(["--hyperliquid-api-secret", CANARY]) == 2


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["rnu"], "did you mean run?"),
        (["--max-levrage", "3"], "did you mean --max-leverage?"),
        (["--max-lev", "3"], "did you mean --max-leverage?"),
        ([f"--api-tokn={CANARY}"], "did you mean --api-token?"),
        (["--http-port"], "expected one argument"),
        (["run", "replay", CANARY], "a command comes first"),
        (["--http-port", "x"], "HTTP_PORT: 'x' (flag)"),
        (["--", "--http-port", "8001"], "-- stands alone"),
        (["--speed", "0"], "and at most 100000, or max; mend --speed"),
        (["--demo-speed", "0"], "and at most 100000, or max; mend --demo-speed"),
        (["--candles", "no.csv"], "DEMO_CANDLES (--candles): no such file: no.csv"),
        (["--demo-candles", "no.csv"], "DEMO_CANDLES (flag): no such file: no.csv"),
    ],
)
def test_what_cannot_be_understood_exits_with_2(
    fake: FakeCommand, capsys: pytest.CaptureFixture[str], argv: list[str], says: str
) -> None:
    """With the nearest name, and without repeating a value that may be a secret."""
    assert run(argv) == 2
    error = capsys.readouterr().err
    assert says in error
    assert CANARY not in error
    assert fake.loaded is None


def test_warnings_are_said_before_the_command_runs(
    fake: FakeCommand, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator sees them even when the log goes elsewhere."""
    assert cli.main([], {"MAX_LEVRAGE": "3"}, None) == 0
    assert "keel: MAX_LEVRAGE in the environment" in capsys.readouterr().err


def test_the_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """--help names each command with what it does, and starts none."""
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name in commands.COMMANDS:
        assert f"  {name} " in text and commands.command(name).HELP in text


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_is_complete(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """NAME is the file's name; --help works, lists the settings, and needs no daemon."""
    module = commands.command(name)
    assert name == module.NAME
    with pytest.raises(SystemExit) as ended:
        run([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--max-leverage VALUE" in text
    assert len(text.split("\n\n")[0].splitlines()) <= 4  # the settings do not fill the usage
