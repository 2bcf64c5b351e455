"""Which partner is credited with a purchase, and in which shares.

A person's reassignment comes first, then the partner that the checkout named, then a coupon that a person gave to a
partner or whose uses belong to one, then the click: who types a code says who sent them. A trader whose first such
touch led to a partner stays with that partner (first-touch lock), at every desk, when a later purchase carries only a
click or a coupon; a purchase with no touch at all is credited to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from models import partner_desk
from sql import relations

COUPON_USES = 5
COUPON_SHARE = 0.9
SHARE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Attributed:
    """Credits (challenge_id, partner_id, share, how, held_because; shares sum to one) and remarks."""

    credits: pd.DataFrame
    log: list[str] = field(default_factory=list)


def attribute(
    challenges: pd.DataFrame,
    clicks: pd.DataFrame,
    partners: pd.DataFrame,
    assigned: pd.DataFrame | None = None,
    coupons: Mapping[str, str] | None = None,
) -> Attributed:
    """Credits every purchase that a partner brought.

    challenges: challenge_id, trader_id, purchased_at, partner_id, click_id, coupon. clicks: click_id, partner_id.
    partners: partner_id. assigned: challenge_id, partner_id (None: nobody), share. coupons: partner by coupon. A
    purchase whose decided shares do not sum to one stays with whom the records say, and is held.
    """
    known = set(partners["partner_id"])
    frame = challenges.sort_values(["purchased_at", "challenge_id"], kind="stable", ignore_index=True)
    clicked = frame["click_id"].map(clicks.drop_duplicates("click_id").set_index("click_id")["partner_id"])
    unlanded = clicked.notna() & ~clicked.isin(known)
    clicked = clicked.mask(unlanded)
    told = frame["partner_id"].where(frame["partner_id"].isin(known))
    named = told.where(told.notna(), clicked)
    owners = coupon_owners(frame, named).to_dict() | {c: p for c, p in (coupons or {}).items() if p in known}
    coded = frame["coupon"].map(owners)
    touched = told.where(told.notna(), coded.where(coded.notna(), clicked))
    trader = frame["trader_id"]
    locked = touched.groupby(trader).transform("first").where(touched.notna().groupby(trader).cummax())
    lost = frame["click_id"].notna() & ~frame["click_id"].isin(clicks["click_id"])
    credited = told.where(told.notna(), locked.where(touched.notna() | lost | unlanded))
    unnamed = frame["partner_id"].notna() & told.isna()
    waits_for = pd.Series(None, index=frame.index, dtype=object)
    waits_for = waits_for.mask(unnamed, "unknown partner " + frame["partner_id"].astype(str))
    waits_for = waits_for.mask(lost, "unknown click " + frame["click_id"].astype(str))
    how = np.select([told.notna(), credited != touched, coded.notna()], ["checkout", "first_touch", "coupon"], "click")
    rows = pd.DataFrame(
        {
            "challenge_id": frame["challenge_id"],
            "partner_id": credited,
            "share": 1.0,
            "how": how,
            "held_because": waits_for,
        }
    )
    strangers = unnamed | (unlanded & told.isna())
    remarks = _remarks(frame, strangers, lost, told, clicked, coded, named)
    return Attributed(_reassigned(rows[credited.notna()].reset_index(drop=True), assigned, remarks), remarks)


def coupon_owners(challenges: pd.DataFrame, partner: pd.Series) -> pd.Series:
    """The partner of each coupon: who has at least nine in ten of its attributed uses, of five or more."""
    uses = pd.DataFrame({"coupon": challenges["coupon"], "partner": partner}).dropna()
    counts = uses.groupby(["coupon", "partner"]).size().rename("uses").reset_index()
    counts["all"] = counts.groupby("coupon")["uses"].transform("sum")
    sure = counts[(counts["all"] >= COUPON_USES) & (counts["uses"] >= COUPON_SHARE * counts["all"])]
    return sure.set_index("coupon")["partner"]


def _reassigned(credits: pd.DataFrame, assigned: pd.DataFrame | None, remarks: list[str]) -> pd.DataFrame:
    """Credits with people's decisions in the place of what the records say."""
    if assigned is None or assigned.empty:
        return credits
    sums = assigned.groupby("challenge_id")["share"].sum()
    wrong = sums[(sums - 1).abs() > SHARE_TOLERANCE]
    remarks += [
        f"challenge {one}: the shares decided for it sum to {sums[one]:g}, not to one; it stays with whom the records"
        " say and is held until somebody decides anew"
        for one in wrong.index
    ]
    credits = credits.assign(
        held_because=credits["held_because"].mask(
            credits["challenge_id"].isin(wrong.index), "decided shares do not sum to one"
        )
    )
    sums = sums.drop(wrong.index)
    given = assigned[["challenge_id", "partner_id", "share"]].assign(how="assigned", held_because=None)
    given = given[given["partner_id"].notna() & given["challenge_id"].isin(sums.index)]
    return pd.concat([credits[~credits["challenge_id"].isin(sums.index)], given], ignore_index=True)


def _remarks(
    frame: pd.DataFrame,
    strangers: pd.Series,
    lost: pd.Series,
    told: pd.Series,
    clicked: pd.Series,
    coded: pd.Series,
    named: pd.Series,
) -> list[str]:
    differ = told.notna() & clicked.notna() & (told != clicked)
    against = told.isna() & coded.notna() & clicked.notna() & (coded != clicked)
    shared = named.groupby(frame["coupon"]).transform("nunique") > 1
    nobodys = told.isna() & coded.isna() & clicked.isna() & shared
    counted = (
        (lost, "purchases name a click that has not landed; their commissions wait for it"),
        (
            strangers,
            "purchases name a partner that has not landed, or carry a click of one; it is credited with nothing",
        ),
        (differ, "purchases name another partner than their click; the checkout's word holds"),
        (against, "purchases carry a coupon of one partner and a click of another; the coupon counts"),
        (
            nobodys,
            "purchases carry no touch but a coupon that several partners' buyers use; it credits nobody until"
            " somebody says whose it is",
        ),
    )
    return [
        f"{int(which.sum())} {words}: {', '.join(frame.loc[which, 'challenge_id'].head(3))}"
        for which, words in counted
        if which.any()
    ]


def read(
    connection: duckdb.DuckDBPyConnection,
    assigned: pd.DataFrame | None = None,
    coupons: Mapping[str, str] | None = None,
) -> Attributed:
    """Attribution of what has landed as of the run; what people said of purchases not landed waits."""
    relations.build(connection, "staging.challenges", "staging.clicks", "staging.partners")
    columns = "challenge_id, trader_id, purchased_at, partner_id, click_id, coupon"
    challenges = connection.execute(f"select {columns} from staging.challenges").df()
    clicks = connection.execute("select click_id, partner_id from staging.clicks").df()
    partners = connection.execute("select partner_id from staging.partners").df()
    if assigned is not None:
        assigned = assigned[assigned["challenge_id"].isin(challenges["challenge_id"])]
    return attribute(challenges, clicks, partners, assigned, coupons)


def show(connection: duckdb.DuckDBPyConnection, given: Attributed) -> None:
    """Shows who is credited to SQL as `decided.credits`."""
    kinds = {"share": pa.float64()}
    columns = ("challenge_id", "partner_id", "share", "how", "held_because")
    arrays = [pa.array(given.credits[name], kinds.get(name, pa.string()), from_pandas=True) for name in columns]
    connection.register("given_credits", pa.Table.from_arrays(arrays, names=list(columns)))
    connection.execute("create or replace table decided.credits as select * from given_credits")
    connection.unregister("given_credits")


def record(connection: duckdb.DuckDBPyConnection, database: sa.Connection) -> Attributed:
    """Credits every purchase by the records and by what people decided, and shows it to SQL."""
    given = read(connection, partner_desk.assigned(database), partner_desk.coupons(database))
    relations.build(connection, "checks.told_anew")
    given.log.extend(told for (told,) in connection.sql("select told from checks.told_anew order by told").fetchall())
    show(connection, given)
    return given


def hold_suspects(credits: pd.DataFrame, events: pd.DataFrame, suspects: pd.DataFrame | None) -> pd.DataFrame:
    """Credits where those of a partner for a trader who looks like the partner wait for a person."""
    if suspects is None or suspects.empty:
        return credits
    buyer = events.drop_duplicates("challenge_id").set_index("challenge_id")["trader_id"]
    pairs = set(zip(suspects["partner_id"], suspects["trader_id"], strict=True))
    mine = zip(credits["partner_id"], credits["challenge_id"].map(buyer), strict=True)
    hold = np.array([pair in pairs for pair in mine], dtype=bool)
    reason = credits["held_because"].where(~hold | credits["held_because"].notna(), "the buyer looks like the partner")
    return credits.assign(held_because=reason)


def hold_unrated(credits: pd.DataFrame, unrated: pd.DataFrame) -> pd.DataFrame:
    """Credits where those of purchases that no rate turns into their desk's currency wait for one.

    unrated: challenge_id and the currency that has none.
    """
    missing = credits["challenge_id"].map(unrated.set_index("challenge_id")["currency"])
    waits = credits["held_because"].isna() & missing.notna()
    return credits.assign(held_because=credits["held_because"].where(~waits, "no rate for " + missing.astype(str)))
