-- The wall clock, and the offset that makes it steady (see clock.py).

-- name: clock
-- Microseconds since 1970 UTC, once a transaction. PostgreSQL's driver has its own.
select instant() as now_us;

-- name: clock_offset
-- The drivers read it together with the clock.
select coalesce(cast(value as bigint), 0) as clock_offset from meta where name = 'clock_offset';

-- name: clock_state
-- Without locks: the offset, when the clock was last seen, and whether any job has not ended.
select
  coalesce(
    (select cast(value as bigint) from meta where name = 'clock_offset'), 0
  ) as clock_offset,
  coalesce((select cast(value as bigint) from meta where name = 'clock_seen'), 0) as seen,
  case
    when exists (select 1 from jobs where status = 'pending') then 1
    when exists (select 1 from jobs where status = 'processing') then 1
    else 0
  end as is_busy;

-- name: clock_lock
-- The offset, which nobody else changes before the transaction ends, and two steady times: when
-- the clock was last seen, and when a job last changed. The record of a job that was quarantined
-- is damaged, and maybe its times are.
select coalesce(cast(m.value as bigint), 0) as clock_offset,
  (select cast(s.value as bigint) from meta s where s.name = 'clock_seen') as seen,
  (
    select h.created_at - j.clock_offset from job_history h join jobs j on j.id = h.job_id
    where h.id = (select max(id) from job_history)
      and coalesce(j.error_code, '') <> 'record_damaged'
  ) as changed
from meta m where m.name = 'clock_offset'
for update of m;

-- name: clock_note
-- When the clock was last seen. Not waited for: a suspended process may hold the row.
update meta set value = $1
where name in (select m.name from meta m where m.name = 'clock_seen' for update skip locked);
