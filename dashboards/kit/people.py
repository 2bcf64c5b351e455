"""Who is looking: every read is bounded by the desks of this person, every page and action by their role.

A firm signs in through its identity provider (Streamlit's own login, `[auth]` in secrets.toml); without one, through
the local accounts; and where nobody has an account yet, the local user may do everything.
"""

from __future__ import annotations

import datetime as dt
import getpass
from typing import Any

import sqlalchemy as sa
import streamlit as st

from dashboards.kit import house
from models import access, audit, sessions
from models.access import LOCAL, PAGES, Person
from sql.desk_schema import PEOPLE

HELD = "person"
COOKIE = "highwater_session"
TOKEN = "session_token"
NOBODY = Person("nobody", "none", ())

__all__ = ["NOBODY", "Person", "may_open", "nobody", "sign_in", "signed_in", "who"]


def who() -> Person:
    """The person of this session; nobody until they have signed in."""
    held = st.session_state.get(HELD)
    if isinstance(held, Person):
        return held
    if _provided():
        return _from_provider() or NOBODY
    if not _accounts_exist():
        return Person(getpass.getuser(), LOCAL)
    return _resumed() or NOBODY


def may_open(page: str) -> bool:
    """Whether the person's role has a page."""
    return who().may(PAGES.get(page, "nothing"))


def nobody() -> bool:
    """Whether somebody has to sign in first."""
    return who() is NOBODY


def signed_in() -> None:
    """Shows who is signed in, with a way out."""
    _keep_token()
    _leave()


def sign_in() -> None:
    """The sign-in page."""
    st.title("Sign in", anchor=False)
    if _provided():
        _provider_page()
    else:
        _local_page()


def _resumed() -> Person | None:
    """Who signed in with this browser before; a page opened anew or sent by a colleague need not ask again."""
    token = st.context.cookies.get(COOKIE)
    if not isinstance(token, str):
        return None
    with _database().connect() as connection:
        person = sessions.resume(connection, token, dt.datetime.now(dt.UTC))
    if person is not None:
        st.session_state[HELD] = person
    return person


def _keep_token() -> None:
    """Has the browser keep the token of a session that began here; the framework can read cookies, not set them."""
    token = st.session_state.get(TOKEN)
    if not token or st.context.cookies.get(COOKIE) == token:
        return
    secure = "; Secure" if (st.context.url or "").startswith("https") else ""
    seconds = int(sessions.LASTS.total_seconds())
    cookie = f"{COOKIE}={token}; path=/; max-age={seconds}; SameSite=Strict{secure}"
    st.html(f"<script>document.cookie = {cookie!r}</script>", unsafe_allow_javascript=True)


def _database() -> sa.Engine:
    return house.warehouse().database


def _accounts_exist() -> bool:
    with _database().connect() as connection:
        return connection.execute(sa.select(PEOPLE.c.name).limit(1)).first() is not None


def _provided() -> bool:
    """Whether an identity provider is configured."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def _from_provider() -> Person | None:
    user: Any = st.user
    if not getattr(user, "is_logged_in", False):
        return None
    person = access.from_claims(user.to_dict())
    if person is not None and HELD not in st.session_state:
        st.session_state[HELD] = person
        with _database().begin() as connection:
            record = audit.Record(person.name, "signed in", f"person:{person.name}", role=person.role)
            audit.append(connection, record)
    return person


def _provider_page() -> None:
    if getattr(st.user, "is_logged_in", False):
        st.error("Your firm's sign-in knows you, but gave you no role here. Ask an administrator.")
        st.button("Sign out", on_click=st.logout)
    else:
        st.button("Sign in with your firm", type="primary", on_click=st.login, shortcut="Enter")


def _local_page() -> None:
    """Name and password; the demo's people are listed, with their password."""
    with st.form("sign-in", width=420):
        name = st.text_input("Name", autocomplete="username")
        password = st.text_input("Password", type="password", autocomplete="current-password")
        if st.form_submit_button("Sign in", type="primary"):
            _enter(name.strip(), password)
    _demo_people()


def _enter(name: str, password: str) -> None:
    """Signs in and draws the page anew, or says that it was refused."""
    with _database().begin() as connection:
        person = access.sign_in(connection, name, password)
        if person is not None:
            st.session_state[TOKEN] = sessions.begin(connection, person, dt.datetime.now(dt.UTC))
    if person is None:
        st.error("Name or password is wrong.")
        return
    st.session_state[HELD] = person
    st.rerun()


def _demo_people() -> None:
    with _database().connect() as connection:
        demo = [one for one in access.people(connection) if one["demo"] and one["active"]]
    if not demo:
        return
    named = ", ".join(f"**{one['name']}** ({one['role'].replace('_', ' ')})" for one in demo)
    st.caption(f"This is the demo. Its people: {named}. Their password is `{access.DEMO_PASSWORD}`.")
    with st.container(horizontal=True):
        for one in demo:
            if st.button(f"{one['name']} · {one['role'].replace('_', ' ')}", key=f"demo-{one['name']}"):
                _enter(one["name"], access.DEMO_PASSWORD)


def _leave() -> None:
    person = who()
    if person.role == LOCAL:
        return
    st.sidebar.caption(f"{person.name} · {person.role.replace('_', ' ')}")
    if st.sidebar.button("Sign out", icon=":material/logout:"):
        _forget()
        if _provided():
            st.logout()
        st.rerun()


def _forget() -> None:
    """Ends the session here and in the database; what the browser still keeps is worth nothing."""
    st.session_state.pop(HELD, None)
    tokens = {st.session_state.pop(TOKEN, None), st.context.cookies.get(COOKIE)} - {None}
    with _database().begin() as connection:
        for token in tokens:
            sessions.end(connection, str(token))
