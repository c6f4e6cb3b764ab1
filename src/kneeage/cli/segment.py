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
    """Label bones and growth plates of a volume in the bundle's plane, one slice too."""
    from kneeage.core.anatomy import Label
    from kneeage.io.bundle import load_bundle
    from kneeage.pipeline import segment_file
    from kneeage.report.words import words

    with working("Labelling"):
        model = load_bundle(bundle)
        labels = segment_file(path, output, series=series, bundle=model)
    seen = [label.name.lower() for label in Label if label is not Label.BACKGROUND and (labels.array == label).any()]
    if model.manifest.is_virtual:
        tell(words("en")("virtual.sentence"))
    tell(f"Labels: {output}")
    tell(f"Seen: {', '.join(seen) or 'nothing'}")
