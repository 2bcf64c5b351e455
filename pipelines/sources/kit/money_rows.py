"""What a balance row is: deposit, payout, credit, financing, dividend, correction, opening, transfer or old history."""

import re
from decimal import Decimal
from typing import NamedTuple


class MoneyRow(NamedTuple):
    """The kind of deal a money row becomes, what it is called, and the rule that decided."""

    kind: str
    label: str
    rule: str


_BY_COMMENT: list[tuple[str, str, str]] = [
    (r"\bsummary trade result\b", "fee", "compressed trading result"),
    (r"\bsummary balance result\b", "balance", "compressed balance result"),
    (r"\b(financing|swaps?|rollover|overnight|interest|storage|funding fee)\b", "fee", "financing"),
    (
        r"\b(своп\w*|(nacht|übernacht|swap)finanzierung\w*|zinsen|int[ée]r[êe]ts?|inter[ée]s|juros|odsetki)\b",
        "fee",
        "financing",
    ),
    (r"隔夜利息|库存费|庫存費|利息|スワップ", "fee", "financing"),
    (r"\b(dividend\w*|дивиденд\w*|dywidend\w*)\b|股息|红利|配当", "fee", "dividend"),
    (r"\b(commissions?|tax|admin fee|inactivity)\b", "fee", "charge"),
    (r"\b(комисси\w*|налог\w*|комісі\w*|податок)\b|手续费|手續費|佣金|手数料|수수료|عمولة|رسوم", "fee", "charge"),
    (
        r"\b(\w*gebühr(en)?|kommission(en)?|steuern?|frais|imp[ôo]ts?|comisi[óo]n(es)?|comiss(ão|ao|ões|oes)|commissioni?e?)\b",
        "fee",
        "charge",
    ),
    (r"\b(impuesto|imposto|prowizj\w*|opłat\w*|poplat\w*|komisyon\w*|provisie)\b", "fee", "charge"),
    (r"\bpayout|profit split|profit share\b|\brewards?\b", "balance", "payout"),
    (r"\b(correction|compensation|negative balance|null(ing)? (of )?balance)", "balance", "correction"),
    (r"\b(коррекци|korrektur|corre(cci[óo]n|[çc][ãa]o|zione)|korekt)|修正|更正", "balance", "correction"),
    (r"\b(adjust|корректировк|ajust|anpassung|aggiustament)|调整|調整", "balance", "adjustment"),
    (r"\b(intr(to|fr)|internal transfer|transfer)\b", "balance", "transfer"),
    (r"\binitial (account )?(balance|deposit)|\bopening balance\b", "balance", "opening"),
]
_RULES = [(re.compile(pattern, re.IGNORECASE), kind, label) for pattern, kind, label in _BY_COMMENT]
_TYPES: dict[str, tuple[str, str]] = {
    "correction": ("balance", "correction"),
    "so compensation": ("balance", "correction"),
    "bonus": ("balance", "bonus"),
    "agent": ("balance", "agent commission"),
    "charge": ("fee", "charge"),
    "commission": ("fee", "charge"),
    "interest": ("fee", "financing"),
    "dividend": ("fee", "dividend"),
    "tax": ("fee", "charge"),
}
MONEY_TYPES = frozenset({"balance", "credit", *_TYPES})


def money_type(printed: str) -> str | None:
    """Return the money type in a platform's word ('daily agent commission' is agent), None when it is a trade's."""
    word = printed.strip().lower()
    if word in ("balance", "credit"):
        return word
    return next((name for name in _TYPES if name in word), None)


def taken_out(kind: str, amount: str) -> str:
    """Return the amount of a money row as our deals sign it: a withdrawal may be printed without its minus."""
    return f"-{amount}" if "withdraw" in kind.lower() and not amount.startswith("-") else amount


def classify(printed_type: str, comment: str, amount: str) -> MoneyRow:
    """Return what a money row is, by its type, else by the first fitting comment rule, else by its sign.

    Financing, dividends and charges are trading costs of their day (kind fee), everything else moves the balance. A
    negative row that no rule names is a payout, a positive one a deposit.
    """
    kind_of_row = money_type(printed_type) or "balance"
    if kind_of_row == "credit":
        return MoneyRow("credit", "credit", "type credit")
    if kind_of_row != "balance":
        kind, label = _TYPES[kind_of_row]
        return MoneyRow(kind, label, f"type {printed_type.strip().lower()}")
    for pattern, kind, label in _RULES:
        found = pattern.search(comment)
        if found:
            label = _adjustment(amount) if label == "adjustment" else label
            return MoneyRow(kind, label, f"comment says {found.group(0).strip()!r}")
    if Decimal(amount) < 0:
        return MoneyRow("balance", "payout", "negative balance row that no rule names")
    return MoneyRow("balance", "deposit", "positive balance row that no rule names")


def _adjustment(amount: str) -> str:
    """Tell an adjustment by its sign: money taken back is a correction, money put in a deposit."""
    return "correction" if Decimal(amount) < 0 else "deposit"
