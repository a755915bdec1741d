-- The queue: claiming by priority, then the user with the fewest running jobs, then age; leases;
-- what ends an attempt. Every write of a worker asks for its lease token and 'processing'.

-- name: claim_priority
-- The highest priority below $1 that any job waits with.
select max(priority) as priority from jobs where status = 'pending' and priority < $1;

-- name: claim_users
-- Who has a due job of a priority, and since when: one index seek a user, however many jobs wait.
with recursive walk (user_id) as (
  select min(user_id) from jobs where status = 'pending' and priority = $1
  union all
  select (
    select min(j.user_id) from jobs j
    where j.status = 'pending' and j.priority = $1 and j.user_id > w.user_id
  )
  from walk w where w.user_id is not null
), waiting (user_id, oldest) as (
  select w.user_id, (
    select min(j.available_at) from jobs j
    where j.status = 'pending' and j.priority = $1 and j.user_id = w.user_id
  )
  from walk w where w.user_id is not null
)
select user_id, oldest from waiting where oldest <= $2;

-- name: claim_oldest
-- Since when the longest waiting due job of a user waits.
select min(available_at) as oldest from jobs
where status = 'pending' and priority = $1 and user_id = $2;

-- name: running_of_users
select user_id, count(*) as running from jobs where status = 'processing' group by user_id;

-- name: claim
-- Take the longest waiting due job of a user that no other worker is just taking.
update jobs set status = 'processing', attempt = attempt + 1, worker_id = $4,
  lease_token = $5, lease_until = $6, started_at = $3, progress = 0, eta_seconds = null,
  steps = '[]', result = '{}'
where status = 'pending' and id = (
  select j.id from jobs j
  where j.status = 'pending' and j.priority = $1 and j.user_id = $2 and j.available_at <= $3
  order by j.available_at, j.id limit 1
  for update skip locked
)
returning id;

-- name: claim [sqlite]
update jobs set status = 'processing', attempt = attempt + 1, worker_id = $4,
  lease_token = $5, lease_until = $6, started_at = $3, progress = 0, eta_seconds = null,
  steps = '[]', result = '{}'
where status = 'pending' and id = (
  select j.id from jobs j
  where j.status = 'pending' and j.priority = $1 and j.user_id = $2 and j.available_at <= $3
  order by j.available_at, j.id limit 1
)
returning id;

-- name: claimed
-- Everything that a worker needs, but for the source's bytes.
select j.*, v.name as pipeline_name, v.format as pipeline_format, v.content as pipeline_content,
  v.digest as pipeline_digest
from jobs j join pipeline_versions v on v.id = j.version_id
where j.id = $1;

-- name: next_due
select min(available_at) as due from jobs where status = 'pending';

-- name: renew
-- All leases of a process, $1 as a JSON array of tokens.
update jobs set lease_until = $3
where status = 'processing' and worker_id = $2
  and lease_token in (select value from json_array_elements_text(cast($1 as json)))
returning id;

-- name: renew [sqlite]
update jobs set lease_until = $3
where status = 'processing' and worker_id = $2
  and lease_token in (select value from json_each($1))
returning id;

-- name: job_status
select status from jobs where id = $1;

-- name: job_of_lease
-- The job that a lease was given for, running or completed under it.
select * from jobs
where id = $1 and lease_token = $2 and status in ('processing', 'completed');

-- name: job_progress
update jobs set progress = $3, eta_seconds = $4, steps = $5
where id = $1 and lease_token = $2 and status = 'processing';

-- name: job_complete
-- Keeps the token: whoever finishes again after an uncertain commit is told that it was done.
update jobs set status = 'completed', progress = 100, eta_seconds = null, steps = $3,
  result = $4, output_bytes = $5, error = null, error_code = null, finished_at = $6,
  worker_id = null, lease_until = null
where id = $1 and lease_token = $2 and status = 'processing';

-- name: job_fail
update jobs set status = 'failed', eta_seconds = null, steps = $3, result = $4, error = $5,
  error_code = $6, infra_failures = infra_failures + $7, crashes = crashes + $8,
  finished_at = $9, worker_id = null, lease_token = null, lease_until = null
where id = $1 and lease_token = $2 and status = 'processing';

-- name: job_retry
update jobs set status = 'pending', available_at = $3, infra_failures = infra_failures + $4,
  crashes = crashes + $5, progress = 0, eta_seconds = null, steps = '[]', started_at = null,
  worker_id = null, lease_token = null, lease_until = null
where id = $1 and lease_token = $2 and status = 'processing';

-- name: job_release
-- Gives the attempt back, and the place in the queue.
update jobs set status = 'pending', available_at = created_at, attempt = attempt - 1,
  progress = 0, eta_seconds = null, steps = '[]', started_at = null,
  worker_id = null, lease_token = null, lease_until = null
where id = $1 and lease_token = $2 and status = 'processing';

-- name: job_expired
-- Any one whose lease has run out.
select id from jobs where status = 'processing' and lease_until <= $1 limit 1;

-- name: jobs_expired
-- Running jobs whose lease has run out, but for those that somebody else is just changing.
select id, source_id, crashes from jobs
where status = 'processing' and lease_until <= $1
order by lease_until, id limit $2
for update skip locked;

-- name: jobs_expired [sqlite]
select id, source_id, crashes from jobs
where status = 'processing' and lease_until <= $1
order by lease_until, id limit $2;

-- name: jobs_running
select id, source_id, crashes from jobs where status = 'processing' order by id limit $1;

-- name: job_recover
update jobs set status = 'pending', available_at = created_at, crashes = crashes + $2,
  progress = 0, eta_seconds = null, steps = '[]', started_at = null,
  worker_id = null, lease_token = null, lease_until = null
where id = $1 and status = 'processing';

-- name: job_give_up
-- Its worker died too often.
update jobs set status = 'failed', error = $2, error_code = 'poison', crashes = crashes + 1,
  eta_seconds = null, finished_at = $3, worker_id = null, lease_token = null, lease_until = null
where id = $1 and status = 'processing';
