"""Age labels, losses and metrics, each against a plain reckoning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import truncnorm

from kneeage.learn.age_targets import (
    age_loss,
    age_metrics,
    corn_loss,
    log_probabilities,
    mean_variance_loss,
    output_count,
    soft_age_labels,
    true_bins,
)
from kneeage.learn.settings import Target

EDGES = torch.tensor([8.0, 9.0, 10.0, 11.0, 12.0])


def test_soft_labels_equal_a_truncated_normal() -> None:
    ages, sigma = [8.2, 10.0, 11.9], 0.7
    labels = soft_age_labels(torch.tensor(ages), EDGES, sigma)
    for row, age in zip(labels, ages, strict=True):
        expected = np.diff(truncnorm((8 - age) / sigma, (12 - age) / sigma, loc=age, scale=sigma).cdf(EDGES))
        np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.mark.parametrize(("age_years", "expected"), [(8.0, 0), (9.0, 1), (8.99, 0), (12.0, 3), (5.0, 0), (40.0, 3)])
def test_true_bin(age_years: float, expected: int) -> None:
    assert true_bins(torch.tensor([age_years]), EDGES).item() == expected


def test_sigma_zero_gives_the_true_bin() -> None:
    assert soft_age_labels(torch.tensor([10.5]), EDGES, 0.0).tolist() == [[0, 0, 1, 0]]


def test_age_far_outside_still_has_a_label() -> None:
    assert soft_age_labels(torch.tensor([60.0]), EDGES, 0.3).sum().item() == pytest.approx(1)


def test_metrics_of_a_certain_answer() -> None:
    metrics = age_metrics(torch.tensor([[0.0, 50.0, 0.0, 0.0]]), torch.tensor([9.7]), EDGES)
    assert metrics["nll"].item() == pytest.approx(0, abs=1e-6)
    assert metrics["mean_error_years"].item() == pytest.approx(0.2, abs=1e-5)
    assert metrics["within_one_year"].item() == 1


def test_corn_outputs_multiply_up_to_probabilities() -> None:
    outputs = torch.randn(3, 3)
    above = 1 / (1 + np.exp(-outputs.numpy()))
    expected = [[1 - a, a * (1 - b), a * b * (1 - c), a * b * c] for a, b, c in above]
    np.testing.assert_allclose(log_probabilities(outputs, "corn").exp(), expected, rtol=1e-5)
    assert output_count(4, "corn") == 3


def test_corn_loss_counts_only_who_reached_an_edge() -> None:
    outputs = torch.randn(4, 3)
    bins = torch.tensor([0, 1, 3, 3])
    shares = 1 / (1 + np.exp(-outputs.double().numpy()))
    total, counted = 0.0, 0
    for edge in range(3):
        for row, true in zip(shares, bins.tolist(), strict=True):
            if true >= edge:
                total -= np.log(row[edge] if true > edge else 1 - row[edge])
                counted += 1
    assert corn_loss(outputs, bins).item() == pytest.approx(total / counted, rel=1e-5)


def test_mean_variance_loss_of_a_known_distribution() -> None:
    """Half at 8.5 and half at 10.5: mean 9.5, variance 1; the true age is 11.5, two years off."""
    loss = mean_variance_loss(torch.tensor([[0.5, 0.0, 0.5, 0.0]]), torch.tensor([11.5]), EDGES)
    assert loss.item() == pytest.approx(0.2 * 4 / 2 + 0.05 * 1)


@pytest.mark.parametrize("target", ["soft", "classes", "corn", "mean_variance"])
def test_every_loss_falls_towards_the_truth(target: Target) -> None:
    outputs = torch.zeros(2, output_count(4, target), requires_grad=True)
    ages = torch.tensor([9.5, 11.5])
    optimizer = torch.optim.Adam([outputs], 0.1)
    for _ in range(60):
        optimizer.zero_grad()
        age_loss(outputs, ages, EDGES, target, 0.3).backward()
        optimizer.step()
    assert log_probabilities(outputs, target).argmax(1).tolist() == [1, 3]


def test_classes_are_the_true_bin_alone() -> None:
    outputs = torch.randn(2, 4)
    expected = torch.nn.functional.cross_entropy(outputs, torch.tensor([0, 3]))
    torch.testing.assert_close(age_loss(outputs, torch.tensor([8.2, 11.9]), EDGES, "classes", 0.5), expected)
