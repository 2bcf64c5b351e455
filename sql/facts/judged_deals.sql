-- Deals of the accounts to be walked (`decided.walked`), as the walk reads them. Grain: account, deal_id.
-- `position` is what the deal belongs to: its position, without ids its symbol (then volumes net); `market` its symbol.
-- An account that goes on from a checkpoint has only what came after it (`since`); `walked_after` is the earliest of
-- them, if every account has one, so that files of older times are not opened.
select
    walked.account,
    deals.kind,
    deals.entry,
    deals.side,
    deals.executed_at,
    deals.profit,
    coalesce(deals.commission, 0) as commission,
    coalesce(deals.swap, 0) as swap,
    coalesce(deals.fee, 0) as fee,
    coalesce(deals.volume, 0) as volume,
    case
        when deals.position_id is not null then hash(deals.position_id)
        when deals.symbol is not null then hash(deals.symbol)
        else 0
    end as position,
    cast(hash(coalesce(deals.symbol, '')) % 4294967296 as uinteger) as market,
    deals.position_id is null as netted,
    deals.comment is not null and deals.comment ilike '%correction%' as correction,
    deals.deal_id,
    deals._load_id,
    deals._line
from staging.deals as deals
inner join decided.walked as walked using (account_id)
where
    deals.executed_at > coalesce(getvariable('walked_after'), timestamptz '-infinity')
    and deals.executed_at > coalesce(walked.since, timestamptz '-infinity')
