-- What each challenge brought: its fee less refunds and chargebacks, in the fee's currency. Grain: challenge_id.
with returned as (
    select challenge_id, sum(amount) as amount
    from facts.returned_fees
    where challenge_id is not null
    group by challenge_id
)

select
    challenges.challenge_id,
    challenges.trader_id,
    challenges.product,
    challenges.currency,
    challenges.purchased_at,
    challenges.fee,
    challenges.fee - least(coalesce(returned.amount, 0), challenges.fee) as net_fee
from staging.challenges as challenges
left join returned using (challenge_id)
