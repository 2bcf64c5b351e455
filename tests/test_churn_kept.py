"""A churn model is kept as text with its hash, taken again for the same data, and never when it was altered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from models.churn import ChurnModel, ChurnTerms, History, keeping
from sql.case_schema import CHURN_MODELS
from sql.warehouse import Warehouse

AT = pd.Timestamp("2026-06-01 12:00", tz="UTC")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sa.Engine]:
    house = Warehouse.open(tmp_path / "home")
    yield house.database
    house.database.dispose()


def history(traders: int = 30) -> History:
    """Traders who bought and traded, some of whom left."""
    bought = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(range(traders), unit="D")
    nothing = pd.Series(pd.NaT, index=range(traders), dtype="datetime64[us, UTC]")
    ends = dict.fromkeys(("breached_at", "ended_at", "paying_at"), nothing)
    who = [f"T{n}" for n in range(traders)]
    purchases = pd.DataFrame({"trader_id": who, "purchased_at": bought, "fee": 100.0, "fee_usd": 100.0, **ends})
    days = pd.DataFrame({"trader_id": who, "day": bought.floor("D"), "entries": 3, "sign_ins": 1, "result_share": 0.0})
    return History(purchases, days, pd.DataFrame({"trader_id": [], "settled_at": pd.to_datetime([], utc=True)}))


def kept(database: sa.Engine) -> list[dict[str, object]]:
    """Rows of the table."""
    with database.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(CHURN_MODELS)).mappings()]


def learnt(database: sa.Engine, known: History, run_id: int) -> ChurnModel:
    """What a run takes for a history."""
    with database.begin() as connection:
        learn = keeping.kept_by(connection, run_id, AT.to_pydatetime(), lambda write: write(connection))
        return learn(known, AT, 60, ChurnTerms())


def model(share: float = 0.5) -> ChurnModel:
    """A model by recency."""
    return ChurnModel("recency", 60, {"slope": 1.0, "shift": share, "usual": 2.0}, {"trained_on": 0})


@pytest.fixture(autouse=True)
def fits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts how often a model is learnt."""
    done: list[int] = []

    def fit(*_: object) -> ChurnModel:
        done.append(1)
        return model()

    monkeypatch.setattr(keeping, "fit", fit)
    return done


def test_the_same_data_in_any_order_is_learnt_once(database: sa.Engine, fits: list[int]) -> None:
    known = history()
    mixed = History(known.purchases.sample(frac=1, random_state=1), known.days.iloc[::-1], known.paid)
    first = learnt(database, known, 1)
    assert learnt(database, mixed, 2) == first
    assert len(fits) == 1
    assert first.version == model().version
    assert first.card["history_from"] == "2026-01-01T00:00:00+00:00"
    assert first.card["data_version"] == kept(database)[0]["data_version"]
    row = kept(database)[0]
    assert row["run_id"] == 1
    assert set(json.loads(str(row["content"]))) == {"kind", "horizon_days", "content", "card"}


def test_other_data_or_terms_are_learnt_anew(database: sa.Engine, fits: list[int]) -> None:
    learnt(database, history(), 1)
    learnt(database, history(31), 2)
    assert len(fits) == len(kept(database)) == 2
    one, other = (keeping.data_version(history(), AT, days, ChurnTerms()) for days in (60, 30))
    assert one != other
    assert one == keeping.data_version(history(), AT + pd.Timedelta(hours=11), 60, ChurnTerms()), "the same day"


def test_an_altered_model_is_refused_and_learnt_anew(database: sa.Engine, fits: list[int]) -> None:
    learnt(database, history(), 1)
    version = str(kept(database)[0]["data_version"])
    with database.begin() as connection:
        connection.execute(sa.update(CHURN_MODELS).values(content=model(0.1).to_text()))
    with database.connect() as connection, pytest.raises(keeping.ModelAltered, match="does not fit its hash"):
        keeping.load(connection, version)
    assert learnt(database, history(), 2).content == model().content
    assert len(fits) == 2
    assert [row["run_id"] for row in kept(database)] == [2]


def test_a_model_under_another_name_is_refused(database: sa.Engine) -> None:
    learnt(database, history(), 1)
    version = str(kept(database)[0]["data_version"])
    with database.begin() as connection:
        connection.execute(sa.update(CHURN_MODELS).values(model_version="churn-trees-00000000"))
    with database.connect() as connection, pytest.raises(keeping.ModelAltered, match="calls itself churn-recency"):
        keeping.load(connection, version)
