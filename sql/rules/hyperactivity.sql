-- Firm days with more opening deals than the stage allows, at the first too many. Grain: account_id, firm_day.
with accounts as (
    select accounts.account, accounts.product, accounts.product_version, terms.trades_per_day
    from facts.rule_accounts as accounts
    inner join terms.hyperactivity as terms using (product, product_version, stage)
    semi join (select account from decided.suspect_accounts where rule = 'hyperactivity') as suspects using (account)
),

openings as (
    select deals.account, deals.place, deals.executed_at, deals.deal_id, accounts.trades_per_day, resets.firm_day
    from facts.rule_deals as deals
    inner join accounts using (account)
    asof inner join terms.resets as resets
        on
            accounts.product = resets.product
            and accounts.product_version = resets.product_version
            and deals.executed_at >= resets.opened_at
    where deals.role = 'in'
),

numbered as (
    select
        *,
        count(*) over (partition by account, firm_day) as in_all,
        row_number() over (partition by account, firm_day order by executed_at, deal_id) as number_of_day
    from openings
)

select
    trades.account_id,
    numbered.executed_at as happened_at,
    'breached' as outcome,
    cast(numbered.in_all as double) as observed,
    cast(numbered.trades_per_day as double) as allowed,
    trades.trade_id,
    json_object('firm_day', numbered.firm_day) as detail
from numbered
inner join facts.rule_trades as trades using (account, place)
where numbered.number_of_day = numbered.trades_per_day + 1
