"""The page about the detectors, made from their files."""

from __future__ import annotations

from dataclasses import fields

from models.detectors import DETECTORS, Detector

_QUESTIONS = {
    "behaviour": "Behaviour",
    "data": "Data that shows it",
    "assumes": "Assumed",
    "fails": "How it fails",
    "respond": "When it fires",
}
_HEAD = """# Detectors

Generated from `models/detectors`. Each detector measures in SQL (`sql/detectors`), adds the log-odds of its reasons and
calls the result a probability; 0.5 and more is a flag. Every signal keeps its sentence, its numbers, the log-odds of
each reason, the rows behind it, what was ruled out and the version of its terms. Reasons in favour count in full only
when enough was seen; a subject about whom nothing can be said has no row, which is no acquittal.
What of an account could not be looked at stands in `risk_scores` whatever its score: the reason `not enough to say`,
without points, with what was too little (`lacks`), the detectors that it keeps from telling (`detectors`) and a
sentence. Lacking are eight positions (`positions`), a sign-in of the trader (`sign_ins`), a quote beside any of its
quick trades (`quotes`), a hand of its own where one robot of three and more traders makes all trades (`own_hand`), an
observation of its equity (`equity`), a stop of any trade of the firm (`stops`), the calendar (`news`), a payment of
the trader (`payments`). A trader of hundreds of challenges is judged by how they are bought; each of its accounts
still says what of it was too little.

How often a sight is met among the honest is learnt from the firm's own accounts where that is possible, held near what
is usual anywhere. The remaining sizes are a person's judgement, checked on made-up firms of other mechanics
(`docs/quality.md`).
"""


def detectors_page() -> str:
    """Every detector with its five answers and its terms, as Markdown."""
    return "\n".join([_HEAD, *(_section(detector) for detector in DETECTORS.values())])


def _section(detector: Detector) -> str:
    lines = [
        f"## {detector.name}",
        "",
        f"About: {detector.subject}. Measured in `sql/detectors/{detector.relation}.sql`.",
        "",
    ]
    lines += [f"- {question}: {getattr(detector.answers, name)}" for name, question in _QUESTIONS.items()]
    held = ", ".join(f"{one.name} = {getattr(detector.terms, one.name)}" for one in fields(detector.terms))
    return "\n".join([*lines, f"- Terms: {held}", ""])
