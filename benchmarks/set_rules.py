"""How long all set-based rules together take: `python -m benchmarks.set_rules [--trades N] [--mindful]`.

A made-up book, 100 trades per account over 120 days, every account under every rule at once (more than any plan asks).
Its traders know no rule: they trade round the clock, and ten trades in a hundred break one. Those of the mindful book
trade by day and break one with one trade in a hundred, as traders do who are paid only while they keep the rules.
Told apart: building trades from deals, which every part of a run shares, and judging by the rules. Beside them three of
the rules as they are usually written with pandas, over at most a million of the same trades.
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import pandas as pd

from models import catalogue, set_rules
from models.catalogue import Rulebook
from pipelines.score import judged_accounts, register_instruments, register_terms
from sql import duck, relations
from sql.schema import DATASETS, DUCKDB_TYPES
from sql.warehouse import ENGINE_MEMORY, LAKE_TYPES

START = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
AS_OF = START + dt.timedelta(days=130)
TRADES_PER_ACCOUNT = 100
PANDAS_ACCOUNTS = 10_000
TERMS = """
max_lots = { lots = 1.48, effect = "warn" }
max_exposure = { lots = 8, effect = "warn" }
lot_consistency = { high = 3, effect = "warn" }
idea_risk = { percent = 2, effect = "warn" }
symbol_loss = { percent = 3, effect = "warn" }
stop_loss_required = { grace_seconds = 60, max_risk_percent = 4, effect = "warn" }
news_window = { effect = "warn" }
weekend = { effect = "warn" }
overnight = { effect = "warn" }
inactivity = { days = 30, effect = "warn" }
holding_time = { seconds = 60, effect = "warn" }
holding_share = { seconds = 60, max_share_trades = 30, effect = "warn" }
hedging = { effect = "warn" }
martingale = { effect = "warn" }
grid = { layers = 3, effect = "warn" }
adding_to_losers = { effect = "warn" }
hyperactivity = { trades_per_day = 10, effect = "warn" }
time_limit = { days = 200, effect = "warn" }
symbols = { prohibited = ["crypto"], effect = "warn" }
login_country = { allowed = ["DE", "FR"], travel_seconds = 600, effect = "warn" }
margin = { percent = 90, effect = "warn" }
"""
BOOK = f"""id = "plan"
name = "Plan"
[[versions]]
version = 1
effective_from = 2000-01-01T00:00:00Z
clock = {{ zone = "Europe/Prague", reset = "00:00", calendar = "fx" }}
[versions.stages.funded]
{TERMS}
"""
# One trade in `rare` is closed within a minute or has no stop, two are held over night; results are even.
TRADES = """
create table drawn as
select
    'A' || (i // {per}) as account_id,
    'P' || i as position_id,
    ['EURUSD', 'GBPUSD', 'USDJPY', 'XAUUSD', 'US100'][cast(1 + hash(i, 1) % 5 as bigint)] as symbol,
    case hash(i, 2) % 2 when 0 then 'buy' else 'sell' end as side,
    (50 + hash(i, 3) % {lots}) / 100 as volume,
    timestamptz '{start}' + to_days(cast(hash(i // {per}) % {born} as integer)) + to_microseconds(
        (i % {per}) * {gap} + cast(hash(i, 4) % {gap} as bigint)
    ) as drawn_at,
    -- by day: between seven and fifteen o'clock, nothing of it open at the cutoff
    if(
        {mindful},
        date_trunc('day', drawn_at) + to_microseconds(25200000000 + epoch_us(drawn_at) % 28800000000),
        drawn_at
    ) as opened_at,
    case
        when hash(i, 5) % {rare} = 0 then cast(hash(i, 6) % 60000000 as bigint)
        when hash(i, 5) % ({rare} // 2) = 1 then 86400000000 + cast(hash(i, 6) % 86400000000 as bigint)
        else 60000000 + cast(hash(i, 6) % 7200000000 as bigint)
    end as held_us,
    cast(cast(hash(i, 7) % 100000 as bigint) - 50000 as decimal(18, 8)) * 0.01 as profit
from range({trades}) as numbers(i)
"""
DEALS = """
insert into lake.deals by name
select
    account_id, position_id || 'i' as deal_id, position_id, 'trade' as kind, 'in' as entry, side, symbol, volume,
    1.1 as price, opened_at as executed_at, cast(-3 as decimal(18, 8)) as commission,
    cast(0 as decimal(18, 8)) as profit,
    case when hash(position_id) % {rare} = 0 then null else 1.09 end as stop_loss,
    1 as _load_id, 1 as _line, 1 as _version
from drawn
union all by name
select
    account_id, position_id || 'o' as deal_id, position_id, 'trade' as kind, 'out' as entry,
    case side when 'buy' then 'sell' else 'buy' end as side, symbol, volume, 1.1 as price,
    opened_at + to_microseconds(held_us) as executed_at, cast(-3 as decimal(18, 8)) as commission, profit,
    1 as _load_id, 1 as _line, 1 as _version
from drawn
"""
ACCOUNTS = """
insert into lake.challenges by name
select distinct
    'C' || account_id as challenge_id, 'T' || account_id as trader_id, 'D' as desk_id, 'plan' as product,
    timestamptz '{start}' as purchased_at, 100 as fee, 'USD' as currency, 1 as _load_id, 1 as _line, 1 as _version
from drawn;
insert into lake.accounts by name
select distinct
    account_id, 'C' || account_id as challenge_id, 'T' || account_id as trader_id, 'D' as desk_id, 'funded' as stage,
    'mt5' as platform, account_id as login, 'USD' as currency, 100000 as initial_balance,
    timestamptz '{start}' as opened_at, 1 as _load_id, 1 as _line, 1 as _version
from drawn;
insert into lake.logins by name
select
    'T' || account_id as trader_id, timestamptz '{start}' + to_hours(cast(n * 12 + hash(account_id, n) % 12 as integer))
        as occurred_at,
    '10.0.0.' || n % 3 as ip, case hash(account_id, n) % 50 when 0 then 'FR' else 'DE' end as country,
    1 as _load_id, 1 as _line, 1 as _version
from (select distinct account_id from drawn) as accounts, range(10) as numbers(n);
insert into lake.news by name
select
    'N' || n as event_id, timestamptz '{start}' + to_hours(cast(n * 6 as integer)) as occurs_at,
    ['USD', 'EUR', 'GBP', 'JPY'][cast(1 + n % 4 as bigint)] as currency, 'high' as impact,
    1 as _load_id, 1 as _line, 1 as _version
from range(480) as numbers(n);
insert into lake.rates by name
select
    currency, date '2026-01-01' + cast(n as integer) as day, 1.0 as rate_to_usd,
    1 as _load_id, 1 as _line, 1 as _version
from range(140) as numbers(n), (values ('EUR'), ('GBP'), ('JPY')) as listed(currency)
"""


def book(
    trades: int,
    folder: str,
    per: int = TRADES_PER_ACCOUNT,
    days: int = 120,
    born: int = 1,
    as_of: dt.datetime = AS_OF,
    *,
    mindful: bool = False,
) -> duckdb.DuckDBPyConnection:
    """A DuckDB with the lake of a made-up firm, as a scoring run opens it: accounts of so many days, begun over as many
    as `born` says, the last of them near `AS_OF`."""
    start = AS_OF - dt.timedelta(days=9 + days + born)
    connection = duck.engine(ENGINE_MEMORY, Path(folder))
    connection.execute("set timezone = 'UTC'; set preserve_insertion_order = false; create schema lake;")
    for dataset in DATASETS.values():
        columns = [f'"{column.name}" {DUCKDB_TYPES[column.kind]}' for column in dataset.columns]
        columns += [f"{name} {kind}" for name, kind in LAKE_TYPES.items()]
        connection.execute(f"create table lake.{dataset.name} ({', '.join(columns)})")
    relations.prepare(connection, as_of)
    gap = days * 86_400_000_000 // per
    rare, lots = (1000, 99) if mindful else (100, 100)
    drawing = {"per": per, "gap": gap, "trades": trades, "born": born, "rare": rare, "lots": lots, "mindful": mindful}
    connection.execute(TRADES.format(start=start.isoformat(), **drawing))
    connection.execute(DEALS.format(rare=rare))
    connection.execute(ACCOUNTS.format(start=start.isoformat()))
    connection.execute("drop table drawn")
    return connection


def main() -> None:
    """Prints seconds per step and per rule, the occurrences found and the memory at most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--mindful", action="store_true", help="traders who know the rules")
    arguments = parser.parse_args()
    trades = arguments.trades
    rulebook = Rulebook({"plan": catalogue.read_product(BOOK, "plan.toml")})
    with tempfile.TemporaryDirectory() as folder:
        connection = book(trades, folder, mindful=arguments.mindful)
        register_terms(connection, rulebook)
        register_instruments(connection)
        _timed("deals to trades", lambda: relations.build(connection, "facts.accounts", "facts.trades"))
        accounts = judged_accounts(connection)
        _timed(f"all {len(set_rules.OWN)} rules", lambda: set_rules.judge(connection, accounts, rulebook, AS_OF))
        for fact in ("rule_trades", "rule_deals", "rule_trade_values"):
            relations.drop(connection, f"facts.{fact}")
            _timed(f"  of this facts.{fact}", partial(relations.build, connection, f"facts.{fact}"))
        counts = dict(connection.execute("select rule, count(*) from decided.occurrences group by all").fetchall())
        for rule in set_rules.OWN:
            relations.drop(connection, f"rules.{rule}")
            name = f"  of this {rule} ({counts.get(rule, 0):,} occurrences)"
            _timed(name, partial(relations.build, connection, f"rules.{rule}"))
        _beside(connection)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{trades:,} trades of {len(accounts):,} accounts; {peak:.1f} GB at most")


def by_pandas(trades: pd.DataFrame) -> dict[str, Callable[[], int]]:
    """Three rules over trades in memory as pandas would do them: how many trades, or days, break each."""
    day = trades["closed_at"].dt.tz_convert("Europe/Prague").dt.normalize()

    def hyperactivity() -> int:
        opened = trades["opened_at"].dt.tz_convert("Europe/Prague").dt.normalize()
        return int((trades.groupby(["account_id", opened], sort=False).size() > 10).sum())

    def symbol_loss() -> int:
        ordered = trades.assign(day=day).sort_values("closed_at", kind="stable")
        lost = -ordered.groupby(["account_id", "instrument", "day"], sort=False)["net_profit"].cumsum()
        return int(ordered[lost > 3000].drop_duplicates(["account_id", "instrument", "day"]).shape[0])

    def hedging() -> int:
        both = trades[["account_id", "instrument", "side", "opened_at", "closed_at"]]
        pairs = both[both["side"] == "buy"].merge(both[both["side"] == "sell"], on=["account_id", "instrument"])
        since = pairs[["opened_at_x", "opened_at_y"]].max(axis=1)
        until = pairs[["closed_at_x", "closed_at_y"]].min(axis=1)
        return int((until - since >= pd.Timedelta(seconds=1)).sum())

    return {"hyperactivity": hyperactivity, "symbol_loss": symbol_loss, "hedging": hedging}


def _beside(connection: duckdb.DuckDBPyConnection) -> None:
    columns = "account_id, instrument, side, opened_at, closed_at, cast(net_profit as double) as net_profit"
    few = (
        f"select {columns} from facts.trades semi join (from facts.accounts limit {PANDAS_ACCOUNTS}) using (account_id)"
    )
    trades = connection.sql(few).to_arrow_table().to_pandas()
    for rule, run in by_pandas(trades).items():
        _timed(f"pandas, {len(trades):,} trades: {rule}", run)


def _timed(what: str, run: Callable[[], object]) -> None:
    started, worked = time.perf_counter(), time.process_time()
    run()
    took, work = time.perf_counter() - started, time.process_time() - worked
    print(f"{what:<50} {took:8.2f} s, {work:8.2f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
