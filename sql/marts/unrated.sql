-- Currencies whose money no rate turns into another, for Data health. Grain: currency.
select * from checks.unrated
