"""What people do about partners: holds, moves, reassigned purchases, coupons; plans, and the dry run of another."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import look, paths, reads, words
from dashboards.kit.people import who
from models import partner_desk
from models.access import AccessRefused
from models.catalogue import RulebookRefused
from models.commissions import Plans, load_plans, read_plan
from models.commissions.plans import PlanRefused
from models.partner_desk import PartnerRefused
from pipelines import plan_trial
from pipelines.plan_trial import TrialRefused

TOLD = "partner-told"
NEXT_RUN = "It counts from the next run on."


def _act(done: str, act: Callable[[Any], object]) -> None:
    """Decides in one transaction; says what became of it after the page has been drawn anew."""
    try:
        with reads.warehouse().database.begin() as database:
            act(database)
    except (PartnerRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    st.session_state[TOLD] = f"{done} {NEXT_RUN}"
    st.rerun()


def change(partner: pd.Series, everyone: pd.DataFrame) -> None:
    """Forms that hold a partner's commissions, move it, reassign a purchase and give a coupon away."""
    if TOLD in st.session_state:
        st.toast(st.session_state.pop(TOLD))
    partner_id = str(partner["partner_id"])
    is_held = held_by(partner_id) is not None
    with st.expander("Release its commissions" if is_held else "Hold its commissions", icon=":material/pause_circle:"):
        _hold(partner_id, is_held=is_held)
    with st.expander("Change plan or place in the tree", icon=":material/account_tree:"):
        _move(partner, everyone)
    with st.expander("Credit a purchase otherwise", icon=":material/call_split:"):
        _reassign(partner_id)
    with st.expander("Say whose a coupon is", icon=":material/confirmation_number:"):
        _coupon(partner_id)


def holds_in_force() -> dict[str, dict[str, Any]]:
    """The decision by which the commissions of each partner on hold wait."""
    with reads.warehouse().database.connect() as database:
        return partner_desk.on_hold(database)


def held_by(partner_id: str) -> dict[str, Any] | None:
    """The decision by which a partner's commissions wait, None when they do not."""
    return holds_in_force().get(partner_id)


def on_hold(partner_id: str) -> None:
    """Tells by whom, when and why a partner's commissions were put on hold."""
    held = held_by(partner_id)
    if held is None:
        return
    who_and_when = f"{words.escaped(held['person'])}, {words.instant_html(held['decided_at'])}"
    waits = "From the next run on all that is not paid yet waits, until the hold is released."
    look.card("near", "▲ Commissions on hold", [f"{who_and_when}: {words.escaped(held['reason'])}", waits])


def _hold(partner_id: str, *, is_held: bool) -> None:
    with st.form(f"hold-{partner_id}", border=False):
        reason = st.text_input("Reason", placeholder="Settled with the partner on …" if is_held else "We look into …")
        st.caption(
            "What has fallen due may be paid again."
            if is_held
            else "What was paid stays paid, what is owed back stays owed. The partner's statement says that commissions"
            " are on hold, not why."
        )
        if st.form_submit_button("Release" if is_held else "Hold"):
            told = f"{partner_id} is {'no longer ' if is_held else ''}on hold."
            _act(told, lambda db: partner_desk.hold(db, who(), partner_id, reason, on=not is_held))


def _move(partner: pd.Series, everyone: pd.DataFrame) -> None:
    partner_id = str(partner["partner_id"])
    names = dict(zip(everyone["partner_id"], everyone["name"], strict=True))
    nobody = "nobody"
    above = [nobody, *(one for one in names if one != partner_id)]
    held = partner["parent_partner_id"]
    names_of = plan_names()
    plans = sorted(names_of)
    with st.form(f"move-{partner_id}", border=False):
        columns = st.columns(3)
        parent = columns[0].selectbox(
            "Recruited by",
            above,
            index=above.index(held) if held in above else 0,
            format_func=lambda one: "Nobody" if one == nobody else f"{names[one]} ({one})",
        )
        plan = columns[1].selectbox(
            "Plan",
            plans,
            index=plans.index(partner["plan"]) if partner["plan"] in plans else 0,
            format_func=lambda one: names_of[one],
        )
        since = columns[2].date_input("From, UTC", (reads.stamp().as_of or dt.datetime.now(dt.UTC)).date())
        reason = st.text_input("Reason", placeholder="Signed for the new plan on …")
        st.caption("Purchases before that day keep who stood above and the plan of their time.")
        if st.form_submit_button("Change"):
            at = dt.datetime.combine(since, dt.time(), dt.UTC)
            told = f"{partner_id} is on the plan {plan_name(plan)} from {since:%d %b %Y}."
            above_it = None if parent == nobody else str(parent)
            _act(told, lambda db: partner_desk.move(db, who(), partner_id, above_it, str(plan), at, reason))


def _reassign(partner_id: str) -> None:
    with st.form(f"reassign-{partner_id}", border=False):
        left, right = st.columns(2)
        challenge = left.text_input("Challenge", placeholder="C0001234")
        shares = right.text_input(
            "Shares", f"{partner_id}=1", help="partner=share, separated by commas; they sum to one. Empty: nobody."
        )
        reason = st.text_input("Reason", placeholder="The buyer wrote that …")
        if st.form_submit_button("Credit"):
            try:
                told = _shares(shares)
            except PartnerRefused as refused:
                look.refused(refused)
                return
            _act(
                f"{challenge} is credited anew.",
                lambda db: partner_desk.reassign(db, who(), challenge.strip(), told, reason),
            )


def _shares(text: str) -> dict[str, Decimal]:
    """Shares by partner from `P1=0.6, P2=0.4`."""
    told: dict[str, Decimal] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        partner, _, share = part.partition("=")
        try:
            told[partner.strip()] = Decimal(share.strip() or "1")
        except InvalidOperation as error:
            raise PartnerRefused(f"{part}: write partner=share, e.g. P1=0.6, P2=0.4") from error
    return told


def _coupon(partner_id: str) -> None:
    with st.form(f"coupon-{partner_id}", border=False):
        coupon = st.text_input("Coupon that belongs to this partner")
        reason = st.text_input("Reason", placeholder="Agreed on …")
        if st.form_submit_button("Give"):
            _act(
                f"{coupon} belongs to {partner_id}.",
                lambda db: partner_desk.give_coupon(db, who(), coupon, partner_id, reason),
            )


def decisions(everyone: pd.DataFrame) -> None:
    """What people decided about partners, newest first."""
    with reads.warehouse().database.connect() as database:
        held = [row for kind in ("purchase", "move", "coupon") for row in partner_desk.held(database, kind)]
        holds = partner_desk.hold_decisions(database)
    held += [
        row | {"kind": "hold", "subject_id": row["partner_id"], "body": {"is_held": row["is_held"]}} for row in holds
    ]
    if not held:
        look.empty(
            "Nothing was decided yet",
            "Open a partner to hold its commissions, to change its plan or place in the tree, to credit a purchase"
            " otherwise or to give it a coupon. Each decision is here and in the audit log.",
        )
        return
    names, plans = dict(zip(everyone["partner_id"], everyone["name"], strict=True)), plan_names()
    rows = [
        {
            "When": words.instant(row["decided_at"]),
            "What": words.plain(row["kind"]),
            "Of": row["subject_id"],
            "Decision": _told(row["kind"], row["body"], names, plans),
            "By": f"{row['person']} ({row['role']})",
            "Reason": row["reason"],
        }
        for row in sorted(held, key=lambda one: one["decided_at"], reverse=True)
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height=look.height(len(rows)))


def _told(kind: str, body: dict[str, Any], names: dict[str, str], plans: dict[str, str]) -> str:
    if kind == "purchase":
        return ", ".join(f"{names.get(one, one)} {share}" for one, share in body.items()) or "nobody"
    if kind == "hold":
        return "commissions wait" if body["is_held"] else "commissions may be paid again"
    if kind == "coupon":
        return names.get(body["partner"], "whoever uses it")
    above = names.get(body["parent"], body["parent"]) if body["parent"] else "nobody"
    since = dt.date.fromisoformat(body["since"][:10])
    return f"under {above}, plan {plans.get(body['plan'], body['plan'])}, from {since:%d %b %Y}"


def plan_names() -> dict[str, str]:
    """The names of the plans in force by id; none where their folder cannot be read."""
    try:
        return {plan_id: plan.name for plan_id, plan in load_plans().known.items()}
    except PlanRefused:
        return {}


def plan_name(plan_id: Any) -> str:
    """A plan's name; its id where no plan of it is in force."""
    return plan_names().get(str(plan_id), str(plan_id))


def plans() -> None:
    """The plans in force, and what another version of one would have paid."""
    try:
        held = load_plans()
    except PlanRefused as refused:
        look.empty("No plans", words.escaped(refused))
        return
    for reason in held.refused.values():
        look.card("breached", "✕ A plan is refused; its partners earn nothing", [words.escaped(reason)])
    if not held.known:
        look.empty("No plan can be used", "Plans are TOML files in the folder that <code>HIGHWATER_PLANS</code> names.")
        return
    left, right = st.columns([2, 3], gap="medium")
    with left:
        name = str(st.selectbox("Plan", sorted(held.known), format_func=lambda one: f"{held.known[one].name} ({one})"))
        text = held.known[name].text
        changed = st.text_area("The plan as it stands; change it to try another", text, height=420, key=f"plan-{name}")
        sent = st.button(
            "Dry run", type="primary", icon=":material/play_arrow:", disabled=changed.strip() == text.strip()
        )
        if changed.strip() != text.strip():
            st.download_button(
                "Changed plan as TOML", changed, f"{name}.toml", "text/plain", icon=":material/download:"
            )
    with right:
        key = f"trial-{name}"
        if sent:
            st.session_state[key] = changed
        if st.session_state.get(key) != changed:
            look.empty(
                "Change a figure, then dry-run",
                "All of history is settled under the changed plan and stands beside what partners earned. Nothing is"
                " kept; a plan in force is changed by a new version in its file.",
            )
            return
        _trial(changed)


@st.cache_data(show_spinner="Settling all of history twice …", max_entries=20)
def _tried(place: str, run_id: int, text: str) -> pd.DataFrame:
    plan = read_plan(text)
    return plan_trial.try_plans(reads.warehouse(), paths.rulebook(), plan_trial.with_plan(Plans({plan.id: plan})))


def _sums(found: pd.DataFrame) -> None:
    """What all partners earn today and under the change, by currency, and how many gain and lose."""
    by = found.assign(gain=found["difference"] > 0, lose=found["difference"] < 0).groupby("currency", as_index=False)
    sums = by[["today", "changed", "difference", "gain", "lose"]].sum()
    known = look.amounts(sums, ["today", "changed"], sums["currency"])
    st.dataframe(
        look.amounts(known, ["difference"], sums["currency"], signed=True),
        hide_index=True,
        column_config={
            "currency": "Currency",
            "today": "All partners today",
            "changed": "Changed",
            "difference": "Difference",
            "gain": st.column_config.NumberColumn("Gain", format="%,d", help="Partners who would have earned more."),
            "lose": st.column_config.NumberColumn("Lose", format="%,d", help="Partners who would have earned less."),
        },
    )


def _trial(text: str) -> None:
    try:
        found = _tried(reads.warehouse().database_url, reads.stamp().run_id, text)
    except (PlanRefused, TrialRefused, RulebookRefused) as refused:
        look.card("breached", "This plan does not hold", [words.escaped(refused)])
        return
    moved = found[found["difference"] != 0]
    _sums(found)
    if moved.empty:
        st.caption("No partner would have earned anything else.")
        return
    known = look.amounts(moved, ["today", "changed"], moved["currency"])
    st.dataframe(
        look.amounts(known, ["difference"], moved["currency"], signed=True),
        hide_index=True,
        height=look.height(len(moved)),
        column_config={
            "partner_id": "Partner",
            "name": "Name",
            "currency": "Currency",
            "today": "Today",
            "changed": "Changed",
            "difference": "Difference",
        },
    )
    st.caption(
        "Who loses most stands first, currencies compared in US dollars at the newest rate. A version binds sales from"
        " its effective_from on: to try a figure on all of history, change it in the version of that time."
    )
