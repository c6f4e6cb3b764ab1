"""A table of random numbers, as books print them, in place of a seed.

The procedure: the digits of the file are read from left to right and line by line, whatever their groups, and cut into
numbers of five digits. Subjects are taken class by class (age years upwards; where both sexes are there, ``female``
before ``male``), and inside a class by their id in the order of their characters. Each takes the next number; one that
a subject of the same class has already is passed over. A class is then ranked by its numbers, the smallest first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kneeage.core.errors import InputRefusedError

# Source: ours. Printed tables set digits in fives; a class then has 100,000 numbers to draw from.
DIGITS_OF_A_NUMBER = 5


@dataclass(frozen=True)
class RandomNumbers:
    """A table of random numbers.

    Args:
        digits: Its digits, in reading order.
    """

    digits: str = field(repr=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the digits, in hexadecimal."""
        return hashlib.sha256(self.digits.encode()).hexdigest()

    def given_to(self, classes: Iterable[Sequence[str]]) -> dict[str, int]:
        """Give each subject a number that no other of its class has.

        Args:
            classes: Subjects, class by class, in the order in which they take their numbers.

        Returns:
            The number of each subject.

        Raises:
            InputRefusedError: The table is too short.
        """
        given: dict[str, int] = {}
        numbers = self._numbers()
        for subjects in classes:
            taken: set[int] = set()
            for subject in subjects:
                given[subject] = _next(numbers, taken, len(given))
                taken.add(given[subject])
        return given

    def _numbers(self) -> Iterator[int]:
        """Cut the digits into numbers; what is left at the end is not used."""
        for start in range(0, len(self.digits) - DIGITS_OF_A_NUMBER + 1, DIGITS_OF_A_NUMBER):
            yield int(self.digits[start : start + DIGITS_OF_A_NUMBER])


def read_random_numbers(path: Path) -> RandomNumbers:
    """Read a table of random numbers.

    Args:
        path: A text file of nothing but digits and blanks; take headings and line numbers out.

    Returns:
        The table.

    Raises:
        InputRefusedError: The file cannot be read, has no digit, or holds anything else.
    """
    lines = _text(path).splitlines()
    for number, line in enumerate(lines, start=1):
        wrong = next((letter for letter in line if letter not in "0123456789" and not letter.isspace()), None)
        if wrong is not None:
            raise InputRefusedError(
                f"{path.name!r}, line {number}: {wrong!r} is no digit; a table of random numbers has digits alone"
            )
    digits = "".join("".join(lines).split())
    if not digits:
        raise InputRefusedError(f"{path.name!r} holds no digit; give a table of random numbers")
    return RandomNumbers(digits)


def _next(numbers: Iterator[int], taken: set[int], given: int) -> int:
    """Read on to a number that is not taken."""
    for number in numbers:
        if number not in taken:
            return number
    raise InputRefusedError(
        f"the table of random numbers ends after {given} subjects; "
        f"it needs {DIGITS_OF_A_NUMBER} digits for each, and some more for numbers that are passed over"
    )


def _text(path: Path) -> str:
    """Read a text file."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputRefusedError(f"cannot read {path.name!r}: {error.strerror or 'input error'}") from error
    except UnicodeDecodeError:
        raise InputRefusedError(f"{path.name!r} is not text; a table of random numbers has digits alone") from None
