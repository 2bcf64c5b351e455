"""Pair: do these two accounts trade as one."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import judging, lake, look, places, reads, state, words
from models import clock
from models.cases.machine import CONFIRMED_CODES, DISMISSED_CODES
from models.chance import by_chance
from models.coordination import PairEvidence, ruled_out
from models.judgements import Together, answer_in_case, answered_pair
from sql import schema

ENTRY = "%{customdata[0]} %{customdata[1]} lots of %{customdata[2]} at %{customdata[3]}"


def show() -> None:
    """Both accounts' entries on one price axis, the matches, and what chance would have given."""
    columns = st.columns([1, 1, 1, 2])
    with columns[0]:
        first = state.text("One account", "a", "account id")
    with columns[1]:
        second = state.text("The other", "b", "account id")
    kinds = ["mirror", "copy"] if _mirrors(first, second) else ["copy", "mirror"]
    with columns[2]:
        relation = state.one_of("Relation", "relation", kinds, every=False)
    if not first or not second:
        _listed()
        return
    accounts = [reads.account(one) for one in (first, second)]
    unknown = [one for one, known in zip((first, second), accounts, strict=True) if known is None]
    if unknown:
        told = f"There is no account {' and no account '.join(dict.fromkeys(unknown))}"
        look.empty(told, "It has not landed, or belongs to a desk that you do not see.")
        return
    if first == second:
        look.empty("Two different accounts are needed", f"{words.escaped(first)} is given twice.")
        return
    with st.skeleton(height=420):
        found = lake.pair(first, second, str(relation))
    held = _published(first, second, str(relation))
    _verdict(found, held, str(relation))
    zone = reads.zone_of_all(one["desk_id"] for one in accounts if one)
    _judging(held, first, second, str(relation), zone)
    if found.matches.empty:
        return
    _joined(first, second, str(relation))
    _drawn(found, zone, first, second)
    _table(found.matches, zone, first, second)
    traders = [str(one["trader_id"]) for one in accounts if one]
    if traders[0] != traders[1]:
        judging.ask(*traders)
    for trader in dict.fromkeys(traders):
        places.link("case", f"Open the case of {trader} →", icon=False, trader=trader)


def _listed() -> None:
    table = schema.COPY_PAIRS
    both = reads.seen("account_id", table.c.account_a, table.c.account_b)
    chosen = sa.select(table).where(~answered_pair(table), *both).order_by(table.c.strength.desc())
    found = reads.now(chosen.limit(reads.PAGE_ROWS))
    if found.empty:
        look.empty(
            "No pair is held to trade as one, or all are answered",
            "Pairs come from accounts whose entries coincide far beyond chance; <code>highwater score</code>"
            " looks for them. Any two accounts can be compared above.",
        )
    else:
        _strongest(found)
    places.link("rings", "Pairs and groups that were judged →", icon=False, kind="judged")


def _strongest(found: pd.DataFrame) -> None:
    st.subheader("Strongest pairs without an answer", anchor=False)
    st.caption("Select one to see its matched entries.")
    event: Any = st.dataframe(
        found.assign(lag=found["lag_ms"].abs() / 1000),
        column_order=[
            "account_a",
            "account_b",
            "relation",
            "leader",
            "matched",
            "expected",
            "lag",
            "strength",
            "same_owner",
        ],
        hide_index=True,
        height=look.height(len(found)),
        on_select="rerun",
        selection_mode="single-row",
        key="pairs",
        column_config={
            "account_a": "One account",
            "account_b": "The other",
            "relation": "Relation",
            "leader": st.column_config.TextColumn("Leader", help="Empty where both follow a third account."),
            "matched": st.column_config.NumberColumn("Matched entries", format="%d"),
            "expected": st.column_config.NumberColumn(
                "By chance", format="%.4f", help="Matches that chance would give."
            ),
            "lag": st.column_config.NumberColumn("Apart, s", format="%.1f"),
            "strength": st.column_config.NumberColumn("Strength", format="%.2f", help="0.5 and more is a flag."),
            "same_owner": st.column_config.CheckboxColumn("One owner"),
        },
    )
    if event.selection.rows:
        pair = found.iloc[event.selection.rows[0]]
        places.go("pair", a=str(pair["account_a"]), b=str(pair["account_b"]), relation=str(pair["relation"]))


def _mirrors(first: str, second: str) -> bool:
    """Whether the last run holds that the two mirror each other."""
    return bool(first and second) and _published(first, second, "mirror") is not None


def _published(first: str, second: str, relation: str) -> dict[str, Any] | None:
    table = schema.COPY_PAIRS.c
    both = table.account_a.in_((first, second)) & table.account_b.in_((first, second)) & (table.relation == relation)
    found = reads.decided(schema.COPY_PAIRS, both, limit=1)
    return reads.records(found)[0] if len(found) else None


def _verdict(found: PairEvidence, held: dict[str, Any] | None, relation: str) -> None:
    """The sentence, how sure, and whether it is one owner."""
    if held is None:
        look.card(
            "unknown",
            "? Not held to trade as one",
            [
                words.escaped(found.sentence),
                f"<small>The last run does not hold them to {relation} each other.</small>",
            ],
        )
        return
    flagged = held["strength"] >= 0.5
    owner = "one owner" if held["same_owner"] else "different owners, as far as identity knows"
    title = f"{'▲' if flagged else '●'} Strength {held['strength']:.2f} · {owner}"
    lines = [
        words.escaped(found.sentence),
        f"<small>False discovery rate {by_chance(held['q_value'])} · {_leader(held)}</small>",
    ]
    look.card("near" if flagged else "fine", title, lines)
    evidence = words.parsed(held["evidence"]) or {}
    innocent = ruled_out(int(held["matched"]), float(held["expected"]), evidence)
    if innocent:
        st.markdown("**Ruled out**\n\n" + "\n".join(f"- {words.unlinked(one)}" for one in innocent))
    weights = evidence.get("log_odds", {})
    if weights:
        told = {f"{words.plain(name)}": f"{value:+.2f}" for name, value in weights.items()}
        with st.expander("What speaks for and against (log odds)"):
            look.table(told, right=True)
            others = {
                words.plain(name): words.value(value) for name, value in evidence.items() if not isinstance(value, dict)
            }
            look.table(others, right=True)


def _judging(held: dict[str, Any] | None, first: str, second: str, relation: str, zone: str) -> None:
    """What was said of the two by itself, with their group or in a case, and the buttons that say it."""
    ends = {first, second}
    judged = [one for one in judging.seen() if ends <= set(one.together.accounts)]
    for one in judged:
        if one.together.kind == "group":
            st.caption(f"With the group {one.together.name}:")
            judging.tell(one)
    if held is None:
        for one in judged:
            if one.together.kind == "pair" and one.together.relation == relation:
                judging.ask_back(one)
        return
    accounts = str(held["account_a"]), str(held["account_b"])
    named = "|".join(accounts)
    reason = f"own {relation}" if held["same_owner"] else relation
    with reads.warehouse().database.connect() as connection:
        answer = answer_in_case(connection, named, reason)
    if answer:
        listed = CONFIRMED_CODES | DISMISSED_CODES
        st.caption(
            f"✓ {answer['case_id']}: **{answer['outcome']}** ({listed[answer['reason_code']].lower()})"
            f" by {words.marked(answer['person'])} on {words.instant(answer['decided_at'], zone)}:"
            f" {words.marked(answer['reason'])}"
        )
    judging.ask_trading(Together("pair", named, relation, accounts, float(held["matched"])))


def _leader(held: dict[str, Any]) -> str:
    """Who leads, in words."""
    if words.missing(held["leader"]):
        return "no leader: the order is not stable, or both follow a third account"
    return f"leader {words.escaped(held['leader'])}"


def _joined(first: str, second: str, relation: str) -> None:
    """What else joins the two: the plan's word on own copies, a pass beside a breach, a partner, the money."""
    held = reads.rows("pairs", account_a=sorted((first, second))[0], account_b=sorted((first, second))[1])
    held = held[held["relation"] == relation] if len(held) else held
    if held.empty:
        return
    pair = reads.records(held)[0]
    told = [f"{pair['stake_usd']:,.0f} USD at stake", f"{pair['waiting_usd']:,.0f} USD requested"]
    told.append(f"{pair['fees_usd']:,.0f} USD of fees")
    if pair["own_copy"] == "violation":
        told.append("own accounts must not be copied under the plan")
    elif pair["own_copy"] == "allowed":
        told.append("own accounts may be copied under the plan")
    if not words.missing(pair["passed_account_id"]):
        told.append(f"{words.marked(pair['passed_account_id'])} passed or holds profit and the other breached")
    if not words.missing(pair["partner_id"]):
        told.append(f"both came through partner {words.marked(pair['partner_id'])}")
    st.caption(" · ".join(told))


def _drawn(found: PairEvidence, zone: str, first: str, second: str) -> None:
    """Entries of the market with most matches, in the desk's zone: both accounts on one axis, matches joined."""
    matches = found.matches
    markets = matches["market"].value_counts().index.tolist()
    market = state.one_of("Instrument", "instrument", markets, shown=str, every=False)
    rows = matches[matches["market"] == market]
    colours = look.palette().series
    figure = go.Figure()
    alone = found.alone[found.alone["market"] == market]
    alone = alone.assign(at=alone["opened_at"].dt.tz_convert(zone).dt.tz_localize(None))
    times = {name: rows[name].dt.tz_convert(zone).dt.tz_localize(None) for name in ("opened_a", "opened_b")}
    figure.add_scatter(
        x=[at for both in zip(times["opened_a"], times["opened_b"], strict=True) for at in (*both, None)],
        y=[at for both in zip(rows["level_a"], rows["level_b"], strict=True) for at in (*both, None)],
        mode="lines",
        line={"color": look.palette().unknown, "width": 1},
        showlegend=False,
        hoverinfo="skip",
    )
    for place, (suffix, account, symbol) in enumerate((("a", first, "circle"), ("b", second, "diamond-open"))):
        figure.add_scatter(
            x=times[f"opened_{suffix}"],
            y=rows[f"level_{suffix}"],
            name=account,
            mode="markers",
            marker={"symbol": symbol, "size": 10, "color": colours[place], "line": {"width": 2}},
            customdata=rows[[f"{name}_{suffix}" for name in ("side", "lots", "symbol", "open_price")]],
            hovertemplate=f"%{{x}}<br>{ENTRY}<extra>{account}</extra>",
        )
        mine = alone[alone["of"] == suffix]
        if mine.empty:
            continue
        figure.add_scatter(
            x=mine["at"],
            y=mine["level"],
            name=f"{account}, no match",
            mode="markers",
            marker={"symbol": f"{symbol.removesuffix('-open')}-open", "size": 6, "color": look.palette().unknown},
            customdata=mine[["side", "lots", "symbol", "open_price"]],
            hovertemplate=f"%{{x}}<br>{ENTRY}, no match<extra>{account}</extra>",
        )
    figure.update_xaxes(title=clock.place(zone))
    several = rows["instrument_a"].ne(rows["instrument_b"]).any()
    scale = f"entry price, those of {second} brought to {first}'s scale" if several else "entry price"
    figure.update_yaxes(title=scale, tickformat=",~f")
    look.chart(figure, f"Do both enter {market} at the same moments?", height=420)


def _table(matches: pd.DataFrame, zone: str, first: str, second: str) -> None:
    """Every matched entry with its lag, lots and exits."""
    shown = matches.assign(lag_s=matches["lag_ms"] / 1000, exit_lag_s=matches["exit_lag_ms"] / 1000)
    columns = [
        "symbol_a",
        "symbol_b",
        "opened_a",
        "lag_s",
        "side_a",
        "side_b",
        "lots_a",
        "lots_b",
        "open_price_a",
        "open_price_b",
        "exit_lag_s",
        "trade_a",
        "trade_b",
    ]
    ends = {"_a": f" {first}", "_b": f" {second}"}
    names = {n: n[:-2].replace("_", " ").capitalize() + ends[n[-2:]] if n[-2:] in ends else n for n in columns}
    config: dict[str, Any] = dict(names)
    config["opened_a"] = st.column_config.DatetimeColumn(f"Opened {first}", format=words.SECOND, timezone=zone)
    for end, account in zip("ab", (first, second), strict=True):
        config[f"lots_{end}"] = st.column_config.NumberColumn(f"Lots {account}", format="%,.2f")
    config["lag_s"] = st.column_config.NumberColumn(
        "Lag, s", format="%+.2f", help=f"How long after {first} the other entered."
    )
    config["exit_lag_s"] = st.column_config.NumberColumn("Exit lag, s", format="%+.2f")
    st.caption(f"{len(matches):,} matched entries · times in {clock.place(zone)}")
    st.dataframe(shown[columns], hide_index=True, column_config=config)
