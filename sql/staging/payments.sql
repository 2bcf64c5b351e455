-- Money from traders: purchases, refunds, chargebacks. Newest version of each record as of the run. Grain: payment_id.
with corrected as (
    select payment_id, max(_version) as newest
    from lake.payments
    where _version > 1
    group by payment_id
)

select
    told.payment_id,
    told.trader_id,
    told.challenge_id,
    told.kind,
    told.instrument,
    told.amount,
    told.currency,
    told.occurred_at,
    told._load_id,
    told._line,
    told._version
from lake.payments as told
left join corrected using (payment_id)
where
    told.occurred_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
