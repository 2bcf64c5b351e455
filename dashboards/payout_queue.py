"""Payout queue: what can be paid now, and what must be read."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import desk, look, places, reads, state, words
from models.clock import zoned
from models.decisions.desk import Done

VIEWS = {"waiting": "◷ Waiting", "sent": "→ Sent", "settled": "✓ Settled", "all": "All"}
OF_VIEW: dict[str, dict[str, Any]] = {
    "waiting": {"waits": True},
    "sent": {"state": "sent"},
    "settled": {"state": "settled"},
    "all": {},
}
CAME_BACK = ["returned", "failed"]
COLUMNS = {
    "late": st.column_config.TextColumn("Wait", width=82, help="Time since the request; ▲ beyond the service level."),
    "payout_id": st.column_config.TextColumn("Request", width=80),
    "amount": st.column_config.NumberColumn("Amount", width=76),
    "currency": st.column_config.TextColumn("Cur", width=42),
    "recommendation": st.column_config.TextColumn("Advice", width=82, help="What the review recommends."),
    "open_checks": st.column_config.TextColumn(
        "Read first", width=158, help="The first check that failed ✕ or is unknown ?, and how many more there are"
    ),
    "standing": st.column_config.TextColumn("On the desk", width=108),
    "trader_name": st.column_config.TextColumn("Trader", width=110),
    "account_id": st.column_config.TextColumn("Account", width=95),
    "account_state": st.column_config.TextColumn("Account is", width=100),
    "kyc_status": st.column_config.TextColumn("Identity", width=85),
    "paid_before": st.column_config.NumberColumn("Paid before", format="%d", width=85),
    "transfer": st.column_config.TextColumn("Transfer", width=95),
    "transfer_amount": st.column_config.NumberColumn("Sent"),
    "method": st.column_config.TextColumn("Method", width=75),
    "desk_id": st.column_config.TextColumn("Desk", width=85),
}


def show() -> None:
    """Requests by age, and beside them the one that is selected with what is known about it."""
    asked = state.parameter("payout")
    desk.told()
    left, middle, right = st.columns([3, 1, 1], vertical_alignment="bottom")
    with left:
        view = state.tab("View", "state", VIEWS)
    with middle:
        since = reads.day_before() if state.lately() else None
    with right:
        at_desk = state.desk()
    happened = "transfer_at" if view in ("sent", "settled") else "requested_at"
    filters = OF_VIEW[view] | {"desk_id": at_desk, happened: since}
    if not reads.how_many("payout_queue", **filters):
        look.empty(
            "No request here",
            "Requests come with the dataset <code>payouts</code>; one waits until a settlement for it has arrived.",
        )
        return
    _totals(at_desk)
    order = ["requested_at"] if view == "waiting" else [f"-{happened}"]
    found = desk.with_reviews(reads.rows("payout_queue", order=order, limit=reads.PAGE_ROWS * 4, **filters))
    if view == "waiting":
        found = found[~found["desk_state"].isin(desk.OVER)].reset_index(drop=True)
    if found.empty:
        look.empty("Nothing waits", "Every request here was rejected or cancelled; they stand under All.")
        return
    found["age_hours"] = reads.hours_since(found["requested_at"])
    stops = desk.stops(reads.records(found))
    left, right = st.columns([3, 1], gap="medium")
    with left:
        if view == "waiting":
            _clean(found)
        place = _queue(found, stops, asked)
    with right:
        _beside(found.iloc[place], stops)


def _totals(at_desk: str | None) -> None:
    """How many wait and are overdue, and what is asked for per currency, without what was refused since the run."""
    table = reads.rows("payout_totals", desk_id=at_desk)
    if table.empty:
        return
    over = desk.over()
    gone = (
        reads.rows("payout_queue", payout_id=over, waits=True, desk_id=at_desk) if over else table[:0].assign(state="")
    )
    waiting = int(table["waiting"].sum()) - len(gone)
    late = int(table["overdue"].sum()) - int(gone["overdue"].sum())
    sums = table.groupby("currency")["amount"].sum()
    sums = sums.sub(gone.groupby("currency")["amount"].sum(), fill_value=0)
    asked = " · ".join(words.money(total, str(currency)) for currency, total in sums.items() if round(total, 8))
    # Reconciliation counts these as matched
    back = reads.how_many("payout_queue", state=CAME_BACK, waits=True, desk_id=at_desk)
    back -= int(gone["state"].isin(CAME_BACK).sum())
    of_them = f" ({back:,} of them because their transfer came back)" if back else ""
    hours = words.number(table["payout_hours"].iloc[0])
    unpaid = f" · requested and unpaid, before the split: {asked}" if asked else ""
    st.caption(f"{waiting:,} waiting{of_them}, {late:,} longer than the {hours} h service level{unpaid}")


def _clean(found: pd.DataFrame) -> None:
    """The requests that the review recommends and nobody has touched, approved in one go after a second look."""
    clean = found[(found["recommendation"] == "approve") & found["desk_state"].isna()]
    _done()
    if clean.empty or not desk.person().may("payouts.decide"):
        return
    counted = words.counted(len(clean), "clean request")
    if st.button(f"{counted}: approve in one go …", icon=":material/done_all:", shortcut="Alt+B"):
        st.session_state["clean-asked"] = True
    if st.session_state.get("clean-asked"):
        _second_look(clean)


def _done() -> None:
    """What became of each request of the batch before."""
    told: list[Done] = st.session_state.pop("batch", [])
    if told:
        st.success(f"{sum(one.done for one in told)} of {len(told)} approved")
        st.caption(
            " · ".join(
                f"{'✓' if one.done else '✕'} **{words.marked(one.payout_id)}** {words.unlinked(one.told)}"
                for one in told
            )
        )


def _second_look(clean: pd.DataFrame) -> None:
    """What would be approved, in sum and one by one, and the button that does it."""
    names = clean["payout_id"].tolist()
    asked = zip(clean["amount"], clean["currency"], strict=True)
    amounts = dict(zip(names, (words.money(*one) for one in asked), strict=True))
    chosen = st.multiselect(
        "Requests", names, default=names, format_func=lambda one: f"{one} · {amounts[one]}", key="clean"
    )
    sums = clean[clean["payout_id"].isin(chosen)].groupby("currency")["amount"].sum()
    st.caption("Asked for: " + " · ".join(words.money(total, str(currency)) for currency, total in sums.items()))
    if st.button(f"Approve {len(chosen)}", type="primary", disabled=not chosen, shortcut="Alt+A"):
        st.session_state["batch"] = desk.approve_clean(chosen)
        del st.session_state["clean-asked"]
        st.rerun()


def _queue(found: pd.DataFrame, stops: desk.Stops, asked: str | None) -> int:
    """The requests as a table; returns the place of the selected one."""
    known = {name: f"{icon} {word}" for name, (icon, word) in words.STATES.items()}
    rows = reads.records(found)
    shown = found.assign(
        late=[
            ("▲ " if late else "") + words.age(hours)
            for late, hours in zip(found["overdue"], found["age_hours"], strict=True)
        ],
        recommendation=[stops.advice(row, short=True) for row in rows],
        open_checks=[
            f"✕ Account {hold.status}" if (hold := stops.hold(row)) else desk.at_a_glance(row, most=1) for row in rows
        ],
        standing=[
            desk.HELD
            if stops.hold(row)
            else words.plain(row["desk_state"])
            if isinstance(row["desk_state"], str)
            else "New"
            for row in rows
        ],
        trader_name=found["trader_name"].fillna(words.UNKNOWN),
        account_state=[known.get(str(name), words.plain(name or "unknown")) for name in found["account_status"]],
        transfer=found["state"].map(words.TRANSFERS),
    )[list(COLUMNS)]
    first = found.index[found["payout_id"] == asked].tolist()
    late = look.coloured(shown, "late", ["near" if late else "fine" for late in found["overdue"]])
    sent = look.amounts(late, ["transfer_amount"], found["transfer_currency"])
    event: Any = st.dataframe(
        look.amounts(sent, ["amount"], found["currency"]),
        column_config=COLUMNS,
        hide_index=True,
        height=look.height(len(shown)),
        on_select="rerun",
        selection_mode="single-row-required",
        selection_default={"selection": {"rows": first[:1] or [0]}},
        key=f"requests-{asked}",
    )
    chosen = event.selection.rows
    return int(chosen[0]) if chosen and chosen[0] < len(found) else 0


def _beside(row: pd.Series, stops: desk.Stops) -> None:
    """The selected request: amount, age, what was checked, where the money goes."""
    zone = reads.zone_of(row["desk_id"])
    late = "near" if row["overdue"] else "fine"
    title = f"{words.escaped(row['payout_id'])} · {words.money(row['amount'], row['currency'])}"
    look.card(
        late,
        title,
        [
            desk.name(row["trader_name"]),
            f"Waits {words.age(row['age_hours'])}" if row["waits"] else words.TRANSFERS[row["state"]],
        ],
    )
    stops.tell_freeze(row)
    if hold := stops.hold(row):
        look.card("breached", desk.HELD, [f"No money goes out: {words.escaped(zoned(hold.told, zone))}."])
    look.facts(
        {
            "Requested": words.instant_html(row["requested_at"], zone),
            "Account": f"{words.escaped(row['account_id'])} ({words.plain(row['account_status'] or 'unknown')})",
            "Profit on the account now": words.money(row["profit_left"], row["currency"]),
            "Identity": words.identity(row["kyc_status"]),
            "Paid before on this account": words.number(row["paid_before"]),
            "Requests to this destination": words.number(row["requests_to_destination"]),
            "Sent": words.money(row["transfer_amount"], row["transfer_currency"]),
            "Reference": words.escaped(row["transfer_reference"]),
        }
    )
    if st.button("Review", type="primary", shortcut="Enter", icon=":material/fact_check:"):
        places.go("payout_review", payout=row["payout_id"])
    places.link("account", "Open account →", icon=False, account=row["account_id"])
    _checks(row, stops.advice(row))


def _checks(row: pd.Series, advice: str) -> None:
    listed = desk.checks(row)
    if not listed:
        look.empty("Not reviewed yet", "Checks appear with the next <code>highwater score</code>.")
        return
    st.markdown(f"**{advice}**")
    to_read = [check for check in listed if check["outcome"] in ("failed", "unknown")]
    zone = reads.zone_of(row["desk_id"])
    _told(to_read, zone)
    held = [check for check in listed if check not in to_read]
    passed = sum(check["outcome"] == "passed" for check in held)
    with st.expander(f"✓ {passed} passed, {len(held) - passed} do not apply"):
        _told(held, zone)


def _told(checks: list[dict[str, Any]], zone: str) -> None:
    for check in checks:
        st.caption(desk.headline(check, zone))
