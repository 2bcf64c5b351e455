"""Normal forms of names, e-mail addresses, phones and postal addresses, so that one person's spellings meet."""

import re
from collections.abc import Iterable
from functools import cache

from anyascii import anyascii
from nicknames import NickNamer

# Spellings that transliterations of one name differ by, the longer ones first.
SOUNDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"shch|sch|sh|tsch|tch|cz|ch", "s"),
        (r"kh", "h"),
        (r"zh", "z"),
        (r"ph", "f"),
        (r"th", "t"),
        (r"tz|ts", "z"),
        (r"ae", "a"),
        (r"oe", "o"),
        (r"ue|ou", "u"),
        (r"x", "ks"),
        (r"ck|[cq]", "k"),
        (r"w", "v"),
        (r"[yj]", "i"),
        (r"(.)\1+", r"\1"),
        (r"ie", "e"),
    )
)


def plain(token: str) -> str:
    """A word in lower-case Latin letters and digits, whatever script it was written in."""
    return re.sub(r"[^a-z0-9]+", "", anyascii(token).lower())


def sound(word: str) -> str:
    """The key under which the usual transliterations of one name are the same word."""
    for pattern, replacement in SOUNDS:
        word = pattern.sub(replacement, word)
    return word


def spellings(tokens: Iterable[str]) -> list[tuple[str, str, str, str]]:
    """Each word with its plain form, its sound and what it may be short for; words with no letters are left out."""
    short = _short_names()
    forms = ((token, plain(token)) for token in tokens)
    return [(token, word, sound(word), _full_forms(word, short)) for token, word in forms if word]


@cache
def _short_names() -> NickNamer:
    """The short forms of names, read once."""
    return NickNamer()


def _full_forms(word: str, short: NickNamer) -> str:
    """The word and the names it is short for; nothing where it neither is short nor has short forms."""
    full = short.canonicals_of(word)
    return " ".join(sorted({word, *full})) if full or short.nicknames_of(word) else ""


def one_slip(left: str, right: str) -> str:
    """SQL for at most one letter changed, left out, added or exchanged with its neighbour; either half of the shorter
    then stays as it is, which is far cheaper to see than the distance."""
    half = f"greatest(least(length({left}), length({right})) - 1, 0) // 2"
    return (
        f"(abs(length({left}) - length({right})) <= 1"
        f" and (left({left}, {half}) = left({right}, {half}) or right({left}, {half}) = right({right}, {half}))"
        f" and damerau_levenshtein({left}, {right}) <= 1)"
    )


NAME_TOKENS_SQL = r"""
list_filter(
    string_split(
        trim(regexp_replace(regexp_replace(lower(full_name), '[''’`´.]', '', 'g'), '[^\p{L}\p{M}]+', ' ', 'g')), ' '),
    lambda word: word <> '' and word not in ('mr', 'mrs', 'ms', 'miss', 'dr', 'prof', 'sir', 'jr', 'sr')
)
"""

MAILBOX_SQL = "case when domain in ('gmail.com', 'googlemail.com') then replace(mailbox, '.', '') else mailbox end"

DOMAIN_SQL = """
case domain when 'googlemail.com' then 'gmail.com'
    when 'protonmail.com' then 'proton.me' when 'pm.me' then 'proton.me' when 'protonmail.ch' then 'proton.me'
    when 'ya.ru' then 'yandex.ru' when 'yandex.com' then 'yandex.ru'
    when 'me.com' then 'icloud.com' when 'mac.com' then 'icloud.com' else domain end
"""

# The last nine digits are the same with and without country code and trunk zero.
DIGITS_SQL = "regexp_replace(phone, '[^0-9]+', '', 'g')"
PHONE_SQL = """
case when length(digits) >= 7 then right(digits, 9) end
"""

ADDRESS_SQL = r"""
array_to_string(list_sort(list_transform(
    list_filter(
        string_split(regexp_replace(strip_accents(lower(address)), '[^\p{L}\p{N}]+', ' ', 'g'), ' '),
        lambda word: word not in ('', 'apt', 'apartment', 'flat', 'unit', 'no', 'nr')),
    lambda word: case word
        when 'street' then 'st' when 'str' then 'st' when 'strasse' then 'st' when 'straße' then 'st'
        when 'road' then 'rd' when 'avenue' then 'ave' when 'av' then 'ave' when 'boulevard' then 'blvd'
        when 'lane' then 'ln' when 'drive' then 'dr' when 'court' then 'ct' when 'square' then 'sq'
        when 'place' then 'pl' when 'crescent' then 'cres' when 'ulitsa' then 'ul' else word end
)), ' ')
"""
