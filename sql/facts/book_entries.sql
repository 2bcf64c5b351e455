-- What the feeds say about money, as entries of the ledger: one amount from the account credited to the account debited.
-- Grain: entry_id. `minor` is the amount in units of its currency, not yet in minor units.
-- Requests that stand on the desk are posted by the desk; a transfer that pays nothing known is in question.
with payments as (
    select
        'payment:' || payment_id as entry_id,
        case kind when 'purchase' then 'cash' when 'refund' then 'refunds' else 'chargebacks' end as debit,
        case kind when 'purchase' then 'fees' else 'cash' end as credit,
        currency,
        abs(amount) as minor,
        occurred_at as happened_at,
        payment_id as subject_id,
        case kind
            when 'purchase' then 'challenge bought' when 'refund' then 'fee refunded' else 'fee charged back'
        end as memo
    from staging.payments
),

earned as (
    select
        partner_id,
        'commission:' || partner_id || ':' || coalesce(challenge_id, '') || ':' || event || ':' || level || ':'
        || currency || ':' || epoch_us(happened_at) as entry_id,
        currency,
        sum(cast(amount as decimal(38, 8))) as amount,
        happened_at
    from decided.commission_entries
    group by all
),

commissions as (
    select
        entry_id,
        if(amount > 0, 'commissions', 'commissions payable') as debit,
        if(amount > 0, 'commissions payable', 'commissions') as credit,
        currency,
        abs(amount) as minor,
        happened_at,
        partner_id as subject_id,
        'commission earned' as memo
    from earned
),

-- Transfers that say which request they pay, where the desk has not decided on it; the first that arrived counts.
outside as (
    select
        transfers.*,
        coalesce(transfers.fee, 0) as cost,
        reviews.trader_share,
        reviews.firm_share,
        transfers.status = 'settled' as stands,
        row_number() over (
            partition by transfers.payout_id, transfers.status order by transfers.settled_at, transfers.settlement_id
        ) as place
    from facts.told_transfers as transfers
    inner join staging.payouts as payouts using (payout_id)
    inner join staging.accounts as accounts using (account_id)
    left join decided.payout_reviews as reviews on transfers.payout_id = reviews.payout_id
    anti join decided.payout_states as held on transfers.payout_id = held.payout_id
    where transfers.status in ('settled', 'returned')
),

-- A cost within the amount is borne by the trader, one on top of it by the firm.
paid as (
    select
        *,
        abs(amount + cost - trader_share) < 0.005 and cost > 0 as within,
        if(abs(amount + cost - trader_share) < 0.005, amount + cost, amount) as share
    from outside
    where not stands or place = 1
),

payout_lines as (
    select
        'settlement:' || paid.settlement_id || ':' || lines.line as entry_id,
        lines.debit,
        lines.credit,
        paid.currency,
        case lines.amount
            when 'share' then paid.share
            when 'firm' then
                if(abs(paid.share - paid.trader_share) < 0.005, cast(paid.firm_share as decimal(38, 8)), 0)
            else if(paid.within, 0, paid.cost)
        end as minor,
        paid.settled_at as happened_at,
        paid.payout_id as subject_id,
        lines.memo
    from paid
    cross join (
        values
            ('share', 'traders'' profit', 'payouts payable', 'share', 'payout granted', false),
            ('firm', 'traders'' profit', 'firm''s share', 'firm', 'payout granted', false),
            ('paid', 'payouts payable', 'cash', 'share', 'payout paid', false),
            ('fee', 'transfer fees', 'cash', 'fee', 'transfer fee', false),
            ('returned', 'cash', 'payouts payable', 'share', 'payout came back', true),
            ('share back', 'payouts payable', 'traders'' profit', 'share', 'payout withdrawn', true),
            ('firm back', 'firm''s share', 'traders'' profit', 'firm', 'payout withdrawn', true)
    ) as lines (line, debit, credit, amount, memo, only_returned)
    where not (lines.only_returned and paid.stands)
),

partner_lines as (
    select
        'settlement:' || settlement_id || ':commission' as entry_id,
        'commissions payable' as debit,
        'cash' as credit,
        currency,
        cast(amount as decimal(38, 8)) as minor,
        settled_at as happened_at,
        partner_id as subject_id,
        'commission paid' as memo
    from facts.partner_transfers
),

in_question as (
    select
        'settlement:' || transfers.settlement_id || ':question' as entry_id,
        'transfers in question' as debit,
        'cash' as credit,
        transfers.currency,
        transfers.amount as minor,
        transfers.settled_at as happened_at,
        transfers.settlement_id as subject_id,
        'transfer without a request of its own' as memo
    from staging.settlements as transfers
    anti join paid on transfers.settlement_id = paid.settlement_id
    anti join facts.partner_transfers as partners on transfers.settlement_id = partners.settlement_id
    anti join decided.settlement_events as events
        on transfers.settlement_id = events.settlement_id and events.outcome = 'moved'
    where transfers.status = 'settled'
)

select * from payments
union all
select * from commissions
union all
select * from payout_lines
union all
select * from partner_lines
union all
select * from in_question
