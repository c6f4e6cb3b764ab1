"""``kneeage segment``: a volume in, its labels out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kneeage.cli.options import BundleFolder, Series, Source
from kneeage.cli.speak import answering, tell, working


@answering
def segment(
    path: Source,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="New .nii.gz file for the labels.", show_default=False),
    ],
    series: Series = None,
    bundle: BundleFolder = None,
) -> None:
    """Label bones and growth plates of any volume."""
    from kneeage.core.anatomy import Label
    from kneeage.pipeline import segment_file

    with working("Labelling"):
        labels = segment_file(path, output, series=series, bundle=bundle)
    seen = [label.name.lower() for label in Label if label is not Label.BACKGROUND and (labels.array == label).any()]
    tell(f"Labels: {output}")
    tell(f"Seen: {', '.join(seen) or 'nothing'}")
