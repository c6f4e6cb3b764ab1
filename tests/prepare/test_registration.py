"""Registration finds a known rotation and shift, keeps world positions true, and can be undone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from kneeage.core.volume import Volume
from kneeage.prepare.registration import InPlaneRigid, move, register_in_plane

pytest.importorskip("SimpleITK")
AFFINE = np.array([[-0.6, 0, 0, 40], [0, 0, -4, 9], [0, -0.6, 0, 200], [0, 0, 0, 1.0]])


def knee(slices: int = 2) -> Volume:
    """A smooth image without symmetry."""
    y, x = np.mgrid[:90, :80].astype(np.float32)
    image = np.exp(-(((x - 30) / 14) ** 2) - ((y - 28) / 20) ** 2) + 0.7 * np.exp(
        -(((x - 50) / 10) ** 2) - ((y - 62) / 14) ** 2
    )
    image[60:64, 20:35] += 0.5
    image = ndimage.gaussian_filter(image, 1)
    return Volume(np.repeat(image.T[None, :, :, None], slices, axis=3), AFFINE)


@pytest.fixture
def turned() -> InPlaneRigid:
    """By 6 degrees, 3 mm to the side and 2 mm up."""
    return InPlaneRigid(np.deg2rad(6), (3.0, -2.0), (90, 80), (0.6, 0.6))


def test_known_position_is_found(turned: InPlaneRigid) -> None:
    template = knee()
    subject = template.with_array(move(template, turned).array)
    found = register_in_plane(subject, template)
    np.testing.assert_allclose(found.index_matrix @ turned.index_matrix, np.eye(3), atol=0.6)
    before = np.abs(subject.array - template.array)[:, 15:-15, 15:-15].mean()
    after = np.abs(move(subject, found).array - template.array)[:, 15:-15, 15:-15].mean()
    assert after < 0.2 * before


def test_world_positions_stay_true(turned: InPlaneRigid) -> None:
    volume = knee()
    moved = move(volume, turned)
    peaks = [v.world(np.unravel_index(v.array[0].argmax(), v.shape)) for v in (volume, moved)]
    np.testing.assert_allclose(*peaks, atol=0.9)


def test_back_undoes_forth(turned: InPlaneRigid) -> None:
    slices = np.moveaxis(knee().array[0], (2, 1, 0), (0, 1, 2))
    back = turned.backward(turned.forward(slices))
    np.testing.assert_allclose(back[:, 15:-15, 15:-15], slices[:, 15:-15, 15:-15], atol=0.05)


def test_another_number_of_slices_does_not_matter() -> None:
    found = register_in_plane(knee(3), knee(1))
    np.testing.assert_allclose(found.index_matrix, np.eye(3), atol=0.05)


def test_labels_keep_their_values(turned: InPlaneRigid) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (1, 90, 80), np.uint8) * 11
    back = turned.backward_nearest(labels)
    assert back.dtype == np.uint8
    assert set(np.unique(back)) == {0, 11}


def test_far_off_result_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kneeage.prepare.registration._register", lambda *_: (2.0, (0.0, 0.0)))
    assert register_in_plane(knee(), knee()).angle_rad == 0
