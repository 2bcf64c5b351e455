"""The warehouse opens what it stands on, wherever it is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipelines.land import land_frame
from sql import relations
from sql.warehouse import Warehouse

DESK = pd.DataFrame({"desk_id": ["D"], "name": ["Prague"], "currency": ["USD"], "time_zone": ["Europe/Prague"]})


def test_a_home_may_have_spaces_and_quotes_in_its_name(tmp_path: Path) -> None:
    house = Warehouse.open(tmp_path / "risk team's home")
    land_frame(house, "desks", DESK, file="desks")
    with house.engine() as connection:
        relations.build(connection, "staging.desks")
        assert connection.execute("select desk_id from staging.desks").fetchall() == [("D",)]


def test_an_empty_home_has_every_dataset_with_no_rows(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "home").engine() as connection:
        relations.build(connection, *relations.names("staging"))
        for name in relations.names("staging"):
            assert connection.execute(f"select count(*) from {name}").fetchall() == [(0,)], name


def test_slow_queries_draw_no_bar_on_the_output(tmp_path: Path) -> None:
    """Answers go there: a bar in front of JSON would spoil it."""
    with Warehouse.open(tmp_path / "home").engine() as connection:
        assert connection.execute("select current_setting('enable_progress_bar')").fetchall() == [(False,)]
