"""A run that goes on from what an earlier one counted says the same as one that counts every pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.coordination import CoordinationTerms, find_coordination, held, kept, markets
from models.coordination.candidates import find_candidates
from models.coordination.entries import Openings, openings, sort_entries
from models.coordination.kept import Kept
from tests.test_coordination_public import ahead_of, two_servers

DAY_S = 86_400
TERMS = CoordinationTerms(matches_min=5, prefilter_p_max=0.2, entries_per_day_max=25, crowd_min=30)


def _firm(rng: np.random.Generator, days: int = 12) -> pd.DataFrame:
    """Accounts that often meet at moments of the market, some who follow, one that trades all day."""
    accounts, entries = 60, 5000
    account = rng.integers(0, accounts, entries)
    alone = rng.integers(0, days * DAY_S, entries)
    together = rng.choice(rng.integers(0, days * DAY_S, 300), entries) + rng.integers(-90, 90, entries)
    at = np.where(rng.random(entries) < 0.5, alone, together.clip(0))
    rows = pd.DataFrame(
        {
            "account_id": [f"a{x:02d}" for x in account],
            "instrument": rng.choice(["EURUSD", "XAUUSD", "US30"], entries, p=[0.5, 0.3, 0.2]),
            "side": rng.choice(["buy", "sell"], entries),
            "at": at.astype(float),
        }
    )
    followed = rows[rows["account_id"].isin(["a03", "a11"])]
    followers = followed.assign(
        account_id=followed["account_id"].map({"a03": "b03", "a11": "b11"}), at=followed["at"] + 2
    )
    busy = pd.DataFrame({"account_id": "c00", "instrument": "EURUSD", "side": "buy", "at": rng.uniform(0, DAY_S, 40)})
    at = np.append(rng.choice(at[at < DAY_S * 3], 60) + rng.integers(-60, 60, 60), days * DAY_S - 60)
    gone_till_the_end = pd.DataFrame({"account_id": "d00", "instrument": "EURUSD", "side": "sell", "at": at})
    return _timed(pd.concat([rows, followers, busy, gone_till_the_end], ignore_index=True))


def _timed(rows: pd.DataFrame) -> pd.DataFrame:
    opened = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(rows["at"], unit="s").dt.round("us")
    number = rows["account_id"].str[1:].astype(int)
    told = {"open_reason": np.where(number % 5 == 0, "expert", "client"), "magic": np.where(number % 5 == 0, number, 0)}
    return rows.assign(lots=1.0, opened_at=opened, closed_at=opened + pd.Timedelta(minutes=9), **told)


def _parts(rng: np.random.Generator, whole: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was told first, and what is known later: newer and late rows, lost ones, another clock, new names."""
    n = len(whole)
    known = (whole["at"] < whole["at"].quantile(rng.uniform(0.7, 0.99))).to_numpy() & (rng.random(n) > 0.02)
    first = whole[known & ~whole["account_id"].isin(rng.choice(whole["account_id"], rng.integers(0, 3))).to_numpy()]
    if rng.random() < 0.3:
        first = first[first["instrument"] != "US30"]
    later = whole[rng.random(n) > rng.choice([0.0, 0.002])]
    if rng.random() < 0.5:
        lost = (later["account_id"] == rng.choice(later["account_id"])) & (rng.random(len(later)) < 0.7)
        later = later[~lost]
    if rng.random() < 0.3:
        shifted = later["account_id"] == rng.choice(later["account_id"])
        later = _timed(later.assign(at=later["at"] + shifted * 1.0))
    return first, later


def _on(first: pd.DataFrame, later: pd.DataFrame, rng: np.random.Generator) -> Openings:
    """What is known later, read on from what was held of the first, for rows that went, changed or came."""
    rows = rng.permutation(len(first))
    before = held.hold(openings(first.iloc[rows]), rows)
    same = first.index.intersection(later.index)
    same = same[(first.loc[same, "opened_at"] == later.loc[same, "opened_at"]).to_numpy()]
    return held.goes_on(before, np.flatnonzero(~first.index.isin(same)), openings(later.drop(same)))


def _candidates(
    trades: pd.DataFrame | Openings, before: Kept | None = None
) -> tuple[list[tuple[int, ...]], Kept | None, list[str]]:
    log: list[str] = []
    entries = sort_entries(trades, None, TERMS, log)
    assert entries is not None
    pairs, left = find_candidates(entries, TERMS, log, before, keeping=True)
    return [tuple(map(int, pair)) for pair in pairs], left, log


@pytest.mark.parametrize("seed", range(40))
def test_the_same_pairs_come_up_when_only_touched_ones_are_counted(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "NEW_SHARE_MAX", 1.0)
    rng = np.random.default_rng(seed)
    first, later = _parts(rng, _firm(rng))
    _, left, _ = _candidates(first)
    assert left is not None
    whole, _, _ = _candidates(later)
    on = _on(first, later, rng)
    one, other = sort_entries(on, None, TERMS, []), sort_entries(later, None, TERMS, [])
    assert one is not None
    assert other is not None
    assert (one.accounts.tolist(), one.instruments.tolist()) == (other.accounts.tolist(), other.instruments.tolist())
    for theirs, anew in zip(one.book, other.book, strict=True):
        np.testing.assert_array_equal(theirs, anew)
    touched, still, log = _candidates(on, left)
    assert touched == whole
    assert len(whole) > 20  # or there would be nothing to miss
    assert (still is left) == any("counted again" in line for line in log)


def test_most_days_are_gone_on_with_and_count_few_pairs() -> None:
    whole = _firm(np.random.default_rng(7), days=40)
    first = whole[whole["at"] < 39.2 * DAY_S]
    _, left, _ = _candidates(first)
    _, _, log = _candidates(whole, left)
    assert any("counted again" in line for line in log)


def test_the_tables_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "NEW_SHARE_MAX", 1.0)
    rng = np.random.default_rng(3)
    first, later = _parts(rng, _firm(rng))
    terms = replace(TERMS, q_max=0.2)
    before = find_coordination(first, owners={}, terms=terms, keeping=True).kept
    on = find_coordination(_on(first, later, rng), owners={}, terms=terms, before=before)
    anew = find_coordination(later, owners={}, terms=terms)
    pd.testing.assert_frame_equal(on.pairs, anew.pairs)
    pd.testing.assert_frame_equal(on.rings, anew.rings)
    assert len(on.pairs) >= 2


def test_a_server_that_is_set_right_later_has_its_pairs_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was counted by a server's own times must not be believed once it is known to be off."""
    monkeypatch.setattr(kept, "NEW_SHARE_MAX", 1.0)
    trades, accounts = two_servers(np.random.default_rng(63))
    trades = ahead_of(trades, accounts.loc[accounts["server"] == "live-2", "account_id"], 3.0)
    first, untold = trades[trades["opened_at"] < trades["opened_at"].quantile(0.9)], accounts.drop(columns="server")
    before = find_coordination(first, owners={}, accounts=untold, keeping=True)
    on = find_coordination(trades, owners={}, accounts=accounts, before=before.kept)
    anew = find_coordination(trades, owners={}, accounts=accounts)
    corrected = ["server live-2" in " ".join(found.log) for found in (before, on, anew)]
    assert corrected == [False, True, True]
    assert any("counted again" in line for line in on.log)
    pd.testing.assert_frame_equal(on.pairs, anew.pairs)
    pd.testing.assert_frame_equal(on.rings, anew.rings)


def test_much_that_is_new_or_other_terms_have_everything_counted() -> None:
    whole = _firm(np.random.default_rng(1))
    _, left, _ = _candidates(whole[whole["at"] < 6 * DAY_S])
    assert left is not None
    _, anew, log = _candidates(whole, left)
    assert anew is not left and not any("counted again" in line for line in log)
    _, all_of_it, _ = _candidates(whole)
    assert all_of_it is not None
    entries = sort_entries(whole, None, TERMS, [])
    assert entries is not None
    assert kept.touched_entries(entries, TERMS, all_of_it) is not None
    assert kept.touched_entries(entries, replace(TERMS, matches_min=6), all_of_it) is None


def test_what_is_kept_is_read_as_it_was_written_and_a_damaged_file_is_as_none(tmp_path: Path) -> None:
    whole = _firm(np.random.default_rng(2))
    _, left, _ = _candidates(whole)
    assert left is not None
    path = tmp_path / "kept" / "coordination.npz"
    assert kept.load(path) is None
    kept.save(left, path)
    again = kept.load(path)
    assert again is not None
    pairs, still, _ = _candidates(whole, again)
    assert still is again
    assert pairs == _candidates(whole)[0]
    path.write_bytes(path.read_bytes()[:1000])
    assert kept.load(path) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"US30": markets.Place("XAUUSD")}),
        ({"US30": markets.Place("XAUUSD")}, {}),
        ({"US30": markets.Place("XAUUSD")}, {"US30": markets.Place("XAUUSD", inverse=True)}),
        ({}, {"US30": markets.Place("GOLD"), "XAUUSD": markets.Place("GOLD")}),
    ],
    ids=["joined", "parted", "turned", "renamed"],
)
def test_another_map_of_markets_has_what_it_changes_counted_anew(
    before: dict[str, markets.Place], after: dict[str, markets.Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One night `markets.toml` says otherwise: what was read and counted by the old map must not be believed."""
    monkeypatch.setattr(kept, "NEW_SHARE_MAX", 1.0)
    rng = np.random.default_rng(6)
    whole = _firm(rng)
    whole.loc[whole["account_id"] == "b03", "instrument"] = "US30"  # follows on another of the markets alone
    whole.loc[whole["account_id"] == "a03", "instrument"] = "XAUUSD"
    monkeypatch.setattr(markets, "listed", lambda: before)
    first, left, _ = _candidates(whole)
    assert left is not None
    rows = np.arange(len(whole))
    read_on = held.goes_on(held.hold(openings(whole), rows), rows[:0], openings(whole.iloc[:0]))
    monkeypatch.setattr(markets, "listed", lambda: after)
    anew, _, _ = _candidates(whole)
    again, _, log = _candidates(read_on, left)
    assert again == anew
    assert anew != first, "or the map would not have mattered"
    assert any("counted again" in line for line in log)


def test_who_is_new_lost_an_entry_or_is_there_much_longer_is_counted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "NEW_SHARE_MAX", 1.0)
    whole = _firm(np.random.default_rng(5))
    first = whole[(whole["account_id"] != "a01") & ~((whole["account_id"] == "d00") & (whole["at"] > 4 * DAY_S))]
    _, left, _ = _candidates(first)
    assert left is not None
    later = whole.drop(whole.index[whole["account_id"] == "a02"][:1])
    late = _timed(whole[whole["account_id"] == "a03"].iloc[[0]].assign(at=5.5 * DAY_S))
    entries = sort_entries(pd.concat([later, late]), None, TERMS, [])
    assert entries is not None
    touched = kept.touched_entries(entries, TERMS, left)
    assert touched is not None
    account = entries.accounts[entries.book.account]
    by_account = pd.Series(touched).groupby(account)
    assert by_account.all()[["a01", "a02", "d00"]].all()
    assert by_account.sum()["a03"] == 1
    assert not by_account.any().drop(["a01", "a02", "a03", "d00"]).any()


def test_names_may_come_as_categories() -> None:
    """As the scoring run hands them over: some that do not occur, in any order, some missing."""
    trades = _firm(np.random.default_rng(4)).sample(frac=1, random_state=4, ignore_index=True)
    trades.loc[[3, 5], "account_id"] = None
    trades.loc[7, "side"] = None
    told = trades.copy()
    for name in ("account_id", "instrument", "side"):
        names = [*trades[name].dropna().unique(), "never"]
        told[name] = pd.Categorical(trades[name], categories=names[::-1])
    logs: tuple[list[str], list[str]] = ([], [])
    texts, categories = sort_entries(trades, None, TERMS, logs[0]), sort_entries(told, None, TERMS, logs[1])
    assert texts is not None
    assert categories is not None
    assert logs[0] == logs[1]
    assert texts.accounts.tolist() == categories.accounts.tolist()
    assert texts.instruments.tolist() == categories.instruments.tolist()
    for one, other in zip((*texts.book, texts.rows), (*categories.book, categories.rows), strict=True):
        np.testing.assert_array_equal(one, other)
