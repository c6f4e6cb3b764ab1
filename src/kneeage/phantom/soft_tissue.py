"""Everything around the bones of the virtual knee: skin, fat, muscles, vessels, tendons, ligaments, cartilage.

Smooth fields in reference mm (see ``kneeage.phantom.anatomy``), negative inside, are computed on a coarse lattice and
thresholded at the pixels. Thin sheets (fascia, capsule, septa) are level sets of smooth fields.

Source: shapes placed after coronal T1 and sagittal T2 images of one lean adult knee (the public OsiriX sample "KNEE");
all ranges of variation are ``assumed``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom import strands
from kneeage.phantom.bones import BoneDistances, Field, Place
from kneeage.phantom.tissue import Tissue

Tissues = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Height, most anterior and posterior point, half-width, lateral shift and waist in front, of the deep fascia.
_OUTLINE = strands.at_levels(
    (
        (150, 50, -88, 55, -6, 0.1),
        (120, 43, -84, 51, -5, 0.15),
        (90, 36, -78, 47, -3, 0.22),
        (70, 34.5, -75, 45, -2.5, 0.27),
        (55, 38, -71, 44.5, -2, 0.32),
        (42, 41, -68, 44.5, -1, 0.37),
        (30, 41.5, -66, 44.5, -0.5, 0.4),
        (18, 40.5, -66, 44, 0, 0.42),
        (5, 34.5, -68, 43.5, 1, 0.44),
        (-12, 25, -71, 44, 2.5, 0.42),
        (-25, 18, -74, 45, 4, 0.42),
        (-38, 12, -76, 45, 4.5, 0.42),
        (-52, 7.5, -79, 47, 5, 0.4),
        (-80, 6, -82, 49, 5, 0.36),
        (-130, 5, -76, 42, 5, 0.3),
    )
)
# Thickness of articular cartilage; what is thicker is unossified epiphysis. Source: assumed from adult knees.
_ARTICULAR_MM = 2.2


@dataclass(frozen=True, eq=False)
class SoftTissue:
    """The individual soft tissue of one knee, lengths in reference mm.

    Args:
        fat: Thickness of the subcutaneous fat on the medial side of the knee.
        fat_in_front: Thickness in front of the knee relative to ``fat``; ``fat_lateral`` likewise.
        fat_lateral: Thickness on the lateral side relative to ``fat``.
        girth: Factor on the width of the leg inside its fascia.
        bulk: Factor on the radii of the muscles.
        gap: Half the width of the fat planes between muscles.
        planes: What these planes show: fat, or fascia alone.
        patella: Shift of the patella to lateral, anterior and superior, which its tendons follow.
        moved: Lateral shift, anterior shift, shift along the course and factor on the radii, of each of
            :data:`kneeage.phantom.strands.STRANDS`, shape (structures, 4).
        band: Half the thickness of iliotibial band and retinacula.
        capsule: Thickness of the capsule and synovium on the bones.
        synovium: Thickness of the synovium around the cruciate ligaments.
        origin: Reach of the dark origin of the gastrocnemius above and behind the posterior condyles.
        tendinous: Thickness of its tendinous layer on the bone; beyond it is muscle.
        recess: Half the thickness of the suprapatellar recess; negative when collapsed.
        effusion: Thickness of fluid beside and in front of the femur.
        hoffa: Factor on the size of Hoffa's fat pad.
        septa: Half the thickness of the strands within fat, relative to their spacing.
        meniscus: Inner edge of the menisci, as a share of the compartment's radius.
        phases: Phases of the strands within fat in radians, shape (6,).
    """

    fat: float
    fat_in_front: float
    fat_lateral: float
    girth: float
    bulk: float
    gap: float
    planes: Tissue
    patella: tuple[float, float, float]
    moved: Field
    band: float
    capsule: float
    synovium: float
    origin: float
    tendinous: float
    recess: float
    effusion: float
    hoffa: float
    septa: float
    meniscus: float
    phases: Field

    @staticmethod
    def draw(rng: np.random.Generator, patella: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> SoftTissue:
        """Draw the soft tissue of one knee.

        Args:
            rng: Source of randomness.
            patella: Shift of the patella to lateral, anterior and superior (see ``BoneShape``).
        """
        fat = float(np.clip(np.exp(rng.normal(np.log(8.0), 0.65)), 2.0, 38.0))
        return SoftTissue(
            fat=fat,
            fat_in_front=rng.uniform(0.2, 0.5),
            fat_lateral=rng.uniform(0.4, 0.85),
            girth=rng.normal(1.0, 0.035),
            bulk=rng.normal(1.02, 0.06),
            gap=rng.uniform(0.15, 0.7) + 0.02 * fat,
            planes=Tissue.DEEP_FAT if rng.random() < 0.7 else Tissue.FASCIA,
            patella=patella,
            moved=_draw_moves(rng),
            band=rng.uniform(0.5, 1.3),
            capsule=rng.uniform(0.6, 2.0),
            synovium=rng.uniform(0.5, 3.5),
            origin=rng.uniform(1.5, 8.0),
            tendinous=rng.uniform(0.5, 5.0),
            recess=rng.uniform(-0.2, 0.7),
            effusion=max(0.0, rng.normal(-1.5, 2.5)),
            hoffa=rng.normal(1.0, 0.08),
            septa=rng.uniform(0.03, 0.13),
            meniscus=rng.uniform(0.5, 0.68),
            phases=rng.uniform(0, 2 * np.pi, 6).astype(np.float32),
        )

    @cached_property
    def sections(self) -> dict[str, Field]:
        """Sections of the long structures along their course, by name."""
        return {name: self._tabulated(name, own) for name, own in zip(strands.STRANDS, self.moved, strict=True)}

    def _tabulated(self, name: str, own: Field) -> Field:
        """Sections of one structure along its course."""
        shifts: list[Field | float] = [float(shift) for shift in own[:3]]
        if name in strands.FRONT:
            shifts = [shift + along * strands.near_patella() for shift, along in zip(shifts, self.patella, strict=True)]
        size = float(own[3]) * (self.bulk if name in _MUSCULAR else 1.0)
        return strands.tabulated(strands.STRANDS[name], shifts, size)


_MUSCULAR = {**strands.MUSCLES, **strands.CALF}.keys()


def soft_fields(
    thigh: Place, shin: Place, loose: Place, bones: BoneDistances, soft: SoftTissue, cartilage_mm: float
) -> dict[str, Field]:
    """Compute the smooth fields of the soft tissue.

    Args:
        thigh: Points in the femur's frame, in reference mm, three arrays of one shape.
        shin: The same points in the tibia's frame.
        loose: The same points in the femur's frame, with the deformation that soft tissue alone undergoes.
        bones: Distances to the bones.
        soft: The individual soft tissue.
        cartilage_mm: Thickness of articular and unossified epiphyseal cartilage, in reference mm.

    Returns:
        Fields of the shape of the points: distances in reference mm, negative inside, but for ``band`` (thickness of the
        fascia) and ``veil`` (about -2 to 2, strands of fat at its zeros).
    """
    leg = _Leg.at(_along_the_leg(thigh, shin, loose), soft)
    firm = _Leg.at(_along_the_leg(thigh, shin, thigh), soft)
    front = leg.nearest(strands.FRONT)
    fascia = _fascia(firm, bones, front)
    fat = _fat(firm.place, soft)
    shell = _blend(bones.femur, bones.tibia, 7.0)
    joint = _Joint.at(shin, bones)
    anterior, posterior = leg.distance("anterior cruciate ligament"), _posterior_cruciate(leg)
    return {
        "skin": fascia - fat,
        "fascia": fascia,
        "band": _band(leg.place, soft),
        **_muscles(leg, bones, fascia),
        "vessel": np.minimum(leg.nearest(strands.VESSELS), _saphenous(leg.place, fascia, fat)),
        "nerve": leg.nearest(strands.NERVES),
        "tendon": np.minimum(_tendons(leg, front + _fibres(leg.place), shell), posterior),
        "cruciate": anterior,
        "capsule": np.minimum(shell - soft.capsule * _near_joint(leg.place[2]), np.minimum(anterior, posterior) - soft.synovium),
        "origin": _origin(thigh, bones, soft),
        "fluid": _fluid(leg.place, joint, bones, soft),
        "hoffa": _hoffa(leg.place, soft),
        "veil": _veil(leg.place, soft.phases),
        "meniscus": _meniscus(joint, soft),
        "cartilage": np.minimum(_cartilage(thigh, joint, bones, cartilage_mm), _bearing(joint, bones, soft)),
    }


def paint_soft_tissue(fields: Mapping[str, Field], soft: SoftTissue, cartilage_mm: float) -> Tissues:
    """Paint the soft tissue; the bones are painted over it afterwards.

    Args:
        fields: Those of :func:`soft_fields` and the distances ``femur``, ``tibia`` and ``patella``, arrays of one shape.
        soft: The individual soft tissue.
        cartilage_mm: Thickness of articular and unossified epiphyseal cartilage, in reference mm.

    Returns:
        :class:`~kneeage.phantom.tissue.Tissue` of each point.
    """
    tissue = np.full(fields["skin"].shape, Tissue.AIR, np.uint8)
    _paint_layers(tissue, fields, soft)
    _paint_muscles(tissue, fields, soft)
    for name, within, value in _CORDS:
        _lay(tissue, value, fields[name] < within)
    _paint_cartilage(tissue, fields, cartilage_mm)
    return tissue


# Where the heads of the gastrocnemius meet: behind this, in reference mm.
_BEHIND_SOLEUS = -46.0
# Fields painted one over the other, with the distance below which each is, in reference mm.
_CORDS = (
    ("fluid", 0.0, Tissue.FLUID),
    ("vessel", 0.0, Tissue.VESSEL),
    ("nerve", 0.0, Tissue.NERVE),
    ("tendon", 0.5, Tissue.CAPSULE),
    ("tendon", 0.0, Tissue.TENDON),
    ("cruciate", 0.0, Tissue.CRUCIATE),
    ("meniscus", 0.0, Tissue.MENISCUS),
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
    muscle, origin, calf = fields["muscle"] < 0, fields["origin"] < 0, fields["calf"]
    muscular, width = fields["femur"] > soft.tendinous, 2 * soft.gap
    _lay(tissue, Tissue.MUSCLE, muscle)
    _lay(tissue, Tissue.CALF_MUSCLE, muscle & (calf < 0))
    planes = (np.abs(calf) < width) | ((fields["y"] < _BEHIND_SOLEUS) & (np.abs(fields["septum"]) < 0.7 * width))
    _lay(tissue, soft.planes, muscle & planes)
    _lay(tissue, Tissue.CALF_MUSCLE, origin & muscular)
    _lay(tissue, Tissue.CAPSULE, fields["capsule"] < 0)
    _lay(tissue, Tissue.TENDON, origin & ~muscular)


def _paint_cartilage(tissue: Tissues, fields: Mapping[str, Field], cartilage_mm: float) -> None:
    """Paint articular cartilage and, below it, what has not ossified yet, in place."""
    cartilage = fields["cartilage"] < 0
    _lay(tissue, Tissue.CARTILAGE, cartilage)
    if cartilage_mm > _ARTICULAR_MM:
        bone = np.minimum(np.minimum(fields["femur"], fields["tibia"]), fields["patella"])
        _lay(tissue, Tissue.EPIPHYSEAL_CARTILAGE, cartilage & (bone < cartilage_mm - _ARTICULAR_MM))


def soft_texture(tissue: Tissues, pixel_mm: float, fields: Mapping[str, Field], rng: np.random.Generator) -> Field:
    """Relative modulation of the signal within soft tissue: bundles of muscle, lobules and septa of fat.

    Args:
        tissue: Tissue of the middle plane, shape (rows, columns).
        pixel_mm: Width of a pixel.
        fields: Fields at the same pixels.
        rng: Source of randomness.

    Returns:
        About -0.5 to 0.5, 0 outside soft tissue, shape (rows, columns).
    """
    bundles = _noise(tissue.shape, (7.0 / pixel_mm, 1.0 / pixel_mm), rng)
    lobules = _noise(tissue.shape, (2.2 / pixel_mm, 1.7 / pixel_mm), rng)
    septa = _noise(tissue.shape, (6.0 / pixel_mm, 4.0 / pixel_mm), rng)
    lines = np.maximum(1 - np.abs(septa) * 9, 0)
    streaks = bundles + 6 * np.maximum(bundles - 1.6, 0)
    bundle, lobule, septum = (share[tissue] for share in _TEXTURES)
    return np.asarray(bundle * streaks + lobule * lobules - septum * lines)


def _texture_shares() -> Field:
    """How much each tissue shows of bundles, lobules and septa, shape (3, tissues)."""
    shares = np.zeros((3, len(Tissue)), np.float32)
    shares[:, [Tissue.MUSCLE, Tissue.CALF_MUSCLE]] = np.array([[0.05], [0.02], [0.0]])
    shares[:, Tissue.SUBCUTANEOUS_FAT] = (0.0, 0.03, 0.12)
    shares[:, Tissue.DEEP_FAT] = (0.0, 0.03, 0.12)
    shares[:, Tissue.HOFFA_FAT] = (0.0, 0.05, 0.2)
    shares[:, [Tissue.CRUCIATE, Tissue.TENDON]] = np.array([[0.3], [0.3], [0.0]])
    shares[:, [Tissue.CAPSULE, Tissue.VESSEL, Tissue.SKIN]] = np.array([[0.1], [0.15], [0.0]])
    return shares


_TEXTURES = _texture_shares()


def _noise(shape: tuple[int, ...], grain: tuple[float, float], rng: np.random.Generator) -> Field:
    """Smooth noise of about unit spread with grains of the given rows and columns."""
    down, along = (_hats(size, width) for size, width in zip(shape, grain, strict=True))
    coarse = rng.standard_normal((down.shape[1], along.shape[1]), dtype=np.float32)
    return np.asarray(down @ coarse @ along.T * 1.4)


def _hats(size: int, width: float) -> Field:
    """Weights that interpolate knots ``width`` pixels apart, shape (size, knots)."""
    knots = np.arange(-1, size / width + 2) * width
    near = np.clip(1 - np.abs(np.arange(size)[:, None] - knots[None, :]) / width, 0, 1)
    return np.asarray(near * near * (3 - 2 * near), dtype=np.float32)


def _draw_moves(rng: np.random.Generator) -> Field:
    """Draw shifts and sizes of all long structures, shape (structures, 4)."""
    spread = [(1.8, 1.8, 5.0, 0.06) if name in _MUSCULAR else (0.8, 0.6, 2.0, 0.1) for name in strands.STRANDS]
    drawn = rng.normal(0, spread)
    drawn[:, 3] += 1
    return np.asarray(drawn, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _Leg:
    """Points along the leg with their levels in the tables of the long structures."""

    place: Place
    levels: NDArray[np.intp]
    soft: SoftTissue

    @staticmethod
    def at(place: Place, soft: SoftTissue) -> _Leg:
        """Look the points' levels up."""
        return _Leg(place, strands.levels_of(place[2]), soft)

    def distance(self, name: str) -> Field:
        """Distance to a structure that runs along the leg."""
        table = self.soft.sections[name]
        return strands.distance_to(strands.STRANDS[name], table, self.place[:2], self.levels)

    def nearest(self, names: Iterable[str]) -> Field:
        """Distance to the nearest of several structures."""
        first, *others = names
        union = self.distance(first)
        for name in others:
            np.minimum(union, self.distance(name), out=union)
        return union

    def apart(self, names: Iterable[str], gap: float) -> Field:
        """Distance to the nearest of several muscles that are parted by fat planes of half-width ``gap``."""
        first, *others = names
        union = self.distance(first)
        for name in others:
            union = _apart(union, self.distance(name), gap)
        return union


@dataclass(frozen=True, eq=False)
class _Joint:
    """The space between femur and tibia.

    Args:
        radius: Distance from the middle of the nearer compartment, in its radii.
        inward: Distance from the middle of the nearer compartment towards the other.
        height: Height in the tibia's frame.
        above: Distance to the tibia.
        reach: The greater of the distances to the two bones.
    """

    radius: Field
    inward: Field
    height: Field
    above: Field
    reach: Field

    @staticmethod
    def at(shin: Place, bones: BoneDistances) -> _Joint:
        """Measure the space at points in the tibia's frame."""
        x, y, z = shin
        side = np.abs(x) - 19
        radius = np.sqrt((side / 18) ** 2 + ((y + 19) / 21) ** 2 + 1e-3)
        return _Joint(radius, -side, z, bones.tibia, np.maximum(bones.femur, bones.tibia))

    def film(self, radius: float) -> Field:
        """Distance to the space where the bones bear on each other, out to a share of the compartments' radius."""
        return np.maximum(self.reach - 11, (self.radius - radius) * 16)


def _along_the_leg(thigh: Place, shin: Place, loose: Place) -> Place:
    """Coordinates that bend with the leg: those of the thigh above, of the shin below, both loosened."""
    share = np.clip((8 - thigh[2]) / 30, 0, 1)
    share = share * share * (3 - 2 * share)
    x, y, z = (free + share * (low - high) for free, low, high in zip(loose, shin, thigh, strict=True))
    return x, y, z


def _apart(a: Field, b: Field, gap: float) -> Field:
    """Union of two bodies with a plane of fat of half-width ``gap`` where they touch."""
    return np.asarray(np.maximum(np.minimum(a, b), gap - 0.5 * np.abs(a - b)))


def _blend(a: Field, b: Field, reach: float) -> Field:
    """Union of two bodies, smoothly joined over ``reach``."""
    h = np.clip(0.5 + (b - a) * (0.5 / reach), 0, 1)
    return np.asarray(b + (a - b) * h - reach * h * (1 - h))


def _squared(a: Field) -> Field:
    """Square."""
    return a * a


def _fascia(leg: _Leg, bones: BoneDistances, front: Field) -> Field:
    """Distance to the deep fascia: an egg with a waist in front, wide enough to hold bones and tendons."""
    held = np.minimum(np.minimum(bones.femur, bones.tibia) - 1.6, np.minimum(bones.fibula, bones.patella) - 1.2)
    held = np.minimum(held, front + np.clip(np.abs(leg.place[0] - 4) - 13, 0, None))
    egg = np.clip(_egg(leg), -40, None)
    # Far from a bone its distance says little: there the egg alone counts.
    held = np.maximum(held + 3 * np.clip(held - 4, 0, None), 2 * (egg - 9))
    return _blend(egg, held, 8.0)


def _egg(leg: _Leg) -> Field:
    """Distance to the smooth outline of the leg inside its fascia."""
    x, y, _ = leg.place
    front, back, half_width, shift, waist = (row[leg.levels] for row in _OUTLINE)
    middle, depth = (front + back) / 2, (front - back) / 2
    ahead = (y + 18 - 0.48 * front) * (1 / 15)
    width = half_width * np.float32(leg.soft.girth) * (1 - waist * (0.5 + 0.5 * ahead / np.sqrt(1 + ahead * ahead)))
    u, v = (x - shift) / width, (y - middle) / depth
    squared = u * u + v * v + 1e-4
    slope = np.sqrt((u / width) ** 2 + (v / depth) ** 2 + 1e-6)
    return np.asarray((squared - np.sqrt(squared)) / slope)


def _muscles(leg: _Leg, bones: BoneDistances, fascia: Field) -> dict[str, Field]:
    """Distance to the muscles, where the nearest belongs to the calf, and the planes within the calf as zeros."""
    gap = leg.soft.gap + 0.6
    thigh = leg.apart(strands.MUSCLES, gap)
    medial, lateral, soleus, popliteus = (leg.distance(name) for name in strands.CALF)
    gastrocnemius = np.minimum(medial, lateral)
    calf = _apart(np.minimum(gastrocnemius, soleus), popliteus, gap)
    bone = np.minimum(np.minimum(bones.femur, bones.tibia), bones.fibula)
    outside = np.maximum(fascia + 0.7, 1.3 - bone)
    planes = _either(medial - lateral, gastrocnemius - soleus)
    return {"muscle": np.maximum(np.minimum(thigh, calf), outside), "calf": calf - thigh, "septum": planes}


def _either(a: Field, b: Field) -> Field:
    """A smooth field that is zero where either is."""
    return np.asarray(a * b / np.sqrt(a * a + b * b + 0.5))


def _fat(place: Place, soft: SoftTissue) -> Field:
    """Thickness of skin and subcutaneous fat: most on the medial side and the back, least in front of the patella."""
    x, y, z = place
    side = 0.5 + 0.5 * x / np.sqrt(900 + x * x)
    ahead = 0.5 + 0.5 * (y - 4) / np.sqrt(220 + (y - 4) ** 2)
    share = 1 + (soft.fat_lateral - 1) * side
    share = share + (soft.fat_in_front - share) * ahead
    return np.asarray(1.6 + soft.fat * share * (1 + 0.003 * np.clip(z, -40, 80)))


def _band(place: Place, soft: SoftTissue) -> Field:
    """Thickness of the deep fascia: thick where it is iliotibial band or retinaculum."""
    x, y, z = place
    ahead = 1 / (1 + _squared(_squared((y - 12) * (1 / 22))))
    near = 1 / (1 + _squared(_squared((z - 20) * (1 / 45))))
    lateral = 0.5 + 0.5 * x / np.sqrt(100 + x * x)
    return np.asarray(0.3 + soft.band * ahead * np.maximum(lateral, near))


def _fibres(place: Place) -> Field:
    """Roughness of the tendons in front, whose bundles part where they meet fat."""
    x, _, z = place
    return np.asarray(0.3 + 0.3 * np.sin(1.3 * x + 0.004 * z * x + 1.2 * np.sin(0.45 * x + 0.15 * z)))


def _tendons(leg: _Leg, front: Field, shell: Field) -> Field:
    """Distance to the nearest tendon or collateral ligament."""
    return np.minimum(front, np.minimum(leg.nearest(strands.TENDONS), _medial_collateral(leg.place, shell)))


def _posterior_cruciate(leg: _Leg) -> Field:
    """Distance to the posterior cruciate ligament, which runs from the front to the back."""
    x, y, z = leg.place
    name = "posterior cruciate ligament"
    return strands.distance_to(strands.STRANDS[name], leg.soft.sections[name], (x, z), strands.levels_of(y))


def _medial_collateral(place: Place, shell: Field) -> Field:
    """Distance to the medial collateral ligament: a band on the bones from the epicondyle to the tibia."""
    x, y, z = place
    half = 1.5 - 2.0 * _squared((y + 12) * 0.1) - 2.0 * _squared(_squared((z + 12) * 0.025))
    return np.abs(shell - 1.5) - half + np.clip(x + 20, 0, None)


def _saphenous(place: Place, fascia: Field, fat: Field) -> Field:
    """Distance to the great saphenous vein within the medial subcutaneous fat."""
    x, y, z = place
    off = np.sqrt((fascia - 0.4 * fat) ** 2 + ((y + 38 - 0.1 * z) * 0.7) ** 2 + 0.3) - 1.6
    return np.maximum(off, x + 10)


def _near_joint(z: Field) -> Field:
    """Share of the capsule's thickness at each height: 1 at the joint, negative beyond the capsule."""
    return np.asarray(1.6 / (1 + _squared(_squared(z * (1 / 32)))) - 0.6)


def _origin(thigh: Place, bones: BoneDistances, soft: SoftTissue) -> Field:
    """Distance to the origin of the gastrocnemius and the capsule above and behind the posterior condyles."""
    x, y, z = thigh
    across = (np.abs(x) - 20) * (1 / 14)
    ragged = 0.8 + 0.3 * np.sin(0.8 * x + 0.5 * z + 3 * np.sin(0.21 * x + 0.25 * y + soft.phases[0]))
    reach = soft.origin * ragged * (1 - across * across) - 0.3 * np.clip(-28 - y, 0, None)
    return bones.femur - reach + 0.6 * np.clip(26 - z, 0, None) + 0.8 * np.clip(y + 16, 0, None)


def _fluid(place: Place, joint: _Joint, bones: BoneDistances, soft: SoftTissue) -> Field:
    """Distance to the fluid: film between the bones, suprapatellar recess, and effusion around the front of the femur."""
    x, y, z = place
    film = np.minimum(joint.film(0.9), bones.femur + bones.patella - 7)
    off = np.abs(bones.femur - 5.0 - 0.06 * np.clip(z - 20, 0, None)) - soft.recess - soft.effusion * 0.5
    extent = 10 * ((x / 22) ** 2 + ((z - 40) / 26) ** 2 - 1)
    sheet = np.maximum(off, np.maximum(extent, 8 - y))
    gutter = bones.femur - soft.effusion * (1.3 - ((z - 20) / 26) ** 2 - ((y - 6) / 20) ** 2)
    return np.minimum(np.minimum(film, sheet), gutter)


def _hoffa(place: Place, soft: SoftTissue) -> Field:
    """Distance to Hoffa's fat pad, between patella, patellar tendon, trochlea and tibia."""
    x, y, z = place
    ratio = np.sqrt(((x - 3) / 27) ** 2 + ((y - 18 - 0.5 * z) / 20) ** 2 + (z / 24) ** 2)
    return np.asarray((ratio - soft.hoffa) * 20)


def _veil(place: Place, phases: Field) -> Field:
    """Strands within fat: the zeros of wavy sheets, lifted off zero here and there, and one sheet through Hoffa's fat."""
    x, y, z = place
    slow = np.sin(0.11 * x + 0.07 * z + phases[0]) + np.sin(0.09 * y - 0.06 * x + phases[1])
    waves = np.sin(0.21 * z + 0.1 * x + phases[2]) + 1.5 * slow
    strands_of_fat = np.sin(0.3 * x + 0.24 * y + 0.15 * z + 1.6 * waves + phases[3]) + 0.9 * slow + phases[4] / 7
    sheet = np.abs(z - 1 + 0.15 * x + 2 * np.sin(0.2 * x + phases[5]) + 1.5 * np.sin(0.3 * y)) * 0.25
    behind = np.clip(-y, -10, 40)
    return np.asarray(strands_of_fat * np.clip(sheet + np.clip(behind + 2, 0, None) * 0.15, 0, 1) * (1 + 0.05 * behind))


def _meniscus(joint: _Joint, soft: SoftTissue) -> Field:
    """Distance to the two menisci: rings between the bones, open to the middle of the joint."""
    inner, outer = soft.meniscus, 1.04
    wedge = joint.above - 1.8 - 6.0 * (joint.radius - inner) * (1 / (outer - inner))
    ring = np.maximum(inner - joint.radius, joint.radius - outer) * 16
    return np.maximum(np.maximum(ring, wedge), np.maximum(joint.reach - 8, joint.inward - 9))


def _bearing(joint: _Joint, bones: BoneDistances, soft: SoftTissue) -> Field:
    """Distance to the cartilage that fills the space within the menisci, but for a film in its middle."""
    return np.maximum(joint.film(soft.meniscus), 0.4 - 0.5 * np.abs(bones.femur - bones.tibia))


def _cartilage(thigh: Place, joint: _Joint, bones: BoneDistances, cartilage_mm: float) -> Field:
    """Distance to the cartilage of femur, tibia and patella: articular, and all around what has not ossified yet."""
    x, y, z = thigh
    articular = min(cartilage_mm, _ARTICULAR_MM)
    young = cartilage_mm - articular
    rim = np.clip((np.abs(x) - 28) / 9, 0, 1)
    notch = np.clip((9 - np.abs(x)) / 4, 0, 1) * np.clip((4 - y) / 4, 0, 1)
    top = np.clip((z - 16 - np.clip(np.abs(y + 10) - 14, 0, 20)) / 8, 0, 1)
    femur = articular * (1 - 1.3 * np.maximum(np.maximum(rim, notch), top)) + young * (1 - 1.3 * np.clip((z - 20) / 8, 0, 1))
    tibia = articular * (1.1 - 1.4 * np.clip((joint.radius - 0.7) / 0.35, 0, 1)) + young * (1 - np.clip((-9 - joint.height) / 8, 0, 1.3))
    patella = articular * 1.3 * np.clip((14 - bones.femur) / 6, 0, 1) + young
    return np.minimum(np.minimum(bones.femur - femur, bones.tibia - tibia), bones.patella - patella)
