"""The Streamlit app: pages grouped by who looks at them; run it from the root of the repository."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dashboards.kit import frame, look, people, places


def main(default: str = "overview") -> None:
    """Draws the page that the address names, the default one without a name."""
    st.set_page_config(page_title="Highwater", page_icon=look.ICON, layout="wide", initial_sidebar_state=200)
    look.style()
    if people.nobody():
        # the address is kept for after the sign-in
        st.navigation(places.groups(default), position="hidden")
        people.sign_in()
        return
    chosen = st.navigation(places.groups(default), position="sidebar", expanded=True)
    people.signed_in()
    frame.around(chosen)


if __name__ == "__main__":
    main()
