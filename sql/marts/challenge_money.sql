-- Money that came in for a challenge (fees; refunds and chargebacks negative) and went out on it (settled transfers), in
-- the desk's currency at the rate of its day. Grain: one row per payment or transfer.
-- A challenge without a purchase among the payments counts with the fee of its record.
with movements as (
    select
        challenge_id,
        occurred_at as happened_at,
        kind,
        currency,
        cast(amount as double) as fee,
        cast(null as double) as payout
    from staging.payments
    where kind = 'purchase' and challenge_id is not null
    union all
    select challenge_id, occurred_at, kind, currency, -cast(amount as double), null
    from facts.returned_fees
    where challenge_id is not null
    union all
    select challenge_id, purchased_at, 'purchase', currency, cast(fee as double), null
    from staging.challenges
    where
        challenge_id not in (
            select challenge_id from staging.payments where kind = 'purchase' and challenge_id is not null
        )
    union all
    select challenge_id, settled_at, 'payout', currency, null, cast(amount as double)
    from facts.transfers
    where status = 'settled'
),

rates as (
    select currency, day, rate_to_usd from staging.rates
),

placed as (
    select
        movements.*,
        challenges.desk_id,
        coalesce(desks.currency, movements.currency) as desk_currency,
        cast(utc(movements.happened_at) as date) as day
    from movements
    inner join staging.challenges as challenges using (challenge_id)
    left join staging.desks as desks on challenges.desk_id = desks.desk_id
),

valued as (
    select
        placed.*,
        case
            when placed.currency = placed.desk_currency or coalesce(placed.fee, placed.payout) = 0 then 1
            else
                coalesce(told.rate_to_usd, case placed.currency when 'USD' then 1 end)
                / coalesce(wanted.rate_to_usd, case placed.desk_currency when 'USD' then 1 end)
        end as rate
    from placed
    asof left join rates as told on placed.currency = told.currency and placed.day >= told.day
    asof left join rates as wanted on placed.desk_currency = wanted.currency and placed.day >= wanted.day
)

select challenge_id, desk_id, kind, happened_at, desk_currency as currency, fee * rate as fee, payout * rate as payout
from valued
