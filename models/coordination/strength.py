"""Weighs what was seen of a significant pair: one follows the other, or both follow something public."""

from __future__ import annotations

import numpy as np
import pandas as pd

from models.coordination.chance import log_poisson_tail
from models.coordination.circumstances import EXITS_TELL, LOTS_TELL
from models.coordination.entries import Flags, Floats
from models.coordination.likeness import BAR_S
from models.coordination.terms import CoordinationTerms

FEW_OTHERS = 4  # beyond this many, coincidence of order and exits must be plain
ORDER_AT, ORDER_WORTH = [0.6, 0.75, 0.85, 0.92, 0.97], [-8.0, -5.0, -3.0, -0.5, 1.5]
AT_ONCE_S = 0.1  # nobody follows in less
SHORTEST_S = 0.05  # a lag below this is as good as none
MOVED, MOVED_MIN = 0.6, 20  # of the spread, from one match to the next, below which a lag has moved; and matches
LATER_WORTH = 0.6  # closing later is less than closing alike: a wider target does as much
PATH_MATCHES = [8.0, 16.0]  # so many exits one path of prices may bring near each other, and so many it does not
PATH_HOLDING = [0.9, 0.97]  # correlation of holding times that one path may give, and that it does not
ALL_HOLD_ALIKE = 0.7  # share of swapped matches that close together from which common exits prove nothing
LATENCY_S = 3.0  # no robot is so much slower than another
FAR_S = 10.0  # and nothing that many hear is heard so late so steadily
HAND_S = 15.0  # one person at two screens needs no longer
HAND_LOG_P = -35.0  # log-probability of the matches by chance: without an order they must be plainly beyond it
HAND_LEAST_S = 0.6  # spread of the lag by hand; robots of one kind stray by less
UNREST = 2.0  # markets stir within seconds: entries nearby are up to so much denser than over the quarter hours
LOG_P_PASSERS = -6.0
PUBLIC_SHARE = [0.2, 0.4]  # share of matches at public moments from which these explain a pair, and wholly do
FAMILY_COVER = [0.9, 0.98]  # share of a family's meetings a leader is part of: one member of many, and its leader
LOG_P_PICKED = -12.0  # log-probability of sharing all moments of a crowd with one of its members by chance
ROUNDING = 0.29  # standard deviation of what a clock of whole seconds leaves out
STEADY_COVER = 0.95  # share of its meetings with others that who is behind shares with the one ahead
IRREGULAR_S = 1.0  # whoever strays so far from everyone around is no machine
ONLY_WITH = 0.9  # share of public moments taken with the leader from which the choice is the leader's
READERS_LOOSE = [0.3, 0.42]  # looseness of a leader's followers: as of copiers, and of people who read
READERS_STRAY_S = [0.1, 0.25]  # seconds by which people who read stray at least: machines alone are steadier
LEADS_MACHINES = 0.8  # share of meetings opened from which one is followed by machines: their latencies vary
FEW_MATCHES = [8.0, 12.0]  # so many, and common exits alone do not prove what a loose lag leaves open
LEADS = 0.85  # of a small company whose common exits then prove that it was followed
LED = 0.95  # share of meetings opened from which one is the leader of all around
HUB_FIRST = 0.6  # share of meetings opened by whom many follow: later bursts hide some
HUB_COVER = 0.75  # share of a follower's meetings with the others that such a leader is part of
HUB_STEADY = [0.5, 0.7]  # share of its far followers who are steady: of a room that reads, and of a leader copied
HUB_FAR = [0.1, 0.2]  # share of its followers who are far and steady: a family's member that two copy, and a hub
HUB_WORTH = 1.0  # what company, exits and other followers are worth together where many follow one leader
LOG_P_PICKS = [-10.0, -5.0]  # log-probability of being only where one of a company is, if the company explained it
PICKS_LOOSE = [0.35, 0.5]  # and looseness from which the lag is that of one who reads
ALWAYS_WITH = [0.25, 0.45]  # share of the company that never gathers without who is ahead: few, and as behind a source
SOURCE_FIRST = [0.85, 0.95]  # share of meetings opened from which one is the source of a company
PICKS_WORTH = 1.0  # what company and public moments are worth together where one of the company is picked
FARTHER = 3.0  # times the lags of nearly everyone around
ALONE_WORTH = 1.5  # what company is worth at most where many matches are without it: as much as where nobody recurs
STRUCK = [0.1, 0.25]  # share of exits at once from which one price closed both
FOLLOWED = [0.25, 0.4]  # and of those that repeat the lag from which some were followed nevertheless
STRUCK_WORTH = -3.0  # of such exits where nobody recurs, besides telling nothing: two of one robot are as alone
LOG_P_TURNS = [-6.0, -4.0]  # log-probability of so few close behind who is first, if a source told all
TURNS_WORTH = 1.0  # what order, lag and company are worth together where a few lead by turns
BY_ROBOT = [0.1, 0.9]  # share of entries by a robot: who trades by hand, and who lets a robot trade
TWO_ROBOTS_WORTH = -4.0  # of robots that act together: two accounts of one are likelier than one that copies the other
ONE_PROGRAM_WORTH = -4.0  # and under one magic number; a copier has one of its own
ROBOTS_AROUND = [0.5, 0.7]  # share of entries around by robots, of which several may be copied by hand
HANDS_WORTH = 1.0  # what company and exits are worth together where whose hand it was tells who copies
HANDS_LOOSE = [0.3, 0.45]  # and looseness from which both may be answering something else
SOONER_S = [0.8, 1.2]  # sooner than people answer people
SMALL_RING = 8  # others around a pair up to which a ring is as likely as a shared strategy


def _significance(seen: pd.DataFrame) -> Floats:
    """Log-odds of being beyond chance at all: little where chance explains a good part of the matches."""
    by_chance = _column(seen, "expected") / np.maximum(_column(seen, "matched"), 1.0)
    return _steps(by_chance, [0.15, 0.3, 0.5], [1.5, 0.0, -3.0])


def _column(seen: pd.DataFrame, name: str, missing: float = 0.0) -> Floats:
    """A column as floats, with a value for what is unknown."""
    return np.asarray(np.nan_to_num(seen[name].to_numpy(dtype=np.float64), nan=missing))


def _steps(values: Floats, at: list[float], worth: list[float]) -> Floats:
    """Straight lines between the given points, level beyond them."""
    return np.asarray(np.interp(values, at, worth), dtype=np.float64)


def _link_of_exits(seen: pd.DataFrame) -> Floats:
    """How far exits go together (0-1), each sign read cautiously.

    The share of common exits beyond chance, the correlation of holding times, or always closing after the other did.
    Who enters at once meets the same prices, which holding times show as well: there they count as far as exits are
    near each other, those of others around are less alike, or they agree more than one path makes them.
    """
    holding = np.clip(_column(seen, "holding_correlation"), -0.999, 0.999)
    error = 1.0 / np.sqrt(np.maximum(_column(seen, "events") - 3.0, 0.5))
    holding = np.tanh(np.arctanh(holding) - error)
    own = np.maximum(holding - _column(seen, "company_holding"), _near(seen))
    own = np.maximum(own, holding * _steps(holding, PATH_HOLDING, [0.0, 1.0]))
    at_once = (np.abs(_column(seen, "lag_s")) <= LATENCY_S) & seen["company_holding"].notna()
    told = at_once * _steps(holding, [EXITS_TELL, PATH_HOLDING[0]], [0.0, 1.0])  # others are read from there on
    holding = holding - told * np.maximum(holding - own, 0.0)
    after = _column(seen, "exits_after", 0.5) - 0.5 * error * (_column(seen, "events") < 30)
    later = _steps(after, [0.8, 0.97], [0.0, LATER_WORTH])
    return np.asarray(np.maximum(np.maximum(_kept(seen), holding), later) * (1.0 - _struck(seen)))


def link_alone(seen: pd.DataFrame) -> Floats:
    """How far exits go together (0-1) where nobody recurs around the pair.

    Who enters at one moment on one side meets the same prices: holding times are then correlated and either may be
    later without one knowing of the other. Exits that are near each other for their holding time do not come of that,
    but for a few that the path brought near on one side. Closing later is so little that the matches must be plainly
    beyond chance.
    """
    near = _near(seen)
    near = np.where(
        _column(seen, "relation") == 0, near * _steps(_column(seen, "events"), PATH_MATCHES, [0.5, 1.0]), near
    )
    later = _steps(_column(seen, "exits_after", 0.5), [0.8, 0.97], [0.0, LATER_WORTH])
    later = later * (_column(seen, "log_p") <= HAND_LOG_P)
    link = np.maximum(np.maximum(_kept(seen), near), later * _steps(near, [0.05, 0.25], [0.0, 1.0]))
    return np.asarray(link * (1.0 - _struck(seen)))


def _near(seen: pd.DataFrame) -> Floats:
    """Share of matches whose exits are near each other for their holding time, beyond chance."""
    return _column(seen, "exits_near") - _column(seen, "near_by_chance")


def _struck(seen: pd.DataFrame) -> Floats:
    """How far (0-1) positions of one side opened by machines' latencies apart close at once and not that far apart.

    Who follows an entry follows the exit as late; equal stops and targets of one robot are struck by one price.
    """
    lag = np.abs(_column(seen, "lag_s"))
    apart = (_column(seen, "relation") == 0) & (lag <= LATENCY_S) & (lag >= _column(seen, "step_s"))
    followed = _steps(_column(seen, "exits_repeated"), FOLLOWED, [0.0, 1.0])
    return np.asarray(apart * _steps(_column(seen, "exits_met"), STRUCK, [0.0, 1.0]) * (1.0 - followed))


def _kept(seen: pd.DataFrame) -> Floats:
    """Share of matches that close as far apart as they opened, beyond chance: exits that were followed too."""
    return _column(seen, "exits_together") - _column(seen, "exits_by_chance")


def _link_in_company(seen: pd.DataFrame) -> Floats:
    """How far exits were followed (0-1) where others act alike: exits at once, at a target all share, prove little."""
    at_once = (_column(seen, "exits_at_once") > np.maximum(_kept(seen), 0.2)) & (np.abs(_column(seen, "lag_s")) > 2.0)
    link = _link_of_exits(seen)
    return np.where(at_once, np.minimum(link, np.maximum(_kept(seen), 0.3)), link)


def _exits(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from exits: in favour when they go together, against when not; the more company the more they count.

    Robots that open on the same bars close alike as well, which proves nothing.
    """
    link, shared, others = link_alone(seen), _link_in_company(seen), _column(seen, "others")
    trust = np.minimum(_column(seen, "events") / 10.0, 1.0)
    known = seen["exits_together"].notna().to_numpy()
    alone = _steps(link, [0.1, 0.4, 0.8], [-3.0, 0.0, 2.5]) + STRUCK_WORTH * _struck(seen)
    company = _steps(shared, [0.1, 0.5, 0.85], [-5.0, -2.0, 2.5])
    crowd = _steps(shared, [0.3, 0.6, 0.9], [-5.0, -3.0, 2.5])
    led = np.minimum(_column(seen, "first_share"), _column(seen, "cover")) >= LED
    hurried = _steps(_loose(seen), [0.25, 0.4], [1.0, 0.0])  # a signal tells its readers its exits as well
    usual = _steps(
        _beyond_company(seen), [0.05, 0.3], [0.0, 2.5]
    )  # what all of a family share, two of them prove nothing by
    crowd = np.minimum(crowd, np.where(led, 2.5 * hurried, usual))
    leads = np.minimum(_column(seen, "first_share"), _column(seen, "cover"))
    machines = (leads < LEADS) & (np.abs(_column(seen, "lag_s")) <= LATENCY_S)  # as machines of one kind are
    company = np.where(machines, np.minimum(company, np.maximum(usual, 0.0)), company)
    weight = _accompanied(seen)
    small = weight * company + (1.0 - weight) * alone
    worth = np.where(known, trust * np.where(others > FEW_OTHERS, crowd, small), 0.0)
    timed = _timed(seen, terms)
    kept = np.minimum(worth, _steps(_kept(seen), [0.3, 0.8], [0.0, 2.5]))
    worth = np.where(timed.all(axis=0), kept, worth)
    worth = np.maximum(worth, -5.0 + 4.0 * np.maximum(_neither(seen, terms), _machine(seen, terms)))
    untold = _at_bars(seen, terms) | _bar_family(seen, terms) | (_column(seen, "exits_by_chance") > ALL_HOLD_ALIKE)
    return np.where(untold, np.minimum(worth, 0.0), worth)


def _neither(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """How far (0-1) a lag is too long for machines and too steady for readers, behind one who leads all around.

    Then nothing but the leader is left that told the other when to enter, wherever it got its exits from.
    """
    ordered = (_column(seen, "same_order") >= 0.95) & (_one_way(seen) >= 0.95) & (_column(seen, "matched") >= 10)
    ordered &= ~_timed(seen, terms).any(axis=0) & (_surplus(seen) > LOG_P_PASSERS)
    leads = np.minimum(_column(seen, "first_share", 1.0), _column(seen, "cover", 1.0))
    long = _steps(np.abs(_column(seen, "lag_s")), [LATENCY_S, 2 * LATENCY_S], [0.0, 1.0])
    return ordered * long * _steps(_loose(seen), [0.15, 0.25], [1.0, 0.0]) * _steps(leads, [0.6, 0.8], [0.0, 1.0])


def _machine(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """How far (0-1) who is behind is a machine, steady behind one who leads all around, and those are no machines.

    A few people may read a leader or meet it by habit; what is steady behind that leader alone, and never among them
    without it, reads the leader's own entries, whatever exits it has.
    """
    ordered = ((_column(seen, "same_order") >= 0.95) | (_column(seen, "untied") < 3)) & (_one_way(seen) >= 0.95)
    ordered &= (_column(seen, "matched") >= 10) & (_surplus(seen) > LOG_P_PASSERS)
    ordered &= ~_timed(seen, terms).any(axis=0) & (_column(seen, "tight_spread_s") >= IRREGULAR_S)
    ordered &= (_column(seen, "others") > 0) & (_column(seen, "others") <= FEW_OTHERS)
    covers = np.minimum(_column(seen, "cover"), _column(seen, "company_cover", 1.0)) >= STEADY_COVER
    leads = _steps(_column(seen, "first_share"), [HUB_FIRST, 0.8], [0.0, 1.0])
    steadier = _steps(_column(seen, "relative_spread", 1.0), [0.1, 0.25], [1.0, 0.0])
    return ordered * covers * leads * steadier * _steps(_looser(seen), [0.25, 0.35], [1.0, 0.0])


def _accompanied(seen: pd.DataFrame) -> Floats:
    """How far a pair's matches happen in regular company (0-1): from never to most of them."""
    share = 1.0 - _column(seen, "alone") / np.maximum(_column(seen, "events"), 1.0)
    return np.where(_column(seen, "others") > 0, _steps(share, [0.0, 0.6], [0.0, 1.0]), 0.0)


def _one_way(seen: pd.DataFrame) -> Floats:
    """Share of meetings at this lag that are in this order; 1 where the lags lie about none."""
    matched = _column(seen, "matched")
    beyond = np.maximum(_column(seen, "turned") - _column(seen, "expected"), 0.0)
    return np.asarray(matched / np.maximum(matched + beyond, 1.0))


def _by_hand(seen: pd.DataFrame) -> Flags:
    """Whether it looks like two accounts under one person's hands: seconds apart, common exits, nobody else around."""
    by_hand = (_column(seen, "others") == 0) & (link_alone(seen) >= 0.5) & (_column(seen, "matched") >= 8)
    quickest = np.where(_column(seen, "relation") == 1, 0.0, HAND_LEAST_S)  # no robot sends its copies both ways
    by_hand &= (_column(seen, "lag_spread_s") >= quickest) & (_column(seen, "lag_spread_s") < 2 * HAND_S)
    by_hand &= (_surplus(seen) > LOG_P_PASSERS) & (_column(seen, "log_p") <= HAND_LOG_P)
    return np.asarray(by_hand & (np.abs(_column(seen, "lag_s")) < HAND_S))


def _order(seen: pd.DataFrame) -> Floats:
    """Log-odds from order: a follower is behind nearly every time; few matches in one order prove little in company.

    Entries that a coarse clock ties say nothing; where it ties most of them, common exits must show that one follows,
    and what is surely at once, or as likely so at moments at which strangers act too, has one trigger.
    Who has two accounts under his own hands may begin with either: no order counts little against a pair that nobody
    keeps company, by hand and with common exits.
    """
    ahead, untied = _column(seen, "untied_ahead", 0.5), _column(seen, "untied")
    share = np.minimum(np.maximum(ahead, 1.0 - ahead), _one_way(seen))
    hidden = _steps(_kept(seen), [0.1, 0.6], [-3.0, -1.0]) * seen["exits_together"].notna()
    on_average = np.abs(_column(seen, "lag_s")) > 4.0 * _column(seen, "lag_error_s") + SHORTEST_S
    hidden = np.where(on_average, np.maximum(hidden, -1.0), hidden)
    at_once = np.abs(_column(seen, "lag_s")) + 2.0 * _column(seen, "lag_error_s") < AT_ONCE_S
    hidden = np.where(~on_average & (_surplus(seen) < LOG_P_PASSERS), hidden - 3.0, hidden)
    hidden = np.where(at_once, ORDER_WORTH[0], hidden)
    shown = (untied >= 3) & (untied >= 0.3 * _column(seen, "matched"))
    ordered = np.where(untied >= 3, _steps(share, ORDER_AT, ORDER_WORTH), 0.0)
    worth = np.where(shown, ordered, hidden)
    unsure = _clocks_may_turn(seen) & shown
    one_trigger = np.where(_surplus(seen) < LOG_P_PASSERS, hidden - 3.0, hidden)
    worth = np.where(unsure, np.minimum(worth, np.minimum(one_trigger, -1.0)), worth)
    worth = np.where(_by_hand(seen), np.maximum(worth, -1.0), worth)
    few = np.minimum(np.log(2.0) * (_column(seen, "events") - 1.0) - 6.0, 0.0)
    return worth + np.where(_column(seen, "others") > FEW_OTHERS, few, 0.0)


def _clocks_may_turn(seen: pd.DataFrame) -> Flags:
    """Whether the clocks of two platforms may differ by the whole lag: then one order says nothing of who is ahead.

    One difference turns all matches at once, so that their number does not help.
    """
    doubt = _column(seen, "lag_doubt_s")
    by_clocks = doubt > 2.0 * _column(seen, "lag_error_s")
    return np.asarray(by_clocks & (np.abs(_column(seen, "lag_s")) < doubt))


def unrounded_spread(seen: pd.DataFrame) -> Floats:
    """Spread of the lag (s) without what whole seconds alone spread."""
    rounding = 0.25 * _column(seen, "step_s")
    return np.asarray(np.sqrt(np.maximum(_column(seen, "lag_spread_s") ** 2 - rounding**2, 0.0)))


def _loose(seen: pd.DataFrame) -> Floats:
    """Standard deviation of the lag for its length; no clock shows how far less than its step varies."""
    shortest = np.maximum(_column(seen, "step_s"), SHORTEST_S)
    lag = np.maximum(np.abs(_column(seen, "lag_s")), shortest)
    spread, local = unrounded_spread(seen), _column(seen, "local_spread_s", np.inf)
    moved = (local < MOVED * spread) & (_column(seen, "matched") >= MOVED_MIN)  # steady, but not all the time the same
    return np.asarray(1.4826 * np.where(moved, local, spread) / lag)


def _looser(seen: pd.DataFrame) -> Floats:
    """How loose the lag may well be: of the many pairs of a room some look steady by a few matches."""
    return np.asarray(_loose(seen) * (1.0 + 1.0 / np.sqrt(np.maximum(_column(seen, "matched"), 1.0))))


def _has_source(seen: pd.DataFrame) -> Floats:
    """How far (0-1) a lag that varies beside its length may be that of people who read, or of machines with one source.

    People stray by more than a tenth of a second, and machines with one source meet without the quickest of them too.
    """
    people = _steps(1.4826 * unrounded_spread(seen), READERS_STRAY_S, [0.0, 1.0])
    leads = np.minimum(_column(seen, "first_share"), _column(seen, "cover")) >= LEADS_MACHINES
    without = _steps(_column(seen, "company_cover", 0.0), FAMILY_COVER, [1.0, 0.0])
    return np.where(leads, np.maximum(people, without), 1.0)


def _lag(seen: pd.DataFrame) -> Floats:
    """Log-odds from the lag: a reader's delay varies as much as it lasts and, in company, strays out of the window."""
    loose = _loose(seen)
    matched = _column(seen, "matched")
    kept = matched / np.maximum(_column(seen, "together") - _column(seen, "expected_within_horizon"), matched)
    strays = np.where(_column(seen, "others") > 0, _steps(kept, [0.4, 0.8], [-4.0, 0.0]), 0.0)
    unproven = _steps(
        _link_of_exits(seen), [EXITS_TELL, 0.8], [1.0, 0.0]
    )  # common exits prove what a loose lag leaves open
    unproven = np.maximum(unproven, _steps(_beyond_company(seen), [0.05, 0.3], [1.0, 0.0]))
    unproven = np.maximum(unproven, _steps(matched, FEW_MATCHES, [0.5, 0.0]))
    unproven = unproven * _has_source(seen)
    in_company = _accompanied(seen) * unproven * _steps(_looser(seen), [0.25, 0.45, 0.6], [0.0, -4.0, -8.0])
    by_length = _steps(loose, [0.45, 0.7, 1.1], [0.0, -2.5, -5.0])
    # People who see one price break act as far apart as they are slow, and leave each by his own mind.
    people = _steps(1.4826 * unrounded_spread(seen), [0.5 * IRREGULAR_S, IRREGULAR_S], [0.0, 1.0])
    apart = people * _steps(_kept(seen), [0.2, 0.6], [1.0, 0.0]) * (1.0 - _accompanied(seen))
    by_length = np.minimum(by_length, apart * _steps(_looser(seen), [0.25, 0.45], [0.0, -4.0]))
    return np.minimum(np.where(_by_hand(seen), np.maximum(by_length, -1.0), by_length), in_company) + strays


def _company(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from who else was there: nobody, a leader's other followers, or a crowd without a leader."""
    others = _column(seen, "others")
    leads = np.minimum(_column(seen, "first_share"), _column(seen, "cover"))
    leads = leads * _steps(_column(seen, "company_cover", 1.0), FAMILY_COVER, [0.0, 1.0])
    proven = np.where(seen["exits_together"].notna(), _steps(_link_in_company(seen), [0.4, 0.7], [0.0, 1.0]), 0.5)
    star = _steps(leads, [0.75, 0.85, 0.95], [-4.0, 0.0, 2.0])
    star = np.where(star > 0, star * proven, star)
    no_star = _steps(others, [2.0, 4.0], [-4.0, -6.0])
    part = _steps(leads, [0.5, 0.7], [0.0, 1.0])
    size = -4.0 * np.log2(np.maximum(others, SMALL_RING) / SMALL_RING)
    least = np.where(_column(seen, "relation") == 1, -6.0, -10.0)  # what many read or run turns nobody about
    worth = part * star + (1.0 - part) * no_star + np.maximum(size, least)
    worth = np.where(_bar_family(seen, terms), np.minimum(worth, 0.0), worth)
    few = _steps(others, [SMALL_RING, 2 * SMALL_RING], [1.0, 0.0])
    worth = np.maximum(worth, -16.0 + 15.0 * few * np.maximum(_neither(seen, terms), _machine(seen, terms)))
    return np.where(others == 0, 1.5, _accompanied(seen) * worth)


def _crowding(seen: pd.DataFrame) -> Floats:
    """Log-odds from passers-by: more strangers than usual at the matched moments point to a public event."""
    usual = _column(seen, "crowding_usual")
    passers = _column(seen, "crowding") - _column(seen, "others_rate") - usual
    events = _column(seen, "events")
    plain = passers * events > 2.5 * np.sqrt(usual * events + 1.0)  # more than the market's own unrest
    worth = _steps(passers / (1.0 + usual), [0.25, 0.6, 1.5], [0.0, -2.0, -4.5])
    return np.where(plain, worth * _habit(_column(seen, "crowded_share")), 0.0)


def _habit(share: Floats) -> Floats:
    """How far what was seen at a share of the matches explains them all (0-1): a few public moments explain few."""
    return _steps(share, PUBLIC_SHARE, [0.0, 1.0])


def _surplus(seen: pd.DataFrame) -> Floats:
    """Log-probability that so many strangers act within a moment of the matches if nothing drew them there."""
    found, usual = _column(seen, "passers"), _column(seen, "passers_usual")
    return np.array([log_poisson_tail(int(n), UNREST * u + 0.1) for n, u in zip(found, usual, strict=True)])


def _moments(seen: pd.DataFrame) -> Floats:
    """Log-odds from strangers who act at once with the pair: prices and clocks that many wait for draw them too."""
    return _steps(_surplus(seen), [-40.0, -15.0, LOG_P_PASSERS], [-5.0, -3.0, 0.0]) * _habit(
        _column(seen, "public_share")
    )


def _choice(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from public moments taken with the leader and without: who follows takes no other, who waits does.

    That who is behind was never there without the leader, and steadily, is no habit of strangers where nobody recurs;
    robots of one kind are at the same bars anyway.
    """
    taken, alone = _column(seen, "chosen"), _column(seen, "chosen_alone")
    share = (taken + 1.0) / (taken + alone + 1.0)
    against = np.where(_surplus(seen) < LOG_P_PASSERS, _steps(share, [0.4, 0.8], [-5.0, 0.0]), 0.0)
    only = (share >= ONLY_WITH) & (_column(seen, "others") == 0) & ~_timed(seen, terms).any(axis=0)
    only &= _loose(seen) <= READERS_LOOSE[0]
    return np.where(only, _steps(taken, [4.0, 12.0], [0.0, 5.0]), against)


def _timed(seen: pd.DataFrame, terms: CoordinationTerms) -> Flags:
    """Whether each of the two (rows) acts at one second of the minute, as robots do on bars.

    Not where either strays from it by seconds, and the lag between them hardly by any of that: no bar tells them when.
    """
    share = np.array([_column(seen, "bar_share_a"), _column(seen, "bar_share_b")])
    own_s = _column(seen, "bar_spread_s")
    told = (own_s >= terms.bar_stray_s) & (_column(seen, "lag_spread_s") <= terms.bar_repeat_max * own_s)
    return np.asarray((share >= terms.bar_share_min) & ~told)


def _at_bars(seen: pd.DataFrame, terms: CoordinationTerms) -> Flags:
    """Whether both act at one second of the minute, and at the same one: as robots of strangers do on the same bars."""
    apart = np.abs(_column(seen, "lag_s"))
    apart = np.minimum(apart % 60.0, 60.0 - apart % 60.0)
    return np.asarray(_timed(seen, terms).all(axis=0) & (apart <= BAR_S))


def _bar_family(seen: pd.DataFrame, terms: CoordinationTerms) -> Flags:
    """Whether both act at one second of the minute and others do so with them: the quickest robot of many leads all."""
    return np.asarray(_timed(seen, terms).all(axis=0) & (_column(seen, "others") >= terms.family_min))


def _bars(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from bar openings: entries at one second of the minute are what robots of strangers share.

    Whoever is behind, but at a second of his own while the lag varies, waits for the bar and not for the other.
    """
    timed = _timed(seen, terms)
    behind = np.where(_column(seen, "lag_s") >= 0, timed[1], timed[0])
    own_clock = behind & (1.4826 * _column(seen, "lag_spread_s") > BAR_S)
    return np.where(_at_bars(seen, terms), -5.0, np.where(own_clock, -6.0, np.where(timed.all(axis=0), -2.5, 0.0)))


def _lots(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from lots of one instrument that rise and fall together, where robots on the same bars are no reason.

    Who sizes by the same stops has such lots as well: they tell of the two alone as far as others around, whose lots
    could do the same beside the leader's, do not. Of so many in one family two with settings of their own are as
    rare as they are among its members.
    """
    together = np.clip(_column(seen, "lots_correlation"), -0.999, 0.999)
    error = 1.0 / np.sqrt(np.maximum(_column(seen, "lots_known") - 2.0, 0.5))
    least = np.tanh(np.arctanh(together) - error)
    known, alike = _column(seen, "company_lots_known"), _column(seen, "company_lots_alike")
    own = 1.0 - alike / np.maximum(known, 1.0) * _steps(known, [FEW_OTHERS, SMALL_RING], [0.0, 1.0])
    worth = np.where(_at_bars(seen, terms), 0.0, _steps(least, [LOTS_TELL, 0.8], [0.0, 1.5]) * own)
    return worth + _steps(least, [0.8, 0.97], [0.0, 1.0]) * np.log((known + 1.0) / (alike + 1.0))


def _alone(seen: pd.DataFrame) -> Floats:
    """Log-odds from matches without any of the regular others: a shared source would have brought them along."""
    alone = _column(seen, "alone")
    means = _column(seen, "alone_expected") + _column(seen, "expected")
    surplus = np.array([log_poisson_tail(int(n), float(mean)) for n, mean in zip(alone, means, strict=True)])
    regular = (_column(seen, "others") > 0) & (alone >= 5) & (alone >= 0.25 * _column(seen, "events"))
    return np.where(regular, _steps(surplus, [-80.0, -25.0, -12.0, -6.0], [13.0, 7.0, 4.0, 0.0]), 0.0)


def _steady(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from a lag far steadier than to anyone else around, where order and exits agree and few stray.

    Who is behind must meet the company only where its leader is: two machines that read one channel are steady too.

    Worth most where one account does all its trades behind a member of a crowd who does not lead that crowd, or picks
    of all the crowd's moments just those that the member picks.
    """
    matched, link = _column(seen, "matched"), _link_in_company(seen)
    agrees = (_column(seen, "same_order") >= 0.9) & (matched >= 8) & (matched >= 0.8 * _column(seen, "together"))
    agrees &= (_column(seen, "others") > 0) & (link >= 0.7) & (_column(seen, "cover") >= STEADY_COVER)
    others = np.maximum(_column(seen, "tight_spread_s"), ROUNDING)
    shown = np.maximum(ROUNDING, unrounded_spread(seen)) / others  # whole seconds hide how far anyone strays
    relative = np.where(_column(seen, "step_s") >= 1.0, shown, _column(seen, "relative_spread", 1.0))
    steady = _steps(relative, [0.1, 0.35, 0.6], [4.0, 2.0, 0.0]) * _steps(_loose(seen), [0.2, 0.35], [1.0, 0.0])
    agrees &= ~_bar_family(seen, terms)
    shadow = (
        (matched >= 20) & (link >= 0.9) & (_column(seen, "containment") >= 0.9) & (_column(seen, "first_share") < 0.5)
    )
    shadow &= _column(seen, "tight_spread_s") >= IRREGULAR_S
    met = _column(seen, "events") - _column(seen, "alone")
    alike = np.minimum(_column(seen, "company_cover", 1.0) + 0.1, 1.0)
    picked = (_column(seen, "cover") >= 0.97) & (met * np.log(alike) <= LOG_P_PICKED)
    people = _steps(_column(seen, "tight_spread_s"), [0.3, IRREGULAR_S], [0.0, 1.0])  # machines are all steady
    return np.where(agrees, np.where(shadow | picked, 3.5, people) * steady, 0.0)


def _followed_out(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from exits that repeat the lag of the entries where it is too long for machines: no crowd does that."""
    apart = (np.abs(_column(seen, "lag_s")) > LATENCY_S) & (_column(seen, "matched") >= 8)
    apart &= ~_timed(seen, terms).all(axis=0) & (_column(seen, "same_order") >= 0.95)
    # Latencies are steady as well, but all of one size.
    steadier = _steps(_column(seen, "relative_spread", 1.0), [0.35, 0.7], [1.0, 0.0])
    farther = np.abs(_column(seen, "lag_s")) > FARTHER * _column(seen, "company_reach_s", np.inf)
    steadier = np.where(farther, 1.0, steadier * (_column(seen, "tight_spread_s") >= IRREGULAR_S))
    steadier = steadier * _steps(_looser(seen), READERS_LOOSE, [1.0, 0.0])  # a room may tell its readers how long
    return np.where(apart, steadier * _steps(_kept(seen), [0.6, 0.9], [0.0, 8.0]), 0.0) * (_column(seen, "others") > 0)


def _far_and_steady(seen: pd.DataFrame, terms: CoordinationTerms) -> Floats:
    """Log-odds from a lag too long for machines and too steady for people, where few are around: that is a copier."""
    far = (np.abs(_column(seen, "lag_s")) > FAR_S) & (_column(seen, "matched") >= 15) & (_one_way(seen) >= 0.95)
    far &= (_column(seen, "same_order") >= 0.95) & (_column(seen, "containment") >= 0.3)
    far &= (_column(seen, "others") <= FEW_OTHERS) & ~_timed(seen, terms).any(axis=0)
    return np.where(far, _steps(_loose(seen), [0.1, 0.2], [3.0, 0.0]), 0.0)


def _beyond_company(seen: pd.DataFrame) -> Floats:
    """How much closer exits go together than the leader's and others' around do; 1 where no others are known."""
    others = np.maximum(_column(seen, "company_kept"), _column(seen, "company_holding"))
    return np.where(seen["company_kept"].isna(), 1.0, _link_of_exits(seen) - others)


def _own_exits(seen: pd.DataFrame) -> Floats:
    """Log-odds from exits that follow the leader's where those of everyone else around do not.

    One robot or one signal may give all its readers the same exits; it does not give them to two of them.
    """
    ordered = (_column(seen, "matched") >= 8) & (_one_way(seen) >= 0.9)
    ordered &= (_column(seen, "untied") < 3) | (_column(seen, "same_order") >= 0.9)
    ordered &= (_link_of_exits(seen) >= 0.8) & seen["company_kept"].notna().to_numpy()
    # Two of a family with the same settings leave alike too, but are as loose behind each other as anyone.
    farther = np.abs(_column(seen, "lag_s")) > FARTHER * _column(seen, "company_reach_s", np.inf)
    steady = np.where(farther, 1.0, _steps(_column(seen, "relative_spread", 1.0), [1.5, 4.0], [1.0, 0.0]))
    # Of those who read, some keep the exits that they are told and some do not; who copies is steadier than either.
    steady = steady * _steps(_looser(seen), READERS_LOOSE, [1.0, 0.0])
    return np.where(ordered, steady * _steps(_beyond_company(seen), [0.35, 0.7], [0.0, 12.0]), 0.0)


def _few(seen: pd.DataFrame) -> Floats:
    """Log-odds against pairs with very few matches, where one unforeseen public moment is enough.

    Twice as much where exits are unrelated: of the many pairs of those who read one source a few are steady by chance.
    """
    unrelated = seen["exits_together"].notna() * _steps(link_alone(seen), [0.1, 0.3], [1.0, 0.0])
    return _steps(_column(seen, "matched"), [6.0, 7.0, 8.0, 14.0], [-6.0, -3.0, -1.5, 0.0]) * (1.0 + unrelated)


def _same_leader(seen: pd.DataFrame, total: Floats, terms: CoordinationTerms) -> Floats:
    """Log-odds from a leader's other followers: where most do not follow closely, it is read rather than copied.

    A signal's readers take their time, each differently every time; copiers of one leader do not all do so. Who turns
    it about is set beside others who do, as readers do not.
    """
    leader = 2 * np.where(_column(seen, "lag_s") > 0, seen["a"], seen["b"]) + seen["relation"].to_numpy()
    star = np.minimum(_column(seen, "first_share"), _column(seen, "cover")) >= 0.7
    stars = pd.DataFrame({"leader": leader[star], "total": total[star], "loose": _loose(seen)[star]})
    usual = stars.groupby("leader")[["total", "loose"]].median()[stars.groupby("leader").size() >= FEW_OTHERS]
    of_leader = usual.reindex(leader)
    weak = _steps(of_leader["total"].fillna(9.0).to_numpy(), [0.5, 3.5], [-5.0, 0.0])
    unhurried = np.minimum(of_leader["loose"].fillna(0.0).to_numpy(), _loose(seen))
    worth = np.minimum(weak, _has_source(seen) * _steps(unhurried, READERS_LOOSE, [0.0, -5.0]))
    return np.where(star & (_column(seen, "alone") < 5), worth * (1.0 - _machine(seen, terms)), 0.0)


def _hub(seen: pd.DataFrame, worth: Floats, terms: CoordinationTerms) -> Floats:
    """Log-odds that undo what company and exits say against followers of a leader whom machines follow at long lags.

    Machines that share a source are all as quick, people who share one are not steady; followers who each keep a
    lag of their own, some too long for machines, have no source but the leader. A mirror of it says the same. Where few
    of many are so far, those are copiers of a machine, and the others are its family.
    """
    ahead = np.where(_column(seen, "lag_s") >= 0, seen["a"], seen["b"])
    ordered = (_column(seen, "same_order") >= 0.95) & (_one_way(seen) >= 0.95) & (_column(seen, "matched") >= 8)
    ordered &= (_column(seen, "cover", 1.0) >= HUB_COVER) & ~_timed(seen, terms).all(axis=0)
    first = ordered & (_column(seen, "first_share", 1.0) >= HUB_FIRST)
    far = first & (np.abs(_column(seen, "lag_s")) > 2.0 * LATENCY_S)  # clocks may differ by as much as machines do
    telling = far & (_loose(seen) <= READERS_LOOSE[0])
    told = pd.DataFrame({"far": far, "telling": telling, "ordered": ordered})
    of_leader = told.groupby(ahead).sum().reindex(ahead)
    share = of_leader["telling"].to_numpy() / np.maximum(of_leader["far"].to_numpy(), 1)
    count = of_leader["telling"].to_numpy() - telling
    proven = _steps(count, [1.0, 2.0], [0.0, 1.0]) * _steps(share, HUB_STEADY, [0.0, 1.0])
    among = of_leader["telling"].to_numpy() / np.maximum(of_leader["ordered"].to_numpy(), 1)
    proven = proven * np.where(far, 1.0, _steps(among, HUB_FAR, [0.0, 1.0]))
    proven = proven * _steps(_loose(seen), [0.35, 0.6], [1.0, 0.0])
    return np.where(ordered, proven * np.maximum(HUB_WORTH - worth, 0.0), 0.0)


def _picks(seen: pd.DataFrame, worth: Floats) -> Floats:
    """Log-odds that undo what company and public moments say against who is only there when one of the company is.

    A robot or a room explains being where all of it are; it does not explain being nowhere that one of them is not.
    Behind the source of a company everybody is like that, and readers are loose.
    """
    ordered = ((_column(seen, "same_order") >= 0.95) | (_column(seen, "untied") < 3)) & (_one_way(seen) >= 0.9)
    picked = _steps(_column(seen, "picked_log_p"), LOG_P_PICKS, [1.0, 0.0])
    picked = picked * _steps(_column(seen, "picked_always", 1.0), ALWAYS_WITH, [1.0, 0.0])
    picked = picked * _steps(_column(seen, "first_share", 1.0), SOURCE_FIRST, [1.0, 0.0])
    picked = picked * _steps(_looser(seen), PICKS_LOOSE, [1.0, 0.0])
    return np.where(ordered, picked * np.maximum(PICKS_WORTH - worth, 0.0), 0.0)


def _turns(seen: pd.DataFrame, worth: Floats) -> Floats:
    """Log-odds that undo what order, lag and company say against a few of whom now one leads and now another.

    Nobody is close behind whoever is first: they follow each other and no common source.
    """
    proven = _steps(_column(seen, "silence_log_p"), LOG_P_TURNS, [1.0, 0.0])
    return proven * np.maximum(TURNS_WORTH - worth, 0.0)


def _two_robots(seen: pd.DataFrame) -> Floats:
    """Log-odds from two robots that trade on one side: most who run one did not write it, and others run it too."""
    both = np.minimum(_column(seen, "robot_a"), _column(seen, "robot_b")) >= BY_ROBOT[1]
    one = both * _column(seen, "one_program")
    return np.where(both & (seen["relation"] == 0), TWO_ROBOTS_WORTH + ONE_PROGRAM_WORTH * one, 0.0)


def _other_hand(seen: pd.DataFrame, worth: Floats) -> Floats:
    """Log-odds that undo what company, bars and exits say against one who trades by hand steadily behind a robot.

    What the robots around share is their program, which does not run by hand. All of them are ahead of who copies one;
    that one is where most matches are, or who is nowhere without it, or behind whom the lag is steadiest.
    """
    leads = _column(seen, "lag_s") >= 0
    robot_a, robot_b = _column(seen, "robot_a", np.nan), _column(seen, "robot_b", np.nan)
    ahead, behind = np.where(leads, robot_a, robot_b), np.where(leads, robot_b, robot_a)
    other = (ahead >= BY_ROBOT[1]) & (behind <= BY_ROBOT[0])
    other &= ((_column(seen, "same_order") >= 0.95) | (_column(seen, "untied") < 3)) & (_one_way(seen) >= 0.9)
    followers = pd.DataFrame(
        {
            "follower": 2 * np.where(leads, seen["b"], seen["a"]) + seen["relation"].to_numpy(),
            "matched": -_column(seen, "matched"),
            "cover": -_column(seen, "cover", 1.0),
            "spread": _column(seen, "lag_spread_s"),
        }
    )
    nearest = ~followers.sort_values(["matched", "cover", "spread"]).duplicated("follower").sort_index().to_numpy()
    around = _steps(_column(seen, "company_robot", 1.0), ROBOTS_AROUND, [0.0, 1.0])
    proven = around * _steps(_looser(seen), HANDS_LOOSE, [1.0, 0.0]) * (other & nearest)
    return np.asarray(proven * np.maximum(HANDS_WORTH - worth, 0.0))


def _hand_followed(seen: pd.DataFrame, worth: Floats, terms: CoordinationTerms) -> Floats:
    """Log-odds that undo what company and exits say against who is steadily behind a person, sooner than people answer.

    A person has no program that others run, and who leads all around by less than a second is answered by machines.
    """
    leads = _column(seen, "lag_s") >= 0
    robot_a, robot_b = _column(seen, "robot_a", np.nan), _column(seen, "robot_b", np.nan)
    timed = _timed(seen, terms)
    by_hand = (np.where(leads, robot_a, robot_b) <= BY_ROBOT[0]) & ~np.where(leads, timed[0], timed[1])
    by_hand &= (_column(seen, "same_order") >= 0.95) & (_one_way(seen) >= 0.9) & (_column(seen, "matched") >= 8)
    first = np.minimum(_column(seen, "first_share"), _column(seen, "cover"))
    first = np.where(_column(seen, "others") == 0, 1.0, _steps(first, SOURCE_FIRST, [0.0, 1.0]))
    sooner = _steps(np.abs(_column(seen, "lag_s")), SOONER_S, [1.0, 0.0])
    proven = by_hand * first * sooner * _steps(_looser(seen), HANDS_LOOSE, [1.0, 0.0])
    return np.asarray(proven * np.maximum(HANDS_WORTH - worth, 0.0))


def weigh(seen: pd.DataFrame, same_owner: Flags, terms: CoordinationTerms) -> tuple[Floats, pd.DataFrame]:
    """Strength (0-1) of each significant pair and the log-odds of each reason, from its circumstances.

    The reasons are added as if independent; their sizes are a person's judgement of how much more often each sight
    is met among followers than among strangers with a common source.
    """
    reasons = pd.DataFrame(
        {
            "significant": _significance(seen),
            "order": _order(seen),
            "exits": _exits(seen, terms),
            "lots": _lots(seen, terms),
            "lag": _lag(seen),
            "company": _company(seen, terms),
            "passers_by": _crowding(seen),
            "moments": _moments(seen),
            "choice": _choice(seen, terms),
            "bar_openings": _bars(seen, terms),
            "without_others": _alone(seen),
            "steady_lag": _steady(seen, terms),
            "followed_out": _followed_out(seen, terms),
            "far_and_steady": _far_and_steady(seen, terms),
            "own_exits": _own_exits(seen),
            "few_matches": _few(seen),
            "two_robots": np.where(same_owner, 0.0, _two_robots(seen)),  # one person who runs it twice trades as one
            "same_owner": np.where(same_owner, 3.0, 0.0),
        },
        index=seen.index,
    )
    reasons["without_others"] = np.minimum(
        reasons["without_others"], (ALONE_WORTH - reasons["company"]).clip(lower=0.0)
    )
    reasons["same_leader"] = _same_leader(seen, reasons.sum(axis=1).to_numpy(), terms)
    reasons["hub"] = _hub(seen, reasons[["company", "exits", "same_leader"]].sum(axis=1).to_numpy(), terms)
    public = reasons[["company", "bar_openings", "moments", "passers_by", "same_leader"]].sum(axis=1).to_numpy()
    reasons["turns"] = _turns(seen, reasons[["order", "lag", "company", "same_leader"]].sum(axis=1).to_numpy())
    reasons["picks"] = _picks(seen, public + reasons["hub"].to_numpy())
    robots = reasons[["company", "bar_openings", "exits", "same_leader", "hub", "picks"]].sum(axis=1).to_numpy()
    reasons["other_hand"] = _other_hand(seen, robots)
    told = reasons[["company", "exits", "same_leader", "hub", "other_hand"]].sum(axis=1).to_numpy()
    reasons["hand_followed"] = _hand_followed(seen, told, terms)
    total = reasons.sum(axis=1).to_numpy()
    return 1.0 / (1.0 + np.exp(-np.clip(total, -30.0, 30.0))), reasons
