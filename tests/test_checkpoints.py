"""Walks that go on from checkpoints end where walks from the start end, whatever is late, corrected or lost."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from models import catalogue, checkpoints
from models.catalogue import Rulebook
from models.clock import to_micros
from pipelines import score as scoring
from pipelines.live.settling import _differing
from pipelines.score import Judged, score
from sql.schema import CHECKPOINTS
from sql.warehouse import Warehouse
from tests.builders import Case, firm_rows, write_rulebook
from tests.test_score_same import MONDAY, drawn, firm, in_steps, land, one_account, to_be_judged
from tests.walk_oracle import Account, Deal, FirmClock, Observation, Rules

HOUR = dt.timedelta(hours=1)


def walk_on(warehouse: Warehouse, rulebook: Rulebook, seen: set[int]) -> Judged:
    """The part of a scoring run that walks, after loads that were seen; then nothing may differ from the start."""
    loads = scoring._finished_loads(warehouse)
    with warehouse.engine() as connection:
        stands_at, accounts = to_be_judged(connection, rulebook)
        news = checkpoints.news_of(connection, loads - seen)
        kept = scoring.resume_points(warehouse, accounts, rulebook, news)
        judged = scoring.judge(connection, accounts, rulebook, stands_at, kept)
        with warehouse.database.begin() as database:
            names = scoring._judged_anew(database, accounts, accounts)
            judged = replace(judged, verdicts=scoring.with_said_before(database, judged))
            scoring._write(database, judged, names, stands_at, set())
        whole = scoring.judge(connection, accounts, rulebook, stands_at)
    seen |= loads
    assert _differing(warehouse, whole, accounts["account_id"].tolist()) == {
        "account_status": set(), "verdicts": set(), "account_days": set()
    }  # fmt: skip
    return judged


def spoil(warehouse: Warehouse, chance: random.Random) -> None:
    """Loses some checkpoints and makes some foreign or short."""
    with warehouse.database.begin() as database:
        for account in database.execute(sa.select(CHECKPOINTS.c.account_id).order_by(CHECKPOINTS.c.account_id)).all():
            mine = CHECKPOINTS.c.account_id == account[0]
            harm = chance.randrange(12)
            if harm == 0:
                database.execute(sa.delete(CHECKPOINTS).where(mine))
            elif harm == 1:
                database.execute(sa.update(CHECKPOINTS).where(mine).values(fingerprint="another", state=b"\1" * 400))
            elif harm == 2:
                database.execute(sa.update(CHECKPOINTS).where(mine).values(state=b"short"))


def with_deposit(case: Case) -> Case:
    """A case whose first deal is the opening deposit."""
    first = min([case.account.opened_at, *(deal.at for deal in case.deals)])
    deposit = Deal("0", first, "balance", case.account.initial)
    return replace(case, deals=[deposit, *case.deals])


@pytest.mark.slow
def test_random_deliveries_end_where_walks_from_the_start_end(tmp_path: Path) -> None:
    chance = random.Random(7)
    accounts = firm([with_deposit(case) if place % 2 else case for place, case in enumerate(drawn(60))])
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", accounts))
    warehouse, seen, resumed = Warehouse.open(tmp_path / "home"), set[int](), 0
    for number, step in enumerate(in_steps(firm_rows(accounts), chance, 6)):
        land(warehouse, step, str(number))
        resumed += len(walk_on(warehouse, rulebook, seen).resumed)
        spoil(warehouse, chance)
    assert resumed > len(accounts) // 2


def test_a_position_and_the_deposit_are_carried_over(tmp_path: Path) -> None:
    """The deposit is not added again, and what was opened before a checkpoint is closed after it."""
    opened = Deal("2", MONDAY + HOUR, entry="in", position_id="1", side="buy", volume=Decimal(1), symbol="EURUSD")
    half = replace(opened, deal_id="3", at=MONDAY + 3 * HOUR, entry="out", side="sell", volume=Decimal("0.4"))
    rest = replace(half, deal_id="5", at=MONDAY + 5 * HOUR, volume=Decimal("0.6"), profit=Decimal(-6000))
    again = Deal("4", MONDAY + 4 * HOUR, "balance", Decimal(100000))
    seen = [Observation(MONDAY + 2 * HOUR, Decimal(99000))]
    case = Case(Account(Decimal(100000), MONDAY), FirmClock(), {"daily_loss": {"percent": 5}}, [opened], seen, MONDAY)
    rows = [firm_rows({"A0": case}) for case in (with_deposit(case), replace(case, deals=[half]))]
    rows += [firm_rows({"A0": replace(case, deals=deals, observations=[])}) for deals in ([again], [rest])]
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", {"A0": case}))
    warehouse, seen_loads = Warehouse.open(tmp_path / "home"), set[int]()
    walked = []
    for number, listed in enumerate(rows):
        land(
            warehouse,
            {name: listed[name] for name in ("accounts", "challenges", "deals", "equity") if name in listed},
            str(number),
        )
        judged = walk_on(warehouse, rulebook, seen_loads)
        walked.append((len(judged.resumed), judged.events, judged.status["balance"][0], judged.status["status"][0]))
    # the deposit, the opening and the observation; then what is open and the news
    assert walked == [
        (0, 3, 100000, "active"),
        (1, 2, 100000, "active"),
        (1, 3, 200000, "active"),
        (1, 3, 194000, "breached"),
    ]


def test_whoever_waits_for_the_best_trade_begins_at_the_start(tmp_path: Path) -> None:
    """Which trade was the best is told by all trades of an account; every other account goes on."""
    rules: Rules = {"profit_target": {"percent": 10}, "consistency": {"unit": "trade", "share": 40, "of": "net"}}
    accounts = {"A0": one_account(100), "A1": replace(one_account(100), rules=rules)}
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", accounts))
    warehouse, seen = Warehouse.open(tmp_path / "home"), set[int]()
    land(warehouse, firm_rows(accounts), "1")
    assert [len(walk_on(warehouse, rulebook, seen).resumed) for _ in range(2)] == [0, 1]


@pytest.mark.parametrize("days, resumed", [(-1, 0), (0, 0), (1, 1)])
def test_what_belongs_to_where_it_stood_or_before_is_late(tmp_path: Path, days: int, resumed: int) -> None:
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", firm([one_account(0)])))
    warehouse, seen = Warehouse.open(tmp_path / "home"), set[int]()
    land(warehouse, firm_rows(firm([one_account(0)])), "1")
    walk_on(warehouse, rulebook, seen)
    late = Deal("0", MONDAY + 9 * HOUR + days * dt.timedelta(microseconds=1), "fee", Decimal(-7))
    land(warehouse, {"deals": firm_rows(firm([replace(one_account(), deals=[late])]))["deals"]}, "2")
    assert len(walk_on(warehouse, rulebook, seen).resumed) == resumed


def test_other_code_or_other_rules_begin_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rulebook = catalogue.load(write_rulebook(tmp_path / "rules", firm([one_account(0)])))
    harder = replace(one_account(0), rules={"daily_loss": {"percent": 1}})
    warehouse = Warehouse.open(tmp_path / "home")
    land(warehouse, firm_rows(firm([one_account(0)])), "1")
    stands_at = score(warehouse, rulebook).as_of
    assert stands_at is not None and scoring._comparable_run(warehouse, rulebook, stands_at) is not None
    seen = scoring._finished_loads(warehouse)
    other = catalogue.load(write_rulebook(tmp_path / "harder", firm([harder])))
    resumed = [len(walk_on(warehouse, book, seen).resumed) for book in (rulebook, other, other, rulebook)]
    monkeypatch.setattr(checkpoints, "code", lambda: "another")
    resumed += [len(walk_on(warehouse, rulebook, seen).resumed) for _ in range(2)]
    assert resumed == [1, 0, 1, 0, 0, 1]
    assert scoring._comparable_run(warehouse, rulebook, stands_at) is None


def test_checkpoints_from_the_instant_of_a_change_on_are_let_go_of(tmp_path: Path) -> None:
    """Guards the instant itself, a microsecond either side, and accounts of which nothing was said."""
    warehouse, tick = Warehouse.open(tmp_path / "home"), dt.timedelta(microseconds=1)
    stood = {"before": MONDAY - tick, "there": MONDAY, "after": MONDAY + tick, "another": MONDAY + tick}
    row = {"fingerprint": "f", "state": b"s", "open_deals": "[]"}
    with warehouse.database.begin() as database:
        rows = [row | {"account_id": account, "stood_at": at} for account, at in stood.items()]
        database.execute(sa.insert(CHECKPOINTS), rows)
        checkpoints.let_go(database, dict.fromkeys(("before", "there", "after"), to_micros(MONDAY)))
        left = database.execute(sa.select(CHECKPOINTS.c.account_id)).scalars().all()
    assert set(left) == {"before", "another"}


def test_the_newest_checkpoint_is_let_go_of_in_its_very_instant(tmp_path: Path) -> None:
    """Guards what is looked at first: whether anything stands so late at all."""
    warehouse = Warehouse.open(tmp_path / "home")
    row = {"account_id": "A", "fingerprint": "f", "state": b"s", "open_deals": "[]", "stood_at": MONDAY}
    with warehouse.database.begin() as database:
        database.execute(sa.insert(CHECKPOINTS), [row])
        checkpoints.let_go(database, {"A": to_micros(MONDAY)})
        assert database.execute(sa.select(sa.func.count()).select_from(CHECKPOINTS)).scalar() == 0
