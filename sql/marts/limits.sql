-- Where the pages draw their lines, in one place: share of an allowance used from which an account counts as near its
-- floor, and hours within which a payout request is to be answered. Grain: one row.
select cast(0.8 as double) as near_share, cast(48 as double) as payout_hours
