-- What cohorts can be cut by. Grain: desk_id, product, size_name, channel, country.
select desk_id, product, size_name, any_value(size) as size, channel, country, count(*) as challenges
from marts.cohort_challenges
group by desk_id, product, size_name, channel, country
