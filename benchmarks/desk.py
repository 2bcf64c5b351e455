"""The desk measured: the audit chain, decisions in a batch, and matching of public bank transactions.

    python -m benchmarks.desk [--transactions FOLDER]

FOLDER holds `transactions_origin.parquet` and `transactions_destination.parquet` of the public Splink data sets
(moj-analytical-services/splink_datasets); without it only the desk itself is measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd

from models import audit, settlements
from models.audit import Record
from sql.warehouse import Warehouse

RECORDS = 100_000


def chain(records: int = RECORDS) -> dict[str, float]:
    """Records appended and verified in a second, on SQLite, in one batch."""
    with tempfile.TemporaryDirectory() as home:
        warehouse = Warehouse.open(home)
        told = [
            Record("pavel", "payout approve", f"payout:Q{n}", "clean", "payout_reviewer", {"state": "in_review"})
            for n in range(records)
        ]
        begun = time.perf_counter()
        with warehouse.database.begin() as connection:
            audit.append(connection, *told)
        appended = time.perf_counter()
        with warehouse.database.connect() as connection:
            broken = audit.verify(connection)
        verified = time.perf_counter()
        warehouse.database.dispose()
    if broken is not None:
        raise RuntimeError(f"the chain breaks at {broken.seq}")
    return {"appended_per_s": records / (appended - begun), "verified_per_s": records / (verified - appended)}


def bank(folder: Path) -> dict[str, float]:
    """Precision and recall on the public bank transactions; the right side is shuffled, ids are not looked at."""
    sides = [pd.read_parquet(folder / f"transactions_{name}.parquet") for name in ("origin", "destination")]
    sides[1] = sides[1].sample(frac=1, random_state=1)
    begun = time.perf_counter()
    found = settlements.match(*(_side(one) for one in sides))
    took = time.perf_counter() - begun
    joined = sides[0].merge(sides[1], on="ground_truth")
    truth = list(zip(joined["unique_id_x"], joined["unique_id_y"], strict=True))
    precision, recall = settlements.precision_recall(found.pairs, truth)
    return {"records": len(sides[0]), "precision": precision, "recall": recall, "seconds": took}


def _side(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": rows["unique_id"],
            "at": pd.to_datetime(rows["transaction_date"], utc=True),
            "amount": rows["amount"],
            "text": rows["memo"],
            "currency": "GBP",
            "known": None,
        }
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transactions", type=Path, help="folder of the public bank transactions")
    given = parser.parse_args()
    for name, value in chain().items():
        print(f"audit chain {name}: {value:,.0f}")
    if given.transactions:
        for name, value in bank(given.transactions).items():
            print(f"bank {name}: {value:,.3f}")


if __name__ == "__main__":
    main()
