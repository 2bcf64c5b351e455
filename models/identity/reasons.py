"""The reasons of each link, with the raw values, so that a person can read and check them."""

import json
from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.identity.evidence import Evidence


def link_table(evidence: Evidence, pairs: pd.DataFrame, strength: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Columns trader_a, trader_b (a before b as text), strength and reasons, the strongest first.

    Reasons are a JSON list of signal, value as delivered and rarity (how many traders have the same); fields that speak
    against the link have `against` true."""
    evidence.con.register("scored", pairs[["a", "b", "name", "birth", "sat"]].assign(strength=strength))
    frame: pd.DataFrame = evidence.con.execute(_LINKS).df()
    evidence.con.unregister("scored")
    return frame


_SHARED = """
select linked.a, linked.b, kinds.kind as place, kinds.name as signal, degrees.holders as rarity, false as against,
    case kinds.name
        when 'email' then concat_ws(' = ', l.raw_email, nullif(r.raw_email, l.raw_email))
        when 'phone' then concat_ws(' = ', l.raw_phone, nullif(r.raw_phone, l.raw_phone))
        when 'address' then concat_ws(' = ', l.raw_address, nullif(r.raw_address, l.raw_address))
        else concat_ws(' = ', held.raw, nullif(too.raw, held.raw)) end as value
from linked
join keys as held on held.trader_no = linked.a
join keys as too on too.trader_no = linked.b and too.value = held.value
join degrees on degrees.value = held.value
join kinds on kinds.kind = held.kind
join faces as l on l.trader_no = linked.a
join faces as r on r.trader_no = linked.b
where held.kind < 100 and degrees.holders <= kinds.cap
"""

_LIKE = r"""
select linked.a, linked.b, 50 as place,
    ['different name', 'same given name', 'same family name', 'similar name', 'same name'][linked.name + 1] as signal,
    least(l.family_holders, r.family_holders) as rarity, linked.name < 3 as against,
    concat_ws(' / ', l.full_name, nullif(r.full_name, l.full_name)) as value
from linked join faces as l on l.trader_no = linked.a join faces as r on r.trader_no = linked.b
where linked.name >= 0
union all
select linked.a, linked.b, 51,
    ['different birth date', 'similar birth date', 'birth date one slip apart', 'same birth date'][linked.birth + 1],
    case when linked.birth = 3 then l.birth_holders end, linked.birth < 2,
    regexp_replace(concat_ws(' / ', l.birth, nullif(r.birth, l.birth)), '(\d{4})(\d\d)(\d\d)', '\1-\2-\3', 'g')
from linked join faces as l on l.trader_no = linked.a join faces as r on r.trader_no = linked.b
where linked.birth >= 0
union all
select linked.a, linked.b, 52, 'one device within half an hour', null, false,
    ['on few days', 'on several days', 'on many days'][linked.sat]
from linked where linked.sat > 0
"""

_LINKS = f"""
with linked as materialized (
    select case when l.trader_id < r.trader_id then a else b end as a,
        case when l.trader_id < r.trader_id then b else a end as b, scored.* exclude (a, b)
    from scored
    join people as l on l.trader_no = scored.a
    join people as r on r.trader_no = scored.b
),
faces as materialized (
    select people.*, names.holders as family_holders, births.holders as birth_holders
    from people
    left join name_counts as names on names.sound = people.family_sound
    left join birth_counts as births on births.birth = people.birth
    where people.trader_no in (select a from linked union select b from linked)
),
reasons as ({_SHARED} union all {_LIKE}),
told as (
    select a, b, to_json(list(
        {{'signal': signal, 'value': value, 'rarity': rarity, 'against': against}} order by against, place, value
    ))::varchar as reasons
    from reasons group by a, b
)
select l.trader_id as trader_a, r.trader_id as trader_b,
    round(linked.strength, 6) as strength, coalesce(told.reasons, '[]') as reasons
from linked
join faces as l on l.trader_no = linked.a
join faces as r on r.trader_no = linked.b
left join told on told.a = linked.a and told.b = linked.b
order by strength desc, trader_a, trader_b
"""


def path(links: pd.DataFrame, trader_a: str, trader_b: str) -> list[str]:
    """Sentences that lead from one trader to the other over the fewest links; empty when none does."""
    neighbours: dict[str, list[tuple[str, str]]] = {}
    for a, b, reasons in links[["trader_a", "trader_b", "reasons"]].itertuples(index=False):
        neighbours.setdefault(a, []).append((b, reasons))
        neighbours.setdefault(b, []).append((a, reasons))
    steps: dict[str, tuple[str, str]] = {trader_a: ("", "")}
    queue = deque([trader_a])
    while queue and trader_b not in steps:
        here = queue.popleft()
        for there, reasons in neighbours.get(here, []):
            if there not in steps:
                steps[there] = (here, reasons)
                queue.append(there)
    return list(_walk_back(steps, trader_b))[::-1] if trader_b in steps else []


def _walk_back(steps: dict[str, tuple[str, str]], trader: str) -> Iterator[str]:
    while steps[trader][0]:
        before, reasons = steps[trader]
        yield f"{before} and {trader}: " + "; ".join(_say(reason) for reason in json.loads(reasons))
        trader = before


def _say(reason: dict[str, object]) -> str:
    rarity = f", {reason['rarity']} traders" if reason["rarity"] is not None and not reason["against"] else ""
    return f"{reason['signal']} ({reason['value']}{rarity})"
