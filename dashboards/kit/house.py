"""The warehouse under the pages: the one that the environment names, opened once per process."""

from __future__ import annotations

import os

import streamlit as st

from sql.warehouse import Warehouse


@st.cache_resource(show_spinner=False)
def _opened(home: str | None, url: str | None) -> Warehouse:
    return Warehouse.open(home, url)


def warehouse() -> Warehouse:
    """The warehouse that the environment names, opened once per process."""
    return _opened(os.environ.get("HIGHWATER_HOME"), os.environ.get("HIGHWATER_DATABASE_URL"))
