"""The documentation says what the code does: generated pages are fresh, links lead somewhere, commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    broken = [target for target in targets if not (page.parent / target).exists()]
    assert not broken


def test_the_commands_that_the_readme_shows_are_understood() -> None:
    shown = re.findall(r"^\.venv/bin/highwater ([^#\n]+)", (ROOT / "README.md").read_text(), flags=re.M)
    assert len(shown) >= 7
    for line in shown:
        cli.parser().parse_args(line.split())


def test_the_rooms_that_the_readme_names_are_there() -> None:
    named = re.findall(
        r"`((?:sql|pipelines|models|dashboards|tests|benchmarks|notebooks|docs)/[\w./]*)`",
        (ROOT / "README.md").read_text(),
    )
    missing = [name for name in named if "x." not in name and not (ROOT / name).exists()]
    assert not missing
