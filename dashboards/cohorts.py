"""Cohorts: are newer cohorts better or worse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, places, reads, state, words
from models import cohorts
from models.metrics import definition

ORDER = ("purchase", *cohorts.STAGES)
VIEWS = {
    "funnel": "Funnel",
    "age": "By age",
    "payouts": "Payout ratio",
    "value": "Value of a buyer",
    "terms": "Before and after new terms",
}
CUTS = {"size_name": "Size", "channel": "Channel", "country": "Country"}
SHARES = {"ratio": "Share of fees", "challenge": "Per challenge", "person": "Per person"}
COUNTED = {"challenges": "Per challenge", "people": "Per person"}
MILESTONES = {
    "passed": "Passed",
    "breached": "Breached",
    "funded": "Funded",
    "first_payout": "First payout",
    "bought_again": "Bought again after a breach",
}
DAYS_TO = {name: name for name in MILESTONES} | {"first_payout": "payout", "bought_again": "again"}
"""The stage of a purchase whose days a milestone of the curves counts."""
FUNNEL_DAYS = tuple(f"{stage}_days" for stage in cohorts.STAGES)
DAYS = (*FUNNEL_DAYS, "breached_days", "again_days")
READ: dict[str, tuple[str, ...]] = {
    "funnel": (*FUNNEL_DAYS, "person", "cohort_month", "running", "fees", "payouts", "unknown_amounts"),
    "age": ("cohort_month", "person", "purchased_at"),
}
"""What a view reads of every purchase: those of a large firm are many."""


def show() -> None:
    """One desk's purchases, cut as asked, as funnel, by age, by what they paid out and were worth."""
    facets = reads.mart("cohort_facets")
    names = state.desk_names()
    if facets is None or not names:
        look.empty(
            "No cohorts yet",
            "A cohort is the challenges bought in one month; they come with the dataset <code>challenges</code>.",
        )
        return
    columns = st.columns(5)
    with columns[0]:
        desk = str(state.one_of("Desk", "desk", list(names), shown=names.__getitem__, every=False))
    held = reads.fetch(sa.select(facets).where(facets.c.desk_id == desk))
    with columns[1]:
        product = state.one_of("Product", "product", sorted(held["product"].unique()))
    chosen: dict[str, Any] = {"product": product}
    for column, (name, label) in zip(columns[2:], CUTS.items(), strict=True):
        order = held.sort_values("size") if name == "size_name" else held.sort_values(name)
        with column:
            listed = [str(one) for one in order[name].dropna().unique()]
            chosen[name] = state.one_of(label, name, listed, shown=str if name != "channel" else words.plain)
    if len(names) > 1:
        st.caption("One desk at a time: what its purchases cost and paid is in its currency.")
    view = state.tab("View", "view", VIEWS)
    desks = reads.rows("desks", desk_id=desk)
    currency = str(desks["currency"].iloc[0]) if len(desks) else ""
    if view == "value":
        _value(desk, product, chosen["channel"])
        return
    if view == "terms":
        _terms(product)
        return
    if view == "funnel":
        _funnels(desk, chosen, currency)
        return
    milestone = state.tab("Milestone", "milestone", MILESTONES) if view == "age" else None
    if milestone is None:
        found = _months(desk, chosen)
    else:
        found = _challenges(desk, chosen, (*READ["age"], *cohorts.SPAN_DAYS[milestone]))
    if found.empty:
        _nothing()
        return
    months = sorted(found["cohort_month"].unique(), reverse=True)
    if milestone is not None:
        _survival(found, milestone)
        _behind(desk, chosen, months, currency, stage=DAYS_TO[milestone])
        return
    _unknown(int(found["unknown"].sum()))
    ages = _triangle(found, _money(desk, chosen), currency)
    _behind(desk, chosen, months, currency, ages=ages)


def _funnels(desk: str, chosen: dict[str, Any], currency: str) -> None:
    """Each month's funnel, its figures and the accounts behind them."""
    by_person = state.tab("Counted", "counted", COUNTED) == "people"
    counted = _counted(desk, chosen, "people" if by_person else "challenges")
    if counted is None:
        found = _challenges(desk, chosen, READ["funnel"])
        unknown = int((found["unknown_amounts"].fillna(0) > 0).sum())
        months = found if found.empty else cohorts.funnel(found, by_person=by_person)
    else:
        unknown = int(counted["unknown"].sum())
        months = counted if counted.empty else cohorts.funnel_of(counted)
    if months.empty:
        _nothing()
        return
    _unknown(unknown)
    _funnel(months)
    _table(months, currency, by_person)
    _behind(desk, chosen, sorted(months["cohort_month"].unique(), reverse=True), currency)


def _counted(desk: str, chosen: dict[str, Any], counted: str) -> pd.DataFrame | None:
    """Months as they were counted beforehand; None where purchases are cut by two things, which leaves few to count."""
    cuts = {name: value for name, value in chosen.items() if value is not None} or {"": ""}
    table = reads.mart("cohort_funnel")
    if len(cuts) > 1 or table is None:
        return None
    ((cut_by, cut),) = cuts.items()
    found = reads.fetch(reads.filtered(table, desk_id=desk, cut_by=cut_by, cut=cut, counted=counted))
    numbers = [name for name in found if name not in ("desk_id", "cut_by", "cut", "cohort_month", "counted")]
    return found.astype(dict.fromkeys(numbers, "float64")).astype(dict.fromkeys(("accounts", *cohorts.STAGES), "int64"))


def _nothing() -> None:
    look.empty("Nothing was sold here", "No purchase of this desk fits all of these cuts.")


def _challenges(desk: str, chosen: dict[str, Any], columns: Sequence[str]) -> pd.DataFrame:
    """Columns of the purchases of a desk that fit the cuts, with their age where it can be told."""
    table = reads.mart("cohort_challenges")
    if table is None:
        return pd.DataFrame(columns=list(columns))
    # instants as the database tells them: to make one after the other an aware time takes as long as all the rest
    told: list[Any] = [sa.type_coerce(table.c[name], sa.Text).label(name) for name in columns]
    found = reads.fetch(reads.filtered(table, desk_id=desk, **chosen).with_only_columns(*told))
    kinds: dict[str, Any] = dict.fromkeys(DAYS, "float64") | {"running": bool}
    found = found.astype({name: kind for name, kind in kinds.items() if name in found})
    return cohorts.aged(found, reads.stands_at()) if "purchased_at" in found else found


def _months(desk: str, chosen: dict[str, Any]) -> pd.DataFrame:
    """The purchases of a desk that fit the cuts, counted by month."""
    table = reads.mart("cohort_challenges")
    if table is None:
        return pd.DataFrame()
    counted = (
        table.c.cohort_month,
        sa.func.count().label("challenges"),
        sa.func.count(table.c.person.distinct()).label("people"),
        sa.func.min(table.c.purchased_at).label("first_at"),
        sa.func.max(table.c.purchased_at).label("last_at"),
        sa.func.sum(sa.case((table.c.unknown_amounts > 0, 1), else_=0)).label("unknown"),
    )
    query = reads.filtered(table, desk_id=desk, **chosen).with_only_columns(*counted).group_by(table.c.cohort_month)
    return reads.fetch(query)


def _money(desk: str, chosen: dict[str, Any]) -> pd.DataFrame:
    """What these purchases paid in and were paid, by month and age."""
    table = reads.mart("cohort_money")
    if table is None:
        return pd.DataFrame(columns=["cohort_month", "age", "fee", "payout"])
    keys = (table.c.cohort_month, table.c.age)
    sums = (sa.func.sum(table.c[name]).label(name) for name in ("fee", "payout"))
    return reads.fetch(reads.filtered(table, desk_id=desk, **chosen).with_only_columns(*keys, *sums).group_by(*keys))


def _unknown(unknown: int) -> None:
    if unknown:
        st.caption(f"? The money of {words.counted(unknown, 'challenge')} is not known whole: a rate is missing.")


def _funnel(months: pd.DataFrame) -> None:
    stages = [stage for stage in ORDER if stage in set(months["stage"]) and stage not in ("purchase", "evaluation_1")]
    if not stages:
        look.empty("No cohort has moved on yet", "Bars appear when a challenge reaches its next stage.")
        return
    figure, colours = go.Figure(), look.palette().series
    for place, stage in enumerate(stages):
        rows = months[months["stage"] == stage]
        told = rows[["reached", "accounts", "median_days"]].assign(month=rows["cohort_month"], stage=stage)
        figure.add_bar(
            name=words.stage(stage),
            x=rows["cohort_month"],
            y=rows["reached"] / rows["accounts"],
            customdata=told,
            hovertemplate="%{customdata[0]} of %{customdata[1]}, median %{customdata[2]:.1f} days<extra>"
            + words.stage(stage)
            + "</extra>",
            marker={
                "color": colours[place % len(colours)],
                "pattern": {
                    "shape": ["/" if running > 0 else "" for running in rows["running"]],
                    "size": 6,
                    "solidity": 0.35,
                },
            },
        )
    figure.update_yaxes(title="of what was bought", rangemode="tozero")
    look.percent(figure, "y")
    figure.update_xaxes(type="category", title="month of purchase")
    picked = look.pick(figure, "How far did each month's purchases get?", height=380, key="funnel")
    if picked:
        st.query_params["month"], st.query_params["reached"] = str(picked[0][3]), str(picked[0][4])
    st.caption(
        "Hatched: some challenges of that month still run, so the bar can only grow."
        " Click a bar for the accounts behind it."
    )


def _survival(found: pd.DataFrame, milestone: str) -> None:
    """The curves of a milestone by age."""
    spans = cohorts.spans(found.assign(product="", desk_id=""), [milestone])
    if spans.empty:
        look.empty(
            "No purchase could get there yet",
            "Instant accounts have nothing to pass; who never breached buys none again.",
        )
        return
    curves = cohorts.thinned(cohorts.curves(spans))
    figure, colours = go.Figure(), look.palette()
    for place, (month, rows) in enumerate(curves.groupby("cohort_month")):
        colour = colours.text if month == "all" else colours.series[place % len(colours.series)]
        line = {"x": rows["day"], "line_shape": "hv", "mode": "lines"}
        if month == "all":
            edge = {"width": 0}
            figure.add_scatter(y=1 - rows["low"], line=edge, showlegend=False, hoverinfo="skip", **line)
            figure.add_scatter(
                y=1 - rows["high"],
                line=edge,
                fill="tonexty",
                fillcolor=colours.band,
                name="95 % band, every month",
                hoverinfo="skip",
                **line,
            )
        name = "every month" if month == "all" else str(month)
        figure.add_scatter(
            y=rows["reached"], name=name, line={"color": colour, "width": 3 if month == "all" else 1.5}, **line
        )
    figure.update_yaxes(rangemode="tozero", title="of challenges")
    look.percent(figure, "y")
    figure.update_xaxes(title="days since the purchase (since the breach, for what was bought again)")
    look.chart(figure, f"{MILESTONES[milestone]}: how many, by age?", height=420)
    every = curves[curves["cohort_month"] == "all"]
    half = cohorts.median_days(every)
    told = "fewer than half got there so far" if words.missing(half) else f"half got there within {half:.1f} days"
    st.caption(f"{definition('reached_by_age')} Of every month {told}.")


def _triangle(months: pd.DataFrame, money: pd.DataFrame, currency: str) -> int:
    """What each month paid out by age, its cells leading to who was paid; gives the number of ages."""
    shown = state.tab("Paid out", "of", SHARES)
    told = cohorts.triangle(months, money, reads.stands_at())
    values, done = (
        told.pivot_table(index="cohort_month", columns="age", values=one, dropna=False, aggfunc="max").astype("float64")
        for one in (shown, "complete")
    )
    say: Any = words.share if shown == "ratio" else words.whole
    texts = [
        [
            "" if words.missing(one) else say(one) + ("" if whole == 1 else " ⋯")
            for one, whole in zip(line, wholes, strict=True)
        ]
        for line, wholes in zip(values.to_numpy(), done.to_numpy(), strict=True)
    ]
    colours = look.palette()
    figure = go.Figure(
        go.Heatmap(
            z=values.to_numpy(),
            x=[str(int(age) + 1) for age in values.columns],
            y=list(values.index),
            text=texts,
            texttemplate="%{text}",
            textfont={"color": colours.text},
            colorscale=[[0, look.CLEAR], [1, colours.heat]],
            zmin=0,
            showscale=False,
            xgap=3,
            ygap=3,
            hoverinfo="skip",
        )
    )
    cells = told[told[shown].notna()].assign(age=told["age"].astype(int) + 1)
    figure.add_scatter(  # a heat map's cells cannot be clicked
        x=cells["age"].astype(str),
        y=cells["cohort_month"],
        mode="markers",
        marker={"symbol": "square", "size": 36, "opacity": 0},
        showlegend=False,
        customdata=cells[["cohort_month", "age"]].assign(told=[say(one) for one in cells[shown]]),
        hovertemplate="bought %{y}, after %{x} × 30 days: %{customdata[2]}<extra></extra>",
    )
    figure.update_layout(hoverdistance=-1)
    figure.update_xaxes(title="age in periods of 30 days", type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    asked = {
        "ratio": "What share of its fees has each month paid out, by age?",
        "challenge": f"What has each month paid out per challenge, by age, in {currency}?",
        "person": f"What has each month paid out per person, by age, in {currency}?",
    }
    picked = look.pick(figure, asked[shown], height=110 + 44 * len(values), key="triangle")
    if picked:
        st.query_params["month"], st.query_params["reached"] = str(picked[0][0]), "payout"
        st.query_params["age"] = str(picked[0][1])
    meant = definition("payout_ratio" if shown == "ratio" else "payouts_paid")
    st.caption(
        f"{meant} ⋯ some challenges of that month have not reached this age yet."
        " Click a cell for the accounts that were paid."
    )
    return len(values.columns)


def _value(desk: str, product: str | None, channel: str | None) -> None:
    found = reads.rows("lifetime_value", order=["product", "channel"], desk_id=desk, product=product, channel=channel)
    if found.empty:
        look.empty("No buyer yet", "The value of a buyer is what fees brought less payouts and commissions.")
        return
    shown = found.assign(
        product=[words.plain(one) for one in found["product"]],
        channel=[words.plain(one) for one in found["channel"]],
        negative_share=100 * found["negative_share"],
        mean=[
            f"{words.whole(mean)} ± {words.whole(margin)}"
            for mean, margin in zip(found["value_mean_usd"], found["value_margin_usd"], strict=True)
        ],
    )
    whole = {"value_p01_usd": "1 in 100 below", "value_p05_usd": "1 in 20 below", "value_p50_usd": "Half below"}
    whole |= {"value_p95_usd": "19 in 20 below"}
    columns: dict[str, Any] = {
        "product": "First product",
        "channel": "Channel",
        "traders": st.column_config.NumberColumn("Buyers", format="%,d"),
        "purchases_mean": st.column_config.NumberColumn("Purchases each", format="%.2f"),
        "mean": st.column_config.TextColumn("Mean, USD", help=definition("lifetime_value"), alignment="right"),
        "negative_share": _share("Cost more than they paid"),
    } | {name: st.column_config.NumberColumn(f"{label}, USD", format="%,.0f") for name, label in whole.items()}
    st.subheader("What is a buyer worth so far?", anchor=False)
    st.dataframe(
        shown[list(columns)],
        hide_index=True,
        height=look.height(len(shown)),
        column_config=columns,
        placeholder=words.UNKNOWN,
    )
    st.caption(
        "± is the 95 % margin of the mean. The low quantiles are the winners whose payouts cost many fees."
        " Sizes and countries are told together."
    )


def _terms(product: str | None) -> None:
    found = reads.rows("terms_changes", order=["product", "-effective_from"], product=product)
    if found.empty:
        look.empty(
            "No change of terms to compare",
            "A product needs a second version, and ten purchases or more in the 90 days on either side of it.",
        )
        return

    def rate(side: str) -> list[str]:
        names = (f"{side}_reached", f"{side}_low", f"{side}_high", f"{side}_challenges")
        return [
            f"{words.share(r, 1)} ({words.share(low, 1)} to {words.share(high, 1)}) of {words.number(count)}"
            for r, low, high, count in found[list(names)].itertuples(index=False)
        ]

    shown = pd.DataFrame(
        {
            "Terms": [
                f"{words.plain(name)} v{version}, {at:%d %b %Y}"
                for name, version, at in found[["product", "product_version", "effective_from"]].itertuples(index=False)
            ],
            "Milestone": [MILESTONES[one] for one in found["milestone"]],
            "Within days": found["horizon_days"],
            "90 days before": rate("before"),
            "90 days after": rate("after"),
            "Change": [
                f"{100 * c:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})".replace("-", "−")
                for c, low, high in found[["change", "change_low", "change_high"]].itertuples(index=False)
            ],
            "Clear": [
                "● yes" if low > 0 or high < 0 else "○ no"
                for low, high in found[["change_low", "change_high"]].itertuples(index=False)
            ],
        }
    )
    st.subheader("What changed when the terms did?", anchor=False)
    figures = ("90 days before", "90 days after", "Change")
    right = {name: st.column_config.TextColumn(name, alignment="right") for name in figures}
    st.dataframe(shown, hide_index=True, height=look.height(len(shown)), column_config=right)
    st.caption(
        f"{definition('terms_change')} Clear: the 95 % interval of the change leaves out none at all."
        " Told of the whole firm: of what is chosen above only the product counts here."
    )


def _table(months: pd.DataFrame, currency: str, by_person: bool) -> None:
    """Each month's size and money, and how many of it reached each stage."""
    rank = {stage: place for place, stage in enumerate(ORDER)}
    rows = months.assign(rank=months["stage"].map(rank), stage=[words.stage(stage) for stage in months["stage"]])
    rows = rows.sort_values(["cohort_month", "rank"], ascending=[False, True])
    shares = ["running", "payout_ratio", "ratio_low", "ratio_high"]
    rows = rows.assign(share=100 * rows["reached"] / rows["accounts"], **{name: 100 * rows[name] for name in shares})
    counted = "People" if by_person else "Bought"
    stages: dict[str, Any] = {
        "cohort_month": "Month",
        "stage": "Stage",
        "reached": st.column_config.NumberColumn("Reached", format="%,d", help=definition("reached")),
        "share": _share(f"Of {counted.lower()}"),
        "median_days": st.column_config.NumberColumn(
            "Median days", format="%.1f", help="Of those who got there so far; see By age for all of them."
        ),
    }
    money: dict[str, Any] = {
        "cohort_month": "Month",
        "accounts": st.column_config.NumberColumn(counted, format="%,d"),
        "running": _share("Still running"),
    }
    money |= {
        name: st.column_config.NumberColumn(
            f"{label}, {currency}", format=words.column(currency), help=definition(metric)
        )
        for name, label, metric in (("fees", "Net fees", "net_fees"), ("payouts", "Paid out", "payouts_paid"))
    }
    money |= {
        "payout_ratio": _share("Payout ratio", definition("payout_ratio")),
        "ratio_low": _share("95 %: from", "Of the payout ratio, if the month's people were drawn anew."),
        "ratio_high": _share("to"),
    }
    for title, columns, shown in (
        ("Month by month", money, rows.drop_duplicates("cohort_month")),
        ("Stage by stage", stages, rows[rows["stage"] != words.stage("purchase")]),
    ):
        if shown.empty:
            continue
        st.subheader(title, anchor=False)
        st.dataframe(
            shown[list(columns)],
            hide_index=True,
            height=look.height(len(shown)),
            placeholder=words.UNKNOWN,
            column_config=columns,
        )


def _share(label: str, meant: str | None = None) -> Any:
    return st.column_config.NumberColumn(label, format=words.PERCENT, help=meant)


def _behind(
    desk: str,
    cuts: dict[str, Any],
    months: list[str],
    currency: str,
    *,
    ages: int = 0,
    stage: str | None = None,
) -> None:
    """The purchases of a cell, each with its account, that reached a stage (asked for unless it is given).

    With ages, those that reached it by one of them.
    """
    table = reads.mart("cohort_challenges")
    if table is None:
        return
    st.subheader("The accounts behind a cell", anchor=False)
    left, middle, third, right = st.columns(4, vertical_alignment="bottom")
    with left:
        month = state.one_of("Month", "month", months, shown=str)
    with middle:
        if stage is None:
            listed = [*cohorts.STAGES, "breached", "again"]
            stage = state.one_of("Milestone", "reached", listed, shown=_reached)
    behind = reads.filtered(table, desk_id=desk, cohort_month=month, **cuts)
    behind = behind if stage is None else behind.where(table.c[f"{stage}_days"].is_not(None))
    with third:
        age = _by_age(ages) if stage else None
    behind = behind if age is None else behind.where(table.c[f"{stage}_days"] < age * cohorts.PERIOD_DAYS)
    total = reads.count(behind)
    with right:
        start = state.page_number(total) * reads.PAGE_ROWS
    st.caption(f"{words.counted(total, 'challenge')} · select a row to open its account")
    newest = behind.order_by(table.c.purchased_at.desc(), table.c.challenge_id)
    page = reads.fetch(newest.limit(reads.PAGE_ROWS).offset(start)).astype(dict.fromkeys(DAYS, "float64"))
    page = page.assign(**{name: [words.plain(one) for one in page[name]] for name in ("product", "channel")})
    days = {f"{name}_days": _reached(name) for name in ("passed", "funded", "payout", "breached")}
    columns: dict[str, Any] = {
        "challenge_id": "Challenge",
        "account_id": "Newest account",
        "person": "Person",
        "product": "Product",
        "purchased_at": st.column_config.DatetimeColumn("Bought, UTC", format=words.MINUTE),
        "size_name": "Size",
    }
    columns |= {
        name: st.column_config.NumberColumn(f"{label}, {currency}", format=words.column(currency))
        for name, label in (("fees", "Net fees"), ("payouts", "Paid out"))
    }
    columns |= {name: st.column_config.NumberColumn(f"{label}, days", format="%.1f") for name, label in days.items()}
    columns |= {"channel": "Channel", "partner_id": "Partner", "country": "Country"}
    event: Any = st.dataframe(
        page[list(columns)],
        hide_index=True,
        height=look.height(len(page)),
        column_config=columns,
        placeholder=words.UNKNOWN,
        on_select="rerun",
        selection_mode="single-row",
        key="behind",
    )
    chosen = event.selection.rows
    if chosen and chosen[0] < len(page) and not words.missing(page["account_id"].iloc[chosen[0]]):
        account = str(page["account_id"].iloc[chosen[0]])
        if st.button(f"Open account {account}", type="primary", icon=":material/open_in_new:"):
            places.go("account", account=account)


def _by_age(ages: int) -> int | None:
    """The age by which a milestone was reached, in periods; None for any."""
    listed = [str(age + 1) for age in range(ages)]
    chosen = state.one_of("Age", "age", listed, shown=lambda one: f"Within {one} × {cohorts.PERIOD_DAYS:g} days")
    return None if chosen is None else int(chosen)


def _reached(name: str) -> str:
    return {"breached": "Breached", "again": "Bought again"}.get(name) or words.stage(name)
