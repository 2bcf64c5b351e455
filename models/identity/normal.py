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
        (r"ee(?=.)", "i"),
        (r"oo(?=.)", "u"),
        (r"w", "v"),
        (r"[yj]", "i"),
        (r"(.)\1+", r"\1"),
        (r"ie", "e"),
    )
)

# Names whose writings from one alphabet, or from the state's other language, differ by more than sounds do.
WRITINGS = """
aleksandr oleksandr aliaksandr alexander; aleksei oleksii aliaksei; artem artyom; daniil danylo danil;
dmitri dmytro dzmitry; egor yehor; ekaterina kateryna; elena olena; elizaveta yelyzaveta; evgenia yevheniia;
evgeni yevhen yevgeni yauheni; fedor fedir fyodor; georgi heorhii; grigori hryhorii; igor ihor; ilia illia;
kirill kyrylo; liudmila liudmyla; mikhail mykhailo mikhas; nikita mykyta; nikolai mykola mikalai; oleg oleh;
pavel pavlo; petr petro pyotr piotr; sergei serhii siarhei; svetlana svitlana sviatlana; tatiana tetiana tatsiana;
vasili vasyl; vladimir volodymyr uladzimir; husain hussein hossain hossein husayn; muhammad mohammed mohamed mohammad;
usman osman uthman othman; yusuf youssef yousef yousuf; chaudhry chaudhary choudhary choudhury chowdhury
"""


def plain(token: str) -> str:
    """A word in lower-case Latin letters and digits, whatever script it was written in."""
    return re.sub(r"[^a-z0-9]+", "", anyascii(token).lower())


def sound(word: str) -> str:
    """The key under which the usual transliterations of one name are the same word."""
    heard = _heard(word)
    return _one_writing().get(heard, heard)


def _heard(word: str) -> str:
    for pattern, replacement in SOUNDS:
        word = pattern.sub(replacement, word)
    return word


@cache
def _one_writing() -> dict[str, str]:
    """The first writing of each name of `WRITINGS`, by every other, as they are heard."""
    names = ([_heard(writing) for writing in name.split()] for name in WRITINGS.split(";"))
    return {other: first for first, *others in names for other in others if other != first}


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


# Names of China and Korea are written without a space after the family name, which is nearly always the first sign.
NAME_TOKENS_SQL = r"""
list_filter(
    string_split(
        regexp_replace(
            trim(regexp_replace(regexp_replace(lower(full_name), '[''’`´.]', '', 'g'), '[^\p{L}\p{M}]+', ' ', 'g')),
            '^([\p{Han}\p{Hangul}])([\p{Han}\p{Hangul}]{1,2})$', '\1 \2'), ' '),
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

# Writings of one number differ in case; of so many letters no two numbers differ in case alone.
FOLDED = 12
FOLDED_SQL = f"case when length(raw) >= {FOLDED} then lower(raw) else raw end"
_UUID = r"\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?"
_IBAN = r"[a-z]{2}[0-9]{2}([ -]?[a-z0-9]{4}){2,7}([ -]?[a-z0-9]{1,4})?"

DEVICE_SQL = f"""
case when length(folded) between 32 and 38 and regexp_full_match(folded, '{_UUID}') then translate(folded, '{{}}-', '')
    else folded end
"""

# A bank account with or without the spaces between its groups, a wallet with or without what names its coin before it.
MONEY_SQL = f"""
case when regexp_full_match(folded, '{_IBAN}') then translate(folded, ' -', '')
    when contains(folded, ':') and regexp_full_match(folded, '[a-z]{{3,12}}:(//)?[a-z0-9]{{20,}}')
    then regexp_extract(folded, '[a-z0-9]+$') else folded end
"""

# The lower half of an address of version 6 changes daily, the upper half is the line; one of version 4 so
# written is what it was.
_HEAD, _TAIL = (f"string_split(split_part(folded, '::', {half}), ':')" for half in (1, 2))
_ZEROS = f"list_resize([]::varchar[], greatest(0, 8 - length({_HEAD}) - length({_TAIL})), '')"
LINE_SQL = f"""
case when not contains(folded, ':') then folded
    when starts_with(folded, '::ffff:') and contains(folded, '.') then folded[8:]
    else array_to_string(list_transform(
        list_resize(
            case when contains(folded, '::') then {_HEAD} || {_ZEROS} || {_TAIL} else {_HEAD} end, 4, ''),
        lambda part: ltrim(part, '0')), ':')
end
"""


def written_alike(kinds: dict[str, int]) -> str:
    """SQL for the normal form of what a trader uses, by the number of its kind."""
    forms = {"device": DEVICE_SQL, "instrument": MONEY_SQL, "destination": MONEY_SQL, "ip": LINE_SQL}
    return "case kind " + " ".join(f"when {kinds[kind]} then {sql}" for kind, sql in forms.items()) + " else folded end"
