-- Until when trades of each platform and server were delivered, and whether an account without any says that nobody traded.
-- Grain: platform, server, stage. A server with few accounts may rest as a whole: the firm's newest trade stands for it.
with told as (
    select
        accounts.account_id,
        accounts.platform,
        coalesce(accounts.server, '') as server,
        accounts.stage,
        traded.last_traded_at
    from facts.accounts as accounts
    left join detectors.traded as traded using (account_id)
),

firm as (
    select max(last_traded_at) as last_traded_at, count(*) as accounts
    from told
),

servers as (
    select platform, server, max(last_traded_at) as last_traded_at, count(*) as accounts
    from told
    group by platform, server
),

stages as (
    select platform, server, stage, count(*) as accounts, count(last_traded_at) as traded
    from told
    group by platform, server, stage
)

select
    stages.platform,
    stages.server,
    stages.stage,
    case
        when servers.accounts >= getvariable('inactivity_feed_accounts') then servers.last_traded_at
        when firm.accounts >= getvariable('inactivity_feed_accounts') then firm.last_traded_at
        when firm.last_traded_at is not null then getvariable('as_of')
    end as delivered_to,
    stages.accounts < getvariable('inactivity_feed_accounts')
    or 1 - stages.traded / stages.accounts <= getvariable('inactivity_untraded_share') as is_rest_told
from stages
inner join servers using (platform, server)
cross join firm
