"""Exports as people really send them: other separators, clocks, orders of columns, signs, words and ends."""

import json
import re
import zipfile
from collections.abc import Callable
from decimal import Decimal
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from html import escape
from io import BytesIO
from quopri import encodestring

import pytest

from pipelines.sources import SourceRefusal, Statement, read
from pipelines.sources.kit.csv_table import read_lines
from pipelines.sources.kit.document import Document
from pipelines.sources.kit.money_rows import classify
from pipelines.sources.kit.statement import RowProblem
from pipelines.sources.kit.values import clock, plain_number
from tests.fixtures.sources import dialects
from tests.fixtures.sources.history import sample_history
from tests.test_sources_dialects import Writer, check_trades, total

HISTORY = sample_history(6)
ZONE = "Europe/Athens"
TRADE = ["1002", "2026.01.05 11:00:00", "buy", "0.10", "eurusd", "1.10000", "0", "0", "2026.01.06 12:00:00", "1.10500"]
MONEY = ["-0.70", "0.00", "-1.20", "50.00"]
TITLES = ["Ticket", "Open Time", "Type", "Size", "Item", "Price", "S/L", "T/P", "Close Time", "Price"]
MONEY_TITLES = ["Commission", "Taxes", "Swap", "Profit"]


def land(text: str | bytes, zone: str | None = ZONE) -> Statement:
    """Read an export whose format is told by its content."""
    data = text.encode() if isinstance(text, str) else text
    return read(None, data, file_name="export", account_id="A1", server_zone=zone)


def table(*rows: list[str], delimiter: str = ",") -> str:
    """Return rows as delimited text."""
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


def closing(statement: Statement) -> dict[str, str]:
    """Return the one closing deal."""
    found = statement.deals[statement.deals["entry"] == "out"]
    assert len(found) == 1, statement.rejects.to_dict("records")
    return dict(found.iloc[0])


def verdict(statement: Statement, name: str) -> str:
    """Return how a named check ended."""
    return str(next(check["explanation"] for check in statement.reconciliation.checks if check["name"] == name))


@pytest.mark.parametrize(
    ("printed", "plain"),
    [
        ("10,000.00", "10000.00"),
        ("-1,234,567", "-1234567"),
        ("1.093,94", "1093.94"),
        ("0,10", "0.10"),
        ("1,10500", "1.10500"),
        ("10 000,00", "10000.00"),
        ("1,105", None),
        ("-12,500", None),
        ("1,2,3", None),
        ("12,34,567.80", "1234567.80"),
        ("-1,23,456", "-123456"),
        ("12,34", "12.34"),
        ("(1 234.50)", "-1234.50"),
        ("12.50-", "-12.50"),
        ("(-5)", None),
        ("－7\u200a500.5", "-7500.5"),
    ],
)
def test_a_number_is_read_where_only_one_reading_is_possible(printed: str, plain: str | None) -> None:
    assert plain_number(printed) == plain


@pytest.mark.parametrize("write", [dialects.mt4, lambda h: dialects.mt5_html(h, encoding="utf-8")])
@pytest.mark.parametrize("between", [" ", "", ".", "\u202f"])
def test_a_page_saved_again_with_decimal_commas_is_read(write: Writer, between: str) -> None:
    """Spreadsheets save a page in the user's own numbers; prices with three decimals too are then told by the rest."""
    text = re.sub(r">(-?[\d ]+)\.(\d+)<", lambda m: f">{m[1].replace(' ', between)},{m[2]}<", write(HISTORY).decode())
    statement = land(text)
    check_trades(statement, HISTORY, ZONE)
    assert statement.reconciliation.outcome == "exact"


def test_a_page_with_decimal_commas_and_whole_thousands_with_points_is_refused() -> None:
    """Guards that 1.234 yen beside lots of 0,10 do not land as one yen."""
    text = re.sub(r">(-?\d+)\.(\d+)<", r">\1,\2<", dialects.matchtrader(HISTORY).decode())
    profit = re.compile(r"<td>-?\d+,\d+</td>(?=<td>[^<]*</td></tr>)")
    with pytest.raises(SourceRefusal, match="whose point may stand before thousands"):
        land(profit.sub("<td>1.234</td>", text), None)


def test_dates_with_dots_and_the_year_last_have_the_day_first() -> None:
    assert str(clock("26.01.2026 10:30:00", "Time")) == "2026-01-26 10:30:00"
    text = re.sub(r">(\d{4})\.(\d\d)\.(\d\d) (\d\d:\d\d)", r">\3.\2.\1 \4", dialects.mt4(HISTORY).decode())
    check_trades(land(text), HISTORY, ZONE)


@pytest.mark.parametrize("told", ["26.1.2026 9:30", "2026/1/26 9:30", "2026-01-26 9:30:00"])
def test_a_spreadsheets_short_dates_are_read_where_their_order_is_clear(told: str) -> None:
    """Protects exports that a Czech, Chinese or Japanese spreadsheet has saved again."""
    assert str(clock(told, "Time")) == "2026-01-26 09:30:00"
    row = [told if place in (1, 8) else cell for place, cell in enumerate(TRADE)]
    assert len(land(table(TITLES + MONEY_TITLES, row + MONEY, delimiter=";")).deals) == 2


@pytest.mark.parametrize("pattern", [r"\3.\2.\1 \4", r"\1/\2/\3 \4"])
def test_an_mt5_report_whose_dates_a_spreadsheet_wrote_anew_is_known(pattern: str) -> None:
    text = dialects.as_text(dialects.mt5_html(HISTORY, encoding="utf-8")).decode()
    statement = land(re.sub(r"(\d{4})\.(\d\d)\.(\d\d) (\d\d:\d\d)", pattern, text))
    check_trades(statement, HISTORY, ZONE)
    assert statement.source == "mt5-report"


def test_an_mt5_report_from_a_spreadsheet_that_shows_hidden_cells_keeps_its_positions() -> None:
    """The comment of a position then stands in eight columns between its side and its volume."""
    text = dialects.as_text(dialects.mt5_html(HISTORY, encoding="utf-8")).decode()
    lines = [line.split(",") for line in text.splitlines()]
    is_position = [":" in "".join(row[8:9]) and "/" not in row[4] for row in lines]
    shown = [
        [*row[:4], "77", *[""] * 7, *row[4:]] if found else row for found, row in zip(is_position, lines, strict=True)
    ]
    statement = land(table(*shown))
    check_trades(statement, HISTORY, ZONE)
    assert statement.facts["closed_positions"] == len(HISTORY.trades) and statement.rejects.empty


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("order", [range(14), [4, 2, 3, 0, 1, 5, 8, 9, 6, 7, 13, 12, 10, 11]])
@pytest.mark.parametrize("extra", [[], [""], ["my note"]])
def test_a_list_in_mt4s_columns_is_never_taken_for_another_platforms(
    delimiter: str, order: list[int], extra: list[str]
) -> None:
    """Its columns begin as FTMO's do and its swap stands where FTMO's profit is: it is read by its titles."""
    titles, cells = TITLES + MONEY_TITLES, TRADE + MONEY
    rows = [[row[place] for place in order] + extra for row in (titles, cells)]
    statement = land(table(*rows, delimiter=delimiter))
    deal = closing(statement)
    assert statement.source == "mt4-statement"
    assert (deal["profit"], deal["commission"], deal["swap"]) == ("50.00", "-0.70", "-1.20")


def test_a_list_with_commission_where_ftmo_has_swap_is_refused_rather_than_read() -> None:
    titles, cells = [*TITLES, "Commission", "Swap", "Profit", "Comment"], [*TRADE, "-0.70", "-1.20", "50.00", "x"]
    with pytest.raises(SourceRefusal, match="no export that is known here"):
        land(table(titles, cells))


@pytest.mark.parametrize(("printed", "landed"), [("0.7", "-0.7"), ("-0.7", "-0.7")])
@pytest.mark.parametrize("end", ["", ";"])
def test_ftmo_costs_stay_costs_however_the_file_signs_them(printed: str, landed: str, end: str) -> None:
    head = "Ticket;Open;Type;Volume;Symbol;Price;SL;TP;Close;Price;Swap;Commissions;Profit;Pips;Duration"
    row = "7000;2026-01-06 11:00:00;buy;0.10;EURUSD;1.1;0;0;2026-01-06 12:00:00;1.105;-1.2;{};50;50;3600"
    deal = closing(land(f"{head}{end}\n{row.format(printed)}{end}\n"))
    assert (deal["commission"], deal["swap"], deal["profit"]) == (landed, "-1.2", "50")


CTRADER = "Deal ID,Symbol,Opening Direction,Opening time (UTC{}),Closing Time (UTC{}),Entry price,Closing price"
CTRADER += ",Closing Quantity,Commissions,Net {},Balance {}"
CTRADER_ROW = ["DID1", "EURUSD", "Buy", "06 Jan 2026 17:00:00.000", "06 Jan 2026 18:00:00.000", "1.10000", "1.10500"]


def ctrader(delimiter: str, tail: list[str], zone: str = "+8", net: str = "USD", balance: str = "USD") -> Statement:
    """Read a cTrader statement of one deal."""
    titles = CTRADER.format(zone, zone, net, balance).split(",")
    cells = [cell.replace(".", ",") if delimiter == ";" else cell for cell in CTRADER_ROW]
    cells[3:5] = CTRADER_ROW[3:5]
    return land(f"Deals\n{table(titles, [*cells, *tail], delimiter=delimiter)}\nSummary\n", None)


def test_ctrader_lots_with_a_decimal_comma_are_no_tenfold() -> None:
    deal = closing(ctrader(";", ["0,1 Lots", "-0,70", "49,30", "10049,30"]))
    assert (deal["volume"], deal["profit"]) == ("0.1", "50.00")
    assert closing(ctrader(",", ['"1,428 Lots"', "-0.70", "49.30", '"10,049.30"']))["volume"] == "1428"


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_ctrader_decimal_commas_are_told_by_the_other_numbers_of_the_file(delimiter: str) -> None:
    """In quotes between commas too: 1,125 lots are no thousand where another number can only have a decimal comma."""
    cells = [cell.replace(".", ",") if place > 4 else cell for place, cell in enumerate(CTRADER_ROW)]
    money = ["1,125 Lots", "-0,70", "49,30", "10 049,30"]
    quoted = delimiter.join(f'"{cell}"' for cell in [*cells, *money])
    titles = CTRADER.format("+8", "+8", "USD", "USD").replace(",", delimiter)
    deal = closing(land(f"Deals\n{titles}\n{quoted}\n\nSummary\n", None))
    assert (deal["volume"], deal["price"]) == ("1.125", "1.10500")


def test_a_ctrader_zone_with_a_typographic_minus_is_a_zone() -> None:
    deal = closing(ctrader(",", ["0.1 Lots", "-0.70", "49.30", "10049.30"], zone="−5"))
    assert str(deal["executed_at"]) == "2026-01-06 23:00:00+00:00"


def test_ctrader_results_in_another_currency_than_the_account_are_not_taken_for_its_own() -> None:
    statement = ctrader(",", ["0.1 Lots", "-0.70", "49.30", "10049.30"], balance="EUR")
    assert statement.facts["currency"] == "EUR"
    assert statement.deals.empty
    assert "in the account's currency" in verdict(statement, "rows read")


def two_pages(write: Writer) -> str:
    """Return two accounts' pages, one after the other."""
    text = write(HISTORY).decode()
    return text + text.replace(HISTORY.login, "7009999")


def dxtrade(*accounts: str) -> str:
    """Return DXtrade cash transactions, one of each account."""
    flows = [
        {"transactionCode": f"c{n}", "account": account, "type": "DEPOSIT", "value": 1, "transactionTime": when}
        for n, (account, when) in enumerate(zip(accounts, ["2026-01-05T10:00:00Z"] * 9, strict=False))
    ]
    return json.dumps({"executions": [], "cashTransactions": flows})


@pytest.mark.parametrize(
    "text",
    [
        two_pages(dialects.mt4),
        two_pages(dialects.matchtrader),
        dxtrade("default:1", "default:2"),
        two_pages(lambda h: dialects.mt5_html(h, encoding="utf-8")),
    ],
    ids=["mt4", "matchtrader", "dxtrade", "mt5"],
)
def test_several_accounts_in_one_file_are_refused(text: str) -> None:
    with pytest.raises(SourceRefusal, match=r"holds 2 accounts .*: export one at a time"):
        land(text)


@pytest.mark.parametrize(
    "comment",
    [
        "Комиссия за неактивность",
        "Своп",
        "Gebühr Inaktivität",
        "Frais de gestion",
        "Comisión mensual",
        "手续费",
        "Dividende #2",
        "Nachtfinanzierung",
        "Opłata",
        "手数料",
        "Depotgebühren",
    ],
)
def test_a_cost_in_another_language_is_a_cost_and_no_payout(comment: str) -> None:
    assert classify("balance", comment, "-1.00").kind == "fee"


@pytest.mark.parametrize("comment", ["Korrektur", "Коррекция баланса", "Ajuste de saldo", "残高調整", "Corrección"])
def test_a_correction_in_another_language_is_no_payout(comment: str) -> None:
    assert classify("balance", comment, "-1.00").label == "correction"


@pytest.mark.parametrize("comment", ["Вывод средств", "Auszahlung", "Retrait", "出金", "Prelievo", "Fraise wire"])
def test_a_withdrawal_in_another_language_stays_a_payout(comment: str) -> None:
    assert classify("balance", comment, "-1.00").label == "payout"


def test_the_empty_row_of_an_mt4_close_by_is_accounted_and_lands_nothing() -> None:
    empty = ["1006", *TRADE[1:3], "0.00", *TRADE[4:], "0.00", "0.00", "0.00", "0.00"]
    paid = ["1007", *empty[1:13], "5.00"]
    statement = land(table(TITLES + MONEY_TITLES, TRADE + MONEY, empty, paid))
    assert statement.facts["accounted"] == {"closed trades": 1, "closed against another trade": 1}
    assert list(statement.rejects["value"]) == ["0.00"]


def test_mt4_rows_whose_ticket_stands_elsewhere_are_rejected_and_not_lost() -> None:
    text = re.sub(r"<td[^>]*>(\d{8})</td><td>([\d.]+ [\d:]+)</td>", r"<td>\2</td><td>\1</td>",
                  dialects.mt4(HISTORY).decode())  # fmt: skip
    statement = land(text)
    assert statement.rows == len(statement.rejects) == len(HISTORY.trades) + len(HISTORY.money)


def test_one_mt5_order_closes_two_positions_against_each_other() -> None:
    """A close by order of 0.10 has two deals of 0.10; half of them is what it filled."""
    deals = [
        "2026.01.05 11:00:00,901,EURUSD,buy,in,0.10,1.10000,501,0,0,0,0,0,",
        "2026.01.05 12:00:00,902,EURUSD,sell,in,0.10,1.10500,502,0,0,0,0,0,",
        "2026.01.06 12:00:00,903,EURUSD,sell,out by,0.10,1.10500,503,0,0,0,50.00,50.00,",
        "2026.01.06 12:00:00,904,EURUSD,buy,out by,0.10,1.10000,503,0,0,0,0,50.00,",
    ]
    orders = [
        f"2026.01.05 11:00:00,{order},EURUSD,{kind},0.10 / 0.10,market,,,2026.01.05 11:00:00,filled,,,,"
        for order, kind in ((501, "buy"), (502, "sell"), (503, "close by"))
    ]
    statement = land("\n".join([*orders, *deals, ""]))
    assert len(statement.deals) == 4
    assert "filled volume" not in {check["name"] for check in statement.reconciliation.checks}


def test_an_mt5_report_without_deals_says_what_it_lacks() -> None:
    rows = ["2026.01.05 11:00:00,501,EURUSD,buy,0.10,1.10000,,,2026.01.06 12:00:00,1.10500,-0.70,-1.20,50.00,"]
    statement = land("\n".join([*rows, ""]))
    assert statement.deals.empty
    assert "no table of deals" in verdict(statement, "deals")
    assert statement.facts["warning"] == "no deal of the file landed"


def test_a_page_that_is_never_closed_may_lack_rows() -> None:
    text = dialects.matchtrader(HISTORY).decode()
    assert land(text).reconciliation.outcome == "exact"
    statement = land(text[: text.rindex("<tr>")])
    assert statement.reconciliation.outcome == "does_not_add_up"
    assert "not closed" in verdict(statement, "complete")


def test_a_page_cut_off_within_a_number_does_not_land_the_digits_that_are_left() -> None:
    """-640 cut to -64 is a number too, but not the one that the platform printed."""
    page = dialects.mt4(HISTORY).decode()
    end = re.search(r"\d\.\d\d</td>\n<tr><td colspan=10>", page)
    assert end
    whole, cut = land(page), land(page[: end.start() + 1])
    assert len(cut.rejects) == 1 and cut.rejects.iloc[0]["value"].endswith("…")
    landed = set(whole.deals.itertuples(index=False, name=None))
    assert set(cut.deals.itertuples(index=False, name=None)) < landed
    assert cut.reconciliation.outcome == "does_not_add_up"


@pytest.mark.parametrize("letters", [str.upper, str.lower])
@pytest.mark.parametrize("write", [dialects.tradovate, dialects.topstepx, dialects.ctrader_csv])
def test_titles_in_other_letters_are_the_same_titles(write: Writer, letters: Callable[[str], str]) -> None:
    """A list whose header was retyped lands what it landed before, and never nothing."""
    data = write(HISTORY).decode("utf-8-sig")
    rows = data.splitlines(keepends=True)
    titles = next(place for place, line in enumerate(rows) if line.count(",") > 4)
    rows[titles] = letters(rows[titles])
    whole, retyped = land(data), land("".join(rows))
    assert len(whole.deals) and whole.deals.equals(retyped.deals)


def test_a_trade_without_symbol_is_rejected() -> None:
    """Nobody could say what was traded, and no rule by instrument would see it."""
    row = [*TRADE[:4], "", *TRADE[5:], *MONEY]
    statement = land(table([*TITLES, *MONEY_TITLES], [*TRADE, *MONEY], ["1003", *row[1:]]))
    assert list(statement.rejects["column"]) == ["Item"] and len(statement.deals) == 2


def test_pips_are_no_profit() -> None:
    """An FTMO list from which the column of profits was taken has its pips where they stood."""
    lines = [line.split(";") for line in dialects.ftmo(HISTORY).decode().splitlines()]
    with pytest.raises(SourceRefusal, match="no export that is known"):
        land("\n".join(";".join([*line[:12], *line[13:]]) for line in lines))


def test_a_matchtrader_table_in_other_words_is_refused() -> None:
    """Its title alone would make an empty period of a whole history."""
    page = dialects.matchtrader(HISTORY).decode()
    with pytest.raises(SourceRefusal, match="no table with the columns"):
        land(page.replace("Volume", "Volumen"))
    assert land(page.replace("Volume", "VOLUME")).deals.equals(land(page).deals)


def test_matchtrader_positions_still_open_and_orders_are_counted_and_land_nothing() -> None:
    """Protects a statement whose further tables have columns of their own: their rows are no closings."""
    opened = (
        "<td>ID</td><td>Symbol</td><td>Open time</td><td>Volume</td><td>Side</td><td>Current price</td><td>Profit</td>"
    )
    order = "<td>ID</td><td>Symbol</td><td>Time</td><td>Volume</td><td>Side</td><td>Type</td><td>Price</td>"
    row = (
        "<td>W900001</td><td>EURUSD</td><td>20.02.2026 10:00:00</td><td>1.00</td><td>BUY</td><td>1.1</td><td>5.00</td>"
    )
    further = "".join(f"<table><tr>{heading}</tr><tr>{row}</tr></table>" for heading in (opened, order))
    statement = land(dialects.matchtrader(HISTORY).decode().replace("</body>", f"{further}</body>"), None)
    check_trades(statement, HISTORY, "UTC")
    assert statement.facts["accounted"]["open positions and orders"] == 2


def test_a_browsers_archive_of_a_page_is_the_page() -> None:
    """Protects what people get who save a report as one file: quoted-printable parts with a picture behind."""
    archive = MIMEMultipart("related")
    page = MIMEText("", "html", "utf-8")
    page.replace_header("Content-Transfer-Encoding", "quoted-printable")
    page.set_payload(encodestring(dialects.mt4(HISTORY)))
    archive.attach(page)
    archive.attach(MIMEImage(b"\x89PNG\r\n", "png"))
    check_trades(land(b"From: <Saved by Blink>\r\n" + archive.as_bytes()), HISTORY, ZONE)


def test_a_matchtrader_table_without_a_column_beside_says_what_is_lacking() -> None:
    page = dialects.matchtrader(HISTORY).decode()
    assert land(page).reconciliation.outcome == "exact"
    statement = land(page.replace("Commission", "Kommission"))
    assert statement.reconciliation.outcome == "explained"
    assert "no column Commission" in verdict(statement, "columns")


@pytest.mark.parametrize("above", ["sep={}\r\n", '"sep={}"\n', "Trade history\n", "Account{}1002\nFrom{}2025\n\n"])
@pytest.mark.parametrize("write", [dialects.ftmo, dialects.tradovate, dialects.topstepx, dialects.ctrader_csv])
def test_a_list_below_its_separator_or_a_title_is_the_same_list(write: Writer, above: str) -> None:
    data = write(HISTORY)
    text = data.decode()
    zone = None if write is dialects.ctrader_csv else ZONE
    alone, below = land(text, zone), land(above.replace("{}", ";") + text, zone)
    assert len(alone.deals) > 2
    assert below.deals.equals(alone.deals)


def test_a_table_above_a_list_is_no_title() -> None:
    with pytest.raises(SourceRefusal, match="no export that is known"):
        land("a;b;c;d;e\n1;2;3;4;5\n" + dialects.ftmo(HISTORY).decode())


def test_a_file_of_which_no_row_is_read_says_so_with_the_first_reason() -> None:
    text = dialects.tradovate(HISTORY).decode()
    statement = land(re.sub(r"\d\d/\d\d/2025", "26/13/2025", text))
    assert statement.reconciliation.outcome == "does_not_add_up"
    assert "not a time" in verdict(statement, "rows read")


def test_tradovate_times_of_a_twelve_hour_clock_are_read() -> None:
    text = re.sub(r"(\d\d/\d\d/2025) (\d\d):(\d\d:\d\d)",
                  lambda m: f"{m[1]} {(int(m[2]) - 1) % 12 + 1:02d}:{m[3]} {'PM' if int(m[2]) > 11 else 'AM'}",
                  dialects.tradovate(HISTORY).decode())  # fmt: skip
    given, twelve = (land(one).deals for one in (dialects.tradovate(HISTORY), text))
    assert "M," in text
    assert list(twelve["executed_at"]) == list(given["executed_at"])


def test_a_currency_in_small_letters_is_the_same_currency() -> None:
    text = dialects.mt4(HISTORY).decode().replace("Currency: USD", "Currency: usd")
    statement = land(text)
    assert statement.facts["currency"] == "USD"
    assert total(statement.deals["profit"]) == HISTORY.sum_of("profit") + Decimal(50_000)


@pytest.mark.parametrize("third", ["Taxes", "Profit"])
def test_a_list_with_swap_first_and_another_column_where_ftmo_has_commission_is_not_ftmos(third: str) -> None:
    """Read by FTMO's places, the commission would be the profit."""
    order = ["Swap", third, "Commission", "Profit" if third == "Taxes" else "Comment"]
    cells = ["-1.20", {"Taxes": "0.00", "Profit": "50.00"}[third], "-0.70", {"Taxes": "50.00", "Profit": "x"}[third]]
    text = table([*TITLES, *order], [*TRADE, *cells])
    if third == "Taxes":
        deal = closing(land(text))
        assert (deal["profit"], deal["commission"], deal["swap"]) == ("50.00", "-0.70", "-1.20")
    else:
        with pytest.raises(SourceRefusal, match="no export that is known here"):
            land(text)


def test_dates_that_a_spreadsheet_read_in_part_are_refused() -> None:
    """It turned 06/01 into the first of June and left 13/01 as text: what it turned is wrong as well."""
    later = ["1003", "13/01/2026 11:00:00", *TRADE[2:8], "13/01/2026 12:00:00", TRADE[9], *MONEY]
    turned = ["1002", "2026-05-01 11:00:00", *TRADE[2:8], "2026-06-01 12:00:00", TRADE[9], *MONEY]
    with pytest.raises(SourceRefusal, match="taken days for months"):
        land(table(TITLES + MONEY_TITLES, turned, later))
    sound = [cell.replace("2026-05-01", "2026-01-13").replace("2026-06-01", "2026-01-14") for cell in turned]
    assert len(land(table(TITLES + MONEY_TITLES, sound, later)).rejects) == 1


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_commas_between_semicolons_are_decimal_only_where_no_number_has_a_point(delimiter: str) -> None:
    index = [*TRADE[:4], "us30", "33,877", "0", "0", TRADE[8], "33,927", *MONEY]
    statement = land(table(TITLES + MONEY_TITLES, index, delimiter=delimiter))
    assert statement.deals.empty and "comma" in statement.rejects.iloc[0]["reason"]
    commas = [cell.replace(".", ",") if i not in (1, 8) else cell for i, cell in enumerate(index)]
    assert closing(land(table(TITLES + MONEY_TITLES, commas, delimiter=delimiter)))["price"] == "33.927"


def test_an_archive_of_parts_deep_in_one_another_is_refused() -> None:
    """Protects whoever lands a stranger's file from a traceback."""
    parts = "".join(
        f'Content-Type: multipart/related; boundary="b{depth}"\r\n\r\n--b{depth}\r\n' for depth in range(3000)
    )
    with pytest.raises(SourceRefusal, match="parts too deep in one another"):
        land(f"From: x\r\n{parts}")


def test_commas_beside_decimal_points_divide_thousands_where_commas_divide_the_columns() -> None:
    """Protects whole amounts (yen, index points) that an American spreadsheet saved again, and decimal commas."""
    index = [*TRADE[:4], "us30", '"33,877"', "0", "0", TRADE[8], '"33,927"', *MONEY]
    assert closing(land(table(TITLES + MONEY_TITLES, index)))["price"] == "33927"
    mixed = [*index[:3], '"0,10"', *index[4:]]
    assert land(table(TITLES + MONEY_TITLES, mixed)).deals.empty
    printed = dialects.ctrader_csv(HISTORY).decode()
    divided, plain = (land(printed.replace(",31.45,", net), "UTC") for net in (',"29,966",', ",29966,"))
    assert divided.rejects.empty and divided.deals.equals(plain.deals) and "29970.55" in set(divided.deals["profit"])


def test_a_point_that_may_divide_thousands_beside_decimal_commas_is_refused() -> None:
    yen = [*TRADE[:3], "0,10", "usdjpy", "150,000", "0", "0", TRADE[8], "151,234", "0", "0", "0", "1.234"]
    with pytest.raises(SourceRefusal, match=r"1\.234, whose point may stand before thousands"):
        land(table(TITLES + MONEY_TITLES, yen, delimiter=";"))


@pytest.mark.parametrize(
    ("serial", "read_as"),
    [("46028.5", "12:00:00"), ("46028.45833", "11:00:00"), ("46028.458333333336", "11:00:00"), ("46028.52", None)],
)
def test_a_spreadsheets_day_number_is_read_as_exactly_as_its_digits_allow(serial: str, read_as: str | None) -> None:
    if read_as is None:
        with pytest.raises(RowProblem, match="rounded to nine seconds or more"):
            clock(serial, "Time")
    else:
        assert str(clock(serial, "Time")) == f"2026-01-06 {read_as}"


def test_a_workbook_that_counts_its_days_from_1904_is_refused() -> None:
    """Its dates are stored as numbers that mean another day in every other workbook."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("xl/workbook.xml", '<workbook><workbookPr date1904="1"/></workbook>')
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet><sheetData/></worksheet>")
    with pytest.raises(SourceRefusal, match="counts its days from 1904"):
        land(stream.getvalue())


@pytest.mark.parametrize(
    ("write", "zone"), [(dialects.ftmo, ZONE), (dialects.ctrader_csv, "UTC"), (dialects.tradovate, ZONE)]
)
@pytest.mark.parametrize("above", [[], [["Trades of account 7"], []]])
def test_a_list_that_was_saved_as_a_workbook_is_the_same_list(write: Writer, zone: str, above: list[list[str]]) -> None:
    text = write(HISTORY).decode()
    rows = [*above, *read_lines(text, "text")]
    sheet = "".join(
        f'<row r="{line}">' + "".join(f'<c t="str"><v>{escape(cell)}</v></c>' for cell in cells) + "</row>"
        for line, cells in enumerate(rows, start=1)
        if cells
    )
    data = dialects.workbook({"xl/worksheets/sheet1.xml": f"<worksheet><sheetData>{sheet}</sheetData></worksheet>"})
    assert land(data, zone).deals.equals(land(text, zone).deals)


def test_a_workbooks_long_numbers_keep_every_digit() -> None:
    """Guards that tickets of nineteen digits, stored as numbers, are not rounded into another's."""
    row = '<row r="1"><c r="A1"><v>1234567890123456789</v></c><c r="B1"><v>0.30000000000000004</v></c></row>'
    data = dialects.workbook({"xl/worksheets/sheet1.xml": f"<worksheet><sheetData>{row}</sheetData></worksheet>"})
    assert Document(data, "export").rows[0].cells == ["1234567890123456789", "0.3"]


FTMO = "Ticket;Open;Type;Volume;Symbol;Price;SL;TP;Close;Price;{};{};{};Pips;Duration"
FTMO_ROW = "7000;2026-01-06 11:00:00;buy;0.10;US30;{};0;0;2026-01-06 12:00:00;{};{};{};{};50;3600"


@pytest.mark.parametrize("lasted", ["3600", "9000"])
def test_ftmo_in_a_language_of_other_words_is_told_by_its_durations(lasted: str) -> None:
    """Protects the client area's lists in Czech, Spanish or Chinese, and other lists from being taken for them."""
    head = "Tiket;Otevření;Typ;Objem;Symbol;Cena;SL;TP;Uzavření;Cena;Swap;Komise;Profit;Pipy;Doba trvání"
    row = FTMO_ROW.format("44000,1", "44010,1", "-1,2", "0,7", "1,00").removesuffix("3600")
    if lasted == "3600":
        deal = closing(land(f"{head}\n{row}{lasted}\n"))
        assert (deal["commission"], deal["swap"], deal["profit"]) == ("-0.7", "-1.2", "1.00")
    else:
        with pytest.raises(SourceRefusal, match="no export that is known here"):
            land(f"{head}\n{row}{lasted}\n{row}3600\n")


def test_ftmo_numbers_have_one_decimal_mark() -> None:
    """33,877 beside 0.10 is no price of thirty-three, and 2.040 beside 0,10 is no profit of two."""
    head = FTMO.format("Swap", "Commissions", "Profit")
    statement = land(f"{head}\n{FTMO_ROW.format('33,877', '33,927', '0', '0', '5')}\n")
    assert statement.deals.empty and len(statement.rejects) == 1
    comma = FTMO_ROW.format("33877,5", "33927,5", "0", "0", "2.040").replace("0.10", "0,10")
    with pytest.raises(SourceRefusal, match=r"2\.040, whose point"):
        land(f"{head}\n{comma}\n")


@pytest.mark.parametrize("titles", [("Commissions", "Swap", "Profit"), ("Swap", "Bénéfice", "Commissions")])
def test_ftmo_money_in_another_order_of_columns_is_refused(titles: tuple[str, str, str]) -> None:
    """The columns are read by place: a cost would land as the profit."""
    with pytest.raises(SourceRefusal, match="no export that is known here"):
        land(f"{FTMO.format(*titles)}\n{FTMO_ROW.format('33877', '33927', '0.7', '-1.2', '50')}\n")


def test_a_ctrader_deal_that_closes_on_the_side_it_opened_on_is_rejected() -> None:
    titles = CTRADER.format("+8", "+8", "USD", "USD").replace("Direction", "Direction,Closing Direction")
    row = [*CTRADER_ROW[:3], "Buy", *CTRADER_ROW[3:], "0.1 Lots", "-0.70", "49.30", "10049.30"]
    statement = land(f"Deals\n{titles}\n{','.join(row)}\n", None)
    assert list(statement.rejects["column"]) == ["closing direction"]
    with pytest.raises(SourceRefusal, match=r"name two zones, UTC\+7 and UTC\+8"):
        land(f"Deals\n{titles.replace('+8', '+7', 1)}\n{','.join(row)}\n", None)


PAIRS = "symbol,_priceFormat,_tickSize,buyFillId,sellFillId,qty,buyPrice,sellPrice,pnl"
PAIRS += ",boughtTimestamp,soldTimestamp,duration"
PAIR = "MESH6,-2,0.25,104,103,2,{},{},{},{},{},{}"
SECOND = "01/06/2026 12:00:00"


def test_tradovate_fills_of_one_second_are_ordered_by_their_numbers() -> None:
    """The lower fill opened: sold first is a short."""
    text = f"{PAIRS}\n{PAIR.format('6015.00', '6010.00', '$(50.00)', SECOND, SECOND, '0sec')}\n"
    assert (closing(land(text))["side"], closing(land(text))["price"]) == ("buy", "6015.00")


def test_tradovate_times_that_are_not_as_far_apart_as_the_row_says_are_rejected() -> None:
    """The sixth and the seventh of January, written day first, would be a month apart."""
    row = PAIR.format("6015.00", "6010.00", "$(50.00)", "07/01/2026 12:00:00", "06/01/2026 12:00:00", "24h")
    assert list(land(f"{PAIRS}\n{row}\n").rejects["column"]) == ["duration"]


def test_tradovate_decimal_commas_are_no_hundredfold() -> None:
    row = ";".join(["MESH6", "-2", "0,25", "104", "103", "2", "6015,25", "6010,25", "$(50,00)", SECOND, SECOND, "0sec"])
    deal = closing(land(f"{PAIRS.replace(',', ';')}\n{row}\n"))
    assert (deal["price"], deal["profit"]) == ("6015.25", "-50.00")


def test_a_row_without_a_number_of_its_own_that_is_printed_twice_counts_once() -> None:
    """Exports of two months pasted together; another quantity of the same fills is another pair."""
    row = PAIR.format("6015.00", "6010.00", "$(50.00)", SECOND, "01/06/2026 11:30:00", "30min")
    other = row.replace(",103,2,", ",103,1,").replace("50.00)", "25.00)")
    statement = land("\n".join([PAIRS, row, other, row, ""]))
    assert list(statement.deals["volume"]) == ["2", "1", "2", "1"] and statement.facts["repeated_rows"] == 2
    page = dialects.matchtrader(HISTORY).decode()
    first = re.search(r"<tr[^>]*><td>W?\d+</td>.*?</tr>", page, re.DOTALL)
    assert first is not None
    assert len(land(page.replace(first[0], first[0] * 2)).deals) == len(land(page).deals)


GRID = "Trade number,Instrument,Account,Market pos.,Qty,Entry price,Exit price,Entry time,Exit time,Profit,Commission"


@pytest.mark.parametrize(
    ("entry", "exit_", "day"),
    [
        ("1/6/2026 10:00:00 AM", "1/6/2026 10:30:00 AM", "2026-01-06"),
        ("6/01/2026 10:00:00 AM", "6/01/2026 10:30:00 AM", "2026-01-06"),
        ("06/01/2026 10:00:00", "06/01/2026 10:30:00", None),
        ("16/01/2026 10:00:00", "16/01/2026 10:30:00", "2026-01-16"),
    ],
)
def test_ninjatrader_dates_are_read_where_their_order_is_told(entry: str, exit_: str, day: str | None) -> None:
    """American clocks have twelve hours and no padding, Australian ones pad the month, British ones tell nothing."""
    statement = land(f"{GRID}\n1,MES MAR26,Sim101,Long,1,6000.00,6010.00,{entry},{exit_},$50.00,$0.70\n")
    assert [f"{at:%Y-%m-%d}" for at in statement.deals["executed_at"]] == ([day] * 2 if day else [])


def test_a_list_without_totals_of_which_a_row_is_rejected_does_not_add_up() -> None:
    """Guards that losses marked in a way of their own do not leave an account of winners alone that is called exact."""
    lines = dialects.ftmo(HISTORY).decode().splitlines()
    cells = lines[1].split(";")
    lines[1] = ";".join([*cells[:12], f"{cells[12].lstrip('-')} DR", *cells[13:]])
    statement = land("\n".join(lines) + "\n")
    assert (len(statement.rejects), statement.reconciliation.outcome) == (1, "does_not_add_up")
    assert f"1 of {statement.rows} rows could not be read and no total covers them" in verdict(statement, "rows read")


def test_titles_that_are_printed_again_are_no_lost_rows() -> None:
    """Guards that a list pasted from several pages is not called crooked for its titles."""
    head, *lines = dialects.ftmo(HISTORY).decode().splitlines()
    alone, again = land("\n".join([head, *lines])), land("\n".join([head, *lines, head, *lines[:1]]) + "\n")
    assert again.deals.equals(alone.deals)
    assert (len(again.rejects), again.reconciliation.outcome) == (1, "exact")


@pytest.mark.parametrize("blank", ["", ","])
def test_a_blank_line_within_a_ctrader_block_loses_nothing(blank: str) -> None:
    """Guards that deals after a blank line are read, which ends a block only where a title follows."""
    text = dialects.ctrader_csv(HISTORY).decode("utf-8-sig")
    lines = text.splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("DID")) + 2
    whole, parted = land(text, zone=None), land("\n".join([*lines[:place], blank, *lines[place:]]) + "\n", zone=None)
    assert len(whole.deals) > 2
    assert parted.rows == whole.rows
    assert parted.deals.equals(whole.deals)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_futures_prices_with_decimal_commas_are_no_thousandfold(delimiter: str) -> None:
    """Guards that 1,105 dollars of a euro, saved again by a European spreadsheet, are not read as 1105."""
    titles = "_orderId,_timestamp,Fill ID,B/S,Quantity,Price,Contract,commission"
    rows = ["1;2026-02-11 14:01:00.000Z;1; Buy;1;1,105;6EH6;0,5", "2;2026-02-11 14:02:00.000Z;2; Sell;1;1,106;6EH6;0,5"]
    statement = land("\n".join([titles.replace(",", delimiter), *(row.replace(";", delimiter) for row in rows), ""]))
    assert list(statement.deals["price"]) == ["1.105", "1.106"]
    assert list(statement.deals["profit"]) == ["0.00", "125.00"]
