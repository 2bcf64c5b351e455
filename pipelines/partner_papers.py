"""What a partner is sent: the statement of a period, as CSV and as PDF."""

from __future__ import annotations

import csv
import datetime as dt
import io
from dataclasses import dataclass

import pandas as pd
import sqlalchemy as sa

from models.commissions.settle import STATEMENT, statement
from models.money import decimals
from pipelines import marts
from pipelines.packs.paper import on_paper
from pipelines.packs.story import Block, Heading, Table, Text
from sql.one_line import in_a_cell
from sql.warehouse import read_frame

ENTRY = ("happened_at", "event", "challenge_id", "level", "amount", "currency", "state", "due_at", "held_because")
TITLES = {
    "brought_forward": "Brought forward",
    "earned": "Earned",
    "taken_back": "Taken back",
    "written_off": "Written off",
    "paid": "Sent",
    "carried_over": "Carried over",
}


class StatementRefused(Exception):
    """A statement that cannot be made, and why."""


@dataclass(frozen=True)
class Statement:
    """A partner's period: one line per currency, the entries of the period and the transfers in it."""

    partner_id: str
    name: str
    since: dt.date
    until: dt.date
    lines: pd.DataFrame
    entries: pd.DataFrame
    transfers: pd.DataFrame

    @property
    def title(self) -> str:
        """What it is, of whom and when."""
        return f"Commission statement: {self.name} ({self.partner_id}), {self.since} to {self.until}"


def make(database: sa.Connection, partner_id: str, since: dt.date, until: dt.date) -> Statement:
    """A partner's statement from the first day to the last one, both included, in UTC; from the last run's entries."""
    known = marts.read(database, "partners", partner_id=partner_id, desk_id="all")
    if known.empty:
        raise StatementRefused(f"{partner_id}: no such partner in the last run")
    lines = summed(database, partner_id, since, until)
    first, end = _period(since, until)
    entries = marts.read(database, "commission_entries", ENTRY, ("happened_at", first, end), partner_id=partner_id)
    transfers = marts.read(database, "partner_transfers", partner_id=partner_id)
    if len(transfers):
        at = transfers["settled_at"]
        transfers = transfers[(at >= first) & (at < end)].sort_values("settled_at", kind="stable", ignore_index=True)
    entries = entries.sort_values("happened_at", kind="stable", ignore_index=True)
    return Statement(partner_id, str(known["name"].iloc[0]), since, until, lines, entries, transfers)


def summed(database: sa.Connection, partner_id: str, since: dt.date, until: dt.date) -> pd.DataFrame:
    """The lines of a statement, one per currency, without its entries: a large partner's are many."""
    first, end = _period(since, until)
    whole = _sums(database, partner_id, first, end)
    transfers = marts.read(database, "partner_transfers", partner_id=partner_id)
    return statement(whole, transfers, partner_id, first.to_pydatetime(), end.to_pydatetime())


def _period(since: dt.date, until: dt.date) -> tuple[pd.Timestamp, pd.Timestamp]:
    """When the first of some days begins and the last one ends, in UTC."""
    if until < since:
        raise StatementRefused(f"the period ends ({until}) before it begins ({since})")
    return pd.Timestamp(since, tz="UTC"), pd.Timestamp(until, tz="UTC") + pd.Timedelta(days=1)


def _sums(database: sa.Connection, partner_id: str, first: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    """A partner's entries before and in a period, added up by currency and event: those of a large one are many."""
    columns = ["partner_id", "currency", "event", "amount", "happened_at"]
    table = marts.told_of(database, "commission_entries")
    if table is None:
        return pd.DataFrame(columns=columns)
    held, since = table.c, first.to_pydatetime()
    keys = (held.partner_id, held.currency, held.event, held.happened_at >= since)
    sums = (sa.func.sum(held.amount).label("amount"), sa.func.max(held.happened_at).label("happened_at"))
    query = sa.select(*keys, *sums).where(held.partner_id == partner_id, held.happened_at < end.to_pydatetime())
    return read_frame(database, query.group_by(*keys))[columns]


def as_csv(made: Statement) -> str:
    """Entries and transfers of the period, then a line per part and currency; amounts in units of their currency."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(ENTRY)
    for row in marts.records(made.entries):
        writer.writerow([_cell(row[name], name, row["currency"]) for name in ENTRY])
    for row in marts.records(made.transfers):
        sent = {"happened_at": row["settled_at"], "event": "sent", "amount": -float(row["amount"]), "state": "paid"}
        sent |= {"currency": row["currency"], "challenge_id": row["settlement_id"]}
        writer.writerow([_cell(sent.get(name), name, str(row["currency"])) for name in ENTRY])
    for row in marts.records(made.lines):
        for name in STATEMENT:
            part = {"event": name, "amount": row[name], "currency": row["currency"]}
            writer.writerow([_cell(part.get(column), column, row["currency"]) for column in ENTRY])
    return out.getvalue()


def as_pdf(made: Statement) -> bytes:
    """The statement on A4; the same statement gives the same bytes."""
    blocks: list[Block] = [Heading("Summary")]
    if made.lines.empty:
        blocks.append(Text("Nothing was earned or sent until the end of this period."))
    else:
        rows = [
            (str(row["currency"]), *(_money(row[name], str(row["currency"])) for name in STATEMENT))
            for _, row in made.lines.iterrows()
        ]
        blocks.append(Table(("Currency", *TITLES.values()), rows))
        blocks.append(
            Text(
                "Everything earned counts, whether it may be paid yet or not: the state of each entry says since when"
                " it may. What was taken back follows refunds and chargebacks of the fee."
            )
        )
    blocks.append(Heading("Entries of the period"))
    blocks.append(_entries(made.entries) if len(made.entries) else Text("None."))
    if len(made.transfers):
        blocks.append(Heading("Transfers of the period"))
        rows = [
            (
                str(row["settlement_id"]),
                f"{row['settled_at']:%Y-%m-%d %H:%M}",
                _money(row["amount"], str(row["currency"])),
            )
            for row in marts.records(made.transfers)
        ]
        blocks.append(Table(("Transfer", "Settled, UTC", "Amount"), rows))
    return on_paper(made.title, blocks)


def _entries(entries: pd.DataFrame) -> Table:
    rows = [
        (
            f"{row['happened_at']:%Y-%m-%d %H:%M}",
            str(row["event"]).replace("_", " "),
            str(row["challenge_id"] or ""),
            str(row["level"]),
            _money(row["amount"], str(row["currency"])),
            f"{row['state']}{'' if pd.isna(row['held_because']) else ', ' + str(row['held_because'])}",
            "" if pd.isna(row["due_at"]) else f"{row['due_at']:%Y-%m-%d}",
        )
        for row in marts.records(entries)
    ]
    return Table(("When, UTC", "For", "Challenge", "Level", "Amount", "State", "Due"), rows)


def _money(amount: float, currency: str) -> str:
    return f"{amount:,.{decimals(currency)}f} {currency}"


def _cell(value: object, name: str, currency: str) -> str:
    if value is None or value != value:
        return ""
    if name == "amount":
        return f"{float(value):.{decimals(currency)}f}"  # type: ignore[arg-type]
    return value.isoformat() if isinstance(value, dt.datetime) else in_a_cell(str(value))
