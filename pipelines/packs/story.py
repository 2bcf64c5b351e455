"""What a pack says, as blocks in reading order: one story for both documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from models.clock import zoned
from models.money import decimals
from models.payouts import told
from pipelines.packs import charts
from pipelines.packs.charts import Chart
from pipelines.packs.gather import SOURCES, Pack, zone_of

NONE = "—"
FIGURE = re.compile(r"[-−+]?[0-9][0-9,]*([.][0-9]+)?( %| [A-Z]{3,5})?( \([^()]*[0-9][^()]* %\))?")
"""A number, a share, or a share with its interval."""
OUTCOMES = {"passed": "passed", "failed": "FAILED", "unknown": "UNKNOWN", "not_applicable": "does not apply"}


@dataclass(frozen=True)
class Heading:
    """The head of a section."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows under names; every cell is text."""

    names: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def figures(self) -> set[int]:
        """The columns of amounts, counts and shares, which are read from the right."""
        told = [[cell for cell in column if cell not in (NONE, "–", "")] for column in zip(*self.rows, strict=True)]
        return {place for place, cells in enumerate(told) if cells and all(FIGURE.fullmatch(cell) for cell in cells)}


Block = Heading | Text | Table | Chart


def title(pack: Pack) -> str:
    """The pack's title."""
    about = pack.parts["about"]
    return f"Evidence pack: {about['kind']} {about['id']}"


def story(pack: Pack) -> Iterator[Block]:
    """The blocks of a pack, in reading order, times in the zone of the desk."""
    zone = zone_of(pack.parts["account"])
    return (_there(block, zone) for block in _blocks(pack))


def _there(block: Block, zone: str) -> Block:
    """A block with its times in a zone."""
    if isinstance(block, Table):
        return Table(block.names, [tuple(zoned(cell, zone) for cell in row) for row in block.rows])
    return Text(zoned(block.text, zone)) if isinstance(block, Text) else block


def _blocks(pack: Pack) -> Iterator[Block]:
    """The blocks, times in UTC."""
    parts = pack.parts
    yield from _opening(pack)
    if parts.get("review"):
        yield from _amounts(parts)
    yield from _decision(parts.get("decisions"))
    yield from charts.of_pack(parts)
    if parts.get("review"):
        yield from _checks(parts["review"]["checks"], parts["account"]["currency"])
    yield from _verdicts(parts["verdicts"])
    yield from _signals(parts["signals"], parts["links"])
    yield from _ruled_out(parts)
    yield from _terms(parts["terms"])
    yield from _records(parts)
    yield Heading("Hashes")
    yield Text("SHA-256 of the canonical JSON of each part. highwater pack verify checks them against the lake.")
    yield Table(("part", "from", "SHA-256"), [(name, SOURCES[name], held) for name, held in pack.hashes.items()])


def _opening(pack: Pack) -> Iterator[Block]:
    about, account = pack.parts["about"], pack.parts["account"]
    yield Text(f"Pack hash {pack.hash}")
    rows = [
        ("As of", about["as_of"]),
        ("Account", f"{account['account_id']} ({account['stage']}, {account['platform']})"),
        ("Trader", f"{shown(account['full_name'])} · {account['trader_id']}"),
        ("Desk", account["desk_id"]),
        ("Times", f"in the desk's zone, {zone_of(account)}; the data that is hashed is in UTC"),
        ("Identity", f"{shown(account['kyc_status'])}, checked {shown(account['kyc_checked_at'])}"),
        ("Product", f"{shown(account['product'])}, bought {shown(account['purchased_at'])}"),
        ("Initial balance", money(account["initial_balance"], account["currency"])),
    ]
    request = pack.parts.get("request")
    if request:
        rows += [
            ("Requested", request["requested_at"]),
            ("Amount", money(request["amount"], account["currency"])),
            ("Destination", shown(request["destination"])),
        ]
    if about["masked"]:
        rows.append(("Personal data", "masked for the role of who made the pack"))
    yield Table(("what", "told"), [(name, shown(value)) for name, value in rows])


def _amounts(parts: dict[str, Any]) -> Iterator[Block]:
    review, currency = parts["review"], parts["account"]["currency"]
    yield Heading("What it is worth")
    yield Text(f"The review recommends: {review['recommendation']}.")
    names = ("amount", "trader_share", "firm_share", "deductions")
    yield Table(("part", "amount"), [(said(name), money(review[name], currency)) for name in names])


def _decision(decisions: dict[str, Any] | None) -> Iterator[Block]:
    if decisions is None:
        return
    yield Heading("Decision")
    if not decisions["moves"]:
        yield Text("Nobody has decided yet.")
    else:
        names = ("happened_at", "person", "role", "action", "to_state", "reason", "reason_code", "policy_version")
        yield _table(names, decisions["moves"])
    if decisions["notes"]:
        yield _table(("written_at", "person", "note"), decisions["notes"])


def _checks(checks: list[dict[str, Any]], currency: str) -> Iterator[Block]:
    yield Heading("What was checked")
    rows = []
    for check in checks:
        numbers = " ".join(f"{name}: {value};" for name, value in told.numbers(check, currency).items())
        rule = f" Rule: {check['rule']}" if check.get("rule") else ""
        sentence = f"{check.get('sentence', '')}{rule}"
        rows.append((said(check["check"]), OUTCOMES.get(check["outcome"], check["outcome"]), sentence, numbers))
    yield Table(("check", "outcome", "sentence and rule", "numbers"), rows)


def _verdicts(verdicts: list[dict[str, Any]]) -> Iterator[Block]:
    yield Heading("Verdicts, judged anew")
    if not verdicts:
        yield Text("No rule was broken and no stage was passed.")
        return
    rows = [
        (said(one["rule"]), one["outcome"], shown(one["happened_at"]), shown(one["evidence"].get("sentence")))
        for one in verdicts
    ]
    yield Table(("rule", "outcome", "when", "sentence"), rows)


def _signals(signals: list[dict[str, Any]], links: dict[str, Any]) -> Iterator[Block]:
    yield Heading("Signals and links")
    if not signals and not any(links.values()):
        yield Text("No detector reports anything, nobody is linked, no other account trades as this one.")
    if signals:
        rows = [
            (said(one["detector"]), shown(one["strength"]), one["subject_id"], shown(_told(one).get("sentence")))
            for one in signals
        ]
        yield Table(("detector", "strength", "about", "sentence"), rows)
    if links["one_person"]:
        yield _table(("trader_a", "trader_b", "strength", "reasons"), links["one_person"])
    if links["trading_as_one"]:
        names = ("account_a", "account_b", "relation", "matched", "expected", "q_value", "strength")
        yield _table(names, links["trading_as_one"])


def _told(signal: dict[str, Any]) -> dict[str, Any]:
    evidence = signal.get("evidence")
    return evidence if isinstance(evidence, dict) else {}


def _ruled_out(parts: dict[str, Any]) -> Iterator[Block]:
    """What speaks against suspicion: checks that passed, and what detectors looked for and did not find."""
    rows = [
        (said(one["check"]), shown(one.get("sentence")))
        for one in (parts.get("review") or {}).get("checks") or []
        if one["outcome"] == "passed"
    ]
    rows += [(said(one["detector"]), text) for one in parts["signals"] for text in _told(one).get("ruled_out") or []]
    yield Heading("What was ruled out")
    yield Table(("by", "what"), rows) if rows else Text("Nothing could be ruled out.")


def _terms(terms: dict[str, Any]) -> Iterator[Block]:
    yield Heading("Rules in force")
    if "refused" in terms:
        yield Text(f"Unknown: {terms['refused']}")
        return
    held = f"{terms['product']} version {terms['version']}, stage {terms['stage']}"
    yield Text(f"{held}, in force since {terms['effective_from']}. Hash of the version: {terms['sha256']}")
    yield Table(("rule", "text"), [(said(one["rule"]), one["text"]) for one in terms["rules"]])


def _records(parts: dict[str, Any]) -> Iterator[Block]:
    """The rows that everything rests on."""
    for name, head, columns in (
        ("transfers", "Transfers", ("settlement_id", "settled_at", "status", "amount", "fee", "currency", "reference")),
        ("ledger", "Ledger", ("happened_at", "debit", "credit", "minor", "currency", "memo", "entry_id")),
        ("audit", "Audit records", ("seq", "hash")),
    ):
        if parts.get(name):
            yield Heading(head)
            yield _table(columns, parts[name])
    deals = parts["deals"]
    yield Heading("Deals and round trips")
    kinds = ", ".join(f"{name} {value}" for name, value in sorted(deals["profit_by_kind"].items()))
    yield Text(f"{deals['deals']} deals ({shown(kinds)}), SHA-256 of all: {deals['sha256']}")
    names = ("trade_id", "instrument", "side", "lots", "opened_at", "closed_at", "net_profit")
    if parts["trades"]:
        yield _table(names, parts["trades"])


def _table(names: Iterable[str], rows: list[dict[str, Any]]) -> Table:
    listed = tuple(names)
    return Table(tuple(said(name) for name in listed), [tuple(shown(row.get(n)) for n in listed) for row in rows])


def money(amount: Any, currency: str) -> str:
    """An amount with the decimals of its currency, more where it has more."""
    if amount is None:
        return NONE
    exact = Decimal(str(amount))
    places = max(decimals(currency), -int(exact.normalize().as_tuple().exponent))
    return f"{exact:,.{places}f} {currency}"


def said(name: str) -> str:
    """A snake_case name as words."""
    return name.replace("_", " ")


def shown(value: Any) -> str:
    """A value as a cell: instants to the second where they have no more, lists and records as JSON."""
    if value is None or value == "":
        return NONE
    if isinstance(value, str):
        return value.replace(".000000+00:00", "Z").replace("+00:00", "Z")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else f"{value:,.10g}"
