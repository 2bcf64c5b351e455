"""Policy lab: what would other terms have done."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboards.kit import look, paths, places, reads, replays, state, words
from dashboards.kit.people import who
from models import catalogue, drafts
from models.access import AccessRefused
from models.catalogue import Product, RulebookRefused, Terms, Version
from models.drafts import DraftRefused
from models.rulebook_pages import day_begins
from models.rules import RULES, Field
from pipelines import whatif
from pipelines.whatif import METRICS, Axis, Comparison, WhatIfRefused

NUMBERS = ("percent", "amount", "count", "seconds", "number")
VIEWS = {
    "figures": "Move figures",
    "file": "Load a rulebook",
    "sweep": "Sweep",
    "shadow": "Drafts in shadow",
}
RANGES = {"today": "today_", "draft": "draft_", "change": ""}
COUNTED = ("accounts", "challenges")
SWEPT_IN = {"payout ratio": "% of fees", "pass rate": "% of accounts", "breach rate": "% of accounts"} | dict.fromkeys(
    ("payouts", "net of fees and payouts", "expected payout per challenge sold", "break-even fee"), "USD"
)
"""The units of swept figures that their names do not tell."""
STEPS = 5
TOLD = "draft-told"
MOVED, MORE = "moved", "more"
"""Where the address keeps moved figures, and beside them the rules that were written."""
LARGEST = 10**12
"""A figure of the address above it was not moved by hand."""


def show() -> None:
    """A product's terms moved, loaded or swept, replayed over all history beside today; and its drafts in shadow."""
    if TOLD in st.session_state:
        st.toast(st.session_state.pop(TOLD))
    try:
        products = paths.rulebook().products
    except RulebookRefused as refused:
        look.empty("The rulebook does not hold", words.escaped(refused))
        return
    left, right = st.columns(2)
    with left:
        listed = replays.by_history(list(products))
        chosen = state.one_of("Product", "product", listed, shown=lambda one: products[one].name, every=False)
    product = products[str(chosen)]
    newest = product.versions[-1]
    with right:
        stage = str(state.one_of("Stage to change", "stage", list(newest.stages), shown=words.stage, every=False))
    view = state.tab("View", "view", VIEWS)
    if view == "shadow":
        _shadow(product)
    elif view == "sweep":
        _sweep(newest, stage)
    else:
        draft = _form(newest, stage) if view == "figures" else _loaded(product)
        if draft is not None:
            _replayed(product, draft, stage)


# --- the draft -----------------------------------------------------------------------------------------------------


def _form(version: Version, stage: str) -> Version | None:
    """The stage's figures to change; the draft once it is sent, until another stage is chosen."""
    held = version.stages[stage]
    name = f"{version.product}-{stage}"
    linked = _linked(name)
    with st.form(f"draft-{name}"):
        changed = _asked_all(held, name, linked)
        more = st.text_area(
            "Other rules, as a product file says them",
            linked.get(MORE, ""),
            key=f"more-{name}",
            height=80,
            placeholder="holding_time = { seconds = 60 }\nconsistency = { share = 40 }",
            help="A rule named here takes the place of the stage's own.",
        )
        sent = st.form_submit_button("Replay history", type="primary", icon=":material/play_arrow:")
    key = f"sent-{name}"
    st.session_state[key] = sent or st.session_state.get(key, bool(linked))
    if not st.session_state[key]:
        look.empty(
            "Change a figure, then replay",
            "Every account of the product is judged again under the draft and stands beside what its own terms did.",
        )
        return None
    _link(name, held, changed, more)
    terms: Terms = {rule: changed.get(rule, fields) for rule, fields in held.items()}
    return _refusable(lambda: _with_rules(replace(version, stages={**version.stages, stage: terms}), stage, more))


def _linked(name: str) -> dict[str, str]:
    """What the address says of a stage's figures, by rule and field; what it says of another stage's is none."""
    try:
        told = json.loads(state.parameter(MOVED) or "{}")
    except ValueError:
        return {}
    mine = told.get(name) if isinstance(told, dict) else None
    return {str(key): str(said) for key, said in mine.items()} if isinstance(mine, dict) else {}


def _link(name: str, held: Terms, changed: Mapping[str, Mapping[str, Any]], more: str) -> None:
    """Puts the figures that were moved into the address, so that a link replays the same draft."""
    moved = {
        f"{rule}.{field}": str(value)
        for rule, fields in changed.items()
        for field, value in fields.items()
        if value != held[rule][field]
    }
    if more.strip():
        moved[MORE] = more.strip()
    if moved:
        st.query_params[MOVED] = json.dumps({name: moved}, separators=(",", ":"))
    elif MOVED in st.query_params:
        del st.query_params[MOVED]


def _with_rules(version: Version, stage: str, text: str) -> Version:
    """A version with further rules of a stage, written as in a product file."""
    made = drafts.checked(version)
    return drafts.with_rules(made, stage, text) if text.strip() else made


def _refusable(make: Callable[[], Version]) -> Version | None:
    """A draft, or the sentence that says which field does not hold."""
    try:
        return make()
    except RulebookRefused as refused:
        look.card("breached", "These terms do not hold", [words.escaped(refused)])
        return None


def _figures(held: Terms) -> list[tuple[str, Field, Any]]:
    """The numbers that a stage's rules hold."""
    return [
        (rule, field, fields[field.name])
        for rule, fields in held.items()
        for field in RULES[rule].fields
        if field.kind in NUMBERS and fields.get(field.name) is not None and _asked_for(field, fields[field.name])
    ]


def _asked_for(field: Field, value: Any) -> bool:
    """Whether a number means something as it stands: one that is nothing unless it is written is not asked for."""
    return field.required or value != 0 or field.default != 0


def _asked_all(held: Terms, name: str, linked: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Every number of the stage, as it is asked for and at first as it is linked; the rules that hold one."""
    columns = st.columns(4)
    changed: dict[str, dict[str, Any]] = {}
    for place, (rule, field, value) in enumerate(_figures(held)):
        with columns[place % 4]:
            first = _number_of(linked.get(f"{rule}.{field.name}"), value)
            given = _asked(rule, field, first, f"{name}-{rule}-{field.name}")
        changed.setdefault(rule, dict(held[rule]))[field.name] = given
    return changed


def _number_of(said: str | None, held: Any) -> Any:
    """A linked figure as the number that it is, the one held where there is none."""
    try:
        given = Decimal(said or "")
    except InvalidOperation:
        return held
    if not given.is_finite() or not 0 <= given <= LARGEST:
        return held
    return int(given) if isinstance(held, int) else given


def _asked(rule: str, field: Field, value: Any, key: str) -> Any:
    """One number of a rule, with its meaning on hover."""
    label = _label(rule, field.name)
    if isinstance(value, int):
        return int(st.number_input(label, min_value=0, value=value, step=1, key=key, help=field.meaning))
    given = st.number_input(label, min_value=0.0, value=float(value), step=0.5, key=key, help=field.meaning)
    return Decimal(str(given))


def _label(rule: str, field: str) -> str:
    """A rule's figure with its unit, told once where the rule's name says it."""
    name = words.rule(rule)
    if field == "percent":
        return f"{name}, %"
    return name if name.lower().endswith(field) else f"{name}: {field.replace('_', ' ')}"


def _loaded(product: Product) -> Version | None:
    """A product file from the reader's own disk; its newest version is the draft."""
    given = st.file_uploader("A product file (TOML)", type=["toml", "draft"], key=f"file-{product.id}")
    if given is None:
        look.empty(
            "Load a product file, then see it beside today",
            f"Its newest version is replayed over {words.escaped(product.name)}; nothing is put in force.",
        )
        return None
    return _refusable(lambda: _read(given.getvalue(), given.name, product))


def _read(data: bytes, name: str, product: Product) -> Version:
    """The newest version of a loaded file; RulebookRefused when it is no product file, or another product's."""
    try:
        found = catalogue.read_product(data.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        raise RulebookRefused(f"{name}: not UTF-8 at byte {error.start + 1}; save it as UTF-8") from error
    if found.id != product.id:
        raise RulebookRefused(f"{name}: id: is {found.id}, and the product chosen is {product.id}")
    return found.versions[-1]


# --- both sides ----------------------------------------------------------------------------------------------------


def _replayed(product: Product, draft: Version, stage: str) -> None:
    """A draft beside today: figures, who flips, caveats, and the draft to be kept."""
    try:
        with st.status("Replaying history", expanded=False) as progress:
            found = replays.compared(draft, who().desks)
            progress.update(label="History replayed under the draft", state="complete")
    except WhatIfRefused as refused:
        look.empty("History cannot answer this", words.escaped(refused))
        return
    _changes(product.versions[-1], draft)
    if len(product.versions) > 1:
        st.caption(
            f"Today is each purchase under the version that it bought; the draft is laid over all of them. What version"
            f" {product.versions[-1].version} changed for earlier purchases is therefore in the figures too."
        )
    _rows(found, stage)
    _flips(found.flips)
    _caveats()
    if who().may("terms.draft"):
        _keep(product, draft)


def _changes(today: Version, draft: Version) -> None:
    """What the draft says otherwise than the terms of today, stage by stage."""
    lines = [] if draft.clock == today.clock else [_clocks(today, draft)]
    for stage, terms in draft.stages.items():
        held = today.stages.get(stage, {})
        for rule in dict.fromkeys((*held, *terms)):
            was, is_now = (_line(rule, one) for one in (held, terms))
            if was != is_now:
                lines.append(f"{words.escaped(words.stage(stage))}: {is_now}; today {was}")
    if lines:
        look.card("near", "What the draft changes", lines)
    else:
        lines = ["Only what was bought under an earlier version can come out otherwise."]
        look.card("ended", "The draft says what the terms of today say", lines)


def _clocks(today: Version, draft: Version) -> str:
    begins = (words.escaped(day_begins(version.clock)) for version in (draft, today))
    return "The day begins at {}; today at {}".format(*begins)


def _line(rule: str, terms: Terms) -> str:
    return (
        f"<code>{words.escaped(drafts.rule_line(rule, terms[rule]))}</code>"
        if rule in terms
        else f"no {words.rule(rule).lower()}"
    )


def _caveats() -> None:
    st.caption("What this cannot say  \n" + "  \n".join(f"· {caveat}" for caveat in whatif.CAVEATS))


def _rows(found: Comparison, stage: str) -> None:
    """Today beside the draft; a change whose interval spans zero is said to be unclear."""
    table = pd.DataFrame(found.rows)
    table = table[table["stage"].isin(("all", stage))]
    rows = reads.records(table)
    states = [_clear(row) for row in rows]
    said = {"near": "▲ Differs", "fine": "● No clear change", "ended": "○ The same"}
    shown = pd.DataFrame(
        {
            "verdict": [said[one] for one in states],
            "metric": [_named(row["metric"], row["unit"]) for row in rows],
            "stage": [words.stage(row["stage"]) if row["stage"] != "all" else "All" for row in rows],
            **{name: [_number(row[name], row["unit"]) for row in rows] for name in ("today", "draft", "change")},
            **{f"{name}_range": [_range(row, row["unit"], prefix) for row in rows] for name, prefix in RANGES.items()},
        }
    )
    figure = st.column_config.TextColumn("Figure", width=190)
    columns: dict[str, Any] = {"verdict": "", "metric": figure, "stage": "Stage"}
    for name in RANGES:
        columns[name] = st.column_config.TextColumn(words.plain(name), alignment="right")
        columns[f"{name}_range"] = st.column_config.TextColumn("95 %", width=128, alignment="right", help=f"of {name}")
    st.dataframe(
        look.coloured(shown, "verdict", states),
        hide_index=True,
        height="content",
        placeholder="",
        column_config=columns,
        column_order=[*columns],
    )


def _named(metric: str, unit: str) -> str:
    """A figure's name with its unit, where the name does not tell it."""
    name = metric.removeprefix("breaches of ").replace(" ", "_")
    said = f"Breaches of {words.rule(name).lower()}" if metric.startswith("breaches of ") else words.plain(metric)
    said = said.replace("challenge sold", "sale")  # in full the table is too wide
    return said if unit in (*COUNTED, "days", "") else f"{said}, {unit}"


def _number(value: Any, unit: str) -> str:
    """A figure with the decimals that its unit needs."""
    places = 0 if unit in COUNTED and not words.missing(value) and value == int(value) else 1
    return words.number(value, 2 if unit == "USD" else places)


def _clear(row: dict[str, Any]) -> str:
    """Whether a change is clear of zero, unclear, or none at all."""
    if row["change"] in (0, None) and row["low"] in (0, None) and row["high"] in (0, None):
        return "ended"
    return "near" if not words.missing(row["low"]) and (row["low"] > 0 or row["high"] < 0) else "fine"


def _range(row: dict[str, Any], unit: str, prefix: str) -> str:
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    if words.missing(low) or low == high:
        return ""
    places = 0 if max(abs(low), abs(high)) >= 1000 or unit in COUNTED else 1
    return f"{words.number(low, places)} to {words.number(high, places)}"


def _flips(flips: pd.DataFrame) -> None:
    st.subheader(f"{words.counted(len(flips), 'account')} would have ended otherwise", anchor=False)
    if flips.empty:
        st.caption("The draft changes no account's end.")
        return
    ways = (flips["today"] + " → " + flips["draft"]).value_counts()
    st.caption(" · ".join(f"{way}: {count:,}" for way, count in ways.items()))
    rules = {f"{side}_rule": flips[f"{side}_rule"].map(_rule) for side in ("today", "draft")}
    shown = flips.assign(
        stage=flips["stage"].map(words.stage), desk_id=flips["desk_id"].replace(state.desk_names()), **rules
    )
    event: Any = st.dataframe(
        shown.drop(columns="product").head(reads.MOST_ROWS),
        hide_index=True,
        height=look.height(min(len(flips), reads.MOST_ROWS)),
        placeholder="",
        column_config=_columns(flips),
        on_select="rerun",
        selection_mode="single-row",
        key="flips",
    )
    chosen = event.selection.rows
    if chosen and chosen[0] < len(flips):
        account = str(flips["account_id"].iloc[chosen[0]])
        if st.button(f"Open account {account}", type="primary", icon=":material/open_in_new:"):
            places.go("account", account=account)


def _rule(name: Any) -> str:
    return "" if words.missing(name) or name == "" else words.rule(name)


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        str(name): st.column_config.DatetimeColumn(f"{words.plain(name)} (UTC)", format=words.MINUTE, timezone="UTC")
        if str(name).endswith("_at")
        else words.plain(str(name).removesuffix("_id"))
        for name in frame.columns
    }


def _keep(product: Product, draft: Version) -> None:
    """The draft as a file beside the rulebook, judged in shadow from the next scoring on."""
    with st.expander("Save as a draft that runs in shadow", icon=":material/save:"), st.form("keep", border=False):
        left, right = st.columns(2)
        with left:
            name = st.text_input("Name", placeholder="tighter-day", help="small letters, digits, - and _")
        with right:
            since = st.date_input(
                "Judged for purchases since",
                value=product.versions[-1].effective_from.date(),
                help="Challenges bought from this day on are judged under the draft too; nothing follows from it.",
            )
        reason = st.text_input("Reason", placeholder="Why, in a sentence an auditor can check")
        if not st.form_submit_button("Save as draft", icon=":material/save:"):
            return
    at = dt.datetime.combine(since, dt.time(), dt.UTC) if isinstance(since, dt.date) else draft.effective_from
    try:
        made = drafts.following(paths.rulebook(), draft, at)
        path = drafts.save(reads.warehouse().database, who(), replays.folder(), product, made, name.strip(), reason)
    except (AccessRefused, DraftRefused, RulebookRefused) as refused:
        look.refused(refused)
        return
    st.session_state[TOLD] = f"{path.name} is kept; the next highwater score judges it in shadow."
    st.rerun()


# --- sweeps --------------------------------------------------------------------------------------------------------


def _sweep(version: Version, stage: str) -> None:
    """One parameter or two over their values, as a map of one figure."""
    figures = _figures(version.stages[stage])
    if not figures:
        look.empty("No figure to sweep", "The stage's rules hold no numbers.")
        return
    with st.form(f"sweep-{version.product}-{stage}"):
        first = _axis("Along", stage, figures, f"first-{version.product}-{stage}", 0)
        second = _axis("And along", stage, figures, f"second-{version.product}-{stage}", 1, none=True)
        sent = st.form_submit_button("Replay every combination", type="primary", icon=":material/play_arrow:")
    key = f"swept-{version.product}-{stage}"
    st.session_state[key] = sent or st.session_state.get(key, False)
    if not st.session_state[key] or first is None:
        look.empty(
            "Choose one figure or two, then replay", "Each combination of their values is replayed over history."
        )
        return
    axes = (first,) if second is None or second.name == first.name else (first, second)
    cells = len(first.values) * (len(second.values) if len(axes) == 2 and second else 1)
    try:
        with st.status(f"Replaying {cells} combinations", expanded=False) as progress:
            bar = st.progress(0.0)
            found = replays.swept(version, axes, who().desks, lambda done: _progress(bar, done / cells))
            progress.update(label=f"{cells} combinations replayed", state="complete")
    except WhatIfRefused as refused:
        look.empty("History cannot answer this", words.escaped(refused))
        return
    metric = str(state.one_of("Figure", "metric", list(METRICS), every=False))
    today = [float(version.stages[stage][axis.rule][axis.field]) for axis in axes]
    _map(found, axes, metric, today)
    _caveats()


def _progress(bar: Any, share: float) -> None:
    bar.progress(min(share, 1.0))


def _axis(
    label: str, stage: str, figures: list[tuple[str, Field, Any]], key: str, place: int, *, none: bool = False
) -> Axis | None:
    """A figure with the range that it is swept over, half to one and a half of what it is unless said otherwise."""
    names = [f"{rule}.{field.name}" for rule, field, _ in figures]
    listed = ["", *names] if none else names
    columns = st.columns([3, 1, 1, 1])
    with columns[0]:
        chosen = st.selectbox(
            label,
            listed,
            index=min(place + none, len(listed) - 1),
            key=key,
            format_func=lambda one: _label(*one.split(".")) if one else "nothing else",
        )
    rule, field, value = figures[names.index(chosen)] if chosen else figures[0]
    whole = field.kind in ("count", "seconds")
    with columns[1]:
        low = st.number_input("from × today", 0.0, value=0.5, step=0.1, key=f"{key}-low")
    with columns[2]:
        high = st.number_input("to × today", 0.0, value=1.5, step=0.1, key=f"{key}-high")
    with columns[3]:
        steps = st.number_input("steps", 2, 20, STEPS, key=f"{key}-steps")
    if not chosen:
        return None
    return Axis(stage, rule, field.name, replays.stepped(float(value) * low, float(value) * high, int(steps), whole))


def _map(found: pd.DataFrame, axes: tuple[Axis, ...], metric: str, today: list[float]) -> None:
    """A sweep as a heat map with its figures written in and the terms of today marked; one parameter is a line."""
    shown = found.astype({axis.name: float for axis in axes})
    titles = [_label(axis.rule, axis.field) for axis in axes]
    named = _named(metric, SWEPT_IN.get(metric, ""))
    figure = go.Figure()
    if len(axes) == 1:
        figure.add_scatter(x=shown[axes[0].name], y=shown[metric].astype(float), mode="lines+markers", name=metric)
        figure.update_yaxes(title=named)
        figure.add_vline(today[0], line_dash="dot", line_color=look.palette().ended, annotation_text="today")
    else:
        cells = shown.pivot(index=axes[1].name, columns=axes[0].name, values=metric).astype(float)
        figure.add_trace(
            go.Heatmap(
                x=[f"{one:g}" for one in cells.columns],
                y=[f"{one:g}" for one in cells.index],
                z=cells.to_numpy(),
                colorscale=[[0, look.CLEAR], [1, look.palette().heat]],
                texttemplate="%{z:,.1f}",
                textfont={"color": look.palette().text},
                xgap=2,
                ygap=2,
                hovertemplate=f"{titles[0]} %{{x}}<br>{titles[1]} %{{y}}<br>{metric} %{{z:,.2f}}<extra></extra>",
                showscale=False,
            )
        )
        if today[0] in cells.columns and today[1] in cells.index:
            mark = {"text": "today", "showarrow": False, "yshift": -16, "font": {"size": 11}}
            # a category that looks like a number is taken for a place on the axis
            figure.add_annotation(x=cells.columns.get_loc(today[0]), y=cells.index.get_loc(today[1]), **mark)
        figure.update_xaxes(type="category", showgrid=False)
        figure.update_yaxes(type="category", showgrid=False, title=titles[1])
    figure.update_xaxes(title=titles[0])
    look.chart(figure, f"What would this have been under each draft? {named}", height=420)


# --- shadow --------------------------------------------------------------------------------------------------------


def _shadow(product: Product) -> None:
    """The product's drafts beside the live terms, as the last run judged both."""
    held = {path.name.removesuffix(drafts.SUFFIX): path for path in drafts.files(replays.folder())}
    mine = {name: path for name, path in held.items() if name.split(".")[0] == product.id}
    judged = {str(row["draft"]): row for row in reads.records(replays.shadows(product.id, who().desks))}
    if not mine and not judged:
        look.empty(
            "No draft of this product",
            "Move figures or load a rulebook, then save a draft: every scoring run judges it beside the live terms.",
        )
        return
    for name in sorted({*mine, *judged}):
        _one_draft(product, name, judged.get(name), mine.get(name))


def _one_draft(product: Product, name: str, row: dict[str, Any] | None, path: Path | None) -> None:
    there = path is not None
    st.subheader(name, anchor=False)
    if path is not None:
        try:
            _changes(product.versions[-1], drafts.read(path).version)
        except RulebookRefused as refused:
            look.card("unknown", "The draft does not hold", [words.escaped(str(refused))])
    if row is None:
        look.empty("Not judged yet", "The next <code>highwater score</code> judges it for purchases since its date.")
    else:
        gone = "" if there else " The file is gone; the next run forgets it."
        differing, accounts = int(row["differing"] or 0), int(row["accounts"])
        said = f"{differing:,} of {words.counted(accounts, 'account')} would stand otherwise.{gone}"
        look.card("near" if differing else "fine", said, ["Nothing follows from a draft: no account, payout or queue."])
        _differences(name)
    if there and who().may("terms.draft"):
        _withdraw(name)


def _differences(name: str) -> None:
    breaches, rows = replays.shadow_breaches(name, who().desks), replays.shadow_rows(name, who().desks)
    if not breaches.empty:
        st.dataframe(
            breaches.assign(rule=breaches["rule"].map(words.rule)),
            hide_index=True,
            width=520,
            placeholder="",
            column_config={
                "rule": "Accounts that broke",
                "accounts_live": st.column_config.NumberColumn("Live", format="%d"),
                "accounts_shadow": st.column_config.NumberColumn("Draft", format="%d"),
            },
        )
    if rows.empty:
        return
    names = ["account_id", "stage", "live_status", "live_rule", "live_status_at", "status", "rule", "status_at"]
    named = rows.assign(
        stage=rows["stage"].map(words.stage), rule=rows["rule"].map(_rule), live_rule=rows["live_rule"].map(_rule)
    )[names].rename(columns={"status": "draft_status", "rule": "draft_rule", "status_at": "draft_status_at"})
    st.dataframe(named, hide_index=True, height=look.height(len(named)), placeholder="", column_config=_columns(named))


def _withdraw(name: str) -> None:
    with st.expander("Take this draft away"), st.form(f"withdraw-{name}", border=False):
        reason = st.text_input("Reason", key=f"withdraw-reason-{name}")
        if not st.form_submit_button("Take away", icon=":material/delete:"):
            return
    try:
        drafts.withdraw(reads.warehouse().database, who(), replays.folder(), name, reason)
    except (AccessRefused, DraftRefused) as refused:
        look.refused(refused)
        return
    st.session_state[TOLD] = f"{name} is taken away."
    st.rerun()
