"""The rulebook is read whole or not at all, and what does not hold is named with file, version, stage and field."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from models import audit, catalogue
from models.audit import Record
from models.catalogue import RulebookRefused, read_product
from models.decisions.automation import TERMS_CHANGED, terms_in_force
from models.rules import RULES, WITHIN_MAX
from pipelines.doctor import FINE, NOTE, WRONG, examine
from sql import schema
from sql.warehouse import Warehouse

GOOD = """
id = "two_step"
name = "Two-step challenge"

[[versions]]
version = 1
effective_from = 2025-01-01T00:00:00Z
clock = { zone = "Europe/Prague", reset = "00:00", calendar = "fx" }

[versions.stages.evaluation_1]
profit_target = { percent = 10 }
daily_loss = { percent = 5 }
max_loss = { percent = 10 }
min_trading_days = 4
min_profitable_days = { days = 3, percent = 0.5 }
next_stage = "funded"

[versions.stages.funded]
max_loss = { mode = "trailing_eod", percent = 6, lock_offset = 0 }
consistency = { share = 40 }
"""


def with_change(before: str, after: str) -> str:
    """The good file with one thing changed."""
    assert GOOD.count(before) == 1
    return GOOD.replace(before, after)


def refusal(text: str) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(RulebookRefused) as refused:
        read_product(text, "plans/two_step.toml")
    return str(refused.value)


STAGE = "plans/two_step.toml: version 1: stage evaluation_1: "


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (
            "daily_loss = { percent = 5 }",
            "dayly_loss = { percent = 5 }",
            "dayly_loss: no such rule; did you mean daily_loss?",
        ),
        (
            "daily_loss = { percent = 5 }",
            "daily_loss = { percnt = 5 }",
            "daily_loss: percnt: no such field; did you mean percent?",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { percent = 10 }\nclaim = { rules = ["daily_los"], percent = 50 }',
            "claim: rules: daily_los is no rule of this stage that could end an account",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nsplit = { percent = 80, tiers = [{ balance = 1, lots = 2 }] }",
            "split: tiers: ['balance', 'lots'] are not the columns of a row",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nsplit = { percent = 80, tiers = [{ after_profit = -1, percent = 90 }] }",
            "split: tiers: after_profit: -1 is negative",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nsplit = { percent = 80, tiers = [{ above = 1, percent = 90 },"
            " { after_payouts = 1, percent = 90 }] }",
            "split: tiers: some rows have after_payouts and others not",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nsplit = { percent = 80, tiers = [{ above = 5, percent = 90 },"
            " { above = 5.0, percent = 95 }] }",
            "split: tiers: two rows begin at the same above",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { percent = 10 }\nhedging = { opposed = [["EURUSD", "USDCHF", "DXY"]] }',
            "hedging: opposed: ['EURUSD', 'USDCHF', 'DXY'] is not a pair of two different names",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { percent = 10 }\nhedging = { opposed = [["EURUSD", "eur/usd"]] }',
            "hedging: opposed: ['EURUSD', 'eur/usd'] is not a pair of two different names",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { percent = 10 }\nhedging = { opposed = [["NQ", "MNQ"]], together = [["MNQ", "nq"]] }',
            "hedging: opposed: names two that count as one in `together`",
        ),
        ("daily_loss = { percent = 5 }", "daily_loss = 5", "daily_loss: needs a table of fields, not 5"),
        (
            "daily_loss = { percent = 5 }",
            "daily_loss = {}",
            "daily_loss: needs exactly one of percent and amount; neither is given",
        ),
        (
            "daily_loss = { percent = 5 }",
            "daily_loss = { percent = 5, amount = 5 }",
            "daily_loss: needs exactly one of percent and amount; both are given",
        ),
        (
            "daily_loss = { percent = 5 }",
            "daily_loss = { percent = 5000 }",
            "daily_loss: percent: 5000 % is out of range (0 to 100); is an amount meant? then use `amount`",
        ),
        (
            "daily_loss = { percent = 5 }",
            "daily_loss = { percent = 100.0001 }",
            "daily_loss: percent: 100.0001 % is out of range",
        ),
        (
            "daily_loss = { percent = 5 }",
            "daily_loss = { percent = -0.0001 }",
            "daily_loss: percent: -0.0001 % is out of range",
        ),
        (
            "daily_loss = { percent = 5 }",
            "daily_loss = { percent = 0.00001 }",
            "daily_loss: percent: 0.00001 % has more than four decimals",
        ),
        (
            "daily_loss = { percent = 5 }",
            'daily_loss = { percent = "5" }',
            "daily_loss: percent: '5' is not a percentage",
        ),
        ("daily_loss = { percent = 5 }", "daily_loss = { percent = nan }", "daily_loss: percent: "),
        (
            "daily_loss = { percent = 5 }",
            'daily_loss = { amount = -1, base = "fixed" }',
            "daily_loss: amount: -1 is negative",
        ),
        (
            "daily_loss = { percent = 5 }",
            'daily_loss = { percent = 5, base = "fixed" }',
            "daily_loss: base: fixed takes `amount`, not `percent`",
        ),
        (
            "daily_loss = { percent = 5 }",
            'daily_loss = { amount = 5, base = "reference" }',
            "daily_loss: base: reference takes `percent`, not `amount`",
        ),
        (
            "daily_loss = { percent = 5 }",
            'daily_loss = { percent = 5, compare = "<" }',
            "daily_loss: compare: '<' is not one of lt, lte",
        ),
        (
            "daily_loss = { percent = 5 }",
            'daily_loss = { percent = 5, effect = "strip" }',
            "daily_loss: effect: 'strip' is not one of terminate, pause, warn",
        ),
        (
            "daily_loss = { percent = 5 }",
            'daily_loss = { percent = 5, reference = "open" }',
            "daily_loss: reference: 'open' is not one of balance, equity, max, intraday_high",
        ),
        (
            "daily_loss = { percent = 5 }",
            'floating_loss = { percent = 1, effect = "split_cut" }',
            'floating_loss: splits: goes with effect = "split_cut", and that with it',
        ),
        (
            "daily_loss = { percent = 5 }",
            "floating_loss = { percent = 1, splits = [40] }",
            'floating_loss: splits: goes with effect = "split_cut", and that with it',
        ),
        (
            "daily_loss = { percent = 5 }",
            'floating_loss = { percent = 1, effect = "split_cut", splits = [400] }',
            "floating_loss: splits: 400 % is out of range",
        ),
        (
            "daily_loss = { percent = 5 }",
            "floating_loss = { percent = 1, at_least = 5 }",
            'floating_loss: at_least: goes with base = "profit"',
        ),
        (
            "daily_loss = { percent = 5 }",
            'floating_loss = { percent = 30, base = "profit", at_least = -1 }',
            "floating_loss: at_least: -1 is negative",
        ),
        (
            "daily_loss = { percent = 5 }",
            'floating_loss = { amount = 30, base = "profit" }',
            "floating_loss: base: profit takes `percent`, not `amount`",
        ),
        (
            "daily_loss = { percent = 5 }",
            'login_country = { allowed = ["Germany"] }',
            "login_country: allowed: needs",
        ),
        (
            "daily_loss = { percent = 5 }",
            'login_country = { allowed = ["DE"], prohibited = ["DE"] }',
            "login_country: allowed: needs",
        ),
        (
            "daily_loss = { percent = 5 }",
            "login_country = {}",
            "login_country: allowed: needs",
        ),
        (
            "daily_loss = { percent = 5 }",
            "login_address = {}",
            "login_address: max_addresses: needs",
        ),
        (
            "daily_loss = { percent = 5 }",
            "allocation_cap = {}",
            "allocation_cap: amount: needs",
        ),
        (
            "daily_loss = { percent = 5 }",
            'consistency = { share = 50, of = "target", raise_target = true }',
            "consistency: of: target goes with unit day or trade",
        ),
        (
            "daily_loss = { percent = 5 }",
            'consistency = { share = 50, of = "target", unit = "lot" }',
            "consistency: of: target goes with unit day or trade",
        ),
        (
            "profit_target = { percent = 10 }",
            'consistency = { share = 40, of = "target" }',
            "consistency: of: the stage has no profit_target",
        ),
        (
            "max_loss = { percent = 10 }",
            "max_loss = { percent = 10, lock_offset = 0 }",
            "max_loss: lock_offset: a static floor never rises",
        ),
        (
            "max_loss = { percent = 10 }",
            'max_loss = { percent = 10, base = "high_water" }',
            "max_loss: base: a static floor has no high water",
        ),
        (
            "max_loss = { percent = 10 }",
            'max_loss = { percent = 10, payout_rebase = "floor_at" }',
            "max_loss: rebase_offset: goes with payout_rebase",
        ),
        (
            "max_loss = { percent = 10 }",
            "max_loss = { percent = 10, rebase_offset = 0 }",
            "max_loss: rebase_offset: goes with payout_rebase",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { percent = 10, require_flat = "yes" }',
            "profit_target: require_flat: 'yes' is not true or false",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { basis = "equity" }',
            "profit_target: needs exactly one of percent and amount; neither is given",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 0 }",
            "profit_target: percent: a target of zero",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\ninactivity = { days = 30, warn_days = 30 }",
            "inactivity: warn_days: a warning comes before the end",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nholding_share = { seconds = 60 }",
            "holding_share: seconds: needs `max_share_trades`",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nmargin = { percent = 50, leverage = 0 }",
            "margin: leverage: is 1 where nothing is lent",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { percent = 10 }\nmargin = { percent = 9, leverages = [{ symbol = "fx", leverage = 0 }] }',
            "margin: leverage: is 1 where nothing is lent",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { percent = 10 }\nmax_exposure = { lots = 1, micros = ["MNQ"], micro_ratio = 0 }',
            "max_exposure: micro_ratio: is how many",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nlot_consistency = { low = 2.1 }",
            "lot_consistency: low: is above high",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nnews_window = { share = 40 }",
            "news_window: share: goes with effect",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { percent = 10 }\nsymbols = { allowed = ["EURUSD"], prohibited = ["eurusd"] }',
            "symbols: allowed: needs `allowed` or `prohibited`, and no name in both",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\ntime_limit = 3",
            "min_trading_days: days: more than time_limit's 3",
        ),
        (
            "min_profitable_days = { days = 3, percent = 0.5 }",
            "min_profitable_days = { days = 7, amount = 1, within_days = 6 }",
            "min_profitable_days: within_days: holds at least `days` days and at most 62",
        ),
        (
            "min_profitable_days = { days = 3, percent = 0.5 }",
            "min_profitable_days = { days = 7, amount = 1, within_days = 63 }",
            "min_profitable_days: within_days: holds at least `days` days and at most 62",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nconsistency = { share = 40, merge_seconds = 300 }",
            'consistency: merge_seconds: goes with unit = "trade"',
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nconsistency = { share = 0, raise_target = true }",
            "consistency: share: a target cannot rise",
        ),
        (
            "profit_target = { percent = 10 }",
            'profit_target = { percent = 10 }\nconsistency = { share = 40, unit = "lot", raise_target = true }',
            "consistency: raise_target: goes with unit day or trade",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nsplit = { percent = 80, tiers = [{ payouts = 2, percent = 90 }] }",
            "split: tiers: ['payouts', 'percent'] are not the columns of a row",
        ),
        (
            "profit_target = { percent = 10 }",
            "profit_target = { percent = 10 }\nmax_exposure = { lots = 2, tiers = [{ balance = 1 }] }",
            "max_exposure: tiers: ['balance'] are not the columns of a row",
        ),
        ("min_trading_days = 4", "min_trading_days = -1", "min_trading_days: days: -1 is not a whole number from 0"),
        (
            "min_trading_days = 4",
            "min_trading_days = 4.5",
            "min_trading_days: days: Decimal('4.5') is not a whole number from 0",
        ),
        (
            "min_trading_days = 4",
            "min_trading_days = { days = 4, lots = 1 }",
            'min_trading_days: lots: goes with counts = "qualifying"',
        ),
        (
            "min_trading_days = 4",
            'min_trading_days = { days = 4, counts = "qualifying" }',
            "min_trading_days: counts: qualifying needs `lots`, `percent` or `amount`",
        ),
        (
            "min_trading_days = 4",
            'min_trading_days = { days = 4, counts = "qualifying", percent = 1, amount = 5 }',
            "min_trading_days: takes percent or amount, not both",
        ),
        (
            "min_trading_days = 4",
            'min_trading_days = { days = 4, counts = "qualifying", amount = -5 }',
            "min_trading_days: amount: -5 is negative",
        ),
        ("min_trading_days = 4", "min_trading_days = {}", "min_trading_days: days: is missing"),
        (
            'next_stage = "funded"',
            'next_stage = "evaluation_2"',
            "next_stage: evaluation_2 has no terms in this version",
        ),
        ('next_stage = "funded"', 'next_stage = "real"', "next_stage: 'real' is not one of"),
    ],
)
def test_a_field_that_does_not_hold_is_named(before: str, after: str, says: str) -> None:
    assert refusal(with_change(before, after)).startswith(STAGE + says)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('name = "Two', 'nmae = "Two', "nmae: no such field; did you mean name?"),
        ('name = "Two-step challenge"', "", "name: a product needs one, as text"),
        ("version = 1", 'version = "1"', "version: needs a whole number from 1, not '1'"),
        ("version = 1", "version = 0", "version: needs a whole number from 1, not 0"),
        (
            "effective_from = 2025-01-01T00:00:00Z",
            "effective_from = 2025-01-01T00:00:00",
            "version 1: effective_from: needs an instant with an offset",
        ),
        (
            "effective_from = 2025-01-01T00:00:00Z",
            "effective_form = 2025-01-01T00:00:00Z",
            "version 1: effective_form: no such field; did you mean effective_from?",
        ),
        ('zone = "Europe/Prague"', 'zone = "Europe/Praha"', "version 1: clock.zone: 'Europe/Praha' is no IANA zone"),
        ('zone = "Europe/Prague", ', "", "version 1: clock.zone: None is no IANA zone"),
        ('reset = "00:00"', 'reset = "24:00"', "version 1: clock.reset: '24:00' is no time of day"),
        ('calendar = "fx"', 'calendar = "forex"', "version 1: clock.calendar: 'forex' is not one of fx, crypto, cme"),
        ('calendar = "fx"', 'calender = "fx"', "version 1: clock.calender: no such field; did you mean calendar?"),
        ("[versions.stages.funded]", "[versions.stages.live]", "version 1: stage live: is not one of"),
        (
            "[versions.stages.funded]",
            "[versions.stagess.funded]",
            "version 1: stagess: no such field; did you mean stages?",
        ),
        ("min_trading_days = 4", "min_trading_days = ", "not TOML:"),
    ],
)
def test_a_version_that_does_not_hold_is_named(before: str, after: str, says: str) -> None:
    assert refusal(with_change(before, after)).startswith("plans/two_step.toml: " + says)


def later(number: int, since: str) -> str:
    """One more version of the good file."""
    block = GOOD[GOOD.index("[[versions]]") :]
    return block.replace("version = 1", f"version = {number}").replace("2025-01-01T00:00:00Z", since)


@pytest.mark.parametrize(
    ("before", "holds", "beyond"),
    [
        ("min_trading_days = 4", "min_trading_days = 4\ntime_limit = 4", "min_trading_days = 4\ntime_limit = 3"),
        (
            "min_trading_days = 4",
            'floating_loss = { percent = 30, base = "profit", at_least = 0 }',
            'floating_loss = { percent = 30, base = "profit", at_least = -0.01 }',
        ),
        (
            "min_trading_days = 4",
            "idea_risk = { amount = 9_999_999_999 }",
            "idea_risk = { amount = 9_999_999_999.01 }",
        ),
        (
            "min_trading_days = 4",
            "hyperactivity = { trades_per_day = 2_147_483_647 }",
            "hyperactivity = { trades_per_day = 2_147_483_648 }",
        ),
        ("version = 1", "version = 2_147_483_647", "version = 2_147_483_648"),
        (
            "min_trading_days = 4",
            "lot_consistency = { low = 2, high = 2 }",
            "lot_consistency = { low = 2.01, high = 2 }",
        ),
        (
            "days = 3, percent = 0.5",
            "days = 3, percent = 0.5, within_days = 3",
            "days = 3, percent = 0.5, within_days = 2",
        ),
        (
            "days = 3, percent = 0.5",
            f"days = 3, percent = 0.5, within_days = {WITHIN_MAX}",
            f"days = 3, percent = 0.5, within_days = {WITHIN_MAX + 1}",
        ),
    ],
    ids=["trading days", "at least", "amount", "count", "version", "lots", "fewest days", "most days"],
)
def test_what_lies_on_a_bound_holds_and_what_lies_beyond_does_not(before: str, holds: str, beyond: str) -> None:
    assert read_product(with_change(before, holds), "x").id == "two_step"
    assert refusal(with_change(before, beyond))


def test_versions_rise_and_follow_in_time() -> None:
    assert "version 1: version: comes after 1, numbers must rise" in refusal(GOOD + later(1, "2026-01-01T00:00:00Z"))
    early = refusal(GOOD + later(2, "2024-12-31T23:59:59Z"))
    assert early.startswith("plans/two_step.toml: version 2: effective_from: 2024-12-31T23:59:59+00:00 is before")
    assert len(read_product(GOOD + later(2, "2025-01-01T00:00:00Z"), "x").versions) == 2


def test_defaults_are_those_of_the_published_table() -> None:
    (version,) = read_product(GOOD, "x").versions
    stage = version.stages["evaluation_1"]
    daily, maximum, target = stage["daily_loss"], stage["max_loss"], stage["profit_target"]
    said = [daily[name] for name in ("reference", "base", "compare", "effect", "percent")]
    assert said == ["balance", "initial", "lt", "terminate", Decimal(5)]
    assert [maximum[name] for name in ("mode", "base", "compare", "effect")] == ["static", "initial", "lt", "terminate"]
    assert (maximum["lock_offset"], maximum["payout_rebase"], maximum["lock_at_target"]) == (None, "none", False)
    assert (target["basis"], target["require_flat"]) == ("closed", True)
    assert stage["min_trading_days"]["days"] == 4
    assert stage["min_trading_days"]["counts"] == "opened"
    assert stage["min_profitable_days"] == {"days": 3, "percent": Decimal("0.5"), "amount": None, "within_days": None}
    assert version.stages["funded"]["consistency"]["of"] == "net"


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2024-12-31T23:59:59.999999+00:00", None),
        ("2025-01-01T00:00:00+00:00", 1),
        ("2025-12-31T23:59:59.999999+00:00", 1),
        ("2026-01-01T00:00:00+00:00", 2),
        ("2026-01-01T00:30:00+01:00", 1),
    ],
)
def test_a_challenge_is_bound_to_the_version_in_force(at: str, version: int | None) -> None:
    product = read_product(GOOD + later(2, "2026-01-01T00:00:00Z"), "x")
    found = product.in_force(dt.datetime.fromisoformat(at))
    assert (found and found.version) == version


def test_a_narrower_version_goes_first_and_binds_nobody_else() -> None:
    product = read_product(
        GOOD + later(2, "2026-01-01T00:00:00Z").replace("version = 2", 'version = 2\ndesks = ["D1"]'), "x"
    )
    at = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
    assert [(product.in_force(at, desk=desk) or product.versions[0]).version for desk in ("D1", "D2")] == [2, 1]


def folder_of(tmp_path: Path, **files: str) -> Path:
    """A rulebook folder with these product files."""
    for name, text in files.items():
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


def test_one_bad_file_refuses_the_whole_folder(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, a_good=GOOD, b_bad=GOOD.replace('"two_step"', '"other"').replace("percent = 5", "percent = 500")
    )
    with pytest.raises(
        RulebookRefused, match=r"^b_bad\.toml: version 1: stage evaluation_1: daily_loss: percent: 500 %"
    ):
        catalogue.load(folder)


def test_two_files_may_not_hold_one_product(tmp_path: Path) -> None:
    with pytest.raises(RulebookRefused, match=r"^b\.toml: id: product two_step is already in a\.toml"):
        catalogue.load(folder_of(tmp_path, a=GOOD, b=GOOD))


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_products_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RulebookRefused, match="no product files"):
        catalogue.load(tmp_path / name)


def locked(tmp_path: Path) -> Path:
    """A folder whose one version is locked."""
    folder = folder_of(tmp_path, two_step=GOOD)
    text = catalogue.lock_text(catalogue.load(folder).products.values())
    (folder / catalogue.LOCK).write_text(text, encoding="utf-8")
    return folder


def test_a_locked_version_may_be_followed_but_not_changed(tmp_path: Path) -> None:
    folder = locked(tmp_path)
    assert catalogue.load(folder_of(folder, two_step=GOOD + later(2, "2026-01-01T00:00:00Z"))).version("two_step", 2)
    with pytest.raises(RulebookRefused, match=r"^two_step\.toml: version 1: was changed since it was locked"):
        catalogue.load(folder_of(folder, two_step=with_change("percent = 5 ", "percent = 6 ")))


def test_a_locked_version_may_be_written_differently(tmp_path: Path) -> None:
    text = "# a remark\n" + with_change("lock_offset = 0 }", "lock_offset  =  0.0 } # to the start")
    text = text.replace("percent = 5 }", "percent = 5.0 }").replace("percent = 0.5 }", "percent = 0.50 }")
    folder = folder_of(locked(tmp_path), two_step=text)
    assert catalogue.load(folder).terms("two_step", 1, "evaluation_1") is not None


def test_a_locked_version_may_not_vanish(tmp_path: Path) -> None:
    folder = locked(tmp_path)
    (folder / "two_step.toml").unlink()
    folder_of(folder, other=GOOD.replace('"two_step"', '"other"'))
    with pytest.raises(RulebookRefused, match="version 1: is gone since it was locked"):
        catalogue.load(folder)


def test_the_digest_tells_terms_apart(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    folder_of(one, two_step=GOOD)
    folder_of(two, two_step=with_change("percent = 5 ", "percent = 5.5 "))
    assert catalogue.load(one).digest != catalogue.load(two).digest


def test_the_own_rulebook_holds_and_every_rule_has_a_sentence(tmp_path: Path) -> None:
    copied = shutil.copytree(catalogue.FOLDER, tmp_path / "copy")
    assert catalogue.load().digest == catalogue.load(copied).digest
    assert all(rule.told and rule.fields for rule in RULES.values())


def test_terms_that_are_not_there_are_none() -> None:
    held = catalogue.Rulebook({"two_step": read_product(GOOD, "x")})
    assert held.terms("two_step", 1, "evaluation_2") is None
    assert held.terms("one_step", 1, "evaluation_1") is None
    with pytest.raises(KeyError, match="two_step has no version 9"):
        held.version("two_step", 9)


def test_every_line_of_the_page_on_published_rules_is_read() -> None:
    """Guards that what docs/expressing.md says can be written can, and that no rule is missing there."""
    page = (Path(__file__).parents[1] / "docs" / "expressing.md").read_text(encoding="utf-8")
    lines = re.findall(r"`([a-z_]+) = ([^`]+)`", page)
    target = "profit_target = { percent = 10 }\n"
    for rule, terms in lines:
        others = {"profit_target": "", "claim": "daily_loss = { percent = 5 }\ninactivity = 30\n"}
        stage = others.get(rule, target) + f"{rule} = {terms}"
        text = GOOD.split("[versions.stages")[0] + f"[versions.stages.evaluation_1]\n{stage}\n"
        assert rule in read_product(text, "p.toml").versions[0].stages["evaluation_1"], terms
    assert {rule for rule, _ in lines} == set(RULES)


def test_doctor_names_words_of_the_terms_that_no_instrument_has(tmp_path: Path) -> None:
    """Guards against a rule that is accepted and can never be broken, for a misspelt name in its list."""
    terms = 'symbols = { prohibited = ["EURSUD", "eur/usd", "Metals", "MNQ", "US100"] }'
    terms += '\nmargin = { percent = 50, leverages = [{ symbol = "goold", leverage = 5 }] }'
    terms += '\nhedging = { together = [["NQ", "NNQ"]] }'
    text = GOOD.replace("[versions.stages.funded]", f"[versions.stages.funded]\n{terms}")
    said = [
        one
        for one in examine(Warehouse.open(tmp_path / "home"), folder_of(tmp_path, two_step=text))
        if one.state != FINE
    ]
    named = [one.found.split(" is no ")[0] for one in said if one.check == "rulebook"]
    assert named == ["two_step: hedging: 'NNQ'", "two_step: margin: 'goold'", "two_step: symbols: 'EURSUD'"]


def test_doctor_names_a_version_that_was_taken_out(tmp_path: Path) -> None:
    """Guards that nobody comes to be judged by other terms than bought without a word: before a run and after."""
    home = Warehouse.open(tmp_path / "home")
    twice = GOOD + GOOD[GOOD.index("[[versions]]") :].replace("version = 1", "version = 2").replace(
        "2025-01", "2026-01"
    )
    both, left = catalogue.Rulebook({"two_step": read_product(twice, "p.toml")}), folder_of(tmp_path, two_step=GOOD)
    stands = {"account_id": "A", "trader_id": "T", "desk_id": "D", "product": "two_step", "stage": "evaluation_1"}
    with home.database.begin() as database:
        audit.append(database, Record("highwater", TERMS_CHANGED, "terms", after=terms_in_force(both)))
        database.execute(schema.ACCOUNT_STATUS.insert().values(stands | {"product_version": 2, "status": "active"}))

    def said() -> list[tuple[str, str]]:
        return [(one.state, one.found) for one in examine(home, left) if "is gone" in one.found]

    moved = "who bought it is judged by the versions that are left; put it back"
    judged = f"two_step: version 2 was in force here and is gone (the last run judged 1 accounts by it): {moved}"
    assert said() == [(WRONG, judged)]
    with home.database.begin() as database:
        audit.append(database, Record("highwater", TERMS_CHANGED, "terms", after={"two_step 1": "other"}))
        database.execute(schema.ACCOUNT_STATUS.update().values(product_version=1))
    assert said() == [(NOTE, f"two_step: version 2 was in force here and is gone: {moved}")]
    (left / "two_step.toml").write_text(twice, encoding="utf-8")
    assert said() == []
