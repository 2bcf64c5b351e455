"""The made-up traders: names, contacts, papers, devices, addresses on the net and ways to pay."""

import tomllib
import unicodedata
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Country:
    """Where people live and how they are called there: surnames are stem and ending."""

    code: str
    weight: float
    prefix: str
    desk: str
    network: int
    firsts: tuple[str, ...]
    stems: tuple[str, ...]
    endings: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]


def _countries() -> tuple[Country, ...]:
    """The countries of the demo firm, read from the file beside this one."""
    document = tomllib.loads(Path(__file__).with_name("countries.toml").read_text(encoding="utf-8"))
    return tuple(Country(**_frozen(row)) for row in document["countries"])


def _frozen(row: dict[str, Any]) -> dict[str, Any]:
    """The same values, lists as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


COUNTRIES = _countries()
BY_CODE = {country.code: country for country in COUNTRIES}
MAIL = ("gmail.com", "gmail.com", "gmail.com", "outlook.com", "yahoo.com", "proton.me", "icloud.com", "mail.example")


@dataclass(frozen=True)
class Hands:
    """Who sits at the keyboard: device, the addresses it is seen at, the country they geolocate to."""

    device: str
    ips: tuple[str, ...]
    country: str


@dataclass(frozen=True)
class Person:
    """One trader record of the firm with what belongs to it."""

    trader_id: str
    first: str
    last: str
    email: str
    phone: str
    born: date
    country: str
    address: str
    document: str
    kyc: str
    kyc_after_funding: bool
    registered_ms: int
    desk: str
    hands: tuple[Hands, ...]
    instruments: tuple[str, ...]
    destination: str
    method: str

    @property
    def name(self) -> str:
        """First name and surname."""
        return f"{self.first} {self.last}"


def plain(text: str) -> str:
    """Text in plain Latin letters, lower case."""
    spelled = text.replace("ß", "ss").replace("ł", "l").replace("ø", "o")
    return unicodedata.normalize("NFKD", spelled).encode("ascii", "ignore").decode().lower()


def token(rng: np.random.Generator, prefix: str, size: int = 8) -> str:
    """A made-up fingerprint."""
    return prefix + rng.bytes(size).hex()


def home_ip(rng: np.random.Generator, country: Country) -> str:
    """A residential address in a country's network."""
    return f"{country.network}.{rng.integers(0, 200)}.{rng.integers(0, 256)}.{rng.integers(2, 255)}"


def mobile_ip(rng: np.random.Generator, country: Country) -> str:
    """One of the few exits behind which a country's mobile carrier hides its subscribers."""
    return f"{country.network}.250.0.{rng.integers(1, 9)}"


def vpn_ip(rng: np.random.Generator) -> str:
    """One of the exits of a popular VPN."""
    return f"185.93.2.{rng.integers(10, 26)}"


def make_person(rng: np.random.Generator, trader_id: str, registered_ms: int, country: Country | None = None) -> Person:
    """A trader with everything of their own."""
    weights = np.array([one.weight for one in COUNTRIES])
    land = country or COUNTRIES[int(rng.choice(len(COUNTRIES), p=weights / weights.sum()))]
    first, last = str(rng.choice(land.firsts)), str(rng.choice(land.stems)) + str(rng.choice(land.endings))
    ips = [home_ip(rng, land)]
    if rng.random() < 0.45:
        ips.append(mobile_ip(rng, land))
    if rng.random() < 0.07:
        ips.append(vpn_ip(rng))
    devices = [token(rng, "dev_")] + ([token(rng, "dev_")] if rng.random() < 0.3 else [])
    instruments = [token(rng, "card_", 6)] + ([token(rng, "card_", 6)] if rng.random() < 0.15 else [])
    method = str(rng.choice(("bank", "crypto", "rise", "wise"), p=(0.3, 0.4, 0.2, 0.1)))
    return Person(
        trader_id=trader_id,
        first=first,
        last=last,
        email=mail_address(rng, first, last),
        phone=f"{land.prefix} {rng.integers(600, 999)} {rng.integers(100, 999)} {rng.integers(100, 999)}",
        born=date(1962, 1, 1) + timedelta(days=int(rng.beta(4, 2.2) * 16_000)),
        country=land.code,
        address=_address(rng, land),
        document=token(rng, "doc_"),
        kyc=str(rng.choice(("verified", "pending", "rejected", "expired"), p=(0.94, 0.03, 0.02, 0.01))),
        kyc_after_funding=bool(rng.random() < 0.5),
        registered_ms=registered_ms,
        desk=land.desk,
        hands=tuple(Hands(device, tuple(ips), land.code) for device in devices),
        instruments=tuple(instruments),
        destination=token(rng, f"{method}_", 8),
        method=method,
    )


def _address(rng: np.random.Generator, land: Country) -> str:
    """Street, number, postal code and city."""
    street, city = rng.choice(land.streets), rng.choice(land.cities)
    return f"{street} {rng.integers(1, 180)}, {rng.integers(10_000, 99_999)} {city}"


def mail_address(rng: np.random.Generator, first: str, last: str) -> str:
    """An e-mail address made of a name."""
    name, family = plain(first), plain(last)
    forms = (f"{name}.{family}", f"{name}{family}", f"{name[0]}{family}", f"{family}.{name}")
    number = "" if rng.random() < 0.2 else str(rng.integers(1, 9999))
    return f"{forms[int(rng.integers(len(forms)))]}{number}@{MAIL[int(rng.integers(len(MAIL)))]}"


def alias(rng: np.random.Generator, email: str) -> str:
    """The same mailbox written otherwise: dots or a tag where the provider ignores them."""
    local, _, domain = email.partition("@")
    if domain == "gmail.com" and rng.random() < 0.5:
        local = local.replace(".", "")
        cut = int(rng.integers(1, len(local)))
        return f"{local[:cut]}.{local[cut:]}@{'googlemail.com' if rng.random() < 0.4 else domain}"
    return f"{local}+{rng.choice(('fx', 'prop', 'two', 'acc2'))}@{domain}"


def name_variant(rng: np.random.Generator, first: str, last: str) -> tuple[str, str]:
    """The same name written otherwise: without accents, swapped, transliterated or with a slip."""
    way = int(rng.integers(4))
    if way == 0:
        return plain(first).title(), plain(last).title()
    if way == 1:
        return last, first
    if way == 2:
        swaps = (
            ("Oleks", "Aleks"),
            ("yi", "ii"),
            ("ch", "tch"),
            ("ü", "ue"),
            ("ö", "oe"),
            ("ck", "k"),
            ("j", "y"),
            ("ou", "u"),
        )
        for old, new in swaps:
            if old in first or old in last:
                return first.replace(old, new), last.replace(old, new)
        return plain(first).title(), last
    cut = int(rng.integers(1, len(last) - 1))
    return first, last[:cut] + last[cut + 1] + last[cut] + last[cut + 2 :]


LINKS = ("device", "instrument", "destination", "document", "name", "email", "phone", "address")
HARD_LINKS = ("device", "instrument", "document")


def another_self(rng: np.random.Generator, first: Person, second: Person) -> tuple[Person, tuple[str, ...]]:
    """A second trader record of the same human, and what it shares with the first.

    One hard link at least; without a shared name or paper, so many that it cannot be a member of the household.
    """
    ways = {str(one) for one in rng.choice(LINKS, size=int(rng.integers(2, 5)), replace=False)}
    if not ways & set(HARD_LINKS):
        ways.add(str(rng.choice(HARD_LINKS)))
    if not ways & {"name", "document"}:
        ways |= {"device", "instrument", "email"}
    same = replace(second, desk=first.desk, country=first.country, hands=_hands(first, second, "device" in ways))
    if ways & {"name", "document"}:
        given, family = name_variant(rng, first.first, first.last)
        same = replace(same, first=given, last=family, born=first.born)
    if "instrument" in ways:
        same = replace(same, instruments=first.instruments[:1])
    if "destination" in ways:
        same = replace(same, destination=first.destination, method=first.method)
    if "document" in ways:
        same = replace(same, document=first.document, kyc_after_funding=False)
    return _reachable(rng, first, same, ways), tuple(sorted(ways))


def _reachable(rng: np.random.Generator, first: Person, same: Person, ways: set[str]) -> Person:
    """The second record with the contacts that it shares, written otherwise."""
    return replace(
        same,
        email=alias(rng, first.email) if "email" in ways else same.email,
        phone=first.phone.replace(" ", "") if "phone" in ways else same.phone,
        address=plain(first.address).title() if "address" in ways else same.address,
    )


def _hands(first: Person, second: Person, same_device: bool) -> tuple[Hands, ...]:
    """The hands of a second record: the same home, and mostly the same device where that is shared."""
    ips = (*second.hands[0].ips, first.hands[0].ips[0])
    own = replace(second.hands[0], ips=ips, country=first.country)
    shared = replace(first.hands[0], ips=ips)
    return (shared, shared, own) if same_device else (own,)


def relative(rng: np.random.Generator, first: Person, second: Person) -> Person:
    """Another member of the household: same surname, address and line, an own birth date, papers and money."""
    land = BY_CODE[first.country]
    given = str(rng.choice([one for one in land.firsts if one != first.first]))
    hands = tuple(replace(one, ips=first.hands[0].ips, country=first.country) for one in second.hands)
    shared = (*hands, first.hands[0]) if rng.random() < 0.3 else hands
    return replace(
        second, first=given, last=first.last, email=mail_address(rng, given, first.last), address=first.address,
        country=first.country, desk=first.desk, hands=shared,
        instruments=(first.instruments[0], *second.instruments) if rng.random() < 0.3 else second.instruments,
    )  # fmt: skip


def namesake(rng: np.random.Generator, first: Person, second: Person) -> Person:
    """A stranger of the same name, born on another day."""
    return replace(
        second, first=first.first, last=first.last, email=mail_address(rng, first.first, first.last),
        country=first.country, desk=first.desk,
        hands=tuple(replace(one, country=first.country) for one in second.hands),
    )  # fmt: skip
