"""The rulebook's pages are those of the rulebook, and locked versions stay as they are."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from models import catalogue, lock, rulebook_pages
from models.catalogue import RulebookRefused
from models.rule_words import number, rule_sentence
from models.rules import RULES

PLAN = """id = "plan"
name = "Plan"
[[versions]]
version = 1
effective_from = 2026-01-01T00:00:00Z
clock = { zone = "Europe/Prague", reset = "00:00", calendar = "fx" }
[versions.stages.funded]
daily_loss = { percent = 5 }
holding_time = { seconds = 60, strikes = 2, strike_effect = "strip", effect = "terminate" }
"""
SECOND = PLAN[PLAN.index("[[versions]]") :].replace("version = 1", "version = 2").replace("percent = 5", "percent = 4")


def test_pages_are_up_to_date() -> None:
    """Guards the docs: write them again with `python -m models.rulebook_pages`."""
    made = rulebook_pages.pages(catalogue.load(catalogue.FOLDER))
    there = {"rulebook.md", *(f"products/{path.name}" for path in (rulebook_pages.DOCS / "products").glob("*.md"))}
    assert there == set(made)
    stale = [name for name, text in made.items() if (rulebook_pages.DOCS / name).read_text(encoding="utf-8") != text]
    assert stale == []


def test_a_page_tells_rules_with_their_numbers() -> None:
    """Guards the sentences a trader is told, strikes and effect included."""
    page = rulebook_pages.product_page(catalogue.read_product(PLAN, "plan.toml"))
    assert "less 5 % of the initial balance" in page
    assert (
        "Positions are held for at least 60 s. It is tolerated 2 times, with the profit of the trades concerned not "
        "counted. Breaking it ends the account."
    ) in page
    assert "The firm's day begins at 00:00 Prague (Europe/Prague)" in page


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ("4", "At least 4 days with a newly opened trade."),
        ('{ days = 4, counts = "opened_and_closed" }', "At least 4 days on which a position was opened and closed."),
        (
            '{ days = 3, counts = "qualifying", lots = 0.5, percent = 1 }',
            "At least 3 days on which a position of 0.5 lots or more was closed with a profit or loss, net of costs, "
            "of 1 % of the initial balance or more.",
        ),
        (
            '{ days = 3, counts = "qualifying", lots = 2 }',
            "At least 3 days on which a position of 2 lots or more was closed.",
        ),
    ],
)
def test_what_makes_a_trading_day_is_told(terms: str, said: str) -> None:
    """Guards the sentence of each definition."""
    text = PLAN.replace("daily_loss = { percent = 5 }", f"min_trading_days = {terms}")
    stage = catalogue.read_product(text, "plan.toml").versions[0].stages["funded"]
    assert rule_sentence("min_trading_days", stage["min_trading_days"], "USD") == said


def test_an_open_loss_with_strikes_is_told() -> None:
    """Guards the sentence of a ladder whose first steps pause and whose last ends the account."""
    rule = 'floating_loss = { percent = 1, strikes = 1, strike_effect = "pause" }'
    read = catalogue.read_product(PLAN.replace("daily_loss = { percent = 5 }", rule), "plan.toml")
    said = rule_sentence("floating_loss", read.versions[0].stages["funded"]["floating_loss"])
    assert said.endswith("It is tolerated once, with a pause until the next daily reset. Breaking it ends the account.")


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_and_field_is_explained(rule: str) -> None:
    """Guards the language page against rules and fields without words."""
    page = (rulebook_pages.DOCS / "rulebook.md").read_text(encoding="utf-8")
    assert f"### {rule}" in page
    for field in RULES[rule].fields:
        assert field.meaning, f"{rule}.{field.name}"
        assert f"| `{field.name}` |" in page


def test_every_rule_of_every_product_has_a_whole_sentence() -> None:
    """Guards against gaps and leftovers in sentences."""
    for product in catalogue.load(catalogue.FOLDER).products.values():
        for version in product.versions:
            for held in version.stages.values():
                for rule, fields in held.items():
                    sentence = rule_sentence(rule, fields, "USD")
                    assert sentence[0].isupper() and sentence.endswith("."), sentence
                    assert "None" not in sentence and "  " not in sentence, sentence


def test_numbers_are_written_as_people_read_them() -> None:
    """Guards thousands, trailing zeros and binary noise."""
    assert [number(value) for value in (Decimal("5.00"), 1e6, 0.1 + 0.2, Decimal("0.25"))] == [
        "5",
        "1,000,000",
        "0.3",
        "0.25",
    ]


def book(folder: Path, text: str) -> Path:
    """A rulebook folder of one product."""
    (folder / "plan.toml").write_text(text, encoding="utf-8")
    return folder


def test_locking_adds_new_versions_only(tmp_path: Path) -> None:
    """Guards that what is locked stays, and that new versions follow."""
    first = lock.lock(book(tmp_path, PLAN))
    assert [line.split()[:2] for line in first] == [["plan", "1"]]
    assert lock.lock(tmp_path) == []
    second = lock.lock(book(tmp_path, PLAN + SECOND))
    assert [line.split()[:2] for line in second] == [["plan", "2"]]
    assert set((tmp_path / catalogue.LOCK).read_text(encoding="utf-8").splitlines()) == {*first, *second}


@pytest.mark.parametrize(
    ("text", "did"), [(PLAN.replace("percent = 5", "percent = 6"), "was changed"), (SECOND, "is gone")]
)
def test_a_locked_version_neither_changes_nor_vanishes(tmp_path: Path, text: str, did: str) -> None:
    """Guards terms in force: the refusal names file and version, and the lock stays as it was."""
    lock.lock(book(tmp_path, PLAN))
    before = (tmp_path / catalogue.LOCK).read_text(encoding="utf-8")
    head = "" if text.startswith("id") else 'id = "plan"\nname = "Plan"\n'
    with pytest.raises(RulebookRefused, match=f"version 1: {did}"):
        lock.lock(book(tmp_path, head + text))
    assert (tmp_path / catalogue.LOCK).read_text(encoding="utf-8") == before


def test_the_command_says_what_it_locked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Guards the command's output and exit codes."""
    book(tmp_path, PLAN)
    assert lock.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("plan 1 ")
    assert lock.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "every version is locked already\n"
    book(tmp_path, PLAN.replace("percent = 5", "percent = 6"))
    assert lock.main([str(tmp_path)]) == 1
    assert "was changed" in capsys.readouterr().err


def test_highwaters_own_versions_are_locked() -> None:
    """Guards that published presets and the made-up firm's terms cannot drift: append versions, then lock them."""
    for folder in (catalogue.FOLDER, catalogue.FOLDER / "presets"):
        locked = (folder / catalogue.LOCK).read_text(encoding="utf-8").splitlines()
        assert set(locked) == set(catalogue.lock_text(catalogue.load(folder).products.values()).splitlines())
