"""State in the address: a link opens the same view for a colleague.

A choice lives in a widget and in the address. Whichever of the two changed last wins, so that links to the page on
which one stands work as well.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from dashboards.kit import reads, words

EVERY = "all"
ACTS = "acts"
PAGE = "page-drawn"
SEEN = "address-"


def field(name: str) -> str:
    """The key of a field that an act takes: empty again once the act is done, kept when it was refused."""
    return f"{name}-{st.session_state.get(ACTS, 0)}"


def acted() -> None:
    """Notes that the person has done something, so that the next act asks for its own reason."""
    st.session_state[ACTS] = st.session_state.get(ACTS, 0) + 1


def on(page: str) -> None:
    """Forgets what was chosen on the page before this one: a choice of the same name there is another one here."""
    held = st.session_state
    if held.get(PAGE) == page:
        return
    held[PAGE] = page
    for seen in [one for one in held if str(one).startswith(SEEN)]:
        del held[seen]
        held.pop(str(seen).removeprefix(SEEN), None)


def _take(key: str, first: str, allowed: Callable[[str], bool]) -> None:
    """Puts what the address says into the widget when the address has changed since the widget was last drawn."""
    given = st.query_params.get(key)
    held = st.session_state
    if key not in held or given != held.get(f"{SEEN}{key}") or not allowed(str(held[key])):
        held[key] = given if given is not None and allowed(given) else first


def _keep(key: str, value: str, first: str) -> None:
    """Puts what the widget says into the address; the first option needs no mention."""
    if value != first:
        st.query_params[key] = value
    elif key in st.query_params:
        del st.query_params[key]
    st.session_state[f"{SEEN}{key}"] = st.query_params.get(key)


def one_of(
    label: str, key: str, options: Sequence[str], *, shown: Callable[[str], str] = words.plain, every: bool = True
) -> str | None:
    """A choice kept in the address under `key`; None when every option is meant, or when there is none."""
    listed = [EVERY, *options] if every else list(options)
    if not listed:
        return None
    given = st.query_params.get(key)
    _take(key, listed[0], listed.__contains__)
    lower = label.lower()
    named = f"All {lower[:-1]}ies" if lower.endswith("y") else f"All {lower}s"
    if given and given not in listed:
        instead = named if every else shown(listed[0])
        st.toast(f"{label} {words.marked(given)} is not among those here. Shown instead: {instead}.")
    chosen = st.selectbox(label, listed, key=key, format_func=lambda one: named if one == EVERY else shown(one))
    _keep(key, str(chosen), listed[0])
    return None if chosen == EVERY else str(chosen)


def lately() -> bool:
    """Whether only the last 24 hours are asked for, as the overview counts them."""
    return one_of("Time", "time", ["day"], shown=lambda _: "in the last 24 hours") is not None


def tab(label: str, key: str, options: dict[str, str], first: str | None = None) -> str:
    """A view among a few, kept in the address."""
    start = first or next(iter(options))
    _take(key, start, options.__contains__)
    chosen = st.segmented_control(
        label,
        list(options),
        key=key,
        required=True,
        format_func=lambda option: options[option],
        label_visibility="collapsed",
    )
    _keep(key, str(chosen), start)
    return str(chosen)


def text(label: str, key: str, hint: str = "") -> str:
    """A text kept in the address, without the spaces around it."""
    _take(key, "", lambda _: True)
    given = st.text_input(label, key=key, placeholder=hint, width=260)
    _keep(key, given.strip(), "")
    return given.strip()


def day(label: str, key: str) -> dt.date | None:
    """A day kept in the address; None while none is chosen."""
    held, given = st.session_state, st.query_params.get(key)
    if key not in held or given != held.get(f"{SEEN}{key}"):
        held[key] = _dated(given)
    chosen: Any = st.date_input(label, value=None, key=key, format="YYYY-MM-DD", width=200)
    _keep(key, chosen.isoformat() if chosen else "", "")
    return chosen if isinstance(chosen, dt.date) else None


def _dated(given: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(given or "")
    except ValueError:
        return None


def switch(label: str, key: str) -> bool:
    """Something on or off, on kept in the address."""
    if key not in st.session_state:
        st.session_state[key] = st.query_params.get(key) == "on"
    chosen = st.toggle(label, key=key)
    _keep(key, "on" if chosen else "", "")
    return bool(chosen)


def desk() -> str | None:
    """The desk chosen in the address, None for all of the person's desks."""
    names = desk_names()
    return one_of("Desk", "desk", list(names), shown=lambda option: names[option])


def desk_names() -> dict[str, str]:
    """The person's desks by id."""
    known = reads.rows("desks", order=["name"])
    return {} if known.empty else {str(row["desk_id"]): str(row["name"]) for row in reads.records(known)}


def parameter(name: str) -> str | None:
    """A value given in the address, None when it is missing."""
    return st.query_params.get(name) or None


def page_number(total: int, key: str = "page", size: int = reads.PAGE_ROWS) -> int:
    """Which page of so many rows is looked at, from 0."""
    pages = max(1, -(-total // size))
    if pages == 1:
        return 0
    given = parameter(key) or "1"
    first = min(max(int(given), 1), pages) if given.isdigit() else 1
    chosen: Any = st.pagination(pages, default=first, key=f"{key}-of-{pages}")
    _keep(key, str(chosen or 1), "1")
    return int(chosen or 1) - 1
