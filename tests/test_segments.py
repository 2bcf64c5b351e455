"""Segments are what their file says, on the limit and beside it; nobody is listed without consent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.quality.churn_firms import START, make_history
from models.churn import FEATURES, features_at
from models.segments import EXTRA, SegmentsRefused, campaign, load, members, sizes_over_time


def written(folder: Path, where: str) -> Path:
    """A file with one segment."""
    path = folder / "segments.toml"
    path.write_text(f'[[segments]]\nname = "s"\nwhere = {where}\n', encoding="utf-8")
    return path


def test_the_delivered_file_asks_only_for_known_fields() -> None:
    asked = {field for segment in load() for field, _, _ in segment.conditions}
    assert asked <= {*FEATURES, *EXTRA}
    assert all(segment.meaning for segment in load())


@pytest.mark.parametrize(
    ("where", "inside"),
    [("{ at_least = 3 }", [3, 4]), ("{ above = 3 }", [4]), ("{ below = 3 }", [2]), ("{ at_most = 3 }", [2, 3])],
)
def test_limits_are_meant_as_written(tmp_path: Path, where: str, inside: list[int]) -> None:
    known = pd.DataFrame({"purchases": [2.0, 3.0, 4.0, np.nan]}, index=pd.Index([2, 3, 4, 5], name="trader_id"))
    found = members(known, load(written(tmp_path, f"{{ purchases = {where} }}")))
    assert found["trader_id"].tolist() == inside


@pytest.mark.parametrize("where", ["{}", "{ purchases = { about = 3 } }", '{ purchases = { above = "3" } }'])
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, where: str) -> None:
    with pytest.raises(SegmentsRefused, match=r"segment s|needs a name"):
        load(written(tmp_path, where))


def test_an_unknown_field_is_named(tmp_path: Path) -> None:
    with pytest.raises(SegmentsRefused, match="no field luck"):
        members(pd.DataFrame({"purchases": [1]}), load(written(tmp_path, "{ luck = { above = 1 } }")))


def test_sizes_are_those_of_the_day() -> None:
    history = make_history(60, 120, 2)
    at = START + pd.Timedelta(days=90)
    sizes = sizes_over_time(history, [at], load()).set_index("segment")["traders"]
    assert sizes["new"] == len(members(features_at(history, at), [one for one in load() if one.name == "new"]))
    assert "close_to_a_floor" not in sizes.index


def test_nobody_is_listed_without_consent_or_address() -> None:
    found = pd.DataFrame({"segment": ["new"] * 3, "trader_id": ["A", "B", "C"]})
    traders = pd.DataFrame(
        {"trader_id": list("ABC"), "full_name": list("abc"), "email": ["a@x", "b@x", np.nan], "country": "DE"}
    )
    assert campaign(found, traders, "new")["trader_id"].tolist() == ["A", "B"]
    assert campaign(found, traders.assign(consent=pd.Series([None, True, True], dtype=object)), "new")[
        "trader_id"
    ].tolist() == ["B"]
