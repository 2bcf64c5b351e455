"""Rows that a fold puts off: the newest of each is written, and nothing that no longer holds."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from pipelines.live.putting_off import PutOff

FIRST, SECOND = dt.date(2026, 3, 2), dt.date(2026, 3, 3)


def status(**balances: float) -> pd.DataFrame:
    return pd.DataFrame({"account_id": list(balances), "balance": list(balances.values())})


def days(*rows: tuple[str, dt.date, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["account_id", "firm_day", "trades"])


def test_an_account_is_taken_out_with_its_newest_rows_and_the_others_wait() -> None:
    waiting = PutOff()
    waiting.add(status(A=1, B=2), days(("A", FIRST, 1), ("B", FIRST, 1)), {"A": 5, "B": 6}, {})
    waiting.add(status(A=3), days(("A", FIRST, 2), ("A", SECOND, 1)), {"A": 9}, {})
    stands, told, since = waiting.of({"A", "unknown"})
    assert stands.to_dict("records") == [{"account_id": "A", "balance": 3}]
    assert told[["firm_day", "trades"]].to_numpy().tolist() == [[FIRST, 2], [SECOND, 1]]
    assert since == {"A": 5}, "a checkpoint is let go from the earliest change on"
    waiting.leave_out({"A"})
    stands, told, since = waiting.of(None)
    assert (stands["account_id"].tolist(), told["account_id"].tolist(), since) == (["B"], ["B"], {"B": 6})
    waiting.leave_out(None)
    assert (len(waiting), waiting.seconds, waiting.of(None)[0].empty) == (0, 0.0, True)


def test_days_that_a_late_event_took_away_do_not_come_back() -> None:
    waiting = PutOff()
    waiting.add(status(A=1, B=1), days(("A", FIRST, 1), ("A", SECOND, 1), ("B", SECOND, 1)), {"A": 1, "B": 1}, {})
    waiting.add(status(A=2), days(), {"A": 0}, {"A": SECOND})
    told = waiting.of(None)[1]
    assert told[["account_id", "firm_day"]].to_numpy().tolist() == [["A", FIRST], ["B", SECOND]]
    waiting.leave_out({"A", "B"})
    waiting.add(status(A=3), days(("A", SECOND, 2)), {"A": 2}, {"A": FIRST})
    assert waiting.of({"A"})[1]["trades"].tolist() == [2]
