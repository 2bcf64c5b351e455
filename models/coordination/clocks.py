"""Constant differences between clocks of platforms and servers, read off moments at which strangers act together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.compiled import compiled
from models.coordination.entries import SECOND, Book, Codes, Entries, Flags, Floats, Ints
from models.coordination.lags import typical_lag

REACH_S = 8.0  # gaps between two accounts' entries that are read
FARTHEST_S = 5.0  # largest difference believed
DIFFERENCE_MIN_S = 0.05
NEIGHBOURS = 40  # about how many entries are read after each one, evenly over the reach: the nearest lie about 0
MEETINGS_MIN = 4  # of two accounts that may say something
MEETINGS_READ = 40
TOGETHER_S, TOGETHER_MIN = 2.0, 0.5  # share of their meetings within this of their middle: fewer met by chance
VOICES_MIN, VOICES_MAX = 12, 3_000  # pairs of accounts
STRANGERS_MIN = 20  # accounts on either side that tell a server from its platform: of fewer one robot may be most
SERVERS_DIFFER = 0.01  # odds of two servers of one platform to differ before anything is seen
BLUR_S = 0.08  # strangers differ by so much even when both are quick
GRID_S = np.arange(-FARTHEST_S, FARTHEST_S + 0.01, 0.02)
REDRAWS = 60
QUARTILES_APART = 1.349  # of a normal distribution, in standard deviations
ERROR_MIN_S = 0.01


@dataclass(frozen=True)
class Clocks:
    """By how many seconds each account's clock is ahead, and how well any two are known to each other.

    `told` has, by account id, platform and server as codes and the standard errors of both: of a platform not a
    number where it could not be compared with others, of a server nothing where it shows its platform's time.
    """

    ahead_s: pd.Series
    told: pd.DataFrame

    def doubt_between(self, one: NDArray[Any], other: NDArray[Any]) -> Floats:
        """How well (s) the difference between the clocks of two accounts is known: wholly on one server."""
        left, right = (self.told.reindex(ids).to_dict("series") for ids in (one, other))
        out = np.zeros(len(one))
        for of in ("platform", "server"):
            apart = np.hypot(left[f"{of}_doubt_s"].to_numpy(), right[f"{of}_doubt_s"].to_numpy())
            out = np.hypot(out, np.where(left[of].to_numpy() == right[of].to_numpy(), 0.0, apart))
        return out


@compiled
def _met(book: Book, place: Codes, server: Codes, person: Codes, reach_us: int) -> tuple[Ints, Ints]:
    """Pairs of accounts of two people on different servers that enter alike within reach, and by how much (us) the
    later is behind.

    The later is who has the higher `place`; a pair is one number, the later's place times the accounts and the other's.
    """
    size = 1024
    pairs, lags = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    count = 0
    n, accounts = len(book.opened_us), len(place)
    end = 0
    for i in range(n):
        end = max(end, i + 1)
        while (
            end < n
            and book.instrument[end] == book.instrument[i]
            and book.opened_us[end] - book.opened_us[i] <= reach_us
        ):
            end += 1
        stride = max((end - i - 1) // NEIGHBOURS, 1)
        for j in range(i + 1 + i % stride, end, stride):
            gap = book.opened_us[j] - book.opened_us[i]
            a, b = book.account[i], book.account[j]
            if server[a] == server[b] or person[a] == person[b] or book.side[i] != book.side[j]:
                continue
            if place[a] > place[b]:
                a, b, gap = b, a, -gap
            if count == size:
                size *= 2
                more_pairs, more_lags = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
                more_pairs[:count], more_lags[:count] = pairs, lags
                pairs, lags = more_pairs, more_lags
            pairs[count], lags[count] = np.int64(place[b]) * accounts + place[a], gap
            count += 1
    return pairs[:count], lags[:count]


@compiled
def _voices(pairs: Ints, gaps_s: Floats, accounts: int, step_s: Floats) -> tuple[Codes, Codes, Floats, Floats]:
    """Per pair of accounts that met often enough: the earlier, the later, their typical gap (s), its standard error.

    `pairs` are sorted; the clocks of `step_s` bound each gap.
    """
    one, other = np.empty(len(pairs), dtype=np.int32), np.empty(len(pairs), dtype=np.int32)
    middle, error = np.empty(len(pairs)), np.empty(len(pairs))
    count = start = 0
    for k in range(1, len(pairs) + 1):
        if k < len(pairs) and pairs[k] == pairs[start]:
            continue
        if k - start >= MEETINGS_MIN:
            own = gaps_s[start:k]
            own = own[:: max(-(-len(own) // MEETINGS_READ), 1)]
            near = own[np.abs(own - np.median(own)) <= TOGETHER_S]
            if len(near) >= max(MEETINGS_MIN, TOGETHER_MIN * len(own)):
                a, b = pairs[start] % accounts, pairs[start] // accounts
                one[count], other[count] = a, b
                middle[count], error[count], _ = typical_lag(near, step_s[a], step_s[b])
                count += 1
        start = k
    return one[:count], other[:count], middle[:count], error[:count]


def _difference(one: Codes, other: Codes, middle: Floats, error: Floats, odds: float) -> tuple[float, float]:
    """Where the voices of pairs of accounts are densest, and its standard error; 0 where that may be no difference.

    The quickest strangers act most alike, so the densest place is taken and not the middle. Accounts are drawn anew
    with repetition to see how far it depends on who is there; a difference is believed if it would be less likely by
    that alone, from clocks that agree, than from clocks that are off by anything up to the farthest, which has `odds`,
    and if it is there without any one of them: a robot's user on a slow line meets all others of its family as late.
    """
    width = np.sqrt(error**2 + BLUR_S**2)[:, None]
    said = np.exp(-0.5 * ((GRID_S - middle[:, None]) / width) ** 2) / width
    rng = np.random.default_rng(len(middle))
    weights = (
        rng.poisson(1.0, (REDRAWS, one.max() + 1))[:, one] * rng.poisson(1.0, (REDRAWS, other.max() + 1))[:, other]
    )
    drawn = GRID_S[np.argmax(weights.astype(np.float64) @ said, axis=1)]
    low, seconds, high = np.quantile(drawn, [0.25, 0.5, 0.75])
    doubt = max((high - low) / QUARTILES_APART, ERROR_MIN_S)
    by_chance = math.exp(-0.5 * (seconds / doubt) ** 2) / (doubt * math.sqrt(2.0 * math.pi))
    believed = by_chance < odds * 0.5 / FARTHEST_S and abs(seconds) >= DIFFERENCE_MIN_S
    if believed and np.abs(_without_each(one, other, said) - seconds).max() < abs(seconds) / 2.0:
        return float(seconds), doubt
    return 0.0, math.hypot(seconds, doubt)


def _without_each(one: Codes, other: Codes, said: Floats) -> Floats:
    """Where the voices are densest without each person who has a part in some."""
    voices = np.tile(np.arange(len(one)), 2)
    part = csr_array((np.ones(len(voices)), (np.concatenate([one, other]), voices)))
    of_each = part[np.flatnonzero(part.sum(axis=1))] @ said
    return np.asarray(GRID_S[np.argmax(said.sum(axis=0) - of_each, axis=1)])


@dataclass(frozen=True)
class _Meetings:
    """Meetings of people on different servers, sorted by pair; accounts are numbered by their servers' order."""

    pairs: Ints
    behind_s: Floats
    step_s: Floats
    server: Codes
    person: Codes

    def voices(self, first: int, last: int, among: Flags, ahead: Floats) -> tuple[Codes, Codes, Floats, Floats]:
        """What accounts of the servers from `first` to before `last` say beside those of earlier servers `among`.

        Told are the people behind the accounts. Clocks of servers that are `ahead` are set right.
        """
        accounts = len(self.server)
        bounds = np.searchsorted(self.pairs, np.searchsorted(self.server, [first, last]) * accounts)
        pairs, behind_s = self.pairs[slice(*bounds)], self.behind_s[slice(*bounds)]
        later, earlier = self.server[pairs // accounts], self.server[pairs % accounts]
        chosen = among[earlier]
        right_s = behind_s - ahead[later] + ahead[earlier]
        one, other, middle, error = _voices(pairs[chosen], right_s[chosen], accounts, self.step_s)
        return self.person[one], self.person[other], middle, error


def _meetings(book: Book, server: Codes, person: Codes) -> _Meetings:
    """All meetings within reach of accounts of two people that are on different servers."""
    order = np.argsort(server, kind="stable")
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order))
    pairs, behind_us = _met(book, place, server, person, int(REACH_S * SECOND))
    by_pair = np.argsort(pairs, kind="stable")
    steps_s = book.step_us[order] / SECOND
    return _Meetings(pairs[by_pair], behind_us[by_pair] / SECOND, steps_s, server[order], person[order])


def _heard(voices: tuple[Codes, Codes, Floats, Floats], strangers_min: int, odds: float) -> tuple[float, float]:
    """The difference that voices tell and its error; not a number where they are too few."""
    if len(voices[0]) < VOICES_MIN or min(len(np.unique(people)) for people in voices[:2]) < strangers_min:
        return np.nan, np.nan
    one, other, middle, error = voices
    some = slice(None, None, -(-len(one) // VOICES_MAX))
    return _difference(one[some], other[some], middle[some], error[some], odds)


def _of_servers(met: _Meetings, platform: Codes) -> tuple[Floats, Floats]:
    """Seconds by which each server is ahead of the largest of its platform, and errors; 0 unless it clearly is.

    One after the other is set beside those of its platform that were before.
    """
    ahead, doubt = np.zeros(len(platform)), np.zeros(len(platform))
    known = np.diff(platform, prepend=-1) > 0
    for server in np.flatnonzero(~known).tolist():
        voices = met.voices(server, server + 1, known & (platform == platform[server]), ahead)
        seconds, error = _heard(voices, STRANGERS_MIN, SERVERS_DIFFER)
        known[server] = not np.isnan(seconds)
        if known[server] and seconds:
            ahead[server], doubt[server] = seconds, error
    return ahead, doubt


def _of_platforms(met: _Meetings, platform: Codes, ahead: Floats) -> tuple[Floats, Floats]:
    """Seconds by which each platform is ahead of the largest, 0 where nothing stands out, beside its servers' `ahead`.

    Not a number where too few strangers of the two meet to say.
    """
    out, doubt = np.zeros(platform.max() + 1), np.zeros(platform.max() + 1)
    for one in range(1, len(out)):
        first, last = np.searchsorted(platform, [one, one + 1]).tolist()
        out[one], doubt[one] = _heard(met.voices(first, last, platform == 0, ahead), 1, 1.0)
    return out, doubt


def _servers(entries: Entries, accounts: pd.DataFrame) -> tuple[pd.DataFrame, Codes]:
    """Servers, those of the largest platform first and the largest of each first, and the server of each account.

    An account whose server has too few to be told apart, or is unknown, counts to the largest of its platform.
    """
    known = accounts.drop_duplicates("account_id").set_index("account_id")
    told = known.reindex(index=entries.accounts, columns=["platform", "server"]).astype(object).fillna("")
    told["size"] = told.groupby(["platform", "server"])["server"].transform("size")
    told.loc[told["server"] == "", "size"] = 0
    largest = told.sort_values(["size", "server"], ascending=[False, True]).groupby("platform")["server"].first()
    told["server"] = told["server"].where(told["size"] >= STRANGERS_MIN, told["platform"].map(largest))
    table = told.groupby(["platform", "server"], as_index=False).size()
    table["all"] = table.groupby("platform")["size"].transform("sum")
    table = table.sort_values(["all", "platform", "size", "server"], ascending=[False, True, False, True])
    index = pd.MultiIndex.from_frame(table[["platform", "server"]])
    server = index.get_indexer(pd.MultiIndex.from_frame(told[["platform", "server"]]))
    return table.reset_index(drop=True), server.astype(np.int32)


def _people(entries: Entries, accounts: pd.DataFrame) -> Codes:
    """The trader of each account as a code; an account whose trader is unknown is a person of its own."""
    known = accounts.drop_duplicates("account_id").set_index("account_id")
    codes = pd.factorize(known.reindex(index=entries.accounts, columns=["trader_id"])["trader_id"])[0]
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    return codes.astype(np.int32)


def _told(names: list[str], ahead: Floats, doubt: Floats) -> list[str]:
    """What is said of the clocks of these platforms or servers."""
    out = []
    for name, seconds, error in zip(names, ahead, doubt, strict=True):
        if np.isnan(seconds):
            out.append(
                f"the clocks of {name} could not be compared with others: too few strangers act at the same moments; "
                "lags to accounts there are as the platforms told them"
            )
        elif seconds:
            out.append(f"the clocks of {name} are {seconds:+.2f} s off (known to {error:.2f} s) and were corrected")
    return out


def clock_differences(entries: Entries, accounts: pd.DataFrame, log: list[str]) -> Clocks:
    """By how much each account's clock is ahead, and how well that is known; adds what was found to the log.

    `accounts` has account_id, platform and, where known, server and trader_id. Strangers act together at public moments
    (bars, news, levels, robots of one family); on one clock they are as often first as last, so that the gaps of their
    meetings centre on 0, and between two clocks on their difference. Every pair of accounts of two people that met
    often has one voice, as sharp as its meetings say, so that followers, who are always late, do not pass for a clock.
    A difference is believed where it hardly depends on who is there. Servers of a platform are held to show one time
    unless many strangers clearly say otherwise; then platforms are compared.
    """
    servers, server = _servers(entries, accounts)
    codes, platforms = pd.factorize(servers["platform"])
    platform = codes.astype(np.int32)
    ahead = doubt = np.zeros(len(servers))
    platform_ahead = platform_doubt = np.zeros(len(platforms))
    if len(servers) > 1:
        met = _meetings(entries.book, server, _people(entries, accounts))
        ahead, doubt = _of_servers(met, platform)
        platform_ahead, platform_doubt = _of_platforms(met, platform, ahead)
    names = [name or "unnamed platforms" for name in platforms]
    log += _told(names, platform_ahead, platform_doubt)
    of = [f"{names[code]} server {name}" for name, code in zip(servers["server"], platform, strict=True)]
    log += _told(of, ahead, doubt)
    told = {"platform": platform, "platform_doubt_s": platform_doubt[platform], "server": np.arange(len(servers))}
    return Clocks(
        ahead_s=pd.Series((ahead + np.nan_to_num(platform_ahead)[platform])[server], index=entries.accounts),
        told=pd.DataFrame(told | {"server_doubt_s": doubt}).iloc[server].set_axis(entries.accounts),
    )
