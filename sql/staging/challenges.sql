-- What was bought: one purchase of a product by a trader. Newest version of each record as of the run. Grain: challenge_id.
with corrected as (
    select challenge_id, max(_version) as newest
    from lake.challenges
    where _version > 1
    group by challenge_id
)

select
    told.challenge_id,
    told.trader_id,
    told.desk_id,
    told.product,
    told.purchased_at,
    told.fee,
    told.currency,
    told.partner_id,
    told.click_id,
    told.coupon,
    told.instrument,
    told.reset_of,
    told._load_id,
    told._line,
    told._version
from lake.challenges as told
left join corrected using (challenge_id)
where
    told.purchased_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
