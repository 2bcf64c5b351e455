-- What one lot of an instrument gains per unit of price and by how much its positions usually differ from their entry,
-- learnt from what closed, so that no contract sizes are needed. Grain: instrument, currency.
select
    trades.instrument,
    accounts.currency,
    median(abs(trades.profit) / (abs(trades.close_price - trades.open_price) * trades.lots)) as point_value,
    median(abs(trades.close_price - trades.open_price)) as usual_move,
    min(trades.lots) as smallest_lots,
    median(abs(trades.profit) / trades.lots) as usual_result_per_lot,
    count(*) as positions
from facts.trades as trades
inner join facts.accounts as accounts using (account_id)
where trades.profit <> 0 and trades.close_price <> trades.open_price and trades.lots > 0 and trades.closed_at is not null
group by trades.instrument, accounts.currency
