"""Fuzzy comparison of people, field by field, by Splink over pairs that evidence proposed."""

from functools import cache

import pandas as pd
import splink.comparison_level_library as levels
import splink.comparison_library as comparisons

from models.identity.evidence import Evidence
from models.identity.normal import one_slip

FIELDS = ("name", "birth", "email_name", "phone", "address", "document")


# Words that are a slip or two apart are at least this alike, and likeness is quicker to reckon than distance.
SLIPS_ALIKE = 0.75


def _alike(left: str, right: str) -> str:
    """Two spellings of one word: the same sound or nearly so, a typing slip, or a short form of it."""
    return (
        f"({left}_sound_l = {right}_sound_r or jaro_winkler_similarity({left}_l, {right}_r) >= 0.88"
        f" or jaro_winkler_similarity({left}_sound_l, {right}_sound_r) >= 0.9"
        f" or list_has_any({left}_forms_l, {right}_forms_r)"
        f" or (least(length({left}_l), length({right}_r)) >= 5"
        f" and jaro_winkler_similarity({left}_l, {right}_r) >= {SLIPS_ALIKE}"
        f" and damerau_levenshtein({left}_l, {right}_r) <= 1 + (least(length({left}_l), length({right}_r)) >= 7)::int)"
        f" or (least(length({left}_l), length({right}_r)) >= 3"
        f" and (starts_with({left}_l, {right}_r) or starts_with({right}_r, {left}_l))))"
    )


def _either_order(straight: str, swapped: str) -> str:
    return f"({straight}) or ({swapped})"


def _level(sql: str, label: str) -> levels.CustomLevel:
    return levels.CustomLevel(sql, label)


def _name() -> comparisons.CustomComparison:
    """Both names alike in either order, then one of them; a longer name that contains the shorter is close, and so
    is one whose letters run on alike in either order."""
    same = _either_order(
        "given_sound_l = given_sound_r and family_sound_l = family_sound_r",
        "given_sound_l = family_sound_r and family_sound_l = given_sound_r",
    )
    close = _either_order(
        f"{_alike('given', 'given')} and {_alike('family', 'family')}",
        f"{_alike('given', 'family')} and {_alike('family', 'given')}",
    )
    contained = (
        "least(len(sounds_l), len(sounds_r)) >= 2 and greatest(len(sounds_l), len(sounds_r)) > 2"
        " and (list_has_all(sounds_l, sounds_r) or list_has_all(sounds_r, sounds_l))"
    )
    joined = (
        f"(least(length(joined_l), length(joined_r)) >= 8 and ({one_slip('joined_l', 'joined_r')}"
        " or (length(joined_l) = length(joined_r) and contains(joined_l || joined_l, joined_r))))"
    )
    family = _either_order(
        _alike("family", "family"), "given_sound_l = family_sound_r or family_sound_l = given_sound_r"
    )
    return comparisons.CustomComparison(
        [
            _level("family_l is null or family_r is null", "unknown").configure(is_null_level=True),
            _level(same, "same"),
            _level(f"{close} or ({contained}) or {joined}", "close"),
            _level(family, "family name"),
            _level(_alike("given", "given"), "given name"),
            levels.ElseLevel(),
        ],
        output_column_name="name",
    )


def _birth() -> comparisons.CustomComparison:
    """The day itself, a slip (one digit off, two exchanged, day and month exchanged, the day before or after), two of
    its three parts, or another."""
    slip = (
        f"{one_slip('birth_l', 'birth_r')} or abs(born_l - born_r) = 1"
        " or (birth_l[1:4] = birth_r[1:4] and birth_l[5:6] = birth_r[7:8] and birth_l[7:8] = birth_r[5:6])"
    )
    part = (
        "(birth_l[1:4] = birth_r[1:4])::int + (birth_l[5:6] = birth_r[5:6])::int"
        " + (birth_l[7:8] = birth_r[7:8])::int >= 2"
    )
    return comparisons.CustomComparison(
        [
            levels.NullLevel("birth"),
            levels.ExactMatchLevel("birth"),
            _level(slip, "slip"),
            _level(part, "part"),
            levels.ElseLevel(),
        ],
        output_column_name="birth",
    )


def _address() -> comparisons.CustomComparison:
    """All numbers agree and the words nearly do, or one of the numbers is a slip, or the words alone agree."""
    words = "jaro_winkler_similarity(address_l, address_r)"
    slip = f"numbers_l = numbers_r or (numbers_l like '% %' and {one_slip('numbers_l', 'numbers_r')})"
    return comparisons.CustomComparison(
        [
            levels.NullLevel("address"),
            _level(f"numbers_l like '% %' and numbers_l = numbers_r and {words} >= 0.75", "same numbers"),
            _level(f"({slip}) and {words} >= case when numbers_l like '% %' then 0.75 else 0.9 end", "near"),
            _level(
                "least(length(street_l), length(street_r)) >= 12"
                " and jaro_winkler_similarity(street_l, street_r) >= 0.92",
                "street",
            ),
            levels.ElseLevel(),
        ],
        output_column_name="address",
    )


def _nearly(field: str, sql: str) -> comparisons.CustomComparison:
    """Nearly the same or not; exact agreement is evidence of its own and counted there."""
    return comparisons.CustomComparison(
        [levels.NullLevel(field), _level(sql, "near"), levels.ElseLevel()], output_column_name=field
    )


def comparisons_of_people() -> dict[str, comparisons.CustomComparison]:
    """Splink's comparison of each field; weights are given to the levels in `weighing`."""
    return {
        "name": _name(),
        "birth": _birth(),
        "email_name": _nearly(
            "email_name",
            "least(length(email_name_l), length(email_name_r)) >= 6"
            " and jaro_winkler_similarity(email_name_l, email_name_r) >= 0.93",
        ),
        "phone": _nearly("phone", one_slip("phone_l", "phone_r")),
        "address": _address(),
        "document": _nearly(
            "document",
            f"least(length(document_l), length(document_r)) >= 6 and {one_slip('document_l', 'document_r')}",
        ),
    }


def _level_sql(field: str, comparison: comparisons.CustomComparison) -> str:
    """The number of the level at which a pair compares, from 0 (different) up, -1 where a side is unknown."""
    described = comparison.create_comparison_dict("duckdb")["comparison_levels"]
    unknown, *alike = (level["sql_condition"] for level in described[:-1])
    cases = "".join(f" when {condition} then {len(alike) - place}" for place, condition in enumerate(alike))
    return f"(case when {unknown} then -1{cases} else 0 end)::tinyint as {field}"


@cache
def _levels_sql() -> str:
    """The level of every field; Splink takes a seventh of a second to spell it out."""
    return ", ".join(_level_sql(field, each) for field, each in comparisons_of_people().items())


COMPARED = (
    *("given", "family", "given_sound", "family_sound", "given_forms", "family_forms", "sounds", "joined", "birth"),
    *("born", "email_name", "phone", "address", "numbers", "street", "document"),
)


def compare(evidence: Evidence) -> pd.DataFrame:
    """Compares the candidates, in table `levels`, and the drawn strangers, who are answered: columns a, b and one per
    field, its level from 0 (different) up, -1 where a side is unknown."""
    con = evidence.con
    con.execute(r"""
        create or replace temp table compared as
        select trader_no, given, family, given_sound, family_sound, string_split(given_forms, ' ') as given_forms,
            string_split(family_forms, ' ') as family_forms, string_split(sounds, ' ') as sounds, birth, born,
            email_name, phone, address, numbers, document, trim(regexp_replace(address, '[0-9]+ ?', '', 'g')) as street,
            regexp_replace(lower(full_name), '[^\p{L}]+', '', 'g') as joined
        from faces
        where trader_no in (select a from candidates union all select b from candidates union all from drawn_traders)
    """)
    sides = ", ".join(f"l.{column} as {column}_l, r.{column} as {column}_r" for column in COMPARED)
    # Reading this statement takes as long as comparing thousands of pairs by it, so it is said once.
    con.execute(f"""
        create or replace temp table compared_pairs as
        select a::bigint as a, b::bigint as b, {_levels_sql()}, drawn from (
            select a, b, drawn, {sides}
            from (select *, false as drawn from candidates union all select *, true from drawn)
            join compared as l on l.trader_no = a join compared as r on r.trader_no = b
        )
    """)
    con.execute("create or replace temp view levels as select * exclude (drawn) from compared_pairs where not drawn")
    strangers: pd.DataFrame = con.execute("select * exclude (drawn) from compared_pairs where drawn").df()
    return strangers
