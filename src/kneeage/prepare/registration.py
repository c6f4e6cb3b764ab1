"""Rigid registration to a template within the slice plane: a rotation and a shift, the same for all slices.

Turning out of the plane would mix thick slices, so it is not done. The grid moves and the world stays: the affine of
the registered volume tells where each voxel lies in the subject, and masks go back to the source grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.volume import FloatArray, Volume
from kneeage.prepare.mapping import Box, FloatSlices
from kneeage.prepare.slices import each_slice
from kneeage.prepare.toolkit import simple_itk

# A rotation or shift beyond this is a failed registration, not a position of a knee in its coil (our own choice).
MAX_ROTATION_DEG = 30.0
MAX_SHIFT_MM = 40.0


@dataclass(frozen=True)
class InPlaneRigid:
    """A rotation about the centre of the slices and a shift.

    Args:
        angle_rad: Rotation from the I axis towards the J axis.
        shift_mm: Shift along I and J in mm, after the rotation.
        shape: Rows and columns of a slice.
        spacing_mm: Spacing along I and J in mm.
    """

    angle_rad: float
    shift_mm: tuple[float, float]
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]

    @cached_property
    def index_matrix(self) -> FloatArray:
        """Matrix (3, 3) from registered (I, J, 1) to source (I, J, 1) indices."""
        cosine, sine = np.cos(self.angle_rad), np.sin(self.angle_rad)
        turn = np.array([[cosine, -sine, self.shift_mm[0]], [sine, cosine, self.shift_mm[1]], [0, 0, 1]])
        to_mm = np.diag([*self.spacing_mm, 1.0])
        to_mm[:2, 2] = -np.array(self.spacing_mm) * (np.array(self.shape[::-1]) - 1) / 2
        return np.asarray(np.linalg.inv(to_mm) @ turn @ to_mm)

    @cached_property
    def _index_matrix_back(self) -> FloatArray:
        """Matrix (3, 3) from source to registered indices."""
        return np.asarray(np.linalg.inv(self.index_matrix), np.float64)

    def forward(self, slices: FloatSlices) -> FloatSlices:
        """Interpolate (..., J, I) of the source on the registered grid."""
        return _sample_all(slices, self.index_matrix, order=1)

    def backward(self, slices: FloatSlices) -> FloatSlices:
        """Interpolate (..., J, I) of the registered grid on the source."""
        return _sample_all(slices, self._index_matrix_back, order=1)

    def backward_box(self, image: FloatSlices, _box: Box, /) -> tuple[FloatSlices, Box]:
        """Interpolate one image (J, I) on the whole source."""
        return self.backward(image), (slice(0, self.shape[0]), slice(0, self.shape[1]))

    def backward_nearest(self, slices: NDArray[np.generic]) -> NDArray[np.generic]:
        """Take the nearest value of (..., J, I) for each voxel of the source."""
        return _sample_all(slices, self._index_matrix_back, order=0)


def register_in_plane(volume: Volume, template: Volume) -> InPlaneRigid:
    """Find the rotation and shift that lay a volume on a template.

    The means over all slices are registered by mutual information, so the numbers of slices may differ.
    Source: Mattes D et al., IEEE Trans Med Imaging 2003;22:120-128, doi:10.1109/TMI.2003.809072.

    Args:
        volume: Grey values of shape (1, I, J, K) in canonical orientation.
        template: Template in the same orientation, prepared by the same steps.

    Returns:
        The plan; no rotation and no shift where the registration failed.
    """
    angle, shift = _register(_mean_image(template), _mean_image(volume))
    if abs(np.rad2deg(angle)) > MAX_ROTATION_DEG or max(abs(shift[0]), abs(shift[1])) > MAX_SHIFT_MM:
        angle, shift = 0.0, (0.0, 0.0)
    rows, columns = volume.shape[1], volume.shape[0]
    return InPlaneRigid(angle, shift, (rows, columns), volume.spacing[:2])


def move(volume: Volume, plan: InPlaneRigid) -> Volume:
    """Sample a volume on the registered grid; world positions stay true."""
    affine = volume.affine.copy()
    affine[:, [0, 1, 3]] = volume.affine[:, [0, 1, 3]] @ plan.index_matrix
    return Volume(each_slice(volume, plan.forward).array, affine)


def _mean_image(volume: Volume) -> Any:
    """Mean over the slices as a SimpleITK image whose centre is the origin."""
    sitk = simple_itk()

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array[0].mean(axis=-1).T, np.float32))
    image.SetSpacing(volume.spacing[:2])
    image.SetOrigin([-(size - 1) / 2 * step for size, step in zip(image.GetSize(), volume.spacing, strict=False)])
    return image


def _register(fixed: Any, moving: Any) -> tuple[float, tuple[float, float]]:
    """Give the angle in rad and the shift in mm that map the fixed image's points into the moving image."""
    sitk = simple_itk()

    method: Any = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-4, 200)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(sitk.Euler2DTransform(), inPlace=False)
    angle, x, y = method.Execute(fixed, moving).GetParameters()
    return float(angle), (float(x), float(y))


def _sample_all(slices: NDArray[Any], matrix: FloatArray, *, order: int) -> NDArray[Any]:
    """Sample (..., J, I) at indices mapped by a matrix in (I, J) order; edges go on outside."""
    turned = matrix[[1, 0, 2]][:, [1, 0, 2]]
    flat = slices.reshape(-1, *slices.shape[-2:])
    moved = [
        ndimage.affine_transform(image, turned[:2, :2], turned[:2, 2], order=order, mode="nearest") for image in flat
    ]
    return np.asarray(np.stack(moved).reshape(slices.shape), slices.dtype)
