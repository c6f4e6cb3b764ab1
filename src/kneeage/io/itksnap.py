"""Label descriptions that ITK-SNAP opens: the names and colours of the permanent labels."""

from __future__ import annotations

from pathlib import Path

from kneeage.core.anatomy import LABEL_COLOURS, Label
from kneeage.io.output import whole_file

# Source: ITK-SNAP, header of the files that "Save Label Descriptions" writes.
_COLUMNS = ("IDX", "-R-", "-G-", "-B-", "-A--", "VIS", "MSH", "LABEL")


def label_descriptions() -> str:
    """Describe every label on one line: value, colour, opacity, visible in slices, visible as a surface, name."""
    rule = "#" * 48
    return "\n".join(
        [
            rule,
            "# ITK-SnAP Label Description File",
            "# Columns: " + " ".join(_COLUMNS),
            rule,
            *(_line(label) for label in Label),
            "",
        ]
    )


def write_label_descriptions(path: Path) -> None:
    """Write the label descriptions.

    Args:
        path: A new file.

    Raises:
        OutputError: The file exists or cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_text(label_descriptions(), encoding="ascii", newline="\n")


def _line(label: Label) -> str:
    """Describe one label; the background is clear and not shown."""
    red, green, blue = LABEL_COLOURS[label]
    shown = int(label is not Label.BACKGROUND)
    return f'{label:5d} {red:5d} {green:4d} {blue:4d} {shown:8d} {shown:2d} {shown:2d}    "{label.name.lower()}"'
