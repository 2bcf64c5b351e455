-- Where the pages draw their lines, in one place: share of an allowance used from which an account counts as near its
-- floor, hours within which a payout request is to be answered, strength from which a signal is a flag, the normal
-- quantile of a 95 % interval, minutes within which entries on one side are a crowd, and with how many buyers of the firm
-- a group's own are taken together when it is told how far money varies: few see none of the rare large payouts that the
-- next may bring. Grain: one row.
select
    cast(0.8 as double) as near_share,
    cast(48 as double) as payout_hours,
    cast(0.5 as double) as flag_strength,
    cast(1.959964 as double) as quantile,
    cast(15 as double) as crowding_minutes,
    cast(100 as double) as usual_buyers
