"""Every dataset of the lake and every table of the database, each column with its meaning.

The lake keeps what Highwater was *told* (one append-only Delta table per dataset), the database what it *decided*.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

Kind = Literal["text", "instant", "date", "money", "number", "integer"]

MONEY_DECIMALS = 8
ARROW_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "instant": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "money": pa.decimal128(18, MONEY_DECIMALS),
    "number": pa.float64(),
    "integer": pa.int64(),
}
DUCKDB_TYPES: dict[Kind, str] = {
    "text": "varchar",
    "instant": "timestamptz",
    "date": "date",
    "money": f"decimal(18,{MONEY_DECIMALS})",
    "number": "double",
    "integer": "bigint",
}


@dataclass(frozen=True)
class Column:
    """One column of a dataset: its kind, whether a value is needed, and what a value may be."""

    name: str
    kind: Kind
    comment: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    minimum: float | None = None


@dataclass(frozen=True)
class Dataset:
    """One feed dataset: its columns, the key that identifies a record and the column that dates it."""

    name: str
    comment: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    dated_by: str | None = None
    corrections: bool = False
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(column.name for column in self.columns))

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when the dataset has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")


def _text(name: str, comment: str, *, required: bool = False, allowed: tuple[str, ...] = ()) -> Column:
    return Column(name, "text", comment, required, allowed)


def _instant(name: str, comment: str, *, required: bool = False) -> Column:
    return Column(name, "instant", comment, required)


def _money(name: str, comment: str, *, required: bool = False, minimum: float | None = None) -> Column:
    return Column(name, "money", comment, required, minimum=minimum)


def _number(name: str, comment: str, *, required: bool = False, minimum: float | None = None) -> Column:
    return Column(name, "number", comment, required, minimum=minimum)


STAGES = ("evaluation_1", "evaluation_2", "evaluation_3", "funded", "instant")
PLATFORMS = ("mt4", "mt5", "ctrader", "tradovate", "matchtrader", "tradelocker", "dxtrade", "other")
DEAL_KINDS = ("trade", "balance", "credit", "fee")
ENTRIES = ("in", "out", "inout", "out_by")
SIDES = ("buy", "sell")
REASONS = ("client", "mobile", "web", "expert", "sl", "tp", "so", "other")
KYC_STATES = ("none", "pending", "verified", "rejected", "expired")

_DATASETS = (
    Dataset(
        "desks",
        "The brands or offices of the firm; a desk is a data boundary.",
        ("desk_id",),
        (
            _text("desk_id", "identifies the desk", required=True),
            _text("name", "the desk's name", required=True),
            _text("currency", "ISO 4217 code the desk reports in", required=True),
            _text("time_zone", "IANA zone of the desk", required=True),
        ),
    ),
    Dataset(
        "traders",
        "The people who buy challenges.",
        ("trader_id",),
        (
            _text("trader_id", "identifies the trader", required=True),
            _text("full_name", "name as registered", required=True),
            _text("email", "e-mail as registered"),
            _text("phone", "phone as registered"),
            Column("date_of_birth", "date", "date of birth"),
            _text("country", "ISO 3166 alpha-2 country of residence"),
            _text("address", "postal address as registered"),
            _text("kyc_status", "state of the identity check", required=True, allowed=KYC_STATES),
            _text("kyc_document", "hash of the identity document"),
            _instant("kyc_checked_at", "when the identity was last checked"),
            _instant("registered_at", "when the trader registered", required=True),
        ),
        dated_by="registered_at",
    ),
    Dataset(
        "challenges",
        "What was bought: one purchase of a product by a trader.",
        ("challenge_id",),
        (
            _text("challenge_id", "identifies the challenge", required=True),
            _text("trader_id", "who bought it", required=True),
            _text("desk_id", "the desk that sold it", required=True),
            _text("product", "product id of the rulebook", required=True),
            _instant("purchased_at", "when it was bought: binds the product version", required=True),
            _money("fee", "price paid", required=True, minimum=0),
            _text("currency", "currency of the fee", required=True),
            _text("partner_id", "partner credited at purchase"),
            _text("click_id", "click that led to the purchase"),
            _text("coupon", "coupon used"),
            _text("instrument", "fingerprint of the payment instrument"),
            _text("reset_of", "challenge that this one restarts"),
        ),
        dated_by="purchased_at",
    ),
    Dataset(
        "accounts",
        "Trading accounts: one per stage of a challenge.",
        ("account_id",),
        (
            _text("account_id", "identifies the account", required=True),
            _text("challenge_id", "challenge that the account serves", required=True),
            _text("trader_id", "who trades it", required=True),
            _text("desk_id", "desk it belongs to", required=True),
            _text("stage", "stage of the challenge", required=True, allowed=STAGES),
            _text("platform", "trading platform", required=True, allowed=PLATFORMS),
            _text("login", "login on the platform", required=True),
            _text("server", "server on the platform"),
            _text("currency", "account currency", required=True),
            _money("initial_balance", "balance the stage starts with", required=True, minimum=0),
            _instant("opened_at", "when the account was opened", required=True),
            _instant("closed_at", "when the firm closed it"),
        ),
        dated_by="opened_at",
    ),
    Dataset(
        "deals",
        "Executions and money movements of accounts.",
        ("account_id", "deal_id"),
        (
            _text("account_id", "account of the deal", required=True),
            _text("deal_id", "identifies the deal within its account", required=True),
            _text("position_id", "position that the deal opens, changes or closes"),
            _text("kind", "what the deal is", required=True, allowed=DEAL_KINDS),
            _text("entry", "whether it opens or closes", allowed=ENTRIES),
            _text("side", "side of the deal itself", allowed=SIDES),
            _text("symbol", "symbol as the platform names it"),
            _number("volume", "lots", minimum=0),
            _number("price", "execution price", minimum=0),
            _instant("executed_at", "when it was executed", required=True),
            _money("commission", "commission, negative when it costs"),
            _money("swap", "swap, negative when it costs"),
            _money("fee", "fee, negative when it costs"),
            _money("profit", "gross profit, or the signed amount of a money row", required=True),
            _number("stop_loss", "stop-loss price"),
            _number("take_profit", "take-profit price"),
            _text("reason", "who or what triggered it", allowed=REASONS),
            _text("magic", "number of the expert advisor"),
            _text("comment", "comment on the platform"),
        ),
        dated_by="executed_at",
        corrections=True,
    ),
    Dataset(
        "equity",
        "Observations of balance and equity.",
        ("account_id", "observed_at"),
        (
            _text("account_id", "account observed", required=True),
            _instant("observed_at", "when it was observed", required=True),
            _money("balance", "balance then", required=True),
            _money("equity", "equity then, open profit included", required=True),
        ),
        dated_by="observed_at",
        corrections=True,
    ),
    Dataset(
        "logins",
        "Sign-ins of traders.",
        ("trader_id", "occurred_at", "ip"),
        (
            _text("trader_id", "who signed in", required=True),
            _instant("occurred_at", "when", required=True),
            _text("ip", "IP address", required=True),
            _text("account_id", "trading account used"),
            _text("device_id", "device fingerprint"),
            _text("country", "country of the address"),
        ),
        dated_by="occurred_at",
        corrections=True,
    ),
    Dataset(
        "payments",
        "Money from traders: purchases, refunds, chargebacks.",
        ("payment_id",),
        (
            _text("payment_id", "identifies the payment", required=True),
            _text("trader_id", "who paid", required=True),
            _text("challenge_id", "what it was for"),
            _text("kind", "direction and nature", required=True, allowed=("purchase", "refund", "chargeback")),
            _text("instrument", "fingerprint of the payment instrument"),
            _money("amount", "amount, positive in each kind", required=True, minimum=0),
            _text("currency", "currency of the amount", required=True),
            _instant("occurred_at", "when", required=True),
        ),
        dated_by="occurred_at",
        corrections=True,
    ),
    Dataset(
        "payouts",
        "Requests of traders for their share of profit.",
        ("payout_id",),
        (
            _text("payout_id", "identifies the request", required=True),
            _text("account_id", "funded account it is drawn on", required=True),
            _instant("requested_at", "when it was requested", required=True),
            _money("amount", "amount requested", required=True),
            _text("method", "how it is to be paid"),
            _text("destination", "fingerprint of where the money goes"),
        ),
        dated_by="requested_at",
    ),
    Dataset(
        "partners",
        "Affiliates and introducing brokers.",
        ("partner_id",),
        (
            _text("partner_id", "identifies the partner", required=True),
            _text("name", "partner's name", required=True),
            _text("parent_partner_id", "partner who recruited this one"),
            _text("plan", "commission plan", required=True),
            _text("email", "contact"),
            _text("payout_destination", "fingerprint of where commissions go"),
            _instant("joined_at", "when the partner joined", required=True),
        ),
        dated_by="joined_at",
    ),
    Dataset(
        "clicks",
        "Visits that partners sent.",
        ("click_id",),
        (
            _text("click_id", "identifies the click", required=True),
            _text("partner_id", "partner who sent it", required=True),
            _instant("occurred_at", "when", required=True),
            _text("ip", "IP address"),
            _text("device_id", "device fingerprint"),
        ),
        dated_by="occurred_at",
        corrections=True,
    ),
    Dataset(
        "settlements",
        "Transfers that a payment provider reports.",
        ("settlement_id",),
        (
            _text("settlement_id", "identifies the transfer", required=True),
            _text("payout_id", "request it pays"),
            _text("destination", "fingerprint of where the money went"),
            _money("amount", "amount sent", required=True),
            _money("fee", "provider's fee"),
            _text("currency", "currency of the amount", required=True),
            _instant("settled_at", "when the state was reached", required=True),
            _text("status", "state of the transfer", required=True, allowed=("sent", "settled", "returned", "failed")),
            _text("reference", "provider's or bank's reference"),
        ),
        dated_by="settled_at",
        corrections=True,
    ),
    Dataset(
        "consents",
        "What traders said about being written to, optional; the newest word holds.",
        ("trader_id", "occurred_at"),
        (
            _text("trader_id", "who", required=True),
            _instant("occurred_at", "when they said so", required=True),
            _text("given", "whether they agreed", required=True, allowed=("yes", "no")),
        ),
        dated_by="occurred_at",
    ),
    Dataset(
        "news",
        "Economic calendar.",
        ("event_id",),
        (
            _text("event_id", "identifies the event", required=True),
            _instant("occurs_at", "when it is published", required=True),
            _text("currency", "currency it moves", required=True),
            _text("impact", "expected impact", required=True, allowed=("high", "medium", "low")),
            _text("title", "what it is"),
        ),
    ),
    Dataset(
        "rates",
        "Daily exchange rates.",
        ("currency", "day"),
        (
            _text("currency", "currency quoted", required=True),
            Column("day", "date", "day of the rate", True),
            _number("rate_to_usd", "US dollars for one unit", required=True, minimum=0),
        ),
    ),
    Dataset(
        "quotes",
        "Market quotes, optional.",
        ("symbol", "quoted_at"),
        (
            _text("symbol", "symbol quoted", required=True),
            _instant("quoted_at", "when", required=True),
            _number("bid", "bid price", required=True, minimum=0),
            _number("ask", "ask price", required=True, minimum=0),
        ),
        dated_by="quoted_at",
    ),
)
DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _DATASETS}

# Where a record came from and which version of its key it is; every lake table ends with these.
LAKE_COLUMNS: tuple[tuple[str, pa.DataType, str], ...] = (
    ("_load_id", pa.int64(), "load that landed the row"),
    ("_line", pa.int64(), "line of the file (rows of Parquet count from 1)"),
    ("_version", pa.int32(), "1 for the first version of a record, then 2, 3, …"),
)


def lake_schema(dataset: Dataset) -> pa.Schema:
    """Arrow schema of a dataset's Delta table: the feed's columns, then where each row came from."""
    told = [pa.field(column.name, ARROW_TYPES[column.kind]) for column in dataset.columns]
    return pa.schema(told + [pa.field(name, kind) for name, kind, _ in LAKE_COLUMNS])


class Instant(TypeDecorator[dt.datetime]):
    """An aware instant, kept in UTC with microseconds on every database."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """Refuses naive instants: ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive instant {value} reached the database")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """Gives back an aware UTC instant."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Money(TypeDecorator[Decimal]):
    """An exact amount: NUMERIC on PostgreSQL, on SQLite a number whose shortest form is the amount."""

    impl = sa.Numeric(24, MONEY_DECIMALS)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """SQLite has no decimals, so it keeps doubles there; sums that must be exact use minor units."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.Double())
        return dialect.type_descriptor(sa.Numeric(24, MONEY_DECIMALS))

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """Accepts Decimal, int and float."""
        if value is None:
            return None
        return round(float(value), MONEY_DECIMALS) if dialect.name == "sqlite" else Decimal(str(value))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """Gives back a Decimal without trailing noise."""
        if value is None:
            return None
        told = Decimal(repr(value) if isinstance(value, float) else value)
        exact = round(told, MONEY_DECIMALS).normalize()
        return exact if exact.as_tuple().exponent <= 0 else exact.quantize(Decimal(1))  # type: ignore[operator]


METADATA = sa.MetaData()


def _col(name: str, kind: Any, comment: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, comment=comment, **options)


def _table(name: str, comment: str, *columns: Any) -> sa.Table:
    return sa.Table(name, METADATA, *columns, comment=comment)


LOADS = _table(
    "loads",
    "Every file or batch that was landed, one row per dataset and file.",
    _col("load_id", sa.BigInteger, "identifies the load", primary_key=True, autoincrement=False),
    _col("dataset", sa.Text, "dataset landed", nullable=False),
    _col("file", sa.Text, "file as given", nullable=False),
    _col("rows", sa.BigInteger, "data rows read"),
    _col("landed", sa.BigInteger, "rows landed, corrections included"),
    _col("duplicates", sa.BigInteger, "rows that were there already"),
    _col("rejects", sa.BigInteger, "rows refused"),
    _col("started_at", Instant, "when the load began", nullable=False),
    _col("finished_at", Instant, "when it was complete; empty while it runs or after a crash"),
    _col("corrections", sa.BigInteger, "landed rows that changed an earlier version"),
    _col("fingerprint", sa.Text, "SHA-256 of the file's bytes: the same delivery again is a no-op"),
    _col("source", sa.Text, "platform reader, empty for a feed"),
    _col("reconciliation", sa.Text, "JSON: what the platform's own totals said"),
)
REJECTS = _table(
    "rejects",
    "Rows that were refused, with the value as it was read and why.",
    _col("load_id", sa.BigInteger, "load that refused it", nullable=False, index=True),
    _col("dataset", sa.Text, "dataset", nullable=False),
    _col("file", sa.Text, "file", nullable=False),
    _col("line", sa.BigInteger, "line of the file"),
    _col("column", sa.Text, "column that failed"),
    _col("value", sa.Text, "value as it was read"),
    _col("reason", sa.Text, "why, in words", nullable=False),
)
VALIDATIONS = _table(
    "validations",
    "What each expectation of a dataset's suite said about a load.",
    _col("load_id", sa.BigInteger, "load", nullable=False, index=True),
    _col("dataset", sa.Text, "dataset", nullable=False),
    _col("expectation", sa.Text, "expectation in words", nullable=False),
    _col("evaluated", sa.BigInteger, "rows looked at"),
    _col("unexpected", sa.BigInteger, "rows that failed it"),
)
LAKE_FILES = _table(
    "lake_files",
    "Files of the lake as they were written.",
    _col("dataset", sa.Text, "dataset", primary_key=True),
    _col("file", sa.Text, "name of the Parquet file in the dataset's folder", primary_key=True),
    _col("bytes", sa.BigInteger, "its size", nullable=False),
    _col("sha256", sa.String(64), "SHA-256 of its bytes", nullable=False),
)
RUNS = _table(
    "runs",
    "Every scoring run: when, of what, with which rulebook.",
    _col("run_id", sa.BigInteger, "identifies the run", primary_key=True, autoincrement=False),
    _col("started_at", Instant, "when it began", nullable=False),
    _col("finished_at", Instant, "when its results were written"),
    _col("as_of", Instant, "instant it stands at"),
    _col("mode", sa.Text, "incremental or full"),
    _col("accounts_walked", sa.BigInteger, "accounts judged anew"),
    _col("watermark", sa.Text, "JSON: newest load folded in, per dataset"),
    _col("rulebook", sa.Text, "SHA-256 of the rulebook"),
    _col("log", sa.Text, "JSON list of remarks"),
    _col("marts", sa.Text, "SHA-256 of the marts' SQL files"),
    _col("code", sa.Text, "SHA-256 of the code that judged"),
)
CHECKPOINTS = _table(
    "walk_checkpoints",
    "Where the walk of each account stood after the last run, so that the next goes on from there; may be lost.",
    _col("account_id", sa.Text, "account", primary_key=True),
    _col("stood_at", Instant, "up to and including when its events have been walked", nullable=False, index=True),
    _col("fingerprint", sa.Text, "SHA-256 of the code, terms and clock that it rests on", nullable=False),
    _col("state", sa.LargeBinary, "the walk's state, as `models.walk.STATE` lays it out", nullable=False),
    _col("open_deals", sa.Text, "JSON: deals of the positions that were open", nullable=False),
)
CONDUCT_KEPT = _table(
    "conduct_kept",
    "What the last run measured of accounts and said of them, so that detectors go on from there; may be lost.",
    _col(
        "name",
        sa.Text,
        "relation, `signals`, or `stands` for the run's instant, loads, code and what was usual as JSON",
        primary_key=True,
    ),
    _col("held", sa.LargeBinary, "its rows as an Arrow file", nullable=False),
)
MART_ROWS = _table(
    "mart_rows",
    "The rows of large marts by a number of what each says, so that a run finds those that differ; may be lost.",
    _col("name", sa.Text, "table of the mart", primary_key=True),
    _col(
        "held",
        sa.LargeBinary,
        "the numbers, sorted, and then where each row stands, as 64-bit integers",
        nullable=False,
    ),
)
ACCOUNT_STATUS = _table(
    "account_status",
    "Where every judged account stands.",
    _col("account_id", sa.Text, "account", primary_key=True),
    _col("trader_id", sa.Text, "trader", nullable=False, index=True),
    _col("desk_id", sa.Text, "desk", nullable=False, index=True),
    _col("product", sa.Text, "product bought", nullable=False),
    _col("product_version", sa.Integer, "version in force at purchase", nullable=False),
    _col("stage", sa.Text, "stage of the challenge", nullable=False),
    _col("status", sa.Text, "active, passed, breached, paused, expired or closed", nullable=False, index=True),
    _col("status_at", Instant, "since when"),
    _col("balance", Money, "balance, account currency"),
    _col("equity", Money, "equity, account currency"),
    _col("daily_floor", Money, "equity may not fall below it today"),
    _col("max_floor", Money, "equity may never fall below it"),
    _col("daily_headroom", Money, "equity minus daily floor"),
    _col("max_headroom", Money, "equity minus maximum floor"),
    _col("target_progress", sa.Double, "share of the profit target reached (1 = reached)"),
    _col("trading_days", sa.Integer, "firm days with an opening deal"),
    _col("as_of", Instant, "instant the row stands at"),
    _col("currency", sa.Text, "account currency"),
    _col("platform", sa.Text, "trading platform"),
    _col("initial_balance", Money, "balance the stage began with"),
    _col("equity_source", sa.Text, "observed, or balance when no observation has come yet"),
    _col("near_share", sa.Double, "share of the tighter allowance already used (1 = at the floor)"),
)
VERDICTS = _table(
    "verdicts",
    "What the rules said: breached, passed or warned, with the numbers.",
    _col("account_id", sa.Text, "account", nullable=False, index=True),
    _col("rule", sa.Text, "rule of the catalogue", nullable=False),
    _col("outcome", sa.Text, "breached, passed or warned", nullable=False),
    _col("effect", sa.Text, "what follows from it", nullable=False),
    _col("happened_at", Instant, "instant of the deciding event", nullable=False),
    _col("observed", sa.Double, "what was observed"),
    _col("allowed", sa.Double, "what was allowed"),
    _col("product", sa.Text, "product", nullable=False),
    _col("product_version", sa.Integer, "version in force", nullable=False),
    _col("evidence", sa.Text, "JSON: the event, the numbers, how the limit came to be, a sentence", nullable=False),
)
ACCOUNT_DAYS = _table(
    "account_days",
    "One row per account and firm day on which something happened.",
    _col("account_id", sa.Text, "account", primary_key=True),
    _col("firm_day", sa.Date, "firm day by the product's clock", primary_key=True),
    _col("opened_at", Instant, "instant of the reset that opened the day (or of the account's opening)"),
    _col("open_equity", Money, "equity as the day began"),
    _col("high_equity", Money, "highest equity of the day"),
    _col("low_equity", Money, "lowest equity of the day"),
    _col("close_equity", Money, "equity at the day's last event"),
    _col("close_balance", Money, "balance at the day's last event"),
    _col("closed_profit", Money, "closed net profit of the day"),
    _col("daily_floor", Money, "daily floor at the day's last event"),
    _col("max_floor", Money, "maximum floor at the day's last event"),
    _col("trades", sa.Integer, "opening deals of the day"),
    _col("money_moved", Money, "balance operations of the day"),
)
LINKS = _table(
    "links",
    "Pairs of traders with evidence that they are one person.",
    _col("trader_a", sa.Text, "one trader", primary_key=True),
    _col("trader_b", sa.Text, "the other", primary_key=True),
    _col("strength", sa.Double, "probability that they are one person", nullable=False),
    _col("reasons", sa.Text, "JSON list: signal, value, rarity", nullable=False),
)
OWNERS = _table(
    "owners",
    "Which traders are one owner.",
    _col("trader_id", sa.Text, "trader", primary_key=True),
    _col("owner_id", sa.Text, "owner, stable from run to run", nullable=False, index=True),
    _col("members", sa.Integer, "traders of that owner", nullable=False),
    _col("owner_id_strict", sa.Text, "owner when only near-certain links count"),
    _col("owner_id_loose", sa.Text, "owner when suspicions count too"),
)
COPY_PAIRS = _table(
    "copy_pairs",
    "Pairs of accounts that trade as one.",
    _col("account_a", sa.Text, "one account", primary_key=True),
    _col("account_b", sa.Text, "the other", primary_key=True),
    _col("relation", sa.Text, "copy or mirror", primary_key=True),
    _col("leader", sa.Text, "who leads, empty when it cannot be told"),
    _col("matched", sa.Integer, "entries matched"),
    _col("containment", sa.Double, "matched entries as a share of the smaller account's"),
    _col("lag_ms", sa.Double, "median delay of the follower"),
    _col("expected", sa.Double, "matches that chance would give"),
    _col("p_value", sa.Double, "probability of as many by chance"),
    _col("q_value", sa.Double, "false discovery rate at which the pair would be called"),
    _col("same_owner", sa.Boolean, "both accounts belong to one owner"),
    _col("strength", sa.Double, "0 to 1; 0.5 and more is a flag"),
    _col("evidence", sa.Text, "JSON: numbers, what was ruled out, a sentence"),
)
COPY_RINGS = _table(
    "copy_rings",
    "Groups of accounts that trade as one, or share a strategy.",
    _col("ring_id", sa.Text, "group", primary_key=True),
    _col("account_id", sa.Text, "member", primary_key=True),
    _col("kind", sa.Text, "ring or shared_strategy", nullable=False),
    _col("strength", sa.Double, "0 to 1"),
)
SIGNALS = _table(
    "signals",
    "What detectors hold about accounts, traders and partners.",
    _col("subject_kind", sa.Text, "account, trader or partner", primary_key=True),
    _col("subject_id", sa.Text, "subject", primary_key=True),
    _col("detector", sa.Text, "detector", primary_key=True),
    _col("strength", sa.Double, "probability; 0.5 and more is a flag", nullable=False),
    _col("first_at", Instant, "first evidence"),
    _col("last_at", Instant, "last evidence"),
    _col("evidence", sa.Text, "JSON: numbers, rows, what was ruled out, a sentence", nullable=False),
)
RISK_SCORES = _table(
    "risk_scores",
    "One score per account, with what it is made of.",
    _col("account_id", sa.Text, "account", primary_key=True),
    _col("trader_id", sa.Text, "trader", nullable=False),
    _col("score", sa.Double, "0 to 100", nullable=False, index=True),
    _col("band", sa.Text, "low, medium, high or critical", nullable=False),
    _col(
        "reasons",
        sa.Text,
        "JSON list of contributions that add up to the score; without points: not enough to say, money at stake",
        nullable=False,
    ),
    _col("as_of", Instant, "instant it stands at"),
    _col("model_version", sa.Text, "version of the model", nullable=False),
)
CHURN_SCORES = _table(
    "churn_scores",
    "How likely each trader is to leave.",
    _col("trader_id", sa.Text, "trader", primary_key=True),
    _col("probability", sa.Double, "probability of leaving within the horizon", nullable=False),
    _col("horizon_days", sa.Integer, "horizon", nullable=False),
    _col("reasons", sa.Text, "JSON list of what moves the probability", nullable=False),
    _col("as_of", Instant, "instant it stands at"),
    _col("model_version", sa.Text, "version of the model", nullable=False),
)
PAYOUT_REVIEWS = _table(
    "payout_reviews",
    "What was checked for each payout request and what it is worth.",
    _col("payout_id", sa.Text, "request", primary_key=True),
    _col("account_id", sa.Text, "account", nullable=False, index=True),
    _col("amount", Money, "amount requested"),
    _col("eligible", sa.Boolean, "every eligibility check passed"),
    _col("recommendation", sa.Text, "approve, deduct, review or reject", nullable=False),
    _col("trader_share", Money, "what the trader is due"),
    _col("firm_share", Money, "what the firm keeps"),
    _col("deductions", Money, "profit stripped"),
    _col("checks", sa.Text, "JSON list: check, outcome, numbers, rule text", nullable=False),
)
COMMISSIONS = _table(
    "commissions",
    "What partners earn, event by event.",
    _col("partner_id", sa.Text, "partner", nullable=False, index=True),
    _col("challenge_id", sa.Text, "challenge that earned it"),
    _col("event", sa.Text, "purchase, pass, funded, first_payout, refund, …", nullable=False),
    _col("level", sa.Integer, "1 = direct, 2 and more = override", nullable=False),
    _col("amount", Money, "signed amount", nullable=False),
    _col("currency", sa.Text, "currency", nullable=False),
    _col("state", sa.Text, "accrued, held, payable, paid or reversed", nullable=False),
    _col("happened_at", Instant, "when", nullable=False),
)
COHORTS = _table(
    "cohorts",
    "The funnel by desk, product and month of purchase.",
    _col("desk_id", sa.Text, "desk", primary_key=True),
    _col("product", sa.Text, "product", primary_key=True),
    _col("cohort_month", sa.Text, "month of purchase, YYYY-MM", primary_key=True),
    _col("stage", sa.Text, "stage reached", primary_key=True),
    _col("accounts", sa.Integer, "challenges bought in the cohort"),
    _col("reached", sa.Integer, "challenges that reached the stage"),
    _col("median_days", sa.Double, "median days from purchase, of those that reached it"),
    _col("fees", Money, "fees net of refunds and chargebacks, desk currency"),
    _col("payouts", Money, "payouts paid, desk currency"),
    _col("payout_ratio", sa.Double, "payouts as a share of fees"),
)

PUBLISHED = (
    "loads",
    "rejects",
    "account_status",
    "account_days",
    "verdicts",
    "links",
    "owners",
    "copy_pairs",
    "copy_rings",
    "signals",
    "risk_scores",
    "churn_scores",
    "churn_curves",
    "churn_drift",
    "payout_reviews",
    "commissions",
    "cohorts",
    "cases",
    "dispositions",
    "risk_score_history",
    "score_calibrations",
)

JUDGEMENTS = _table(
    "judgements",
    "What analysts decided about two traders; it binds identity from then on.",
    _col("trader_a", sa.Text, "one trader", primary_key=True),
    _col("trader_b", sa.Text, "the other", primary_key=True),
    _col("judgement", sa.Text, "same or different", nullable=False),
    _col("reason", sa.Text, "why", nullable=False),
    _col("decided_by", sa.Text, "who", nullable=False),
    _col("decided_at", Instant, "when", nullable=False),
)

SHADOW_STATUS = _table(
    "shadow_status",
    "Where accounts would stand under a draft version, beside where they stand; judged by every scoring run.",
    _col("draft", sa.Text, "draft, as its file is named", primary_key=True),
    _col("account_id", sa.Text, "account that would have bought it", primary_key=True),
    _col("trader_id", sa.Text, "trader", nullable=False),
    _col("desk_id", sa.Text, "desk", nullable=False, index=True),
    _col("product", sa.Text, "product bought", nullable=False),
    _col("product_version", sa.Integer, "version that the draft would be", nullable=False),
    _col("stage", sa.Text, "stage of the challenge", nullable=False),
    _col("live_status", sa.Text, "status under the terms bought, empty where those have none"),
    _col("live_status_at", Instant, "since when"),
    _col("live_rule", sa.Text, "rule that ended or passed it"),
    _col("status", sa.Text, "status under the draft", nullable=False),
    _col("status_at", Instant, "since when"),
    _col("rule", sa.Text, "rule that would have ended or passed it"),
    _col("differs", sa.Boolean, "the two are not the same status", nullable=False, index=True),
    _col("as_of", Instant, "instant the row stands at"),
)
SHADOW_VERDICTS = _table(
    "shadow_verdicts",
    "What the rules of a draft version would have said; nothing follows from it.",
    _col("draft", sa.Text, "draft, as its file is named", nullable=False, index=True),
    _col("account_id", sa.Text, "account", nullable=False, index=True),
    _col("rule", sa.Text, "rule of the catalogue", nullable=False),
    _col("outcome", sa.Text, "breached, passed or warned", nullable=False),
    _col("effect", sa.Text, "what would have followed from it", nullable=False),
    _col("happened_at", Instant, "instant of the deciding event", nullable=False),
    _col("observed", sa.Double, "what was observed"),
    _col("allowed", sa.Double, "what would have been allowed"),
    _col("product", sa.Text, "product", nullable=False),
    _col("product_version", sa.Integer, "version that the draft would be", nullable=False),
    _col("evidence", sa.Text, "JSON: the event, the numbers, how the limit came to be, a sentence", nullable=False),
)
