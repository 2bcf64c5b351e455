"""A firm with one funded account for tests of payout reviews: its feed, its terms, and the review of its requests."""

from __future__ import annotations

import datetime as dt
import inspect
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa

from dashboards.kit import reads
from models import catalogue
from models.payouts import desk_of, published, spells
from models.payouts.facts import Desk, Request
from pipelines.score import judge, judged_accounts, register_instruments, register_terms
from sql import relations, schema
from sql.decided import register
from tests.builders import Row, lake

START = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NOW = START + 60 * DAY
TERMS = """split = { percent = 80 }
payout = { first_after_days = 14, cycle_days = 14, minimum = 100 }"""
RATES: list[Row] = [{"currency": "USD", "day": "2026-01-01", "rate_to_usd": "1"}]
LOGINS: list[Row] = [{"trader_id": "T1", "occurred_at": NOW, "ip": "10.0.0.1"}]


def product(funded: str = TERMS, name: str = "plan") -> str:
    """A product with one funded stage."""
    return f"""id = "{name}"
name = "{name}"
[[versions]]
version = 1
effective_from = 2025-01-01T00:00:00Z
clock = {{ zone = "UTC", reset = "00:00", calendar = "crypto" }}
[versions.stages.funded]
max_loss = {{ percent = 10 }}
{funded}
"""


def trade(number: int, day: float, profit: str, hours: float = 1.0, account: str = "A1", **more: Any) -> list[Row]:
    """A position opened `day` days after the start, closed some hours later."""
    at = START + day * DAY
    common = {"account_id": account, "position_id": f"P{number}", "kind": "trade", "symbol": "EURUSD", "volume": "1"}
    opened = {"deal_id": f"{number}1", "entry": "in", "side": "buy", "price": "1.1", "executed_at": at, "profit": "0"}
    closed = {"deal_id": f"{number}2", "entry": "out", "side": "sell", "price": "1.2", "profit": profit}
    closed_at = {"executed_at": at + dt.timedelta(hours=hours)}
    return [{**common, **opened, **more}, {**common, **closed, **closed_at, **more}]


def operation(number: int, day: float, amount: str, comment: str = "", account: str = "A1") -> Row:
    """A balance operation."""
    return {"account_id": account, "deal_id": f"9{number}", "kind": "balance", "profit": amount, "comment": comment} | {
        "executed_at": START + day * DAY
    }


def request(payout_id: str, day: float, amount: str, account: str = "A1", destination: str = "bank_1") -> Row:
    """A request `day` days after the start."""
    at = START + day * DAY
    return {"payout_id": payout_id, "account_id": account, "requested_at": at, "amount": amount, "method": "bank"} | {
        "destination": destination
    }


def settlement(number: int, payout_id: str, day: float, amount: str, **more: Any) -> Row:
    """A settled transfer."""
    row = {"settlement_id": f"S{number}", "payout_id": payout_id, "destination": "bank_1", "amount": amount}
    return (
        row
        | {"currency": "USD", "settled_at": START + day * DAY, "status": "settled", "reference": f"R{number}"}
        | more
    )


def feed(deals: Sequence[Row], payouts: Sequence[Row], accounts: int = 1, **more: Any) -> dict[str, list[Row]]:
    """The firm's feed: accounts A1, A2 … of traders T1, T2 …, observed as often as their balance changed."""
    rows: dict[str, list[Row]] = {
        "desks": [{"desk_id": "D1", "name": "Desk", "currency": "USD", "time_zone": "UTC"}],
        "traders": [],
        "challenges": [],
        "accounts": [],
        "deals": list(deals),
        "payouts": list(payouts),
        "logins": list(LOGINS),
        "rates": list(RATES),
        "equity": _observed(deals),
    }
    for number in range(1, accounts + 1):
        who = {"trader_id": f"T{number}"}
        rows["traders"].append(
            who
            | {"full_name": f"Ann Trader{number}", "kyc_status": "verified", "country": "CZ"}
            | {"kyc_checked_at": START, "registered_at": START}
        )
        bought = {"challenge_id": f"C{number}", "desk_id": "D1", "product": "plan", "purchased_at": START}
        rows["challenges"].append(bought | who | {"fee": "99.00", "currency": "USD"})
        account = {"account_id": f"A{number}", "challenge_id": f"C{number}", "desk_id": "D1", "stage": "funded"}
        rows["accounts"].append(
            account | who | {"platform": "mt5", "login": str(number), "currency": "USD"}
            | {"initial_balance": "10000.00", "opened_at": START}
        )  # fmt: skip
    return rows | {name: list(listed) for name, listed in more.items()}


def _observed(deals: Sequence[Row]) -> list[Row]:
    """The balance after each money event, as a platform shows it a second later."""
    rows: list[Row] = []
    balances: dict[str, float] = {}
    for deal in sorted(deals, key=lambda one: str(one["executed_at"])):
        account = deal["account_id"]
        balances[account] = balances.get(account, 10_000.0) + float(deal["profit"])
        at = deal["executed_at"] + dt.timedelta(seconds=1)
        rows.append(
            {"account_id": account, "observed_at": at}
            | dict.fromkeys(("balance", "equity"), f"{balances[account]:.2f}")
        )
    return rows


ASKED: dict[str, tuple[list[Request], Desk]] = {}
"""What was asked of firms that were walked before, by all that makes a firm; a review has to be made anew."""


def asked(
    folder: Path,
    rows: dict[str, list[Row]],
    terms: str | None = TERMS,
    signals: Sequence[Row] = (),
    decided: Mapping[sa.Table, Sequence[Row]] | None = None,
) -> tuple[list[Request], Desk]:
    """Walks a firm; its requests and what their desks know.

    Without `terms` the folder holds its products; `decided` are rows of tables in which people answered.
    """
    made_of = repr((rows, terms, signals, decided, settings()))
    if terms is None or made_of not in ASKED:
        folder.mkdir(parents=True, exist_ok=True)
        if terms is not None:
            (folder / "plan.toml").write_text(product(terms), encoding="utf-8")
        with world(folder, rows, signals, decided) as connection:
            requests = spells.show(connection, catalogue.load(folder), NOW)
            ASKED[made_of] = requests, desk_of(connection, requests, NOW)
    return ASKED[made_of]


def settings() -> list[tuple[str, str]]:
    """What the environment says of how to review."""
    return [one for one in os.environ.items() if one[0].startswith("HIGHWATER_")]


USUAL = settings()
"""What it says as the tests begin: whoever runs them may have a home."""


def reviewed(
    folder: Path, rows: dict[str, list[Row]], terms: str | None = TERMS, **more: Any
) -> dict[str, dict[str, Any]]:
    """Walks and reviews a firm; the published reviews by request, checks by name."""
    among = terms is not None and not more and settings() == USUAL and _is_plain(rows)
    if NOTED is not None:
        if among:
            NOTED[repr((rows, terms))] = rows, str(terms)
        raise _Noted
    mark, made = (among and TOGETHER.get(repr((rows, terms)))) or ("", asked(folder, rows, terms, **more))
    told = {row["payout_id"]: row for row in _unmarked(reads.records(published(*made)), mark)}
    for row in told.values():
        row["checks"] = {check["check"]: check for check in json.loads(row["checks"])}
    return told


# --- many firms walked as one --------------------------------------------------------------------------------------


Test = Callable[[Path], None]
OF_A_FIRM = (
    "account_id",
    "trader_id",
    "challenge_id",
    "desk_id",
    "product",
    "payout_id",
    "settlement_id",
    "destination",
)
"""What a firm names that another may name alike."""
TOGETHER: dict[str, tuple[str, tuple[list[Request], Desk]]] = {}
"""What was asked of each firm that was walked among others, and the mark before all that it names there."""
NOTED: dict[str, tuple[dict[str, list[Row]], str]] | None = None
"""The firms that tests ask about first, while they are noted instead of walked."""


def _is_plain(rows: dict[str, list[Row]]) -> bool:
    """Whether a firm tells nothing that would tell something of others too."""
    return (rows["rates"], rows["logins"]) == (RATES, LOGINS) and rows.keys() <= {*feed([], []), "settlements"}


class _Noted(Exception):
    """A test asked about a firm that was noted."""


def walk_together(tests: Iterable[Test], folder: Path) -> None:
    """Walks the firms that tests ask about first as one firm: a hundred cost little more than ten, each alone.

    Firms that tell more than accounts, deals and payouts are walked when they are asked about.
    """
    firms = [(f"f{number}_", *firm) for number, firm in enumerate(_noted(tests, folder).values())]
    rows: dict[str, list[Row]] = {"rates": list(RATES)}
    for mark, held, terms in firms:
        (folder / f"{mark}.toml").write_text(product(terms, f"{mark}plan"), encoding="utf-8")
        for name in held.keys() - {"rates"}:
            rows.setdefault(name, []).extend(_marked(row, mark) for row in held[name])
    if not firms:
        return
    requests, desk = asked(folder, rows, terms=None)
    for mark, held, terms in firms:
        mine = [one for one in requests if one.row["payout_id"].startswith(mark)]
        TOGETHER[repr((held, terms))] = mark, (mine, desk)


def _noted(tests: Iterable[Test], folder: Path) -> dict[str, tuple[dict[str, list[Row]], str]]:
    global NOTED
    noted: dict[str, tuple[dict[str, list[Row]], str]] = {}
    NOTED = noted
    try:
        for test in tests:
            with suppress(Exception, pytest.fail.Exception):  # what fails will say so when it is run
                test(folder)
    finally:
        NOTED = None
    return noted


def _marked(row: Row, mark: str) -> Row:
    return {name: f"{mark}{value}" if name in OF_A_FIRM and value else value for name, value in row.items()}


def _unmarked(records: list[dict[str, Any]], mark: str) -> list[dict[str, Any]]:
    return [
        {name: value.replace(mark, "") if isinstance(value, str) else value for name, value in row.items()}
        for row in records
    ]


def every_test(module: ModuleType) -> list[Test]:
    """Every test of a module that needs a folder at most, once for each of its parameters."""
    found: list[Test] = []
    for name, test in vars(module).items():
        if not name.startswith("test_") or hasattr(test, "hypothesis"):
            continue
        asks = set(inspect.signature(test).parameters)
        listed = [_values(mark.args) for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
        for told in itertools.product(*listed):
            given = {key: value for one in told for key, value in one.items()}
            if asks - set(given) <= {"tmp_path"}:
                found.append(_bound(test, given, "tmp_path" in asks))
    return found


def _values(told: tuple[Any, ...]) -> list[dict[str, Any]]:
    names = told[0].replace(" ", "").split(",") if isinstance(told[0], str) else told[0]
    rows: list[Sequence[Any]] = [(row,) if len(names) == 1 else row for row in told[1]]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _bound(test: Callable[..., None], given: dict[str, Any], folder: bool) -> Test:
    return lambda path: test(**given, **({"tmp_path": path} if folder else {}))


# --- one firm --------------------------------------------------------------------------------------------------------


@contextmanager
def world(
    folder: Path,
    rows: dict[str, list[Row]],
    signals: Sequence[Row] = (),
    decided: Mapping[sa.Table, Sequence[Row]] | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A firm of the products in a folder, walked and ready for review."""
    rulebook, as_of = catalogue.load(folder), NOW
    with duckdb.connect(config={"threads": 1}) as connection:
        lake(connection, rows)
        relations.prepare(connection, as_of)
        register_terms(connection, rulebook)
        register_instruments(connection)
        relations.build(connection, "facts.accounts")
        judged = judge(connection, judged_accounts(connection), rulebook, as_of)
        register(connection, schema.ACCOUNT_STATUS, judged.status)
        register(connection, schema.VERDICTS, judged.verdicts)
        register(connection, schema.ACCOUNT_DAYS, judged.days)
        empty = (schema.OWNERS, schema.COPY_PAIRS, schema.COPY_RINGS)
        for table, held in (*((one, ()) for one in empty), (schema.SIGNALS, signals), *(decided or {}).items()):
            columns = [column.name for column in table.columns]
            register(connection, table, pd.DataFrame(list(held), columns=columns))
        yield connection
