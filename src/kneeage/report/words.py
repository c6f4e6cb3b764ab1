"""Every word of the report in each language, and how a language writes numbers and dates.

The words live in ``words.json``: ``texts`` by key, and ``phrases``, the sentences that other rooms write in
English and that are recognised again here by their pattern.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib.resources import files
from string import Formatter

from kneeage.core.errors import UsageError

LANGUAGES = ("en", "zh")
_SMALLEST_PROBABILITY = 0.001
# The placeholder that stands for digits alone; without that, any sentence that ends with "slices" would fit.
_COUNT = "count"


@dataclass(frozen=True)
class Phrase:
    """One English sentence pattern with its wording in another language."""

    pattern: re.Pattern[str]
    wording: str


@dataclass(frozen=True)
class Words:
    """The words of one language.

    Args:
        lang: Language code, one of ``LANGUAGES``.
        texts: Wording of every key.
        phrases: Patterns for sentences that arrive in English.

    Example:
        >>> words("en").percent(0.5)
        '50 %'
    """

    lang: str
    texts: dict[str, str]
    phrases: tuple[Phrase, ...]

    def __call__(self, key: str, /, **values: object) -> str:
        """Word a key, its placeholders filled with ``values``."""
        return self.texts[key].format(**values)

    def phrase(self, sentence: str) -> str:
        """Word an English sentence of another room, parts included; one that is not known stays as it is."""
        for phrase in self.phrases:
            if match := phrase.pattern.fullmatch(sentence):
                return phrase.wording.format(**{name: self.phrase(part) for name, part in match.groupdict().items()})
        return sentence

    def number(self, value: float, digits: int = 1) -> str:
        """Write a number with a fixed count of decimals, rounded half up so that equal steps look equal."""
        rounded = Decimal(str(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
        return f"{rounded:,f}".replace(",", self.texts["format.group"])

    def percent(self, share: float, digits: int = 0) -> str:
        """Write a share (0 to 1) in percent."""
        return self("format.percent", number=self.number(100 * share, digits))

    def probability(self, share: float) -> str:
        """Write a probability in percent; one that is nearly 0 or 1 is never written as sure."""
        if share < _SMALLEST_PROBABILITY:
            return "< " + self.percent(_SMALLEST_PROBABILITY, 1)
        if share > 1 - _SMALLEST_PROBABILITY:
            return "> " + self.percent(1 - _SMALLEST_PROBABILITY, 1)
        return self.percent(share, 1)

    def level(self, share: float) -> str:
        """Write the level of an interval in percent, with as few decimals as it needs."""
        return self("format.percent", number=f"{100 * share:.4g}")

    def years(self, value: float, digits: int = 1) -> str:
        """Write an age in years."""
        return self("unit.years", number=self.number(value, digits))

    def listing(self, items: Sequence[str]) -> str:
        """Join items as the language lists them, such as ``"12, 14 and 16"``."""
        if len(items) < 2:
            return "".join(items)
        return self("format.and", first=self("format.comma").join(items[:-1]), last=items[-1])

    def date(self, moment: str) -> str:
        """Write an ISO 8601 moment as a date and time in UTC; other text stays as it is."""
        try:
            when = datetime.fromisoformat(moment)
        except ValueError:
            return moment
        when = when.astimezone(UTC) if when.tzinfo else when
        month = self.texts[f"month.{when.month}"]
        return self(
            "format.date", day=when.day, month=month, month_number=when.month, year=when.year, time=f"{when:%H:%M}"
        )


@cache
def words(lang: str) -> Words:
    """Give the words of a language.

    Raises:
        UsageError: The report is not written in this language.
    """
    if lang not in LANGUAGES:
        raise UsageError(f"the report is written in {' or '.join(LANGUAGES)}; found {lang!r}")
    table = json.loads(files("kneeage.report").joinpath("words.json").read_text(encoding="utf-8"))
    texts = {key: wordings[lang] for key, wordings in table["texts"].items()}
    return Words(lang, texts, tuple(_phrase(entry["en"], entry[lang]) for entry in table["phrases"]))


def _phrase(english: str, wording: str) -> Phrase:
    """Turn an English sentence with placeholders into a pattern that recognises it."""
    parts = [
        re.escape(literal) + ("" if name is None else rf"(?P<{name}>\d+)" if name == _COUNT else f"(?P<{name}>.+?)")
        for literal, name, _, _ in Formatter().parse(english)
    ]
    return Phrase(re.compile("".join(parts), re.DOTALL), wording)
