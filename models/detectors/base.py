"""What every detector is made of: its five answers, its terms, and how reasons become a strength with its evidence."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from scipy.special import betaln, expit

from sql import relations

REPORTED_MIN = 0.1
FLAG_MIN = 0.5
ROWS_MAX = 12
INTEGERS = (pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype)
COLUMNS = ("subject_kind", "subject_id", "detector", "strength", "first_at", "last_at", "evidence")
Floats = np.ndarray[Any, np.dtype[np.float64]]
Weigh = Callable[..., pd.DataFrame]
Usual = Mapping[str, list[float]]
Tell = Callable[[pd.Series, Any], str]
TellAll = Callable[[pd.Series, Any], list[str]]


@dataclass(frozen=True)
class Answers:
    """The five answers a detector owes: the behaviour, the data that shows it, what is assumed, how that fails, what
    to do."""

    behaviour: str
    data: str
    assumes: str
    fails: str
    respond: str


@dataclass(frozen=True)
class Detector:
    """One detector.

    Attributes:
        name: as in the table of signals.
        subject: account or trader.
        relation: the SQL file with one row per subject (or per subject and variant; the strongest counts).
        terms: versioned thresholds; those that SQL needs are shown to it as variables `<detector>_<term>`.
        weigh: log-odds of each reason, one column each, from the relation's rows; `prior` is one of them.
        usual: what it learns from the rows of all, in numbers of two digits that a day seldom changes, for `weigh`.
        usual_of: the columns from which it learns; all where none is named.
        usual_from: the relation from which it learns, its own where none is named.
        together: the column whose rows are weighed together, beside what is usual.
        sentence, ruled_out: words about one row.
        rows: a select of evidence rows with `subject_id`, read for reported subjects only (`reported` lists them, and
            from when to when what was found of each lasted).
    """

    name: str
    subject: str
    relation: str
    terms: Any
    answers: Answers
    weigh: Weigh
    sentence: Tell
    ruled_out: TellAll
    rows: str
    numbers: tuple[str, ...] = field(default=())
    usual: Callable[[pd.DataFrame], Usual] | None = None
    usual_of: tuple[str, ...] = ()
    usual_from: str = ""
    together: str = "account_id"

    @property
    def key(self) -> str:
        """The column that names the subject."""
        return f"{self.subject}_id"


def show_terms(connection: duckdb.DuckDBPyConnection, name: str, terms: Any) -> None:
    """Puts a detector's numbers before the SQL files as variables `<detector>_<term>`."""
    for held in fields(terms):
        value = getattr(terms, held.name)
        if isinstance(value, int | float):
            kind = "double" if isinstance(value, float) else "integer"
            connection.execute(f"set variable {name}_{held.name} = cast({value!r} as {kind})")


def features(connection: duckdb.DuckDBPyConnection, relation: str, where: str = "true") -> pd.DataFrame:
    """The rows of a relation of the detectors' room, in an order that a second run repeats."""
    relations.build(connection, f"detectors.{relation}")
    return without_gaps(connection.execute(f"select * from detectors.{relation} where {where} order by all").df())


def without_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame whose counts with gaps are floats: the unknown is NaN, never pandas' NA, which no comparison takes."""
    gaps = {name: "float64" for name, kind in frame.dtypes.items() if isinstance(kind, INTEGERS)}
    return frame.astype(gaps)


def numbers(values: Any, missing: float = 0.0) -> Floats:
    """A column as floats, with a value for what is unknown."""
    kind = getattr(values, "dtype", None)
    if isinstance(kind, np.dtype) and kind.kind in "biuf":
        column = np.asarray(values, dtype=np.float64)
    else:
        column = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.asarray(np.nan_to_num(column, nan=missing))


def log_density(values: Any, mean: Any, spread: Any) -> Floats:
    """Logarithm of the density of a bell, elementwise."""
    apart = (np.asarray(values, dtype=np.float64) - mean) / spread
    return np.asarray(-(apart**2) / 2 - math.log(math.sqrt(2 * math.pi)) - np.log(spread))


def steps(values: Any, at: list[float], worth: list[float], missing: float = 0.0) -> Floats:
    """Log-odds on straight lines between given points, level beyond them, `missing` where the value is unknown."""
    known = numbers(values, math.nan)
    return np.where(np.isnan(known), missing, np.interp(np.nan_to_num(known), at, worth))


def log_steps(values: Any, at: list[float], worth: list[float], missing: float = 0.0) -> Floats:
    """The same on a logarithmic scale, for quantities whose ratios count."""
    known = np.maximum(numbers(values, math.nan), 1e-9)
    return steps(np.log(known), [math.log(point) for point in at], worth, missing)


def share_of(hits: Any, tries: Any) -> Floats:
    """Hits as a share of tries, zero where nothing was tried."""
    return numbers(hits) / np.maximum(numbers(tries), 1.0)


def beta_binomial(hits: Any, tries: Any, shape: tuple[Any, Any]) -> Floats:
    """Log-probability of so many hits when the rate itself varies as a Beta distribution; without the binomial term."""
    a, b = shape
    known, total = numbers(hits), numbers(tries)
    return np.asarray(betaln(known + a, total - known + b) - betaln(a, b), dtype=np.float64)


def likelihood_ratio(
    hits: Any, tries: Any, guilty: tuple[Any, Any], innocent: tuple[Any, Any], at_most: float = 6.0
) -> Floats:
    """Log-likelihood ratio of a count under two beta-binomial models, bounded so that no reason decides alone."""
    ratio = beta_binomial(hits, tries, guilty) - beta_binomial(hits, tries, innocent)
    return np.clip(ratio, -at_most, at_most)


def peers(hits: Any, tries: Any, usual: tuple[float, float], tries_min: int = 5) -> tuple[float, float]:
    """The Beta distribution of a rate among the firm's own accounts, pulled to the usual one where there are few.

    Median and spread are robust, so that a minority that behaves otherwise moves neither; the mean stays within half
    and twice the usual one, so that a firm full of it does not make it innocent. Two digits say all that is known.
    """
    total = numbers(tries)
    rates = share_of(hits, tries)[total >= tries_min]
    expected, weight = usual[0] / sum(usual), len(rates) / (len(rates) + 50.0)
    if len(rates) == 0:
        return usual
    mean = float(np.clip(weight * np.median(rates) + (1 - weight) * expected, expected / 2, min(2 * expected, 0.9)))
    mean = two_digits(mean)
    return mean * sum(usual), (1 - mean) * sum(usual)


def two_digits(value: float) -> float:
    """A number as near as two digits say."""
    return float(f"{value:.1e}")


def thin(reasons: Floats, seen: Any, enough: float | Floats) -> Floats:
    """Reasons in favour count only as far as enough was seen; reasons against count in full."""
    trust = np.minimum(numbers(seen) / enough, 1.0)
    return np.where(reasons > 0, reasons * trust, reasons)


def strength(reasons: pd.DataFrame) -> Floats:
    """Probability from the sum of log-odds."""
    return np.asarray(expit(np.clip(reasons.sum(axis=1).to_numpy(dtype=np.float64), -30, 30)))


@dataclass(frozen=True)
class Found:
    """The subjects that a detector reports, their strengths in `found`, and the log-odds of all that it looked at."""

    detector: Detector
    terms: Any
    found: pd.DataFrame
    reasons: pd.DataFrame


def judge(connection: duckdb.DuckDBPyConnection, detector: Detector, terms: Any) -> pd.DataFrame:
    """A detector's signals in published columns; subjects it holds hardly possible have no row."""
    usual = (
        detector.usual(features(connection, detector.usual_from)) if detector.usual and detector.usual_from else None
    )
    weighed = found_in(features(connection, detector.relation), detector, terms, usual)
    return signals_of(weighed, evidence_rows(connection, weighed))


def found_in(seen: pd.DataFrame, detector: Detector, terms: Any, usual: Usual | None = None) -> Found:
    """What a detector reports of some rows, the strongest of each subject, beside what is usual in the firm."""
    if seen.empty:
        return Found(detector, terms, seen.assign(strength=0.0, place=0), pd.DataFrame())
    reasons = detector.weigh(seen, terms, usual) if detector.usual else detector.weigh(seen, terms)
    found = seen.assign(strength=strength(reasons), place=np.arange(len(seen)))
    found["rank"] = found["strength"].round(9)
    found = found[found["strength"] >= REPORTED_MIN].sort_values(["rank", "place"], ascending=[False, True])
    return Found(
        detector,
        terms,
        found.drop_duplicates(detector.key).sort_values(detector.key, ignore_index=True),
        reasons,
    )


def signals_of(weighed: Found, rows: Mapping[str, list[dict[str, Any]]]) -> pd.DataFrame:
    """What a detector reports in published columns, with the rows behind each subject."""
    detector, found = weighed.detector, weighed.found
    if found.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    evidence = [
        _evidence(
            detector, weighed.terms, row, weighed.reasons.iloc[row["place"]], rows.get(str(row[detector.key]), [])
        )
        for _, row in found.iterrows()
    ]
    return pd.DataFrame(
        {
            "subject_kind": detector.subject,
            "subject_id": found[detector.key].astype(str),
            "detector": detector.name,
            "strength": found["strength"].round(6),
            "first_at": pd.to_datetime(found["first_at"], utc=True),
            "last_at": pd.to_datetime(found["last_at"], utc=True),
            "evidence": evidence,
        },
        columns=list(COLUMNS),
    )


def _evidence(detector: Detector, terms: Any, row: pd.Series, reasons: pd.Series, rows: list[dict[str, Any]]) -> str:
    """What is kept beside a signal: sentence, numbers, log-odds of each reason, rows, what was ruled out, terms."""
    named = detector.numbers or tuple(str(name) for name in row.index if name not in ("strength", "rank", "place"))
    held = {
        "sentence": detector.sentence(row, terms),
        "is_flag": bool(row["strength"] >= FLAG_MIN),
        "numbers": {name: plain(row[name]) for name in named},
        "log_odds": {str(name): round(float(value), 3) for name, value in reasons.items()},
        "rows": rows,
        "ruled_out": detector.ruled_out(row, terms),
        "respond": detector.answers.respond,
        "terms": terms.version,
    }
    return json.dumps(held, ensure_ascii=False)


def evidence_rows(
    connection: duckdb.DuckDBPyConnection, weighed: Found, among: set[str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """The first rows behind each subject that a detector reports, as its select orders them; `among` names some."""
    detector, subjects = weighed.detector, weighed.found[weighed.detector.key].astype("string")
    chosen = np.full(len(subjects), True) if among is None else subjects.isin(among).to_numpy(dtype=bool)
    if not chosen.any():
        return {}
    relations.build(connection, *read_by(detector))
    reported = pd.DataFrame({"subject_id": subjects, **{at: weighed.found[at] for at in ("first_at", "last_at")}})
    connection.register("reported", reported[chosen])
    query = (  # rows of one rank by what they say, whatever the order in which they were delivered
        f"select * replace (row_number() over told as place) from ({detector.rows}) as evidence"
        " semi join reported using (subject_id) window told as (partition by subject_id order by place, evidence)"
        f" qualify row_number() over told <= {ROWS_MAX}"
    )
    frame = connection.execute(query).df().sort_values(["subject_id", "place"])
    connection.unregister("reported")
    rows: dict[str, list[dict[str, Any]]] = {}
    for record in frame.drop(columns="place").to_dict("records"):
        subject = str(record.pop("subject_id"))
        rows.setdefault(subject, []).append({str(name): plain(value) for name, value in record.items()})
    return rows


def read_by(detector: Detector) -> list[str]:
    """The relations of the detectors' room from which a detector's rows are read."""
    return sorted(set(re.findall(r"\bdetectors\.[a-z_]+", detector.rows)))


def plain(value: Any) -> Any:
    """A value as JSON holds it: times as text, numbers short, what is missing as null."""
    if isinstance(value, list | np.ndarray):
        return [plain(one) for one in value]
    if value is None or pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    return round(value, 6) if isinstance(value, float) else value


def positions_by(order: str, where: str = "true") -> str:
    """A select of an account's positions as evidence rows, in an order that shows the behaviour."""
    return (
        "select account_id as subject_id, rank() over (partition by account_id order by "
        f"{order}) as place, trade_id, instrument, side, lots, opened_at, closed_at, round(hold_s, 3) as hold_s,"
        " round(net_profit, 2) as net_profit, close_reason from detectors.positions as positions"
        f" inner join reported on account_id = reported.subject_id where ({where})"
    )


def percent(value: float) -> str:
    """A share in words."""
    return f"{100 * value:.0f} %"


def duration(seconds: float) -> str:
    """A holding time in words."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
