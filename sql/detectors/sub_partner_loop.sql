-- Partners whose parent is paid to the same place, writes from the same mailbox, or is themselves. Grain: partner_id.
with recursive up as (
    select partner_id, parent_partner_id as above, 1 as level
    from staging.partners
    where parent_partner_id is not null
    union all
    select up.partner_id, partners.parent_partner_id, up.level + 1
    from up
    inner join staging.partners as partners on up.above = partners.partner_id
    where partners.parent_partner_id is not null and up.level < getvariable('sub_partner_loop_levels')
)

select
    mine.partner_id,
    count(distinct up.above) as above,
    count(*) filter (where up.above = mine.partner_id) as own_ancestor,
    count(distinct up.above) filter (
        where up.above <> mine.partner_id and theirs.payout_destination = mine.payout_destination
    ) as same_destination,
    count(distinct up.above) filter (
        where up.above <> mine.partner_id and their_box.mailbox = my_box.mailbox
    ) as same_mailbox,
    min(mine.joined_at) as first_at,
    max(theirs.joined_at) as last_at
from up
inner join staging.partners as mine using (partner_id)
inner join staging.partners as theirs on up.above = theirs.partner_id
left join detectors.mailboxes as my_box on my_box.kind = 'partner' and mine.partner_id = my_box.id
left join detectors.mailboxes as their_box on their_box.kind = 'partner' and theirs.partner_id = their_box.id
group by mine.partner_id
having
    count(*) filter (
        where up.above = mine.partner_id
        or theirs.payout_destination = mine.payout_destination
        or their_box.mailbox = my_box.mailbox
    ) > 0
