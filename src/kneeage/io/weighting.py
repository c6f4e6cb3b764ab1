"""The weighting of an image as physics has it: from TR, TE, TI, flip angle and sequence, never from a description."""

from __future__ import annotations

import math
import re

from kneeage.io.instance import Acquisition

# Spin echo. Knee protocols: T1 has TR 450 to 750 ms and TE 8 to 20 ms; at 3 T and with many slices TR reaches 1000.
# Proton density and T2 begin at TR 1500 and differ by TE; between the two TR the weighting is mixed and not named.
# Source: Gold GE et al., AJR 2004;183:343-351, doi:10.2214/ajr.183.2.1830343 (relaxation times of the knee: marrow fat
# 290 to 370 ms, muscle 1130 to 1420 ms); the limits drawn from them are our own choice.
T1_LONGEST_TR_MS = 1200.0
T1_LONGEST_TE_MS = 40.0
LONG_TR_MS = 1500.0
T2_SHORTEST_TE_MS = 60.0
# Inversion recovery: a short TI nulls fat (STIR), a middle one makes T1 contrast, a long one nulls fluid.
# Source: TI that nulls a tissue is T1 ln 2: fat 200 to 257 ms, synovial fluid 1975 to 2500 ms (relaxation times above).
FAT_NULLING_TI_MS = (80.0, 330.0)
T1_LONGEST_TI_MS = 1400.0
# Gradient echo: beyond this TE the contrast is T2*; a flip angle above the Ernst angle of muscle makes T1 contrast.
# Source: Ernst RR, Anderson WA, Rev Sci Instrum 1966;37:93-102, doi:10.1063/1.1719961 (cos a = exp(-TR/T1));
# muscle T1 at 1.5 T as above; the TE is our own choice.
T2_STAR_SHORTEST_TE_MS = 12.0
MUSCLE_T1_MS = 1130.0

# Source: DICOM PS3.3 section C.8.13.3.1.1 (Acquisition Contrast of enhanced images).
_WEIGHTING_OF_CONTRAST = {
    "T1": "T1",
    "PROTON_DENSITY": "PD",
    "T2": "T2",
    "T2_STAR": "T2",
    "FLUID_ATTENUATED": "T2",
    "STIR": "T2",
    "DIFFUSION": "T2",
}
# Source: DICOM PS3.3 sections C.8.3.1 (Scan Options FS) and C.8.13.5.5 (Spectrally Selected Suppression, Excitation);
# FAT_GEMS, SFS and WE are what vendors write.
_FAT_OPTIONS = frozenset({"FS", "SFS", "FAT_GEMS", "FATSAT", "WE"})
_FAT_SUPPRESSION = frozenset({"FAT", "FAT_AND_WATER", "FAT_AND_SILICON", "WATER"})
_WATER_IMAGES = frozenset({"WATER", "W", "WATER_IMAGE"})
_FAT_WORDS = re.compile(
    r"(?<![a-z])(?:fs|fatsat|fat[ -]?sat\w*|fat[ -]?supp\w*|spair|spir|stir|tirm|chess|fettges\w*|fettunt\w*)(?![a-z])"
    r"|[抑压壓]脂|脂肪抑制|saturation de (?:la )?graisse",
    re.IGNORECASE,
)


def judge_weighting(acquisition: Acquisition) -> tuple[str | None, str]:
    """Judge the weighting of an image.

    Args:
        acquisition: How it was acquired.

    Returns:
        ``"T1"``, ``"PD"``, ``"T2"`` or None where it is unknown or mixed, and the reason in words.
    """
    stated = _WEIGHTING_OF_CONTRAST.get((acquisition.contrast or "").upper())
    judged, reason = _from_physics(acquisition)
    if stated is None:
        return judged, reason
    if judged is None:
        return stated, f"acquisition contrast {acquisition.contrast}"
    if judged != stated:
        return None, f"{reason}, but the acquisition contrast is {acquisition.contrast}"
    return judged, f"{reason}, acquisition contrast {acquisition.contrast}"


def judge_fat_suppression(acquisition: Acquisition, texts: tuple[str, ...]) -> bool | None:
    """Judge whether the signal of fat is suppressed.

    Args:
        acquisition: How the image was acquired.
        texts: Series description and protocol name, whose words may only add a suppression.

    Returns:
        True or False, None where the header says nothing about it.
    """
    options = acquisition.options
    if _FAT_OPTIONS & set(options or ()) or _FAT_SUPPRESSION & set(acquisition.suppression):
        return True
    if _WATER_IMAGES & set(acquisition.image_type) or _nulls_fat(acquisition):
        return True
    if any(_FAT_WORDS.search(text.replace("_", " ")) for text in texts):
        return True
    return None if options is None and not acquisition.suppression else False


def sequence_name(weighting: str | None, *, fat_suppressed: bool | None) -> str:
    """Name a sequence as bundles do, such as ``"T1"`` or ``"PD fat-suppressed"``.

    Args:
        weighting: ``"T1"``, ``"PD"`` or ``"T2"``; None: not known.
        fat_suppressed: Whether the signal of fat is suppressed; None: not known, and taken as no.
    """
    return f"{weighting or 'unknown weighting'}{' fat-suppressed' if fat_suppressed else ''}"


def _from_physics(acquisition: Acquisition) -> tuple[str | None, str]:
    """Judge the weighting from times and angles."""
    sequence = set(acquisition.sequence)
    if sequence & {"EP"}:
        return "T2", "echo planar imaging"
    if acquisition.repetition_time_ms is None or acquisition.echo_time_ms is None:
        return None, "TR or TE is not stated"
    if acquisition.repetition_time_ms <= 0 or acquisition.echo_time_ms < 0:
        return None, "TR or TE is impossible"
    words = f"TR {acquisition.repetition_time_ms:.0f} ms, TE {acquisition.echo_time_ms:.0f} ms"
    if sequence & {"IR"} and acquisition.inversion_time_ms is not None:
        return _inversion(acquisition), f"inversion recovery, {words}, TI {acquisition.inversion_time_ms:.0f} ms"
    if sequence & {"GR", "GRADIENT"} and not sequence & {"SE", "BOTH"}:
        return _gradient_echo(acquisition, words)
    kind = "spin echo" if sequence & {"SE", "SPIN", "BOTH"} else "sequence not stated"
    return _spin_echo(acquisition.repetition_time_ms, acquisition.echo_time_ms), f"{kind}, {words}"


def _spin_echo(repetition_ms: float, echo_ms: float) -> str | None:
    """Weighting of a spin echo."""
    if repetition_ms <= T1_LONGEST_TR_MS:
        return "T1" if echo_ms <= T1_LONGEST_TE_MS else None
    if repetition_ms < LONG_TR_MS:
        return None
    return "PD" if echo_ms < T2_SHORTEST_TE_MS else "T2"


def _inversion(acquisition: Acquisition) -> str:
    """Weighting after an inversion pulse; water is brightest after a short and after a long TI."""
    inversion_ms = acquisition.inversion_time_ms or 0.0
    is_t1 = FAT_NULLING_TI_MS[1] < inversion_ms <= T1_LONGEST_TI_MS
    return "T1" if is_t1 and (acquisition.echo_time_ms or 0.0) <= T1_LONGEST_TE_MS else "T2"


def _gradient_echo(acquisition: Acquisition, words: str) -> tuple[str | None, str]:
    """Weighting of a gradient echo."""
    variant = set(acquisition.variant)
    if "SS" in variant and not variant & {"SP", "MP"}:
        return "T2", f"refocused gradient echo, {words}"
    if (acquisition.echo_time_ms or 0.0) > T2_STAR_SHORTEST_TE_MS:
        return "T2", f"gradient echo, {words}"
    if acquisition.flip_angle_degrees is None:
        return None, f"gradient echo, {words}, flip angle not stated"
    ernst = math.degrees(math.acos(math.exp(-max(acquisition.repetition_time_ms or 0.0, 0.0) / MUSCLE_T1_MS)))
    weighting = "T1" if acquisition.flip_angle_degrees > ernst else "PD"
    return weighting, f"gradient echo, {words}, flip angle {acquisition.flip_angle_degrees:.0f} degrees"


def _nulls_fat(acquisition: Acquisition) -> bool:
    """Say whether an inversion pulse nulls the signal of fat."""
    low, high = FAT_NULLING_TI_MS
    inversion_ms = acquisition.inversion_time_ms
    return "IR" in acquisition.sequence and inversion_ms is not None and low <= inversion_ms <= high
