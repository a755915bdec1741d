-- The outbox: events that wait, and the one batch of them that is under way.

-- name: outbox_add
insert into outbox (kind, payload) values ($1, $2);

-- name: outbox_any
select 1 as found from outbox limit 1;

-- name: outbox_oldest
select id from outbox order by id limit $1;

-- name: outbox_events [sqlite]
-- The events of the JSON array of ids $1.
select o.id, o.kind, o.payload from json_each($1) e join outbox o on o.id = e.value
order by o.id;

-- name: outbox_events
select o.id, o.kind, o.payload
from json_array_elements_text(cast($1 as json)) e join outbox o on o.id = cast(e.value as bigint)
order by o.id;

-- name: outbox_forget [sqlite]
delete from outbox where id in (select e.value from json_each($1) e);

-- name: outbox_forget
delete from outbox where id in (
  select cast(e.value as bigint) from json_array_elements_text(cast($1 as json)) e
);

-- name: outbox_batch_get
select token, event_ids, holder, lease_until from outbox_batch where id = 1;

-- name: outbox_batch_open
insert into outbox_batch (id, token, event_ids, holder, lease_until) values (1, $1, $2, $3, $4)
on conflict (id) do nothing;

-- name: outbox_batch_take
-- By its holder, or by anybody once its lease has run out.
update outbox_batch set holder = $2, lease_until = $3
where id = 1 and token = $1 and (holder = $2 or lease_until <= $4);

-- name: outbox_batch_close
delete from outbox_batch where id = 1 and token = $1;

-- name: outbox_batch_clear
-- One that cannot be read.
delete from outbox_batch;

-- name: outbox_span
-- At least as many as wait: ids are given in order, and some are never used. Each of the two
-- is one look at an end of the index; in one select they would be a scan on SQLite.
select coalesce((select max(id) from outbox) - (select min(id) from outbox) + 1, 0) as span;

-- name: outbox_page
-- The $2 newest events below the id $1: how many there are, and where the next page begins.
select count(*) as count, min(id) as lowest
from (select id from outbox where id < $1 order by id desc limit $2) as page;

-- name: outbox_drop [sqlite]
-- At most $2 of the oldest below the id $1, but none of the batch under way.
delete from outbox where id in (
  select id from outbox
  where id < $1 and id not in (select e.value from outbox_batch b, json_each(b.event_ids) e)
  order by id limit $2
);

-- name: outbox_drop
delete from outbox where id in (
  select id from outbox
  where id < $1 and id not in (
    select cast(e.value as bigint)
    from outbox_batch b, json_array_elements_text(cast(b.event_ids as json)) e
  )
  order by id limit $2
);
