"""What the Policy lab asks of the replay: histories held open, comparisons and sweeps kept while nothing new comes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import paths, reads
from models import catalogue, drafts
from models.catalogue import Version
from pipelines import whatif
from pipelines.whatif import Axis, Comparison, History, WhatIfRefused
from sql import schema

KEPT_SECONDS = 10 * reads.CACHE_SECONDS
Desks = tuple[str, ...] | None


@st.cache_resource(ttl=KEPT_SECONDS, show_spinner="Reading the product's history", max_entries=2)
def _history(home: str, stamp: reads.Stamp, product: str, desks: Desks, book: str) -> History:
    if stamp.as_of is None:
        raise WhatIfRefused("nothing is scored yet: there is no history to replay")
    held = whatif.opened(reads.warehouse(), paths.rulebook(), stamp.as_of, [product], desks)
    history = held.__enter__()
    # the engine lives as long as the history that stands on it
    history.kept["engine"] = held
    return history


def by_history(products: list[str]) -> list[str]:
    """Products in order of the accounts that traded them, those without any by name."""
    table = reads.rows("risk_facets")
    held = table.groupby("product")["accounts"].sum().to_dict() if not table.empty else {}
    return sorted(products, key=lambda one: (-held.get(one, 0), one))


def history(product: str, desks: Desks) -> History:
    """The history of a product at some desks, or all; WhatIfRefused when there is none."""
    return _history(str(reads.warehouse().home), reads.stamp(), product, desks, paths.rulebook().digest)


@st.cache_resource(ttl=KEPT_SECONDS, show_spinner=False, max_entries=20)
def _compared(home: str, stamp: reads.Stamp, desks: Desks, book: str, text: str, _draft: Version) -> Comparison:
    return whatif.compare_history(history(_draft.product, desks), paths.rulebook(), {_draft.product: _draft})


def compared(draft: Version, desks: Desks) -> Comparison:
    """Today beside a draft, over the accounts of some desks, or all."""
    place = str(reads.warehouse().home)
    text = drafts.text_of(draft, draft.product)
    return _compared(place, reads.stamp(), desks, paths.rulebook().digest, text, draft)


def swept(draft: Version, axes: tuple[Axis, ...], desks: Desks, told: Callable[[int], None]) -> pd.DataFrame:
    """A draft's figures for every combination of the axes' values; `told` hears how many are done.

    Kept with the history rather than in a cache of the framework, which may not draw progress while it fills.
    """
    held = history(draft.product, desks)
    key = f"sweep {axes} {drafts.text_of(draft, draft.product)}"
    if key not in held.kept:
        held.kept[key] = pd.DataFrame(whatif.sweep(held, paths.rulebook(), draft, axes, told))
    frame: pd.DataFrame = held.kept[key]
    return frame


def folder() -> Path:
    """The folder of the rulebook in force, where drafts are kept beside it."""
    return catalogue.folder()


def shadows(product: str, desks: Desks) -> pd.DataFrame:
    """How many accounts each draft of a product was judged for, and how many stand otherwise."""
    table = schema.SHADOW_STATUS
    differing = sa.func.sum(sa.cast(table.c.differs, sa.Integer)).label("differing")
    counted = sa.select(table.c.draft, sa.func.count().label("accounts"), differing).group_by(table.c.draft)
    counted = counted.where(table.c.product == product).order_by(table.c.draft)
    return reads.fetch(counted if desks is None else counted.where(table.c.desk_id.in_(desks)))


def shadow_rows(draft: str, desks: Desks) -> pd.DataFrame:
    """The accounts that stand otherwise under a draft."""
    table = schema.SHADOW_STATUS
    rows = sa.select(table).where(table.c.draft == draft, table.c.differs).order_by(table.c.account_id)
    rows = rows if desks is None else rows.where(table.c.desk_id.in_(desks))
    return reads.fetch(rows.limit(reads.MOST_ROWS))


def shadow_breaches(draft: str, desks: Desks) -> pd.DataFrame:
    """How many accounts broke each rule, as they are judged and in shadow, over the accounts that a draft is for."""
    status, sides = schema.SHADOW_STATUS, []
    for side, table in (("live", schema.VERDICTS), ("shadow", schema.SHADOW_VERDICTS)):
        counted = sa.func.count(sa.distinct(table.c.account_id)).label("accounts")
        found = sa.select(table.c.rule, counted).join(status, status.c.account_id == table.c.account_id)
        found = found.where(status.c.draft == draft, table.c.outcome == "breached").group_by(table.c.rule)
        if side == "shadow":
            found = found.where(table.c.draft == draft)
        sides.append(reads.fetch(found if desks is None else found.where(status.c.desk_id.in_(desks))))
    both = sides[0].merge(sides[1], "outer", "rule", suffixes=("_live", "_shadow")).sort_values("rule")
    return both.fillna({"accounts_live": 0, "accounts_shadow": 0}).reset_index(drop=True)


def stepped(low: float, high: float, steps: int, whole: bool) -> tuple[Any, ...]:
    """So many values from low to high, evenly; whole ones where the field counts."""
    values = [low + (high - low) * place / max(steps - 1, 1) for place in range(steps)]
    made = [round(one) if whole else Decimal(str(round(one, 4))) for one in values]
    return tuple(dict.fromkeys(made))
