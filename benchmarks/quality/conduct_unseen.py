"""Precision, recall and score on whole firms as feeds, through the commands a firm would use.

Run from the root: python -m benchmarks.quality.conduct_unseen --folder DIR [--seeds 1] [--firms full bare] [--people N]
[--family street] [--wrong]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pandas as pd
from scipy.stats import rankdata

from benchmarks.quality.conduct import rate
from benchmarks.quality.conduct_feeds import PLANTED, STYLES, make
from benchmarks.quality.conduct_street import STREETS, make_street

Truth = dict[str, dict[str, str]]
FAMILIES = {"feeds": (STYLES, make), "street": (STREETS, make_street)}


def command(home: Path, products: Path, *words: str) -> None:
    """Runs one command of the app, as a person would."""
    held = {**os.environ, "HIGHWATER_HOME": str(home), "HIGHWATER_RULEBOOK": str(products)}
    done = subprocess.run([sys.executable, "-m", "cli", *words], env=held, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-2000:]}")


def scored(folder: Path) -> dict[str, pd.DataFrame]:
    """The exported tables of a firm, landed and scored anew."""
    home, products = folder / "home", folder / "products"
    shutil.rmtree(home, ignore_errors=True)
    command(home, products, "ingest", str(folder / "feed"))
    command(home, products, "score")
    found = {}
    for table in ("signals", "risk_scores", "account_status"):
        command(home, products, "export", table, "--out", str(folder / f"{table}.parquet"), "--format", "parquet")
        found[table] = pd.read_parquet(folder / f"{table}.parquet")
    return found


def auc(positive: pd.Series[float], negative: pd.Series[float]) -> float:
    """The chance that a planted account is above an innocent one."""
    ranks = rankdata(pd.concat([positive, negative]))[: len(positive)]
    return float((ranks.sum() - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


def innocent_accounts(scores: pd.DataFrame, planted: Truth) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accounts with something planted beyond rest, and accounts of traders with nothing planted."""
    named = {subject for kind, subjects in planted.items() if kind != "inactivity" for subject in subjects}
    direct = scores["account_id"].isin(named) | scores["trader_id"].isin(named)
    guilty_traders = set(scores.loc[direct, "trader_id"])
    return scores[direct], scores[~scores["trader_id"].isin(guilty_traders)]


def wrong(signals: pd.DataFrame, planted: Truth, alike: dict[str, str], kind: str) -> list[str]:
    """What was said about those who were judged wrongly."""
    rows = signals[signals["detector"] == kind].set_index("subject_id")
    names = {s: f"{k} {v}" for k, subjects in planted.items() for s, v in subjects.items()} | alike
    said = {str(s): json.loads(str(e)) for s, e in rows["evidence"].items()}

    def told(subject: str) -> str:
        held = said.get(subject)
        return "no row" if held is None else f"{held['log_odds']} {held['sentence']}"

    flagged, mine = set(rows.index[rows["strength"] >= 0.5]), planted.get(kind, {})
    lines = [f"  false {s} ({names.get(s, 'ordinary')}): {told(s)}" for s in sorted(flagged - set(mine))]
    return lines + [f"  missed {s} ({mine[s]}): {told(s)}" for s in sorted(set(mine) - flagged)]


def main() -> None:
    """Prints a table over all firms and seeds, and one line per firm about the score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where firms are written")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--family", choices=list(FAMILIES), default="feeds")
    parser.add_argument("--firms", nargs="+", help="all of the family when not given")
    parser.add_argument("--people", type=int, help="ordinary traders of each firm, those of its style when not given")
    parser.add_argument("--wrong", action="store_true", help="tell what was said about those who were judged wrongly")
    parser.add_argument("--kept", action="store_true", help="read what was exported before, score nothing")
    chosen = parser.parse_args()
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    in_bands, innocents_all, crossed = 0, 0, 0
    styles, made = FAMILIES[chosen.family]
    for style in styles:
        for seed in chosen.seeds if style.name in (chosen.firms or style.name) else []:
            folder = chosen.folder / f"{style.name}-{seed}"
            if not chosen.kept:
                shutil.rmtree(folder, ignore_errors=True)
                made(replace(style, people=chosen.people or style.people), seed).write(folder)
                found = scored(folder)
            else:
                names = ("signals", "risk_scores", "account_status")
                found = {name: pd.read_parquet(folder / f"{name}.parquet") for name in names}
            truth = json.loads((folder / "truth.json").read_text())
            guilty, innocent = innocent_accounts(found["risk_scores"], truth["planted"])
            high = innocent[innocent["band"].isin(["high", "critical"])]
            in_bands, innocents_all = in_bands + len(high), innocents_all + len(innocent)
            print(
                f"{folder.name}: {len(innocent):,} innocent accounts, {len(high)} high or critical; "
                f"AUC {auc(guilty['score'], innocent['score']):.4f}; median planted {guilty['score'].median():.0f}",
                flush=True,
            )
            if chosen.wrong:
                alike = high["account_id"].map(truth["alike"]).fillna(high["trader_id"].map(truth["alike"])).fillna("")
                print(*("  high " + high["account_id"] + " " + alike + ": " + high["reasons"].str[:200]), sep="\n")
            for kind in PLANTED:
                flags = found["signals"]
                flags = flags[(flags["detector"] == kind) & (flags["strength"] >= 0.5)]
                flagged, mine = set(flags["subject_id"]), set(truth["planted"].get(kind, {}))
                crossed += len(flagged - mine)
                counts = len(flagged & mine), len(flagged - mine), len(mine - flagged)
                totals[kind] = [a + b for a, b in zip(totals[kind], counts, strict=True)]
                if chosen.wrong and counts[1] + counts[2]:
                    print(kind, *wrong(found["signals"], truth["planted"], truth["alike"], kind), sep="\n")
    print("| detector | planted | recall | precision |\n|---|---|---|---|")
    for kind in PLANTED:
        hit, false, missed = totals[kind]
        print(f"| {kind} | {hit + missed} | {rate(hit, missed)} | {rate(hit, false)} |")
    print(f"{in_bands} of {innocents_all:,} innocent accounts in high or critical")


if __name__ == "__main__":
    main()
