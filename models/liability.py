"""What funded accounts may cost: the payouts to expect within a horizon, how far that has been off, stress and reserve.

The probability that anything is paid within the horizon is a logistic regression on the state of every living account,
idle or not, at the end of past weeks; the amount, given that something is, is the trader's share in force of a profit
that grows with what stood in the account. Both are learned on weeks whose horizon has passed. The back-test goes
through the past stretch by stretch and predicts each from what had passed before it; how earlier stretches came out
corrects the chances of later ones, and its error widens the reserve.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit, logit, ndtr

from models.cohorts import wilson
from sql import relations

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler


@dataclass(frozen=True)
class Terms:
    """Numbers a person chose: horizon, paid accounts needed, how far a feature may well tell, back-test and its
    corrections, stress, simulation."""

    version: str = "2026-11"
    horizon_days: int = 30
    waiting_days: int = 30
    paid_min: int = 20
    telling: float = 0.5
    stretches: int = 6
    resamples: int = 400
    top_winners: int = 10
    trust: float = 1.0
    move: float = 0.02
    draws: int = 4000
    seed: int = 20261120

    @property
    def weight(self) -> float:
        """What a week counts for: those of one horizon see the same payments."""
        return 7 / self.horizon_days


TERMS = Terms()
FEATURES = ("profit", "loss", "open", "waiting", "paid_before", "age", "idle")
USUAL = (0.07, 0.02, 0.02, 0.03, 0.5, 1.1, 1.8)
"""How far each feature varies in a grown firm. In a young one hardly anybody was paid before or waits, and measured by
their own spread the first of them would stand ten spreads out and be given a certainty that nothing has taught."""
LEVELS = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Correction:
    """What forecasts that came due say of the next: log odds become shift + slope · log odds."""

    shift: float = 0.0
    slope: float = 1.0

    def of(self, chance: np.ndarray) -> np.ndarray:
        """Chances as they should have been said."""
        corrected: np.ndarray = expit(self.shift + self.slope * logit(np.clip(chance, 1e-9, 1 - 1e-9)))
        return corrected


@dataclass(frozen=True)
class Forecast:
    """A fitted forecast: paid (probability), then split · (base + slope · profit), as shares of the initial balance.

    `level` brings its sum over the days learned from to what was paid then; `correction` is what came of it since; an
    account whose split is not told is paid by the `usual` one.
    """

    scale: StandardScaler
    paid: LogisticRegression
    base: float
    slope: float
    usual: float = 1.0
    level: float = 1.0
    correction: Correction = Correction()

    def predict(self, states: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Probability of a payment within the horizon, and the share of the initial balance if there is one."""
        seen = features(states)
        chance = self.paid.predict_proba(self.scale.transform(seen))[:, 1]
        profit = np.maximum(states["profit_share"].to_numpy(float), 0)
        drawn = np.maximum(self.base + self.slope * profit, 0.0)
        return self.correction.of(chance), self.level * drawn * states["split"].fillna(self.usual).to_numpy(float)


@dataclass(frozen=True)
class BackTest:
    """A forecast of weeks it had not seen: predicted and actual totals as shares, the error with its 95 % interval
    (accounts drawn anew, since the weeks of one follow each other, and what was learned from as few), week by week, and
    by tenth of the chance."""

    predicted: float
    actual: float
    error: float
    low: float
    high: float
    days: pd.DataFrame
    calibration: pd.DataFrame
    correction: Correction = Correction()


@dataclass(frozen=True)
class Liability:
    """Per account and in total, in US dollars; frames for the pages and remarks."""

    accounts: pd.DataFrame
    totals: pd.DataFrame
    back_test: pd.DataFrame
    stress: pd.DataFrame
    log: list[str] = field(default_factory=list)


def features(states: pd.DataFrame) -> np.ndarray:
    """What is known of an account on a day, bounded so that one giant does not decide."""
    profit = states["profit_share"].to_numpy(float)
    columns = (
        np.sqrt(np.clip(profit, 0, 0.5)),
        np.clip(-profit, 0, 0.2),
        np.clip(states["open_share"].to_numpy(float), -0.1, 0.1),
        np.sqrt(np.clip(states["waiting_share"].to_numpy(float), 0, 0.5)),
        np.log1p(states["paid_before"].to_numpy(float)),
        np.log1p(np.clip(states["age_days"].to_numpy(float), 0, 365)),
        np.log1p(np.clip(states["idle_days"].to_numpy(float), 0, 60)),
    )
    return np.column_stack(columns)


def fit(days: pd.DataFrame, terms: Terms = TERMS) -> Forecast | None:
    """Learns from days whose horizon has passed; None when too few payments followed to learn from.

    Weeks of one horizon see the same payments and count as one: taken as so many, they teach a young firm chances near
    none and one. `telling` is the variance that a feature's weight may well have.
    """
    known = days[days["next_paid"].notna()]
    paid = known["next_paid"].to_numpy(float) > 0
    if paid.sum() < terms.paid_min or paid.all():
        return None
    # takes a second to import, which a firm with too little to learn from is spared
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(features(known))
    scale.scale_ = np.maximum(scale.scale_, USUAL)
    model = LogisticRegression(C=terms.telling * terms.weight, max_iter=500).fit(scale.transform(features(known)), paid)
    profit, amount, split = (known[name].to_numpy(float)[paid] for name in ("profit_share", "next_paid", "split"))
    profit, told = np.maximum(profit, 0), split[split > 0]
    usual = float(told.mean()) if len(told) else 1.0
    drawn = amount / np.where(split > 0, split, usual)
    slope = float(np.cov(profit, drawn)[0, 1] / profit.var(ddof=1)) if profit.var() > 0 else 0.0
    slope = max(slope, 0.0)
    plain = Forecast(scale, model, float(drawn.mean() - slope * profit.mean()), slope, usual)
    chance, share = plain.predict(known)
    return replace(plain, level=float(known["next_paid"].sum() / (chance * share).sum()))


def back_test(days: pd.DataFrame, terms: Terms = TERMS) -> BackTest | None:
    """Predicts the past stretch by stretch, each from the weeks whose horizon had ended before it began."""
    known = days[days["next_paid"].notna()]
    stands = pd.to_datetime(known["firm_day"])
    tested: list[pd.DataFrame] = []
    for stretch in np.array_split(np.sort(stands.unique()), terms.stretches + 1)[1:]:
        if not len(stretch):
            continue
        ended = stretch[0] - pd.Timedelta(days=terms.horizon_days + 1)
        before = known[stands <= ended]
        learned = fit(before, terms)
        if learned is not None:
            held = known[stands.isin(stretch)]
            raw, share = learned.predict(held)
            due = [one[pd.to_datetime(one["firm_day"]) <= ended] for one in tested]
            chance = correct(due, terms).of(raw)
            told = {"raw": raw, "chance": chance, "predicted": chance * share}
            told["learned_from"] = np.full(len(held), (before["next_paid"] > 0).sum())
            tested.append(held.assign(**told, paid=held["next_paid"] > 0))
    if not tested:
        return None
    later = pd.concat(tested)
    by_day = later.groupby("firm_day")[["predicted", "next_paid"]].sum().rename(columns={"next_paid": "actual"})
    predicted, actual = float(by_day["predicted"].sum()), float(by_day["actual"].sum())
    error = predicted / actual - 1 if actual > 0 else float("nan")
    low, high = _error_interval(later, terms)
    shown = _calibration(later)
    return BackTest(predicted, actual, error, low, high, by_day.reset_index(), shown, correct(tested, terms))


def correct(tested: list[pd.DataFrame], terms: Terms = TERMS) -> Correction:
    """What forecasts that came due say of the next; none of them says nothing.

    Shift and slope are held near none and one, the more the fewer payments speak: `trust` is how far either may well
    be off.
    """
    told = pd.concat(tested) if tested else pd.DataFrame()
    if told.empty:
        return Correction()
    odds = logit(np.clip(told["raw"].to_numpy(float), 1e-9, 1 - 1e-9))
    paid = told["paid"].to_numpy(float)

    def unlikely(tried: np.ndarray) -> float:
        told_odds = tried[0] + tried[1] * odds
        misses = float((np.logaddexp(0, told_odds) - paid * told_odds).sum())
        return terms.weight * misses + float(tried[0] ** 2 + (tried[1] - 1) ** 2) / (2 * terms.trust**2)

    shift, slope = minimize(unlikely, np.array([0.0, 1.0])).x
    return Correction(float(shift), max(float(slope), 0.0))


def _calibration(later: pd.DataFrame) -> pd.DataFrame:
    """By tenth of the chance, how often anything was paid, with Wilson intervals: an account's weeks count as one."""
    rank = pd.qcut(later["chance"].rank(method="first"), min(10, len(later)), labels=False).rename("tenth")
    told = later.groupby(rank).agg(chance=("chance", "mean"), paid=("paid", "mean"), accounts=("paid", "size"))
    weeks = later.groupby([rank, "account_id"]).size()
    # as many accounts alike as the weeks of these weigh (Kish)
    alike = told["accounts"] ** 2 / (weeks**2).groupby(level="tenth").sum()
    told["paid_low"], told["paid_high"] = zip(*map(wilson, told["paid"], alike), strict=True)
    return told.reset_index(drop=True)


def _error_interval(later: pd.DataFrame, terms: Terms) -> tuple[float, float]:
    """Where 95 of 100 errors lie: accounts of the back-test drawn anew, and as much again for what was learned from.

    A forecast learned from n payments is off by as much as a sum of n payments varies.
    """
    sums = later.groupby("account_id")[["predicted", "next_paid"]].sum().to_numpy(float)
    rng = np.random.default_rng(terms.seed)
    drawn = np.array([sums[rng.integers(0, len(sums), len(sums))].sum(axis=0) for _ in range(terms.resamples)])
    drawn = drawn[(drawn > 0).all(axis=1)]
    if not len(drawn):
        return float("nan"), float("nan")
    off = np.log(drawn[:, 0] / drawn[:, 1])
    weight = later["predicted"] / later["predicted"].sum()
    learned = float((weight / np.sqrt(later["learned_from"])).sum() ** 2)
    margin = 1.96 * float(off.std()) * np.sqrt(1 + float(later["paid"].sum()) * learned)
    middle = np.log(sums[:, 0].sum() / sums[:, 1].sum())
    return float(np.exp(middle - margin) - 1), float(np.exp(middle + margin) - 1)


def spread_of(tested: BackTest | None) -> float:
    """How far, as a factor on the log scale, whole days were off in the back-test; a half where there is none."""
    if tested is None:
        return 0.5
    seen = tested.days[(tested.days["actual"] > 0) & (tested.days["predicted"] > 0)]
    if len(seen) < 3:
        return 0.5
    off = np.log(seen["actual"].to_numpy(float) / seen["predicted"].to_numpy(float))
    return float(np.sqrt(np.mean(off**2)))


def reserve(chance: np.ndarray, amount: np.ndarray, spread: float, terms: Terms = TERMS) -> dict[float, float]:
    """What payouts stay below with the given certainty: accounts are paid or not, and all together run better or worse.

    Simulated: independent accounts, and one common factor of mean one whose spread is that of the back-test's errors.
    """
    rng = np.random.default_rng(terms.seed)
    common = np.exp(rng.normal(-(spread**2) / 2, spread, terms.draws))
    stretched = _stretched(chance, spread)
    totals = np.empty(terms.draws)
    for draw in range(terms.draws):
        totals[draw] = amount[rng.random(len(chance)) < np.clip(stretched * common[draw], 0, 1)].sum()
    return {level: float(np.quantile(totals, level)) for level in LEVELS}


def _stretched(chance: np.ndarray, spread: float) -> np.ndarray:
    """Chances so much larger that, times the common factor and never above one, they come to those given on average.

    Without it the simulated payouts would stay below the expected ones where chances are high.
    """
    if not spread:
        return chance
    tried = np.exp(np.linspace(-12, 6 * spread, 2_000))
    # the mean of a factor that varies so on the log scale, cut off at one
    above = np.log(tried) / spread
    mean = tried * ndtr(-above - spread / 2) + ndtr(above - spread / 2)
    return np.where(chance <= mean[0], chance, np.interp(chance, mean, tried))


def stressed(accounts: pd.DataFrame, positions: pd.DataFrame, terms: Terms = TERMS) -> pd.DataFrame:
    """What more could be owed when the largest winners ask for all, or when a market moves: scenario, amount_usd.

    accounts: account_id, accrued_usd, room_usd (profit to be shared, may be negative), rate_to_usd, begins and
    percents of the split; positions: account_id, instrument, net_usd. A move adds each account's gain and never less
    than nothing is owed.
    """
    owed = accounts["accrued_usd"]
    rows = [(f"the {terms.top_winners} largest winners ask for all", "", float(owed.nlargest(terms.top_winners).sum()))]
    parts = parts_of(accounts)
    for instrument, held in positions.dropna(subset=["net_usd"]).groupby("instrument"):
        mine = parts.merge(held[["account_id", "net_usd"]], on="account_id")
        before = _owed_of(mine, mine["room_usd"])
        for sign, word in ((1, "rises"), (-1, "falls")):
            after = _owed_of(mine, mine["room_usd"] + sign * terms.move * mine["net_usd"])
            more = float((after - before).clip(lower=0).sum())
            rows.append((f"{instrument} {word} by {100 * terms.move:g} %", str(instrument), more))
    frame = pd.DataFrame(rows, columns=["scenario", "instrument", "amount_usd"])
    return frame.sort_values("amount_usd", ascending=False, ignore_index=True)


def parts_of(accounts: pd.DataFrame) -> pd.DataFrame:
    """A row for each part of each account's split: account_id, room_usd, share, begins_usd and ends_usd."""
    told = accounts[accounts["begins"].notna() & accounts["rate_to_usd"].notna()]
    parts = told[["account_id", "room_usd", "rate_to_usd", "begins", "percents"]].explode(["begins", "percents"])
    begins = parts["begins"].astype(float) * parts["rate_to_usd"]
    ends = begins.groupby(parts["account_id"]).shift(-1).fillna(np.inf)
    return parts[["account_id", "room_usd"]].assign(
        share=parts["percents"].astype(float) / 100, begins_usd=begins, ends_usd=ends
    )


def _owed_of(parts: pd.DataFrame, profit: pd.Series[float]) -> pd.Series[float]:
    """The traders' parts of profits in US dollars by account, aligned with rows of `parts_of`."""
    within = (np.minimum(profit, parts["ends_usd"]) - parts["begins_usd"]).clip(lower=0)
    owed: pd.Series[float] = (within * parts["share"]).groupby(parts["account_id"]).sum()
    return owed


def assess(now: pd.DataFrame, days: pd.DataFrame, positions: pd.DataFrame, terms: Terms = TERMS) -> Liability:
    """The liability of live funded accounts.

    now: rows of facts.funded_now; days: of facts.funded_weeks; positions: of facts.open_exposures. An account without a
    rate or a split is counted as unknown and named, not as zero.
    """
    forecast, tested = fit(days, terms), back_test(days, terms)
    if forecast is not None and tested is not None:
        forecast = replace(forecast, correction=tested.correction)
    frame = now.assign(
        profit_share=now["earned"] / now["initial"],
        open_share=(now["equity"] - now["balance"]) / now["initial"],
        waiting_share=now["waiting"] / now["initial"],
        profit_usd=now["profit"] * now["rate_to_usd"],
        room_usd=now["earned"] * now["rate_to_usd"],
    )
    frame["accrued_usd"] = frame["profit_usd"] * frame["split"]
    frame["eligible_usd"] = frame["accrued_usd"].where(frame["is_eligible"].astype(bool), 0.0)
    frame["chance"], frame["amount_usd"] = np.nan, np.nan
    log = []
    sized = frame["initial"] > 0  # what begins at zero has no size of which profit is a share
    if forecast is not None and sized.any():
        frame.loc[sized, "chance"], share = forecast.predict(frame[sized])
        frame.loc[sized, "amount_usd"] = share * frame.loc[sized, "initial"] * frame.loc[sized, "rate_to_usd"]
    elif forecast is None and len(frame):
        log.append(
            f"expected payouts are unknown: fewer than {terms.paid_min} payments followed the days to learn from"
        )
    unknown = int(frame[["rate_to_usd", "split"]].isna().any(axis=1).sum())
    if unknown:
        log.append(
            f"liability of {unknown} funded accounts is unknown: no rate for the currency or no split in the terms"
        )
    frame["expected_usd"] = frame["chance"] * frame["amount_usd"]
    return Liability(frame, _totals(frame, tested, terms), _tested(tested), stressed(frame, positions, terms), log)


def _totals(frame: pd.DataFrame, tested: BackTest | None, terms: Terms) -> pd.DataFrame:
    """Expected and reserve by desk and for the firm."""
    rows = []
    spread = spread_of(tested)
    for desk, held in [("all", frame), *frame.groupby("desk_id")]:
        known = held[held["expected_usd"].notna()]
        levels = reserve(known["chance"].to_numpy(float), known["amount_usd"].to_numpy(float), spread, terms)
        nothing = known.empty
        rows.append(
            {
                "desk_id": str(desk),
                "accounts": len(held),
                "unknown_accounts": len(held) - len(known),
                "expected_usd": np.nan if nothing else float(known["expected_usd"].sum()),
                "median_usd": np.nan if nothing else levels[0.5],
                "reserve_95_usd": np.nan if nothing else levels[0.95],
                "reserve_99_usd": np.nan if nothing else levels[0.99],
                "horizon_days": terms.horizon_days,
                "back_test_error": np.nan if tested is None else tested.error,
                "back_test_low": np.nan if tested is None else tested.low,
                "back_test_high": np.nan if tested is None else tested.high,
            }
        )
    return pd.DataFrame(rows)


def _tested(tested: BackTest | None) -> pd.DataFrame:
    """The back-test's calibration by tenth of the forecast, for the page."""
    columns = ["tenth", "chance", "paid", "paid_low", "paid_high", "accounts"]
    if tested is None:
        return pd.DataFrame(columns=columns)
    return tested.calibration.assign(tenth=np.arange(1, len(tested.calibration) + 1))[columns]


_MEASURED = (
    *("expected_usd", "median_usd", "reserve_95_usd", "reserve_99_usd"),
    *("back_test_error", "back_test_low", "back_test_high"),
)
_KINDS = {
    "liability_accounts": {"account_id": "string", "desk_id": "string", "currency": "string"}
    | dict.fromkeys(["accrued_usd", "eligible_usd", "chance", "amount_usd", "expected_usd"], "float64"),
    "liability_totals": {"desk_id": "string", "accounts": "int64", "unknown_accounts": "int64", "horizon_days": "int64"}
    | dict.fromkeys(_MEASURED, "float64"),
    "liability_back_test": {"tenth": "int64"}
    | dict.fromkeys(["chance", "paid", "paid_low", "paid_high"], "float64")
    | {"accounts": "int64"},
    "liability_stress": {"scenario": "string", "instrument": "string", "amount_usd": "float64"},
}


def register_terms(connection: duckdb.DuckDBPyConnection, terms: Terms = TERMS) -> None:
    """Tells the SQL files how far a payout is foreseen and how long a request may wait."""
    for name in ("horizon_days", "waiting_days"):
        connection.execute(f"set variable liability_{name} = {int(getattr(terms, name))}")


def record(connection: duckdb.DuckDBPyConnection, as_of: dt.datetime, terms: Terms = TERMS) -> list[str]:
    """Assesses as of the run and shows the tables to the marts as `decided.liability_*`; returns remarks."""
    register_terms(connection, terms)
    relations.build(connection, "facts.funded_now", "facts.funded_weeks", "facts.open_exposures")
    names = ("funded_now", "funded_weeks", "open_exposures")
    now, days, positions = (connection.execute(f"select * from facts.{name}").df() for name in names)
    found = assess(now, days, positions, terms)
    for name, frame in (
        ("liability_accounts", found.accounts),
        ("liability_totals", found.totals),
        ("liability_back_test", found.back_test),
        ("liability_stress", found.stress),
    ):
        kinds = _KINDS[name]
        connection.register("found_liability", frame[list(kinds)].astype(kinds))
        connection.execute(f"create or replace table decided.{name} as select * from found_liability")
        connection.unregister("found_liability")
    return found.log
