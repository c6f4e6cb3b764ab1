"""What studies saw of the closure of growth plates: every row that simulated populations are compared with.

No row is a mean age of the subjects in a stage: such a mean depends on who was examined, not on growth alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from kneeage.core.anatomy import Sex
from kneeage.phantom.growth.stages import Dedouit, SchmelingKellinghaus
from kneeage.phantom.growth.table import Tag

Stage = Dedouit | SchmelingKellinghaus


class Relation(str, Enum):
    """How a published age stands to the youngest subject of a stage."""

    IS = "is"
    NOT_BEFORE = "not before"
    BEFORE = "before"


@dataclass(frozen=True)
class Study:
    """Who was examined: a number of subjects of one sex, ages taken as uniform over the range.

    Args:
        name: First author and year, or what it is called.
        subjects: Number of subjects of this sex.
        ages_years: Youngest and oldest.
        sex: Their sex.
        tag: How its figures are known.
        later_years: Least and most by which this study's images call a plate closed later than T1 does.
    """

    name: str
    subjects: int
    ages_years: tuple[float, float]
    sex: Sex
    tag: Tag
    later_years: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class YoungestRow:
    """The youngest subject that a study saw in a stage, or in this and later ones."""

    study: Study
    plate: str
    stage: Stage
    age_years: float
    relation: Relation = Relation.IS
    and_later: bool = False


@dataclass(frozen=True)
class ClosedRow:
    """The share of subjects of a completed year whose plate was closed."""

    study: Study
    plate: str
    completed_years: int
    share: float


@dataclass(frozen=True)
class AttainmentRow:
    """The age by which a share of subjects has reached a stage or gone beyond it."""

    name: str
    sex: Sex
    plate: str
    stage: Dedouit
    share: float
    age_years: float
    tag: Tag


Row = YoungestRow | ClosedRow | AttainmentRow

_PLATES = ("femur", "tibia")

# Source: Deng 2025, doi 10.1007/s00414-025-03566-3, abstract: youngest at Dedouit's stages I to V.
_DENG = {
    Study("Deng 2025", 371, (10, 30), Sex.MALE, Tag.READ): (
        (10.05, 12.09, 14.78, 15.37, 16.48),
        (10.05, 11.22, 13.64, 15.37, 16.48),
    ),
    Study("Deng 2025", 304, (10, 30), Sex.FEMALE, Tag.READ): (
        (10.54, 12.74, 12.96, 13.66, 15.21),
        (10.60, 10.54, 12.56, 12.96, 15.21),
    ),
}
# Source: Ekizoglu 2020, Int J Legal Med, abstract: youngest at stage 4, sagittal T1 TSE.
_EKIZOGLU = {
    Study("Ekizoglu 2020", 335, (10, 30), Sex.MALE, Tag.READ): (17.0, 15.8),
    Study("Ekizoglu 2020", 314, (10, 30), Sex.FEMALE, Tag.READ): (15.4, 15.1),
}
# Source: Kraemer 2014, doi 10.1007/s00414-014-0967-3, abstract.
_KRAEMER = Study("Kraemer 2014", 166, (10, 30), Sex.MALE, Tag.READ)
_KRAEMER_FEMALES = Study("Kraemer 2014", 124, (10, 30), Sex.FEMALE, Tag.READ)
# Source: Ottow 2017, abstract: 658 Germans of 12 to 24 years; half of them taken as male.
_OTTOW = Study("Ottow 2017", 329, (12, 24), Sex.MALE, Tag.READ)
# Source: Wittschieber 2022, doi 10.1007/s00414-021-02766-x: youngest at Vieth's stage 6, which fluid-sensitive images
# show 0.5 to 2 years after T1 shows fusion.
_WITTSCHIEBER = {
    Study("Wittschieber 2022", 214, (12, 25), Sex.MALE, Tag.READ, (0.5, 2.0)): 20.27,
    Study("Wittschieber 2022", 199, (12, 25), Sex.FEMALE, Tag.READ, (0.5, 2.0)): 18.55,
}
# Source: thesis of M. Auf der Mauer: earliest complete femoral fusion; 185 + 404 series of German males in its project,
# the number behind this figure is not known and taken as 185, ages as 14 to 21.
_AUF_DER_MAUER = Study("Auf der Mauer, thesis", 185, (14, 21), Sex.MALE, Tag.READ)
# Source: Kvist 2021, doi 10.1111/apa.15617: 958 Swedes of 14.0 to 21.5 years; about 64 per sex and year.
_KVIST_PER_YEAR = 64
_KVIST = (
    (Sex.MALE, "femur", 19, 0.97),
    (Sex.MALE, "tibia", 19, 0.95),
    (Sex.FEMALE, "femur", 17, 0.85),
    (Sex.FEMALE, "tibia", 17, 0.97),
)
# Source: Swedish forensic board (50 % at about 18.5, 25 % at about 18.0 years); 3D MEDIC, Turkish (second-hand).
_ATTAINMENT = (
    ("Swedish forensic board", Sex.MALE, "femur", 0.50, 18.5, Tag.READ),
    ("Swedish forensic board", Sex.MALE, "femur", 0.25, 18.0, Tag.READ),
    ("3D MEDIC", Sex.MALE, "femur", 0.50, 17.43, Tag.READ_SECOND_HAND),
    ("3D MEDIC", Sex.FEMALE, "tibia", 0.50, 15.23, Tag.READ_SECOND_HAND),
)
# Source: derived by us from the minimum ages of Deng 2025: median transitions into II, III, IV and V.
_HAN_TRANSITIONS = {"femur": (13.6, 16.3, 16.9, 18.0), "tibia": (12.7, 15.1, 16.9, 18.0)}


def rows() -> tuple[Row, ...]:
    """Give every row that a simulated population is compared with."""
    return (*_deng(), *_stage_4(), *_bounds(), *_vieth(), *_kvist(), *_attainment())


def _deng() -> Iterator[Row]:
    """Youngest per Dedouit stage."""
    for study, plates in _DENG.items():
        for plate, ages in zip(_PLATES, plates, strict=True):
            yield from (YoungestRow(study, plate, stage, age) for stage, age in zip(Dedouit, ages, strict=True))


def _stage_4() -> Iterator[Row]:
    """Youngest at stage 4."""
    for study, ages in _EKIZOGLU.items():
        for plate, age in zip(_PLATES, ages, strict=True):
            yield YoungestRow(study, plate, SchmelingKellinghaus.S4, age)


def _bounds() -> Iterator[Row]:
    """Stages that were not seen, or were seen, before an age."""
    later = Relation.NOT_BEFORE
    yield YoungestRow(_KRAEMER, "femur", SchmelingKellinghaus.S3B, 14.0, later, and_later=True)
    yield YoungestRow(_KRAEMER, "femur", SchmelingKellinghaus.S4, 18.0, later)
    yield YoungestRow(_KRAEMER_FEMALES, "femur", SchmelingKellinghaus.S3C, 14.0, later, and_later=True)
    for plate in _PLATES:
        yield YoungestRow(_OTTOW, plate, SchmelingKellinghaus.S4, 18.0, Relation.BEFORE)
    yield YoungestRow(_AUF_DER_MAUER, "femur", Dedouit.V, 16.3)


def _vieth() -> Iterator[Row]:
    """Youngest whose tibial plate fluid-sensitive images show closed."""
    for study, age in _WITTSCHIEBER.items():
        yield YoungestRow(study, "tibia", Dedouit.V, age)


def _kvist() -> Iterator[Row]:
    """Shares of closed plates."""
    for sex, plate, years, share in _KVIST:
        yield ClosedRow(Study("Kvist 2021", _KVIST_PER_YEAR, (years, years + 1), sex, Tag.READ), plate, years, share)


def _attainment() -> Iterator[Row]:
    """Ages of attainment."""
    for name, sex, plate, share, age, tag in _ATTAINMENT:
        yield AttainmentRow(name, sex, plate, Dedouit.V, share, age, tag)
    for plate, ages in _HAN_TRANSITIONS.items():
        for stage, age in zip(tuple(Dedouit)[1:], ages, strict=True):
            yield AttainmentRow("Han transitions", Sex.MALE, plate, stage, 0.50, age, Tag.DERIVED)
