"""The coordination firms as feed folders: landed, scored and exported by the commands a firm would use.

`write_feed` writes any made-up firm as the contract's CSV files, with what many feeds lack left out on request;
`through_commands` runs `highwater ingest`, `score` and `export` on it in a home of its own and reads the tables back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.quality.coordination_firms import Firm
from models.coordination import Coordination

WEEK = pd.Timedelta(days=7)
MONEY_PER_POINT = 10.0


def _stamp(times: pd.Series) -> pd.Series:
    """Instants as the feed writes them, to the millisecond."""
    thousandths = (times.dt.microsecond // 1000).astype(str).str.zfill(3)
    return pd.Series(times.dt.strftime("%Y-%m-%dT%H:%M:%S.") + thousandths + "Z")


def _traders(owners: dict[str, str], begins: pd.Timestamp) -> pd.DataFrame:
    """One trader per owner, unlike any other."""
    names = sorted(set(owners.values()))
    rng = np.random.default_rng(len(names))
    letters = np.array(list("abcdefghijklmnoprstuvwz"))
    first = ["".join(rng.choice(letters, 7)).title() for _ in names]
    last = ["".join(rng.choice(letters, 9)).title() for _ in names]
    born = pd.Timestamp("1960-01-01") + pd.to_timedelta(rng.integers(0, 15_000, len(names)), unit="D")
    table = pd.DataFrame({"trader_id": [f"T-{name}" for name in names]})
    table["full_name"] = [f"{a} {b}" for a, b in zip(first, last, strict=True)]
    table["email"] = [f"{a}.{b}@example.org".lower() for a, b in zip(first, last, strict=True)]
    table["date_of_birth"] = born.strftime("%Y-%m-%d")
    table["country"] = rng.choice(["DE", "FR", "GB", "NG", "IN", "VN", "BR", "ZA"], len(names))
    table["kyc_status"] = "verified"
    table["registered_at"] = (begins - WEEK).strftime("%Y-%m-%dT%H:%M:%SZ")
    return table


def _deals(trades: pd.DataFrame) -> pd.DataFrame:
    """An opening and a closing deal for each trade, in the order of time."""
    long = trades["side"].eq("buy").to_numpy()
    profit = (trades["close_price"] - trades["open_price"]) * np.where(long, 1, -1) * trades["lots"] * MONEY_PER_POINT
    shared = {"account_id": trades["account_id"], "position_id": trades["trade_id"], "kind": "trade"}
    shared |= {"symbol": trades["instrument"], "volume": trades["lots"], "magic": trades["magic"]}
    shared |= {"comment": trades.get("comment", ""), "reason": np.where(trades["magic"] > 0, "expert", "client")}
    opening = pd.DataFrame(shared).assign(
        entry="in", side=trades["side"], price=trades["open_price"], at=trades["opened_at"], profit=0.0
    )
    closing = pd.DataFrame(shared).assign(
        entry="out",
        side=np.where(long, "sell", "buy"),
        price=trades["close_price"],
        at=trades["closed_at"],
        profit=profit,
    )
    deals = pd.concat([opening, closing]).sort_values("at", kind="stable", ignore_index=True)
    deals["profit"], deals["price"] = deals["profit"].round(2), deals["price"].round(5)
    deals["deal_id"] = np.arange(1, len(deals) + 1).astype(str)
    deals["executed_at"] = _stamp(deals.pop("at"))
    return deals.assign(stop_loss=0, take_profit=0, commission=0, swap=0, fee=0)


def write_feed(firm: Firm, folder: Path, without: tuple[str, ...] = ()) -> None:
    """Writes a firm as a feed folder of CSV files, without some of the columns a feed may leave out."""
    folder.mkdir(parents=True, exist_ok=True)
    begins = firm.trades["opened_at"].min().floor("D") - pd.Timedelta(hours=1)
    opened = begins.strftime("%Y-%m-%dT%H:%M:%SZ")
    accounts = firm.accounts[["account_id", "platform", "server"]].copy()
    accounts["trader_id"] = "T-" + accounts["account_id"].map(firm.owners)
    accounts["challenge_id"] = "C-" + accounts["account_id"]
    accounts["login"] = accounts["account_id"]
    accounts = accounts.assign(
        desk_id="main", stage="funded", currency="USD", initial_balance=1_000_000, opened_at=opened
    )
    challenges = accounts[["challenge_id", "trader_id", "desk_id", "currency"]]
    challenges = challenges.assign(product="two_step", purchased_at=opened, fee=500)
    news = firm.news.assign(event_id=[f"n{i}" for i in range(len(firm.news))], title="numbers")
    news["occurs_at"] = _stamp(news["occurs_at"])
    tables = {
        "desks": pd.DataFrame([{"desk_id": "main", "name": "Main", "currency": "USD", "time_zone": "Europe/Prague"}]),
        "traders": _traders(firm.owners, begins),
        "accounts": accounts,
        "challenges": challenges,
        "deals": _deals(firm.trades).drop(columns=list(without)),
        "news": news,
    }
    for name, table in tables.items():
        if len(table):
            table.to_csv(folder / f"{name}.csv", index=False)


def _highwater(home: Path, *words: str) -> None:
    """Runs one command; its log stays with the home."""
    command = [sys.executable, "-m", "cli", "--home", str(home), *words]
    with (home.parent / f"{home.name}.log").open("a") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log, env=os.environ)


def through_commands(firm: Firm, folder: Path, without: tuple[str, ...] = ()) -> Coordination:
    """What `ingest`, `score` and `export` publish of a firm; `folder` is left with feed, home and log."""
    write_feed(firm, folder / "feed", without)
    home = folder / "home"
    _highwater(home, "ingest", str(folder / "feed"))
    _highwater(home, "score")
    tables = []
    for table in ("copy_pairs", "copy_rings"):
        file = folder / f"{table}.parquet"
        _highwater(home, "export", table, "--out", str(file))
        tables.append(pd.read_parquet(file))
    return Coordination(tables[0], tables[1], [])
