-- Money events of the accounts that ever asked for a payout, into which money was put or from which it was taken, or whose
-- split changes with them, up to the run. Grain: account_id, deal_id.
-- `net` is what the event adds to the balance, each amount rounded as the walk does; the opening deposit adds nothing, the
-- initial balance stands for it.
-- `payout`: money that left for the trader. `deposit`: money put in that is no profit; a payout that came back is neither.
-- `taken_off`: what a correction took from the balance.
with asked as (
    select account_id
    from staging.payouts
    union
    select account_id
    from facts.changing_splits
    union
    -- funded ones that know more operations than their opening
    select deals.account_id
    from staging.deals as deals
    inner join staging.accounts as accounts using (account_id)
    where deals.kind = 'balance' and accounts.stage in ('funded', 'instant')
    group by deals.account_id
    having count(*) > 1 or bool_or(deals.profit <> accounts.initial_balance)
),

deals as (
    select
        deals.account_id,
        deals.deal_id,
        deals.kind,
        deals.entry,
        deals.executed_at,
        as_walked(deals.profit, accounts.currency) as profit,
        net_as_walked(deals.profit, deals.commission, deals.swap, deals.fee, accounts.currency) as net,
        deals.kind = 'balance'
        and not coalesce(deals.comment ilike '%correction%', false) as operation,
        deals.kind = 'balance'
        and as_walked(deals.profit, accounts.currency) = as_walked(accounts.initial_balance, accounts.currency) as opening
    from staging.deals as deals
    inner join asked using (account_id)
    inner join staging.accounts as accounts using (account_id)
    where deals.kind <> 'credit'
),

numbered as (
    select
        *,
        opening
        and row_number() over (partition by account_id, opening order by executed_at, deal_id) = 1 as opens
    from deals
),

-- An amount put back is the newest payout of that amount before it, each once.
came_back as (
    select
        paid.account_id,
        paid.deal_id,
        back.deal_id as back_id,
        row_number() over (
            partition by back.account_id, back.deal_id order by paid.executed_at desc, paid.deal_id desc
        ) as place,
        row_number() over (
            partition by paid.account_id, paid.deal_id order by back.executed_at, back.deal_id
        ) as turn
    from numbered as paid
    inner join numbered as back
        on
            paid.account_id = back.account_id
            and paid.profit = -back.profit
            and paid.executed_at <= back.executed_at
    where paid.operation and paid.profit < 0 and back.operation and not back.opens
)

select
    numbered.account_id,
    numbered.deal_id,
    numbered.kind,
    numbered.entry,
    numbered.executed_at,
    case
        when numbered.opens then cast(0 as decimal(38, 8))
        when numbered.kind = 'balance' then numbered.profit
        else numbered.net
    end as net,
    numbered.operation and numbered.profit < 0 and paid.deal_id is null as payout,
    numbered.operation and numbered.profit > 0 and not numbered.opens and back.back_id is null as deposit,
    numbered.kind = 'balance' and not numbered.operation and numbered.profit < 0 as taken_off
from numbered
left join came_back as paid
    on
        numbered.account_id = paid.account_id
        and numbered.deal_id = paid.deal_id
        and paid.place = 1
        and paid.turn = 1
left join came_back as back
    on
        numbered.account_id = back.account_id
        and numbered.deal_id = back.back_id
        and back.place = 1
        and back.turn = 1
