"""Account: what happened here."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import fresh, lake, look, paths, places, reads, state, words
from models import clock
from sql import schema

VIEWS = {
    "verdicts": "Verdicts",
    "days": "Account days",
    "trades": "Trades",
    "logins": "Sign-ins",
    "terms": "Terms in force",
}
EVENT_STATES = {"breached": "breached", "passed": "fine", "paid": "fine", "started": "unknown", "reset": "near"}


def show() -> None:
    """Facts, lifecycle, equity against the floors, then verdicts, days, trades, sign-ins and terms."""
    account_id = state.text("Account", "account", "account id")
    if not account_id:
        look.empty("Which account?", "Type an account id above, or open one from the <b>Risk queue</b>.")
        return
    account = reads.account(account_id)
    if account is None:
        look.empty(f"There is no account {account_id}", "It has not landed, or belongs to a desk that you do not see.")
        return
    fresh.again_when(lambda: fresh.of_account(account_id))
    zone = account["time_zone"] or "UTC"
    status = _status(account_id)
    _facts(account, status, zone)
    _lifecycle(account, zone)
    if status is None:
        look.empty(
            "This account is not judged",
            "Its product or stage has no terms in the rulebook; <b>Data health</b> says why.",
        )
    else:
        _outlook(account)
        _path(account, status, zone)
        _score(account_id)
    view = state.tab("View", "view", VIEWS)
    {
        "verdicts": lambda: _verdicts(account_id, zone),
        "days": lambda: _days(account_id, account["currency"]),
        "trades": lambda: _trades(account_id, zone, account["currency"]),
        "logins": lambda: _logins(account["trader_id"], zone),
        "terms": lambda: _terms(account, zone),
    }[view]()


def _status(account_id: str) -> dict[str, Any] | None:
    found = reads.queue(account_id=account_id, limit=1)
    return None if found.empty else {str(name): value for name, value in found.iloc[0].items()}


def _facts(account: dict[str, Any], status: dict[str, Any] | None, zone: str) -> None:
    """Who, what and where it stands, in one band."""
    currency = account["currency"]
    known = {
        "State": look.state_html(status["state"] if status else "unknown"),
        "Trader": f"{words.escaped(account['trader_name'])} · {words.escaped(account['country'])}",
        "Product": f"{words.plain(account['product'] or 'unknown')} v{words.number(account['product_version'])}",
        "Stage": words.stage(account["stage"]),
        "Initial balance": words.money(account["initial_balance"], currency),
    }
    if status:
        known |= {
            "Equity": words.money(status["equity"], currency),
            "To daily floor": words.money(status["daily_headroom"], currency),
            "To maximum floor": words.money(status["max_headroom"], currency),
            "Target reached": words.share(status["target_progress"]),
            "Trading days": words.number(status["trading_days"]),
        }
    known |= {
        "Platform": f"{words.escaped(account['platform'])} · login {words.escaped(account['login'])}",
        "Opened": words.instant_html(account["opened_at"], zone),
        "Identity": words.identity(account["kyc_status"]),
        "Waiting payouts": words.money(account["waiting"], currency),
    }
    look.facts(known)
    if status and status["equity_source"] == "balance":
        st.caption("? No observation of equity has come yet: verdicts rest on the balance after each deal.")


def _lifecycle(account: dict[str, Any], zone: str) -> None:
    """The challenge's path as a strip, this account's steps among those of its challenge."""
    steps = lake.lifecycle(pd.DataFrame([account]))
    if steps.empty:
        return
    colours = look.palette()
    cells = []
    for step in reads.records(steps):
        colour = colours.of(EVENT_STATES.get(str(step["event"]), "ended"))
        where = f" {words.stage(step['stage'])}" if step["stage"] else ""
        name = f"<b>{words.plain(step['event'])}</b>{where}"
        account_id = (
            f" · {words.escaped(step['account_id'])}" if step["account_id"] and step["event"] == "started" else ""
        )
        cells.append(
            f'<div class="hw-step" style="--hw:{colour}" title="{words.escaped(step["cause"])}">{name}{account_id}<br>'
            f"<small>{words.instant_html(step['happened_at'], zone)}</small></div>"
        )
    st.html(f'<div class="hw hw-strip">{"".join(cells)}</div>')
    others = [one for one in steps["account_id"].dropna().unique() if one != account["account_id"]]
    if others:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Other accounts of this challenge", width="content")
            for other in others:
                places.link("account", str(other), icon=False, account=str(other))


def _outlook(account: dict[str, Any]) -> None:
    """What would break a live account, what of its allowances is used, and how far the target is at the pace so far."""
    row = paths.outlook(account["account_id"])
    if row is None:
        return
    lines = [_room(row, name) for name in ("daily", "max") if not words.missing(row[f"{name}_headroom"])]
    lines.append(_pace(row))
    shares = [row[name] for name in ("daily_share", "max_share") if not words.missing(row[name])]
    state_name = "near" if any(share >= _near() for share in shares) else "fine"
    look.card(state_name, "What would break it?", [line for line in lines if line])


def _near() -> float:
    """The share of an allowance from which an account counts as near."""
    limits = reads.rows("limits", limit=1)
    return float(limits["near_share"].iloc[0])


def _room(row: dict[str, Any], name: str) -> str:
    """One floor: how far equity may fall, where it lies and how much of its allowance is used."""
    currency, named = row["currency"], "daily floor" if name == "daily" else "maximum floor"
    floor, left = words.money(row[f"{name}_floor"], currency), row[f"{name}_headroom"]
    share = row[f"{name}_share"]
    used = "" if words.missing(share) else f", {words.share(share)} of the allowance used"
    if left < 0:
        return f"Equity is {words.money(-left, currency)} below the {named} {floor}{used}."
    verb = "Is paused" if row[f"{name}_effect"] == "pause" else "Breaches"
    return f"{verb} if equity falls by <b>{words.money(left, currency)}</b>, below the {named} {floor}{used}."


def _pace(row: dict[str, Any]) -> str:
    """The target at the pace so far, said to be a projection; empty without a target to reach."""
    if words.missing(row["to_target"]):
        return ""
    left = f"{words.money(row['to_target'], row['currency'])} short of the profit target"
    if words.missing(row["days_to_target"]):
        return f"{left}; no projection, since it needs five trading days and a profit so far."
    pace = f"{words.money(row['pace'], row['currency'])} a day over {words.counted(int(row['days']), 'trading day')}"
    if words.missing(row["days_at_most"]):
        span = f"{words.number(math.ceil(row['days_at_least']))} or more, perhaps never"
    else:
        span = f"{words.number(math.ceil(row['days_at_least']))} to {words.number(math.ceil(row['days_at_most']))}"
    days = words.counted(math.ceil(row["days_to_target"]), "more trading day")
    return (
        f"{left}: {days} at the pace so far ({pace}).<br><small>A projection, no forecast: if its days stay as they"
        f" were, {span} (95 %), and only while no floor is met.</small>"
    )


def _score(account_id: str) -> None:
    """The risk score by its parts, with the way to the case."""
    table = schema.RISK_SCORES
    for row in reads.records(reads.decided(table, table.c.account_id == account_id, limit=1)):
        look.score(row["score"], row["band"], row["reasons"])
        places.link("case", "Open the case →", icon=False, trader=str(row["trader_id"]))
        places.link("case", "Earlier scores, and why →", icon=False, trader=str(row["trader_id"]), view="scores")


def _path(account: dict[str, Any], status: dict[str, Any], zone: str) -> None:
    """Equity against the floors as they moved, by day or at every instant."""
    detailed = state.switch("Every instant (replays the account)", "detail")
    steps = paths.steps(account["account_id"]) if detailed else None
    if detailed and steps is None:
        st.caption("? The replay could not be made; the days are shown instead.")
    table = schema.ACCOUNT_DAYS
    days = reads.decided(table, table.c.account_id == account["account_id"], order=table.c.firm_day, limit=2000)
    if days.empty:
        look.empty("No day to show yet", "A firm day appears with its first deal, observation or reset.")
        return
    figure = go.Figure()
    if steps is not None:
        _draw_steps(figure, steps.assign(at=pd.to_datetime(steps["at"], utc=True).dt.tz_convert(zone)))
    else:
        _draw_days(figure, days if len(days) > 1 else _from_end_to_end(figure, days))
    _marks(figure, account, status, days, zone if steps is not None else "UTC")
    figure.update_yaxes(title=account["currency"], tickformat=",.0f")
    figure.update_xaxes(title=clock.place(zone) if steps is not None else "firm day")
    look.chart(figure, "Did equity stay above its floors?", height=400, key="path")


def _line(figure: go.Figure, x: Any, y: Any, name: str, colour: str, **line: Any) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        name=name,
        mode="lines",
        connectgaps=False,
        line={"color": colour, "width": 1.6} | line,
        hovertemplate="%{x}<br>" + name + " %{y:,.2f}<extra></extra>",
    )


def _from_end_to_end(figure: go.Figure, days: pd.DataFrame) -> pd.DataFrame:
    """A single day as its two ends, between which its values are drawn; the axis names the day once."""
    day = pd.Timestamp(days["firm_day"].iloc[0])
    noon, end = day + pd.Timedelta(hours=12), day + pd.Timedelta(days=1, seconds=-1)
    figure.update_xaxes(tickvals=[noon], tickformat=look.DATE, hoverformat=look.DATE)
    return pd.concat([days.assign(firm_day=at) for at in (day, end)])


def _draw_days(figure: go.Figure, days: pd.DataFrame) -> None:
    colours, x = look.palette(), pd.to_datetime(days["firm_day"])
    amounts = days[["low_equity", "high_equity", "close_equity", "daily_floor", "max_floor"]].astype(float)
    _line(figure, x, amounts["high_equity"], "Highest of the day", colours.fine, width=0)
    figure.add_scatter(
        x=x,
        y=amounts["low_equity"],
        name="Equity, lowest to highest",
        mode="lines",
        fill="tonexty",
        line={"color": colours.fine, "width": 0},
        fillcolor=colours.band,
        hovertemplate="%{x}<br>Lowest %{y:,.2f}<extra></extra>",
    )
    figure.data[0].showlegend = False
    _line(figure, x, amounts["close_equity"], "Equity at the day's end", colours.fine)
    _line(figure, x, amounts["daily_floor"], "Daily floor", colours.near, dash="dot", shape="hvh")
    _line(figure, x, amounts["max_floor"], "Maximum floor", colours.breached, dash="dash", shape="hvh")


def _draw_steps(figure: go.Figure, steps: pd.DataFrame) -> None:
    colours = look.palette()
    _line(figure, steps["at"], steps["equity"], "Equity", colours.fine, width=1.3, shape="hv")
    _line(figure, steps["at"], steps["daily_floor"], "Daily floor", colours.near, dash="dot", shape="hv")
    _line(figure, steps["at"], steps["max_floor"], "Maximum floor", colours.breached, dash="dash", shape="hv")
    resets = steps[steps["reset"]]
    figure.add_scatter(
        x=resets["at"],
        y=resets["equity"],
        name="Reset",
        mode="markers",
        marker={"color": colours.unknown, "size": 5, "symbol": "line-ns-open"},
        hovertemplate="%{x}<br>reset, equity %{y:,.2f}<extra></extra>",
    )


def _marks(figure: go.Figure, account: dict[str, Any], status: dict[str, Any], days: pd.DataFrame, zone: str) -> None:
    """Breach or pass at its instant in the zone of the path, and days on which money left."""
    colours = look.palette()
    moved = days[days["money_moved"].astype(float) < 0]
    if len(moved):
        figure.add_scatter(
            x=pd.to_datetime(moved["firm_day"]),
            y=moved["close_equity"].astype(float),
            name="Money left the account",
            mode="markers",
            marker={"symbol": "triangle-down", "size": 11, "color": colours.text},
            customdata=moved["money_moved"].astype(float),
            hovertemplate="%{x}<br>%{customdata:,.2f}<extra></extra>",
        )
    table = schema.VERDICTS
    condition = (table.c.account_id == account["account_id"]) & table.c.outcome.in_(("breached", "passed"))
    named = set[str]()
    for verdict in reads.records(reads.decided(table, condition, order=table.c.happened_at, limit=20)):
        breached, name = verdict["outcome"] == "breached", _name_of(verdict)
        figure.add_scatter(
            x=[pd.Timestamp(verdict["happened_at"]).tz_convert(zone)],
            y=[_stood(verdict, status, days)],
            mode="markers+text",
            name=name,
            legendgroup=name,
            showlegend=name not in named,
            cliponaxis=False,
            text=["✕ breached" if breached else "✓ passed"],
            textposition="top left",
            marker={
                "symbol": "x" if breached else "star",
                "size": 13,
                "color": colours.breached if breached else colours.fine,
            },
            hovertemplate="%{x}<br>" + words.rule(verdict["rule"]) + " %{y:,.2f}<extra></extra>",
        )
        named.add(name)


def _name_of(verdict: dict[str, Any]) -> str:
    return f"{words.OUTCOMES[verdict['outcome']]}: {words.rule(verdict['rule'])}"


def _stood(verdict: dict[str, Any], status: dict[str, Any], days: pd.DataFrame) -> float:
    """The equity at a verdict: as its evidence tells it, else at the end of its day."""
    told = ((words.parsed(verdict["evidence"]) or {}).get("numbers") or {}).get("equity")
    if told is not None:
        return float(told)
    until = days[pd.to_datetime(days["opened_at"], utc=True) <= pd.Timestamp(verdict["happened_at"])]
    return float(status["equity"] if until.empty else until["close_equity"].iloc[-1])


def _verdicts(account_id: str, zone: str) -> None:
    """Each verdict as its sentence, with the numbers behind it."""
    table = schema.VERDICTS
    found = reads.decided(table, table.c.account_id == account_id, order=table.c.happened_at.desc(), limit=100)
    if found.empty:
        look.empty(
            "No verdict",
            "No rule has been broken and no target reached; what the account may do is under <b>Terms in force</b>.",
        )
        return
    for place, verdict in enumerate(reads.records(found)):
        evidence = words.parsed(verdict["evidence"]) or {}
        colour = {"breached": "breached", "warned": "near"}.get(str(verdict["outcome"]), "fine")
        outcome, rule = words.OUTCOMES[str(verdict["outcome"])], words.rule(verdict["rule"])
        title = f"{outcome} · {rule} → {words.effect(verdict['effect'])}"
        when = words.instant_html(verdict["happened_at"], zone, seconds=True)
        told = f"<small>{when} · {words.plain(verdict['product'])} version {verdict['product_version']}</small>"
        rule_text = f"<small>{words.escaped(evidence['rule_text'])}</small>" if "rule_text" in evidence else ""
        look.card(colour, title, [words.escaped(evidence.get("sentence", "")), rule_text, told])
        with st.expander("Evidence", expanded=place == 0):
            _evidence(verdict, evidence, zone)


def _evidence(verdict: dict[str, Any], evidence: dict[str, Any], zone: str) -> None:
    """The numbers, the event and the rule that led to a verdict, in three small tables."""
    around = {name: evidence[name] for name in ("firm_day", "day_opened_at", "equity_source") if name in evidence}
    event = {name: _told(name, value, zone) for name, value in (evidence.get("event", {}) | around).items()}
    unit = evidence.get("unit", "money")
    currency = evidence.get("currency") if unit == "money" else unit
    numbers = {name: _number(value, currency) for name, value in evidence.get("numbers", {}).items()}
    plain = [{words.plain(name): told for name, told in held.items()} for held in (numbers, event)]
    rule = dict(_rule_in_force(verdict, evidence))
    titles = ("Numbers", "Event", "Rule in force")
    for column, title, held in zip(st.columns(3), titles, [*plain, rule], strict=True):
        with column:
            st.markdown(f"**{title}**")
            look.table(held, right=title == "Numbers")
    if evidence.get("occurrences"):
        listed, in_all = evidence["occurrences"], evidence["occurrences_in_all"]
        st.caption(words.counted(in_all, "occurrence") + (", the first of them" if len(listed) < in_all else ""))
        shown = pd.DataFrame([_occurrence(one, currency, zone) for one in listed])
        st.dataframe(shown, hide_index=True, placeholder="")


def _occurrence(one: dict[str, Any], unit: str | None, zone: str) -> dict[str, str | None]:
    """One of the times that a rule was broken on a day, in words."""
    numbers = {words.plain(name): _number(one[name], unit) for name in ("observed", "allowed")}
    return {"Trade": one["trade_id"], "At": _told("at", one["at"], zone)} | numbers


def _rule_in_force(verdict: dict[str, Any], evidence: dict[str, Any]) -> list[tuple[str, str]]:
    """The fields of the rule that a verdict names, in words; as the evidence wrote them where the rulebook has none."""
    rules = paths.terms(verdict["product"], verdict["product_version"], evidence["stage"], evidence.get("currency"))
    found = next((fields for rule, _, fields in rules or [] if rule == verdict["rule"]), None)
    return found if found is not None else [(words.plain(name), value) for name, value in evidence["rule"].items()]


def _number(value: Any, unit: str | None) -> str:
    """An amount, or a quantity with its unit; what is no number stays as it is told."""
    try:
        amount = float(value)
    except (TypeError, ValueError):
        return words.value(value)
    return words.money(amount, unit) if unit and unit.isupper() else f"{words.value(amount)} {unit or ''}"


def _told(name: str, value: Any, zone: str) -> str:
    """A value of the deciding event, instants in the desk's zone."""
    if name != "at" and not name.endswith("_at"):
        return words.value(value)
    return words.instant(dt.datetime.fromisoformat(str(value)), zone, seconds=True)


def _days(account_id: str, currency: str) -> None:
    table = schema.ACCOUNT_DAYS
    total = reads.count(_select_days(account_id))
    if not total:
        look.empty("No account days", "A firm day appears with its first deal, observation or reset.")
        return
    start = state.page_number(total) * reads.PAGE_ROWS
    found = reads.fetch(_select_days(account_id).order_by(table.c.firm_day.desc()).limit(reads.PAGE_ROWS).offset(start))
    amounts = [name for name in found.columns if name.endswith(("equity", "balance", "profit", "floor", "moved"))]
    found = found.assign(**{name: found[name].astype(float) for name in amounts}).drop(
        columns=["account_id", "opened_at"]
    )
    config: dict[str, Any] = {
        name: st.column_config.NumberColumn(words.plain(name), format=words.column(currency)) for name in amounts
    }
    day = st.column_config.DateColumn("Firm day", format=words.DAY)
    st.dataframe(found, hide_index=True, column_config=config | {"firm_day": day, "trades": "Opening deals"})


def _select_days(account_id: str) -> Any:
    """The account days of one account."""
    table = schema.ACCOUNT_DAYS
    return sa.select(table).where(table.c.account_id == account_id)


def _trades(account_id: str, zone: str, currency: str) -> None:
    with st.skeleton(height=300):
        found = lake.trades(account_id)
    if found.empty:
        look.empty("No trade", "Round trips come from the dataset <code>deals</code>.")
        return
    start = state.page_number(len(found)) * reads.PAGE_ROWS
    page = found.iloc[start : start + reads.PAGE_ROWS]
    st.caption(f"{words.counted(len(found), 'round trip')}, newest first · times in {clock.place(zone)}")
    shown = page.assign(held=[_held(row["opened_at"], row["closed_at"]) for row in reads.records(page)])[
        [
            "trade_id",
            "instrument",
            "side",
            "lots",
            "opened_at",
            "closed_at",
            "held",
            "open_price",
            "close_price",
            "profit",
            "commission",
            "swap",
            "net_profit",
            "stop_loss",
            "take_profit",
            "close_reason",
            "magic",
        ]
    ]
    when = {
        name: st.column_config.DatetimeColumn(words.plain(name), format=words.SECOND, timezone=zone)
        for name in ("opened_at", "closed_at")
    }
    amounts = {
        name: st.column_config.NumberColumn(words.plain(name), format=words.column(currency))
        for name in ("profit", "commission", "swap", "net_profit")
    }
    amounts["lots"] = st.column_config.NumberColumn("Lots", format="%,.2f")
    st.dataframe(shown, hide_index=True, column_config=words.titles(shown) | when | amounts, placeholder="")


def _held(opened: dt.datetime, closed: dt.datetime) -> str:
    if words.missing(closed):
        return "open"
    seconds = (closed - opened).total_seconds()
    return f"{seconds:,.0f} s" if seconds < 120 else words.age(seconds / 3600)


def _logins(trader_id: str, zone: str) -> None:
    with st.skeleton(height=200):
        found = lake.logins(trader_id)
    if found.empty:
        look.empty("No sign-in", "Sign-ins come from the dataset <code>logins</code>.")
        return
    when = {"occurred_at": st.column_config.DatetimeColumn("When", format=words.SECOND, timezone=zone)}
    st.caption(
        f"The newest {words.counted(len(found), 'sign-in')} of {words.marked(trader_id)} · times in {clock.place(zone)}"
    )
    titles = words.titles(found) | {"ip": "IP address"} | when
    st.dataframe(found, hide_index=True, column_config=titles, placeholder="")


def _terms(account: dict[str, Any], zone: str) -> None:
    """The rules of the version that this challenge bought, in words and numbers."""
    rules = paths.terms(account["product"], account["product_version"], account["stage"], account["currency"])
    if rules is None:
        look.empty("No terms in force", "The rulebook holds none for this product, version and stage.")
        return
    version, bought = words.number(account["product_version"]), words.instant(account["purchased_at"], zone)
    st.caption(f"{words.plain(account['product'])} version {version}, bought {bought}")
    for rule, told, fields in rules:
        with st.container(border=True):
            st.html(f"<b>{words.rule(rule)}</b> {words.escaped(told)}")
            st.caption(" · ".join(words.marked(f"{meaning}: {value}") for meaning, value in fields))
