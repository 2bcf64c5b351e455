"""An export that does not add up stands against today's numbers until a later one of its account puts it right."""

from __future__ import annotations

from typing import Any

import pytest

from models.exports import superseded
from pipelines.doctor import FINE, WRONG, _exports

JANUARY, TO_MARCH, MARCH = (
    [f"2026-{first}-01 09:00:00", f"2026-{last}-28 17:00:00"]
    for first, last in (("01", "01"), ("01", "03"), ("03", "03"))
)


def export(outcome: str, period: list[str] | None = JANUARY, account: str = "A1") -> dict[str, Any]:
    """What is kept of an export."""
    return {"account_id": account, "outcome": outcome, "facts": {"period": period}}


@pytest.mark.parametrize(
    "later, by",
    [
        (export("exact"), {1: 2}),
        (export("explained"), {1: 2}),
        (export("exact", TO_MARCH), {1: 2}),
        (export("exact", MARCH), {}),
        (export("exact", None), {}),
        (export("exact", account="A2"), {}),
        (export("does_not_add_up"), {}),
    ],
)
def test_what_puts_an_export_right(later: dict[str, Any], by: dict[int, int]) -> None:
    assert superseded([(2, later), (1, export("does_not_add_up"))]) == by
    assert superseded([(1, later), (2, export("does_not_add_up"))]) == {}


def test_doctor_names_what_stands_and_what_is_superseded() -> None:
    crooked = export("does_not_add_up")
    found = list(_exports([(1, crooked), (2, export("exact")), (3, crooked), (4, export("exact", account="A2"))]))
    assert [(one.state, one.found.split(";")[0]) for one in found] == [
        (WRONG, "1 platform exports do not add up (load 3)"),
        (FINE, "load 1 did not add up and is superseded by load 2"),
    ]
    assert [one.state for one in _exports([(1, crooked), (2, export("exact"))])] == [FINE]
