"""Reference knees: pictures of typical knees of known ages that travel in a bundle, to compare a subject with.

The file is NumPy's ``.npz``: ``pictures`` uint8 (N, rows, columns) of right knees, seen from the front, ``age_years``
float (N,), ``sex`` text (N,).
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kneeage.core.anatomy import Sex
from kneeage.core.errors import BundleError
from kneeage.core.result import Result
from kneeage.report.sheet import png

KNEES_SHOWN = 3


@dataclass(frozen=True, eq=False)
class ReferenceKnee:
    """A typical knee.

    Args:
        age_years: Its age.
        sex: Its sex.
        picture: One slice through both plates, grey values, shape (rows, columns).
    """

    age_years: float
    sex: Sex
    picture: NDArray[np.uint8]

    def png(self) -> bytes:
        """Give the picture as a PNG file."""
        return png(Image.fromarray(self.picture))


def packed(knees: list[ReferenceKnee]) -> bytes:
    """Write reference knees as the file that a bundle carries.

    Args:
        knees: At least one; all pictures have one shape.
    """
    buffer = BytesIO()
    np.savez_compressed(
        buffer,
        pictures=np.stack([knee.picture for knee in knees]),
        age_years=np.array([knee.age_years for knee in knees]),
        sex=np.array([knee.sex.value for knee in knees]),
    )
    return buffer.getvalue()


def unpacked(content: bytes) -> list[ReferenceKnee]:
    """Read the reference knees of a bundle.

    Raises:
        BundleError: The file does not hold them.
    """
    try:
        with np.load(BytesIO(content), allow_pickle=False) as file:
            pictures, ages, sexes = (file[name] for name in ("pictures", "age_years", "sex"))
        knees = zip(ages, sexes, pictures, strict=True)
        return [ReferenceKnee(float(age), Sex(str(sex)), np.asarray(one, np.uint8)) for age, sex, one in knees]
    except (OSError, EOFError, BadZipFile, ValueError, KeyError) as error:
        raise BundleError(
            f"the bundle's reference knees cannot be read ({type(error).__name__}); make the bundle anew"
        ) from error


def neighbours(knees: list[ReferenceKnee], result: Result, count: int = KNEES_SHOWN) -> list[ReferenceKnee]:
    """Choose the knees of the subject's sex (of either, where it was not given) that are nearest in age.

    Args:
        knees: All of the bundle's.
        result: The answer; without an age there is nothing to compare.
        count: How many at most.

    Returns:
        The nearest, by rising age.
    """
    age, sex = result.estimated_age_years, result.subject.sex
    if age is None:
        return []
    fitting = [knee for knee in knees if sex in (None, knee.sex)]
    nearest = sorted(fitting, key=lambda knee: abs(knee.age_years - age))[:count]
    return sorted(nearest, key=lambda knee: knee.age_years)
