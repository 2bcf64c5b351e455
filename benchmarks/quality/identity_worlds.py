"""A second family of made-up firms, of other mechanics than the first: people one by one, with lives that overlap.

Homes, offices, clubs, dormitories, carriers, exchanges and machine images are shared the way they are in life; owners
come as lazy, careful, borrowing or changing all but the wallet. None of this is read by the model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.quality.identity_firms import END
from models.identity import IdentityFacts

Trader = dict[str, Any]

# Given names, family names and a country's share of those who trade, by country; the earlier ones are commoner.
NAMES: dict[str, tuple[str, str, str]] = {
    "GB": (
        "Oliver George Harry Jack Thomas Emily Amelia Grace Sophie Charlotte Daniel Samuel Lewis Megan Ruth Nigel",
        "Smith Jones Taylor Brown Williams Wilson Davies Evans Walker Wright Turner Hughes Cooper Bailey Marsh Pike",
        "Mill Lane|High Street|Church Road|Victoria Road|Station Road|Park Avenue|Queens Drive|The Crescent",
    ),
    "UA": (
        "Oleksandr Serhii Andrii Dmytro Yuliia Olha Natalia Mykhailo Volodymyr Kateryna Yevhen Tetiana Ihor Vasyl",
        "Shevchenko Kovalenko Bondarenko Tkachenko Kravchenko Oliinyk Melnyk Hryhorenko Zhuk Chernenko Shcherbak",
        "вулиця Шевченка|вулиця Франка|проспект Миру|вулиця Лесі Українки|вулиця Соборна|бульвар Незалежності",
    ),
    "VN": (
        "Minh Anh Duc Hung Linh Trang Thao Tuan Huong Nam Long Phuong Quang Hai",
        "Nguyen Tran Le Pham Hoang Phan Vu Dang Bui Do",
        "Duong Le Loi|Duong Tran Phu|Duong Nguyen Hue|Pho Hue|Duong Hai Ba Trung",
    ),
    "NG": (
        "Chinedu Emeka Ngozi Amaka Ifeanyi Tunde Bola Segun Yusuf Aisha Musa Kemi Obinna Chidi",
        "Okafor Adeyemi Okonkwo Balogun Eze Nwosu Ibrahim Abubakar Olawale Adebayo Ogunleye Chukwu Danjuma",
        "Broad Street|Awolowo Road|Marina Road|Allen Avenue|Herbert Macaulay Way|Ahmadu Bello Way",
    ),
    "ES": (
        "José Antonio Manuel María Carmen Ana Francisco David Juan Javier Laura Cristina Sergio Lucía Álvaro",
        "García González Rodríguez Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Ruiz Muñoz Ibáñez",
        "Calle Mayor|Calle Real|Avenida de la Constitución|Calle del Sol|Paseo del Prado|Calle Nueva",
    ),
    "IN": (
        "Rahul Amit Priya Neha Rohan Sanjay Anjali Vikram Deepak Pooja Arjun Kavita Suresh Divya",
        "Sharma Patel Singh Kumar Gupta Reddy Nair Iyer Mehta Joshi Das Chatterjee Banerjee Kulkarni Deshpande",
        "MG Road|Nehru Marg|Station Road|Gandhi Nagar|Link Road|Ring Road|Sarojini Street",
    ),
}
LETTERS = ("ba", "dor", "len", "mi", "kov", "sta", "ren", "vil", "gan", "tor", "ush", "bel", "mar", "ko", "ti", "ner")
TRANSLITERATED = (
    ("Yu", "Iu"), ("ii", "iy"), ("kh", "h"), ("Y", "I"), ("shch", "sch"), ("Oleksandr", "Aleksandr"), ("ou", "u"),
    ("Serhii", "Sergey"), ("iy", "y"), ("z", "s"), ("ph", "f"), ("é", "e"), ("í", "i"), ("á", "a"), ("ñ", "n"),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """How a firm's people live and how its owners hide; shares are of people, sizes of groups."""

    name: str
    owners: float = 0.03
    styles: dict[str, float] = field(
        default_factory=lambda: {"lazy": 0.3, "careful": 0.3, "borrowing": 0.25, "wallet": 0.15}
    )
    homes: float = 0.08
    clubs: float = 0.02
    dormitories: float = 0.02
    carriers: float = 0.3
    reassigned: float = 0.05
    collisions: float = 0.02
    images: float = 0.02
    exchanges: float = 0.02
    prepaid: float = 0.01
    referred: float = 0.05
    namesakes: float = 0.02
    unknown: float = 0.12
    default_birth: float = 0.01
    spelt: float = 0.4
    invented: float = 0.6


WORLDS = (
    World("mixed"),
    World("carriers and changing lines", carriers=0.9, reassigned=0.4, referred=0.2),
    World("fingerprints collide", collisions=0.15, images=0.08),
    World("clubs and dormitories", clubs=0.12, dormitories=0.12),
    World("exchange wallets and prepaid cards", exchanges=0.1, prepaid=0.08),
    World("full homes", homes=0.35, namesakes=0.04),
    World("disguises", styles={"careful": 0.2, "borrowing": 0.4, "wallet": 0.4}),
    World("spellings", spelt=0.9, styles={"lazy": 0.4, "careful": 0.6}),
    World("namesakes and missing dates", invented=0.0, unknown=0.3, default_birth=0.06, namesakes=0.06),
    World("nobody twice", owners=0.0, homes=0.2, clubs=0.05, collisions=0.05, exchanges=0.05, referred=0.1),
)


class _Maker:
    """Draws the people of one firm."""

    def __init__(self, people: int, seed: int, world: World) -> None:
        self.rng, self.world, self.people = np.random.default_rng([seed, 77]), world, people
        self.serial = count(1)
        self.exits = [f"102.89.{n // 200}.{n % 200}" for n in range(max(4, people // 150))]
        self.traders: list[Trader] = []
        self.person: list[int] = []

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def token(self, kind: str) -> str:
        return f"{kind}_{next(self.serial) * 2654435761 % 2**40:010x}"

    def pick(self, words: str, mark: str | None = None) -> str:
        """One of the words, earlier ones oftener."""
        listed = words.split(mark)
        return listed[min(int(self.rng.exponential(len(listed) / 3)), len(listed) - 1)]

    def family_name(self, land: str) -> str:
        if not self.chance(self.world.invented):
            return self.pick(NAMES[land][1])
        return "".join(self.rng.choice(LETTERS, size=int(self.rng.integers(2, 4)))).title()

    def stranger(self) -> Trader:
        """A person with everything their own, but for the carrier's exit and the machine image."""
        land = str(self.rng.choice(list(NAMES)))
        given, family = self.pick(NAMES[land][0]), self.family_name(land)
        trader: Trader = {
            "given": given, "family": family, "country": land, "birth": self.birth(), "document": self.token("doc"),
            "phone": f"+{self.rng.integers(20, 99)} {self.rng.integers(100, 999)} {self.rng.integers(10**5, 10**6)}",
            "address": self.address(land), "email": self.mail(given, family), "ips": [self.line()],
            "devices": [self.token("dev")], "cards": [self.token("card")], "wallet": self.token("wallet"),
            "partner": f"p{int(self.rng.exponential(6))}" if self.chance(0.5) else None,
        }  # fmt: skip
        if self.chance(self.world.carriers):
            trader["ips"].append(str(self.rng.choice(self.exits)))
        if self.chance(0.3):
            trader["devices"].append(self.token("dev"))
        if self.chance(0.004):
            trader["devices"].append("00000000-0000-0000-0000-000000000000")
        return trader

    def birth(self) -> str:
        if self.chance(self.world.default_birth):
            return "1990-01-01"
        return str((pd.Timestamp("1960-01-01") + pd.Timedelta(int(self.rng.integers(0, 16_500)), unit="D")).date())

    def address(self, land: str) -> str:
        street = self.pick(NAMES[land][2], "|")
        flat = f"/{self.rng.integers(1, 60)}" if self.chance(0.4) else ""
        return f"{street} {self.rng.integers(1, 150)}{flat}, {self.rng.integers(1000, 9999)} {land}"

    def mail(self, given: str, family: str) -> str:
        tail = str(self.rng.integers(1, 99)) if self.chance(0.5) else ""
        tail += f"{'.' if self.chance(0.5) else ''}{next(self.serial)}"
        return f"{given}.{family}{tail}@{self.rng.choice(['gmail.com', 'outlook.com', 'yahoo.com', 'ukr.net'])}".lower()

    def line(self) -> str:
        return ".".join(str(n) for n in self.rng.integers(20, 220, size=4))

    def enter(self, person: int, trader: Trader) -> None:
        self.traders.append(trader)
        self.person.append(person)

    def make(self) -> None:
        crowd = [self.stranger() for _ in range(self.people)]
        self.live_together(crowd)
        for number, trader in enumerate(crowd):
            self.enter(number, trader)
        for number in np.flatnonzero(self.rng.random(self.people) < self.world.owners).tolist():
            self.own_more(number, crowd)

    # --- what innocents share -----------------------------------------------------------------------------------------

    def live_together(self, crowd: list[Trader]) -> None:
        self.in_groups(crowd, self.world.homes, 2, 4, self.home)
        self.in_groups(crowd, self.world.clubs, 4, 15, self.club)
        self.in_groups(crowd, self.world.dormitories, 5, 40, self.dormitory)
        self.in_groups(crowd, self.world.collisions, 2, 5, lambda group: self.hand(group, "devices", "dev"))
        self.in_groups(crowd, self.world.images, 2, 30, lambda group: self.hand(group, "devices", "image"))
        self.in_groups(crowd, self.world.prepaid, 6, 40, lambda group: self.hand(group, "cards", "prepaid"))
        self.in_groups(crowd, self.world.exchanges, 20, 200, self.exchange)
        self.in_groups(crowd, self.world.reassigned, 2, 3, lambda group: self.hand(group, "ips", "line"))
        self.in_groups(crowd, self.world.referred, 2, 4, self.referral)
        self.in_groups(crowd, self.world.namesakes, 2, 3, self.namesakes)

    def in_groups(
        self, crowd: list[Trader], share: float, least: int, most: int, share_out: Callable[[list[Trader]], None]
    ) -> None:
        chosen = self.rng.permutation(np.flatnonzero(self.rng.random(len(crowd)) < share)).tolist()
        while len(chosen) >= least:
            size = int(self.rng.integers(least, most + 1))
            group, chosen = chosen[:size], chosen[size:]
            share_out([crowd[number] for number in group])

    def home(self, group: list[Trader]) -> None:
        """A family or flat mates: one address and line, often one surname, sometimes a tablet, a card, an account."""
        head, kin = group[0], self.chance(0.75)
        card, tablet, wallet = self.chance(0.25), self.chance(0.4), self.chance(0.04)
        twins, like_father, taken = self.chance(0.03), self.chance(0.005), [head["given"]]
        for one in group[1:]:
            one["country"], one["ips"] = head["country"], [head["ips"][0], *one["ips"][1:]]
            one["address"] = head["address"].replace(",", "") if self.chance(0.3) else head["address"]
            if kin:
                taken.append(self.other_given(head["country"], taken))
                one["given"], one["family"] = taken[-1], head["family"]
                one["email"] = self.mail(one["given"], one["family"])
            if twins and kin:
                one["birth"] = head["birth"]
            if like_father and kin:
                one["given"] = head["given"]
            one["cards"] = [head["cards"][0], *one["cards"]] if card else one["cards"]
            one["devices"] = [*one["devices"], head["devices"][0]] if tablet else one["devices"]
            one["wallet"] = head["wallet"] if wallet else one["wallet"]
            one["phone"] = head["phone"] if self.chance(0.04) else one["phone"]

    def other_given(self, land: str, taken: list[str]) -> str:
        while (name := self.pick(NAMES[land][0])) in taken:
            pass
        return name

    def club(self, group: list[Trader]) -> None:
        """Members of a trading club: its office line and computers, at times its card, one partner."""
        line, computers, card = self.line(), [self.token("club") for _ in range(3)], self.token("clubcard")
        for one in group:
            one["ips"].append(line)
            one["partner"] = "club"
            if self.chance(0.5):
                one["devices"].append(str(self.rng.choice(computers)))
            if self.chance(0.3):
                one["cards"].append(card)

    def dormitory(self, group: list[Trader]) -> None:
        line = self.line()
        for one in group:
            one["address"], one["country"] = group[0]["address"], group[0]["country"]
            one["ips"].append(line)

    def exchange(self, group: list[Trader]) -> None:
        wallet = self.token("hot")
        for one in group:
            one["wallet"] = wallet

    def hand(self, group: list[Trader], thing: str, kind: str) -> None:
        value = self.line() if thing == "ips" else self.token(kind)
        for one in group:
            one[thing].append(value)

    def referral(self, group: list[Trader]) -> None:
        """One brings the next: the same partner, an evening on one line, at times one computer."""
        for before, after in pairwise(group):
            after["partner"] = before["partner"]
            after["ips"].append(before["ips"][0])
            if self.chance(0.1):
                after["devices"].append(before["devices"][0])

    def namesakes(self, group: list[Trader]) -> None:
        for one in group[1:]:
            one["given"], one["family"], one["country"] = group[0]["given"], group[0]["family"], group[0]["country"]
            one["email"] = self.mail(one["given"], one["family"])

    # --- owners -------------------------------------------------------------------------------------------------------

    def own_more(self, number: int, crowd: list[Trader]) -> None:
        first = crowd[number]
        style = str(self.rng.choice(list(self.world.styles), p=_shares(self.world.styles)))
        for _ in range(int(self.rng.choice([1, 2, 3, 5], p=[0.55, 0.25, 0.15, 0.05]))):
            self.enter(number, getattr(self, style)(first))

    def lazy(self, first: Trader) -> Trader:
        """The same person under another mail address, with most things the same."""
        again = first | {"email": self.other_mail(first), "phone": self.other_phone(first)}
        return self.spell(again | {thing: self.kept(first, thing, 0.7) for thing in ("devices", "cards", "wallet")})

    def careful(self, first: Trader) -> Trader:
        """An own name spelt otherwise, with papers and many things changed."""
        fresh = self.stranger()
        again = first | {"document": fresh["document"], "email": fresh["email"], "phone": fresh["phone"]}
        if self.chance(0.4):
            again["address"] = fresh["address"]
        again |= {thing: self.kept(first, thing, 0.35) for thing in ("devices", "cards", "wallet")}
        again["ips"] = first["ips"][:1] if self.chance(0.6) else fresh["ips"]
        return self.spell(again)

    def borrowing(self, first: Trader) -> Trader:
        """Another's name and papers; at least two of device, card and wallet stay."""
        other = self.stranger()
        kept = self.rng.permutation(["devices", "cards", "wallet"])[: int(self.rng.integers(2, 4))]
        other |= {str(thing): first[str(thing)] for thing in kept}
        if self.chance(0.5):
            other["ips"] = [first["ips"][0], *other["ips"]]
        return other

    def wallet(self, first: Trader) -> Trader:
        """Everything is another's but where the money goes."""
        return self.stranger() | {"wallet": first["wallet"]}

    def kept(self, first: Trader, thing: str, share: float) -> Any:
        return first[thing] if self.chance(share) else self.stranger()[thing]

    def other_mail(self, first: Trader) -> str:
        local, _, domain = first["email"].partition("@")
        forms = [f"{local}+{self.rng.integers(2, 99)}@{domain}", self.mail(first["given"], first["family"])]
        if domain == "gmail.com":
            forms.append(f"{local.replace('.', '')}@googlemail.com")
        return str(self.rng.choice(forms))

    def other_phone(self, first: Trader) -> str:
        digits = first["phone"].replace(" ", "").lstrip("+")
        return str(self.rng.choice([f"00{digits}", f"0{digits[2:]}", first["phone"], self.stranger()["phone"]]))

    def spell(self, trader: Trader) -> Trader:
        """Another spelling of the name, at times of the birth date and address."""
        if not self.chance(self.world.spelt):
            return trader
        given, family = trader["given"], trader["family"]
        old, new = TRANSLITERATED[int(self.rng.integers(len(TRANSLITERATED)))]
        given, family = given.replace(old, new), family.replace(old, new)
        way = int(self.rng.integers(5))
        if way == 0:
            given, family = family, given
        if way == 1:
            given = f"{given} {self.pick(NAMES[trader['country']][0])}"
        if way == 2 and len(family) > 4:
            at = int(self.rng.integers(1, len(family) - 2))
            family = family[:at] + family[at + 1] + family[at] + family[at + 2 :]
        if self.chance(0.1):
            year, month, day = trader["birth"].split("-")
            trader = trader | {"birth": f"{year}-{day}-{month}" if int(day) <= 12 else f"{int(year) + 1}-{month}-{day}"}
        if self.chance(0.3):
            trader = trader | {"address": trader["address"].replace(",", " ").upper()}
        return trader | {"given": given, "family": family}

    # --- what the firm sees -------------------------------------------------------------------------------------------

    def facts(self) -> tuple[IdentityFacts, pd.Series]:
        order = self.rng.permutation(len(self.traders))
        ids = [f"t{number:06d}" for number in range(len(order))]
        seen = [self.traders[number] for number in order.tolist()]
        days = [END - pd.Timedelta(int(day), unit="D") for day in self.rng.integers(2, 300, size=len(seen))]
        names = ("traders", "logins", "challenges", "payments", "accounts", "payouts")
        frames: dict[str, list[Trader]] = {name: [] for name in names}
        times = pd.Series(self.person).value_counts()
        for trader_id, trader, day, number in zip(ids, seen, days, order.tolist(), strict=True):
            rows = self.rows(trader_id, trader, day, several=times[self.person[number]] > 1)
            for name, row in rows:
                frames[name].append(row)
        truth = pd.Series([self.person[number] for number in order.tolist()], index=ids, name="person")
        return IdentityFacts(**{name: pd.DataFrame(rows) for name, rows in frames.items()}), truth

    def rows(self, trader_id: str, trader: Trader, day: pd.Timestamp, *, several: bool) -> list[tuple[str, Trader]]:
        def known(value: object, more: float = 1.0) -> object:
            return None if self.chance(self.world.unknown * more) else value

        rows: list[tuple[str, Trader]] = [
            ("traders", {
                "trader_id": trader_id, "full_name": f"{trader['given']} {trader['family']}", "email": trader["email"],
                "phone": known(trader["phone"]), "date_of_birth": known(trader["birth"]), "country": trader["country"],
                "address": known(trader["address"]), "kyc_document": known(trader["document"], 4),
                "registered_at": day,
            }),
            ("accounts", {"account_id": f"a-{trader_id}", "trader_id": trader_id}),
        ]  # fmt: skip
        sold = {"purchased_at": day, "partner_id": trader["partner"], "click_id": None}
        for card in trader["cards"][:2]:
            bought = {"trader_id": trader_id, "instrument": card}
            rows += [("challenges", bought | sold), ("payments", bought | {"occurred_at": day})]
        for number, ip in enumerate(trader["ips"]):
            device = known(trader["devices"][number % len(trader["devices"])])
            at = END - pd.Timedelta(int(self.rng.integers(0, 80)), unit="D")
            rows.append(("logins", {"trader_id": trader_id, "occurred_at": at, "ip": ip, "device_id": device}))
        home = {"trader_id": trader_id, "occurred_at": END, "ip": trader["ips"][0]}
        rows += [("logins", home | {"device_id": device}) for device in trader["devices"]]
        if several or self.chance(0.25):
            paid = {"account_id": f"a-{trader_id}", "requested_at": END, "destination": trader["wallet"]}
            rows.append(("payouts", paid))
        return rows


def _shares(styles: dict[str, float]) -> list[float]:
    total = sum(styles.values())
    return [share / total for share in styles.values()]


def make_world(people: int, seed: int, world: World) -> tuple[IdentityFacts, pd.Series]:
    """Facts of a firm of about `people` persons, and the person behind each trader (index trader_id)."""
    maker = _Maker(people, seed, world)
    maker.make()
    return maker.facts()
