"""What partners do to earn more than they bring: one file per detector, all about partners."""

from __future__ import annotations

import duckdb
import pandas as pd

from models.detectors import (
    partner_click_stuffing,
    partner_coupon_leakage,
    partner_fake_cluster,
    partner_recycled_buyers,
    partner_sub_loop,
    self_referral,
)
from models.detectors.base import COLUMNS, FLAG_MIN, Detector, judge, show_terms

PARTNER_DETECTORS: dict[str, Detector] = {
    module.DETECTOR.name: module.DETECTOR
    for module in (
        partner_click_stuffing,
        partner_coupon_leakage,
        partner_fake_cluster,
        partner_recycled_buyers,
        partner_sub_loop,
        self_referral,
    )
}


def detect_partners(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Signals on partners in published columns; needs staging, facts, `decided.owners` and `.credits`."""
    for name, detector in PARTNER_DETECTORS.items():
        show_terms(connection, name, detector.terms)
    found = [judge(connection, detector, detector.terms) for detector in PARTNER_DETECTORS.values()]
    known = [frame for frame in found if len(frame)]
    return pd.concat(known, ignore_index=True) if known else pd.DataFrame(columns=list(COLUMNS))


def own_buyers(connection: duckdb.DuckDBPyConnection, signals: pd.DataFrame) -> pd.DataFrame:
    """Buyers who look like the partner credited with them, of partners flagged for it: partner_id, trader_id."""
    mine = signals[(signals["detector"] == "self_referral") & (signals["strength"] >= FLAG_MIN)]
    connection.register("flagged_partners", pd.DataFrame({"partner_id": mine["subject_id"].astype("string")}))
    found: pd.DataFrame = connection.execute(
        "select partner_id, trader_id from detectors.partner_buyers semi join flagged_partners using (partner_id)"
        " where same_destination or same_instrument or same_mailbox or in_own_cluster"
    ).df()
    connection.unregister("flagged_partners")
    return found
