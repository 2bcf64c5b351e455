"""Which trades the set-based rules must look into: one compiled pass over each account that clears all others.

Most trades can break no rule, and every window over all of them costs a sort. The pass asks, per rule, for less than
the rule does and never for more: what it clears is innocent, what it keeps is judged by `sql/rules/` as ever. Ties at
one instant and amounts that binary numbers blur are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd

from models.catalogue import Rulebook, Terms
from models.compiled import compiled, inlined
from models.instrument_names import aliases, meant_by_all
from models.money import from_minor, to_minor
from models.terms import amount_of
from models.walk import NEVER, Array
from sql import relations

SECOND = 1_000_000
DAY = 86_400 * SECOND
WORKERS = 2
NEARLY = 1 - 1e-9
"""Shares and sums of binary numbers that come so near to a limit are kept."""

_US = ("held_us", "overlap_us", "idea_merge_us", "entry_merge_us", "within_us", "idle_us", "short_us", "winner_us")
_SIZES = ("lots", "idea_size", "day_size", "exposure", "short_share", "short_profit", "margin", "stop_size", "added")
LIMITS = np.dtype(
    [(name, "i8") for name in (*_US, "layers", "entries", "losses", "day_trades", "shares_from", "average_us")]
    + [(name, "f8") for name in (*_SIZES, "entry_low", "entry_high", "multiple", "leverage")]
    + [
        (name, "i4")
        for name in (
            "clock",
            "weekend",
            "overnight",
            "bars",
            "lines",
            "news",
            "stops",
            "losing",
            "per_market",
            "opposed",
        )
    ]
)
"""What a stage allows. Where it has no such rule: NEVER for what may not be exceeded, infinity for sizes, -1 for places
of clocks, cutoffs and bars, 0 for the lines in which every market is alone and for what must be reached."""

# What a trade is kept for; ACCOUNT_RULES look into every trade of the accounts that are kept for them.
ALONE, GRID, HEDGING, IDEA, CUTOFF, ADDED, MET = 1, 2, 4, 8, 16, 32, 64
"""Of a trade that is MET its executions matter: it was executed near news or grew too large."""
_REASONS = (
    ("in_stack", GRID),
    ("beside_opposite", HEDGING),
    ("in_losing_idea", IDEA),
    ("over_cutoff", CUTOFF),
    ("in_addition", ADDED),
)
ACCOUNT_RULES = (
    "lot_consistency",
    "martingale",
    "max_exposure",
    "symbol_loss",
    "hyperactivity",
    "inactivity",
    "holding_share",
    "margin",
)
LOTS, LOSSES, EXPOSURE, SYMBOL, BUSY, IDLE, SHARE, MARGIN = (1 << place for place in range(len(ACCOUNT_RULES)))
DEALT = EXPOSURE | SYMBOL | BUSY | IDLE | MARGIN
"""Account rules that follow single executions; of other rules only those for which a trade is MET do."""


_KINDS = {
    "trade": "i8", "account": "i4", "code": "i4", "lots": "f8", "opened": "i8", "held": "i8", "net": "f8",
    "losses": "f8", "deals": "i4", "openings": "i4", "stop": "f8", "price": "f8", "value": "f8", "sold": "?",
    "closed": "?", "market": "i4",
}  # fmt: skip
TRADE = np.dtype(list(_KINDS.items()), align=True)
"""A trade: instants in microseconds, `stop` the distance to the stop (NaN without one), `value` at most what a point of
price is worth, `deals` and `openings` how many deals it has. All but the market are the columns of
`facts.rule_positions`, where `value` is what its own result tells."""
BATCH = 122_880


class Instants(NamedTuple):
    """Instants in microseconds, one list after the other: list n is `at[offsets[n]:offsets[n + 1]]`."""

    offsets: Array
    at: Array


def stage_limits(terms: Terms, currency: str, initial: Decimal) -> Array:
    """One LIMITS row of a stage for a currency and an initial balance."""
    row = np.zeros((), LIMITS)
    for name in ("overlap_us", "layers", "losses", "day_trades", "idle_us", "shares_from", "entries"):
        row[name] = NEVER
    for name in _SIZES:
        row[name] = np.inf
    for name in ("clock", "weekend", "overnight", "bars"):
        row[name] = -1
    for rule, fields in _FROM_TERMS.items():
        for name, (field, scale) in fields.items() if rule in terms else ():
            if terms[rule][field] is not None:
                row[name] = float(terms[rule][field]) if scale is None else int(terms[rule][field]) * scale
    for rule, name in (("idea_risk", "idea_size"), ("symbol_loss", "day_size")):
        if rule in terms:
            row[name] = float(from_minor(amount_of(terms[rule], to_minor(initial, currency), currency), currency))
    _conditions(row, terms, initial)
    return row


_FROM_TERMS: dict[str, dict[str, tuple[str, int | None]]] = {
    "holding_time": {"held_us": ("seconds", SECOND)},
    "max_lots": {"lots": ("lots", None)},
    "hedging": {"overlap_us": ("min_overlap_seconds", SECOND)},
    "grid": {"layers": ("layers", 1)},
    "adding_to_losers": {"added": ("multiple", None)},
    "idea_risk": {"idea_merge_us": ("merge_seconds", SECOND)},
    "lot_consistency": {
        "entry_merge_us": ("merge_seconds", SECOND),
        "entry_low": ("low", None),
        "entry_high": ("high", None),
        "entries": ("min_trades", 1),
    },
    "martingale": {
        "losses": ("losses", 1),
        "multiple": ("multiple", None),
        "within_us": ("within_seconds", SECOND),
    },
    "max_exposure": {"exposure": ("lots", None)},
    "hyperactivity": {"day_trades": ("trades_per_day", 1)},
    "holding_share": {
        "short_us": ("seconds", SECOND),
        "short_share": ("max_share_trades", None),
        "short_profit": ("max_share_profit", None),
        "average_us": ("min_average_seconds", SECOND),
        "winner_us": ("min_average_winner_seconds", SECOND),
        "shares_from": ("min_trades", 1),
    },
    "margin": {"margin": ("percent", None), "leverage": ("leverage", None)},
}
"""Fields of LIMITS and the fields of rules that they are read from, times what."""


def _conditions(row: Array, terms: Terms, initial: Decimal) -> None:
    """What limits say beside single fields."""
    row["news"], row["stops"] = "news_window" in terms, "stop_loss_required" in terms
    risk = terms.get("stop_loss_required", {}).get("max_risk_percent")
    if risk is not None:
        row["stop_size"] = float(risk) / 100 * float(initial) - 0.01
    tiers = terms.get("max_exposure", {}).get("tiers") or []
    row["exposure"] = min([float(row["exposure"]), *(tier["lots"] for tier in tiers)])
    caps = terms.get("margin", {}).get("caps") or []
    others = [*(terms.get("margin", {}).get("leverages") or []), *(cap for cap in caps if "leverage" in cap)]
    row["leverage"] = min([float(row["leverage"]), *(float(one["leverage"]) for one in others)])
    row["margin"] = min([float(row["margin"]), *(float(cap["percent"]) for cap in caps)])
    row["opposed"] = bool(terms.get("hedging", {}).get("opposed"))
    row["losing"] = "grid" in terms and terms["grid"]["losing_only"]
    row["per_market"] = "max_exposure" in terms and terms["max_exposure"]["per"] == "symbol"
    if "inactivity" in terms:
        days = [terms["inactivity"][name] for name in ("days", "warn_days")]
        row["idle_us"] = min(day for day in days if day is not None) * DAY


# --- the pass ------------------------------------------------------------------------------------------------------


@inlined
def _first_from(at: Any, low: Any, high: Any, instant: Any) -> Any:
    """The place of the first instant that is not before another, between two places."""
    while low < high:
        middle = (low + high) // 2
        if at[middle] < instant:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _met(at: Any, offsets: Any, one: Any, opened: Any, held: Any) -> Any:
    """Whether an instant of a list lies in a trade's life."""
    if one < 0:
        return False
    place = _first_from(at, offsets[one], offsets[one + 1], opened)
    return place < offsets[one + 1] and at[place] <= held


@inlined
def _in_spans(first: Any, last: Any, since: Any, until: Any) -> Any:
    """Whether a time meets one of the spans, which follow each other without meeting."""
    place = _first_from(last, 0, len(last), since)
    return place < len(last) and first[place] <= until


@compiled
def _alone(
    starts: Any, limits: Any, t: Any, bars: Any, cut_offsets: Any, cut_at: Any, first: Any, last: Any, kept: Any
) -> None:
    """Keeps trades that may break a rule by themselves."""
    for a in range(len(limits)):
        L = limits[a]  # noqa: N806 - the limits, on every line
        for i in range(starts[a], starts[a + 1]):
            opened, held, closed = t.opened[i], t.held[i], t.closed[i]
            met = t.lots[i] > L["lots"] * NEARLY
            keep = closed and held - opened < L["held_us"]
            keep |= L["stops"] != 0 and (np.isnan(t.stop[i]) or t.stop[i] * t.value[i] > L["stop_size"] * NEARLY)
            keep |= L["bars"] >= 0 and bars[max(L["bars"], 0), t.code[i]]
            if _met(cut_at, cut_offsets, L["weekend"], opened, held) or _met(
                cut_at, cut_offsets, L["overnight"], opened, held
            ):
                kept[i] |= CUTOFF
            if L["news"] != 0 and not met:
                if t.deals[i] > 2:
                    met = _in_spans(first, last, opened, held)
                else:
                    met = _in_spans(first, last, opened, opened) or (closed and _in_spans(first, last, held, held))
            if met:
                kept[i] |= ALONE | MET
            elif keep:
                kept[i] |= ALONE


@compiled
def _together(starts: Any, limits: Any, t: Any, balance: Any, lines: Any, kept: Any, accounts: Any) -> None:
    """Keeps trades beside opposite ones or in stacks, and accounts that have much open at once."""
    longest = 0
    for a in range(len(limits)):
        longest = max(longest, starts[a + 1] - starts[a])
    beside = np.empty(longest + 1, np.int64)
    for a in range(len(limits)):
        L = limits[a]  # noqa: N806
        line = lines[L["lines"]]
        count = 0
        for i in range(starts[a], starts[a + 1]):
            still = 0
            layers, losing, longest_us, added = 1, False, np.int64(-1), False
            lots, in_market, worth = t.lots[i], t.lots[i], t.value[i] * t.price[i]
            for n in range(count):
                j = beside[n]
                if t.held[j] < t.opened[i]:
                    continue
                beside[still] = j
                still += 1
                lots += t.lots[j]
                worth += t.value[j] * t.price[j]
                if _against(t, i, j, line, L["opposed"]):
                    longest_us = max(longest_us, min(t.held[i], t.held[j]) - t.opened[i])
                if t.market[j] != t.market[i]:
                    continue
                in_market += t.lots[j]
                if t.sold[j] == t.sold[i]:
                    layers += 1
                    # which came first, or at what price and size, is for the rule to say
                    tied = t.opened[i] == t.opened[j] or t.openings[i] > 1 or t.openings[j] > 1
                    losing |= tied or (t.price[i] > t.price[j] if t.sold[i] else t.price[i] < t.price[j])
                    added |= t.lots[i] > t.lots[j] * L["added"] * NEARLY or (tied and L["added"] < np.inf)
            stacked = GRID if layers > L["layers"] and (losing or L["losing"] == 0) else 0
            stacked |= ADDED if losing and added else 0
            _keep_beside(beside, still, i, stacked, longest_us >= L["overlap_us"], t, line, L["opposed"], kept)
            beside[still] = i
            count = still + 1
            if (in_market if L["per_market"] != 0 else lots) > L["exposure"] * NEARLY:
                accounts[a] |= EXPOSURE
            if 100 * worth > L["margin"] * L["leverage"] * max(balance[a], 0) * NEARLY:
                accounts[a] |= MARGIN


@inlined
def _against(t: Any, i: Any, j: Any, line: Any, opposed: Any) -> Any:
    """Whether two trades may stand against each other; either way where instruments of a line may move apart."""
    either = opposed != 0 and t.market[j] != t.market[i]
    return line[t.market[j]] == line[t.market[i]] and (either or t.sold[j] != t.sold[i])


@inlined
def _keep_beside(
    beside: Any, count: Any, i: Any, stacked: Any, hedged: Any, t: Any, line: Any, opposed: Any, kept: Any
) -> None:
    """Keeps a trade with those of its instrument that it stacks upon or stands against."""
    if stacked == 0 and not hedged:
        return
    kept[i] |= stacked | (HEDGING if hedged else 0)
    for n in range(count):
        j = beside[n]
        if t.sold[j] == t.sold[i] and t.market[j] == t.market[i]:
            kept[j] |= stacked
        if hedged and _against(t, i, j, line, opposed):
            kept[j] |= HEDGING


@compiled
def _ideas(starts: Any, limits: Any, t: Any, markets: Any, kept: Any, accounts: Any) -> None:
    """Keeps ideas that lost much, and accounts with entries far from their average."""
    stamp = np.full(2 * markets, -1, np.int64)
    before, opened = np.zeros(2 * markets, np.int64), np.zeros(2 * markets, np.int64)
    idea, entry = np.zeros(2 * markets, np.int64), np.zeros(2 * markets, np.int64)
    idea_of, lost = np.zeros(len(t), np.int64), np.zeros(len(t))
    entry_lots = np.zeros(len(t))
    for a in range(len(limits)):
        L = limits[a]  # noqa: N806
        entries, total = 0, 0.0
        for i in range(starts[a], starts[a + 1]):
            way = 2 * t.market[i] + (1 if t.sold[i] else 0)
            fresh = stamp[way] != a
            stamp[way] = a
            if fresh or t.opened[i] > before[way] // 2 + (L["idea_merge_us"] if before[way] % 2 else 0):
                idea[way] = i
            if fresh or t.opened[i] > opened[way] + L["entry_merge_us"]:
                entry[way] = i
                entries += 1
            idea_of[i] = idea[way]
            entry_lots[entry[way]] += t.lots[i]
            total += t.lots[i]
            closed = t.closed[i]
            loss = max(-t.net[i], 0.0) if closed else 0.0
            # of what is closed in parts any of them may be the worst
            in_parts = t.deals[i] - t.openings[i] > (1 if closed else 0)
            lost[idea[way]] += t.losses[i] if in_parts else loss
            until = t.held[i] * 2 + (1 if loss > 0 else 0)
            before[way] = until if fresh else max(before[way], until)
            opened[way] = t.opened[i]
        for i in range(starts[a], starts[a + 1]):
            if lost[idea_of[i]] > L["idea_size"] * NEARLY:
                kept[i] |= IDEA
            much = entry_lots[i] * entries
            apart = much > total * L["entry_high"] * NEARLY or much * NEARLY < total * L["entry_low"]
            if much > 0 and apart and entries >= L["entries"]:
                accounts[a] |= LOTS


@compiled
def _by_close(starts: Any, t: Any) -> Any:
    """Closed trades of each account in order of closing; in each account those still open come last."""
    order = np.empty(len(t), np.int64)
    for a in range(len(starts) - 1):
        key = np.where(t.closed[starts[a] : starts[a + 1]], t.held[starts[a] : starts[a + 1]], NEVER)
        order[starts[a] : starts[a + 1]] = starts[a] + np.argsort(key, kind="mergesort")
    return order


@compiled
def _rows_of_losses(starts: Any, limits: Any, t: Any, by_close: Any, markets: Any, accounts: Any) -> None:
    """Keeps accounts that raised their lots after losses."""
    stamp, last = np.full(markets, -1, np.int64), np.zeros(markets, np.int64)
    earlier = np.full(len(t), -1, np.int64)
    for a in range(len(limits)):
        L = limits[a]  # noqa: N806
        if L["losses"] == NEVER:
            continue
        n = starts[a]
        for i in range(starts[a], starts[a + 1]):
            while n < starts[a + 1] and t.closed[by_close[n]] and t.held[by_close[n]] <= t.opened[i]:
                j, market = by_close[n], t.market[by_close[n]]
                latest = last[market] if stamp[market] == a else -1
                if t.net[j] < 0:
                    earlier[j], latest = latest, j
                elif latest >= 0 and t.held[latest] < t.held[j]:
                    latest = -1
                stamp[market], last[market] = a, latest
                n += 1
            past = last[t.market[i]] if stamp[t.market[i]] == a else -1
            count, least = 0, np.inf
            while past >= 0 and t.held[past] >= t.opened[i] - L["within_us"]:
                count += 1
                least = min(least, t.lots[past])
                past = earlier[past]
            if count >= L["losses"] and t.lots[i] >= least * L["multiple"] * NEARLY:
                accounts[a] |= LOSSES


@compiled
def _days(
    starts: Any, limits: Any, t: Any, by_close: Any, markets: Any, reset_offsets: Any, reset_at: Any, accounts: Any
) -> None:
    """Keeps accounts with a firm day of many trades or of a large loss in one instrument."""
    stamp, day_of, lost = np.full(markets, -1, np.int64), np.zeros(markets, np.int64), np.zeros(markets)
    for a in range(len(limits)):
        L = limits[a]  # noqa: N806
        if L["day_trades"] == NEVER and L["day_size"] == np.inf:
            continue
        low, high = reset_offsets[L["clock"]], reset_offsets[L["clock"] + 1]
        n, day, openings, most, worst, anywhere, more = starts[a], np.int64(-1), 0, 0, 0.0, 0.0, 0
        for place in range(2 * (starts[a + 1] - starts[a])):
            i = starts[a] + place - (n - starts[a])
            closing = n < starts[a + 1] and t.closed[by_close[n]]
            if i < starts[a + 1] and not (closing and t.held[by_close[n]] < t.opened[i]):
                closing, instant = False, t.opened[i]
            elif closing:
                i, instant = by_close[n], t.held[by_close[n]]
                n += 1
            else:
                break
            now = _first_from(reset_at, low, high, instant + 1)
            if not closing:
                openings = openings + 1 if now == day else 1
                day, most = now, max(most, openings)
                more += t.openings[i] - 1
                within = t.closed[i] and _first_from(reset_at, low, high, t.held[i] + 1) == now
                anywhere += t.losses[i] if t.deals[i] > (2 if t.closed[i] else 1) and not within else 0.0
                if within:
                    continue
            market = t.market[i]
            if stamp[market] != a or day_of[market] != now:
                stamp[market], day_of[market], lost[market] = a, now, 0.0
            lost[market] += t.losses[i]
            worst = max(worst, lost[market])
        if most + more > L["day_trades"]:
            accounts[a] |= BUSY
        if worst + anywhere > L["day_size"] * NEARLY:
            accounts[a] |= SYMBOL


@compiled
def _over_all(starts: Any, limits: Any, t: Any, opened_at: Any, until: Any, accounts: Any) -> None:
    """Keeps accounts that rested long, and those whose trades are short as a whole."""
    for a in range(len(limits)):
        L = limits[a]  # noqa: N806
        rested, active = np.int64(0), opened_at[a]
        closed, short, gains, short_gains, held = 0, 0, 0.0, 0.0, 0.0
        wins, won = 0, 0.0
        for i in range(starts[a], starts[a + 1]):
            rested, active = max(rested, t.opened[i] - active), t.opened[i]
            if t.closed[i]:
                brief = t.held[i] - t.opened[i] < L["short_us"]
                gain = max(t.net[i], 0.0)
                closed, short = closed + 1, short + (1 if brief else 0)
                gains, short_gains = gains + gain, short_gains + (gain if brief else 0.0)
                held += t.held[i] - t.opened[i]
                if gain > 0:
                    wins, won = wins + 1, won + (t.held[i] - t.opened[i])
        if max(rested, until[a] - active) >= L["idle_us"]:
            accounts[a] |= IDLE
        many = short * 100 > L["short_share"] * closed * NEARLY
        many |= short_gains * 100 > L["short_profit"] * gains * NEARLY
        many |= held * NEARLY < L["average_us"] * closed or won * NEARLY < L["winner_us"] * wins
        if closed >= L["shares_from"] and many:
            accounts[a] |= SHARE


class Given(NamedTuple):
    """What the passes look at: trades by account and opening, and what each account is held against.

    Account a has the trades `starts[a]:starts[a + 1]`, the row `limits[a]`, its opening, the instant until which it is
    judged and a balance below which it never fell. `lines` tells each market's line, `bars` symbols that are barred,
    `news` the first and last instants of spans around news.
    """

    starts: Array
    limits: Array
    trades: Any
    markets: int
    cutoffs: Instants
    clocks: Instants
    bars: Array
    lines: Array
    news: tuple[Array, Array]
    least: Array
    opened: Array
    until: Array


def passes(given: Given, kept: Array, flagged: Array) -> tuple[Callable[[], None], ...]:
    """The passes, each over columns of its own: `kept` three by trades, `flagged` five by accounts."""
    starts, limits, trades = given.starts, given.limits, given.trades
    by_close = _by_close(starts, trades)
    return (
        lambda: _together(starts, limits, trades, given.least, given.lines, kept[0], flagged[0]),
        lambda: _ideas(starts, limits, trades, given.markets, kept[1], flagged[1]),
        lambda: _alone(starts, limits, trades, given.bars, *given.cutoffs, *given.news, kept[2]),
        lambda: _days(starts, limits, trades, by_close, given.markets, *given.clocks, flagged[2]),
        lambda: _rows_of_losses(starts, limits, trades, by_close, given.markets, flagged[3]),
        lambda: _over_all(starts, limits, trades, given.opened, given.until, flagged[4]),
    )


# --- what it reads and leaves --------------------------------------------------------------------------------------


def find(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook) -> None:
    """Leaves the trades that rules must look into as `decided.suspects`, and accounts as `decided.suspect_accounts`.

    Reads `facts.rule_accounts` (who is judged, until when), the trades, news and rates, and the firm days and cutoffs
    of `terms`. `decided.suspects`: trade (row of facts.trades), by_deals (its executions matter), by_itself (and it
    tells them all), in_stack, beside_opposite, in_losing_idea, over_cutoff, in_addition.
    """
    relations.build(connection, "facts.rule_accounts", "facts.rule_lines", "staging.news", "staging.rates")
    instants = "epoch_us(opened_at) as opened_us, epoch_us(until) as until_us"
    accounts = _frame(connection, f"select *, {instants} from facts.rule_accounts order by account")
    markets = _frame(connection, "select * from facts.rule_markets order by code")
    limits, cutoffs, clocks, bars, lines = _limits(connection, accounts, markets, rulebook)
    starts, trades = _trades(connection, accounts, markets)
    size = int(markets["market"].max()) + 1 if len(markets) else 0
    least, news = _least_balances(connection, accounts, limits), _news_spans(connection)
    opened, until = (accounts[name].to_numpy(np.int64) for name in ("opened_us", "until_us"))
    given = Given(starts, limits, trades, size, cutoffs, clocks, bars, lines, news, least, opened, until)
    # each pass writes into columns of its own, so that they run beside each other
    kept = np.zeros((3, len(trades)), np.int8)
    flagged = np.zeros((5, len(accounts)), np.int64)
    with ThreadPoolExecutor(WORKERS) as workers:
        for done in [workers.submit(one) for one in passes(given, kept, flagged)]:
            done.result()
    _leave(connection, trades, np.bitwise_or.reduce(kept), np.bitwise_or.reduce(flagged))


def _frame(connection: duckdb.DuckDBPyConnection, query: str) -> pd.DataFrame:
    frame: pd.DataFrame = connection.sql(query).to_arrow_table().to_pandas()
    return frame


def _trades(
    connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, markets: pd.DataFrame
) -> tuple[Array, Array]:
    """Every trade by account and opening, and where each account starts."""
    relations.build(connection, *relations.needs("facts.rule_positions"))
    starts, trades = _told(connection, len(accounts))
    known, currency = _values(connection, accounts, markets), _currency_codes(accounts)
    market = markets["market"].to_numpy(np.int64)
    cuts = np.linspace(0, len(accounts), WORKERS + 1).astype(np.int64)
    with ThreadPoolExecutor(WORKERS) as workers:
        parts = [
            workers.submit(_settle, trades, starts, cuts[n], cuts[n + 1], currency, market, known)
            for n in range(WORKERS)
        ]
        for done in parts:
            done.result()
    return starts, trades


def _told(connection: duckdb.DuckDBPyConnection, accounts: int) -> tuple[Array, Array]:
    """Trades by account in the order in which they come, and where each account starts.

    They are counted first, so that each is written once and where it belongs: new memory costs more than reading.
    """
    query = relations.text("facts.rule_positions")
    counted = _frame(connection, f"select account, count(*) as trades from ({query}) group by account")
    starts = np.zeros(accounts + 1, np.int64)
    starts[counted["account"].to_numpy() + 1] = counted["trades"]
    starts = np.cumsum(starts)
    trades, place = np.empty(starts[-1], TRADE), starts[:-1].copy()
    columns = [np.empty(BATCH, kind) for kind in list(_KINDS.values())[:-1]]
    for batch in connection.sql(query).to_arrow_reader(BATCH):
        # copied, so that all batches are of one kind to compiled code
        for column, one in zip(columns, batch.columns, strict=True):
            column[: len(batch)] = one.to_numpy(zero_copy_only=False)
        _place(trades, place, len(batch), *columns)
    return starts, trades


@compiled
def _place(
    trades: Any,
    place: Any,
    count: Any,
    trade: Any,
    account: Any,
    code: Any,
    lots: Any,
    opened: Any,
    held: Any,
    net: Any,
    losses: Any,
    deals: Any,
    openings: Any,
    stop: Any,
    price: Any,
    value: Any,
    sold: Any,
    closed: Any,
) -> None:
    """Writes columns as trades, each to the next place of its account."""
    for n in range(count):
        row = trades[place[account[n]]]
        place[account[n]] += 1
        row["trade"], row["account"], row["code"] = trade[n], account[n], code[n]
        row["lots"], row["opened"], row["held"] = lots[n], opened[n], held[n]
        row["net"], row["losses"], row["deals"], row["openings"] = net[n], losses[n], deals[n], openings[n]
        row["stop"], row["price"], row["value"] = stop[n], price[n], value[n]
        row["sold"], row["closed"] = sold[n], closed[n]


@compiled
def _settle(trades: Any, starts: Any, first: Any, last: Any, currency: Any, market: Any, known: Any) -> None:
    """Puts the trades of some accounts in order of opening and tells their market and what a point is worth at most."""
    held = np.empty(1, trades.dtype)
    for a in range(first, last):
        mine = trades[starts[a] : starts[a + 1]]
        _in_order(mine, held)
        for n in range(len(mine)):
            code = mine.code[n]
            mine.market[n] = market[code]
            by_size, by_result = mine.lots[n] * known[code, currency[a]], mine.value[n]
            worth = by_result if np.isnan(by_size) or by_result > by_size else by_size
            mine.value[n] = 0.0 if np.isnan(worth) else worth


@compiled
def _in_order(trades: Any, held: Any) -> None:
    """Puts trades in order of opening where they stand; `held` has room for one."""
    order = np.argsort(trades.opened.copy(), kind="mergesort")
    for n in range(len(trades)):
        if order[n] == n:
            continue
        held[0] = trades[n]
        to = n
        while order[to] != n:
            trades[to] = trades[order[to]]
            order[to], to = to, order[to]
        trades[to] = held[0]
        order[to] = to


def _currency_codes(accounts: pd.DataFrame) -> Array:
    codes: Array = pd.factorize(accounts["currency"], sort=True)[0]
    return codes


def _values(connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, markets: pd.DataFrame) -> Array:
    """At most what a point of price of one lot is worth, by symbol and account currency; NaN where nobody knows."""
    known = _frame(
        connection,
        "select symbol, any_value(units) as units, any_value(quote) as quote,"
        " any_value(instrument[1:3]) filter (where asset_class = 'fx') as base, min(lowest.price) as price"
        " from terms.instruments left join"
        " (select symbol, min(open_price) as price from facts.trades where open_price > 0 group by symbol) as lowest"
        " using (symbol) group by symbol",
    )
    rates = _frame(
        connection, "select currency, min(rate_to_usd) as least, max(rate_to_usd) as most from staging.rates group by 1"
    ).set_index("currency")
    told = markets[["symbol"]].merge(known, "left", "symbol")
    most = told["quote"].map(rates["most"]).where(told["quote"] != "USD", 1.0).to_numpy(np.float64)
    units = told["units"].to_numpy(np.float64)
    columns = []
    for currency in sorted(accounts["currency"].unique()):
        least = 1.0 if currency == "USD" else rates["least"].get(currency, np.nan)
        worth = np.where(told["base"] == currency, 1 / told["price"], most / (least or np.nan))
        columns.append(units * np.where(told["quote"] == currency, 1.0, worth))
    return np.stack(columns, axis=1) if columns else np.zeros((len(markets), 0))


def _limits(
    connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, markets: pd.DataFrame, rulebook: Rulebook
) -> tuple[Array, Instants, Instants, Array, Array]:
    """Limits of every account, with the cutoffs, firm days, barred symbols and lines that they point to."""
    keys = ["product", "product_version", "stage", "currency", "initial_balance"]
    # numbered and listed in the order in which they come
    group = accounts.groupby(keys, sort=False).ngroup().to_numpy()
    distinct = accounts[keys].drop_duplicates()
    rows = np.zeros(max(len(distinct), 1), LIMITS)
    cuts: list[Sequence[int]] = []
    clocks: list[Sequence[int]] = []
    bars: list[Array] = []
    lines = [np.arange(len(markets))]
    names = _names(connection, markets)
    for place, (product, number, stage, currency, initial) in enumerate(distinct.itertuples(index=False, name=None)):
        terms = rulebook.version(str(product), int(number)).stages[str(stage)]
        row = stage_limits(terms, str(currency), Decimal(initial))
        row["clock"] = len(clocks)
        clocks.append(_instants(connection, "resets", "opened_at", product=product, product_version=number))
        for rule in ("weekend", "overnight"):
            if rule in terms:
                row[rule] = len(cuts)
                where = {"rule": rule, "product": product, "product_version": number, "stage": stage}
                cuts.append(_instants(connection, "cutoffs", "cutoff_at", **where))
        if "symbols" in terms:
            row["bars"] = len(bars)
            bars.append(_barred(terms["symbols"], names, aliases(connection)))
        if "hedging" in terms and (terms["hedging"]["together"] or terms["hedging"]["opposed"]):
            row["lines"] = len(lines)
            lines.append(_lines(connection, lines[0], product=product, product_version=number, stage=stage))
        rows[place] = row
    barred = np.stack(bars) if bars else np.zeros((1, max(len(markets), 1)), np.bool_)
    return rows[group], _joined(cuts), _joined(clocks), barred, np.stack(lines)


def _lines(connection: duckdb.DuckDBPyConnection, alone: Array, **where: Any) -> Array:
    """The line of each market of a stage: its own, or that of all with which it may stand in a hedge."""
    query = (
        "select list(market - 1) from facts.rule_lines where product = ? and product_version = ? and stage = ?"
        " group by line"
    )
    line = alone.copy()
    for (markets,) in connection.execute(query, [_plain(value) for value in where.values()]).fetchall():
        line[np.isin(line, line[markets])] = line[markets].min()
    return line


def _instants(connection: duckdb.DuckDBPyConnection, table: str, column: str, **where: Any) -> list[int]:
    wanted = " and ".join(f"{name} = ?" for name in where)
    query = f"select epoch_us({column}) from terms.{table} where {wanted} order by {column}"
    return [row[0] for row in connection.execute(query, [_plain(value) for value in where.values()]).fetchall()]


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else int(value)


def _joined(lists: Sequence[Sequence[int]]) -> Instants:
    """Puts lists of instants one after the other."""
    offsets = np.cumsum([0] + [len(one) for one in lists]).astype(np.int64)
    return Instants(offsets, np.array([at for one in lists for at in one], dtype=np.int64))


def _names(connection: duckdb.DuckDBPyConnection, markets: pd.DataFrame) -> list[set[str]]:
    """The names by which terms may call each symbol: its instrument, itself, its asset class."""
    query = "select symbol, any_value(asset_class) from terms.instruments group by symbol"
    classes = dict(connection.execute(query).fetchall())
    pairs = zip(markets["symbol"], markets["instrument"], strict=True)
    return [{instrument, symbol.upper(), (classes.get(symbol) or "").upper()} for symbol, instrument in pairs]


def _barred(terms: dict[str, Any], names: Sequence[set[str]], known: dict[str, str]) -> Array:
    """Which symbols a plan does not allow."""
    allowed, prohibited = (meant_by_all(terms[field] or [], known) for field in ("allowed", "prohibited"))
    return np.array([bool(one & prohibited) or (bool(allowed) and not one & allowed) for one in names], np.bool_)


def _news_spans(connection: duckdb.DuckDBPyConnection) -> tuple[Array, Array]:
    """Spans around news in which an execution may count, merged and in order."""
    query = """
        select epoch_us(news.occurs_at) - terms.before_us, epoch_us(news.occurs_at) + terms.after_us
        from staging.news as news
        cross join (
            select max(before_seconds) * 1000000 as before_us, max(after_seconds) * 1000000 as after_us
            from terms.news_window
        ) as terms
        where terms.before_us is not null
        order by all
    """
    spans: list[list[int]] = []
    for first, last in connection.execute(query).fetchall():
        if spans and first <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], last)
        else:
            spans.append([first, last])
    made = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return made[:, 0].copy(), made[:, 1].copy()


_LOST = """
    select accounts.account, sum(told.lost) as lost
    from (
        select
            account_id,
            sum(
                least(
                    coalesce(cast(profit as double), 0)
                    + coalesce(cast(commission as double), 0)
                    + coalesce(cast(swap as double), 0)
                    + coalesce(cast(fee as double), 0),
                    0
                )
            ) as lost
        from staging.deals
        group by account_id
    ) as told
    inner join facts.rule_accounts as accounts using (account_id)
    semi join terms.margin using (product, product_version, stage)
    group by accounts.account
"""


def _least_balances(connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, limits: Array) -> Array:
    """A balance below which an account that may not tie up too much margin never fell: what it began with less all
    that it ever lost or paid."""
    if not np.isfinite(limits["margin"]).any():
        return np.zeros(len(accounts))
    relations.build(connection, "staging.deals")
    lost = _frame(connection, _LOST).set_index("account")["lost"]
    least: Array = accounts["initial_balance"].astype(float).to_numpy() + accounts["account"].map(lost).fillna(0)
    return np.asarray(least)


def _leave(connection: duckdb.DuckDBPyConnection, trades: Array, kept: Array, flagged: Array) -> None:
    """Writes down what is kept, and why."""
    rows = (kept > 0) | (flagged[trades["account"]] > 0) if len(kept) else kept > 0
    why, told = kept[rows], trades[rows]
    deals, openings, closed = told["deals"], told["openings"], told["closed"]
    followed = flagged[told["account"]] & DEALT > 0
    # what was opened with one deal and closed with none or one tells both by itself
    plain = (openings == 1) & ((deals == 1) | ((deals == 2) & closed))
    met = (why & MET > 0) & ~followed
    by_deals = followed | ((why & (MET | IDEA | GRID | ADDED) > 0) & ~plain)
    columns = {"trade": told["trade"], "by_deals": by_deals, "by_itself": met & plain}
    for name, bit in _REASONS:
        columns[name] = why & bit > 0
    accounts = [
        pd.DataFrame({"account": np.flatnonzero(flagged & (1 << place)) + 1, "rule": rule})
        for place, rule in enumerate(ACCOUNT_RULES)
    ]
    for name, frame in (("suspects", pd.DataFrame(columns)), ("suspect_accounts", pd.concat(accounts))):
        connection.register("given_rows", frame.astype({"rule": "string"} if "rule" in frame else {}))
        connection.execute(f"create or replace table decided.{name} as select * from given_rows")
        connection.unregister("given_rows")
