"""A small made-up knee and the answers about it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kneeage.core.anatomy import Label, Plane, Sex, Side
from kneeage.core.result import (
    AgeProbability,
    BundleReport,
    Interval,
    LikelihoodRatio,
    Outcome,
    PlateReport,
    PriorReport,
    QualityReport,
    Reason,
    ReasonCode,
    Result,
    SeriesReport,
    SoftwareReport,
    SubjectReport,
    ThresholdDecision,
    ThresholdReport,
)
from kneeage.core.volume import Volume
from kneeage.report.panels import Shown

VIRTUAL_REASON = "the bundle was trained on a virtual cohort and says nothing about a real subject"
COLUMNS, ROWS, SLICES = 160, 192, 12


def knee_labels() -> np.ndarray:
    """Draw a femur above a tibia in coronal slices (I, J, K), the femoral plate half open, the tibial one a scar."""
    labels = np.zeros((COLUMNS, ROWS, SLICES), np.uint8)
    middle = slice(2, 10)
    labels[40:120, 10:60, middle] = Label.DISTAL_FEMUR_METAPHYSIS
    labels[35:125, 63:92, middle] = Label.DISTAL_FEMUR_EPIPHYSIS
    labels[40:80, 60:63, middle] = Label.DISTAL_FEMUR_PHYSIS
    labels[80:120, 60:63, middle] = Label.DISTAL_FEMUR_PHYSEAL_SCAR
    labels[38:122, 97:118, middle] = Label.PROXIMAL_TIBIA_EPIPHYSIS
    labels[42:118, 118:120, middle] = Label.PROXIMAL_TIBIA_PHYSEAL_SCAR
    labels[45:115, 120:180, middle] = Label.PROXIMAL_TIBIA_METAPHYSIS
    labels[18:34, 115:180, 6:10] = Label.PROXIMAL_FIBULA
    return labels[None]


def coronal_affine(slice_to_back: bool = True) -> np.ndarray:
    """Give the affine of a grid whose columns go left and rows down, 0.8 mm in plane and 3.5 mm between slices."""
    back = -3.5 if slice_to_back else 3.5
    return np.array([[-0.8, 0, 0, 64], [0, 0, back, 20], [0, -0.8, 0, 76], [0, 0, 0, 1]], float)


@pytest.fixture(scope="session")
def labels() -> Volume:
    """The labels of the knee."""
    return Volume(knee_labels(), coronal_affine())


@pytest.fixture(scope="session")
def image(labels: Volume) -> Volume:
    """The picture of the knee: bright bones, dark plates, some noise."""
    grey = np.full(labels.array.shape, 60.0)
    grey[labels.array > 0] = 200
    grey[np.isin(labels.array, (1, 2, 9, 10))] = 90
    noise = np.random.default_rng(7).normal(0, 8, grey.shape)
    return Volume((grey + noise).astype(np.float32), labels.affine)


@pytest.fixture(scope="session")
def shown(image: Volume, labels: Volume) -> Shown:
    """Both, as the documents show them."""
    return Shown(image, labels, Plane.CORONAL)


@pytest.fixture(scope="session")
def unlabelled(image: Volume, labels: Volume) -> Shown:
    """The picture where nothing was labelled."""
    return Shown(image, labels.with_array(np.zeros_like(labels.array)), Plane.CORONAL)


def age_bins(mode: float = 16.5) -> list[AgeProbability]:
    """Give a bell of half-year bins from 8 to 26 years."""
    ages = np.arange(8, 26, 0.5)
    weights = np.exp(-0.5 * ((ages + 0.25 - mode) / 1.4) ** 2)
    return [AgeProbability(age_years=a, probability=p) for a, p in zip(ages, weights / weights.sum(), strict=True)]


def thresholds(reason: str, decision: ThresholdDecision) -> list[ThresholdReport]:
    """Give the statements about 12, 14, 16 and 18 years."""
    values = {12.0: (0.9994, None), 14.0: (0.951, 48.2), 16.0: (0.61, 2.4), 18.0: (0.11, 0.00004)}
    return [
        ThresholdReport(
            age_years=age,
            probability_at_least=probability,
            likelihood_ratio=LikelihoodRatio(value=ratio, ages_below=(age - 2, age), ages_above=(age, age + 2)),
            decision=decision,
            decision_reason=reason,
        )
        for age, (probability, ratio) in values.items()
    ]


def series_report(virtual: bool = False, **changes: object) -> SeriesReport:
    """Give the report of a coronal T1 series."""
    values: dict[str, object] = {
        "source_format": "dicom",
        "series_uid": "1.2.826.0.1.3680043.8.498.1",
        "study_uid": "1.2.826.0.1.3680043.8.498.2",
        "description": "T1 TSE COR",
        "plane": Plane.CORONAL,
        "weighting": "T1",
        "fat_suppressed": False,
        "side": Side.RIGHT,
        "side_source": "Laterality",
        "shape": (COLUMNS, ROWS, SLICES),
        "spacing_mm": (0.8, 0.8, 3.5),
        "field_strength_tesla": 3.0,
        "manufacturer": "Example",
        "virtual": virtual,
        "pixel_sha256": "ab" * 32,
        "rank_reasons": ["coronal plane", "T1 weighting from TR 581 ms and TE 20 ms"],
    }
    return SeriesReport.model_validate(values | changes)


def software() -> SoftwareReport:
    """Give what ran."""
    return SoftwareReport(
        kneeage="0.1.0", python="3.11.7", onnxruntime="1.20.0", result_created_utc="2025-11-22T16:21:05+00:00"
    )


def bundle(population: str = "virtual") -> BundleReport:
    """Give a bundle."""
    return BundleReport(name="virtual-knee", version="0.1.0", population=population, sha256="cd" * 32)


@pytest.fixture
def estimated() -> Result:
    """An estimate by the virtual bundle on an image of a scanner."""
    return Result(
        outcome=Outcome.ESTIMATED,
        subject=SubjectReport(sex=Sex.MALE, question="At least 18?", legal_basis="§ 42f", claimed_age_years=15.5),
        series=series_report(),
        quality=QualityReport(
            slices=12, slices_over_femoral_site=8, slices_over_tibial_site=8, side_from_fibula=Side.RIGHT
        ),
        plates={
            "distal_femur": PlateReport(found=True, openness=0.5, thickness_mm=2.4, area_mm2=1230.4, volume_mm3=2950.0),
            "proximal_tibia": PlateReport(found=True, openness=0.0),
        },
        estimated_age_years=16.5,
        interval_years=[
            Interval(
                level=0.95, low=13.97, high=19.31, method="central credible interval of the posterior, uncalibrated"
            )
        ],
        age_distribution=age_bins(),
        class_probabilities={"<10": 0.0001, **{str(n): 0.1 for n in range(10, 19)}, ">=19": 0.0999},
        thresholds=thresholds(VIRTUAL_REASON, ThresholdDecision.UNDETERMINED),
        prior=PriorReport(name="uniform:8-26", low_years=8, high_years=26),
        bundle=bundle(),
        software=software(),
        warnings=["the series looks fat-suppressed; growth plates are judged on series without fat suppression"],
    )


@pytest.fixture
def abstained(estimated: Result) -> Result:
    """An abstention because the tibial plate was not seen."""
    reason = Reason(
        code=ReasonCode.PLATE_SITE_NOT_SEEN,
        message="the proximal tibia was seen, but not the site of its growth plate, open or closed",
    )
    return Result(
        outcome=Outcome.ABSTAINED,
        reasons=[reason],
        subject=estimated.subject,
        series=estimated.series,
        quality=estimated.quality,
        bundle=estimated.bundle,
        software=estimated.software,
    )


@pytest.fixture
def changed(estimated: Result) -> Callable[..., Result]:
    """Change parts of the estimate."""

    def change(**changes: object) -> Result:
        return estimated.model_copy(update=changes)

    return change


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was printed as a box, since no typeface had it."""
    pytest.importorskip("weasyprint")
    printed: list[str] = []

    class Note:
        def warning(self, words: str, *values: object) -> None:
            printed.append(words % values)

    monkeypatch.setattr("weasyprint.draw.text.LOGGER", Note())
    return printed
