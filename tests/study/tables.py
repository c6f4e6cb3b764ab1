"""Prediction tables to test on."""

from __future__ import annotations

import numpy as np
from scipy import special

from kneeage.core.anatomy import Sex
from kneeage.study.predictions import NO_SLICE, Group, PredictionRow, Predictions

CLASSES = tuple(range(10, 19))


def row(**changed: object) -> PredictionRow:
    """A sound row, but for what is changed."""
    facts: dict[str, object] = {
        "subject_id": "s1",
        "fold": 0,
        "group": Group.INTERNAL,
        "site": "A",
        "sex": Sex.MALE,
        "chronological_age_years": 14.25,
        "probability": certain(14),
    }
    return PredictionRow(**(facts | changed))  # type: ignore[arg-type]


def certain(age_class: int) -> tuple[float, ...]:
    """All probability on one class."""
    return tuple(float(each == age_class) for each in CLASSES)


def study(
    internal: int = 90, external: int = 45, *, folds: int = 5, slices: int = 0, sharpness: float = 2.0, seed: int = 0
) -> Predictions:
    """A whole study of noisy models: internal subjects in one fold each, external ones in all.

    Args:
        internal: Internal subjects.
        external: External subjects.
        folds: Models.
        slices: Slices per subject; 0: a subject-level table.
        sharpness: How much the true class stands out.
        seed: What it follows from.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(internal + external):
        inside = place < internal
        age = float(CLASSES[place % len(CLASSES)] + rng.random())
        for fold in [place // len(CLASSES) % folds] if inside else range(folds):
            for index in range(slices) if slices else [NO_SLICE]:
                logits = -sharpness * np.abs(np.array(CLASSES) + 0.5 - age - rng.normal(0, 0.8))
                chances = np.exp(logits) / np.exp(logits).sum()
                rows.append(
                    row(
                        subject_id=f"{'ie'[not inside]}{place}",
                        fold=fold,
                        slice_index=index,
                        group=Group.INTERNAL if inside else Group.EXTERNAL,
                        site="A" if inside else "B",
                        chronological_age_years=age,
                        probability=tuple(float(each) for each in chances),
                    )
                )
    return Predictions.of(CLASSES, rows)


def told(counts: tuple[int, ...], recall: float, models: int, rng: np.random.Generator) -> Predictions:
    """Subjects of every class, each told by each model with a probability; what is hard for one is hard for all.

    Args:
        counts: Subjects of each class.
        recall: True recall of every class and model.
        models: How many models.
        rng: Source of the hits.
    """
    true = np.tile(np.repeat(np.arange(len(CLASSES)), counts), models)
    subject, fold = np.tile(np.arange(sum(counts)), models), np.repeat(np.arange(models), sum(counts))
    ease = np.sqrt(0.7) * rng.normal(size=sum(counts))[subject] + np.sqrt(0.3) * rng.normal(size=len(true))
    called = np.where(ease < special.ndtri(recall), true, (true + 1) % len(CLASSES))
    same = np.full(len(true), "x")
    return Predictions(
        classes=CLASSES,
        subject_id=subject.astype(np.str_),
        slice_index=np.full(len(true), NO_SLICE),
        fold=fold,
        group=same,
        site=same,
        sex=same,
        chronological_age_years=CLASSES[0] + true + 0.5,
        probability=np.eye(len(CLASSES))[called],
    )
