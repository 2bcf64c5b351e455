"""Real exports land with exactly the counts and sums their README gives. Skipped, loudly, where they are absent."""

import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines.sources import Statement, read, recognise

SAMPLES = Path(os.environ.get("HIGHWATER_SAMPLES", Path(__file__).parents[1] / ".." / "shared" / "samples"))

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(),
    reason=f"REAL EXPORTS NOT TESTED: no folder {SAMPLES}; set HIGHWATER_SAMPLES to the folder of sample exports",
)


class Expected(NamedTuple):
    """What the README says of a file: shape counts, money columns over closed trades, cash, outcome, ends of period."""

    source: str
    accounted: dict[str, int]
    money: tuple[str, str, str]
    cash: tuple[str, str]
    outcome: str
    period: tuple[str, str]


MT4, MT5 = "mt4-statement", "mt5-report"
EXPECTED = {
    "mt4-statement-plain.htm": Expected(
        MT4, {"closed trades": 42, "money rows": 3}, ("0", "0", "-266.19"), ("4997.46", "0"), "exact",
        ("2020-02-06 15:57:15", "2020-02-24 05:01:26"),
    ),
    "mt4-detailed-commission-crlf.htm": Expected(
        MT4, {"closed trades": 130, "cancelled orders": 1, "money rows": 1}, ("-80.43", "-3.26", "107.86"),
        ("500", "0"), "exact", ("2017-10-05 22:32:52", "2017-10-25 12:23:49"),
    ),
    "mt4-statement-jpy.htm": Expected(
        MT4,
        {"closed trades": 729, "cancelled orders": 29, "money rows": 2, "open trades": 20, "working orders": 2},
        ("0", "-4974", "-98133"), ("500000", "0"), "exact", ("2019-04-04 04:10:11", "2019-09-20 21:28:48"),
    ),
    "mt4-detailed-partials-stopouts.htm": Expected(
        MT4,
        {"closed trades": 2064, "compressed periods": 25, "cancelled orders": 8, "money rows": 126, "open trades": 3,
         "working orders": 1},
        ("-133.36", "-42.81", "-1606.61"), ("1902.77", "0"), "exact", ("2013-12-31 12:00:00", "2023-07-28 19:00:38"),
    ),
    "mt4-detailed-credit.htm": Expected(
        MT4, {"closed trades": 1304, "money rows": 4}, ("0", "-188.51", "3192.77"), ("-3004.26", "0"), "exact",
        ("2024-07-16 23:33:05", "2024-12-31 00:17:09"),
    ),
    "mt4-statement-cp1251.htm": Expected(
        MT4, {"closed trades": 140, "money rows": 1, "open trades": 1}, ("0", "-175.77", "8342.46"), ("-2500", "0"),
        "explained", ("2019-01-30 12:00:36", "2019-04-01 15:40:19"),
    ),
    "mt4-statement-incomplete-history.htm": Expected(
        MT4, {"closed trades": 124, "cancelled orders": 3, "money rows": 1, "open trades": 1},
        ("-2265.77", "-308.60", "10780.02"), ("100000", "0"), "explained",
        ("2023-09-08 05:41:08", "2024-01-19 02:30:38"),
    ),
    "mt5-report-bg-hidden-cells.html": Expected(
        MT5, {"positions": 18, "deals": 38, "orders": 37, "open positions": 1}, ("0", "0", "-3.30"), ("100000", "0"),
        "exact", ("2023-06-06 16:41:32", "2023-08-21 09:07:00"),
    ),
    "mt5-report-ja-utf16-odd.html": Expected(
        MT5, {"positions": 85, "deals": 172, "orders": 205, "open positions": 1}, ("0", "0", "2745"),
        ("3000000", "0"), "exact", ("2025-07-24 17:37:37", "2025-07-31 13:34:46"),
    ),
    "mt5-report-native.xlsx": Expected(
        MT5, {"positions": 9, "deals": 18, "orders": 24, "open positions": 1}, ("0", "0", "-49.67"), ("50", "0"),
        "explained", ("2025-04-16 11:41:08", "2025-05-12 16:33:16"),
    ),
    "mt5-report-fr-prop-trial.xlsx": Expected(
        MT5, {"positions": 335, "deals": 685, "orders": 684, "open positions": 9}, ("-329.05", "-25.04", "567.55"),
        ("200000", "0"), "exact", ("2026-06-07 23:30:38", "2026-06-22 19:29:49"),
    ),
    "mt5-report-resaved-text.xlsx": Expected(
        MT5, {"positions": 62, "deals": 130, "orders": 164, "open positions": 1}, ("0", "-7.01", "394.28"),
        ("501", "530.20"), "exact", ("2025-07-05 03:37:04", "2025-11-26 03:26:47"),
    ),
    "ctrader-statement.csv": Expected(
        "ctrader-statement", {"closing deals": 221, "positions": 1, "orders": 6}, ("-958.42", "0", "-3104.24"),
        ("0", "0"), "explained", ("2026-07-27 21:42:00.755000", "2026-08-21 09:31:00.286000"),
    ),
    "tradovate-performance.csv": Expected(
        "tradovate-performance", {"pairs": 221}, ("0", "0", "-140.00"), ("0", "0"), "exact",
        ("2025-01-22 23:02:03", "2025-10-28 22:04:17"),
    ),
    "ftmo-client-area.csv": Expected(
        "ftmo-client-area", {"closed trades": 94}, ("-815.18", "0", "-4106.68"), ("0", "0"), "exact",
        ("2024-08-06 08:23:54", "2025-02-24 15:39:58"),
    ),
    "matchtrader-statement.html": Expected(
        "matchtrader-statement", {"closings": 16}, ("-324.15", "0", "1271.65"), ("0", "0"), "exact",
        ("2025-02-18 16:11:55", "2025-02-19 05:56:35"),
    ),
}  # fmt: skip


def land(name: str) -> Statement:
    """Read a sample, its format recognised by its content."""
    data = (SAMPLES / name).read_bytes()
    return read(None, data, file_name=name, account_id="A1", server_zone="Europe/Athens")


def total(values: object) -> Decimal:
    """Exact sum of decimal texts."""
    return sum((Decimal(value) for value in values if value), Decimal(0))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_export_lands_with_its_counts_and_sums(name: str) -> None:
    """Counts, commission, swap, profit and cash equal the README's; the file's own totals agree or are explained."""
    expected = EXPECTED[name]
    assert recognise((SAMPLES / name).read_bytes(), "x") == expected.source
    statement = land(name)
    deals = statement.deals
    results = deals[(deals["kind"] == "trade") | deals["comment"].fillna("").str.startswith("Summary trade")]
    cash = deals[deals["kind"].isin(["balance", "fee"]) & ~deals.index.isin(results.index)]
    assert statement.facts["accounted"] == expected.accounted
    assert tuple(total(results[column]) for column in ("commission", "swap", "profit")) == tuple(
        Decimal(text) for text in expected.money
    )
    assert total(cash["profit"]) == Decimal(expected.cash[0])
    assert total(deals[deals["kind"] == "credit"]["profit"]) == Decimal(expected.cash[1])
    assert statement.reconciliation.outcome == expected.outcome
    assert statement.facts["period"] == expected.period
    assert statement.rejects.empty
    assert statement.rows == sum(expected.accounted.values())


def test_every_sample_is_expected() -> None:
    """No sample is left out of the table above."""
    assert {path.name for path in SAMPLES.iterdir()} - {"README.md"} == set(EXPECTED)


def test_the_oddities_of_the_samples_are_seen() -> None:
    """Partial closes, stop-outs, reasons, carried balances and money classes are what the README tells."""
    partials = land("mt4-detailed-partials-stopouts.htm")
    classes = Counter(row["class"] for row in partials.facts["money_rows"])
    assert classes["compressed trading result"] == 25
    assert classes["compressed balance result"] == 5
    assert Counter(partials.deals["reason"])["so"] == 13
    closings = partials.deals[partials.deals["entry"] == "out"].groupby("position_id").size()
    assert closings.max() > 1
    plain = land("mt4-statement-plain.htm").facts["money_rows"]
    assert [row["class"] for row in plain].count("financing") == 2
    carried = {check["name"]: check["difference"] for check in land("mt4-statement-cp1251.htm").reconciliation.checks}
    assert carried["Balance"] == "-2533.50"
    missing = {c["name"]: c["difference"] for c in land("mt4-statement-incomplete-history.htm").reconciliation.checks}
    assert missing["Balance"] == "14030.71"
    assert land("mt4-statement-cp1251.htm").facts["name"] == "Святозар Примерский"


def test_positions_of_the_samples_are_whole() -> None:
    """Every closing deal of every report is tied; partial closes share their position."""
    trial = land("mt5-report-fr-prop-trial.xlsx")
    assert trial.facts["untied_deals"] == []
    out = trial.deals[trial.deals["entry"] == "out"]
    assert len(out) == 340
    assert out["position_id"].nunique() == 335
    assert land("ftmo-client-area.csv").deals["position_id"].nunique() == 83
    assert land("matchtrader-statement.html").deals["position_id"].nunique() == 12
    tradovate = land("tradovate-performance.csv").deals
    assert (tradovate[tradovate["entry"] == "in"]["side"] == "sell").sum() == 107
