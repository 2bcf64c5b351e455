"""A firm of six accounts for the tests of the pages: one of every state, with every number known."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa
from filelock import FileLock

from models import catalogue
from pipelines.land import land_paths
from pipelines.score import score
from sql import schema
from sql.segment_schema import CHURN_CURVES, SEGMENT_MEMBERS, SEGMENT_SIZES
from sql.warehouse import Warehouse

RULEBOOK = """
id = "one"
name = "One step"
[[versions]]
version = 1
effective_from = 2025-01-01T00:00:00Z
clock = { zone = "Europe/Prague", reset = "00:00", calendar = "fx" }
[versions.stages.evaluation_1]
profit_target = { percent = 10 }
daily_loss = { percent = 5 }
max_loss = { percent = 10 }
next_stage = "funded"
[versions.stages.funded]
daily_loss = { percent = 5 }
max_loss = { percent = 10 }
split = { percent = 80, tiers = [{ after_profit = 90000, percent = 90 }] }
[[versions]]
version = 2
effective_from = 2026-06-01T00:00:00Z
clock = { zone = "Europe/Prague", reset = "00:00", calendar = "fx" }
[versions.stages.evaluation_1]
profit_target = { percent = 8 }
max_loss = { percent = 10 }
next_stage = "funded"
[versions.stages.funded]
max_loss = { percent = 8 }
split = { percent = 80 }
"""

FEED = {
    "desks": """desk_id,name,currency,time_zone
prague,Prague,EUR,Europe/Prague
tokyo,Tokyo,JPY,Asia/Tokyo
""",
    "traders": """trader_id,full_name,country,kyc_status,registered_at
T1,Nora Near,CZ,verified,2026-01-01T00:00:00Z
T2,Bert Breach,CZ,none,2026-01-01T00:00:00Z
T3,Petra Pass,CZ,verified,2026-01-01T00:00:00Z
T4,Ursula Unjudged,CZ,none,2026-01-01T00:00:00Z
T5,Taro Tokyo,JP,pending,2026-01-01T00:00:00Z
""",
    "partners": """partner_id,name,plan,joined_at
P1,Partner One,cpa,2026-01-01T00:00:00Z
""",
    "challenges": """challenge_id,trader_id,desk_id,product,purchased_at,fee,currency,partner_id
C1,T1,prague,one,2026-03-01T10:00:00Z,500,EUR,P1
C2,T2,prague,one,2026-03-01T10:00:00Z,500,EUR,P1
C3,T3,prague,one,2026-03-01T10:00:00Z,500,EUR,
C4,T4,prague,elsewhere,2026-03-01T10:00:00Z,500,EUR,
C5,T5,tokyo,one,2026-03-01T10:00:00Z,70000,JPY,
""",
    "accounts": """account_id,challenge_id,trader_id,desk_id,stage,platform,login,currency,initial_balance,opened_at
N1,C1,T1,prague,evaluation_1,mt5,1,EUR,100000,2026-03-02T00:00:00Z
B1,C2,T2,prague,evaluation_1,mt4,2,EUR,100000,2026-03-02T00:00:00Z
P1,C3,T3,prague,evaluation_1,mt5,3,EUR,100000,2026-03-02T00:00:00Z
F1,C3,T3,prague,funded,mt5,4,EUR,100000,2026-03-05T00:00:00Z
U1,C4,T4,prague,evaluation_1,mt5,5,EUR,100000,2026-03-02T00:00:00Z
J1,C5,T5,tokyo,evaluation_1,mt5,6,JPY,10000000,2026-03-02T00:00:00Z
O1,C9,T1,prague,evaluation_1,mt5,7,EUR,100000,2026-03-02T00:00:00Z
""",
    "deals": """account_id,deal_id,position_id,kind,entry,side,symbol,volume,price,executed_at,profit
N1,1,1,trade,in,buy,EURUSD,1.00,1.1000,2026-03-03T09:00:00Z,0
N1,2,1,trade,out,sell,EURUSD,1.00,1.0500,2026-03-03T14:00:00Z,-4900
N1,3,2,trade,in,buy,XAUUSD,1.00,2000,2026-03-04T09:00:00Z,0
N1,4,2,trade,out,sell,XAUUSD,1.00,1950,2026-03-04T14:00:00Z,-4650
B1,1,7,trade,in,buy,EURUSD,1.00,1.1000,2026-03-03T09:00:01Z,0
B1,2,7,trade,out,sell,EURUSD,1.00,1.0500,2026-03-03T14:03:07.250Z,-5000.01
P1,1,1,trade,in,buy,EURUSD,1.00,1.1000,2026-03-03T09:00:00Z,0
P1,2,1,trade,out,sell,EURUSD,1.00,1.2000,2026-03-03T14:00:00Z,10000
F1,1,1,trade,in,buy,EURUSD,1.00,1.1000,2026-03-06T09:00:00Z,0
F1,2,1,trade,out,sell,EURUSD,1.00,1.1300,2026-03-06T14:00:00Z,3000
F1,3,,balance,,,,,,2026-03-16T10:00:00Z,-1000
F1,4,2,trade,in,sell,EURUSD,2.00,1.1300,2026-03-18T14:00:00Z,0
F1,5,3,trade,in,sell,EURUSD,2.00,1.1300,2026-03-18 14:00:00,0
""",
    "payments": """payment_id,trader_id,challenge_id,kind,instrument,amount,currency,occurred_at
Y1,T1,C1,purchase,card_a,500,EUR,2026-03-01T10:00:00Z
Y2,T2,C2,purchase,card_a,500,EUR,2026-03-01T10:00:00Z
Y3,T2,C2,chargeback,card_a,500,EUR,2026-03-19T10:00:00Z
""",
    "payouts": """payout_id,account_id,requested_at,amount,method,destination
Q1,F1,2026-03-14T10:00:00Z,1000,bank,iban_1
Q2,F1,2026-03-17T10:00:00Z,1500,bank,iban_1
""",
    "settlements": """settlement_id,payout_id,destination,amount,currency,settled_at,status,reference
S1,Q1,iban_1,800,EUR,2026-03-16T09:00:00Z,settled,REF-1
""",
    "logins": """trader_id,occurred_at,ip,account_id,device_id,country
T1,2026-03-03T08:00:00Z,203.0.113.5,N1,device-1,CZ
T2,2026-03-03T08:30:00Z,203.0.113.6,B1,device-2,CZ
""",
    "rates": """currency,day,rate_to_usd
EUR,2026-03-01,1.10
JPY,2026-03-01,0.0066
USD,2026-03-01,1
""",
}


def _together() -> str:
    """Eight round trips of N1 that B1 follows a second later, on different hours and instruments, worth nothing."""
    lines = []
    for place, symbol in enumerate(("EURUSD", "XAUUSD", "GBPUSD", "USDJPY", "AUDUSD", "US30", "GER40", "NZDUSD")):
        for account, second in (("N1", 0), ("B1", 1)):
            for part, entry, side in ((0, "in", "buy"), (1, "out", "sell")):
                when = f"2026-03-02T{8 + place:02d}:{7 * place % 50 + part:02d}:{second:02d}Z"
                deal = 100 + 2 * place + part
                lines.append(f"{account},{deal},{100 + place},trade,{entry},{side},{symbol},1.00,1.1000,{when},0")
    return "\n".join(lines) + "\n"


FEED["deals"] += _together()
AS_OF = dt.datetime(2026, 3, 20, 12, 0, tzinfo=dt.UTC)


def write(folder: Path) -> tuple[Path, Path]:
    """Writes the feed and the rulebook; returns their folders."""
    feed, book = folder / "feed", folder / "book"
    feed.mkdir(parents=True)
    book.mkdir()
    for name, text in FEED.items():
        (feed / f"{name}.csv").write_text(text)
    (book / "one.toml").write_text(RULEBOOK)
    return feed, book


def copied(factory: pytest.TempPathFactory) -> Path:
    """A folder with the firm landed and scored in `home`, its rulebook in `book`; made once, however many test it."""
    base = factory.getbasetemp()
    built = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "small-firm"
    with FileLock(f"{built}.lock"):
        if not (built / "done").exists():
            house = Warehouse.open(built / "home")
            fill(house, built)
            house.database.dispose()
            (built / "done").touch()
    folder = factory.mktemp("firm") / "firm"
    shutil.copytree(built, folder)
    return folder


def fill(house: Warehouse, folder: Path) -> Path:
    """The firm landed and scored in an open warehouse; returns the folder of its rulebook."""
    feed, book = write(folder)
    land_paths(house, [feed])
    score(house, catalogue.load(book), AS_OF)
    return book


def suspect(house: Warehouse) -> None:
    """Puts what identity, coordination, detectors and reviews would say beside it: N1 and B1 are one owner's."""
    evidence = json.dumps({"sentence": "Both were opened from device-1.", "ruled_out": ["a household"]})
    rows: dict[sa.Table, list[dict[str, object]]] = {
        schema.LINKS: [
            {
                "trader_a": "T1",
                "trader_b": "T2",
                "strength": 0.97,
                "reasons": json.dumps([{"signal": "device", "value": "device-1", "rarity": 2, "against": False}]),
            }
        ],
        schema.OWNERS: [{"trader_id": one, "owner_id": "owner-T1", "members": 2} for one in ("T1", "T2")],
        schema.COPY_PAIRS: [
            {
                "account_a": "B1",
                "account_b": "N1",
                "relation": "copy",
                "leader": "N1",
                "matched": 9,
                "containment": 0.9,
                "lag_ms": 1000.0,
                "expected": 0.03,
                "p_value": 1e-9,
                "q_value": 1e-7,
                "same_owner": True,
                "strength": 0.94,
                "evidence": json.dumps({"days": 4.0, "log_odds": {"steady_lag": 2.5}}),
            }
        ],
        schema.COPY_RINGS: [
            {"ring_id": "ring-B1", "account_id": one, "kind": "ring", "strength": 0.9} for one in ("B1", "N1")
        ],
        schema.SIGNALS: [
            {
                "subject_kind": "trader",
                "subject_id": "T1",
                "detector": "recurring_breaches",
                "strength": 0.8,
                "first_at": AS_OF,
                "last_at": AS_OF,
                "evidence": evidence,
            }
        ],
        schema.PAYOUT_REVIEWS: [
            {
                "payout_id": "Q2",
                "account_id": "F1",
                "amount": 1500,
                "eligible": False,
                "recommendation": "review",
                "trader_share": 1200,
                "firm_share": 300,
                "deductions": 0,
                "checks": json.dumps([{"check": "open_positions", "outcome": "failed", "sentence": "1 is open."}]),
            }
        ],
        schema.RISK_SCORES: [
            {
                "account_id": account,
                "trader_id": trader,
                "score": points,
                "band": "high",
                "reasons": json.dumps(
                    [{"name": "near_floor", "points": points, "sentence": "Most of the allowance is used."}]
                ),
                "as_of": AS_OF,
                "model_version": "1",
            }
            for account, trader, points in (("F1", "T3", 40.0), ("N1", "T1", 90.0))
        ],
        schema.CHURN_SCORES: [
            {
                "trader_id": trader,
                "probability": chance,
                "horizon_days": 60,
                "reasons": json.dumps(
                    [
                        {"reason": "days since the last trade", "value": 12.4, "log_odds": 1.5},
                        {"reason": "funded at present", "value": 1.0, "log_odds": -0.7},
                        {"reason": "days since the last breach", "value": None, "log_odds": -0.2},
                    ]
                ),
                "as_of": AS_OF,
                "model_version": "churn-1",
            }
            for trader, chance in (("T1", 0.9), ("T2", 0.7), ("T3", 0.5))
        ],
        SEGMENT_SIZES: [{"segment": "new", "desk_id": "paris", "day": AS_OF.date(), "traders": 2}],
        CHURN_CURVES: [
            {"desk_id": desk, "day": day, "at_risk": people, "staying": staying, "low": staying, "high": staying}
            for desk in ("all", "prague", "tokyo")
            for day, people, staying in ((0, 5, 1.0), (12, 4, 0.4))
        ],
        SEGMENT_MEMBERS: [{"segment": "new", "trader_id": one} for one in ("T1", "T3")],
        schema.COMMISSIONS: [
            {
                "partner_id": "P1",
                "challenge_id": "C1",
                "event": "purchase",
                "level": 1,
                "amount": 50,
                "currency": "EUR",
                "state": "held",
                "happened_at": AS_OF,
            }
        ],
    }
    rows[sa.Table("mart_rings", sa.MetaData(), autoload_with=house.database)] = [_ring()]
    with house.database.begin() as database:
        for table, records in rows.items():
            database.execute(sa.delete(table))
            database.execute(sa.insert(table), records)


def _ring() -> dict[str, object]:
    """What the pages say of N1 and B1 as a group."""
    counts = {"accounts": 2, "traders": 2, "owners": 1, "partners": 1, "partner_accounts": 2, "breached": 1, "live": 1}
    counts |= {"passed": 0, "mirrors": 0, "passed_beside_breached": 0, "own_copy_violations": 0}
    named = {"ring_id": "ring-B1", "kind": "ring", "strength": 0.9, "one_owner": True, "partner_id": "P1"}
    money = {"fees_usd": 1100.0, "waiting_usd": 0.0, "withdrawable_usd": 0.0, "stake_usd": 0.0}
    return named | counts | money | {"desks": "prague", "_row": 0, "_said": 0}
