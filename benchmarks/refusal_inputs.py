"""Inputs that must not get an unflagged estimate, and clean ones that must: listed recipes, each made from a seed.

There are two families of everything foreign or spoiled, made in different ways. Limits and networks may be chosen on
``TUNING``; ``EVALUATION`` is looked at afterwards, with other seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, Label, Plane, Sex, Side
from kneeage.core.result import ReasonCode
from kneeage.core.volume import Volume
from kneeage.io.series import LoadedSeries, SeriesHeader
from kneeage.phantom.cohort.subject import Imaging, VirtualSubject, virtual_subject
from kneeage.phantom.scanner.sequence import Weighting

FloatArray = NDArray[np.float32]
# First seeds; no cohort that a network learns from comes near them.
TUNING_SEED, EVALUATION_SEED = 610_000_000, 820_000_000
_OPPOSITE = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}
_CORONAL = np.array([[-1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]])
# Grid of what is no knee: pixels and their number, distance and number of slices, as of a common knee series.
_PIXEL_MM, _PIXELS, _SLICE_MM, _SLICES = 0.7, 224, 3.5, 20
_UNLIKE = frozenset({ReasonCode.UNLIKE_TRAINING, ReasonCode.BONE_NOT_SEEN, ReasonCode.PLATE_SITE_NOT_SEEN})
_FOREIGN = _UNLIKE | {ReasonCode.TOO_FEW_SLICES, ReasonCode.PLATES_DISAGREE, ReasonCode.MOTION, ReasonCode.BLURRED}


@dataclass(frozen=True, eq=False)
class Input:
    """One input.

    Args:
        series: The series.
        sex: What the user says; None: nothing.
    """

    series: LoadedSeries
    sex: Sex | None


@dataclass(frozen=True)
class Recipe:
    """How inputs of one kind are made.

    Args:
        name: What they are.
        make: Makes one from a source of chance.
        wanted: Reasons of which one should be given; empty for clean inputs, and for those where a warning is enough.
        share: Weight among the recipes.
        covers: The only sex that the bundle says it covers; None: those that it does cover.
    """

    name: str
    make: Callable[[np.random.Generator], Input]
    wanted: frozenset[ReasonCode] = field(default_factory=frozenset)
    share: int = 1
    covers: Sex | None = None


def clean(rng: np.random.Generator) -> Input:
    """A virtual subject as the bundle knows them, without metal."""
    while True:
        subject = _subject(rng)
        if not any(finding.kind.value == "metal_void" for finding in subject.findings):
            return _as_is(subject)


def _subject(rng: np.random.Generator, **options: Any) -> VirtualSubject:
    """Draw a virtual subject."""
    return virtual_subject(int(rng.integers(2**31)) + 2**33, **options)


def _as_is(subject: VirtualSubject, **changes: Any) -> Input:
    """A virtual subject with its own header, or another one."""
    said = {
        "side": subject.side,
        "weighting": subject.sequence.weighting.value,
        "plane": subject.plane,
        "virtual": True,
    }
    return Input(_series(subject.volume, **(said | changes)), subject.sex)


def _series(volume: Volume, **header: Any) -> LoadedSeries:
    """A series in memory with what its header says."""
    said: dict[str, Any] = {
        "source_format": "nifti",
        "series_uid": None,
        "study_uid": None,
        "description": None,
        "plane": Plane.CORONAL,
        "weighting": None,
        "weighting_reason": "",
        "fat_suppressed": None,
        "side": Side.UNKNOWN,
        "side_source": "not stated",
        "shape": volume.shape,
        "spacing_mm": volume.spacing,
        "field_strength_tesla": None,
        "manufacturer": None,
        "virtual": False,
    }
    return LoadedSeries(volume, SeriesHeader(**(said | header)), "0" * 64, (), ())


# Knees that were spoiled.


def _with_values(subject: VirtualSubject, array: NDArray[np.generic], **changes: Any) -> Input:
    """The same subject with other grey values."""
    volume = subject.volume.with_array(np.maximum(array, 0).astype(np.float32))
    return _as_is(replace(subject, volume=volume), **changes)


def _gaussian_blur(rng: np.random.Generator) -> Input:
    """Blurred by a Gaussian of three pixels."""
    subject = _subject(rng)
    return _with_values(subject, ndimage.gaussian_filter(_grey(subject), (3, 3, 0))[None])


def _defocus(rng: np.random.Generator) -> Input:
    """Blurred twice by a box, to the same width; with new noise."""
    subject = _subject(rng)
    once = ndimage.uniform_filter(_grey(subject), (7, 7, 1))
    grey = ndimage.uniform_filter(once, (7, 7, 1))
    return _with_values(subject, (grey + rng.normal(0, 0.01 * grey.max(), grey.shape))[None])


def _round_void(rng: np.random.Generator) -> Input:
    """A round void at a plate, with a bright rim."""
    subject = _subject(rng)
    radius = rng.uniform(10, 18)
    away = np.linalg.norm(_places(subject) - _near_plate(subject, rng), axis=-1)
    grey = np.where(away < radius, 0.0, _grey(subject) * (1 + 0.8 * np.exp(-(((away - radius) / 2) ** 2))))
    return _with_values(subject, (grey + rng.rayleigh(8, grey.shape))[None])


def _screw(rng: np.random.Generator) -> Input:
    """Two screws across the knee, with the image bent around them."""
    subject = _subject(rng)
    places, grey = _places(subject), _grey(subject)
    for _ in range(2):
        middle, along = (
            _near_plate(subject, rng),
            np.array([rng.choice([-1, 1]), rng.normal(0, 0.2), rng.normal(0, 0.2)]),
        )
        along /= np.linalg.norm(along)
        apart = places - middle
        run = apart @ along
        away = np.linalg.norm(apart - run[..., None] * along, axis=-1)
        reach = np.exp(-((away / 14) ** 2)) * (np.abs(run) < 30)
        bent = np.indices(grey.shape).astype(np.float32)
        bent[1] += 6 * reach * np.sign(apart[..., 2])
        grey = ndimage.map_coordinates(grey, bent, order=1, mode="nearest")
        grey[(away < rng.uniform(8, 11)) & (np.abs(run) < 30)] = 0.0
    return _with_values(subject, grey[None])


def _swaying(rng: np.random.Generator) -> Input:
    """A leg that swayed while k-space was filled line after line."""
    subject = _subject(rng)
    axis, grey = int(rng.integers(2)), _grey(subject)
    order = fft.fftshift(np.arange(grey.shape[axis]))
    pixels = rng.uniform(6, 10) * np.sin(2 * np.pi * order / rng.uniform(8, 30))
    return _with_values(subject, _with_phase(grey, axis, pixels)[None])


def _jerking(rng: np.random.Generator) -> Input:
    """A leg that jumped to other places between the shots of an interleaved sequence."""
    subject = _subject(rng)
    axis, grey = int(rng.integers(2)), _grey(subject)
    shots = rng.integers(4, 9)
    jumps = rng.normal(0, 6, shots)
    return _with_values(subject, _with_phase(grey, axis, jumps[np.arange(grey.shape[axis]) % shots])[None])


def _with_phase(grey: FloatArray, axis: int, pixels: NDArray[np.float64]) -> FloatArray:
    """Move each line of k-space along an axis by so many pixels; shape (I, J, K)."""
    space = fft.fft(grey, axis=axis)
    turn = np.exp(-2j * np.pi * fft.fftfreq(grey.shape[axis]) * pixels)
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.asarray(np.abs(fft.ifft(space * turn.reshape(shape), axis=axis)), np.float32)


# Knees that do not fit.


def _mirrored(rng: np.random.Generator) -> Input:
    """A knee whose pixels were mirrored, beside a header that says its true side."""
    subject = _subject(rng)
    flipped = np.flip(subject.volume.array, axis=1)
    return _with_values(subject, flipped)


def _wrong_header(rng: np.random.Generator) -> Input:
    """A knee whose header names the other side."""
    subject = _subject(rng)
    return _as_is(subject, side=_OPPOSITE[subject.side])


def _sagittal(rng: np.random.Generator) -> Input:
    """A sagittal series."""
    return _as_is(_subject(rng, imaging=Imaging(plane=Plane.SAGITTAL)))


def _turned(rng: np.random.Generator) -> Input:
    """A coronal series whose axes say that it is axial."""
    subject = _subject(rng)
    affine = subject.volume.affine.copy()
    affine[[1, 2]] = affine[[2, 1]]
    return _as_is(replace(subject, volume=Volume(subject.volume.array, affine)), plane=Plane.AXIAL)


def _other_contrast(weighting: Weighting, *, fat_suppressed: bool, stated: bool) -> Callable[..., Input]:
    """A coronal series of another contrast, with a header or without one."""

    def make(rng: np.random.Generator) -> Input:
        subject = _subject(rng, imaging=Imaging(weighting=weighting, fat_suppressed=fat_suppressed))
        said = {"weighting": weighting.value, "fat_suppressed": fat_suppressed} if stated else {"weighting": None}
        return _as_is(subject, **said)

    return make


def _no_sex(rng: np.random.Generator) -> Input:
    """A subject whose sex is not given."""
    return replace(clean(rng), sex=None)


def _of_sex(sex: Sex) -> Callable[..., Input]:
    """A subject of a sex."""

    def make(rng: np.random.Generator) -> Input:
        while True:
            made = clean(rng)
            if made.sex is sex:
                return made

    return make


def _few_slices(rng: np.random.Generator) -> Input:
    """The first slices of a series alone, or the last."""
    subject = _subject(rng)
    kept = slice(0, 6) if rng.random() < 0.5 else slice(-6, None)
    affine = subject.volume.affine.copy()
    affine[:3, 3] = subject.volume.world((0, 0, kept.indices(subject.volume.shape[2])[0]))
    return _as_is(replace(subject, volume=Volume(subject.volume.array[..., kept], affine)))


def _scaled(factor: float) -> Callable[..., Input]:
    """A knee whose header gives another size: half a knee, or a knee and a half."""

    def make(rng: np.random.Generator) -> Input:
        subject = _subject(rng)
        affine = subject.volume.affine @ np.diag([factor, factor, 1, 1])
        return _as_is(replace(subject, volume=Volume(subject.volume.array, affine)))

    return make


# What is no knee.


def _points() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Right, up and front in mm at every voxel of the grid of what is no knee, shape (I, J, K) each."""
    across = (np.arange(_PIXELS, dtype=np.float32) - _PIXELS / 2) * _PIXEL_MM
    through = (np.arange(_SLICES, dtype=np.float32) - _SLICES / 2) * _SLICE_MM
    right, down, back = np.meshgrid(across, across, through, indexing="ij")
    return right, -down, -back


def _foreign(grey: FloatArray, rng: np.random.Generator, noise: float = 0.03, **header: Any) -> Input:
    """An image on the grid of what is no knee, with noise; marrow would be about 1."""
    noisy = np.hypot(grey + rng.normal(0, noise, grey.shape), rng.normal(0, noise, grey.shape))
    affine = np.eye(4)
    affine[:3, :3] = _CORONAL * [_PIXEL_MM, _PIXEL_MM, _SLICE_MM]
    volume = Volume((800 * noisy).astype(np.float32)[None], affine)
    return Input(_series(volume, **({"weighting": "T1"} | header)), list(Sex)[rng.integers(2)])


def _lumps(rng: np.random.Generator, size_mm: float) -> FloatArray:
    """A smooth random field of SD 1 on the grid of what is no knee."""
    white = rng.normal(size=(_PIXELS, _PIXELS, _SLICES)).astype(np.float32)
    smooth = ndimage.gaussian_filter(white, (size_mm / _PIXEL_MM, size_mm / _PIXEL_MM, size_mm / _SLICE_MM))
    return np.asarray(smooth / smooth.std())


def _ball(
    x: FloatArray, y: FloatArray, z: FloatArray, radii: tuple[float, float, float], power: float = 2
) -> FloatArray:
    """Share of the way to the surface of an ellipsoid; below 1 inside."""
    return np.asarray(sum(np.abs(c / r) ** power for c, r in zip((x, y, z), radii, strict=True)), np.float32)


def _head_of_shells(rng: np.random.Generator) -> Input:
    """A head of nested shells: scalp, skull, fluid, grey and white matter, ventricles."""
    x, y, z = _points()
    head = _ball(x, y - rng.normal(0, 8), z, (rng.uniform(66, 74), 76, 90))
    grey = np.select([head > 1, head > 0.9, head > 0.8, head > 0.76, head > 0.6], [0, 1.1, 0.1, 0.25, 0.5], 0.7)
    grey[_ball(np.abs(x) - 12, y - 5, z, (7, 18, 25)) < 1] = 0.2
    return _foreign(grey.astype(np.float32) * (1 + 0.05 * _lumps(rng, 3)), rng)


def _head_of_folds(rng: np.random.Generator) -> Input:
    """A head whose brain is folded, with eyes and sinuses."""
    x, y, z = _points()
    warp = 3 * _lumps(rng, 12)
    head = _ball(x + warp, y + warp, z, (70, 74, 95), 2.4)
    folds = np.sin(_lumps(rng, 5) * 4) > 0.2
    grey = np.where(head > 1, 0, np.where(head > 0.88, 1.0, np.where(head > 0.8, 0.08, np.where(folds, 0.62, 0.45))))
    for side in (-1, 1):
        grey[_ball(x - side * 32, y + 30, z - 20, (13, 13, 30)) < 1] = 0.15
        grey[_ball(x - side * 25, y + 58, z, (12, 14, 30)) < 1] = 0.02
    return _foreign(grey.astype(np.float32), rng)


def _spine_of_boxes(rng: np.random.Generator) -> Input:
    """Vertebrae and discs, one above the other, between muscles."""
    x, y, z = _points()
    level = (y + rng.uniform(0, 36)) % 36
    inside = (np.abs(x) < 22) & (np.abs(z) < 25)
    body = np.where(level < 26, 0.9, 0.35) - 0.6 * ((level < 1.5) | (np.abs(level - 26) < 1.5))
    grey = np.where(inside, body, np.where(np.abs(x) < 60, 0.35, np.where(np.abs(x) < 72, 1.1, 0)))
    return _foreign((grey * (1 + 0.08 * _lumps(rng, 2))).astype(np.float32), rng)


def _curved_spine(rng: np.random.Generator) -> Input:
    """A waisted, curved column of vertebrae with cord and ribs of fat."""
    x, y, z = _points()
    bend = 14 * np.sin(y / 55 + rng.uniform(0, 6))
    tall = rng.uniform(24, 30)
    level = (y + rng.uniform(0, 30)) % tall / tall
    waist = 17 + 5 * np.abs(2 * level - 0.8)
    disc = np.abs(level - 0.85) < 0.13
    grey = np.where(np.hypot(x - bend, 0.8 * z) < waist, np.where(disc, 0.28, 0.85), 0.4)
    grey = np.where(np.hypot(x - bend, z + 32) < 8, 0.2, grey)
    grey = np.where(np.abs(x) > 66, 1.2, grey)
    return _foreign((grey * np.exp(-((z / 70) ** 2)) + 0.04 * _lumps(rng, 2)).astype(np.float32), rng)


def _ct_of_labels(rng: np.random.Generator) -> Input:
    """A CT: bone bright and its rim brightest, fat dark, air darkest."""
    subject = _subject(rng)
    bone = np.isin(subject.labels.array[0], [label for label in Label if label])
    rim = bone & ~ndimage.binary_erosion(bone, np.ones((5, 5, 1), bool))
    leg = ndimage.binary_fill_holes(ndimage.gaussian_filter(_grey(subject), (3, 3, 0)) > 120)
    density = np.where(rim, 2100, np.where(bone, 1250, np.where(leg, 1040, 0)))
    return _with_values(subject, (density + rng.normal(0, 25, density.shape))[None], weighting=None, virtual=False)


def _ct_of_greys(rng: np.random.Generator) -> Input:
    """A CT by turning grey values round: bright fat becomes dark, dark cortex bright."""
    subject = _subject(rng)
    grey = ndimage.median_filter(_grey(subject), (3, 3, 1))
    leg = ndimage.binary_fill_holes(ndimage.gaussian_filter(grey, (4, 4, 0)) > 150)
    turned = np.where(leg, 1000 + 1.2 * np.clip(np.percentile(grey, 99) - grey, 0, None), 0)
    return _with_values(subject, turned[None] + rng.normal(0, 15, turned.shape), weighting=None, virtual=False)


def _white_noise(rng: np.random.Generator) -> Input:
    """Noise."""
    return _foreign(np.zeros((_PIXELS, _PIXELS, _SLICES), np.float32), rng, noise=0.5)


def _lumpy_noise(rng: np.random.Generator) -> Input:
    """Noise with structure of all sizes."""
    grey = sum(size * _lumps(rng, size) for size in (1.0, 3.0, 9.0, 27.0))
    return _foreign(np.asarray(np.abs(grey) / 15, np.float32), rng)


def _grey(subject: VirtualSubject) -> FloatArray:
    """Grey values, shape (I, J, K)."""
    return np.asarray(subject.volume.array[0], np.float32)


def _places(subject: VirtualSubject) -> NDArray[np.float64]:
    """World position of every voxel, shape (I, J, K, 3)."""
    return subject.volume.world(np.moveaxis(np.indices(subject.volume.shape), 0, -1))


def _near_plate(subject: VirtualSubject, rng: np.random.Generator) -> NDArray[np.float64]:
    """A place near the middle of a plate's site."""
    site = (DISTAL_FEMUR, PROXIMAL_TIBIA)[rng.integers(2)]
    labels = subject.labels.array[0]
    bones = [np.argwhere(labels == label) for label in (site.epiphysis, site.metaphysis)]
    middle = np.mean([subject.labels.world(bone.mean(axis=0)) for bone in bones], axis=0)
    return np.asarray(middle + rng.normal(0, 5, 3))


_SIDE, _PLANE = frozenset({ReasonCode.SIDE_CONTRADICTION}), frozenset({ReasonCode.WRONG_PLANE})
_SEQUENCE, _SEX = frozenset({ReasonCode.WRONG_SEQUENCE}), frozenset({ReasonCode.SEX_NOT_COVERED})
_BLURRED, _METAL = frozenset({ReasonCode.BLURRED}) | _UNLIKE, frozenset({ReasonCode.METAL}) | _UNLIKE
_MOTION = frozenset({ReasonCode.MOTION, ReasonCode.BLURRED}) | _UNLIKE
_SIZE = frozenset({ReasonCode.FIELD_OF_VIEW})
_FEW = frozenset({ReasonCode.TOO_FEW_SLICES}) | _UNLIKE
_PD_FAT = partial(_other_contrast, Weighting.PD, fat_suppressed=True)
_T2 = partial(_other_contrast, Weighting.T2, fat_suppressed=False)
TUNING = (
    Recipe("head of shells", _head_of_shells, _FOREIGN),
    Recipe("spine of boxes", _spine_of_boxes, _FOREIGN),
    Recipe("CT from labels", _ct_of_labels, _FOREIGN),
    Recipe("white noise", _white_noise, _FOREIGN),
    Recipe("header names the other side", _wrong_header, _SIDE, share=2),
    Recipe("blurred by a Gaussian of 3 pixels", _gaussian_blur, _BLURRED, share=2),
    Recipe("round metal void", _round_void, _METAL, share=2),
    Recipe("swaying leg", _swaying, _MOTION),
    Recipe("sagittal series", _sagittal, _PLANE),
    Recipe("sex not given", _no_sex),
    Recipe("a boy, by a bundle for girls", _of_sex(Sex.MALE), _SEX, covers=Sex.FEMALE),
    Recipe("coronal T2, stated", _T2(stated=True), _SEQUENCE),
    Recipe("coronal T2, not stated", _T2(stated=False), _FOREIGN),
    Recipe("few slices", _few_slices, _FEW),
    Recipe("a knee of double size", _scaled(2.0), _SIZE),
)
EVALUATION = (
    Recipe("head with folds", _head_of_folds, _FOREIGN),
    Recipe("curved spine", _curved_spine, _FOREIGN),
    Recipe("CT from grey values", _ct_of_greys, _FOREIGN),
    Recipe("noise of all sizes", _lumpy_noise, _FOREIGN),
    Recipe("mirrored against its header", _mirrored, _SIDE, share=2),
    Recipe("defocused over 3 pixels", _defocus, _BLURRED, share=2),
    Recipe("screws", _screw, _METAL, share=2),
    Recipe("jerking leg", _jerking, _MOTION),
    Recipe("axial by its axes", _turned, _PLANE),
    Recipe("sex not given", _no_sex),
    Recipe("a girl, by a bundle for boys", _of_sex(Sex.FEMALE), _SEX, covers=Sex.MALE),
    Recipe("coronal PD, fat-suppressed, stated", _PD_FAT(stated=True), _SEQUENCE),
    Recipe("coronal PD, fat-suppressed, not stated", _PD_FAT(stated=False), _FOREIGN),
    Recipe("few slices", _few_slices, _FEW),
    Recipe("a knee of half size", _scaled(0.5), _SIZE),
)
CLEAN = Recipe("clean virtual knees", clean)
