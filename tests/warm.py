"""Compiles what `make setup` leaves, so that no test process has to wait for it or compiles what another does too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASES = (
    "test_rules_cases.py::test_cases[hedging]",
    "test_commissions.py::test_a_transfer_that_does_not_cover_an_entry_leaves_it_payable",
    "test_coordination_kept.py::test_the_tables_are_the_same",
    "test_live_index.py::test_a_record_older_than_what_is_kept_is_looked_up_in_the_lake",
    "test_walk_cases.py::test_case[sentence_08: holds the best day against the target where that is said,"
    " whatever was made unit=trade best=4000]",
)
"""Rules over trades, what transfers pay, a day's increment of copying, the live index, consistency by trade."""


def cases() -> None:
    """Runs the cases; CalledProcessError when one fails or is no longer there."""
    tests = Path(__file__).parent
    subprocess.run([sys.executable, "-m", "pytest", "-q", *(str(tests / one) for one in CASES)], check=True)


if __name__ == "__main__":
    cases()
