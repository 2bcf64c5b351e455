"""A third family of made-up firms: small and plain, with mechanics drawn anew for each firm rather than chosen.

Every share (how often owners keep a device, how often families do, how sparse the columns are) is drawn from a wide
range, so that no single way of hiding is what the model is tuned to."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.quality.identity_firms import END
from benchmarks.quality.identity_worlds import NAMES
from models.identity import IdentityFacts

Trader = dict[str, Any]
THINGS = ("device", "card", "wallet", "ip")


@dataclass(frozen=True)
class Habits:
    """How one firm's people share and hide; all shares are drawn."""

    people: int
    owners: float
    straw: float
    kept: dict[str, float]
    spelt: float
    homes: float
    home_shares: dict[str, float]
    friends: float
    cafes: int
    exits: int
    images: int
    image_size: int
    paid: float
    missing: dict[str, float]
    country: str | None
    invented: float


def draw_habits(rng: np.random.Generator) -> Habits:
    """Habits of one firm."""

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def gap() -> float:
        return float(rng.choice([0.0, between(0.02, 0.3), between(0.3, 0.8), 1.0], p=[0.4, 0.35, 0.15, 0.1]))

    return Habits(
        people=int(np.exp(rng.uniform(np.log(250), np.log(3000)))),
        owners=between(0.01, 0.12),
        straw=float(rng.choice([0.0, between(0.1, 0.6), 1.0], p=[0.2, 0.6, 0.2])),
        kept={
            "device": between(0.4, 1.0), "card": between(0.3, 1.0),
            "wallet": between(0.3, 1.0), "ip": between(0.3, 1.0),
        },
        spelt=between(0.1, 0.8),
        homes=between(0.0, 0.15),
        home_shares={
            "family": between(0.6, 1.0), "ip": between(0.8, 1.0), "device": between(0.0, 0.5),
            "card": between(0.0, 0.4), "wallet": between(0.0, 0.05), "phone": between(0.0, 0.1),
        },
        friends=float(rng.choice([0.0, between(0.0, 0.02)])),
        cafes=int(rng.integers(0, 6)),
        exits=int(rng.integers(0, 4)),
        images=int(rng.integers(0, 3)),
        image_size=int(rng.integers(5, 120)),
        paid=between(0.05, 0.4),
        missing={name: gap() for name in ("phone", "date_of_birth", "address", "kyc_document", "email")},
        country=str(rng.choice(list(NAMES))) if rng.random() < 0.3 else None,
        invented=float(rng.choice([0.0, between(0.3, 0.9)])),
    )  # fmt: skip


class _Drawn:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 991])
        self.habits = draw_habits(self.rng)
        self.serial = 0

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def token(self, kind: str) -> str:
        self.serial += 1
        return f"{kind}-{self.serial * 2654435761 % 2**32:08x}"

    def stranger(self) -> Trader:
        rng, land = self.rng, self.habits.country or str(self.rng.choice(list(NAMES)))
        given, family = (str(rng.choice(words.split())) for words in NAMES[land][:2])
        if self.chance(self.habits.invented):
            family = "".join(rng.choice(["ma", "ro", "len", "kis", "to", "va", "ber", "din", "sol"], 3)).title()
        street = str(rng.choice(NAMES[land][2].split("|")))
        birth = pd.Timestamp("1965-01-01") + pd.Timedelta(int(rng.integers(0, 14_600)), unit="D")
        self.serial += 1
        return {
            "given": given, "family": family, "country": land, "birth": str(birth.date()),
            "email": f"{given}.{family}{self.serial}@{rng.choice(['gmail.com', 'outlook.com', 'mail.com'])}".lower(),
            "phone": f"+{rng.integers(10, 99)}{rng.integers(10**8, 10**9)}",
            "address": f"{rng.integers(1, 200)} {street}, {rng.integers(1000, 9999)}",
            "document": self.token("doc"), "device": [self.token("dev")], "card": [self.token("card")],
            "wallet": self.token("wal"), "ip": [".".join(str(n) for n in rng.integers(11, 220, 4))],
        }  # fmt: skip

    def make(self) -> tuple[IdentityFacts, pd.Series]:
        habits, rng = self.habits, self.rng
        crowd = [self.stranger() for _ in range(habits.people)]
        self.homes(crowd)
        self.friends(crowd)
        traders = list(enumerate(crowd))
        for number in np.flatnonzero(rng.random(len(crowd)) < habits.owners).tolist():
            straw = self.chance(habits.straw)
            times = int(rng.choice([1, 2, 3, 5], p=[0.6, 0.25, 0.1, 0.05]))
            traders += [(number, self.again(crowd[number], straw)) for _ in range(times)]
        everyone = [trader for _, trader in traders]
        self.places(everyone)
        return self.facts(traders)

    def homes(self, crowd: list[Trader]) -> None:
        chosen = self.rng.permutation(np.flatnonzero(self.rng.random(len(crowd)) < self.habits.homes)).tolist()
        while len(chosen) > 1:
            size = int(self.rng.choice([2, 3, 4], p=[0.7, 0.2, 0.1]))
            group, chosen = [crowd[n] for n in chosen[:size]], chosen[size:]
            head, shares = group[0], self.habits.home_shares
            shared = {name for name in ("family", "device", "card", "wallet") if self.chance(shares[name])}
            for one in group[1:]:
                one["address"], one["country"] = head["address"], head["country"]
                if self.chance(shares["ip"]):
                    one["ip"] = list(head["ip"])
                if "family" in shared:
                    one["family"] = head["family"]
                    if one["given"] == head["given"]:
                        one["given"] = "".join(self.rng.choice(["a", "mi", "ro", "ke", "su", "li"], 3)).title()
                    one["email"] = f"{one['given']}.{one['family']}{self.token('')}@gmail.com".lower()
                if "device" in shared:
                    one["device"] = [*head["device"][:1], *one["device"]]
                if "card" in shared:
                    one["card"] = list(head["card"])
                if "wallet" in shared:
                    one["wallet"] = head["wallet"]
                if self.chance(shares["phone"]):
                    one["phone"] = head["phone"]

    def friends(self, crowd: list[Trader]) -> None:
        for thing in ("device", "card"):
            for number in np.flatnonzero(self.rng.random(len(crowd)) < self.habits.friends / 2).tolist():
                crowd[number][thing] = [*crowd[number][thing], crowd[int(self.rng.integers(len(crowd)))][thing][0]]

    def again(self, first: Trader, straw: bool) -> Trader:
        fresh = self.stranger()
        kept = {thing: first[thing] for thing in THINGS if self.chance(self.habits.kept[thing])}
        if straw:
            if not kept.keys() & {"device", "card", "wallet"}:
                kept["device"] = first["device"]
            return fresh | kept
        again = first | {thing: fresh[thing] for thing in THINGS} | kept
        again["email"] = self.rng.choice([fresh["email"], first["email"].replace("@", "+2@")])
        again["document"] = first["document"] if self.chance(0.5) else fresh["document"]
        if self.chance(0.5):
            again["phone"] = fresh["phone"]
        if self.chance(0.4):
            again["address"] = fresh["address"]
        if self.chance(self.habits.spelt):
            again |= self.spelt(again)
        return again

    def spelt(self, trader: Trader) -> Trader:
        given, family = trader["given"], trader["family"]
        way = int(self.rng.integers(4))
        if way == 0:
            return {"given": family, "family": given}
        if way == 1 and len(family) > 4:
            at = int(self.rng.integers(1, len(family) - 2))
            return {"family": family[:at] + family[at + 1] + family[at] + family[at + 2 :]}
        if way == 2:
            return {"given": given, "family": family.replace("y", "i").replace("kh", "h").replace("v", "w")}
        return {"given": given.upper(), "family": family.upper()}

    def places(self, everyone: list[Trader]) -> None:
        rng, habits = self.rng, self.habits
        for _ in range(habits.cafes):
            line = ".".join(str(n) for n in rng.integers(11, 220, 4))
            for n in rng.choice(len(everyone), int(rng.integers(5, 40)), replace=False).tolist():
                everyone[n]["ip"] = [*everyone[n]["ip"], line]
        for _ in range(habits.exits):
            line = ".".join(str(n) for n in rng.integers(11, 220, 4))
            for n in np.flatnonzero(rng.random(len(everyone)) < 0.05).tolist():
                everyone[n]["ip"] = [*everyone[n]["ip"], line]
        for _ in range(habits.images):
            image = self.token("img")
            for n in rng.choice(len(everyone), min(habits.image_size, len(everyone) // 4), replace=False).tolist():
                everyone[n]["device"] = [*everyone[n]["device"], image]

    def facts(self, traders: list[tuple[int, Trader]]) -> tuple[IdentityFacts, pd.Series]:
        rng, missing = self.rng, self.habits.missing
        frames: dict[str, list[Trader]] = {
            name: [] for name in ("traders", "logins", "challenges", "payments", "accounts", "payouts")
        }
        truth: dict[str, int] = {}
        for place, number in enumerate(rng.permutation(len(traders)).tolist()):
            person, one = traders[number]
            trader_id = f"T{place:05d}"
            truth[trader_id] = person
            day = END - pd.Timedelta(int(rng.integers(2, 200)), unit="D")

            def known(name: str, value: Any) -> Any:
                return None if self.chance(missing[name]) else value

            frames["traders"].append({
                "trader_id": trader_id, "full_name": f"{one['given']} {one['family']}",
                "email": known("email", one["email"]), "phone": known("phone", one["phone"]),
                "date_of_birth": known("date_of_birth", one["birth"]), "country": one["country"],
                "address": known("address", one["address"]), "kyc_status": "none",
                "kyc_document": known("kyc_document", one["document"]), "registered_at": day,
            })  # fmt: skip
            frames["accounts"].append({"account_id": f"A{place}", "trader_id": trader_id})
            card = str(rng.choice(one["card"]))
            for bought in {card, one["card"][-1]}:
                frames["challenges"].append(
                    {
                        "challenge_id": f"C{place}{bought}",
                        "trader_id": trader_id,
                        "purchased_at": day,
                        "instrument": bought,
                    }
                )
                frames["payments"].append(
                    {
                        "payment_id": f"P{place}{bought}",
                        "trader_id": trader_id,
                        "occurred_at": day,
                        "instrument": bought,
                    }
                )
            for _ in range(3):
                frames["logins"].append({
                    "trader_id": trader_id, "occurred_at": END - pd.Timedelta(int(rng.integers(0, 100)), unit="D"),
                    "ip": str(rng.choice(one["ip"])), "device_id": str(rng.choice(one["device"])),
                })  # fmt: skip
            if self.chance(self.habits.paid):
                frames["payouts"].append({
                    "payout_id": f"O{place}", "account_id": f"A{place}", "requested_at": END,
                    "destination": one["wallet"],
                })  # fmt: skip
        return (
            IdentityFacts(**{name: pd.DataFrame(rows) for name, rows in frames.items()}),
            pd.Series(truth, name="person"),
        )


def make_drawn(seed: int) -> tuple[IdentityFacts, pd.Series]:
    """Facts of the firm of this seed, and the person behind each trader (index trader_id)."""
    return _Drawn(seed).make()
