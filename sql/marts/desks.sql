-- Desks as the pages offer them. Grain: desk_id.
select desk_id, name, currency, time_zone
from staging.desks
