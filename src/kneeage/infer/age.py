"""From regions around the plates to the likelihood of each age bin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import Sex
from kneeage.core.errors import BundleError
from kneeage.core.manifest import AgeStage, BundleManifest
from kneeage.core.result import PlateReport
from kneeage.decide.prior import training_prior
from kneeage.infer.engine import FloatArray32, Network
from kneeage.infer.facts import SEX_VALUE, facts_row, plate_facts, subject_facts

# Inputs of an age network that answers slice by slice.
AGE_INPUTS = ("image", "sex")
# Inputs and outputs of one that pools the slices itself.
POOLED_INPUTS, POOLED_OUTPUTS = ("image", "facts"), ("logits", "features")

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class AgeFacts:
    """What is known of a subject beside the image.

    Args:
        sex: Sex; None: not given.
        height_cm: Height; None: not given.
        weight_kg: Weight; None: not given.
        weighting: ``"T1"``, ``"PD"`` or ``"T2"``; None: not known.
        plates: Measurements of both plates as drawn, by the name of the site.
    """

    sex: Sex | None = None
    height_cm: float | None = None
    weight_kg: float | None = None
    weighting: str | None = None
    plates: Mapping[str, PlateReport] = field(default_factory=dict)

    @property
    def as_calibrated(self) -> AgeFacts:
        """The same without height and weight, as calibration subjects are read: limits were tuned on such readings."""
        return replace(self, height_cm=None, weight_kg=None)

    def row(self, names: Sequence[str], sex: Sex) -> FloatArray32:
        """Give the ``facts`` input of a network for one sex, float32 (1, F)."""
        known = subject_facts(sex, height_cm=self.height_cm, weight_kg=self.weight_kg, weighting=self.weighting)
        return facts_row(names, known | plate_facts(self.plates))


@dataclass(frozen=True, eq=False)
class AgeReading:
    """What the age networks see.

    Args:
        log_likelihood: Log-likelihood of each age bin up to a constant, shape (bins,).
        features: What the novelty of the image is judged on, of all networks one after the other, shape (D,); None
            where the bundle's network gives none.
    """

    log_likelihood: FloatArray
    features: FloatArray | None


def age_inputs(stage: AgeStage) -> tuple[str, ...]:
    """Name the inputs of a stage's networks."""
    return POOLED_INPUTS if stage.slice_pooling == "in_graph" else AGE_INPUTS


def age_outputs(stage: AgeStage) -> tuple[str, ...]:
    """Name the outputs of a stage's networks."""
    return POOLED_OUTPUTS if stage.slice_pooling == "in_graph" else ("logits",)


def read_age(
    networks: Sequence[Network], regions: FloatArray32, facts: AgeFacts, manifest: BundleManifest
) -> AgeReading:
    """Read the age off the regions.

    A network's softmax is a posterior under its training ages; dividing by the share of training subjects in each bin
    leaves the likelihood. A bin without training subjects has none (minus infinity).

    Args:
        networks: The age networks; the mean of their probabilities counts.
        regions: Float32 (S, 3, rows, columns), one per slice through the sites.
        facts: What is known beside the image. Without a sex: the mean over the sexes of the bundle, each as credible
            as the other.
        manifest: The bundle's manifest.

    Raises:
        BundleError: A network answers in another shape than the manifest says.
    """
    sexes = list(manifest.sexes) if facts.sex is None else [facts.sex]
    read = [_posterior(networks, regions, facts, sex, manifest) for sex in sexes]
    log_posterior = np.logaddexp.reduce([log_shares for log_shares, _ in read], axis=0)
    features = [given for _, given in read if given is not None]
    trained = np.array(training_prior(manifest).masses)
    divided = log_posterior - np.log(np.where(trained > 0, trained, 1.0))
    return AgeReading(np.where(trained > 0, divided, -np.inf), np.mean(features, axis=0) if features else None)


def _posterior(
    networks: Sequence[Network], regions: FloatArray32, facts: AgeFacts, sex: Sex, manifest: BundleManifest
) -> tuple[FloatArray, FloatArray | None]:
    """Give log-probabilities under the training ages, shape (bins,), and features where there are any."""
    if manifest.age.slice_pooling == "in_graph":
        answers = [_pooled(network, regions, facts, sex, manifest) for network in networks]
        log_shares = np.logaddexp.reduce([_normalised(logits) for logits, _ in answers], axis=0)
        features = np.concatenate([each for _, each in answers])
    else:
        log_shares, features = _slice_by_slice(networks[0], regions, sex, manifest), None
    return _normalised(log_shares / manifest.calibration.temperature), features


def _pooled(
    network: Network, regions: FloatArray32, facts: AgeFacts, sex: Sex, manifest: BundleManifest
) -> tuple[FloatArray, FloatArray]:
    """Run a network that pools the slices itself: logits (bins,) and features (D,)."""
    known = facts.row(manifest.age.fact_names, sex)
    logits, features = network.answer({"image": regions, "facts": known}, POOLED_OUTPUTS)
    _require_bins(logits, 1, manifest)
    return logits[0].astype(np.float64), features[0].astype(np.float64)


def _slice_by_slice(network: Network, regions: FloatArray32, sex: Sex, manifest: BundleManifest) -> FloatArray:
    """Run a network that answers for each slice; mean of the logits, shape (bins,)."""
    sexes = np.full((len(regions), 1), SEX_VALUE[sex], dtype=np.float32)
    logits = network.run({"image": regions, "sex": sexes})
    _require_bins(logits, len(regions), manifest)
    return np.asarray(logits.astype(np.float64).mean(axis=0))


def _normalised(logits: FloatArray) -> FloatArray:
    """Make the probabilities of logits (bins,) add up to one."""
    return np.asarray(logits - np.logaddexp.reduce(logits))


def _require_bins(logits: FloatArray32, rows: int, manifest: BundleManifest) -> None:
    """Refuse an answer of another shape than the manifest says."""
    bins = len(manifest.age_edges_years) - 1
    if logits.shape != (rows, bins):
        raise BundleError(
            f"the age network must answer with {bins} bins for each of {rows} slices; it answered with the "
            f"shape {logits.shape}; make the bundle anew"
        )
