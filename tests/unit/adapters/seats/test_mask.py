"""A key that an endpoint sends back: masked in every spelling and in every place of a response."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.seats.model.mask import MASK, Mask
from bot.domain.types import Abstention, Opinion
from tests.aimock import answer
from tests.unit.adapters.seats.given import COST, KEY, Table, chat

KEYS = (KEY, 'sk/with\\all"of+it')
HERE = "KEYHERE"  # where a spelling goes, once the text around it has been escaped
ESCAPED = "".join(f"\\u{ord(char):04x}" for char in KEY)
TWICE = ESCAPED.replace("\\", "\\\\")


def numbered(text: str, every: int = 1) -> str:
    """Some characters of a text as JSON may write them."""
    return "".join(c if at % every else f"\\u{ord(c):04X}" for at, c in enumerate(text))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("every", [1, 2, 5])
def test_an_escaped_key_is_masked_where_it_stands(key: str, every: int) -> None:
    """JSON, JSON in JSON, and a slash with a backslash before it; the rest stays readable."""
    mask = Mask(key)
    once = numbered(key, every)
    forms = [key, once, json.dumps(key)[1:-1], json.dumps(json.dumps(key)[1:-1])[1:-1]]
    for form in [*forms, key.replace("/", "\\/"), key.upper()]:
        assert mask.plainly(f"you sent {form}, sir") == f"you sent {MASK}, sir"
        assert mask(f"you sent {form}, sir") == f"you sent {MASK}, sir"


@pytest.mark.parametrize(
    "spelt",
    [
        "\u200b".join(KEY),
        "".join(chr(ord(char) + 0xFEE0) for char in KEY),  # letters of another width
        "\\u005c".join(["", *(f"u{ord(char):04x}" for char in KEY)]),
        "\\u200b".join(KEY),
        "\\u0000".join(KEY),
    ],
)
def test_no_spelling_of_the_key_is_left(spelt: str) -> None:
    """What turns into the key when the text is read is withheld with the text around it."""
    assert Mask(KEY)(f"you sent {spelt}") == MASK


def test_no_key_is_no_secret() -> None:
    """An endpoint without a key, or with one that is a word, says what it says."""
    assert Mask("")("a text") == "a text"
    assert Mask("none")("none of it") == "none of it"


@given(st.text(max_size=80))
def test_other_texts_pass_as_they_are(text: str) -> None:
    """Nothing is mended or lost."""
    assert Mask(KEY)(text) == text


def legible(text: str) -> str:
    """What a reader of a text sees in the end: no escape, nothing without width."""
    text = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return text.replace("\u200b", "")


TOOL = [{"function": {"name": "council_answer", "arguments": json.dumps(answer(reasoning=HERE))}}]
PARTS = [{"type": "text", "text": KEY[:9]}, {"type": "text", "text": KEY[9:]}]
REPLIES = {
    "the reasoning": chat(answer(reasoning=HERE)),
    "a red flag": chat(answer(red_flags=[HERE])),
    "a field too many": chat({**answer(), HERE: 1}),
    "prose": chat(HERE),
    "a tool": chat(None, tool_calls=TOOL),
    "a refusal": chat(None, refusal=HERE),
    "parts": chat("x").replace('"x"', json.dumps(PARTS)),
    "an error": json.dumps({"error": {"message": HERE, HERE: HERE}}),
    "the model": chat(answer()).replace("model-1-0815", HERE),
    "the fingerprint": chat(answer()).replace("fp_1", HERE),
}


@pytest.mark.parametrize("spelt", [KEY, ESCAPED, TWICE, "\\u200b".join(KEY)])
@pytest.mark.parametrize("where", REPLIES)
async def test_no_key_gets_from_an_endpoint_into_a_row(where: str, spelt: str) -> None:
    """Neither the opinion, nor the abstention, nor the attempt holds it, decoded or not."""
    table = Table(REPLIES[where].replace(HERE, spelt))
    said = await table.ask()
    await table.purse.flush()
    assert isinstance(said, Opinion | Abstention)
    for kept in (said, *table.store.rows.values()):
        assert KEY not in legible(repr(kept)), where
    if isinstance(said, Opinion):
        assert table.purse.spent == COST
