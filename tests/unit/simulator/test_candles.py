"""Candle files: what is refused, and how a bar becomes four ticks."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bot.domain.errors import ConfigError
from bot.domain.types import Timeframe
from bot.simulator.bars import VOLUME_UNITS, Rolling, fold
from bot.simulator.candles import TICKS_A_BAR, CandleFiles, load, path_of
from tests.unit.simulator.given import walk, write_candles

GOOD = "1700000100000,1,2,0.5,1.5,3"
STEP = 300_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty; expected a header and at least two rows"),
        ("ts,open,high,low,close\n", "line 1: no column volume"),
        (f"ts,open,high,low,close,volume\n{GOOD}\n", "1 rows; expected at least two"),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000400000,1,2,0.5,x,3\n",
            "line 3: not a number",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000400000,1,2,0,1.5,3\n",
            "line 3: a price is 0; prices must be positive",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000400000,1,0.5,2,1.5,3\n",
            "line 3: high 0.5 and low 2 do not enclose",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000400000,1,2,0.5,1.5,-3\n",
            "line 3: volume is -3",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n{GOOD}\n",
            "line 3: ts 1700000100000 does not follow 1700000100000",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000000000,1,2,0.5,1.5,3\n",
            "line 3: ts 1700000000000 does not follow",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000107000,1,2,0.5,1.5,3\n",
            "rows are 7000 ms apart; expected one of 1m, 3m",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000160000,1,2,0.5,1.5,3\n"
            "1700000235000,1,2,0.5,1.5,3\n",
            "does not lie on the grid of 1m",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000400000,1,inf,0.5,1.5,3\n",
            "line 3: a value is not finite",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000400000,1,2e15,0.5,1.5,3\n",
            "line 3: 2e+15 is no price or volume; at most 1e+15",
        ),
        (f"ts,open,high,low,close,volume,open\n{GOOD},7\n", "line 1: column open twice"),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1e300,1,2,0.5,1.5,3\n",
            "line 3: ts 1e+300 is no time; expected milliseconds since 1970",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000400000,1,2,0.5,1.5,3e15\n",
            "line 3: 3e+15 is no price or volume",
        ),
        (
            f"ts,open,high,low,close,volume\n{GOOD}\n1700000400000,1,2,0.5,1.5,{'3' * 140_000}\n",
            "line 3: not a row of numbers (field larger than field limit",
        ),
    ],
)
def test_a_file_that_cannot_be_played_is_named_with_its_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    """One line: file, line, found, allowed."""
    path = tmp_path / "ETH-5m.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as refusal:
        load(path)
    [line] = refusal.value.problems
    assert str(path) in line and problem in line and "\n" not in line


@pytest.mark.parametrize(
    "name", ["B C-5m.csv", "B,C.csv", "-5m.csv", "\u00df.csv", "A" * 21 + ".csv"]
)
def test_a_file_not_named_by_a_coin_is_refused(tmp_path: Path, name: str) -> None:
    """The coin is in the name and nowhere else; the remedy is an example."""
    with pytest.raises(ConfigError, match=r"must begin with the coin.*such as BTC-5m\.csv\.gz"):
        load(write_candles(tmp_path / name, walk(10)))


def test_a_comma_later_in_the_name_is_no_matter(tmp_path: Path) -> None:
    assert load(write_candles(tmp_path / "ETH-5m,part 2.csv", walk(10))).coin == "ETH"


def test_the_mark_of_a_spreadsheet_is_read_over(tmp_path: Path) -> None:
    """A byte order mark at the start is no part of the first column's name."""
    plain = write_candles(tmp_path / "ETH.csv", walk(10))
    marked = tmp_path / "ETH-marked.csv"
    marked.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes())
    assert load(marked).bars == load(plain).bars


def test_a_byte_that_no_row_holds_is_named_with_its_line(tmp_path: Path) -> None:
    """A file torn by a power cut is full of zeros."""
    path = tmp_path / "ETH.csv"
    path.write_bytes(f"ts,open,high,low,close,volume\n{GOOD}\n".encode() + b"\0" * 40 + b"\n")
    with pytest.raises(ConfigError, match=r"ETH\.csv line 3: not a"):
        load(path)


def test_what_is_no_deflate_inside_a_gzip_is_refused(tmp_path: Path) -> None:
    """Good head, bad body."""
    path = tmp_path / "ETH.csv.gz"
    good = gzip.compress(b"ts,open,high,low,close,volume\n" * 50)
    path.write_bytes(good[:10] + b"\xff" * (len(good) - 10))
    with pytest.raises(ConfigError, match="not a readable gzip file"):
        load(path)


def test_the_order_of_the_files_does_not_matter(tmp_path: Path) -> None:
    """The same world: the same numbers of coins, the same identity in the ledger."""
    files = [write_candles(tmp_path / f"{coin}.csv", walk(40)) for coin in ("SOL", "ETH")]
    there, back = CandleFiles(files, 5), CandleFiles(files[::-1], 5)
    assert there.identity == back.identity
    assert [*there.instruments] == [*back.instruments] == ["ETH", "SOL"]


def test_a_question_past_the_last_tick_is_answered_with_the_last_bar(tmp_path: Path) -> None:
    """The exchange still answers when the candles are played."""
    files = CandleFiles([write_candles(tmp_path / "ETH.csv", walk(10))], 0)
    last = files.forming("ETH", 10 * TICKS_A_BAR - 1)
    assert last is not None
    assert files.forming("ETH", 10 * TICKS_A_BAR) == last
    assert files.forming("ETH", 10_000) == last
    assert files.last_price("ETH", 10_000) == last.c


def test_a_missing_file_and_a_broken_gzip_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such candle file"):
        load(tmp_path / "ETH.csv.gz")
    broken = tmp_path / "ETH.csv.gz"
    for raw in (b"no gzip at all", gzip.compress(b"ts,open\n" * 99)[:-12]):
        broken.write_bytes(raw)
        with pytest.raises(ConfigError, match="not a readable gzip file"):
            load(broken)


def test_two_files_of_one_coin_are_refused(tmp_path: Path) -> None:
    first = write_candles(tmp_path / "ETH-a.csv", walk(10))
    second = write_candles(tmp_path / "ETH-b.csv", walk(10))
    with pytest.raises(ConfigError, match="a second file of ETH"):
        CandleFiles([first, second], 0)


def test_files_without_shared_time_are_refused(tmp_path: Path) -> None:
    first = write_candles(tmp_path / "ETH.csv", walk(10))
    second = write_candles(tmp_path / "SOL.csv", walk(10, start=1_800_000_000_000))
    with pytest.raises(ConfigError, match="begins after"):
        CandleFiles([first, second], 0)


def test_files_of_two_intervals_are_refused(tmp_path: Path) -> None:
    first = write_candles(tmp_path / "ETH.csv", walk(10))
    second = write_candles(tmp_path / "SOL.csv", walk(10, step=60_000))
    with pytest.raises(ConfigError, match="expected one interval"):
        CandleFiles([first, second], 0)


def test_coin_and_interval_come_from_name_and_rows(tmp_path: Path) -> None:
    file = load(write_candles(tmp_path / "sol-PERP-5m-2024.csv.gz", walk(10)))
    assert (file.coin, file.interval) == ("SOL", Timeframe.M5)


def test_an_unknown_coin_gets_two_decimals_and_ten_times(tmp_path: Path) -> None:
    files = CandleFiles([write_candles(tmp_path / "ODD.csv", walk(10))], 0)
    rules = files.instruments["ODD"]
    assert (rules.size_decimals, rules.max_leverage) == (2, 10)


def test_prices_of_a_coin_in_another_coin_keep_their_shape(tmp_path: Path) -> None:
    """At 4e-5 the venue's tick of 1e-6 is all there is; at 0.09 size decimals give way."""
    tiny = [(ts, 4e-5, 5e-5, 3e-5, 4e-5, 9.0) for ts, *_ in walk(10)]
    files = CandleFiles([write_candles(tmp_path / "ADA.csv", tiny)], 0)
    assert files.instruments["ADA"].size_decimals == 0
    assert files.last_price("ADA", 0) == 4e-5
    small = [(ts, 0.09123, 0.09234, 0.09012, 0.09123, 9.0) for ts, *_ in walk(10)]
    files = CandleFiles([write_candles(tmp_path / "ETH.csv", small)], 0)
    assert files.last_price("ETH", 3) == 0.09123


def test_prices_below_the_smallest_tick_are_refused(tmp_path: Path) -> None:
    rows = [(ts, 2e-7, 3e-7, 1e-7, 2e-7, 9.0) for ts, *_ in walk(10)]
    with pytest.raises(ConfigError, match="rounds to 0 at the venue's smallest tick"):
        load(write_candles(tmp_path / "DUST.csv", rows))


def test_prices_are_rounded_to_the_tick_and_still_enclosed(tmp_path: Path) -> None:
    rows = [
        (ts, 46_319.123 + n, 46_385.917 + n, 46_300.456 + n, 46_377.05 + n, 2.5)
        for n, (ts, *_) in enumerate(walk(10))
    ]
    for bar in load(write_candles(tmp_path / "BTC.csv", rows)).bars:
        assert all(price == int(price) for price in bar[1:5])
        assert bar.l <= min(bar.o, bar.c) <= max(bar.o, bar.c) <= bar.h


def test_quote_volume_becomes_base_volume(tmp_path: Path) -> None:
    rows = [(ts, 50_000.0, 50_000.0, 50_000.0, 50_000.0, 1e6) for ts, *_ in walk(5)]
    bars = load(write_candles(tmp_path / "BTC-PERP-5m.csv", rows)).bars
    assert bars[0].v == 20 * VOLUME_UNITS
    bars = load(write_candles(tmp_path / "BTC-USD-5m.csv", rows)).bars
    assert bars[0].v == 1_000_000 * VOLUME_UNITS


def test_a_bar_is_four_ticks(tmp_path: Path) -> None:
    """Open, nearer extreme, farther extreme, close at 0, 1/3, 2/3 and just before the end."""
    rows = [(ts, 100.0, 103.0, 99.0, 101.0, 7.0) for ts, *_ in walk(8)]
    files = CandleFiles([write_candles(tmp_path / "ODD.csv", rows)], 0)
    start = rows[0][0]
    times = [files.tick_at(index) for index in range(4)]
    assert times == [start, start + 100_000, start + 200_000, start + 299_999]
    prices = [files.quotes(index)[0].price for index in range(4)]
    assert prices == [100.0, 99.0, 103.0, 101.0]
    assert sum(files.quotes(index)[0].volume for index in range(4)) == 7 * VOLUME_UNITS
    high_first = CandleFiles(
        [write_candles(tmp_path / "UP.csv", [(r[0], 100.0, 101.0, 90.0, 95.0, 1.0) for r in rows])],
        0,
    )
    assert [high_first.quotes(n)[0].price for n in range(4)] == [100.0, 101.0, 90.0, 95.0]


def test_the_clock_starts_after_the_warm_up_but_within_a_quarter(tmp_path: Path) -> None:
    path = write_candles(tmp_path / "ODD.csv", walk(100))
    start = walk(100)[0][0]
    assert CandleFiles([path], 10).start_at == start + 10 * STEP
    assert CandleFiles([path], 250).start_at == start + 25 * STEP
    files = CandleFiles([path], 250)
    assert files.first_tick == 25 * TICKS_A_BAR
    assert files.tick_at(100 * TICKS_A_BAR) is None
    assert files.tick_at(100 * TICKS_A_BAR - 1) == start + 100 * STEP - 1


def test_missing_bars_give_no_ticks(tmp_path: Path) -> None:
    """A gap in one file is silence for its coin; a gap in all is no tick at all."""
    rows = walk(20)
    whole = write_candles(tmp_path / "ETH.csv", rows[:10] + rows[12:])
    gappy = write_candles(tmp_path / "SOL.csv", rows[:5] + rows[6:10] + rows[12:])
    files = CandleFiles([whole, gappy], 0)
    assert [quote.coin for quote in files.quotes(5 * 4)] == ["ETH"]
    assert files.tick_at(10 * 4) == rows[12][0]
    assert len(files.closed("SOL", STEP, rows[0][0], rows[-1][0] + STEP)) == 17


def test_the_final_state_of_each_bar_is_the_files_row(tmp_path: Path) -> None:
    """Volume included, for the interval and for its multiples."""
    rows = walk(40)
    files = CandleFiles([write_candles(tmp_path / "ODD.csv", rows)], 0)
    rolling = Rolling(files)
    for interval in (STEP, 3 * STEP):
        final = {}
        for index in range(40 * TICKS_A_BAR):
            bar = rolling.state("ODD", interval, index)
            assert bar is not None
            final[bar.t] = bar
        whole = files.closed("ODD", interval, 0, 2**60)
        assert list(final.values()) == whole
    bars = files.closed("ODD", STEP, 0, 2**60)
    for bar, row in zip(bars, rows, strict=True):
        assert tuple(bar[:5]) == row[:5]
        assert bar.v == round(row[5] * VOLUME_UNITS)


def test_folds_keep_the_volume(tmp_path: Path) -> None:
    files = CandleFiles([write_candles(tmp_path / "ODD.csv", walk(48))], 0)
    fine = files.closed("ODD", STEP, 0, 2**60)
    for interval in (3 * STEP, 12 * STEP):
        coarse = files.closed("ODD", interval, 0, 2**60)
        assert coarse == fold(fine, interval)
        assert sum(bar.v for bar in coarse) == sum(bar.v for bar in fine)
    assert files.closed("ODD", 60_000, 0, 2**60) == []


def test_real_files_load(shared_data: Path) -> None:
    """Every shared candle file is playable; its bars keep to the file."""
    for path in sorted((shared_data / "candles").glob("*m-*.csv.gz")):
        file = load(path)
        assert len(file.bars) > 400
        assert all(price in bar for bar in file.bars[:50] for price in path_of(bar))
