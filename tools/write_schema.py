"""Write ``docs/result.schema.json``, the JSON Schema of ``result.json``, from ``kneeage.core.result``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kneeage.core.result import Result

SCHEMA_FILE = Path(__file__).resolve().parents[1] / "docs" / "result.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """Return the JSON Schema of a written result, as the file holds it."""
    schema = {"$schema": DIALECT, **Result.model_json_schema(mode="serialization")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def is_current() -> bool:
    """Say whether the file in docs is what the code generates."""
    return SCHEMA_FILE.is_file() and SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


def main() -> int:
    """Write the file, or with ``--check`` only say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file is out of date")
    if parser.parse_args().check:
        if is_current():
            return 0
        print("docs/result.schema.json is out of date: run `make schema`", file=sys.stderr)
        return 1
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
