"""Policy lab: what would other terms have done."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st

from dashboards.kit import look, paths, reads, state, words
from dashboards.kit.people import who
from models.catalogue import Terms, Version
from models.rules import RULES, Field
from pipelines import whatif
from pipelines.whatif import Comparison, History, WhatIfRefused

NUMBERS = ("percent", "amount", "count", "seconds", "number")


def show() -> None:
    """The newest terms of a product as a form; replayed, today stands beside the draft."""
    products = paths.rulebook().products
    left, right = st.columns(2)
    with left:
        chosen = state.one_of("Product", "product", sorted(products), shown=lambda one: products[one].name, every=False)
    newest = products[str(chosen)].versions[-1]
    with right:
        stage = str(state.one_of("Stage to change", "stage", list(newest.stages), shown=words.stage, every=False))
    draft = _form(newest, stage)
    if draft is None:
        look.empty(
            "Change a figure, then replay",
            "Every account of the product is walked again under the draft and stands beside what its own terms did.",
        )
        return
    try:
        with st.status("Replaying history", expanded=False) as progress:
            found = _compared(str(reads.warehouse().home), reads.stamp(), draft.product, _key(draft), draft)
            progress.update(label="History replayed under the draft", state="complete")
    except WhatIfRefused as refused:
        look.empty("History cannot answer this", words.escaped(refused))
        return
    _rows(found, stage)
    _flips(found.flips)
    for caveat in whatif.CAVEATS:
        st.caption(f"? {caveat}")


def _form(version: Version, stage: str) -> Version | None:
    """The stage's figures to change; the draft once it is sent, until another stage is chosen."""
    held = version.stages[stage]
    with st.form(f"draft-{version.product}-{stage}"):
        columns = st.columns(4)
        changed: dict[str, dict[str, Any]] = {}
        for place, (rule, field, value) in enumerate(_figures(held)):
            with columns[place % 4]:
                given = _asked(rule, field, value, f"{version.product}-{stage}-{rule}-{field.name}")
            changed.setdefault(rule, dict(held[rule]))[field.name] = given
        sent = st.form_submit_button("Replay history", type="primary", icon=":material/play_arrow:")
    key = f"sent-{version.product}-{stage}"
    st.session_state[key] = sent or st.session_state.get(key, False)
    if not st.session_state[key]:
        return None
    terms: Terms = {rule: changed.get(rule, fields) for rule, fields in held.items()}
    return replace(version, stages={**version.stages, stage: terms})


def _figures(held: Terms) -> list[tuple[str, Field, Any]]:
    """The numbers that a stage's rules hold."""
    return [
        (rule, field, fields[field.name])
        for rule, fields in held.items()
        for field in RULES[rule].fields
        if field.kind in NUMBERS and fields.get(field.name) is not None
    ]


def _asked(rule: str, field: Field, value: Any, key: str) -> Any:
    """One number of a rule, with its meaning on hover."""
    label = f"{words.plain(rule)}: {field.name.replace('_', ' ')}"
    if isinstance(value, int):
        return int(st.number_input(label, min_value=0, value=value, step=1, key=key, help=field.meaning))
    given = st.number_input(label, min_value=0.0, value=float(value), step=0.5, key=key, help=field.meaning)
    return Decimal(str(given))


def _key(draft: Version) -> str:
    return repr(
        sorted(
            (stage, sorted((rule, sorted(fields.items(), key=str)) for rule, fields in terms.items()))
            for stage, terms in draft.stages.items()
        )
    )


@st.cache_resource(ttl=reads.CACHE_SECONDS * 10, show_spinner=False, max_entries=2)
def _history(home: str, stamp: reads.Stamp, product: str) -> History:
    if stamp.as_of is None:
        raise WhatIfRefused("nothing is scored yet: there is no history to replay")
    with reads.warehouse().engine(stamp.as_of) as connection:
        return whatif.load(connection, paths.rulebook(), stamp.as_of, product)


@st.cache_resource(ttl=reads.CACHE_SECONDS * 10, show_spinner=False, max_entries=10)
def _compared(home: str, stamp: reads.Stamp, product: str, key: str, _draft: Version) -> Comparison:
    history = _history(home, stamp, product)
    return whatif.compare_history(history, paths.rulebook(), {product: _draft})


def _rows(found: Comparison, stage: str) -> None:
    """Today beside the draft; a change whose interval spans zero is said to be unclear."""
    table = pd.DataFrame(found.rows)
    table = table[table["stage"].isin(("all", stage))]
    clear = [not words.missing(row["low"]) and (row["low"] > 0 or row["high"] < 0) for row in reads.records(table)]
    shown = table.assign(
        verdict=["▲ Differs" if one else "● No clear change" for one in clear],
        stage=[words.stage(one) if one != "all" else "All" for one in table["stage"]],
        metric=[words.plain(one) for one in table["metric"]],
    )[["verdict", "metric", "stage", "unit", "today", "draft", "change", "low", "high"]]
    figures: dict[str, Any] = {
        name: st.column_config.NumberColumn(label, format="%,.2f")
        for name, label in (
            ("today", "Today"),
            ("draft", "Draft"),
            ("change", "Change"),
            ("low", "from (95 %)"),
            ("high", "to (95 %)"),
        )
    }
    st.dataframe(
        look.coloured(shown, "verdict", ["near" if one else "fine" for one in clear]),
        hide_index=True,
        height="content",
        placeholder="",
        column_config={"verdict": "", "metric": "Figure", "stage": "Stage", "unit": "Unit", **figures},
    )


def _flips(flips: pd.DataFrame) -> None:
    desks = who().desks
    mine = flips if desks is None else flips[flips["desk_id"].isin(desks)]
    st.subheader(f"{len(mine):,} accounts would have ended otherwise", anchor=False)
    if mine.empty:
        st.caption("The draft changes no account's end.")
        return
    st.dataframe(
        mine.head(reads.MOST_ROWS),
        hide_index=True,
        placeholder="",
        column_config={name: words.plain(name.removesuffix("_id")) for name in mine.columns},
    )
