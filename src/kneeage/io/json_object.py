"""JSON objects as files: a manifest, or what is known of one subject."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json_object(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def json_text(value: dict[str, Any]) -> str:
    """Write plain values, one per line."""
    return json.dumps(value, indent=1) + "\n"
