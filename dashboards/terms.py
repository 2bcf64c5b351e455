"""Terms: what was promised, by product, version and stage."""

from __future__ import annotations

import streamlit as st

from dashboards.kit import look, paths, places, reads, replays, state, words
from dashboards.kit.people import may_open, who
from models.catalogue import Product, RulebookRefused, Version
from models.drafts import rule_line
from models.rulebook_pages import day_begins, sold


def show() -> None:
    """The rules of one version in words, and what the version before said otherwise."""
    try:
        products = paths.rulebook().products
    except RulebookRefused as refused:
        look.empty("The rulebook does not hold", words.escaped(refused))
        return
    columns = st.columns(3)
    with columns[0]:
        listed = replays.by_history(list(products))
        chosen = state.one_of("Product", "product", listed, shown=lambda id: products[id].name, every=False)
    product = products[str(chosen)]
    with columns[1]:
        number = state.one_of(
            "Version", "version", _numbers(product), shown=lambda one: _version_words(product, one), every=False
        )
    version = next(held for held in product.versions if str(held.version) == number)
    with columns[2]:
        stage = state.one_of("Stage", "stage", list(version.stages), shown=words.stage, every=False)
    _facts(version, str(stage))
    _drafts(str(chosen))
    before = _before(product, version)
    old = {name: told for name, told, _ in paths.told(before.stages.get(str(stage), {}))} if before else {}
    held = version.stages[str(stage)]
    for name, told, _ in paths.told(held):
        changed = before is not None and old.get(name) != told
        lines = [words.escaped(told), f"<small><code>{words.escaped(rule_line(name, held[name]))}</code></small>"]
        if changed:
            lines.append(f"<small>▲ the version before said: {words.escaped(old.get(name, 'nothing'))}</small>")
        look.card("near" if changed else "ended", words.rule(name), lines)


def _drafts(product: str) -> None:
    """Drafts that are judged beside the versions in force, for those who see the Policy lab."""
    if not may_open("policy_lab"):
        return
    for row in reads.records(replays.shadows(product, who().desks)):
        said = f"{int(row['differing'] or 0):,} of {words.counted(int(row['accounts']), 'account')} stand otherwise"
        places.link("policy_lab", f"Draft {row['draft']}, judged in shadow: {said} →", product=product, view="shadow")


def _numbers(product: Product) -> list[str]:
    return [str(version.version) for version in reversed(product.versions)]


def _version_words(product: Product, number: str) -> str:
    since = next(held.effective_from for held in product.versions if str(held.version) == number)
    return f"{number}, from {since:%d %b %Y}"


def _before(product: Product, version: Version) -> Version | None:
    earlier = [held for held in product.versions if held.version < version.version]
    return earlier[-1] if earlier else None


def _facts(version: Version, stage: str) -> None:
    look.facts(
        {
            "In force from": words.instant_html(version.effective_from),
            "Day begins": words.escaped(day_begins(version.clock)),
            "Next stage": words.stage(version.next_stage.get(stage)),
            "Sold": words.escaped(sold(version).removeprefix(", ")) or "at every desk",
            "Hash of the version": f"<code>{version.digest[:12]}</code>",
        }
    )
    read = f", read on {version.verified_on:%d %b %Y}" if version.verified_on else ""
    said = ([f"Source: {version.source}{read}."] if version.source else []) + ([version.note] if version.note else [])
    if said:
        st.caption("  \n".join(words.unlinked(line) for line in said))
