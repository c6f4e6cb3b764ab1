"""A made-up answer in which every part of the result is filled."""

from __future__ import annotations

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BodyRange, BundleManifest
from kneeage.core.result import (
    CovariateReport,
    ErrorRate,
    Interval,
    LikelihoodRatio,
    MinimumAge,
    NoveltyReport,
    PriorEffect,
    Result,
    SkeletalStages,
    SummaryQuantity,
    ThresholdDecision,
    ThresholdErrors,
)
from kneeage.core.volume import Volume
from kneeage.decide import policy
from kneeage.decide.policy import Limits
from kneeage.infer.explain import Explanation
from kneeage.io.bundle import load_bundle
from kneeage.report.html import Backing
from kneeage.report.reference import ReferenceKnee

CREDIBLE = (
    "central credible interval of the posterior, its sharpness fitted on 4000 virtual calibration subjects; "
    "coverage not guaranteed"
)
CONFORMAL = (
    "conformal, fitted on 512 virtual calibration subjects of like sex and maturity; holds on average over such "
    "subjects, not for one person"
)
DEFINITION = (
    "youngest reference subject (virtual knees, male, 8 to 26 years) with Dedouit stage IV of the distal femur and V "
    "of the proximal tibia"
)


def rate(errors: int, subjects: int) -> ErrorRate:
    """Give a share with a plausible interval."""
    share = errors / subjects
    return ErrorRate(
        errors=errors,
        subjects=subjects,
        share=share,
        low=max(share - 0.01, 0.0),
        high=min(share + 0.013, 1.0),
    )


def counted(undetermined: int) -> ThresholdErrors:
    """Give the counted errors of one threshold."""
    return ThresholdErrors(
        sex=Sex.MALE,
        limit=0.01,
        false_adult=rate(2, 731),
        false_adult_all_minors=rate(2, 3104),
        false_minor=rate(4, 702),
        undetermined=rate(undetermined, 1433),
        reference_undetermined={"a": rate(1010, 1433), "b": rate(1175, 1433)},
    )


def effect(prior: str, age: float) -> PriorEffect:
    """Give the answer under another prior."""
    interval = Interval(level=0.95, low=age - 2.34, high=age + 2.81, method=CREDIBLE)
    shares = {"12": 0.9994, "14": 0.951, "16": 0.61, "18": 0.11}
    return PriorEffect(prior=prior, most_probable_age_years=age, interval=interval, thresholds=shares)


def rich_result(estimated: Result) -> Result:
    """Fill every part of an answer."""
    assert estimated.quality is not None
    novelty = NoveltyReport(distance=14.2, percentile=61, limit=28.4)
    stages = (
        SkeletalStages(dedouit="IV", schmeling_kellinghaus="3b"),
        SkeletalStages(dedouit="V", schmeling_kellinghaus="4"),
    )
    decided = (
        (ThresholdDecision.AT_LEAST, 1.0, 260),
        (ThresholdDecision.AT_LEAST, 0.995, 505),
        (ThresholdDecision.UNDETERMINED, 0.5, 1121),
        (ThresholdDecision.UNDETERMINED, 0.5, 1244),
    )
    return estimated.model_copy(
        update={
            "subject": estimated.subject.model_copy(
                update={
                    "consent": "by the subject and the guardian, in writing",
                    "examiner": "Dr. Example, radiology",
                    "height_cm": 168.0,
                }
            ),
            "quality": estimated.quality.model_copy(
                update={"motion": 0.12, "metal_share": 0.0, "sharpness": 1.84, "novelty": novelty}
            ),
            "plates": {
                name: plate.model_copy(update={"stages": graded})
                for (name, plate), graded in zip(estimated.plates.items(), stages, strict=True)
            },
            "interval_years": [
                Interval(level=0.95, low=14.02, high=19.48, method=CONFORMAL),
                Interval(level=0.95, low=13.97, high=19.31, method=CREDIBLE),
            ],
            "minimum_age_years": MinimumAge(value_years=14.61, quantile_years=14.9, n=412, definition=DEFINITION),
            "summary_quantity": SummaryQuantity.MOST_PROBABLE_AGE,
            "thresholds": [
                threshold.model_copy(
                    update={
                        "decision": decision,
                        "decision_reason": policy._by_probability(p, Limits(0.99, 0.01, calibrated=True))[1],
                        "errors": counted(undetermined),
                    }
                )
                for threshold, (decision, p, undetermined) in zip(estimated.thresholds, decided, strict=True)
            ],
            "likelihood_ratios": [LikelihoodRatio(value=0.31, ages_below=(14, 18), ages_above=(18, 22))],
            "prior_effects": [
                effect("uniform:8-26", 16.5),
                effect("uniform:10-20", 16.5),
                effect("disputed ages (assumed)", 16.8),
            ],
            "covariates": [
                CovariateReport(name="height_cm", value=168.0, used=True, changed_years=-0.31),
                CovariateReport(name="weight_kg", value=None, used=False, note="not known"),
                CovariateReport(name="sequence", value="T1", used=True, changed_years=0.02),
            ],
        }
    )


def manifest() -> BundleManifest:
    """Give the manifest of the bundle that ships."""
    grids = {"field_of_view_mm": (102, 235), "pixel_mm": (0.16, 0.71), "slice_spacing_mm": (2.46, 5.66)}
    bodies = BodyRange(height_cm=(115.4, 193.4), weight_kg=(19.2, 115.9), body_mass_index=(12.07, 36.5))
    return load_bundle().manifest.model_copy(update={"sequences": ["T1"], "body_range": bodies, **grids})


def knees() -> list[ReferenceKnee]:
    """Give reference knees of both sexes from 10 to 20 years."""
    picture = np.tile(np.linspace(0, 255, 300).astype(np.uint8), (270, 1))
    return [ReferenceKnee(float(age), sex, picture) for age in range(10, 21) for sex in Sex]


def explained(labels: Volume, strongest: float = 0.8) -> Explanation:
    """Give the map of an answer that one place moves."""
    moved = np.zeros(labels.array.shape, np.float32)
    moved[0, 40:80, 50:90] = strongest
    return Explanation(labels.with_array(moved), labels.with_array(-2 * moved), strongest, 2 * strongest)


def backing(labels: Volume) -> Backing:
    """Give everything that a report may show beside a result."""
    return Backing(manifest=manifest(), explained=explained(labels), knees=knees())
