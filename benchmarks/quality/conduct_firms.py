"""Made-up firms for measuring conduct detectors: own mechanics, sizes and habits, nothing shared with the demo firm.

Prices are drawn trade by trade around each instrument's level; honest people and look-alikes differ
from firm to firm in haste, size and currency, as do the ways of those who are planted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from models import catalogue
from models.catalogue import Rulebook
from pipelines.score import judge, judged_accounts, register_instruments, register_terms
from sql import relations, schema
from sql.decided import register
from sql.schema import DATASETS, DUCKDB_TYPES
from sql.warehouse import LAKE_TYPES

Row = dict[str, Any]
START = dt.datetime(2026, 2, 2, tzinfo=dt.UTC)
LEVELS = {
    "EURUSD": (1.1, 100_000),
    "XAUUSD": (2400.0, 100),
    "GBPUSD": (1.27, 100_000),
    "US30": (39_000.0, 1),
    "BTCUSD": (60_000.0, 1),
}
STAGES = ("evaluation_1", "funded", "instant")
SMALL_FIRM_ROWS = 50_000
"""A firm with fewer is read as a home reads a small lake: by one thread, since a second is left the handing over."""


@dataclass(frozen=True)
class Mechanics:
    """What differs between firms: allowance (%), usual stake (share of the balance) and holding (minutes), account
    currency, what a day of a funded account must win to count (%)."""

    name: str
    daily: float | None
    total: float
    stake: float
    hold_minutes: float
    currency: str = "USD"
    honest: int = 150
    each: int = 8
    profitable: float | None = None


FIRMS = (
    Mechanics("strict", 4.0, 8.0, 0.006, 60),
    Mechanics("no_daily", None, 6.0, 0.005, 25, "GBP"),
    Mechanics("wide", 6.0, 12.0, 0.009, 240),
)


@dataclass
class Firm:
    """A firm under construction: the rows of its feed, and what was planted in it."""

    mechanics: Mechanics
    rng: np.random.Generator
    days: int = 100
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in DATASETS})
    planted: dict[str, set[str]] = field(default_factory=dict)
    look_alikes: dict[str, set[str]] = field(default_factory=dict)
    count: int = 0

    @property
    def as_of(self) -> dt.datetime:
        """The end of its history."""
        return START + dt.timedelta(days=self.days)

    def number(self) -> int:
        """The next running number."""
        self.count += 1
        return self.count

    def trader(self, country: str = "DE") -> str:
        """A person with papers of a country."""
        trader_id = f"T{self.number()}"
        self.rows["traders"].append(
            {
                "trader_id": trader_id,
                "full_name": trader_id,
                "country": country,
                "kyc_status": "verified",
                "registered_at": START,
            }
        )
        return trader_id

    def account(
        self, trader_id: str, at: dt.datetime, stage: str = "evaluation_1", challenge_id: str | None = None, **more: Any
    ) -> str:
        """An account with its challenge and opening deposit; a given challenge gains a further stage."""
        account_id, known = f"A{self.number()}", challenge_id
        challenge_id = challenge_id or f"C{account_id}"
        who = {"trader_id": trader_id, "desk_id": "D"}
        if known is None:
            self.rows["challenges"].append(
                {
                    "challenge_id": challenge_id,
                    **who,
                    "product": "plan",
                    "purchased_at": at,
                    "fee": 300,
                    "currency": "USD",
                }
            )
        account: Row = {
            "account_id": account_id,
            "challenge_id": challenge_id,
            **who,
            "stage": stage,
            "platform": "mt5",
        }
        account |= {
            "login": account_id,
            "currency": self.mechanics.currency,
            "initial_balance": 50_000,
            "opened_at": at,
        }
        self.rows["accounts"].append(account | more)
        deposit: Row = {
            "account_id": account_id,
            "deal_id": f"{account_id}-0",
            "kind": "balance",
            "executed_at": at,
            "profit": 50_000,
        }
        self.rows["deals"].append(deposit)
        return account_id

    def trade(
        self, account_id: str, at: dt.datetime, hold_s: float, won: float, *, symbol: str = "EURUSD", side: str = "buy",
        lots: float = 1.0, stop: float | None = None, reason: str = "client", opened_by: str = "client",
        price: float | None = None, magic: int | None = None,
    ) -> float:  # fmt: skip
        """One position that wins `won` price units per lot; `stop` is its distance. Returns its profit."""
        level, units = LEVELS[symbol]
        price = price if price is not None else level * float(1 + 0.01 * self.rng.standard_normal())
        sign = 1 if side == "buy" else -1
        number = self.number()
        profit = round(won * lots * units, 2)
        common = {
            "account_id": account_id,
            "position_id": f"P{number}",
            "kind": "trade",
            "symbol": symbol,
            "volume": lots,
        }
        stop_loss = None if stop is None else price - sign * stop
        opening: Row = {
            "deal_id": f"{number}-1",
            "entry": "in",
            "side": side,
            "price": price,
            "executed_at": at,
            "profit": 0,
        }
        opening |= {"stop_loss": stop_loss, "reason": opened_by, "magic": magic}
        closing: Row = {
            "deal_id": f"{number}-2",
            "entry": "out",
            "side": "sell" if side == "buy" else "buy",
            "profit": profit,
        }
        closing |= {"price": price + sign * won, "executed_at": at + dt.timedelta(seconds=hold_s), "reason": reason}
        self.rows["deals"] += [common | opening, common | closing]
        return profit

    def sign_in(
        self, trader_id: str, at: dt.datetime, country: str, device: str, account_id: str | None = None
    ) -> None:
        """One sign-in from a country's address."""
        ip = f"10.{int(trader_id[1:]) % 200}.{self.rng.integers(250)}.{self.rng.integers(250)}"
        row: Row = {"trader_id": trader_id, "occurred_at": at, "ip": ip, "country": country, "device_id": device}
        self.rows["logins"].append(row | {"account_id": account_id})

    def plant(self, kind: str, subject: str) -> None:
        """Notes a planted subject."""
        self.planted.setdefault(kind, set()).add(subject)

    def look_alike(self, kind: str, subject: str) -> None:
        """Notes an innocent one."""
        self.look_alikes.setdefault(kind, set()).add(subject)

    def rulebook(self) -> Rulebook:
        """The firm's one product."""
        held = self.mechanics
        terms = f'max_loss = {{ mode = "static", base = "initial", percent = {held.total} }}\n'
        if held.daily:
            terms += f'daily_loss = {{ reference = "balance", base = "initial", percent = {held.daily} }}\n'
        text = 'id = "plan"\nname = "Plan"\n[[versions]]\nversion = 1\neffective_from = 2000-01-01T00:00:00Z\n'
        text += 'clock = { zone = "UTC", reset = "00:00", calendar = "crypto" }\n'
        text += "".join(f"[versions.stages.{stage}]\n{terms}\n" for stage in STAGES)
        if held.profitable:
            text += f"[versions.stages.funded.min_profitable_days]\ndays = 5\npercent = {held.profitable}\n"
        return Rulebook({"plan": catalogue.read_product(text, "plan.toml")})

    def engine(self, origins: Mapping[str, list[tuple[int, int]]] | None = None) -> duckdb.DuckDBPyConnection:
        """A DuckDB that holds the firm, judged by walk and rules; `origins` tell each row's load and version."""
        connection = duckdb.connect()
        connection.execute("set timezone = 'UTC'; create schema lake;")
        if sum(map(len, self.rows.values())) < SMALL_FIRM_ROWS:
            connection.execute("set threads = 1; set variable lake_is_small = true")
        for dataset in DATASETS.values():
            _land(connection, dataset, self.rows[dataset.name], (origins or {}).get(dataset.name))
        relations.prepare(connection, self.as_of)
        register_terms(connection, self.rulebook())
        register_instruments(connection)
        relations.build(connection, "facts.accounts")
        judged = judge(connection, judged_accounts(connection), self.rulebook(), self.as_of)
        register(connection, schema.ACCOUNT_STATUS, judged.status)
        register(connection, schema.VERDICTS, judged.verdicts)
        register(connection, schema.ACCOUNT_DAYS, judged.days)
        for table in (schema.OWNERS, schema.COPY_PAIRS, schema.COPY_RINGS):
            register(connection, table, pd.DataFrame(columns=[column.name for column in table.columns]))
        return connection


def _land(
    connection: duckdb.DuckDBPyConnection,
    dataset: schema.Dataset,
    rows: list[Row],
    origins: list[tuple[int, int]] | None = None,
) -> None:
    """A dataset's rows as the lake holds them."""
    columns = {column.name: DUCKDB_TYPES[column.kind] for column in dataset.columns} | dict(LAKE_TYPES)
    listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    connection.execute(f"create table lake.{dataset.name} ({listed})")
    if not rows:
        return
    loads, versions = zip(*(origins or [(1, 1)] * len(rows)), strict=True)
    frame = pd.DataFrame(rows).assign(_load_id=loads, _line=range(1, len(rows) + 1), _version=versions)
    connection.register("rows_to_land", frame)
    given = [name for name in columns if name in frame.columns]
    chosen = ", ".join(f'cast("{name}" as {columns[name]})' for name in given)
    into = ", ".join(f'"{name}"' for name in given)
    connection.execute(f"insert into lake.{dataset.name} ({into}) select {chosen} from rows_to_land")
    connection.unregister("rows_to_land")


class Maker:
    """Fills a firm with people: honest ones, look-alikes, and planted ones of each kind."""

    def __init__(self, mechanics: Mechanics, seed: int) -> None:
        self.firm = Firm(mechanics, np.random.default_rng(seed))
        self.rng = self.firm.rng
        self.news = [START + dt.timedelta(days=3 * k + 1, hours=13, minutes=30) for k in range(30)]
        for k, at in enumerate(self.news):
            self.firm.rows["news"].append({"event_id": f"N{k}", "occurs_at": at, "currency": "USD", "impact": "high"})

    def moment(self, day: float, spread_hours: float = 10) -> dt.datetime:
        """An instant of a day's session."""
        return START + dt.timedelta(
            days=int(day), hours=7 + float(self.rng.uniform(0, spread_hours)), seconds=float(self.rng.uniform(0, 60))
        )

    def unit(self, symbol: str, share: float, distance: float) -> float:
        """Lots that lose a share of the balance at a distance, on the instrument's grid."""
        return max(round(share * 50_000 / (distance * LEVELS[symbol][1]), 2), 0.01)

    def honest(
        self, account_id: str, days: range, *, a_day: float = 2.0, hold_minutes: float | None = None,
        stake: float | None = None,
        symbol: str | None = None, hour_spread: float = 10, opened_by: str = "client",
    ) -> None:  # fmt: skip
        """Ordinary trading: stops, varied sizes, wins and losses about even."""
        held = self.firm.mechanics
        symbol = symbol or str(self.rng.choice(list(LEVELS)))
        hold = (hold_minutes or held.hold_minutes * float(np.exp(0.6 * self.rng.standard_normal()))) * 60
        base = stake or held.stake * float(np.exp(0.5 * self.rng.standard_normal()))
        stops = self.rng.random() < 0.7
        for day in days:
            for at in sorted(self.moment(day, hour_spread) for _ in range(self.rng.poisson(a_day))):
                distance = LEVELS[symbol][0] * 0.002 * float(np.exp(0.3 * self.rng.standard_normal()))
                won = distance * float(self.rng.choice((-1.0, 1.0, self.rng.normal(0, 0.5)), p=(0.35, 0.4, 0.25)))
                reason = "sl" if won == -distance and stops else "client"
                lots = self.unit(symbol, min(base * float(np.exp(0.3 * self.rng.standard_normal())), 0.02), distance)
                length = max(hold * float(np.exp(0.6 * self.rng.standard_normal())), 5)
                side = str(self.rng.choice(("buy", "sell")))
                self.firm.trade(
                    account_id, at, length, won, symbol=symbol, side=side, lots=lots,
                    stop=distance if stops else None, reason=reason, opened_by=opened_by,
                )  # fmt: skip

    def person(self, day: int = 1, stage: str = "evaluation_1", country: str = "DE") -> tuple[str, str]:
        """A trader with one account, who signs in from home now and then."""
        trader_id = self.firm.trader(country)
        account_id = self.firm.account(trader_id, START + dt.timedelta(days=day), stage)
        self.home(trader_id, account_id, range(day, self.firm.days, 6), country)
        return trader_id, account_id

    def home(
        self, trader_id: str, account_id: str, days: range, country: str = "DE", device: str | None = None
    ) -> None:
        """Sign-ins of some days."""
        for day in days:
            self.firm.sign_in(trader_id, self.moment(day), country, device or f"d-{trader_id}", account_id)

    # --- planted, each beside its look-alikes -------------------------------------------------------------------

    def latency_arbitrage(self) -> None:
        _, account_id = self.person()
        symbol, wins = str(self.rng.choice(["US30", "XAUUSD", "EURUSD"])), float(self.rng.uniform(0.82, 0.97))
        hold = float(np.exp(self.rng.uniform(np.log(0.4), np.log(6))))
        for k in range(int(self.rng.integers(25, 160))):
            won = LEVELS[symbol][0] * 0.0001 * (float(self.rng.uniform(0.5, 2)) if self.rng.random() < wins else -0.8)
            at = self.moment(2 + k // 6)
            self.firm.trade(
                account_id, at, hold * float(np.exp(0.4 * self.rng.standard_normal())), won, symbol=symbol, lots=0.5
            )
        self.firm.plant("latency_arbitrage", account_id)

    def tick_scalping(self) -> None:
        _, account_id = self.person()
        hold, a_day = float(self.rng.uniform(4, 28)), int(self.rng.integers(12, 40))
        wins = float(self.rng.uniform(0.4, 0.68))
        for k in range(int(self.rng.integers(60, 250))):
            won = 0.0001 * (
                float(self.rng.uniform(0.3, 1.5)) if self.rng.random() < wins else -float(self.rng.uniform(0.3, 1.5))
            )
            length = hold * float(np.exp(0.5 * self.rng.standard_normal()))
            self.firm.trade(account_id, self.moment(2 + k // a_day), length, won, lots=0.3)
        self.firm.plant("tick_scalping", account_id)

    def fast_hands(self) -> None:
        """Look-alikes of both: quick manual traders, and robots whose stops are hit at once in rough minutes."""
        _, quick = self.person()
        self.honest(quick, range(2, 20), a_day=9, hold_minutes=float(self.rng.uniform(2, 5)), stake=0.002)
        self.firm.look_alike("fast_manual", quick)
        _, robot = self.person()
        self.honest(robot, range(2, 40), a_day=2, opened_by="expert")
        for day in range(2, 40, 2):
            won = LEVELS["EURUSD"][0] * 0.002 * float(self.rng.choice((-1, 1)))
            self.firm.trade(
                robot,
                self.moment(day),
                float(self.rng.uniform(1, 15)),
                won,
                lots=0.4,
                stop=abs(won),
                reason="sl" if won < 0 else "tp",
            )
        self.firm.look_alike("stopped_at_once", robot)

    def news_straddling(self) -> None:
        _, account_id = self.person()
        both, before = float(self.rng.uniform(0.4, 0.9)), self.rng.random() < 0.4
        for at in self.news[: int(self.rng.integers(6, 25))]:
            first = at + dt.timedelta(seconds=float(self.rng.uniform(-50, -3) if before else self.rng.uniform(0.2, 5)))
            sides = ["buy", "sell"] if self.rng.random() < both else [str(self.rng.choice(["buy", "sell"]))]
            for k, side in enumerate(sides):
                entered = first + dt.timedelta(seconds=k * float(self.rng.uniform(0, 12)))
                self.firm.trade(account_id, entered, 60, 0.0004 * (1 if k else -1), side=side, lots=0.5)
        self.firm.plant("news_straddling", account_id)

    def news_people(self) -> None:
        """Look-alikes: one-sided news traders, and hedgers who are on both sides all day."""
        _, one = self.person()
        for at in self.news[:20]:
            entered = at + dt.timedelta(seconds=float(self.rng.gamma(2, 25)))
            won = 0.0006 * float(self.rng.choice((-1, 1)))
            self.firm.trade(one, entered, 600, won, side=str(self.rng.choice(["buy", "sell"])), lots=0.5)
        self.firm.look_alike("news_trader", one)
        _, hedger = self.person()
        for day in range(2, 40):
            for _ in range(3):
                at = self.moment(day)
                for side in ("buy", "sell"):
                    won = 0.0005 * float(self.rng.normal())
                    self.firm.trade(
                        hedger,
                        at + dt.timedelta(seconds=float(self.rng.uniform(0, 60))),
                        3000,
                        won,
                        side=side,
                        lots=0.3,
                    )
        for at in self.news[:6]:
            for side in ("buy", "sell"):
                self.firm.trade(
                    hedger,
                    at + dt.timedelta(seconds=float(self.rng.uniform(20, 80))),
                    3000,
                    0.0002,
                    side=side,
                    lots=0.3,
                )
        self.firm.look_alike("hedger", hedger)

    def all_in(self, trader_id: str | None = None, day: int = 2, keep: bool = True) -> str:
        account_id = self.firm.account(trader_id, self.moment(day - 1)) if trader_id else self.person()[1]
        held = self.firm.mechanics
        allowance = (held.daily or held.total) / 100
        share = float(self.rng.uniform(0.75, 1.0)) if held.daily else float(self.rng.uniform(0.7, 0.95))
        symbol = str(self.rng.choice(["XAUUSD", "US30"]))
        pieces = int(self.rng.choice((1, 1, 2)))
        for k in range(int(self.rng.integers(2, 6))):
            distance = LEVELS[symbol][0] * 0.004
            won = distance * (1.5 if k % 2 == 0 and self.rng.random() < 0.6 else -0.98)
            at = self.moment(day + k)
            lots = self.unit(
                symbol, allowance * share * float(np.exp(0.06 * self.rng.standard_normal())) / pieces, distance
            )
            for piece in range(pieces):
                self.firm.trade(
                    account_id, at + dt.timedelta(seconds=5 * piece), 9000, won, symbol=symbol, lots=lots, stop=distance
                )
        if keep:
            self.firm.plant("all_in", account_id)
        return account_id

    def swing(self) -> None:
        _, account_id = self.person()
        self.honest(account_id, range(2, 60), a_day=0.3, hold_minutes=1500, stake=0.011)
        self.firm.look_alike("swing", account_id)

    def martingale(self) -> None:
        _, account_id = self.person()
        factor, base, lots = float(self.rng.uniform(1.6, 2.4)), float(self.rng.choice((0.1, 0.2, 0.3))), 0.0
        symbol, most = str(self.rng.choice(["EURUSD", "XAUUSD"])), int(self.rng.integers(4, 7))
        lost = 0
        for k in range(int(self.rng.integers(25, 70))):
            lots = round(base * factor ** min(lost, most), 2)
            won = LEVELS[symbol][0] * 0.0004 * (1 if self.rng.random() < 0.5 else -1)
            self.firm.trade(
                account_id,
                START + dt.timedelta(days=2 + k // 3, hours=8 + 2 * (k % 3)),
                1800,
                won,
                symbol=symbol,
                lots=lots,
            )
            lost = 0 if won > 0 else lost + 1
        self.firm.plant("martingale", account_id)

    def size_changers(self) -> None:
        """Look-alikes: sizes raised after wins, and sizes that vary with the stop."""
        _, winner = self.person()
        lots = 0.2
        for k in range(50):
            won = 0.0004 * float(self.rng.choice((-1, 1)))
            self.firm.trade(
                winner, START + dt.timedelta(days=2 + k // 3, hours=8 + 2 * (k % 3)), 1800, won, lots=round(lots, 2)
            )
            lots = min(lots * 1.6, 1.0) if won > 0 else 0.2
        self.firm.look_alike("raises_after_wins", winner)
        _, varied = self.person()
        self.honest(varied, range(2, 40), a_day=2.5)
        self.firm.look_alike("varied_sizes", varied)

    def grid(self) -> None:
        _, account_id = self.person()
        symbol = str(self.rng.choice(["EURUSD", "GBPUSD", "XAUUSD"]))
        step = LEVELS[symbol][0] * float(self.rng.uniform(0.0004, 0.001))
        growth = float(self.rng.choice((1.0, 1.0, 1.3)))
        for basket in range(int(self.rng.integers(4, 12))):
            at, price = self.moment(2 + 3 * basket), LEVELS[symbol][0]
            side = str(self.rng.choice(["buy", "sell"]))
            layers = int(self.rng.integers(3, 9))
            end = at + dt.timedelta(hours=9)
            for k in range(layers):
                opened = at + dt.timedelta(minutes=20 * k + float(self.rng.uniform(0, 15)))
                entered = price - (1 if side == "buy" else -1) * step * (k + 0.05 * float(self.rng.standard_normal()))
                won = step * (k - layers / 2 + 1.2)
                self.firm.trade(
                    account_id, opened, (end - opened).total_seconds(), won, symbol=symbol, side=side, price=entered,
                    lots=round(0.1 * growth**k, 2), opened_by="expert",
                )  # fmt: skip
        self.firm.plant("grid", account_id)
        if growth > 1:  # every layer is larger than the losing ones beside it
            self.firm.plant("martingale", account_id)

    def scale_in(self) -> None:
        """Look-alike: up to three equal entries into one idea, sometimes on a pull-back."""
        _, account_id = self.person()
        for day in range(2, 50, 2):
            at, price = self.moment(day), LEVELS["EURUSD"][0]
            for k in range(int(self.rng.integers(1, 4))):
                entered = price - 0.0006 * k * float(self.rng.uniform(-0.6, 1.4))
                opened = at + dt.timedelta(minutes=float(self.rng.uniform(10, 50)) * k)
                won = 0.0012 * float(self.rng.choice((-1, 1)))
                self.firm.trade(account_id, opened, 12_000, won, price=entered, lots=0.4, stop=0.0025)
        self.firm.look_alike("scale_in", account_id)

    def paid(self, account_id: str, day: int, amount: float, destination: str | None = None) -> None:
        """A payout asked for and settled two days later."""
        payout_id = f"Q{self.firm.number()}"
        asked, settled = self.moment(day), self.moment(day + 2)
        self.firm.rows["payouts"].append(
            {
                "payout_id": payout_id,
                "account_id": account_id,
                "requested_at": asked,
                "amount": amount,
                "destination": destination,
            }
        )
        self.firm.rows["settlements"].append(
            {
                "settlement_id": f"S{payout_id}",
                "payout_id": payout_id,
                "amount": amount,
                "currency": "USD",
                "settled_at": settled,
                "status": "settled",
            }
        )
        row: Row = {
            "account_id": account_id,
            "deal_id": f"{payout_id}-b",
            "kind": "balance",
            "executed_at": settled,
            "profit": -amount,
        }
        self.firm.rows["deals"].append(row)

    def payout_gaming(self) -> None:
        _, account_id = self.person(stage="instant")
        for day in range(2, 4):
            self.firm.trade(account_id, self.moment(day), 4000, 0.003, lots=4.0, stop=0.003)
        for day in range(4, 4 + int(self.rng.integers(4, 10))):
            self.firm.trade(account_id, self.moment(day), float(self.rng.uniform(30, 600)), 0.0, lots=0.02)
        self.paid(account_id, 18, 2000)
        if self.rng.random() < 0.7:
            self.firm.trade(account_id, self.moment(23), 9000, -0.008, lots=8.0, stop=0.009)
            self.firm.plant("all_in", account_id)
        self.firm.plant("payout_gaming", account_id)

    def honest_payout(self) -> None:
        _, account_id = self.person(stage="instant")
        self.honest(account_id, range(2, 40), a_day=1.5)
        self.paid(account_id, 16 + int(self.rng.integers(10)), 500)
        self.firm.look_alike("honest_payout", account_id)

    def funded(self, before: dict[str, Any], after: dict[str, Any], hands: tuple[str, str, str, str]) -> str:
        """An evaluation and the funded account that followed; hands are device and country before and after."""
        trader_id = self.firm.trader()
        passed = self.moment(30)
        first = self.firm.account(trader_id, START + dt.timedelta(days=1), closed_at=passed)
        second = self.firm.account(trader_id, passed, "funded", f"C{first}")
        self.home(trader_id, first, range(2, 30, 3), hands[1], hands[0])
        self.home(trader_id, second, range(32, 90, 4), hands[3], hands[2])
        self.honest(first, range(2, 29), **before)
        self.honest(second, range(31, 90), **after)
        return second

    def account_passing(self) -> None:
        country = str(self.rng.choice(["DE", "PK"]))
        device = str(self.rng.choice(["svc-1", f"svc-{self.firm.number()}"]))
        own = f"own-{self.firm.number()}"
        service = {
            "symbol": "XAUUSD",
            "hold_minutes": 10.0,
            "a_day": 4.0,
            "stake": 0.003,
            "hour_spread": 3.0,
            "opened_by": "expert",
        }
        buyer = {"symbol": "GBPUSD", "hold_minutes": float(self.rng.uniform(60, 300)), "a_day": 1.0}
        self.firm.plant("account_passing", self.funded(service, buyer, (device, country, own, "DE")))

    def funded_people(self) -> None:
        """Look-alikes: less risk once funded, a new machine, a journey at the change."""
        for kind, hands in (
            ("less_risk", ("", "DE", "", "DE")),
            ("new_machine", ("old", "DE", "new", "DE")),
            ("journey", ("same", "DE", "same", "TH")),
        ):
            number = self.firm.number()
            named = (f"{hands[0]}{number}", hands[1], f"{hands[2]}{number}", hands[3])
            style = {"symbol": "EURUSD", "hold_minutes": 60.0, "a_day": 2.0, "stake": 0.006}
            self.firm.look_alike(kind, self.funded(style, style | {"stake": 0.003}, named))

    def kyc_mismatch(self) -> None:
        """Strangers paid to one destination, or papers for a hand abroad, alone or while their owner sits at home."""
        if self.rng.random() < 0.5:
            shared = f"w-{self.firm.number()}"
            for country in ("FR", "DE"):
                trader_id, account_id = self.person(2, "funded", country)
                self.honest(account_id, range(3, 40))
                self.paid(account_id, 42, 300, shared)
                self.firm.plant("kyc_mismatch", trader_id)
            return
        trader_id = self.firm.trader("FR")
        account_id = self.firm.account(trader_id, START + dt.timedelta(days=2))
        alone = self.rng.random() < 0.5
        for day in range(3, 3 + int(self.rng.integers(30, 90)), 2):
            at = self.moment(day)
            self.firm.sign_in(trader_id, at, "NG", f"hand-{trader_id}", account_id)
            if not alone and self.rng.random() < 0.5:
                later = at + dt.timedelta(minutes=float(self.rng.uniform(2, 40)))
                self.firm.sign_in(trader_id, later, "FR", f"d-{trader_id}", account_id)
        self.firm.plant("kyc_mismatch", trader_id)

    def travellers(self) -> None:
        """Look-alikes: a stay abroad, a tunnel's exit, a private exit, a family with one wallet."""
        trader_id = self.firm.trader()
        account_id = self.firm.account(trader_id, START + dt.timedelta(days=2))
        self.home(trader_id, account_id, range(3, 20, 2))
        self.home(trader_id, account_id, range(20, 20 + int(self.rng.integers(7, 30)), 2), "TH")
        self.honest(account_id, range(3, 50))
        self.firm.look_alike("traveller", trader_id)
        hidden = self.firm.trader()
        for day in range(3, 60, 3):
            self.firm.rows["logins"].append(
                {
                    "trader_id": hidden,
                    "occurred_at": self.moment(day),
                    "ip": "185.1.1.1",
                    "country": "NL",
                    "device_id": f"d-{hidden}",
                }
            )
        self.firm.look_alike("shared_exit", hidden)
        behind = self.firm.trader()
        account_id = self.firm.account(behind, START + dt.timedelta(days=2))
        for day in range(3, 60, 3):
            at = self.moment(day)
            self.firm.sign_in(behind, at, "DE", f"d-{behind}", account_id)
            self.firm.sign_in(behind, at + dt.timedelta(minutes=9), "NL", f"d-{behind}", account_id)
        self.firm.look_alike("private_exit", behind)
        surname = f"Smith{self.firm.number()}"
        for name in ("Ann", "Ben"):
            trader_id, account_id = self.person(2, "funded")
            self.firm.rows["traders"][-1]["full_name"] = f"{name} {surname}"
            self.honest(account_id, range(3, 40))
            self.paid(account_id, 42, 300, surname)
            self.firm.look_alike("family_wallet", trader_id)

    def lost(self, trader_id: str, day: float, quick: bool = False) -> tuple[str, dt.datetime]:
        """A challenge bought on a day and lost some days later by large losses."""
        account_id = self.firm.account(trader_id, START + dt.timedelta(days=day))
        held, at = self.firm.mechanics, START + dt.timedelta(days=day)
        share = (held.daily or held.total) / 100 * 0.35
        for _ in range(40):
            at += dt.timedelta(hours=float(self.rng.uniform(2, 9 if quick else 24)))
            if at >= self.firm.as_of - dt.timedelta(days=1):
                break
            distance = 0.003
            won = -distance if self.rng.random() < 0.85 else distance
            self.firm.trade(
                account_id,
                at,
                1800,
                won,
                lots=self.unit("EURUSD", share * float(np.exp(0.3 * self.rng.standard_normal())), distance),
                stop=distance,
            )
            if self._is_lost(account_id):
                break
        return account_id, at + dt.timedelta(seconds=1800)

    def _is_lost(self, account_id: str) -> bool:
        deals = [
            row for row in self.firm.rows["deals"][-90:] if row["account_id"] == account_id and row["kind"] == "trade"
        ]
        return sum(float(row["profit"]) for row in deals) < -self.firm.mechanics.total / 100 * 50_000

    def dispute(self, trader_id: str, account_id: str, at: dt.datetime) -> None:
        """A chargeback of an account's fee."""
        row: Row = {
            "payment_id": f"Y{self.firm.number()}",
            "trader_id": trader_id,
            "challenge_id": f"C{account_id}",
            "kind": "chargeback",
        }
        self.firm.rows["payments"].append(
            row | {"instrument": f"card-{trader_id}", "amount": 300, "currency": "USD", "occurred_at": at}
        )

    def chargeback_abuse(self) -> None:
        trader_id = self.firm.trader()
        for k in range(int(self.rng.integers(1, 4))):
            account_id, at = self.lost(trader_id, 2 + 22 * k)
            self.dispute(trader_id, account_id, at + dt.timedelta(days=float(self.rng.uniform(0.5, 9))))
        self.firm.plant("chargeback_abuse", trader_id)
        honest, account_id = self.person(3)
        self.honest(account_id, range(4, 60))
        self.dispute(honest, account_id, START + dt.timedelta(days=float(self.rng.uniform(25, 60))))
        self.firm.look_alike("honest_dispute", honest)

    def challenge_farming(self) -> None:
        trader_id = self.firm.trader()
        for _ in range(int(self.rng.integers(5, 9))):
            day = int(self.rng.integers(2, 8))
            for again in range(int(self.rng.integers(1, 3))):
                self.firm.plant("all_in", self.all_in(trader_id, day + 6 * again, keep=False))
        self.firm.plant("challenge_farming", trader_id)

    def many_accounts(self) -> None:
        """Look-alikes: several calm accounts side by side, and honest retries one after the other."""
        trader_id = self.firm.trader()
        for k in range(4):
            account_id = self.firm.account(trader_id, START + dt.timedelta(days=2 + 9 * k))
            self.honest(account_id, range(4 + 9 * k, 60))
        self.firm.look_alike("several_accounts", trader_id)
        again, day = self.firm.trader(), 2.0
        for _ in range(int(self.rng.integers(2, 4))):
            _, at = self.lost(again, day)
            day = (at - START).total_seconds() / 86400 + float(self.rng.uniform(4, 15))
        self.firm.look_alike("honest_retry", again)

    def recurring_breaches(self) -> None:
        trader_id, day = self.firm.trader(), 2.0
        for _ in range(int(self.rng.integers(7, 12))):
            _, at = self.lost(trader_id, day, quick=True)
            day = (at - START).total_seconds() / 86400 + float(self.rng.uniform(0.1, 1.5))
        self.firm.plant("recurring_breaches", trader_id)

    def ordinary(self) -> None:
        """An ordinary trader who is active to the end."""
        _, account_id = self.person(int(self.rng.integers(1, 60)))
        self.honest(account_id, range(62, self.firm.days), a_day=float(self.rng.uniform(1.0, 4.0)))


PLANTED = (
    "latency_arbitrage",
    "tick_scalping",
    "news_straddling",
    "all_in",
    "martingale",
    "grid",
    "payout_gaming",
    "account_passing",
    "kyc_mismatch",
    "chargeback_abuse",
    "challenge_farming",
    "recurring_breaches",
)
INNOCENT = (
    "fast_hands",
    "news_people",
    "swing",
    "size_changers",
    "scale_in",
    "honest_payout",
    "funded_people",
    "travellers",
    "many_accounts",
)


def make_firm(mechanics: Mechanics, seed: int) -> Firm:
    """A firm with so many of each planted kind and each look-alike, and ordinary people around them."""
    maker = Maker(mechanics, seed)
    makers: list[Callable[[], Any]] = [getattr(maker, name) for name in (*PLANTED, *INNOCENT)]
    for make in makers:
        for _ in range(mechanics.each):
            make()
    for _ in range(mechanics.honest):
        maker.ordinary()
    return maker.firm
