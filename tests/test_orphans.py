"""Every pointer to a record that has not arrived is counted under what it points to, and none that has."""

from __future__ import annotations

import duckdb

from sql import relations

WORLD = """
create schema staging; create schema facts;
create table staging.traders as select 'T' as trader_id;
create table staging.desks as select 'D' as desk_id;
create table staging.partners as from (values ('P', null), ('P2', 'no P')) as told (partner_id, parent_partner_id);
create table staging.clicks as from (values ('K', 'P'), ('K2', 'no P')) as told (click_id, partner_id);
create table staging.challenges as from (
    values ('C', 'T', 'D', null, null, null), ('C2', 'T', 'D', 'C', 'K', 'P'),
        ('C3', 'no T', 'no D', 'no C', 'no K', 'no P')
) as told (challenge_id, trader_id, desk_id, reset_of, click_id, partner_id);
create table staging.accounts as from (
    values ('A', 'T', 'D', 'C'), ('A2', 'no T', 'no D', 'no C'), ('A3', 'T', 'D', 'no C')
) as told (account_id, trader_id, desk_id, challenge_id);
create table facts.account_records as from (
    values ('deals', 'A', 5), ('deals', 'no A', 7), ('equity', 'no A', 9)
) as told (dataset, account_id, records);
create table staging.logins as from (
    values ('T', 'A'), ('T', null), ('no T', 'no A'), ('no T', 'no A'), ('T', 'no A')
) as told (trader_id, account_id) select *, 'd' as device_id, 'ip' as ip, timestamptz '2026-03-02' as occurred_at;
create table staging.consents as from (values ('T'), ('no T')) as told (trader_id);
create table staging.payments as from (
    values ('T', 'C'), ('T', null), ('no T', 'no C')
) as told (trader_id, challenge_id);
create table facts.returned_fees as from (values ('T', 'C'), ('T', null)) as told (trader_id, challenge_id);
create table staging.payouts as from (values ('Q', 'A'), ('Q2', 'no A')) as told (payout_id, account_id);
create table staging.settlements as from (values ('Q'), ('no Q'), (null)) as told (payout_id);
"""


def test_each_missing_record_is_told_with_what_waits_for_it() -> None:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(WORLD)
        connection.execute(f"create table facts.sign_ins as {relations.text('facts.sign_ins')}")
        found = connection.execute(relations.text("marts.orphans")).fetchall()
    assert sorted(found) == [
        ("accounts", "challenges", "no C", 2),
        ("accounts", "desks", "no D", 1),
        ("accounts", "traders", "no T", 1),
        ("challenges", "challenges", "no C", 1),
        ("challenges", "clicks", "no K", 1),
        ("challenges", "desks", "no D", 1),
        ("challenges", "partners", "no P", 1),
        ("challenges", "traders", "no T", 1),
        ("clicks", "partners", "no P", 1),
        ("consents", "traders", "no T", 1),
        ("deals", "accounts", "no A", 7),
        ("equity", "accounts", "no A", 9),
        ("logins", "accounts", "no A", 3),
        ("logins", "traders", "no T", 2),
        ("partners", "partners", "no P", 1),
        ("payments", "challenges", "no C", 1),
        ("payments", "challenges", "one of trader T", 1),
        ("payments", "traders", "no T", 1),
        ("payouts", "accounts", "no A", 1),
        ("settlements", "payouts", "no Q", 1),
    ]
