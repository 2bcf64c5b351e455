"""Fuzzy comparison of people, field by field, by Splink over pairs that evidence proposed."""

import logging

import pandas as pd
import splink.comparison_level_library as levels
import splink.comparison_library as comparisons
from splink import Linker, SettingsCreator, block_on
from splink.backends.duckdb import DuckDBAPI

from models.identity.evidence import Evidence

FIELDS = ("name", "birth", "email_name", "phone", "address", "document")


# Two spellings of one word: the same sound, a typing slip, or a short form of it.
def _alike(left: str, right: str) -> str:
    return (
        f"({left}_sound_l = {right}_sound_r or jaro_winkler_similarity({left}_l, {right}_r) >= 0.88"
        f" or (least(length({left}_l), length({right}_r)) >= 5 and damerau_levenshtein({left}_l, {right}_r)"
        f" <= 1 + (least(length({left}_l), length({right}_r)) >= 7)::int)"
        f" or (least(length({left}_l), length({right}_r)) >= 3"
        f" and (starts_with({left}_l, {right}_r) or starts_with({right}_r, {left}_l))))"
    )


def _either_order(straight: str, swapped: str) -> str:
    return f"({straight}) or ({swapped})"


def _level(sql: str, label: str) -> levels.CustomLevel:
    return levels.CustomLevel(sql, label)


def _name() -> comparisons.CustomComparison:
    """Both names alike in either order, then one of them; a longer name that contains the shorter is close."""
    same = _either_order(
        "given_sound_l = given_sound_r and family_sound_l = family_sound_r",
        "given_sound_l = family_sound_r and family_sound_l = given_sound_r",
    )
    close = _either_order(
        f"{_alike('given', 'given')} and {_alike('family', 'family')}",
        f"{_alike('given', 'family')} and {_alike('family', 'given')}",
    )
    contained = (
        "least(len(sounds_l), len(sounds_r)) >= 2"
        " and (list_has_all(sounds_l, sounds_r) or list_has_all(sounds_r, sounds_l))"
    )
    joined = "(least(length(joined_l), length(joined_r)) >= 8 and damerau_levenshtein(joined_l, joined_r) <= 1)"
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
        "damerau_levenshtein(birth_l, birth_r) <= 1 or abs(born_l - born_r) = 1"
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
    slip = "numbers_l = numbers_r or (numbers_l like '% %' and damerau_levenshtein(numbers_l, numbers_r) <= 1)"
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


def settings() -> SettingsCreator:
    """Splink's description of the fields compared; weights are given to the levels in `weighing`."""
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="trader_no",
        comparisons=[
            _name(),
            _birth(),
            _nearly(
                "email_name",
                "least(length(email_name_l), length(email_name_r)) >= 6"
                " and jaro_winkler_similarity(email_name_l, email_name_r) >= 0.93",
            ),
            _nearly("phone", "damerau_levenshtein(phone_l, phone_r) <= 1"),
            _address(),
            _nearly(
                "document",
                "least(length(document_l), length(document_r)) >= 6"
                " and damerau_levenshtein(document_l, document_r) <= 1",
            ),
        ],
        blocking_rules_to_generate_predictions=[block_on("document")],
        retain_matching_columns=True,
        retain_intermediate_calculation_columns=False,
    )


def compare(evidence: Evidence) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The candidates and the drawn strangers: columns a, b and one per field, its level from 0 (different) up, -1 where
    a side is unknown."""
    logging.getLogger("splink").setLevel(logging.ERROR)
    con = evidence.con
    con.execute("""
        create or replace temp table blocked as
        select '0' as match_key, a as join_key_l, b as join_key_r
        from (from candidates union select a, b from drawn)
    """)
    con.execute(r"""
        create or replace temp table compared as
        select trader_no, given, family, given_sound, family_sound, sounds, birth, born, email_name, phone, address,
            numbers, document, trim(regexp_replace(address, '[0-9]+ ?', '', 'g')) as street,
            regexp_replace(lower(full_name), '[^\p{L}]+', '', 'g') as joined
        from faces where trader_no in (select join_key_l from blocked union all select join_key_r from blocked)
    """)
    api = DuckDBAPI(con)
    linker = Linker(api.register(con.table("compared")), settings(), log_level=logging.ERROR, validate_settings=False)
    linker.table_management.register_blocked_pairs_for_predict(api.register(con.table("blocked")))
    scored = linker.inference.predict(warning_mode="never")
    gammas = ", ".join(f"gamma_{field}::tinyint as {field}" for field in FIELDS)
    con.execute(f"""
        create or replace temp table levels as
        select trader_no_l as a, trader_no_r as b, {gammas} from {scored.physical_name}
    """)
    scored.drop_table_from_database_and_remove_from_cache()
    found, strangers = (
        con.sql(f"select levels.* from levels semi join {pairs} using (a, b)").df() for pairs in ("candidates", "drawn")
    )
    return found, strangers
