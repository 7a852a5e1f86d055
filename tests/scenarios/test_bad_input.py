"""What an operator gets wrong: one clear line each, exit code 2, and nothing lost."""

from __future__ import annotations

import gzip
import logging
import socket
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from bot.cli.main import MEND, RUNNING, main
from bot.runtime.lock import FolderLock
from tests.daemon import Process

HEADER = "ts,open,high,low,close,volume"
START = 1_700_000_100_000  # a multiple of 5 min
STEP = 300_000


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """The daemon sets up the process's logging; the next test finds it as it was."""
    root, settings = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        handler.close()
    for handler in [one for one in handlers if one not in root.handlers]:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.configure(**settings)


@dataclass(frozen=True, slots=True)
class Said:
    """Exit code and the lines on stderr."""

    code: int
    lines: list[str]


class Keel:
    """`main.py run`, called as a function, with a data folder below `folder`."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.data = folder / "data"
        self._folder = folder
        self._capture = capture

    def run(self, *flags: str, environ: Mapping[str, str] | None = None, dotenv: str = "") -> Said:
        env_file = self._folder / ".env"
        env_file.write_text(dotenv)
        fixed = ["run", "--data-dir", str(self.data), "--http-port", "0", "--speed", "max"]
        self._capture.readouterr()
        code = main([*fixed, *flags], environ or {}, env_file)
        output = self._capture.readouterr()
        assert output.out == ""
        return Said(code, output.err.splitlines())


@pytest.fixture
def keel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Keel:
    return Keel(tmp_path, capsys)


def judge(said: Said, *expected: Sequence[str]) -> None:
    """One line for each problem, in order, each with its words; exit code 2."""
    assert said.code == MEND
    assert len(said.lines) == len(expected), said.lines
    for line, words in zip(said.lines, expected):
        assert line.startswith("keel: ")
        assert [word for word in words if word not in line] == [], line


# --- settings -------------------------------------------------------------------------------


def test_a_wrong_setting_is_named_with_what_is_allowed(keel: Keel) -> None:
    """Name, value, bounds."""
    judge(keel.run("--max-leverage", "500"), ("MAX_LEVERAGE", "500", "50"))


def test_an_unknown_flag_gets_a_proposal(keel: Keel) -> None:
    """A slip of the pen is answered with what was meant."""
    judge(keel.run("--max-levrage", "3"), ("--max-levrage", "did you mean --max-leverage?"))


def test_an_unknown_setting_in_dotenv_gets_a_proposal(keel: Keel) -> None:
    """In .env every unknown name is an error; its value is not repeated, it may be a secret."""
    said = keel.run(dotenv="MAX_LEVRAGE=31337\n")
    judge(said, ("MAX_LEVRAGE", "did you mean MAX_LEVERAGE?"))
    assert "31337" not in said.lines[0]


def test_a_stranger_in_the_environment_is_no_error(keel: Keel, tmp_path: Path) -> None:
    """The environment belongs to everybody: a near miss is a warning, beside the real problem."""
    empty = tmp_path / "BTC.csv"
    empty.touch()
    said = keel.run("--candles", str(empty), environ={"MAX_LEVRAGE": "3", "PATH": "/bin"})
    judge(said, ("MAX_LEVRAGE", "MAX_LEVERAGE is"), ("BTC.csv", "empty"))


def test_several_wrong_settings_are_all_named_at_once(keel: Keel) -> None:
    """Nobody should start five times to learn of five slips."""
    said = keel.run(
        "--max-leverage", "0", "--risk-per-trade-percent", "two", dotenv="SCAN_INTERVAL_SECONDS=1\n"
    )
    assert said.code == MEND
    assert len(said.lines) == 3, said.lines
    for name in ("MAX_LEVERAGE", "RISK_PER_TRADE_PERCENT", "SCAN_INTERVAL_SECONDS"):
        assert sum(name in line for line in said.lines) == 1


def test_a_configuration_that_can_never_trade_is_refused(keel: Keel) -> None:
    """Nothing could pass with a profit this large at a capital this small: said before it runs."""
    said = keel.run("--initial-capital", "10", "--min-profit-usd", "500")
    judge(said, ("no trade can pass", "change"))


def test_an_unknown_profile_names_those_there_are(keel: Keel) -> None:
    """With the nearest one."""
    judge(keel.run("--profile", "scalpr"), ("scalpr", "did you mean scalper?", "conservative"))


# --- the data folder and the database ---------------------------------------------------------


def test_a_data_folder_that_cannot_be_written_is_named(keel: Keel, tmp_path: Path) -> None:
    """A file stands where the folder should be; this refuses root as well."""
    (tmp_path / "file").write_text("mine")
    judge(keel.run("--data-dir", str(tmp_path / "file" / "data")), ("DATA_DIR", "file/data"))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_second_keel_in_one_folder_is_refused(keel: Keel) -> None:
    """Exit code 3, and who is there."""
    with FolderLock(keel.data):
        said = keel.run()
    assert said.code == RUNNING
    assert len(said.lines) == 1
    assert "another Keel" in said.lines[0]


def test_a_database_of_a_newer_schema_is_left_alone(keel: Keel, tmp_path: Path) -> None:
    """Refused with both revisions; not a byte of it changes."""
    path = tmp_path / "newer.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE alembic_version (version_num TEXT)")
        db.execute("INSERT INTO alembic_version VALUES ('9999')")
        db.execute("CREATE TABLE orders (cloid TEXT)")
        db.commit()
    before = path.read_bytes()
    said = keel.run("--database-url", f"sqlite+aiosqlite:///{path}")
    judge(said, ("newer.db", "9999", "update Keel"))
    assert path.read_bytes() == before


def test_somebody_elses_database_is_left_alone(keel: Keel, tmp_path: Path) -> None:
    """Tables that are not Keel's: nothing is added to them."""
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    judge(keel.run("--database-url", f"sqlite+aiosqlite:///{path}"), ("theirs.db", "recipes"))
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(keel: Keel, tmp_path: Path) -> None:
    """Refused by its name."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but dear to somebody\n" * 100)
    judge(keel.run("--database-url", f"sqlite+aiosqlite:///{path}"), ("notes.txt", "not a SQLite"))
    assert path.read_text().startswith("not a database, but dear")


def test_no_simulator_at_the_address_is_said(keel: Keel) -> None:
    """With how to start one."""
    said = keel.run("--hyperliquid-base-url", "http://127.0.0.1:9", "--speed", "60")
    judge(said, ("HYPERLIQUID_BASE_URL", "http://127.0.0.1:9", "python -m bot.simulator"))


def test_a_name_that_does_not_resolve_is_no_address(
    keel: Keel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before a world is made, not left to a page that is tried for ever."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    short = candle_file(tmp_path, "BTC-5m.csv", *(bar(number) for number in range(10)))
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = keel.run("--http-host", "no-such-name", "--candles", short)
    judge(said, ("HTTP_HOST", "no-such-name", "localhost"))
    assert not list(keel.data.glob("demo-*"))


# --- candle files -----------------------------------------------------------------------------


def bar(number: int, price: float = 100.0) -> str:
    return f"{START + number * STEP},{price},{price + 1},{price - 1},{price},5"


def candle_file(folder: Path, name: str, *rows: str, header: str = HEADER) -> str:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ("empty",)),
        (f"{HEADER}\n", ("0 rows", "at least two")),
        (f"{HEADER}\n{bar(0)}\n", ("1 rows", "at least two")),
        ("time,open,high,low,close\n", ("line 1", "no column ts, volume")),
        (f"{HEADER}\n{bar(0)}\n{START + STEP},x,2,1,1,5\n", ("line 3", "not a number")),
        (f"{HEADER}\n{bar(0)}\n{START + STEP},1,2\n", ("line 3", "not a number")),
        (f"{HEADER}\n{bar(0)}\n{START + STEP},1,nan,1,1,5\n", ("line 3", "not finite")),
        (f"{HEADER}\n{bar(0)}\n{START + STEP},9,8,7,7.5,5\n", ("line 3", "do not enclose")),
        (f"{HEADER}\n{bar(0)}\n{START + STEP},0,1,0,1,5\n", ("line 3", "positive")),
        (f"{HEADER}\n{bar(0)}\n{START + STEP},1,2,1,1,-5\n", ("line 3", "volume")),
        (f"{HEADER}\n{bar(1)}\n{bar(0)}\n", ("line 3", "does not follow")),
        (f"{HEADER}\n{bar(0)}\n{bar(0)}\n", ("line 3", "does not follow")),
        (f"{HEADER}\n{bar(0)}\n{START + 7},1,2,1,1,5\n", ("7 ms apart", "expected one of 1m")),
    ],
)
def test_a_malformed_candle_file_is_named_with_its_line(
    keel: Keel, tmp_path: Path, content: str, words: Sequence[str]
) -> None:
    """File, line, what was found, what was expected; nothing is played."""
    path = tmp_path / "BTC-5m.csv"
    path.write_text(content)
    judge(keel.run("--candles", str(path)), (str(path), *words))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not gzip at all", ("not a readable gzip",)),
        (gzip.compress(f"{HEADER}\n{bar(0)}\n".encode())[:-9], ("not a readable gzip",)),
        (gzip.compress(b"\xff\xfe\x00"), ("not a text file",)),
    ],
    ids=["no gzip", "cut off", "not text"],
)
def test_a_broken_archive_is_named(
    keel: Keel, tmp_path: Path, content: bytes, words: Sequence[str]
) -> None:
    """A download that broke off is no shorter history."""
    path = tmp_path / "BTC-5m.csv.gz"
    path.write_bytes(content)
    judge(keel.run("--candles", str(path)), (str(path), *words))


def test_a_file_that_is_not_there_is_named(keel: Keel, tmp_path: Path) -> None:
    """With the setting that named it."""
    judge(keel.run("--candles", str(tmp_path / "BTC.csv")), ("DEMO_CANDLES", "BTC.csv", "no such"))


@pytest.mark.parametrize("flags", [["--candles", ""], ["--candles="], ["--demo-candles", " "]])
def test_an_empty_file_name_plays_no_invented_prices(keel: Keel, flags: list[str]) -> None:
    """A shell variable that is not set is no wish for the generator; nothing is opened."""
    flag = flags[0].rstrip("=")
    judge(keel.run(*flags), (f"{flag}: ", "is empty", f"leave {flag} out"))
    assert not keel.data.exists()


def test_an_empty_name_beside_a_file_is_refused(keel: Keel, tmp_path: Path) -> None:
    """One of two coins would be missing."""
    good = candle_file(tmp_path, "BTC-5m.csv", *(bar(number) for number in range(10)))
    judge(keel.run("--candles", good, ""), ("--candles: ", "is empty"))


def test_two_files_of_one_coin_are_refused(keel: Keel, tmp_path: Path) -> None:
    """One coin has one price."""
    rows = [bar(number) for number in range(10)]
    one, other = (
        candle_file(tmp_path, "BTC-a.csv", *rows),
        candle_file(tmp_path, "BTC-b.csv", *rows),
    )
    judge(keel.run("--candles", one, other), ("BTC-b.csv", "second file of BTC", "BTC-a.csv"))


def test_files_that_share_no_time_are_refused(keel: Keel, tmp_path: Path) -> None:
    """One ends before the other begins: there is nothing to play."""
    early = candle_file(tmp_path, "BTC-a.csv", *(bar(number) for number in range(10)))
    late = candle_file(tmp_path, "ETH-a.csv", *(bar(number) for number in range(20, 30)))
    judge(keel.run("--candles", early, late), ("ETH-a.csv", "begins after", "BTC-a.csv"))


def test_files_of_two_intervals_are_refused(keel: Keel, tmp_path: Path) -> None:
    """One run has one length of bar."""
    fives = candle_file(tmp_path, "BTC-a.csv", *(bar(number) for number in range(10)))
    tens = candle_file(tmp_path, "ETH-a.csv", *(bar(3 * number) for number in range(10)))
    judge(keel.run("--candles", fives, tens), ("ETH-a.csv", "15m", "5m", "one interval"))


# --- nothing lost -------------------------------------------------------------------------------


def test_a_refused_start_leaves_what_was_there(keel: Keel, tmp_path: Path) -> None:
    """A world with trades is neither opened nor changed by a start that fails."""
    rows = [bar(number) for number in range(10)]
    good = candle_file(tmp_path, "BTC-5m.csv", *rows)
    assert keel.run("--candles", good).code == 0
    before = contents(keel.data)
    judge(keel.run("--candles", good, "--max-leverage", "500"), ("MAX_LEVERAGE",))
    judge(keel.run("--candles", good, str(tmp_path / "ETH.csv")), ("ETH.csv", "no such"))
    after = contents(keel.data)
    assert {name: after[name] for name in before} == before


def contents(folder: Path) -> dict[str, bytes]:
    """Every database file below `folder`."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.db"))
    }


def test_as_a_process_it_says_the_same(tmp_path: Path) -> None:
    """What main() returns is what the shell sees: one line on stderr, exit code 2."""
    main_py = str(Path(__file__).resolve().parents[2] / "main.py")
    with Process(tmp_path, "refused", [main_py, "--max-leverage", "500"]) as process:
        assert process.finish(30.0) == MEND
        lines = process.output().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("keel: MAX_LEVERAGE")
    assert not (tmp_path / "data").exists()
