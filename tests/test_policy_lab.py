"""Policy lab and drafts in shadow over the small firm: what is shown, kept and refused, and that nothing else moves."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

import cli
from dashboards.kit import people
from models import audit, catalogue, drafts
from models.access import Person
from pipelines import whatif
from pipelines.shadow import judge_drafts
from sql import schema
from sql.warehouse import Warehouse, read_frame
from tests import pages_firm
from tests.test_pages import opened, told

pytestmark = pytest.mark.xdist_group("policy_lab")

MARIA = Person("maria", "manager")
SINCE = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = pages_firm.copied(tmp_path_factory)
    st.cache_data.clear()
    st.cache_resource.clear()
    return folder


@pytest.fixture
def at_firm(firm: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The pages look at the firm; drafts that a test made are gone after it."""
    monkeypatch.setenv("HIGHWATER_HOME", str(firm / "home"))
    monkeypatch.setenv("HIGHWATER_RULEBOOK", str(firm / "book"))
    monkeypatch.delenv("HIGHWATER_DATABASE_URL", raising=False)
    yield firm
    for path in drafts.files(firm / "book"):
        path.unlink()


def _saved(firm: Path) -> Path:
    """A draft with a daily loss of 1 % in place of 5."""
    held = catalogue.load(firm / "book")
    product = held.products["one"]
    version = drafts.with_rules(product.versions[0], "evaluation_1", "daily_loss = { percent = 1 }")
    following = drafts.following(held, version, SINCE)
    return drafts.save(_house(firm).database, MARIA, firm / "book", product, following, "tight", "why")


def _house(firm: Path) -> Warehouse:
    return Warehouse.open(firm / "home")


def _as(monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    for room in ("dashboards.kit.reads", "dashboards.kit.frame", "dashboards.policy_lab", "dashboards.terms"):
        monkeypatch.setattr(f"{room}.who", lambda: person)
    monkeypatch.setattr(people, "who", lambda: person)


# --- in shadow -----------------------------------------------------------------------------------------------------


def _tables(house: Warehouse, *names: str) -> dict[str, list[str]]:
    with house.database.connect() as database:
        tables = [schema.METADATA.tables[name] for name in names]
        return {table.name: sorted(str(tuple(row)) for row in database.execute(sa.select(table))) for table in tables}


def test_a_draft_in_shadow_stands_beside_what_is_published(at_firm: Path) -> None:
    house, book = _house(at_firm), at_firm / "book"
    published = [name for name in schema.PUBLISHED if name in schema.METADATA.tables]
    before = _tables(house, *published)
    _saved(at_firm)
    assert judge_drafts(house, book, pages_firm.AS_OF) == {"one.tight": 5}
    assert _tables(house, *published) == before
    with house.database.connect() as database:
        rows = read_frame(database, schema.SHADOW_STATUS).set_index("account_id")
        said = read_frame(database, schema.SHADOW_VERDICTS)
    assert set(rows.index[rows["differs"]]) == {"N1"}, "4,900 in a day breaks 1 %, not 5 %"
    near = rows.loc["N1"]
    assert (near["live_status"], near["status"], near["rule"]) == ("active", "breached", "daily_loss")
    assert near["product_version"] == 3
    assert (rows.loc["B1"]["live_status"], rows.loc["B1"]["live_rule"]) == ("breached", "daily_loss")
    told = said[(said["account_id"] == "N1") & (said["outcome"] == "breached")].iloc[0]
    assert "the daily floor 99,000.00" in json.loads(told["evidence"])["sentence"]
    assert "U1" not in rows.index, "an account of another product is not the draft's"


def test_a_draft_is_for_purchases_since_its_day_and_for_its_desks(at_firm: Path) -> None:
    house, book = _house(at_firm), at_firm / "book"
    path = _saved(at_firm)
    text = path.read_text()
    path.write_text(text.replace("2026-02-01", "2026-03-02"))
    assert judge_drafts(house, book, pages_firm.AS_OF) == {"one.tight": 0}
    path.write_text(text.replace("version = 3\n", 'version = 3\ndesks = ["tokyo"]\n'))
    assert judge_drafts(house, book, pages_firm.AS_OF) == {"one.tight": 1}
    path.write_text(text)


def test_a_broken_draft_is_told_and_stops_nothing(at_firm: Path) -> None:
    house, book = _house(at_firm), at_firm / "book"
    bad = book / "one.bad.toml.draft"
    bad.write_text("id = ")
    said: list[str] = []
    judged = judge_drafts(house, book, pages_firm.AS_OF, said.append)
    bad.unlink()
    assert "one.bad" not in judged
    assert any("one.bad.toml.draft: not TOML" in line for line in said)


def test_the_command_judges_drafts_and_a_file_that_is_gone_is_forgotten(
    at_firm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house, book = _house(at_firm), at_firm / "book"
    _saved(at_firm)
    asked = ["--home", str(at_firm / "home"), "--rulebook", str(book), "score", "--as-of", pages_firm.AS_OF.isoformat()]
    assert cli.main(asked) == 0
    assert "draft one.tight: 5 accounts judged in shadow" in capsys.readouterr().err
    for path in drafts.files(book):
        path.unlink()
    assert judge_drafts(house, book, pages_firm.AS_OF) == {}
    assert _tables(house, "shadow_status", "shadow_verdicts") == {"shadow_status": [], "shadow_verdicts": []}


def test_who_is_open_on_one_side_has_no_time_there(
    at_firm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside accounts that ended, an open one is told with null, not with a word that is no time."""
    product = catalogue.load(at_firm / "book").products["one"]
    terms = "daily_loss = { percent = 20 }\ninactivity = 1"
    version = drafts.with_rules(product.versions[0], "evaluation_1", terms)
    (tmp_path / "one.toml").write_text(
        drafts.text_of(drafts.following(catalogue.load(at_firm / "book"), version, SINCE), product.name)
    )
    assert cli.main(["--home", str(at_firm / "home"), "whatif", "--rulebook", str(tmp_path), "--flips", "--json"]) == 0
    flips = json.loads(capsys.readouterr().out)
    assert {"open"} < {flip["today"] for flip in flips}
    assert all((flip[f"{side}_at"] is None) == (flip[side] == "open") for flip in flips for side in ("today", "draft"))


def test_a_history_knows_how_accounts_of_other_products_ended(at_firm: Path) -> None:
    """Guards that what the last run found of them reaches the rules that look across an owner's accounts."""
    house = _house(at_firm)
    with house.database.connect() as database:
        stood = read_frame(database, schema.ACCOUNT_STATUS)
    ended = stood[stood["status"].isin(["passed", "breached", "expired", "closed"])]
    assert 0 < len(ended) < len(stood)
    with whatif.opened(house, catalogue.load(at_firm / "book"), pages_firm.AS_OF, ["one"]) as held:
        assert set(held.elsewhere["account_id"]) == set(ended["account_id"])


# --- the pages -----------------------------------------------------------------------------------------------------


def _press(app: AppTest, label: str) -> AppTest:
    """Presses the button with that label; fails with the page's own error."""
    next(one for one in app.button if one.label == label).click().run()
    assert not app.exception, app.exception[0].stack_trace
    return app


def _lab(view: str = "figures", **address: str) -> AppTest:
    return opened("policy_lab", product="one", stage="evaluation_1", view=view, **address)


def test_other_rules_join_the_draft_and_a_wrong_one_is_told_by_its_field(at_firm: Path) -> None:
    app = _lab()
    app.text_area[0].set_value('max_lots = { lots = 0.5, effect = "terminate" }')
    _press(app, "Replay history")
    assert "Breaches of maximum lots" in set(app.dataframe[0].value["metric"])
    assert "accounts would have ended otherwise" in told(app)
    assert "people would have traded otherwise" in told(app)
    app.text_area[0].set_value("max_lots = { lots = -1 }")
    _press(app, "Replay history")
    assert "stage evaluation_1: max_lots: lots: -1 is negative" in told(app)
    assert not app.dataframe


def test_a_link_replays_the_figures_that_were_moved(at_firm: Path) -> None:
    """A page loaded again had forgotten them; those of another stage, and what is no figure, move nothing."""
    app = _lab()
    next(one for one in app.number_input if one.label.startswith("Profit target")).set_value(15.0)
    app.text_area[0].set_value("max_lots = { lots = 50 }")
    _press(app, "Replay history")
    moved = str(app.query_params["moved"])
    again = _lab(moved=moved)
    assert next(one for one in again.number_input if one.label.startswith("Profit target")).value == 15.0
    assert again.text_area[0].value == "max_lots = { lots = 50 }"
    assert again.dataframe[0].value.equals(app.dataframe[0].value)
    target = next(key for key in json.loads(moved)["one-evaluation_1"] if key.startswith("profit_target"))
    wrong = (
        {"one-funded": {target: "15"}},
        {"one-evaluation_1": {target: "-1", "more": ""}},
        {"one-evaluation_1": [1]},
    )
    for said in (*map(json.dumps, wrong), "[", '"1"'):
        other = _lab(moved=said)
        assert next(one for one in other.number_input if one.label.startswith("Profit target")).value == 8.0


def test_a_loaded_rulebook_stands_beside_today_or_is_refused_with_the_fields_sentence(at_firm: Path) -> None:
    app = _lab("file")
    text = pages_firm.RULEBOOK.replace("percent = 8 }\nmax_loss", "percent = 12 }\nmax_loss")
    app.file_uploader[0].set_value(("one.toml", text.encode(), "application/toml")).run()
    assert not app.exception
    rates = app.dataframe[0].value.set_index("metric").loc["Pass rate, % of accounts"]
    assert float(rates["today"]) > float(rates["draft"]), "10 % were made, 12 % not"
    assert "Evaluation 1: profit_target = { percent = 12 } ; today profit_target = { percent = 8 }" in told(app)
    app.file_uploader[0].set_value(("one.toml", pages_firm.RULEBOOK.encode(), "application/toml")).run()
    assert "The draft says what the terms of today say" in told(app)
    for wrong, said in (
        (text.replace("percent = 12", "percent = 1200"), "profit_target: percent: 1200 % is out of range"),
        (text.replace('id = "one"', 'id = "two"'), "one.toml: id: is two, and the product chosen is one"),
        ("id =", "one.toml: not TOML"),
    ):
        app.file_uploader[0].set_value(("one.toml", wrong.encode(), "application/toml")).run()
        assert said in told(app)
        assert not app.dataframe


def test_a_sweep_is_a_map_of_one_figure(at_firm: Path) -> None:
    app = _press(_lab("sweep", metric="pass rate"), "Replay every combination")
    _press(app, "Replay every combination")
    assert "25 combinations replayed" in [one.label for one in app.status], "a second time too"
    [chart] = app.get("plotly_chart")
    figure = json.loads(chart.proto.spec)
    assert figure["data"][0]["type"] == "heatmap"
    assert figure["data"][0]["x"][0] == "4", "half of 8 %"


def test_a_draft_is_saved_judged_shown_and_taken_away(at_firm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _as(monkeypatch, MARIA)
    app = _press(_lab(), "Replay history")
    texts = {one.label: one for one in app.text_input}
    texts["Name"].set_value("softer")
    texts["Reason"].set_value("a look at it")
    _press(app, "Save as draft")
    path = at_firm / "book" / "one.softer.toml.draft"
    assert drafts.read(path).version.effective_from == dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    with _house(at_firm).database.connect() as connection:
        assert audit.recent(connection, 1, 0)[0]["subject"] == "draft:one.softer"
    said = told(_lab("shadow"))
    assert "Not judged yet" in said and "The draft says what the terms of today say" in said
    path.unlink()
    _saved(at_firm)
    judge_drafts(_house(at_firm), at_firm / "book", pages_firm.AS_OF)
    st.cache_data.clear()
    app = _lab("shadow")
    assert "1 of 5 accounts would stand otherwise" in told(app) and "What the draft changes" in told(app)
    breaches, rows = (table.value for table in app.dataframe)
    assert breaches[["rule", "accounts_live", "accounts_shadow"]].to_numpy().tolist() == [["Daily loss", 1, 2]]
    assert rows["account_id"].to_list() == ["N1"]
    assert "Draft one.tight, judged in shadow" in next(one.proto.label for one in opened("terms").get("page_link"))
    app.text_input[0].set_value("not needed")
    _press(app, "Take away")
    assert drafts.files(at_firm / "book") == []


@pytest.mark.parametrize(("role", "may"), [("risk_analyst", True), ("manager", True), ("auditor", False)])
def test_only_those_who_may_are_offered_to_save(
    role: str, may: bool, at_firm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as(monkeypatch, Person("x", role))
    app = _press(_lab(), "Replay history")
    assert ("Save as draft" in [one.label for one in app.button]) == may


def test_somebody_of_one_desk_replays_that_desk_alone(at_firm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _as(monkeypatch, Person("Aiko", "risk_analyst", ("tokyo",)))
    rows = _press(_lab(), "Replay history").dataframe[0].value.set_index("metric")
    assert rows.loc["Challenges sold", "today"] == "1"
