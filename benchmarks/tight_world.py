"""Do the images carry the latents? A tenth of `table1-tight` through U-Net and GoogLeNet, against chance.

The world of ``table1-tight`` is so tight that age can be read almost exactly from the plates. If a GoogLeNet that saw
a hundred of its subjects did not beat chance by far, the images would have lost what the latents say. The U-Net is that
of the shipped bundle; GoogLeNet learns the paper's nine classes on the training part, its checkpoint is chosen on the
validation part, and the external part (hospital B) is looked at once.

Run ``make bench-tight``; it takes about a quarter of an hour on two cores and writes ``results/tight-world.md``.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from kneeage.io.bundle import load_bundle
from kneeage.learn.age_model import AgeModel, load_age_model, train_age_model
from kneeage.learn.data import ValidationRegions, region_files
from kneeage.learn.settings import AgeModelSettings, FitSettings
from kneeage.learn.virtual_regions import RegionJob, write_regions
from kneeage.phantom.cohort.presets import PRESETS, Member, Subset, roster
from kneeage.phantom.cohort.subject import virtual_subject

RESULTS = Path(__file__).parent / "results" / "tight-world.md"
PRESET = PRESETS["table1-tight"]
SEED = 20
SETTINGS = AgeModelSettings(
    fit=FitSettings(batch_size=16, learning_rate=1e-3, max_steps=900, steps_per_epoch=50, workers=1),
    age_edges_years=tuple(float(age) for age in range(10, 20)),
    label_sigma_years=0.0,
)


def main() -> None:
    """Make the subjects, train, score, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("work/tight"), help="folder of what is made on the way")
    parser.add_argument("--subjects", type=int, default=PRESET.subjects // 10)
    arguments = parser.parse_args()
    members = roster(PRESET, arguments.subjects, SEED)
    _make_all(members, arguments.work)
    regions = {subset: arguments.work / subset.value / "regions" for subset in Subset}
    best = train_age_model(regions[Subset.TRAINING], regions[Subset.VALIDATION], SETTINGS, arguments.work / "run")
    RESULTS.write_text(_page(members, load_age_model(best), regions), encoding="utf-8")


def _make_all(members: list[Member], work: Path) -> None:
    """Make the regions of every member, on two processes."""
    bundle = load_bundle()
    stage = bundle.manifest.segment
    job = RegionJob(bundle.folder / stage.file, stage, bundle.manifest.age)
    missing = [member for member in members if not _facts(member, work).exists()]
    with ProcessPoolExecutor(2) as executor:
        done = executor.map(_make, missing, [work] * len(missing), [job] * len(missing))
        for _ in track(done, description="table1-tight", total=len(missing)):
            pass


def _facts(member: Member, work: Path) -> Path:
    """Where a member's facts are written, last."""
    return work / member.stratum.subset.value / "facts" / f"{member.seed}.json"


def _make(member: Member, work: Path, job: RegionJob) -> None:
    """Make one member and its regions."""
    subject = virtual_subject(
        member.seed,
        chronological_age_years=member.chronological_age_years,
        sex=member.stratum.sex,
        hospital=member.stratum.hospital,
        growth_table=PRESET.growth,
        about_the_sites=True,
    )
    write_regions(work / member.stratum.subset.value, subject, job)


def _page(members: list[Member], model: AgeModel, regions: dict[Subset, Path]) -> str:
    """The page of results."""
    made = {subset: len(region_files(folder)) for subset, folder in regions.items()}
    rows = [_row(subset, model, regions[subset], made) for subset in (Subset.VALIDATION, Subset.EXTERNAL)]
    head = (
        "# Do the images carry the latents?\n\n"
        f"`make bench-tight`: {len(members)} of {PRESET.subjects} subjects of `table1-tight`, seed {SEED}; regions "
        f"were found in {made[Subset.TRAINING]} training, {made[Subset.VALIDATION]} validation and "
        f"{made[Subset.EXTERNAL]} external subjects. U-Net of the shipped bundle, GoogLeNet from scratch on nine "
        "classes. The checkpoint was chosen on the validation part; the external part, from the other hospital, was "
        "looked at once.\n\n"
        "| part | n | exact year | macro recall | within one year | MAE of the class, years | chance, exact year |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    tail = "\nChance is the largest class of the training part's share of the part scored.\n"
    return head + "".join(rows) + tail


def _row(subset: Subset, model: AgeModel, folder: Path, made: dict[Subset, int]) -> str:
    """Scores of one part."""
    true, found = _classes(model, folder)
    error = np.abs(true - found)
    recall = np.mean([(found[true == age] == age).mean() for age in np.unique(true)])
    chance = (true == 18).mean()  # the largest class of Table 1's training part
    return (
        f"| {subset.value} | {made[subset]} | {(error == 0).mean():.1%} | {recall:.1%} | {(error <= 1).mean():.1%} | "
        f"{error.mean():.2f} | {chance:.1%} |\n"
    )


def _classes(model: AgeModel, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """True and most probable completed years of each subject of a folder."""
    true, found = [], []
    with torch.inference_mode():
        dataset = ValidationRegions(folder)
        for regions, sex, age_years in (dataset[index] for index in range(len(dataset))):
            logits = model(regions, sex.expand(len(regions), 1)).mean(0)
            true.append(int(age_years))
            found.append(10 + int(logits.argmax()))
    return np.array(true), np.array(found)


if __name__ == "__main__":
    main()
