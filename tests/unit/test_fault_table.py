"""docs/faults.md: every row names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_row_of_the_table_names_a_test_that_exists() -> None:
    """At least twenty rows; a test that is renamed takes its row along."""
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`test_" in line]
    named = [name for row in rows for name in re.findall(r"`(test_\w+)`", row)]
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"^(?:async )?def (test_\w+)\(", code, re.MULTILINE))
    assert len(rows) >= 20
    assert len(named) == len(rows) == len({*named})
    assert [name for name in named if name not in known] == []
