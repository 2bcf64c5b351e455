"""Files that a mapping describes: what it says is kept to, and what it cannot mean is refused."""

from decimal import Decimal

import pytest

from pipelines.sources import SourceRefusal, Statement, read
from tests.fixtures.sources import dialects

TITLES = "No,Side,Market,Size,In,In price,Out,Out price,Result,Cost,Carry"
ROW = "1,buy,EURUSD,0.50,2026-01-06 10:00:00,1.10000,2026-01-06 11:00:00,1.10100,50.00,-3.00,-1.00"
COLUMNS = """
ticket = "No"
side = "Side"
symbol = "Market"
volume = "Size"
opened_at = "In"
open_price = "In price"
closed_at = "Out"
close_price = "Out price"
profit = "Result"
commission = "Cost"
swap = "Carry"
"""
PRICES = COLUMNS.replace("In price", "Price").replace("Out price", "Price.2")
DEALS = """
deal_id = "Id"
executed_at = "Time"
kind = "Kind"
entry = "Entry"
side = "Side"
symbol = "Market"
volume = "Size"
price = "Price"
profit = "Amount"
"""


def land(text: str | bytes, columns: str = COLUMNS, **settings: str) -> Statement:
    """Read text by a mapping of these columns and settings; Prague is the zone."""
    said = "\n".join(f"{name} = {value!r}" for name, value in settings.items())
    data = text if isinstance(text, bytes) else text.encode()
    mapping = f"[file]\n{said}\n[columns]{columns}"
    return read(None, data, file_name="f", account_id="A1", server_zone="Europe/Prague", mapping=mapping)


def rows(*lines: str, titles: str = TITLES) -> str:
    """Return lines below titles."""
    return "\n".join([titles, *lines, ""])


def landed(statement: Statement) -> list[tuple[str, str, str, str | None]]:
    """Side, size, profit and commission of every deal."""
    found = statement.deals
    return list(zip(found["side"], found["volume"], found["profit"], found["commission"], strict=True))


@pytest.mark.parametrize(
    ("name", "word"),
    [("profit", "Net"), ("costs", "plus"), ("decimal", "comma"), ("row", "trades"), ("swap", "signed")],
)
def test_a_word_that_means_nothing_is_refused(name: str, word: str) -> None:
    """Guards that a mapping with profit = "Net" does not read net results as gross ones."""
    with pytest.raises(SourceRefusal, match=f"the mapping's {name} is '{word}': it must be"):
        land(rows(ROW), **{name: word})


@pytest.mark.parametrize(
    ("opened", "settings"),
    [
        ("2026-01-06T10:00:00+01:00", {}),
        ("2026-01-06 09:00:00.000 UTC", {}),
        ("2026-01-06T04:00:00-0500", {"time_format": "%Y-%m-%dT%H:%M:%S%z"}),
        ("1767690000", {"time_format": "unix"}),
        ("1767690000000", {"time_format": "unix_ms"}),
        ("2026-01-06 10:00:00", {}),
    ],
)
def test_times_with_an_offset_are_instants(opened: str, settings: dict[str, str]) -> None:
    """Guards that an offset is not dropped: every one of these is nine o'clock UTC, whatever zone is given."""
    statement = land(
        rows(ROW.replace("2026-01-06 10:00:00", opened).replace("2026-01-06 11:00:00", opened)), **settings
    )
    assert [f"{at:%m-%d %H:%M}" for at in statement.deals["executed_at"]] == ["01-06 09:00"] * 2


def test_times_of_two_kinds_are_not_mixed() -> None:
    """A time without an offset among others that have one belongs to no known clock."""
    statement = land(rows(ROW, ROW.replace("1,buy", "2,buy").replace(":00:00,", ":00:00Z,")))
    assert list(statement.rejects["reason"]) == ["no offset, though other times have one"]
    with pytest.raises(SourceRefusal, match="%Z"):
        land(rows(ROW), time_format="%Y-%m-%d %H:%M:%S %Z")


def test_a_day_and_a_clock_may_stand_in_two_columns() -> None:
    columns = COLUMNS.replace('opened_at = "In"', 'opened_at = ["Day", "In"]').replace('= "Out"', '= ["Day", "Out"]')
    titles = TITLES.replace("In,", "Day,In,", 1)
    statement = land(rows(ROW.replace("06 10", "06,10").replace("2026-01-06 11", "11"), titles=titles), columns)
    assert [f"{at:%m-%d %H:%M}" for at in statement.deals["executed_at"]] == ["01-06 09:00", "01-06 10:00"]


def test_a_signed_volume_tells_the_side() -> None:
    """Sold is below zero where side and volume are one column; a negative size that was bought is a contradiction."""
    signed = COLUMNS.replace('side = "Side"', 'side = "Size"')
    assert [deal[:2] for deal in landed(land(rows(ROW.replace("0.50", "-0.50")), signed))] == [
        ("sell", "0.50"),
        ("buy", "0.50"),
    ]
    assert landed(land(rows(ROW.replace("buy", "sell").replace("0.50", "-0.50"))))[0][:2] == ("sell", "0.50")
    assert list(land(rows(ROW.replace("0.50", "-0.50"))).rejects["reason"]) == ["must be above zero"]


def test_the_mapping_names_the_words_of_the_sides() -> None:
    statement = land(rows(ROW.replace("buy", "Verkauf"), ROW.replace("1,buy", "2,buy")), buy="Kauf", sell="Verkauf")
    assert landed(statement)[0][0] == "sell"
    assert list(statement.rejects["value"]) == ["buy"]
    with pytest.raises(SourceRefusal, match="name both"):
        land(rows(ROW), buy="Kauf")


def test_costs_printed_positive_may_stand_beside_a_signed_swap() -> None:
    """A swap that was earned stays earned, and a net result is given back both."""
    line = ROW.replace("-3.00,-1.00", "3.00,1.00")
    deal = land(rows(line), costs="positive", swap="negative", profit="net").deals.iloc[-1]
    assert (deal["commission"], deal["swap"], Decimal(deal["profit"])) == ("-3.00", "1.00", Decimal("52.00"))


@pytest.mark.parametrize(
    ("printed", "settings", "amount"),
    [
        ("($1,050.25)", {}, "-1050.25"),
        ("-1.050,25 €", {"decimal": ","}, "-1050.25"),
        ("USD 1,050", {"decimal": "."}, "1050"),
    ],
)
def test_amounts_may_have_a_currency_and_brackets(printed: str, settings: dict[str, str], amount: str) -> None:
    statement = land(
        rows(
            ROW.replace("50.00,-3", "RESULT,-3").replace(",", ";").replace("RESULT", printed),
            titles=TITLES.replace(",", ";"),
        ),
        **settings,
    )
    assert landed(statement)[-1][2] == amount


def test_trades_without_numbers_are_named_by_what_they_say() -> None:
    """Two alike are two trades, and a later file of the same rows lands the same deals."""
    unnumbered = COLUMNS.replace('ticket = "No"', "")
    both = land(rows(ROW, ROW.replace("1,buy", "2,buy")), unnumbered)
    assert len(both.deals) == 4 and both.deals["deal_id"].is_unique
    assert set(land(rows(ROW), unnumbered).deals["deal_id"]) < set(both.deals["deal_id"])


def test_two_accounts_or_currencies_in_one_file_are_refused() -> None:
    """Guards that a column which tells them apart can be named."""
    columns, titles = f'{COLUMNS}account = "Login"\ncurrency = "Money"\n', f"{TITLES},Login,Money"
    statement = land(rows(f"{ROW},7,usd", titles=titles), columns)
    assert (statement.facts["login"], statement.facts["currency"]) == ("7", "USD")
    with pytest.raises(SourceRefusal, match="2 accounts"):
        land(rows(f"{ROW},7,USD", f"{ROW},8,USD", titles=titles), columns)
    with pytest.raises(SourceRefusal, match="amounts in EUR, USD"):
        land(rows(f"{ROW},7,USD", f"{ROW},7,EUR", titles=titles), columns)


def test_rows_of_an_unknown_kind_are_no_deposits() -> None:
    """Guards that a trade whose kind is called Market does not put its profit into the balance."""
    lines = [
        "1,2026-01-06 10:00:00,Market,Opening,buy,EURUSD,1,1.1,0",
        "2,2026-01-06 10:00:00,trade,Opening,buy,EURUSD,1,1.1,0",
        "3,2026-01-06 11:00:00,trade,Exit,sell,EURUSD,1,1.101,100",
        "4,2026-01-06 12:00:00,Deposit,,,,,,5000",
        "5,2026-01-06 13:00:00,Withdrawal,,,,,,-50",
        "6,2026-01-06 14:00:00,Withdrawal,,,,,,60",
    ]
    statement = land(rows(*lines, titles="Id,Time,Kind,Entry,Side,Market,Size,Price,Amount"), DEALS, row="deal")
    assert list(statement.rejects["value"]) == ["Market", "60"]
    assert list(statement.deals["entry"].dropna()) == ["in", "out"]
    assert [row["class"] for row in statement.facts["money_rows"]] == ["deposit", "payout"]


def test_titles_may_stand_below_others_and_a_page_is_no_table() -> None:
    """Guards that a workbook is not read as an empty period."""
    above = land(f"My broker\nAccount 7;;;\n\n{rows(ROW)}")
    assert landed(above) == landed(land(rows(ROW)))
    twice = land(f"My broker\n{rows(ROW).replace('In price', 'Price').replace('Out price', 'Price')}", PRICES)
    assert landed(twice) == landed(above)
    for data in (dialects.as_workbook(b"<table><tr><td>1</td></tr></table>"), b"<html><body></body></html>"):
        with pytest.raises(SourceRefusal, match="save it as CSV"):
            land(data)
