"""Eligibility: what the terms bought ask of a request, each condition told with its numbers and its rule."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from models.catalogue import FUNDED, Terms
from models.money import decimals, from_minor, percent_of, to_minor, written
from models.payouts.amounts import Worth, age_days, remains, takes_excess, unit_profits
from models.payouts.checks import Check, LeadsTo, judged, when
from models.payouts.facts import Desk, Request
from models.payouts.shares import claimed
from models.rule_words import rule_sentence
from models.terms import amount_of

ENDED = ("breached", "closed", "expired", "passed")


def known(request: Request) -> Iterator[Check]:
    """Whether there is an account, in a stage that pays, under terms; and whether the amount is one."""
    there = request.trader_id is not None
    told = f"Account {request.account_id} is {'known' if there else 'not known: nothing can be checked against it'}."
    yield Check("account", judged(there), told, {"account_id": request.account_id}, leads_to="reject")
    positive = request.amount is not None and request.amount > 0
    asked = "unknown" if request.amount is None else _as_asked(request.amount, request.currency)
    sentence = f"The amount asked for, {asked}, is {'positive' if positive else 'not a positive amount'}."
    yield Check("amount", judged(positive), sentence, {"amount": request.amount}, leads_to="reject")
    if there:
        funded = request.stage in FUNDED
        sentence = f"The account is in stage {request.stage}, {'which pays' if funded else 'which pays nothing'} out."
        yield Check("stage", judged(funded), sentence, {"stage": request.stage}, leads_to="reject")
        if request.terms is None:
            product = request.product or "unknown"
            sentence = f"No terms are known for product {product} in stage {request.stage}."
            yield Check("terms", "unknown", sentence, {"product": product})


def _as_asked(amount: Decimal, currency: str | None) -> str:
    """An amount with every decimal that was asked for, at least those of its currency."""
    own = -int(amount.normalize().as_tuple().exponent)
    return f"{amount:,.{max(own, decimals(currency) if currency else 0)}f} {currency or ''}".strip()


def conditions(request: Request, terms: Terms, worth: Worth, desk: Desk) -> Iterator[Check]:
    """Every condition of the terms, in the order in which a reviewer reads them."""
    claim = claimed(request.row, terms)
    yield _alive(request, claim=claim)
    yield _claim(request, terms) if claim else _not_asked("claim", "Nothing is claimed after the account's end.")
    yield _not_asked("waiting_time", "A claim has no waiting time.") if claim else _waited(request, terms)
    yield _most_payouts(request, terms)
    yield _minimum(request, terms, worth)
    yield _profit(request, terms, worth)
    yield _cap(request, terms, worth)
    yield _trading_days(request, terms)
    yield _profitable_days(request, terms)
    yield _consistency(request, terms, worth)
    yield _flat(request, terms)
    yield _no_other(request, desk)


def _rule(terms: Terms, name: str, request: Request) -> str:
    return rule_sentence(name, terms[name], request.currency) if name in terms else ""


def _not_asked(check: str, sentence: str) -> Check:
    return Check(check, "not_applicable", sentence)


def _alive(request: Request, *, claim: bool) -> Check:
    status, since = request.status, request.status_at
    numbers = {"status": status, "status_at": since, "requested_at": request.requested_at}
    if status is None:
        return Check("account_alive", "unknown", "The account has not been judged.", numbers)
    ended = status in ENDED and since <= request.requested_at
    closed = request.closed_at is not None and request.closed_at <= request.requested_at
    if ended or closed:
        word = status if ended else "closed"
        sentence = f"The account was {word} at {when(since if ended else request.closed_at)}, before the request."
        if claim:
            return Check("account_alive", "passed", f"{sentence} A claim is possible after it.", numbers)
        return Check("account_alive", "failed", sentence, numbers, leads_to="reject")
    return Check("account_alive", "passed", "The account was not ended before the request.", numbers)


def _claim(request: Request, terms: Terms) -> Check:
    """Whether what the terms ask of a claim after the account's end holds."""
    rule = terms["claim"]
    days, most = age_days(request.status_at, request.requested_at), rule["within_days"]
    bare = [one["trade_id"] for one in request.trades if rule["stop_loss"] and not one["stopped"]]
    least, limit = 0, None
    if rule["max_trade_loss_percent"] is not None:
        limit = percent_of(rule["max_trade_loss_percent"], to_minor(request.initial_balance, request.currency))
        least = min((to_minor(one["net_profit"] or 0, request.currency) for one in request.trades), default=0)
    wrong = []
    if most is not None and request.requested_at > request.status_at + dt.timedelta(days=most):
        wrong.append(f"{most} days were given")
    if bare:
        wrong.append(f"trade {bare[0]} had no stop loss")
    if limit is not None and -least > limit:
        lost, allowed = (written(minor, request.currency) for minor in (-least, limit))
        wrong.append(f"a trade lost {lost} {request.currency}, more than {allowed}")
    numbers = {"days": round(days, 4), "ended_by": request.ended_by, "without_stop": bare[:20]}
    sentence = f"Claimed {days:.2f} days after {request.ended_by.replace('_', ' ')} ended the account"
    sentence += f": refused, {'; '.join(wrong)}." if wrong else "."
    return Check("claim", judged(not wrong), sentence, numbers, _rule(terms, "claim", request), leads_to="reject")


def _waited(request: Request, terms: Terms) -> Check:
    """Days since the account's start (first payout) or since the last payout was asked for."""
    name = "waiting_time"
    rule = terms.get("payout")
    if rule is None:
        return _not_asked(name, "The terms name no waiting time.")
    first = request.paid_before == 0
    needed = rule["first_after_days"] if first else rule["cycle_days"]
    if not needed:
        return _not_asked(name, "The terms name no waiting time.")
    since = request.last_paid_at if not first else _start(request, rule["cycle_start"])
    word = "the last payout" if not first else "the first trade" if rule["cycle_start"] == "first_trade" else "opening"
    text = _rule(terms, "payout", request)
    if since is None:
        return Check(
            name, "failed", "There was no trade before the request.", {"needed": needed}, text, leads_to="not_yet"
        )
    days = age_days(since, request.requested_at)
    from_at = since + dt.timedelta(days=needed)
    holds = request.requested_at >= from_at
    numbers = {"days": round(days, 4), "needed": needed, "since": since, "possible_from": from_at}
    sentence = f"{days:.2f} days since {word} ({when(since)}), {needed} needed"
    sentence += "." if holds else f": possible from {when(from_at)}."
    return Check(name, judged(holds), sentence, numbers, text, leads_to="not_yet")


def _start(request: Request, starts: str) -> dt.datetime | None:
    at: dt.datetime | None = request.first_trade_at if starts == "first_trade" else request.opened_at
    return at


def _most_payouts(request: Request, terms: Terms) -> Check:
    most = (terms.get("payout") or {}).get("max_payouts")
    if not most:
        return _not_asked("payout_count", "The terms limit no number of payouts.")
    sentence = f"This is payout {request.number} of the account, {most} are possible."
    numbers = {"paid_before": request.paid_before, "allowed": most}
    text = _rule(terms, "payout", request)
    return Check("payout_count", judged(request.number <= most), sentence, numbers, text, leads_to="reject")


def _minimum(request: Request, terms: Terms, worth: Worth) -> Check:
    least = to_minor((terms.get("payout") or {}).get("minimum") or 0, worth.currency)
    if not least:
        return _not_asked("minimum", "The terms name no least amount.")
    asked, needed = written(worth.profit, worth.currency), written(least, worth.currency)
    numbers = {"amount": worth.money(worth.profit), "needed": worth.money(least)}
    sentence = f"{asked} {worth.currency} asked for, at least {needed} needed."
    return Check(
        "minimum", judged(worth.profit >= least), sentence, numbers, _rule(terms, "payout", request), leads_to="not_yet"
    )


def _profit(request: Request, terms: Terms, worth: Worth) -> Check:
    """Whether the account holds the profit, the buffer left in it."""
    numbers = {
        "profit_asked": worth.money(worth.profit),
        "balance": request.balance,
        "initial_balance": request.initial_balance,
        "in_window": sum((Decimal(day["net"]) for day in request.days), Decimal(0)),
        "deposited": request.deposited,
        "void_before": worth.money(request.void),
        "withdrawable": worth.money(worth.available),
    }
    asked, there = (written(amount, worth.currency) for amount in (worth.profit, worth.available))
    sentence = f"{asked} {worth.currency} asked for, {there} could be withdrawn at the request."
    if request.deposited:
        put_in = written(to_minor(request.deposited, worth.currency), worth.currency)
        sentence += f" {put_in} {worth.currency} was put into the account since its opening and is no profit."
    if request.void:
        void = written(request.void, worth.currency)
        sentence += f" {void} {worth.currency} that rules took with earlier payouts is void and still in the account."
    holds = worth.profit <= worth.available
    return Check(
        "profit", judged(holds), sentence, numbers, _rule(terms, "payout", request), leads_to=remains(worth, terms)
    )


def _cap(request: Request, terms: Terms, worth: Worth) -> Check:
    if worth.cap is None:
        return _not_asked("cap", "The terms name no cap.")
    numbers = {"profit_asked": worth.money(worth.profit), "cap": worth.money(worth.cap), "payout": request.number}
    asked, most = (written(amount, worth.currency) for amount in (worth.profit, worth.cap))
    sentence = f"{asked} {worth.currency} asked for, at most {most} can be drawn with payout {request.number}."
    holds = worth.profit <= worth.cap
    return Check(
        "cap", judged(holds), sentence, numbers, _rule(terms, "payout", request), leads_to=remains(worth, terms)
    )


def _trading_days(request: Request, terms: Terms) -> Check:
    rule = terms.get("min_trading_days")
    if rule is None:
        return _not_asked("trading_days", "The terms ask for no trading days.")
    days = _traded_days(request, rule)
    sentence = f"{days} trading days since the last payout, {rule['days']} needed."
    numbers = {"days": days, "needed": rule["days"]}
    text = _rule(terms, "min_trading_days", request)
    return Check("trading_days", judged(days >= rule["days"]), sentence, numbers, text, leads_to="not_yet")


def _traded_days(request: Request, rule: dict[str, Any]) -> int:
    """Firm days of the window that count: by their opening deals, or by the positions closed on them."""
    if rule["counts"] == "opened":
        return sum(1 for day in request.days if day["openings"])
    closed = [one for one in request.trades if not one["open"]]
    if rule["counts"] == "opened_and_closed":
        return len({one["closed_day"] for one in closed if one["closed_day"] == one["opened_day"]})
    currency = request.currency
    size = 0
    if rule["percent"] is not None or rule["amount"] is not None:
        size = amount_of(rule, to_minor(request.initial_balance, currency), currency)
    return len(
        {
            one["closed_day"]
            for one in closed
            if Decimal(repr(one["lots"])) >= rule["lots"] and abs(to_minor(one["net_profit"], currency)) >= size
        }
    )


def _profitable_days(request: Request, terms: Terms) -> Check:
    rule = terms.get("min_profitable_days")
    if rule is None:
        return _not_asked("profitable_days", "The terms ask for no profitable days.")
    currency = request.currency
    size = amount_of(rule, to_minor(request.initial_balance, currency), currency)
    since = None
    if rule["within_days"] and request.firm_day is not None:
        since = request.firm_day - dt.timedelta(days=rule["within_days"])
    good = [day["firm_day"] for day in request.days if to_minor(day["net"], currency) >= size]
    days = sum(since is None or day > since for day in good)
    told = f"{written(size, currency)} {currency}"
    window = f" in {rule['within_days']} days" if rule["within_days"] else ""
    sentence = (
        f"{days} days with a closed profit of {told} or more since the last payout{window}, {rule['days']} needed."
    )
    numbers = {"days": days, "needed": rule["days"], "profit": from_minor(size, currency)}
    text = _rule(terms, "min_profitable_days", request)
    return Check("profitable_days", judged(days >= rule["days"]), sentence, numbers, text, leads_to="not_yet")


def _consistency(request: Request, terms: Terms, worth: Worth) -> Check:
    rule = terms.get("consistency")
    if rule is None:
        return _not_asked("consistency", "The terms ask for no consistency.")
    if rule["unit"] == "lot":
        units = [(one["trade_id"], Decimal(repr(one["lots"]))) for one in request.trades if not one["open"]]
        total = sum((lots for _, lots in units), Decimal(0))
    else:
        units, total = unit_profits(request, rule)
    text = _rule(terms, "consistency", request)
    if total <= 0 or not units:
        return Check(
            "consistency", "not_applicable", "There is no profit that could be shared out.", {"total": total}, text
        )
    name, best = max(units, key=lambda unit: unit[1])
    share, allowed = best * 100 / total, rule["share"]
    holds = best * 100 <= allowed * total
    numbers = {"best": best, "of": total, "share_pct": round(share, 2), "allowed_pct": allowed, rule["unit"]: name}
    if not holds and rule["unit"] != "lot":
        numbers["profit_needed"] = round(best * 100 / allowed, 2)
    made = f"The best {rule['unit']} ({name}) made {share:.2f} % of the profit"
    if rule["unit"] == "lot":
        made = f"The largest trade ({name}) held {share:.2f} % of the lots of all closed trades"
    sentence = f"{made}, {allowed.normalize():f} % allowed."
    if not holds and rule["effect"] == "warn":
        return Check("consistency", "not_applicable", f"{sentence} The terms only warn of it.", numbers, text)
    leads: LeadsTo = remains(worth, terms) if takes_excess(rule) else "not_yet"
    return Check("consistency", judged(holds), sentence, numbers, text, leads_to=leads)


def _flat(request: Request, terms: Terms) -> Check:
    """Whether nothing was open at the request; trades whose opening was never told may be open."""
    rule = terms.get("payout")
    if rule is None or not rule["require_flat"]:
        return _not_asked("open_positions", "Positions may be open at the request.")
    open_then = [one["trade_id"] for one in request.trades if one["open"]]
    numbers = {"open": len(open_then), "trades": open_then[:20]}
    sentence = (
        f"{len(open_then)} positions were open at the request." if open_then else "Nothing was open at the request."
    )
    return Check(
        "open_positions", judged(not open_then), sentence, numbers, _rule(terms, "payout", request), leads_to="not_yet"
    )


def _no_other(request: Request, desk: Desk) -> Check:
    """Whether an earlier request still waits; one left unanswered for long is held to be over."""
    name = "other_request"
    if request.open_request is None:
        return Check(name, "passed", "No earlier request of the account was waiting.")
    age = age_days(request.open_request_at, request.requested_at)
    most = desk.policy.review["answered_within_days"]
    numbers = {"request": request.open_request, "requested_at": request.open_request_at, "days": round(age, 2)}
    since = f"Request {request.open_request} of {when(request.open_request_at)}"
    if age > most:
        return Check(
            name, "not_applicable", f"{since} was never answered; after {most} days it is held to be over.", numbers
        )
    return Check(name, "failed", f"{since} had no answer yet.", numbers, leads_to="not_yet")
