"""Partners: who brings value, who brings abuse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, partner_acts, places, privacy, reads, state, words
from dashboards.kit.people import who
from models.metrics import definition
from models.partner_desk import PERMISSION
from pipelines import partner_papers
from pipelines.partner_papers import Statement
from sql import schema

SHOWN_MOST, SHOWN_LEAST = 15, 10
PARTNERS_MOST = 20_000
"""More than any firm has: the tree and the choice of a partner need them all."""
EVERY_DESK = "all"
VIEWS = {"partners": "Partners", "plans": "Plans and dry run", "decisions": "Decisions"}
COLUMNS: dict[str, Any] = {
    "name": st.column_config.TextColumn("Partner", width=170),
    "on_hold": st.column_config.TextColumn(
        "On hold", help="Commissions that a person holds: all that is not paid yet waits.", width=80
    ),
    "plan": st.column_config.TextColumn("Plan", help="The commission plan in force for sales made now."),
    "contribution_usd": st.column_config.NumberColumn(
        "Contribution, USD", format="%,.0f", help=definition("contribution")
    ),
    "abuse_rate": st.column_config.NumberColumn("Abuse rate", format=words.PERCENT, help=definition("abuse_rate")),
    "traders": st.column_config.NumberColumn("Buyers", format="%,d", help=definition("buyers")),
    "challenges": st.column_config.NumberColumn("Sold", format="%,d", help="Purchases credited to the partner."),
    "clicks": st.column_config.NumberColumn("Clicks", format="%,d", help=definition("clicks")),
    "funded": st.column_config.NumberColumn(
        "Funded", format="%,d", help="Of the purchases sold, those with a funded or instant account so far."
    ),
    "fees_usd": st.column_config.NumberColumn("Net fees, USD", format="%,.0f", help=definition("net_fees")),
    "payouts_usd": st.column_config.NumberColumn(
        "Paid to buyers, USD", format="%,.0f", help=definition("payouts_paid")
    ),
    "commission_usd": st.column_config.NumberColumn("Commission, USD", format="%,.0f", help=definition("commission")),
    "top_ten_share": st.column_config.NumberColumn(
        "Ten largest buyers", format=words.PERCENT, help=definition("concentration")
    ),
    "flagged": st.column_config.NumberColumn(
        "Flagged", format="%,d", help="Buyers with a flag on them or their accounts."
    ),
    "refunds": st.column_config.NumberColumn(
        "Refunds", format="%,d", help="Refunds of the purchases sold, whole or in part."
    ),
    "chargebacks": st.column_config.NumberColumn(
        "Chargebacks", format="%,d", help="Payments of the purchases sold that the buyer's bank took back."
    ),
}
STATES = {
    "accrued_usd": ("Accrued", "Within the refund window of the purchase."),
    "held_usd": ("Held", "Until the chargeback window has passed, or while a reason stands."),
    "payable_usd": ("Payable", "May be sent now, what is owed back deducted."),
    "commission_paid_usd": ("Paid", "Covered by transfers to the partner's destination."),
    "taken_back_usd": ("Taken back", "After refunds and chargebacks; deducted from the states beside it."),
}
FUNNEL = {
    "passed": "Passed",
    "funded": "Funded",
    "payout": "Paid out",
    "breached": "Breached",
    "bought_again": "Breached, bought again",
}


def show() -> None:
    """The table of partners, or the one-page profile of the one in the address; plans; what people decided."""
    view = state.tab("View", "view", VIEWS)
    if view == "plans":
        _plans()
        return
    left, right, _ = st.columns(3)
    with right:
        desk = state.desk() or _only_desk()
    found = reads.rows("partners", order=["-contribution_usd"], limit=PARTNERS_MOST, desk_id=desk)
    if found.empty:
        _nobody(desk)
        return
    if view == "decisions":
        partner_acts.decisions(found)
        return
    names = dict(zip(found["partner_id"], found["name"], strict=True))
    with left:
        listed = sorted(names, key=lambda one: str(names[one]).lower())
        chosen = state.one_of("Partner", "partner", listed, shown=lambda one: f"{names[one]} ({one})")
    if chosen is None:
        _every(found)
    else:
        _profile(found[found["partner_id"] == chosen].iloc[0], found)


def _only_desk() -> str:
    """What stands for all of a person's desks: the firm, or the only desk that they have."""
    desks = who().desks
    return desks[0] if desks is not None and len(desks) == 1 else EVERY_DESK


def _nobody(desk: str) -> None:
    if desk == EVERY_DESK and who().desks is not None:
        look.empty("Choose a desk", "To people of some desks a partner's totals are shown desk by desk.")
        return
    look.empty(
        "No partner",
        "Partners come with the dataset <code>partners</code>; what they bring with <code>challenges</code>"
        " and <code>clicks</code>.",
    )


def _plans() -> None:
    if who().desks is not None:
        look.empty("For people of every desk", "A dry run settles the sales of the whole firm.")
        return
    partner_acts.plans()


def _every(found: pd.DataFrame) -> None:
    """All of them: contribution drawn, the table behind it."""
    shown = found if len(found) <= SHOWN_MOST + SHOWN_LEAST else _both_ends(found)
    _drawn(shown)
    if len(shown) < len(found):
        st.caption(
            f"Drawn are the {SHOWN_MOST} who bring most and the {SHOWN_LEAST} who bring least of"
            f" {words.number(len(found))}; the table has all."
        )
    shares = {name: 100 * found[name].astype(float) for name in ("abuse_rate", "top_ten_share")}
    held = found["partner_id"].isin(partner_acts.holds_in_force())
    columns = [name for name in COLUMNS if name != "on_hold" or held.any()]
    event: Any = st.dataframe(
        found.assign(
            on_hold=held.map({True: "▲ held", False: ""}),
            plan=found["plan"].map(partner_acts.plan_names()).fillna(found["plan"]),
            **shares,
        )[columns],
        column_config=COLUMNS,
        hide_index=True,
        height=look.height(len(found)),
        on_select="rerun",
        selection_mode="single-row",
        key="partners",
        placeholder=words.UNKNOWN,
    )
    chosen = event.selection.rows
    if chosen and chosen[0] < len(found):
        row = found.iloc[chosen[0]]
        if st.button(f"Open {words.marked(row['name'])}", type="primary", icon=":material/open_in_new:"):
            places.go("partners", partner=str(row["partner_id"]))
    else:
        st.caption("Select a row to open the partner's page.")


def _both_ends(found: pd.DataFrame) -> pd.DataFrame:
    """Those who bring most and those who bring least; who has no figure is neither."""
    known = found[found["contribution_usd"].notna()]
    return pd.concat([known.head(SHOWN_MOST), known.iloc[SHOWN_MOST:].tail(SHOWN_LEAST)])


def _drawn(found: pd.DataFrame) -> None:
    """Contribution with its interval; those whose buyers are flagged more often than all buyers are marked."""
    colours = look.palette()
    commission = found["commission_usd"].astype(float)
    abused = found[found["abuse_low"].astype(float) > found["abuse_baseline"].astype(float)]
    figure = go.Figure(
        go.Scatter(
            x=found["contribution_usd"],
            y=found["partner_id"],
            text=found["name"],
            mode="markers",
            name="Net contribution",
            marker={"size": 10, "color": colours.fine},
            error_x={
                "type": "data",
                "array": found["net_high_usd"] - commission - found["contribution_usd"],
                "arrayminus": found["contribution_usd"] - (found["net_low_usd"] - commission),
                "color": colours.unknown,
            },
            hovertemplate="%{text}: %{x:,.0f} USD<extra></extra>",
        )
    )
    figure.add_scatter(
        x=abused["contribution_usd"],
        y=abused["partner_id"],
        text=[f"{row['name']}, {words.share(row['abuse_rate'], 1)}" for row in reads.records(abused)],
        mode="markers",
        name="Abuse rate clear of all buyers'",
        marker={"size": 12, "symbol": "x", "color": colours.breached},
        hovertemplate="%{text}, all buyers " + _baseline(found) + "<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": colours.unknown, "dash": "dot"})
    figure.update_xaxes(title="USD, net fees less payouts less commission, with 95 % interval", tickformat=",.0f")
    figure.update_yaxes(
        autorange="reversed",
        type="category",
        categoryarray=found["partner_id"],
        tickvals=found["partner_id"],
        ticktext=found["name"],
    )
    look.chart(figure, "Who brings more than their buyers cost?", height=130 + 26 * len(found))


def _baseline(found: pd.DataFrame) -> str:
    known = found["abuse_baseline"].dropna()
    return words.UNKNOWN if known.empty else words.share(known.iloc[0], 1)


def _profile(partner: pd.Series, everyone: pd.DataFrame) -> None:
    """One page about one partner."""
    partner_id, desk = str(partner["partner_id"]), str(partner["desk_id"])
    rate, from_, to = (words.share(partner[name], 1) for name in ("abuse_rate", "abuse_low", "abuse_high"))
    net, low, high = (words.whole(partner[name]) for name in ("net_usd", "net_low_usd", "net_high_usd"))
    look.facts(
        {
            "Partner": words.escaped(partner_id),
            "Plan": words.escaped(partner_acts.plan_name(partner["plan"])),
            "Joined": words.instant_html(partner["joined_at"]),
            "Net fees less payouts, USD": f"{net} ({low} to {high})",
            "Contribution, USD": words.whole(partner["contribution_usd"]),
            "Abuse rate": f"{rate} ({from_} to {to}), all buyers {words.share(partner['abuse_baseline'], 1)}",
            "Of the firm's fees" if desk == EVERY_DESK else "Of the desk's fees": words.share(partner["fees_share"], 1),
            "Ten largest buyers": f"{words.share(partner['top_ten_share'])} of its fees",
        }
    )
    partner_acts.on_hold(partner_id)
    _states(partner)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _funnel(partner_id, desk)
    with right:
        _tree(partner_id, everyone)
    _abuse(partner_id)
    _rings(partner_id)
    _statement(partner_id)
    _owed(partner_id, None if desk == EVERY_DESK else desk)
    if who().may(PERMISSION):
        partner_acts.change(partner, everyone)


def _states(partner: pd.Series) -> None:
    for column, (name, (label, meaning)) in zip(st.columns(len(STATES)), STATES.items(), strict=True):
        with column:
            st.metric(f"{label}, USD", words.whole(partner[name]), help=meaning, border=True)
    without = int(partner["commissions_without_rate"])
    if without:
        st.caption(
            f"? {words.counted(without, 'entry', 'entries')} in a currency without a rate are not in these sums."
        )


def _funnel(partner_id: str, desk: str) -> None:
    found = reads.rows("partner_funnel", order=["place"], partner_id=partner_id, desk_id=desk)
    if found.empty:
        look.empty("Nothing sold yet", "The funnel fills with the first purchase that is credited to the partner.")
        return
    colours = look.palette()
    names = [FUNNEL[stage] for stage in found["stage"]]
    figure = go.Figure()
    figure.add_scatter(
        x=found["rate"],
        y=names,
        mode="markers",
        name="This partner, with 95 % interval",
        marker={"size": 11, "color": colours.series[0]},
        error_x={
            "type": "data",
            "array": found["rate_high"] - found["rate"],
            "arrayminus": found["rate"] - found["rate_low"],
            "color": colours.series[0],
        },
        customdata=found[["reached", "challenges"]],
        hovertemplate="%{y}: %{customdata[0]} of %{customdata[1]}, %{x:.1f} %<extra></extra>",
    )
    figure.add_scatter(
        x=found["firm_rate"],
        y=names,
        mode="markers",
        name="All of the firm" if desk == EVERY_DESK else "All of the desk",
        marker={"size": 13, "symbol": "line-ns-open", "color": colours.text, "line": {"width": 3}},
        hovertemplate="%{y}, all buyers: %{x:.1f} %<extra></extra>",
    )
    figure.update_xaxes(rangemode="tozero", title="of challenges, so far")
    look.percent(figure, "x")
    figure.update_yaxes(autorange="reversed", type="category")
    look.chart(figure, "How do its buyers get on?", height=320)


def _tree(partner_id: str, everyone: pd.DataFrame) -> None:
    """Those above and below, each a link."""
    st.subheader("Tree", anchor=False)
    rows = everyone.set_index("partner_id")
    above: list[str] = []
    parent = rows.loc[partner_id, "parent_partner_id"]
    while isinstance(parent, str) and parent in rows.index and parent not in above and parent != partner_id:
        above.insert(0, parent)
        parent = rows.loc[parent, "parent_partner_id"]
    below = everyone.loc[everyone["parent_partner_id"] == partner_id, "partner_id"].tolist()
    if not above and not below:
        st.caption("Nobody recruited this partner, and it recruited nobody.")
    for depth, one in enumerate([*above, partner_id]):
        _branch(one, rows, depth, here=one == partner_id)
    for one in below:
        _branch(one, rows, len(above) + 1)


def _branch(partner_id: str, rows: pd.DataFrame, depth: int, *, here: bool = False) -> None:
    row = rows.loc[partner_id]
    told = f"{row['name']} ({words.whole(row['contribution_usd'])} USD)"
    indent = "   " * depth + ("└ " if depth else "")
    if here:
        st.markdown(f"{indent}**{words.unlinked(told)}**")
    else:
        places.link("partners", indent + told, icon=False, partner=partner_id)


def _abuse(partner_id: str) -> None:
    table = schema.SIGNALS
    held = reads.decided(
        table, table.c.subject_kind == "partner", table.c.subject_id == partner_id, order=table.c.strength.desc()
    )
    for row in reads.records(held):
        told = words.parsed(row["evidence"]) or {}
        shown = "breached" if told.get("is_flag") else "near"
        title = f"{words.plain(row['detector'])}, {words.share(row['strength'])} likely"
        look.card(
            shown, words.escaped(title), [words.escaped(told.get("sentence")), words.escaped(told.get("respond"))]
        )


def _rings(partner_id: str) -> None:
    found = reads.rows("partner_rings", order=["-accounts", "ring_id"], partner_id=partner_id)
    if found.empty:
        return
    st.subheader("Rings among its buyers and those below it", anchor=False)
    for row in reads.records(found.head(reads.LIST_ROWS)):
        told = (
            f"{words.plain(row['kind'])}: {row['accounts']} of {words.counted(row['ring_accounts'], 'account')} came"
            f" through {words.counted(row['partners'], 'partner')} here →"
        )
        places.link("rings", told, icon=False, ring=str(row["ring_id"]))
    if len(found) > reads.LIST_ROWS:
        st.caption(f"and {len(found) - reads.LIST_ROWS} more, with fewer accounts each")


def _statement(partner_id: str) -> None:
    """The statement of a month or of any days, on the page and as a file; it covers every desk, so not for all."""
    if who().desks is not None:
        return
    st.subheader("Statement", anchor=False)
    stands = reads.stamp().as_of or dt.datetime.now(dt.UTC)
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        period: Any = st.date_input(
            "Period, UTC", (stands.date().replace(day=1), stands.date()), key=f"period-{partner_id}"
        )
    if len(period) != 2:
        st.caption("Choose the first and the last day.")
        return
    house = reads.warehouse().database
    with house.connect() as database:
        lines = partner_papers.summed(database, partner_id, period[0], period[1])
    if lines.empty:
        st.caption("Nothing was earned or sent until the end of this period.")
        return
    st.dataframe(
        look.amounts(lines, list(partner_papers.TITLES), lines["currency"]),
        hide_index=True,
        column_config={"currency": "Currency"} | partner_papers.TITLES,
    )
    with right, st.container(horizontal=True):
        stem = f"statement-{partner_id}-{period[0]}-{period[1]}"
        for label, kind, written in (
            ("CSV", "text/csv", partner_papers.as_csv),
            ("PDF", "application/pdf", partner_papers.as_pdf),
        ):
            st.download_button(
                f"Statement as {label}",
                partial(_paper, house, partner_id, period, written, partial(privacy.taken, who())),
                f"{stem}.{label.lower()}",
                kind,
                icon=":material/download:",
                # the page is not drawn anew under what the browser asks for
                on_click="ignore",
            )


def _paper(
    house: sa.Engine,
    partner_id: str,
    period: tuple[dt.date, dt.date],
    written: Callable[[Statement], str | bytes],
    taken: Callable[[str, int, sa.Engine], None],
) -> str | bytes:
    """A statement written when it is asked for: the entries of a large partner are many, and its PDF takes seconds."""
    with house.connect() as database:
        made = partner_papers.make(database, partner_id, *period)
    taken(f"statement {partner_id}", len(made.entries), house)
    return written(made)


def _owed(partner_id: str, desk: str | None) -> None:
    """Every entry, newest first, each with its state and since when it is due."""
    entries = reads.rows("commission_entries", order=["-happened_at"], partner_id=partner_id, desk_id=desk)
    if entries.empty:
        look.empty(
            "No commission yet", "Commissions follow from the partner's plan when <code>highwater score</code> runs."
        )
        return
    shown = entries.drop(columns=["partner_id", "desk_id", "plan_version"]).assign(
        event=[words.plain(one) for one in entries["event"]],
        state=[words.plain(one) for one in entries["state"]],
        plan=entries["plan"].map(partner_acts.plan_names()).fillna(entries["plan"]),
    )
    told = "Every entry, newest first" if len(shown) < reads.MOST_ROWS else f"The newest {reads.MOST_ROWS} entries"
    with st.expander(told):
        st.dataframe(
            look.amounts(shown, ["amount"], shown["currency"]),
            hide_index=True,
            height=look.height(len(shown)),
            placeholder=words.UNKNOWN,
            column_config={
                name: st.column_config.DatetimeColumn(label, format=words.MINUTE)
                for name, label in (("happened_at", "When, UTC"), ("due_at", "Due, UTC"))
            }
            | {
                "challenge_id": "Challenge",
                "trader_id": "Trader",
                "event": "For",
                "level": "Level",
                "amount": "Amount",
                "currency": "Currency",
                "state": "State",
                "plan": "Plan",
                "held_because": "Held because",
            },
        )
