"""Writes the pages that are made from code: the command line and the dictionary of datasets and tables.

python docs/generate.py           # writes them
python docs/generate.py --check   # exit 1 when one is stale
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

import cli  # noqa: E402 - found from the folder above
from models.detectors.pages import detectors_page  # noqa: E402
from sql import schema  # noqa: E402


def command_page() -> str:
    """Every command with its options, as `--help` prints them."""
    os.environ["COLUMNS"] = "110"
    top = cli.parser()
    parts = ["# Commands", "", "Generated from the command line itself.", "", "```", top.format_help().rstrip(), "```"]
    subparsers = next(action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    for name, parser in subparsers.choices.items():
        parts += ["", f"## highwater {name}", "", "```", parser.format_help().rstrip(), "```"]
    return "\n".join(parts) + "\n"


def dictionary_page() -> str:
    """Every dataset of the lake and table of the database, column by column."""
    parts = ["# Dictionary", "", "Generated from `sql/schema.py`.", "", "## Datasets of the lake"]
    for dataset in schema.DATASETS.values():
        parts += ["", f"### {dataset.name}", "", f"{dataset.comment} Key: {', '.join(dataset.key)}.", ""]
        parts += ["| column | kind | needed | values | meaning |", "|---|---|---|---|---|"]
        for column in dataset.columns:
            needed, allowed = "yes" if column.required else "", ", ".join(column.allowed)
            parts.append(f"| {column.name} | {column.kind} | {needed} | {allowed} | {column.comment} |")
    parts += ["", "Every row also carries:", ""]
    parts += [f"- `{name}`: {comment}" for name, _, comment in schema.LAKE_COLUMNS]
    parts += ["", "## Tables of the database"]
    for table in schema.METADATA.tables.values():
        published = " Published." if table.name in schema.PUBLISHED else ""
        parts += [
            "",
            f"### {table.name}",
            "",
            f"{table.comment}{published}",
            "",
            "| column | type | meaning |",
            "|---|---|---|",
        ]
        parts += [f"| {column.name} | {_kind(column.type)} | {column.comment or ''} |" for column in table.columns]
    return "\n".join(parts) + "\n"


def _kind(kind: object) -> str:
    return type(kind).__name__.lower()


PAGES = {"cli.md": command_page, "dictionary.md": dictionary_page, "detectors.md": detectors_page}


def stale() -> list[str]:
    """Pages that are not what the code says."""
    return [
        name for name, make in PAGES.items() if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != make()
    ]


def main() -> int:
    """Writes the pages, or checks them."""
    if "--check" in sys.argv:
        print("\n".join(f"docs/{name} is stale: run python docs/generate.py" for name in stale()))
        return 1 if stale() else 0
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make())
    return 0


if __name__ == "__main__":
    sys.exit(main())
