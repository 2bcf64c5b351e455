"""The language of the rulebook: every rule that a stage may hold, its fields, and the sentence a trader is told.

Floors and targets are judged in the walk (`walk = True`); every other rule is `sql/rules/<name>.sql`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

FieldKind = Literal[
    "percent",
    "percents",
    "amount",
    "count",
    "seconds",
    "number",
    "choice",
    "flag",
    "text",
    "texts",
    "groups",
    "pairs",
    "time",
    "table",
]
EFFECTS = ("terminate", "pause", "strip", "split_cut", "wait", "warn")
FLOOR_EFFECTS = ("terminate", "pause", "warn")
WITHIN_MAX = 62
"""Firm days over which profitable days can be counted: the walk keeps a bit for each."""


@dataclass(frozen=True)
class Field:
    """One field of a rule: what it holds, its default (None = may be absent) and the words it may be."""

    name: str
    kind: FieldKind
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    meaning: str = ""
    columns: tuple[tuple[str, ...], ...] = ()
    """Of a list of tables: the columns that its rows may have, the same in all; a bare number is the only column."""


@dataclass(frozen=True)
class Rule:
    """One rule: its fields, which of them exclude each other, and how it is told."""

    name: str
    fields: tuple[Field, ...]
    told: str
    one_of: tuple[str, ...] = ()
    walk: bool = False
    short: str | None = None
    """The field that a bare value stands for: `min_trading_days = 4` is `{ days = 4 }`."""

    def field(self, name: str) -> Field | None:
        """The field of that name, None when the rule has none."""
        return next((field for field in self.fields if field.name == name), None)


def _size(*bases: str, default: str = "initial") -> tuple[Field, ...]:
    return (
        Field("base", "choice", default, choices=bases, meaning="what the size is taken from"),
        Field("percent", "percent", meaning="size in percent of the base"),
        Field("amount", "amount", meaning="size as an amount"),
    )


def _effect(default: str, choices: tuple[str, ...] = EFFECTS) -> Field:
    return Field("effect", "choice", default, choices=choices, meaning="what follows")


_COMPARE = Field("compare", "choice", "lt", choices=("lt", "lte"), meaning="below the floor, or at it too")
_WARN_AT = Field("warn_at", "percent", meaning="share of the allowance used at which a warning is given")
_SIZES = ("percent", "amount")
_STRIKES = (
    Field("strikes", "count", 0, meaning="occurrences tolerated before the effect"),
    Field(
        "strike_effect",
        "choice",
        "warn",
        choices=("warn", "strip", "split_cut", "wait"),
        meaning="what follows a tolerated one",
    ),
)
_STRIP = _effect("strip")
_WARN = _effect("warn")
_SHARED = _effect("warn", ("strip", "split_cut", "wait", "warn"))

_RULES = (
    Rule(
        "daily_loss",
        (
            Field(
                "reference",
                "choice",
                "balance",
                choices=("balance", "equity", "max", "intraday_high", "ratchet"),
                meaning="what the day's loss is counted from",
            ),
            *_size("initial", "reference", "fixed"),
            _COMPARE,
            _effect("terminate", FLOOR_EFFECTS),
            _WARN_AT,
        ),
        "Equity may not fall more than {size} below the day's {reference}.",
        _SIZES,
        walk=True,
    ),
    Rule(
        "daily_gain",
        (*_size("initial", "reference", "fixed"), _effect("pause", FLOOR_EFFECTS)),
        "The day ends for the account when equity is {size} above the day's opening equity.",
        _SIZES,
        walk=True,
    ),
    Rule(
        "floating_loss",
        (
            *_size("initial", "balance", "profit", "fixed"),
            Field("at_least", "amount", meaning="with base profit: what may be lost however small the profit"),
            Field("strikes", "count", 0, meaning="firm days on which it is tolerated before the effect"),
            Field("strike_effect", "choice", "warn", choices=("warn", "pause"), meaning="what follows a tolerated one"),
            _effect("terminate", (*FLOOR_EFFECTS, "split_cut")),
            Field(
                "splits", "percents", meaning="with split_cut: the trader's share after the first time, the second …"
            ),
        ),
        "Open losses may not exceed {size}.",
        _SIZES,
        walk=True,
    ),
    Rule(
        "max_loss",
        (
            Field(
                "mode",
                "choice",
                "static",
                choices=("static", "trailing_equity", "trailing_closed", "trailing_eod"),
                meaning="whether and how the floor rises",
            ),
            *_size("initial", "high_water", "fixed"),
            _COMPARE,
            _effect("terminate", FLOOR_EFFECTS),
            Field("lock_offset", "amount", meaning="the floor stops rising at initial + offset"),
            Field("lock_at_target", "flag", False, meaning="the floor stops rising at the profit target"),
            Field(
                "payout_rebase", "choice", "none", choices=("none", "to_balance", "floor_at"), meaning="after a payout"
            ),
            Field("rebase_offset", "amount", meaning="with floor_at: the floor becomes initial + offset"),
            _WARN_AT,
        ),
        "Equity may never fall more than {size} below {mode}.",
        _SIZES,
        walk=True,
    ),
    Rule(
        "profit_target",
        (
            Field("percent", "percent", meaning="target in percent of the initial balance"),
            Field("amount", "amount", meaning="target as an amount"),
            Field("basis", "choice", "closed", choices=("closed", "equity"), meaning="closed profit, or equity"),
            Field("require_flat", "flag", True, meaning="no open positions at the moment of passing"),
        ),
        "The stage is passed at a profit of {size}.",
        _SIZES,
        walk=True,
    ),
    Rule(
        "min_trading_days",
        (
            Field("days", "count", required=True, meaning="firm days that count"),
            Field(
                "counts",
                "choice",
                "opened",
                choices=("opened", "opened_and_closed", "qualifying"),
                meaning="days with an opening deal, with a position opened and closed, or with a qualifying position"
                " closed",
            ),
            Field("lots", "number", Decimal(0), meaning="with qualifying: lots that the position held at least"),
            Field("percent", "percent", meaning="with qualifying: its least profit or loss, percent of initial"),
            Field("amount", "amount", meaning="with qualifying: its least profit or loss"),
        ),
        "At least {days} trading days.",
        walk=True,
        short="days",
    ),
    Rule(
        "min_profitable_days",
        (
            Field("days", "count", required=True, meaning="firm days with enough closed profit"),
            Field("percent", "percent", meaning="closed net profit that counts, percent of initial"),
            Field("amount", "amount", meaning="closed net profit that counts"),
            Field(
                "within_days", "count", meaning="calendar days, today's included, in which they must lie; at most 62"
            ),
        ),
        "At least {days} days with a closed profit of {size}.",
        _SIZES,
        walk=True,
    ),
    Rule(
        "consistency",
        (
            Field(
                "unit",
                "choice",
                "day",
                choices=("day", "trade", "lot"),
                meaning="what is compared: the best day, the best trade, or the most lots of a trade, whose share is of"
                " the lots of all closed trades",
            ),
            Field("share", "percent", required=True, meaning="largest share that one unit may have"),
            Field(
                "of",
                "choice",
                "net",
                choices=("net", "positive", "target"),
                meaning="net profit, positive units only, or the profit target",
            ),
            Field(
                "raise_target",
                "flag",
                False,
                meaning="the target rises to best / share instead",
            ),
            Field(
                "merge_seconds",
                "seconds",
                meaning="with unit trade: trades open together in one instrument and direction, or opened so soon after"
                " the last was closed, are one idea and count as one trade",
            ),
            _effect("wait"),
        ),
        "No single {unit} may make more than {share} % of the {of} profit.",
        walk=True,
    ),
    Rule(
        "max_lots",
        (
            Field("lots", "number", required=True, meaning="largest volume that one trade has open at once"),
            Field("symbols", "texts", meaning="instruments it applies to, all when absent"),
            *_STRIKES,
            _STRIP,
        ),
        "No trade larger than {lots} lots.",
        short="lots",
    ),
    Rule(
        "max_exposure",
        (
            Field("lots", "number", required=True, meaning="largest open volume at one time"),
            Field(
                "tiers",
                "table",
                meaning="list of { balance, lots }: from that balance at the reset on, other lots",
                columns=(("balance", "lots"),),
            ),
            Field("micros", "texts", meaning="instruments of which several count as one"),
            Field("micro_ratio", "number", Decimal(10), meaning="how many micros count as one"),
            Field(
                "per", "choice", "account", choices=("account", "symbol"), meaning="over the account or per instrument"
            ),
            *_STRIKES,
            _effect("terminate"),
        ),
        "Never more than {lots} lots open per {per}.",
        short="lots",
    ),
    Rule(
        "lot_consistency",
        (
            Field("low", "number", Decimal("0.25"), meaning="smallest lots as a multiple of the average"),
            Field("high", "number", Decimal("2"), meaning="largest lots as a multiple of the average"),
            Field("merge_seconds", "seconds", 180, meaning="entries in one instrument and direction so close are one"),
            Field("min_trades", "count", 10, meaning="trades needed before it binds"),
            _STRIP,
        ),
        "Lots stay between {low} and {high} times their average.",
    ),
    Rule(
        "idea_risk",
        (
            Field("percent", "percent", meaning="largest loss of one idea, percent of initial"),
            Field("amount", "amount", meaning="largest loss of one idea"),
            Field("merge_seconds", "seconds", 300, meaning="reopening the direction so soon continues the idea"),
            *_STRIKES,
            _effect("terminate"),
        ),
        "One trade idea may not lose more than {size}.",
        _SIZES,
    ),
    Rule(
        "symbol_loss",
        (
            Field("percent", "percent", meaning="largest closed loss in one instrument and day, percent of initial"),
            Field("amount", "amount", meaning="largest closed loss in one instrument and day"),
            _effect("terminate"),
        ),
        "No instrument may lose more than {size} in a day.",
        _SIZES,
    ),
    Rule(
        "stop_loss_required",
        (
            Field("grace_seconds", "seconds", 0, meaning="time allowed to set it"),
            Field("max_risk_percent", "percent", meaning="largest risk from entry to stop, percent of initial"),
            *_STRIKES,
            _WARN,
        ),
        "Every position needs a stop loss within {grace_seconds} s.",
    ),
    Rule(
        "news_window",
        (
            Field("before_seconds", "seconds", 120, meaning="before the event"),
            Field("after_seconds", "seconds", 120, meaning="after the event"),
            Field("impact", "choice", "high", choices=("high", "medium", "low"), meaning="least impact that counts"),
            Field("applies", "choice", "both", choices=("open", "close", "both"), meaning="executions that count"),
            Field("exempt_after_seconds", "seconds", meaning="positions opened that long before are exempt"),
            Field("share", "percent", meaning="with split_cut: share of such profit that still counts"),
            _STRIP,
        ),
        "No executions from {before_seconds} s before to {after_seconds} s after {impact}-impact news.",
    ),
    Rule(
        "weekend",
        (
            Field("cutoff", "time", "Fri 16:45", meaning="weekday and local time at which nothing may be open"),
            Field("zone", "text", "America/New_York", meaning="IANA zone of the cutoff"),
            Field("exempt", "texts", meaning="instruments or asset classes that may be held, as crypto often may"),
            *_STRIKES,
            _WARN,
        ),
        "No position may be open at {cutoff} {zone}.",
    ),
    Rule(
        "overnight",
        (
            Field("cutoff", "time", "16:45", meaning="local time at which nothing may be open"),
            Field("zone", "text", "America/New_York", meaning="IANA zone of the cutoff"),
            Field("exempt", "texts", meaning="instruments or asset classes that may be held, as crypto often may"),
            *_STRIKES,
            _WARN,
        ),
        "No position may be open at {cutoff} {zone}.",
    ),
    Rule(
        "inactivity",
        (
            Field("days", "count", required=True, meaning="most days that may pass without an opening deal"),
            Field("warn_days", "count", meaning="days after which a warning is given"),
            _effect("terminate"),
        ),
        "At most {days} days may pass without a new trade.",
        short="days",
    ),
    Rule(
        "holding_time",
        (
            Field("seconds", "seconds", required=True, meaning="shortest time a position is held"),
            *_STRIKES,
            _STRIP,
        ),
        "Positions are held for at least {seconds} s.",
        short="seconds",
    ),
    Rule(
        "holding_share",
        (
            Field("seconds", "seconds", required=True, meaning="trades shorter than this are short"),
            Field("max_share_trades", "percent", meaning="largest share of trades that are short"),
            Field("max_share_profit", "percent", meaning="largest share of gross profit from short trades"),
            Field("min_average_seconds", "seconds", meaning="shortest average holding time"),
            Field("min_average_winner_seconds", "seconds", meaning="shortest average holding time of trades that won"),
            Field("min_trades", "count", 10, meaning="trades needed before it binds"),
            _WARN,
        ),
        "Trades shorter than {seconds} s stay a minority.",
    ),
    Rule(
        "hedging",
        (
            Field("min_overlap_seconds", "seconds", 1, meaning="shortest overlap that counts"),
            Field("together", "groups", meaning="lists of instruments or asset classes that count as one instrument"),
            Field(
                "opposed",
                "pairs",
                meaning="pairs of instruments or asset classes that move against each other: the same direction in both"
                " is a hedge",
            ),
            *_STRIKES,
            _WARN,
        ),
        "No opposite positions in one instrument at the same time.",
    ),
    Rule(
        "martingale",
        (
            Field("multiple", "number", Decimal(2), meaning="lots against the first losing trade's"),
            Field("losses", "count", 2, meaning="consecutive losses before it counts"),
            Field("within_seconds", "seconds", 21600, meaning="time from the first loss"),
            *_STRIKES,
            _WARN,
        ),
        "Lots are not raised to {multiple} times after {losses} losses in a row.",
    ),
    Rule(
        "adding_to_losers",
        (
            Field(
                "multiple",
                "number",
                Decimal("1.1"),
                meaning="lots allowed for an addition, as a multiple of the first's",
            ),
            *_STRIKES,
            _WARN,
        ),
        "A position added while the first is losing has at most {multiple} times its lots.",
        short="multiple",
    ),
    Rule(
        "grid",
        (
            Field("layers", "count", 3, meaning="positions open at once in one instrument and direction"),
            Field("losing_only", "flag", True, meaning="count layers only while the first is losing"),
            *_STRIKES,
            _WARN,
        ),
        "At most {layers} layers in one instrument and direction.",
    ),
    Rule(
        "hyperactivity",
        (Field("trades_per_day", "count", required=True, meaning="opening deals per firm day"), *_STRIKES, _WARN),
        "At most {trades_per_day} trades a day.",
        short="trades_per_day",
    ),
    Rule(
        "time_limit",
        (
            Field("days", "count", required=True, meaning="days to pass the stage"),
            Field("starts", "choice", "opened", choices=("opened", "first_trade"), meaning="when the days begin"),
            _effect("terminate"),
        ),
        "The stage must be passed within {days} days.",
        short="days",
    ),
    Rule(
        "symbols",
        (
            Field("allowed", "texts", meaning="instruments or asset classes allowed"),
            Field("prohibited", "texts", meaning="instruments or asset classes prohibited"),
            *_STRIKES,
            _STRIP,
        ),
        "Only the plan's instruments may be traded.",
    ),
    Rule(
        "margin",
        (
            Field("percent", "percent", required=True, meaning="largest margin, percent of balance"),
            Field("leverage", "number", Decimal(100), meaning="leverage by which the margin is estimated"),
            Field(
                "leverages",
                "table",
                meaning="list of { symbol, leverage }: of instruments or asset classes",
                columns=(("symbol", "leverage"),),
            ),
            Field("symbols", "texts", meaning="instruments or asset classes that count, all when absent"),
            Field(
                "caps",
                "table",
                meaning="list of { symbols, percent, leverage }: further caps beside it",
                columns=(("symbols", "percent"), ("symbols", "percent", "leverage")),
            ),
            *_STRIKES,
            _WARN,
        ),
        "Margin in use stays under {percent} % of the balance.",
    ),
    Rule(
        "login_country",
        (
            Field("allowed", "texts", meaning="countries that one may sign in from (ISO 3166 alpha-2)"),
            Field("prohibited", "texts", meaning="countries that one may not sign in from"),
            Field("home_only", "flag", False, meaning="only from the country that the trader gave"),
            Field("travel_seconds", "seconds", meaning="time that lies between log-ins from two countries at least"),
            *_STRIKES,
            _WARN,
        ),
        "Log-ins come from the plan's countries.",
    ),
    Rule(
        "login_address",
        (
            Field("max_addresses", "count", meaning="most addresses that an account is used from"),
            Field("max_owners", "count", meaning="most people who may sign in from one address"),
            Field("known", "texts", meaning="addresses that do not count, as of a server that the firm lets"),
            *_STRIKES,
            _SHARED,
        ),
        "An account is used from few addresses, and an address by few people.",
    ),
    Rule(
        "allocation_cap",
        (
            Field("amount", "amount", meaning="largest sum of funded balances per owner"),
            Field("accounts", "count", meaning="most funded accounts per owner"),
            _SHARED,
        ),
        "One owner holds at most {amount} in funded accounts.",
        short="amount",
    ),
    Rule(
        "copy_own_accounts",
        (
            Field(
                "policy", "choice", "allowed", choices=("allowed", "challenge_only", "prohibited"), meaning="who may"
            ),
            Field("min_strength", "number", Decimal("0.5"), meaning="how sure a copy must be before it counts"),
            _SHARED,
        ),
        "Copying between one's own accounts is {policy}.",
        short="policy",
    ),
    Rule(
        "split",
        (
            Field("percent", "percent", required=True, meaning="trader's share of profit"),
            Field(
                "tiers",
                "table",
                meaning="list of { after_payouts, percent }: later payouts whole; of { after_profit, percent }: what is"
                " drawn after so much in all; or of { above, percent }: what one payout draws above it",
                columns=(("after_payouts", "percent"), ("after_profit", "percent"), ("above", "percent")),
            ),
        ),
        "The trader keeps {percent} % of the profit.",
        short="percent",
    ),
    Rule(
        "payout",
        (
            Field("first_after_days", "count", 0, meaning="days before the first request"),
            Field("cycle_days", "count", 0, meaning="days between requests"),
            Field("cycle_start", "choice", "opened", choices=("opened", "first_trade"), meaning="when the days begin"),
            Field("minimum", "amount", Decimal(0), meaning="least amount"),
            Field("cap_percent", "percent", meaning="most that may be drawn, percent of initial"),
            Field("cap_balance_percent", "percent", meaning="most that may be drawn, percent of the balance then"),
            Field("cap_amount", "amount", meaning="most that may be drawn"),
            Field(
                "cap_ladder",
                "table",
                meaning="list of caps, payout by payout, or of { payout, amount }: from that payout on",
                columns=(("amount",), ("payout", "amount")),
            ),
            Field("buffer", "amount", Decimal(0), meaning="profit that must stay in the account"),
            Field("buffer_percent", "percent", meaning="profit that must stay, percent of initial"),
            Field("max_share", "percent", meaning="most of the withdrawable profit that may be drawn"),
            Field("max_payouts", "count", meaning="payouts after which the account ends"),
            Field("fee_refund_on", "count", meaning="payout with which the fee is refunded"),
            Field("require_flat", "flag", True, meaning="no open positions at the request"),
        ),
        "First payout after {first_after_days} days, then every {cycle_days} days, at least {minimum}.",
    ),
    Rule(
        "scaling",
        (
            Field("months", "count", required=True, meaning="months between steps"),
            Field("percent", "percent", required=True, meaning="net profit over the period, percent of initial"),
            Field("min_payouts", "count", 0, meaning="payouts in the period"),
            Field("step_percent", "percent", required=True, meaning="increase, percent of the original balance"),
            Field("cap", "amount", meaning="largest balance"),
            Field("split_percent", "percent", meaning="trader's share after the first step"),
        ),
        "The account grows by {step_percent} % every {months} months at {percent} % profit.",
    ),
    Rule(
        "claim",
        (
            Field("rules", "texts", required=True, meaning="rules of the stage that may have ended the account"),
            Field("percent", "percent", required=True, meaning="trader's share of the profit then"),
            Field("within_days", "count", meaning="days after the account's end in which it can be asked for"),
            Field("stop_loss", "flag", False, meaning="only if every trade since the last payout had a stop loss"),
            Field(
                "max_trade_loss_percent",
                "percent",
                meaning="only if no trade since the last payout lost more, percent of initial",
            ),
        ),
        "After a breach of {rules} the trader may claim {percent} % of the profit.",
    ),
)
RULES: dict[str, Rule] = {rule.name: rule for rule in _RULES}
