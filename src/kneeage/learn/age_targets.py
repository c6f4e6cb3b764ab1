"""What an age model is trained towards, and what its answers are worth: age labels, losses, metrics."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid, nll_loss

from kneeage.learn.settings import Target

# Weights of the squared error of the mean and of the variance, in years squared.
# Source: Pan et al. 2018, doi:10.1109/CVPR.2018.00554, section 4.2 (lambda 1 and 2; classes of one year).
_MEAN_WEIGHT, _VARIANCE_WEIGHT = 0.2, 0.05


def output_count(bins: int, target: Target) -> int:
    """Number of values that a head answers with: one per bin, or one per edge between two bins."""
    return bins - 1 if target == "corn" else bins


def log_probabilities(outputs: Tensor, target: Target) -> Tensor:
    """Turn what a head answers, (N, outputs), into log-probabilities of the bins, (N, bins), in float32.

    Source of the ordinal form: Shi, Cao and Raschka 2023, arXiv:2111.08851, equations 4 and 5: each output is the
    logit of an age above an edge, given one above the edge before.
    """
    values = outputs.float()
    if target != "corn":
        return values.log_softmax(1)
    above = logsigmoid(values).cumsum(1)  # (N, bins - 1)
    start = torch.zeros_like(above[:, :1])
    return torch.cat((start, above), dim=1) + torch.cat((logsigmoid(-values), start), dim=1)


def age_loss(outputs: Tensor, age_years: Tensor, edges_years: Tensor, target: Target, sigma_years: float) -> Tensor:
    """Loss of what a head answers.

    Args:
        outputs: Shape (N, outputs).
        age_years: True ages, shape (N,).
        edges_years: Shape (bins + 1,), rising.
        target: Kind of loss.
        sigma_years: Standard deviation of soft labels; other targets do not read it.
    """
    bins = true_bins(age_years, edges_years)
    if target == "corn":
        return corn_loss(outputs.float(), bins)
    found = log_probabilities(outputs, target)
    if target == "soft":
        return -(soft_age_labels(age_years, edges_years, sigma_years) * found).sum(1).mean()
    loss = nll_loss(found, bins)
    return loss + mean_variance_loss(found.exp(), age_years, edges_years) if target == "mean_variance" else loss


def corn_loss(outputs: Tensor, bins: Tensor) -> Tensor:
    """Loss of conditional ordinal answers (N, edges) for true bins (N,).

    Source: Shi, Cao and Raschka 2023, arXiv:2111.08851, equation 7: at each edge only the subjects above the edge
    before count.
    """
    edge = torch.arange(outputs.shape[1], device=outputs.device)[None]
    reached, passed = bins[:, None] >= edge, bins[:, None] > edge
    terms = torch.where(passed, logsigmoid(outputs), logsigmoid(-outputs))
    return -(terms * reached).sum() / reached.sum()


def mean_variance_loss(probabilities: Tensor, age_years: Tensor, edges_years: Tensor) -> Tensor:
    """Squared error of the mean, halved, and variance, of probabilities (N, bins) for ages (N,), weighted.

    Source: Pan et al. 2018, doi:10.1109/CVPR.2018.00554, equations 3 to 6.
    """
    centres = (edges_years[1:] + edges_years[:-1]) / 2
    mean = probabilities @ centres
    variance = (probabilities * (centres[None] - mean[:, None]) ** 2).sum(1)
    return _MEAN_WEIGHT * ((mean - age_years) ** 2).mean() / 2 + _VARIANCE_WEIGHT * variance.mean()


def soft_age_labels(age_years: Tensor, edges_years: Tensor, sigma_years: float) -> Tensor:
    """Spread each age over the bins as a Gaussian, cut off at the outer edges.

    Args:
        age_years: Shape (N,).
        edges_years: Shape (bins + 1,), rising.
        sigma_years: Standard deviation; 0 gives the true bin alone.

    Returns:
        Probabilities of shape (N, bins) that add up to 1. Source: Gao et al. 2017, doi:10.1109/TIP.2017.2689998
        (label distribution learning); here each bin holds the Gaussian's exact mass.
    """
    if sigma_years <= 0:
        return torch.nn.functional.one_hot(true_bins(age_years, edges_years), len(edges_years) - 1).float()
    age = age_years.clamp(edges_years[0], edges_years[-1])[:, None]
    below = 0.5 * (1 + torch.erf((edges_years[None] - age) / (sigma_years * math.sqrt(2))))
    mass = below.diff(dim=1)
    return mass / mass.sum(1, keepdim=True)


def true_bins(age_years: Tensor, edges_years: Tensor) -> Tensor:
    """Index of the bin that holds each age (N,); ages outside count to the outer bins."""
    return torch.bucketize(age_years, edges_years[1:-1], right=True)


def age_metrics(logits: Tensor, age_years: Tensor, edges_years: Tensor) -> dict[str, Tensor]:
    """Judge pooled logits (N, bins) against ages (N,): likelihood of the true bin, errors in years, hits in a year."""
    centres = (edges_years[1:] + edges_years[:-1]) / 2
    mean = logits.softmax(1) @ centres
    mode_error = (centres[logits.argmax(1)] - age_years).abs()
    return {
        "nll": cross_entropy(logits, true_bins(age_years, edges_years)),
        "mean_error_years": (mean - age_years).abs().mean(),
        "mode_error_years": mode_error.mean(),
        "exact_bin": (logits.argmax(1) == true_bins(age_years, edges_years)).float().mean(),
        "within_one_year": (mode_error <= 1).float().mean(),
    }
