"""The feed folder: each dataset's columns and a writer that takes rows batch by batch."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS: dict[str, tuple[str, ...]] = {
    "desks": ("desk_id", "name", "currency", "time_zone"),
    "traders": (
        "trader_id", "full_name", "email", "phone", "date_of_birth", "country", "address", "kyc_status", "kyc_document",
        "kyc_checked_at", "registered_at",
    ),
    "challenges": (
        "challenge_id", "trader_id", "desk_id", "product", "purchased_at", "fee", "currency", "partner_id", "click_id",
        "coupon", "instrument", "reset_of",
    ),
    "accounts": (
        "account_id", "challenge_id", "trader_id", "desk_id", "stage", "platform", "login", "server", "currency",
        "initial_balance", "opened_at", "closed_at",
    ),
    "deals": (
        "account_id", "deal_id", "position_id", "kind", "entry", "side", "symbol", "volume", "price", "executed_at",
        "commission", "swap", "fee", "profit", "stop_loss", "take_profit", "reason", "magic", "comment",
    ),
    "equity": ("account_id", "observed_at", "balance", "equity"),
    "logins": ("trader_id", "occurred_at", "ip", "account_id", "device_id", "country"),
    "payments": ("payment_id", "trader_id", "challenge_id", "kind", "instrument", "amount", "currency", "occurred_at"),
    "payouts": ("payout_id", "account_id", "requested_at", "amount", "method", "destination"),
    "partners": ("partner_id", "name", "parent_partner_id", "plan", "email", "payout_destination", "joined_at"),
    "clicks": ("click_id", "partner_id", "occurred_at", "ip", "device_id"),
    "settlements": (
        "settlement_id", "payout_id", "destination", "amount", "fee", "currency", "settled_at", "status", "reference",
    ),
    "consents": ("trader_id", "occurred_at", "given"),
    "news": ("event_id", "occurs_at", "currency", "impact", "title"),
    "rates": ("currency", "day", "rate_to_usd"),
}  # fmt: skip
PARQUET = ("deals", "equity", "logins")
Row = Sequence[Any]


class FeedWriter:
    """Writes batches of rows into a feed folder: CSV for the small datasets, Parquet for the large ones."""

    def __init__(self, out: Path, start: datetime) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out = out
        self.start = start
        self.epoch_ms = int(start.timestamp() * 1000)
        self.parquet: dict[str, pq.ParquetWriter] = {}
        self.begun: set[str] = set()

    def iso(self, at_ms: int) -> str:
        """An instant of the history as ISO 8601 in UTC; nothing for 0."""
        if not at_ms:
            return ""
        moment = np.datetime64(self.epoch_ms + int(at_ms), "ms")
        return f"{moment}Z"

    def instants(self, at_ms: np.ndarray[Any, Any]) -> pa.Array:
        """Instants of the history as UTC timestamps in microseconds."""
        return pa.array((np.asarray(at_ms, dtype=np.int64) + self.epoch_ms) * 1000).cast(pa.timestamp("us", tz="UTC"))

    def rows(self, dataset: str, rows: Sequence[Row]) -> None:
        """Adds rows to a CSV dataset."""
        frame = pd.DataFrame(list(rows), columns=list(COLUMNS[dataset]))
        first = dataset not in self.begun
        frame.to_csv(
            self.out / f"{dataset}.csv", mode="w" if first else "a", header=first, index=False, lineterminator="\n"
        )
        self.begun.add(dataset)

    def table(self, dataset: str, columns: dict[str, Any]) -> None:
        """Adds one row group to a Parquet dataset."""
        table = pa.table({name: columns[name] for name in COLUMNS[dataset]})
        if dataset not in self.parquet:
            self.parquet[dataset] = pq.ParquetWriter(self.out / f"{dataset}.parquet", table.schema, compression="zstd")
        self.parquet[dataset].write_table(table)

    def close(self) -> None:
        """Finishes the Parquet files."""
        for writer in self.parquet.values():
            writer.close()
