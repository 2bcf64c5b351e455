"""When people of the made-up firms log in: each by habits of hour and weekday, in sittings of several names or of one.

Couples sit down on the same evenings, clubs meet weekly, the market opens for all, robots come back every night.
Nothing that a trader has in common with others is changed: only when, and how often, its devices and lines are used."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.quality.identity_firms import END
from models.identity import IdentityFacts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
DAYS, DAY, WEEK = 90, 1440, 7 * 1440
START = END - pd.Timedelta(days=DAYS)
# The zones people live in, in hours before UTC, the local hours at which they sit down, and how likely by weekday.
ZONES, HOURS = (-5, 0, 1, 2, 3, 5.5, 7), (7, 9, 13, 15, 18, 19, 20, 21)
WEEKDAYS = np.array([1.0, 1.0, 1.0, 1.0, 0.8, 0.2, 0.25])
# Minutes of the day at which the market opens for all and at which robots come back, and what shares of people do so.
OPENING, ROLLOVER, OPENERS, ROBOTS = 13 * 60 + 25, 21 * 60 + 5, 0.1, 0.04
# A line of so many people is a home, or a place where they meet; how many of either keep evenings, and how often.
HOME, PLACE, COUPLES, CLUBS, OFTEN = (2, 4), (5, 40), 0.3, 0.5, 0.4
# Owners who never go from one name to the next in one sitting; how often a name has its turn where they do.
APART, TURN = 0.4, 0.8
# What firms tell of a log-in, and how many do.
TOLD = {"s": 0.8, "h": 0.1, "D": 0.1}


def with_evenings(facts: IdentityFacts, truth: pd.Series, seed: list[int]) -> IdentityFacts:
    """The firm with log-ins at the times people would make them, from each trader's registration on."""
    if not len(facts.logins):
        return facts
    return replace(facts, logins=_Diary(facts, truth, np.random.default_rng([*seed, 313])).logins())


class _Diary:
    """The last three months of everybody, in minutes since their begin."""

    def __init__(self, facts: IdentityFacts, truth: pd.Series, rng: np.random.Generator) -> None:
        self.rng = rng
        self.person = pd.Series(pd.factorize(truth)[0], index=truth.index)
        self.seen = facts.logins.assign(person=self.person.reindex(facts.logins["trader_id"]).to_numpy())
        self.registered = facts.traders.set_index("trader_id")["registered_at"]
        self.people = int(self.person.max()) + 1
        self.circle = self.seen.groupby("ip")["person"].nunique()
        self.zone = rng.choice(ZONES, self.people)
        self.hours = rng.choice(HOURS, (self.people, 2)).astype(float)
        self.spread = rng.uniform(20, 90, self.people)
        self.head = self._heads()
        alike = rng.random(self.people) < 0.5
        self.zone = self.zone[self.head]
        self.hours[alike] = self.hours[self.head[alike]]

    def _heads(self) -> Ints:
        """Of each person the first who lives at the same line."""
        homes = self.seen.drop_duplicates("person")[["person", "ip"]]
        homes = homes[homes["ip"].map(self.circle).between(*HOME)]
        head = np.arange(self.people)
        head[homes["person"]] = homes.groupby("ip")["person"].transform("min")
        return head

    def logins(self) -> pd.DataFrame:
        """Every log-in as the firm tells it: those that were there, at a minute of a habit, and those of the diary."""
        told = str(self.rng.choice(list(TOLD), p=list(TOLD.values())))
        kept = self.seen.assign(occurred_at=self._day_kept())
        turns = self._turns(*self._sittings())
        said = pd.concat([kept, turns], ignore_index=True)
        said["occurred_at"] = said["occurred_at"].dt.floor(told)
        return said[["trader_id", "occurred_at", "ip", "device_id"]]

    def _day_kept(self) -> "pd.Series[pd.Timestamp]":
        days = pd.to_datetime(self.seen["occurred_at"], utc=True).dt.floor("D")
        days = days.mask(days >= END, END - pd.Timedelta(days=1))
        seconds = (self._minute(self.seen["person"].to_numpy()) * 60).astype(np.int64)
        return pd.Series(days + pd.to_timedelta(seconds, unit="s"))

    def _minute(self, who: Ints) -> Floats:
        """A minute of the day, in UTC, at which these people would sit down."""
        hour = np.where(self.rng.random(len(who)) < 0.7, self.hours[who, 0], self.hours[who, 1])
        minute = ((hour - self.zone[who]) * 60 + self.rng.normal(0, self.spread[who])) % DAY
        opening = OPENING + self.rng.normal(0, 8, len(who))
        return np.asarray(np.where(self.rng.random(len(who)) < OPENERS, opening, minute), dtype=np.float64)

    def _sittings(self) -> tuple[Ints, Floats]:
        """Who sits down and when: on days of one's own, with whom one lives, by a robot."""
        rate = self.rng.beta(1.5, 4, self.people)[:, None]
        weekday = (START.weekday() + np.arange(DAYS)) % 7
        who, day = np.nonzero(self.rng.random((self.people, DAYS)) < rate * WEEKDAYS[weekday])
        when = day * DAY + self._minute(who)
        partners = np.flatnonzero((self.head != np.arange(self.people)) & (self.rng.random(self.people) < COUPLES))
        evenings = pd.DataFrame({"head": self.head[partners], "partner": partners}).merge(
            pd.DataFrame({"head": who, "when": when})
        )
        evenings = evenings[self.rng.random(len(evenings)) < OFTEN]
        robots = np.repeat(np.flatnonzero(self.rng.random(self.people) < ROBOTS), DAYS)
        nights = np.tile(np.arange(DAYS), len(robots) // DAYS) * DAY + ROLLOVER
        return (
            np.concatenate([who, evenings["partner"], robots]),
            np.concatenate(
                [
                    when,
                    evenings["when"] + self.rng.normal(0, 12, len(evenings)),
                    nights + self.rng.exponential(2, len(robots)),
                ]
            ),
        )

    def _turns(self, who: Ints, when: Floats) -> pd.DataFrame:
        """The names that log in at each sitting, one after another or one alone, each from a place of its own."""
        rng = self.rng
        together = np.where(rng.random(self.people) < APART, 0, rng.uniform(0.2, 0.9, self.people))
        sat = pd.DataFrame({"sitting": np.arange(len(who)), "person": who, "when": when})
        sat["together"] = rng.random(len(who)) < together[who]
        turns = sat.merge(self.person.rename("person").rename_axis("trader_id").reset_index())
        turns["turn"] = rng.random(len(turns))
        turns["turn"] = turns.groupby("sitting")["turn"].rank().astype(int) - 1
        turns = turns[(turns["turn"] == 0) | (turns["together"] & (rng.random(len(turns)) < TURN))]
        turns["when"] += turns["turn"] * rng.lognormal(np.log(4), 0.8, len(turns))
        spots = self.seen.sort_values("trader_id", kind="stable").reset_index(drop=True)
        first = spots.reset_index().groupby("trader_id")["index"].agg(["min", "size"]).reindex(turns["trader_id"])
        at = (first["min"].to_numpy() + rng.random(len(turns)) * first["size"].to_numpy()).astype(np.int64)
        spots = spots[["ip", "device_id"]].iloc[at].reset_index(drop=True)
        turns = pd.concat([turns[["trader_id", "when"]].reset_index(drop=True), spots], axis=1)
        minutes = self._meetings(turns["ip"], turns["when"].to_numpy())
        turns["occurred_at"] = START + pd.to_timedelta((minutes * 60).astype(np.int64), unit="s")
        return turns[turns["occurred_at"].between(turns["trader_id"].map(self.registered), END, inclusive="left")]

    def _meetings(self, ip: pd.Series, when: Floats) -> Floats:
        """The times, moved to the place's evening of that week for half of those who come to a place."""
        places = self.circle.index[self.circle.between(*PLACE)]
        evening = pd.Series(
            self.rng.integers(0, 7, len(places)) * DAY + self.rng.integers(15, 22, len(places)) * 60.0, index=places
        )
        met = when // WEEK * WEEK + ip.map(evening).to_numpy() + self.rng.normal(0, 20, len(when))
        moved = ip.isin(places).to_numpy() & (self.rng.random(len(when)) < CLUBS)
        return np.asarray(np.where(moved, met, when), dtype=np.float64)
