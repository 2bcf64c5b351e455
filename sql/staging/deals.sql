-- Executions and money movements of accounts. Newest version of each record as of the run. Grain: account_id, deal_id.
with corrected as (
    select account_id, deal_id, max(_version) as newest
    from lake.deals
    where _version > 1
    group by account_id, deal_id
)

select
    told.account_id,
    told.deal_id,
    told.position_id,
    told.kind,
    told.entry,
    told.side,
    told.symbol,
    told.volume,
    told.price,
    told.executed_at,
    told.commission,
    told.swap,
    told.fee,
    told.profit,
    told.stop_loss,
    told.take_profit,
    told.reason,
    told.magic,
    told.comment,
    told._load_id,
    told._line,
    told._version
from lake.deals as told
left join corrected using (account_id, deal_id)
where
    told.executed_at <= getvariable('as_of')
    and (corrected.newest is null or told._version = corrected.newest)
