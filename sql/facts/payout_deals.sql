-- Money events of the accounts that ever asked for a payout, up to the run. Grain: account_id, deal_id.
-- `net` is what the event adds to the balance; the opening deposit adds nothing, the initial balance stands for it.
with asked as (
    select distinct account_id
    from staging.payouts
),

deals as (
    select
        deals.account_id,
        deals.deal_id,
        deals.kind,
        deals.entry,
        deals.executed_at,
        cast(deals.profit as decimal(38, 8)) as profit,
        cast(
            deals.profit + coalesce(deals.commission, 0) + coalesce(deals.swap, 0) + coalesce(deals.fee, 0)
            as decimal(38, 8)
        ) as net,
        deals.comment is not null and deals.comment ilike '%correction%' as correction,
        deals.kind = 'balance' and deals.profit = accounts.initial_balance as deposit
    from staging.deals as deals
    inner join asked using (account_id)
    inner join staging.accounts as accounts using (account_id)
    where deals.kind <> 'credit'
),

numbered as (
    select
        *,
        row_number() over (partition by account_id, deposit order by executed_at, deal_id) as place
    from deals
)

select
    account_id,
    deal_id,
    kind,
    entry,
    executed_at,
    case
        when deposit and place = 1 then cast(0 as decimal(38, 8))
        when kind = 'balance' then profit
        else net
    end as net,
    kind = 'balance' and profit < 0 and not correction as payout
from numbered
