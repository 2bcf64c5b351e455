"""Access: who may do what, and the local accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import desk, look, reads, state, words
from models import access
from models.access import AccessRefused


def show() -> None:
    """The local accounts, a form for another one, and the table of permissions."""
    desk.told()
    with reads.warehouse().database.connect() as connection:
        held = access.people(connection)
    if held:
        shown = pd.DataFrame(held).assign(
            desks=[", ".join(one["desks"]) if one["desks"] else "every desk" for one in held],
            role=[words.plain(one["role"]) for one in held],
        )
        desk.table(shown)
        _change(held)
    else:
        look.empty(
            "Nobody has an account", "The local user may do everything. With the first account everybody must sign in."
        )
    _add(first=not held)
    st.subheader("Permissions", anchor=False)
    table = {
        access.IN_WORDS[permission].capitalize(): [("✓" if role in roles else "") for role in access.ROLES]
        for permission, roles in access.PERMISSIONS.items()
    }
    st.dataframe(pd.DataFrame(table, index=[words.plain(role) for role in access.ROLES]).T)


def _add(*, first: bool) -> None:
    st.subheader("Add a person", anchor=False)
    with st.form("new-person", width=520):
        name = st.text_input("Name")
        password = st.text_input("Password", type="password", help="8 characters or more")
        role = st.selectbox("Role", ["admin"] if first else list(access.ROLES), format_func=words.plain)
        desks = st.multiselect("Desks", list(state.desk_names()), help="none chosen: every desk")
        if st.form_submit_button("Add", type="primary"):
            _try(lambda c: access.add_person(c, desk.person(), name.strip(), password, str(role), tuple(desks) or None))


def _change(held: list[dict[str, Any]]) -> None:
    """Role, desks and sign-in of a person; nobody changes their own, and what changed is in the audit log."""
    with st.expander("Change a person"):
        name = st.selectbox("Who", [one["name"] for one in held])
        now = next(one for one in held if one["name"] == name)
        with st.form(f"change-{name}", border=False):
            role = st.selectbox("Role", list(access.ROLES), list(access.ROLES).index(now["role"]), words.plain)
            known = list(dict.fromkeys([*state.desk_names(), *(now["desks"] or [])]))
            desks = st.multiselect("Desks", known, default=now["desks"] or [], help="none chosen: every desk")
            active = st.toggle("May sign in", value=bool(now["active"]))
            reason = st.text_input("Reason")
            if st.form_submit_button("Change"):
                chosen = {"role": str(role), "desks": list(desks) or None, "active": active}
                changed = {key: value for key, value in chosen.items() if value != now[key]}
                _try(lambda c: access.change_person(c, desk.person(), str(name), reason, **changed))


def _try(change: Callable[[sa.Connection], None]) -> None:
    try:
        with reads.warehouse().database.begin() as connection:
            change(connection)
    except (AccessRefused, ValueError) as refused:
        look.refused(refused)
        return
    desk.tell("Done.")
    st.rerun()
