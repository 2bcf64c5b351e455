"""The rulebook as pages: what every rule can say, and per product the sentences a trader can be told.

`python -m models.rulebook_pages` writes them to `docs/`; a test says when they are stale.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from models import catalogue
from models.catalogue import Product, Rulebook, Version
from models.clock import Clock, place
from models.rule_words import number, rule_sentence
from models.rules import RULES, Field, Rule

DOCS = Path(__file__).parents[1] / "docs"
_MADE = "<!-- Written by `python -m models.rulebook_pages`; edit the rulebook instead. -->"
_STAGES = {
    "evaluation_1": "Evaluation, step 1",
    "evaluation_2": "Evaluation, step 2",
    "evaluation_3": "Evaluation, step 3",
    "funded": "Funded account",
    "instant": "Instant account",
}
CALENDARS = {"fx": "on weekdays", "cme": "on weekdays", "crypto": "every day"}
"""When days begin, by calendar."""
_KINDS = {
    "percent": "percent",
    "percents": "list of percentages",
    "amount": "amount",
    "count": "whole number",
    "seconds": "seconds",
    "number": "number",
    "flag": "true or false",
    "text": "text",
    "texts": "list of texts",
    "groups": "list of lists of texts",
    "pairs": "list of pairs of texts",
    "time": "time",
    "table": "list",
}


def pages(rulebook: Rulebook) -> dict[str, str]:
    """Every page by its path under `docs/`."""
    products = sorted(rulebook.products.values(), key=lambda product: product.id)
    written = {f"products/{product.id}.md": product_page(product) for product in products}
    return {"rulebook.md": language_page(products)} | written


def write(rulebook: Rulebook, folder: Path) -> list[Path]:
    """Writes every page, takes away those of products that are gone, and returns what was written."""
    made = pages(rulebook)
    (folder / "products").mkdir(parents=True, exist_ok=True)
    for path in (folder / "products").glob("*.md"):
        if f"products/{path.name}" not in made:
            path.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in made]


def language_page(products: Sequence[Product]) -> str:
    """What every rule is and which fields it takes, and the list of products."""
    lines = [
        _MADE,
        "# Rulebook",
        "",
        "One TOML file per product; versions are appended, never edited; `python -m models.lock` locks them by hash.",
        "A rule is a table of fields in a stage. Rules marked *walk* are judged event by event, the others over whole",
        "histories; `split`, `payout`, `scaling` and `claim` are terms of the payout desk.",
        "",
        "A version may be sold at some `desks`, in some `countries` (of the trader's profile) or with some `coupons`",
        "only: lists of texts beside `effective_from`. A challenge is bound to the version in force at the instant of",
        "the purchase; of several, one limited by more of the three goes before one limited by less, then the newer.",
        "",
        "Where a rule has `strikes`, the first occurrences are told as warned with the `strike_effect` (of",
        "`floating_loss` as breached with it), what comes after them as breached with the `effect`. What breaks a rule",
        "over whole histories more than once in a firm day, with one outcome and effect, is one verdict at the first",
        "instant; its evidence counts all and lists a hundred, or all where profit is stripped or cut.",
        "",
        "## Products",
        "",
        *(f"- [{product.name}](products/{product.id}.md)" for product in products),
        "",
        "## Rules",
        "",
    ]
    for rule in RULES.values():
        lines += _rule_lines(rule)
    return "\n".join(lines)


def _rule_lines(rule: Rule) -> list[str]:
    heading = f"### {rule.name}" + (" *(walk)*" if rule.walk else "")
    lines = [heading, "", rule.told, ""]
    if rule.short:
        lines += [f"`{rule.name} = …` alone stands for `{{ {rule.short} = … }}`.", ""]
    if rule.one_of:
        lines += [f"Exactly one of {' and '.join(f'`{name}`' for name in rule.one_of)}.", ""]
    lines += ["| field | holds | default | meaning |", "|---|---|---|---|"]
    return [*lines, *(_field_line(field) for field in rule.fields), ""]


def _field_line(field: Field) -> str:
    holds = " · ".join(f"`{word}`" for word in field.choices) or _KINDS[field.kind]
    default = "required" if field.required else "" if field.default is None else f"`{_default(field)}`"
    return f"| `{field.name}` | {holds} | {default} | {field.meaning} |"


def _default(field: Field) -> str:
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return field.default if isinstance(field.default, str) else number(field.default)


def product_page(product: Product) -> str:
    """A product's versions and, per stage, its rules as sentences; amounts are in the account's currency."""
    lines = [_MADE, f"# {product.name}", "", f"Product `{product.id}`. Amounts are in the currency of the account.", ""]
    for version in product.versions:
        lines += _version_lines(version)
    return "\n".join(lines)


def _version_lines(version: Version) -> list[str]:
    lines = [f"## Version {version.version}", ""]
    lines.append(f"Bought from {version.effective_from:%Y-%m-%d %H:%M} UTC on{sold(version)}. {_clock(version.clock)}")
    if version.source:
        read = f", read on {version.verified_on}" if version.verified_on else ""
        lines += ["", f"Source: {version.source}{read}."]
    if version.note:
        lines += ["", f"Note: {version.note}"]
    for stage, terms in version.stages.items():
        lines += ["", f"### {_STAGES[stage]}", ""]
        lines += [f"- **{rule}**: {rule_sentence(rule, terms[rule])}" for rule in RULES if rule in terms]
        following = version.next_stage[stage]
        if following:
            lines += ["", f"Next: {_STAGES[following].lower()}."]
    return [*lines, ""]


def sold(version: Version) -> str:
    """To whom a version is limited, after a comma; nothing where everybody may buy it."""
    limits = (("at desk", version.desks), ("in", version.countries), ("with coupon", version.coupons))
    parts = [f"{words} {' or '.join(listed)}" for words, listed in limits if listed]
    return f", {', '.join(parts)}" if parts else ""


def day_begins(clock: Clock) -> str:
    """When a firm's day begins, in few words."""
    return f"{clock.reset:%H:%M} {place(clock.zone)}, {CALENDARS[clock.calendar]}"


def _clock(clock: Clock) -> str:
    return (
        f"The firm's day begins at {clock.reset:%H:%M} {place(clock.zone)} ({clock.zone}), {CALENDARS[clock.calendar]}."
    )


def main() -> int:
    """Writes the pages of Highwater's own rulebook."""
    for path in write(catalogue.load(catalogue.FOLDER), DOCS):
        print(path.relative_to(DOCS.parent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
