"""What a person chose about identity: how often each kind of owner shares each kind of thing, caps and thresholds."""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple


class Shares(NamedTuple):
    """How often two traders of each sort have the same thing, where both are known to have one: one person under one
    name, under borrowed names (`straw`), a household, friends who lend a thing, mates who lend several, a venue."""

    same: float
    straw: float
    household: float
    friend: float
    mate: float
    venue: float


class Level(NamedTuple):
    """How often a field compares at this level for one person, a household and strangers; the last is a factor on the
    rarity of the names or birth date where the level says that they agree (names of one language go together)."""

    same: float
    household: float
    stranger: float


@dataclass(frozen=True)
class Kind:
    """A thing traders can share: the most holders at which it still says something, the most at which it proposes pairs
    by itself, how often owners share it, the largest chance that a stranger holds the value, per other holder, and of
    those who share it, how often one hardly uses it, both use others beside it, one does, and neither does."""

    cap: int
    proposes: int
    shares: Shares
    chance_max: float = 1.0
    use: tuple[Shares, ...] | None = None


DEVICES_USED = (
    Shares(0.1, 0.06, 0.2, 0.4, 0.42, 0.25),
    Shares(0.1, 0.06, 0.3, 0.25, 0.36, 0.4),
    Shares(0.3, 0.2, 0.3, 0.25, 0.16, 0.2),
    Shares(0.5, 0.68, 0.2, 0.1, 0.06, 0.15),
)
# How often two who share a device sit down at it together on few days, on several, and on many.
SITTINGS = (
    Shares(0.15, 0.15, 0.06, 0.02, 0.06, 0.04),
    Shares(0.2, 0.2, 0.015, 0.005, 0.03, 0.01),
    Shares(0.1, 0.1, 0.003, 0.001, 0.01, 0.002),
)
CARDS_USED = (
    Shares(0.1, 0.05, 0.05, 0.1, 0.1, 0.1),
    Shares(0.15, 0.15, 0.2, 0.25, 0.25, 0.3),
    Shares(0.2, 0.2, 0.25, 0.25, 0.25, 0.25),
    Shares(0.55, 0.6, 0.5, 0.4, 0.4, 0.35),
)
KINDS: MappingProxyType[str, Kind] = MappingProxyType(
    {
        "document": Kind(60, 60, Shares(0.60, 0.15, 0.00002, 0.00002, 0.00002, 0.002), 1e-8),
        "email": Kind(20, 20, Shares(0.35, 0.05, 0.004, 0.0005, 0.0005, 0.001), 1e-8),
        "phone": Kind(20, 20, Shares(0.40, 0.05, 0.03, 0.001, 0.005, 0.002), 1e-5),
        "instrument": Kind(60, 60, Shares(0.45, 0.45, 0.12, 0.03, 0.4, 0.01), 1e-7, CARDS_USED),
        "destination": Kind(60, 60, Shares(0.50, 0.60, 0.03, 0.001, 0.02, 0.002), 1e-8),
        "device": Kind(40, 12, Shares(0.55, 0.55, 0.25, 0.036, 0.5, 0.30), 1e-7, DEVICES_USED),
        "click": Kind(20, 0, Shares(0.15, 0.15, 0.05, 0.03, 0.05, 0.02), 1e-5),
        "address": Kind(20, 8, Shares(0.45, 0.05, 0.85, 0.01, 0.02, 0.03), 1e-5),
        "ip": Kind(20, 0, Shares(0.60, 0.50, 0.85, 0.15, 0.6, 0.85)),
        "partner": Kind(60, 0, Shares(0.40, 0.40, 0.40, 0.30, 0.35, 0.30)),
    }
)

# Partners of each sort that a trader has in the firm before anything is known, a venue's with two holders.
PARTNERS = Shares(0.06, 0.04, 0.15, 0.1, 0.012, 0.004)
COUNTRY_DIFFERS = Shares(0.15, 0.8, 0.3, 0.8, 0.6, 1.0)

HYPOTHESES = (*Shares._fields, "stranger")


def _levels() -> MappingProxyType[str, tuple[Level, ...]]:
    """Levels of the compared fields, from least to most alike, as Splink numbers them."""
    return MappingProxyType(
        {
            "name": (
                Level(0.03, 0.3, 1.0),
                Level(0.05, 0.4, 1.0),
                Level(0.008, 0.6, 1.0),
                Level(0.2, 0.009, 16.0),
                Level(0.7, 0.004, 4.0),
            ),
            "birth": (
                Level(0.03, 1.0, 1.0),
                Level(0.01, 0.033, 0.033),
                Level(0.06, 0.0033, 40.0),
                Level(0.9, 0.015, 1.0),
            ),
            "email_name": (Level(0.8, 1.0, 1.0), Level(0.2, 0.07, 0.0167)),
            "phone": (Level(0.98, 1.0, 1.0), Level(0.02, 0.01, 0.00125)),
            "address": (
                Level(0.90, 0.6, 1.0),
                Level(0.02, 0.02, 0.001),
                Level(0.02, 0.05, 0.001),
                Level(0.06, 0.35, 0.00002),
            ),
            "document": (Level(0.98, 1.0, 1.0), Level(0.02, 0.0001, 0.0001)),
        }
    )


@dataclass(frozen=True)
class IdentityTerms:
    """Versioned numbers of the identity model; strengths are probabilities, priors are expected partners per trader."""

    version: str = "2026-11"
    kinds: MappingProxyType[str, Kind] = field(default_factory=lambda: KINDS)
    levels: MappingProxyType[str, tuple[Level, ...]] = field(default_factory=_levels)
    partners: Shares = PARTNERS
    venue_growth: float = 1.5
    mate_growth: float = 1.0
    home_shrink: float = 1.0
    further: float = 1.2
    family_first: float = 0.03
    careful_share: float = 0.1
    trace_share: float = 0.7
    trace_chance: float = 0.05
    paid_ratio: float = 1.0
    places: MappingProxyType[str, tuple[float, ...]] = field(default_factory=lambda: MappingProxyType({}))
    strict_min: float = 0.99
    middle_min: float = 0.95
    loose_min: float = 0.40
    link_min: float = 0.10
    lone_max: float = 0.89
    block_cap: int = 100
    drawn_traders: int = 400
    rare_name_cap: int = 5
    rare_birth_cap: int = 6
    birth_dates: int = 12_000
    given_share: float = 1e-3
    family_share: float = 1e-4
    name_pseudo_count: int = 500
    ip_fresh_days: int = 90
    ip_gap_days: int = 30
    country_differs: Shares = COUNTRY_DIFFERS
    sittings: tuple[Shares, ...] = SITTINGS
    absent_pair_bits: float = -0.5
    bits_max: float = 10.0


DEFAULT_TERMS = IdentityTerms()
