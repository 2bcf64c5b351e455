-- What was told again about the past and changes who is credited or paid: clicks that credit a purchase told of another
-- partner, partners' records of a day told with another parent or plan, and those that count from a day before one told
-- earlier. Grain: click or partner and day.
with clicks as (
    select
        told.click_id,
        first(told.partner_id order by told._version) as was,
        last(told.partner_id order by told._version) as became
    from lake.clicks as told
    semi join (select click_id from lake.clicks where _version > 1) as again on told.click_id = again.click_id
    where told.occurred_at <= getvariable('as_of')
    group by told.click_id
    having was <> became
),

credited as (
    select clicks.click_id, clicks.was, clicks.became, min(challenges.challenge_id) as challenge_id, count(*) as purchases
    from clicks
    inner join staging.challenges as challenges using (click_id)
    group by all
),

records as (
    select
        partner_id,
        joined_at,
        _version,
        coalesce(parent_partner_id, 'nobody') as parent,
        plan
    from lake.partners
    where joined_at <= getvariable('as_of')
),

places as (
    select
        partner_id,
        joined_at,
        first(parent order by _version) as was_under,
        last(parent order by _version) as is_under,
        first(plan order by _version) as had_plan,
        last(plan order by _version) as has_plan
    from records
    group by partner_id, joined_at
    having was_under <> is_under or had_plan <> has_plan
),

earlier as (
    select late.partner_id, late.joined_at, min(records.joined_at) as other
    from records as late
    inner join records
        on
            late.partner_id = records.partner_id
            and late._version > records._version
            and late.joined_at < records.joined_at
    group by all
)

select
    'click ' || click_id || ' was told of partner ' || was || ' at first and of ' || became
    || ' now; the newest word credits ' || challenge_id
    || case when purchases > 1 then ' and ' || (purchases - 1) || ' more' else '' end as told
from credited
union all
select
    'partner ' || partner_id || ': the record from ' || strftime(timezone('UTC', joined_at), '%Y-%m-%d')
    || ' was told anew (under ' || was_under || ' by ' || had_plan || ', now under ' || is_under || ' by ' || has_plan
    || '); sales since then are settled anew'
from places
union all
select
    'partner ' || partner_id || ': a record told later counts from ' || strftime(timezone('UTC', joined_at), '%Y-%m-%d')
    || ', before one told earlier; that one still holds from ' || strftime(timezone('UTC', other), '%Y-%m-%d') || ' on'
from earlier
