"""Payout review: is this amount right and deserved, and what was decided."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboards.kit import desk, lake, look, paths, places, reads, state, words
from models.access import Person
from models.clock import place, zoned
from models.decisions.desk import State, Strip, open_to, preview, roles_for
from models.decisions.holds import Hold
from models.decisions.machine import REASON_CODES
from models.money import to_minor
from models.payouts import told
from models.payouts.shares import Split

VIEWS = {
    "checks": "Checks",
    "trades": "Trades of the window",
    "path": "Equity",
    "linked": "Linked accounts",
    "earlier": "Earlier",
    "log": "Decisions",
}
WORDS = {
    "take": "Take",
    "ask": "Ask the trader",
    "answer": "Answer came",
    "approve": "Approve",
    "deduct": "Pay the rest",
    "reject": "Reject",
    "cancel": "Cancel",
    "confirm": "Agree",
    "refuse": "Send back",
    "send": "Sent",
    "settle": "Arrived",
    "fail": "Failed",
    "return": "Came back",
    "requeue": "Send again",
    "appeal": "Appeal",
    "uphold": "Uphold",
    "overturn": "Overturn",
    "release": "Release",
    "withhold": "Take back",
}
SHORTCUTS = {"approve": "Alt+A", "reject": "Alt+X", "confirm": "Alt+G", "take": "Alt+T", "release": "Alt+G"}


def show() -> None:
    """One request: amount, recommendation, what to do, and below it what it rests on."""
    desk.told()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        payout_id = state.text("Request", "payout", "request id")
        following = desk.next_untouched(payout_id)
        if following and st.button("Next in the queue", shortcut="Alt+N", icon=":material/skip_next:"):
            places.go("payout_review", payout=following)
    row = desk.request(payout_id) if payout_id else None
    if row is None:
        look.empty(
            f"There is no request {payout_id}" if payout_id else "Which request?",
            "Open one from the payout queue, or write its id above.",
        )
        places.link("payout_queue", "To the payout queue →", icon=False)
        return
    held, stops = desk.state(payout_id), desk.stops([row])
    left, right = st.columns([1, 1], gap="large")
    with left:
        _amount(row, held, stops.advice(row))
    with right:
        strips = _chosen_strips(row, held)
        _actions(row, held, stops, strips)
    view = state.tab("View", "view", VIEWS)
    {"checks": _checks, "trades": _trades, "path": _path, "linked": _linked, "earlier": _earlier, "log": _log}[view](
        row
    )
    _notes(payout_id, reads.zone_of(row["desk_id"]))
    desk.offer_packs(payout_id)


def _amount(row: dict[str, Any], held: State | None, advice: str) -> None:
    """The amount as a sum of its parts, and what is advised."""
    currency = row["currency"]
    standing = words.plain(held.state) if held else "New"
    tone = {"approve": "fine", "deduct": "near", "review": "near", "reject": "breached"}
    stopped = "breached" if advice.startswith("■") else None
    title = f"{words.escaped(row['payout_id'])} · {words.money(row['amount'], currency)}"
    look.card(
        stopped or tone.get(row["recommendation"], "unknown"),
        title,
        [desk.name(row["trader_name"]), f"{advice} · {standing}"],
    )
    if held:
        parts = (held.trader_minor, held.firm_minor, held.deducted_minor, held.profit_minor)
        shown = [desk.money(part, currency) for part in parts]
    else:
        known = [row[name] for name in ("trader_share", "firm_share", "deductions")]
        whole = row["amount"] if any(words.missing(one) for one in known) else sum(known)
        shown = [words.money(one, currency) for one in (*known, whole)]
    names = ("To the trader", "The firm keeps", "Deducted", "Profit asked for")
    look.table(dict(zip(names, shown, strict=True)), right=True)
    if held and held.approvals_needed > 1:
        agreed = [one for one in (held.maker, held.checker, held.financier) if one]
        people = words.marked(", ".join(agreed)) if agreed else "nobody"
        st.caption(f"{held.approvals_needed} people must agree; so far {people}.")
    places.link("account", f"Account {row['account_id']} →", icon=False, account=row["account_id"])
    if row["trader_id"]:
        places.link("case", "Case of the owner →", icon=False, trader=row["trader_id"])


def _chosen_strips(row: dict[str, Any], held: State | None) -> list[Strip]:
    """Trades that the reviewer ticked under Trades of the window, with what would be paid without them."""
    ticked: dict[str, int] = st.session_state.get(f"strips-{row['payout_id']}", {})
    strips = [Strip(trade, minor) for trade, minor in sorted(ticked.items())]
    split = _split(row)
    if strips and split is not None:
        base = held or _as_reviewed(row)
        _, trader, firm, deducted = preview(base, split, strips)
        parts = [desk.money(part, row["currency"]) for part in (trader, firm, deducted)]
        st.info(
            f"Without {words.counted(len(strips), 'trade')}: trader {parts[0]}, firm {parts[1]}, deducted {parts[2]}."
        )
    return strips


def _split(row: dict[str, Any]) -> Split | None:
    numbers = _numbers(row, "split")
    return Split.told(numbers, row["currency"]) if numbers.get("split_pct") else None


def _as_reviewed(row: dict[str, Any]) -> State:
    """The state that a first act would make, for the preview."""
    names = ("trader_share", "firm_share", "deductions")
    trader, firm, deducted = (to_minor(row[name] or 0, row["currency"]) for name in names)
    return State(
        payout_id=row["payout_id"],
        account_id=row["account_id"],
        desk_id=row["desk_id"],
        currency=row["currency"],
        state="requested",
        version=0,
        profit_minor=trader + firm + deducted,
        trader_minor=trader,
        firm_minor=firm,
        deducted_minor=deducted,
        approvals_needed=1,
        policy_version=0,
        maker=None,
        checker=None,
        financier=None,
        transfers=0,
        updated_at=row["requested_at"],
    )


def _actions(row: dict[str, Any], held: State | None, stops: desk.Stops, strips: list[Strip]) -> None:
    """What can be done now by this person; nothing final without a reason."""
    now = held.state if held else "in_review"
    person = desk.person()
    if not held and not row["waits"]:
        st.caption("Paid according to its transfer; there is nothing to decide.")
        return
    if now in ("checks_passed", "checks_failed"):
        now = "in_review"
    stops.tell_freeze(row)
    hold = stops.hold(row)
    if hold:
        told = zoned(hold.told, reads.zone_of(row["desk_id"]))
        lines = [
            f"No money goes out: {words.escaped(told)}.",
            "Somebody else than who granted it releases it or takes it back.",
        ]
        look.card("breached", desk.HELD, lines)
    deducted = held.deducted_minor if held else row["deductions"]
    whole = not strips and (words.missing(deducted) or not deducted)
    possible = [one for one in open_to(person, now, held, hold) if one != ("deduct" if whole else "approve")]
    if not possible:
        st.caption(_why_nothing(person, now, held, hold))
        return
    if now == "queued" and not hold and row["recommendation"] in ("review", "reject"):
        advice = f"{words.RECOMMENDATIONS[row['recommendation']]}: {desk.at_a_glance(row)}"
        st.warning(f"Granted, but the review now says {advice}. Read it before money goes out.")
    if {"approve", "deduct"} & set(possible):
        override = bool(strips) or row["recommendation"] not in ("approve", "deduct")
        st.caption(desk.who_must_agree(row["payout_id"], override=override))
    reason, code = desk.reason_inputs(row["payout_id"])
    with st.container(horizontal=True):
        pressed = [action for action in possible if _button(action, first=action in stops.advised(row))]
    for action in pressed:
        used = strips if action == "deduct" else []
        desk.act(row["payout_id"], action, held.version if held else 0, reason=reason, code=code, strips=used)


def _why_nothing(person: Person, now: str, held: State | None, hold: Hold | None) -> str:
    """Why a person has no button here: it is over, they have decided already, or others decide it."""
    if held and person.name in (held.maker, held.checker):
        return "You have decided; somebody else must agree."
    roles = roles_for(now, held, hold)
    if not roles or person.role in roles:
        return "Nothing is left to decide here."
    named = " and ".join(f"{words.plain(role).lower()}s" for role in roles)
    return f"{named[:1].upper()}{named[1:]} decide here; you are signed in as {words.plain(person.role).lower()}."


def _button(action: str, *, first: bool) -> bool:
    """A button for an act; what is advised stands out."""
    return st.button(
        WORDS[action],
        key=f"do-{action}",
        type="primary" if first else "secondary",
        shortcut=SHORTCUTS.get(action),
    )


def _checks(row: dict[str, Any]) -> None:
    """What must be read first, each with its numbers and the rule it follows; below it what was checked besides."""
    listed = desk.checks(row)
    if not listed:
        look.empty("Not reviewed yet", "Checks appear with the next <code>highwater score</code>.")
        return
    zone = reads.zone_of(row["desk_id"])
    to_read = [check for check in listed if check["outcome"] in ("failed", "unknown")]
    for check in to_read:
        with st.expander(desk.headline(check, zone), expanded=True):
            if check.get("rule"):
                st.caption(f"Rule: {words.unlinked(check['rule'])}")
            if check.get("numbers"):
                look.table(_in_words(check, row["currency"], zone))
    held = [check for check in listed if check not in to_read]
    passed = sum(check["outcome"] == "passed" for check in held)
    with st.expander(f"✓ {passed} passed, {len(held) - passed} do not apply", expanded=not to_read):
        for check in held:
            numbers = _in_words(check, row["currency"], zone)
            known = {name: said for name, said in numbers.items() if said != told.NOT_KNOWN}
            said = " · ".join(f"{name} {said}" for name, said in known.items())
            st.markdown(
                desk.headline(check, zone)
                + "".join(f"  \n:small[:gray[{words.marked(one)}]]" for one in (said, check.get("rule")) if one)
            )


def _in_words(check: dict[str, Any], currency: str, zone: str) -> dict[str, str]:
    """A check's numbers in words, times in the desk's zone."""
    return {name: zoned(said, zone) for name, said in told.numbers(check, currency).items()}


def _window(row: dict[str, Any]) -> pd.Timestamp | None:
    """When the window of a request began, None when at the account's opening."""
    since = _numbers(row, "split").get("window_since")
    return pd.Timestamp(since) if since else None


def _numbers(row: dict[str, Any], name: str) -> dict[str, Any]:
    """The numbers of one check of the review."""
    return next((one.get("numbers") or {} for one in desk.checks(row) if one["check"] == name), {})


def _trades(row: dict[str, Any]) -> None:
    """Trades closed since the last payout; ticked profits are stripped, unless a rule has taken them already."""
    found = lake.trades(row["account_id"])
    since = _window(row)
    if len(found):
        found = found[found["closed_at"].notna() & (found["closed_at"] <= row["requested_at"])]
        found = found if since is None else found[found["closed_at"] > since]
    if found.empty:
        look.empty(
            "No trades", "Trades closed between the last payout and the request show here once they have landed."
        )
        return
    rules = {one["trade_id"]: words.rule(one["rule"]) for one in _numbers(row, "stripped_trades").get("trades") or []}
    shown = found.assign(
        net_profit=found["net_profit"].astype(float), taken_by=[rules.get(str(one), "") for one in found["trade_id"]]
    ).reset_index(drop=True)
    columns = ["trade_id", "instrument", "side", "lots", "opened_at", "closed_at", "net_profit", "taken_by"]
    event = desk.table(
        shown[columns],
        reads.zone_of(row["desk_id"]),
        currency=row["currency"],
        on_select="rerun",
        selection_mode="multi-row",
        key=f"trades-{row['payout_id']}",
    )
    st.caption(f"Tick winning trades to see what is paid without them; *{WORDS['deduct']}* then pays that.")
    picked = shown.iloc[event.selection.rows]
    profits = picked[(picked["net_profit"] > 0) & (picked["taken_by"] == "")]
    strips = {
        str(trade): to_minor(str(round(profit, 8)), row["currency"])
        for trade, profit in zip(profits["trade_id"], profits["net_profit"], strict=True)
    }
    held = f"strips-{row['payout_id']}"
    if strips != st.session_state.get(held, {}):
        st.session_state[held] = strips
        st.rerun()


def _path(row: dict[str, Any]) -> None:
    """Equity and floors in the window of the request, or over the account's whole life."""
    steps = paths.steps(row["account_id"])
    if steps is None or steps.empty:
        look.empty("No path", "The account cannot be replayed from the lake.")
        return
    since = _window(row)
    if since is not None and not st.toggle("Since the account's opening", key="whole-path"):
        steps = steps[steps["at"] >= since]
    colours, zone = look.palette(), reads.zone_of(row["desk_id"])
    at = pd.to_datetime(steps["at"], utc=True).dt.tz_convert(zone)
    asked_at = row["requested_at"].astimezone(ZoneInfo(zone)).isoformat()
    figure = go.Figure()
    lines = (
        ("equity", "Equity", colours.fine, "solid"),
        ("daily_floor", "Daily floor", colours.near, "dot"),
        ("max_floor", "Maximum floor", colours.breached, "dash"),
    )
    for name, said, colour, dash in lines:
        if name in steps:
            line = {"color": colour, "shape": "hv", "dash": dash}
            figure.add_scatter(x=at, y=steps[name], name=said, line=line, mode="lines")
    figure.add_vline(x=asked_at, line_dash="longdash", line_color=colours.unknown, name="Requested", showlegend=True)
    figure.update_xaxes(title=place(zone))
    figure.update_yaxes(title=row["currency"], tickformat=",")
    look.chart(figure, "How did the account come to this profit?")


def _linked(row: dict[str, Any]) -> None:
    """Accounts of the owner, accounts that trade as this one, and who else asks for money to the same place."""
    own = desk.accounts_of_owner(row["trader_id"])
    pairs = desk.pairs_of(row["account_id"])
    sharing = desk.asked_to(row["destination"], row["payout_id"])
    parts = (
        ("Accounts of the same owner", own[own["account_id"] != row["account_id"]] if len(own) else own),
        ("Trade as this account", pairs),
        ("Other requests to the same destination", sharing),
    )
    if all(found.empty for _, found in parts):
        look.empty("Nothing is linked", "Other accounts of the owner, copies and shared destinations show here.")
        return
    for title, found in parts:
        if len(found):
            st.markdown(f"**{title}**")
            desk.table(found, reads.zone_of(row["desk_id"]))
    if row["trader_id"]:
        places.link("network", "See the network →", icon=False, trader=row["trader_id"])


def _earlier(row: dict[str, Any]) -> None:
    """Earlier requests of the account, and how requests with the same open checks were decided."""
    found = reads.rows("payout_queue", account_id=row["account_id"], order=["-requested_at"])
    others = found[found["payout_id"] != row["payout_id"]]
    if others.empty:
        look.empty("First request", "Earlier requests of the account show here.")
    else:
        shown = desk.with_reviews(others)
        columns = ["payout_id", "requested_at", "amount", "state", "recommendation", "desk_state", "transfer_amount"]
        desk.table(shown[columns], reads.zone_of(row["desk_id"]))
    mine = {one["check"] for one in desk.checks(row) if one["outcome"] == "failed"}
    decided = desk.states()
    if not mine or decided.empty:
        return
    others = desk.with_reviews(decided[["payout_id"]])
    alike = [
        mine == {c["check"] for c in desk.checks(one) if c["outcome"] == "failed"} for one in reads.records(others)
    ]
    ended = decided[pd.Series(alike, index=decided.index)]["state"].value_counts()
    if len(ended):
        said = ", ".join(f"{words.plain(name).lower()} {count}" for name, count in ended.items())
        st.caption(f"Requests with the same failed checks: {said}.")


def _log(row: dict[str, Any]) -> None:
    """Who moved the request, when and why."""
    moves = desk.decisions(row["payout_id"])
    if moves.empty:
        look.empty("Nobody has acted yet", "Decisions show here with who, when and why.")
        return
    shown = moves.assign(
        **{name: [words.plain(one) for one in moves[name]] for name in ("role", "action")},
        now=[words.plain(one) for one in moves["to_state"]],
        kind=[REASON_CODES.get(one, "") for one in moves["reason_code"]],
        policy=moves["policy_version"],
    )
    columns = ["happened_at", "person", "role", "action", "now", "reason", "kind", "policy"]
    zone = reads.zone_of(row["desk_id"])
    desk.table(shown[columns], zone)
    for one in reads.records(desk.releases(row["payout_id"])):
        at, why = words.instant(one["released_at"], zone), words.marked(one["reason"])
        st.caption(f"Released by **{words.marked(one['person'])}**, {at}, though {zoned(one['told'], zone)}: {why}")


def _notes(payout_id: str, zone: str) -> None:
    for one in reads.records(desk.notes(payout_id)):
        at = words.instant(one["written_at"], zone)
        st.caption(f"**{words.marked(one['person'])}** {at}: {words.marked(one['note'])}")
    if desk.person().may("payouts.note"):
        with st.form(f"note-{payout_id}", clear_on_submit=True, border=False):
            text = st.text_input("Note")
            if st.form_submit_button("Leave note") and text:
                desk.note(payout_id, text)
