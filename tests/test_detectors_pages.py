"""The page about detectors is what the files say, and the notebooks run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.detectors.pages import detectors_page

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ("detector_anatomy", "churn_model_card", "score_calibration")


def test_the_page_is_what_the_files_say() -> None:
    assert (ROOT / "docs" / "detectors.md").read_text(encoding="utf-8") == detectors_page()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(name: str) -> None:
    held = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in held["cells"] if cell["cell_type"] == "code"]
    place: dict[str, Any] = {"__name__": name}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"{name}, cell {number}", "exec"), place)
    assert cells
