"""From lives to records: the rows of each dataset for one batch of people and seats."""

import zlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.demo.cast import Cast
from pipelines.demo.engine import REASONS
from pipelines.demo.lifecycle import Account, Challenge, Seat
from pipelines.demo.market import DAY_MS, HOUR_MS, MINUTE_MS, SYMBOLS, Market
from pipelines.demo.partners import Partners
from pipelines.demo.people import BY_CODE, Hands, Person, home_ip, plain, token
from pipelines.demo.styles import NOTES
from pipelines.demo.write import FeedWriter, Row

Array = np.ndarray[Any, Any]
DEPOSIT, PAYOUT = "initial balance", "payout"
DESKS = (
    ("prague", "Prague", "EUR", "Europe/Prague"),
    ("london", "London", "USD", "Europe/London"),
    ("new_york", "New York", "USD", "America/New_York"),
    ("tokyo", "Tokyo", "JPY", "Asia/Tokyo"),
)


class Ledger:
    """Writes what happened to one batch after the other, keeping the running numbers of payments and the like."""

    def __init__(self, writer: FeedWriter, market: Market, rng: np.random.Generator, partners: Partners) -> None:
        self.writer, self.market, self.rng, self.partners = writer, market, rng, partners
        self.numbers = {"K": 0, "Y": 0, "Q": 0, "S": 0}

    def _next(self, letter: str) -> str:
        self.numbers[letter] += 1
        return f"{letter}{self.numbers[letter]:07d}"

    def firm_wide(self) -> None:
        """Desks, news and exchange rates."""
        self.writer.rows("desks", DESKS)
        iso = self.writer.iso
        news = [(f"N{k:05d}", iso(e.at_ms), e.currency, e.impact, e.title) for k, e in enumerate(self.market.news, 1)]
        self.writer.rows("news", news)
        self.writer.rows("rates", self._rates())

    def _rates(self) -> list[Row]:
        """One rate per currency and day: that of the day's noon."""
        rows: list[Row] = []
        for day in range(self.market.end_ms // DAY_MS + 1):
            minute = min(day * 1440 + 720, self.market.minutes - 1)
            date = self.writer.iso(day * DAY_MS + 1)[:10]
            for index, currency in ((0, "USD"), (1, "EUR"), (2, "GBP"), (3, "JPY")):
                rows.append((currency, date, f"{self.market.usd[index, minute]:.6f}"))
        return rows

    def batch(self, cast: Cast) -> None:
        """Everything one batch of traders left behind."""
        accounts = sorted((a for seat in cast.seats for a in seat.accounts), key=lambda one: one.number)
        challenges = sorted((c for seat in cast.seats for c in seat.challenges), key=lambda one: one.number)
        self._partners()
        self.writer.rows("traders", self._traders(cast))
        self.writer.rows("consents", [row for person in cast.people for row in self._consents(person)])
        self._purchases(challenges, cast.disputers)
        self.writer.rows("accounts", [self._account(account) for account in accounts])
        self._deals(accounts)
        self._equity(accounts)
        self._logins(cast.seats)
        self._payouts(accounts)

    def _partners(self) -> None:
        rows = [
            (one.partner_id, one.name, one.parent, one.plan, one.email, one.destination, self.writer.iso(one.joined_ms))
            for one in self.partners.unwritten()
        ]
        if rows:
            self.writer.rows("partners", rows)

    def _traders(self, cast: Cast) -> list[Row]:
        """The trader records; papers are checked early, or only once the trader is funded."""
        funded: dict[str, int] = {}
        for seat in cast.seats:
            for account in seat.accounts:
                if not account.is_evaluation:
                    name = seat.person.trader_id
                    funded[name] = min(funded.get(name, account.opened_ms), account.opened_ms)
        return [self._trader(person, funded.get(person.trader_id, 0)) for person in cast.people]

    def _trader(self, person: Person, funded_ms: int) -> Row:
        checked = person.registered_ms + int(self.rng.uniform(0.1, 2) * DAY_MS)
        if person.kyc_after_funding:
            checked = funded_ms - HOUR_MS if funded_ms else 0
        known = bool(checked) and checked < self.market.end_ms
        status = person.kyc if known else "none"
        iso = self.writer.iso
        return (
            person.trader_id, person.name, person.email, person.phone, person.born.isoformat(), person.country,
            person.address, status, person.document if known else "",
            iso(checked) if known and status != "pending" else "", iso(person.registered_ms),
        )  # fmt: skip

    def _consents(self, person: Person) -> list[Row]:
        """What a trader said about being written to: most agree on registering, some of them take it back later.

        Chosen by the trader's name, so that nothing else of the firm depends on it.
        """
        chance = zlib.crc32(person.trader_id.encode()) % 100
        asked_ms = person.registered_ms + MINUTE_MS
        if chance >= 80 or asked_ms >= self.market.end_ms:
            return []
        said: list[Row] = [(person.trader_id, self.writer.iso(asked_ms), "yes" if chance < 65 else "no")]
        withdrawn_ms = asked_ms + (10 + chance) * DAY_MS
        if chance < 8 and withdrawn_ms < self.market.end_ms:
            said.append((person.trader_id, self.writer.iso(withdrawn_ms), "no"))
        return said

    def _purchases(self, challenges: list[Challenge], disputers: set[str]) -> None:
        """Challenges with the click that led to the first of each trader, and the payments for them."""
        bought: list[Row] = []
        clicks: list[Row] = []
        payments: list[Row] = []
        known: set[str] = set()
        for challenge in challenges:
            seat, click_id = challenge.seat, ""
            if seat.partner_id and seat.person.trader_id not in known:
                click_id = self._next("K")
                clicks.append(self._click(click_id, seat, challenge))
                clicks.extend(self._idle_clicks(seat.partner_id))
            known.add(seat.person.trader_id)
            bought.append(self._challenge(challenge, click_id))
            payments.extend(self._payments(challenge, disputers))
        self.writer.rows("challenges", bought)
        self.writer.rows("clicks", sorted(clicks, key=lambda row: str(row[2])))
        self.writer.rows("payments", sorted(payments, key=lambda row: str(row[7])))

    def _challenge(self, challenge: Challenge, click_id: str) -> Row:
        seat = challenge.seat
        coupon = ""
        if self.rng.random() < 0.3:
            coupon = self.partners.by_id(seat.partner_id).coupon if seat.partner_id else "HIGH10"
        return (
            challenge.challenge_id, seat.person.trader_id, seat.person.desk, seat.product,
            self.writer.iso(challenge.purchased_ms), _money(challenge.fee, seat.currency), seat.currency,
            seat.partner_id, click_id, coupon, challenge.instrument,
            challenge.reset_of.challenge_id if challenge.reset_of else "",
        )  # fmt: skip

    def _click(self, click_id: str, seat: Seat, challenge: Challenge) -> Row:
        """The click before a purchase, from the buyer's own device."""
        hands = seat.person.hands[0]
        at = challenge.purchased_ms - int(self.rng.lognormal(2.6, 1.0) * MINUTE_MS)
        return (click_id, seat.partner_id, self.writer.iso(at), hands.ips[0], hands.device)

    def _idle_clicks(self, partner_id: str) -> list[Row]:
        """Clicks that led to nothing."""
        rows: list[Row] = []
        for _ in range(int(self.rng.poisson(4))):
            land = BY_CODE[str(self.rng.choice(list(BY_CODE)))]
            at = int(self.rng.uniform(0, self.market.end_ms))
            row = (self._next("K"), partner_id, self.writer.iso(at), home_ip(self.rng, land), token(self.rng, "dev_"))
            rows.append(row)
        return rows

    def _payments(self, challenge: Challenge, disputers: set[str]) -> list[Row]:
        """The purchase, and for some a refund or a dispute."""
        rows = [self._payment(challenge, "purchase", challenge.purchased_ms)]
        name = challenge.seat.person.trader_id
        if name in disputers and challenge.breached_ms:
            rows.append(
                self._payment(challenge, "chargeback", challenge.breached_ms + int(self.rng.uniform(0.5, 9) * DAY_MS))
            )
        elif name not in disputers and self.rng.random() < 0.018:
            rows.append(
                self._payment(challenge, "refund", challenge.purchased_ms + int(self.rng.uniform(0.2, 13) * DAY_MS))
            )
        elif name not in disputers and self.rng.random() < 0.003:
            rows.append(
                self._payment(challenge, "chargeback", challenge.purchased_ms + int(self.rng.uniform(20, 60) * DAY_MS))
            )
        return [row for row in rows if row[7] < self.writer.iso(self.market.end_ms)]

    def _payment(self, challenge: Challenge, kind: str, at_ms: int) -> Row:
        seat = challenge.seat
        return (
            self._next("Y"), seat.person.trader_id, challenge.challenge_id, kind, challenge.instrument,
            _money(challenge.fee, seat.currency), seat.currency, self.writer.iso(at_ms),
        )  # fmt: skip

    def _account(self, account: Account) -> Row:
        seat, iso = account.challenge.seat, self.writer.iso
        server = f"Highwater-{seat.platform.upper()}-{1 + account.number % 2}"
        return (
            account.account_id, account.challenge.challenge_id, seat.person.trader_id, seat.person.desk, account.stage,
            seat.platform, 5_000_000 + account.number, server, seat.currency, _money(account.initial, seat.currency),
            iso(account.opened_ms), iso(account.closed_ms),
        )  # fmt: skip

    def _deals(self, accounts: list[Account]) -> None:
        """All deals of the batch in order of time, the opening deposits among them."""
        parts = [_with_deposit(account) for account in accounts]
        deals = np.concatenate(parts)
        sizes = [len(part) for part in parts]
        order = np.argsort(deals["at_ms"], kind="stable")
        number = (
            np.concatenate([np.arange(1, size + 1) for size in sizes])
            + np.repeat([a.number for a in accounts], sizes) * 100_000
        )
        plan = [_plan_columns(account, len(part)) for account, part in zip(accounts, parts, strict=True)]
        marks = np.concatenate(plan)[order]
        owner = np.repeat(np.array([a.account_id for a in accounts], dtype=object), sizes)[order]
        suffix = np.repeat([a.challenge.seat.platform == "mt4" for a in accounts], sizes)[order]
        base = np.repeat([a.number for a in accounts], sizes)[order] * 100_000
        self.writer.table("deals", self._deal_columns(deals[order], owner, number[order], base, marks, suffix))

    def _deal_columns(
        self, deals: Array, owner: Array, number: Array, base: Array, marks: Array, suffix: Array
    ) -> dict[str, Any]:
        """The contract's deal columns from the engine's records."""
        trade = deals["kind"] == 0
        names = np.array([symbol.name for symbol in SYMBOLS] + [""], dtype=object)[deals["symbol"]]
        names = np.where(suffix & trade, names + ".a", names)
        paid = np.where(deals["closes"] == 0, PAYOUT, DEPOSIT)
        note = np.array(NOTES, dtype=object)[marks["note"]]
        return {
            "account_id": pa.array(owner),
            "deal_id": pa.array(number.astype(str)),
            "position_id": _text((base + deals["position"]).astype(str), trade),
            "kind": pa.array(np.where(trade, "trade", "balance")),
            "entry": _text(np.where(deals["closes"] == 1, "out", "in"), trade),
            "side": _text(np.where(deals["side"] > 0, "buy", "sell"), trade),
            "symbol": _text(names, trade),
            "volume": _number(deals["volume"], trade, 2),
            "price": _number(deals["price"], trade, 5),
            "executed_at": self.writer.instants(deals["at_ms"]),
            "commission": pa.array(np.round(deals["commission"], 2)),
            "swap": pa.array(np.round(deals["swap"], 2)),
            "fee": pa.array(np.zeros(len(deals))),
            "profit": pa.array(np.round(deals["profit"], 2)),
            "stop_loss": _number(deals["stop"], deals["stop"] > 0, 5),
            "take_profit": _number(deals["target"], deals["target"] > 0, 5),
            "reason": _text(np.array(REASONS, dtype=object)[deals["reason"]], trade),
            "magic": pa.array(marks["magic"], mask=~(trade & (marks["magic"] > 0))),
            "comment": _text(np.where(trade, note, paid), ~trade | (marks["note"] > 0)),
        }

    def _equity(self, accounts: list[Account]) -> None:
        seen = np.concatenate([account.life.seen for account in accounts])
        owner = np.repeat(
            np.array([a.account_id for a in accounts], dtype=object), [len(a.life.seen) for a in accounts]
        )
        order = np.argsort(seen["at_ms"], kind="stable")
        columns = {
            "account_id": pa.array(owner[order]),
            "observed_at": self.writer.instants(seen["at_ms"][order]),
            "balance": pa.array(np.round(seen["balance"][order], 2)),
            "equity": pa.array(np.round(seen["equity"][order], 2)),
        }
        self.writer.table("equity", columns)

    def _logins(self, seats: list[Seat]) -> None:
        """One or two log-ins on each day of trading, from whoever trades the account."""
        rows: list[tuple[int, str, str, str, str, str]] = []
        for seat in seats:
            for account in seat.accounts:
                rows.extend(self._account_logins(seat, account))
        rows.sort()
        frame = pd.DataFrame(rows, columns=["at_ms", "trader_id", "ip", "account_id", "device_id", "country"])
        frame = frame.drop_duplicates(["at_ms", "trader_id", "ip"])
        columns: dict[str, Any] = {name: pa.array(frame[name].to_numpy(object)) for name in frame.columns[1:]}
        self.writer.table("logins", {"occurred_at": self.writer.instants(frame["at_ms"].to_numpy()), **columns})

    def _account_logins(self, seat: Seat, account: Account) -> list[tuple[int, str, str, str, str, str]]:
        opened = account.life.trips["open_ms"]
        _, firsts = np.unique(opened // DAY_MS, return_index=True)
        hands = seat.hands if account.is_evaluation else seat.funded_hands
        times = np.concatenate([[account.opened_ms + MINUTE_MS], opened[firsts]])
        times = times - (self.rng.uniform(20, 2000, len(times)) * 1000).astype(np.int64)
        picks = self.rng.random((len(times), 2))
        rows = []
        for at_ms, (which, where) in zip(times.tolist(), picks.tolist(), strict=True):
            one = _at_keyboard(seat, hands, at_ms, which)
            ip = one.ips[int(where * where * len(one.ips))]
            country = "NL" if ip.startswith("185.93.") else one.country
            rows.append(
                (
                    max(at_ms, seat.person.registered_ms),
                    seat.person.trader_id,
                    ip,
                    account.account_id,
                    one.device,
                    country,
                )
            )
        return rows

    def _payouts(self, accounts: list[Account]) -> None:
        """Requests, and the transfers for those that were approved."""
        asked: list[Row] = []
        sent: list[Row] = []
        for account in accounts:
            for request in account.life.requests:
                person, payout_id = account.challenge.seat.person, self._next("Q")
                amount = _money(float(request["amount"]), account.challenge.seat.currency)
                at = self.writer.iso(int(request["at_ms"]))
                asked.append((payout_id, account.account_id, at, amount, person.method, person.destination))
                if request["paid_ms"] > 0:
                    sent.extend(self._transfers(account, payout_id, request))
        self.writer.rows("payouts", asked)
        self.writer.rows("settlements", sent)

    def _transfers(self, account: Account, payout_id: str, request: Any) -> list[Row]:
        """The trader's share leaves the firm; now and then it fails first, comes back, or loses its reference."""
        seat = account.challenge.seat
        share = account.challenge.version.stages[account.stage]["split"]["percent"] / 100
        amount = float(request["amount"]) * share
        at = int(request["paid_ms"]) + int(self.rng.uniform(1, 30) * HOUR_MS)
        luck = self.rng.random()
        statuses = ["settled"]
        if luck < 0.04:
            statuses = ["failed", "settled"]
        elif luck < 0.055:
            statuses = ["returned"]
        rows: list[Row] = []
        for status in statuses:
            if at < self.market.end_ms:
                known = payout_id if luck < 0.985 else ""
                settlement_id, fee = (
                    self._next("S"),
                    _money(0.0 if status == "failed" else min(amount * 0.002, 25), seat.currency),
                )
                reference = f"{plain(seat.person.method).upper()}-{self.rng.integers(10**8, 10**9)}"
                row = (settlement_id, known, seat.person.destination, _money(amount, seat.currency), fee, seat.currency)
                rows.append((*row, self.writer.iso(at), status, reference))
            at += int(self.rng.uniform(4, 40) * HOUR_MS)
        return rows


def _at_keyboard(seat: Seat, hands: tuple[Hands, ...], at_ms: int, which: float) -> Hands:
    """Who trades at an instant: the usual hands, or those abroad while away."""
    if seat.away is not None and seat.away[0] <= at_ms < seat.away[1]:
        return seat.away[2]
    return hands[int(which * len(hands))]


def _money(amount: float, currency: str) -> str:
    """An amount with the currency's decimals."""
    return f"{amount:.0f}" if currency == "JPY" else f"{amount:.2f}"


def _text(values: Array, known: Array) -> pa.Array:
    """Text, null where it is not known."""
    return pa.array(values.astype(object), type=pa.string(), mask=~known)


def _number(values: Array, known: Array, digits: int) -> pa.Array:
    """Numbers, null where they are not known."""
    return pa.array(np.round(values, digits), mask=~known)


def _with_deposit(account: Account) -> Array:
    """The account's deals with the opening deposit before them."""
    deals = account.life.deals
    deposit = np.zeros(1, dtype=deals.dtype)
    one = deposit[0]
    one["at_ms"], one["kind"], one["closes"], one["profit"] = account.opened_ms, 1, 1, account.initial
    one["symbol"], one["row"], one["reason"] = -1, -1, 7
    return np.concatenate([deposit, deals])


def _plan_columns(account: Account, count: int) -> Array:
    """Magic number and comment of each deal, the deposit first."""
    marks = np.zeros(count, dtype=[("magic", "i8"), ("note", "i8")])
    rows = account.life.deals["row"]
    known = rows >= 0
    for name in ("magic", "note"):
        marks[name][1:][known] = account.plan[name][rows[known]]
    return marks
