"""What was planted and what came of it: the list against which detectors are measured."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from pipelines.demo.cast import Cast
from pipelines.demo.lifecycle import Seat

MATCHES_AT_LEAST = 8
TRADES_AT_LEAST = {
    "latency_arbitrage": 15,
    "tick_scalping": 20,
    "news_straddling": 5,
    "martingale": 10,
    "grid": 12,
    "all_in": 1,
}


class Truth:
    """Collects the planted items of each batch."""

    def __init__(self, seed: int, traders: int, days: int) -> None:
        self.said: dict[str, Any] = {"seed": seed, "traders": traders, "days": days}
        for name in (
            "owners",
            "copy_pairs",
            "thin_pairs",
            "rings",
            "shared_strategies",
            "signals",
            "look_alikes",
            "partners",
        ):
            self.said[name] = []

    def add(self, cast: Cast) -> None:
        """The planted items of one batch, as far as they showed in what happened."""
        paid = {s.person.trader_id for s in cast.seats if any(len(a.life.requests) for a in s.accounts)}
        for traders, how in cast.owners:
            shown = [way for way in how if way != "destination" or len(paid & set(traders)) > 1]
            self.said["owners"].append({"owner": f"o{len(self.said['owners']) + 1}", "traders": traders, "how": shown})
        for seats, relation, same_owner in cast.rings:
            self._ring(seats, relation, same_owner)
        for kind, seats in cast.families:
            accounts = [a.account_id for seat in seats for a in seat.accounts if len(a.life.trips)]
            self.said["shared_strategies"].append({"kind": kind, "accounts": accounts})
        for detector, seat in cast.behaviours:
            self._behaviour(detector, seat)
        self._traders(cast)
        self._inactive(cast)
        for partner_id, traders, how in cast.self_referrals:
            self.said["partners"].append(
                {"partner_id": partner_id, "kind": "self_referral", "traders": traders, "how": how}
            )
            self._signal("partner", partner_id, "self_referral")
        self.said["look_alikes"].extend({"kind": kind, "ids": ids} for kind, ids in _merged(cast.look_alikes) if ids)

    def _signal(self, subject_kind: str, subject_id: str, detector: str) -> None:
        row = {"subject_kind": subject_kind, "subject_id": subject_id, "detector": detector}
        self.said["signals"].append(row)

    def _ring(self, seats: list[Seat], relation: str, same_owner: bool) -> None:
        """The pairs of accounts that really share enough trades, and the ring they form."""
        trades = pd.concat([_sourced(seat, k) for k, seat in enumerate(seats)], ignore_index=True)
        pairs = []
        for first, second in combinations(range(len(seats)), 2):
            kind = "copy" if first > 0 else relation
            pairs += _matched(trades[trades["seat"] == first], trades[trades["seat"] == second], kind, first == 0)
        for pair in pairs:
            pair["same_owner"] = same_owner
            self.said["copy_pairs" if pair["matched"] >= MATCHES_AT_LEAST else "thin_pairs"].append(pair)
        pairs = [pair for pair in pairs if pair["matched"] >= MATCHES_AT_LEAST]
        if not pairs:
            return
        accounts = sorted({pair[side] for pair in pairs for side in ("leader", "follower")})
        ring = {"relation": relation, "same_owner": same_owner, "accounts": accounts}
        self.said["rings"].append({**ring, "traders": sorted({seat.person.trader_id for seat in seats})})

    def _behaviour(self, detector: str, seat: Seat) -> None:
        for account in seat.accounts:
            if detector == "payout_gaming":
                shown = len(account.life.requests) > 0
            elif detector == "account_passing":
                shown = account.stage == "funded" and len(account.life.trips) >= 5
            else:
                shown = len(account.life.trips) >= TRADES_AT_LEAST[detector]
            if shown:
                self._signal("account", account.account_id, detector)
            if shown and detector == "payout_gaming" and account.life.requests["paid_ms"].any():
                self._signal("account", account.account_id, "all_in")

    def _traders(self, cast: Cast) -> None:
        breaches: dict[str, int] = {}
        for seat in cast.seats:
            name = seat.person.trader_id
            breaches[name] = breaches.get(name, 0) + sum(challenge.breached_ms > 0 for challenge in seat.challenges)
        for detector, trader_id in cast.trader_signals:
            if detector != "recurring_breaches" or breaches.get(trader_id, 0) >= 5:
                self._signal("trader", trader_id, detector)
        for trader_id in sorted(cast.disputers):
            if breaches.get(trader_id, 0) >= 1:
                self._signal("trader", trader_id, "chargeback_abuse")

    def _inactive(self, cast: Cast) -> None:
        """Accounts left open without a trade for a month, or closed by the firm for that."""
        for seat in cast.seats:
            for account in seat.accounts:
                if account.is_idle:
                    self._signal("account", account.account_id, "inactivity")


def _sourced(seat: Seat, number: int) -> pd.DataFrame:
    """The seat's round trips with the leader's trade each one repeats (-1 for own trades)."""
    frames = []
    offset = 0
    for account in seat.accounts:
        trips = account.life.trips
        own = np.arange(offset, offset + len(trips))
        source = own if number == 0 else account.plan["source"][trips["row"]]
        frames.append(
            pd.DataFrame({"account": account.account_id, "open_ms": trips["open_ms"], "source": source, "seat": number})
        )
        offset += len(trips)
    return (
        pd.concat(frames, ignore_index=True)
        if frames
        else pd.DataFrame(columns=["account", "open_ms", "source", "seat"])
    )


def _matched(first: pd.DataFrame, second: pd.DataFrame, relation: str, direct: bool) -> list[dict[str, Any]]:
    """Pairs of accounts with enough trades from the same source; the one that is earlier leads."""
    both = first[first["source"] >= 0].merge(second[second["source"] >= 0], on="source", suffixes=("", "_2"))
    pairs: list[dict[str, Any]] = []
    for (one, other), rows in both.groupby(["account", "account_2"], sort=True):
        lag = float((rows["open_ms_2"] - rows["open_ms"]).median())
        leader, follower = (one, other) if lag >= 0 else (other, one)
        pair = {"leader": leader, "follower": follower, "relation": relation, "lag_ms": abs(lag), "direct": direct}
        pairs.append({**pair, "matched": len(rows)})
    return pairs


def _merged(look_alikes: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """Look-alikes noted person by person gathered into one list per kind; groups stay groups."""
    singles: dict[str, list[str]] = {}
    groups = []
    for kind, ids in look_alikes:
        if len(ids) == 1:
            singles.setdefault(kind, []).extend(ids)
        else:
            groups.append((kind, ids))
    return groups + sorted(singles.items())
