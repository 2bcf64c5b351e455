"""Case: is it true, and how sure are we: everything about one owner, and what people make of it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import case_panel, casework, desk, graphs, judging, lake, look, paths, places, reads, state, words
from models import clock
from models.chance import by_chance
from models.risk_score import FLAG
from sql import schema

LISTED = 20
VIEWS = {
    "signals": "Signals",
    "links": "Links",
    "pairs": "Matched trading",
    "verdicts": "Verdicts",
    "payouts": "Payouts",
    "scores": "Scores over time",
    "history": "History of the case",
}
MARKS = {
    "purchased": "circle-open",
    "started": "circle",
    "passed": "star",
    "breached": "x",
    "paid": "triangle-down",
    "reset": "square-open",
    "closed": "line-ns-open",
    "expired": "line-ns-open",
}


def show() -> None:
    """What is held about the people behind a case, a trader, an account or an owner, and the rows it rests on."""
    casework.told()
    asked = _asked()
    if not asked:
        _listed()
        return
    trader = casework.trader_of(asked)
    owner, traders = _people(trader)
    accounts = reads.rows("accounts", trader_id=traders, order=["opened_at"])
    if accounts.empty:
        look.empty(
            f"There is no case, trader or account {asked}",
            "Nothing of that name landed, or it belongs to a desk that you do not see.",
        )
        return
    held, case = _held(traders, accounts), casework.about(trader)
    zone = reads.zone_of_all(accounts["desk_id"])
    left, right = st.columns([5, 3], gap="medium")
    with left:
        _paragraph(owner, traders, accounts, held)
        _score(accounts)
    with right:
        case_panel.show(case, trader, _named(traders, accounts))
        _packs(accounts)
    _timeline(accounts, zone)
    _accounts(accounts, zone)
    first = "pairs" if held["signals"].empty and len(held["pairs"]) else None
    view = state.tab("View", "view", VIEWS, first=first)
    if view == "scores":
        case_panel.scores(accounts["account_id"].tolist(), zone)
    elif view == "signals":
        _signals(held[view], zone)
    elif view == "history":
        case_panel.history(case, zone)
    else:
        {"links": _links, "pairs": _pairs, "verdicts": _verdicts, "payouts": _payouts}[view](held[view])
    places.link("network", "See the network →", icon=False, trader=trader)


def _packs(accounts: pd.DataFrame) -> None:
    """The evidence pack of one of the owner's accounts, the riskiest first."""
    if not casework.person().may("export"):
        return
    held = schema.RISK_SCORES.c
    scored = reads.decided(schema.RISK_SCORES, held.account_id.in_(accounts["account_id"].tolist()))
    order = accounts.merge(scored[["account_id", "score"]], "left").sort_values("score", ascending=False, kind="stable")
    listed = order["account_id"].tolist()
    account = st.selectbox("Evidence pack of", listed, key=f"pack-of-{listed[0]}") if len(listed) > 1 else listed[0]
    desk.offer_packs(str(account))


def _asked() -> str:
    """What the address or the field names; links by trader or account stand in the field too."""
    for name in ("trader", "account"):
        if given := state.parameter(name):
            del st.query_params[name]
            st.query_params["case"] = given
    return state.text("Case, trader, account or owner", "case", "CASE-1 or any id")


def _named(traders: list[str], accounts: pd.DataFrame) -> dict[str, str]:
    """Who the subjects of evidence are, for people who choose among it."""
    return dict.fromkeys(traders, "all accounts") | {one: one for one in accounts["account_id"]}


def _people(trader: str) -> tuple[str, list[str]]:
    """The owner behind a trader and every trader of that owner."""
    table = schema.OWNERS
    mine = reads.decided(table, table.c.trader_id == trader, limit=1)
    if mine.empty:
        return trader, [trader]
    owner = str(mine["owner_id"].iloc[0])
    members = reads.decided(table, table.c.owner_id == owner, *reads.seen("trader_id", table.c.trader_id))
    return owner, sorted(members["trader_id"])


def _listed() -> None:
    """The first cases of the queue, to begin with."""
    found = casework.cases(limit=reads.LIST_ROWS)
    if found.empty:
        look.empty(
            "No case is open",
            "<code>highwater score</code> opens one where evidence asks for it. Anybody can be looked up above.",
        )
        return
    st.subheader("First in the queue", anchor=False)
    for row in reads.records(found):
        told = f"**{row['case_id']}** {row['names']} · risk {words.number(row['score'])} · {row['why']}"
        places.link("case", told, icon=False, case=str(row["case_id"]))
    places.link("cases", "All cases →", icon=False)


def _held(traders: list[str], accounts: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Signals, links, pairs, verdicts and payouts of these people."""
    own = accounts["account_id"].tolist()
    signals, links, pairs, verdicts = schema.SIGNALS.c, schema.LINKS.c, schema.COPY_PAIRS.c, schema.VERDICTS.c
    about = sa.or_(
        sa.and_(signals.subject_kind == "account", signals.subject_id.in_(own)),
        sa.and_(signals.subject_kind == "trader", signals.subject_id.in_(traders)),
    )
    return {
        "signals": _answered(reads.decided(schema.SIGNALS, about, order=signals.strength.desc()), [*own, *traders]),
        "links": reads.decided(
            schema.LINKS,
            links.trader_a.in_(traders) | links.trader_b.in_(traders),
            *reads.seen("trader_id", links.trader_a, links.trader_b),
            order=links.strength.desc(),
        ),
        "pairs": reads.decided(
            schema.COPY_PAIRS,
            pairs.account_a.in_(own) | pairs.account_b.in_(own),
            *reads.seen("account_id", pairs.account_a, pairs.account_b),
            order=pairs.strength.desc(),
        ),
        "verdicts": reads.decided(schema.VERDICTS, verdicts.account_id.in_(own), order=verdicts.happened_at.desc()),
        "payouts": reads.rows("payout_queue", account_id=own, order=["-requested_at"]),
    }


def _answered(signals: pd.DataFrame, subjects: list[str]) -> pd.DataFrame:
    """Signals with the answer that holds about each, and whether it silences them."""
    known = casework.answered(subjects)
    keys = zip(signals["subject_kind"], signals["subject_id"], signals["detector"], strict=True)
    answers = [known.get(key) for key in keys]
    silent = [one is not None and one["outcome"] == "dismissed" and not one["outdone"] for one in answers]
    return signals.assign(
        answer=pd.Series(answers, signals.index, object), silent=pd.Series(silent, signals.index, bool)
    )


def _paragraph(owner: str, traders: list[str], accounts: pd.DataFrame, held: dict[str, pd.DataFrame]) -> None:
    """One paragraph: who, what, how likely by chance."""
    flags = held["signals"][(held["signals"]["strength"] >= FLAG) & ~held["signals"]["silent"]]
    dismissed = int((held["signals"]["strength"] >= FLAG).sum()) - len(flags)
    names = ", ".join(sorted(accounts["trader_name"].dropna().unique())[:4])
    people = f"{len(traders)} traders held to be one owner" if len(traders) > 1 else "one trader"
    breached = int((accounts["status"] == "breached").sum())
    told = [f"{words.escaped(names)}: {people}, {words.counted(len(accounts), 'account')}, {breached} breached."]
    pairs = held["pairs"]
    if len(pairs):
        best = pairs.iloc[0]
        chance = f"chance would give {by_chance(best['expected'])}, false discovery rate {by_chance(best['q_value'])}"
        told.append(
            f"{words.counted(len(pairs), 'pair of accounts trades', 'pairs of accounts trade')} as one;"
            f" the strongest matches {best['matched']} entries ({chance})."
        )
    told += [
        f"{words.escaped(words.detector(row['detector']))}, {_whose(row)}: {words.escaped(_sentence(row))}"
        for row in reads.records(flags)[:3]
    ]
    if len(flags) > 3:
        told.append(f"{words.counted(len(flags) - 3, 'more flag')} under Signals.")
    if dismissed:
        told.append(f"{words.counted(dismissed, 'flag')} dismissed, with nothing newer.")
    waiting = held["payouts"]["waits"].astype(bool).sum() if len(held["payouts"]) else 0
    if waiting:
        told.append(f"{words.counted(waiting, 'payout request')} waiting.")
    look.card("near" if len(flags) or len(pairs) else "fine", words.escaped(owner), told)


def _whose(row: dict[str, Any]) -> str:
    """The account that a signal is about; one about a trader is about all their accounts."""
    return words.escaped(row["subject_id"]) if row["subject_kind"] == "account" else "all accounts"


def _sentence(row: dict[str, Any]) -> str:
    evidence = words.parsed(row["evidence"]) or {}
    return str(evidence.get("sentence") or f"{words.detector(row['detector'])} with strength {row['strength']:.2f}")


def _score(accounts: pd.DataFrame) -> None:
    """The risk score of the riskiest of their accounts, by its parts."""
    table = schema.RISK_SCORES
    mine = table.c.account_id.in_(accounts["account_id"].tolist())
    for row in reads.records(reads.decided(table, mine, order=table.c.score.desc(), limit=1)):
        look.score(row["score"], row["band"], row["reasons"])
        if len(accounts) > 1:
            st.caption(
                f"The score of {words.marked(row['account_id'])}, the highest of their {len(accounts)} accounts."
            )


def _timeline(accounts: pd.DataFrame, zone: str) -> None:
    steps = lake.lifecycle(accounts).sort_values("happened_at", kind="stable")
    if steps.empty:
        return
    steps = steps.assign(happened_at=pd.to_datetime(steps["happened_at"], utc=True).dt.tz_convert(zone))
    colours = look.palette()
    by_event = {"breached": colours.breached, "passed": colours.fine, "paid": colours.near}
    figure = go.Figure()
    for event, rows in steps.groupby("event", sort=False):
        figure.add_scatter(
            x=rows["happened_at"],
            y=rows["challenge_id"],
            name=words.plain(event),
            mode="markers",
            text=rows["cause"],
            marker={
                "symbol": MARKS.get(str(event), "circle"),
                "size": 14 if event == "purchased" else 10,
                "color": by_event.get(str(event), colours.unknown),
            },
            hovertemplate="%{x}<br>%{text}<extra>" + words.plain(event) + "</extra>",
        )
    # up to the run: what happened within minutes would fill the axis otherwise
    first, last = (
        steps["happened_at"].min(),
        max(steps["happened_at"].max(), pd.Timestamp(reads.stands_at()).tz_convert(zone)),
    )
    aside = (last - first) / 50
    figure.update_xaxes(title=clock.place(zone), range=[first - aside, last + aside])
    figure.update_yaxes(type="category", autorange="reversed")
    look.chart(figure, "What happened when?", height=min(140 + 28 * steps["challenge_id"].nunique(), 520))


def _accounts(accounts: pd.DataFrame, zone: str) -> None:
    shown = accounts.assign(
        stage=[words.stage(one) for one in accounts["stage"]],
        product=[words.plain(one or "unknown") for one in accounts["product"]],
        status=[words.plain(one or "not judged") for one in accounts["status"]],
        stake=reads.stakes(accounts),
    )
    event: Any = st.dataframe(
        look.amounts(
            shown[
                [
                    "account_id",
                    "trader_id",
                    "trader_name",
                    "desk_id",
                    "product",
                    "stage",
                    "status",
                    "initial_balance",
                    "currency",
                    "stake",
                    "paid",
                    "opened_at",
                    "partner_id",
                ]
            ],
            ["stake", "paid"],
            shown["currency"],
        ),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key="accounts",
        placeholder="",
        column_config={
            "account_id": "Account",
            "trader_id": "Trader",
            "trader_name": "Name",
            "desk_id": "Desk",
            "product": "Product",
            "stage": "Stage",
            "status": "Status",
            "initial_balance": st.column_config.NumberColumn("Initial", format="%,.0f"),
            "currency": "Cur",
            "stake": "At stake",
            "paid": "Paid",
            "opened_at": st.column_config.DatetimeColumn(
                f"Opened, {clock.place(zone)}", format=words.MINUTE, timezone=zone
            ),
            "partner_id": "Partner",
        },
    )
    if event.selection.rows:
        places.go("account", account=str(accounts["account_id"].iloc[event.selection.rows[0]]))


def _signals(found: pd.DataFrame, zone: str) -> None:
    """What detectors hold against these people: each detector once, with every account that it speaks of."""
    if found.empty:
        look.empty("No signal", "No detector holds anything against these people.")
        return
    learnt = {row["detector"]: row for row in reads.records(casework.learnt())}
    for detector, rows in found.groupby("detector", sort=False):
        _detector(str(detector), reads.records(rows), learnt.get(detector), zone)


def _detector(detector: str, rows: list[dict[str, Any]], learnt: dict[str, Any] | None, zone: str) -> None:
    """One detector's signals: what differs beside each subject, what all have in common once below."""
    evidence = [words.parsed(row["evidence"]) or {} for row in rows]
    notes = [{"Ruled out": one.get("ruled_out") or [], "Do": _listing(one.get("respond"))} for one in evidence]
    common = {name: [said for said in notes[0][name] if all(said in one[name] for one in notes)] for name in notes[0]}
    lines = []
    for row, note in zip(rows, notes, strict=True):
        lines.append(f"<b>{_weight(row)} · {words.escaped(row['subject_id'])}</b> {words.escaped(_sentence(row))}")
        if row["answer"]:
            lines.append(f"<b>{words.escaped(casework.answer(row['answer'], zone))}</b>")
        lines += _small({name: [said for said in note[name] if said not in common[name]] for name in note})
    lines += _small(common | {"This detector": [casework.precision(learnt)]})
    flagged = any(row["strength"] >= FLAG and not row["silent"] for row in rows)
    look.card("near" if flagged else "ended", words.escaped(words.detector(detector)), lines)
    rests = [
        {"about": row["subject_id"]} | one
        for row, told in zip(rows, evidence, strict=True)
        for one in told.get("rows") or []
    ]
    if rests:
        with st.expander(f"{words.counted(len(rests), 'row')} it rests on"):
            shown = pd.DataFrame(rests)
            st.dataframe(shown, hide_index=True, column_config=words.titles(shown), placeholder="")


def _listing(text: str | None) -> list[str]:
    return [text] if text else []


def _weight(row: dict[str, Any]) -> str:
    return f"{'▲ Flag' if row['strength'] >= FLAG else '● Below a flag'} {row['strength']:.2f}"


def _small(notes: dict[str, list[str]]) -> list[str]:
    """Named notes as small lines of HTML, those that say nothing left out."""
    return [f"<small>{name}: {words.escaped('; '.join(said))}</small>" for name, said in notes.items() if said]


def _links(found: pd.DataFrame) -> None:
    if found.empty:
        look.empty("No link", "Nothing joins these people to another trader.")
        return
    shown = found.assign(
        reasons=[graphs.reasons(text, 8) for text in found["reasons"]],
        strength=[graphs.likely(one) for one in found["strength"]],
    )
    event: Any = st.dataframe(
        shown,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row-required",
        key="links",
        column_config={
            "trader_a": st.column_config.TextColumn("One", width=80),
            "trader_b": st.column_config.TextColumn("Other", width=80),
            "reasons": st.column_config.TextColumn("Because of", width="large"),
            "strength": st.column_config.TextColumn("One person?", width=90, alignment="right"),
        },
    )
    chosen = event.selection.rows
    place = chosen[0] if chosen and chosen[0] < len(found) else 0
    row = found.iloc[place]
    st.caption(f"Because of {words.unlinked(str(shown['reasons'].iloc[place]))}")
    judging.ask(str(row["trader_a"]), str(row["trader_b"]))


def _pairs(found: pd.DataFrame) -> None:
    if found.empty:
        look.empty(
            "No matched trading",
            "None of their accounts trades as one with another, as far as chance can be told apart.",
        )
    for pair in reads.records(found.head(LISTED)):
        places.link(
            "pair",
            paths.pair_words(pair),
            icon=False,
            a=pair["account_a"],
            b=pair["account_b"],
            relation=pair["relation"],
        )
    _left_out(found, "the strongest first")


def _verdicts(found: pd.DataFrame) -> None:
    if found.empty:
        look.empty("No verdict", "None of their accounts broke a rule or reached a target.")
    for row in reads.records(found.head(LISTED)):
        evidence = words.parsed(row["evidence"]) or {}
        colour = {"breached": "breached", "warned": "near"}.get(row["outcome"], "fine")
        look.card(
            colour,
            f"{words.OUTCOMES[row['outcome']]} · {words.escaped(row['account_id'])}",
            [words.escaped(evidence.get("sentence", ""))],
        )
    _left_out(found, "the newest first")


def _left_out(found: pd.DataFrame, order: str) -> None:
    """Says so when a list shows only its beginning."""
    if len(found) > LISTED:
        st.caption(
            f"{LISTED} of {words.number(len(found))} are listed, {order}; each account's page has all of its own."
        )


def _payouts(found: pd.DataFrame) -> None:
    if found.empty:
        look.empty("No payout request", "None of their accounts asked for a payout.")
        return
    shown = found.assign(
        transfer=found["state"].map(words.TRANSFERS),
        requested=[
            words.instant(at, reads.zone_of(desk))
            for at, desk in zip(found["requested_at"], found["desk_id"], strict=True)
        ],
    )
    columns = [
        "payout_id",
        "account_id",
        "requested",
        "amount",
        "currency",
        "transfer",
        "transfer_amount",
        "destination",
    ]
    sent = look.amounts(shown[columns], ["transfer_amount"], found["transfer_currency"])
    st.dataframe(
        look.amounts(sent, ["amount"], found["currency"]),
        hide_index=True,
        column_config=words.titles(columns),
        placeholder="",
    )
