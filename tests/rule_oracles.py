"""Every set-based rule again, slowly and in plain Python: which instants and trades of an account break it.

An oracle takes an account (its trades opened and closed once) and the rule's terms with all defaults, and gives the
set of (instant, trade id or None). It knows nothing of strikes and effects.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from tests.rule_world import Account, Login, Trade, World

Terms = Mapping[str, Any]
LATEST = dt.datetime.max.replace(tzinfo=dt.UTC)
Found = set[tuple[dt.datetime, str | None]]


@dataclass(frozen=True)
class Held:
    """A position as far as it counts: cut at the account's end."""

    trade: Trade
    closed_at: dt.datetime | None
    until: dt.datetime

    @property
    def order(self) -> tuple[dt.datetime, str]:
        return self.trade.opened_at, self.trade.trade_id

    @property
    def net(self) -> Decimal:
        return Decimal(self.trade.profit) + Decimal(self.trade.commission)

    @property
    def lots(self) -> Decimal:
        return Decimal(self.trade.lots)


def seconds(count: int) -> dt.timedelta:
    """A span of whole seconds."""
    return dt.timedelta(seconds=count)


def until(account: Account, world: World) -> dt.datetime:
    """The last instant that counts for an account."""
    return min(account.ended_at or world.as_of, world.as_of)


def held(account: Account, world: World) -> list[Held]:
    """An account's positions in order of opening, cut at its end."""
    end = until(account, world)
    told = [
        Held(t, t.closed_at if t.closed_at and t.closed_at <= end else None, min(t.closed_at or end, end))
        for t in account.trades
        if t.opened_at <= end
    ]
    return sorted(told, key=lambda one: one.order)


def same_way(positions: Iterable[Held]) -> list[list[Held]]:
    """Positions by instrument and direction, each in order of opening."""
    ordered = sorted(positions, key=lambda one: (one.trade.symbol, one.trade.side, *one.order))
    return [list(group) for _, group in groupby(ordered, key=lambda one: (one.trade.symbol, one.trade.side))]


def closed(positions: Iterable[Held]) -> list[Held]:
    """Closed positions in order of closing."""
    done = [one for one in positions if one.closed_at is not None]
    return sorted(done, key=lambda one: (one.closed_at, one.trade.trade_id))


def size(terms: Terms, account: Account) -> Decimal:
    """A percent of the initial balance or an amount, in cents rounded half up."""
    if terms["amount"] is not None:
        return Decimal(terms["amount"])
    return (Decimal(terms["percent"]) * Decimal(account.initial) / 100).quantize(Decimal("0.01"), "ROUND_HALF_UP")


def max_lots(account: Account, terms: Terms, world: World) -> Found:
    limited = terms["symbols"]
    return {
        (one.trade.opened_at, one.trade.trade_id)
        for one in held(account, world)
        if one.lots > terms["lots"] and (limited is None or one.trade.symbol in limited)
    }


def max_exposure(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    positions = held(account, world)
    books = [positions]
    if terms["per"] == "symbol":
        books = [[p for p in positions if p.trade.symbol == symbol] for symbol in {p.trade.symbol for p in positions}]
    for book in books:
        instants = sorted({p.trade.opened_at for p in book} | {p.closed_at for p in book if p.closed_at})
        before = Decimal(0)
        for instant in instants:
            now = sum(
                (p.lots for p in book if p.trade.opened_at <= instant < (p.closed_at or LATEST)),
                Decimal(0),
            )
            if before <= terms["lots"] < now:
                found.add((instant, max(p.trade.trade_id for p in book if p.trade.opened_at == instant)))
            before = now
    return found


def lot_consistency(account: Account, terms: Terms, world: World) -> Found:
    positions = held(account, world)
    entries: list[list[Held]] = []
    for way in same_way(positions):
        for place, one in enumerate(way):
            near = place and one.trade.opened_at - way[place - 1].trade.opened_at <= seconds(terms["merge_seconds"])
            if near:
                entries[-1].append(one)
            else:
                entries.append([one])
    if len(entries) < terms["min_trades"]:
        return set()
    lots = [sum((one.lots for one in entry), Decimal(0)) for entry in entries]
    average = sum(lots, Decimal(0))
    last = max(one.trade.opened_at for one in positions)
    return {
        (last, entry[0].trade.trade_id)
        for entry, much in zip(entries, lots, strict=True)
        if much * len(entries) > terms["high"] * average or much * len(entries) < terms["low"] * average
    }


def ideas(positions: Sequence[Held], merge: int) -> list[list[Held]]:
    """Positions of one instrument and direction, together while open together or reopened soon after a loss."""
    made: list[list[Held]] = []
    for place, one in enumerate(positions):
        earlier = positions[:place]
        if earlier:
            last = max(p.until for p in earlier)
            lost = any(p.until == last and p.closed_at is not None and p.net < 0 for p in earlier)
            if one.trade.opened_at <= last + seconds(merge if lost else 0):
                made[-1].append(one)
                continue
        made.append([one])
    return made


def first_excess(losses: Sequence[tuple[dt.datetime, str, Decimal]], limit: Decimal) -> Found:
    """The first instant at which results together are below -limit, with the first trade of that instant."""
    for instant in sorted({at for at, _, _ in losses}):
        if -sum((net for at, _, net in losses if at <= instant), Decimal(0)) > limit:
            return {(instant, min(trade for at, trade, _ in losses if at == instant))}
    return set()


def idea_risk(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    for way in same_way(held(account, world)):
        for idea in ideas(way, terms["merge_seconds"]):
            results = [(p.closed_at, p.trade.trade_id, p.net) for p in idea if p.closed_at is not None]
            found |= first_excess(results, size(terms, account))
    return found


def firm_day(instant: dt.datetime, world: World) -> dt.date:
    """The firm day of a weekday world that resets at midnight UTC: weekends belong to Friday."""
    day = instant.date()
    return day - dt.timedelta(days=max(day.weekday() - 4, 0))


def symbol_loss(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    days: dict[tuple[str, dt.date], list[tuple[dt.datetime, str, Decimal]]] = {}
    for one in held(account, world):
        opened = (one.trade.symbol, firm_day(one.trade.opened_at, world))
        days.setdefault(opened, []).append((one.trade.opened_at, one.trade.trade_id, Decimal(0)))
        if one.closed_at is not None:
            shut = (one.trade.symbol, firm_day(one.closed_at, world))
            days.setdefault(shut, []).append((one.closed_at, one.trade.trade_id, one.net))
    for deals in days.values():
        found |= first_excess(deals, size(terms, account))
    return found


def stop_loss_required(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    for one in held(account, world):
        trade, due = one.trade, one.trade.opened_at + seconds(terms["grace_seconds"])
        told = terms["grace_seconds"] > 0 and bool(trade.late_stop) and (trade.closed_at or LATEST) <= world.as_of
        still_open = one.closed_at is None or one.closed_at > due
        if not trade.stop_loss and not told and still_open and due <= until(account, world):
            found.add((due, trade.trade_id))
        if trade.stop_loss and terms["max_risk_percent"] is not None:
            risk = round(abs(trade.open_price - trade.stop_loss) * float(trade.lots) * 100_000, 2)
            if risk > round(float(terms["max_risk_percent"]) / 100 * float(account.initial), 2):
                found.add((trade.opened_at, trade.trade_id))
    return found


IMPACTS = ("low", "medium", "high")


def news_window(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    events = [e for e in world.news if IMPACTS.index(e["impact"]) >= IMPACTS.index(terms["impact"])]
    for one in held(account, world):
        for event in events:
            if event["currency"] not in (one.trade.symbol[:3], one.trade.symbol[3:]):
                continue
            at, exempt = event["occurs_at"], terms["exempt_after_seconds"]
            if exempt is not None and one.trade.opened_at <= at - seconds(exempt):
                continue
            first, last = at - seconds(terms["before_seconds"]), at + seconds(terms["after_seconds"])
            executed = [one.trade.opened_at] if terms["applies"] != "close" else []
            executed += [one.closed_at] if one.closed_at is not None and terms["applies"] != "open" else []
            near = [instant for instant in executed if first <= instant <= last]
            if near:
                found.add((min(near), one.trade.trade_id))
    return found


def cutoffs(terms: Terms, world: World, first: dt.datetime, last: dt.datetime) -> list[dt.datetime]:
    """Every cutoff between two instants."""
    *weekday, clock = terms["cutoff"].split()
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    days = [names.index(weekday[0])] if weekday else list(range(7 if world.calendar == "crypto" else 5))
    day, made = first.date() - dt.timedelta(days=2), []
    while day <= last.date() + dt.timedelta(days=2):
        if day.weekday() in days:
            local = dt.datetime.combine(day, dt.time.fromisoformat(clock), ZoneInfo(terms["zone"]))
            made.append(local.astimezone(dt.UTC))
        day += dt.timedelta(days=1)
    return made


def open_at_cutoff(account: Account, terms: Terms, world: World) -> Found:
    end = until(account, world)
    return {
        (cutoff, one.trade.trade_id)
        for one in held(account, world)
        for cutoff in cutoffs(terms, world, one.trade.opened_at, end)
        if one.trade.opened_at <= cutoff <= end and (one.closed_at is None or cutoff < one.closed_at)
    }


def inactivity(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    active = sorted({account.opened_at, *(one.trade.opened_at for one in held(account, world))})
    for days in {terms["days"], terms["warn_days"]} - {None}:
        for instant in active:
            due = instant + dt.timedelta(days=days)
            if due <= until(account, world) and not any(instant < other <= due for other in active):
                found.add((due, None))
    return found


def holding_time(account: Account, terms: Terms, world: World) -> Found:
    return {
        (one.closed_at, one.trade.trade_id)
        for one in held(account, world)
        if one.closed_at is not None and one.closed_at - one.trade.opened_at < seconds(terms["seconds"])
    }


def holding_share(account: Account, terms: Terms, world: World) -> Found:
    done = closed(held(account, world))
    if len(done) < max(terms["min_trades"], 1):
        return set()
    spans = [one.until - one.trade.opened_at for one in done]
    short = [one for one, span in zip(done, spans, strict=True) if span < seconds(terms["seconds"])]
    gains = sum((max(one.net, Decimal(0)) for one in done), Decimal(0))
    short_gains = sum((max(one.net, Decimal(0)) for one in short), Decimal(0))
    most, of_profit, least = (terms[n] for n in ("max_share_trades", "max_share_profit", "min_average_seconds"))
    won = [span for one, span in zip(done, spans, strict=True) if one.net > 0]
    of_winners = terms["min_average_winner_seconds"]
    broken = (
        (of_winners is not None and sum(won, dt.timedelta()) < seconds(of_winners) * len(won))
        or (most is not None and len(short) * 100 > most * len(done))
        or (of_profit is not None and short_gains * 100 > of_profit * gains)
        or (least is not None and sum(spans, dt.timedelta()) < seconds(least) * len(done))
    )
    return {(done[-1].until, None)} if broken else set()


def hedging(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    positions = held(account, world)
    least = seconds(terms["min_overlap_seconds"])
    joint = terms["together"] or []
    for place, one in enumerate(positions):
        for other in positions[:place]:
            both = {one.trade.symbol, other.trade.symbol}
            alike = len(both) == 1 or any(both <= set(group) for group in joint)
            inverse = any(both == set(pair) for pair in terms["opposed"] or [])
            opposite = inverse if other.trade.side == one.trade.side else alike
            beside = min(one.until, other.until) - one.trade.opened_at
            if opposite and other.until > one.trade.opened_at and beside >= least:
                found.add((one.trade.opened_at + least, one.trade.trade_id))
    return found


def martingale(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    positions = held(account, world)
    for one in positions:
        opened = one.trade.opened_at
        earlier = [p for p in closed(positions) if p.trade.symbol == one.trade.symbol and p.order < one.order]
        before = sorted(
            (p for p in earlier if p.until <= opened), key=lambda p: (p.until, p.trade.opened_at == p.until)
        )
        row: list[Held] = []
        for past in reversed(before):
            if past.net >= 0:
                break
            row.insert(0, past)
        row = [past for past in row if past.until >= opened - seconds(terms["within_seconds"])]
        if row and len(row) >= terms["losses"] and one.lots >= terms["multiple"] * row[0].lots:
            found.add((opened, one.trade.trade_id))
    return found


def grid(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    for way in same_way(held(account, world)):
        for place, one in enumerate(way):
            stack = [p for p in way[:place] if p.until > one.trade.opened_at]
            if not stack or len(stack) + 1 <= terms["layers"]:
                continue
            worse = one.trade.open_price - stack[0].trade.open_price
            losing = worse < 0 if one.trade.side == "buy" else worse > 0
            if losing or not terms["losing_only"]:
                found.add((one.trade.opened_at, one.trade.trade_id))
    return found


def adding_to_losers(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    for way in same_way(held(account, world)):
        for place, one in enumerate(way):
            first = next((p for p in way[:place] if p.until > one.trade.opened_at), None)
            if first is not None:
                worse = one.trade.open_price - first.trade.open_price
                losing = worse < 0 if one.trade.side == "buy" else worse > 0
                if losing and one.lots > first.lots * terms["multiple"]:
                    found.add((one.trade.opened_at, one.trade.trade_id))
    return found


def hyperactivity(account: Account, terms: Terms, world: World) -> Found:
    days: dict[dt.date, list[Held]] = {}
    for one in held(account, world):
        days.setdefault(firm_day(one.trade.opened_at, world), []).append(one)
    most = terms["trades_per_day"]
    return {(day[most].trade.opened_at, day[most].trade.trade_id) for day in days.values() if len(day) > most}


def time_limit(account: Account, terms: Terms, world: World) -> Found:
    positions = held(account, world)
    start = account.opened_at if terms["starts"] == "opened" else None
    if terms["starts"] == "first_trade" and positions:
        start = positions[0].trade.opened_at
    due = start + dt.timedelta(days=terms["days"]) if start else None
    return {(due, None)} if due and due <= until(account, world) else set()


def symbols(account: Account, terms: Terms, world: World) -> Found:
    allowed, prohibited = terms["allowed"], terms["prohibited"] or []
    return {
        (one.trade.opened_at, one.trade.trade_id)
        for one in held(account, world)
        if one.trade.symbol in prohibited or (allowed is not None and one.trade.symbol not in allowed)
    }


def margin(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    positions = held(account, world)
    instants = sorted({p.trade.opened_at for p in positions} | {p.closed_at for p in positions if p.closed_at})
    before = 0.0
    for instant in instants:
        open_now = [
            p for p in positions if p.trade.opened_at <= instant and not (p.closed_at and p.closed_at <= instant)
        ]
        used = sum(float(p.lots) * 100_000 * p.trade.open_price / float(terms["leverage"]) for p in open_now)
        balance = Decimal(account.initial) + sum(
            (p.net for p in positions if p.closed_at and p.closed_at <= instant), Decimal(0)
        )
        share = round(100 * used / float(balance), 6)
        if before <= float(terms["percent"]) < share:
            found.add((instant, max(p.trade.trade_id for p in positions if p.trade.opened_at == instant)))
        before = share
    return found


def own_logins(account: Account, world: World) -> list[Login]:
    """Log-ins that concern an account, in order: those that name it, and its trader's that name none."""
    trader, end = account.trader_id or f"T-{account.account_id}", until(account, world)
    mine = [
        one
        for one in world.logins
        if (one.account_id == account.account_id if one.account_id else one.trader_id == trader)
        and account.opened_at <= one.at <= end
    ]
    return sorted(mine, key=lambda one: (one.at, one.ip))


def login_country(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    home = world.homes.get(account.trader_id or "")
    for one in own_logins(account, world):
        if one.country is None:
            continue
        allowed, prohibited = terms["allowed"], terms["prohibited"] or []
        if one.country in prohibited or (allowed is not None and one.country not in allowed):
            found.add((one.at, None))
        if terms["home_only"] and home is not None and one.country != home:
            found.add((one.at, None))
        before = [
            other
            for other in world.logins
            if other.trader_id == one.trader_id and other.country and (other.at, other.ip) < (one.at, one.ip)
        ]
        if before and terms["travel_seconds"] is not None:
            last = max(before, key=lambda other: (other.at, other.ip))
            if last.country != one.country and one.at - last.at < seconds(terms["travel_seconds"]):
                found.add((one.at, None))
    return found


def login_address(account: Account, terms: Terms, world: World) -> Found:
    found: Found = set()
    end, used = until(account, world), []
    for one in own_logins(account, world):
        if one.ip in used or one.ip in (terms["known"] or []):
            continue
        used.append(one.ip)
        if terms["max_addresses"] is not None and len(used) > terms["max_addresses"]:
            found.add((one.at, None))
        seen: list[str] = []
        for other in sorted(world.logins, key=lambda other: other.at):
            owner = world.owners.get(other.trader_id, other.trader_id)
            if other.ip != one.ip or other.at > end or owner in seen:
                continue
            seen.append(owner)
            if terms["max_owners"] is not None and len(seen) == terms["max_owners"] + 1:
                found.add((max(other.at, one.at), None))
    return found


def allocation_cap(account: Account, terms: Terms, world: World) -> Found:
    owner = world.owners.get(account.trader_id or "", account.trader_id)
    together = [
        other
        for other in world.accounts
        if other.stage in ("funded", "instant")
        and world.owners.get(other.trader_id or "", other.trader_id) == owner
        and (other.opened_at, other.account_id) <= (account.opened_at, account.account_id)
        and (other.ended_at is None or other.ended_at > account.opened_at)
    ]
    total = sum((Decimal(other.initial) for other in together), Decimal(0))
    funded = account.stage in ("funded", "instant")
    much = terms["amount"] is not None and total > terms["amount"]
    many = terms["accounts"] is not None and len(together) > terms["accounts"]
    return {(account.opened_at, None)} if funded and (much or many) else set()


def copy_own_accounts(account: Account, terms: Terms, world: World) -> Found:
    accounts = {other.account_id: other for other in world.accounts}
    found: Found = set()
    for pair in world.copies:
        both = [accounts[pair.account_a], accounts[pair.account_b]]
        funded = any(one.stage in ("funded", "instant") for one in both)
        forbidden = terms["policy"] == "prohibited" or (terms["policy"] == "challenge_only" and funded)
        own_copy = pair.same_owner and pair.relation == "copy" and pair.strength >= float(terms["min_strength"])
        if account in both and forbidden and own_copy:
            found.add((max(one.opened_at for one in both), None))
    return found


ORACLES: dict[str, Callable[[Account, Terms, World], Found]] = {
    "max_lots": max_lots,
    "max_exposure": max_exposure,
    "lot_consistency": lot_consistency,
    "idea_risk": idea_risk,
    "symbol_loss": symbol_loss,
    "stop_loss_required": stop_loss_required,
    "news_window": news_window,
    "weekend": open_at_cutoff,
    "overnight": open_at_cutoff,
    "inactivity": inactivity,
    "holding_time": holding_time,
    "holding_share": holding_share,
    "hedging": hedging,
    "martingale": martingale,
    "grid": grid,
    "adding_to_losers": adding_to_losers,
    "hyperactivity": hyperactivity,
    "time_limit": time_limit,
    "symbols": symbols,
    "margin": margin,
    "allocation_cap": allocation_cap,
    "copy_own_accounts": copy_own_accounts,
    "login_country": login_country,
    "login_address": login_address,
}
