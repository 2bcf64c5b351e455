"""Commissions as of an instant: every posting with its state, a period's statement, the dry run of other plans."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import duckdb
import numpy as np
import pandas as pd
import sqlalchemy as sa

from models import attribution, partner_desk
from models.commissions.book import (
    EVENT_COLUMNS,
    TREE_COLUMNS,
    Book,
    compile_book,
    listing,
    minor_places,
    minor_units,
    places,
)
from models.commissions.kept import in_force
from models.commissions.paying import paid
from models.commissions.plans import Plans
from models.commissions.posting import (
    AMOUNT,
    BY_FEES,
    CURRENCY,
    EVENT,
    EXCESS,
    IN_PLAN,
    O_BY,
    O_CONVERT,
    O_CURRENCY,
    O_OF_FEE,
    OWN,
    REFUND,
    REVERSED,
    ROW,
    SOURCE,
    UNKNOWN,
    WHAT,
    WHATS,
    Array,
    post_all,
)
from models.money import from_minor
from sql import relations

PUBLISHED = ("partner_id", "challenge_id", "event", "level", "amount", "currency", "state", "happened_at")
COLUMNS = (*PUBLISHED, "due_at", "plan", "plan_version", "event_id", "trader_id", "held_because", "source")
TRANSFERS = ("destination", "amount", "currency", "settled_at")
ON_HOLD = "on hold"
"""Why an entry waits that a person has wait; the person's reason is not told to the partner."""
STATES = ("accrued", "held", "payable", "paid", "reversed")
DAY = 86_400_000_000
"""Microseconds."""


@dataclass(frozen=True)
class Settled:
    """Commission entries (`COLUMNS`, amounts in units of their currency), what was refused or held, in words, and by
    what they were settled: the plans, and where each partner stands in the tree now."""

    entries: pd.DataFrame
    log: list[str] = field(default_factory=list)
    plans: Plans = field(default_factory=lambda: Plans({}))
    places: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def commissions(self) -> pd.DataFrame:
        """The published table."""
        return self.entries[list(PUBLISHED)]


def settle(
    events: pd.DataFrame,
    credits: pd.DataFrame,
    tree: pd.DataFrame,
    plans: Plans,
    as_of: dt.datetime,
    *,
    rates: pd.DataFrame,
    transfers: pd.DataFrame | None = None,
) -> Settled:
    """Posts every event up to `as_of` from the start and says in what state each entry is then.

    An entry is accrued within the refund window of its purchase, held until the chargeback window has passed too (or
    while a reason to hold it stands), payable after that, paid once transfers to the partner cover it in order of
    falling due, and reversed when the fee it came from was returned in full before it was paid.
    Frames as in `compile_book`; transfers: partner_id, amount, currency, settled_at.
    """
    before = events.loc[events["happened_at"] <= pd.Timestamp(as_of), list(EVENT_COLUMNS)]
    book = compile_book(before, credits, tree, plans, rates)
    desk = book.desk()
    entries = _frame(book, np.ascontiguousarray(post_all(desk).T), as_of)
    written = _write_offs(entries, transfers, book, as_of)
    if len(written):
        entries = pd.concat([entries, written], ignore_index=True)
    entries["state"] = paid(entries, transfers, as_of)
    log = [*book.remarks, *_beyond_fee(book, desk.challenges[:, EXCESS]), *_held(entries)]
    log += _sent_beyond(entries, transfers, as_of)
    entries["amount"] = entries["minor"].to_numpy() / 10.0 ** minor_places(entries["currency"])
    return Settled(pd.DataFrame({name: entries[name] for name in COLUMNS}, copy=False), log)


def _frame(book: Book, posted: Array, as_of: dt.datetime) -> pd.DataFrame:
    """Postings, a column each in `posted`, with the names behind their numbers and their states before transfers."""
    challenge, level, partner, plan, base = (
        book.rows[name].to_numpy()[posted[ROW]] for name in ("challenge", "level", "partner", "plan", "base")
    )
    refund_days, hold_days = _holds(book)[:, book.rows["plan"].to_numpy()[base]]
    happened, bought = book.events["at"].to_numpy()[posted[EVENT]], book.challenges["at"].to_numpy()[challenge]
    due = np.maximum(happened, bought + hold_days * DAY)
    held_because = _reasons(book, posted, plan, base)
    versions = np.array([None if v is None else v.version for v in book.versions], dtype=object)
    columns = {
        "partner_id": book.partners[partner],
        "challenge_id": book.challenges["challenge_id"].to_numpy()[challenge],
        "event": np.array(WHATS, dtype=object)[posted[WHAT]],
        "level": level,
        "minor": posted[AMOUNT],
        "currency": _currencies(book, posted, challenge),
        "state": _states(posted, due, bought + refund_days * DAY, held_because, as_of),
        "happened_at": _instants(happened),
        "due_at": _instants(due),
        "plan": _plan_names(book)[plan],
        "plan_version": versions[plan],
        "event_id": book.events["event_id"].to_numpy()[posted[EVENT]],
        "trader_id": book.challenges["trader_id"].to_numpy()[challenge],
        "held_because": held_because,
        "source": posted[SOURCE],
    }
    return pd.DataFrame(columns, copy=False)


def _instants(micros: Array) -> pd.Series[Any]:
    return pd.Series(micros.astype("datetime64[us]")).dt.tz_localize("UTC")


def _holds(book: Book) -> Array:
    """Days for which each plan version's commissions accrue, and until they may be paid."""
    refund = np.array([0 if v is None else v.refund_days for v in book.versions], np.int64)
    chargeback = np.array([0 if v is None else v.chargeback_days for v in book.versions], np.int64)
    return np.stack([refund, np.maximum(refund, chargeback)])


def _plan_names(book: Book) -> Array:
    names = [None] * len(book.versions)
    for number, plan in book.plan_of.items():
        names[number] = plan  # type: ignore[call-overload]
    return np.array(names, dtype=object)


def _currencies(book: Book, posted: Array, challenge: Array) -> Array:
    """An entry's currency: its plan's, else that of the event (of the fee for what hangs on the fee)."""
    of_fee, of_event = book.challenges["currency"].to_numpy()[challenge], book.events["currency"].to_numpy()
    own = np.where(posted[WHAT] == WHATS.index("profit_share"), of_event[posted[EVENT]], of_fee)
    number = np.where(posted[CURRENCY] == OWN, own, posted[CURRENCY])
    return np.array([*book.currencies, None], dtype=object)[number]


def _reasons(book: Book, posted: Array, plan: Array, base: Array) -> Array:
    """Why an entry is kept back, empty when nothing speaks against it."""
    reasons = book.rows["held_because"].to_numpy(object)[posted[ROW]]
    of_fee = (base != posted[ROW]) & (book.paying[plan, O_OF_FEE] == 1)
    plan = np.where(of_fee, plan, book.rows["plan"].to_numpy()[base])
    needs = (book.paying[:, O_CONVERT] == 1) | (book.paying[:, O_BY] == BY_FEES)
    money = np.maximum(book.paying[:, O_CURRENCY], 0)
    without = np.flatnonzero(needs[plan] & (posted[CURRENCY] == OWN))
    without = without[book.told[posted[EVENT][without], IN_PLAN + money[plan[without]]] == UNKNOWN]
    reasons[without[pd.isna(reasons[without])]] = "no rate into the plan's currency"
    return reasons


def _states(posted: Array, due: Array, accrues_until: Array, held_because: Array, as_of: dt.datetime) -> Array:
    """The state of every entry before transfers; what returns took back follows the entry it reverses."""
    now = pd.Timestamp(as_of).value // 1000
    state = np.where(due <= now, STATES.index("payable"), STATES.index("held"))
    state[accrues_until > now] = STATES.index("accrued")
    state[pd.notna(held_because)] = STATES.index("held")
    state[(posted[AMOUNT] != 0) & (posted[REVERSED] == posted[AMOUNT])] = STATES.index("reversed")
    taken = np.flatnonzero(posted[SOURCE] != UNKNOWN)
    state[taken] = state[posted[SOURCE][taken]]
    return np.array(STATES, dtype=object)[state]


def _beyond_fee(book: Book, excess: Array) -> list[str]:
    """One line per challenge of which more than its fee was returned."""
    beyond, returned = np.flatnonzero(excess), defaultdict(list)
    events = book.events[(book.events["code"] >= REFUND) & book.events["challenge"].isin(beyond)]
    for challenge, event in zip(events["challenge"], events["event_id"], strict=True):
        returned[challenge].append(str(event))
    told = []
    for place, challenge_id, number, minor in book.challenges.iloc[beyond][
        ["challenge_id", "currency", "minor"]
    ].itertuples(name=None):
        currency = [*book.currencies, "?"][number]
        more, fee = (from_minor(int(one), currency) for one in (excess[place], minor))
        told.append(
            f"challenge {challenge_id}: returned {more:,} {currency} more than its fee of {fee:,} by"
            f" {listing(returned[place])}; commissions are taken back up to the fee"
        )
    return told


def _sent_beyond(entries: pd.DataFrame, transfers: pd.DataFrame | None, as_of: dt.datetime) -> list[str]:
    """Partners who were sent more than they have earned, as after a chargeback or a correction of the past."""
    if transfers is None or transfers.empty:
        return []
    sent = transfers[transfers["settled_at"] <= pd.Timestamp(as_of)]
    by = ["partner_id", "currency"]
    got = sent.assign(minor=minor_units(sent["amount"], sent["currency"])).groupby(by)["minor"].sum()
    earned = entries.groupby(by)["minor"].sum()
    beyond = got.sub(earned.reindex(got.index, fill_value=0))
    rows = beyond[beyond > 0].rename("minor").reset_index()
    listed = [
        f"{who} {from_minor(int(minor), str(currency)):,} {currency}"
        for who, currency, minor in rows[[*by, "minor"]].itertuples(index=False)
    ]
    if not listed:
        return []
    return [f"partners sent more than they have earned, which is set against what they earn next: {listing(listed)}"]


def _held(entries: pd.DataFrame) -> list[str]:
    """One line per reason for which commissions are kept back."""
    held = entries[entries["held_because"].notna() & (entries["source"] == UNKNOWN)]
    return [
        f"commissions held, {reason}: {len(rows)} for partners {listing(sorted(rows['partner_id'].unique()))}"
        for reason, rows in held.groupby("held_because")
    ]


def _write_offs(entries: pd.DataFrame, transfers: pd.DataFrame | None, book: Book, as_of: dt.datetime) -> pd.DataFrame:
    """Entries that lift what a closed month's returns and losses left below zero, for plans that carry none over.

    A month holds what fell due in it, less what was sent in it, and what the month before left. What was taken back
    before it fell due left nothing below zero: it takes its own commission away.
    """
    forgiving = {plan for number, plan in book.plan_of.items() if not _carries(book, number)}
    mine = entries[entries["plan"].isin(forgiving) & entries["held_because"].isna()]
    mine = mine[mine["due_at"] <= pd.Timestamp(as_of)]
    source = mine["source"].to_numpy(np.int64)
    fell_due = entries["due_at"].iloc[source].set_axis(mine.index)
    owed_back = (source != UNKNOWN) & (mine["happened_at"] > fell_due)
    lowering = owed_back | ((source == UNKNOWN) & (mine["minor"] < 0))
    if not lowering.any():
        return mine.iloc[:0]
    mine = mine.assign(month=_months(mine["due_at"]))
    sent = _sent_by_month(transfers, as_of)
    open_month = _months(pd.Series([pd.Timestamp(as_of)])).iloc[0]
    made = []
    for (partner, currency), rows in mine.groupby(["partner_id", "currency"]):
        due = rows.groupby("month")["minor"].sum()
        paid_out = sent.get((str(partner), str(currency)), due.iloc[:0])
        lowered = rows[lowering[rows.index]].groupby("month")["minor"].sum()
        balance = 0
        for month, moved in due.sub(paid_out, fill_value=0).sort_index().items():
            balance += int(moved)
            lifted = min(-balance, -int(lowered.get(month, 0)))
            if lifted > 0 and month < open_month:
                balance += lifted
                end = cast("pd.Period", month).end_time.tz_localize("UTC").floor("us")
                made.append(rows.iloc[-1].to_dict() | {"minor": lifted, "happened_at": end, "due_at": end})
    empty = {"challenge_id": None, "trader_id": None, "event_id": None, "source": UNKNOWN, "level": 1}
    told = {"event": "write_off", "state": "payable"} | empty
    return pd.DataFrame(made, columns=entries.columns).assign(**told) if made else entries.iloc[:0]


def _months(instants: pd.Series[Any]) -> pd.Series[Any]:
    found: pd.Series[Any] = instants.dt.tz_convert("UTC").dt.tz_localize(None).dt.to_period("M")
    return found


def _sent_by_month(transfers: pd.DataFrame | None, as_of: dt.datetime) -> dict[tuple[str, str], pd.Series[Any]]:
    """What was sent to each partner in each currency by month, minor units."""
    if transfers is None or transfers.empty:
        return {}
    sent = transfers[transfers["settled_at"] <= pd.Timestamp(as_of)]
    sent = sent.assign(minor=minor_units(sent["amount"], sent["currency"]), month=_months(sent["settled_at"]))
    return {
        (str(partner), str(currency)): rows.groupby("month")["minor"].sum()
        for (partner, currency), rows in sent.groupby(["partner_id", "currency"])
    }


def _carries(book: Book, number: int) -> bool:
    version = book.versions[number]
    return version is None or version.negative_carry


STATEMENT = ("brought_forward", "earned", "taken_back", "written_off", "paid", "carried_over")


def statement(
    entries: pd.DataFrame,
    transfers: pd.DataFrame | None,
    partner_id: str,
    since: dt.datetime,
    until: dt.datetime,
) -> pd.DataFrame:
    """A partner's period by currency (`STATEMENT`): what was owed before, what came and went, what is owed after.

    Everything earned counts, whether it may be paid yet or not; what was sent is negative.
    """
    mine = entries.loc[entries["partner_id"] == partner_id, ["currency", "amount", "event", "happened_at"]]
    part = np.select([mine["event"].isin(WHATS[REFUND:]), mine["event"] == "write_off"], [1, 2], 0)
    mine = mine.assign(part=part, amount=mine["amount"].astype("float64"))
    if transfers is not None and len(transfers):
        sent = transfers[transfers["partner_id"] == partner_id].rename(columns={"settled_at": "happened_at"})
        sent = sent.assign(amount=-sent["amount"].astype("float64"), part=3)
        mine = pd.concat([mine, sent[["currency", "amount", "happened_at", "part"]]], ignore_index=True)
    mine = mine[mine["happened_at"] < pd.Timestamp(until)]
    inside = mine["happened_at"] >= pd.Timestamp(since)
    parts = {"brought_forward": mine["amount"].where(~inside, 0.0)}
    parts |= {
        name: mine["amount"].where(inside & (mine["part"] == place), 0.0)
        for place, name in enumerate(("earned", "taken_back", "written_off", "paid"))
    }
    lines = pd.DataFrame(parts).groupby(mine["currency"]).sum().round(8).reset_index()
    return lines.assign(carried_over=lines[list(parts)].sum(axis=1).round(8))


def on_hold(entries: pd.DataFrame, partners: Iterable[str]) -> pd.DataFrame:
    """Entries where what partners could be paid waits; what they were paid, and what they owe back of it, stands."""
    state, source = entries["state"].to_numpy(object), entries["source"].to_numpy(np.int64)
    owed_back = (source != UNKNOWN) & (state[source] == "paid")
    mine = entries["partner_id"].isin(list(partners)).to_numpy()
    waits = mine & np.isin(state, ("payable", "held")) & ~owed_back
    return entries.assign(
        state=np.where(waits, "held", state),
        held_because=entries["held_because"].where(~waits | entries["held_because"].notna(), ON_HOLD),
    )


def dry_run(
    events: pd.DataFrame,
    credits: pd.DataFrame,
    tree: pd.DataFrame,
    today: Plans,
    changed: Plans,
    as_of: dt.datetime,
    *,
    rates: pd.DataFrame,
) -> pd.DataFrame:
    """What each partner has earned under today's plans and would have under changed ones, who loses most first.

    Columns: partner_id, currency, today, changed, difference. Differences of several currencies are compared in US
    dollars at the newest rate; those in a currency without one come last.
    """
    sums = [
        settle(events, credits, tree, plans, as_of, rates=rates)
        .entries.groupby(["partner_id", "currency"])["amount"]
        .sum()
        .rename(name)
        for plans, name in ((today, "today"), (changed, "changed"))
    ]
    both = pd.concat(sums, axis=1).fillna(0.0).round(8).reset_index()
    both["difference"] = (both["changed"] - both["today"]).round(8)
    newest = rates.sort_values("day").drop_duplicates("currency", keep="last").set_index("currency")["rate_to_usd"]
    in_dollars = both["difference"] * both["currency"].map({"USD": 1.0} | newest.astype("float64").to_dict())
    order = both.assign(in_dollars=in_dollars).sort_values(["in_dollars", "partner_id", "currency"])
    return both.loc[order.index].reset_index(drop=True)


@dataclass(frozen=True)
class Sources:
    """What the lake says about commissions, as the functions above take it."""

    events: pd.DataFrame
    credits: pd.DataFrame
    tree: pd.DataFrame
    rates: pd.DataFrame
    transfers: pd.DataFrame
    log: list[str]


def read_sources(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    given: attribution.Attributed | None = None,
    suspects: pd.DataFrame | None = None,
) -> Sources:
    """Reads events, credits, the tree over time, rates and transfers; commissions on suspects' purchases are held."""
    names = ("commission_events", "partner_records", "partner_transfers")
    relations.build(connection, *(f"facts.{name}" for name in names), "staging.rates")
    events, tree, transfers = (connection.execute(f"select * from facts.{name}").df() for name in names)
    events["happened_at"] = events["happened_at"].astype("datetime64[us, UTC]")
    given = given or attribution.record(connection, database)
    credits = attribution.hold_suspects(given.credits, events, suspects)
    relations.build(connection, "facts.unrated_sales")
    credits = attribution.hold_unrated(credits, connection.execute("select * from facts.unrated_sales").df())
    rates = connection.execute("select currency, day, rate_to_usd from staging.rates").df()
    moves = partner_desk.moves(database)
    moves = moves[moves["partner_id"].isin(tree["partner_id"])]
    tree = pd.concat([tree[list(TREE_COLUMNS)], moves], ignore_index=True) if len(moves) else tree[list(TREE_COLUMNS)]
    return Sources(events, credits, tree, rates, transfers, given.log)


def settle_all(
    connection: duckdb.DuckDBPyConnection,
    database: sa.Connection,
    as_of: dt.datetime,
    *,
    plans: Plans | None = None,
    given: attribution.Attributed | None = None,
    suspects: pd.DataFrame | None = None,
) -> Settled:
    """All commissions as of the run, from what has landed and what was decided about accounts and partners.

    given: who is credited, where that is known already. suspects: partner_id and trader_id of purchases whose
    commission waits for a person.
    """
    told = read_sources(connection, database, given, suspects)
    plans = plans or in_force(database)
    found = settle(told.events, told.credits, told.tree, plans, as_of, rates=told.rates, transfers=told.transfers)
    holds = partner_desk.on_hold(database)
    log = [f"commissions of {one} on hold by {row['person']}: {row['reason']}" for one, row in holds.items()]
    entries = on_hold(found.entries, holds)
    return Settled(entries, [*told.log, *found.log, *log], plans, places(told.tree, as_of))
