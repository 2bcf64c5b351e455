"""Protects: a future and what else is traded of its market are one to the search, sides turned where inverse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.coordination import find_coordination, markets, pair_evidence
from pipelines.sources.symbols import canonical
from tests.test_coordination import flagged, plan, search, strangers, trades_of


def on(frame: pd.DataFrame, *instruments: str) -> pd.DataFrame:
    """The same trades on these instruments in turn."""
    return frame.assign(instrument=np.resize(np.array(instruments, dtype=object), len(frame)))


def turned(frame: pd.DataFrame) -> pd.DataFrame:
    """The same trades on the other side."""
    return frame.assign(side=frame["side"].map({"buy": "sell", "sell": "buy"}))


def around(rng: np.random.Generator, *instruments: str) -> list[pd.DataFrame]:
    """Strangers on these instruments in turn."""
    return [on(frame, *instruments) for frame in strangers(rng, 40)]


def followed(seed: int, ahead: str, behind: str, *, turn: bool = False) -> list[pd.DataFrame]:
    """A firm on two instruments with a follower, four seconds behind, on the second."""
    rng = np.random.default_rng(seed)
    at, held, buy = plan(rng, 30)
    follower = on(trades_of("follower", at + 4.0 + rng.normal(0, 0.1, 30), held, buy), behind)
    leader = on(trades_of("leader", at, held, buy), ahead)
    return [*around(rng, ahead, behind), leader, turned(follower) if turn else follower]


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize(("ahead", "behind", "inverse"), [("MNQ", "US100", False), ("6J", "USDJPY", True)])
def test_a_follower_on_the_other_instrument_of_a_market_copies_or_mirrors_by_the_market_s_side(
    ahead: str, behind: str, inverse: bool, turn: bool
) -> None:
    found = search(followed(61, ahead, behind, turn=turn))
    relation = "copy" if inverse == turn else "mirror"
    assert flagged(found) == [("follower", "leader", relation, "leader")]
    told = json.loads(found.pairs["evidence"].iloc[0])["one_market"]
    assert told == markets.one_market([(ahead, behind)])
    assert ("quoted the other way round" in told[0]) == inverse


def test_instruments_of_two_markets_are_not_one() -> None:
    assert flagged(search(followed(61, "MNQ", "US500"))) == []


def test_strangers_at_the_open_on_a_future_and_its_contract_for_difference_are_nothing() -> None:
    rng = np.random.default_rng(62)
    opens = np.arange(20) * 86_400.0 + 14.5 * 3600
    frames = around(rng, "NQ", "US100")
    for k in range(12):
        mine = on(
            trades_of(
                f"open{k:02d}",
                opens + rng.lognormal(1.5, 0.9, 20),
                rng.exponential(3000, 20) + 60,
                rng.random(20) < 0.5,
            ),
            "NQ" if k % 2 else "US100",
        )
        frames.append(mine)
    assert flagged(search(frames)) == []


def test_a_news_crowd_is_one_crowd_whatever_of_the_market_it_trades() -> None:
    """On either instrument alone 30 come: no crowd. On the market they are 60."""
    rng = np.random.default_rng(63)
    times = np.sort(rng.uniform(0, 20 * 86_400, 12))
    crowd = [
        on(
            trades_of(f"c{k:02d}", times + rng.uniform(1, 20, 12), np.full(12, 600.0), np.ones(12, bool)),
            "NQ" if k % 2 else "US100",
        )
        for k in range(60)
    ]
    log = search(crowd).log
    assert any("stood in crowds" in line for line in log), log


def test_lots_are_compared_in_lots_of_one_instrument() -> None:
    """A copier that trades now one micro contract, now a lot of two dollars a point takes the same of the market."""
    rng = np.random.default_rng(64)
    at, held, buy = plan(rng, 40)
    lots = np.tile([1.0, 1.0, 3.0, 3.0], 10)
    leader = on(trades_of("leader", at, held, buy), "US100").assign(lots=lots)
    follower = on(trades_of("follower", at + 4.0, held, buy), "US100", "MNQ").assign(
        lots=lots / np.tile([1.0, 2.0], 20)
    )
    market = pd.concat([*around(rng, "US100", "MNQ"), leader, follower], ignore_index=True)
    found = find_coordination(market, owners={})
    assert json.loads(found.pairs["evidence"].iloc[0])["lots_correlation"] == 1.0
    shown = pair_evidence(leader, follower, market=market)
    assert shown.matches["lots_ratio"].tolist() == pytest.approx([1.0] * 40)
    assert shown.numbers["lots_ratio_spread"] == pytest.approx(0.0)


def test_evidence_keeps_each_account_s_own_symbol_and_side_and_draws_prices_on_one_scale() -> None:
    leader, follower = followed(65, "6J", "USDJPY", turn=True)[-2:]
    price = np.linspace(148.0, 152.0, 30)
    leader = leader.assign(symbol="6JZ6", open_price=1.0 / price)
    follower = follower.assign(symbol="USDJPY.m", open_price=price + 0.3)
    market = pd.concat([*around(np.random.default_rng(65), "6J", "USDJPY"), leader, follower], ignore_index=True)
    shown = pair_evidence(leader, follower, market=market)
    rows = shown.matches
    assert shown.numbers["matched"] == 30
    assert set(rows["symbol_a"]) == {"6JZ6"} and set(rows["symbol_b"]) == {"USDJPY.m"}
    assert (rows["side_a"] != rows["side_b"]).all()
    assert rows["open_price_a"].max() < 0.01 < rows["open_price_b"].min()
    assert rows["level_b"].tolist() == pytest.approx(rows["level_a"].tolist(), rel=1e-3)
    assert "6J and USDJPY are one market, quoted the other way round: who buys 6J sells USDJPY." in shown.sentence


def test_one_instrument_is_left_as_it_is() -> None:
    frames = followed(66, "6J", "6J")
    shown = pair_evidence(*frames[-2:], market=pd.concat(frames, ignore_index=True))
    assert set(shown.matches["market"]) == {"6J"}
    assert shown.matches["level_b"].tolist() == shown.matches["open_price_b"].tolist()
    assert "one market" not in shown.sentence


@pytest.mark.parametrize(
    ("symbol", "market", "inverse"),
    [
        ("MNQH27", "US100", False),
        ("NQZ6", "US100", False),
        ("USTEC.cash", "US100", False),
        ("ESZ2026", "US500", False),
        ("MYM 12-26", "US30", False),
        ("RTY1!", "US2000", False),
        ("FDXMZ6", "GER40", False),
        ("DAX", "GER40", False),
        ("MGCQ6", "XAUUSD", False),
        ("SILN6", "XAGUSD", False),
        ("XTIUSD", "USOIL", False),
        ("CLM6", "USOIL", False),
        ("XNGUSD", "NATGAS", False),
        ("M6EM6", "EURUSD", False),
        ("6JM6", "USDJPY", True),
        ("6CU6", "USDCAD", True),
        ("6SU6", "USDCHF", True),
        ("6NU6", "NZDUSD", False),
        ("MNKZ6", "JP225", False),
        ("MBTX6", "BTCUSD", False),
        ("METX6", "ETHUSD", False),
        ("GBPJPY", "GBPJPY", False),
    ],
)
def test_a_delivered_symbol_leads_to_its_market(symbol: str, market: str, inverse: bool) -> None:
    place = markets.place_of(str(canonical(symbol)))
    assert (place.market, place.inverse) == (market, inverse)


def test_every_name_of_the_table_is_one_that_the_instrument_table_gives() -> None:
    """A name that no delivered symbol can have would silently never match."""
    for name in markets.listed():
        assert name in {canonical(name), canonical(f"{name}Z6")}, name


@pytest.mark.parametrize(
    "text", ["[A]\nsame = { X = 1 }\n[B]\nsame = { X = 1 }", "[A]\nsame = { X = 0 }", "[A]\nsmae = { X = 1 }"]
)
def test_a_table_that_cannot_be_meant_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "markets.toml"
    file.write_text(text)
    monkeypatch.setattr(markets, "FILE", file)
    with pytest.raises(ValueError, match=r"markets\.toml"):
        markets.listed.__wrapped__()
