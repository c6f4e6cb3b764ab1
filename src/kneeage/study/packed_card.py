"""The model card of a bundle that was packed from runs: what the runs say of themselves, and what nobody measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kneeage.cohort.folder import Cohort
from kneeage.cohort.split import Group
from kneeage.core.anatomy import Sex
from kneeage.core.manifest import BundleManifest
from kneeage.learn.age_model import MONITOR as AGE_MONITOR
from kneeage.learn.export import Parity
from kneeage.learn.finished import FinishedRun
from kneeage.learn.packing import PARITY_SUBJECTS, PARITY_TOLERANCE, Trained
from kneeage.learn.segmenter import MONITOR as SEGMENTER_MONITOR
from kneeage.learn.stages import SEGMENTER_FILE
from kneeage.study.local_fit import MIN_LOCAL_SUBJECTS

_GROUPS = (Group.TRAINING, Group.VALIDATION)


def packed_card(manifest: BundleManifest, trained: Trained, cohort: Cohort, parity: Mapping[str, Parity]) -> str:
    """Write the model card.

    Args:
        manifest: Of the bundle.
        trained: The runs that it was packed from.
        cohort: The cohort that the age models learned from.
        parity: How far ONNX Runtime is from torch, by file.

    Returns:
        Markdown; it names no subject.
    """
    runs = dict(zip(manifest.age.files, trained.ages, strict=True))
    parts = [
        _head(manifest),
        _what_it_is(manifest, trained),
        _must_not(manifest),
        _not_fitted(),
        "## Training\n" + _segmenter(trained),
        *(_age_model(name, run, cohort) for name, run in runs.items()),
        _settings(trained, runs),
        _parity(parity),
        _provenance(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def _head(manifest: BundleManifest) -> str:
    """Name the bundle and say first what must not be missed."""
    warning = (
        "**Trained on a virtual cohort, demonstration only, not for forensic use.** No person's image was used for the "
        "age, and nothing is known about its error on living persons."
        if manifest.is_virtual
        else "**Not calibrated, and tested on nobody.** Its networks were trained; how often it errs on subjects that "
        "they did not see was not measured."
    )
    return f"# {manifest.name} {manifest.version}\n{warning}"


def _what_it_is(manifest: BundleManifest, trained: Trained) -> str:
    """Say what it takes and gives."""
    low, high = manifest.age_range_years
    models = len(manifest.age.files)
    who = "an age model" if models == 1 else f"an ensemble of {models} age models"
    bins = len(manifest.age_edges_years) - 1
    return f"""## What it is
Networks that were trained with `kneeage train` and put together by `kneeage bundle pack`. A segmenter labels every
slice of a knee series; {who} looks at up to {manifest.age.max_slices} slices through both plates' sites
and gives probabilities of {bins} age bins.

| | |
|---|---|
| population | {manifest.population} |
| plane | {manifest.plane.value} |
| sexes | {" and ".join(sex.value for sex in manifest.sexes)} |
| ages | {low:g} to {high:g} years, those of the subjects that it learned from; a closed knee is open upwards |
| sequences | {", ".join(manifest.sequences) or "not judged: the table does not tell them of everybody"} |
| size of image, pixel and distance of slices | not judged |
| told beside the image | {", ".join(manifest.age.fact_names)} |
| licence | {manifest.licence} |{_licence_note(trained)}"""


def _licence_note(trained: Trained) -> str:
    """Say under which licence a segmenter that was taken over came."""
    if trained.bundle is None:
        return ""
    return f"\n| licence of the segmenter | {trained.bundle.manifest.licence} |"


def _must_not(manifest: BundleManifest) -> str:
    """Say what it must not be used for."""
    virtual = "- Any statement about a living person's age, calibrated or not.\n" if manifest.is_virtual else ""
    return f"""## Must not be used for
{virtual}- A statement about a person's age in any procedure, before it was calibrated on a local sample and tested on
  subjects that nothing was fitted or chosen on.
- Subjects of other populations, sexes, ages, planes or sequences than those above. It does not notice most of them.
- Clinical diagnosis, staging of growth, planning of surgery."""


def _not_fitted() -> str:
    """Say what is absent, and what follows from it."""
    return f"""## What was not fitted
| absent | what follows |
|---|---|
| temperature and conformal scores | intervals are the networks' own, and called uncalibrated |
| threshold rule | every threshold decision is `undetermined` |
| reference subjects | no minimum age |
| scale of thickness | the thickness of a plate is that of the drawn one; segmenters tend to draw too thick |
| limits of growth, image quality, novelty and grid | an image that is unlike the training images is not noticed |

The next step is `kneeage bundle recalibrate BUNDLE LOCAL_COHORT -o NEW`, with {MIN_LOCAL_SUBJECTS} local subjects or
more who are none of those below: it fits location and scale of the ages, the intervals, and the threshold rule where
subjects suffice."""


def _segmenter(trained: Trained) -> str:
    """Say where the segmenter comes from."""
    if trained.bundle is not None:
        manifest = trained.bundle.manifest
        return (
            f"The segmenter is that of the bundle {manifest.name} {manifest.version}, population {manifest.population} "
            f"(SHA256SUMS `{trained.bundle.sha256}`), whose card says how it was trained."
        )
    run = trained.segmenter
    if run is None:
        return ""
    learned, validated = (len(run.used(group)) for group in _GROUPS)
    numbers = run.best_validation(SEGMENTER_MONITOR, largest=True)
    rows = (
        (name.removeprefix("dice_").replace("_", " "), f"{value:.3f}")
        for name, value in numbers.items()
        if name.startswith("dice_")
    )
    return f"""The segmenter learned from {learned} labelled subjects of the population {run.population},
and {validated} others chose its checkpoint, that of step {run.end["steps"]}. Dice over slices of these others, better
than it would be on fresh ones:

{_table(("label", "Dice"), rows)}"""


def _age_model(name: str, run: FinishedRun, cohort: Cohort) -> str:
    """Say who taught one age model, who chose its checkpoint, and how it did on these."""
    split, numbers = run.split, run.best_validation(AGE_MONITOR, largest=False)
    measured = (
        (key.removeprefix("validation_").replace("_", " "), f"{value:.3f}")
        for key, value in numbers.items()
        if key.startswith("validation_")
    )
    drawn = "a table of random numbers" if split.seed is None else f"seed {split.seed}"
    return f"""### {name}
Split of subjects: {split.method}, {drawn}, SHA-256 `{split.sha256}`.
{len(run.left_out)} subjects could not be used and were left out. Checkpoint of step {run.end["steps"]}.

{_people(run, cohort)}

On the validation subjects, all slices of each. **They chose the checkpoint**, so that these numbers are better than
they would be on fresh subjects; nobody else was asked. Ages in years, shares from 0 to 1, under the training ages:

{_table(("measure", "value"), measured)}"""


def _people(run: FinishedRun, cohort: Cohort) -> str:
    """Count who learned and who validated by completed year and sex."""
    entries = {entry.subject_id: entry for entry in cohort.entries}
    counts = {
        (group, sex): Counter(
            cohort.age_class(entries[subject]) for subject in run.used(group) if entries[subject].sex is sex
        )
        for group in _GROUPS
        for sex in Sex
    }
    years = sorted({year for found in counts.values() for year in found})
    rows = [[str(year), *(str(found[year]) for found in counts.values())] for year in years]
    total = ["all", *(str(found.total()) for found in counts.values())]
    head = ["completed year", *(f"{group.value}, {sex.value}" for group, sex in counts)]
    return _table(head, [*rows, total])


def _settings(trained: Trained, runs: Mapping[str, FinishedRun]) -> str:
    """Print every setting of every training."""
    named = {**({SEGMENTER_FILE: trained.segmenter} if trained.segmenter else {}), **runs}
    blocks = (f"{name}:\n```json\n{json.dumps(run.settings())}\n```" for name, run in named.items())
    return "### Settings\n" + "\n\n".join(blocks)


def _parity(found: Mapping[str, Parity]) -> str:
    """Say how the export was proved."""
    rows = ((name, f"{each.largest_difference:.1e}", str(each.changed_labels)) for name, each in found.items())
    return f"""## Export
Images of up to {PARITY_SUBJECTS} subjects of the runs were read from the cohort and shown to torch and to ONNX
Runtime. At most {PARITY_TOLERANCE:g} and no changed label are tolerated. A segmenter from a bundle is taken over as it
is.

{_table(("network", "largest difference of a value", "changed labels"), rows)}"""


def _provenance(manifest: BundleManifest) -> str:
    """Say what it was made with."""
    made = "\n".join(f"- {name}: {number}" for name, number in manifest.made_with.items())
    return f"""## Provenance
{made}

SHA-256 over the sorted ids of all training and validation subjects: `{manifest.training_split_sha256}`."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table."""
    return "\n".join(_lines(head, rows))


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write the lines of a table."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
