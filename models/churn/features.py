"""What is known about each trader at an instant, and what the days after it showed; features see nothing of those
days."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
from scipy.special import logit

from models.churn import buying
from sql import relations

NEVER_DAYS = 400.0
FEATURES = (
    "days_since_entry",
    "days_since_sign_in",
    "days_since_purchase",
    "days_since_breach",
    "purchases",
    "purchases_30d",
    "running",
    "breaches",
    "is_funded",
    "payouts",
    "active_days_7d",
    "active_days_30d",
    "entries_30d",
    "result_30d",
    "fee_usual",
    "age_days",
    "purchase_gap_days",
    "entry_gap_days",
    "buys_nothing",
)
WORDS = {
    "days_since_entry": "days since the last trade",
    "days_since_sign_in": "days since the last sign-in",
    "days_since_purchase": "days since the last purchase",
    "days_since_breach": "days since the last breach",
    "purchases": "challenges bought so far",
    "purchases_30d": "challenges bought in 30 days",
    "running": "challenges still running",
    "breaches": "challenges breached",
    "is_funded": "funded at present",
    "payouts": "payouts received",
    "active_days_7d": "days with trades in the last 7",
    "active_days_30d": "days with trades in the last 30",
    "entries_30d": "trades in 30 days",
    "result_30d": "closed result of 30 days, share of the balance",
    "fee_usual": "usual fee",
    "age_days": "days since the first purchase",
    "purchase_gap_days": "usual days between purchases",
    "entry_gap_days": "usual days between days with trades",
    "buys_nothing": "log-odds of no purchase in 60 days, by purchases alone (BG/NBD)",
}
BUYS_NOTHING = "chance of no purchase in 60 days, by purchases alone (BG/NBD)"
"""What stands in reasons for `buys_nothing`, told as a share of 1."""
UNTIL = tuple(name for name in FEATURES if name.startswith("days_since_") or name.endswith("_gap_days"))
"""Features that are NEVER_DAYS where there is no record of the kind."""
BUYING_WEEKS = 60 / 7


@dataclass(frozen=True)
class History:
    """Purchases (with their ends), trader-days and received payouts of a firm, times in UTC."""

    purchases: pd.DataFrame
    days: pd.DataFrame
    paid: pd.DataFrame

    def first_at(self) -> pd.Timestamp:
        """The first purchase known."""
        return pd.Timestamp(self.purchases["purchased_at"].min())


def read_history(connection: duckdb.DuckDBPyConnection) -> History:
    """Reads the history from the facts of a run, in an order that a second run repeats; needs
    `decided.account_status`."""
    relations.build(connection, "detectors.purchases", "detectors.trader_days", "facts.paid", "facts.accounts")
    purchases = connection.execute("select * from detectors.purchases order by challenge_id").df()
    days = connection.execute("select * from detectors.trader_days order by trader_id, day").df()
    paid = connection.execute(
        "select accounts.trader_id, paid.settled_at from facts.paid as paid inner join facts.accounts as "
        "accounts using (account_id) order by all"
    ).df()
    return History(_utc(purchases), days.assign(day=pd.to_datetime(days["day"], utc=True)), _utc(paid))


def _utc(frame: pd.DataFrame) -> pd.DataFrame:
    times = [name for name in frame.columns if name.endswith("_at")]
    return frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in times})


def _days_since(last: pd.Series, traders: pd.Index, at: pd.Timestamp) -> np.ndarray:
    age = (at.as_unit("us") - last.reindex(traders).astype("datetime64[us, UTC]")).dt.total_seconds() / 86400
    return np.asarray(age.fillna(NEVER_DAYS), dtype=float)


def _gap(times: pd.Series, by: pd.Series, traders: pd.Index) -> np.ndarray:
    """Usual days between a trader's events, NEVER_DAYS for who had fewer than two."""
    held = times.groupby(by.to_numpy()).agg(["min", "max", "nunique"]).reindex(traders)
    span = (held["max"] - held["min"]).dt.total_seconds() / 86400
    gaps = span / (held["nunique"] - 1).where(held["nunique"] > 1)
    return np.asarray(gaps.fillna(NEVER_DAYS), dtype=float)


def _buys_nothing(bought: pd.DataFrame, traders: pd.Index, at: pd.Timestamp) -> np.ndarray:
    """Log-odds that a trader buys nothing, under a model of purchases learnt from those up to the instant only."""
    day = bought["purchased_at"].dt.floor("D").groupby(bought["trader_id"].to_numpy())
    held = day.agg(["min", "max", "nunique"]).reindex(traders)
    last = (held["max"] - held["min"]).dt.total_seconds().to_numpy(float) / (7 * 86400)
    age = (at - held["min"]).dt.total_seconds().to_numpy(float) / (7 * 86400)
    seen = buying.Buying(held["nunique"].to_numpy(float) - 1, last, np.maximum(age, last))
    chance = buying.nothing_bought(seen, buying.fit(seen), BUYING_WEEKS)
    return np.asarray(logit(np.clip(chance, 1e-4, 1 - 1e-4)), dtype=float)


def features_at(history: History, at: pd.Timestamp) -> pd.DataFrame:
    """The features of every trader who had bought by an instant, from records up to it only; indexed by trader_id.

    Days count as known when they are over. Traders without a record of a kind get NEVER_DAYS.
    """
    bought = history.purchases[history.purchases["purchased_at"] <= at]
    done = history.days[history.days["day"] + pd.Timedelta(days=1) <= at]
    traders = pd.Index(np.sort(bought["trader_id"].unique()), name="trader_id")
    by_trader = bought.groupby("trader_id")
    breached = bought[bought["breached_at"] <= at].groupby("trader_id")["breached_at"]
    is_running = ~(bought["breached_at"] <= at) & ~(bought["ended_at"] <= at)
    funded = bought[is_running & (bought["paying_at"] <= at)]
    traded = done[done["entries"] > 0]
    month, week = (done[done["day"] >= at - pd.Timedelta(days=span)] for span in (31, 8))

    def counted(frame: pd.DataFrame) -> np.ndarray:
        return frame.groupby("trader_id").size().reindex(traders, fill_value=0).to_numpy(float)

    def summed(frame: pd.DataFrame, column: str) -> np.ndarray:
        return frame.groupby("trader_id")[column].sum().reindex(traders, fill_value=0).to_numpy(float)

    return pd.DataFrame(
        {
            "days_since_entry": _days_since(traded.groupby("trader_id")["day"].max(), traders, at),
            "days_since_sign_in": _days_since(
                done[done["sign_ins"] > 0].groupby("trader_id")["day"].max(), traders, at
            ),
            "days_since_purchase": _days_since(by_trader["purchased_at"].max(), traders, at),
            "days_since_breach": _days_since(breached.max(), traders, at),
            "purchases": counted(bought),
            "purchases_30d": counted(bought[bought["purchased_at"] > at - pd.Timedelta(days=30)]),
            "running": counted(bought[is_running]),
            "breaches": breached.size().reindex(traders, fill_value=0).to_numpy(float),
            "is_funded": np.minimum(counted(funded), 1.0),
            "payouts": counted(history.paid[history.paid["settled_at"] <= at]),
            "active_days_7d": counted(week[week["entries"] > 0]),
            "active_days_30d": counted(month[month["entries"] > 0]),
            "entries_30d": summed(month, "entries"),
            "result_30d": summed(month, "result"),
            "fee_usual": by_trader["fee"].median().reindex(traders).to_numpy(float),
            "age_days": _days_since(by_trader["purchased_at"].min(), traders, at),
            "purchase_gap_days": _gap(bought["purchased_at"], bought["trader_id"], traders),
            "entry_gap_days": _gap(traded["day"], traded["trader_id"], traders),
            "buys_nothing": _buys_nothing(bought, traders, at),
        },
        index=traders,
    )[list(FEATURES)]


def left_after(history: History, traders: pd.Index, at: pd.Timestamp, horizon_days: int) -> np.ndarray:
    """Whether each trader neither bought nor opened a trade within the horizon after an instant.

    An account that nobody trades is not an active one. The horizon begins with the day after the instant's.
    """
    until = at + pd.Timedelta(days=horizon_days)
    bought = history.purchases[(history.purchases["purchased_at"] > at) & (history.purchases["purchased_at"] <= until)]
    days = history.days[history.days["entries"] > 0]
    traded = days[(days["day"] + pd.Timedelta(days=1) > at) & (days["day"] < until)]
    return ~(traders.isin(bought["trader_id"]) | traders.isin(traded["trader_id"]))
