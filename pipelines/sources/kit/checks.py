"""The arithmetic of reconciliation: printed figures against rows."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from pipelines.sources.kit.statement import Check

_RANK = {"exact": 0, "suspect": 0, "not_printed": 0, "explained": 1, "does_not_add_up": 2}
_OUTCOMES = ["exact", "explained", "does_not_add_up"]
NAMED_CELLS_MAX = 20


def compare(
    name: str, expected: Decimal, observed: Decimal, where: str, *, explanation: str = "", explained: bool = False
) -> Check:
    """Return a check of a printed figure (expected) against the rows (observed); ``explained`` excuses a difference."""
    difference = observed - expected
    verdict = "exact" if not difference else "explained" if explained else "does_not_add_up"
    return {
        "name": name,
        "expected": f"{expected:f}",
        "observed": f"{observed:f}",
        "difference": f"{difference:f}",
        "where": where,
        "verdict": verdict,
        "explanation": explanation if difference else "",
    }


def remark(name: str, verdict: str, where: str, explanation: str) -> Check:
    """Return a finding that is not a difference of two amounts."""
    return {
        "name": name,
        "expected": "",
        "observed": "",
        "difference": "",
        "where": where,
        "verdict": verdict,
        "explanation": explanation,
    }


def absent_columns(names: Sequence[str], wanted: Iterable[str]) -> list[Check]:
    """Name what a table's deals land without, because no column has that title."""
    known = {name.lower() for name in names}
    absent = [name for name in wanted if known and name.lower() not in known]
    why = f"no column {', '.join(absent)}: deals land without; the titles are {', '.join(names)}"
    return [remark("columns", "explained", "table header", why)] if absent else []


def outcome_of(checks: list[Check]) -> str:
    """Return the worst verdict of the checks."""
    return _OUTCOMES[max((_RANK[check["verdict"]] for check in checks), default=0)]


def chain_checks(links: list[tuple[str, Decimal, Decimal]], name: str) -> list[Check]:
    """Check a running balance: each link is (where, printed, previous printed + the row's own amounts).

    One exact check when every link holds, else one check per broken link, at most twenty named.
    """
    broken = [link for link in links if link[1] != link[2]]
    if not broken:
        return [remark(name, "exact", f"{len(links)} rows", "")] if links else []
    return [
        compare(name, printed, reckoned, where, explanation=f"{len(broken)} of {len(links)} rows break the chain")
        for where, printed, reckoned in broken[:NAMED_CELLS_MAX]
    ]
