"""Data health: can today's numbers be trusted."""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, privacy, reads, state, words
from dashboards.kit.people import who
from models.exports import CROOKED, superseded
from pipelines.export import for_spreadsheets
from sql import connect_schema, schema

VIEWS = {
    "feeds": "Feeds",
    "exports": "Platform exports",
    "connections": "Connections",
    "rejects": "Rejected rows",
    "checks": "Expectations",
    "waiting": "Waiting",
    "held": "Held and refused",
    "runs": "Runs",
}
OUTCOMES = {
    "exact": ("fine", "● Exact"),
    "explained": ("near", "▲ Explained"),
    "does_not_add_up": ("breached", "✕ Does not add up"),
}
CONNECTED = {"failed": "breached", "waiting": "near", "streaming": "fine", "done": "fine"}


def show() -> None:
    """One sentence of judgement, then the feeds and what lies behind each figure."""
    held = reads.rows("data_health", order=["dataset"])
    loads = _loads()
    unjudged = reads.how_many("unjudged")
    _judgement(held, loads, unjudged)
    view = state.tab("View", "view", VIEWS)
    drawn = {
        "feeds": lambda: _feeds(held, loads),
        "exports": _exports,
        "connections": _connections,
        "rejects": _rejects,
        "checks": _checks,
        "waiting": _waiting,
        "held": _held,
        "runs": _runs,
    }
    drawn[view]()


def _loads() -> pd.DataFrame:
    """Loads summed by dataset."""
    loads = schema.LOADS.c
    return reads.fetch(
        sa.select(
            loads.dataset,
            sa.func.count().label("loads"),
            sa.func.sum(loads.rows).label("rows_read"),
            sa.func.sum(loads.landed).label("landed"),
            sa.func.sum(loads.duplicates).label("duplicates"),
            sa.func.sum(loads.rejects).label("rejects"),
            sa.func.sum(loads.corrections).label("corrections"),
            sa.func.sum(sa.case((loads.finished_at.is_(None), 1), else_=0)).label("unfinished"),
            sa.func.max(loads.load_id).label("newest_load"),
        ).group_by(loads.dataset)
    )


def _judgement(held: pd.DataFrame, loads: pd.DataFrame, unjudged: int) -> None:
    problems = [
        (len(_crooked()), "platform export that does not add up", "platform exports that do not add up"),
        (int(loads["rejects"].sum()), "row rejected", "rows rejected"),
        (int(loads["unfinished"].sum()), "load unfinished", "loads unfinished"),
        (
            0 if held.empty else int(held["orphans"].sum()),
            "record waiting for another",
            "records waiting for another",
        ),
        (unjudged, "account not judged", "accounts not judged"),
        (reads.how_many("held_back"), "thing held or refused", "things held or refused"),
    ]
    open_ones = [words.counted(count, one, many) for count, one, many in problems if count]
    if not reads.stamp().run_id:
        told = f"{words.STATES['near'][0]} Nothing is judged yet: highwater score judges what has landed"
        look.card("near", told, [f"{one}." for one in open_ones])
    elif open_ones:
        look.card("near", f"{words.STATES['near'][0]} Read with care", [", ".join(open_ones) + "."])
    else:
        look.card(
            "fine",
            f"{words.STATES['fine'][0]} Nothing stands against today's numbers",
            ["Every row landed, every account is judged."],
        )


def _crooked() -> set[int]:
    """Loads of exports that contradict their own totals and that no later export has put right."""
    told = _reconciled()
    return {load for load, one in told if one.get("outcome") == CROOKED} - superseded(told).keys()


def _reconciled() -> list[tuple[int, dict[str, Any]]]:
    """Every export by its load, with what it was found to be."""
    loads = schema.LOADS.c
    rows = reads.fetch(sa.select(loads.load_id, loads.reconciliation).where(loads.reconciliation.is_not(None)))
    return [(int(row["load_id"]), words.parsed(row["reconciliation"]) or {}) for row in reads.records(rows)]


def _feeds(held: pd.DataFrame, loads: pd.DataFrame) -> None:
    if held.empty:
        look.empty("No feed has been measured", "<code>highwater score</code> measures them.")
        return
    rows = held.merge(loads, on="dataset", how="left").assign(age=[words.age(hours) for hours in held["age_hours"]])
    rows = rows.assign(
        newest=[words.instant(at) for at in rows["newest_at"]], state=[_feed_state(row) for row in reads.records(rows)]
    )
    shown = rows[
        [
            "state",
            "dataset",
            "records",
            "newest",
            "age",
            "rows_read",
            "landed",
            "duplicates",
            "rejects",
            "corrections",
            "orphans",
            "loads",
        ]
    ]
    whole: dict[str, Any] = {
        name: st.column_config.NumberColumn(words.plain(name), format="%,d")
        for name in ("records", "rows_read", "landed", "duplicates", "rejects", "corrections", "orphans", "loads")
    }
    colours = [
        "near" if text.startswith("▲") else "unknown" if text.startswith("?") else "fine" for text in shown["state"]
    ]
    st.dataframe(
        look.coloured(shown, "state", colours),
        hide_index=True,
        height="content",
        placeholder=words.UNKNOWN,
        column_config={
            "state": st.column_config.TextColumn("State", width=110),
            "dataset": "Dataset",
            "newest": "Newest record",
            "age": st.column_config.TextColumn("Age", help="Behind the instant at which the run stands."),
        }
        | whole,
    )
    st.caption(
        "Rows read = landed + duplicates + rejects, always. "
        "Orphans are records that point to one that has not arrived; they count once it has."
    )


def _feed_state(row: dict[str, Any]) -> str:
    if not row["records"]:
        return "? Nothing yet"
    return "▲ Look" if row["rejects"] > 0 or row["orphans"] > 0 else "● Fine"


def _of_every_desk() -> bool:
    """Whether the person sees every desk; rows that belong to none are shown to nobody else."""
    if who().desks is None:
        return True
    look.empty(
        "Not shown to a single desk", "Such rows belong to no desk yet; somebody who sees every desk looks after them."
    )
    return False


def _exports() -> None:
    """Every export against its own totals, newest first, and the cells that were named."""
    if not _of_every_desk():
        return
    loads = schema.LOADS
    condition = loads.c.source.is_not(None) & loads.c.reconciliation.is_not(None)
    total = reads.count(sa.select(loads.c.load_id).where(condition))
    if not total:
        look.empty(
            "No platform export has landed",
            "<code>highwater ingest --source NAME --account ID FILE</code> lands one and checks it against its totals.",
        )
        return
    st.caption(f"{words.counted(total, 'export')}, each checked against the totals that it prints")
    start = state.page_number(total) * reads.PAGE_ROWS
    page = sa.select(loads).where(condition).order_by(loads.c.load_id.desc()).limit(reads.PAGE_ROWS).offset(start)
    read = [(row, words.parsed(row["reconciliation"]) or {}) for row in reads.records(reads.fetch(page))]
    right = superseded(_reconciled())
    _export_rows(read, right)
    _export_cells([(row, told) for row, told in read if row["load_id"] not in right])


def _export_rows(read: list[tuple[dict[str, Any], dict[str, Any]]], right: dict[int, int]) -> None:
    states = [_export_state(row["load_id"], told, right) for row, told in read]
    shown = pd.DataFrame(
        {
            "state": state[1],
            "load": row["load_id"],
            "account": told.get("account_id"),
            "file": str(row["file"]).rpartition("/")[2],
            "remarks": " · ".join(told.get("remarks", [])),
            "source": row["source"],
            "landed_at": words.instant(row["finished_at"]),
            "rows": row["rows"],
            "landed": row["landed"],
            "zone": told.get("facts", {}).get("zone"),
        }
        for (row, told), state in zip(read, states, strict=True)
    )
    st.dataframe(
        look.coloured(shown, "state", [colour for colour, _ in states]),
        hide_index=True,
        height="content",
        placeholder=words.UNKNOWN,
        column_config={
            "state": st.column_config.TextColumn("State", width=190),
            "load": st.column_config.NumberColumn("Load", format="%d"),
            "account": "Account",
            "source": "Source",
            "file": "File",
            "landed_at": "Landed",
            "rows": st.column_config.NumberColumn("Rows", format="%,d"),
            "landed": st.column_config.NumberColumn("New", format="%,d"),
            "zone": st.column_config.TextColumn("Clock", help="The zone by which the export's times were read."),
            "remarks": st.column_config.TextColumn("Remarks", width="large"),
        },
    )


def _export_state(load: int, told: dict[str, Any], right: dict[int, int]) -> tuple[str, str]:
    """An export's colour and what it is."""
    if load in right:
        return "unknown", f"○ Superseded by load {right[load]}"
    return OUTCOMES.get(told.get("outcome", ""), ("unknown", "? Not checked"))


def differing(read: list[tuple[dict[str, Any], dict[str, Any]]]) -> pd.DataFrame:
    """The figures of exports that their rows do not give, those that nothing explains first."""
    order = ("does_not_add_up", "suspect", "explained")
    cells = [
        (
            order.index(check["verdict"]),
            {"file": str(row["file"]).rpartition("/")[2], "account": told.get("account_id")},
            check,
        )
        for row, told in read
        for check in told.get("checks", [])
        if check.get("verdict") in order
    ]
    names = ("name", "where", "expected", "observed", "difference", "explanation")
    ranked = sorted(cells, key=lambda cell: cell[0])
    return pd.DataFrame(of | {name: check.get(name) for name in names} for _, of, check in ranked)


def _export_cells(read: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """The figures that were not what the rows make of them."""
    cells = differing(read)
    if cells.empty:
        return
    st.subheader("Figures that differ", anchor=False)
    st.dataframe(
        cells.head(reads.MOST_ROWS),
        hide_index=True,
        column_config={
            "file": "File",
            "account": "Account",
            "name": "Figure",
            "where": st.column_config.TextColumn("Cell", width="medium"),
            "expected": "Printed",
            "observed": "By the rows",
            "difference": "Difference",
            "explanation": st.column_config.TextColumn("Explanation", width="large"),
        },
    )


def _as_told(rows: pd.DataFrame, widest: str = "") -> None:
    """Rows as they are kept, under the names of their columns in words."""
    columns: dict[str, Any] = {str(name): words.plain(str(name).removesuffix("_id")) for name in rows}
    if widest:
        columns[widest] = st.column_config.TextColumn(columns[widest], width="large")
    st.dataframe(rows, hide_index=True, height=look.height(len(rows)), placeholder=words.UNKNOWN, column_config=columns)


def _connections() -> None:
    """How each live connection fares, and what it found amiss."""
    if not _of_every_desk():
        return
    held, found = connect_schema.CONNECTIONS, connect_schema.CONNECTION_FINDINGS
    listed = reads.now(sa.select(held).order_by(held.c.connection))
    if listed.empty:
        look.empty(
            "No platform is connected", "<code>highwater connect NAME --config FILE</code> follows one; see docs."
        )
        return
    states = [CONNECTED.get(state, "unknown") for state in listed["state"]]
    for name in ("state_at", "landed_at"):
        listed[name] = [words.instant(at) for at in listed[name]]
    listed["state"] = [
        f"{words.STATES[colour][0]} {words.plain(name)}" for colour, name in zip(states, listed["state"], strict=True)
    ]
    st.dataframe(
        look.coloured(listed, "state", states),
        hide_index=True,
        height="content",
        placeholder=words.UNKNOWN,
        column_config={
            "connection": "Connection",
            "connector": "Connector",
            "state": st.column_config.TextColumn("State", width=150),
            "state_at": "Since",
            "landed_at": "Last rows",
            "rows_landed": st.column_config.NumberColumn("Rows", format="%,d"),
            "last_error": st.column_config.TextColumn("Last error", width="large"),
        },
    )
    open_ones = sa.select(found).where(found.c.settled_at.is_(None)).order_by(found.c.last_at.desc())
    findings = reads.now(open_ones.limit(reads.MOST_ROWS)).drop(columns="settled_at")
    st.subheader("Found amiss", anchor=False)
    if findings.empty:
        look.empty("Nothing was found amiss", "Gaps, unknown symbols and accounts, and refusals are listed here.")
        return
    for name in ("first_at", "last_at"):
        findings[name] = [words.instant(at) for at in findings[name]]
    _as_told(findings, "detail")


def _rejects() -> None:
    if not _of_every_desk():
        return
    rejects = schema.REJECTS
    listed = reads.fetch(sa.select(rejects.c.dataset).distinct().order_by(rejects.c.dataset))["dataset"].tolist()
    if not listed:
        look.empty(
            "No row was rejected",
            "A row that fails an expectation is kept here with file, line, column, value and reason.",
        )
        return
    dataset = state.one_of("Dataset", "dataset", listed)
    condition = rejects.c.dataset == dataset if dataset else sa.true()
    total = reads.count(sa.select(rejects.c.line).where(condition))
    st.caption(words.counted(total, "rejected row"))
    start = state.page_number(total) * reads.PAGE_ROWS
    found = reads.fetch(
        sa.select(rejects)
        .where(condition)
        .order_by(rejects.c.load_id.desc(), rejects.c.line)
        .limit(reads.PAGE_ROWS)
        .offset(start)
    )
    _as_told(found, "reason")
    everything = reads.decided(rejects, condition, limit=100_000)
    st.download_button(
        "Download all as CSV",
        for_spreadsheets(everything),
        "rejects.csv",
        "text/csv",
        icon=":material/download:",
        on_click=privacy.exported,
        args=("rejects", len(everything), reads.warehouse().database),
    )


def _checks() -> None:
    held = schema.VALIDATIONS.c
    found = reads.fetch(
        sa.select(
            held.dataset,
            held.expectation,
            sa.func.sum(held.evaluated).label("evaluated"),
            sa.func.sum(held.unexpected).label("unexpected"),
        )
        .group_by(held.dataset, held.expectation)
        .order_by(sa.desc("unexpected"), held.dataset, held.expectation)
    )
    if found.empty:
        look.empty("No expectation has been checked", "Every load is checked; this fills with the first.")
        return
    failed = int((found["unexpected"] > 0).sum())
    st.caption(f"{words.counted(len(found), 'expectation')} over all loads, {failed:,} ever failed")
    states = ["near" if bad else "fine" for bad in found["unexpected"]]
    shown = found.assign(state=["▲ Failed" if bad else "● Held" for bad in found["unexpected"]])
    st.dataframe(
        look.coloured(shown[["state", "dataset", "expectation", "evaluated", "unexpected"]], "state", states),
        hide_index=True,
        column_config={
            "state": "State",
            "dataset": "Dataset",
            "expectation": st.column_config.TextColumn("Expectation", width="large"),
            "evaluated": st.column_config.NumberColumn("Rows", format="%,d"),
            "unexpected": st.column_config.NumberColumn("Failed", format="%,d"),
        },
    )


def _waiting() -> None:
    orphans, unjudged = reads.rows("orphans", order=["-records"]), reads.rows("unjudged", order=["account_id"])
    st.subheader("Records that wait for another", anchor=False)
    if not _of_every_desk():
        pass
    elif orphans.empty:
        look.empty(
            "No record waits", "A record that points to one not yet known lands and waits here until that one arrives."
        )
    else:
        _as_told(orphans)
    st.subheader("Accounts that are not judged", anchor=False)
    if unjudged.empty:
        look.empty(
            "Every account is judged", "An account whose product or stage has no terms is listed here with the reason."
        )
    else:
        _as_told(unjudged, "reason")


def _held() -> None:
    """What the newest run held, refused or could not know among partners' commissions, and what else it remarked."""
    held = reads.rows("held_back", order=["place"])
    if held.empty:
        look.empty(
            "Nothing was held or refused",
            "Refused commission plans, clicks and partners not landed yet, refunds beyond their fee, events told twice,"
            " amounts without a rate and partners above themselves are named here.",
        )
    else:
        _sentences(held["told"].tolist(), "Held, refused or not known among commissions")
    found = reads.decided(schema.RUNS, order=schema.RUNS.c.run_id.desc(), limit=1)
    if found.empty:
        return
    remarks = [str(one) for one in words.parsed(found["log"].iloc[0]) or []]
    others = [one for one in remarks if one not in set(held.get("told", []))]
    if others:
        with st.expander(f"{words.counted(len(others), 'other remark')} of run {found['run_id'].iloc[0]}"):
            _sentences(others, "What the run says of its other parts")


def _sentences(told: list[str], label: str) -> None:
    column = st.column_config.TextColumn(label)
    st.dataframe(
        pd.DataFrame({"told": told}), hide_index=True, height=look.height(len(told)), column_config={"told": column}
    )


def _runs() -> None:
    found = reads.decided(schema.RUNS, order=schema.RUNS.c.run_id.desc(), limit=reads.PAGE_ROWS)
    shown = found.assign(
        took=[
            (end - start).total_seconds() for start, end in zip(found["started_at"], found["finished_at"], strict=True)
        ],
        log=[" · ".join(map(str, words.parsed(log) or [])) for log in found["log"]],
        rulebook=found["rulebook"].str[:12],
    )
    for name in ("started_at", "as_of"):
        shown[name] = [words.instant(at) for at in found[name]]
    st.dataframe(
        shown[["run_id", "mode", "started_at", "took", "as_of", "accounts_walked", "rulebook", "log"]],
        hide_index=True,
        column_config={
            "run_id": "Run",
            "mode": "Mode",
            "started_at": "Began",
            "took": st.column_config.NumberColumn("Seconds", format="%,.1f"),
            "as_of": "Stands at",
            "accounts_walked": st.column_config.NumberColumn("Accounts walked", format="%,d"),
            "rulebook": "Rulebook",
            "log": st.column_config.TextColumn("Remarks", width="large"),
        },
    )
