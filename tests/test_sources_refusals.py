"""What is no evidence is refused in one clear sentence; what is hostile is inert."""

import os
import resource
import signal
import zipfile
from io import BytesIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.sources import SourceRefusal, Statement, read, recognise, sources
from pipelines.sources.kit import document
from tests.fixtures.sources import dialects, futures
from tests.fixtures.sources.history import sample_history

HISTORY = sample_history(6)
SEEDS = [
    dialects.mt4(HISTORY),
    dialects.mt5_html(HISTORY),
    dialects.mt5_html(HISTORY, encoding="utf-8", old=True),
    dialects.mt5_xlsx(HISTORY),
    dialects.mt5_xlsx(HISTORY, native=False),
    dialects.ctrader_csv(HISTORY),
    dialects.ctrader_html(HISTORY),
    dialects.ftmo(HISTORY),
    dialects.matchtrader(HISTORY),
    dialects.topstepx(HISTORY),
    dialects.tradovate(HISTORY),
    *[text.encode() for text in futures.TEXTS],
]
FOREIGN_TESTER = "<tr><td>Отчет тестера стратегий</td></tr>" + "".join(
    f"<tr><td>2025.03.03 0{n}:00:00</td><td>{n}</td>{cells}{4 * '<td>0.00</td>'}<td></td></tr>"
    for n, cells in (
        (1, "<td></td><td>balance</td><td></td><td></td><td></td><td></td>"),
        (2, "<td>EURUSD</td><td>buy</td><td>in</td><td>0.10</td><td>1.05</td><td>2</td>"),
    )
)
TEMPLATE = "<html><table>" + "".join(f"<tr><td><!--DEAL_{name}--></td></tr>" for name in ("A1", "B1", "C1", "D1", "E1"))


def land(data: bytes, source: str | None = None, zone: str | None = "Europe/Athens", **asked: str) -> Statement:
    """Read bytes for account A1."""
    return read(source, data, file_name="export", account_id="A1", server_zone=zone, **asked)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"<html><title>Strategy Tester: Robot</title><table></table>", "strategy tester"),
        ("<html><title>Strategy Tester Report</title>".encode("utf-16"), "strategy tester"),
        (f"<html><table>{FOREIGN_TESTER}</table>".encode("utf-16"), "strategy tester"),
        (TEMPLATE.encode(), "template"),
        (b"<html><head><title>x</title></head><frameset><frame src=a.htm></frameset></html>", "frameset"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 rest", "old binary Excel"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"name,age\nx,1\n", "no export that is known"),
        (b"PK\x03\x04 broken", "damaged"),
        (dialects.workbook({"a.txt": "x"}), "without a worksheet"),
    ],
)
def test_what_proves_nothing_is_refused_by_name(data: bytes, words: str) -> None:
    """Tester reports, templates, framesets and other formats are told by what they are."""
    with pytest.raises(SourceRefusal, match=words) as refusal:
        land(data)
    assert "\n" not in str(refusal.value)


def test_a_source_that_is_not_the_files_is_refused_with_both_names() -> None:
    """Asking for an MT5 report and giving an MT4 statement names the two."""
    with pytest.raises(SourceRefusal, match=r"mt5-report.*mt4-statement"):
        land(dialects.mt4(HISTORY), "mt5-report")
    with pytest.raises(SourceRefusal, match="not known"):
        land(dialects.mt4(HISTORY), "mt6")


@pytest.mark.parametrize("write", [dialects.mt4, dialects.mt5_html, dialects.ftmo, dialects.tradovate])
def test_a_wall_clock_needs_its_zone(write: object) -> None:
    """Formats without a zone are refused without --server-zone; a made-up zone is refused too."""
    data = write(HISTORY)  # type: ignore[operator]
    with pytest.raises(SourceRefusal, match="--server-zone"):
        land(data, zone=None)
    with pytest.raises(SourceRefusal, match="not known"):
        land(data, zone="Mars/Olympus")


@pytest.mark.parametrize("write", [dialects.ctrader_csv, dialects.matchtrader, dialects.topstepx])
def test_formats_with_their_own_zone_need_none(write: object) -> None:
    """cTrader prints its zone, Match-Trader is GMT, TopstepX has offsets."""
    assert len(land(write(HISTORY), zone=None).deals) == 12  # type: ignore[operator]


def test_two_currencies_are_refused() -> None:
    """A statement in USD is not landed on an account in EUR; the same currency is."""
    with pytest.raises(SourceRefusal, match=r"USD.*EUR"):
        land(dialects.mt4(HISTORY), currency="EUR")
    assert land(dialects.mt4(HISTORY), currency="USD").facts["currency"] == "USD"


def test_an_empty_period_lands_with_a_warning() -> None:
    """A statement without a row is no error."""
    statement = land(dialects.mt4(sample_history(0).__class__([], [])))
    assert statement.deals.empty
    assert "empty period" in statement.facts["warning"]


def test_a_cell_that_cannot_be_read_rejects_its_row_alone() -> None:
    """The row goes to the rejects with column, value and reason; every other row lands and the count stays whole."""
    data = dialects.mt4(HISTORY).decode().replace(f"{HISTORY.trades[2].lots}</td>", "abc</td>", 1)
    data = data.replace(f"{HISTORY.trades[4].opened:%Y.%m.%d %H:%M:%S}", "2025.02.31 09:00:00", 1)
    statement = land(data.encode())
    assert list(statement.rejects["column"]) == ["Size", "Open Time"] or set(statement.rejects["value"]) >= {"abc"}
    assert "2025.02.31 09:00:00" in set(statement.rejects["value"])
    assert statement.rows == sum(statement.facts["accounted"].values()) + len(statement.rejects)


def test_the_same_id_with_two_contents_is_refused() -> None:
    """Two different rows of one ticket cannot both be true."""
    data = dialects.mt4(HISTORY).decode()
    data = data.replace(
        f'<td title="plan 1">{HISTORY.trades[1].ticket}', f'<td title="plan 1">{HISTORY.trades[0].ticket}'
    )
    with pytest.raises(SourceRefusal, match="two different rows with the id"):
        land(data.encode())


def test_a_zip_bomb_meets_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that unpacks to more than an export holds is refused before it is held."""
    monkeypatch.setattr(document, "UNPACKED_BYTES_MAX", 4_194_304)
    buffer = BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part,
    ):
        part.write(b"<worksheet><sheetData>")
        for _ in range(8):
            part.write(b" " * 1_048_576)
    with pytest.raises(SourceRefusal, match="unpacks to more"):
        land(buffer.getvalue())


@pytest.mark.parametrize(
    "sheet",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><worksheet><c><v>&b;</v></c></worksheet>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><worksheet><c><v>&a;</v></c></worksheet>',
    ],
)
def test_entities_are_never_resolved(sheet: str) -> None:
    """A workbook that declares entities is refused; no file is opened for it."""
    with pytest.raises(SourceRefusal, match="entities"):
        land(dialects.workbook({"xl/worksheets/sheet1.xml": sheet}))


def test_huge_cells_tags_and_spans_are_inert() -> None:
    """A cell, a tag or a column span beyond any platform's is refused or cut, never built."""
    with pytest.raises(SourceRefusal, match="cell of more than"):
        land(dialects.mt4(HISTORY).replace(b"plan 1", b"x").replace(b"Asha Demo", b"y" * 40_000))
    with pytest.raises(SourceRefusal, match="tag of more than"):
        land(b"<html><title>Statement: 1 - x</title><table Closed Transactions: " + b"a " * 20_000 + b"></table>")
    wide = dialects.mt4(HISTORY).replace(b"colspan=14", b"colspan=99999999")
    assert len(land(wide).deals) == 13


def test_formulas_are_not_evaluated() -> None:
    """The stored value counts, whatever formula an owner wrote behind it."""
    plain, written = land(dialects.mt5_xlsx(HISTORY)), land(dialects.mt5_xlsx(HISTORY, formulas=True))
    assert plain.deals.equals(written.deals)


def test_content_decides_and_not_the_name() -> None:
    """An XLSX named .csv is an XLSX; every reader is registered by its file being there."""
    assert recognise(dialects.mt5_xlsx(HISTORY), "report.csv") == "mt5-report"
    assert recognise(dialects.ftmo(HISTORY), "report.xlsx") == "ftmo-client-area"
    assert {"mt4-statement", "mt5-report", "ctrader-statement", "tradovate-performance"} <= set(sources())


def ends_cleanly(data: bytes, source: str | None = None) -> None:
    """Reading ends in a statement whose rows are all accounted for, or in a refusal."""
    signal.signal(signal.SIGALRM, stuck)
    signal.alarm(READ_SECONDS_MAX)
    try:
        statement = land(data, source, **({"mapping": dialects.MAPPING} if source == "generic-csv" else {}))
    except SourceRefusal as refusal:
        assert str(refusal)
        return
    finally:
        signal.alarm(0)
    assert statement.rows == sum(statement.facts["accounted"].values()) + len(statement.rejects)
    assert statement.deals["deal_id"].is_unique


EXAMPLES = int(os.environ.get("HIGHWATER_FUZZ_EXAMPLES", "600")) // 4
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
READ_SECONDS_MAX = 20


def stuck(*_: object) -> None:
    """Raise out of a reading that hangs."""
    raise TimeoutError(f"reading took more than {READ_SECONDS_MAX} s")


@given(data=st.binary(max_size=400), source=st.sampled_from([None, *sources()]))
@FUZZ
def test_random_bytes_end_cleanly(data: bytes, source: str | None) -> None:
    """Noise is refused, whatever it was said to be."""
    ends_cleanly(data, source)


CHANGES = st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=6)), max_size=8)


@given(seed=st.sampled_from(SEEDS), changes=CHANGES)
@FUZZ
def test_mutated_exports_end_cleanly(seed: bytes, changes: list[tuple[int, bytes]]) -> None:
    """Overwriting pieces of a sound export never raises anything but a refusal."""
    data = bytearray(seed)
    for place, piece in changes:
        place %= len(data)
        data[place : place + len(piece)] = piece
    ends_cleanly(bytes(data))


@given(seed=st.sampled_from(SEEDS), first=st.integers(0, 10**6), length=st.integers(0, 3_000))
@FUZZ
def test_cut_exports_end_cleanly(seed: bytes, first: int, length: int) -> None:
    """An export with a piece missing never raises anything but a refusal."""
    first %= len(seed)
    ends_cleanly(seed[:first] + seed[first + length :])


WORDS = ["buy", "sell", "balance", "in", "out", "in/out", "", "-", "NaN", "1e309", "９９"]
WORDS += ["2025.13.01 00:00:00", "0", "-1"]


@given(seed=st.sampled_from(SEEDS), place=st.integers(0, 10**6), word=st.sampled_from(WORDS))
@FUZZ
def test_swapped_cells_end_cleanly(seed: bytes, place: int, word: str) -> None:
    """A cell that holds another cell's kind of value rejects its row."""
    if seed[:2] == b"PK":
        return
    encoding = "utf-16" if seed[:2] == b"\xff\xfe" else "utf-8"
    mark = "<td>" if "<td>" in seed.decode(encoding) else ","
    cells = seed.decode(encoding).split(mark)
    place %= len(cells)
    kept = cells[place][cells[place].find("</td>") :] if mark == "<td>" else ""
    cells[place] = word + kept
    ends_cleanly(mark.join(cells).encode(encoding))


@pytest.mark.skipif("HIGHWATER_FUZZ_EXAMPLES" not in os.environ, reason="other tests of the process hold memory too")
def test_no_reading_took_more_than_a_gigabyte() -> None:
    """The process that read HIGHWATER_FUZZ_EXAMPLES inputs above never held more."""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1_048_576
