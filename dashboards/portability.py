"""Portability: everything out in clean files, another system's export in, and both systems side by side."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import look, privacy, reads, state, words
from dashboards.kit.people import who
from models.audit import Record
from models.clock import zones
from pipelines import portability
from pipelines.export import for_spreadsheets
from pipelines.portability import MappingRefused
from sql.schema import DATASETS, Dataset

VIEWS = {"compare": "Parallel run", "import": "Another system's export", "export": "Take everything out"}
MOVE = "data.move"
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
DECIMALS = {"": "as they stand", ".": "point", ",": "comma"}
FIRST_ROWS, PREVIEW_ROWS = 3, 8


def show() -> None:
    """The two systems compared; a mapping made by hand; the way out."""
    moves = who().may(MOVE) and who().desks is None
    view = state.tab("View", "view", VIEWS if moves else {"compare": VIEWS["compare"]})
    if not moves:
        st.caption("Whole datasets are moved, in and out, by an administrator of every desk.")
    {"compare": _compare, "import": _import, "export": _export}[view]()


# --- both systems side by side ---------------------------------------------------------------------------------------


def _compare() -> None:
    """Every difference of a period's commissions and payouts to another system's."""
    if who().desks is not None:
        look.empty("Not shown to a single desk", "A parallel run compares all of the firm.")
        return
    if not reads.stamp().run_id:
        look.empty(
            "Nothing is judged yet",
            "A parallel run compares what the other system says with ours. Begin with <em>Another system's export</em>:"
            " <code>highwater ingest FOLDER</code> lands the feed it makes, <code>highwater score</code> judges it.",
        )
        return
    stands = reads.stamp().as_of or dt.datetime.now(dt.UTC)
    first = (stands.replace(day=1) - dt.timedelta(days=1)).replace(day=1).date()
    columns = st.columns(3)
    with columns[0]:
        last = stands.replace(day=1).date() - dt.timedelta(days=1)
        period: Any = st.date_input("Period, UTC", (first, last))
    given: dict[str, Any] = {}
    for column, kind in zip(columns[1:], portability.COMPARED, strict=True):
        with column:
            given[kind] = st.file_uploader(f"Their {kind}, CSV", type="csv", help=_columns(kind))
    if len(period) != 2 or not any(given.values()):
        look.empty(
            "Nothing to compare yet",
            "Upload what the other system says of the period. Every difference is listed: other amounts, what only"
            " they have, what only Highwater has.",
        )
        return
    since, until = pd.Timestamp(period[0], tz="UTC"), pd.Timestamp(period[1], tz="UTC") + pd.Timedelta(days=1)
    try:
        theirs = {kind: None if file is None else portability.read_other(kind, file) for kind, file in given.items()}
        found = portability.parallel_run(reads.warehouse(), theirs["commissions"], theirs["payouts"], since, until)
    except MappingRefused as refused:
        look.card("breached", "✕ The file cannot be compared", [words.escaped(refused)])
        return
    for kind, frame in found.items():
        _differences(kind, frame)


def _columns(kind: str) -> str:
    """What a file of the other system holds."""
    needed, finer = (", ".join(names[kind]) for names in (portability.COMPARED, portability.FINER))
    return f"Columns {needed}." + (
        f" With {finer}, or some of them, each is compared and not their sum." if finer else ""
    )


def _differences(kind: str, frame: pd.DataFrame) -> None:
    st.subheader(words.plain(kind), anchor=False)
    if frame.empty:
        look.card("fine", "● Both say the same", ["No amount of the period differs."])
        return
    sums = frame.groupby("currency")["difference"].sum()
    told = ", ".join(words.money(amount, str(currency), signed=True) for currency, amount in sums.items())
    look.card("near", f"▲ {words.counted(len(frame), 'difference')}", [f"Highwater less the other system: {told}."])
    names = {"partner_id": "Partner", "payout_id": "Request", "currency": "Currency", "why": "Why"}
    names |= {column: words.plain(column) for column in portability.FINER[kind]}
    amounts = {"ours": "Highwater", "theirs": "Other system", "difference": "Difference"}
    st.dataframe(
        look.amounts(frame, list(amounts), frame["currency"]),
        hide_index=True,
        height=look.height(len(frame)),
        placeholder=words.UNKNOWN,
        column_config=names | amounts,
    )
    st.download_button(
        "Differences as CSV",
        for_spreadsheets(frame),
        f"differences-{kind}.csv",
        "text/csv",
        icon=":material/download:",
        on_click=privacy.exported,
        args=(f"parallel run {kind}", len(frame), reads.warehouse().database),
    )


# --- in --------------------------------------------------------------------------------------------------------------


def _import() -> None:
    """A file of another system put into our columns, looked at, and taken as a feed with its mapping."""
    empty = "Empty: ISO 8601, or the day first with dots. %d day, %m month, %Y year, %H hours, %I of twelve with %p."
    columns = st.columns([2, 1, 1, 1])
    with columns[0]:
        file = st.file_uploader("A CSV file of the other system", type=["csv", "txt"])
    with columns[1]:
        name = str(st.selectbox("Holds", list(DATASETS)))
        decimal = str(st.selectbox("Its decimals", list(DECIMALS), format_func=DECIMALS.__getitem__))
    with columns[2]:
        separator = str(st.selectbox("Separated by", list(SEPARATORS), format_func=SEPARATORS.__getitem__))
        times = st.text_input("Its times", placeholder="%d/%m/%Y %H:%M", help=empty)
    with columns[3]:
        listed = ["", *sorted(zones())]
        zone = str(st.selectbox("Zone of its times", listed, format_func=lambda one: one or "told in each time"))
        days = st.text_input("Its days", placeholder="%d/%m/%Y", help=empty)
    if file is None:
        look.empty(
            "No file yet",
            "Upload an export; say for each of our columns which of theirs it is. The mapping can be kept and used"
            " again: <code>highwater convert FOLDER --mapping FILE --out FEED</code>.",
        )
        return
    dataset = DATASETS[name]
    try:
        theirs = portability.read_text(file, separator)
        st.caption("Their first rows")
        st.dataframe(theirs.head(FIRST_ROWS), hide_index=True)
        told = _asked(dataset, list(theirs.columns))
        forms = {"zone": zone, "decimal": decimal, "time_format": times, "date_format": days}
        told |= {"file": file.name, "separator": separator} | {what: form for what, form in forms.items() if form}
        rows = portability.mapped(dataset, told, theirs)
    except (MappingRefused, ValueError) as refused:
        look.card("near", "▲ Not yet", [words.escaped(refused)])
        return
    st.subheader(f"{words.counted(len(rows), 'row')} as they would land", anchor=False)
    st.dataframe(rows.head(PREVIEW_ROWS), hide_index=True)
    with st.container(horizontal=True):
        st.download_button("Feed as CSV", rows.to_csv(index=False), f"{name}.csv", icon=":material/download:")
        mapping = portability.written_mapping({name: told})
        st.download_button("Mapping as TOML", mapping, f"{name}-mapping.toml", icon=":material/download:")
    st.caption("highwater ingest lands the feed; a value that means nothing here is rejected then, with its line.")


def _asked(dataset: Dataset, theirs: list[str]) -> dict[str, Any]:
    """Which of their columns, or which fixed value, each of our columns is."""
    start = pd.DataFrame(
        {
            "ours": [column.name for column in dataset.columns],
            "needed": ["● needed" if column.required else "" for column in dataset.columns],
            "theirs": [column.name if column.name in theirs else None for column in dataset.columns],
            "fixed": pd.Series([None] * len(dataset.columns), dtype="object"),
            "what": [column.comment for column in dataset.columns],
        }
    )
    held: Any = st.data_editor(
        start,
        hide_index=True,
        height=look.height(len(start)),
        disabled=["ours", "needed", "what"],
        placeholder="",
        key=f"mapping-{dataset.name}-{hash(tuple(theirs))}",
        column_config={
            "ours": "Our column",
            "needed": "",
            "theirs": st.column_config.SelectboxColumn("Their column", options=theirs),
            "fixed": st.column_config.TextColumn("Or always"),
            "what": st.column_config.TextColumn("What it is", width="large"),
        },
    )
    rows = held.to_dict(orient="records")
    fixed = {row["ours"]: row["fixed"] for row in rows if row["fixed"]}
    columns = {row["ours"]: row["theirs"] for row in rows if row["theirs"] and row["ours"] not in fixed}
    return {"columns": columns, "fixed": fixed}


# --- out -------------------------------------------------------------------------------------------------------------


def _export() -> None:
    """Everything into a folder beside the lake."""
    if not reads.stamp().load_id:
        look.empty("Nothing has landed yet", "There is nothing to take out.")
        return
    look.facts(
        {
            "feed": "what was told, one CSV per dataset, which lands again as it is",
            "decided": "every published table, and every step of every challenge",
            "books": "ledger, credits, commissions, what people decided about partners",
        }
    )
    if not st.button("Write everything", type="primary", icon=":material/archive:"):
        st.caption("The same as highwater takeout --out FOLDER. Names and addresses of people are in it, unmasked.")
        return
    house = reads.warehouse()
    out = Path(house.home) / "takeout" / f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}"
    with st.spinner("Writing everything; this takes minutes for a large firm …"):
        written = portability.export_all(house, out)
    person = who()
    privacy.keep(Record(person.name, "exported", "export:everything", role=person.role, after=written), house.database)
    look.card("fine", "● Written", [f"{words.number(sum(written.values()))} rows are in {words.escaped(out)}."])
    st.dataframe(
        pd.DataFrame({"what": list(written), "rows": list(written.values())}),
        hide_index=True,
        column_config={"what": "What", "rows": st.column_config.NumberColumn("Rows", format="%,d")},
    )
