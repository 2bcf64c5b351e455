"""How fast platform exports are read, beside pandas.read_html and pandas.read_excel, which only make tables of them.

Run from the root: ``python -m benchmarks.sources``. Prints one line per file: size, rows, and seconds of wall clock and
of processor, here (best of three; recognised, tied to positions and reconciled) and in the pandas reader (once).
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from io import BytesIO, StringIO

import pandas as pd

from benchmarks.measure import machine, table
from pipelines.sources import read
from pipelines.sources.kit.document import decode
from tests.fixtures.sources import dialects
from tests.fixtures.sources.history import History, sample_history

MT4_TRADES = 6_700
MT5_TRADES = 5_000
STYLED = b'<td class=mspt style="mso-number-format:0\\.00000;">'


def long_history(trades: int) -> History:
    """Return a history of this many trades in exchange hours, a minute apart."""
    made = sample_history(trades)
    start = made.trades[0].opened
    moved = [start + timedelta(minutes=15 * place) for place in range(trades)]
    return History(
        [
            replace(trade, opened=at, closed=at + timedelta(minutes=10))
            for trade, at in zip(made.trades, moved, strict=True)
        ],
        made.money,
    )


def seconds(run: Callable[[], object], times: int = 3) -> tuple[float, float]:
    """Return the best wall-clock and processor time of some runs."""
    walls, processors = [], []
    for _ in range(times):
        wall, processor = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls), min(processors)


def files() -> dict[str, bytes]:
    """Return the files that are read: an MT4 statement of the terminal's weight and MT5 reports of 10,000 deals."""
    long = long_history(MT5_TRADES)
    return {
        "MT4 statement": dialects.mt4(long_history(MT4_TRADES)).replace(b"<td>", STYLED),
        "MT5 report, XLSX": dialects.mt5_xlsx(long),
        "MT5 report, HTML": dialects.mt5_html(long),
        "cTrader CSV": dialects.ctrader_csv(long),
    }


def beside(name: str, data: bytes) -> Callable[[], object]:
    """Return what pandas does with the same file."""
    if "XLSX" in name:
        return lambda: pd.read_excel(BytesIO(data), header=None)
    if "CSV" in name:
        return lambda: pd.read_csv(BytesIO(data), skiprows=1, on_bad_lines="skip")
    return lambda: pd.read_html(StringIO(decode(data)))


def main() -> None:
    """Prints the table."""
    warnings.simplefilter("ignore")
    rows = []
    for name, data in files().items():
        run = partial(read, None, data, file_name=name, account_id="A1", server_zone="Europe/Athens")
        statement = run()
        ours = [f"{value:.2f}" for value in seconds(run)]
        try:
            other = [f"{value:.2f}" for value in seconds(beside(name, data), 1)]
        except Exception as error:
            other = [f"cannot read it: {type(error).__name__}", ""]
        rows.append([name, f"{len(data) / 1e6:.1f}", f"{statement.rows:,}", *ours, *other])
    header = ["file", "MB", "rows", "seconds", "of processor", "pandas alone, seconds", "of processor"]
    print(f"{table(header, rows)}\n\n{machine('pandas', 'lxml', 'openpyxl')}. Repeat: `python -m benchmarks.sources`.")


if __name__ == "__main__":
    main()
