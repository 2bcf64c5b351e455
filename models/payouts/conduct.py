"""What else is asked before money leaves: data that adds up, rules over the window, signals, identity, payee."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from models.catalogue import Terms
from models.judgements import GROWN
from models.money import decimals, to_minor, written
from models.payouts.amounts import Worth, age_days, cuts_unsaid, remains, takes
from models.payouts.checks import Check, judged, when
from models.payouts.eligibility import ENDED
from models.payouts.facts import Desk, Request, Row, evidence
from models.payouts.shares import claimed


def data(request: Request, desk: Desk) -> Iterator[Check]:
    """Integrity: deals against the observed balance, positions told in full, and a request that is not ahead."""
    yield _clock(request, desk)
    if request.trader_id is not None:
        yield _adds_up(request)
        whole = request.half_known == 0
        sentence = "Every position is told from its opening."
        if not whole:
            sentence = f"{request.half_known} deals belong to positions whose opening was never delivered."
        yield Check(
            "deals_complete",
            "passed" if whole else "unknown",
            sentence,
            {"deals": request.half_known},
            group="integrity",
        )
        yield _source(request, desk)
        yield _fee(request)


def _source(request: Request, desk: Desk) -> Check:
    """Whether the newest platform export of the account agrees with its own totals."""
    found = desk.exports.get(request.account_id)
    if found is None:
        said = "The deals come from the firm's feeds, no platform export is reconciled with them."
        return Check("source", "not_applicable", said, group="integrity")
    wrong = [one["name"] for one in found["checks"] if one["verdict"] in ("does_not_add_up", "suspect")]
    numbers = {"file": Path(found["file"]).name, "outcome": found["outcome"], "wrong": wrong}
    holds = found["outcome"] in ("exact", "explained")
    told = "agrees with its own totals" if holds else f"does not add up: {', '.join(wrong)}"
    return Check("source", judged(holds), f"The newest platform export {told}.", numbers, group="integrity")


def _fee(request: Request) -> Check:
    """Whether the fee of the challenge stayed paid."""
    if not request.charged_back:
        return Check("fee", "passed", "The fee of the challenge was not charged back.", group="integrity")
    numbers = {"charged_back": request.charged_back, "fee": request.fee}
    said = f"{request.charged_back.normalize():,f} {request.fee_currency} of the challenge's fee was charged back."
    return Check("fee", "failed", said, numbers, group="integrity")


def _clock(request: Request, desk: Desk) -> Check:
    newest, most = desk.newest_fact, desk.policy.review["feed_lag_days"]
    numbers = {"requested_at": request.requested_at, "newest_fact": newest}
    if newest is None:
        return Check("clock", "unknown", "Nothing but requests has been delivered.", numbers, group="integrity")
    ahead = request.requested_at - newest
    sentence = "The request lies within the time that the other feeds cover."
    if ahead > dt.timedelta(days=most):
        days = age_days(newest, request.requested_at)
        sentence = (
            f"The request is dated {days:.1f} days after the newest fact of any account: held until facts reach it."
        )
        return Check("clock", "failed", sentence, numbers, group="integrity")
    return Check("clock", "passed", sentence, numbers, group="integrity")


def _adds_up(request: Request) -> Check:
    """Whether the deals give the balance last observed, before or after what happened at that very instant."""
    name = "deals_add_up"
    if request.observed_at is None:
        return Check(name, "unknown", "No balance was observed before the request.", group="integrity")
    observed = to_minor(request.observed_balance, request.currency)
    after = request.initial_balance + (request.observed_moved or 0)
    sums = {to_minor(after, request.currency), to_minor(after - (request.observed_moved_then or 0), request.currency)}
    numbers = {"observed": request.observed_balance, "observed_at": request.observed_at, "from_deals": after}
    holds = observed in sums
    seen, summed = (written(minor, request.currency) for minor in (observed, to_minor(after, request.currency)))
    sentence = f"Deals add up to {summed} {request.currency}, the balance observed was {seen}."
    return Check(name, judged(holds), sentence, numbers, group="integrity")


def rules(request: Request, terms: Terms, worth: Worth) -> Iterator[Check]:
    """Rules re-judged over the window at the version bought: what ended the account, what waits, what is taken."""
    ending = [one for one in request.verdicts if one["effect"] == "terminate" and one["outcome"] == "breached"]
    waiting = [one for one in request.verdicts if one["effect"] == "wait"]
    warned = [one for one in request.verdicts if one["effect"] in ("warn", "pause")]
    claim = claimed(request.row, terms)
    if claim:
        ending = []
    if request.status is None:
        yield Check("rules", "unknown", "The account has not been judged.", group="rules")
    elif ending or waiting:
        said = _sentences(ending or waiting)
        leads: Any = "reject" if ending else "not_yet"
        yield Check("rules", "failed", said, _counts(ending or waiting), _texts(ending or waiting), "rules", leads)
    else:
        ended = "After what ended the account profit can be claimed" if claim else "No rule ended the account"
        sentence = (
            f"{ended}; {len(warned)} {'warning or pause' if len(warned) == 1 else 'warnings or pauses'} in the window."
        )
        yield Check("rules", "passed", sentence, _counts(warned), group="rules")
    yield _taken(request, terms, worth)


def _taken(request: Request, terms: Terms, worth: Worth) -> Check:
    """Trades whose profit rules strip or cut."""
    found = [one for one in request.verdicts if takes(one)]
    total = sum(one.taken for one in worth.stripped)
    numbers = {
        "deductions": worth.money(total),
        "trades": [
            {"trade_id": one.trade_id, "rule": one.rule, "taken": str(worth.money(one.taken))} for one in worth.stripped
        ],
    }
    if worth.unknown_strips:
        unsaid = [rule for rule in worth.unknown_strips if cuts_unsaid(rule, found, terms)]
        others = [rule for rule in worth.unknown_strips if rule not in unsaid]
        sentence = " ".join(
            ([f"Rules take profit but not every trade is named: {', '.join(others)}."] if others else [])
            + ([f"Rules cut the share without saying what is left of it: {', '.join(unsaid)}."] if unsaid else [])
        )
        return Check("stripped_trades", "unknown", sentence, numbers, _texts(found), "rules")
    if not total:
        return Check("stripped_trades", "passed", "No profit of the window is taken by a rule.", numbers, group="rules")
    sentence = f"{len(worth.stripped)} trades lose {written(total, worth.currency)} {worth.currency} of their profit."
    return Check("stripped_trades", "failed", sentence, numbers, _texts(found), "rules", remains(worth, terms))


def _sentences(verdicts: list[Row]) -> str:
    return " ".join(str(evidence(one).get("sentence", one["rule"])) for one in verdicts[:3])


def _counts(verdicts: list[Row]) -> dict[str, int]:
    return {rule: sum(1 for one in verdicts if one["rule"] == rule) for rule in sorted({v["rule"] for v in verdicts})}


def _texts(verdicts: list[Row]) -> str:
    texts = {one["rule"]: str(evidence(one).get("rule_text") or one["rule"]) for one in verdicts}
    return " ".join(texts[rule] for rule in sorted(texts))


def signals(request: Request, desk: Desk) -> Iterator[Check]:
    """Open flags on the account, its owner and its ring, and accounts of others that trade as this one."""
    until = request.answered_at if request.paid else desk.as_of
    yield from _flags(request, desk, until)
    yield _case(request, desk)
    strong = float(desk.policy.review["flag_strength"])
    known = desk.pairs.get(request.account_id, [])
    strangers = [one for one in known if not one["same_owner"] and one["strength"] >= strong]
    pairs = [one for one in strangers if not _pair_dismissed(one, desk)]
    others = [_partner(one, request.account_id) for one in pairs]
    rings = [ring for ring in desk.rings.get(request.account_id, []) if not _ring_dismissed(ring, known, request, desk)]
    numbers: dict[str, Any] = {"accounts": others[:20], "rings": rings}
    together = bool(pairs or numbers["rings"])
    sentence = "No account of another owner trades as this one."
    if len(strangers) > len(pairs):
        sentence = "What trades as this one was answered by an analyst: it may, or it says nothing."
    if together:
        many = (
            "1 account of another owner trades" if len(others) == 1 else f"{len(others)} accounts of other owners trade"
        )
        sentence = f"{many} as this one."
        if numbers["rings"]:
            sentence += f" It belongs to {', '.join(numbers['rings'])}."
    yield Check("coordination", judged(not together), sentence, numbers, group="signals")


def _flags(request: Request, desk: Desk, until: dt.datetime | None) -> Iterator[Check]:
    if desk.signals is None:
        for name in ("account_signals", "owner_signals", "ring_signals"):
            yield Check(name, "unknown", "No detector has run.", group="signals")
        return
    own = [("account", request.account_id)]
    traders = desk.traders_of.get(request.owner_id, [request.trader_id])
    owned = [("trader", one) for one in traders]
    owned += [("account", a) for one in traders for a in desk.accounts_of.get(one, []) if a != request.account_id]
    ring = [("account", a) for r in desk.rings.get(request.account_id, []) for a in desk.ring_members.get(r, [])]
    ring = [subject for subject in ring if subject not in own and subject not in owned]
    for name, subjects, whose in (
        ("account_signals", own, "the account"),
        ("owner_signals", owned, "its owner's other accounts and names"),
        ("ring_signals", ring, "its ring"),
    ):
        yield _flagged(name, subjects, whose, desk, until)


def _flagged(name: str, subjects: list[tuple[str, str]], whose: str, desk: Desk, until: dt.datetime | None) -> Check:
    assert desk.signals is not None
    strong, apart = float(desk.policy.review["flag_strength"]), desk.policy.review["no_reason_to_hold"]
    found = [
        one
        for subject in subjects
        for one in desk.signals.get(subject, [])
        if one["strength"] >= strong
        and one["detector"] not in apart
        and (until is None or one["first_at"] is None or one["first_at"] <= until)
        and not _dismissed(one, desk)
    ]
    found.sort(key=lambda one: (-one["strength"], one["detector"], one["subject_id"]))
    numbers = {
        "flags": [
            {"detector": one["detector"], "subject": one["subject_id"], "strength": round(one["strength"], 3)}
            for one in found[:20]
        ]
    }
    if not subjects:
        return Check(name, "not_applicable", "The account belongs to no ring.", group="signals")
    named = ", ".join(sorted({one["detector"].replace("_", " ") for one in found}))
    flags = "1 open flag" if len(found) == 1 else f"{len(found)} open flags"
    sentence = f"{flags} on {whose}: {named}." if found else f"No open flag on {whose}."
    return Check(name, judged(not found), sentence, numbers, group="signals")


def _dismissed(flag: Row, desk: Desk) -> bool:
    """Whether an analyst has answered that a flag, as far as its evidence then reached, stands for nothing."""
    answer = desk.answered.get((flag["subject_kind"], flag["subject_id"], flag["detector"]))
    if answer is None or answer["outcome"] != "dismissed":
        return False
    return answer["seen_until"] is None or flag["last_at"] is None or flag["last_at"] <= answer["seen_until"]


def _partner(pair: Row, account_id: str) -> str:
    """The other account of a pair."""
    return str(pair["account_b"] if pair["account_a"] == account_id else pair["account_a"])


def _pair_dismissed(pair: Row, desk: Desk) -> bool:
    """Whether an analyst has answered that a pair stands for nothing, and it has not matched much more since."""
    reason = f"own {pair['relation']}" if pair["same_owner"] else pair["relation"]
    answer = desk.answered.get(("pair", f"{pair['account_a']}|{pair['account_b']}", reason))
    if answer is None or answer["outcome"] != "dismissed":
        return False
    return answer["seen_amount"] is None or pair["matched"] < GROWN * answer["seen_amount"]


def _ring_dismissed(ring: str, pairs: list[Row], request: Request, desk: Desk) -> bool:
    """Whether every pair that ties an account to its ring was dismissed."""
    members = desk.ring_members.get(ring, [])
    ties = [one for one in pairs if _partner(one, request.account_id) in members]
    return bool(ties) and all(_pair_dismissed(one, desk) for one in ties)


def _case(request: Request, desk: Desk) -> Check:
    """Whether the owner, or somebody of the account's ring, is being looked into or was found guilty."""
    members = [a for ring in desk.rings.get(request.account_id, []) for a in desk.ring_members.get(ring, [])]
    accounts = set(members)
    traders = {trader for trader, held in desk.accounts_of.items() if accounts & set(held)} if accounts else set()
    owners = [request.owner_id, *sorted({desk.owner_of.get(one, one) for one in traders} - {request.owner_id})]
    found = [desk.cases[one] for one in owners if one in desk.cases and desk.cases[one]["state"] != "dismissed"]
    return case_check(request.owner_id, found)


def case_check(owner_id: str | None, found: Sequence[Row]) -> Check:
    """What cases say about a request of an owner: their own, and those of others of the account's ring."""
    # by owner: a case that this run will open has no name yet, and the next run must say the same
    numbers = {
        "cases": [{"owner": one["owner_id"], "state": one["state"], "freeze": one["to_freeze"]} for one in found]
    }
    if not found:
        return Check(
            "case", "passed", "Nobody of the owner and the ring is being looked into.", numbers, group="signals"
        )
    told = []
    for one in found:
        freeze = ", a freeze is recommended" if one["to_freeze"] else ""
        whose = "the owner" if one["owner_id"] == owner_id else f"{one['owner_id']} of the ring"
        told.append(f"The case about {whose} is {one['state'].replace('_', ' ')}{freeze}.")
    return Check("case", "failed", " ".join(told[:5]), numbers, group="signals")


def identity(request: Request, desk: Desk) -> Iterator[Check]:
    """Who is paid: identity verified and fresh, destination the trader's own and not new, nobody on a list."""
    yield _verified(request, desk)
    yield _shared(request)
    yield _changed(request, desk)
    yield _screened(request, desk)


def _verified(request: Request, desk: Desk) -> Check:
    state, at = request.kyc_status, request.kyc_checked_at
    fresh = desk.policy.review["kyc_fresh_days"]
    numbers = {"kyc_status": state, "kyc_checked_at": at, "fresh_days": fresh}
    if state is None:
        return Check("identity", "unknown", "The trader is not known.", numbers, group="identity")
    if state != "verified":
        return Check("identity", "failed", f"The identity check is {state}.", numbers, group="identity")
    if at is None:
        sentence = "The identity is verified, when is not told."
        return Check("identity", "unknown", sentence, numbers, group="identity")
    holds = age_days(at, request.requested_at) <= fresh
    sentence = f"The identity was verified on {when(at)}"
    sentence += "." if holds else f", longer ago than {fresh} days."
    return Check("identity", judged(holds), sentence, numbers, group="identity")


def _shared(request: Request) -> Check:
    """Whether the destination is anybody else's: asked for, bought with, named by a partner, or of another name.

    Two registrations that are held to be one owner may share it; money to it cannot be in two names."""
    if not request.destination:
        return Check("destination", "unknown", "The request names no destination.", group="identity")
    asked, bought = (
        sorted(set(listed or []) - {request.owner_id})
        for listed in (request.destination_owners, request.destination_buyers)
    )
    partners = sorted(request.destination_partners or [])
    same, named = (sorted(listed or []) for listed in (request.destination_registrations, request.destination_names))
    numbers = {"destination": request.destination, "other_owners": asked, "buyers": bought, "partners": partners}
    numbers |= {"registrations": same, "other_names": named}
    told = []
    if asked:
        told.append(f"{len(asked)} other owners asked for money to the same destination.")
    if bought:
        told.append(f"{len(bought)} other owners bought challenges with it.")
    if partners:
        told.append(f"It is where partner {', '.join(partners)} is paid.")
    if named:
        told.append(f"{', '.join(named)}, held to be the same owner, asked for money to it under another name.")
    own = request.owner_id in (request.destination_buyers or [])
    fine = "Nobody else asked for money to this destination."
    if same:
        fine = f"Only {', '.join(same)}, of the same name and owner, asked for money to this destination too."
    fine += " The owner has bought with it." if own else " No feed tells whose name is on it."
    return Check("destination", judged(not told), " ".join(told) or fine, numbers, group="identity")


def _changed(request: Request, desk: Desk) -> Check:
    """Whether money would go to a place used before, or to one that has just taken the place of another."""
    name = "payee"
    if request.last_destination is None:
        sentence = (
            "This is the trader's first request; that the destination is the trader's own is not told by any feed."
        )
        return Check(name, "not_applicable", sentence, {"used_before": 0}, group="identity")
    settled = desk.policy.review["payee_settled_days"]
    since = request.used_since
    numbers = {"used_before": request.used_before, "used_since": since, "settled_days": settled}
    if since is not None and age_days(since, request.requested_at) >= settled:
        return Check(name, "passed", f"The destination is in use since {when(since)}.", numbers, group="identity")
    if since is not None and not request.other_destinations:
        return Check(
            name, "passed", "The destination is the only one the trader ever named.", numbers, group="identity"
        )
    return Check(name, "failed", "The destination was changed lately.", numbers, group="identity")


def _screened(request: Request, desk: Desk) -> Check:
    if desk.screened is None:
        required = desk.policy.screening["required"]
        sentence = "No screening list is configured: nobody was screened."
        return Check("screening", "unknown" if required else "not_applicable", sentence, group="identity")
    found, made_on = desk.screened.hits.get(request.trader_id, []), desk.screened.made_on
    numbers = {"hits": found[:5], "list_made_on": made_on and made_on.isoformat()}
    if found:
        best = found[0]
        sentence = f"{best['name']} on {best['list']} is alike to {best['score']:.2f}: {best['why']}."
        return Check("screening", "failed", sentence, numbers, group="identity")
    fine = "No name on the screening list is alike"
    if made_on is None:
        return Check("screening", "passed", f"{fine}; the list does not tell its age.", numbers, group="identity")
    days, most = (desk.as_of.date() - made_on).days, desk.policy.screening["list_fresh_days"]
    told = f"{fine}; the list is of {made_on:%Y-%m-%d}"
    if days > most:
        return Check("screening", "unknown", f"{told}, older than {most} days.", numbers, group="identity")
    return Check("screening", "passed", f"{told}.", numbers, group="identity")


def money(request: Request, worth: Worth | None, desk: Desk) -> Iterator[Check]:
    """Duplicates, decimals of the currency, what the account still holds, and transfers against what is due."""
    yield _duplicate(request, desk)
    if request.currency is not None and request.amount is not None:
        places = -request.amount.normalize().as_tuple().exponent
        fine = places <= decimals(request.currency)
        sentence = f"The amount has {'no more' if fine else 'more'} decimals than {request.currency} has."
        yield Check("decimals", judged(fine), sentence, {"amount": request.amount}, group="amount")
    if worth is not None:
        yield _reading(request, worth)
        yield _still_there(request, worth)
        yield _transfer(request, worth, desk)


def _duplicate(request: Request, desk: Desk) -> Check:
    if request.same_request is None:
        return Check("duplicate", "passed", "No earlier request for the same amount.", group="amount")
    age = age_days(request.same_request_at, request.requested_at)
    numbers = {"request": request.same_request, "days": round(age, 4)}
    holds = age > desk.policy.review["same_amount_days"]
    sentence = f"The same amount was asked for {age:.2f} days earlier ({request.same_request})."
    return Check("duplicate", judged(holds), sentence, numbers, group="amount")


def _reading(request: Request, worth: Worth) -> Check:
    """How the amount is read, and its parts."""
    given = None if worth.refund is None else written(worth.refund, request.fee_currency)
    refund = given and f"{given} {request.fee_currency}"
    numbers = {
        "read_as": "after the split" if request.asked_net else "before the split",
        "profit": worth.money(worth.profit),
        "split_pct": worth.split_percent,
        "deductions": worth.money(worth.deductions),
        "trader_share": worth.money(worth.trader_share),
        "firm_share": worth.money(worth.firm_share),
        "paid_before": request.paid_before,
        "window_since": request.last_paid_at,
        "amount_usd": None if request.rate_to_usd is None else round(float(request.amount) * request.rate_to_usd, 2),
        "fee_refund": refund,
        "scaled_to": worth.money(worth.size),
    }
    if worth.split is None:
        sentence = "The terms do not say how profit is split."
        return Check("split", "unknown", sentence, numbers, group="amount")
    if request.asked_net is None:
        sentence = "Transfers of this desk fit neither amounts before nor after the split."
        return Check("split", "unknown", sentence, numbers, group="amount")
    parts = (worth.payable, worth.trader_share or 0, worth.firm_share or 0)
    paid, trader, firm = (written(part, worth.currency) for part in parts)
    share = worth.split.percent(parts[0])
    sentence = f"Of {paid} {worth.currency} the trader receives {trader} ({share.normalize():f} %), the firm {firm}."
    if request.cuts and (request.terms or {}).get("floating_loss", {}).get("splits"):
        sentence += f" Open losses were too large on {request.cuts} days, which lowers the trader's share for good."
    if len(worth.split.bands) > 1:
        numbers["split_parts"] = [
            {"share_pct": percent, "from": worth.money(begins)} for begins, percent in worth.split.bands
        ]
    if worth.refund is not None:
        sentence += f" The fee of {refund} is given back with it."
    return Check("split", "passed", sentence, numbers, group="amount")


def _still_there(request: Request, worth: Worth) -> Check:
    """For a request not yet paid: whether the account lives and still holds the profit as the run stands.

    Of one that was granted it tells an end of the account since: the desk holds its money, the advice is of its time.
    """
    name = "still_there"
    if request.paid:
        return Check(name, "not_applicable", "The request has been paid.", group="amount")
    ended = request.status in ENDED and request.status_at > request.requested_at
    end = f"was {request.status} on {when(request.status_at)}, after the request" if ended else ""
    if request.operated_at is not None or request.granted_minor is not None:
        said = f"Its amount left the account on {when(request.operated_at)}" if request.operated_at else "Granted"
        said += f"; the account {end}." if ended else "."
        return Check(name, "not_applicable", said, {"taken": request.taken}, group="amount")
    numbers = {"balance": request.balance_now, "status": request.status, "status_at": request.status_at}
    numbers |= {"promised": request.promised}
    if request.balance_now is None:
        return Check(name, "unknown", "Where the account stands now is not known.", numbers, group="amount")
    left = to_minor(request.balance_now - request.initial_balance - request.promised, worth.currency)
    holds = not ended and left >= worth.payable
    sentence = f"The account holds a profit of {written(left, worth.currency)} {worth.currency} now"
    if request.promised:
        sentence += (
            f", {written(to_minor(request.promised, worth.currency), worth.currency)} of other payouts taken off"
        )
    short = "" if left >= worth.payable else ", less than is to be drawn"
    sentence += f"{short}, and {end}." if ended else f"{short}."
    return Check(name, judged(holds), sentence, numbers, group="amount")


def _transfer(request: Request, worth: Worth, desk: Desk) -> Check:
    """Whether transfers reported for the request fit it: once, the amount due, its currency and destination."""
    name = "transfer"
    alike = (
        []
        if request.paid
        else [one for one in desk.unnamed.get(request.destination, []) if _fits(one, request, worth, desk)]
    )
    if alike:
        return _perhaps_paid(alike[0], worth)
    if not request.transfers:
        said = "No transfer is reported."
        if request.paid:
            said = (
                "No transfer of this desk is ever reported; that the amount left the account is taken for its payment."
            )
        return Check(name, "not_applicable", said, {"paid": request.paid}, group="amount")
    due = worth.trader_share
    sent, fee = (to_minor(v, request.transfer_currency) for v in (request.transfer_amount, request.transfer_fee))
    wrong = []
    if request.standing > 1:
        wrong.append(f"it was paid {request.standing} times")
    if request.transfer_currency != request.currency:
        wrong.append(f"it was sent in {request.transfer_currency}, the account is in {request.currency}")
    elif due is not None and not _is_due(due, sent, fee, desk):
        due_said = written(due, worth.currency)
        wrong.append(f"{written(sent, worth.currency)} {worth.currency} was sent, {due_said} is due")
    if request.transfer_destination and request.destination and request.transfer_destination != request.destination:
        wrong.append("it went to another destination")
    if request.transfer_status in ("failed", "returned"):
        wrong.append(
            f"the last one {'failed' if request.transfer_status == 'failed' else 'came back'}: it needs a new one"
        )
    numbers = {"sent": request.transfer_amount, "due": worth.money(due), "transfers": request.transfers}
    numbers |= {"paid": request.paid}
    sentence = "The transfer is the one that is due." if not wrong else f"The transfer is held: {'; '.join(wrong)}."
    return Check(name, judged(not wrong), sentence, numbers, group="amount")


def _is_due(due: int, sent: int, fee: int, desk: Desk) -> bool:
    """Whether an amount is the one due, its cost within it, on top of it or apart."""
    near: int = desk.policy.review["transfer_minor_units"]
    return min(abs(due - one) for one in (sent, sent + fee, sent - fee)) <= near


def _fits(transfer: Row, request: Request, worth: Worth, desk: Desk) -> bool:
    """Whether a transfer that names no request may be this one's payment: later, to its place, the amount due."""
    if worth.trader_share is None or transfer["currency"] != request.currency:
        return False
    sent, fee = (to_minor(transfer[name], transfer["currency"]) for name in ("amount", "fee"))
    return bool(transfer["settled_at"] >= request.requested_at) and _is_due(worth.trader_share, sent, fee, desk)


def _perhaps_paid(transfer: Row, worth: Worth) -> Check:
    """A request that may have been paid already."""
    sent = to_minor(transfer["amount"], transfer["currency"])
    sentence = (
        f"It may have been paid: transfer {transfer['settlement_id']} of {written(sent, worth.currency)}"
        f" {worth.currency} went to its destination on {when(transfer['settled_at'])} and names no request."
        " Match or explain it first (Reconciliation)."
    )
    numbers = {"sent": transfer["amount"], "due": worth.money(worth.trader_share), "paid": None}
    return Check("transfer", "failed", sentence, numbers, group="amount")
