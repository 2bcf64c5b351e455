"""Breached again: owners whose challenges of one product breached more than once, a view of the risk queue."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboards.kit import look, places, reads, state, words

ORDER = ("-breached", "-last_at", "owner_id")
COLUMNS = {
    "trader_name": st.column_config.TextColumn("Trader", width=120),
    "product": st.column_config.TextColumn("Product", width=90),
    "breached": st.column_config.NumberColumn(
        "Breached", format="%d", width=75, help="Challenges of the product lost."
    ),
    "challenges": st.column_config.NumberColumn("of", format="%d", width=45, help="Challenges of the product bought."),
    "breached_share": st.column_config.NumberColumn("Share", format=words.PERCENT, width=70),
    "usual_share": st.column_config.NumberColumn(
        "Usual", format=words.PERCENT, width=70, help="Share of all challenges of the product that breached."
    ),
    "live": st.column_config.NumberColumn("Live", format="%d", width=50),
    "rule": st.column_config.TextColumn("Mostly by", width=100),
    "held": st.column_config.TextColumn("Breached after", width=105, help="Usual time from opening to breach."),
    "fees_usd": st.column_config.NumberColumn("Fees, USD", format="%,.0f", help="Net of refunds and chargebacks."),
    "last_at": st.column_config.DatetimeColumn("Last breach, UTC", format=words.MINUTE, timezone="UTC"),
    "desk_id": st.column_config.TextColumn("Desk", width=85),
}


def show(desk: str | None, product: str | None) -> None:
    """The owners by number of breaches, and what to open for the selected one."""
    total = reads.how_many("repeat_breaches", desk_id=desk, product=product)
    if not total:
        look.empty("Nobody breached twice", "Owners who lose a second challenge of the same product appear here.")
        return
    told, paged = st.columns([2, 1], vertical_alignment="bottom")
    told.caption(f"{words.counted(total, 'owner and product', 'owners and products')} · stages and platforms together")
    with paged:
        start = state.page_number(total) * reads.PAGE_ROWS
    found = reads.rows(
        "repeat_breaches", order=ORDER, limit=reads.PAGE_ROWS, offset=start, desk_id=desk, product=product
    )
    usual = {rate["product"]: rate["breached_share"] for rate in reads.records(reads.rows("breach_rates"))}
    found["usual_share"] = found["product"].map(usual)
    left, right = st.columns([3, 1], gap="medium")
    with left:
        event: Any = st.dataframe(
            found.assign(
                product=[words.plain(one) for one in found["product"]],
                rule=[words.UNKNOWN if words.missing(one) else words.rule(one) for one in found["rule"]],
                held=[words.age(hours) for hours in found["hours_held"]],
                **{name: 100 * found[name].astype(float) for name in ("breached_share", "usual_share")},
            )[list(COLUMNS)],
            column_config=COLUMNS,
            hide_index=True,
            height=look.height(len(found)),
            on_select="rerun",
            selection_mode="single-row-required",
            key="again",
        )
    chosen = event.selection.rows
    with right:
        _beside(reads.records(found)[chosen[0] if chosen and chosen[0] < len(found) else 0])


def _beside(row: dict[str, Any]) -> None:
    """The selected owner in a sentence, with the way to the case and to the last breach."""
    people = f" under {row['traders']} registrations" if row["traders"] > 1 else ""
    usual = row["usual_share"]
    beside = "" if words.missing(usual) else f"; of all challenges of it {words.share(usual)} do"
    sentence = (
        f"{row['breached']} of {words.counted(row['challenges'], 'challenge')} of {words.plain(row['product'])}"
        f" breached{people}{beside}."
    )
    title = f"{row['owner_id']} · {words.escaped(row['trader_name'])}"
    look.card("breached" if row["live"] else "ended", title, [words.escaped(sentence)])
    st.caption("Many breaches are no offence in themselves: they may be gambling with cheap challenges, or bad luck.")
    places.link("account", f"The last one, {row['account_id']} →", icon=False, account=str(row["account_id"]))
    if st.button("Open the case", type="primary", shortcut="Enter", icon=":material/open_in_new:"):
        places.go("case", trader=str(row["trader_id"]))
