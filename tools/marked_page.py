"""Pages of ``docs`` with parts that are filled in, between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

_BEGIN = re.compile(r"<!-- begin (.+?) -->\n")


def part_names(text: str) -> list[str]:
    """List the names of a page's parts."""
    return _BEGIN.findall(text)


def filled(text: str, parts: Mapping[str, Callable[[], Iterable[str]]]) -> str:
    """Put the lines of each part between its marks."""
    for name, lines in parts.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, rest = text.split(begin)
        text = before + begin + "\n".join(lines()) + "\n" + end + rest.split(end)[1]
    return text


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """Write a table in Markdown."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines]
