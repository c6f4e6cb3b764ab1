"""The leakage audit: whether anything that a model learned from comes back in what it is tested on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kneeage.core.errors import InputRefusedError
from kneeage.study.predictions import Group
from kneeage.study.results import AuditFinding, AuditOutcome

_LISTED = 5
ONE_SUBJECT = "the same subject identifier in both groups, or in two folds"
ONE_IMAGE = "the same pixels under two subject identifiers"
ONE_STUDY = "the same study under two subject identifiers"
SLICES = "slices of one subject in several folds"
SEGMENTER = "subjects of the study among those that the segmenter learned from"


@dataclass(frozen=True)
class Traces:
    """What tells that two subjects are one.

    Args:
        subject_id: Who.
        group: In which group.
        fold: Tested in which fold; None for external subjects.
        pixels: Hash of the image's grey values.
        study: Hash of the study; None where the files do not say.
    """

    subject_id: str
    group: Group
    fold: int | None
    pixels: str | None
    study: str | None

    @property
    def place(self) -> str:
        """Where the subject is."""
        return self.group.value if self.fold is None else f"fold {self.fold}"


def audit(traces: Sequence[Traces], *, slices_dealt: bool, segmenter: AuditFinding) -> tuple[AuditFinding, ...]:
    """Look for leakage.

    Args:
        traces: Of every subject of both groups.
        slices_dealt: Whether slices, not subjects, were dealt out to the folds.
        segmenter: What is known of the segmenter's subjects; see `of_fold_segmenter` and `of_foreign_segmenter`.
    """
    return (
        _shared(ONE_SUBJECT, [(each.subject_id.casefold(), each) for each in traces]),
        _shared(ONE_IMAGE, [(each.pixels, each) for each in traces]),
        _shared(ONE_STUDY, [(each.study, each) for each in traces]),
        _of_slices(traces, slices_dealt=slices_dealt),
        segmenter,
    )


def require_clean(findings: Sequence[AuditFinding]) -> None:
    """Refuse a study that leaks, but for the counter-example that does so on purpose.

    Raises:
        InputRefusedError: Something was found.
    """
    found = [each for each in findings if each.outcome is AuditOutcome.FOUND and each.question != SLICES]
    if found:
        said = "; ".join(f"{each.question}: {each.detail}" for each in found)
        raise InputRefusedError(f"the leakage audit found {said}; keep one row of each in one group, then run again")


def of_fold_segmenter() -> AuditFinding:
    """Say why a segmenter that is trained inside each fold learns from nobody it is tested on."""
    return AuditFinding(SEGMENTER, AuditOutcome.CLEAN, "trained inside each fold, on what the age model learns from")


def of_foreign_segmenter(
    virtual: Sequence[Traces], own_seeds: Sequence[int | None], learned: frozenset[int] | None
) -> AuditFinding:
    """Compare the study's virtual subjects with those of a bundle; others cannot be among virtual ones.

    Args:
        virtual: Of every virtual subject.
        own_seeds: Seed of each, in the same order; None where no table says it.
        learned: Seeds that the bundle's networks saw; None where the bundle does not prove them.
    """
    if learned is None:
        return AuditFinding(SEGMENTER, AuditOutcome.UNKNOWN, "the bundle holds a hash of its subjects, not their list")
    if not virtual:
        return AuditFinding(SEGMENTER, AuditOutcome.CLEAN, "the bundle learned from virtual subjects, these are none")
    both = [each for each, seed in zip(virtual, own_seeds, strict=True) if seed in learned]
    if both:
        return AuditFinding(SEGMENTER, AuditOutcome.FOUND, _names(both))
    without = sum(seed is None for seed in own_seeds)
    if without:
        return AuditFinding(
            SEGMENTER, AuditOutcome.UNKNOWN, f"no seed is known of {without} of {len(virtual)} virtual subjects"
        )
    return AuditFinding(
        SEGMENTER, AuditOutcome.CLEAN, f"{len(learned)} seeds, proved by the bundle's hash, and {len(virtual)} others"
    )


def _shared(question: str, keyed: Sequence[tuple[str | None, Traces]]) -> AuditFinding:
    """Look for subjects that share a key."""
    alike: dict[str, list[Traces]] = defaultdict(list)
    for key, each in keyed:
        if key is not None:
            alike[key].append(each)
    twins = [members for members in alike.values() if len(members) > 1]
    without = sum(key is None for key, _ in keyed)
    if twins:
        more = f" and {len(twins) - _LISTED} more" if len(twins) > _LISTED else ""
        return AuditFinding(question, AuditOutcome.FOUND, "; ".join(map(_names, twins[:_LISTED])) + more)
    if without:
        return AuditFinding(question, AuditOutcome.UNKNOWN, f"not known of {without} of {len(keyed)} subjects")
    return AuditFinding(question, AuditOutcome.CLEAN, f"{len(keyed)} subjects, all different")


def _of_slices(traces: Sequence[Traces], *, slices_dealt: bool) -> AuditFinding:
    """Say whether a subject's slices stay together."""
    if not slices_dealt:
        return AuditFinding(SLICES, AuditOutcome.CLEAN, "a subject's slices go where the subject goes")
    count = sum(each.group is Group.INTERNAL for each in traces)
    return AuditFinding(SLICES, AuditOutcome.FOUND, f"{count} internal subjects, on purpose: a counter-example")


def _names(members: Sequence[Traces]) -> str:
    """Name subjects by the identifiers of the user's own table."""
    return " and ".join(_some(members))


def _some(members: Sequence[Traces]) -> Iterator[str]:
    """Name the first few."""
    yield from (f"{each.subject_id!r} ({each.place})" for each in members[:_LISTED])
    if len(members) > _LISTED:
        yield f"{len(members) - _LISTED} more"
