"""The numbers a person chose for judging who trades together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CoordinationTerms:
    """Thresholds of the coordination search; times in seconds, versioned so that a flag names the terms behind it.

    Attributes:
        version: name of this set of terms.
        horizon_s: the longest lag between two entries that may be one following the other.
        narrow_s: the lag within which meetings are counted a second time, so that close followers stand out.
        lag_widths_s: lag windows tried by the scan, narrowest first.
        matches_min: fewest coinciding entries worth a closer look.
        prefilter_p_max: chance probability above which a pair is not looked at closely.
        q_max: false-discovery rate a pair must beat before it can be flagged.
        idea_gap_s: entries of one account, instrument and side closer than this are one idea.
        rate_window_s: half width of the window in which the market's own rate is measured.
        crowd_window_s: half width of the window in which a crowd is counted.
        crowd_min: entries beyond the usual rate that make a moment a crowd.
        news_before_s, news_after_s: the surroundings of a news event that count as a crowd of their own.
        entries_per_day_max: entries of one account and day beyond which only the heads of bursts are kept.
        order_min: share of matched entries in one order from which the order counts as stable.
        cover_min: share of a follower's shared entries that its leader must be part of.
        family_min: other accounts recurring in a pair's matched entries from which it may be a family.
        bar_share_min: share of entries at one second of the minute from which bar openings explain them.
        bar_stray_s: median distance from that second from which people answer the bar, and not robots its first tick.
        bar_repeat_max: spread of the lag, in shares of that distance, up to which one repeats how the other strays.
    """

    version: str = "2026-11"
    horizon_s: float = 150.0
    narrow_s: float = 6.0
    lag_widths_s: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
    matches_min: int = 5
    prefilter_p_max: float = 1e-4
    q_max: float = 0.01
    idea_gap_s: float = 30.0
    rate_window_s: float = 900.0
    crowd_window_s: float = 30.0
    crowd_min: int = 35
    news_before_s: float = 30.0
    news_after_s: float = 180.0
    entries_per_day_max: int = 1000
    order_min: float = 0.8
    cover_min: float = 0.8
    family_min: int = 2
    bar_share_min: float = 0.7
    bar_stray_s: float = 1.5
    bar_repeat_max: float = 0.2
