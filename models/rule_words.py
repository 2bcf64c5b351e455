"""Rules in words: the sentence that states a rule with its numbers, and the sentence that states what broke it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from string import Formatter
from typing import Any

from models.clock import place

Terms = Mapping[str, Any]

UNITS = {
    "max_lots": "lots",
    "max_exposure": "lots",
    "lot_consistency": "lots",
    "idea_risk": "money",
    "symbol_loss": "money",
    "stop_loss_required": "money",
    "news_window": "seconds",
    "weekend": "lots",
    "overnight": "lots",
    "inactivity": "days",
    "holding_time": "seconds",
    "holding_share": "percent or seconds",
    "hedging": "seconds",
    "martingale": "lots",
    "adding_to_losers": "lots",
    "grid": "positions",
    "hyperactivity": "deals",
    "time_limit": "days",
    "symbols": "lots",
    "margin": "percent",
    "allocation_cap": "money or accounts",
    "login_country": "log-ins or seconds",
    "login_address": "addresses or people",
    "copy_own_accounts": "trades",
}
"""What `observed` and `allowed` of a set-based rule are counted in."""

_FOUND = {
    "max_lots": "Trade {trade} in {instrument} reached {observed} lots, more than the {allowed} allowed, {when}.",
    "max_exposure": "{observed} lots were open{where}, more than the {allowed} allowed, {when}.",
    "lot_consistency": "{observed} lots in {instrument} (trade {trade}, opened {opened_at}) are {beyond} the "
    "{allowed} that "
    "the average of {average} lots over {entries} entries allows, as of {when_short}.",
    "idea_risk": "The {side} idea in {instrument} had lost {observed_money}, more than the {allowed_money} "
    "allowed, {when}.",
    "symbol_loss": "{instrument} had lost {observed_money} in the day, more than the {allowed_money} allowed, {when}.",
    "stop_loss_required": "Trade {trade} in {instrument} had no stop loss {allowed} s after its opening, {when}.",
    "stop_risk": "Trade {trade} in {instrument} risked about {observed_money} to its stop, more than the "
    "{allowed_money} "
    "allowed, {when}.",
    "news_window": "Trade {trade} in {instrument} was {did} {seconds_off} s {side_of_news} {title} "
    "({currency_moved}), inside the {window} s that count, {when}.",
    "weekend": "Trade {trade} in {instrument} ({observed} lots) was open at the weekend cutoff, {when}.",
    "overnight": "Trade {trade} in {instrument} ({observed} lots) was open at the daily cutoff, {when}.",
    "inactivity": "No trade was opened for {observed} days after {last_active_at}, of the {allowed} allowed, {when}.",
    "holding_time": "Trade {trade} in {instrument} was held {observed} s, less than the {allowed} s required, {when}.",
    "holding_share_trades": "{observed} % of {trades} closed trades were shorter than {seconds} s, more than "
    "the {allowed} % "
    "allowed, as of {when_short}.",
    "holding_share_profit": "{observed} % of the gross profit came from trades shorter than {seconds} s, more than the "
    "{allowed} % allowed, as of {when_short}.",
    "holding_share_average": "{trades} closed trades were held {observed} s on average, less than the {allowed} "
    "s required, "
    "as of {when_short}.",
    "holding_share_winners": "{winners} trades that won were held {observed} s on average, less than the {allowed} s "
    "required, as of {when_short}.",
    "hedging": "Trade {trade} in {instrument} was open against trade {against}{against_in} for {observed} s; "
    "{allowed} s already count, {when}.",
    "martingale": "Trade {trade} in {instrument} was opened with {observed} lots after {losses} losses in a "
    "row, {allowed} "
    "lots being too many after {first_lots} in the first of them, {when}.",
    "adding_to_losers": "Trade {trade} added {observed} lots in {instrument} to the losing trade {first_trade_id} of "
    "{first_lots} lots, more than the {allowed} allowed, {when}.",
    "grid": "Trade {trade} made {observed} {side} positions open in {instrument} at once, more than the "
    "{allowed} allowed, "
    "{when}.",
    "hyperactivity": "{observed} trades were opened in the firm day {firm_day}, more than the {allowed} "
    "allowed; the first "
    "too many {when}.",
    "time_limit": "The stage was not passed within {allowed} days of {started_at}: they were over {when}.",
    "symbols": "Trade {trade} was opened in {instrument}, which the plan does not allow, {when}.",
    "margin": "About {observed} % of the balance was in use as margin, more than the {allowed} % allowed, {when}.",
    "allocation_cap_amount": "With this account the owner held {observed_money} in {accounts} funded accounts, more "
    "than the {allowed_money} allowed, {when}.",
    "allocation_cap_accounts": "With this account the owner held {observed} funded accounts, more than the {allowed} "
    "allowed, {when}.",
    "login_country_listed": "The trader signed in from {country} ({ip}), which the plan does not allow, {when}.",
    "login_country_home": "The trader, whose country is {home}, signed in from {country} ({ip}), {when}.",
    "login_country_travel": "The trader signed in from {country} ({ip}) {observed} s after a log-in from "
    "{country_before}; at least {allowed} s lie between two countries, {when}.",
    "login_address_addresses": "{ip} was address number {observed} that the account was used from, more than the "
    "{allowed} allowed, {when}.",
    "login_address_owners": "{observed} people signed in from {ip}, from which this account is used, more than the "
    "{allowed} allowed, {when}.",
    "copy_own_accounts": "{observed} trades are copies between this account and the owner's account "
    "{other_account_id}, "
    "which the plan does not allow; both were open {when}.",
}

PARTS = {
    "holding_share": ("trades", "profit", "average", "winners"),
    "allocation_cap": ("amount", "accounts"),
    "login_country": ("listed", "home", "travel"),
    "login_address": ("addresses", "owners"),
}
"""Rules that can be broken in several ways, each of which has its sentence; `part` of the detail says in which."""

# How verdicts write numbers and money, as DuckDB macros: there may be millions of verdicts.
SQL_WORDS = """
create or replace macro exactly(value) as cast(cast(round(value, 8) as varchar) as decimal(28, 8));
create or replace macro bare(text) as rtrim(rtrim(text, '0'), '.');
create or replace macro grouped(text) as
    case when starts_with(text, '-') then '-' else '' end
    || format('{:,}', cast(ltrim(split_part(text, '.', 1), '-') as bigint))
    || case when contains(text, '.') then '.' || split_part(text, '.', 2) else '' end;
create or replace macro plainly(exact) as bare(cast(exact as varchar));
create or replace macro told(exact) as
    case when abs(exact) < 1000 then bare(cast(round(exact, 6) as varchar))
    else grouped(bare(cast(round(exact, 6) as varchar))) end;
create or replace macro by_clock(local_at, place_name) as
    strftime(local_at, '%H:%M:%S') || ' ' || place_name || ' on ' || strftime(local_at, '%Y-%m-%d');
create or replace macro told_by_clock(instant, zone, place_name) as
    by_clock(timezone(zone, cast(instant as timestamptz)), place_name);
create or replace macro in_money(exact, decimals, currency) as grouped(
    case decimals
        when 0 then cast(round(exact, 0) as varchar)
        when 2 then cast(round(exact, 2) as varchar)
        when 3 then cast(round(exact, 3) as varchar)
        else cast(exact as varchar)
    end
) || ' ' || currency;
"""

_WORDS_IN_SQL = {
    "trade": "trade_id",
    "observed": "seen_told",
    "allowed": "most_told",
    "observed_money": "in_money(seen, decimals, currency)",
    "allowed_money": "in_money(most, decimals, currency)",
    "when": "'at ' || by_clock(local_at, place_name)",
    "when_short": "strftime(local_at, '%Y-%m-%d %H:%M:%S') || ' ' || place_name",
    "did": "case (detail ->> 'role') when 'in' then 'opened' else 'closed' end",
    "last_active_at": "told_by_clock((detail ->> 'last_active_at'), zone, place_name)",
    "opened_at": "told_by_clock((detail ->> 'opened_at'), zone, place_name)",
    "started_at": "told_by_clock((detail ->> 'started_at'), zone, place_name)",
    "seconds_off": "told(abs(seen))",
    "window": "told(abs(most))",
    "side_of_news": "case when observed < 0 then 'before' else 'after' end",
    "title": "coalesce(nullif((detail ->> 'title'), ''), 'news')",
    "currency_moved": "(detail ->> 'currency')",
    "beyond": "case (detail ->> 'large') when 'true' then 'more than' else 'less than' end",
    "average": "told(exactly(cast((detail ->> 'average') as double)))",
    "first_lots": "told(exactly(cast((detail ->> 'first_lots') as double)))",
    "against_in": "coalesce(' in ' || (detail ->> 'against_instrument'), '')",
    "where": "coalesce(' in ' || (detail ->> 'instrument'), '')",
}


def sentence_sql(rule: str) -> str:
    """The SQL of a verdict's sentence: what was observed against what is allowed, and when on the firm's clock.

    Reads the columns observed, seen and most (observed and allowed, exactly), seen_told and most_told (both in words),
    trade_id, detail (JSON), occurrences, currency, decimals, zone, local_at (the firm's local time) and place_name,
    and the macros of `SQL_WORDS`.
    """
    if rule in PARTS:
        parts = " ".join(f"when '{part}' then {_in_sql(f'{rule}_{part}')}" for part in PARTS[rule])
        said = f"case (detail ->> 'part') {parts} end"
    elif rule == "stop_loss_required":
        said = f"case when (detail ->> 'stop_loss') is null then {_in_sql(rule)} else {_in_sql('stop_risk')} end"
    else:
        said = _in_sql(rule)
    more = "occurrences - 1 || ' more time' || case occurrences when 2 then '' else 's' end"
    return f"{said} || case when occurrences > 1 then ' The same happened ' || {more} || ' that day.' else '' end"


def _in_sql(template: str) -> str:
    """A template as SQL that joins its words; one that is no column of its own is a member of the detail."""
    parts = []
    for literal, name, _, _ in Formatter().parse(_FOUND[template]):
        if literal:
            parts.append("'" + literal.replace("'", "''") + "'")
        if name:
            parts.append(_WORDS_IN_SQL.get(name, f"(detail ->> '{name}')"))
    return f"concat({', '.join(parts)})"


def number(value: float | Decimal) -> str:
    """A number as people read it: thousands separated, no binary noise, no trailing zeros."""
    whole = Decimal(str(round(value, 6))).normalize()
    return f"{whole:,f}"


# --- what a rule says ----------------------------------------------------------------------------------------------

_REFERENCES = {
    "balance": "balance at the daily reset",
    "equity": "equity at the daily reset",
    "max": "higher of balance and equity at the daily reset",
    "intraday_high": "highest equity of the day",
    "ratchet": "highest end-of-day value so far",
}
_MODES = {
    "static": "the initial balance",
    "trailing_equity": "the highest equity, open profit included",
    "trailing_closed": "the highest balance",
    "trailing_eod": "the highest end-of-day balance",
}
_BASES = {
    "initial": "the initial balance",
    "reference": "that reference",
    "balance": "the balance",
    "high_water": "that high water",
    "profit": "what the account had made by the daily reset",
    "fixed": "",
}
_FOLLOWS = {
    "terminate": "Breaking it ends the account.",
    "pause": "Breaking it pauses the account until the next daily reset.",
    "strip": "The profit of the trades concerned is not counted.",
    "split_cut": "The trader's share of the profit concerned is cut.",
    "wait": "A payout or the next stage waits until it holds.",
    "warn": "Breaking it is noted as a warning.",
}
_REBASES = {
    "none": "",
    "to_balance": "After a payout the high water is the balance then left.",
    "floor_at": "After a payout the floor is the initial balance{offset} and stays there.",
}


def rule_sentence(rule: str, terms: Terms, currency: str | None = None) -> str:
    """A rule with its numbers, as a trader can be told it; `currency` names the money of amounts, where it is known."""
    said = _RULE_WORDS[rule](terms, currency)
    return " ".join(part for part in (said, _strikes(terms), _FOLLOWS.get(terms.get("effect", ""), "")) if part)


def _strikes(terms: Terms) -> str:
    if not terms.get("strikes"):
        return ""
    times = "once" if terms["strikes"] == 1 else f"{terms['strikes']} times"
    effect = {
        "warn": "with a warning",
        "strip": "with the profit of the trades concerned not counted",
        "split_cut": "with a cut share of the profit",
        "pause": "with a pause until the next daily reset",
        "wait": "with the payout waiting",
    }[terms["strike_effect"]]
    return f"It is tolerated {times}, {effect}."


def _size(terms: Terms, currency: str | None, base: str | None = None) -> str:
    if terms["percent"] is None:
        return _amount(terms["amount"], currency)
    return f"{number(terms['percent'])} % of {base or _BASES[terms.get('base', 'initial')]}"


def _amount(value: Decimal, currency: str | None) -> str:
    return f"{number(value)} {currency}" if currency else number(value)


def _below(terms: Terms) -> str:
    return "reach or fall below" if terms["compare"] == "lte" else "fall below"


def _warned(terms: Terms) -> str:
    share = terms["warn_at"]
    return "" if share is None else f" A warning is given when {number(share)} % of the allowance is used."


def _daily_loss(terms: Terms, currency: str | None) -> str:
    floor = f"the {_REFERENCES[terms['reference']]} less {_size(terms, currency)}"
    return f"Equity may not {_below(terms)} {floor}, open positions included.{_warned(terms)}"


def _daily_gain(terms: Terms, currency: str | None) -> str:
    base = "the equity at the daily reset" if terms["base"] == "reference" else None
    return f"The day is over when equity is {_size(terms, currency, base)} above the equity at the daily reset."


def _floating_loss(terms: Terms, currency: str | None) -> str:
    said = f"The loss of all open positions together may not exceed {_size(terms, currency)}."
    if terms["base"] == "profit":
        least = terms["at_least"]
        said += f" It may always be {_amount(least, currency)}." if least else " Without a profit it is not limited."
    if terms["splits"]:
        steps = ", then ".join(f"{number(share)} %" for share in terms["splits"])
        said += f" Every day on which it does lowers the trader's share of profit for good: to {steps}."
    return said


def _offset(amount: Decimal | None, currency: str | None) -> str:
    return f" + {_amount(amount, currency)}" if amount else ""


def _max_loss(terms: Terms, currency: str | None) -> str:
    text = f"Equity may never {_below(terms)} {_MODES[terms['mode']]} less {_size(terms, currency)}."
    if terms["lock_at_target"]:
        text += " The floor stops rising at the profit target."
    if terms["lock_offset"] is not None:
        text += f" The floor stops rising at the initial balance{_offset(terms['lock_offset'], currency)}."
    rebase = _REBASES[terms["payout_rebase"]].format(offset=_offset(terms["rebase_offset"], currency))
    return f"{text} {rebase}".rstrip() + _warned(terms)


def _profit_target(terms: Terms, currency: str | None) -> str:
    kind = "closed profit" if terms["basis"] == "closed" else "profit, open positions included,"
    flat = " with no position open" if terms["require_flat"] else ""
    return f"The stage is passed at a {kind} of {_size(terms, currency)}{flat}."


def _trading_days(terms: Terms, currency: str | None) -> str:
    if terms["counts"] == "opened":
        return f"At least {terms['days']} days with a newly opened trade."
    if terms["counts"] == "opened_and_closed":
        return f"At least {terms['days']} days on which a position was opened and closed."
    lots = f" of {number(terms['lots'])} lots or more" if terms["lots"] else ""
    sized = terms["percent"] is not None or terms["amount"] is not None
    made = f" with a profit or loss, net of costs, of {_size(terms, currency)} or more" if sized else ""
    return f"At least {terms['days']} days on which a position{lots} was closed{made}."


def _profitable_days(terms: Terms, currency: str | None) -> str:
    within = f" within the last {terms['within_days']} days" if terms["within_days"] else ""
    size = _size(terms, currency)
    return f"At least {terms['days']} days{within} with a closed profit, net of costs, of {size} or more."


def _consistency(terms: Terms, _currency: str | None) -> str:
    if terms["raise_target"]:
        text = f"The profit target rises until the best {terms['unit']} makes at most {number(terms['share'])} % of it."
    elif terms["unit"] == "lot":
        text = f"The largest trade may hold at most {number(terms['share'])} % of the lots of all closed trades."
    else:
        winning = f"profit of the winning {terms['unit']}s"
        of = {"net": "net profit", "positive": winning, "target": "profit target"}[terms["of"]]
        text = f"The best {terms['unit']} may make at most {number(terms['share'])} % of the {of}."
    return f"{text}{_merged(terms['merge_seconds'])}"


def _merged(seconds: int | None) -> str:
    if seconds is None:
        return ""
    soon = f", or opened within {seconds} s of the close of the last," if seconds else ""
    return f" Trades open together in one instrument and direction{soon} count as one."


def _lot_consistency(terms: Terms, _currency: str | None) -> str:
    return (
        f"The lots of an entry stay between {number(terms['low'])} and {number(terms['high'])} times the "
        f"account's average; "
        f"entries in one instrument and direction within {terms['merge_seconds']} s count as one, and the rule "
        f"binds from "
        f"{terms['min_trades']} entries on."
    )


def _idea_risk(terms: Terms, currency: str | None) -> str:
    return (
        f"One trade idea may not lose more than {_size(terms, currency)}: positions open together in one "
        f"instrument and "
        f"direction are one idea, and reopening within {terms['merge_seconds']} s of a loss continues it."
    )


def _but(exempt: list[str] | None) -> str:
    return f", except in {', '.join(exempt)}" if exempt else ""


def _hedging(terms: Terms, _currency: str | None) -> str:
    joint = "".join(f" {' and '.join(group)} count as one." for group in terms["together"] or [])
    joint += "".join(
        f" {one} and {other} move against each other: the same direction in both is opposite."
        for one, other in terms["opposed"] or []
    )
    least = terms["min_overlap_seconds"]
    return f"Opposite positions in one instrument may not be open beside each other for {least} s or more.{joint}"


def _stop_loss(terms: Terms, _currency: str | None) -> str:
    grace = f"within {terms['grace_seconds']} s of its opening" if terms["grace_seconds"] else "from its opening on"
    risk = terms["max_risk_percent"]
    most = "" if risk is None else f", risking at most {number(risk)} % of the initial balance"
    return f"Every position needs a stop loss {grace}{most}."


def _news(terms: Terms, _currency: str | None) -> str:
    what = {"open": "opened", "close": "closed", "both": "opened or closed"}[terms["applies"]]
    least = {"high": "high-impact", "medium": "medium- or high-impact", "low": "any"}[terms["impact"]]
    text = (
        f"No position may be {what} from {terms['before_seconds']} s before to {terms['after_seconds']} s after "
        f"{least} news "
        "on a currency of its instrument."
    )
    if terms["exempt_after_seconds"] is not None:
        text += f" Positions opened {terms['exempt_after_seconds']} s or more before the news are exempt."
    return text if terms["share"] is None else f"{text} {number(terms['share'])} % of such profit still counts."


def _inactivity(terms: Terms, _currency: str | None) -> str:
    warn = "" if terms["warn_days"] is None else f" A warning is given after {_counted(terms['warn_days'], 'day')}."
    return f"At most {_counted(terms['days'], 'day')} may pass without a new trade.{warn}"


def _holding_share(terms: Terms, _currency: str | None) -> str:
    parts = []
    if terms["max_share_trades"] is not None:
        parts.append(f"at most {number(terms['max_share_trades'])} % of the trades")
    if terms["max_share_profit"] is not None:
        parts.append(f"at most {number(terms['max_share_profit'])} % of the gross profit")
    text = f"Of trades held less than {terms['seconds']} s come {' and '.join(parts)}." if parts else ""
    if terms["min_average_seconds"] is not None:
        text += f" Trades are held at least {terms['min_average_seconds']} s on average."
    if terms["min_average_winner_seconds"] is not None:
        text += f" Trades that win are held at least {terms['min_average_winner_seconds']} s on average."
    return f"{text} The rule binds from {terms['min_trades']} trades on.".strip()


def _margin(terms: Terms, _currency: str | None) -> str:
    others = "".join(f", {one['symbol']} at {number(one['leverage'])}" for one in terms["leverages"] or [])
    what = f"Margin in use of {', '.join(terms['symbols'])}" if terms["symbols"] else "Margin in use"
    return (
        f"{what}, estimated at a leverage of {number(terms['leverage'])}{others}, may not exceed"
        f" {number(terms['percent'])} % of the balance.{''.join(map(_further_cap, terms['caps'] or []))}"
    )


def _further_cap(cap: Mapping[str, Any]) -> str:
    leverage = f", at a leverage of {number(cap['leverage'])}" if "leverage" in cap else ""
    return f" That of {', '.join(cap['symbols'])}{leverage}, may not exceed {number(cap['percent'])} %."


def _martingale(terms: Terms, _currency: str | None) -> str:
    return (
        f"After {terms['losses']} or more losses in a row in an instrument, lots stay under "
        f"{number(terms['multiple'])} times "
        f"those of the first of them, within {terms['within_seconds']} s of it."
    )


def _adding(terms: Terms, _currency: str | None) -> str:
    if not terms["multiple"]:
        return "Nothing may be added to a losing position."
    return f"What is added to a losing position has at most {number(terms['multiple'])} times the lots of the first."


def _grid(terms: Terms, _currency: str | None) -> str:
    when = " while the first of them is losing" if terms["losing_only"] else ""
    return f"At most {terms['layers']} positions may be open at once in one instrument and direction{when}."


def _symbols(terms: Terms, _currency: str | None) -> str:
    parts = []
    if terms["allowed"]:
        parts.append(f"Only these may be traded: {', '.join(terms['allowed'])}.")
    if terms["prohibited"]:
        parts.append(f"These may not be traded: {', '.join(terms['prohibited'])}.")
    return " ".join(parts)


def _max_lots(terms: Terms, _currency: str | None) -> str:
    where = f" in {', '.join(terms['symbols'])}" if terms["symbols"] else ""
    return f"No trade may be larger than {number(terms['lots'])} lots{where}."


def _max_exposure(terms: Terms, currency: str | None) -> str:
    per = "in the account" if terms["per"] == "account" else "in one instrument"
    parts = [f"Never more than {number(terms['lots'])} lots may be open at once {per}, both directions counted."]
    for tier in terms["tiers"] or []:
        least = _amount(Decimal(str(tier["balance"])), currency)
        parts.append(f"From a balance of {least} at the daily reset on it is {number(tier['lots'])}.")
    if terms["micros"]:
        parts.append(f"Of {', '.join(terms['micros'])} {number(terms['micro_ratio'])} count as one.")
    return " ".join(parts)


def _login_country(terms: Terms, _currency: str | None) -> str:
    parts = []
    if terms["allowed"]:
        parts.append(f"One may sign in only from {', '.join(terms['allowed'])}.")
    if terms["prohibited"]:
        parts.append(f"One may not sign in from {', '.join(terms['prohibited'])}.")
    if terms["home_only"]:
        parts.append("One signs in from the country of one's own profile.")
    if terms["travel_seconds"] is not None:
        parts.append(f"Between log-ins from two countries lie at least {terms['travel_seconds']} s.")
    return " ".join(parts)


def _login_address(terms: Terms, _currency: str | None) -> str:
    parts = []
    if terms["max_addresses"] is not None:
        parts.append(f"An account is used from at most {_counted(terms['max_addresses'], 'address', 'es')}.")
    if terms["max_owners"] is not None:
        parts.append(f"At most {_counted(terms['max_owners'], 'owner')} may sign in from one address.")
    if terms["known"]:
        parts.append(f"These do not count: {', '.join(terms['known'])}.")
    return " ".join(parts)


def _allocation(terms: Terms, currency: str | None) -> str:
    amount = None if terms["amount"] is None else f"at most {_amount(terms['amount'], currency)} in funded accounts"
    accounts = None if terms["accounts"] is None else f"at most {_counted(terms['accounts'], 'funded account')}"
    return f"One owner may hold {' and '.join(part for part in (amount, accounts) if part)}."


def _counted(number_of: int, what: str, plural: str = "s") -> str:
    return f"{number_of} {what}{'' if number_of == 1 else plural}"


def _copying(terms: Terms, _currency: str | None) -> str:
    return {
        "allowed": "Copying between one's own accounts is allowed.",
        "challenge_only": "Copying between one's own accounts is allowed only while neither is funded.",
        "prohibited": "Copying between one's own accounts is not allowed.",
    }[terms["policy"]]


def _split(terms: Terms, currency: str | None) -> str:
    text = f"The trader keeps {number(terms['percent'])} % of the profit."
    for tier in terms["tiers"] or []:
        share = f"{number(tier['percent'])} %"
        if "after_payouts" in tier:
            text += f" From payout {int(tier['after_payouts']) + 1} on it is {share}."
        elif "above" in tier:
            text += f" Of what one payout draws above {_amount(tier['above'], currency)} it is {share}."
        else:
            text += f" Of what is drawn after {_amount(tier['after_profit'], currency)} in all it is {share}."
    return text


def _payout(terms: Terms, currency: str | None) -> str:
    start = "the first trade" if terms["cycle_start"] == "first_trade" else "the account's opening"
    days = terms["first_after_days"]
    first = f"{_counted(days, 'day')} after {start}" if days else "at once"
    parts = [f"The first payout can be requested {first}"]
    parts[0] += f", the next {terms['cycle_days']} days after each." if terms["cycle_days"] else "."
    said = (
        ("minimum", "The least amount is {}.", _amount),
        ("cap_amount", "At most {} can be drawn at a time.", _amount),
        ("buffer", "{} of profit stays in the account.", _amount),
        ("cap_percent", "At most {} % of the initial balance can be drawn at a time.", lambda v, _: number(v)),
        ("cap_balance_percent", "At most {} % of the balance can be drawn at a time.", lambda v, _: number(v)),
        ("buffer_percent", "Profit of {} % of the initial balance stays in the account.", lambda v, _: number(v)),
        ("max_share", "At most {} % of the withdrawable profit can be drawn.", lambda v, _: number(v)),
        ("max_payouts", "The account ends after {} payouts.", lambda v, _: str(v)),
        ("fee_refund_on", "The fee is refunded with payout {}.", lambda v, _: str(v)),
    )
    parts += [text.format(form(terms[name], currency)) for name, text, form in said if terms[name]]
    if terms["cap_ladder"]:
        caps = ", ".join(
            f"from payout {row['payout']} on {number(row['amount'])}" if "payout" in row else number(row["amount"])
            for row in terms["cap_ladder"]
        )
        parts.append(f"The most that can be drawn is, payout by payout: {caps}.")
    return " ".join([*parts, "No position may be open at the request."] if terms["require_flat"] else parts)


def _scaling(terms: Terms, currency: str | None) -> str:
    pace = f"Every {terms['months']} months with" if terms["months"] else "With each"
    payouts = f" and {terms['min_payouts']} payouts or more" if terms["min_payouts"] else ""
    step = f"the account grows by {number(terms['step_percent'])} % of its original balance"
    most = f", up to {_amount(terms['cap'], currency)}" if terms["cap"] is not None else ""
    text = f"{pace} a net profit of {number(terms['percent'])} %{payouts} {step}{most}.".replace(
        "each a net", "each net"
    )
    share = terms["split_percent"]
    return text if share is None else f"{text} From the first step on the trader keeps {number(share)} %."


def _claim(terms: Terms, _currency: str | None) -> str:
    named = " or ".join(name.replace("_", " ") for name in terms["rules"])
    within = "" if terms["within_days"] is None else f" within {_counted(terms['within_days'], 'day')}"
    only = ["every position since the last payout had a stop loss"] if terms["stop_loss"] else []
    if terms["max_trade_loss_percent"] is not None:
        only.append(f"none of them lost more than {number(terms['max_trade_loss_percent'])} % of the initial balance")
    text = f"If {named} ended the account, {number(terms['percent'])} % of its profit can be claimed{within}"
    return f"{text}, if {' and '.join(only)}." if only else f"{text}."


_RULE_WORDS = {
    "daily_loss": _daily_loss,
    "daily_gain": _daily_gain,
    "floating_loss": _floating_loss,
    "max_loss": _max_loss,
    "profit_target": _profit_target,
    "min_trading_days": _trading_days,
    "min_profitable_days": _profitable_days,
    "consistency": _consistency,
    "max_lots": _max_lots,
    "max_exposure": _max_exposure,
    "lot_consistency": _lot_consistency,
    "idea_risk": _idea_risk,
    "symbol_loss": lambda t, c: f"No instrument may lose more than {_size(t, c)} in one day, costs included.",
    "stop_loss_required": _stop_loss,
    "news_window": _news,
    "weekend": lambda t, _: f"No position may be open at {t['cutoff']} {place(t['zone'])}{_but(t['exempt'])}.",
    "overnight": lambda t, _: (
        f"No position may be open at {t['cutoff']} {place(t['zone'])} on any trading day{_but(t['exempt'])}."
    ),
    "inactivity": _inactivity,
    "holding_time": lambda t, _: f"Positions are held for at least {t['seconds']} s.",
    "holding_share": _holding_share,
    "hedging": _hedging,
    "martingale": _martingale,
    "adding_to_losers": _adding,
    "grid": _grid,
    "hyperactivity": lambda t, _: f"At most {t['trades_per_day']} trades may be opened in a firm day.",
    "time_limit": lambda t, _: (
        f"The stage must be passed within {t['days']} days of its "
        f"{'opening' if t['starts'] == 'opened' else 'first trade'}."
    ),
    "symbols": _symbols,
    "margin": _margin,
    "login_country": _login_country,
    "login_address": _login_address,
    "allocation_cap": _allocation,
    "copy_own_accounts": _copying,
    "split": _split,
    "payout": _payout,
    "scaling": _scaling,
    "claim": _claim,
}
