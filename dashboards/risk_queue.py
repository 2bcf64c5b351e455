"""Risk queue: which accounts first."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pandas as pd
import streamlit as st

from dashboards import repeats
from dashboards.kit import casework, fresh, look, places, reads, state, words
from models.risk_score import FLAG
from sql import schema

SELECTED = "queue-account"
"""Under which name a person's session keeps the account that is selected."""
MONEY_FIRST = ("state", "account_id", "stake_usd", "risk", "why")
BY_SCORE = {"score": "◆ Money × risk"}
VIEWS = {
    "near": "▲ Near a floor",
    "breached": "✕ Breached",
    "live": "● Live",
    "flagged": "⚑ Flagged",
    "passed": "✓ Passed",
    "fine": "● Fine",
    "ended": "○ Ended",
    "unknown": "? Unknown",
    "all": "All",
}
AGAIN = {"again": "↻ Breached again"}
LIVE = ["near", "fine", "unknown"]
OF_VIEW: dict[str, dict[str, Any]] = {
    "live": {"state": LIVE},
    "flagged": {"state": LIVE},
    "passed": {"status": "passed"},
    "score": {},
    "all": {},
}
NEWEST_FIRST = ("breached", "passed", "ended")
COLUMNS = {
    "state": st.column_config.TextColumn("State", width=105),
    "account_id": st.column_config.TextColumn("Account", width=95),
    "trader_name": st.column_config.TextColumn("Trader", width=150),
    "stage": st.column_config.TextColumn("Stage", width=95),
    "used": st.column_config.ProgressColumn(
        "Allowance used",
        format="%.0f %%",
        min_value=0,
        max_value=100,
        width=130,
        help="Share of the tighter of the two loss allowances that is used; full = at the floor.",
    ),
    "headroom": st.column_config.NumberColumn("Headroom", help="Equity minus the nearer floor, account currency."),
    "currency": st.column_config.TextColumn("Cur", width=50),
    "headroom_pct": st.column_config.NumberColumn(
        "of initial", format="%.2f %%", help="Headroom in percent of the initial balance."
    ),
    "floor": st.column_config.TextColumn("Floor", width=60, help="Which floor is nearer."),
    "equity": st.column_config.NumberColumn("Equity"),
    "risk": st.column_config.ProgressColumn(
        "Risk", format="%.0f", min_value=0, max_value=100, width=90, help="Risk score, 0 to 100."
    ),
    "why": st.column_config.TextColumn("Because of", width=230),
    "stake_usd": st.column_config.NumberColumn(
        "At stake, USD",
        format="%,.0f",
        help="Requested and unpaid, and in funded stages the profit that could be asked for.",
    ),
    "age": st.column_config.TextColumn("Since", width=85, help="How long the account has this status."),
    "product": st.column_config.TextColumn("Product", width=110),
    "platform": st.column_config.TextColumn("Platform", width=85),
    "desk_id": st.column_config.TextColumn("Desk", width=85),
}


def show() -> None:
    """Filters, the queue, and beside it the account that is selected."""
    fresh.again_when(fresh.figures)
    view = state.tab("View", "state", (BY_SCORE if reads.scored() else {}) | VIEWS | AGAIN)
    filters = _filters()
    if view == "again":
        repeats.show(filters["desk_id"], filters["product"])
        return
    filters |= OF_VIEW.get(view, {"state": view})
    if view == "flagged":
        filters["account_id"] = reads.flagged()
    if filters.keys() & {"status", "account_id"} or filters["status_at"]:
        total = reads.how_many("risk_queue", **filters)
    else:
        total = reads.total("risk_facets", "accounts", **filters)
    if not total:
        look.empty(
            "No account here",
            "No account matches these filters as of this run. Clear a filter, or look at <b>All</b>.",
        )
        return
    told, paged = st.columns([2, 1], vertical_alignment="bottom")
    told.caption(f"{words.counted(total, 'account')} · select a row for its evidence")
    with paged:
        start = state.page_number(total) * reads.PAGE_ROWS
    if view == "score":
        found = reads.riskiest(offset=start, **filters)
    else:
        order = ["-status_at", "account_id"] if view in NEWEST_FIRST else []
        found = reads.queue(order=order, limit=reads.PAGE_ROWS, offset=start, **filters)
        found = found.merge(_scores(found["account_id"].tolist()), on="account_id", how="left")
    left, right = st.columns([3, 1], gap="medium")
    with left:
        place = _queue(found, _order(found, view))
    with right:
        _beside(found.iloc[place])


def _order(found: pd.DataFrame, view: str) -> list[str]:
    """Columns in the order of the view; without any score there is no column for one."""
    if found["score"].isna().all():
        return [name for name in COLUMNS if name not in ("risk", "why")]
    return [*MONEY_FIRST, *COLUMNS] if view in ("score", "flagged") else list(COLUMNS)


def _scores(accounts: list[str]) -> pd.DataFrame:
    """Scores of the accounts on this page."""
    table = schema.RISK_SCORES
    found = reads.decided(table, table.c.account_id.in_(accounts))
    return found.rename(columns={"reasons": "score_reasons"})[["account_id", "score", "band", "score_reasons"]]


def _filters() -> dict[str, Any]:
    """Desk, product, stage, platform and since when it stands so, from the address."""
    columns = st.columns(5)
    with columns[0]:
        desk = state.desk()
    with columns[-1]:
        chosen: dict[str, Any] = {"desk_id": desk, "status_at": reads.day_before() if state.lately() else None}
    for column, name in zip(columns[1:-1], ("product", "stage", "platform"), strict=True):
        with column:
            shown = words.stage if name == "stage" else words.plain
            chosen[name] = state.one_of(words.plain(name), name, reads.choices("risk_facets", name), shown=shown)
    return chosen


def _queue(found: pd.DataFrame, columns: list[str]) -> int:
    """The rows as a table; returns the place of the selected one, which stays selected when rows move."""
    ids = found["account_id"].tolist()
    held = st.session_state.get(SELECTED)
    first = ids.index(held) if held in ids else 0
    shown = found.assign(
        state=[words.state(*one) for one in zip(found["state"], found["status"], strict=True)],
        stage=[words.stage(name) for name in found["stage"]],
        used=100 * found["near_share"].clip(0, 1),
        floor=found["nearest_floor"].map({"daily": "day", "max": "max"}),
        age=[words.age(hours) for hours in reads.hours_since(found["status_at"])],
        risk=found["score"].astype(float),
        why=[words.reasons(*one) for one in zip(found["score_reasons"], found["band"], strict=True)],
    )[list(COLUMNS)]
    event: Any = st.dataframe(
        look.amounts(look.coloured(shown, "state", found["state"]), ["headroom", "equity"], found["currency"]),
        column_config=COLUMNS,
        placeholder=words.UNKNOWN,
        column_order=list(dict.fromkeys(columns)),
        hide_index=True,
        height=look.height(len(shown)),
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": [first], "columns": [], "cells": []}},
        key=f"queue-{zlib.crc32(json.dumps(ids).encode())}",
    )
    chosen = event.selection.rows
    place = int(chosen[0]) if chosen and chosen[0] < len(found) else first
    st.session_state[SELECTED] = ids[place]
    return place


def _beside(row: pd.Series) -> None:
    """The selected account: what happened or how near it is, and the next action."""
    zone = reads.zone_of(row["desk_id"])
    said = reads.last_broken(row["account_id"])
    sentence = "No rule has been broken." if said is None else words.escaped(said["sentence"])
    look.card(row["state"], f"{words.escaped(row['account_id'])} · {words.escaped(row['trader_name'])}", [sentence])
    currency = row["currency"]
    look.facts(
        {
            "Equity": words.money(row["equity"], currency),
            "To daily floor": words.money(row["daily_headroom"], currency),
            "To maximum floor": words.money(row["max_headroom"], currency),
            "Target reached": words.share(row["target_progress"]),
            "Trading days": words.number(row["trading_days"]),
            "Status since": words.instant_html(row["status_at"], zone),
            "Owner": f"{words.escaped(row['owner_id'])}, {words.counted(row['owner_members'], 'trader')}",
        }
    )
    if row["equity_source"] == "balance":
        st.caption("? No observation of equity yet: the balance stands in for it.")
    _suspicions(row)
    if st.button("Open account", type="primary", shortcut="Enter", icon=":material/open_in_new:"):
        places.go("account", account=row["account_id"])


def _suspicions(row: pd.Series) -> None:
    """What the score is made of and what detectors hold, a sentence each."""
    look.score(row["score"], row["band"], row["score_reasons"])
    told_already = str(row["score_reasons"])
    table = schema.SIGNALS
    about = table.c.subject_id.in_((row["account_id"], row["trader_id"])) & (table.c.strength >= FLAG)
    for signal in reads.records(reads.decided(table, about, order=table.c.strength.desc(), limit=reads.LIST_ROWS)):
        if signal["detector"] not in told_already:
            told = (words.parsed(signal["evidence"]) or {}).get("sentence", "")
            st.caption(f"▲ **{words.detector(signal['detector'])}** {signal['strength']:.2f} {words.unlinked(told)}")
    if row["owner_members"] > 1 or not words.missing(row["score"]):
        held = casework.about(str(row["trader_id"]))
        label = f"{held.case_id}, {casework.STATES[held.state][1]} →" if held else "What is known of the owner →"
        places.link("case", label, icon=False, trader=str(row["trader_id"]))
