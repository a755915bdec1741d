-- The queue: claiming by priority, then the user with the fewest running jobs, then age; leases;
-- what ends an attempt. Every write of a worker asks for its lease token and 'processing'.

-- name: claim_users
-- Who waits with due jobs, at which priority, since when, with how many (counted up to $1), and
-- how many of theirs run: some index seeks for each, however many jobs wait. The jobs in the JSON
-- array $2 are left out. A null is damage, and would end the walk
-- (SQLite takes `is not null` for true in such a column).
with recursive walk (priority, user_id) as (
  select * from (
    select j.priority, j.user_id from jobs j
    where j.status = 'pending' and j.is_suspect = 0
      and j.priority > -2147483648 and j.user_id >= 0
    order by j.priority, j.user_id limit 1
  ) first
  union all
  select n.priority, n.user_id
  from walk w join jobs n on n.id = coalesce(
    (
      select j.id from jobs j
      where j.status = 'pending' and j.is_suspect = 0
        and j.priority = w.priority and j.user_id > w.user_id
      order by j.user_id limit 1
    ),
    (
      select j.id from jobs j
      where j.status = 'pending' and j.is_suspect = 0
        and j.priority > w.priority and j.user_id >= 0
      order by j.priority, j.user_id limit 1
    )
  )
)
select w.priority, w.user_id,
  (
    select min(j.available_at) from jobs j
    where j.status = 'pending' and j.is_suspect = 0
      and j.priority = w.priority and j.user_id = w.user_id and j.available_at >= 0
  ) as oldest,
  (
    select count(*) from (
      select 1 from jobs j
      where j.status = 'pending' and j.is_suspect = 0
        and j.priority = w.priority and j.user_id = w.user_id
        and j.available_at between 0 and steady()
        and j.id not in ids_in($2)
      limit $1
    ) due
  ) as due,
  (select count(*) from jobs r where r.status = 'processing' and r.user_id = w.user_id) as running
from walk w;

-- name: claim
-- Take a user's longest waiting due jobs, $7 at most, but for suspects, those in the JSON array $8,
-- and those that another worker is just taking. Tokens are $5 and the job's id: one secret a
-- claim, one token a job. Status and is_suspect are read again from the row itself, as expressions
-- that no index has: an entry of a damaged index must not run a job that has ended.
with picked as materialized (
  select j.id from jobs j cross join jobs t
  where j.status = 'pending' and j.is_suspect = 0
    and j.priority = $1 and j.user_id = $2 and j.available_at between 0 and $3
    and j.id not in ids_in($8)
    and t.id = j.id and t.status || '' = 'pending' and t.is_suspect + 0 = 0
  order by j.available_at, j.id limit $7
  for update of j skip locked
)
update jobs set status = 'processing', attempt = attempt + 1, worker_id = $4,
  lease_token = cast($5 as text) || '-' || cast(id as text), lease_until = $6, runs_alone = 0,
  started_at = $3 + clock_offset, progress = 0, eta_seconds = null, steps = '[]', result = '{}'
where id in (select id from picked) and status || '' = 'pending' and is_suspect + 0 = 0
returning id, available_at;

-- name: claim_suspect
-- The longest due suspect, if it has been due since $2; it does not run yet. As `claim`.
with picked as materialized (
  select j.id from jobs j cross join jobs t
  where j.status = 'pending' and j.is_suspect = 1 and j.available_at between 0 and $2
    and j.id not in ids_in($6)
    and t.id = j.id and t.status || '' = 'pending' and t.is_suspect + 0 = 1
  order by j.available_at, j.id limit 1
  for update of j skip locked
)
update jobs set status = 'processing', attempt = attempt + 1, worker_id = $3,
  lease_token = cast($4 as text) || '-' || cast(id as text), lease_until = $5, runs_alone = 0,
  started_at = $1 + clock_offset, progress = 0, eta_seconds = null, steps = '[]', result = '{}'
where id in (select id from picked) and status || '' = 'pending' and is_suspect + 0 = 1
returning id;

-- name: claim_one
-- A single job by its id, suspect or not ($6), after a claim of several has met a damaged row.
update jobs set status = 'processing', attempt = attempt + 1, worker_id = $3,
  lease_token = cast($4 as text) || '-' || cast(id as text), lease_until = $5, runs_alone = 0,
  started_at = $2 + clock_offset, progress = 0, eta_seconds = null, steps = '[]', result = '{}'
where id = $1 and status || '' = 'pending' and is_suspect + 0 = $6
returning id;

-- name: claim_candidates
-- For `claim_one`: jobs that have been due since $2.
select id from jobs
where status = 'pending' and is_suspect = $1 and available_at between 0 and $2
  and id not in ids_in($3)
order by priority desc, available_at, id limit $4;

-- name: claim_phantoms
-- Jobs that the index of the queue has as due, and whose own rows do not agree.
select j.id from jobs j left join jobs t on t.id = j.id
where j.status = 'pending' and j.is_suspect = 0
  and j.priority = $1 and j.user_id = $2 and j.available_at between 0 and $3
  and j.id not in ids_in($4)
  and (coalesce(t.status || '', '') <> 'pending' or coalesce(t.is_suspect + 0, 9) <> 0)
limit 100;

-- name: jobs_unreadable
-- Pending jobs that no claim finds. In SQLite a value of a wrong type is greater than any number.
select id from jobs
where status = 'pending' and id not in ids_in($2)
  and (
    coalesce(available_at, -1) not between 0 and $1
    or coalesce(priority, 2147483648) > 2147483647
    or coalesce(user_id, -1) not between 0 and $1
    or coalesce(is_suspect, 9) not in (0, 1)
  )
order by id limit $3;

-- name: job_run_alone
update jobs set runs_alone = 1
where id = $1 and lease_token = $2 and status = 'processing' and is_suspect = 1;

-- name: claimed
-- Everything that a worker needs; the source's own columns and its segments as JSON, and nulls
-- for them in the job of a source that is gone. $1 is a JSON array of jobs.
select o.*,
  (
    select json_rows(ordered.blob_id, ordered.start, ordered.size) from (
      select * from object_segments s where s.object_id = o.id order by s.position
    ) ordered
  ) as segments,
  j.id as job_id, j.lease_token, j.user_id, j.bucket_name, j.attempt,
  j.infra_failures, j.crashes, j.pipeline_id, v.name as pipeline_name,
  v.format as pipeline_format, v.content as pipeline_content, v.digest as pipeline_digest,
  j.source_content_type, j.source_size, j.output_bytes, j.status, j.error, j.error_code,
  j.clock_offset, j.created_at as job_created_at, j.started_at, j.finished_at
from jobs j
join pipeline_versions v on v.id = j.version_id
left join objects o on o.id = j.source_id
where j.id in ids_in($1);

-- name: next_due
select available_at as due from jobs
where status = 'pending' and is_suspect = 0 and available_at >= 0 and id not in ids_in($1)
order by available_at limit 1;

-- name: next_suspect_due
select min(available_at) as due from jobs
where status = 'pending' and is_suspect = 1 and available_at >= 0 and id not in ids_in($1);

-- name: renew
-- All leases of a process, $1 as a JSON array of tokens, but for those whose rows somebody else
-- is just writing: one that takes long must not cost all the others.
with picked as materialized (
  select id from jobs
  where status = 'processing' and worker_id = $2
    and lease_token in (select value from json_array_elements_text(cast($1 as json)))
  for no key update skip locked
)
update jobs set lease_until = $3 where id in (select id from picked)
returning id;

-- name: renew [sqlite]
update jobs set lease_until = $3
where status = 'processing' and worker_id = $2
  and lease_token in (select value from json_each($1))
returning id;

-- name: lease_state
-- What became of a job, and whether the lease with the token $2 is still the worker's ($3).
select status,
  case when status = 'processing' and lease_token = $2 and worker_id = $3 then 1 else 0 end
    as is_held
from jobs where id = $1;

-- name: job_of_lease
-- The job that a lease was given for, running or completed under it, and nobody else's to
-- change until the transaction ends.
select j.*, v.name as pipeline_name
from jobs j join pipeline_versions v on v.id = j.version_id
where j.id = $1 and j.lease_token = $2 and j.status in ('processing', 'completed')
for update of j;

-- name: jobs_to_finish
-- Of the jobs in the JSON array $1, locked; whether each one's bucket and source are still there.
select j.*, v.name as pipeline_name,
  (select b.id from buckets b where b.id = j.bucket_id and b.owner_id = j.user_id)
    as live_bucket_id,
  coalesce((select o.is_current from objects o where o.id = j.source_id), 0) as source_is_current
from jobs j join pipeline_versions v on v.id = j.version_id
where j.id in ids_in($1)
order by j.id
for update of j;

-- name: job_progress
update jobs set progress = $3, eta_seconds = $4, steps = $5
where id = $1 and lease_token = $2 and status = 'processing';

-- name: job_complete
-- Keeps the token: whoever finishes again after an uncertain commit is told that it was done.
update jobs set status = 'completed', progress = 100, eta_seconds = null, steps = $3,
  result = $4, output_bytes = $5, error = null, error_code = null, finished_at = $6 + clock_offset,
  runs_alone = 0, worker_id = null, lease_until = null
where id = $1 and lease_token = $2 and status = 'processing'
returning *;

-- name: job_fail
update jobs set status = 'failed', eta_seconds = null, steps = $3, result = $4, error = $5,
  error_code = $6, infra_failures = infra_failures + $7, crashes = crashes + $8,
  finished_at = $9 + clock_offset, runs_alone = 0,
  worker_id = null, lease_token = null, lease_until = null
where id = $1 and lease_token = $2 and status = 'processing'
returning *;

-- name: job_retry
update jobs set status = 'pending', available_at = $3, infra_failures = infra_failures + $4,
  crashes = crashes + $5, progress = 0, eta_seconds = null, steps = '[]', started_at = null,
  runs_alone = 0, worker_id = null, lease_token = null, lease_until = null
where id = $1 and lease_token = $2 and status = 'processing';

-- name: job_release
-- Gives the attempt back, and the place in the queue.
update jobs set status = 'pending', available_at = created_at - clock_offset, attempt = attempt - 1,
  progress = 0, eta_seconds = null, steps = '[]', started_at = null,
  runs_alone = 0, worker_id = null, lease_token = null, lease_until = null
where id = $1 and lease_token = $2 and status = 'processing';

-- name: job_expired
-- Any one whose lease has run out.
select id from jobs where status = 'processing' and lease_until <= $1 limit 1;

-- name: jobs_expired
-- Running jobs whose lease has run out, but for those that somebody else is just changing, and
-- those in the JSON array $3.
select id, source_id, worker_deaths, lone_deaths, is_suspect, runs_alone from jobs
where status = 'processing' and lease_until <= $1 and id not in ids_in($3)
order by lease_until, id limit $2
for update skip locked;

-- name: jobs_running
-- But for those in the JSON array $2.
select id, source_id, worker_deaths, lone_deaths, is_suspect, runs_alone from jobs
where status = 'processing' and id not in ids_in($2) order by id limit $1;

-- name: job_recover
-- Of one that is no suspect: it keeps its place in the queue.
update jobs set status = 'pending', available_at = coalesce($2, created_at - clock_offset),
  worker_deaths = $3, lone_deaths = $4, is_suspect = $5, runs_alone = 0,
  progress = 0, eta_seconds = null, steps = '[]', started_at = null,
  worker_id = null, lease_token = null, lease_until = null
where id = $1 and status = 'processing';

-- name: job_quarantine
-- Ends a job whose record cannot be read. Looks at nothing but its id and its status. Columns that
-- are null or of a wrong type get a value of the right one: SQLite checks a row as a whole when it
-- is written.
update jobs set status = 'failed', error = $2, error_code = 'record_damaged', steps = '[]',
  result = '{}', progress = 0, eta_seconds = null, runs_alone = 0, worker_id = null,
  lease_token = null, lease_until = null, started_at = cast(started_at as bigint),
  finished_at = $3 + coalesce(cast(clock_offset as bigint), 0),
  bucket_id = coalesce(cast(bucket_id as bigint), 0),
  bucket_name = coalesce(cast(bucket_name as text), ''),
  source_id = coalesce(cast(source_id as bigint), 0),
  source_key = coalesce(cast(source_key as text), ''),
  source_size = coalesce(cast(source_size as bigint), 0),
  source_content_type = coalesce(cast(source_content_type as text), ''),
  pipeline_id = coalesce(cast(pipeline_id as bigint), 0),
  priority = coalesce(cast(priority as integer), 0),
  output_bytes = coalesce(cast(output_bytes as bigint), 0),
  attempt = coalesce(cast(attempt as integer), 0),
  infra_failures = coalesce(cast(infra_failures as integer), 0),
  crashes = coalesce(cast(crashes as integer), 0),
  available_at = coalesce(cast(available_at as bigint), 0),
  rerun_of = cast(rerun_of as bigint),
  created_at = coalesce(cast(created_at as bigint), 0),
  worker_deaths = coalesce(cast(worker_deaths as integer), 0),
  lone_deaths = coalesce(cast(lone_deaths as integer), 0),
  is_suspect = coalesce(cast(is_suspect as integer), 0),
  clock_offset = coalesce(cast(clock_offset as bigint), 0)
where id = $1 and status in ('pending', 'processing')
returning finished_at;

-- name: job_give_up
-- It ended its worker process too often.
update jobs set status = 'failed', error = $2, error_code = 'poison', worker_deaths = $4,
  lone_deaths = $5, runs_alone = 0, eta_seconds = null, finished_at = $3 + clock_offset,
  worker_id = null, lease_token = null, lease_until = null
where id = $1 and status = 'processing';

-- name: suspects_cleared
-- Waiting suspects: a process died without them.
update jobs set lone_deaths = 0 where id in (
  select id from jobs
  where status = 'pending' and is_suspect = 1 and lone_deaths > 0
  order by id for update skip locked
);

-- name: lone_suspects_cleared
-- Suspects that run in other processes than the one that died.
update jobs set lone_deaths = 0 where id in (
  select id from jobs
  where status = 'processing' and is_suspect = 1 and lone_deaths > 0
  order by id for update skip locked
);
