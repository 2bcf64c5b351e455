"""Money in whole minor units: how many decimals a currency has, and rounding half up."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_EIGHT = "BTC ETH"
DECIMALS = dict.fromkeys(_NONE.split(), 0) | dict.fromkeys(_THREE.split(), 3) | dict.fromkeys(_EIGHT.split(), 8)


def decimals(currency: str) -> int:
    """Decimals of a currency's minor unit: ISO 4217, 8 for coins, 2 for what is not listed."""
    return DECIMALS.get(currency.upper(), 2)


def to_minor(amount: Decimal | int | str, currency: str) -> int:
    """An amount in whole minor units, rounded half up (a half goes away from zero)."""
    return rounded(Decimal(amount).scaleb(decimals(currency)))


def from_minor(minor: int, currency: str) -> Decimal:
    """The amount that a number of minor units stands for, with all its decimals."""
    return Decimal(int(minor)).scaleb(-decimals(currency))


def percent_of(percent: Decimal, minor: int) -> int:
    """A percentage of an amount in minor units, rounded half up."""
    return rounded(percent * minor / 100)


def rounded(minor: Decimal) -> int:
    """Whole minor units, a half away from zero."""
    return int(minor.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def written(minor: int, currency: str) -> str:
    """An amount as people read it: thousands separated, all decimals of the currency."""
    return f"{from_minor(minor, currency):,}"
