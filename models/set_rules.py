"""Set-based rules: every file of `sql/rules` run over accounts, its occurrences turned into verdicts and effects.

A rule file says what happened (account_id, happened_at, outcome, observed, allowed, trade_id, detail); what follows is
settled here, once for all of them: tolerated strikes, the effect, that an ended account has no further verdicts, and
one verdict per account, rule, part of the rule, outcome and firm day.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from models import rule_words, suspects
from models.catalogue import Rulebook
from models.clock import Clock, Resets, from_micros, place, resets
from models.instrument_names import aliases, meant_by, meant_by_all
from models.money import decimals, from_minor, to_minor
from models.rules import RULES
from models.terms import amount_of
from sql import relations

SHARED = ("allocation_cap", "copy_own_accounts", "login_address")
OWN = tuple(name.split(".")[1] for name in relations.names("rules") if name.split(".")[1] not in SHARED)
EXPIRING = ("inactivity", "time_limit")
SPOKEN = f"""
    not (
        ended and outcome = 'breached' and effect = 'terminate' and happened_at >= until
        and (not passed or rule in ({", ".join(f"'{rule}'" for rule in EXPIRING)}))
    )
"""
"""Which occurrences are told: what would end an account that has ended by then says nothing. Who passes in the instant
in which a rule ends the account has not passed, but in the last instant of the time allowed one is in time."""
OVER_ALL = ("holding_share", "lot_consistency", "login_address", "allocation_cap", "copy_own_accounts")
"""Rules that judge a stage, or an owner's accounts, as a whole as it stands at its end; all others are broken at an
instant, whatever follows."""
TOLD_AT_END = ("hedging", "hyperactivity")
"""Rules broken at an instant whose evidence tells what came of it by the end."""
LISTED_MAX = 100
"""Occurrences that a verdict's evidence lists one by one; it always tells how many there were. Those that take profit
are all listed, because each is reckoned in a payout."""
TOLD_AT_ONCE = 60_000
"""About how many verdicts are put into words together: long texts in great numbers would not stay in memory."""
WORKERS = 2
QUARTER = 900_000_000
"""A quarter of an hour in microseconds."""

_FACTS = (
    "rule_accounts",
    "rule_markets",
    "rule_lines",
    "rule_named",
    "rule_trades",
    "rule_deals",
    "rule_openings",
    "rule_trade_values",
)
_VERDICT_COLUMNS = [
    "account_id",
    "rule",
    "outcome",
    "effect",
    "happened_at",
    "observed",
    "allowed",
    "product",
    "product_version",
    "evidence",
]


_TERMINATION_COLUMNS = ["account_id", "happened_at", "rule", "status"]
_PAUSE_COLUMNS = ["account_id", "happened_at"]


@dataclass(frozen=True)
class SetVerdicts:
    """Verdicts in published columns, accounts that a rule ended (account_id, happened_at, rule, status), and when one
    paused an account until the next reset (account_id, happened_at)."""

    verdicts: pd.DataFrame
    terminations: pd.DataFrame
    pauses: pd.DataFrame


Find = Callable[[pd.DataFrame, Sequence[str]], None]
"""Leaves in `decided.occurrences` what rules find of accounts up to their limits (account_id, until, ended)."""


@dataclass(frozen=True)
class Worded:
    """Which verdicts are put into words: those with some effects on some accounts; None stands for all."""

    effects: tuple[str, ...] | None = None
    accounts: frozenset[str] | None = None


ALL_WORDED = Worded()


def judge(
    connection: duckdb.DuckDBPyConnection,
    accounts: pd.DataFrame,
    rulebook: Rulebook,
    as_of: dt.datetime,
    rules: Sequence[str] = OWN,
    finder: Find | None = None,
    worded: Worded = ALL_WORDED,
) -> SetVerdicts:
    """Judges accounts (columns of `facts.accounts`, all with terms) by set-based rules.

    Reads when the walk ended them from `decided.ends` (see `register_ends`; without it nobody has ended). An account
    that a rule ends is judged again up to that instant, so that nothing later counts. Leaves every occurrence with its
    outcome and effect in `decided.occurrences`. `SHARED` rules also read `decided.owners` and `decided.copy_pairs`.
    `finder` finds in another way (see `models.answers`); verdicts that are not `worded` have no evidence, and what they
    observed may be more than was to be seen by an account's end.
    """
    held = _held(accounts, rulebook, rules)
    if not held:
        none = (pd.DataFrame(columns=names) for names in (_VERDICT_COLUMNS, _TERMINATION_COLUMNS, _PAUSE_COLUMNS))
        return SetVerdicts(*none)
    _ensure_decided(connection)
    if finder is None:
        register_terms(connection, accounts, rulebook, as_of)
        finder = partial(find, connection, rulebook)
    limits = _limits(connection, accounts, as_of)
    finder(limits, held)
    terminations = _terminations(connection)
    if len(terminations):
        _judge_again(connection, limits, terminations, _looking_back(connection, held, worded), finder)
    said = _verdicts(connection, rulebook, worded)
    return SetVerdicts(said, terminations, _pauses(said))


def _held(accounts: pd.DataFrame, rulebook: Rulebook, rules: Sequence[str]) -> list[str]:
    """The rules that the stage of any of the accounts holds."""
    stages = accounts[["product", "product_version", "stage"]].drop_duplicates().itertuples(index=False, name=None)
    named = {rule for product, number, stage in stages for rule in rulebook.version(product, int(number)).stages[stage]}
    return [rule for rule in rules if rule in named]


def register_ends(connection: duckdb.DuckDBPyConnection, ends: pd.DataFrame) -> None:
    """Says when accounts ended (account_id, ended_at, and whether they passed then) as `decided.ends`."""
    connection.register("given_ends", ends[["account_id", "ended_at", "passed"]])
    connection.execute(
        "create or replace table decided.ends as select cast(account_id as varchar) as account_id,"
        " cast(ended_at as timestamptz) as ended_at, cast(passed as boolean) as passed from given_ends"
    )
    connection.unregister("given_ends")


def register_terms(
    connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, rulebook: Rulebook, as_of: dt.datetime
) -> None:
    """Puts before the rule files what SQL cannot know: firm days, cutoffs, sizes in money and listed names."""
    held = accounts[["product", "product_version"]].drop_duplicates().itertuples(index=False, name=None)
    versions = [rulebook.version(product, int(number)) for product, number in held]
    first = _first_day(connection, accounts, as_of)
    last = as_of.date() + dt.timedelta(days=2)
    days = [
        (version.product, version.version, from_micros(instant), dt.date(1970, 1, 1) + dt.timedelta(days=int(day)))
        for version in versions
        for instant, day in _pairs(resets(version.clock, first, last))
    ]
    _put(
        connection,
        "resets",
        "product varchar, product_version integer, opened_at timestamptz, firm_day date",
        days,
    )
    _put(
        connection,
        "cutoffs",
        "rule varchar, product varchar, product_version integer, stage varchar, cutoff_at timestamptz",
        _cutoffs(versions, first, last),
    )
    _put(
        connection,
        "sizes",
        "rule varchar, product varchar, product_version integer, stage varchar, currency varchar,"
        " initial_balance decimal(18, 8), size decimal(18, 8), beyond decimal(18, 8)",
        _sizes(accounts, rulebook),
    )
    _put(
        connection,
        "listed_names",
        "rule varchar, field varchar, product varchar, product_version integer, stage varchar, name varchar",
        _listed_names(versions, aliases(connection)),
    )
    _put(
        connection,
        "exposure_tiers",
        "product varchar, product_version integer, stage varchar, balance decimal(18, 8), lots decimal(18, 8)",
        _exposure_tiers(versions),
    )
    _put(
        connection,
        "margin_caps",
        "product varchar, product_version integer, stage varchar, cap integer, percent double, leverage double,"
        " listed boolean",
        _margin_caps(versions),
    )
    _put(
        connection,
        "margin_names",
        "product varchar, product_version integer, stage varchar, cap integer, name varchar",
        _margin_names(versions, aliases(connection)),
    )
    _put(
        connection,
        "hedge_names",
        "product varchar, product_version integer, stage varchar, name varchar, line integer, against boolean",
        _hedge_names(versions, aliases(connection)),
    )
    _put(
        connection,
        "leverages",
        "product varchar, product_version integer, stage varchar, name varchar, leverage double",
        _leverages(versions, aliases(connection)),
    )


def _exposure_tiers(versions: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Open volume allowed by the balance from which on it is."""
    return [
        (version.product, version.version, stage, tier["balance"], tier["lots"])
        for version in versions
        for stage, terms in version.stages.items()
        for tier in terms.get("max_exposure", {}).get("tiers") or []
    ]


def _leverages(versions: Sequence[Any], known: dict[str, str]) -> list[tuple[Any, ...]]:
    """Leverage of instruments and asset classes that have one of their own."""
    return [
        (version.product, version.version, stage, name, one["leverage"])
        for version in versions
        for stage, terms in version.stages.items()
        for one in terms.get("margin", {}).get("leverages") or []
        for name in sorted(meant_by(one["symbol"], known))
    ]


def _caps(terms: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The caps of margin that a stage has beside each other: that of the rule itself and its further ones."""
    if "margin" not in terms:
        return []
    return [{name: terms["margin"][name] for name in ("symbols", "percent")}, *(terms["margin"]["caps"] or [])]


def _margin_caps(versions: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Each cap with the leverage of its own that it may have, and whether it counts listed instruments alone."""
    return [
        (
            version.product,
            version.version,
            stage,
            place,
            float(cap["percent"]),
            cap.get("leverage"),
            bool(cap["symbols"]),
        )
        for version in versions
        for stage, terms in version.stages.items()
        for place, cap in enumerate(_caps(terms))
    ]


def _margin_names(versions: Sequence[Any], known: dict[str, str]) -> list[tuple[Any, ...]]:
    """What each cap counts, where it lists it."""
    return [
        (version.product, version.version, stage, place, name)
        for version in versions
        for stage, terms in version.stages.items()
        for place, cap in enumerate(_caps(terms))
        for name in sorted(meant_by_all(cap["symbols"] or [], known))
    ]


def _hedge_names(versions: Sequence[Any], known: dict[str, str]) -> list[tuple[Any, ...]]:
    """What hedges each other: names of lines that count as one instrument (`against` is none), and of pairs that move
    against each other, where it says which of the two a name belongs to."""
    return [
        (version.product, version.version, stage, name, line, against)
        for version in versions
        for stage, terms in version.stages.items()
        for line, against, words in _hedge_lines(terms.get("hedging", {}))
        for name in sorted(meant_by_all(words, known))
    ]


def _hedge_lines(rule: Mapping[str, Any]) -> Iterable[tuple[int, bool | None, Sequence[str]]]:
    """Lines by number with their words."""
    groups = rule.get("together") or []
    for line, words in enumerate(groups):
        yield line, None, words
    for line, pair in enumerate(rule.get("opposed") or [], len(groups)):
        for against, word in enumerate(pair):
            yield line, bool(against), [word]


def _first_day(connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, as_of: dt.datetime) -> dt.date:
    """A day safely before the first thing that any account did."""
    relations.build(connection, "facts.trades")
    row = connection.execute("select min(opened_at) from facts.trades").fetchone()
    known: list[dt.datetime] = [as_of, *([row[0]] if row and row[0] else [])]
    if len(accounts):
        known.append(pd.Timestamp(accounts["opened_at"].min()).to_pydatetime())
    return min(known).astimezone(dt.UTC).date() - dt.timedelta(days=8)


def _pairs(made: Resets) -> Iterable[tuple[int, int]]:
    return zip(made.instants.tolist(), made.firm_days.tolist(), strict=True)


def _put(connection: duckdb.DuckDBPyConnection, name: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
    connection.execute(f"create or replace table terms.{name} ({columns})")
    if rows:
        frame = pd.DataFrame(rows, columns=[column.strip().split(" ")[0] for column in _split(columns)])
        connection.register("given_rows", frame)
        connection.execute(f"insert into terms.{name} select * from given_rows")
        connection.unregister("given_rows")


def _split(columns: str) -> list[str]:
    return [part for part in columns.replace("(18, 8)", "").split(",") if part.strip()]


_MARKET = ZoneInfo("America/New_York")
_MARKET_TURNS = dt.time(17)
"""The week of currencies, metals and futures begins and ends at this hour of Sunday and Friday."""
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _cutoffs(versions: Sequence[Any], first: dt.date, last: dt.date) -> list[tuple[Any, ...]]:
    """Every instant at which nothing may be open: weekly for `weekend`, on each trading day for `overnight`."""
    rows = []
    for version in versions:
        for stage, terms in version.stages.items():
            for rule in ("weekend", "overnight"):
                if rule in terms:
                    instants = _cutoff_instants(terms[rule], version.clock.calendar, first, last)
                    rows += [(rule, version.product, version.version, stage, at) for at in instants]
    return rows


def _cutoff_instants(terms: dict[str, Any], calendar: Any, first: dt.date, last: dt.date) -> list[dt.datetime]:
    parts = terms["cutoff"].split()
    # local times that the clock change skips or repeats are settled as they are for resets
    made = resets(Clock(terms["zone"], dt.time.fromisoformat(parts[-1]), "crypto"), first, last)
    dates = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
    told = [(from_micros(at), day.weekday()) for at, day in zip(made.instants.tolist(), dates, strict=True)]
    if len(parts) == 2:
        return [at for at, weekday in told if weekday == _WEEKDAYS.index(parts[0])]
    return [at for at, weekday in told if calendar == "crypto" or _trading_day_ends(at, weekday)]


def _trading_day_ends(at: dt.datetime, weekday: int) -> bool:
    """Whether a daily cutoff ends a trading day: Monday's to Friday's, far east of New York Tuesday's to Saturday's."""
    market = at.astimezone(_MARKET)
    if weekday == 5:
        return market.weekday() == 4 and market.time() <= _MARKET_TURNS
    if market.weekday() == 6:
        return weekday == 0 and market.time() > _MARKET_TURNS
    return weekday < 5


def _sizes(accounts: pd.DataFrame, rulebook: Rulebook) -> list[tuple[Any, ...]]:
    """What a percentage or an amount of a rule is in money, rounded as the walk rounds it, and the least
    that rounded is more."""
    columns = ["product", "product_version", "stage", "currency", "initial_balance"]
    rows = []
    for product, number, stage, currency, initial in (
        accounts[columns].drop_duplicates().itertuples(index=False, name=None)
    ):
        terms = rulebook.version(product, int(number)).stages[stage]
        start = to_minor(Decimal(initial), currency)
        for rule in ("idea_risk", "symbol_loss"):
            if rule in terms:
                most = amount_of(terms[rule], start, currency)
                size = from_minor(most, currency)
                beyond = (size + from_minor(most + 1, currency)) / 2
                rows.append((rule, product, int(number), stage, currency, Decimal(initial), size, beyond))
    return rows


def _listed_names(versions: Sequence[Any], known: dict[str, str]) -> list[tuple[Any, ...]]:
    wanted = (
        ("max_lots", "symbols"),
        ("max_exposure", "micros"),
        ("weekend", "exempt"),
        ("overnight", "exempt"),
        ("symbols", "allowed"),
        ("symbols", "prohibited"),
        ("login_country", "allowed"),
        ("login_country", "prohibited"),
        ("login_address", "known"),
    )
    return [
        (rule, field, version.product, version.version, stage, name)
        for version in versions
        for stage, terms in version.stages.items()
        for rule, field in wanted
        for name in sorted(_names(rule, terms.get(rule, {}).get(field) or [], known))
    ]


def _names(rule: str, words: Sequence[str], known: dict[str, str]) -> set[str]:
    """Listed words as they are compared: places as they stand, instruments by every name of theirs."""
    return {word.upper() for word in words} if rule.startswith("login") else meant_by_all(words, known)


_DECIDED = {
    "ends": "account_id varchar, ended_at timestamptz, passed boolean",
    "owners": "trader_id varchar, owner_id varchar, members integer",
    "copy_pairs": "account_a varchar, account_b varchar, relation varchar, matched integer, same_owner boolean,"
    " strength double",
}


def _ensure_decided(connection: duckdb.DuckDBPyConnection) -> None:
    """Tables of decisions that nobody has made yet are empty ones."""
    for name, columns in _DECIDED.items():
        connection.execute(f"create table if not exists decided.{name} ({columns})")


def _limits(connection: duckdb.DuckDBPyConnection, accounts: pd.DataFrame, as_of: dt.datetime) -> pd.DataFrame:
    """Per account the last instant that counts (`until`), whether the account ended there, and whether by passing."""
    ends = connection.sql("select account_id, ended_at, passed from decided.ends").to_arrow_table().to_pandas()
    frame = accounts[["account_id"]].merge(ends, "left", "account_id")
    ended_at = pd.to_datetime(frame["ended_at"], utc=True)
    ended = ended_at.notna() & (ended_at <= as_of)
    return pd.DataFrame(
        {
            "account_id": frame["account_id"],
            "until": ended_at.where(ended, pd.Timestamp(as_of)),
            "ended": ended,
            "passed": ended & frame["passed"].eq(True),
        }
    )


def register_limits(connection: duckdb.DuckDBPyConnection, limits: pd.DataFrame) -> None:
    """Says who is judged up to when, and who has ended there (account_id, until, ended), as `decided.judged`."""
    connection.register("given_limits", limits)
    connection.execute(
        "create or replace table decided.judged as select cast(account_id as varchar) as account_id,"
        " cast(until as timestamptz) as until, ended, passed from given_limits"
    )
    connection.unregister("given_limits")


def find(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, limits: pd.DataFrame, rules: Sequence[str]) -> None:
    """Runs the rule files over accounts up to their limits and leaves what was found in `decided.occurrences`.

    Reads the terms that `register_terms`, here and in `pipelines.score`, puts before the files.
    """
    relations.drop(connection, *(f"rules.{rule}" for rule in rules), *(f"facts.{name}" for name in _FACTS))
    register_limits(connection, limits)
    if any(_reads_trades(f"rules.{rule}") for rule in rules):
        suspects.find(connection, rulebook)
    relations.build(connection, "facts.rule_accounts", *(f"rules.{rule}" for rule in rules))
    connection.execute(f"create or replace table decided.occurrences as {_occurrences(rules)}")


@cache
def _reads_trades(name: str) -> bool:
    """Whether a rule file, or what it reads, looks at the trades that the pass before them keeps."""
    return name == "facts.rule_trades" or any(map(_reads_trades, relations.needs(name)))


def _occurrences(rules: Sequence[str]) -> str:
    """The select that puts all rules' occurrences together and settles strikes and effects."""
    found = " union all ".join(_one_rule(rule) for rule in rules)
    return f"""
        with found as ({found}),
        numbered as (
            select found.*, accounts.until, accounts.ended, accounts.passed,
                row_number() over (
                    partition by found.account_id, found.rule, found.outcome
                    order by found.happened_at, found.trade_id, found.allowed, found.observed
                ) as place
            from found inner join facts.rule_accounts as accounts using (account_id)
            where found.happened_at <= accounts.until
        ),
        settled as (
            select account_id, rule, happened_at, observed, allowed, trade_id, detail, place, until, ended, passed,
                case when outcome = 'breached' and place > strikes then 'breached' else 'warned' end as outcome,
                case
                    when outcome = 'warned' then 'warn'
                    when place <= strikes then strike_effect
                    else effect
                end as effect
            from numbered
        )
        select account_id, rule, happened_at, outcome, effect, observed, allowed, trade_id, detail, place
        from settled
        where {SPOKEN}
    """


def _one_rule(rule: str) -> str:
    has_strikes = RULES[rule].field("strikes") is not None
    strikes = "terms.strikes, terms.strike_effect" if has_strikes else "0 as strikes, 'warn' as strike_effect"
    return (
        f"select found.account_id, '{rule}' as rule, found.happened_at, found.outcome, found.observed, found.allowed,"
        f" found.trade_id, found.detail, terms.effect, {strikes} from rules.{rule} as found"
        f" inner join facts.rule_accounts as accounts using (account_id)"
        f" inner join terms.{rule} as terms using (product, product_version, stage)"
    )


def _terminations(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The first ending of each account; of two at one instant the first by name."""
    query = """
        select account_id, min(happened_at) as happened_at, arg_min(rule, (happened_at, rule)) as rule
        from decided.occurrences
        where outcome = 'breached' and effect = 'terminate'
        group by account_id
        order by account_id
    """
    frame: pd.DataFrame = connection.sql(query).to_arrow_table().to_pandas()
    return frame.assign(status=frame["rule"].map(lambda rule: "expired" if rule in EXPIRING else "breached"))


def _pauses(said: pd.DataFrame) -> pd.DataFrame:
    """The instants from which on a rule pauses an account until the next reset."""
    pausing = said[(said["outcome"] == "breached") & (said["effect"] == "pause")]
    return pausing[_PAUSE_COLUMNS].drop_duplicates().reset_index(drop=True)


def _judge_again(
    connection: duckdb.DuckDBPyConnection,
    limits: pd.DataFrame,
    terminations: pd.DataFrame,
    rules: Sequence[str],
    finder: Find,
) -> None:
    """Replaces the occurrences of accounts that a rule ended by those up to that instant."""
    connection.register("given_terminations", terminations)
    again = ", ".join(f"'{rule}'" for rule in rules) or "''"
    connection.execute(
        "create or replace table decided.kept as select found.*"
        " from decided.occurrences as found left join given_terminations as ends using (account_id)"
        " where ends.account_id is null or"
        f" (found.rule not in ({again}) and found.happened_at <= ends.happened_at and {_ENDED_ONCE})"
    )
    if rules:
        ended = terminations.set_index("account_id")["happened_at"]
        told = limits[limits["account_id"].isin(ended.index)]
        finder(told.assign(until=told["account_id"].map(ended), ended=False, passed=False), rules)
        connection.execute(
            "insert into decided.kept select found.* from decided.occurrences as found"
            f" inner join given_terminations as ends using (account_id) where {_ENDED_ONCE}"
        )
    connection.unregister("given_terminations")
    connection.execute("drop table decided.occurrences; alter table decided.kept rename to occurrences")


def _looking_back(connection: duckdb.DuckDBPyConnection, rules: Sequence[str], worded: Worded) -> list[str]:
    """Rules that have to look again at an account that ended sooner."""
    found = connection.execute("select distinct rule, effect from decided.occurrences").fetchall()
    effects = {rule: [effect for one, effect in found if one == rule] for rule in rules}
    return [rule for rule in rules if not lasting(rule, effects[rule], worded)]


_ENDED_ONCE = "(found.outcome = 'warned' or found.effect <> 'terminate' or found.rule = ends.rule)"
"""One rule ends an account, and only once."""


def lasting(rule: str, effects: Iterable[Any], worded: Worded) -> bool:
    """Whether what a rule finds of an account up to an instant is what it finds of it later, up to that instant."""
    if rule in TOLD_AT_END:
        return not (set(effects) if worded.effects is None else set(effects) & set(worded.effects))
    return rule not in OVER_ALL


def _verdicts(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook, worded: Worded) -> pd.DataFrame:
    """One verdict per account, rule, part of it, outcome, effect and firm day, with its evidence where it is worded."""
    _lay_out(connection, {"said_accounts": _NUMBERED, "said_placed": _PLACED, "said": _said(connection, worded)})
    counts = "select count(*) filter (where worded), count(*) from decided.said"
    in_words, count = connection.execute(counts).fetchall()[0]
    parts = _in_words(connection, rulebook) if in_words else []
    if in_words < count or not parts:
        parts.append(_as_rows(connection.sql(_UNWORDED).to_arrow_table()))
    connection.execute("drop table decided.said_accounts; drop table decided.said_placed; drop table decided.said")
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def _lay_out(connection: duckdb.DuckDBPyConnection, steps: Mapping[str, str]) -> None:
    for name, query in steps.items():
        connection.execute(f"create or replace table decided.{name} as {query}")


def _in_words(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook) -> list[pd.DataFrame]:
    """The verdicts that are put into words, of some accounts after the other."""
    _put_shared_evidence(connection, rulebook)
    connection.execute(rule_words.SQL_WORDS)
    _lay_out(connection, _STEPS)
    rules = [row[0] for row in connection.execute("select distinct rule from decided.said order by all").fetchall()]
    counts = "select count(*), coalesce(max(account), 1) from decided.said"
    verdicts, accounts = connection.execute(counts).fetchall()[0]
    step = max(accounts * TOLD_AT_ONCE // max(verdicts, 1), 1)

    def told(first: int) -> pd.DataFrame:
        with connection.cursor() as words:
            return _as_rows(words.sql(_evidence(rules, first, first + step)).to_arrow_table())

    # so few are put into words by one thread of the engine
    with ThreadPoolExecutor(WORKERS) as workers:
        parts = list(workers.map(told, range(1, accounts + 1, step)))
    for name in _STEPS:
        connection.execute(f"drop table decided.{name}")
    return parts


_ORDER = [(name, "ascending") for name in ("account", "happened_at", "rule", "outcome", "part", "effect")]


def _as_rows(table: pa.Table) -> pd.DataFrame:
    """Verdicts in their order as they are handed on; no two pieces of evidence are alike, so that none is sought among
    the others. The engine would move the long texts to put them in order."""
    order = pc.sort_indices(table, _ORDER).to_numpy()
    frame: pd.DataFrame = table.drop(["account", "part", "evidence"]).to_pandas()
    frame["evidence"] = table["evidence"].to_pandas(deduplicate_objects=False)
    frame["happened_at"] = pd.to_datetime(frame["happened_at"], utc=True).astype("datetime64[us, UTC]")
    frame["product_version"] = frame["product_version"].astype(int)
    return frame[_VERDICT_COLUMNS].take(order).reset_index(drop=True)


def _in_parts() -> str:
    """The part of its rule that an occurrence broke."""
    in_parts = ", ".join(f"'{rule}'" for rule in rule_words.PARTS)
    return f"case when found.rule in ({in_parts}) then coalesce(found.detail ->> 'part', '') else '' end"


_NUMBERED = """
    select
        cast(row_number() over (order by account_id) as integer) as account,
        account_id,
        product,
        product_version,
        stage,
        currency
    from facts.accounts
    semi join decided.occurrences using (account_id)
"""
# Firm days are looked up by quarter of an hour: in one there is one reset at most, and there are few.
_PLACED = f"""
    with met as (
        select distinct accounts.product, accounts.product_version, epoch_us(found.happened_at) // {QUARTER} as quarter
        from decided.occurrences as found
        inner join decided.said_accounts as accounts using (account_id)
    ),

    quarters as (
        select
            met.*,
            earlier.firm_day as day_before,
            earlier.opened_at as opened_before,
            later.firm_day,
            later.opened_at
        from met
        asof left join terms.resets as earlier
            on
                met.product = earlier.product
                and met.product_version = earlier.product_version
                and make_timestamptz(met.quarter * {QUARTER}) >= earlier.opened_at
        asof inner join terms.resets as later
            on
                met.product = later.product
                and met.product_version = later.product_version
                and make_timestamptz(met.quarter * {QUARTER} + {QUARTER - 1}) >= later.opened_at
    )

    select
        found.rowid as occurrence,
        found.rule,
        found.outcome,
        found.effect,
        found.place,
        accounts.account,
        {_in_parts()} as part,
        if(found.happened_at >= days.opened_at, days.firm_day, days.day_before) as firm_day,
        if(found.happened_at >= days.opened_at, days.opened_at, days.opened_before) as day_opened_at
    from decided.occurrences as found
    inner join decided.said_accounts as accounts using (account_id)
    inner join quarters as days
        on
            accounts.product = days.product
            and accounts.product_version = days.product_version
            and epoch_us(found.happened_at) // {QUARTER} = days.quarter
"""


def _said(connection: duckdb.DuckDBPyConnection, worded: Worded) -> str:
    """The select of all verdicts, each with its first occurrence and whether it is put into words."""
    conditions = []
    if worded.effects is not None:
        conditions.append("together.effect in ({})".format(", ".join(f"'{effect}'" for effect in worded.effects)))
    if worded.accounts is not None:
        connection.register("worded_accounts", pa.table({"account_id": pa.array(sorted(worded.accounts), pa.string())}))
        conditions.append("accounts.account_id in (from worded_accounts)")
    return _SAID.format(worded=" and ".join(conditions) or "true")


_SAID = """
    with together as (
        select
            account, rule, part, outcome, effect, firm_day, day_opened_at,
            arg_min(occurrence, place) as occurrence,
            count(*) as occurrences
        from decided.said_placed
        where firm_day is not null
        group by all
    )

    select
        together.* exclude (occurrence),
        accounts.* exclude (account),
        first.happened_at,
        first.observed,
        first.allowed,
        first.trade_id,
        first.detail,
        {worded} as worded
    from together
    inner join decided.said_accounts as accounts using (account)
    inner join decided.occurrences as first on together.occurrence = first.rowid
"""
_AN_OCCURRENCE = """concat(
    '{"trade_id":', coalesce(to_json(trade_id), 'null'),
    ',"at":"', strftime(make_timestamp(epoch_us(happened_at)), '%Y-%m-%dT%H:%M:%S.%f'),
    'Z","observed":', coalesce(to_json(observed), 'null'), ',"allowed":', coalesce(to_json(allowed), 'null'), '}'
)"""
# Most verdicts stand on one occurrence, and lists are slow.
_SAID_LISTS = f"""
    with many as (
        select
            placed.account, placed.rule, placed.part, placed.outcome, placed.effect, placed.firm_day, placed.place,
            {_AN_OCCURRENCE} as words
        from decided.said_placed as placed
        semi join (from decided.said where worded and occurrences > 1) as many
            using (account, rule, part, outcome, effect, firm_day)
        inner join decided.occurrences as found on placed.occurrence = found.rowid
    )

    select
        account, rule, part, outcome, effect, firm_day,
        array_to_string(
            list(words order by place)
                [:if(any_value(effect) in ('strip', 'split_cut'), count(*), {LISTED_MAX})],
            ','
        ) as listed
    from many
    group by all
"""
_SAID_NUMBERS = """
    select value, exactly(value) as exact, told(exactly(value)) as words, plainly(exactly(value)) as digits
    from (select observed as value from decided.said where worded union select allowed from decided.said where worded)
    where value is not null
"""
_UNWORDED = """
    select account, part, account_id, rule, outcome, effect, happened_at, observed, allowed, product, product_version,
        cast(null as varchar) as evidence
    from decided.said
    where not worded
"""
_STEPS = {"said_lists": _SAID_LISTS, "said_numbers": _SAID_NUMBERS}
"""What a run lays out before it puts verdicts into words."""


def _evidence(rules: Sequence[str], first: int, until: int) -> str:
    """The select that puts verdicts of accounts from one number to before another into words."""
    sentences = " ".join(f"when '{rule}' then {rule_words.sentence_sql(rule)}" for rule in rules)
    return f"""
        with shared as (
            select
                said.*, evidence.decimals, evidence.zone, evidence.place_name, evidence.members,
                seen.exact as seen, seen.words as seen_told, seen.digits as seen_digits,
                most.exact as most, most.words as most_told, most.digits as most_digits,
                timezone(evidence.zone, said.happened_at) as local_at,
                strftime(make_timestamp(epoch_us(said.happened_at)), '%Y-%m-%dT%H:%M:%S.%f') as utc,
                coalesce(lists.listed, {_AN_OCCURRENCE}) as listed
            from decided.said
            inner join terms.shared_evidence as evidence using (product, product_version, stage, rule, currency)
            left join decided.said_numbers as seen on said.observed = seen.value
            left join decided.said_numbers as most on said.allowed = most.value
            left join decided.said_lists as lists using (account, rule, part, outcome, effect, firm_day)
            where said.worded and said.account >= {first} and said.account < {until}
        )
        select account, part, account_id, rule, outcome, effect, happened_at, observed, allowed, product,
            product_version,
            -- all at once: joined pair by pair, each long text is copied twenty times
            concat(
                '{{"sentence": ', to_json(case rule {sentences or "when '' then ''"} end),
                ', "event": {{"kind": "', case when trade_id is null then 'account' else 'trade' end,
                '", "trade_id": ', coalesce(to_json(trade_id), 'null'),
                ', "at": "', replace(utc, '.000000', ''),
                '+00:00"}}, "numbers": {{"observed": "', seen_digits, '", "allowed": "', most_digits,
                '"}}, "firm_day": "', firm_day,
                '", "day_opened_at": "', strftime(make_timestamp(epoch_us(day_opened_at)), '%Y-%m-%dT%H:%M:%S+00:00'),
                '", "occurrences_in_all": ', occurrences, ', ', members,
                ', "detail": ', detail, ', "occurrences": [', listed, ']}}'
            ) as evidence
        from shared
    """


def _put_shared_evidence(connection: duckdb.DuckDBPyConnection, rulebook: Rulebook) -> None:
    """What all verdicts of one rule, version and currency share, as `terms.shared_evidence`."""
    keys = connection.execute(
        "select distinct accounts.product, accounts.product_version, accounts.stage, found.rule, accounts.currency"
        " from decided.occurrences as found inner join facts.accounts as accounts using (account_id)"
    ).fetchall()
    rows = []
    for product, number, stage, rule, currency in keys:
        zone = rulebook.version(product, number).clock.zone
        members = _shared_evidence(product, number, stage, rule, currency, rulebook)
        rows.append((product, number, stage, rule, currency, zone, place(zone), decimals(currency), members))
    columns = "product varchar, product_version integer, stage varchar, rule varchar, currency varchar, zone varchar,"
    _put(connection, "shared_evidence", columns + " place_name varchar, decimals integer, members varchar", rows)


def _shared_evidence(product: str, number: int, stage: str, rule: str, currency: str, rulebook: Rulebook) -> str:
    """The members of a verdict's evidence that name the rule in force, as JSON without its braces."""
    version = rulebook.version(product, number)
    terms = version.stages[stage][rule]
    members = {
        "unit": rule_words.UNITS[rule],
        "currency": currency,
        "product": product,
        "product_version": number,
        "effective_from": version.effective_from.isoformat(),
        "stage": stage,
        "rule": {name: str(value) for name, value in terms.items() if value is not None},
        "rule_text": rule_words.rule_sentence(rule, terms, currency),
    }
    return json.dumps(members, ensure_ascii=False)[1:-1]
