"""Access: who may do what, and the local accounts."""

from __future__ import annotations

from collections.abc import Callable

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
        st.dataframe(pd.DataFrame(held), hide_index=True)
        _change([one["name"] for one in held])
    else:
        look.empty(
            "Nobody has an account", "The local user may do everything. With the first account everybody must sign in."
        )
    _add(first=not held)
    st.subheader("Permissions", anchor=False)
    table = {
        permission: [("✓" if role in roles else "") for role in access.ROLES]
        for permission, roles in access.PERMISSIONS.items()
    }
    st.dataframe(pd.DataFrame(table, index=[words.plain(role) for role in access.ROLES]).T)


def _add(*, first: bool) -> None:
    with st.form("person", width=520):
        name = st.text_input("Name")
        password = st.text_input("Password", type="password", help="8 characters or more")
        role = st.selectbox("Role", ["admin"] if first else list(access.ROLES), format_func=words.plain)
        desks = st.multiselect("Desks", list(state.desk_names()), help="none chosen: every desk")
        if st.form_submit_button("Add", type="primary"):
            _try(lambda c: access.add_person(c, desk.person(), name.strip(), password, str(role), tuple(desks) or None))


def _change(names: list[str]) -> None:
    with st.expander("Change an account"), st.form("change", border=False):
        name = st.selectbox("Who", names)
        active = st.toggle("May sign in", value=True)
        reason = st.text_input("Reason")
        if st.form_submit_button("Change"):
            _try(lambda c: access.change_person(c, desk.person(), str(name), reason, active=active))


def _try(change: Callable[[sa.Connection], None]) -> None:
    try:
        with reads.warehouse().database.begin() as connection:
            change(connection)
    except (AccessRefused, ValueError) as refused:
        st.error(str(refused))
        return
    desk.tell("Done.")
    st.rerun()
