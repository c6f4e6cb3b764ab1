"""The best readers on the very subjects of a virtual cohort: what each would say, by the known law of growth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from kneeage.cli.speak import counting
from kneeage.core.anatomy import Sex
from kneeage.learn.virtual_regions import Facts
from kneeage.phantom.cohort.body import Body
from kneeage.phantom.cohort.ceiling import Reader, Seen, World
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.phantom.growth.latents import KneeLatents
from kneeage.phantom.growth.law import PLATES, Covariates, FloatArray, GrowthTable, Latents, normal_score
from kneeage.phantom.growth.measured import measure
from kneeage.study.ceiling_policy import read_seen
from kneeage.study.predicted import Predicted

PRESET = PRESETS["forensic"]
# Of the errors of measurement of reader (c), which are drawn. Source: ours.
_SEED = 0


def seen(facts: Sequence[Facts], table: GrowthTable = PRESET.growth) -> Seen:
    """Collect all that there is to know of subjects.

    Args:
        facts: Of ``kneeage.learn.virtual_regions``.
        table: The law that they grew by.
    """
    ages = _ages(facts)
    female = np.array([known["sex"] == Sex.FEMALE.value for known in facts])
    scores = (
        normal_score(np.array([known["percentiles"][name] for known in facts]), table) for name in ("height", "weight")
    )
    covariates = Covariates(female, *scores)
    latents = _latents(facts)
    drawn = measure(latents, np.random.default_rng(_SEED))
    return Seen(latents | drawn, covariates, Body.of(ages, covariates))


def read(reader: Reader, facts: Sequence[Facts], edges_years: Sequence[float]) -> list[Predicted]:
    """Let a reader say the ages of subjects, under the reference prior.

    Args:
        reader: What is known.
        facts: The subjects.
        edges_years: Edges of the age bins.
    """
    with counting(f"Reading as the reader of {reader.value}") as advance:
        return read_seen(reader, seen(facts), _ages(facts), World.of(PRESET), edges_years, advance)


def _ages(facts: Sequence[Facts]) -> FloatArray:
    """Collect the chronological ages, shape (n,)."""
    return np.array([known["chronological_age_years"] for known in facts])


def _latents(facts: Sequence[Facts]) -> Latents:
    """Collect the latents by the names that the law has for them, arrays of shape (n,)."""
    own = [each.name for each in fields(KneeLatents) if each.name not in PLATES]
    latents = {name: np.array([fact["latents"][name] for fact in facts]) for name in own}
    for plate in PLATES:
        for part in facts[0]["latents"][plate]:
            latents[f"{plate}.{part}"] = np.array([fact["latents"][plate][part] for fact in facts])
    return latents
