"""The arithmetic of reconciliation: printed figures against rows, and market hours against the clock."""

from decimal import Decimal

import pandas as pd

from pipelines.sources.kit.statement import Check
from pipelines.sources.symbols import asset_class

_RANK = {"exact": 0, "suspect": 0, "not_printed": 0, "explained": 1, "does_not_add_up": 2}
_OUTCOMES = ["exact", "explained", "does_not_add_up"]
CLOSED_SHARE_MAX = 0.02
FX_DEALS_MIN = 10
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


def closing_hours_check(deals: pd.DataFrame, zone: str) -> Check:
    """Suspect the zone when FX trades fall into the weekend closure (Friday 17:00 to Sunday 17:00, New York)."""
    name = "market hours"
    fx = deals[(deals["kind"] == "trade") & deals["symbol"].map(asset_class).isin(["fx", "metal"])]
    if len(fx) < FX_DEALS_MIN:
        return remark(name, "not_printed", f"{len(fx)} FX deals", "too few FX deals to judge the zone by")
    local = fx["executed_at"].dt.tz_convert("America/New_York")
    day, hour = local.dt.dayofweek, local.dt.hour
    closed = (day == 5) | ((day == 4) & (hour >= 17)) | ((day == 6) & (hour < 17))
    share = float(closed.mean())
    if share <= CLOSED_SHARE_MAX:
        return remark(name, "exact", f"{int(closed.sum())} of {len(fx)} FX deals while the market is closed", "")
    return remark(
        name,
        "suspect",
        f"{int(closed.sum())} of {len(fx)} FX deals fall while the market is closed",
        f"{zone} is probably not the zone of this server: land the file again with the right --server-zone",
    )
