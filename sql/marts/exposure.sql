-- Open positions net by instrument, firm money apart from evaluations. Grain: desk_id, funded, instrument.
-- The largest share is that of the account which holds most, of all lots held; value as in marts.exposure_accounts.
select
    desk_id,
    funded,
    instrument,
    count(*) as accounts,
    sum(positions) as positions,
    sum(long_lots) as long_lots,
    sum(short_lots) as short_lots,
    sum(net_lots) as net_lots,
    sum(net_usd) as net_usd,
    sum(weighted_usd) as weighted_usd,
    count(*) filter (where net_usd is null) as unknown,
    max(long_lots + short_lots) / nullif(sum(long_lots + short_lots), 0) as largest_share
from marts.exposure_accounts
group by desk_id, funded, instrument
