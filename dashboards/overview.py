"""Overview: what changed in the last 24 hours, and what needs me."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import casework, fresh, people, places, reads, state, words
from dashboards.kit.desk import over as refused
from dashboards.kit.people import who
from models.metrics import definition

VIEWS = {"glance": "At a glance", "risk": "Risk", "payouts": "Payouts", "management": "Management"}
FIRST_VIEW = {
    "risk_analyst": "risk",
    "payout_reviewer": "payouts",
    "manager": "management",
    "partner_manager": "management",
}
EVERY_DESK = "all"
MOST_IN_A_ROW = 6
WRITTEN: dict[str, Callable[[Any], str]] = {
    "count": words.number,
    "money": words.whole,
    "share": lambda value: words.share(value, 1),
}
BEHIND = {
    "near": {"state": "near"},
    "breaches": {"state": "breached", "time": "day"},
    "passes": {"state": "passed", "time": "day"},
    "live": {"state": "live"},
    "requests": {"state": "all", "time": "day"},
    "paid": {"state": "settled", "time": "day"},
    "open_risk": {"state": "flagged"},
}


def show() -> None:
    """Figures with trend and definition, then the lists of what needs a look from those who may look."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        audience = state.tab("View", "view", VIEWS, first=FIRST_VIEW.get(who().role))
    with right:
        desk = state.desk()
    figures = reads.rows("overview", order=["place"], desk_id=desk or EVERY_DESK)
    chosen = figures["at_a_glance"].astype(bool) if audience == "glance" else figures["audience"] == audience
    shown = reads.records(figures[chosen])
    wide = len(shown) if len(shown) <= MOST_IN_A_ROW else -(-len(shown) // 2)
    for start in range(0, len(shown), max(1, wide)):
        for column, figure in zip(st.columns(wide), shown[start : start + wide], strict=False):
            with column:
                _figure(figure)
                if people.may_open(figure["page"]):
                    behind = BEHIND.get(figure["figure"], {}) | _of(desk)
                    places.link(figure["page"], "Open →", icon=False, **behind)
    st.caption(
        "The 24 hours up to the run's instant, with the change from the 24 hours before; lines show 14 such days."
    )
    without = reads.rows("unrated", order=["currency"])
    if len(without):
        told = f"▲ No rate for {', '.join(without['currency'])}: such money is in none of these sums →"
        places.link("data_health", told, icon=False, view="held")
    _cases(desk)
    _partners(desk)
    lists = (("risk_queue", _near), ("risk_queue", _breached), ("payout_queue", _waiting))
    mine = [listed for page, listed in lists if people.may_open(page)]
    for column, listed in zip(st.columns(3, gap="medium"), mine, strict=False):
        with column, st.container(border=True, height="stretch"):
            listed(desk)
    fresh.again_when(fresh.figures)


def _figure(figure: dict[str, Any]) -> None:
    """One figure with its change and its trend; what is good is for the reader to say, so all are one colour."""
    written = WRITTEN[figure["unit"]]
    currency = figure["currency"] if figure["unit"] == "money" else None
    trend = [value for value in json.loads(figure["trend"]) if value is not None]
    known = not words.missing(figure["before"]) and not words.missing(figure["value"])
    change = figure["value"] - figure["before"] if known else None
    st.metric(
        f"{figure['label']}, {currency}" if currency else figure["label"],
        written(figure["value"]),
        delta=None if change is None else _changed(figure["unit"], written(change)),
        delta_color="blue" if change else "off",
        chart_data=trend if len(trend) > 1 else None,
        help=definition(figure["figure"]),
        border=True,
        height="stretch",
    )


def _changed(unit: str, told: str) -> str:
    """A change as the figure's arrow reads it; that of a share is in points."""
    return told.replace("−", "-").replace(" %", " points" if unit == "share" else " %")


def _cases(desk: str | None) -> None:
    """Open cases in a line, for those who may see them."""
    if not people.may_open("cases"):
        return
    waiting, mine = (casework.how_many(desk=desk, assignee=one) for one in (None, who().name))
    untaken, back = casework.how_many(desk=desk, states=("new",)), casework.how_many(desk=desk, back=True)
    told = f"{words.counted(waiting, 'case')} open, {untaken} that nobody has taken, {mine} with you →"
    places.link("cases", told if waiting else "No case is open →", icon=False, **_of(desk))
    if back:
        told = f"{words.counted(back, 'decided case')} came back with new evidence →"
        places.link("cases", told, icon=False, view="back", **_of(desk))


def _partners(desk: str | None) -> None:
    """How many partners' buyers are flagged more often than all buyers, for those who may see partners."""
    if not people.may_open("partners"):
        return
    of = desk or EVERY_DESK
    known, abused = reads.how_many("partners", desk_id=of), reads.abused_partners(desk_id=of)
    if known:
        told = f"{words.counted(known, 'partner')}, {abused} with an abuse rate clear of all buyers' →"
        places.link("partners", told, icon=False, **_of(desk))


def _near(desk: str | None) -> None:
    st.subheader("Closest to a floor", anchor=False)
    found = reads.queue(limit=reads.LIST_ROWS, state="near", status="active", desk_id=desk)
    for row in reads.records(found):
        _item("account", row["account_id"], _headroom(row), account=row["account_id"])
    paused = reads.how_many("risk_queue", state="near", status="paused", desk_id=desk)
    if paused:
        st.caption(f"{words.counted(paused, 'more account')}: paused below the daily floor until it resets.")
    _end(found, "No live account is near a floor.", "risk_queue", "All that are near", desk, state="near")


def _headroom(row: dict[str, Any]) -> str:
    """How much of the tighter allowance is used, and how far equity is from the nearest floor."""
    floor = f"{row['nearest_floor']} floor"
    return f"{words.share(row['near_share'], 1)} used, {words.money(row['headroom'], row['currency'])} to {floor}"


def _breached(desk: str | None) -> None:
    st.subheader("Breached last", anchor=False)
    found = reads.rows("risk_queue", order=["-status_at"], limit=reads.LIST_ROWS, state="breached", desk_id=desk)
    for row in reads.records(found.assign(age=reads.hours_since(found["status_at"])) if len(found) else found):
        said = reads.last_broken(row["account_id"])
        when = f"{'' if said is None else words.rule(said['rule']) + ', '}{words.age(row['age'])} ago"
        _item("account", row["account_id"], when, account=row["account_id"])
    _end(found, "No account has breached.", "risk_queue", "All breaches", desk, state="breached")


def _waiting(desk: str | None) -> None:
    st.subheader("Payouts waiting longest", anchor=False)
    over = refused()
    most = reads.LIST_ROWS + len(over)
    found = reads.rows("payout_queue", order=["requested_at"], limit=most, waits=True, desk_id=desk)
    found = found[~found["payout_id"].isin(over)].head(reads.LIST_ROWS) if over and len(found) else found
    for row in reads.records(found.assign(age=reads.hours_since(found["requested_at"])) if len(found) else found):
        late = "▲ " if row["overdue"] else ""
        asked = f"{words.money(row['amount'], row['currency'])}, {late}{words.age(row['age'])}"
        _item("payout_queue", row["payout_id"], asked, payout=row["payout_id"])
    _end(found, "No request waits.", "payout_queue", "All requests", desk)


def _item(page: str, name: str, told: str, **parameters: str) -> None:
    places.link(page, f"**{name}** {told}", icon=False, **parameters)


def _end(found: pd.DataFrame, nothing: str, page: str, label: str, desk: str | None, **parameters: str) -> None:
    if found.empty:
        st.caption(nothing)
    places.link(page, f"{label} →", icon=False, **parameters, **_of(desk))


def _of(desk: str | None) -> dict[str, str]:
    """The chosen desk as what a link hands on, so that the list behind it is what was counted."""
    return {"desk": desk} if desk else {}
