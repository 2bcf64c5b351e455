-- How many challenges of each product were bought and breached, whoever bought them. Grain: product.
with challenge as (
    select product, bool_or(status = 'breached') as breached
    from marts.accounts
    where status is not null
    group by challenge_id, product
)

select
    product,
    count(*) as challenges,
    count(*) filter (where breached) as breached,
    avg(cast(breached as double)) as breached_share
from challenge
group by product
