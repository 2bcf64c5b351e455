"""An export lands on the account it belongs to, by its server's clock, with what it says of itself kept beside it."""

import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from dashboards.data_health import differing
from pipelines.land import land_paths
from pipelines.sources import SourceRefusal
from pipelines.statements import Taken, _as_before, land_statements
from sql import relations
from sql.schema import LOADS
from sql.warehouse import Warehouse
from tests.fixtures.sources import dialects
from tests.fixtures.sources.history import sample_history

HISTORY = sample_history(4)
ATHENS = "Europe/Athens"


@pytest.fixture
def firm(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    """Two MT4 accounts: A is the history's login, B another; both on one server."""
    columns = "account_id,challenge_id,trader_id,desk_id,stage,platform,login,server,currency,initial_balance,opened_at"
    same = "mt4,{login},Demo-1,{currency},1000,2020-01-01T00:00:00Z"
    rows = [
        "A,c1,t1,d1,evaluation_1," + same.format(login=HISTORY.login, currency=HISTORY.currency),
        "B,c2,t1,d1,evaluation_1," + same.format(login="77", currency=HISTORY.currency),
        "E,c3,t1,d1,evaluation_1," + same.format(login="78", currency="EUR"),
    ]
    (tmp_path / "accounts.csv").write_text("\n".join([columns, *rows]))
    land_paths(warehouse, [tmp_path / "accounts.csv"])
    return warehouse


def statement(folder: Path, data: bytes = b"", name: str = "statement.htm") -> Path:
    """A file of the history's statement."""
    path = folder / name
    path.write_bytes(data or dialects.mt4(HISTORY))
    return path


def land(firm: Warehouse, path: Path, account: str, zone: str | None = ATHENS) -> tuple[Taken, list[str]]:
    """Land one MT4 statement and return its load and what was said."""
    said: list[str] = []
    return land_statements(firm, [path], "mt4-statement", account, zone, say=said.append)[0], said


def told(firm: Warehouse) -> dict[str, object]:
    """What the newest export said of itself."""
    with firm.database.connect() as database:
        query = sa.select(LOADS.c.reconciliation).order_by(LOADS.c.load_id.desc()).limit(1)
        found: dict[str, object] = json.loads(database.execute(query).scalar_one())
    return found


def test_a_file_read_by_the_wrong_clock_is_mended_by_landing_it_again(firm: Warehouse, tmp_path: Path) -> None:
    """The same bytes by another zone are corrections, by the same zone nothing, and going back is possible."""
    path = statement(tmp_path)
    first = land(firm, path, "A", "UTC")[0].load
    assert (first.landed, first.corrections) == (first.rows, 0)
    for zone in (ATHENS, "UTC"):
        again = land(firm, path, "A", zone)[0].load
        assert (again.landed, again.corrections) == (first.rows, first.rows)
    assert land(firm, path, "A", "UTC")[0].load.landed == 0


def test_the_clock_of_a_server_is_remembered(firm: Warehouse, tmp_path: Path) -> None:
    """Once told, the zone holds for every account of the server; another one is said aloud; nothing told is refused."""
    path = statement(tmp_path)
    with pytest.raises(SourceRefusal, match="--server-zone"):
        land(firm, path, "A", None)
    land(firm, path, "A", ATHENS)
    other = statement(tmp_path, dialects.mt4(HISTORY).replace(HISTORY.login.encode(), b"77"), "other.htm")
    land(firm, other, "B", None)
    assert told(firm)["facts"]["zone"] == ATHENS  # type: ignore[index]
    assert any("Demo-1 was read as Europe/Athens before" in line for line in land(firm, path, "A", "UTC")[1])


def test_a_file_of_another_account_is_refused(firm: Warehouse, tmp_path: Path) -> None:
    """A login that is another account's is refused with both; one that is nobody's lands with a warning."""
    path = statement(tmp_path)
    with pytest.raises(SourceRefusal, match=r"which is account A and not B"):
        land(firm, path, "B")
    stranger = statement(tmp_path, dialects.mt4(HISTORY).replace(HISTORY.login.encode(), b"4242"), "stranger.htm")
    taken, said = land(firm, stranger, "B")
    assert taken.load.landed == taken.load.rows
    assert any("login 4242, account B has 77" in line for line in said)
    third = statement(tmp_path, dialects.mt4(HISTORY).replace(HISTORY.login.encode(), b"4243"), "third.htm")
    with pytest.raises(SourceRefusal, match="different accounts"):
        land_statements(firm, [third, stranger], "mt4-statement", "C", ATHENS)


def test_a_file_in_another_currency_is_refused(firm: Warehouse, tmp_path: Path) -> None:
    """The account's own currency counts, whether or not somebody names one; nothing lands."""
    with pytest.raises(SourceRefusal, match=r"USD.*EUR"):
        land(firm, statement(tmp_path), "E")
    with firm.database.connect() as database:
        assert not database.execute(sa.select(LOADS.c.load_id).where(LOADS.c.source.is_not(None))).all()


def test_what_a_file_says_of_itself_is_said_and_kept(firm: Warehouse, tmp_path: Path) -> None:
    """A tampered total names its cell at once and on the load; an empty period is a warning."""
    net = f"<b>{dialects.spaced(HISTORY.sum_of('net'))}</b>".encode()
    edited = statement(tmp_path, dialects.mt4(HISTORY).replace(net, b"<b>1 490.72</b>"))
    taken, said = land(firm, edited, "A")
    assert taken.reconciliation == "does_not_add_up"
    assert any("1490.72" in line and "cell 'Closed P/L'" in line for line in said)
    assert told(firm)["outcome"] == "does_not_add_up"
    assert told(firm)["account_id"] == "A"
    nothing = statement(tmp_path, dialects.mt4(sample_history(0).__class__([], [])), "nothing.htm")
    taken, said = land(firm, nothing, "A")
    assert taken.load.rows == 0
    assert any("empty period" in line for line in said)


def test_data_health_lists_what_does_not_add_up_before_what_is_explained(firm: Warehouse, tmp_path: Path) -> None:
    """A balance carried in is listed, below the total that somebody changed; both with their cells."""
    text = dialects.mt4(HISTORY).decode()
    net, balance = HISTORY.sum_of("net"), HISTORY.cash("balance") + HISTORY.sum_of("net")
    text = text.replace(f"<td>{dialects.spaced(balance)}</td>", f"<td>{dialects.spaced(balance + 7)}</td>")
    text = text.replace(f"<b>{dialects.spaced(net)}</b>", f"<b>{dialects.spaced(net + Decimal('0.01'))}</b>")
    land(firm, statement(tmp_path, text.encode()), "A")
    cells = differing([({"file": "x/statement.htm"}, told(firm))])
    assert list(cells["name"]) == ["Closed P/L", "Balance"]
    assert list(cells["difference"]) == ["-0.01", "-7.00"]
    assert set(cells["account"]) == {"A"}


def test_times_that_a_clock_change_repeats_are_said(firm: Warehouse, tmp_path: Path) -> None:
    """Half past three comes twice in Athens on 25 October: which it was is not known, and that is told."""
    path = statement(tmp_path, week("1").replace(b"2020.01.06 10:00:00", b"2020.10.25 03:30:00"))
    assert any("clock change" in line and line.endswith(": 1") for line in land(firm, path, "A")[1])
    assert not any("clock change" in line for line in land(firm, statement(tmp_path, week("2")), "A")[1])


CLOSED_PARTS = {
    "1": ("buy 0.30 1.10 to #2", "2020.01.06 10:00:00"),
    "2": ("buy 0.20 1.10 to #3", "2020.01.14 10:00:00"),
    "3": ("buy 0.50 1.10 from #2", "2020.01.21 10:00:00"),
}


def week(closed: str, opened: str = "") -> bytes:
    """A statement of the parts of one trade of 1.00 lot that were closed in a week, and of the part still open."""
    rows = [_part(ticket, *CLOSED_PARTS[ticket]) for ticket in closed]
    left = {"2": "buy 0.70 1.10 from #1", "3": "buy 0.50 1.10 from #2"}
    still = [_part(ticket, left[ticket], "&nbsp;") for ticket in opened]
    heads = ("Closed Transactions:", "Open Trades:", "Summary:")
    bodies = ("".join(rows), "".join(still), "")
    tables = "".join(f"<tr><td>{head}</td></tr>{body}" for head, body in zip(heads, bodies, strict=True))
    return f"<html><title>Statement: 7001234 - A</title><table>{tables}</table></html>".encode()


def _part(ticket: str, trade: str, closed_at: str) -> str:
    """One row of a statement: ticket, times, sizes and prices, no costs, 1.00 profit."""
    side, lots, price, *said = trade.split()
    cells = [ticket, "2020.01.02 10:00:00", side, lots, "eurusd", price, "0", "0", closed_at, price]
    first, *others = [f">{cell}</td>" for cell in [*cells, "0.00", "0.00", "0.00", "1.00"]]
    return f'<tr><td title="{" ".join(said)}"{first}' + "".join(f"<td{cell}" for cell in others) + "</tr>"


@pytest.mark.parametrize(
    "files",
    [
        [week("1", "2"), week("2", "3"), week("3")],
        [week("123"), week("23"), week("1", "2")],
        [week("23"), week("1", "2")],
        [week("3"), week("123"), week("2", "3")],
    ],
)
def test_weeks_and_months_tell_one_position_in_any_order(firm: Warehouse, tmp_path: Path, files: list[bytes]) -> None:
    """A trade closed in parts over several exports is one flat position, also where an older export lands last."""
    for place, data in enumerate(files):
        land(firm, statement(tmp_path, data, f"{place}.htm"), "A")
    with firm.engine() as connection:
        relations.build(connection, "staging.deals")
        query = """
            select count(distinct position_id), sum(volume) filter (entry = 'in'), sum(volume) filter (entry = 'out')
            from staging.deals"""
        assert connection.execute(query).fetchone() == (1, 1, 1)


TRADOVATE = "_id,_orderId,_timestamp,Fill ID,B/S,Quantity,Price,Contract,commission"


def fills(folder: Path, name: str, *rows: tuple[int, str, int]) -> Path:
    """A file of fills of MNQ, each of a number, a side and a size; the number is also the minute and the price."""
    lines = [
        f"{n},{n},2026-02-11 14:{n:02d}:00.000Z,{n}, {side},{size},{20000 + n},MNQH6,0.50" for n, side, size in rows
    ]
    path = folder / name
    path.write_text("\n".join([TRADOVATE, *lines, ""]))
    return path


WEEKS = ((1, "Buy", 2), (2, "Sell", 1)), ((2, "Sell", 1), (3, "Sell", 3), (4, "Buy", 2))


def profits(firm: Warehouse) -> dict[str, Decimal]:
    """The profit of every deal of account C."""
    with firm.engine() as connection:
        relations.build(connection, "staging.deals")
        query = "select deal_id, profit from staging.deals where account_id = 'C' order by executed_at"
        return dict(connection.execute(query).fetchall())


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_fills_from_within_a_position_are_refused_whichever_part_came_first(
    firm: Warehouse, tmp_path: Path, order: tuple[int, int]
) -> None:
    """Guards that closing what another export opened does not land as an opening; the whole then mends what landed."""
    parts = [fills(tmp_path, f"week-{n}.csv", *WEEKS[n]) for n in order]
    land_statements(firm, parts[:1], "tradovate-fills", "C", None)
    landed = profits(firm)
    with pytest.raises(SourceRefusal, match="within a position of MNQH6"):
        land_statements(firm, parts[1:], "tradovate-fills", "C", None)
    assert profits(firm) == landed
    whole = fills(tmp_path, "whole.csv", WEEKS[0][0], *WEEKS[1])
    land_statements(firm, [whole], "tradovate-fills", "C", None)
    assert sorted(profits(firm).values()) == [-4, 0, 0, 2, 4]


def test_the_part_that_began_within_a_position_is_the_one_that_is_named(firm: Warehouse, tmp_path: Path) -> None:
    """Protects who lands the whole history next: it was told that what had landed was wrong, and to begin anew."""
    early = fills(tmp_path, "early.csv", (1, "Buy", 2), (2, "Sell", 3))
    later = fills(tmp_path, "later.csv", (2, "Sell", 3), (3, "Buy", 1))
    said: list[str] = []
    land_statements(firm, [early], "tradovate-fills", "C", None, say=said.append)
    assert any("from a flat account before the first fill" in one for one in said)
    with pytest.raises(SourceRefusal, match=r"later\.csv begins within a position of MNQH6 \(2 held"):
        land_statements(firm, [later], "tradovate-fills", "C", None)


def test_whole_exports_of_fills_and_those_from_flat_to_flat_land_beside_each_other(
    firm: Warehouse, tmp_path: Path
) -> None:
    """An export that holds everything before it, and one that begins flat, are as good as one file."""
    whole = [WEEKS[0][0], *WEEKS[1]]
    early, later = fills(tmp_path, "a.csv", *WEEKS[0]), fills(tmp_path, "b.csv", *whole)
    next_day = fills(tmp_path, "c.csv", (5, "Buy", 1), (6, "Sell", 1))
    for paths in ([early], [later], [next_day], [later, next_day]):
        land_statements(firm, paths, "tradovate-fills", "C", None)
    one = fills(tmp_path, "one.csv", *whole, (5, "Buy", 1), (6, "Sell", 1))
    assert profits(firm) == {"1": 0, "2": 2, "3-out": 4, "3-in": 0, "4": -4, "5": 0, "6": 2}
    land_statements(firm, [one], "tradovate-fills", "C", None)
    assert len(profits(firm)) == 7


@pytest.mark.parametrize(
    ("known", "named"),
    [
        ({"1": "C"}, {"A": "C"}),
        ({"1": "B", "2": "A"}, {"A": "B", "B": "A"}),
        ({"1": "B"}, {}),
        ({"1": "C", "2": "C"}, {}),
        ({"3": "C", "5": "D", "6": None}, {}),
    ],
    ids=["an earlier name", "exchanged", "a name of another here", "one name for two", "no opening known"],
)
def test_positions_take_the_name_that_an_earlier_file_gave_unless_two_would_become_one(
    known: dict[str, str | None], named: dict[str, str]
) -> None:
    deals = pd.DataFrame(
        {
            "deal_id": list("123456"),
            "position_id": ["A", "B", "A", "B", None, None],
            "entry": ["in", "in", "out", "out", None, "out"],
        }
    )
    assert _as_before(deals, known) == named
