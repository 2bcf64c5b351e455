"""Payout queue: what can be paid now, and what must be read."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import look, places, reads, state, words
from sql import schema

VIEWS = {"waiting": "◷ Waiting", "done": "✓ Transferred", "all": "All"}
COLUMNS = {
    "late": st.column_config.TextColumn("Wait", width=110, help="Time since the request; ▲ beyond the service level."),
    "payout_id": st.column_config.TextColumn("Request", width=95),
    "amount": st.column_config.NumberColumn("Amount", format="%,.2f"),
    "currency": st.column_config.TextColumn("Cur", width=50),
    "recommendation": st.column_config.TextColumn("Recommended", width=110),
    "open_checks": st.column_config.TextColumn("To read", width=180, help="Checks that failed ✕ or are not known ?."),
    "trader_name": st.column_config.TextColumn("Trader", width=150),
    "account_id": st.column_config.TextColumn("Account", width=95),
    "account_state": st.column_config.TextColumn("Account is", width=100),
    "kyc_status": st.column_config.TextColumn("Identity", width=85),
    "paid_before": st.column_config.NumberColumn("Paid before", format="%d", width=85),
    "transfer": st.column_config.TextColumn("Transfer", width=95),
    "transfer_amount": st.column_config.NumberColumn("Sent", format="%,.2f"),
    "method": st.column_config.TextColumn("Method", width=75),
    "desk_id": st.column_config.TextColumn("Desk", width=85),
}


def show() -> None:
    """Requests by age, and beside them the one that is selected with what is known about it."""
    asked = state.parameter("payout")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        view = state.tab("View", "state", VIEWS)
    with right:
        desk = state.desk()
    waits = {"waiting": True, "done": False, "all": None}[view]
    filters: dict[str, Any] = {"waits": waits, "desk_id": desk}
    total = reads.how_many("payout_queue", **filters)
    if not total:
        look.empty(
            "No request here",
            "Requests come with the dataset <code>payouts</code>; one waits until a settlement for it has arrived.",
        )
        return
    _totals(filters)
    order = ["requested_at"] if view == "waiting" else ["-requested_at"]
    found = reads.rows("payout_queue", order=order, limit=reads.PAGE_ROWS * 4, **filters)
    found = found.merge(_reviews(found["payout_id"].tolist()), on="payout_id", how="left")
    left, right = st.columns([3, 1], gap="medium")
    with left:
        place = _queue(found, asked)
    with right:
        _beside(found.iloc[place])


def _totals(filters: dict[str, Any]) -> None:
    """How many wait and are overdue, and what is asked for per currency."""
    table = reads.rows("payout_totals", desk_id=filters["desk_id"])
    if table.empty:
        return
    waiting = int(table["waiting"].sum())
    late = int(table["overdue"].sum())
    asked = " · ".join(
        words.money(total, str(currency)) for currency, total in table.groupby("currency")["amount"].sum().items()
    )
    hours = words.number(table["payout_hours"].iloc[0])
    st.caption(f"{waiting:,} waiting, {late:,} longer than the {hours} h service level · requested and unpaid: {asked}")


def _reviews(payouts: list[str]) -> pd.DataFrame:
    reviews = schema.PAYOUT_REVIEWS
    return reads.decided(reviews, reviews.c.payout_id.in_(payouts)).drop(columns=["account_id", "amount"])


def _queue(found: pd.DataFrame, asked: str | None) -> int:
    """The requests as a table; returns the place of the selected one."""
    known = {name: f"{icon} {word}" for name, (icon, word) in words.STATES.items()}
    shown = found.assign(
        late=[
            ("▲ " if late else "") + words.age(hours)
            for late, hours in zip(found["overdue"], found["age_hours"], strict=True)
        ],
        recommendation=found["recommendation"].map(words.RECOMMENDATIONS).fillna("? Not reviewed"),
        account_state=[known.get(str(name), words.plain(name or "unknown")) for name in found["account_status"]],
        open_checks=[_open_checks(text) for text in found["checks"]],
        transfer=found["state"].map(words.TRANSFERS),
    )[list(COLUMNS)]
    first = found.index[found["payout_id"] == asked].tolist()
    event: Any = st.dataframe(
        look.coloured(shown, "late", ["near" if late else "fine" for late in found["overdue"]]),
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


def _beside(row: pd.Series) -> None:
    """The selected request: amount, age, what was checked, where the money goes."""
    zone = reads.zone_of(row["desk_id"])
    late = "near" if row["overdue"] else "fine"
    title = f"{row['payout_id']} · {words.money(row['amount'], row['currency'])}"
    look.card(
        late,
        title,
        [
            words.escaped(row["trader_name"]),
            f"Waits {words.age(row['age_hours'])}" if row["waits"] else words.TRANSFERS[row["state"]],
        ],
    )
    _checks(row)
    look.facts(
        {
            "Requested": words.instant_html(row["requested_at"], zone),
            "Account": f"{row['account_id']} ({words.plain(row['account_status'] or 'unknown')})",
            "Profit on the account now": words.money(row["profit_left"], row["currency"]),
            "Identity": words.plain(row["kyc_status"] or "unknown"),
            "Paid before on this account": words.number(row["paid_before"]),
            "Requests to this destination": words.number(row["requests_to_destination"]),
            "Sent": words.money(row["transfer_amount"], row["transfer_currency"]),
            "Reference": words.escaped(row["transfer_reference"]),
        }
    )
    if st.button("Open account", type="primary", shortcut="Enter", icon=":material/open_in_new:"):
        places.go("account", account=row["account_id"])


def _checks(row: pd.Series) -> None:
    """The amount as the sum of its parts, then what failed or is not known in full, what passed folded away."""
    checks = words.parsed(row["checks"]) or []
    if not checks:
        look.empty("Not reviewed yet", "Checks appear with the next <code>highwater score</code>.")
        return
    st.markdown(f"**{words.RECOMMENDATIONS.get(row['recommendation'], '?')}**")
    parts = {"Trader's share": row["trader_share"], "Firm's share": row["firm_share"], "Deducted": row["deductions"]}
    look.table({name: words.money(amount, row["currency"]) for name, amount in parts.items()}, right=True)
    for outcome in ("failed", "unknown"):
        for check in (one for one in checks if one.get("outcome") == outcome):
            st.markdown(_check_line(check))
    rest = [one for one in checks if one.get("outcome") not in ("failed", "unknown")]
    with st.expander(f"{words.counted(len(rest), 'other check')}"):
        for check in rest:
            st.caption(_check_line(check))


def _check_line(check: dict[str, Any]) -> str:
    icon = words.CHECKS.get(str(check.get("outcome")), "?")
    rule = f" *{check['rule']}*" if check.get("rule") and check.get("outcome") == "failed" else ""
    return f"{icon} **{words.plain(check.get('check', ''))}** {check.get('sentence', '')}{rule}"


def _open_checks(text: Any) -> str:
    """The checks that failed or are not known, as icons with words."""
    open_ones = [one for one in words.parsed(text) or [] if one.get("outcome") in ("failed", "unknown")]
    return ", ".join(f"{words.CHECKS[one['outcome']]} {one['check'].replace('_', ' ')}" for one in open_ones)
