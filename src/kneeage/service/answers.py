"""What an answer says of itself, read from the folder that it was written to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from kneeage.core.result import RESULT_FILE, BundleReport, Result
from kneeage.service.shelf import bundle_id
from kneeage.service.troubles import Trouble


@dataclass(frozen=True)
class Told:
    """What the register and the audit log are told about an answer.

    Args:
        outcome: How the examination ended.
        estimated_age_years: The answer.
        reason: Why there is none.
        sex: Sex that was assumed; None: not known.
        bundle: Which bundle answered: ``id``, ``name``, ``version``, ``population``, ``sha256``.
        pixel_sha256: SHA-256 of the image's values and affine.
        files: SHA-256 of each file by its name.
    """

    outcome: str
    estimated_age_years: float | None
    reason: Trouble | None
    sex: str | None
    bundle: dict[str, str] | None
    pixel_sha256: str | None
    files: dict[str, str]


def told(folder: Path) -> Told:
    """Read what the register is told from the folder of an answer."""
    result = read_result(folder)
    sex, series = result.subject.sex, result.series
    return Told(
        outcome=result.outcome.value,
        estimated_age_years=result.estimated_age_years,
        reason=next((Trouble(one.code.value, one.message) for one in result.reasons), None),
        sex=None if sex is None else sex.value,
        bundle=None if result.bundle is None else _named(result.bundle),
        pixel_sha256=None if series is None else series.pixel_sha256,
        files=digests(folder),
    )


def read_result(folder: Path) -> Result:
    """Read the result of a run."""
    return Result.model_validate_json((folder / RESULT_FILE).read_bytes())


def digests(folder: Path) -> dict[str, str]:
    """Give the SHA-256 of each file of a folder by its name."""
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _named(bundle: BundleReport) -> dict[str, str]:
    """Name a bundle as the register does."""
    return {"id": bundle_id(bundle.sha256), **bundle.model_dump()}
