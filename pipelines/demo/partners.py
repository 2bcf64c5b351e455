"""The partners who bring traders: a tree, their plans, and who attracts how many."""

from dataclasses import dataclass

import numpy as np

from pipelines.demo.market import DAY_MS
from pipelines.demo.people import Person, alias, make_person, token

PLANS = ("cpa", "revshare", "hybrid", "tiered")


@dataclass(frozen=True)
class Partner:
    """One partner record."""

    partner_id: str
    name: str
    parent: str
    plan: str
    email: str
    destination: str
    joined_ms: int
    coupon: str


class Partners:
    """The firm's partners; a few attract most of the traders, and nearly half of the traders come without one."""

    def __init__(self, rng: np.random.Generator, traders: int) -> None:
        self.all: list[Partner] = []
        self.written = 0
        for _ in range(max(8, traders // 60)):
            self._add(rng)
        rank = 1.0 / np.arange(1, len(self.all) + 1)
        self._chances = rank / rank.sum()
        self._open = len(self.all)

    def _add(self, rng: np.random.Generator) -> None:
        """One more partner, below an earlier one in four cases of ten."""
        person = make_person(rng, "", 0)
        parent = self.all[int(rng.integers(len(self.all)))].partner_id if self.all and rng.random() < 0.4 else ""
        number = len(self.all) + 1
        self.all.append(
            Partner(
                partner_id=f"P{number:05d}",
                name=f"{person.last} Trading" if rng.random() < 0.5 else person.name,
                parent=parent,
                plan=str(rng.choice(PLANS)),
                email=person.email,
                destination=token(rng, "bank_"),
                joined_ms=-int(rng.uniform(1, 400) * DAY_MS),
                coupon=f"{person.first.upper()[:5]}{10 if rng.random() < 0.7 else 20}",
            )
        )

    def add_own(self, rng: np.random.Generator, person: Person) -> str:
        """A partner record that a trader opened for themselves: same mailbox, same payout destination."""
        number = len(self.all) + 1
        email, joined = alias(rng, person.email), person.registered_ms - DAY_MS // 2
        one = Partner(f"P{number:05d}", person.name, "", "cpa", email, person.destination, joined, f"DEAL{number}")
        self.all.append(one)
        return one.partner_id

    def attract(self, rng: np.random.Generator) -> str:
        """The partner a new trader came through, or none."""
        if rng.random() < 0.45:
            return ""
        return self.all[int(rng.choice(self._open, p=self._chances))].partner_id

    def by_id(self, partner_id: str) -> Partner:
        """A partner by id."""
        return self.all[int(partner_id[1:]) - 1]

    def unwritten(self) -> list[Partner]:
        """The partners added since the last call."""
        fresh, self.written = self.all[self.written :], len(self.all)
        return fresh
