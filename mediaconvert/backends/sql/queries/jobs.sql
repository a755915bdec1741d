-- Jobs as their owners see them, and what every transition writes.

-- name: job_add
insert into jobs (
  user_id, bucket_id, bucket_name, source_id, source_key, source_size, source_content_type,
  pipeline_id, version_id, priority, rerun_of, available_at, created_at,
  clock_offset
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
returning *;

-- name: job_get
select j.*, v.name as pipeline_name, v.format as pipeline_format, v.content as pipeline_content
from jobs j join pipeline_versions v on v.id = j.version_id
where j.id = $2 and j.user_id = $1;

-- name: job_lock
-- Before it is canceled: what it is doing does not change under us.
select * from jobs where id = $2 and user_id = $1 for update;

-- name: jobs_page
select j.*, v.name as pipeline_name, v.format as pipeline_format, v.content as pipeline_content
from jobs j join pipeline_versions v on v.id = j.version_id
where j.user_id = $1
order by j.id desc limit $2 offset $3;

-- name: jobs_page_of_status
select j.*, v.name as pipeline_name, v.format as pipeline_format, v.content as pipeline_content
from jobs j join pipeline_versions v on v.id = j.version_id
where j.user_id = $1 and j.status = $4
order by j.id desc limit $2 offset $3;

-- name: jobs_count
select count(*) as total from jobs where user_id = $1;

-- name: jobs_count_of_status
select count(*) as total from jobs where user_id = $1 and status = $2;

-- name: job_cancel
-- The lease is void from here on: every write under it asks for 'processing'.
update jobs set status = 'canceled', eta_seconds = null, finished_at = $4 + clock_offset,
  worker_id = null, lease_token = null, lease_until = null
where id = $2 and user_id = $1 and status = $3;

-- name: job_history
select h.id, h.from_status, h.to_status, h.message, h.triggered_by, h.created_at
from job_history h join jobs j on j.id = h.job_id
where h.job_id = $2 and j.user_id = $1
order by h.id;

-- name: job_facts
-- What the analytics say about a job, after a transition.
select j.id, j.user_id, j.pipeline_id, v.name as pipeline_name, j.source_content_type,
  j.source_size, j.output_bytes, j.status, j.attempt, j.error, j.error_code, j.created_at,
  j.started_at, j.finished_at, j.clock_offset
from jobs j join pipeline_versions v on v.id = j.version_id
where j.id = $1;

-- name: history_add
insert into job_history (job_id, from_status, to_status, message, triggered_by, created_at)
values ($1, $2, $3, $4, $5, $6);
