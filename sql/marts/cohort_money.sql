-- What purchases paid in and were paid, by what cohorts can be cut by and the purchase's age then in periods of 30 days (the
-- first is 0; money that came before the purchase counts in it). Grain: desk_id, product, size_name, channel, country,
-- cohort_month, age. In the desk's currency.
select
    challenges.desk_id,
    challenges.product,
    challenges.size_name,
    challenges.channel,
    challenges.country,
    challenges.cohort_month,
    greatest(date_diff('microsecond', utc(challenges.purchased_at), utc(money.happened_at)) // (30 * 86400000000), 0) as age,
    coalesce(sum(money.fee), 0) as fee,
    coalesce(sum(money.payout), 0) as payout
from marts.challenge_money as money
inner join marts.cohort_challenges as challenges using (challenge_id)
group by all
