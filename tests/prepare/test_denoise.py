"""Denoising lowers the noise and keeps the edges; N4 takes the shading away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kneeage.core.volume import Volume
from kneeage.prepare.denoise import correct_bias, curvature_flow, noise_deviation, non_local_means

pytest.importorskip("SimpleITK")
AFFINE = np.diag([0.6, 0.6, 3, 1])


def step_image(noise: float, slices: int = 2, size: int = 64) -> Volume:
    """A dark and a bright half with noise."""
    values = np.random.default_rng(0).normal(0, noise, (1, size, size, slices)) + 100
    values[:, size // 2 :] += 100
    return Volume(values.astype(np.float32), AFFINE)


@pytest.mark.parametrize("denoise", [curvature_flow, non_local_means])
def test_noise_falls_and_the_edge_stays(denoise: Callable[[Volume], Volume]) -> None:
    noisy = step_image(5)
    clean = denoise(noisy)
    assert clean.array.dtype == np.float32
    np.testing.assert_array_equal(clean.affine, noisy.affine)
    assert clean.array[:, 4:24].std() < 0.75 * noisy.array[:, 4:24].std()
    assert clean.array[:, 34:].mean() - clean.array[:, :30].mean() == pytest.approx(100, abs=1)
    assert (clean.array[:, 32] - clean.array[:, 31]).mean() > 85


@pytest.mark.parametrize("denoise", [curvature_flow, non_local_means])
def test_slices_do_not_see_each_other(denoise: Callable[[Volume], Volume]) -> None:
    noisy = step_image(5)
    one = Volume(noisy.array[..., :1], AFFINE)
    np.testing.assert_array_equal(denoise(noisy).array[..., :1], denoise(one).array)


def test_noise_is_measured() -> None:
    assert noise_deviation(step_image(5).array[0, :, :, 0]) == pytest.approx(5, rel=0.15)


def test_tiny_image_has_no_noise_estimate() -> None:
    assert noise_deviation(np.ones((2, 9), np.float32)) == 0


def test_image_without_noise_is_left_alone() -> None:
    flat = Volume(np.full((1, 9, 9, 1), 3, np.float32), AFFINE)
    np.testing.assert_array_equal(non_local_means(flat).array, flat.array)


@pytest.mark.parametrize("slices", [1, 5])
def test_n4_removes_shading(slices: int) -> None:
    rng = np.random.default_rng(0)
    tissues = np.kron(rng.choice([60, 150, 300], (1, 8, 8, slices)), np.ones((1, 12, 12, 1)))
    true = tissues + rng.normal(0, 3, tissues.shape)
    x = np.linspace(-1, 1, 96)
    shaded = true * (1 + 0.3 * x[:, None, None]) * (1 - 0.2 * x[None, :, None] ** 2)
    found = correct_bias(Volume(shaded.astype(np.float32), AFFINE)).array / true
    assert (shaded / true).std() / (shaded / true).mean() > 0.15
    assert found.std() / found.mean() < 0.05


def test_n4_leaves_a_constant_image_alone() -> None:
    flat = Volume(np.full((1, 9, 9, 1), 3, np.float32), AFFINE)
    np.testing.assert_array_equal(correct_bias(flat).array, flat.array)
