"""NinjaTrader's grids and Tradovate's position history: dates, decimals, fractions and profits as they are meant."""

from decimal import Decimal

import pytest

from pipelines.sources import SourceRefusal, Statement, read
from tests.fixtures.sources import futures


def land(text: str) -> Statement:
    """Read text for account A1; Chicago is the desktop's zone."""
    return read(None, text.encode(), file_name="export", account_id="A1", server_zone="America/Chicago")


def money(statement: Statement) -> list[tuple[str, str, str]]:
    """Symbol, gross profit and costs of every closing, in time order."""
    out = statement.deals[statement.deals["entry"] == "out"]
    return list(zip(out["symbol"], out["profit"], out["commission"], strict=True))


def test_an_american_grid_has_the_month_first_and_profits_after_costs() -> None:
    """4.50 points of two ES are 450 before 4.30 of commission; the stop's name is a reason."""
    statement = land(futures.NINJA_AMERICAN)
    assert statement.source == "ninjatrader-grid"
    assert statement.facts["login"] == "Sim101"
    assert money(statement) == [("ES 12-24", "450.00", "-4.30"), ("MNQ DEC24", "-20.00", "-0.74")]
    assert [f"{at:%m-%d %H:%M:%S}" for at in statement.deals["executed_at"][:2]] == ["12-05 15:45:12", "12-05 16:01:03"]
    assert list(statement.deals["reason"][3:]) == ["sl"]
    assert statement.facts["unknown_symbols"] == []


def test_a_european_grid_has_the_day_first_and_a_decimal_comma() -> None:
    """The third of July and the fourteenth; '26.091,75' is one price, '-$ 45,50' and '133,00 $' are amounts."""
    statement = land(futures.NINJA_EUROPEAN)
    assert money(statement) == [("NQ SEP26", "135.00", "-2.00"), ("MNQ SEP26", "-44.50", "-1.00")]
    assert [f"{at:%m-%d}" for at in statement.deals["executed_at"]] == ["07-03", "07-03", "07-14", "07-14"]
    assert Decimal(statement.deals["price"].iloc[0]) == Decimal("26091.75")


def test_profits_before_costs_are_told_by_what_the_contracts_are_worth() -> None:
    """The same grid with gross profits lands the same money."""
    text = futures.NINJA_AMERICAN.replace("$445.70,$445.70", "$450.00,$450.00").replace("($20.74)", "($20.00)")
    statement = land(text)
    assert statement.facts["profit"] == "before costs"
    assert money(statement) == money(land(futures.NINJA_AMERICAN))


def test_a_trade_within_the_hour_that_the_clock_change_repeats_is_not_before_its_entry() -> None:
    """Protects what was opened at 1:50 and closed at 1:10 of the second hour; a day later it is an error."""
    for exit_time, hours in (("11/3/2024 1:10:00 AM", ["06:50", "07:10"]), ("11/2/2024 1:10:00 AM", [])):
        times = f"11/3/2024 1:50:00 AM,{exit_time}"
        row = f"1,ES 12-24,Sim101,Short,2,6050.25,6045.75,{times},$450.00,$4.30"
        statement = land(f"{GRID}\n{row}\n")
        assert [f"{at:%H:%M}" for at in statement.deals["executed_at"]] == hours
        assert len(statement.rejects) == (0 if hours else 1)


def test_a_later_grid_numbers_anew_and_lands_the_same_deals() -> None:
    """Trade numbers restart with every export; the ids do not."""
    lines = futures.NINJA_AMERICAN.splitlines()
    later = land("\n".join([lines[0], "1" + lines[2][1:]])).deals
    whole = land(futures.NINJA_AMERICAN).deals
    assert set(later["deal_id"]) < set(whole["deal_id"])


def test_executions_are_paired() -> None:
    """Four points of NQ are 80; each fill pays its own commission; two accounts are refused."""
    statement = land(futures.NINJA_EXECUTIONS)
    assert money(statement) == [("NQ 12-24", "80.00", "-2.15")]
    with pytest.raises(SourceRefusal, match="2 accounts"):
        land(futures.NINJA_EXECUTIONS.replace("Sim101", "Sim102", 1))


def test_position_history_reads_thirty_seconds() -> None:
    """110'165 is 110 and 16.5 thirty-seconds: the printed loss of two ZN agrees with the prices."""
    statement = land(futures.TRADOVATE_HISTORY)
    assert statement.source == "tradovate-performance"
    assert statement.facts["currency"] == "USD"
    assert statement.facts["login"] == "DEMO1"
    assert statement.reconciliation.outcome == "exact"
    assert list(statement.deals["price"].iloc[2:]) == ["110.515625", "110.53125"]
    assert statement.deals["side"].iloc[2] == "sell"


def test_topstepx_closings_without_ids_prices_and_openings_land_as_what_is_told() -> None:
    head = "id,symbolId,positionSize,profitAndLoss,fees,entryPrice,exitPrice,tradeDay,createdAt,enteredAt\n"
    rows = [
        f"0,F.US.MNQ,{size},{profit},2.22,0,,2025-05-07T05:00:00+00:00,2025-05-07T13:00:46.{micro}+00:00,0001-01-01T00:00:00+00:00"
        for size, profit, micro in ((-3, "-88.5", "732799"), (1, "20.0", "73282"))
    ]
    statement = read(None, (head + "\n".join(rows)).encode(), file_name="t.csv", account_id="A1")
    deals = statement.deals
    assert statement.rejects.empty
    assert list(deals["entry"]) == ["out", "out"]
    assert list(deals["side"]) == ["buy", "sell"], "a short is closed by a buy"
    assert deals["price"].isna().all()
    assert deals["deal_id"].is_unique
    assert [float(one) for one in deals["profit"]] == [-88.5, 20.0]
    assert [float(one) for one in deals["fee"]] == [-2.22, -2.22]


def test_whole_thousands_beside_decimal_points_are_read() -> None:
    """Protects trades at a whole price in a list whose commas stand before thousands."""
    head = "Id,ContractName,EnteredAt,ExitedAt,EntryPrice,ExitPrice,Fees,PnL,Size,Type\n"
    row = '7,NQH6,02/11/2026 09:00:00 -06:00,02/11/2026 09:05:00 -06:00,"20,990.25","21,000",1.24,"1,195.00",1,Long\n'
    deals = read(None, (head + row + row.replace("7", "8", 1)).encode(), file_name="t.csv", account_id="A1").deals
    assert list(deals["price"].unique()) == ["20990.25", "21000"]


GRID = "Trade number,Instrument,Account,Market pos.,Qty,Entry price,Exit price,Entry time,Exit time,Profit,Commission"
TIMES = "12/5/2024 9:45:12 AM,12/5/2024 10:01:03 AM"


@pytest.mark.parametrize(
    ("contract", "printed", "price"),
    [
        ("ZN 12-24", "110'165", "110.515625"),
        ("ZT 12-24", "103'161", "103.50390625"),
        ("ZC 12-24", "450'2", "450.25"),
        ("NQ 12-24", "21'005", "21005"),
    ],
)
def test_a_grids_fractions_are_read_by_the_contract(contract: str, printed: str, price: str) -> None:
    """Guards that 110 and 16.5 thirty-seconds are not 110165, nor Swiss thousands fractions."""
    deals = land(f"{GRID}\n1,{contract},Sim101,Long,1,{printed},{printed},{TIMES},$0.00,$0.00\n").deals
    assert list(deals["price"]) == [price, price]


@pytest.mark.parametrize("profit", ["4.00", "16"])
def test_a_grid_in_points_or_ticks_is_refused(profit: str) -> None:
    """Guards that four points of ES, worth 200, do not land as 4.00."""
    with pytest.raises(SourceRefusal, match="Profit in points or ticks"):
        land(f"{GRID}\n1,ES 12-24,Sim101,Long,1,6050.25,6054.25,{TIMES},{profit},$4.30\n")


def test_a_grids_currencies_are_counted_in_units() -> None:
    """Ten thousand euros are a tenth of a lot."""
    deals = land(f"{GRID}\n1,EURUSD,Sim101,Long,10000,1.1,1.101,{TIMES},$10.00,$0.00\n").deals
    assert list(deals["volume"]) == ["0.1", "0.1"]


EXECUTIONS = futures.NINJA_EXECUTIONS.splitlines()


@pytest.mark.parametrize("order", [1, -1])
def test_executions_of_one_second_keep_the_grids_order(order: int) -> None:
    """Ids of executions are no numbers: what was bought first was not sold first, whichever way the grid is sorted."""
    rows = ["NQ 12-24,Buy,1,20990.00,12/5/2024 9:29:01 AM,z9,Entry,1 L,o0,Entry,$2.15,1,Sim101,"]
    rows += [
        "NQ 12-24,Sell,1,21000.00,12/5/2024 9:30:01 AM,z1,Exit,-,o1,Exit,$2.15,1,Sim101,",
        "NQ 12-24,Sell,1,21000.25,12/5/2024 9:30:01 AM,a1,Entry,1 S,o1,Entry,$2.15,1,Sim101,",
        "NQ 12-24,Buy,1,21000.25,12/5/2024 9:30:01 AM,a0,Exit,-,o1,Exit,$2.15,1,Sim101,",
    ]
    statement = land("\n".join([EXECUTIONS[0], *rows[::order]]) + "\n")
    assert statement.reconciliation.outcome == "exact"
    assert list(statement.deals["deal_id"]) == ["z9", "z1", "a1", "a0"]


def test_executions_that_begin_within_a_position_do_not_add_up() -> None:
    """The grid prints the position behind each execution: one contract was held before the first."""
    statement = land("\n".join([EXECUTIONS[0], EXECUTIONS[1].replace("1 L", "2 L")]) + "\n")
    check = next(check for check in statement.reconciliation.checks if check["name"] == "position")
    assert (check["expected"], check["observed"], check["verdict"]) == ("2", "1", "does_not_add_up")


@pytest.mark.parametrize("behind", ["$450.00", "$4", "$450.00,$4"])
def test_a_grid_cut_off_before_its_costs_lands_no_trade_without_them(behind: str) -> None:
    """Guards that what stood behind the end of the file is not taken for a cell without anything in it."""
    whole = f"1,ES 12-24,Sim101,Short,2,6050.25,6045.75,{TIMES},$450.00,$4.30"
    statement = land(f"{GRID}\n{whole}\n{whole[: whole.index('$450')]}{behind}")
    assert (len(statement.deals), len(statement.rejects)) == ((2, 1) if behind != "$450.00,$4" else (4, 0))


def test_an_account_that_is_cut_in_two_is_no_second_one() -> None:
    whole = "\n".join([EXECUTIONS[0], EXECUTIONS[1], EXECUTIONS[2].removesuffix("101,")])
    statement = land(whole)
    assert (statement.facts["login"], statement.reconciliation.outcome) == ("Sim101", "does_not_add_up")


def test_executions_may_say_what_they_open_and_cover() -> None:
    rows = [
        EXECUTIONS[1].replace("Buy", "SellShort").replace("1 L", "1 S"),
        EXECUTIONS[2].replace("Sell", "Buy to cover"),
    ]
    deals = land("\n".join([EXECUTIONS[0], *rows, ""])).deals
    assert list(zip(deals["entry"], deals["side"], strict=True)) == [("in", "sell"), ("out", "buy")]
