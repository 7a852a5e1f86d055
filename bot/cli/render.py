"""Plain text for terminals: tables, sections, numbers; colours only where a person looks.

Owns how things are set in lines; knows no report.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

_COLOURS = {"ok": "32", "warn": "33", "fail": "31", "alert": "31", "target": "33", "note": "36"}
_GAP = "  "


class Page:
    """Collects lines; `paint` does nothing where the stream is no terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._colour = self._stream.isatty()
        self._lines: list[str] = []

    def line(self, text: str = "") -> None:
        self._lines.append(text.rstrip())

    def heading(self, text: str) -> None:
        """An empty line and a title."""
        if self._lines:
            self.line()
        self.line(self.paint(text, "1"))

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Columns as wide as their widest cell; numbers to the right."""
        cells = [[shown(cell) for cell in row] for row in rows]
        right = [all(_is_number(row[at]) for row in cells) for at in range(len(head))]
        table = [list(head), *cells]
        widths = [max(len(row[at]) for row in table) for at in range(len(head))]
        for row in table:
            self.line(
                _GAP
                + _GAP.join(
                    text.rjust(width) if flush else text.ljust(width)
                    for text, width, flush in zip(row, widths, right)
                )
            )

    def pairs(self, values: Mapping[str, object]) -> None:
        """Names and values in two columns; a value of None is left out."""
        present = {name: value for name, value in values.items() if value is not None}
        width = max((len(name) for name in present), default=0)
        for name, value in present.items():
            self.line(f"{_GAP}{name.ljust(width)}{_GAP}{shown(value)}")

    def mark(self, word: str) -> str:
        """A verdict such as ok, warn, fail in its colour, five wide."""
        return self.paint(word.ljust(6), _COLOURS.get(word, "0"))

    def paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def print(self) -> None:
        """Write everything collected."""
        self._stream.writelines(f"{line}\n" for line in self._lines)


def shown(value: object) -> str:
    """A cell: a dash for None, grouped integers, short floats, control characters taken out."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return _float(value)
        case _:
            return "".join(letter if letter.isprintable() else "?" for letter in str(value))


def size(count: object) -> str:
    """Bytes as people read them."""
    number = float(str(count))
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def percent(value: object) -> str:
    """12.3 % of a number, a dash of None."""
    return "-" if value is None else f"{float(str(value)):.1f} %"


def rows_of(found: object) -> list[Mapping[str, object]]:
    """A list of tables out of an answer."""
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []


def part(answer: Mapping[str, object], name: str) -> Mapping[str, object]:
    """A table out of an answer; empty when it is not there."""
    found = answer.get(name)
    return found if isinstance(found, Mapping) else {}


def _float(value: float) -> str:
    if value == 0 or 0.01 <= abs(value) < 1e6:
        text = f"{value:,.3f}".rstrip("0").rstrip(".")
        return text or "0"
    return f"{value:.4g}"


def _is_number(text: str) -> bool:
    bare = text.replace(",", "").replace("%", "").replace("-", "").replace(".", "").strip()
    return bare.isdigit() or text == "-"
