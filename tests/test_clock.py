"""Firm days: resets by zone, reset time and calendar, where clocks change and where weeks end."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.clock import Calendar, Clock, from_micros, place, reset_instant, resets, to_micros
from tests.walk_oracle import FirmClock, reset_at
from tests.walk_oracle import resets as slow_resets

TIMES = st.times().map(lambda time: time.replace(microsecond=0, fold=0))
EPOCH = dt.date(1970, 1, 1)
ZONES = ["UTC", "Europe/Prague", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Asia/Beirut"]


@pytest.mark.parametrize(
    ("zone", "reset", "date", "expected"),
    [
        ("Europe/Prague", "00:00", "2026-03-28", "2026-03-27T23:00:00Z"),
        ("Europe/Prague", "00:00", "2026-03-29", "2026-03-28T23:00:00Z"),
        ("Europe/Prague", "00:00", "2026-03-30", "2026-03-29T22:00:00Z"),
        ("Europe/Prague", "01:59:59", "2026-03-29", "2026-03-29T00:59:59Z"),
        ("Europe/Prague", "02:00", "2026-03-29", "2026-03-29T01:00:00Z"),
        ("Europe/Prague", "02:59:59", "2026-03-29", "2026-03-29T01:00:00Z"),
        ("Europe/Prague", "03:00", "2026-03-29", "2026-03-29T01:00:00Z"),
        ("Europe/Prague", "02:00", "2026-10-25", "2026-10-25T00:00:00Z"),
        ("Europe/Prague", "02:59:59", "2026-10-25", "2026-10-25T00:59:59Z"),
        ("Europe/Prague", "03:00", "2026-10-25", "2026-10-25T02:00:00Z"),
        ("America/New_York", "17:00", "2026-03-07", "2026-03-07T22:00:00Z"),
        ("America/New_York", "17:00", "2026-03-08", "2026-03-08T21:00:00Z"),
        ("America/Santiago", "00:00", "2026-09-06", "2026-09-06T04:00:00Z"),
        ("America/Santiago", "23:30", "2026-04-04", "2026-04-05T02:30:00Z"),
        ("Australia/Lord_Howe", "02:15", "2026-10-04", "2026-10-03T15:30:00Z"),
        ("Australia/Lord_Howe", "01:45", "2026-04-05", "2026-04-04T14:45:00Z"),
        ("Pacific/Apia", "00:00", "2011-12-30", "2011-12-30T10:00:00Z"),
    ],
)
def test_a_reset_that_the_clocks_skip_or_repeat(zone: str, reset: str, date: str, expected: str) -> None:
    clock = Clock(zone, dt.time.fromisoformat(reset), "crypto")
    assert reset_instant(clock, dt.date.fromisoformat(date)) == dt.datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("reset", "calendar", "days"),
    [
        ("00:00", "fx", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("11:59", "cme", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("12:00", "fx", ["Mon", "Tue", "Wed", "Thu", "Sun"]),
        ("17:00", "cme", ["Mon", "Tue", "Wed", "Thu", "Sun"]),
        ("17:00", "crypto", ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
    ],
)
def test_which_days_have_a_reset(reset: str, calendar: Calendar, days: list[str]) -> None:
    clock = Clock("UTC", dt.time.fromisoformat(reset), calendar)
    week = resets(clock, dt.date(2026, 3, 2), dt.date(2026, 3, 8))
    assert [f"{from_micros(at):%a}" for at in week.instants] == days


@pytest.mark.parametrize(("reset", "ahead"), [("00:00", 0), ("11:59:59", 0), ("12:00", 1), ("23:59", 1)])
def test_a_reset_from_noon_on_opens_the_next_date(reset: str, ahead: int) -> None:
    clock = Clock("UTC", dt.time.fromisoformat(reset), "crypto")
    (day,) = resets(clock, dt.date(2026, 3, 4), dt.date(2026, 3, 4)).firm_days
    assert EPOCH + dt.timedelta(days=int(day)) == dt.date(2026, 3, 4) + dt.timedelta(days=ahead)


def test_no_firm_day_of_the_week_is_a_weekend_day_on_fx() -> None:
    for reset in ("00:00", "17:00"):
        found = resets(
            Clock("America/New_York", dt.time.fromisoformat(reset), "fx"), dt.date(2026, 1, 1), dt.date(2027, 1, 1)
        )
        assert {(EPOCH + dt.timedelta(days=int(day))).weekday() for day in found.firm_days} == {0, 1, 2, 3, 4}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ZONES),
    TIMES,
    st.dates(dt.date(2015, 1, 1), dt.date(2035, 1, 1)),
    st.sampled_from(["fx", "cme", "crypto"]),
)
def test_resets_are_those_of_the_oracle_and_rise(zone: str, reset: dt.time, first: dt.date, calendar: Calendar) -> None:
    last = first + dt.timedelta(days=200)
    found = resets(Clock(zone, reset, calendar), first, last)
    slow = FirmClock(zone, reset, calendar)
    kept = [from_micros(at) for at in found.instants]
    assert all(earlier < later for earlier, later in itertools.pairwise(kept))
    start = kept[0]
    expected = list(slow_resets(slow, start, kept[-1]))
    days = [EPOCH + dt.timedelta(days=int(day)) for day in found.firm_days]
    assert list(zip(kept, days, strict=True)) == expected


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ZONES), TIMES, st.dates(dt.date(2015, 1, 1), dt.date(2035, 1, 1)))
def test_a_reset_shows_its_time_or_the_end_of_a_gap(zone: str, reset: dt.time, date: dt.date) -> None:
    at = reset_instant(Clock(zone, reset, "crypto"), date)
    local, wall = at.astimezone(ZoneInfo(zone)), dt.datetime.combine(date, reset)
    assert at == reset_at(date, FirmClock(zone, reset))
    if local.replace(tzinfo=None) != wall:
        before = (at - dt.timedelta(microseconds=1)).astimezone(ZoneInfo(zone))
        assert before.replace(tzinfo=None) < wall < local.replace(tzinfo=None)
    else:
        assert local.fold == 0


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_instants_survive_as_microseconds(at: dt.datetime) -> None:
    assert from_micros(to_micros(at)) == at


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("America/New_York", "New York"),
        ("America/Argentina/Buenos_Aires", "Buenos Aires"),
        ("Etc/GMT-3", "UTC+3"),
        ("Etc/GMT+5", "UTC-5"),
        ("Etc/GMT", "GMT"),
        ("UTC", "UTC"),
    ],
)
def test_zones_are_said_as_people_say_them(zone: str, said: str) -> None:
    """Guards against a firm's UTC+3 being told to its traders as GMT-3, which is how the zone is spelt."""
    assert place(zone) == said
