"""Compiles what `make setup` leaves, so that no test process has to wait for it or compiles what another does too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASES = (
    "test_rules_cases.py::test_cases[hedging]",
    "test_commissions.py::test_a_transfer_that_does_not_cover_an_entry_leaves_it_payable",
    "test_coordination_kept.py::test_the_tables_are_the_same",
    "test_coordination.py::test_many_who_follow_a_leader_of_bursts_at_lags_of_their_own_are_copiers_where_they_are_steady"
    "[0.1]",
    "test_coordination.py::test_pair_evidence_shows_the_matches_the_search_counted",
    "test_live.py::test_time_alone_changes_what_another_account_stands_at",
    "test_live_index.py::test_a_record_older_than_what_is_kept_is_looked_up_in_the_lake",
    "test_walk_cases.py::test_case[sentence_08: holds the best day against the target where that is said,"
    " whatever was made unit=trade best=4000]",
)
"""Rules over trades, what transfers pay, a day's increment of copying, who follows a leader in company, the pairs that
are shown, what the live service holds, its index, consistency by trade."""


def cases() -> None:
    """Runs the cases; CalledProcessError when one fails or is no longer there."""
    tests = Path(__file__).parent
    subprocess.run([sys.executable, "-m", "pytest", "-q", *(str(tests / one) for one in CASES)], check=True)


if __name__ == "__main__":
    cases()
