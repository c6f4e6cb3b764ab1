"""Virtual cohorts that nobody paints: regions of noise as bright as the age, with facts as the real ones have them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from kneeage.core.anatomy import PLATE_SITES, Label, Sex
from kneeage.core.result import PlateReport
from kneeage.infer.facts import plate_facts, subject_facts
from kneeage.infer.quality import ImageQuality
from kneeage.learn.data import SubjectRegions, save_regions
from kneeage.learn.virtual_people import Person
from kneeage.learn.virtual_regions import Facts, RegionJob, regions_file
from kneeage.phantom.growth.law import draw_latents
from kneeage.phantom.growth.stages import dedouit, schmeling_kellinghaus

STAGED = {"distal_femur": "femur", "proximal_tibia": "tibia"}


def pretend_regions(folder: Path, people: Sequence[Person], job: RegionJob, *_: object, **__: object) -> None:
    """Stand in for ``make_regions``."""
    for person in people:
        if not (folder / "facts" / f"{person.seed}.json").exists():
            _pretend(folder, person, job)


def _pretend(folder: Path, person: Person, job: RegionJob) -> None:
    rng = np.random.default_rng(person.seed)
    age_years = person.chronological_age_years or float(rng.uniform(8, 26))
    sex = person.sex or list(Sex)[person.seed // 2 % 2]
    facts = _facts(person, age_years, sex, rng, with_truth=job.with_truth)
    told = subject_facts(sex, height_cm=150.0, weight_kg=50.0, weighting="T1") | plate_facts(
        {name: PlateReport.model_validate(plate["found"]) for name, plate in facts["plates"].items()}
    )
    known = {name: value for name, value in told.items() if name != "sex"}
    pixels = rng.normal(age_years / 10, 0.1, (3, 3, 32, 32))
    save_regions(
        regions_file(folder, person.seed), SubjectRegions(pixels, int(sex is Sex.MALE), age_years, facts=known)
    )
    place = folder / "facts" / f"{person.seed}.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(facts))


def _facts(person: Person, age_years: float, sex: Sex, rng: np.random.Generator, *, with_truth: bool) -> Facts:
    latents = draw_latents(age_years, sex, rng)
    openness = max(0.0, min(1.0, (20 - age_years) / 6))
    found = PlateReport(found=True, openness=openness, thickness_mm=3 * openness or None).model_dump(mode="json")
    plate = {"found": found, "scar_share": 0.5}
    names = [label.name.lower() for label in list(Label)[1:]] + [f"{site.name}_bone" for site in PLATE_SITES]
    measured = {"true": found, "surface_mm": 0.2, "open_mm3": {"true": 10 * openness, "drawn": 5.0}}
    truth = {"dice_counts": dict.fromkeys(names, (90, 100))} if with_truth else {}
    return {
        "seed": person.seed,
        "hospital": person.hospital.name,
        "weighting": person.imaging.weighting.value,
        "field_of_view_mm": 160.0,
        "pixel_mm": 0.5,
        "slice_spacing_mm": 3.5,
        "sex": sex.value,
        "chronological_age_years": age_years,
        "height_cm": 150.0,
        "weight_kg": 50.0,
        "percentiles": {"height": 50.0, "weight": 50.0},
        "latents": asdict(latents),
        "findings": [],
        "true_stages": {
            name: {
                "dedouit": dedouit(getattr(latents, part)).value,
                "schmeling_kellinghaus": schmeling_kellinghaus(getattr(latents, part)).value,
            }
            for name, part in STAGED.items()
        },
        "slices": 3,
        "plates": {name: plate | (measured if with_truth else {}) for name in STAGED},
        "quality": asdict(ImageQuality(0.1, 0.1, 0.1, 0.5, 0.0)),
        **truth,
    }
