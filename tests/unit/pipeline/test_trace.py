"""A decision's record: its name, where it ended, how long it took; and the funnel over many."""

from __future__ import annotations

from hypothesis import given as prove
from hypothesis import settings
from hypothesis import strategies as st

from bot.domain.reasons import Reason, Stage
from bot.domain.types import Ms, Symbol, trace_id
from bot.pipeline.funnel import STEPS, ended, funnel
from bot.pipeline.trace import TraceBook
from bot.runtime.clock import ManualClock
from tests.fakes import MemoryTraces
from tests.unit.pipeline.given import BTC, ETH

CLOSE = Ms(1_789_996_800_000)


def book(store: MemoryTraces) -> TraceBook:
    return TraceBook(store, ManualClock(CLOSE), "fingerprint")


def test_an_id_names_symbol_bar_close_and_number() -> None:
    """`{symbol}-{bar close yyyymmddThhmm}-{n}`, UTC."""
    assert trace_id(Symbol("BTC"), CLOSE, 3) == "BTC-20260921T1320-3"


async def test_numbers_count_the_traces_of_a_symbol_and_a_bar() -> None:
    """From one, each symbol and each bar for itself."""
    traces = book(MemoryTraces())
    ids = [
        (await traces.open(1, symbol, Ms(close))).id
        for symbol, close in ((BTC, CLOSE), (BTC, CLOSE), (ETH, CLOSE), (BTC, CLOSE + 300_000))
    ]
    assert ids == [
        "BTC-20260921T1320-1",
        "BTC-20260921T1320-2",
        "ETH-20260921T1320-1",
        "BTC-20260921T1325-1",
    ]


async def test_numbers_go_on_after_a_restart() -> None:
    """One more than the highest stored."""
    store = MemoryTraces()
    first = book(store)
    for _ in range(2):
        first.close(await first.open(1, BTC, CLOSE))
    assert (await book(store).open(1, BTC, CLOSE)).id == "BTC-20260921T1320-3"


async def test_the_time_of_thinking_is_kept_for_what_was_decided_on() -> None:
    """Once a decision, whole after the desk has gone on with it; no candle, no decision."""
    clock = ManualClock(CLOSE)
    traces = TraceBook(MemoryTraces(), clock, "fingerprint")
    trail, idle = await traces.open(1, BTC, CLOSE), await traces.open(1, ETH, CLOSE)
    for stage, spent in ((Stage.PROPOSE, 20), (Stage.EXECUTE, 5)):
        with trail.at(stage):
            clock.advance(spent)
        traces.close(trail)
    traces.close(idle)
    assert traces.durations == {trail.id: 25.0}


async def test_a_record_says_where_and_why_it_ended_and_how_long_each_stage_took() -> None:
    """Machine time by stage; entered twice, added up."""
    clock = ManualClock(CLOSE)
    traces = TraceBook(MemoryTraces(), clock, "fingerprint")
    trail = await traces.open(7, BTC, CLOSE)
    for spent in (20, 5):
        with trail.at(Stage.OBSERVE):
            clock.advance(spent)
    with trail.at(Stage.PROPOSE):
        clock.advance(3)
        trail.end(Reason.NO_SIGNAL)
    record = trail.record()
    assert (record.stage, record.result) == (Stage.PROPOSE, Reason.NO_SIGNAL)
    assert (record.cycle, record.fingerprint) == (7, "fingerprint")
    assert record.body["durations_ms"] == {Stage.OBSERVE: 25.0, Stage.PROPOSE: 3.0}
    assert record.duration_ms == 28.0


async def test_a_trace_that_nobody_ended_is_an_error() -> None:
    """Silence is not a verdict."""
    trail = await book(MemoryTraces()).open(1, BTC, CLOSE)
    assert trail.record().result == Reason.ERROR


async def test_a_trace_that_goes_further_is_written_again_under_its_id() -> None:
    """The last word stands."""
    store = MemoryTraces()
    traces = book(store)
    trail = await traces.open(1, BTC, CLOSE)
    trail.end(Reason.EXECUTED, Stage.EXECUTE)
    traces.close(trail)
    trail.end(Reason.EXECUTED, Stage.PROTECT)
    traces.close(trail)
    assert [record.stage for record in store.records.values()] == [Stage.PROTECT]
    assert len(store.put_in_order) == 2


# --- the funnel ------------------------------------------------------------------------------

COUNTS = st.dictionaries(
    st.tuples(
        st.sampled_from([s.value for s in Stage]), st.sampled_from([r.value for r in Reason])
    ),
    st.integers(0, 1_000),
)


@settings(max_examples=40)
@prove(COUNTS)
def test_no_step_of_the_funnel_is_larger_than_the_one_before(
    counts: dict[tuple[str, str], int],
) -> None:
    """Who reached a step has passed all before it."""
    left = [int(str(step["count"])) for step in funnel(counts, won=0)]
    assert left == sorted(left, reverse=True)
    assert left[0] <= sum(counts.values())


@settings(max_examples=40)
@prove(COUNTS)
def test_every_trace_is_counted_where_it_ended(counts: dict[tuple[str, str], int]) -> None:
    """Nothing falls between the steps."""
    rows = ended(counts)
    assert sum(int(str(row["count"])) for row in rows) == sum(counts.values())
    sizes = [int(str(row["count"])) for row in rows]
    assert sizes == sorted(sizes, reverse=True)


def test_a_trace_counts_up_to_the_step_it_reached() -> None:
    """One trace a stage: each step is one less."""
    counts = {(stage.value, Reason.ERROR.value): 1 for stage in Stage}
    steps = {str(step["step"]): step["count"] for step in funnel(counts, won=4)}
    assert steps == {
        "decided_bars": 8,
        "signals": 7,
        "asked": 6,
        "approved": 4,
        "sized": 3,
        "passed_risk": 2,
        "executed": 1,
        "won": 4,
    }
    assert [name for name, _ in STEPS] == list(steps)[:-1]
