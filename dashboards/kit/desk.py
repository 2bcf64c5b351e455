"""The payout desk as pages see it: states, decisions and notes as they stand now, and acts with what became of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import pandas as pd
import sqlalchemy as sa
import streamlit as st

from dashboards.kit import lake, look, paths, people, privacy, reads, words
from dashboards.kit import state as address
from models import access, audit, ledger, settlements
from models.access import AccessRefused, Person
from models.clock import place, zoned
from models.decisions import desk, holds, settling
from models.decisions.desk import Done, State, Strip
from models.decisions.holds import Hold
from models.decisions.machine import REASON_CODES, MoveRefused
from models.money import from_minor
from models.payouts import standing
from pipelines import packs
from sql import schema
from sql.desk_schema import DECISIONS, PAYOUT_NOTES, PAYOUT_RELEASES, PAYOUT_STATES, SETTLEMENT_EVENTS
from sql.warehouse import read_frame

Row = dict[str, Any] | pd.Series
ICONS = {"failed": "✕", "unknown": "?", "passed": "✓", "not_applicable": "·"}
OVER = ("rejected", "upheld", "cancelled")
TOLD = "desk-told"
ROLLED = ("opening", "accrued", "settled", "closing")
MONEY = {*ROLLED, "amount", "amount_sent", "transfer_amount", "due", "fee", "balance", "net_profit"}
ODDS = "How much likelier the two belong together than not: 3 is 20 to 1, 7 is 1,000 to 1."
HELD = "■ Held"
"""How a granted request stands whose account has ended since."""
FROZEN = "■ Freeze recommended"
STYLED = 100_000
"""Cells of a table up to which each amount is written in the decimals of its row's currency."""
BECAME = {
    "second_approval": "waits for a second person",
    "finance_approval": "waits for finance",
    "info_requested": "waits for the trader",
    "in_review": "is back in review",
}
NAMED = {"product", "stage", "relation", "desk_state", "recommendation", "state"}
"""Columns of names that are written as a person writes them."""
WIDE: dict[str, int | Literal["large"]] = {
    "told": "large",
    "reason": "large",
    "sentence": "large",
    "role": 125,
    "subject": 160,
}
"""Widths of columns that are cut otherwise: words, and ids with their kind before them."""


def person() -> Person:
    """Who acts."""
    return people.who()


def states(*conditions: Any, limit: int = reads.MOST_ROWS) -> pd.DataFrame:
    """States of requests of the person's desks, newest move first; never from a cache."""
    return reads.now(
        sa.select(PAYOUT_STATES).where(*conditions).order_by(PAYOUT_STATES.c.updated_at.desc()).limit(limit)
    )


def over() -> list[str]:
    """Requests that were refused on the desk and wait for nobody, whatever their transfers say."""
    return [str(one) for one in states(PAYOUT_STATES.c.state.in_(OVER))["payout_id"]]


def state(payout_id: str) -> State | None:
    """Where a request of the person's desks stands, None while nobody has acted on it."""
    with reads.warehouse().database.connect() as connection:
        held = desk.state_of(connection, payout_id)
    return held if held is not None and person().sees(held.desk_id) else None


def held(*conditions: Any) -> dict[str, Hold]:
    """Granted requests of the person's desks that are held because their account has ended since, by request."""
    desks = person().desks
    mine = conditions if desks is None else (*conditions, PAYOUT_STATES.c.desk_id.in_(desks))
    with reads.warehouse().database.connect() as connection:
        return holds.held(connection, *mine)


@dataclass(frozen=True)
class Stops:
    """What stands in the way of the money of some requests now: holds by request, and what their reviews say."""

    holds: Mapping[str, Hold]

    def hold(self, row: Row) -> Hold | None:
        """The hold on a request, if its account ended since it was granted."""
        return self.holds.get(row["payout_id"])

    def case(self, row: Row) -> str | None:
        """The case that recommends a freeze of who asks, if one does."""
        found: str | None = row[standing.FREEZE]
        return found

    def advice(self, row: Row, *, short: bool = False) -> str:
        """What is advised about a request: what holds its money, or what its review recommends."""
        hold = self.hold(row)
        if hold is not None:
            return HELD if short else f"{HELD}: account {hold.status}"
        if self.case(row):
            return "■ Freeze" if short else FROZEN
        return words.RECOMMENDATIONS.get(row["recommendation"], "? Not reviewed")

    def advised(self, row: Row) -> tuple[str, ...]:
        """The acts that are advised about a request, whose buttons stand out: none while a freeze is recommended."""
        if self.hold(row) is not None:
            return ("withhold",)
        advice = None if self.case(row) else row["recommendation"]
        return (advice, "confirm") if advice in ("approve", "deduct") else ("reject",) if advice == "reject" else ()

    def tell_freeze(self, row: Row) -> None:
        """Says that a freeze of who asks is recommended, if it is."""
        if case_id := self.case(row):
            look.card("breached", FROZEN, [f"{words.escaped(case_id)}: read the case before money goes out."])


def stops(found: Sequence[Row]) -> Stops:
    """What stands in the way of the money of these requests; read anew."""
    return Stops(held(PAYOUT_STATES.c.payout_id.in_([row["payout_id"] for row in found])))


def releases(payout_id: str) -> pd.DataFrame:
    """Who let a held request go, in order."""
    table = PAYOUT_RELEASES
    return reads.now(sa.select(table).where(table.c.payout_id == payout_id).order_by(table.c.released_at))


def decisions(payout_id: str) -> pd.DataFrame:
    """Every move of a request, in order."""
    table = DECISIONS
    return reads.now(sa.select(table).where(table.c.payout_id == payout_id).order_by(table.c.version))


def notes(payout_id: str) -> pd.DataFrame:
    """Notes on a request, in order."""
    table = PAYOUT_NOTES
    return reads.now(sa.select(table).where(table.c.payout_id == payout_id).order_by(table.c.written_at))


def request(payout_id: str) -> dict[str, Any] | None:
    """A request of the person's desks with its review; None when there is none of that id."""
    found = reads.rows("payout_queue", payout_id=payout_id, limit=1)
    if found.empty:
        return None
    table = schema.PAYOUT_REVIEWS
    review = reads.decided(table, table.c.payout_id == payout_id, limit=1).drop(columns=["account_id", "amount"])
    return reads.records(_as_of_now(found.merge(review, on="payout_id", how="left")))[0]


def accounts_of_owner(trader_id: str | None) -> pd.DataFrame:
    """Accounts of the person behind a trader, of those desks that the one who looks may see."""
    owners = schema.OWNERS.c
    mine = sa.select(owners.owner_id).where(owners.trader_id == trader_id).scalar_subquery()
    traders = reads.now(sa.select(owners.trader_id).where(owners.owner_id == mine))
    status = schema.ACCOUNT_STATUS
    among = traders["trader_id"].tolist() or [trader_id]
    columns = [status.c[name] for name in ("account_id", "trader_id", "product", "stage", "status", "status_at")]
    return reads.now(sa.select(*columns, status.c.balance, status.c.currency).where(status.c.trader_id.in_(among)))


def pairs_of(account_id: str) -> pd.DataFrame:
    """Accounts that are held to trade as this one, the surest first."""
    table = schema.COPY_PAIRS.c
    either = sa.or_(table.account_a == account_id, table.account_b == account_id)
    both = reads.seen("account_id", table.account_a, table.account_b)
    columns = [table[name] for name in ("account_a", "account_b", "relation", "leader", "matched", "lag_ms")]
    statement = sa.select(*columns, table.same_owner, table.strength).where(either, *both)
    return reads.now(statement.order_by(table.strength.desc()))


def asked_to(destination: Any, payout_id: str) -> pd.DataFrame:
    """Other requests for money to the same destination."""
    queue = reads.mart("payout_queue")
    if queue is None or words.missing(destination):
        return pd.DataFrame()
    columns = [queue.c[name] for name in ("payout_id", "account_id", "trader_id", "requested_at", "amount", "currency")]
    same = sa.select(queue.c.destination).where(queue.c.payout_id == payout_id).scalar_subquery()
    return reads.now(sa.select(*columns).where(queue.c.destination == same, queue.c.payout_id != payout_id))


def next_untouched(payout_id: str) -> str | None:
    """The oldest waiting request that nobody has acted on, another than this one; None when there is none."""
    queue, held = reads.mart("payout_queue"), PAYOUT_STATES.c
    if queue is None:
        return None
    joined = sa.join(queue, PAYOUT_STATES, queue.c.payout_id == held.payout_id, isouter=True)
    wanted = (queue.c.waits == sa.true(), held.payout_id.is_(None), queue.c.payout_id != payout_id)
    statement = sa.select(queue.c.payout_id).select_from(joined).where(*wanted)
    found = reads.now(statement.order_by(queue.c.requested_at, queue.c.payout_id).limit(1))
    return None if found.empty else str(found["payout_id"].iloc[0])


def with_reviews(found: pd.DataFrame) -> pd.DataFrame:
    """Requests with review and state on the desk beside them."""
    table = schema.PAYOUT_REVIEWS
    ids = found["payout_id"].tolist()
    reviews = reads.decided(table, table.c.payout_id.in_(ids)).drop(columns=["account_id", "amount"])
    moved = states(PAYOUT_STATES.c.payout_id.in_(ids))[["payout_id", "state", "version"]]
    moved = moved.rename(columns={"state": "desk_state"})
    joined = found.merge(reviews, on="payout_id", how="left").merge(moved, on="payout_id", how="left")
    return _as_of_now(joined) if "trader_id" in joined else joined


def _as_of_now(reviewed: pd.DataFrame) -> pd.DataFrame:
    """Requests with what their reviews say now that cases have moved since the run."""
    told = reads.records(reviewed[["account_id", "trader_id", "checks", "recommendation"]])
    known = [{name: None if words.missing(value) else value for name, value in row.items()} for row in told]
    with reads.warehouse().database.connect() as connection:
        rows = standing.as_of_now(connection, known)
    now = ("checks", "recommendation", standing.FREEZE)
    return reviewed.assign(**{name: pd.Series([row[name] for row in rows], reviewed.index, object) for name in now})


def checks(row: dict[str, Any] | pd.Series) -> list[dict[str, Any]]:
    """The checks of a review, those that need reading first."""
    order = {"failed": 0, "unknown": 1, "passed": 2, "not_applicable": 3}
    listed: list[dict[str, Any]] = words.parsed(row["checks"]) or []
    return sorted(listed, key=lambda one: order.get(str(one.get("outcome")), 4))


def at_a_glance(row: dict[str, Any] | pd.Series, most: int | None = None) -> str:
    """The checks that did not pass, as icon and word; beyond `most` how many more."""
    open_ones = [one for one in checks(row) if one["outcome"] in ("failed", "unknown")]
    told = [f"{ICONS[one['outcome']]} {words.plain(one['check'])}" for one in open_ones[:most]]
    return " · ".join(told) + (f" +{len(open_ones) - len(told)}" if len(told) < len(open_ones) else "")


def headline(check: dict[str, Any], zone: str) -> str:
    """A check's outcome, name and finding as Markdown, times in a zone."""
    found = zoned(str(check.get("sentence", "")), zone)
    return f"{ICONS[check['outcome']]} **{words.plain(check['check'])}** {words.unlinked(found)}"


def money(minor: Any, currency: str) -> str:
    """Minor units in words; a dash when they are not known."""
    return words.UNKNOWN if words.missing(minor) else words.money(from_minor(int(minor), currency), currency)


def name(value: Any) -> str:
    """A person's name, as it was read."""
    return words.UNKNOWN if words.missing(value) else words.escaped(value)


def act(
    payout_id: str, action: str, seen: int, *, reason: str = "", code: str | None = None, strips: Sequence[Strip] = ()
) -> None:
    """Does it and draws the page anew; what was refused is told instead."""
    try:
        done = desk.act(
            reads.warehouse().database,
            person(),
            payout_id,
            action,
            seen,
            reason=reason,
            reason_code=code,
            strips=strips,
        )
    except (MoveRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    address.acted()
    became = "is released and may be sent" if action == "release" else BECAME.get(done.state)
    tell(f"{payout_id} {became or 'is ' + done.state.replace('_', ' ')}.")
    st.rerun()


def who_must_agree(payout_id: str, *, override: bool) -> str:
    """How many people must agree to pay a request, and why, told before anybody decides."""
    with reads.warehouse().database.connect() as connection:
        people_needed, why = desk.who_must_agree(connection, payout_id, override=override)
    if people_needed == 1:
        return "One person is enough to pay it."
    return f"To pay it {people_needed} people must agree: {why or 'amount'}."


def approve_clean(payout_ids: Sequence[str]) -> list[Done]:
    """Approves the clean ones among these; tells of each what became."""
    return desk.approve_clean(reads.warehouse().database, person(), payout_ids)


def note(payout_id: str, text: str) -> None:
    """Leaves a note and draws the page anew."""
    try:
        desk.note(reads.warehouse().database, person(), payout_id, text)
    except (MoveRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    st.rerun()


def pack(subject: str, form: str) -> Callable[[], bytes]:
    """What writes a request's evidence pack once it is asked for, and notes who took it."""
    asks, house, rulebook = person(), reads.warehouse(), paths.rulebook()

    def made() -> bytes:
        """The document; AccessRefused for who may not export."""
        access.require(asks, "export", any_desk=True)
        gathered = packs.gather(house, rulebook, subject, person=asks)
        packs.handed_out(house, asks, gathered, form)
        return packs.FORMS[form](gathered)

    return made


def offer_packs(subject: str) -> None:
    """The evidence pack of an account or a payout request in both forms, made when it is asked for."""
    if not person().may("export"):
        return
    with st.container(horizontal=True):
        for form in packs.FORMS:
            st.download_button(
                f"Evidence pack, {form.upper()}",
                pack(subject, form),
                packs.file_name(subject, form),
                key=f"pack-{form}",
                icon=":material/folder_zip:",
                on_click="ignore",
            )


def tell(text: str) -> None:
    """Keeps a sentence for the next drawing of the page."""
    st.session_state[TOLD] = text


def told() -> None:
    """Says what the last act did."""
    if TOLD in st.session_state:
        st.toast(st.session_state.pop(TOLD))


def table(rows: pd.DataFrame, zone: str = "UTC", *, currency: str | None = None, **options: Any) -> Any:
    """Rows under their names in words: amounts with their decimals and currency if it is one, times in a zone."""
    config: dict[str, Any] = {}
    amounts = sorted(MONEY.intersection(rows))
    each = "currency" in rows and currency is None and 0 < rows.size <= STYLED
    for name in map(str, rows):
        said = words.plain(name)
        if name in MONEY:
            unit = f" ({currency})" if currency else ""
            config[name] = st.column_config.NumberColumn(said + unit, format=None if each else words.column(currency))
        elif name == "log_odds":
            config[name] = st.column_config.NumberColumn(said, format="%.1f", help=ODDS)
        elif name.endswith("_at"):
            config[name] = st.column_config.DatetimeColumn(
                f"{said} ({place(zone)})", format=words.SECOND, timezone=zone
            )
        else:
            config[name] = st.column_config.Column(said, width=WIDE.get(name))
    shown = rows.reset_index(drop=True).astype(dict.fromkeys(MONEY.intersection(rows), "float64"))
    shown = shown.assign(**{name: [words.named(one) for one in shown[name]] for name in NAMED.intersection(shown)})
    return st.dataframe(
        look.amounts(shown, amounts, shown["currency"]) if each and amounts else shown,
        hide_index=True,
        height=look.height(len(shown)),
        column_config=config,
        placeholder="",
        **options,
    )


def reason_inputs(key: str) -> tuple[str, str | None]:
    """Why, in words and by the list."""
    reason = st.text_input(
        "Reason", key=address.field(f"reason-{key}"), placeholder="Why, in a sentence the trader could be sent"
    )
    # below the sentence, since its words are cut off in a column beside it
    code = st.selectbox(
        "Reason of the list",
        list(REASON_CODES),
        index=None,
        key=address.field(f"code-{key}"),
        format_func=lambda one: REASON_CODES[one],
    )
    return reason, code


@st.cache_data(ttl=reads.CACHE_SECONDS, show_spinner="Matching transfers with requests", max_entries=20)
def _matching(
    home: str,
    stamp: reads.Stamp,
    desks: tuple[str, ...] | None,
    matched: tuple[tuple[str, str], ...],
    parted: tuple[str, ...],
) -> tuple[pd.DataFrame, ...]:
    requests, transfers = lake.told_transfers(desks)
    reviews = schema.PAYOUT_REVIEWS
    with reads.warehouse().database.connect() as connection:
        due = read_frame(connection, sa.select(reviews.c.payout_id, reviews.c.trader_share.label("due")))
    requests = requests.merge(due, on="payout_id", how="left")
    by_hand = transfers["settlement_id"].map(dict(matched))
    known = transfers.assign(payout_id=by_hand.where(by_hand.notna(), transfers["payout_id"]))
    apart = transfers["settlement_id"].isin(parted)
    found = settlements.match(*settlements.sides(requests, known[~apart]))
    return (
        found.pairs,
        requests[requests["payout_id"].isin(found.left_over)],
        transfers[transfers["settlement_id"].isin(found.right_over) | apart & (transfers["status"] != "failed")],
        found.suggestions,
        requests,
        transfers,
    )


def matching() -> tuple[pd.DataFrame, ...]:
    """Pairs, requests and transfers left over, suggestions, and all requests and transfers of the person's desks.

    A transfer that a person disputed or explained is of no pair, as in a run, until it is opened again.
    """
    marked = marks("transfer")
    by_hand = marked[marked["verdict"] == "matched"]
    pairs = tuple(sorted(zip(by_hand["record_id"], by_hand["payout_id"], strict=True)))
    parted = tuple(sorted(marked.loc[marked["verdict"].isin(settling.PARTED), "record_id"]))
    found = _matching(str(reads.warehouse().home), reads.stamp(), person().desks, pairs, parted)
    return tuple(privacy.shown(one, reads.warehouse().database) for one in found)


def marks(side: str) -> pd.DataFrame:
    """What people last said of leftovers of a side: record_id, verdict, payout_id, person, reason, place."""
    with reads.warehouse().database.connect() as connection:
        rows = settling.marks(connection, side)
    columns = ["record_id", "verdict", "person", "place", "reason", "payout_id"]
    return pd.DataFrame([tuple(row) for row in rows], columns=columns).drop_duplicates("record_id", keep="last")


def mark(side: str, record_id: str, verdict: str, reason: str, payout_id: str | None = None) -> None:
    """Says what a leftover is and draws the page anew; what was refused is told instead."""
    requests, transfers = lake.told_transfers(person().desks)
    of = payout_id if side == "transfer" else record_id
    home = requests.loc[requests["payout_id"] == of, "desk_id"]
    if home.empty and side == "transfer":
        home = _desks_paid(record_id, requests, transfers)
    told = _transfer(record_id, payout_id, requests, transfers) if payout_id else None
    seen = marks(side).set_index("record_id")["place"].get(record_id, 0)
    try:
        done = settling.mark(
            reads.warehouse().database,
            person(),
            side,
            record_id,
            verdict,
            reason,
            desk_id=None if home.empty else home.iloc[0],
            told=told,
            seen=int(seen),
        )
    except (MoveRefused, AccessRefused) as refused:
        look.refused(refused)
        return
    address.acted()
    tell(done.told if done else f"{record_id} is marked {verdict}.")
    st.rerun()


def _desks_paid(settlement_id: str, requests: pd.DataFrame, transfers: pd.DataFrame) -> pd.Series[Any]:
    """The desk of the request that a transfer names, else of those that asked for money where it went."""
    one = transfers[transfers["settlement_id"] == settlement_id]
    named = requests.loc[requests["payout_id"].isin(one["payout_id"]), "desk_id"]
    there = requests["destination"].isin(one["destination"].dropna())
    return named if len(named) else requests.loc[there, "desk_id"]


def _transfer(
    settlement_id: str, payout_id: str, requests: pd.DataFrame, transfers: pd.DataFrame
) -> settling.Transfer | None:
    """A transfer as it was told, put with a request."""
    found = reads.records(transfers[transfers["settlement_id"] == settlement_id])
    asked = requests.loc[requests["payout_id"] == payout_id, "destination"]
    if not found:
        return None
    names = ("settlement_id", "version", "status", "amount", "fee", "currency", "destination", "settled_at")
    row: dict[str, Any] = {name: None if words.missing(found[0][name]) else found[0][name] for name in names}
    row |= {name: None if row[name] is None else Decimal(str(row[name])) for name in ("amount", "fee")}
    destination = None if asked.empty or words.missing(asked.iloc[0]) else str(asked.iloc[0])
    return settling.Transfer(payout_id=payout_id, asked_destination=destination, **row)


def held_transfers() -> pd.DataFrame:
    """Transfers that moved nothing, and why: those without a later event that moved a request."""
    events = SETTLEMENT_EVENTS
    found = reads.now(sa.select(events).order_by(events.c.happened_at.desc()).limit(reads.MOST_ROWS))
    moved = found.loc[found["outcome"] == "moved", "settlement_id"]
    return found[(found["outcome"] == "held") & ~found["settlement_id"].isin(moved)]


def rolled(since: dt.datetime, until: dt.datetime) -> pd.DataFrame:
    """How what is owed to traders, and to partners, rolled forward: account, currency, opening … closing (amounts)."""
    desks, asked = person().desks, reads.mart("payout_queue")
    only = None
    if desks is not None and asked is not None:
        only = sa.select(asked.c.payout_id).where(asked.c.desk_id.in_(desks))
    rows = []
    with reads.warehouse().database.connect() as connection:
        for account in (ledger.PAYABLE, ledger.COMMISSIONS_PAYABLE)[: 2 if desks is None else 1]:
            for one in ledger.roll_forward(connection, since, until, account, only):
                amounts = {name: from_minor(getattr(one, name), one.currency) for name in ROLLED}
                rows.append({"account": account, "currency": one.currency} | amounts)
    return pd.DataFrame(rows, columns=["account", "currency", *ROLLED])


def balances() -> pd.DataFrame:
    """Debits less credits by account and currency, for who sees every desk."""
    if person().desks is not None:
        return pd.DataFrame()
    with reads.warehouse().database.connect() as connection:
        held = sorted(ledger.balances(connection).items())
    rows = [(name, currency, from_minor(minor, currency)) for (name, currency), minor in held]
    return pd.DataFrame(rows, columns=["account", "currency", "balance"])


def audit_log(limit: int, offset: int, **equal: str | None) -> list[dict[str, Any]]:
    """Records of the audit log, newest first; who works at some desks sees those of requests of these."""
    desks, table = person().desks, PAYOUT_STATES.c
    mine = None if desks is None else sa.select("payout:" + table.payout_id).where(table.desk_id.in_(desks))
    with reads.warehouse().database.connect() as connection:
        return audit.recent(connection, limit, offset, mine, **equal)


def audit_state() -> tuple[int, audit.Broken | None]:
    """How many records there are, and where the chain breaks."""
    with reads.warehouse().database.connect() as connection:
        return audit.length(connection), audit.verify(connection)
