"""Made-up firms whose owners are known, with mechanics that vary from firm to firm, for measuring identity."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.identity import IdentityFacts

Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]
END = pd.Timestamp("2026-10-30", tz="UTC")

ONSETS = [
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
]
VOWELS = ["a", "e", "i", "o", "u", "ai", "ei", "ou"]
CODAS = ["", "n", "r", "s", "l", "k", "m", "t", "nd", "rt"]
COMMON = [
    "james",
    "john",
    "robert",
    "michael",
    "william",
    "david",
    "maria",
    "anna",
    "elena",
    "olga",
    "ahmed",
    "mohammed",
    "ali",
    "omar",
    "fatima",
    "wei",
    "li",
    "chen",
    "juan",
    "carlos",
    "jose",
    "pedro",
    "ana",
    "sofia",
    "lucas",
    "pierre",
    "marie",
    "jan",
    "petr",
    "pavel",
    "ivan",
    "sergei",
    "dmitry",
    "yuki",
    "hiroshi",
]
CYRILLIC = dict(zip("abvgdezijklmnoprstufhc", "абвгдезийклмнопрстуфхц", strict=True))


@dataclass(frozen=True)
class Mechanics:
    """How a firm's owners hide and what innocents share; shares are of people unless said otherwise."""

    name: str
    owners: float = 0.04
    straw: float = 0.25
    one_trace: float = 0.1
    traces: tuple[str, ...] = ("device", "instrument", "destination")
    name_slip: float = 0.4
    birth_slip: float = 0.08
    households: float = 0.06
    twins: float = 0.04
    household_device: float = 0.4
    household_card: float = 0.3
    cafe_size: tuple[int, int] = (5, 60)
    cafes: float = 0.05
    image_size: tuple[int, int] = (4, 200)
    images: float = 0.03
    vpn: float = 0.1
    friends: float = 0.01
    missing: float = 0.1
    logins: bool = True
    cyrillic: float = 0.0
    family_names: int = 3000


FIRMS = (
    Mechanics("plain"),
    Mechanics("gaps in the data", missing=0.45),
    Mechanics("small crowded places", cafe_size=(3, 12), image_size=(3, 9), cafes=0.12, images=0.08),
    Mechanics("borrowed names", straw=0.7, one_trace=0.2),
    Mechanics("two scripts", cyrillic=0.5, name_slip=0.6, birth_slip=0.12),
    Mechanics("no logins", logins=False, straw=0.3, traces=("instrument", "destination")),
    Mechanics("families", households=0.25, twins=0.08, household_device=0.7, household_card=0.6, friends=0.03),
    Mechanics("few names", family_names=150, missing=0.25),
    Mechanics("honest firm", owners=0.0, households=0.15, friends=0.03),
    Mechanics("couples of unknown homes", missing=0.6, households=0.25, household_device=0.8, household_card=0.7),
)


def make_firm(people: int, seed: int, how: Mechanics) -> tuple[IdentityFacts, pd.Series]:
    """Facts of a firm of about `people` persons, and the person behind each trader (index trader_id)."""
    rng = np.random.default_rng(seed)
    persons = _persons(people, rng, how)
    person = _traders_of(people, rng, how)
    traders = persons.iloc[person].reset_index(drop=True)
    again = np.concatenate([[False], person[1:] == person[:-1]])
    _vary(traders, again, person, rng, how)
    ids = np.array([f"T{number:07d}" for number in rng.permutation(len(traders))], dtype=object)
    traders.insert(0, "trader_id", ids)
    facts = _facts(traders, person, rng, how)
    return facts, pd.Series(person, index=ids, name="person")


def _words(count: int, parts: int, rng: np.random.Generator) -> Texts:
    """Distinct made-up names, commoner ones first."""
    made: dict[str, None] = {}
    while len(made) < count:
        made["".join(f"{rng.choice(ONSETS)}{rng.choice(VOWELS)}" for _ in range(parts)) + str(rng.choice(CODAS))] = None
    return np.array(list(made), dtype=object)


def _zipf(size: int, count: int, rng: np.random.Generator) -> Ints:
    weights = 1 / np.arange(1, size + 1) ** 0.8
    return rng.choice(size, count, p=weights / weights.sum())


def _persons(count: int, rng: np.random.Generator, how: Mechanics) -> pd.DataFrame:
    given_names = np.concatenate([np.array(COMMON, dtype=object), _words(400, 2, rng)])
    family_names = _words(how.family_names, 2, rng)
    given = given_names[_zipf(len(given_names), count, rng)]
    family = family_names[_zipf(len(family_names), count, rng)]
    birth = pd.Timestamp("1960-01-01") + pd.to_timedelta(rng.integers(0, 16_000, count), unit="D")
    birth_day = np.where(rng.random(count) < 0.01, np.datetime64("1990-01-01"), birth.to_numpy())
    home, number = rng.integers(0, 10 * count + 50, count), np.arange(count)
    persons = pd.DataFrame(
        {
            "given": given,
            "family": family,
            "birth": birth_day,
            "country": rng.choice(["CZ", "GB", "US", "NG", "IN", "DE"], count),
        }
    )
    streets = _words(500, 3, rng)
    towns = _words(80, 2, rng)
    persons["address"] = [
        f"{h % 180 + 1} {streets[h % 500]} street, {towns[h % 80]} {10000 + h % 89999}" for h in home.tolist()
    ]
    persons["email"] = [
        f"{g}.{f}{n}@{d}"
        for g, f, n, d in zip(
            given, family, number.tolist(), rng.choice(["gmail.com", "mail.com", "example.org"], count), strict=True
        )
    ]
    persons["phone"] = [f"+4{d:010d}" for d in rng.integers(10**9, 10**10, count).tolist()]
    persons["document"] = _codes("doc", number)
    persons["device"] = _codes("dev", number)
    persons["instrument"] = _codes("card", number)
    persons["destination"] = _codes("wallet", number)
    persons["ip"] = [
        f"{a % 200 + 20}.{a // 200 % 250}.{a // 50000 % 250}.{a // 12500000 % 250 + 1}"
        for a in rng.permutation(count * 3)[:count].tolist()
    ]
    _households(persons, rng, how)
    _friends(persons, rng, how)
    _places(persons, rng, how)
    return persons


def _codes(kind: str, numbers: Ints) -> Texts:
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return np.array([f"{kind}_{code:016x}" for code in mixed.tolist()], dtype=object)


def _households(persons: pd.DataFrame, rng: np.random.Generator, how: Mechanics) -> None:
    """Consecutive people share a home; many its name, its devices and its card, some are twins."""
    heads = np.flatnonzero(rng.random(len(persons) - 1) < how.households / 2)
    heads = heads[np.append(True, np.diff(heads) > 1)]
    for columns, share in (
        (("address", "ip", "country"), 1.0),
        (("family",), 0.7),
        (("device",), how.household_device),
        (("instrument",), how.household_card),
        (("destination",), 0.03),
        (("phone",), 0.06),
        (("email",), 0.01),
        (("birth", "family"), how.twins),
    ):
        chosen = heads[rng.random(len(heads)) < share]
        for column in columns:
            values = persons[column].to_numpy(copy=True)
            values[chosen + 1] = values[chosen]
            persons[column] = values


def _friends(persons: pd.DataFrame, rng: np.random.Generator, how: Mechanics) -> None:
    """A friend's computer, or a friend who pays, once."""
    for column in ("device", "instrument"):
        values = persons[column].to_numpy(copy=True)
        chosen = np.flatnonzero(rng.random(len(persons)) < how.friends / 2)
        values[chosen] = values[rng.integers(0, len(persons), len(chosen))]
        persons[column] = values


def _places(persons: pd.DataFrame, rng: np.random.Generator, how: Mechanics) -> None:
    """Extra device and address of the network: cafés with their computers, machine images, VPN exits."""
    count = len(persons)
    for column in ("place_ip", "place_device"):
        persons[column] = None
    where = np.flatnonzero(rng.random(count) < how.cafes)
    groups = _groups(len(where), how.cafe_size, rng)
    persons.loc[where, "place_ip"] = [f"9.{g // 250}.{g % 250}.7" for g in groups.tolist()]
    at_pc = rng.random(len(where)) < 0.4
    persons.loc[where[at_pc], "place_device"] = [
        f"cafe-pc-{g}-{n}"
        for g, n in zip(groups[at_pc].tolist(), rng.integers(0, 4, at_pc.sum()).tolist(), strict=True)
    ]
    where = np.flatnonzero(rng.random(count) < how.images)
    persons.loc[where, "place_device"] = [f"vm-image-{g}" for g in _groups(len(where), how.image_size, rng).tolist()]
    where = np.flatnonzero(rng.random(count) < how.vpn)
    persons.loc[where, "place_ip"] = [f"8.8.{g}.9" for g in rng.integers(0, max(2, count // 2000), len(where)).tolist()]
    junk = np.flatnonzero(rng.random(count) < 0.01)
    persons.loc[junk, "place_device"] = "00000000-0000-0000-0000-000000000000"
    reseller = np.flatnonzero(rng.random(count) < 0.01)
    persons.loc[reseller, "instrument"] = "card_reseller"


def _groups(count: int, size: tuple[int, int], rng: np.random.Generator) -> Ints:
    """Group number of each of `count` members, with group sizes drawn between the two."""
    sizes = rng.integers(size[0], size[1] + 1, count + 1)
    return rng.permutation(np.repeat(np.arange(count + 1), sizes)[:count])


def _traders_of(people: int, rng: np.random.Generator, how: Mechanics) -> Ints:
    times = np.ones(people, dtype=np.int64)
    owners = np.flatnonzero(rng.random(people) < how.owners)
    times[owners] = 1 + rng.choice([1, 2, 3, 5], len(owners), p=[0.6, 0.25, 0.1, 0.05])
    return np.repeat(np.arange(people), times)


def _vary(
    traders: pd.DataFrame, again: npt.NDArray[np.bool_], person: Ints, rng: np.random.Generator, how: Mechanics
) -> None:
    """Turns the further traders of an owner into other spellings of him, or into borrowed names with traces left."""
    owners = rng.random(person.max() + 1) < how.straw
    borrowed, own = again & owners[person], again & ~owners[person]
    number = np.arange(len(traders)) + 10 * len(traders)
    for column in ("given", "family", "birth", "country"):
        strangers, values = rng.permutation(len(traders)), traders[column].to_numpy(copy=True)
        values[borrowed] = values[strangers[borrowed]]
        traders[column] = values
    traders.loc[borrowed, "email"] = [f"trader{n}@example.org" for n in number[borrowed].tolist()]
    traders.loc[borrowed, "phone"] = [f"+49{n % 10**9 + 10**9}" for n in (number[borrowed] * 7919).tolist()]
    traders.loc[borrowed, "address"] = [f"{n % 170 + 1} borrowed {n} road" for n in number[borrowed].tolist()]
    _new_things(traders, borrowed, {"document": 0.97}, number, rng)
    _leave_traces(traders, borrowed, number, rng, how)
    _new_things(
        traders,
        own,
        {"document": 0.5, "device": 0.35, "instrument": 0.5, "destination": 0.5, "phone": 0.5, "address": 0.4},
        number,
        rng,
    )
    for column, slip, share in (
        ("given", _slip, how.name_slip / 2),
        ("family", _slip, how.name_slip / 2),
        ("email", _alias, 0.6),
        ("birth", _birth_slip, how.birth_slip),
    ):
        chosen = np.flatnonzero(own & (rng.random(len(traders)) < share))
        _apply(traders, column, chosen, slip, rng)
    renamed = np.flatnonzero(
        own & (traders["email"].to_numpy() == traders["email"].shift().to_numpy()) & (rng.random(len(traders)) < 0.7)
    )
    traders.loc[renamed, "email"] = [
        f"{g}{n}@mail.com" for g, n in zip(traders["given"].iloc[renamed], number[renamed].tolist(), strict=True)
    ]


def _new_things(
    traders: pd.DataFrame, rows: npt.NDArray[np.bool_], shares: dict[str, float], number: Ints, rng: np.random.Generator
) -> None:
    for column, share in shares.items():
        chosen = np.flatnonzero(rows & (rng.random(len(traders)) < share))
        fresh = (
            [f"+48{n:09d}" for n in rng.integers(10**8, 10**9, len(chosen)).tolist()]
            if column == "phone"
            else _codes(column, number[chosen])
        )
        if column == "address":
            fresh = [f"{n % 150 + 1} moved {n} lane" for n in number[chosen].tolist()]
        traders.loc[chosen, column] = fresh


def _leave_traces(
    traders: pd.DataFrame, rows: npt.NDArray[np.bool_], number: Ints, rng: np.random.Generator, how: Mechanics
) -> None:
    """A borrowed name keeps two or three of the owner's things, sometimes the payout destination alone."""
    chosen = np.flatnonzero(rows)
    kept = np.argsort(rng.random((len(chosen), len(how.traces))), axis=1) < rng.choice([2, 3], len(chosen))[:, None]
    alone = rng.random(len(chosen)) < how.one_trace
    kept[alone] = np.array([trace == "destination" for trace in how.traces])
    for column in ("device", "instrument", "destination"):
        keep = kept[:, how.traces.index(column)] if column in how.traces else np.zeros(len(chosen), dtype=bool)
        lost = chosen[~keep]
        traders.loc[lost, column] = _codes(column, number[lost])
    away = chosen[rng.random(len(chosen)) < 0.5]
    traders.loc[away, "ip"] = [f"77.{n % 250}.{n // 250 % 250}.{n // 62500 % 250}" for n in number[away].tolist()]


def _apply(
    traders: pd.DataFrame,
    column: str,
    rows: Ints,
    change: Callable[[object, np.random.Generator], object],
    rng: np.random.Generator,
) -> None:
    values = traders[column].to_numpy(copy=True)
    values[rows] = [change(value, rng) for value in values[rows]]
    traders[column] = values


def _slip(value: object, rng: np.random.Generator) -> object:
    """A letter doubled, dropped, exchanged or replaced."""
    text = str(value)
    at = int(rng.integers(1, max(2, len(text) - 1)))
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return text[:at] + text[at - 1] + text[at:]
    if kind == 1 and len(text) > 4:
        return text[:at] + text[at + 1 :]
    if kind == 2:
        return text[: at - 1] + text[at : at + 1] + text[at - 1] + text[at + 1 :]
    return text[:at] + str(rng.choice(list("aeioulnrst"))) + text[at + 1 :]


def _alias(value: object, rng: np.random.Generator) -> object:
    local, _, domain = str(value).partition("@")
    if domain == "gmail.com" and rng.random() < 0.5:
        return f"{local.replace('.', '')}@googlemail.com"
    return f"{local}+{int(rng.integers(2, 9))}@{domain}"


def _birth_slip(value: object, rng: np.random.Generator) -> object:
    day = pd.Timestamp(value)  # type: ignore[arg-type]
    if day.day <= 12 and rng.random() < 0.5:
        return day.replace(month=day.day, day=day.month).to_datetime64()
    return (
        day.replace(year=day.year + int(rng.choice([-10, -1, 1, 10]))).to_datetime64()
        if day.day < 29
        else day.to_datetime64()
    )


def _full_names(traders: pd.DataFrame, rng: np.random.Generator, how: Mechanics) -> list[str]:
    swapped, script = rng.random(len(traders)) < 0.05, rng.random(len(traders)) < how.cyrillic
    names = []
    for given, family, other_way, other_script in zip(
        traders["given"], traders["family"], swapped.tolist(), script.tolist(), strict=True
    ):
        name = f"{family} {given}" if other_way else f"{given} {family}"
        names.append("".join(CYRILLIC.get(letter, letter) for letter in name).title() if other_script else name.title())
    return names


def _facts(traders: pd.DataFrame, person: Ints, rng: np.random.Generator, how: Mechanics) -> IdentityFacts:
    count, ids = len(traders), traders["trader_id"].to_numpy()
    days = pd.Series(END - pd.to_timedelta(rng.integers(1, 300, count), unit="D"))
    people = pd.DataFrame(
        {
            "trader_id": ids,
            "full_name": _full_names(traders, rng, how),
            "email": traders["email"],
            "phone": traders["phone"],
            "date_of_birth": pd.to_datetime(traders["birth"]).dt.strftime("%Y-%m-%d"),
            "country": traders["country"],
            "address": traders["address"],
            "kyc_status": "none",
            "kyc_document": traders["document"],
            "registered_at": days,
        }
    )
    for column in ("phone", "date_of_birth", "address", "email"):
        people.loc[rng.random(count) < how.missing, column] = None
    people.loc[rng.random(count) < 0.5, "kyc_document"] = None
    challenges = pd.DataFrame(
        {
            "challenge_id": "C" + ids,
            "trader_id": ids,
            "purchased_at": days,
            "instrument": traders["instrument"],
            "partner_id": np.array(["p1", "p2", "p3", None], dtype=object)[rng.integers(0, 4, count)],
            "click_id": None,
        }
    )
    payments = challenges[["trader_id", "instrument"]].assign(payment_id="P" + ids, kind="purchase", occurred_at=days)
    accounts = pd.DataFrame({"account_id": "A" + ids, "trader_id": ids})
    again = pd.Series(person).duplicated(keep=False).to_numpy()
    paid = (rng.random(count) < 0.1) | (again & (rng.random(count) < 0.97))
    payouts = pd.DataFrame(
        {
            "payout_id": "O" + ids,
            "account_id": accounts["account_id"],
            "requested_at": days,
            "destination": traders["destination"],
        }
    )[paid]
    logins = _logins(traders, days, rng) if how.logins else pd.DataFrame()
    order = rng.permutation(count)
    return IdentityFacts(people.iloc[order], logins, payments, challenges, accounts, payouts)


def _logins(traders: pd.DataFrame, days: pd.Series, rng: np.random.Generator) -> pd.DataFrame:
    """Two logins at home and one wherever else."""
    home = pd.DataFrame(
        {"trader_id": traders["trader_id"], "occurred_at": days, "ip": traders["ip"], "device_id": traders["device"]}
    )
    later = home.assign(occurred_at=END - pd.to_timedelta(rng.integers(0, 60, len(home)), unit="D"))
    away = home.assign(
        ip=traders["place_ip"].fillna(traders["ip"]), device_id=traders["place_device"].fillna(traders["device"])
    )
    return pd.concat([home, later, away], ignore_index=True)
