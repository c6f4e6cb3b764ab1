"""The bundle that ships, from seeds: networks, then everything that is fitted after them but the threshold rule.

The networks and the regions of the cohorts lie in the work folder (``kneeage.learn.virtual_bundle``), and so do the
pictures of the reference knees; what else follows takes minutes and is done anew every time. The rule is tuned on the
finished bundle (``kneeage.study.virtual_rule``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, Sex
from kneeage.core.manifest import BundleManifest, Calibration, GrowthLimit
from kneeage.core.result import PlateReport
from kneeage.decide.prior import training_prior
from kneeage.infer.engine import Network
from kneeage.infer.growth_limits import fit_growth_limits
from kneeage.infer.novelty import fit_novelty
from kneeage.infer.quality import ImageQuality, fit_quality_limits
from kneeage.io.bundle import DATASHEET_FILE, write_bundle
from kneeage.learn.calibrate import fit_temperature, fit_thickness, true_places
from kneeage.learn.judge import Judged, Told, graded, judge, load_networks
from kneeage.learn.progress import Counting, uncounted
from kneeage.learn.virtual_bundle import VirtualBundleSettings, train_virtual_networks, virtual_manifest
from kneeage.learn.virtual_regions import Facts, read_facts
from kneeage.phantom.anatomy.findings import FindingKind
from kneeage.study.conformal import fit_conformal
from kneeage.study.held_out import held_out_numbers
from kneeage.study.model_card import datasheet, model_card
from kneeage.study.predicted import Predicted, predicted
from kneeage.study.reference_knees import REFERENCE_KNEES_FILE, make_reference_knees
from kneeage.study.references import Graded, fit_references

# Cohorts of uniform ages whose plates were drawn by a segmenter that never saw them.
_UNIFORM = ("training", "validation", "calibration")
_BLIND = Told(sex=False)
# Knees with such a finding set no limit of quality: a limit on metal is to be passed by metal.
_METAL = {FindingKind.METAL_VOID.value}
# Stages that a drawn plate may be graded off: a gap of a few columns makes an open plate a bridged one. Source: ours.
_GRADED_OFF = 1
# Folder of the reference knees' pictures in the work folder.
_PICTURES = "reference_knees"


@dataclass(frozen=True, eq=False)
class Material:
    """A work folder's cohorts, read by its networks.

    Args:
        work: The work folder.
        networks: Its age networks.
        counting: Shows how far their reading is.
    """

    work: Path
    networks: Sequence[Network]
    counting: Counting = uncounted

    def judged(self, cohort: str, manifest: BundleManifest, told: Told | None = None) -> Judged:
        """Let the networks judge a cohort."""
        with self.counting(f"Reading ages, {cohort} cohort") as tell:
            return judge(self.work / cohort, self.networks, manifest, told or Told(), tell)

    def predictions(self, cohort: str, manifest: BundleManifest) -> list[Predicted]:
        """Give what is said of a cohort's subjects, with their sex and without."""
        both = []
        for told in (Told(), _BLIND):
            found = self.judged(cohort, manifest, told)
            both += predicted(found.log_likelihoods, found.ages_years, found.sexes, manifest, sex_given=told.sex)
        return both

    @cached_property
    def uniform_facts(self) -> list[Facts]:
        """Facts of the subjects of uniform ages whose plates were seen."""
        everyone = [known for cohort in _UNIFORM for known in read_facts(self.work / cohort)]
        return [known for known in everyone if known["slices"]]


def make_virtual_bundle(
    folder: Path, work: Path, settings: VirtualBundleSettings | None = None, counting: Counting = uncounted
) -> BundleManifest:
    """Make the bundle from seeds, without a tuned threshold rule.

    Args:
        folder: Folder of the bundle; one that lies there is replaced.
        work: Folder of what is made on the way; a broken-off run goes on from it.
        settings: How large everything is; that of the shipped bundle when None.
        counting: Shows how far each part is.

    Returns:
        The manifest of the bundle that was written.

    Raises:
        UsageError: The work folder holds runs with other settings, other subjects, or another segmenter's regions.
        InputRefusedError: The segmenter found no plates in a cohort.
        OutputError: A folder cannot be written.
        WorkerError: A process died.
    """
    settings = settings or VirtualBundleSettings()
    files = train_virtual_networks(work, settings, counting=counting)
    with counting("Painting the reference knees") as tell:
        files[REFERENCE_KNEES_FILE] = make_reference_knees(work / _PICTURES, workers=settings.workers, tell=tell)
    manifest = _with(virtual_manifest(work, settings), reference_knees=REFERENCE_KNEES_FILE)
    material = Material(work, load_networks(work, manifest, settings.workers), counting)
    manifest = fitted(material, manifest)
    numbers = held_out_numbers(manifest, material.judged("test", manifest), read_facts(work / "test"))
    manifest = manifest.model_copy(update={"held_out": numbers})
    write_bundle(folder, manifest, files | {DATASHEET_FILE: datasheet(manifest).encode()}, model_card(manifest))
    return manifest


def fitted(material: Material, manifest: BundleManifest) -> BundleManifest:
    """Fit all that is fitted after the networks but the threshold rule.

    Args:
        material: Cohorts and networks.
        manifest: Of a bundle of which nothing is fitted yet.
    """
    manifest = _with(manifest, calibration=fit_sharpness(material, manifest))
    manifest = _with(manifest, **_limits(material, manifest))
    # Intervals are fitted last, on whom these limits let through, as they are served.
    calibration_subjects = material.predictions("calibration", manifest)
    source = "a fresh virtual cohort of uniform ages"
    conformal = fit_conformal(calibration_subjects, manifest, source=source)
    return _with(manifest, calibration=manifest.calibration.model_copy(update={"conformal": conformal}))


def fit_sharpness(material: Material, manifest: BundleManifest) -> Calibration:
    """Fit temperature and thickness on the calibration cohort."""
    found = material.judged("calibration", manifest)
    log_posteriors = found.log_likelihoods + np.log(training_prior(manifest).masses)
    log_posteriors -= np.logaddexp.reduce(log_posteriors, axis=1, keepdims=True)
    return Calibration(
        temperature=fit_temperature(log_posteriors, true_places(found.ages_years, manifest.age_edges_years)),
        subjects=len(found.facts),
        thickness=fit_thickness(read_facts(material.work / "calibration")),
    )


def _limits(material: Material, manifest: BundleManifest) -> dict[str, object]:
    """Fit what serving compares a subject with: references, growth, novelty, quality."""
    facts = material.uniform_facts
    knees = [graded(known, manifest.calibration) for known in facts]
    training, held_out = material.judged("training", manifest), material.judged("validation", manifest)
    others = material.judged("calibration", manifest).features
    clean = [ImageQuality(**known["quality"]) for known in facts if not _METAL & {*known["findings"]}]
    found: dict[str, object] = {
        "references": fit_references(
            [_graded(known, knee) for known, knee in zip(facts, knees, strict=True)],
            system="dedouit",
            population="virtual knees",
            ages_years=manifest.age_range_years,
        ),
        "growth_limits": _growth_limits(read_facts(material.work / "calibration")),
        "quality_limits": fit_quality_limits(clean),
    }
    if training.features is not None and held_out.features is not None and others is not None:
        found["novelty"] = fit_novelty(training.features, np.concatenate([held_out.features, others]))
    return found


def _growth_limits(facts: Sequence[Facts]) -> list[GrowthLimit]:
    """Set how far two plates may differ, by true plates; a drawn one may be graded a stage too high or too low."""
    return [
        limit.model_copy(update={"low": limit.low - _GRADED_OFF, "high": limit.high + _GRADED_OFF})
        if limit.measure == "stage"
        else limit
        for limit in fit_growth_limits(_true_pairs(facts))
    ]


def _true_pairs(facts: Sequence[Facts]) -> list[tuple[PlateReport, PlateReport]]:
    """Give both plates of each subject as they are: growth sets these limits, and not what a segmenter makes of it."""
    return [
        (_true_plate(known, DISTAL_FEMUR.name), _true_plate(known, PROXIMAL_TIBIA.name))
        for known in facts
        if known["slices"]
    ]


def _true_plate(known: Facts, site: str) -> PlateReport:
    """Give a plate as measured on the true labels, with its true stage."""
    stages = {"stages": known["true_stages"][site]}
    return PlateReport.model_validate(known["plates"][site]["true"] | stages)


def _graded(known: Facts, knee: dict[str, PlateReport]) -> Graded:
    """Name the finding of a reference subject."""
    femur, tibia = (knee[site.name].stages.dedouit for site in (DISTAL_FEMUR, PROXIMAL_TIBIA))
    return Graded(known["chronological_age_years"], Sex(known["sex"]), str(femur), str(tibia))


def _with(manifest: BundleManifest, **changes: object) -> BundleManifest:
    """Give a manifest with changes."""
    return manifest.model_copy(update=changes)
