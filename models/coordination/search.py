"""Who trades together: from a firm's trades to the flagged pairs, rings and shared strategies."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, logit

from models.coordination.candidates import find_candidates
from models.coordination.chance import log_q_values
from models.coordination.circumstances import COLUMNS, describe_pairs
from models.coordination.clocks import clock_differences
from models.coordination.entries import SECOND, Codes, Entries, Flags, Floats, Openings, openings, sort_entries
from models.coordination.families import crowd_families
from models.coordination.hands import believed
from models.coordination.kept import Kept
from models.coordination.lags import COARSE_S
from models.coordination.markets import one_market
from models.coordination.matching import match_entries, match_windows
from models.coordination.pairs import judge_pairs
from models.coordination.picks import add_picks
from models.coordination.strength import link_alone, unrounded_spread, weigh
from models.coordination.terms import CoordinationTerms
from models.coordination.turns import add_turns

PAIR_COLUMNS = (
    "account_a",
    "account_b",
    "relation",
    "leader",
    "matched",
    "containment",
    "lag_ms",
    "expected",
    "p_value",
    "q_value",
    "same_owner",
    "strength",
    "evidence",
)
RING_COLUMNS = ("ring_id", "account_id", "kind", "strength")
FLAG = 0.5
NEAR_MISS = 0.25
SHARED_CONTAINMENT_MIN = 0.2
SIBLING_BEFORE = 0.75  # share of matches that a third account must precede to be their source
SIBLING_SPREAD = 1.15  # spread between siblings, of the wider of their spreads behind the leader
EXIT_ODDS, EXIT_ODDS_MAX = 1.4, 5.0  # what one exit in the order of the entries says of it (four in five), and all
LEADER_ODDS = 1.0  # log-odds from which a leader is named although a coarse clock ties entries
BESIDE = -6.0  # log-odds of a pair whose matches another leader of the follower explains, whatever else speaks for it
EXITS_LINKED = 0.7  # from which exits go together
UNDISCOVERED = -0.5  # log-odds of a pair that chance may explain among those that would be flagged
BESIDE_MORE = 1.5  # how many times as many matches that leader must have
BESIDE_INSIDE = 0.75  # and the share of this pair's that must be among them
ALIKE_MIN, ALIKE_MORE, ALIKE_INSIDE = 2, 0.6, 0.5  # other leaders, their matches, and the share in common
LOG_P_MIN = -700.0  # smaller probabilities than e**-700 are all written as that
EVIDENCE = (
    "lag_spread_s",
    "lag_doubt_s",
    "same_order",
    "exits_together",
    "exits_at_once",
    "exits_after",
    "holding_correlation",
    "lots_correlation",
    "days",
    "others",
    "bar_share_a",
    "bar_share_b",
    "turned",
    "passers",
    "passers_usual",
    "robot_a",
    "robot_b",
    "company_robot",
)


@dataclass(frozen=True)
class Coordination:
    """Pairs (published columns, then evidence as JSON), rings, what the run has to say, and what it kept."""

    pairs: pd.DataFrame
    rings: pd.DataFrame
    log: list[str]
    kept: Kept | None = None


def find_coordination(
    trades: pd.DataFrame | Openings,
    *,
    owners: Mapping[str, str] | pd.DataFrame,
    news: pd.DataFrame | None = None,
    accounts: pd.DataFrame | None = None,
    terms: CoordinationTerms | None = None,
    before: Kept | None = None,
    keeping: bool = False,
) -> Coordination:
    """Finds accounts that copy or mirror each other beyond chance and beyond what a public source explains.

    `trades` has one row per position (account_id, instrument, side, lots, opened_at, closed_at, and where known
    open_reason and magic), or is what was read of such a frame before; rows without account, instrument, side or
    opening time are left out and counted in the log. Instruments of one market (`markets.toml`) are one, with the sides
    of those that are quoted the other way round turned. `owners` maps account_id to owner_id (a mapping, or a frame
    with these two columns); where either owner is unknown `same_owner` is null. `news` (occurs_at,
    impact) marks moments at which many enter for one reason. Pairs are those of strength >= 0.25; >= 0.5 is a flag.
    `before` is what an earlier run kept with `keeping`: the answer is the same, for less work (see `kept`).
    """
    terms = terms or CoordinationTerms()
    log: list[str] = []
    told = trades if isinstance(trades, Openings) else openings(trades)
    entries = sort_entries(told, news, terms, log)
    if entries is None or len(entries.accounts) < 2:
        log.append("fewer than two accounts with trades: nothing to compare")
        return Coordination(_empty(PAIR_COLUMNS), _empty(RING_COLUMNS), log)
    clocks = None
    if accounts is not None:
        clocks = clock_differences(entries, accounts, log)
        if clocks.ahead_s.any():
            entries = sort_entries(told, news, terms, [], clocks.ahead_s) or entries
    entries = replace(entries, book=entries.book._replace(robot=believed(entries, accounts)))
    families = crowd_families(entries, news, terms, SHARED_CONTAINMENT_MIN)
    candidates, kept = find_candidates(entries, terms, log, before, keeping=keeping)
    seen = _significant_pairs(entries, candidates, terms)
    if seen.empty:
        rings = _ring_rows(entries, families, "shared_strategy", families["strength"].to_numpy())
        return Coordination(_empty(PAIR_COLUMNS), rings, log, kept)
    seen["same_owner"] = _same_owner(entries, seen, owners)
    left, right = entries.accounts[seen["a"]], entries.accounts[seen["b"]]
    seen["lag_doubt_s"] = np.hypot(seen["lag_error_s"], clocks.doubt_between(left, right) if clocks else 0.0)
    seen = add_turns(entries, add_picks(entries, seen, terms))
    known_same = seen["same_owner"].eq(True).to_numpy(dtype=bool)
    seen["strength"], reasons = weigh(seen, known_same, terms)
    beside = _beside(entries, seen, terms)
    odds = logit(seen["strength"].clip(1e-9, 1 - 1e-9))
    reasons["beside_a_leader"] = np.where(beside, BESIDE - odds.clip(lower=0.0), 0.0)
    seen["strength"] = np.where(beside, expit(odds.clip(upper=0.0) + BESIDE), seen["strength"])
    _undiscovered(seen, reasons, len(entries.accounts), terms)
    joined, seen["sibling"] = _joined(seen)
    seen.loc[joined, "strength"] = np.maximum(seen.loc[joined, "strength"], _joined_strength(seen, joined))
    seen = _one_relation(seen)
    rings = _rings(entries, seen, families)
    flagged = int((seen["strength"] >= FLAG).sum())
    log.append(f"{len(seen)} pairs beyond chance at q <= {terms.q_max:g}, {flagged} of them flagged")
    return Coordination(_published_pairs(entries, seen, reasons, terms), rings, log, kept)


def _empty(columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of these columns without rows."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})


def _significant_pairs(entries: Entries, candidates: Codes, terms: CoordinationTerms) -> pd.DataFrame:
    """Candidates beyond chance after correction for all pairs of the firm, with their circumstances."""
    accounts = len(entries.accounts)
    tests = accounts * (accounts - 1.0)  # every pair, as a copy and as a mirror
    judged = judge_pairs(entries, candidates, tests, terms)
    log_q = log_q_values(judged[:, 4], tests)
    kept = log_q <= math.log(terms.q_max)
    pairs, judged = candidates[kept], judged[kept]
    windows, expected = match_windows(entries.book, pairs, judged, terms)
    seen = pd.DataFrame(describe_pairs(entries, pairs, windows, terms), columns=list(COLUMNS))
    seen["a"], seen["b"], seen["relation"] = pairs[:, 0], pairs[:, 1], pairs[:, 2]
    seen["expected"] = expected
    seen["expected_within_horizon"] = expected * 2 * terms.horizon_s * SECOND / (windows[:, 1] - windows[:, 0])
    seen["low_us"], seen["high_us"] = windows[:, 0], windows[:, 1]
    seen["shifted"] = judged[:, 5]
    seen["log_p"], seen["log_q"] = judged[:, 4], log_q[kept]
    return seen


def _same_owner(entries: Entries, seen: pd.DataFrame, owners: Mapping[str, str] | pd.DataFrame) -> NDArray[np.object_]:
    """True or False where both owners are known, None where not."""
    if isinstance(owners, pd.DataFrame):
        owners = dict(zip(owners["account_id"], owners["owner_id"], strict=True)) if len(owners) else {}
    by_code = pd.Series([owners.get(str(account)) for account in entries.accounts], dtype=object)
    left, right = by_code.iloc[seen["a"]].to_numpy(), by_code.iloc[seen["b"]].to_numpy()
    same = np.asarray(left == right, dtype=object)
    same[pd.isna(left) | pd.isna(right)] = None
    return same


def _edge_index(seen: pd.DataFrame) -> dict[tuple[int, int], int]:
    """Row of each pair whose direct tie is flagged, by its two accounts in either order."""
    strong = np.flatnonzero((seen["strength"] >= FLAG).to_numpy())
    left, right = seen["a"].to_numpy(), seen["b"].to_numpy()
    index = {(int(left[i]), int(right[i])): int(i) for i in strong}
    index.update({(b, a): i for (a, b), i in index.items()})
    return index


def _followed(
    entries: Entries, seen: pd.DataFrame, rows: NDArray[np.int64], terms: CoordinationTerms
) -> list[set[int]]:
    """Positions of the follower's entries that match the leader's, for the given rows."""
    low = (seen["lag_s"].abs() - 3 * seen["lag_spread_s"].clip(lower=terms.lag_widths_s[0])).to_numpy()
    high = (seen["lag_s"].abs() + 3 * seen["lag_spread_s"].clip(lower=terms.lag_widths_s[0])).to_numpy()
    out = []
    for i in rows:
        row = seen.iloc[i]
        leader, follower = (row["a"], row["b"]) if row["lag_s"] >= 0 else (row["b"], row["a"])
        window = int(low[i] * SECOND), int(high[i] * SECOND)
        out.append(
            set(match_entries(entries.book, int(leader), int(follower), int(row["relation"]), *window)[1].tolist())
        )
    return out


def _beside(entries: Entries, seen: pd.DataFrame, terms: CoordinationTerms) -> Flags:
    """Pairs whose would-be leader was only there when the follower's own leader was, or is one of many alike.

    A follower of someone who acts at public moments meets all who act then; it has followed the one it is nearly
    always behind, and whatever speaks for the pair is that leader's. Who is behind several, at the same moments, that
    are not tied to each other follows what they all follow.
    """
    out = np.zeros(len(seen), dtype=bool)
    rows = np.flatnonzero((seen["strength"] >= NEAR_MISS).to_numpy())
    lag, matched = seen["lag_s"].to_numpy(), seen["matched"].to_numpy()
    ahead = np.where(lag >= 0, seen["a"], seen["b"])
    behind = np.where(lag >= 0, seen["b"], seen["a"])
    index = _edge_index(seen)
    for follower in np.unique(behind[rows]):
        ties = rows[behind[rows] == follower]
        if len(ties) < 2:
            continue
        entries_of = _followed(entries, seen, ties, terms)
        for k, i in enumerate(ties):
            untied = [m for m, x in enumerate(ties) if m != k and (int(ahead[i]), int(ahead[x])) not in index]
            inside = {m: len(entries_of[k] & entries_of[m]) / max(len(entries_of[k]), 1) for m in untied}
            nearer = [m for m in untied if matched[ties[m]] >= matched[i] * BESIDE_MORE]
            alike = [m for m in untied if matched[ties[m]] >= matched[i] * ALIKE_MORE]
            out[i] = any(inside[m] >= BESIDE_INSIDE for m in nearer)
            out[i] |= sum(inside[m] >= ALIKE_INSIDE for m in alike) >= ALIKE_MIN
    return out


def _undiscovered(seen: pd.DataFrame, reasons: pd.DataFrame, accounts: int, terms: CoordinationTerms) -> None:
    """Takes the flag from pairs that are not beyond chance at the same false-discovery rate among the flagged alone.

    A rate held over all pairs is not held over some of them: thousands that share a robot lend their allowance to
    pairs that nothing public explains, and of those as many as that rate would be chance. Exits that go together are
    evidence that no probability of entries knows of.
    """
    flagged = (seen["strength"] >= FLAG).to_numpy()
    log_q = np.full(len(seen), np.inf)
    log_q[flagged] = log_q_values(seen["log_p"].to_numpy()[flagged], accounts * (accounts - 1.0))
    dropped = flagged & (log_q > math.log(terms.q_max)) & (link_alone(seen) < EXITS_LINKED)
    odds = logit(seen["strength"].clip(1e-9, 1 - 1e-9))
    reasons["undiscovered"] = np.where(dropped, UNDISCOVERED - odds, 0.0)
    seen["strength"] = np.where(dropped, expit(UNDISCOVERED), seen["strength"])


def _joined(seen: pd.DataFrame) -> tuple[Flags, Flags]:
    """Pairs whose two accounts both are tied to a third that is ahead of them, and those that trade only through it.

    Two followers of one leader are spread wider from each other than from the leader; the last links of a chain
    are not.
    """
    index = _edge_index(seen)
    spread = unrounded_spread(seen)
    joined, sibling = np.zeros(len(seen), dtype=bool), np.zeros(len(seen), dtype=bool)
    before = (seen["third_before"].fillna(0.0) >= SIBLING_BEFORE).to_numpy()
    rows = zip(
        np.flatnonzero(before).tolist(), *(seen.loc[before, n].astype(int) for n in ("third", "a", "b")), strict=True
    )
    for i, third, a, b in rows:
        to_a, to_b = index.get((third, a)), index.get((third, b))
        if to_a is not None and to_b is not None:
            joined[i] = True
            sibling[i] = spread[i] > SIBLING_SPREAD * max(spread[to_a], spread[to_b])
    return joined, sibling


def _joined_strength(seen: pd.DataFrame, joined: Flags) -> Floats:
    """A pair joined by a third is at least as certain as the weaker of its two ties to it."""
    index = _edge_index(seen)
    rows = seen[joined]
    strength = seen["strength"].to_numpy()
    ties = [
        min(strength[index[(int(t), int(a))]], strength[index[(int(t), int(b))]])
        for t, a, b in zip(rows["third"], rows["a"], rows["b"], strict=True)
    ]
    return np.array(ties, dtype=np.float64)


def _one_relation(seen: pd.DataFrame) -> pd.DataFrame:
    """Keeps the likelier relation of a pair that both copies and mirrors; row labels stay."""
    order = seen.sort_values(["strength", "log_p", "relation"], ascending=[False, True, True])
    return order.drop_duplicates(["a", "b"]).sort_values(["a", "b"])


def _groups(accounts: int, left: Codes, right: Codes) -> NDArray[np.int64]:
    """Component label of every account under the given edges."""
    graph = coo_array((np.ones(len(left)), (left, right)), shape=(accounts, accounts))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _ring_rows(entries: Entries, edges: pd.DataFrame, kind: str, strength: Floats) -> pd.DataFrame:
    """Members of every group of three or more under these edges, with the mean strength of their ties."""
    left, right = edges["a"].to_numpy(), edges["b"].to_numpy()
    labels = _groups(len(entries.accounts), left, right)
    ties = pd.DataFrame({"account": np.concatenate([left, right]), "strength": np.concatenate([strength, strength])})
    members = ties.groupby("account", as_index=False)["strength"].mean()
    members["group"] = labels[members["account"]]
    members["size"] = members.groupby("group")["account"].transform("size")
    members = members[members["size"] >= 3]
    first = entries.accounts[members.groupby("group")["account"].transform("min").to_numpy(dtype=np.int64)]
    return pd.DataFrame(
        {
            "ring_id": [f"{kind}-{account}" for account in first],
            "account_id": entries.accounts[members["account"].to_numpy(dtype=np.int64)],
            "kind": kind,
            "strength": members["strength"].to_numpy(),
        }
    )


def _rings(entries: Entries, seen: pd.DataFrame, families: pd.DataFrame) -> pd.DataFrame:
    """Rings of flagged pairs, and groups whose coincidences a shared robot or a public signal explains."""
    flagged = seen[seen["strength"] >= FLAG]
    shared = seen[(seen["strength"] < FLAG) & (seen["others"] > 0) & (seen["relation"] == 0)]
    shared = shared[shared["containment"] >= SHARED_CONTAINMENT_MIN]
    shared = shared[["a", "b"]].assign(strength=1.0 - shared["strength"])
    shared = pd.concat([shared, families], ignore_index=True) if len(families) else shared
    rings = [
        _ring_rows(entries, flagged, "ring", flagged["strength"].to_numpy()),
        _ring_rows(entries, shared, "shared_strategy", shared["strength"].to_numpy()),
    ]
    return pd.concat(rings, ignore_index=True).sort_values(["ring_id", "account_id"], ignore_index=True)


def _leaders(entries: Entries, seen: pd.DataFrame, terms: CoordinationTerms) -> NDArray[np.object_]:
    """Account id of who is ahead; None for siblings and where the order is not stable.

    Where a coarse clock may tie entries, the likelihood of the lag decides, and the order of the exits with it.
    """
    lag = seen["lag_s"].to_numpy()
    steady = (lag != 0) & (seen["same_order"].to_numpy() >= terms.order_min)
    coarse = seen["step_s"].to_numpy() >= COARSE_S
    after = seen["events"].to_numpy() * (2.0 * seen["exits_after"].fillna(0.5).to_numpy() - 1.0)
    odds = seen["lag_odds"].to_numpy() + np.sign(lag) * np.clip(EXIT_ODDS * after, -EXIT_ODDS_MAX, EXIT_ODDS_MAX)
    ahead = np.where(np.where(coarse, odds, lag) > 0, seen["a"].to_numpy(), seen["b"].to_numpy())
    leaders = entries.accounts[ahead]
    known = np.where(coarse, np.abs(odds) >= LEADER_ODDS, steady)
    leaders[~known | seen["sibling"].to_numpy(dtype=bool)] = None
    return leaders


def _told_as_one(entries: Entries, seen: pd.DataFrame) -> list[list[str]]:
    """For each pair, which instruments of its matches are one market, in words; nothing where none are."""
    if len(entries.told) == len(entries.instruments):
        return [[] for _ in range(len(seen))]
    told = []
    for row in seen[["a", "b", "relation", "low_us", "high_us"]].astype(np.int64).itertuples(index=False):
        at_a, at_b = match_entries(entries.book, *row)
        kinds = {(int(a), int(b)) for a, b in zip(entries.book.told[at_a], entries.book.told[at_b], strict=True)}
        told.append(one_market((str(entries.told[a]), str(entries.told[b])) for a, b in kinds))
    return told


def _evidence(seen: pd.DataFrame, reasons: pd.DataFrame, entries: Entries) -> list[str]:
    """What was seen of each pair and what each sight is worth, as JSON."""
    out = []
    numbers = seen[[*EVIDENCE, "shifted"]].round(4).to_dict("records")
    odds = reasons.loc[seen.index].round(2).to_dict("records")
    through = np.where(seen["sibling"], seen["third"], -1).astype(int).tolist()
    for facts, worth, third, markets in zip(numbers, odds, through, _told_as_one(entries, seen), strict=True):
        known: dict[str, object] = {str(name): value for name, value in facts.items() if not pd.isna(value)}
        if third >= 0:
            known["through"] = str(entries.accounts[third])
        if markets:
            known["one_market"] = markets
        known["log_odds"] = {str(name): value for name, value in worth.items() if value}
        out.append(json.dumps(known, sort_keys=True))
    return out


def _published_pairs(
    entries: Entries, seen: pd.DataFrame, reasons: pd.DataFrame, terms: CoordinationTerms
) -> pd.DataFrame:
    """The published table: flagged pairs and near misses."""
    seen = seen[seen["strength"] >= NEAR_MISS]
    pairs = pd.DataFrame(
        {
            "account_a": entries.accounts[seen["a"]],
            "account_b": entries.accounts[seen["b"]],
            "relation": np.where(seen["relation"] == 0, "copy", "mirror"),
            "leader": _leaders(entries, seen, terms),
            "matched": seen["matched"].astype(np.int64),
            "containment": seen["containment"],
            "lag_ms": (seen["lag_s"].abs() * 1000).round().astype(np.int64),
            "expected": seen["expected"],
            "p_value": np.exp(np.maximum(seen["log_p"], LOG_P_MIN)),
            "q_value": np.exp(np.maximum(seen["log_q"], LOG_P_MIN)),
            "same_owner": seen["same_owner"],
            "strength": seen["strength"].round(4),
            "evidence": _evidence(seen, reasons, entries),
        }
    )
    return pairs.reset_index(drop=True)
