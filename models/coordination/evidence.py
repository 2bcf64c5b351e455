"""The evidence for one pair: its matched entries side by side, and the numbers and the sentence about them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from models.chance import by_chance
from models.coordination.clocks import clock_differences
from models.coordination.entries import SECOND, Entries, Ints, sort_entries
from models.coordination.lags import typical_lag
from models.coordination.likeness import lots_beside
from models.coordination.markets import one_market, place_of
from models.coordination.matching import match_entries, match_windows
from models.coordination.pairs import judge_pairs
from models.coordination.terms import CoordinationTerms

MATCH_COLUMNS = (
    "market",
    "instrument_a",
    "instrument_b",
    "symbol_a",
    "symbol_b",
    "trade_a",
    "trade_b",
    "side_a",
    "side_b",
    "opened_a",
    "opened_b",
    "lag_ms",
    "lots_a",
    "lots_b",
    "open_price_a",
    "open_price_b",
    "closed_a",
    "closed_b",
    "exit_lag_ms",
    "close_price_a",
    "close_price_b",
    "lots_ratio",
    "level_a",
    "level_b",
)
ALONE_COLUMNS = ("of", "market", "instrument", "symbol", "side", "opened_at", "lots", "open_price", "level")


@dataclass(frozen=True)
class PairEvidence:
    """Matched entries of two accounts (columns of MATCH_COLUMNS, by time), their numbers and one sentence; entries of
    either that match none are `alone` (columns of ALONE_COLUMNS, `of` is a or b). Instruments, symbols, sides, lots and
    prices are each account's own; `lots_ratio` is b's lots for one of a's where both are lots of a's instrument,
    `level` an entry price on one scale (see `_on_one_scale`).

    `numbers` has matched, entries_a, entries_b, lag_ms (b behind a; negative when a is behind), lag_doubt_ms (how well
    that is known, as a standard error; None where the clocks could not be compared), lag_low_ms and lag_high_ms (the
    window), expected (matches by chance in that window), p_value (of this pair alone, corrected for the lags tried),
    shifted (mean matches when b's clock is moved), same_order, exits_together, lots_ratio_spread.
    """

    relation: str
    matches: pd.DataFrame
    numbers: dict[str, float | int | None]
    sentence: str
    alone: pd.DataFrame = field(default_factory=pd.DataFrame)


def pair_evidence(
    trades_a: pd.DataFrame,
    trades_b: pd.DataFrame,
    *,
    relation: str = "copy",
    market: pd.DataFrame | None = None,
    news: pd.DataFrame | None = None,
    accounts: pd.DataFrame | None = None,
    terms: CoordinationTerms | None = None,
) -> PairEvidence:
    """Matches the entries of two accounts at their likeliest lag, as the search does.

    `trades_a` and `trades_b` are trades frames of one account each; `relation` is copy or mirror. `market` holds the
    trades of the whole firm, from which chance is reckoned; without it entries count as spread evenly over the hours in
    which either traded. With `accounts` (account_id, platform, server, trader_id) the differences between their clocks
    that the market shows are taken off all times, as in the search. Raises ValueError for a frame of several accounts
    or an unknown relation.
    """
    if relation not in ("copy", "mirror"):
        raise ValueError(f"relation is copy or mirror, not {relation!r}")
    ids = [_only_account(frame) for frame in (trades_a, trades_b)]
    terms = terms or CoordinationTerms()
    everyone = pd.concat([trades_a, trades_b], ignore_index=True) if market is None else market
    if market is not None:
        everyone = pd.concat([market[~market["account_id"].isin(ids)], trades_a, trades_b], ignore_index=True)
    entries, clock_doubt_s = sort_entries(everyone, news, terms, []), 0.0
    if entries is not None and accounts is not None and market is not None:
        clocks = clock_differences(entries, accounts, [])
        clock_doubt_s = float(clocks.doubt_between(np.array(ids[:1]), np.array(ids[1:]))[0])
        entries = sort_entries(everyone, news, terms, [], clocks.ahead_s)
    if entries is None or not set(ids) <= set(entries.accounts):
        return PairEvidence(relation, pd.DataFrame(columns=list(MATCH_COLUMNS)), {"matched": 0}, _nothing(ids))
    first, second = sorted(ids)
    codes = np.searchsorted(entries.accounts.astype(str), [first, second])
    pair = np.array([[codes[0], codes[1], int(relation == "mirror")]], dtype=np.int32)
    judged = judge_pairs(entries, pair, 1.0, terms)
    window, expected = match_windows(entries.book, pair, judged, terms)
    row = judged[0].copy()
    row[3] = expected[0]
    matches = _matches(entries, everyone, pair[0], window[0])
    if first != ids[0]:
        matches = _swapped(matches)
        row[:2] = -row[1], -row[0]
    numbers = _numbers(entries, matches, row, ids, clock_doubt_s)
    matches, alone = _on_one_scale(matches, _alone(entries, matches, {"a": trades_a, "b": trades_b}))
    same = one_market(zip(matches["instrument_a"], matches["instrument_b"], strict=True))
    sentence = " ".join([_sentence(relation, ids, numbers), *same])
    return PairEvidence(relation, matches, numbers, sentence, alone)


def _only_account(trades: pd.DataFrame) -> str:
    """The one account a frame is about."""
    ids = trades["account_id"].dropna().unique()
    if len(ids) != 1:
        raise ValueError(f"a frame of one account is needed, this one has {len(ids)}")
    return str(ids[0])


def _nothing(ids: list[str]) -> str:
    """What is said of accounts without usable trades."""
    return f"{ids[0]} and {ids[1]} have no trades to compare."


def _matches(entries: Entries, trades: pd.DataFrame, pair: np.ndarray, window: Ints) -> pd.DataFrame:
    """The matched trades side by side, earliest first; times are those the search compared, clocks set right."""
    at_a, at_b = match_entries(entries.book, int(pair[0]), int(pair[1]), int(pair[2]), int(window[0]), int(window[1]))
    sides = {side: trades.iloc[entries.rows[at]].reset_index(drop=True) for side, at in (("a", at_a), ("b", at_b))}
    table = pd.DataFrame(index=sides["a"].index)
    sources = {"trade": "trade_id", "side": "side", "opened": "opened_at", "lots": "lots", "closed": "closed_at"}
    sources |= {name: name for name in ("instrument", "open_price", "close_price")}
    for suffix, frame in sides.items():
        for name, source in sources.items():
            table[f"{name}_{suffix}"] = frame.get(source)
        table[f"symbol_{suffix}"] = frame.get("symbol", frame["instrument"])
    for side, code in (("a", pair[0]), ("b", pair[1])):
        off = pd.to_timedelta(int(entries.ahead_us[code]), unit="us")
        table[f"opened_{side}"] -= off
        table[f"closed_{side}"] -= off
    table["lag_ms"] = _milliseconds(table["opened_b"] - table["opened_a"])
    table["exit_lag_ms"] = _milliseconds(table["closed_b"] - table["closed_a"])
    table["lots_ratio"] = lots_beside(entries.book, at_a, at_b) / entries.book.lots[at_a]
    return table.reindex(columns=list(MATCH_COLUMNS)).sort_values("opened_a", ignore_index=True)


def _alone(entries: Entries, matches: pd.DataFrame, trades: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Entries of either account that match none of the other's, clocks set right, earliest first."""
    parts = []
    for of, told in trades.items():
        code = np.searchsorted(entries.accounts.astype(str), _only_account(told))
        off = pd.to_timedelta(int(entries.ahead_us[code]), unit="us")
        here = told.assign(of=of, opened_at=told["opened_at"] - off, symbol=told.get("symbol", told["instrument"]))
        matched = pd.MultiIndex.from_frame(matches[[f"trade_{of}", f"opened_{of}"]])
        parts.append(here[~pd.MultiIndex.from_frame(here[["trade_id", "opened_at"]]).isin(matched)])
    return pd.concat(parts).reindex(columns=list(ALONE_COLUMNS)).sort_values("opened_at", ignore_index=True)


def _on_one_scale(matches: pd.DataFrame, alone: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both with the market of each entry and its price on one scale.

    Where the two trade one instrument that is the market, and the price is as told. Of several instruments of one
    market, those that are quoted the other way round are turned, and the prices of b on an instrument that a does not
    match on are brought to a's by the median ratio of the matched entries; without matches there they have none.
    """
    told = {str(name) for column in ("instrument_a", "instrument_b") for name in matches[column].dropna()}
    told |= {str(name) for name in alone["instrument"].dropna()}
    together = {name: {other for other in told if place_of(other).market == place_of(name).market} for name in told}
    market = {name: place_of(name).market if len(together[name]) > 1 else name for name in told}

    def turned(names: pd.Series, prices: pd.Series) -> pd.Series:
        inverse = names.map(lambda name: len(together[name]) > 1 and place_of(name).inverse).astype(bool)
        return pd.to_numeric(prices, errors="coerce").where(~inverse, 1.0 / pd.to_numeric(prices, errors="coerce"))

    matches = matches.assign(
        market=matches["instrument_a"].map(market),
        level_a=turned(matches["instrument_a"], matches["open_price_a"]),
        level_b=turned(matches["instrument_b"], matches["open_price_b"]),
    )
    other = matches["instrument_b"] != matches["instrument_a"]
    ratios = (matches["level_a"] / matches["level_b"])[other].groupby(matches["instrument_b"][other]).median()
    factors = dict.fromkeys(matches["instrument_a"].unique(), 1.0)
    factors |= {name: 1.0 for name in told if len(together[name]) == 1}
    factors = ratios.to_dict() | factors
    matches["level_b"] *= matches["instrument_b"].map(factors)
    alone = alone.assign(market=alone["instrument"].map(market), level=turned(alone["instrument"], alone["open_price"]))
    alone["level"] = alone["level"].where(alone["of"] == "a", alone["level"] * alone["instrument"].map(factors))
    return matches, alone


def _milliseconds(spans: pd.Series) -> pd.Series:
    """Spans as float milliseconds, NaN where unknown."""
    return pd.Series(spans.dt.total_seconds() * 1000.0)


def _swapped(matches: pd.DataFrame) -> pd.DataFrame:
    """The same matches seen from the other account."""
    other = {"a": "b", "b": "a"}
    names = {name: f"{name[:-1]}{other[name[-1]]}" for name in MATCH_COLUMNS if name[-2:] in ("_a", "_b")}
    turned = matches.rename(columns=names)
    turned["lag_ms"], turned["exit_lag_ms"] = -turned["lag_ms"], -turned["exit_lag_ms"]
    turned["lots_ratio"] = 1.0 / turned["lots_ratio"]
    return turned[list(MATCH_COLUMNS)].sort_values("opened_a", ignore_index=True)


def _numbers(
    entries: Entries, matches: pd.DataFrame, judged: np.ndarray, ids: list[str], clock_doubt_s: float
) -> dict[str, float | int | None]:
    """The numbers of a pair; None where nothing is known."""
    counts = np.diff(entries.book.own_start)
    codes = np.searchsorted(entries.accounts.astype(str), ids)
    lags = matches["lag_ms"]
    steps = entries.book.step_us[codes] / SECOND
    lag_ms = doubt_ms = None
    if len(lags):
        lag_s, error_s, _ = typical_lag(lags.to_numpy(dtype=float) / 1000.0, *steps)
        lag_ms, doubt_ms = 1000.0 * lag_s, 1000.0 * math.hypot(error_s, clock_doubt_s)
    ratio = np.log(matches["lots_ratio"])
    exits = matches["exit_lag_ms"].dropna()
    tolerance = max(2000.0, 0.5 * abs(lag_ms)) if lag_ms is not None else 2000.0
    return {
        "matched": len(matches),
        "entries_a": int(counts[codes[0]]),
        "entries_b": int(counts[codes[1]]),
        "lag_ms": lag_ms,
        "lag_doubt_ms": None if doubt_ms is None or math.isnan(doubt_ms) else doubt_ms,
        "lag_low_ms": float(judged[0]) / 1000.0,
        "lag_high_ms": float(judged[1]) / 1000.0,
        "expected": float(judged[3]),
        "p_value": float(np.exp(judged[4])),
        "shifted": float(judged[5]),
        "same_order": float(max((lags > 0).mean(), (lags < 0).mean())) if len(lags) else None,
        "exits_together": float((exits.sub(lags).abs() <= tolerance).mean()) if len(exits) else None,
        "lots_ratio_spread": float(ratio.std()) if len(ratio) > 1 else None,
    }


def _sentence(relation: str, ids: list[str], numbers: dict[str, float | int | None]) -> str:
    """The evidence in words."""
    fewer = min(int(numbers["entries_a"] or 0), int(numbers["entries_b"] or 0))
    verb = "the same side" if relation == "copy" else "opposite sides"
    lag = numbers["lag_ms"]
    if lag is None:
        return f"{ids[0]} and {ids[1]} share no entries on {verb}."
    behind, ahead = (ids[1], ids[0]) if lag >= 0 else (ids[0], ids[1])
    doubt = numbers["lag_doubt_ms"]
    known = "clocks not compared" if doubt is None else f"give or take {2 * doubt / 1000:.2g} s"
    return (
        f"{numbers['matched']} of {fewer} entries of the smaller account match on {verb}, "
        f"{behind} {abs(lag) / 1000:.1f} s behind {ahead} (typically; {known}); "
        f"chance would give {by_chance(float(numbers['expected'] or 0))}."
    )
