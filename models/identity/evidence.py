"""What each trader has, in normal form: people, the keys they hold, and which pairs share a key worth comparing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.identity.census import Census
from models.identity.crowds import CROWDED
from models.identity.facts import IdentityFacts, tidy
from models.identity.normal import (
    ADDRESS_SQL,
    DEVICE_SQL,
    DIGITS_SQL,
    DOMAIN_SQL,
    FOLDED_SQL,
    MAILBOX_SQL,
    NAME_TOKENS_SQL,
    PHONE_SQL,
    one_slip,
    spellings,
    written_alike,
)
from models.identity.terms import IdentityTerms
from models.identity.weighing import COUNTED, Population
from sql import duck

# Minutes between two log-ins at one device within which one sitting had both.
SITTING = 30
# Past so much that is written DuckDB packs what it holds, in memory too, in the midst of what comes next; a file is
# packed when it is closed.
NEVER_BETWEEN = "1TB"
# Both names at least this alike (Jaro-Winkler), or there is nothing for a closer comparison to find.
NAME_FLOOR = 0.75
ADDRESS_FLOOR = 0.75
BIRTH_NAME, NAME_YEAR, NAME_DAY, RARE_NAME, BIRTH_NUMBERS, NAME_NUMBERS, RARE_BIRTH = range(100, 107)
EXPECTED = ("device", "ip", "instrument", "destination", "document")
BLOCKS = (BIRTH_NAME, NAME_YEAR, NAME_DAY, BIRTH_NUMBERS, NAME_NUMBERS)

SCHEMA = """
create table if not exists people (
    trader_no integer, trader_id varchar, full_name varchar, raw_email varchar, raw_phone varchar, raw_address varchar,
    given varchar, family varchar, given_sound varchar, family_sound varchar, sounds varchar,
    given_forms varchar, family_forms varchar,
    birth varchar, born integer, birth_digits uinteger, birth_turned uinteger, email varchar, email_name varchar,
    phone varchar, address varchar, numbers varchar, document varchar, document_head varchar, document_tail varchar,
    country varchar, registered_at timestamptz
);
create table if not exists keys (
    trader_no integer, kind utinyint, value ubigint, raw varchar, first_day integer, last_day integer, uses integer
);
create table if not exists degrees (kind utinyint, value ubigint, holders integer);
create table if not exists placeholders (trader_no integer, kind utinyint, raw varchar);
create table if not exists name_counts (sound varchar, code integer, holders integer);
create table if not exists birth_counts (birth varchar, code integer, holders integer);
create table if not exists drawn_before (trader_no integer);
create table if not exists turns (trader_no integer, value ubigint, minute integer);
create table if not exists spellings (
    token varchar, word varchar, sound varchar, forms varchar, code integer
);
"""

# Two writings of one value are few, so that only those are grouped again.
HOLDINGS = """
with logged as (
    select people.trader_no, logins.ip, logins.device_id, logins.occurred_at
    from incoming_logins as logins join told_numbers as people using (trader_id)
),
bought as (
    select people.trader_no, challenges.*, clicks.device_id, clicks.ip, clicks.occurred_at
    from incoming_challenges as challenges
    join told_numbers as people using (trader_id)
    left join incoming_clicks as clicks using (click_id)
),
seen as (
    select trader_no, {device} as kind, device_id as raw, occurred_at from logged
    union all select trader_no, {ip}, ip, occurred_at from logged
    union all select trader_no, {device}, device_id, occurred_at from bought
    union all select trader_no, {ip}, ip, occurred_at from bought
    union all select trader_no, {instrument}, instrument, purchased_at from bought
    union all select trader_no, {partner}, partner_id, purchased_at from bought
    union all select trader_no, {click}, click_id, purchased_at from bought
    union all
    select people.trader_no, {instrument}, payments.instrument, payments.occurred_at
    from incoming_payments as payments join told_numbers as people using (trader_id)
    union all
    select people.trader_no, {destination}, payouts.destination, payouts.requested_at
    from incoming_payouts as payouts
    join incoming_accounts as accounts using (account_id)
    join told_numbers as people on people.trader_id = accounts.trader_id
),
numbered as (
    select trader_no, kind, trim(raw) as raw, (epoch(occurred_at) // 86400)::integer as day
    from seen where raw is not null and raw <> ''
),
written as (
    select trader_no, kind, raw, {folded} as folded, min(day) as first_day, max(day) as last_day,
        count(*)::integer as uses
    from numbered
    group by trader_no, kind, raw
),
formed as (select *, {alike} as form from written),
held as materialized (
    select trader_no, kind::utinyint as kind, hash(kind, form) as value, raw, first_day, last_day, uses,
        form <> raw as otherwise
    from formed
),
several as (select distinct trader_no, value from held where otherwise)
select * exclude (otherwise) from held anti join several using (trader_no, value)
union all
select trader_no, kind, value, min(raw), min(first_day), max(last_day), sum(uses)::integer
from held semi join several using (trader_no, value)
group by trader_no, kind, value
"""

# When each trader logged in at which device; a log-in told by its day or hour alone says nothing of who came before it.
TURNS = """
with told as (
    select trader_no, trim(device_id) as raw, {folded} as folded, (epoch(occurred_at) // 60)::integer as minute
    from incoming_logins join told_numbers using (trader_id)
    where device_id is not null and epoch(occurred_at)::bigint % 3600 <> 0
)
insert into turns select trader_no, hash({device}, {form}), minute from told
"""

# Asterisks and bullets hide what would tell strangers apart; a card's first and last digits together still do.
MASKED_SQL = "(contains({0}, '*') or contains({0}, '•'))"
# A mailbox without a domain that is this long is a fingerprint of one.
HASHED_MAIL = 16

# Values that stand for "nothing known": placeholders, masked values, one character repeated, loopback. Cheap tests come
# first.
JUNK = rf"""
length(raw) < 2 or raw like '127.%'
or (length(raw) <= 9 and lower(raw) in ('unknown', 'null', 'none', 'nan', 'n/a', 'undefined', 'test', 'default',
    'anonymous', 'localhost', '0.0.0.0', '::1', 'no device'))
or ({MASKED_SQL.format("raw")} and (contains(raw, '@') or length(regexp_replace(raw, '[^0-9]', '', 'g')) < 8))
or (raw[1] = raw[2] and ltrim(translate(lower(raw), '-:._ ', ''), left(lower(raw), 1)) = '')
"""

PERSON_KEYS = """
select trader_no, {number}, hash({number}, {kind}), {kind}, null, null, null from fresh where {kind} is not null
"""

# The sounds of people's names, each once, beside their other columns; most names are of two words and need no list.
SOUNDS_SQL = """
select {columns}, given_sound as sound from {people} where given_sound is not null
union all
select {columns}, family_sound from {people} where family_sound <> given_sound
union all
select {columns}, unnest(list_filter(
    list_distinct(string_split(sounds, ' ')), lambda sound: sound not in (given_sound, family_sound)))
from {people} where length(sounds) > length(given_sound) + 1 + length(family_sound)
"""

BLOCK_KEYS = f"""
with numbered as (
    select *, array_to_string(list_sort(string_split(replace(numbers, ' ', ''), '')), '') as digits from fresh
),
named as (
    select *, least(given_sound, family_sound) as low, greatest(given_sound, family_sound) as high
    from numbered where family_sound is not null
),
parts as ({SOUNDS_SQL.format(columns="trader_no, birth, digits", people="named")})
select trader_no, {BIRTH_NAME}, hash({BIRTH_NAME}, birth, sound), null, null, null, null
from parts where birth is not null
union all
select trader_no, {NAME_NUMBERS}, hash({NAME_NUMBERS}, digits, sound), null, null, null, null
from parts where digits is not null
union all
select trader_no, {BIRTH_NUMBERS}, hash({BIRTH_NUMBERS}, birth, digits), null, null, null, null
from numbered where birth is not null and digits is not null
union all
select trader_no, {NAME_YEAR}, hash({NAME_YEAR}, low, high, left(birth, 4)), null, null, null, null
from named where birth is not null
union all
select trader_no, {NAME_DAY},
    hash({NAME_DAY}, low, high, least(birth[5:6], birth[7:8]), greatest(birth[5:6], birth[7:8])), null, null, null, null
from named where birth is not null
union all
select trader_no, {RARE_NAME}, hash({RARE_NAME}, low, high), null, null, null, null from named
union all
select trader_no, {RARE_BIRTH}, hash({RARE_BIRTH}, birth), null, null, null, null from fresh where birth is not null
"""

_BOTH_NAMES = f"""
((jaro_winkler_similarity(l.given, r.given) >= {NAME_FLOOR}
    and jaro_winkler_similarity(l.family, r.family) >= {NAME_FLOOR})
or (jaro_winkler_similarity(l.given, r.family) >= {NAME_FLOOR}
    and jaro_winkler_similarity(l.family, r.given) >= {NAME_FLOOR}))
"""
_ADDRESS = f"jaro_winkler_similarity(l.address, r.address) >= {ADDRESS_FLOOR}"

# A slip changes one digit or two beside each other, so that what differs, as bits, is short.
_DIFFERS = "xor(l.birth_digits, r.birth_digits)"
_BIRTH_SLIP = f"""
({_DIFFERS} // greatest({_DIFFERS} & (4294967296 - {_DIFFERS}), 1) < 256 and {one_slip("l.birth", "r.birth")})
"""
# What is kept of either half of a document's number is sooner looked for than cut out.
_DOCUMENT_SLIP = f"""
((starts_with(r.document, l.document_head) or suffix(r.document, l.document_tail))
and {one_slip("l.document", "r.document")})
"""

_WORTH_COMPARING = f"""
(l.birth = r.birth and (l.family_sound in (r.given_sound, r.family_sound) or l.given_sound = r.family_sound))
or ((l.birth is null or r.birth is null or l.birth = r.birth or abs(l.born - r.born) = 1
        or l.birth_turned = r.birth_digits or {_BIRTH_SLIP})
    and {_BOTH_NAMES})
or ({_ADDRESS} and ({one_slip("l.numbers", "r.numbers")} or l.birth = r.birth or {_BOTH_NAMES}))
or {_DOCUMENT_SLIP}
"""


def width_of(column: str) -> type[np.signedinteger]:
    """The whole numbers that hold a column of the pairs: of hundreds of thousands few bytes are sooner copied."""
    if column in ("a", "b") or column.endswith("_value"):
        return np.int64
    return np.int32 if column.endswith(("_holders", "_days", "_day")) else np.int8


def _width(column: str) -> str:
    return "bigint" if column.endswith(("_left", "_right", "_value")) else "integer"


def _held_by_several(values: npt.NDArray[np.uint64]) -> pd.DataFrame:
    """The values that occur more than once, and how often each does."""
    values = np.sort(values)
    start = np.flatnonzero(np.append(True, values[1:] != values[:-1])[: len(values)])
    holders = np.diff(np.append(start, len(values)))
    several = holders > 1
    return pd.DataFrame({"value": values[start[several]], "holders": holders[several]})


class Evidence:
    """People and the keys they hold, in a DuckDB of its own; rows are only ever added or replaced."""

    def __init__(self, terms: IdentityTerms, threads: int = 2, path: Path | None = None) -> None:
        self.terms, self.threads = terms, threads
        self.kinds = list(terms.kinds)
        self.con = duck.connect(
            {"threads": threads, "preserve_insertion_order": False, "checkpoint_threshold": NEVER_BETWEEN}, path
        )
        self.con.execute(SCHEMA)
        self.con.execute("create or replace table kinds (kind utinyint, name varchar, cap integer, proposes integer)")
        rows = [(number, name, kind.cap, kind.proposes) for number, (name, kind) in enumerate(terms.kinds.items())]
        blocks = [(block, f"block_{block}", terms.block_cap, terms.block_cap) for block in BLOCKS]
        rare = {
            "block_rare_name": (RARE_NAME, terms.rare_name_cap),
            "block_rare_birth": (RARE_BIRTH, terms.rare_birth_cap),
        }
        blocks += [(block, name, cap, cap) for name, (block, cap) in rare.items()]
        self.con.executemany("insert into kinds values (?, ?, ?, ?)", rows + blocks)
        self.census = Census()

    def add(self, facts: IdentityFacts, pairs: pd.DataFrame, *, whole: bool = False) -> bool:
        """Adds records; afterwards table `own` holds the numbers of the traders whose records they are, `others` those
        of all further traders whose evidence may have changed, and `again` which of the pairs among these.

        `pairs` (a, b) are those compared before. With `whole` the records are all there is of their traders, and what
        was known of them before is forgotten. Returns whether these were the first records."""
        first = self._one("select count(*) from people") == 0
        frames = tidy(facts)
        for name, frame in frames.items():
            self.con.register(f"incoming_{name}", frame)
        self._number_traders(first)
        self._read_people(first)
        self._count_people()
        if whole:
            self.con.execute("delete from placeholders where trader_no in (select trader_no from fresh)")
        self._read_keys("keys" if first else "incoming_keys")
        if whole:
            self.con.execute("delete from turns where trader_no in (select trader_no from fresh)")
        device = self.kinds.index("device")
        self.con.execute(TURNS.format(device=device, folded=FOLDED_SQL, form=DEVICE_SQL))
        for name in frames:
            self.con.unregister(f"incoming_{name}")
        if first:
            self._count_all()
            self._near_everyone()
        else:
            self._merge_keys(whole)
            self._count_told()
            self._near_told(pairs)
            self._know_touched()
        return first

    def _kind_numbers(self) -> dict[str, int]:
        return {kind: number for number, kind in enumerate(self.kinds)}

    def _one(self, sql: str) -> int:
        return int(self.con.execute(sql).fetchall()[0][0])

    def _number_traders(self, first: bool) -> None:
        """Numbers the new traders; `told_numbers` has the numbers of all whom the records name."""
        named = " union all ".join(
            f"select trader_id from incoming_{name}"
            for name in ("traders", *(() if first else ("logins", "payments", "challenges", "accounts")))
        )
        # Numbering without a partition needs no sorting, so the known are told from the new first.
        self.con.execute(f"""
            create or replace temp table known_numbers as
            select trader_id, trader_no from people semi join ({named}) using (trader_id)
        """)
        self.con.execute("""
            create or replace temp table incoming_people as
            select incoming_traders.*, trader_no from incoming_traders join known_numbers using (trader_id)
            union all
            select *, ((select coalesce(max(trader_no), -1) from people) + row_number() over ())::integer as trader_no
            from incoming_traders anti join known_numbers using (trader_id)
        """)
        self.con.execute("""
            create or replace temp table told_numbers as
            select trader_id::varchar as trader_id, trader_no from incoming_people
            union all
            from known_numbers anti join incoming_people using (trader_no)
        """)
        self.con.execute(f"""
            create or replace temp table named as
            select trader_no, {NAME_TOKENS_SQL} as tokens from incoming_people where full_name is not null
        """)
        tokens = self.con.execute("""
            select distinct token from (select unnest(tokens) as token from named)
            anti join spellings using (token)
        """).fetchall()
        new = pd.DataFrame(spellings(row[0] for row in tokens), columns=["token", "word", "sound", "forms"])
        self.con.register("new_spellings", new)
        self.con.execute("""
            insert into spellings
            select *, (select count(*) from spellings) + row_number() over () - 1 from new_spellings
        """)
        self.con.unregister("new_spellings")

    def _read_people(self, first: bool) -> None:
        """Puts the incoming people in normal form; `fresh` shows them, whom the first time all people are."""
        self.con.execute("""
            create or replace temp table spelled as
            with tokened as (
                select trader_no, unnest(tokens) as token, generate_subscripts(tokens, 1)::bigint as place from named
            ),
            placed as (
                select trader_no, count(*) as words, min(place << 32 | code) & 4294967295 as first,
                    max(place << 32 | code) & 4294967295 as last
                from tokened join spellings using (token) group by trader_no
            ),
            longer as (
                select trader_no, string_agg(sound, ' ') as sounds
                from tokened join spellings using (token) semi join (from placed where words > 2) using (trader_no)
                group by trader_no
            )
            select trader_no, given.word as given, family.word as family, given.sound as given_sound,
                family.sound as family_sound, given.forms as given_forms, family.forms as family_forms,
                case words when 1 then given.sound when 2 then given.sound || ' ' || family.sound else longer.sounds end
                    as sounds
            from placed
            join spellings as given on given.code = first
            join spellings as family on family.code = last
            left join longer using (trader_no)
        """)
        self.con.execute(
            "create or replace temp table replaced as from people semi join incoming_people using (trader_no)"
        )
        if self._one("select count(*) from replaced"):
            self.con.execute("delete from people where trader_no in (select trader_no from replaced)")
        self.con.execute(f"""
            {"insert into people" if first else "create or replace temp table fresh_people as"}
            with mailed as (
                select *, lower(trim(email)) as mail, split_part(split_part(mail, '@', 1), '+', 1) as mailbox,
                    split_part(mail, '@', 2) as domain
                from incoming_people
            ),
            formed as (
                select mailed.*, spelled.* exclude (trader_no), {MAILBOX_SQL} as email_name,
                    {DOMAIN_SQL} as email_domain,
                    {DIGITS_SQL} as digits, {PHONE_SQL} as phone_form, {ADDRESS_SQL} as address_form,
                    try_cast(date_of_birth as date) as born_on, strftime(born_on, '%Y%m%d') as birth
                from mailed left join spelled using (trader_no)
            )
            select trader_no, trader_id::varchar as trader_id, full_name, email as raw_email, phone as raw_phone,
                address as raw_address, given, family, given_sound, family_sound, sounds,
                nullif(given_forms, '') as given_forms, nullif(family_forms, '') as family_forms,
                birth, born_on - date '1970-01-01' as born,
                case when length(birth) = 8 then ('0x' || birth)::uinteger end as birth_digits,
                try_cast('0x' || strftime(born_on, '%Y%d%m') as uinteger) as birth_turned,
                case when email_name <> '' and email_domain <> '' then email_name || '@' || email_domain
                    when length(mail) >= {HASHED_MAIL} and not contains(mail, ' ') then mail end as email,
                case when email_domain <> '' and not {MASKED_SQL.format("mail")} then nullif(email_name, '')
                    end as email_name,
                case when not {MASKED_SQL.format("phone")} then phone_form end as phone,
                case when address_form like '% %' then address_form end as address,
                nullif(trim(regexp_replace(address_form, '[^0-9]+', ' ', 'g')), '') as numbers,
                nullif(trim(kyc_document), '') as document,
                left(document, greatest(length(document) - 2, 0) // 2) as document_head,
                right(document, greatest(length(document) - 2, 0) // 2) as document_tail,
                upper(nullif(trim(country), '')) as country, registered_at
            from formed
        """)
        self.con.execute(f"create or replace temp view fresh as from {'people' if first else 'fresh_people'}")
        if not first:
            self.con.execute("insert into people from fresh_people")

    def _count_people(self) -> None:
        """Counts the names and birth dates of the incoming people, and forgets those of the people they replace."""
        for table, thing, counted in (
            ("name_counts", "sound", SOUNDS_SQL),
            ("birth_counts", "birth", "select {columns}, birth from {people}"),
        ):
            self.con.execute(f"""
                create or replace temp table recount as
                select {thing}, sum(change)::integer as change
                from ({counted.format(columns="1 as change", people="fresh")}
                    union all {counted.format(columns="-1 as change", people="replaced")})
                where {thing} is not null group by {thing}
            """)
            self.con.execute(f"""
                insert into {table}
                select {thing}, (select count(*) from {table}) + row_number() over () - 1, 0
                from recount anti join {table} using ({thing})
            """)
            self.con.execute(f"""
                update {table} set holders = holders + change from recount where recount.{thing} = {table}.{thing}
            """)
        columns = self.con.sql("""
            select fresh.trader_no, coalesce(given.code, -1) as given, coalesce(family.code, -1) as family,
                coalesce(births.code, -1) as birth, (hash(fresh.trader_id) & 65535)::integer as lot,
                case when fresh.country is null then -1
                    else ascii(fresh.country) * 256 + ascii(fresh.country[2:2]) end as country
            from fresh
            left join name_counts as given on given.sound = fresh.given_sound
            left join name_counts as family on family.sound = fresh.family_sound
            left join birth_counts as births on births.birth = fresh.birth
        """).fetchnumpy()
        self.census.people(columns, self.traders())

    def _read_keys(self, into: str) -> None:
        """Adds to a table what the incoming records hold, but for values that stand for nothing known."""
        self.con.execute("create or replace temp table incoming_keys as select * from keys limit 0")
        numbers = self._kind_numbers()
        for kind in ("document", "email", "phone", "address"):
            self.con.execute(f"insert into {into} {PERSON_KEYS.format(kind=kind, number=numbers[kind])}")
        self.con.execute(f"insert into {into} {BLOCK_KEYS}")
        self.con.execute(
            f"insert into {into} {HOLDINGS.format(**numbers, folded=FOLDED_SQL, alike=written_alike(numbers))}"
        )
        self.con.execute(f"""
            create or replace temp table junk as
            select distinct kind, raw from {into} where raw is not null and ({JUNK})
        """)
        if self._one("select count(*) from junk"):
            self.con.execute(f"""
                insert into placeholders
                select trader_no, kind, raw from {into} semi join junk using (kind, raw)
                except from placeholders
            """)
            self.con.execute(f"delete from {into} where (kind, raw) in (from junk)")

    def _merge_keys(self, whole: bool) -> None:
        """Replaces the keys of every incoming trader by the old and the new together, or by the new alone.

        Table `told_values` is left with all values that they hold or held, and by how much the holders change."""
        self.con.execute("""
            create or replace temp table own as select trader_no from incoming_keys union select trader_no from fresh
        """)
        self.con.execute("create or replace temp table old_keys as from keys where trader_no in (from own)")
        stay = "false" if whole else "first_day is not null or trader_no not in (select trader_no from fresh)"
        if self._one("select count(*) from old_keys"):
            self.con.execute(f"""
                create or replace temp table incoming_keys as
                select trader_no, kind, value, min(raw) as raw, min(first_day) as first_day,
                    max(last_day) as last_day, sum(uses)::integer as uses
                from (
                    from incoming_keys
                    union all
                    from old_keys
                    where {stay}
                )
                group by trader_no, kind, value
            """)
            self.con.execute("delete from keys where trader_no in (select trader_no from old_keys)")
        self.con.execute("insert into keys from incoming_keys")
        self.con.execute("""
            create or replace temp table told_values as
            select any_value(kind) as kind, value, sum(change)::integer as change
            from (
                select kind, value, 1 as change from incoming_keys
                union all
                select kind, value, -1 from old_keys
            )
            group by value
        """)

    def _count_all(self) -> None:
        """Counts the holders of all values that several hold, and notes what is known of everybody; holding a hub is as
        good as nothing known.

        Sorting the values of a kind is quicker than grouping, and marking traders by their numbers too."""
        kinds = (*range(len(self.kinds)), *range(BIRTH_NAME, RARE_BIRTH + 1))
        everyone = np.arange(self.traders())
        known: dict[str, npt.NDArray[np.int64]] = {name: np.zeros_like(everyone) for name in ("kinds", *COUNTED)}
        with ThreadPoolExecutor(self.threads) as pool:
            held = [self._held_of(kind) for kind in kinds]
            counted = pool.map(_held_by_several, (columns["value"] for columns in held))
            for kind, columns, found in zip(kinds, held, counted, strict=True):
                self.con.register("counted", found)
                self.con.execute("insert into degrees select ?, value, holders from counted", [kind])
                self.con.unregister("counted")
                if kind < BIRTH_NAME:
                    self._mark_known(kind, columns, found, known)
        self.census.known(everyone, {"trader_no": everyone, **known})

    def _held_of(self, kind: int) -> dict[str, Any]:
        """The keys of one kind, with whose they are only where that says that something is known."""
        counted = kind < len(self.kinds) and self.kinds[kind] in COUNTED
        told = "value, trader_no, uses" if counted else "value, trader_no" if kind < BIRTH_NAME else "value"
        return self.con.execute(f"select {told} from keys where kind = ?", [kind]).fetchnumpy()

    def _mark_known(
        self, kind: int, held: dict[str, Any], several: pd.DataFrame, known: dict[str, npt.NDArray[np.int64]]
    ) -> None:
        """Notes of whom a thing of this kind is known, and how often it was used."""
        name = self.kinds[kind]
        hubs = several["value"][several["holders"] > self.terms.kinds[name].cap]
        own = slice(None) if hubs.empty else ~np.isin(held["value"], hubs.to_numpy())
        traders = held["trader_no"][own]
        known["kinds"][traders] |= 1 << kind
        if name in COUNTED:
            known[name] += np.bincount(traders, held["uses"][own], len(known[name])).astype(np.int64)

    def _count_told(self) -> None:
        """Counts the holders of the values told, and looks up who else holds those that say something.

        Of a value that several held the change is added up."""
        self.con.execute("""
            create or replace temp table moved as
            select told_values.*, degrees.holders as before, degrees.holders + change as after, kinds.cap,
                case when before is null then change <> 0 else least(before, after) <= cap end as near
            from told_values join kinds using (kind) left join degrees using (value)
        """)
        self.con.execute("""
            create or replace temp table holders as
            select keys.* exclude (raw) from keys semi join (from moved where near) using (value)
        """)
        self.con.execute("""
            create or replace temp table recounted as
            select moved.*, coalesce(after, found.holders, 0) as holders
            from moved
            left join (select value, count(*)::integer as holders from holders group by value) as found using (value)
        """)
        self.con.execute("""
            delete from degrees
            where value in (select value from recounted where before is not null and change <> 0)
        """)
        self.con.execute("""
            insert into degrees select kind, value, holders from recounted where holders > 1 and change <> 0
        """)

    def _near_told(self, pairs: pd.DataFrame) -> None:
        """Fills `others` and `again`, and `near_keys` with the keys that these and the traders told share with anybody.

        Of others only those pairs change that share a value of which the number of holders says something else now, or
        of which one has a thing that became or was a hub: what it uses beside that counts otherwise."""
        self.con.execute(f"""
            create or replace temp table passed as
            select trader_no, value,
                recounted.kind < {BIRTH_NAME} and (coalesce(before, 1) > cap) <> (recounted.holders > cap) as hub
            from holders join recounted using (value)
            where change <> 0 and trader_no not in (from own)
                and case when before is null then recounted.holders > cap
                    else recounted.kind < {BIRTH_NAME} or greatest(before, recounted.holders) > cap end
        """)
        self.con.register("compared_before", pairs)
        self.con.execute("""
            create or replace temp table again as
            select l.trader_no as a, r.trader_no as b
            from passed as l join passed as r using (value) where l.trader_no < r.trader_no
            union
            select a::integer, b::integer from compared_before
            where (a in (select trader_no from passed where hub) or b in (select trader_no from passed where hub))
                and a not in (from own) and b not in (from own)
        """)
        self.con.unregister("compared_before")
        self.con.execute("""
            create or replace temp table others as
            select trader_no from passed union select unnest([a, b]) from again
        """)
        self.con.execute("""
            create or replace temp table their_keys as
            select * exclude (raw) from keys where trader_no in (from others)
        """)
        self.con.execute("""
            create or replace temp table near_keys as
            select holders.*, recounted.holders
            from holders join recounted using (value) where recounted.holders between 2 and cap
            union all
            select their_keys.*, degrees.holders
            from (from their_keys anti join (from recounted where near) using (value)) as their_keys
            join degrees using (value) join kinds on kinds.kind = their_keys.kind
            where degrees.holders <= kinds.cap
        """)

    def _near_everyone(self) -> None:
        """Fills `near_keys` with the keys that anybody shares; hubs are left out."""
        self.con.execute("create or replace temp table own as select trader_no from people")
        self.con.execute("create or replace temp table others (trader_no integer)")
        self.con.execute("create or replace temp table again (a integer, b integer)")
        self.con.execute("""
            create or replace temp table shared_values as
            select degrees.value, degrees.holders from degrees join kinds using (kind)
            where degrees.holders <= kinds.cap
        """)
        # Known to be few before the join, the shared values and not all keys are what is looked up.
        self.con.execute("""
            create or replace temp table near_keys as
            select keys.* exclude (raw), shared_values.holders from keys join shared_values using (value)
        """)

    def _know_touched(self) -> None:
        """Notes what is known of touched traders."""
        self.con.execute("""
            create or replace temp table hubs as
            select degrees.value from degrees join kinds using (kind) where degrees.holders > kinds.cap
        """)
        counts = ", ".join(
            f"coalesce(sum(uses) filter (kind = {self.kinds.index(kind)}), 0) as {kind}" for kind in COUNTED
        )
        known = self.con.sql(f"""
            select trader_no, bit_or(1 << kind::integer) as kinds, {counts}
            from (select * exclude (raw) from incoming_keys union all from their_keys) anti join hubs using (value)
            where kind < {BIRTH_NAME} group by trader_no
        """).fetchnumpy()
        self.census.known(self.touched(), known)

    def traders(self) -> int:
        """How many traders are known; their numbers run from zero."""
        return self._one("select count(*) from people")

    def own(self) -> npt.NDArray[np.int64]:
        """Numbers of the traders whose records the last ones were."""
        return self._ints("from own")

    def touched(self) -> npt.NDArray[np.int64]:
        """Numbers of the traders whose evidence the last records may have changed."""
        return self._ints("from own union all from others")

    def again(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The pairs of other traders whose evidence the last records may have changed."""
        pairs = self.con.sql("from again").fetchnumpy()
        return pairs["a"].astype(np.int64), pairs["b"].astype(np.int64)

    def numbers(self, trader_ids: pd.Series) -> dict[str, int]:
        """Number by trader id; ids that are not known are left out."""
        self.con.register("wanted", pd.DataFrame({"trader_id": trader_ids.unique()}))
        rows = self.con.execute("select trader_id, trader_no from people semi join wanted using (trader_id)").fetchall()
        self.con.unregister("wanted")
        return dict(rows)

    def places(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """A place for each trader by registration and id; those not asked for have their number."""
        self.con.register("asked", pd.DataFrame({"trader_no": numbers}))
        placed = self._ints("""
            select trader_no from asked join people using (trader_no) order by registered_at nulls last, trader_id
        """)
        places = np.arange(self.traders())
        places[placed] = np.arange(len(placed))
        self.con.unregister("asked")
        return places

    def _ints(self, sql: str) -> npt.NDArray[np.int64]:
        column = next(iter(self.con.sql(sql).fetchnumpy().values()))
        return np.asarray(column, dtype=np.int64)

    def population(self) -> Population:
        """What is common among all traders, in the order of their numbers."""
        counts = [self._holders(table) for table in ("name_counts", "birth_counts")]
        return self.census.population(*counts)

    def _holders(self, table: str) -> npt.NDArray[np.int64]:
        """Holders by code, and none at the end, where the code of what is not known points."""
        return np.append(self._ints(f"select holders from {table} order by code"), 0)

    def propose(self, everyone: bool) -> None:
        """Fills `candidates` (a < b, distinct) with the pairs worth comparing: all, or those that may have changed."""
        self.con.execute("""
            create or replace temp table sharing as
            select near_keys.trader_no, near_keys.kind, near_keys.value
            from near_keys join kinds using (kind) where near_keys.holders <= kinds.proposes
        """)
        met = """
            select l.trader_no as a, r.trader_no as b, l.kind
            from sharing as l join sharing as r using (value) where l.trader_no < r.trader_no
        """
        if not everyone:
            met = """
                select least(l.trader_no, r.trader_no) as a, greatest(l.trader_no, r.trader_no) as b, l.kind
                from (from sharing where trader_no in (from own)) as l join sharing as r using (value)
                where l.trader_no <> r.trader_no
                union all
                select again.*, l.kind
                from again join sharing as l on l.trader_no = a join sharing as r on r.trader_no = b
                where r.value = l.value
            """
        self.con.execute(f"""
            create or replace temp table met as
            select a, b, bool_or(kind < {BIRTH_NAME}) as shares from ({met}) group by a, b
        """)
        if not everyone:
            self.con.execute("""
                create or replace temp table faces_told as
                select * exclude (trader_id, raw_email, raw_phone, raw_address, email, registered_at, country)
                from people
                where trader_no in (select a from met union all select b from met union all from drawn_before)
            """)
        self.con.execute(f"create or replace temp view faces as from {'people' if everyone else 'faces_told'}")
        self.con.execute(f"""
            create or replace temp table candidates as
            select a, b from met where shares
            union all
            select a, b from met
            join faces as l on l.trader_no = met.a
            join faces as r on r.trader_no = met.b
            where not shares and ({_WORTH_COMPARING})
        """)

    def draw(self, everyone: bool) -> npt.NDArray[np.int64]:
        """Numbers of the traders whose ids hash lowest, the same draw however the firm grew, but for those new in it.

        Table `drawn` is filled with the pairs of the new ones."""
        among = "true as new from people"
        if not everyone:
            among = """
                trader_no in (select trader_no from fresh) or trader_no not in (from drawn_before) as new
                from people where trader_no in (select trader_no from fresh union all from drawn_before)
            """
        self.con.execute(
            f"""
            create or replace temp table lowest as
            select trader_no, {among} order by hash(trader_id), trader_id limit ?
            """,
            [self.terms.drawn_traders],
        )
        self.con.execute("create or replace table drawn_before as select trader_no from lowest")
        self.con.execute("""
            create or replace temp table drawn as
            select l.trader_no as a, r.trader_no as b
            from lowest as l join lowest as r on l.trader_no < r.trader_no where l.new or r.new
        """)
        self.con.execute("create or replace temp table drawn_traders as select unnest([a, b]) as trader_no from drawn")
        return self._ints("select trader_no from lowest where not new")

    def shared(self) -> pd.DataFrame:
        """The compared pairs of table `levels` with what they share.

        For each kind `<kind>_holders`, the holders of its rarest shared value; of some kinds that `<kind>_value`,
        `<kind>_left` and `<kind>_right`, how often each of the two used what they share, and `<kind>_many`, how many
        values they share. `ip_gap_days` is the time between their closest uses of the rarest network address,
        `ip_common_day` the last day both had used it."""
        told = {f"{kind}_holders": f"min(holders) {self._of(kind)}" for kind in self.kinds}
        told |= {f"{kind}_value": f"arg_min(value, closeness) {self._of(kind)}" for kind in CROWDED}
        for side in ("left", "right"):
            told |= {f"{kind}_{side}": f"sum({side}_uses) {self._of(kind)}" for kind in COUNTED}
        told |= {f"{kind}_many": f"count(*) {self._of(kind)}" for kind in COUNTED}
        told |= {f"ip_{days}": f"arg_min({days}, closeness) {self._of('ip')}" for days in ("gap_days", "common_day")}
        columns = self.con.execute(f"""
            with shared as (
                select candidates.a, candidates.b, l.kind, (l.value >> 12)::bigint as value, l.holders,
                    l.uses as left_uses, r.uses as right_uses,
                    greatest(0, greatest(l.first_day, r.first_day) - least(l.last_day, r.last_day)) as gap_days,
                    least(l.last_day, r.last_day) as common_day,
                    l.holders::bigint * 10_000_000_000 + gap_days::bigint * 100_000 - coalesce(common_day, 0)
                        as closeness
                from candidates
                join near_keys as l on l.trader_no = candidates.a
                join near_keys as r on r.trader_no = candidates.b and r.value = l.value
                where l.kind < 100
            ),
            told as (
                select a, b, {", ".join(f"{sql} as {name}" for name, sql in told.items())} from shared group by a, b
            )
            select levels.*, {", ".join(f"coalesce({name}, 0)::{_width(name)} as {name}" for name in told)}
            from levels left join told using (a, b)
        """).fetchnumpy()
        return pd.DataFrame(columns, copy=False)

    def sittings(self, pairs: pd.DataFrame) -> pd.DataFrame:
        """Of these pairs (a, b) those who logged in at one device within half an hour of each other, and on how many
        `days`."""
        self.con.register("sharing_pairs", pairs)
        found: pd.DataFrame = self.con.execute(f"""
            with theirs as (
                from turns semi join near_keys using (trader_no, value)
                where trader_no in (select unnest([a, b]) from sharing_pairs)
            )
            select a, b, count(distinct l.minute // 1440) as days
            from sharing_pairs
            join theirs as l on l.trader_no = a
            join theirs as r on r.trader_no = b and r.value = l.value and abs(l.minute - r.minute) <= {SITTING}
            group by a, b
        """).df()
        self.con.unregister("sharing_pairs")
        return found

    def _of(self, kind: str) -> str:
        return f"filter (kind = {self.kinds.index(kind)})"

    def remarks(self) -> list[str]:
        """A sentence for each value or kind of thing that proves nothing, and why."""
        return [*self._hubs(), *self._crowded_births(), *self._placeholders(), *self._unknown()]

    def _hubs(self) -> list[str]:
        """Values so widely held that they prove nothing, the widest first."""
        rows = self.con.execute("""
            select kinds.name, any_value(keys.raw), degrees.holders
            from degrees join kinds on kinds.kind = degrees.kind join keys using (value)
            where degrees.holders > kinds.cap and degrees.kind < 100 and kinds.name <> 'partner'
            group by kinds.name, degrees.value, degrees.holders
            order by degrees.holders desc, kinds.name, 2
        """).fetchall()
        return [f"{kind} {raw} is held by {holders:,} traders and links none of them" for kind, raw, holders in rows]

    def _crowded_births(self) -> list[str]:
        """Birth dates that more traders give than are born on one day, the commonest first."""
        many = self.population().births_at_most(self.terms.birth_dates)
        rows = self.con.execute(
            "select strptime(birth, '%Y%m%d')::date, holders from birth_counts where holders > ? order by 2 desc, 1",
            [many],
        ).fetchall()
        return [
            f"birth date {birth} of {holders:,} traders is commoner than births are: another does not speak against it"
            for birth, holders in rows
        ]

    def _placeholders(self) -> list[str]:
        rows = self.con.execute("""
            select kinds.name, raw, count(distinct trader_no) as holders
            from placeholders join kinds using (kind) group by all order by holders desc, 1, 2
        """).fetchall()
        return [
            f"{kind} {raw} of {holders:,} traders stands for nothing known and is left out"
            for kind, raw, holders in rows
        ]

    def _unknown(self) -> list[str]:
        """Kinds of which nothing is known, so that nobody takes silence for innocence."""
        known = int(np.bitwise_or.reduce(self.census.kinds, initial=0))
        absent = [kind for place, kind in enumerate(self.kinds) if not known >> place & 1 and kind in EXPECTED]
        return [f"no {kind} is known of any trader, so none can be linked by it" for kind in absent if self.traders()]
