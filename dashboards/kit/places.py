"""The pages by name, grouped by who looks at them; the only place that knows their addresses."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import streamlit as st
from streamlit.navigation.page import Page

from dashboards.kit import people, words

HOME = "home"


@dataclass(frozen=True)
class Place:
    """A page: its module (which is its address), title, icon and group."""

    name: str
    title: str
    icon: str
    group: str


PLACES = (
    Place("overview", "Overview", "monitoring", ""),
    Place("risk_queue", "Risk queue", "flag", "Risk"),
    Place("cases", "Cases", "folder_copy", "Risk"),
    Place("account", "Account", "show_chart", "Risk"),
    Place("case", "Case", "folder_open", "Risk"),
    Place("network", "Network", "hub", "Risk"),
    Place("rings", "Rings", "join_inner", "Risk"),
    Place("pair", "Pair", "compare_arrows", "Risk"),
    Place("payout_queue", "Payout queue", "payments", "Payouts"),
    Place("payout_review", "Payout review", "fact_check", "Payouts"),
    Place("approvals", "Approvals", "how_to_reg", "Payouts"),
    Place("reconciliation", "Reconciliation", "compare", "Payouts"),
    Place("cohorts", "Cohorts", "stacked_bar_chart", "Management"),
    Place("segments", "Segments", "groups", "Management"),
    Place("partners", "Partners", "handshake", "Management"),
    Place("exposure", "Exposure", "balance", "Management"),
    Place("policy_lab", "Policy lab", "science", "Management"),
    Place("portability", "Portability", "swap_horiz", "Operations"),
    Place("terms", "Terms", "gavel", "Operations"),
    Place("data_health", "Data health", "health_and_safety", "Operations"),
    Place("outbox", "Outbox", "outbox", "Operations"),
    Place("alerts", "Alerts", "notifications", "Operations"),
    Place("audit", "Audit", "history_edu", "Operations"),
    Place("access", "Access", "badge", "Operations"),
)


@cache
def _by_name() -> dict[str, Place]:
    return {place.name: place for place in PLACES}


@cache
def _shown(name: str) -> Callable[[], None]:
    """Imports a page when it is first opened, so that the first page does not wait for all."""

    def show() -> None:
        _imported(name).show()

    show.__name__ = name
    return show


@cache
def _imported(name: str) -> ModuleType:
    """A page's module; what its import made stays, so garbage need not be looked for there after every page drawn."""
    module = importlib.import_module(f"dashboards.{name}")
    gc.collect()
    gc.freeze()
    return module


def named(title: str) -> str:
    """The name of the page with a title."""
    return next(place.name for place in PLACES if place.title == title)


def page(name: str, *, default: bool = False) -> Page:
    """The Streamlit page of a place."""
    place = _by_name()[name]
    address = HOME if default else place.name
    return st.Page(_shown(name), title=place.title, icon=f":material/{place.icon}:", url_path=address, default=default)


def groups(default: str) -> dict[str, list[Page]]:
    """The pages that the person may open by group, one of them the first shown; all of them before the sign-in.

    Pages of other roles are there and not listed: whoever comes to one by its address is told whose it is.
    """
    grouped: dict[str, list[Page]] = {}
    unlisted = [default]
    for place in PLACES:
        if place.name == default or people.nobody() or people.may_open(place.name):
            grouped.setdefault(place.group, []).append(page(place.name, default=place.name == default))
        else:
            unlisted.append(place.name)
    grouped.setdefault("", []).extend(_unlisted(name) for name in unlisted)
    return grouped


def _unlisted(name: str) -> Page:
    """A page for an address typed or followed; the default one too, which the framework serves at the root."""
    return st.Page(_shown(name), title=_by_name()[name].title, url_path=name, visibility="hidden")


def link(name: str, label: str, *, icon: bool = True, **parameters: str) -> None:
    """A link to a page with parameters in its address; its words alone for those whose role has not the page."""
    label = words.unlinked(label)
    if not people.may_open(name):
        st.caption(label.removesuffix("→").strip())
        return
    place = page(name, default=name == "overview")
    st.page_link(place, label=label, icon=None if icon else "", query_params=parameters or None)


def go(name: str, **parameters: str) -> None:
    """Opens a page with parameters in its address."""
    st.switch_page(page(name, default=name == "overview"), query_params=parameters or None)
