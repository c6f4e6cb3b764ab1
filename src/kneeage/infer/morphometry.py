"""Measure a growth plate on its labels: openness, thickness, area and volume.

All four are measured over the same columns, those that cross the site in the slices that show it. Openness is the part
of them that is open, area that of the open ones seen along the leg, volume that of the open plate in them. Thickness is
measured perpendicular to the plate within each slice: the vertical run of open plate, averaged over a short window,
times the cosine of the plate's local slope. The slope from slice to slice is not corrected, because thick slices do not
show it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kneeage.core.anatomy import PlateSite
from kneeage.core.manifest import Calibration
from kneeage.core.result import PlateReport
from kneeage.core.volume import Volume
from kneeage.infer.columns import SiteColumns
from kneeage.infer.region import SiteSeen

# A correction never makes a plate thinner than this. Source: ours; half of the thinnest open plates that were measured
# on 3T knees (0.8 mm at 16 years).
MIN_THICKNESS_MM = 0.4
# Width of the window that slope and thickness are averaged over: wide enough to smooth the staircase of single
# voxels, narrower than the waves of the femoral plate (about 20 mm). Source: ours.
WINDOW_MM = 5.0

FloatArray = NDArray[np.floating]


def measure_plate(labels: Volume, site: PlateSite, seen: SiteSeen) -> PlateReport:
    """Measure one plate.

    Args:
        labels: Label values, shape (1, I, J, K), in a canonical orientation whose rows run down the leg.
        site: The plate.
        seen: What ``find_sites`` found of it on these labels; only its slices are measured.

    Returns:
        The measurements; nothing but ``found`` where the site was not found. A closed plate has openness 0 and no
        thickness.
    """
    if not seen.found:
        return PlateReport(found=False)
    columns = seen.columns_on(labels, site)
    in_slices = np.isin(np.arange(labels.shape[2]), seen.slices)[None, :]
    site_seen, is_open = columns.seen & in_slices, columns.is_open & in_slices
    area_mm2 = labels.spacing[0] * labels.spacing[2]
    return PlateReport(
        found=True,
        openness=np.count_nonzero(is_open) / np.count_nonzero(site_seen),
        thickness_mm=_median_thickness(labels, columns, is_open),
        area_mm2=np.count_nonzero(is_open) * area_mm2,
        volume_mm3=float(columns.open_rows[is_open].sum()) * labels.spacing[1] * area_mm2,
    )


def calibrated(plate: PlateReport, calibration: Calibration, site: PlateSite) -> PlateReport:
    """Correct the thickness of a drawn plate, and its volume with it, by what the bundle knows of its own drawing.

    Args:
        plate: What ``measure_plate`` found.
        calibration: Of the bundle.
        site: Which plate.

    Returns:
        The corrected measurements; the same where there is nothing open, or no correction was fitted.
    """
    scale = calibration.thickness.get(site.name)
    if scale is None or not plate.thickness_mm or plate.volume_mm3 is None:
        return plate
    thickness_mm = max(scale.slope * plate.thickness_mm + scale.offset_mm, MIN_THICKNESS_MM)
    volume_mm3 = plate.volume_mm3 * thickness_mm / plate.thickness_mm
    return plate.model_copy(update={"thickness_mm": thickness_mm, "volume_mm3": volume_mm3})


def _median_thickness(labels: Volume, columns: SiteColumns, is_open: NDArray[np.bool_]) -> float | None:
    """Give the median thickness in mm over the open columns, None when there are none."""
    if not is_open.any():
        return None
    column_mm, row_mm, _ = labels.spacing
    window = max(1, round(WINDOW_MM / column_mm))
    vertical_mm = _local_mean(columns.open_rows * row_mm, is_open, window)
    slope = _local_slope(columns.centre_row * row_mm, is_open, window) / column_mm
    thickness = vertical_mm / np.hypot(1.0, slope)
    return float(np.median(thickness[is_open]))


def _local_mean(values: FloatArray, mask: NDArray[np.bool_], window: int) -> FloatArray:
    """Average values over the masked columns of a window along I; shape (I, K)."""
    weight = _box(mask.astype(np.float64), window)
    return _box(np.where(mask, values, 0.0), window) / np.maximum(weight, 1e-9)


def _local_slope(rows: FloatArray, mask: NDArray[np.bool_], window: int) -> FloatArray:
    """Fit a line to the masked columns of a window along I, and give its slope per column; shape (I, K)."""
    x = np.broadcast_to(np.arange(len(rows), dtype=np.float64)[:, None], rows.shape)
    y = rows - rows[mask].mean()
    mean_x, mean_y = _local_mean(x, mask, window), _local_mean(y, mask, window)
    covariance = _local_mean(x * y, mask, window) - mean_x * mean_y
    variance = _local_mean(x * x, mask, window) - mean_x**2
    return np.where(variance > 1e-6, covariance / np.maximum(variance, 1e-6), 0.0)


def _box(values: FloatArray, window: int) -> FloatArray:
    """Average over a window along I, with zeros outside."""
    return np.asarray(ndimage.uniform_filter1d(values, window, axis=0, mode="constant"))
