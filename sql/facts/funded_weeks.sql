-- Funded accounts at the end of each Thursday that they lived, idle ones with what stood in them last, and what was paid
-- from them after it. Grain: account_id, firm_day. Amounts as shares of the initial balance; `next_paid` is what was
-- settled within the horizon after the day in whatever currency, unknown until the horizon has passed; `split` the share of
-- profit then in force.
-- Weeks, so that one payment is not counted once for every day before it; every living account, since those are what is
-- forecast: who traded on the day is paid more often.
with lived as (
    select
        status.account_id,
        accounts.opened_at,
        case when status.status not in ('active', 'paused') then status.status_at end as ended_at,
        cast(accounts.initial_balance as double) as initial
    from decided.account_status as status
    inner join staging.accounts as accounts using (account_id)
    where status.stage in ('funded', 'instant') and accounts.initial_balance > 0
),

weeks as (
    -- the first of 1970 was a Thursday
    select timestamptz '1970-01-02 00:00:00+00' + to_days(cast(7 * week as integer)) as stands_at
    from (
        select unnest(
            range(
                (select date_diff('day', timestamptz '1970-01-02 00:00:00+00', min(opened_at)) // 7 from lived),
                date_diff('day', timestamptz '1970-01-02 00:00:00+00', getvariable('as_of')) // 7 + 1
            )
        ) as week
    )
),

stood as (
    select lived.*, weeks.stands_at
    from lived
    inner join weeks
        on
            lived.opened_at <= weeks.stands_at
            and weeks.stands_at <= getvariable('as_of')
            and (lived.ended_at is null or lived.ended_at > weeks.stands_at)
),

-- in the account's currency at the rate of its day; unknown where there is none
paid as (
    select
        transfers.account_id,
        transfers.settled_at,
        cast(transfers.amount as double)
        * case
            when transfers.currency = transfers.account_currency then 1
            else
                in_dollars(transfers.currency, told.rate_to_usd)
                / in_dollars(transfers.account_currency, wanted.rate_to_usd)
        end as amount
    from (
        select *, cast(utc(settled_at) as date) as day from facts.transfers where status = 'settled'
    ) as transfers
    asof left join staging.rates as told on transfers.currency = told.currency and transfers.day >= told.day
    asof left join staging.rates as wanted
        on transfers.account_currency = wanted.currency and transfers.day >= wanted.day
),

received as (
    select
        stood.account_id,
        stood.stands_at,
        count(*) filter (where paid.settled_at <= stood.stands_at) as paid_before,
        sum(paid.amount) filter (where paid.settled_at > stood.stands_at) as next_paid,
        count(*) filter (where paid.settled_at > stood.stands_at and paid.amount is null) as unknown_next
    from stood
    inner join paid
        on
            stood.account_id = paid.account_id
            and paid.settled_at <= stood.stands_at + to_days(cast(getvariable('liability_horizon_days') as integer))
    group by stood.account_id, stood.stands_at
),

asked as (
    select
        payouts.account_id,
        payouts.requested_at,
        cast(payouts.amount as double) as amount,
        min(paid.settled_at) as answered_at
    from staging.payouts as payouts
    left join paid on payouts.account_id = paid.account_id and payouts.requested_at < paid.settled_at
    group by payouts.payout_id, payouts.account_id, payouts.requested_at, payouts.amount
),

days as (
    select
        days.account_id,
        days.stands_at,
        days.profit / lived.initial as profit_share,
        days.open_profit / lived.initial as open_share,
        days.is_traded
    from facts.funded_days as days
    inner join lived using (account_id)
),

-- of each week the last day before its end, and the last traded one: an account whose trader has gone away keeps its
-- profit and is paid ever less often; an asof join with so many days is far slower than one pass
last_days as (
    select
        account_id,
        stands_at,
        last_value(profit_share ignore nulls) over before as profit_share,
        last_value(open_share ignore nulls) over before as open_share,
        max(traded_at) over before as traded_at
    from (
        select account_id, stands_at, profit_share, open_share, case when is_traded then stands_at end as traded_at, false as is_week
        from days
        union all
        select account_id, stands_at, null, null, null, true from stood
    )
    window before as (
        partition by account_id order by stands_at, is_week rows between unbounded preceding and current row
    )
    qualify is_week
),

waiting as (
    select stood.account_id, stood.stands_at, sum(asked.amount) as amount
    from stood
    inner join asked
        on
            stood.account_id = asked.account_id
            and asked.requested_at <= stood.stands_at
            and asked.requested_at > stood.stands_at - to_days(cast(getvariable('liability_waiting_days') as integer))
            and (asked.answered_at is null or asked.answered_at > stood.stands_at)
    group by stood.account_id, stood.stands_at
)

select
    stood.account_id,
    cast(stood.stands_at - interval 1 day as date) as firm_day,
    date_diff('day', stood.opened_at, stood.stands_at) as age_days,
    date_diff('day', coalesce(last_days.traded_at, stood.opened_at), stood.stands_at) as idle_days,
    coalesce(last_days.profit_share, 0) as profit_share,
    coalesce(last_days.open_share, 0) as open_share,
    coalesce(received.paid_before, 0) as paid_before,
    coalesce(waiting.amount, 0) / stood.initial as waiting_share,
    case
        when
            stood.stands_at + to_days(cast(getvariable('liability_horizon_days') as integer)) <= getvariable('as_of')
            and coalesce(received.unknown_next, 0) = 0
            then coalesce(received.next_paid, 0) / stood.initial
    end as next_paid,
    share_of(coalesce(last_days.profit_share, 0) * stood.initial, splits.begins, splits.percents) as split
from stood
left join last_days on stood.account_id = last_days.account_id and stood.stands_at = last_days.stands_at
left join received on stood.account_id = received.account_id and stood.stands_at = received.stands_at
left join waiting on stood.account_id = waiting.account_id and stood.stands_at = waiting.stands_at
asof left join facts.splits as splits
    on stood.account_id = splits.account_id and stood.stands_at >= splits.since
