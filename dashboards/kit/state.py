"""State in the address: a link opens the same view for a colleague."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dashboards.kit import reads, words

EVERY = "all"


def one_of(
    label: str,
    key: str,
    options: Sequence[str],
    *,
    shown: Callable[[str], str] = words.plain,
    first: str | None = EVERY,
) -> str | None:
    """A choice kept in the address under `key`; None when every option is meant."""
    listed = ([first] if first else []) + list(options)
    if not listed:
        return None
    chosen = st.selectbox(
        label,
        listed,
        key=key,
        bind="query-params",
        format_func=lambda option: f"All {label.lower()}s" if option == EVERY else shown(option),
    )
    return None if chosen == EVERY else chosen


def tab(label: str, key: str, options: dict[str, str], first: str | None = None) -> str:
    """A view among a few, kept in the address."""
    chosen = st.segmented_control(
        label,
        list(options),
        key=key,
        default=first or next(iter(options)),
        required=True,
        format_func=lambda option: options[option],
        bind="query-params",
        label_visibility="collapsed",
    )
    return str(chosen)


def desk() -> str | None:
    """The desk chosen in the address, None for all of the person's desks."""
    known = reads.rows("desks", order=["name"])
    names = {} if known.empty else dict(zip(known["desk_id"], known["name"], strict=True))
    return one_of("Desk", "desk", list(names), shown=lambda option: str(names[option]))


def parameter(name: str) -> str | None:
    """A value given in the address, None when it is missing."""
    given = st.query_params.get(name)
    return given or None


def page_number(total: int, key: str = "page", size: int = reads.PAGE_ROWS) -> int:
    """Which page of so many rows is looked at, from 0."""
    pages = max(1, -(-total // size))
    if pages == 1:
        return 0
    given = parameter(key) or "1"
    first = min(max(int(given), 1), pages) if given.isdigit() else 1
    chosen: Any = st.pagination(pages, default=first, key=f"{key}-of-{pages}")
    shown = int(chosen or 1)
    if shown > 1:
        st.query_params[key] = str(shown)
    elif key in st.query_params:
        del st.query_params[key]
    return shown - 1
