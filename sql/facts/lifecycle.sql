-- A challenge's path, one row per transition, resets linked both ways. Grain: challenge_id, sequence.
with sentences as (
    select account_id, outcome, arg_max(sentence, happened_at) as sentence
    from facts.verdicts
    where outcome in ('breached', 'passed')
    group by account_id, outcome
),

-- firms sell few sizes at few fees: each is put in words once
amounts as (
    select amount, format('{:,.2f}', cast(amount as double)) as words
    from (select fee as amount from staging.challenges union select initial_balance from staging.accounts)
),

transitions as (
    select
        challenge_id,
        trader_id,
        cast(null as varchar) as account_id,
        cast(null as varchar) as stage,
        'purchased' as event,
        purchased_at as happened_at,
        'Bought ' || product || ' for ' || amounts.words || ' ' || currency || coalesce(' as a reset of ' || reset_of, '')
            as cause,
        0 as place
    from staging.challenges
    left join amounts on challenges.fee = amounts.amount

    union all

    select resets.reset_of, resets.trader_id, null, null, 'reset', resets.purchased_at, 'Restarted as ' || resets.challenge_id, 8
    from staging.challenges as resets
    inner join staging.challenges as restarted on resets.reset_of = restarted.challenge_id

    union all

    select
        challenge_id, trader_id, account_id, stage, 'started', opened_at,
        'Account ' || account_id || ' opened with ' || amounts.words || ' ' || currency || ' on ' || platform, 1
    from staging.accounts
    left join amounts on accounts.initial_balance = amounts.amount

    union all

    select
        accounts.challenge_id, accounts.trader_id, accounts.account_id, accounts.stage, status.status, status.status_at,
        coalesce(
            sentences.sentence,
            case status.status
                when 'closed' then 'Closed by the firm'
                else 'No trade for longer than the terms allow'
            end
        ),
        case status.status when 'passed' then 2 when 'breached' then 3 when 'expired' then 4 else 5 end
    from decided.account_status as status
    inner join staging.accounts as accounts using (account_id)
    left join sentences on status.account_id = sentences.account_id and status.status = sentences.outcome
    where status.status in ('passed', 'breached', 'expired', 'closed')

    union all

    select
        accounts.challenge_id, accounts.trader_id, accounts.account_id, accounts.stage, 'paid', settlements.settled_at,
        format('{:,.2f} {} settled', cast(settlements.amount as double), settlements.currency)
        || coalesce(', reference ' || settlements.reference, ''), 6
    from staging.settlements as settlements
    inner join staging.payouts as payouts using (payout_id)
    inner join staging.accounts as accounts using (account_id)
    where settlements.status = 'settled'
)

select
    challenge_id,
    trader_id,
    account_id,
    stage,
    event,
    happened_at,
    cause,
    cast(row_number() over (partition by challenge_id order by happened_at, place, account_id, cause) as integer) as sequence
from transitions
