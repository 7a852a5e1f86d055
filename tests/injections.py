"""The corpus of hostile texts and answers, read from its file.

Knows no rule.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus" / "injections.toml"


def _read() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(CORPUS.read_text(encoding="utf-8"))


TEXTS = [(row["kind"], row["text"] * row.get("times", 1)) for row in _read()["text"]]
ANSWERS = [(row["what"], json.loads(row["fields"])) for row in _read()["answer"]]
