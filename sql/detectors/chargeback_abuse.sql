-- Disputes of each trader. Grain: trader_id; only traders who disputed.
with bought as (
    select trader_id, count(*) as purchases
    from detectors.purchases
    group by trader_id
),

-- instruments by which somebody paid who disputes nothing: that person's own, or a name that stands for those of many
standing as (
    select payments.instrument
    from staging.payments as payments
    anti join detectors.disputed_payments as disputed using (trader_id, instrument)
    where payments.kind = 'purchase' and payments.instrument is not null
),

-- one instrument of several traders who all dispute was nobody's of them
together as (
    select one.trader_id, count(distinct other.trader_id) as others_on_instrument
    from detectors.disputed_payments as one
    inner join detectors.disputed_payments as other
        on one.instrument = other.instrument and one.trader_id <> other.trader_id
    anti join standing on one.instrument = standing.instrument
    group by one.trader_id
)

select
    disputed.trader_id,
    count(*) as disputes,
    coalesce(any_value(bought.purchases), count(*)) as purchases,
    -- in full within the days that count as an answer, fading to nothing over as many again
    sum(case when disputed.days_after_breach >= 0
        then greatest(least(2 - disputed.days_after_breach / getvariable('chargeback_abuse_answer_days'), 1), 0)
    else 0 end) as soon_after_breach,
    count(*) filter (where disputed.is_after_payout) as after_payout,
    count(distinct disputed.instrument) as instruments,
    coalesce(any_value(together.others_on_instrument), 0) as others_on_instrument,
    sum(disputed.amount) as amount,
    min(disputed.occurred_at) as first_at,
    max(disputed.occurred_at) as last_at
from detectors.disputed_payments as disputed
left join bought using (trader_id)
left join together using (trader_id)
group by disputed.trader_id
