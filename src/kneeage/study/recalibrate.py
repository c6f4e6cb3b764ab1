"""Recalibrate a bundle on a local sample: its networks stay, what is concluded from them is fitted anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kneeage.cohort.folder import Cohort, read_cohort
from kneeage.cohort.table import SubjectEntry
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.core.manifest import BUNDLE_SCHEMA_VERSION, BundleManifest, Lineage
from kneeage.core.result import Result
from kneeage.decide.posterior import FloatArray
from kneeage.decide.question import Question
from kneeage.io.bundle import CARD_FILE, Bundle, load_bundle, write_bundle
from kneeage.io.output import require_free
from kneeage.pipeline import Examiner
from kneeage.study.local_fit import (
    LocalSubject,
    before_and_after,
    cross_validated,
    fit_local,
    require_enough,
    with_errors,
)

Advance = Callable[[int, int], None]
_SMALLEST = 1e-300


@dataclass(frozen=True)
class Recalibration:
    """What came of a recalibration.

    Args:
        manifest: Of the new bundle; its lineage holds the numbers before and after.
        examined: Subjects of the sample.
        left_out: How many of them had no answer from the bundle.
    """

    manifest: BundleManifest
    examined: int
    left_out: int


def recalibrate(
    bundle: Path,
    cohort: Path,
    output: Path,
    *,
    limit: float | None = None,
    threads: int | None = None,
    advance: Advance = lambda _done, _total: None,
) -> Recalibration:
    """Recalibrate a bundle and write the new one.

    Args:
        bundle: The parent bundle.
        cohort: Cohort of local subjects with known ages, none of whom trained the bundle.
        output: New folder.
        limit: What the upper 95 % Wilson bound of either error of a decision stays under, 0 to 1; that of the parent
            when None.
        threads: Threads of each network; None: every core this process may use.
        advance: Told how many subjects are done, and of how many.

    Raises:
        UsageError: The limit is no share between 0 and 1.
        InputRefusedError: The cohort cannot be read, or too few subjects have an answer.
        BundleError: The bundle cannot be used.
        OutputError: The folder is taken, or cannot be written.
    """
    if limit is not None and not 0 < limit < 1:
        raise UsageError(f"the limit is {limit:g}; it is a share between 0 and 1, such as 0.01")
    require_free(output)
    parent, local = load_bundle(bundle), read_cohort(cohort)
    subjects = answers(Examiner(parent, threads), local, advance)
    require_enough(subjects, len(local.entries))
    manifest = recalibrated(parent, subjects, limit)
    write_bundle(output, manifest, parent.files(), _card(parent, manifest))
    return Recalibration(manifest, len(local.entries), len(local.entries) - len(subjects))


def recalibrated(parent: Bundle, subjects: Sequence[LocalSubject], limit: float | None = None) -> BundleManifest:
    """Fit a bundle to local subjects and write down where it comes from; ``limit`` as in `recalibrate`."""
    policy = parent.manifest.policy
    limited = policy if limit is None else policy.model_copy(update={"limit": limit})
    asked = parent.manifest.model_copy(update={"policy": limited})
    folds = cross_validated(asked, subjects)
    before, after = before_and_after(asked, subjects, folds)
    lineage = Lineage(
        parent_name=parent.manifest.name,
        parent_version=parent.manifest.version,
        parent_sha256=parent.sha256,
        subjects=len(subjects),
        subjects_sha256=_subjects_sha256(subjects),
        before={name: round(value, 4) for name, value in before.items() if np.isfinite(value)},
        after={name: round(value, 4) for name, value in after.items() if np.isfinite(value)},
    )
    fitted = fit_local(asked, subjects)
    counted = {"policy": with_errors(fitted.policy, folds)}
    named = {"name": f"{parent.manifest.name}-recalibrated", "schema_version": BUNDLE_SCHEMA_VERSION}
    return fitted.model_copy(update={**named, **counted, "lineage": lineage})


def answers(examiner: Examiner, cohort: Cohort, advance: Advance = lambda _done, _total: None) -> list[LocalSubject]:
    """Ask a bundle about every subject of a cohort, the way it is served, but for height and weight.

    Interval and decision rest on readings without these.

    Args:
        examiner: The bundle.
        cohort: The subjects.
        advance: Told how many are done, and of how many.

    Returns:
        Those with an answer; who is refused or abstained from is left out.
    """
    found = []
    for done, entry in enumerate(cohort.entries, 1):
        if (subject := _answer(examiner, cohort, entry)) is not None:
            found.append(subject)
        advance(done, len(cohort.entries))
    return found


def likelihood_of(result: Result, manifest: BundleManifest) -> FloatArray | None:
    """Read the log-likelihood back off an answer under the reference prior, shape (bins,); None without an answer."""
    if not result.age_distribution:
        return None
    masses = np.array([each.probability for each in result.age_distribution])
    return np.asarray(np.log(np.maximum(masses, _SMALLEST)) - np.log(np.diff(manifest.age_edges_years)))


def _answer(examiner: Examiner, cohort: Cohort, entry: SubjectEntry) -> LocalSubject | None:
    """Ask about one subject; None where there is no answer."""
    edges = examiner.manifest.age_edges_years
    question = Question(sex=entry.sex, prior=f"uniform:{edges[0]!r}-{edges[-1]!r}")
    try:
        result = examiner.examine(cohort.series(entry), question).result
    except InputRefusedError:
        return None
    likelihood = likelihood_of(result, examiner.manifest)
    if likelihood is None:
        return None
    return LocalSubject(entry.subject_id, entry.sex, entry.chronological_age_years, likelihood)


def _subjects_sha256(subjects: Sequence[LocalSubject]) -> str:
    """Hash the sorted subject ids."""
    listing = "\n".join(sorted(subject.subject_id for subject in subjects))
    return hashlib.sha256(listing.encode()).hexdigest()


def _card(parent: Bundle, manifest: BundleManifest) -> str:
    """Write the model card: what changed, then the parent's card."""
    lineage, calibration = manifest.lineage, manifest.calibration
    if lineage is None:
        raise ValueError("a recalibrated bundle has a lineage")
    rows = "\n".join(
        f"| {name} | {value:g} | {_said(lineage.after.get(name))} |" for name, value in lineage.before.items()
    )
    return _CARD.format(
        name=manifest.name,
        parent=f"{lineage.parent_name} {lineage.parent_version}",
        sha256=lineage.parent_sha256,
        subjects=lineage.subjects,
        location=calibration.location_years,
        scale=calibration.scale,
        rows=rows,
        parent_card=parent.model_bytes(CARD_FILE).decode("utf-8"),
    )


def _said(value: float | None) -> str:
    """Write a number; one that a fold had nobody for is not there."""
    return "" if value is None else f"{value:g}"


_CARD = """# {name}: {parent}, recalibrated on a local sample

The networks are those of {parent} (SHA256SUMS {sha256}). On {subjects} local subjects these were fitted anew: location
({location:+.3f} years) and scale ({scale:.3f}) of the age axis, the conformal scores, and the threshold rule where the
sample was large enough; elsewhere the rule was withdrawn. Reference subjects for minimum ages, stages and the
population of the networks are still the parent's, and the numbers in its card below were measured before.

| on the local sample | before | after, cross-validated |
|---|---|---|
{rows}

---

{parent_card}"""
