"""Who is who in the demo firm: honest traders, planted abuse of each kind, and innocent people who look like it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipelines.demo import abuse
from pipelines.demo.lifecycle import PLATFORM_WEIGHTS, PLATFORMS, Seat
from pipelines.demo.market import DAY_MS, HOUR_MS, Market
from pipelines.demo.partners import Partners
from pipelines.demo.people import (
    BY_CODE,
    COUNTRIES,
    Hands,
    Person,
    another_self,
    home_ip,
    make_person,
    namesake,
    relative,
    token,
)
from pipelines.demo.styles import Style, entries, fast_manual, ordinary, scales_in, swing

Array = np.ndarray[Any, Any]
DESK_CURRENCY = {"prague": "EUR", "london": "USD", "new_york": "USD", "tokyo": "JPY"}
PRODUCT_WEIGHTS = {"two_step": 0.5, "one_step": 0.22, "instant": 0.1, "futures_50k": 0.18}
SIZES, SIZE_WEIGHTS = (10_000, 25_000, 50_000, 100_000, 200_000), (0.3, 0.25, 0.2, 0.19, 0.06)
JUNK_DEVICE = "0" * 20


@dataclass
class Cast:
    """The people and seats of one batch, and what was planted among them."""

    people: list[Person]
    seats: list[Seat] = field(default_factory=list)
    owners: list[tuple[list[str], list[str]]] = field(default_factory=list)
    rings: list[tuple[list[Seat], str, bool]] = field(default_factory=list)
    families: list[tuple[str, list[Seat]]] = field(default_factory=list)
    behaviours: list[tuple[str, Seat]] = field(default_factory=list)
    trader_signals: list[tuple[str, str]] = field(default_factory=list)
    look_alikes: list[tuple[str, list[str]]] = field(default_factory=list)
    self_referrals: list[tuple[str, list[str], list[str]]] = field(default_factory=list)
    disputers: set[str] = field(default_factory=set)


class Casting:
    """Hands out the roles of one batch of traders; what remains is honest and ordinary."""

    def __init__(
        self, rng: np.random.Generator, market: Market, partners: Partners, first_number: int, count: int
    ) -> None:
        self.rng, self.market, self.partners = rng, market, partners
        people = [self._newcomer(first_number + k) for k in range(count)]
        self.cast = Cast(people)
        self._free: Iterator[int] = iter(rng.permutation(count).tolist())
        self.scale = count / 2000

    def fill(self) -> Cast:
        """The whole batch with its roles; groups are planted first, the rest are ordinary traders."""
        self._owners()
        self._rings()
        self._families()
        self._behaviours()
        self._trader_roles()
        self._innocents()
        for place in self._free:
            self._ordinary(place)
        return self.cast

    def _newcomer(self, number: int) -> Person:
        """A person registered some day of the history, more often early and on weekdays."""
        days = self.market.end_ms / DAY_MS
        day = int(days * self.rng.beta(0.85, 1.7) * 0.97)
        at = int(day * DAY_MS + self.rng.beta(3, 2.5) * DAY_MS)
        return make_person(self.rng, f"T{number:06d}", min(at, self.market.end_ms - 8 * HOUR_MS))

    def _count(self, per_2000: int) -> int:
        """How many of a kind this batch gets: at least one."""
        return max(1, round(per_2000 * self.scale))

    def _take(self, count: int) -> list[int]:
        """The places of the next free people; fewer when the batch runs out."""
        return [place for place, _ in zip(self._free, range(count), strict=False)]

    def _early(self, place: int, share: float = 0.35) -> Person:
        """The person, registered early enough for a story to unfold."""
        at = int(self.rng.uniform(0.01, share) * self.market.end_ms) + int(self.rng.uniform(0, HOUR_MS))
        person = replace(self.cast.people[place], registered_ms=at, kyc="verified")
        self.cast.people[place] = person
        return person

    def _product(self, person: Person) -> str:
        weights = dict(PRODUCT_WEIGHTS, futures_50k=0.42) if person.desk == "new_york" else PRODUCT_WEIGHTS
        if person.desk == "tokyo":
            weights = {"two_step": 0.7, "one_step": 0.3}
        chances = np.array(list(weights.values()))
        return str(self.rng.choice(list(weights), p=chances / chances.sum()))

    def seat(self, person: Person, style: Style, product: str, **changes: Any) -> Seat:
        """A seat of a person with a style, filled with the habits that honest traders have."""
        rng, market = self.rng, self.market
        starts = person.registered_ms + int(rng.exponential(0.8) * DAY_MS) + 20 * 60_000
        stays = int((15 + rng.exponential(85)) * DAY_MS)
        futures = product == "futures_50k"
        size = 50_000 if futures else int(rng.choice(SIZES, p=SIZE_WEIGHTS))
        stops = min(changes.pop("stops_ms", starts + stays), market.end_ms)
        plan = changes.pop("plan", None)
        plan = entries(style, market, rng, starts, stops) if plan is None else plan
        seat = Seat(
            person=person, product=product, size=size,
            currency="USD" if futures else DESK_CURRENCY[person.desk],
            platform="tradovate" if futures else str(rng.choice(PLATFORMS, p=PLATFORM_WEIGHTS)),
            style=style, plan=plan, funded_plan=plan, starts_ms=starts, stops_ms=stops,
            rebuys=float(rng.choice((0.3, 0.6, 0.8))), wait_days=float(rng.uniform(1, 9)),
            most_buys=int(rng.integers(1, 6)), appetite=float(rng.uniform(0.01, 0.04)),
            patient=bool(rng.random() < 0.85),
            hands=person.hands, funded_hands=person.hands, partner_id=self.partners.attract(rng),
        )  # fmt: skip
        seat = replace(seat, **changes)
        self.cast.seats.append(seat)
        return seat

    def _steady(self, style: Style) -> Style:
        """The style of someone who trades enough to be seen and loses little."""
        per_day, hold = float(self.rng.uniform(2.5, 5)), float(self.rng.uniform(15, 150))
        insight = float(self.rng.uniform(0.5, 0.56))
        return replace(
            style, per_day=per_day, hold_minutes=hold, insight=insight, risk=0.005, layers=1, chases_news=0.0
        )

    def _cash(self) -> str:
        return str(self.rng.choice(("two_step", "two_step", "one_step", "instant")))

    def _ordinary(self, place: int) -> None:
        person = self.cast.people[place]
        product = self._product(person)
        style = ordinary(self.rng, futures=product == "futures_50k")
        self.seat(person, style, product)
        if style.chases_news > 0:
            self.cast.look_alikes.append(("news_crowd", [person.trader_id]))
        if self.rng.random() < 0.006:
            hands = tuple(replace(one, device=JUNK_DEVICE) for one in person.hands[:1])
            self.cast.seats[-1].hands = self.cast.seats[-1].funded_hands = hands
            self.cast.look_alikes.append(("junk_device", [person.trader_id]))

    def _owners(self) -> None:
        """Several trader records of one human, who trade each on their own or as one."""
        for group in range(self._count(10)):
            places = self._take(int(self.rng.choice((2, 2, 3, 4))))
            if len(places) < 2:
                return
            people, ways = self._selves(places)
            self.cast.owners.append(([one.trader_id for one in people], ways))
            if group % 2:
                self._ring(people, mirror=group % 4 == 3, same_owner=True)
            else:
                for one in people:
                    product = self._product(one)
                    self.seat(one, ordinary(self.rng, product == "futures_50k"), product)

    def _selves(self, places: list[int]) -> tuple[list[Person], list[str]]:
        """The records of one human and how they are linked."""
        first = self._early(places[0])
        first = replace(first, hands=first.hands[:1], instruments=first.instruments[:1], kyc_after_funding=False)
        self.cast.people[places[0]] = first
        people, ways = [first], set[str]()
        for place in places[1:]:
            second, how = another_self(self.rng, first, self._early(place))
            self.cast.people[place] = second
            people.append(second)
            ways |= set(how)
        return people, sorted(ways)

    def _ring(self, members: list[Person], mirror: bool, same_owner: bool) -> None:
        """A leader and those who repeat it."""
        rng = self.rng
        lead, *others = members
        product = self._cash()
        style = self._steady(ordinary(rng, futures=False))
        if mirror:
            style = replace(style, insight=0.5, risk=0.009)
        common: dict[str, Any] = {"rebuys": 0.95, "wait_days": 1.0, "most_buys": 6, "stops_ms": self.market.end_ms}
        leader = self.seat(lead, style, product, **common)
        seats = [leader]
        for other in others:
            copying = abuse.any_copying(rng, mirror)
            own = replace(ordinary(rng, futures=False), per_day=0.6)
            follower = self.seat(
                other, own, product, leader=leader, copying=copying, own_trades=bool(rng.random() < 0.5), **common
            )
            follower.starts_ms = max(leader.starts_ms, other.registered_ms) + int(rng.uniform(0.1, 1.5) * DAY_MS)
            follower.size = leader.size if mirror else follower.size
            seats.append(follower)
        self.cast.rings.append((seats, "mirror" if mirror else "copy", same_owner))

    def _rings(self) -> None:
        """Strangers who copy or mirror each other, and people who copy between accounts of their own."""
        for _ in range(self._count(6)):
            places = self._take(int(self.rng.choice((2, 3, 3, 4, 6))))
            if len(places) > 1:
                self._ring([self._early(one) for one in places], mirror=False, same_owner=False)
        for _ in range(self._count(5)):
            places = self._take(2)
            if len(places) > 1:
                self._ring([self._early(one) for one in places], mirror=True, same_owner=False)
        for place in self._take(self._count(6)):
            person = self._early(place)
            self._ring([person, person], mirror=False, same_owner=True)
            self.cast.look_alikes.append(("own_accounts_copied", [person.trader_id]))

    def _families(self) -> None:
        """Strangers who run the same robot, or listen to the same signal room."""
        for family in range(self._count(2)):
            signals = abuse.robot_signals(self.market, self.rng)
            magic = int(self.rng.integers(10_000, 99_999))
            members = []
            for place in self._take(min(10, max(4, int(12 * self.scale)))):
                number = magic if family % 2 == 0 else int(self.rng.integers(1000, 999_999))
                plan = abuse.run_robot(signals, self.market, self.rng, number)
                members.append(self._member(place, ordinary(self.rng, futures=False), plan))
            self._family("robot", "same_robot", members)
        for _ in range(self._count(2)):
            calls = abuse.room_signals(self.market, self.rng)
            members = []
            for place in self._take(min(22, max(5, int(25 * self.scale)))):
                style = ordinary(self.rng, futures=False)
                heard = abuse.hear_room(calls, self.market, self.rng, style)
                own = entries(replace(style, per_day=0.8), self.market, self.rng, 0, self.market.end_ms)
                plan = np.sort(np.concatenate([heard, own]), order="open_ms", kind="stable")
                members.append(self._member(place, style, plan))
            self._family("signal_room", "signal_room", members)

    def _member(self, place: int, style: Style, plan: Array) -> Seat:
        return self.seat(self._early(place, 0.5), style, self._cash(), plan=plan)

    def _family(self, kind: str, look_alike: str, members: list[Seat]) -> None:
        if members:
            self.cast.families.append((kind, members))
            self.cast.look_alikes.append((look_alike, [seat.person.trader_id for seat in members]))

    def _behaviours(self) -> None:
        """Single accounts that are traded in forbidden ways."""
        end = self.market.end_ms
        kinds: tuple[tuple[str, int, Callable[[np.random.Generator], Style]], ...] = (
            ("latency_arbitrage", 4, abuse.latency_arbitrage),
            ("tick_scalping", 4, abuse.tick_scalping),
            ("all_in", 6, abuse.all_in),
            ("martingale", 5, abuse.martingale),
        )
        for kind, per_2000, manner in kinds:
            for place in self._take(self._count(per_2000)):
                self._plant(kind, self.seat(self._early(place, 0.6), manner(self.rng), self._cash(), most_buys=3))
        planned: tuple[tuple[str, int, Callable[[Market, np.random.Generator, int, int], Array]], ...] = (
            ("news_straddling", 5, abuse.news_straddle),
            ("grid", 4, abuse.grid),
        )
        for kind, per_2000, make in planned:
            places = self._take(self._count(per_2000))
            for place in places:
                person = self._early(place)
                plan = make(self.market, self.rng, person.registered_ms, end)
                style = ordinary(self.rng, futures=False)
                self._plant(kind, self.seat(person, style, self._cash(), plan=plan, stops_ms=end))
            if kind == "news_straddling":
                self._look_alike("news_straddlers", places)
        self._payout_gamers()
        self._passed_accounts()

    def _plant(self, kind: str, seat: Seat) -> None:
        seat.role = kind
        self.cast.behaviours.append((kind, seat))

    def _payout_gamers(self) -> None:
        """Winners split over the reset, filler days, a payout, and then the account is burnt."""
        end = self.market.end_ms
        for place in self._take(self._count(6)):
            person = self._early(place)
            style = replace(ordinary(self.rng, futures=False), funded_risk=1.0)
            plan = abuse.payout_gaming(self.market, self.rng, person.registered_ms + 2 * DAY_MS, end)
            after = abuse.burn(self.market, self.rng, person.registered_ms, end)
            seat = self.seat(
                person,
                style,
                "instant",
                plan=plan,
                stops_ms=end,
                after_payout=after,
                patient=False,
                most_buys=1,
                appetite=0.005,
            )
            self._plant("payout_gaming", seat)

    def _passed_accounts(self) -> None:
        """Clients of a passing service: its hand in the evaluation, their own once funded."""
        rng, end = self.rng, self.market.end_ms
        service = make_person(rng, "", 0, BY_CODE[str(rng.choice(("PK", "NG", "UA")))])
        clients = []
        for place in self._take(self._count(7)):
            person = self._early(place, 0.3)
            style, own = abuse.service_hand(rng, 0.68), abuse.unlike_service(rng)
            product = str(rng.choice(("one_step", "two_step")))
            seat = self.seat(
                person, own, product, rebuys=1.0, wait_days=0.6, most_buys=6, stops_ms=end,
                plan=entries(style, self.market, rng, 0, end), funded_plan=entries(own, self.market, rng, 0, end),
                hands=service.hands[:1],
            )  # fmt: skip
            self._plant("account_passing", seat)
            clients.append(person.trader_id)
        self.cast.look_alikes.append(("service_device", clients))

    def _trader_roles(self) -> None:
        """Abuse that shows in purchases, payments and papers rather than in trades."""
        for place in self._take(self._count(4)):
            self._farm(self._early(place))
        for place in self._take(self._count(6)):
            person = self._early(place)
            style = replace(ordinary(self.rng, False), risk=0.017)
            self.seat(person, style, self._cash(), rebuys=0.9, most_buys=3, wait_days=3.0)
            self.cast.disputers.add(person.trader_id)
        for place in self._take(self._count(6)):
            self._under_false_papers(place)
        for place in self._take(self._count(4)):
            person = self._early(place)
            style = replace(
                ordinary(self.rng, False), risk=0.022, per_day=5.0, insight=0.42, hold_minutes=60.0, layers=1
            )
            self.seat(person, style, self._cash(), rebuys=1.0, wait_days=0.7, most_buys=12, stops_ms=self.market.end_ms)
            self.cast.trader_signals.append(("recurring_breaches", person.trader_id))
        for _ in range(self._count(2)):
            self._refer_themselves()

    def _farm(self, person: Person) -> None:
        """Many evaluations side by side, each staked at once, so that one may pass by luck."""
        for _ in range(int(self.rng.integers(4, 7))):
            style = replace(abuse.all_in(self.rng), per_day=1.6)
            starts = person.registered_ms + int(self.rng.uniform(0.1, 8) * DAY_MS)
            seat = self.seat(
                person, style, "two_step", rebuys=0.9, wait_days=0.5, most_buys=3, stops_ms=starts + 45 * DAY_MS
            )
            seat.starts_ms = starts
            self._plant("all_in", seat)
        self.cast.trader_signals.append(("challenge_farming", person.trader_id))

    def _under_false_papers(self, place: int) -> None:
        """Papers of one country, hands in another."""
        person = self._early(place)
        true_home = COUNTRIES[int(self.rng.integers(len(COUNTRIES)))]
        if true_home.code == person.country:
            true_home = BY_CODE["NG" if person.country != "NG" else "PK"]
        hands = (Hands(person.hands[0].device, (home_ip(self.rng, true_home),), true_home.code),)
        person = replace(person, hands=hands, kyc_after_funding=True)
        self.cast.people[place] = person
        self.seat(person, self._steady(ordinary(self.rng, False)), self._cash())
        self.cast.trader_signals.append(("kyc_mismatch", person.trader_id))

    def _refer_themselves(self) -> None:
        """A partner who sells to their own second selves."""
        places = self._take(3)
        if len(places) < 2:
            return
        people, ways = self._selves(places)
        partner_id = self.partners.add_own(self.rng, people[0])
        for person in people:
            product = self._cash()
            self.seat(person, ordinary(self.rng, False), product, partner_id=partner_id, rebuys=0.9, most_buys=3)
        names = [person.trader_id for person in people]
        self.cast.owners.append((names, ways))
        self.cast.self_referrals.append((partner_id, names, ["payout_destination", "email", "click_device"]))

    def _innocents(self) -> None:
        """People whom a careless rule would accuse."""
        makers: tuple[tuple[str, int, Callable[[np.random.Generator], Style]], ...] = (
            ("scale_in", 14, scales_in),
            ("fast_manual", 14, fast_manual),
            ("swing", 12, swing),
        )
        for kind, per_2000, make in makers:
            places = self._take(self._count(per_2000))
            for place in places:
                self.seat(self._early(place, 0.6), make(self.rng), self._cash())
            self._look_alike(kind, places)
        retries = self._take(self._count(16))
        for place in retries:
            style = replace(ordinary(self.rng, False), risk=0.009)
            self.seat(self._early(place), style, self._cash(), rebuys=1.0, wait_days=9.0, most_buys=4)
        self._look_alike("honest_retry", retries)
        self._travellers()
        self._share_a_place()
        self._households()

    def _look_alike(self, kind: str, places: list[int]) -> None:
        self.cast.look_alikes.append((kind, [self.cast.people[place].trader_id for place in places]))

    def _travellers(self) -> None:
        """People who trade some weeks from abroad, with their own device and in their own way."""
        places = self._take(self._count(14))
        for place in places:
            person = self._early(place)
            abroad = COUNTRIES[int(self.rng.integers(len(COUNTRIES)))]
            leaves = person.registered_ms + int(self.rng.uniform(8, 25) * DAY_MS)
            away = (
                leaves,
                leaves + 16 * DAY_MS,
                Hands(person.hands[0].device, (home_ip(self.rng, abroad),), abroad.code),
            )
            self.seat(person, ordinary(self.rng, False), self._cash(), away=away, stops_ms=self.market.end_ms)
        self._look_alike("traveller", places)

    def _share_a_place(self) -> None:
        """Strangers in one café, and strangers who rent machines made from one image."""
        cafe = home_ip(self.rng, COUNTRIES[4])
        guests = self._take(self._count(30))
        for place in guests:
            person = self.cast.people[place]
            hands = tuple(replace(one, ips=(*one.ips, cafe)) for one in person.hands)
            self._ordinary_as(place, replace(person, hands=hands))
        self._look_alike("cafe", guests)
        image = token(self.rng, "dev_")
        tenants = self._take(self._count(14))
        for place in tenants:
            person = self.cast.people[place]
            extra = Hands(image, (f"45.77.{self.rng.integers(1, 255)}.{self.rng.integers(1, 255)}",), person.country)
            self._ordinary_as(place, replace(person, hands=(*person.hands, extra)))
        self._look_alike("vm_image", tenants)

    def _ordinary_as(self, place: int, person: Person) -> None:
        self.cast.people[place] = person
        self._ordinary(place)

    def _households(self) -> None:
        """Families under one roof, and strangers of the same name."""
        for _ in range(self._count(14)):
            places = self._take(int(self.rng.choice((2, 2, 3))))
            for place in places:
                person = self.cast.people[place]
                if place != places[0]:
                    person = relative(self.rng, self.cast.people[places[0]], person)
                self._ordinary_as(place, person)
            self._look_alike("household", places)
        for _ in range(self._count(6)):
            places = self._take(2)
            for place in places:
                person = self.cast.people[place]
                if place != places[0]:
                    person = namesake(self.rng, self.cast.people[places[0]], person)
                self._ordinary_as(place, person)
            self._look_alike("namesake", places)
