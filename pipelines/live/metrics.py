"""What the live service tells Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pipelines.live.service import Service


def exposition(service: Service) -> str:
    """Every metric in Prometheus' text format."""
    return "\n".join(_lines(service)) + "\n"


def _lines(service: Service) -> Iterator[str]:
    counts = service.counts
    yield from _head("highwater_rows_total", "counter", "Rows received, by dataset and what became of them")
    for (dataset, outcome), count in sorted(counts.rows.items()):
        yield f'highwater_rows_total{{dataset="{dataset}",outcome="{outcome}"}} {count}'
    yield from _head("highwater_requests_total", "counter", "Requests, by how they ended")
    for outcome, count in sorted(counts.requests.items()):
        yield f'highwater_requests_total{{outcome="{outcome}"}} {count}'
    yield from _head("highwater_dataset_age_seconds", "gauge", "Seconds since a dataset was last delivered")
    for dataset, at in sorted(counts.last_by_dataset.items()):
        yield f'highwater_dataset_age_seconds{{dataset="{dataset}"}} {time.time() - at:.3f}'
    yield from _head("highwater_dataset_silent", "gauge", "1 while a dataset is silent for longer than it ever was")
    silent = service.silence.silent(time.time())
    for dataset in sorted(counts.last_by_dataset):
        yield f'highwater_dataset_silent{{dataset="{dataset}"}} {int(dataset in silent)}'
    seconds = sorted(counts.fold_seconds)
    for name, kind, words, value in (
        ("folds_total", "counter", "Micro-batches folded", counts.folds),
        ("accounts_walked_total", "counter", "Accounts walked", counts.walked),
        ("verdicts_total", "counter", "Verdicts written", counts.verdicts),
        ("segments_landed_total", "counter", "Journal segments brought into the lake", counts.landings),
        ("files_compacted_total", "counter", "Small files of the lake that were put into others", counts.compacted),
        ("settlings_total", "counter", "Settling runs", counts.settlings),
        ("looks_total", "counter", "Looks at identity, coordination, conduct and score", counts.looks),
        ("look_seconds", "gauge", "Seconds that the last look took", round(counts.look_seconds, 3)),
        ("pages_total", "counter", "Times that pages were brought up to date", counts.pages),
        ("runs_total", "counter", "Scoring runs that the service had", counts.runs),
        ("failures_total", "counter", "Batches, folds and landings that failed and were tried again", counts.failures),
        ("actions_total", "counter", "Actions taken by platforms", counts.actions),
        ("alerts_total", "counter", "Alerts delivered", counts.alerts),
        ("rows_waiting", "gauge", "Rows that wait for a verdict", service.rows_waiting),
        ("accounts_parked", "gauge", "Accounts with events that are not known yet", len(service.folding.parked)),
        ("events_in_memory", "gauge", "Events held", service.folding.memory.count),
        ("records_known", "gauge", "Records by which duplicates are told at once", service.known.count),
        ("fold_seconds_p99", "gauge", "99th percentile of the last thousand folds", _quantile(seconds, 0.99)),
        ("ready", "gauge", "1 while events are taken", int(service.ready)),
    ):
        yield from _head(f"highwater_{name}", kind, words)
        yield f"highwater_{name} {value}"


def _head(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP {name} {words}."
    yield f"# TYPE {name} {kind}"


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
