"""Cohorts: are newer cohorts better or worse."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import look, reads, state, words
from sql import schema

ORDER = ("purchase", "evaluation_1", "evaluation_2", "evaluation_3", "passed", "instant", "funded", "payout")


def show() -> None:
    """Funnel by month for one desk and product, and the payout ratio by age."""
    left, right = st.columns(2)
    with left:
        names = state.desk_names()
        desk = state.one_of("Desk", "desk", list(names), shown=lambda option: names[option], every=False)
    if desk is None:
        look.empty(
            "No cohorts yet",
            "A cohort is the challenges bought in one month; they come with the dataset <code>challenges</code>.",
        )
        return
    table = schema.COHORTS
    with right:
        known = reads.fetch(
            reads.bounded(sa.select(table.c.product).distinct(), table.c.desk_id).where(table.c.desk_id == desk)
        )
        product = state.one_of("Product", "product", sorted(known["product"].tolist()), every=False)
    condition = (table.c.desk_id == desk) & (table.c.product == product)
    cohorts = reads.decided(table, condition, order=table.c.cohort_month)
    if cohorts.empty:
        look.empty("Nothing was sold here", "This desk has sold no challenge of this product.")
        return
    open_now = reads.rows("cohort_maturity", desk_id=desk, product=product)
    desks = reads.rows("desks", desk_id=desk)
    currency = str(desks["currency"].iloc[0]) if len(desks) else ""
    _funnel(cohorts, open_now)
    _survival(desk, str(product))
    _triangle(desk, str(product))
    _table(cohorts, open_now, currency)


def _immature(open_now: pd.DataFrame) -> dict[str, float]:
    """Share of each cohort's challenges that still run, so may yet move on."""
    return {} if open_now.empty else dict(zip(open_now["cohort_month"], open_now["running_share"], strict=True))


def _funnel(cohorts: pd.DataFrame, open_now: pd.DataFrame) -> None:
    running = _immature(open_now)
    stages = [stage for stage in ORDER if stage in set(cohorts["stage"]) and stage not in ("purchase", "evaluation_1")]
    if not stages:
        look.empty("No cohort has moved on yet", "Bars appear when a challenge reaches its next stage.")
        return
    figure = go.Figure()
    for place, stage in enumerate(stages):
        rows = cohorts[cohorts["stage"] == stage]
        figure.add_bar(
            name=words.stage(stage),
            x=rows["cohort_month"],
            y=rows["reached"] / rows["accounts"],
            customdata=rows[["reached", "accounts", "median_days"]],
            hovertemplate="%{customdata[0]} of %{customdata[1]}, median %{customdata[2]:.1f} days<extra>"
            + words.stage(stage)
            + "</extra>",
            marker={
                "color": look.palette().series[place % len(look.palette().series)],
                "pattern": {
                    "shape": ["/" if running.get(month, 0) > 0 else "" for month in rows["cohort_month"]],
                    "size": 6,
                    "solidity": 0.35,
                },
            },
        )
    figure.update_yaxes(tickformat=".0%", title="of challenges bought", rangemode="tozero")
    figure.update_xaxes(type="category", title="month of purchase")
    look.chart(figure, "How far did each month's challenges get?", height=380)
    st.caption("Hatched: some challenges of that month still run, so the bar can only grow.")


MILESTONES = {
    "passed": "Passed",
    "breached": "Breached",
    "first_payout": "First payout",
    "bought_again": "Bought again after a breach",
}


def _survival(desk: str, product: str) -> None:
    chosen = state.tab("Milestone", "milestone", MILESTONES)
    found = reads.rows("survival", order=["day"], limit=5000, desk_id=desk, product=product, milestone=chosen)
    if found.empty:
        return
    figure, colours = go.Figure(), look.palette()
    for place, (month, rows) in enumerate(found.groupby("cohort_month")):
        colour = colours.text if month == "all" else colours.series[place % len(colours.series)]
        line = {"x": rows["day"], "line_shape": "hv", "mode": "lines"}
        if month == "all":
            edge = {"width": 0}
            figure.add_scatter(y=rows["reached_high"], line=edge, showlegend=False, hoverinfo="skip", **line)
            figure.add_scatter(
                y=rows["reached_low"],
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
    figure.update_yaxes(tickformat=".0%", rangemode="tozero", title="of challenges")
    figure.update_xaxes(title="days since the purchase (since the breach, for what was bought again)")
    look.chart(figure, f"{MILESTONES[chosen]}: how many, by age?", height=380)
    st.caption("Kaplan–Meier: young challenges count up to their age and are never taken as failures.")


def _triangle(desk: str, product: str) -> None:
    triangle = reads.rows("payout_triangle", order=["cohort_month", "age_months"], desk_id=desk, product=product)
    if triangle.empty:
        return
    ratios = triangle.pivot_table(index="cohort_month", columns="age_months", values="payout_ratio", dropna=False)
    done = triangle.pivot_table(
        index="cohort_month", columns="age_months", values="complete", dropna=False, aggfunc="max"
    )
    texts = [
        [
            "" if words.missing(ratio) else words.share(ratio) + ("" if whole else " ⋯")
            for ratio, whole in zip(line, wholes, strict=True)
        ]
        for line, wholes in zip(ratios.to_numpy(), done.to_numpy(), strict=True)
    ]
    colours = look.palette()
    figure = go.Figure(
        go.Heatmap(
            z=ratios.to_numpy(),
            x=[str(int(age) + 1) for age in ratios.columns.tolist()],
            y=list(ratios.index),
            text=texts,
            texttemplate="%{text}",
            textfont={"color": colours.text},
            colorscale=[[0, look.CLEAR], [1, colours.heat]],
            zmin=0,
            showscale=False,
            xgap=3,
            ygap=3,
            hovertemplate="bought %{y}, after %{x} × 30 days: %{text}<extra></extra>",
        )
    )
    figure.update_xaxes(title="age in periods of 30 days", type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    look.chart(figure, "What share of its fees has each month paid out, by age?", height=110 + 44 * len(ratios))
    st.caption("⋯ some challenges of that month have not reached this age yet.")


def _table(cohorts: pd.DataFrame, open_now: pd.DataFrame, currency: str) -> None:
    st.subheader("Every figure", anchor=False)
    rank = {stage: place for place, stage in enumerate(ORDER)}
    rows = cohorts.assign(
        rank=cohorts["stage"].map(rank),
        stage=[words.stage(stage) for stage in cohorts["stage"]],
        running=cohorts["cohort_month"].map(_immature(open_now)),
    ).sort_values(["cohort_month", "rank"], ascending=[False, True])
    st.dataframe(
        rows[
            [
                "cohort_month",
                "stage",
                "accounts",
                "reached",
                "median_days",
                "running",
                "fees",
                "payouts",
                "payout_ratio",
            ]
        ],
        hide_index=True,
        column_config={
            "cohort_month": "Month",
            "stage": "Stage",
            "accounts": st.column_config.NumberColumn("Bought", format="%,d"),
            "reached": st.column_config.NumberColumn("Reached", format="%,d"),
            "median_days": st.column_config.NumberColumn("Median days", format="%.1f"),
            "running": st.column_config.NumberColumn("Still running", format="percent"),
            "fees": st.column_config.NumberColumn(
                f"Net fees, {currency}", format="%,.2f", help="Fees less refunds and chargebacks, desk currency."
            ),
            "payouts": st.column_config.NumberColumn(f"Paid out, {currency}", format="%,.2f"),
            "payout_ratio": st.column_config.NumberColumn(
                "Payout ratio", format="percent", help="Paid out as a share of net fees."
            ),
        },
    )
