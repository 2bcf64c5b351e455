"""Reconciliation: does every transfer match a request, in amount, currency, time and destination."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import streamlit as st

from dashboards.kit import desk, look, places, reads, state, words
from models.clock import zoned
from sql.desk_schema import PAYOUT_STATES

VIEWS = {
    "transfers": "Transfers without a request",
    "requests": "Requests without a transfer",
    "likely": "To confirm",
    "held": "Held",
    "matched": "Matched",
    "books": "What is owed",
}
TRANSFER = ["settlement_id", "settled_at", "amount", "fee", "currency", "destination", "status", "reference", "said"]
REQUEST = ["payout_id", "account_id", "requested_at", "amount", "due", "currency", "destination", "said"]
MATCHED = ["payout_id", "settlement_id", "due", "amount_sent", "currency_sent", "settled_at", "status", "log_odds"]
HELD = ["settlement_id", "payout_id", "status", "told", "happened_at"]
DAYS = {"30": "30 days", "90": "90 days", "365": "A year"}
WORDS = {"disputed": "Dispute", "explained": "Explained", "open": "Open again"}


def show() -> None:
    """What is left over on either side, each with what fits it best, what is held, and what is owed."""
    desk.told()
    pairs, requests, transfers, suggestions, every_request, every_transfer = desk.matching()
    if every_request.empty and every_transfer.empty:
        look.empty(
            "Nothing to reconcile", "Requests come with <code>payouts</code>, transfers with <code>settlements</code>."
        )
        return
    failed = len(every_transfer) - len(pairs) - len(transfers)
    likely = _likely(pairs, every_transfer)
    to_confirm = f" · {words.number(len(likely))} likely, for a person to confirm" if len(likely) else ""
    sure = pairs[~pairs["right"].isin(likely["right"])]
    back = int((every_transfer.loc[every_transfer["settlement_id"].isin(sure["right"]), "status"] == "returned").sum())
    came_back = f", {back:,} of which came back, so that their requests wait to be paid again" if back else ""
    st.caption(
        f"{len(sure):,} of {words.counted(len(every_transfer), 'transfer')} matched{came_back}{to_confirm} ·"
        f" {words.number(failed)} failed and paid nothing ·"
        f" {words.counted(len(transfers), 'transfer')} and {words.counted(len(requests), 'request')} left over"
    )
    waiting = {"transfers": len(transfers), "requests": len(requests), "likely": len(likely)}
    waiting["held"] = len(desk.held()) + len(desk.held_transfers())
    named = {name: f"{said} ({waiting[name]:,})" if name in waiting else said for name, said in VIEWS.items()}
    first = "likely" if len(likely) else "requests" if transfers.empty and len(requests) else None
    view = state.tab("View", "view", named, first=first)
    if view == "matched":
        _matched(sure, every_request, every_transfer)
    elif view == "likely":
        st.caption("These name no request and fit one. Until a person says so the request waits and is not approved.")
        rows = every_transfer[every_transfer["settlement_id"].isin(likely["right"])]
        _left_over("transfer", rows, likely.rename(columns={"right": "id", "left": "other"}), every_request)
    elif view == "transfers":
        _left_over("transfer", transfers, suggestions[suggestions["side"] == "right"], every_request)
    elif view == "requests":
        _left_over("request", requests, suggestions[suggestions["side"] == "left"], every_transfer)
    else:
        {"held": _held, "books": _books}[view]()


def _likely(pairs: pd.DataFrame, transfers: pd.DataFrame) -> pd.DataFrame:
    """Pairs by likeness alone: the transfer names no request, and no person has said what it is."""
    marked = desk.marks("transfer")
    said = marked.loc[marked["verdict"] != "open", "record_id"]
    nameless = transfers.loc[transfers["payout_id"].isna(), "settlement_id"]
    return pairs[pairs["right"].isin(nameless) & ~pairs["right"].isin(said)]


def _matched(pairs: pd.DataFrame, requests: pd.DataFrame, transfers: pd.DataFrame) -> None:
    joined = pairs.merge(requests, left_on="left", right_on="payout_id")
    joined = joined.merge(transfers, left_on="right", right_on="settlement_id", suffixes=("", "_sent"))
    desk.table(joined.assign(log_odds=joined["score"])[MATCHED], _zone(joined))


def _zone(rows: pd.DataFrame | None = None) -> str:
    """The zone of the desks that rows are of; where they name none, of every desk that the person sees."""
    named = [] if rows is None or "desk_id" not in rows else rows["desk_id"].dropna().unique().tolist()
    return reads.zone_of_all(named or state.desk_names())


def _left_over(side: str, rows: pd.DataFrame, suggestions: pd.DataFrame, others: pd.DataFrame) -> None:
    """One side's leftovers with what was said of them, and what to do with the chosen one."""
    if rows.empty:
        look.empty("Nothing is left over on this side", "Every record has found its match.")
        return
    key, other_key = ("settlement_id", "payout_id") if side == "transfer" else ("payout_id", "settlement_id")
    said = desk.marks(side).set_index("record_id")
    told = [f"{said.at[one, 'verdict']}: {said.at[one, 'reason']}" if one in said.index else "" for one in rows[key]]
    shown = rows.assign(said=told)[TRANSFER if side == "transfer" else REQUEST]
    desk.table(shown, _zone(rows))
    chosen = state.one_of("Record", "record", rows[key].tolist(), shown=str, every=False)
    best = suggestions[suggestions["id"] == chosen].sort_values("score", ascending=False)
    if best.empty:
        st.caption("Nothing on the other side is alike.")
    else:
        st.markdown("**Likeliest requests**" if side == "transfer" else "**Likeliest transfers**")
        listed = best.merge(others, left_on="other", right_on=other_key)
        listed = listed.assign(log_odds=listed["score"])
        first = [name for name in (REQUEST if side == "transfer" else TRANSFER) if name in listed]
        desk.table(listed[[*first, "log_odds"]], _zone(listed))
    _actions(side, str(chosen), best["other"].tolist())


def _actions(side: str, chosen: str, partners: list[str]) -> None:
    """Accept a suggested partner, or say what the leftover is."""
    if not desk.person().may("settlements.match"):
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        reason = st.text_input("Reason", key=state.field(f"reason-{side}-{chosen}"), placeholder="Why")
        partner = st.selectbox("With", partners, key=f"with-{side}-{chosen}") if partners else None
        if partner and st.button("Match", key="match", type="primary", icon=":material/link:", shortcut="Alt+M"):
            transfer, payout = (chosen, partner) if side == "transfer" else (partner, chosen)
            desk.mark("transfer", transfer, "matched", reason, str(payout))
        for verdict, word in WORDS.items():
            if st.button(word, key=verdict):
                desk.mark(side, chosen, verdict, reason)
    request = chosen if side == "request" else partner
    if request:
        places.link("payout_review", f"Open {request} →", icon=False, payout=str(request))


def _held() -> None:
    """Granted requests that may not be sent, and transfers that came and moved nothing."""
    found, holds = desk.held_transfers(), desk.held()
    if holds:
        st.markdown("**Requests that are held**: no money goes out until another than who granted them has looked.")
        of = desk.states(PAYOUT_STATES.c.payout_id.in_(list(holds)))
        zones = {one["payout_id"]: reads.zone_of(one["desk_id"]) for one in reads.records(of)}
        for hold in holds.values():
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{words.marked(hold.payout_id)}** {zoned(hold.told, zones[hold.payout_id])}")
                places.link("payout_review", "Open →", icon=False, payout=hold.payout_id)
    if found.empty and not holds:
        look.empty("Nothing is held", "A transfer that does not fit its request is held here, and told why.")
        return
    if len(found):
        desk.table(found[HELD], _zone())


def _books() -> None:
    """What is owed to traders and partners as it rolled forward, and the balance of every account."""
    until = reads.stamp().as_of or dt.datetime.now(dt.UTC)
    days = int(state.tab("Since", "days", DAYS))
    rolled = desk.rolled(until - dt.timedelta(days=days), until + dt.timedelta(microseconds=1))
    if rolled.empty:
        look.empty(
            "Nothing was booked yet", "Fees, payouts and commissions are booked by <code>highwater score</code>."
        )
        return
    st.markdown(f"**Opening + accrued − settled = closing**, {DAYS[str(days)]} to {words.instant(until, _zone())}")
    desk.table(rolled)
    held = desk.balances()
    if len(held):
        st.markdown("**Balances** (debits less credits; each currency adds up to nothing)")
        desk.table(held)
