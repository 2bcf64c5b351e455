"""What surrounds every page: its title, what it stands on, and what is shown when it cannot be drawn."""

from __future__ import annotations

import datetime as dt
import logging

import streamlit as st
from sqlalchemy.exc import SQLAlchemyError
from streamlit.navigation.page import Page

from dashboards.kit import fresh, look, places, reads, state, words
from dashboards.kit.people import who
from models.access import PAGES, PERMISSIONS, ROLES
from pipelines.attempts import RUN, Attempt
from sql import relations

LOG = logging.getLogger("highwater.dashboards")
OF_LOADS = ("data_health",)
"""Pages that have something to say as soon as anything has landed."""
OF_RUNS = ("overview", "data_health")
"""Pages that tell of a scoring run or an ingest that ended without success."""
OF_THE_HOUSE = ("access", "alerts", "audit", "outbox", "portability", "terms")
"""Pages of people, records, terms and what goes in and out: they stand before any data, whatever the last run was."""


def around(page: Page) -> None:
    """Draws a page; when the data cannot be read it says so, and what to try, instead of a trace."""
    st.title(page.title, anchor=False)
    state.on(places.named(page.title))
    try:
        if not allowed(page):
            return
        if places.named(page.title) in OF_RUNS:
            not_done()
        if nothing_yet(places.named(page.title)):
            fresh.again_when(reads.stamp)
            return
        page.run()
        foot()
    except SQLAlchemyError as error:
        LOG.exception("page %s", page.title)
        cause = words.escaped(str(error).splitlines()[0][:200])
        look.empty(
            "This page cannot be read right now",
            f"The database said: {cause}. <code>highwater doctor</code> tells more.",
        )


def allowed(page: Page) -> bool:
    """Whether the person's role has the page; says who has it when it has not."""
    person = who()
    permission = PAGES.get(places.named(page.title), "nothing")
    if person.may(permission):
        return True
    roles = ", ".join(words.plain(role).lower() for role in ROLES if role in PERMISSIONS.get(permission, ()))
    look.empty(
        "This page belongs to another role",
        f"{words.escaped(page.title)} is for: {roles or 'nobody'}. You are signed in as {words.escaped(person.name)},"
        f" {words.escaped(words.plain(person.role).lower())}. An admin gives roles.",
    )
    return False


def not_done() -> None:
    """Scoring runs and ingests that failed or were killed: when, where, with what words, what stands, what to do."""
    for attempt in reads.not_done():
        _not_done(attempt)


def _not_done(attempt: Attempt) -> None:
    what, command = ("scoring run", "score") if attempt.kind == RUN else ("ingest", "ingest")
    when = words.instant_html(attempt.started_at, seconds=True)
    step = f"“{words.escaped(attempt.step)}” ({words.instant_html(attempt.step_at, seconds=True)})"
    if attempt.ended_at:
        title = f"▲ The {what} of {when} failed"
        said = f"It failed at {step}: {words.escaped(attempt.told)}"
        todo = f"Mend what it says, then <code>highwater {command}</code> again"
    else:
        title = f"▲ The {what} of {when} was stopped before it was done"
        said = f"It came as far as {step} and ended without a word, as when it is killed or the machine stops."
        todo = f"<code>highwater {command}</code> does again what was not done"
    more = "<code>highwater doctor</code> tells more. The next that is done takes this away."
    stands = (
        _figures_beside(attempt.started_at) if attempt.kind == RUN else "Feeds of it may be missing in all figures."
    )
    look.card("breached", title, [said, stands, f"{todo}; {more}"])


def _figures_beside(started_at: dt.datetime) -> str:
    """Which figures the pages show beside a run that began then and is not done."""
    stands = reads.stamp()
    if not stands.run_id:
        return "There are no figures yet."
    run = f"run {stands.run_id}, finished {words.instant_html(stands.finished_at)}"
    if stands.finished_at and stands.finished_at > started_at:
        follows = "what follows them (transfers taken in, the ledger, cases, reports) may be missing"
        return f"Its figures were written ({run}); {follows}."
    return f"All figures are those of the run before ({run}); nothing of this one was kept."


def nothing_yet(page: str) -> bool:
    """Tells how to begin while nothing has landed or been scored, by this version; some pages need no figures."""
    stands = reads.stamp()
    if page in OF_THE_HOUSE:
        return False
    if stands.run_id and stands.marts == relations.fingerprint("marts"):
        return False
    if stands.load_id and not stands.run_id and page in OF_LOADS:
        return False
    if stands.run_id:
        look.empty(
            "The figures were made by another version of Highwater",
            "<code>highwater score</code> makes them anew; nothing that landed or was decided is touched.",
        )
    elif stands.load_id:
        look.empty(
            "Data has landed, nothing is judged yet",
            "<code>highwater score</code> judges it; this page fills when it is done.",
        )
    else:
        look.empty(
            "Nothing has landed yet",
            "<code>highwater ingest FOLDER</code> lands your feeds and <code>highwater score</code> judges them."
            " To look around first: <code>highwater demo --out feed</code>, then the same two commands.",
        )
    return True


def foot() -> None:
    """What the figures stand on: the run, its instant and when it was done."""
    stands = reads.stamp()
    if not stands.run_id:
        return
    live = ""
    if stands.live_at:
        live = f"Accounts live as of {words.instant_html(stands.live_at, seconds=True)} · "
    st.html(
        f'<div class="hw-foot">{live}Figures stand at {words.instant_html(stands.as_of, seconds=True)}'
        f" · run {stands.run_id}, finished {words.instant_html(stands.finished_at)} · {words.escaped(who().name)}</div>"
    )
