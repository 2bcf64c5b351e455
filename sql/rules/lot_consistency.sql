-- Entries whose lots are too far from the account's average, once there are enough of them. Grain: account_id, entry.
-- Trades of one instrument and direction opened soon after each other are one entry of their summed lots. Judged over
-- the whole stage as it stands, at the last entry.
with accounts as (
    select
        accounts.account,
        cast(terms.low as decimal(9, 4)) as low,
        cast(terms.high as decimal(9, 4)) as high,
        terms.min_trades,
        terms.merge_seconds
    from facts.rule_accounts as accounts
    inner join terms.lot_consistency as terms using (product, product_version, stage)
    semi join (select account from decided.suspect_accounts where rule = 'lot_consistency') as suspects using (account)
),

followed as (
    select
        trades.account,
        trades.market,
        trades.side,
        trades.place,
        trades.lots,
        trades.opened_at,
        trades.opened_at > lag(trades.opened_at) over (
            partition by trades.account, trades.market, trades.side order by trades.place
        ) + to_seconds(accounts.merge_seconds) as apart
    from facts.rule_trades as trades
    inner join accounts using (account)
),

numbered as (
    select
        account,
        market,
        side,
        place,
        lots,
        opened_at,
        count(*) filter (where coalesce(apart, true)) over (
            partition by account, market, side order by place
        ) as entry
    from followed
),

entries as (
    select account, min(place) as first_place, max(opened_at) as last_at, sum(lots) as lots
    from numbered
    group by account, market, side, entry
),

totals as (
    select account, count(*) as entries, sum(lots) as total, max(last_at) as last_at
    from entries
    group by account
),

-- lots against a multiple of the average, both sides times the number of entries so that nothing is divided
compared as (
    select
        entries.account,
        entries.first_place,
        entries.lots,
        totals.entries,
        totals.last_at,
        cast(totals.total as double) / totals.entries as average,
        entries.lots * totals.entries > totals.total * accounts.high as large,
        entries.lots * totals.entries < totals.total * accounts.low as small,
        accounts.low,
        accounts.high
    from entries
    inner join totals using (account)
    inner join accounts using (account)
    where totals.entries >= accounts.min_trades
)

select
    trades.account_id,
    compared.last_at as happened_at,
    'breached' as outcome,
    cast(compared.lots as double) as observed,
    compared.average * cast(case when compared.large then compared.high else compared.low end as double) as allowed,
    trades.trade_id,
    json_object(
        'instrument', trades.instrument, 'opened_at', strftime(trades.opened_at, '%Y-%m-%d %H:%M:%S UTC'),
        'average', compared.average, 'entries', compared.entries, 'large', compared.large
    ) as detail
from compared
inner join facts.rule_trades as trades on compared.account = trades.account and compared.first_place = trades.place
where compared.large or compared.small
