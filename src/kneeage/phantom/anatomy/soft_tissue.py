"""Everything around the bones of the virtual knee: skin, fat, muscles, vessels, tendons, ligaments, cartilage.

Smooth fields in reference mm (see ``kneeage.phantom.anatomy.knee``), negative inside, are computed on a coarse lattice
and thresholded at the pixels. Thin sheets (fascia, capsule, septa) are level sets of smooth fields.

Source: shapes placed after coronal T1 and sagittal T2 images of one lean adult knee (the public OsiriX sample "KNEE");
all ranges of variation are ``assumed``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.anatomy.bones import BoneDistances, Field, Place
from kneeage.phantom.anatomy.joint import ARTICULAR_MM, joint_fields
from kneeage.phantom.anatomy.leg import Leg, along_the_leg, leg_fields
from kneeage.phantom.anatomy.soft_shape import SoftTissue
from kneeage.phantom.anatomy.soft_texture import soft_texture
from kneeage.phantom.anatomy.tissue import Tissue

__all__ = ["SoftTissue", "paint_soft_tissue", "soft_fields", "soft_texture"]

Tissues = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def soft_fields(
    thigh: Place,
    shin: Place,
    loose: Place,
    bones: BoneDistances,
    soft: SoftTissue,
    cartilage_mm: float,
    articular_mm: float = ARTICULAR_MM,
) -> dict[str, Field]:
    """Compute the smooth fields of the soft tissue.

    Args:
        thigh: Points in the femur's frame, in reference mm, three arrays of one shape.
        shin: The same points in the tibia's frame.
        loose: The same points in the femur's frame, with the deformation that soft tissue alone undergoes.
        bones: Distances to the bones.
        soft: The individual soft tissue.
        cartilage_mm: Thickness of articular and unossified epiphyseal cartilage, in reference mm.
        articular_mm: The most of it that is articular, in reference mm.

    Returns:
        Fields of the shape of the points, see :func:`~kneeage.phantom.anatomy.leg.leg_fields` and
        :func:`~kneeage.phantom.anatomy.joint.joint_fields`.
    """
    leg = Leg.at(along_the_leg(thigh, shin, loose), soft)
    firm = Leg.at(along_the_leg(thigh, shin, thigh), soft)
    return {**leg_fields(leg, firm, bones), **joint_fields(thigh, shin, leg, bones, soft, cartilage_mm, articular_mm)}


def paint_soft_tissue(
    fields: Mapping[str, Field], soft: SoftTissue, cartilage_mm: float, articular_mm: float = ARTICULAR_MM
) -> Tissues:
    """Paint the soft tissue; the bones are painted over it afterwards.

    Args:
        fields: Those of :func:`soft_fields`, ``y``, and the distances ``femur``, ``tibia``, ``patella``; of one shape.
        soft: The individual soft tissue.
        cartilage_mm: Thickness of articular and unossified epiphyseal cartilage, in reference mm.
        articular_mm: The most of it that is articular, in reference mm.

    Returns:
        :class:`~kneeage.phantom.anatomy.tissue.Tissue` of each point.
    """
    tissue = np.full(fields["skin"].shape, Tissue.AIR, np.uint8)
    _paint_layers(tissue, fields, soft)
    _paint_muscles(tissue, fields, soft)
    for name, within, value in _CORDS:
        _lay(tissue, value, fields[name] < within)
    _paint_cartilage(tissue, fields, cartilage_mm - articular_mm)
    return tissue


# Where the heads of the gastrocnemius meet: behind this, in reference mm.
_BEHIND_SOLEUS = -43.0
# Fields painted one over the other, with the distance below which each is, in reference mm.
_CORDS = (
    ("fluid", 0.0, Tissue.FLUID),
    ("vessel", 0.0, Tissue.VESSEL),
    ("nerve", 0.0, Tissue.NERVE),
    ("tendon", 0.5, Tissue.CAPSULE),
    ("tendon", 0.0, Tissue.TENDON),
    ("cruciate", 0.0, Tissue.CRUCIATE),
)


def _lay(tissue: Tissues, value: Tissue, where: Mask) -> None:
    """Paint one tissue, in place."""
    np.copyto(tissue, np.uint8(value), where=where)


def _paint_layers(tissue: Tissues, fields: Mapping[str, Field], soft: SoftTissue) -> None:
    """Paint skin, subcutaneous fat, fascia with its thick bands, and deep fat with its strands, in place."""
    skin, fascia = fields["skin"], fields["fascia"]
    deep = fascia < -fields["band"]
    _lay(tissue, Tissue.SKIN, skin < 0)
    _lay(tissue, Tissue.SUBCUTANEOUS_FAT, skin < -1.4)
    _lay(tissue, Tissue.FASCIA, fascia < 0.3)
    _lay(tissue, Tissue.DEEP_FAT, deep)
    _lay(tissue, Tissue.HOFFA_FAT, deep & (fields["hoffa"] < 0))
    _lay(tissue, Tissue.CAPSULE, deep & (np.abs(fields["veil"]) < soft.septa))


def _paint_muscles(tissue: Tissues, fields: Mapping[str, Field], soft: SoftTissue) -> None:
    """Paint the muscles, the capsule, and the mixed origin of the gastrocnemius, in place."""
    muscle, origin, calf, cap = fields["muscle"] < 0, fields["origin"] < 0, fields["calf"], fields["cap"]
    width = 1.3 * soft.gap
    _lay(tissue, Tissue.MUSCLE, muscle)
    _lay(tissue, Tissue.CALF_MUSCLE, muscle & (calf < 0))
    heads = (calf < 0) & (fields["y"] < _BEHIND_SOLEUS)
    planes = (np.abs(calf) < width) | (heads & (np.abs(fields["septum"]) < 0.7 * width))
    _lay(tissue, soft.planes, muscle & planes)
    _lay(tissue, Tissue.CALF_MUSCLE, origin & (cap > 0))
    _lay(tissue, Tissue.CAPSULE, fields["capsule"] < 0)
    _lay(tissue, Tissue.TENDON, origin & (cap < 0))


def _paint_cartilage(tissue: Tissues, fields: Mapping[str, Field], young: float) -> None:
    """Paint articular cartilage, below it what has not ossified yet, and the menisci, in place."""
    cartilage = (fields["cartilage"] < 0) | (fields["lower_cartilage"] < 0)
    _lay(tissue, Tissue.CARTILAGE, cartilage)
    if young > 0:
        bone = np.minimum(np.minimum(fields["femur"], fields["tibia"]), fields["patella"])
        _lay(tissue, Tissue.EPIPHYSEAL_CARTILAGE, cartilage & (bone < young))
    _lay(tissue, Tissue.MENISCUS, fields["meniscus"] < 0)
