-- What the janitor asks; gauges and meta.

-- name: garbage_oldest
-- What is condemned waits at the far end of the index. What is referred to after all (a part that
-- copies what was just being deleted) is never handed out.
select g.blob_id from garbage g
where g.created_at <= $2
  and not exists (select 1 from object_segments o where o.blob_id = g.blob_id)
  and not exists (select 1 from part_segments p where p.blob_id = g.blob_id)
order by g.created_at, g.id limit $1;

-- name: garbage_condemn
-- The names in the JSON array $1, as if they had become garbage at $2.
insert into garbage (blob_id, created_at)
select value, $2 from json_array_elements_text(cast($1 as json)) where true
on conflict (blob_id) do nothing;

-- name: garbage_condemn [sqlite]
insert into garbage (blob_id, created_at)
select value, $2 from json_each($1) where true
on conflict (blob_id) do nothing;

-- name: garbage_forget
delete from garbage where blob_id = $1;

-- name: blobs_unknown
-- Those of the names in the JSON array $1 that nothing refers to.
select b.value as blob_id from json_array_elements_text(cast($1 as json)) b
where not exists (select 1 from object_segments o where o.blob_id = b.value)
  and not exists (select 1 from part_segments p where p.blob_id = b.value)
  and not exists (select 1 from garbage g where g.blob_id = b.value)
  and not exists (select 1 from meta where name = 'blob_store_marker' and value = b.value);

-- name: blobs_unknown [sqlite]
select b.value as blob_id from json_each($1) b
where not exists (select 1 from object_segments o where o.blob_id = b.value)
  and not exists (select 1 from part_segments p where p.blob_id = b.value)
  and not exists (select 1 from garbage g where g.blob_id = b.value)
  and not exists (select 1 from meta where name = 'blob_store_marker' and value = b.value);

-- name: blob_referenced
select 1 as found
where exists (select 1 from object_segments where blob_id = $1)
   or exists (select 1 from part_segments where blob_id = $1);

-- name: stalled_end
-- Transactions whose client the server has waited for longer than $1 seconds in the midst of a
-- statement. Each statement that a connection runs for the first time is two messages, first
-- what it is and then that it be run; a process that is suspended in between holds its locks
-- for ever: neither statement_timeout nor idle_in_transaction_session_timeout ends that, and
-- transaction_timeout is not known before PostgreSQL 17, nor obeyed while an answer is written.
-- Sessions of the same user and application_name, which needs no further right; but not what
-- somebody copies with the same URI (pg_dump), who may be slow.
select ended.pid from (
  select pid, pg_terminate_backend(pid) as is_ended from pg_stat_activity
  where datname = current_database() and usename = session_user
    and pg_has_role(usesysid, 'USAGE')
    and application_name = current_setting('application_name')
    and backend_type = 'client backend' and pid <> pg_backend_pid()
    and query !~* '^\s*copy\M'
    and state = 'active' and wait_event in ('ClientRead', 'ClientWrite')
    and xact_start is not null
    and state_change < clock_timestamp() - make_interval(secs => cast($1 as double precision))
) ended
where ended.is_ended;

-- name: stalled_end [sqlite]
-- A suspended process takes its own writer with it, and there is no other.
select 1 as pid where $1 is null;

-- name: gauges
-- Events are acknowledged oldest first, so those that wait are a range of ids; counting a
-- million rows at every scrape would read them all.
select
  (select count(*) from jobs where status = 'pending') as jobs_pending,
  (select count(*) from jobs where status = 'processing') as jobs_processing,
  (select min(available_at) from jobs where status = 'pending') as oldest_pending,
  coalesce((select max(id) from outbox) - (select min(id) from outbox) + 1, 0) as outbox_events,
  (select count(*) from garbage) as garbage_blobs,
  (
    select count(*) from blobs b
    where b.damaged_at is not null
      and (
        exists (select 1 from object_segments s where s.blob_id = b.blob_id)
        or exists (select 1 from part_segments p where p.blob_id = b.blob_id)
      )
  ) as damaged_blobs;

-- name: schema_applied
select coalesce(max(version), 0) as version from schema_migrations;

-- name: schema_applied [sqlite]
select user_version as version from pragma_user_version;

-- name: meta_add
insert into meta (name, value) values ($1, $2) on conflict (name) do nothing;

-- name: meta_get
select name, value from meta where name = $1;

-- name: meta_set
insert into meta (name, value) values ($1, $2)
on conflict (name) do update set value = excluded.value;

-- name: turn_take
-- The turn $1 at the time $2, if the last was at $3 or before it. One that seems to lie beyond $4
-- was noted by a clock that has been set back.
insert into meta (name, value) values ($1, cast(cast($2 as bigint) as text))
on conflict (name) do update set value = excluded.value
where cast(meta.value as bigint) <= $3 or cast(meta.value as bigint) > $4
returning value;
