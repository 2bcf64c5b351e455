"""What is said about a firm whose feed lacks something: flags by detector and accounts in high bands.

Run from the root: python -m benchmarks.quality.conduct_degraded FEED --folder DIR [--products DIR] [--only NAME…]

What is missing must end in fewer signals, never in a flag for everybody.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks.quality.conduct_unseen import scored

Feed = dict[str, pd.DataFrame]
Change = Callable[[Feed], Feed]


def read_feed(folder: Path) -> Feed:
    """Every dataset of a feed folder, as text where it is text."""
    feed = {path.stem: pd.read_csv(path, dtype=str) for path in sorted(folder.glob("*.csv"))}
    return feed | {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


def write_feed(feed: Feed, folder: Path) -> None:
    """The feed as Parquet files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, frame in feed.items():
        frame.to_parquet(folder / f"{name}.parquet")


def without(*names: str) -> Change:
    """Datasets that are not delivered."""
    return lambda feed: {name: frame for name, frame in feed.items() if name not in names}


def deals_where(keep: Callable[[Feed], pd.Series[bool]]) -> Change:
    """Only some deals are delivered; balance operations always are."""
    return lambda feed: feed | {"deals": feed["deals"][keep(feed) | (feed["deals"]["kind"] != "trade")]}


def instants(frame: pd.DataFrame, column: str) -> pd.Series[pd.Timestamp]:
    """A column of times."""
    return pd.to_datetime(frame[column], utc=True, format="ISO8601")


def until(days_before_end: float) -> Change:
    """Deals stop so many days before everything else."""

    def keep(feed: Feed) -> pd.Series[bool]:
        at = instants(feed["deals"], "executed_at")
        return at <= at.max() - pd.Timedelta(days=days_before_end)

    return deals_where(keep)


def since(days: float) -> Change:
    """Only the last days of deals, sign-ins and equity are delivered; accounts and payments are all."""

    def change(feed: Feed) -> Feed:
        found = dict(feed)
        for name, column in (("deals", "executed_at"), ("logins", "occurred_at"), ("equity", "observed_at")):
            if name in found:
                at = instants(found[name], column)
                found[name] = found[name][at > at.max() - pd.Timedelta(days=days)]
        return found

    return change


def shifted(hours: float) -> Change:
    """Times of deals are wrong by a zone."""

    def change(feed: Feed) -> Feed:
        at = instants(feed["deals"], "executed_at") + pd.Timedelta(hours=hours)
        return feed | {"deals": feed["deals"].assign(executed_at=at)}

    return change


def one_trader(feed: Feed) -> Feed:
    """Every challenge belongs to one trader record."""
    one = feed["traders"]["trader_id"].iloc[0]
    return {name: frame.assign(trader_id=one) if "trader_id" in frame and name != "traders" else frame
            for name, frame in feed.items()}  # fmt: skip


def unknown_symbols(feed: Feed) -> Feed:
    """Nobody knows the instruments' names."""
    codes = feed["deals"]["symbol"].map({name: f"ZZ{k}Q" for k, name in enumerate(feed["deals"]["symbol"].unique())})
    return feed | {"deals": feed["deals"].assign(symbol=codes.where(feed["deals"]["symbol"].notna()))}


def three_trades(feed: Feed) -> pd.Series[bool]:
    """The first three positions of each account."""
    deals = feed["deals"]
    first = deals[deals["kind"] == "trade"].drop_duplicates(["account_id", "position_id"])
    first = first[first.groupby("account_id").cumcount() < 3]
    held = set(zip(first["account_id"], first["position_id"], strict=True))
    return pd.Series(
        [pair in held for pair in zip(deals["account_id"], deals["position_id"], strict=True)], index=deals.index
    )


def bare(*columns: str) -> Change:
    """Optional columns of deals that are not delivered."""
    return lambda feed: feed | {"deals": feed["deals"].drop(columns=list(columns), errors="ignore")}


CHANGES: dict[str, Change] = {
    "whole": lambda feed: feed,
    "no deals": without("deals"),
    "no trades": deals_where(lambda feed: feed["deals"]["kind"] != "trade"),
    "trades of funded accounts only": deals_where(
        lambda feed: feed["deals"]["account_id"].isin(
            feed["accounts"].loc[feed["accounts"]["stage"] == "funded", "account_id"]
        )
    ),
    "trades of every second account": deals_where(
        lambda feed: feed["deals"]["account_id"].isin(feed["accounts"]["account_id"].iloc[::2])
    ),
    "trades stop 40 days early": until(40),
    "last 30 days of deals": since(30),
    "no logins": without("logins"),
    "no news": without("news"),
    "no quotes": without("quotes"),
    "no equity": without("equity"),
    "no payments": without("payments"),
    "no payouts": without("payouts", "settlements"),
    "no accounts": without("accounts"),
    "no challenges": without("challenges"),
    "no traders": without("traders"),
    "deals 7 hours off": shifted(7),
    "one robot": lambda feed: feed | {"deals": feed["deals"].assign(reason="expert", magic=7, comment="ea")},
    "one trader": one_trader,
    "unknown symbols": unknown_symbols,
    "unknown products": lambda feed: feed | {"challenges": feed["challenges"].assign(product="never heard")},
    "three trades": deals_where(three_trades),
    "bare deals": bare("stop_loss", "take_profit", "reason", "magic", "comment", "position_id"),
}


def main() -> None:
    """One line per change of the feed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("feed", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--products", type=Path, default=Path("models/products"))
    parser.add_argument("--only", nargs="+", default=list(CHANGES))
    chosen = parser.parse_args()
    whole = read_feed(chosen.feed)
    shutil.copytree(chosen.products, chosen.folder / "products", dirs_exist_ok=True)
    print("| feed | accounts | high or critical | flags |\n|---|---|---|---|")
    for name in chosen.only:
        write_feed(CHANGES[name](whole), chosen.folder / "feed")
        found = scored(chosen.folder)
        signals, scores = found["signals"], found["risk_scores"]
        flags = signals[signals["strength"] >= 0.5]["detector"].value_counts().sort_index()
        high = int(scores["band"].isin(["high", "critical"]).sum())
        print(f"| {name} | {len(scores)} | {high} | {json.dumps(flags.to_dict())[1:-1]} |", flush=True)


if __name__ == "__main__":
    main()
