"""The records identity reads, with every column it needs present even where a feed left it out."""

from dataclasses import dataclass, field

import pandas as pd

COLUMNS: dict[str, tuple[str, ...]] = {
    "traders": (
        "trader_id",
        "full_name",
        "email",
        "phone",
        "date_of_birth",
        "country",
        "address",
        "kyc_document",
        "registered_at",
    ),
    "logins": ("trader_id", "occurred_at", "ip", "device_id"),
    "payments": ("trader_id", "instrument", "occurred_at"),
    "challenges": ("trader_id", "instrument", "partner_id", "click_id", "purchased_at"),
    "accounts": ("account_id", "trader_id"),
    "payouts": ("account_id", "destination", "requested_at"),
    "clicks": ("click_id", "occurred_at", "ip", "device_id"),
    "partners": ("partner_id", "parent_partner_id"),
}
INSTANTS = {"occurred_at", "purchased_at", "requested_at", "registered_at"}


@dataclass(frozen=True)
class IdentityFacts:
    """Newest versions of the records that say who a trader is; any frame may be empty or miss optional columns."""

    traders: pd.DataFrame
    logins: pd.DataFrame = field(default_factory=pd.DataFrame)
    payments: pd.DataFrame = field(default_factory=pd.DataFrame)
    challenges: pd.DataFrame = field(default_factory=pd.DataFrame)
    accounts: pd.DataFrame = field(default_factory=pd.DataFrame)
    payouts: pd.DataFrame = field(default_factory=pd.DataFrame)
    clicks: pd.DataFrame = field(default_factory=pd.DataFrame)
    partners: pd.DataFrame = field(default_factory=pd.DataFrame)


def tidy(facts: IdentityFacts) -> dict[str, pd.DataFrame]:
    """The frames by name, each with exactly the columns identity reads, instants in UTC, missing ones empty."""
    frames = {name: _tidy_frame(getattr(facts, name), columns) for name, columns in COLUMNS.items()}
    frames["traders"] = _newest(frames["traders"])
    return frames


def _newest(traders: pd.DataFrame) -> pd.DataFrame:
    """One row per trader; of several the one registered last, then the later row."""
    named = traders["trader_id"].notna()
    known = traders if named.all() else traders[named]
    if not known["trader_id"].duplicated().any():
        return known
    return known.sort_values("registered_at", kind="stable").drop_duplicates("trader_id", keep="last")


def _tidy_frame(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame({column: _tidy_column(frame, column) for column in columns}, copy=False)


def _tidy_column(frame: pd.DataFrame, column: str) -> pd.Series:
    if column not in frame.columns:
        kind = "datetime64[us, UTC]" if column in INSTANTS else "object"
        return pd.Series(pd.NaT if column in INSTANTS else None, index=frame.index, dtype=kind)
    values = frame[column]
    if column in INSTANTS:
        aware = values if isinstance(values.dtype, pd.DatetimeTZDtype) else _read_instants(values)
        return aware.astype("datetime64[us, UTC]")
    if column == "date_of_birth" and not pd.api.types.is_object_dtype(values):
        return values.astype("datetime64[us]").dt.strftime("%Y-%m-%d").astype(object) if _is_instant(values) else values
    return _as_text(values) if pd.api.types.is_numeric_dtype(values) else values


def _read_instants(values: pd.Series) -> pd.Series:
    return pd.to_datetime(values, utc=True, errors="coerce")


def _as_text(numbers: pd.Series) -> pd.Series:
    """Phones, documents and the like that were read as numbers, without the point of a whole number."""
    texts = [
        None if pd.isna(number) else f"{number:.0f}" if number == int(number) else str(number)
        for number in numbers.tolist()
    ]
    return pd.Series(texts, index=numbers.index, dtype="object")


def _is_instant(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)
