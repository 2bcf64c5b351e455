"""A delivered symbol is what the reference table says, or unknown: never a guess."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sources.symbols import asset_class, canonical, instrument


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("eurusd", "EURUSD"),
        ("eurgbp-2", "EURGBP"),
        ("audcad.", "AUDCAD"),
        ("EURUSD.a", "EURUSD"),
        ("EURUSDm", "EURUSD"),
        ("USDCHF+", "USDCHF"),
        ("GBPJPYpro", "GBPJPY"),
        ("EUR/USD", "EURUSD"),
        ("xauusd-std", "XAUUSD"),
        ("GOLD", "XAUUSD"),
        ("nq100_m", "US100"),
        ("DJ30.cash", "US30"),
        ("NASDAQ.r", "US100"),
        ("SPX", "US500"),
        ("Nikkei", "JP225"),
        ("us_oil", "USOIL"),
        ("brn", "UKOIL"),
        ("BTCUSDT", "BTCUSD"),
        ("MESH5", "MES"),
        ("ESZ25", "ES"),
        ("6EM5", "6E"),
        ("F.US.EP", "ES"),
        ("CON.F.US.MNQ.U25", "MNQ"),
        ("F.US.ENQH26", "NQ"),
        ("F.US.NQM", "QM"),
        ("F.US.EU6", "6E"),
        ("F.US.MX6", "6M"),
        ("CON.F.US.SF6.U25", "6S"),
        ("F.US.GMET", "MET"),
        ("TNH6", "TN"),
        ("/NQ", "NQ"),
        ("/6EH27:XCME", "6E"),
        ("/MES:XCME", "MES"),
        ("@NQ", "NQ"),
        ("@ENQ", "NQ"),
        ("@ES#", "ES"),
        ("GC=F", "GC"),
        ("MNQ.c.0", "MNQ"),
        ("CME_MINI:NQ1!", "NQ"),
        ("CME:6J1!", "6J"),
        ("OANDA:NAS100USD", "US100"),
        ("FX:EURUSD", "EURUSD"),
        ("YM MAR 27", "YM"),
        ("MNQ Mar 2027", "MNQ"),
        ("NQ 202612", "NQ"),
        ("CL-202701", "CL"),
        ("USATECH.IDX/USD", "US100"),
    ],
)
def test_suffixes_aliases_and_months_are_undone(symbol: str, name: str) -> None:
    """Brokers' endings, other names and delivery months lead to one name."""
    assert canonical(symbol) == name


@pytest.mark.parametrize(
    "symbol",
    [
        *("0003.HK", "JPM.US", "profit", "EUREUR", "XYZABC", "NVDA", "", "...", "H5", "USD"),
        *("CL", "/AAPL", "@CLF", "NASDAQ:AAPL", "NQ 202613", "NQ=X"),
    ],
)
def test_an_unknown_symbol_is_none(symbol: str) -> None:
    """What the table does not hold is reported as unknown."""
    assert canonical(symbol) is None


def test_an_instrument_tells_size_pip_and_quote() -> None:
    """FX, yen pairs, metals and futures have their own pip and size; an index has no size of its own."""
    eurusd, usdjpy, gold = instrument("EURUSD"), instrument("usdjpy."), instrument("XAUUSD")
    assert eurusd and (eurusd.units, eurusd.pip, eurusd.quote) == (Decimal(100_000), Decimal("0.0001"), "USD")
    assert usdjpy and (usdjpy.pip, usdjpy.quote) == (Decimal("0.01"), "JPY")
    assert gold and gold.units == 100
    assert (found := instrument("MESH5")) and found.units == 5
    assert (index := instrument("GER40")) and index.units is None
    assert [asset_class(s) for s in ("EURUSD", "GOLD", "US30", "BTCUSD", "USOIL", "MESH5", None)] == [
        "fx", "metal", "index", "crypto", "energy", "future", None,
    ]  # fmt: skip


@given(st.text(max_size=40))
def test_any_text_is_answered(text: str) -> None:
    """No symbol, however odd, raises; a canonical name is its own canonical name, futures roots aside."""
    name = canonical(text)
    assert name is None or asset_class(text) == "future" or canonical(name) == name
