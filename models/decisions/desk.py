"""Acting on payout requests. Every move is one transaction: state, decision, ledger and audit record, or nothing.

Two who act on the same request are told apart by the version they saw: the first wins, the second is told who and
what. The same holds in the database, whose triggers know the moves and the versions.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from models import access, audit, ledger
from models.access import ROLES, Person
from models.audit import Record
from models.decisions import approval, holds, machine
from models.decisions.book import Book
from models.decisions.holds import Hold
from models.decisions.machine import GRANTED, MoveRefused
from models.money import to_minor, written
from models.payouts import standing
from models.payouts.policy import Policy, in_force
from models.payouts.shares import Split
from sql import schema
from sql.desk_schema import DECISIONS, PAYOUT_NOTES, PAYOUT_STATES, PAYOUT_TRANSFERS

SYSTEM = Person("highwater", "automation")
BATCH_ITEMS = 500
BY_TRANSFER = ("send", "settle", "fail", "return")


class Overtaken(MoveRefused):
    """Somebody else has moved the request since it was looked at."""


@dataclass(frozen=True)
class State:
    """Where a request stands; amounts in minor units of its currency."""

    payout_id: str
    account_id: str
    desk_id: str
    currency: str
    state: str
    version: int
    profit_minor: int
    trader_minor: int | None
    firm_minor: int | None
    deducted_minor: int | None
    approvals_needed: int
    policy_version: int
    maker: str | None
    checker: str | None
    financier: str | None
    transfers: int
    updated_at: dt.datetime


@dataclass(frozen=True)
class Strip:
    """A trade that a reviewer takes out, and its profit in minor units."""

    trade_id: str
    minor: int


@dataclass(frozen=True)
class Done:
    """What became of one request of a batch."""

    payout_id: str
    done: bool
    told: str


@dataclass(frozen=True)
class _Review:
    """The published review of a request as cases stand now, with desk and currency of its account."""

    row: Mapping[str, Any]
    checks: Mapping[str, Mapping[str, Any]]

    @property
    def split(self) -> Split:
        return Split.told(self.checks["split"]["numbers"], self.row["currency"])

    @property
    def freeze(self) -> str | None:
        """The case that recommends a freeze of whose request this is, if one does."""
        case: str | None = self.row[standing.FREEZE]
        return case

    @property
    def told(self) -> str:
        """What it recommends, and what cases say where they say something."""
        case = self.checks.get("case", {})
        said: str = self.row["recommendation"]
        return f"{said}: {case['sentence'].rstrip('.')}" if case.get("outcome") == "failed" else said


@dataclass(frozen=True)
class _Known:
    """What the database holds of some requests when somebody acts on them; `scored`: whether accounts are at all."""

    reviews: Mapping[str, _Review]
    states: Mapping[str, State]
    bands: Mapping[str, str]
    scored: bool
    holds: Mapping[str, Hold]

    def review(self, payout_id: str) -> _Review:
        """The review of a request; MoveRefused when there is none to act on."""
        held = self.reviews.get(payout_id)
        if held is None:
            raise MoveRefused(f"Request {payout_id} has not been reviewed; highwater score does it.")
        if held.row["desk_id"] is None:
            raise MoveRefused(f"Request {payout_id} is held: its account is not known or was never judged.")
        return held


@dataclass(frozen=True)
class _Act:
    """One person's act, as every step of it needs it; what it makes is kept in its book.

    `left_at`: when the money left, where a transfer tells it.
    """

    known: _Known
    person: Person
    reason: str
    reason_code: str | None
    at: dt.datetime
    policy: Policy
    money_at: dt.datetime
    fee_minor: int = 0
    left_at: dt.datetime | None = None
    book: Book = field(default_factory=Book)


def state_of(connection: sa.Connection, payout_id: str) -> State | None:
    """Where a request stands, None while nobody has acted on it."""
    row = connection.execute(sa.select(PAYOUT_STATES).where(PAYOUT_STATES.c.payout_id == payout_id)).mappings().first()
    return State(**row) if row else None


def act(
    database: sa.Engine,
    person: Person,
    payout_id: str,
    action: str,
    seen: int = 0,
    *,
    reason: str = "",
    reason_code: str | None = None,
    strips: Sequence[Strip] = (),
    at: dt.datetime | None = None,
) -> State:
    """Does one thing to a request and gives where it then stands.

    `seen` is the version that the person looked at (0: nobody had acted). Raises Overtaken when it has moved since,
    MoveRefused when the machine or the policy does not allow it, AccessRefused when the person may not do it.
    """
    with database.begin() as connection:
        return act_within(
            connection, person, payout_id, action, seen, reason=reason, reason_code=reason_code, strips=strips, at=at
        )


def act_within(
    connection: sa.Connection,
    person: Person,
    payout_id: str,
    action: str,
    seen: int = 0,
    *,
    reason: str = "",
    reason_code: str | None = None,
    strips: Sequence[Strip] = (),
    at: dt.datetime | None = None,
) -> State:
    """As `act`, in the caller's transaction, which must be rolled back when this raises."""
    audit.lock(connection)
    now = at or dt.datetime.now(dt.UTC)
    doing = _Act(_known(connection, [payout_id]), person, reason.strip(), reason_code, now, in_force(now), now)
    try:
        state = _acted(doing, payout_id, action, seen, strips)
    except _Stale as stale:
        raise _overtaken(connection, payout_id, stale.state) from None
    _written(connection, doing.book, now, payout_id)
    return state


class _Stale(Exception):
    """The request is not where the person saw it."""

    def __init__(self, state: State | None) -> None:
        super().__init__()
        self.state = state


def _acted(doing: _Act, payout_id: str, action: str, seen: int, strips: Sequence[Strip]) -> State:
    """Everything that one act makes, in its book; nothing is written yet."""
    review = doing.known.review(payout_id)
    access.require(doing.person, machine.PERMISSIONS.get(action, "nothing"), review.row["desk_id"])
    if action in machine.NEEDS_REASON and not doing.reason:
        raise MoveRefused(f"To {action} a request, say why.")
    state = doing.known.states.get(payout_id)
    if (state.version if state else 0) != seen:
        raise _Stale(state)
    state = state or _opened(doing, review)
    if state.state in ("checks_passed", "checks_failed") and action != "take":
        state = _move(doing, state, "take")
    return _ACTS.get(action, _plain_act)(doing, state, action, review, strips)


def _written(connection: sa.Connection, book: Book, at: dt.datetime, what: str) -> None:
    if not book.write(connection, at):
        raise Overtaken(f"{what} was moved meanwhile by somebody else.")


def told_by_transfer(
    connection: sa.Connection,
    payout_id: str,
    action: str,
    reason: str,
    money_at: dt.datetime,
    fee_minor: int = 0,
    *,
    at: dt.datetime | None = None,
) -> State:
    """Moves a granted request as its transfer was told, by automation; the money moved at `money_at`.

    A debt is paid only once it stands: money that left before its grant is booked on it with the grant.
    In the caller's transaction, which must be rolled back when this raises MoveRefused.
    """
    now = at or dt.datetime.now(dt.UTC)
    audit.lock(connection)
    known = _known(connection, [payout_id])
    review, state = known.review(payout_id), known.states.get(payout_id)
    if state is None or action not in BY_TRANSFER:
        raise MoveRefused(f"{payout_id} is not moved by {action}.")
    when = booked_at(connection, state, money_at)
    doing = _Act(known, SYSTEM, reason, None, now, in_force(now), when, fee_minor, money_at)
    moved = _ACTS.get(action, _plain_act)(doing, state, action, review, ())
    _written(connection, doing.book, now, payout_id)
    return moved


def booked_at(connection: sa.Connection, state: State, money_at: dt.datetime) -> dt.datetime:
    """When money that moved at an instant is booked on a request: not before the transfer that pays it was begun."""
    query = sa.select(PAYOUT_TRANSFERS.c.begun_at)
    wanted = PAYOUT_TRANSFERS.c.transfer_id == f"{state.payout_id}-{state.transfers}"
    begun: list[dt.datetime] = list(connection.execute(query.where(wanted)).scalars())
    return max([money_at, *begun])


def _known(connection: sa.Connection, payout_ids: Sequence[str]) -> _Known:
    """Reads what is held of some requests."""
    reviews, accounts, scores = schema.PAYOUT_REVIEWS, schema.ACCOUNT_STATUS, schema.RISK_SCORES
    told = [accounts.c[name] for name in ("trader_id", "desk_id", "currency", "status")]
    query = sa.select(reviews, *told, scores.c.band)
    query = query.join(accounts, reviews.c.account_id == accounts.c.account_id, isouter=True)
    query = query.join(scores, reviews.c.account_id == scores.c.account_id, isouter=True)
    rows = connection.execute(query.where(reviews.c.payout_id.in_(payout_ids)))
    names = tuple(rows.keys())
    found = standing.as_of_now(connection, [dict(zip(names, row, strict=True)) for row in rows])
    states = connection.execute(sa.select(PAYOUT_STATES).where(PAYOUT_STATES.c.payout_id.in_(payout_ids))).mappings()
    return _Known(
        {row["payout_id"]: _Review(row, {one["check"]: one for one in json.loads(row["checks"])}) for row in found},
        {row["payout_id"]: State(**row) for row in states},
        {row["account_id"]: row["band"] for row in found if row["band"] is not None},
        connection.execute(sa.select(scores.c.account_id).limit(1)).first() is not None,
        holds.held(connection, PAYOUT_STATES.c.payout_id.in_(payout_ids)),
    )


def _desk_of(connection: sa.Connection, payout_id: str) -> str:
    """The desk of a reviewed request."""
    desk: str = _known(connection, [payout_id]).review(payout_id).row["desk_id"]
    return desk


def _overtaken(connection: sa.Connection, payout_id: str, state: State | None) -> Overtaken:
    """Who moved a request meanwhile, what they did and where it stands."""
    last = connection.execute(
        sa.select(DECISIONS.c.person, DECISIONS.c.action)
        .where(DECISIONS.c.payout_id == payout_id)
        .order_by(DECISIONS.c.version.desc())
        .limit(1)
    ).first()
    who, what = (last[0], last[1]) if last else ("nobody", "moved")
    standing = state.state.replace("_", " ") if state else "untouched"
    return Overtaken(f"{payout_id} was moved meanwhile by {who} ({what.replace('_', ' ')}): it is {standing} now.")


def _opened(doing: _Act, review: _Review) -> State:
    """A request's first state, and that its checks were seen."""
    if _paid_in_feed(review):
        raise MoveRefused(f"{review.row['payout_id']} has been paid already, says its transfer.")
    row, currency = review.row, review.row["currency"]
    parts = [row[name] for name in ("trader_share", "firm_share", "deductions")]
    known = all(part is not None for part in parts)
    minor = [to_minor(part, currency) if known else None for part in parts]
    amount = row["amount"]
    profit = sum(part or 0 for part in minor) if known else to_minor(amount or 0, currency)
    state = State(
        row["payout_id"],
        row["account_id"],
        row["desk_id"],
        currency,
        "requested",
        1,
        profit,
        minor[0],
        minor[1],
        minor[2],
        1,
        doing.policy.version,
        None,
        None,
        None,
        0,
        doing.at,
    )
    doing.book.begins(vars(state))
    _decided(doing, SYSTEM, state, "request", "", review.row["recommendation"])
    held = review.row["recommendation"] == "approve"
    return _move(doing, state, "pass_checks" if held else "fail_checks", by=SYSTEM)


def _paid_in_feed(review: _Review) -> bool:
    numbers: Mapping[str, Any] = review.checks.get("transfer", {}).get("numbers", {})
    return bool(numbers.get("paid"))


def _move(
    doing: _Act,
    state: State,
    action: str,
    by: Person | None = None,
    stripped: Sequence[Strip] = (),
    why: str = "",
    **changes: Any,
) -> State:
    """One move: the state with its version, the decision and the audit record; `why` is the reason of automation."""
    to_state = machine.after(state.state, action)
    person = by or doing.person
    values = vars(state) | changes | {"state": to_state, "version": state.version + 1, "updated_at": doing.at}
    moved = State(**values)
    doing.book.moves(vars(moved))
    _decided(doing, person, moved, action, state.state, None, stripped, why)
    return moved


def _decided(
    doing: _Act,
    person: Person,
    state: State,
    action: str,
    before: str,
    recommendation: str | None,
    stripped: Sequence[Strip] = (),
    why: str = "",
) -> None:
    own = person is doing.person
    row = {
        "payout_id": state.payout_id,
        "version": state.version,
        "action": action,
        "from_state": before,
        "to_state": state.state,
        "person": person.name,
        "role": person.role,
        "reason": doing.reason if own else why,
        "reason_code": doing.reason_code if own else None,
        "recommendation": recommendation,
        "stripped": json.dumps([vars(one) for one in stripped]),
        "trader_minor": state.trader_minor,
        "deducted_minor": state.deducted_minor,
        "policy_version": doing.policy.version,
        "happened_at": doing.at,
    }
    doing.book.decisions.append(row)
    after = {name: row[name] for name in ("to_state", "version", "trader_minor", "deducted_minor", "policy_version")}
    doing.book.records.append(
        Record(
            person.name,
            f"payout {action.replace('_', ' ')}",
            f"payout:{state.payout_id}",
            str(row["reason"]),
            person.role,
            {"state": before},
            after | {"reason_code": row["reason_code"], "stripped": [one.trade_id for one in stripped]},
        )
    )


def _plain_act(doing: _Act, state: State, action: str, _review: _Review, _strips: Sequence[Strip]) -> State:
    """A move that changes nothing but the state."""
    return _move(doing, state, action)


def _grant(doing: _Act, state: State, action: str, review: _Review, strips: Sequence[Strip]) -> State:
    """Approves, whole or with trades stripped, and passes the request on to whoever must agree."""
    if state.trader_minor is None or state.firm_minor is None or state.deducted_minor is None:
        raise MoveRefused(f"{state.payout_id} cannot be paid: what it is worth is not known.")
    wanted = "approve" if action == "approve" else "deduct"
    if wanted == "approve" and (strips or state.deducted_minor):
        raise MoveRefused(f"{state.payout_id} is paid with deductions: deduct, do not approve.")
    if wanted == "deduct" and not (strips or state.deducted_minor):
        raise MoveRefused("Name the trades to strip, or approve.")
    _not_taken_twice(review, strips)
    amounts = _stripped_amounts(state, review, strips)
    override, case = review.row["recommendation"] != wanted or bool(strips), review.freeze
    if (override or case) and (not doing.reason or not doing.reason_code):
        against = f"{case} recommends a freeze" if case else f"The review says {review.row['recommendation']}"
        asked = (("a reason", doing.reason), ("a reason of the list", doing.reason_code))
        lacks = " and ".join(name for name, given in asked if not given)
        raise MoveRefused(f"{against}: to {wanted} give {lacks}.")
    people, why = _people_needed(doing.known, review, doing.policy, override=override)
    state = _move(doing, state, action, stripped=strips, maker=doing.person.name, approvals_needed=people, **amounts)
    if people > 1:
        return _move(doing, state, "submit", by=SYSTEM, why=why)
    return _queued(doing, state, "queue", by=SYSTEM)


def _not_taken_twice(review: _Review, strips: Sequence[Strip]) -> None:
    """A trade whose profit a rule has taken in the review has nothing left to strip."""
    numbers = review.checks.get("stripped_trades", {}).get("numbers", {})
    taken = {one["trade_id"]: one["rule"] for one in numbers.get("trades", ())}
    for strip in strips:
        if strip.trade_id in taken:
            rule = taken[strip.trade_id].replace("_", " ")
            raise MoveRefused(f"Trade {strip.trade_id} is deducted already: {rule}.")


def _stripped_amounts(state: State, review: _Review, strips: Sequence[Strip]) -> dict[str, Any]:
    """Amounts after further trades are taken out; MoveRefused when nothing would be left."""
    payable, trader, firm, deducted = preview(state, review.split, strips)
    if payable <= 0 or trader <= 0:
        raise MoveRefused(f"Nothing would be left of {state.payout_id}: reject it.")
    return {"trader_minor": trader, "firm_minor": firm, "deducted_minor": deducted}


def open_to(person: Person, now: str, held: State | None, hold: Hold | None = None) -> list[str]:
    """What a person may do with a request that is in state `now`: what they decided somebody else must agree to."""
    actions = machine.actions(now) if hold is None else list(machine.OF_HOLDS)
    possible = [one for one in actions if person.may(machine.PERMISSIONS[one])]
    if held is None:
        return possible
    if person.name == held.maker:
        possible = [one for one in possible if one not in machine.AGREEING]
    if person.name == held.checker or (now == "finance_approval" and not person.may("payouts.finance")):
        possible = [one for one in possible if one != "confirm"]
    return possible


def roles_for(now: str, held: State | None, hold: Hold | None = None) -> list[str]:
    """The roles of which somebody may do something with a request that is in state `now`."""
    by_nobody = held and replace(held, maker=None, checker=None)
    return [role for role in ROLES if open_to(Person("", role), now, by_nobody, hold)]


def preview(state: State, split: Split, strips: Iterable[Strip]) -> tuple[int, int, int, int]:
    """What would be paid with trades taken out: payable, trader's and firm's share, deductions (minor units)."""
    taken = {one.trade_id: one.minor for one in strips}
    if any(minor <= 0 for minor in taken.values()):
        raise MoveRefused("Only profits can be stripped.")
    payable = max(state.profit_minor - (state.deducted_minor or 0) - sum(taken.values()), 0)
    trader = split.of(payable)
    return payable, trader, payable - trader, state.profit_minor - payable


def who_must_agree(
    connection: sa.Connection, payout_id: str, *, override: bool, at: dt.datetime | None = None
) -> tuple[int, str]:
    """How many people must agree to pay a reviewed request and why in words, told before anybody decides.

    `override`: whether it would be paid otherwise than recommended. MoveRefused where it cannot be acted on.
    """
    known = _known(connection, [payout_id])
    return _people_needed(known, known.review(payout_id), in_force(at or dt.datetime.now(dt.UTC)), override=override)


def _people_needed(known: _Known, review: _Review, policy: Policy, *, override: bool) -> tuple[int, str]:
    """How many must agree, and why in words; what an analyst wants frozen is never one person's to pay."""
    band, case = known.bands.get(review.row["account_id"]), review.freeze
    why = approval.reasons_for_two(review.checks, band, override=override, scored=known.scored, policy=policy)
    why += [f"{case} recommends a freeze"] if case else []
    return approval.needed(why, review.checks, policy), ", ".join(why)


def _queued(doing: _Act, state: State, action: str, by: Person | None = None, **changes: Any) -> State:
    """Grants a request: it owes the trader from now on, under a transfer id of its own."""
    state = _move(doing, state, action, by=by, transfers=state.transfers + 1, **changes)
    assert state.trader_minor is not None and state.firm_minor is not None
    entries = ledger.granted(
        state.payout_id, state.version, state.trader_minor, state.firm_minor, state.currency, doing.at
    )
    doing.book.entries += entries
    _begin_transfer(doing, state, doing.known.review(state.payout_id).row["status"])
    return state


def _begin_transfer(doing: _Act, state: State, account_status: str | None = None) -> None:
    doing.book.transfers.append(
        {
            "transfer_id": f"{state.payout_id}-{state.transfers}",
            "payout_id": state.payout_id,
            "attempt": state.transfers,
            "minor": state.trader_minor,
            "currency": state.currency,
            "begun_at": doing.at,
            "account_status": account_status,
        }
    )


def _send(doing: _Act, state: State, action: str, _review: _Review, _strips: Sequence[Strip]) -> State:
    """Money goes out, unless the account ended since it was granted and nobody else has looked.

    What a provider tells of a transfer that left before the end is taken in.
    """
    hold = doing.known.holds.get(state.payout_id)
    if hold is not None and (doing.left_at is None or doing.left_at > hold.ended_at):
        raise MoveRefused(f"{state.payout_id} is held: {hold.told}. Somebody else must release it.")
    return _move(doing, state, action)


def _held(doing: _Act, state: State) -> Hold:
    """The hold on a request, looked at by another than who granted it."""
    hold = doing.known.holds.get(state.payout_id)
    if hold is None:
        raise MoveRefused(f"{state.payout_id} is not held.")
    if doing.person.name == state.maker:
        raise MoveRefused(f"{doing.person.name} granted {state.payout_id}: somebody else must look at it.")
    return hold


def _release(doing: _Act, state: State, action: str, _review: _Review, _strips: Sequence[Strip]) -> State:
    """Lets the money of a held request go all the same; it stands where it stood."""
    hold, person = _held(doing, state), doing.person
    row = {"payout_id": state.payout_id, "version": state.version, "account_status": hold.status, "told": hold.told}
    who = {"person": person.name, "role": person.role, "reason": doing.reason}
    doing.book.releases.append({"release_id": uuid.uuid4().hex} | row | who | {"released_at": doing.at})
    subject, before = f"payout:{state.payout_id}", {"state": state.state, "held": hold.told}
    record = Record(person.name, f"payout {action}", subject, doing.reason, person.role, before, {"state": state.state})
    doing.book.records.append(record)
    return state


def _withhold(doing: _Act, state: State, _action: str, review: _Review, strips: Sequence[Strip]) -> State:
    """Takes a held request back: no transfer goes out, and what was granted is owed no more."""
    _held(doing, state)
    return _cancel(doing, _move(doing, state, "fail"), "cancel", review, strips)


def _confirm(doing: _Act, state: State, _action: str, _review: _Review, _strips: Sequence[Strip]) -> State:
    """A second, and for the largest amounts a third, person agrees."""
    if doing.person.name in (state.maker, state.checker):
        raise MoveRefused(f"{doing.person.name} has already decided on {state.payout_id}: somebody else must agree.")
    if state.state == "finance_approval":
        access.require(doing.person, "payouts.finance", state.desk_id)
        return _queued(doing, state, "confirm", financier=doing.person.name)
    if state.approvals_needed > 2:
        return _move(doing, state, "escalate", checker=doing.person.name)
    return _queued(doing, state, "confirm", checker=doing.person.name)


def _refuse(doing: _Act, state: State, action: str, review: _Review, _strips: Sequence[Strip]) -> State:
    """Sends a decision back to be made anew."""
    if doing.person.name == state.maker:
        raise MoveRefused(f"{doing.person.name} decided on {state.payout_id}: somebody else must look at it.")
    return _move(doing, state, action, **_as_asked(state, review), maker=None, checker=None, approvals_needed=1)


def _as_asked(state: State, review: _Review) -> dict[str, Any]:
    """The amounts that the review gave, without what a reviewer stripped."""
    names = {"trader_minor": "trader_share", "firm_minor": "firm_share", "deducted_minor": "deductions"}
    return {key: to_minor(review.row[name], state.currency) for key, name in names.items()}


def _reject(doing: _Act, state: State, action: str, _review: _Review, _strips: Sequence[Strip]) -> State:
    """Rejects, by a reason of the list."""
    if doing.reason_code not in machine.REASON_CODES:
        raise MoveRefused("A rejection needs a reason of the list.")
    return _move(doing, state, action, maker=doing.person.name)


def _appeal_answer(doing: _Act, state: State, action: str, review: _Review, _strips: Sequence[Strip]) -> State:
    """Upholds or overturns a rejection; never by who rejected. An overturned one needs a second person again."""
    if doing.person.name == state.maker:
        raise MoveRefused(f"{doing.person.name} rejected {state.payout_id}: an appeal goes to somebody else.")
    if action == "uphold":
        return _move(doing, state, action)
    if state.trader_minor is None or state.trader_minor <= 0:
        raise MoveRefused(f"{state.payout_id} cannot be paid: nothing of it is due.")
    people, why = _people_needed(doing.known, review, doing.policy, override=True)
    state = _move(doing, state, action, maker=doing.person.name, checker=None, approvals_needed=max(2, people))
    return _move(doing, state, "submit", by=SYSTEM, why=why or "an appeal was granted")


def _cancel(doing: _Act, state: State, action: str, _review: _Review, _strips: Sequence[Strip]) -> State:
    """Cancels without blame; what was granted and never arrived is taken back."""
    moved = _move(doing, state, action)
    if state.state in ("failed", "returned"):
        assert state.trader_minor is not None and state.firm_minor is not None
        doing.book.entries += ledger.withdrawn(
            state.payout_id, moved.version, state.trader_minor, state.firm_minor, state.currency, doing.at
        )
    return moved


def _requeue(doing: _Act, state: State, action: str, _review: _Review, _strips: Sequence[Strip]) -> State:
    """Sends again under a new transfer id; the old one is never used again."""
    moved = _move(doing, state, action, transfers=state.transfers + 1)
    _begin_transfer(doing, moved)
    return moved


def _settle(doing: _Act, state: State, action: str, _review: _Review, _strips: Sequence[Strip]) -> State:
    """The money arrived: the debt is gone."""
    moved = _move(doing, state, action)
    assert state.trader_minor is not None
    key = f"transfer:{state.payout_id}-{state.transfers}"
    entries = ledger.transferred(
        key, state.payout_id, state.trader_minor, doing.fee_minor, state.currency, doing.money_at
    )
    doing.book.entries += entries
    return moved


def _return(doing: _Act, state: State, action: str, _review: _Review, _strips: Sequence[Strip]) -> State:
    """The money came back: the debt stands again, if it was gone."""
    moved = _move(doing, state, action)
    if state.state == "settled":
        assert state.trader_minor is not None
        key = f"transfer:{state.payout_id}-{state.transfers}"
        doing.book.entries += ledger.came_back(key, state.payout_id, state.trader_minor, state.currency, doing.money_at)
    return moved


_ACTS = {
    "approve": _grant,
    "deduct": _grant,
    "confirm": _confirm,
    "refuse": _refuse,
    "reject": _reject,
    "uphold": _appeal_answer,
    "overturn": _appeal_answer,
    "cancel": _cancel,
    "requeue": _requeue,
    "release": _release,
    "withhold": _withhold,
    "send": _send,
    "settle": _settle,
    "return": _return,
}


def approve_clean(
    database: sa.Engine, person: Person, payout_ids: Sequence[str], at: dt.datetime | None = None
) -> list[Done]:
    """Approves requests that the review recommends and nobody has touched, each by itself; tells of each what became.

    A batch is written in parts of BATCH_ITEMS: who pulls the plug finds whole parts or none, never half a decision.
    """
    told: list[Done] = []
    for start in range(0, len(payout_ids), BATCH_ITEMS):
        with database.begin() as connection:
            told += _clean_part(connection, person, payout_ids[start : start + BATCH_ITEMS], at)
    return told


def _clean_part(
    connection: sa.Connection, person: Person, payout_ids: Sequence[str], at: dt.datetime | None
) -> list[Done]:
    """One transaction of a batch: read together, decided one by one, written together."""
    audit.lock(connection)
    now = at or dt.datetime.now(dt.UTC)
    known, policy, whole, told = _known(connection, payout_ids), in_force(now), Book(), []
    seen: set[str] = set()
    for payout_id in payout_ids:
        doing = _Act(known, person, "", None, now, policy, now)
        done = _one_clean(connection, doing, payout_id, again=payout_id in seen)
        seen.add(payout_id)
        told.append(done)
        if done.done:
            whole.add(doing.book)
    _written(connection, whole, now, "One of these requests")
    return told


def _one_clean(connection: sa.Connection, doing: _Act, payout_id: str, *, again: bool) -> Done:
    try:
        review = doing.known.review(payout_id)
        if again:
            raise MoveRefused(f"{payout_id} is twice in this batch.")
        if case := review.freeze:
            raise MoveRefused(f"{case} recommends a freeze: open it.")
        if review.row["recommendation"] != "approve":
            raise MoveRefused(f"The review says {review.told}. Open it.")
        state = _acted(doing, payout_id, "approve", 0, ())
    except (MoveRefused, access.AccessRefused) as refused:
        return Done(payout_id, False, str(refused))
    except _Stale as stale:
        return Done(payout_id, False, str(_overtaken(connection, payout_id, stale.state)))
    amount = f"{written(state.trader_minor or 0, state.currency)} {state.currency}"
    told = f"{amount} queued" if state.state in GRANTED else f"{amount} waits for {state.approvals_needed - 1} more"
    return Done(payout_id, True, told)


def note(database: sa.Engine, person: Person, payout_id: str, text: str, at: dt.datetime | None = None) -> str:
    """Leaves a note on a request; returns its id. MoveRefused for an empty one."""
    if not text.strip():
        raise MoveRefused("An empty note says nothing.")
    now, note_id = at or dt.datetime.now(dt.UTC), uuid.uuid4().hex
    with database.begin() as connection:
        audit.lock(connection)
        access.require(person, "payouts.note", _desk_of(connection, payout_id))
        connection.execute(
            sa.insert(PAYOUT_NOTES).values(
                note_id=note_id, payout_id=payout_id, person=person.name, note=text.strip(), written_at=now
            )
        )
        record = Record(person.name, "payout note", f"payout:{payout_id}", role=person.role, after={"note_id": note_id})
        audit.append(connection, record, at=now)
    return note_id
