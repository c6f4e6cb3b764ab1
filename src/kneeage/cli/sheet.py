"""``kneeage phantom sheet``: one picture of the virtual cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kneeage.cli.speak import answering, counting, give


@answering
def sheet(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="New PNG file.")],
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Seed of the first subject that is shown.")] = 0,
) -> None:
    """Draw a contact sheet: virtual knees of all ages, in both planes, from both hospitals, with every sequence."""
    from kneeage.io.output import whole_file
    from kneeage.phantom.cohort.sheet import contact_sheet

    with whole_file(output) as whole, counting("Drawing the contact sheet") as count:
        whole.write_bytes(contact_sheet(seed, count))
    give(str(output))
