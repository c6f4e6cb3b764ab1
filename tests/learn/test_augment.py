"""Augmentation: image and labels move alike; nothing happens where nothing is asked."""

from __future__ import annotations

import torch

from kneeage.learn.augment import augment_regions, augment_slices, drop_channels, random_intensity
from kneeage.learn.settings import AugmentSettings

STILL = AugmentSettings(flip=0, warp=0, gain=0, offset=0, gamma=0, noise=0, saturate=0)


def test_no_augmentation_changes_nothing() -> None:
    image, labels = torch.randn(2, 1, 16, 16), torch.randint(0, 12, (2, 1, 16, 16), dtype=torch.uint8)
    moved, moved_labels = augment_slices(image, labels, STILL)
    torch.testing.assert_close(moved, image, atol=1e-4, rtol=0)
    assert torch.equal(moved_labels, labels)


def test_flip_mirrors_columns_of_image_and_labels() -> None:
    image, labels = torch.randn(2, 1, 16, 16), torch.randint(0, 12, (2, 1, 16, 16), dtype=torch.uint8)
    moved, moved_labels = augment_slices(image, labels, AugmentSettings(**{**vars(STILL), "flip": 1.0}))
    torch.testing.assert_close(moved, image.flip(3), atol=1e-4, rtol=0)
    assert torch.equal(moved_labels, labels.flip(3))


def test_labels_follow_the_image() -> None:
    labels = torch.zeros(8, 1, 64, 64, dtype=torch.uint8)
    labels[:, :, 20:40, 10:50] = 3
    settings = AugmentSettings(**{**vars(STILL), "flip": 0.5, "warp": 1.0})
    image, moved = augment_slices(labels.float(), labels, settings)
    assert moved.dtype == torch.uint8
    assert ((image > 1.5) == (moved == 3)).float().mean() > 0.99
    assert not torch.equal(moved, labels)


def test_intensity_stays_finite_on_a_constant_image() -> None:
    changed = random_intensity(torch.full((4, 1, 8, 8), 2.0), AugmentSettings())
    assert changed.isfinite().all()


def test_intensity_keeps_the_order_of_grey_values() -> None:
    image = torch.randn(4, 1, 8, 8)
    changed = random_intensity(image, AugmentSettings(noise=0, saturate=0))
    assert torch.equal(changed.flatten(1).argsort(1), image.flatten(1).argsort(1))


def test_saturated_images_lose_their_extremes_alone() -> None:
    image = torch.randn(6, 1, 32, 32)
    cut = random_intensity(image, AugmentSettings(**{**vars(STILL), "saturate": 1.0}))
    span = image.amax((1, 2, 3)) - image.amin((1, 2, 3))
    assert (cut.amax((1, 2, 3)) <= image.amax((1, 2, 3)) + 1e-4).all()
    assert (cut.amax((1, 2, 3)) - cut.amin((1, 2, 3)) > 0.4 * span).all()
    middle = (cut > cut.amin((1, 2, 3), keepdim=True)) & (cut < cut.amax((1, 2, 3), keepdim=True))
    torch.testing.assert_close(cut[middle], image[middle], atol=1e-4, rtol=0)


def test_grey_value_and_masks_are_never_dropped_together() -> None:
    kept = drop_channels(torch.ones(500, 3, 2, 2), AugmentSettings(drop_grey=0.3, drop_masks=0.3)).amax((2, 3))
    assert (kept.sum(1) > 0).all()
    assert torch.equal(kept[:, 1], kept[:, 2])
    assert 0.2 < 1 - kept[:, 0].mean() < 0.4
    assert 0.2 < 1 - kept[:, 1].mean() < 0.4


def test_intensity_of_masks_is_left_alone() -> None:
    regions = torch.rand(4, 3, 16, 16)
    settings = AugmentSettings(flip=0, warp=0)
    torch.testing.assert_close(augment_regions(regions, settings)[:, 1:], regions[:, 1:], atol=1e-5, rtol=0)
