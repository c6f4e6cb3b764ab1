"""The side of the knee, from laterality attributes and from words in four languages; a conflict is unknown."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kneeage.core.anatomy import Side

NOT_STATED = "not stated"

# Source: DICOM PS3.3 section C.7.6.1 (R, L, U unpaired, B both) and PS3.16 CID 244 (SCT and former SRT codes).
_SIDE_OF_CODE = {
    "L": Side.LEFT,
    "R": Side.RIGHT,
    "7771000": Side.LEFT,
    "24028007": Side.RIGHT,
    "G-A101": Side.LEFT,
    "G-A100": Side.RIGHT,
}
_KNEE = r"(?:knees?|knie|kniegelenk|genou|genu|膝关节|膝關節|膝部|膝)"
# Whole words count anywhere; one or two letters count only beside the word for the knee, in their own language:
# "R>L" is a phase direction, "re" and "d" are parts of many names.
_WORDS = {
    Side.LEFT: (
        r"\bleft\b",
        r"\blinks(?:seitig)?\b",
        r"\blinke[rsnm]?\b",
        r"\bgauche\b",
        r"\bgche\b",
        "左",
        rf"\b(?:lt|l)[ .]*{_KNEE}",
        rf"{_KNEE}[ .]*(?:lt|l)\b",
        r"\b(?:li|lks)[ .]*knie",
        r"\bknie(?:gelenk)?[ .]*(?:li|lks)\b",
        r"\bgenou[ .]*g\b",
    ),
    Side.RIGHT: (
        r"\bright\b",
        r"\brechts(?:seitig)?\b",
        r"\brechte[rsnm]?\b",
        r"\bdroite?\b",
        r"\bdrt\b",
        "右",
        rf"\b(?:rt|r)[ .]*{_KNEE}",
        rf"{_KNEE}[ .]*(?:rt|r)\b",
        r"\b(?:re|rts)[ .]*knie",
        r"\bknie(?:gelenk)?[ .]*(?:re|rts)\b",
        r"\bgenou[ .]*dt?\b",
    ),
}
_BOTH = re.compile(
    r"\b(?:bilateral\w*|both|beide[rsnm]?|beidseits|bds|les deux|bilat)\b|[双雙两兩]膝|[双雙]侧|雙側",
    re.IGNORECASE | re.ASCII,
)
# ASCII: a Chinese letter beside a Latin word ends that word.
_PATTERNS = {side: re.compile("|".join(words), re.IGNORECASE | re.ASCII) for side, words in _WORDS.items()}
# A study of both knees has series of one.
_ABOUT_THE_STUDY = ("study description", "requested procedure", "performed procedure")
# Directions of phase encoding, which name both sides and mean neither.
_DIRECTION = re.compile(r"(?<![a-z0-9])[rl]\s*[<>/-]+\s*[rl](?![a-z0-9])", re.IGNORECASE)
_SEPARATORS = re.compile(r"[_\-/,;:()\[\]^+|\\]+")


def judge_side(lateralities: Mapping[str, str], texts: Mapping[str, str]) -> tuple[Side, str]:
    """Judge the side of the knee.

    Args:
        lateralities: Laterality codes by attribute name.
        texts: Free texts by what they are called, such as ``"series description"``.

    Returns:
        The side and where it was read; unknown where nothing is stated or two sources disagree.
    """
    statements = _most_specific({**_from_codes(lateralities), **_from_texts(texts)})
    if not statements:
        return Side.UNKNOWN, NOT_STATED
    sides = set(statements.values())
    if len(sides) == 1 and Side.UNKNOWN not in sides:
        return sides.pop(), ", ".join(statements)
    said = ", ".join(f"{source} says {_said(side)}" for source, side in statements.items())
    return Side.UNKNOWN, said if len(sides) == 1 else f"conflict: {said}"


def side_in_text(text: str) -> Side | None:
    """Find the side in a free text.

    Args:
        text: English, German, French or Chinese.

    Returns:
        The side, ``Side.UNKNOWN`` where both sides are named, None where none is.
    """
    plain = _SEPARATORS.sub(" ", _DIRECTION.sub(" ", text))
    named = {side for side, pattern in _PATTERNS.items() if pattern.search(plain)}
    if _BOTH.search(plain) or len(named) > 1:
        return Side.UNKNOWN
    return named.pop() if named else None


def _from_codes(lateralities: Mapping[str, str]) -> dict[str, Side]:
    """Translate laterality codes; U (unpaired) states nothing."""
    known = {attribute: code for attribute, code in lateralities.items() if code == "B" or code in _SIDE_OF_CODE}
    return {attribute: _SIDE_OF_CODE.get(code, Side.UNKNOWN) for attribute, code in known.items()}


def _from_texts(texts: Mapping[str, str]) -> dict[str, Side]:
    """Find the sides in free texts."""
    found = {name: side_in_text(text) for name, text in texts.items()}
    return {name: side for name, side in found.items() if side is not None}


def _most_specific(statements: dict[str, Side]) -> dict[str, Side]:
    """Leave out that the study is of both sides where the series says which one it is."""
    of_series = {source: side for source, side in statements.items() if source not in _ABOUT_THE_STUDY}
    of_study = {source: side for source, side in statements.items() if source in _ABOUT_THE_STUDY}
    if of_series:
        of_study = {source: side for source, side in of_study.items() if side is not Side.UNKNOWN}
    return {**of_series, **of_study}


def _said(side: Side) -> str:
    """Name a stated side."""
    return "both sides" if side is Side.UNKNOWN else side.value
