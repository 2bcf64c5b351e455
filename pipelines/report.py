"""The management report: sales, money, cohorts, partners, liability and exposure of a run, as HTML or PDF.

A schedule has a scoring run, or a look of the live service, write it when a new day, week (from Monday) or month has
begun since the last one.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from models.access import Person, require
from models.audit import Record, append
from models.metrics import definition, metrics
from models.money import decimals
from pipelines import marts
from pipelines.packs.page import on_page
from pipelines.packs.paper import on_paper
from pipelines.packs.story import Block, Heading, Table, Text
from pipelines.whole import WriteRefused, put_bytes
from sql import schema
from sql.report_schema import EVERY, FORMS, REPORT_SCHEDULES
from sql.warehouse import Warehouse, read_frame

UNKNOWN = "–"
MONTHS, PARTNERS, LEAST, ROWS = 6, 10, 5, 12
OWED = {"requested": "requested_part", "eligible": "eligible_now", "accrued": "accrued", "expected": "expected"}
"""The figure that each kind of liability is."""
FLOWS = ("sales", "net_fees", "paid_to_traders", "purchases")
"""Figures that add up over the report's period; others say how things stand at its end."""
ASKED = ("requested", "waiting")
"""Figures of other people that a report has too: what is asked for is the surest part of what is owed."""


class ReportRefused(Exception):
    """A report that cannot be made or scheduled, and why."""


def make(database: sa.Connection, form: str, desk: str | None = None, every: str = "day") -> bytes:
    """The report of the last run on the day, week or month before it, of one desk or of all; ReportRefused before there
    is a run."""
    if form not in FORMS:
        raise ReportRefused(f"{form}: a report is one of {', '.join(FORMS)}")
    stands = _stands(database)
    desks = marts.read(database, "desks")
    if desk is not None and desk not in set(desks.get("desk_id", [])):
        raise ReportRefused(f"{desk}: no such desk; there are {', '.join(sorted(desks['desk_id']))}")
    blocks: list[Block] = [Text(f"Figures stand at {stands:%d %b %Y %H:%M} UTC.")]
    blocks += _figures(database, desk, every, stands)
    for part in (_cohorts, _partners, _liability, _exposure, _definitions):
        blocks += part(database, desk)
    named = f"Management report, {'all desks' if desk is None else desk}, {every} to {stands:%Y-%m-%d}"
    return on_page(named, blocks) if form == "html" else on_paper(named, blocks)


def _stands(database: sa.Connection) -> dt.datetime:
    runs = schema.RUNS
    at: dt.datetime | None = database.execute(
        sa.select(runs.c.as_of).order_by(runs.c.run_id.desc()).limit(1)
    ).scalar_one_or_none()
    if at is None:
        raise ReportRefused("nothing has been scored yet: highwater score first")
    return at


def _told(value: Any, places: int = 0) -> str:
    return UNKNOWN if value is None or value != value else f"{value:,.{places}f}"


def _share(value: Any, places: int = 1) -> str:
    return UNKNOWN if value is None or value != value else f"{100 * value:,.{places}f} %"


def _begins(every: str, until: dt.datetime) -> dt.datetime:
    """When the day, week or month before an instant begins."""
    spans = {"day": pd.DateOffset(days=1), "week": pd.DateOffset(weeks=1), "month": pd.DateOffset(months=1)}
    begins: dt.datetime = (pd.Timestamp(until) - spans[every]).to_pydatetime()
    return begins


def _figures(database: sa.Connection, desk: str | None, every: str, stands: dt.datetime) -> list[Block]:
    """What came in and went out in the period and in the one before, and how things stand at its end and its start."""
    found = marts.read(database, "overview", desk_id=desk or "all")
    if found.empty:
        return []
    found = found[(found["audience"] == "management") | found["figure"].isin(ASKED)]
    since = _begins(every, stands)
    now, before = (flows(database, desk, *span) for span in ((since, stands), (_begins(every, since), since)))
    rates, days = _rates(database), (stands - since).days
    rows = []
    for row in marts.records(found.sort_values(["audience", "place"])):
        figure, is_money = str(row["figure"]), row["unit"] == "money"
        trend = json.loads(row["trend"])
        values = [row["value"], trend[-1 - days] if days < len(trend) else row.get("month_before")]
        if figure in FLOWS:
            unit = rates.get(str(row["currency"]), float("nan")) if is_money else 1.0
            values = [one[figure] / unit for one in (now, before)]
        named = f"{row['label']}{', ' + str(row['currency']) if is_money else ''}"
        told = [_share(one) if row["unit"] == "share" else _told(one) for one in values]
        when = "" if figure in FLOWS else ", at its end"
        rows.append((named + when, *told, definition(figure).replace(", in 24 hours", "")))
    return [
        Heading("At a glance"),
        Text(
            f"The {every} from {since:%d %b %Y %H:%M} to {stands:%d %b %Y %H:%M} UTC, beside the {every} before; what"
            " stands at its end beside what stood at its start."
        ),
        Table(("Figure", f"This {every}", f"The {every} before, or its start", "What it is"), rows),
    ]


def flows(database: sa.Connection, desk: str | None, since: dt.datetime, until: dt.datetime) -> dict[str, float]:
    """`FLOWS` of a desk, or of all, after an instant and up to another: purchases counted, money in US dollars."""
    told = dict.fromkeys(FLOWS, 0.0)
    money, bought = (marts.told_of(database, name) for name in ("challenge_money", "cohort_challenges"))
    if money is None or bought is None:
        return told

    def within(at: sa.ColumnElement[Any], of: sa.ColumnElement[Any]) -> list[sa.ColumnElement[bool]]:
        return [at > since, at <= until, *([] if desk is None else [of == desk])]

    held, rates = money.c, _rates(database)
    sums = (
        sa.func.sum(sa.case((held.kind == "purchase", held.fee))),
        sa.func.sum(held.fee),
        sa.func.sum(held.payout),
    )
    query = sa.select(held.currency, *sums).where(*within(held.happened_at, held.desk_id)).group_by(held.currency)
    for currency, *amounts in database.execute(query):
        for name, amount in zip(FLOWS, amounts, strict=False):
            told[name] += (amount or 0.0) * rates.get(currency, 0.0)
    counted = sa.select(sa.func.count()).select_from(bought).where(*within(bought.c.purchased_at, bought.c.desk_id))
    return told | {"purchases": float(database.execute(counted).scalar_one())}


def _rates(database: sa.Connection) -> dict[str, float]:
    """The newest rate of every currency to the US dollar."""
    found = marts.read(database, "usd_rates")
    return {} if found.empty else dict(zip(found["currency"], found["rate_to_usd"].astype(float), strict=True))


def _cohorts(database: sa.Connection, desk: str | None) -> list[Block]:
    table = schema.COHORTS
    query = sa.select(table) if desk is None else sa.select(table).where(table.c.desk_id == desk)
    found = read_frame(database, query)
    if found.empty:
        return []
    numbers = ["accounts", "reached", "fees", "payouts"]
    found = found.astype(dict.fromkeys(numbers, "float64"))
    sold = found.drop_duplicates(["desk_id", "product", "cohort_month"])
    blocks: list[Block] = [Heading("Cohorts")]
    desks = marts.read(database, "desks")
    currencies, known = dict(zip(desks["desk_id"], desks["currency"], strict=True)), _desk_names(database)
    for held, rows in found.groupby("desk_id"):
        mine = sold[sold["desk_id"] == held].groupby("cohort_month")[["accounts", "fees", "payouts"]].sum(min_count=1)
        reached = rows.pivot_table(index="cohort_month", columns="stage", values="reached", aggfunc="sum")
        lines, places = [], decimals(currencies.get(held, ""))
        for month, row in mine.sort_index(ascending=False).head(MONTHS).iterrows():
            stages = (reached.get(stage, pd.Series(dtype=float)).get(month) for stage in ("passed", "funded", "payout"))
            ratio = row["payouts"] / row["fees"] if row["fees"] else float("nan")
            shares = (_share((0 if n is None or n != n else n) / row["accounts"]) for n in stages)
            money = (_told(row["fees"], places), _told(row["payouts"], places))
            lines.append((str(month), _told(row["accounts"]), *shares, *money, _share(ratio)))
        names = ("Month", "Bought", "Passed so far", "Funded so far", "Paid so far", "Net fees", "Paid out", "Ratio")
        currency = currencies.get(held, "its currency")
        title = f"Desk {known.get(str(held), held)}, in {currency}; newer months can only grow."
        blocks += [Text(title), Table(names, lines)]
    return blocks


def _desk_names(database: sa.Connection) -> dict[str, str]:
    desks = marts.read(database, "desks")
    return {} if desks.empty else dict(zip(desks["desk_id"], desks["name"], strict=True))


def _partners(database: sa.Connection, desk: str | None) -> list[Block]:
    found = marts.read(database, "partners", desk_id=desk or "all")
    if found.empty:
        return []
    ranked = found.sort_values("contribution_usd", ascending=False)
    blocks: list[Block] = [Heading(f"Partners, the first {PARTNERS} by contribution"), _partner_rows(ranked[:PARTNERS])]
    least = ranked[PARTNERS:].dropna(subset="contribution_usd").tail(LEAST)
    if len(least):
        blocks += [Text(f"Those {len(least)} who bring least:"), _partner_rows(least)]
    return blocks


def _partner_rows(found: pd.DataFrame) -> Table:
    rows = [
        (
            f"{row['name']} ({row['partner_id']})",
            _told(row["challenges"]),
            _told(row["fees_usd"]),
            _told(row["commission_usd"]),
            _told(row["contribution_usd"]),
            f"{_share(row['abuse_rate'])} ({_share(row['abuse_low'])} to {_share(row['abuse_high'])})",
        )
        for row in marts.records(found)
    ]
    return Table(("Partner", "Sold", "Net fees, USD", "Commission, USD", "Contribution, USD", "Abuse rate"), rows)


def _liability(database: sa.Connection, desk: str | None) -> list[Block]:
    owed = marts.read(database, "liability", desk_id=desk)
    blocks: list[Block] = []
    known = _desk_names(database)
    if len(owed):
        rows = [
            (
                known.get(row["desk_id"], str(row["desk_id"])),
                metrics()[OWED[row["kind"]]].name,
                _told(row["accounts"]),
                _told(row["amount"], decimals(str(row["currency"]))),
                str(row["currency"]),
            )
            for row in marts.records(owed.sort_values(["desk_id", "currency", "kind"]))
        ]
        names = ("Desk", "What", "Accounts", "Amount", "Currency")
        blocks += [Heading("What could be owed, the traders' parts"), Table(names, rows)]
    for row in marts.records(marts.read(database, "reserve", desk_id=desk or "all")):
        blocks.append(
            Text(
                f"Expected within {row['horizon_days']} days: {_told(row['expected_usd'])} USD; reserve at 95 %:"
                f" {_told(row['reserve_95_usd'])} USD, at 99 %: {_told(row['reserve_99_usd'])} USD."
                f" Forecast against what came in the back-test: {_share(row['back_test_error'])}"
                f" (95 %: {_share(row['back_test_low'])} to {_share(row['back_test_high'])})."
            )
        )
    return blocks


def _exposure(database: sa.Connection, desk: str | None) -> list[Block]:
    found = marts.read(database, "exposure", desk_id=desk, funded=True)
    if found.empty:
        return [Heading("Exposure"), Text("No funded account has an open position.")]
    columns = ["long_lots", "short_lots", "net_usd", "weighted_usd"]
    by = found.groupby("instrument")[columns].sum(min_count=1).astype(float)
    by = by.reindex(by["net_usd"].abs().sort_values(ascending=False).index).head(ROWS)
    rows = [
        (str(name), _told(row["long_lots"], 2), _told(row["short_lots"], 2), *(_told(row[c]) for c in columns[2:]))
        for name, row in by.iterrows()
    ]
    names = ("Instrument", "Long lots", "Short lots", "Net, USD", "By split, USD")
    return [Heading("Exposure of funded accounts"), Table(names, rows)]


def _definitions(database: sa.Connection, desk: str | None) -> list[Block]:
    rows = [(one.name, one.sentence, one.denominator or UNKNOWN) for one in metrics().values()]
    return [Heading("Definitions"), Table(("Figure", "What it is", "Share of"), rows)]


def schedule(
    database: sa.Connection, person: Person, name: str, every: str, form: str, desk: str | None, folder: Path
) -> None:
    """Has scoring runs and the live service write the report when due; a schedule of the same name is replaced."""
    require(person, "management.read", desk, any_desk=desk is None and person.desks is None)
    if every not in EVERY or form not in FORMS:
        raise ReportRefused(f"a report comes every {', '.join(EVERY)} as {' or '.join(FORMS)}")
    if not name.strip() or not name.replace("-", "").replace("_", "").isalnum():
        raise ReportRefused("a schedule's name has letters, digits, - and _")
    row = {"every": every, "form": form, "desk_id": desk, "folder": str(folder.resolve()), "person": person.name}
    append(database, Record(person.name, "report scheduled", f"report:{name}", role=person.role, after=row))
    database.execute(sa.delete(REPORT_SCHEDULES).where(REPORT_SCHEDULES.c.name == name))
    database.execute(sa.insert(REPORT_SCHEDULES).values(name=name, **row))


def unschedule(database: sa.Connection, person: Person, name: str) -> None:
    """Ends a schedule; what it wrote stays. ReportRefused when there is none of that name."""
    require(person, "management.read", any_desk=True)
    append(database, Record(person.name, "report ended", f"report:{name}", role=person.role))
    if not database.execute(sa.delete(REPORT_SCHEDULES).where(REPORT_SCHEDULES.c.name == name)).rowcount:
        raise ReportRefused(f"{name}: no such schedule")


def is_due(every: str, last: dt.datetime | None, now: dt.datetime) -> bool:
    """Whether a new day, week or month (UTC) has begun since the last report."""
    if last is None:
        return True
    parts: dict[str, Callable[[dt.datetime], tuple[int, ...]]] = {
        "day": lambda at: (at.year, at.month, at.day),
        "week": lambda at: at.isocalendar()[:2],
        "month": lambda at: (at.year, at.month),
    }
    return parts[every](now.astimezone(dt.UTC)) > parts[every](last.astimezone(dt.UTC))


def write_due(warehouse: Warehouse, now: dt.datetime) -> list[str]:
    """Writes what is due at a run's or a look's instant; returns what was written or why it was not, in words."""
    with warehouse.database.connect() as database:
        due = [
            row
            for row in database.execute(sa.select(REPORT_SCHEDULES)).mappings().all()
            if is_due(row["every"], row["last_at"], now)
        ]
    return [_write_one(warehouse, row, now) for row in due]


def _write_one(warehouse: Warehouse, row: sa.RowMapping, now: dt.datetime) -> str:
    """Writes one report; drawn outside the transaction that notes it, so that nobody waits for the drawing."""
    path = Path(row["folder"]) / f"{row['name']}-{now:%Y-%m-%d}.{row['form']}"
    try:
        with warehouse.database.connect() as database:
            drawn = make(database, row["form"], row["desk_id"], row["every"])
        put_bytes(path, drawn)
    except (WriteRefused, ReportRefused) as error:
        return f"report {row['name']} was not written: {error}"
    with warehouse.database.begin() as database:
        mine = REPORT_SCHEDULES.c.name == row["name"]
        database.execute(sa.update(REPORT_SCHEDULES).where(mine).values(last_at=now))
    return f"report {row['name']} written to {path}"
