"""What other terms would have done: all history replayed under a draft, beside what the terms bought did.

The events stay as they were traded. A trader would have traded otherwise under other terms, and an account that ended
early has no history beyond its end; `CAVEATS` says so wherever results are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from models import events, terms, walk
from models.catalogue import Rulebook, Version
from models.clock import to_micros
from models.events import Told
from models.walk import RULE_NAMES, STATUS_BREACHED, STATUS_PASSED, Array, Events
from pipelines.score import judged_accounts, register_instruments, register_terms
from sql import relations
from sql.warehouse import Warehouse, newest_fact

RESAMPLES = 400
WORKERS = 2
CAVEATS = (
    "Trades are replayed as they were made; under other terms people would have traded otherwise.",
    "An account that ended under its own terms has no history beyond that: under looser terms it counts as open.",
    "Challenges that only the draft would have passed are given the average payout of those that were funded.",
    "Fees stay as they were; demand at another price or under other terms is not modelled.",
    "Floors, targets and their conditions are replayed; rules outside the walk (news, lots, holding time …) are not.",
)


class WhatIfRefused(Exception):
    """A question that history cannot answer, and why."""


@dataclass(frozen=True)
class History:
    """Everything a replay needs, read once: accounts with their terms, events, and the money of their challenges.

    `accounts`: facts.accounts rows with a `place` of the challenge in `challenges`, in stage order. `paid`: one row per
    paid payout (account code, instant in microseconds, profit shared in US dollars). `challenges`: net fee in US
    dollars and the buyer's number.
    """

    accounts: pd.DataFrame
    told: Told
    compiled: Array
    schedules: list[tuple[Array, Array]]
    as_of: int
    paid: pd.DataFrame
    challenges: pd.DataFrame


@dataclass(frozen=True)
class Replay:
    """One replay: status, rule and instant of every account, and the money of every challenge in US dollars."""

    status: Array
    rule: Array
    at: Array
    funded: Array
    payouts: Array
    firm_share: Array


@dataclass(frozen=True)
class Comparison:
    """Today beside a draft: `rows` (metric, stage, unit, today, draft, change, low, high) and who flips."""

    rows: list[dict[str, Any]]
    flips: pd.DataFrame


def load(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, as_of: Any, product: str | None = None) -> History:
    """Reads the history of one product, or of all, under the terms that were bought."""
    register_terms(connection, rulebook)
    register_instruments(connection)
    relations.build(connection, "facts.accounts", "facts.paid", "facts.net_fees", "facts.rates")
    accounts = judged_accounts(connection)
    if product is not None:
        accounts = accounts[accounts["product"] == product].reset_index(drop=True)
    if accounts.empty:
        raise WhatIfRefused(f"no judged account of {product or 'any product'}: there is no history to replay")
    told = events.load(connection, accounts)
    compiled, clocks = terms.compile_terms(accounts, rulebook)
    first, last = terms.span(compiled, told.events.at, as_of)
    challenges = _challenges(connection, accounts)
    place = {challenge: number for number, challenge in enumerate(challenges["challenge_id"])}
    accounts["place"] = accounts["challenge_id"].map(place)
    schedules = terms.schedules(clocks, first, last)
    return History(accounts, told, compiled, schedules, to_micros(as_of), _paid(connection, accounts), challenges)


def _challenges(connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame) -> pd.DataFrame:
    query = """
        select fees.challenge_id, fees.trader_id, fees.product, cast(fees.net_fee as double) * rates.rate_to_usd as fee
        from facts.net_fees as fees left join facts.rates as rates using (currency)
        order by fees.challenge_id
    """
    frame: pd.DataFrame = connection.sql(query).df()
    kept = frame[frame["challenge_id"].isin(set(accounts["challenge_id"]))].reset_index(drop=True)
    return kept.assign(trader=pd.factorize(kept["trader_id"])[0], fee=kept["fee"].fillna(0.0))


def _paid(connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame) -> pd.DataFrame:
    query = """
        select paid.account_id, epoch_us(paid.requested_at) as at,
            cast(paid.amount as double) * rates.rate_to_usd as profit
        from facts.paid as paid
        inner join facts.accounts as accounts using (account_id)
        inner join facts.rates as rates on rates.currency = accounts.currency
    """
    frame: pd.DataFrame = connection.sql(query).df()
    codes = pd.Series(np.arange(len(accounts)), index=accounts["account_id"])
    frame["account"] = frame["account_id"].map(codes)
    return frame.dropna(subset=["account"]).astype({"account": int})


def under(history: History, versions: dict[str, Version]) -> tuple[Array, list[tuple[Array, Array]]]:
    """Terms of every account as if its product's draft version had been bought; stages without terms keep their own."""
    accounts = history.accounts
    stages = accounts[["product", "stage"]].itertuples(index=False, name=None)
    held = np.array([product in versions and stage in versions[product].stages for product, stage in stages])
    compiled = history.compiled.copy()
    schedules = list(history.schedules)
    for product, version in versions.items():
        mine = (accounts["product"] == product).to_numpy() & held
        clock = len(schedules)
        first, last = int(schedules[0][0][0]), history.as_of
        schedules += terms.schedules([version.clock], first, last)
        _fill(compiled, accounts, mine, version, clock)
    return compiled, schedules


def _fill(compiled: Array, accounts: pd.DataFrame, mine: Array, version: Version, clock: int) -> None:
    """Puts a version's terms in the place of an account's own, keeping when it was opened and closed."""
    codes = np.flatnonzero(mine)
    columns = ["stage", "currency", "initial_balance"]
    keys = pd.Series(list(accounts.loc[mine, columns].itertuples(index=False, name=None)))
    for key in keys.unique():
        stage, currency, initial = key
        rows = codes[[held == key for held in keys]]
        kept = compiled[rows][["opened_at", "closed_at"]]
        compiled[rows] = terms.stage_row(version.stages[stage], stage, currency, initial, clock)
        compiled["opened_at"][rows], compiled["closed_at"][rows] = kept["opened_at"], kept["closed_at"]


def replay(history: History, compiled: Array, schedules: list[tuple[Array, Array]], share: Array) -> Replay:
    """Walks every account under given terms and follows the money: what was paid before the account's end, and only
    where every stage before was passed, at the trader's `share` in percent of each account."""
    results = walk_parallel(history.told.events, compiled, schedules, history.as_of)
    passed = results["status"] == STATUS_PASSED
    breached = results["status"] == STATUS_BREACHED
    place = history.accounts["place"].to_numpy()
    evaluation = ~history.accounts["stage"].isin(terms.FUNDED).to_numpy()
    failed = np.zeros(len(history.challenges), bool)
    np.logical_or.at(failed, place[evaluation & ~passed], True)
    has_stage = np.zeros(len(history.challenges), bool)
    has_stage[place] = True
    funded = has_stage & ~failed
    paid = history.paid
    code = paid["account"].to_numpy()
    alive = funded[place[code]] & ~(breached[code] & (results["status_at"][code] <= paid["at"].to_numpy()))
    profit = paid["profit"].to_numpy() * alive
    payouts = np.bincount(place[code], profit * share[code] / 100, len(history.challenges))
    firm = np.bincount(place[code], profit * (100 - share[code]) / 100, len(history.challenges))
    return Replay(results["status"], results["rule"], results["status_at"], funded, payouts, firm)


def walk_parallel(told: Events, compiled: Array, schedules: list[tuple[Array, Array]], as_of: int) -> Array:
    """The walk over slices of the accounts on as many threads as there are cores; results only."""
    bounds = np.linspace(0, len(compiled), WORKERS + 1).astype(int)

    def part(first: int, last: int) -> Array:
        sliced = Events(
            told.starts[first : last + 1], told.at, told.kind, told.flags, told.amount, told.closed_net, told.row
        )
        return walk.walk(sliced, compiled[first:last], schedules, as_of).results

    with ThreadPoolExecutor(WORKERS) as pool:
        return np.concatenate(list(pool.map(part, bounds[:-1], bounds[1:])))


def splits(accounts: pd.DataFrame, rulebook: Rulebook, versions: dict[str, Version] | None = None) -> Array:
    """The trader's share in percent of every account, under its own terms or under a draft (80 where none is named)."""
    columns = ["product", "product_version", "stage"]
    known: dict[Any, float] = {}
    for key in set(accounts[columns].itertuples(index=False, name=None)):
        product, number, stage = key
        version = (versions or {}).get(product) or rulebook.version(product, int(number))
        rule = version.stages.get(stage, {}).get("split")
        known[key] = float(rule["percent"]) if rule else 80.0
    return np.array([known[key] for key in accounts[columns].itertuples(index=False, name=None)])


def measure(history: History, own: Replay, draft: Replay, resamples: int = RESAMPLES) -> Comparison:
    """Today and the draft side by side, with 95 % intervals of the change by a bootstrap over traders."""
    drawn = _resamples(int(history.challenges["trader"].max()) + 1, resamples)
    weights = drawn[:, history.challenges["trader"].to_numpy()]
    by_account = weights[:, history.accounts["place"].to_numpy()]
    rows: list[dict[str, Any]] = []
    for stage in sorted(history.accounts["stage"].unique()):
        mine = (history.accounts["stage"] == stage).to_numpy()
        rows += _stage_rows(history, stage, mine, own, draft, by_account)
    rows += _money_rows(history, own, draft, weights)
    return Comparison(rows, _flips(history, own, draft))


def _resamples(traders: int, resamples: int) -> Array:
    """Bootstrap weights: first the sample itself, then how often each trader is drawn."""
    random = np.random.default_rng(0)
    drawn = random.multinomial(traders, np.full(traders, 1 / traders), size=resamples)
    return np.vstack([np.ones(traders, np.int64), drawn]).astype(float)


def _row(metric: str, stage: str, unit: str, today: Array, draft: Array) -> dict[str, Any]:
    """One figure: both values of the sample, their change and its interval over the resamples."""
    change = draft[1:] - today[1:]
    known = change[np.isfinite(change)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    values = {"today": today[0], "draft": draft[0], "change": draft[0] - today[0], "low": low, "high": high}
    return {"metric": metric, "stage": stage, "unit": unit} | {k: _finite(v) for k, v in values.items()}


def _finite(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _share(weights: Array, part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Array = 100 * (weights @ part.astype(float)) / (weights @ whole.astype(float))
    return share


def _stage_rows(
    history: History, stage: str, mine: Array, own: Replay, draft: Replay, weights: Array
) -> list[dict[str, Any]]:
    weights = weights[:, mine]
    everyone = np.ones(int(mine.sum()))
    opened = history.compiled["opened_at"][mine]
    rows = []
    has_target = bool((history.compiled["pt_size"][mine] > 0).any())
    wanted = (("pass rate", STATUS_PASSED), ("breach rate", STATUS_BREACHED))
    for metric, code in wanted if has_target else wanted[1:]:
        sides = [_share(weights, side.status[mine] == code, everyone) for side in (own, draft)]
        rows.append(_row(metric, stage, "% of accounts", *sides))
    if has_target:
        days = [_median_days(weights, side, mine, opened) for side in (own, draft)]
        rows.append(_row("median days to pass", stage, "days", *days))
    for rule in sorted(set(own.rule[mine]) | set(draft.rule[mine])):
        counts = [weights @ ((s.status[mine] == STATUS_BREACHED) & (s.rule[mine] == rule)) for s in (own, draft)]
        if counts[0][0] or counts[1][0]:
            rows.append(_row(f"breaches of {RULE_NAMES[rule]}", stage, "accounts", *counts))
    return rows


def _median_days(weights: Array, side: Replay, mine: Array, opened: Array) -> Array:
    passed = side.status[mine] == STATUS_PASSED
    days = (side.at[mine] - opened)[passed] / 86_400e6
    if not len(days):
        return np.full(len(weights), np.nan)
    order = np.argsort(days)
    reached = np.cumsum(weights[:, passed][:, order], axis=1)
    middle = np.argmax(reached >= reached[:, -1:] / 2, axis=1)
    median: Array = np.where(reached[:, -1] > 0, days[order][middle], np.nan)
    return median


def _money_rows(history: History, own: Replay, draft: Replay, weights: Array) -> list[dict[str, Any]]:
    sold = weights.sum(axis=1)
    fees = weights @ history.challenges["fee"].to_numpy()
    funded = [weights @ side.funded.astype(float) for side in (own, draft)]
    gained = weights @ (draft.funded & ~own.funded).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        average = np.where(funded[0] > 0, (weights @ own.payouts) / funded[0], 0.0)
        payouts = [weights @ own.payouts, weights @ draft.payouts + gained * average]
        ratios = [100 * paid / fees for paid in payouts]
        each = [paid / sold for paid in payouts]
    return [
        _row("challenges sold", "all", "challenges", sold, sold),
        _row("challenges funded", "all", "challenges", *funded),
        _row("fees, net of refunds", "all", "USD", fees, fees),
        _row("payouts", "all", "USD", *payouts),
        _row("firm's share of profit", "all", "USD", weights @ own.firm_share, weights @ draft.firm_share),
        _row("payout ratio", "all", "% of fees", *ratios),
        _row("expected payout per challenge (break-even fee)", "all", "USD", *each),
        _row("net of fees and payouts", "all", "USD", fees - payouts[0], fees - payouts[1]),
    ]


def _flips(history: History, own: Replay, draft: Replay) -> pd.DataFrame:
    """Accounts that end otherwise under the draft."""
    words = np.array(["open", "passed", "breached", "open", "open"])
    before, after = words[own.status], words[draft.status]
    rules = np.array(RULE_NAMES)
    frame = history.accounts[["account_id", "trader_id", "desk_id", "product", "stage"]].assign(
        today=before, today_rule=rules[own.rule], draft=after, draft_rule=rules[draft.rule]
    )
    flipped: pd.DataFrame = frame[before != after].reset_index(drop=True)
    return flipped


def newest(draft: Rulebook, product: str | None) -> dict[str, Version]:
    """The newest version of each product of a draft; WhatIfRefused when the product is not in it."""
    if product is not None and product not in draft.products:
        raise WhatIfRefused(f"{product}: the draft has no such product; it has {', '.join(sorted(draft.products))}")
    return {p.id: p.versions[-1] for p in draft.products.values() if product in (None, p.id)}


def compare_history(
    history: History, today: Rulebook, versions: dict[str, Version], resamples: int = RESAMPLES
) -> Comparison:
    """A loaded history under the terms bought and under draft versions."""
    compiled, schedules = under(history, versions)
    own = replay(history, history.compiled, history.schedules, splits(history.accounts, today))
    draft = replay(history, compiled, schedules, splits(history.accounts, today, versions))
    return measure(history, own, draft, resamples)


def compare(warehouse: Warehouse, today: Rulebook, draft: Rulebook, product: str | None = None) -> list[dict[str, Any]]:
    """Rows of the comparison for the newest version of each product of the draft, over all history."""
    versions = newest(draft, product)
    with warehouse.engine() as connection:
        as_of = newest_fact(connection)
        if as_of is None:
            raise WhatIfRefused("the lake is empty: there is no history to replay")
        rows: list[dict[str, Any]] = []
        for one in sorted(versions):
            history = load(connection, today, as_of, one)
            found = compare_history(history, today, {one: versions[one]})
            rows += [{"product": one} | row for row in found.rows]
        return rows


def sweep(
    history: History, today: Rulebook, grid: Sequence[Sequence[Version]], metric: str, stage: str
) -> list[list[float | None]]:
    """One figure of the draft over a grid of versions of one product: rows and columns as in the grid."""

    def value(version: Version) -> float | None:
        found = compare_history(history, today, {version.product: version}, resamples=0)
        return next((r["draft"] for r in found.rows if r["metric"] == metric and r["stage"] == stage), None)

    return [[value(version) for version in row] for row in grid]
