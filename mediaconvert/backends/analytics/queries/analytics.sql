-- The analytics store on SQL: what is recorded, and the reports.

-- name: clock [sqlite]
select cast(round((julianday('now') - 2440587.5) * 86400000.0) as integer) * 1000 as now_us;

-- name: metrics_record
-- A job's newest snapshot wins, whatever the order of arrival.
insert into job_metrics (
  event_id, job_id, user_id, pipeline_id, pipeline_name, content_type, input_bytes, output_bytes,
  status, attempt, processing_ms, error, error_code, created_at, finished_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
on conflict (job_id) do update set event_id = excluded.event_id, status = excluded.status,
  pipeline_name = excluded.pipeline_name, output_bytes = excluded.output_bytes,
  attempt = excluded.attempt, processing_ms = excluded.processing_ms, error = excluded.error,
  error_code = excluded.error_code, finished_at = excluded.finished_at
where excluded.event_id > job_metrics.event_id;

-- name: history_record
insert into job_status_history_analytics (
  event_id, job_id, user_id, from_status, to_status, triggered_by, message, created_at
) values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (event_id) do nothing;

-- name: execution_record
insert into pipeline_execution_logs (
  event_id, job_id, user_id, pipeline_id, pipeline_name, step_index, step_id, operation,
  duration_ms, input_bytes, output_bytes, success, error, created_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (event_id) do nothing;

-- name: job_stats
select count(*) as total,
  count(*) filter (where status = 'completed') as completed,
  count(*) filter (where status = 'failed') as failed,
  count(*) filter (where status = 'pending') as pending,
  count(*) filter (where status = 'processing') as processing,
  cast(coalesce(avg(processing_ms) filter (where status = 'completed'), 0)
    as double precision) as avg_ms,
  cast(coalesce(sum(input_bytes) filter (where status = 'completed'), 0)
    as bigint) as processed_bytes
from job_metrics
where user_id = $1 and created_at >= $2;

-- name: job_percentiles
-- The values on both sides of each percentile's place, which begins at 0.
with ranked as (
  select processing_ms as ms, count(*) over () - 1 as last,
    row_number() over (order by processing_ms) - 1 as place
  from job_metrics
  where user_id = $1 and created_at >= $2 and status = 'completed' and processing_ms is not null
)
select count(*) as completed,
  max(ms) filter (where place = last * 50 / 100) as p50_low,
  max(ms) filter (where place = last * 50 / 100 + 1) as p50_high,
  max(ms) filter (where place = last * 90 / 100) as p90_low,
  max(ms) filter (where place = last * 90 / 100 + 1) as p90_high,
  max(ms) filter (where place = last * 95 / 100) as p95_low,
  max(ms) filter (where place = last * 95 / 100 + 1) as p95_high,
  max(ms) filter (where place = last * 99 / 100) as p99_low,
  max(ms) filter (where place = last * 99 / 100 + 1) as p99_high
from ranked;

-- name: timeline
-- By spans of $3 microseconds.
select created_at / $3 * $3 as time, count(*) as total,
  count(*) filter (where status = 'completed') as completed,
  count(*) filter (where status = 'failed') as failed,
  cast(coalesce(avg(processing_ms) filter (where status = 'completed'), 0)
    as double precision) as avg_ms
from job_metrics
where user_id = $1 and created_at >= $2
group by created_at / $3
order by created_at / $3;

-- name: pipeline_stats
select pipeline_id, (array_agg(pipeline_name order by event_id desc))[1] as pipeline_name,
  count(*) as total,
  count(*) filter (where status = 'completed') as completed,
  count(*) filter (where status = 'failed') as failed,
  cast(coalesce(avg(processing_ms) filter (where status = 'completed'), 0)
    as double precision) as avg_ms
from job_metrics
where user_id = $1 and created_at >= $2
group by pipeline_id
order by total desc, pipeline_id;

-- name: pipeline_stats [sqlite]
-- The name is that of the row with the greatest event_id: SQLite takes a bare column from the
-- row that max() was found in.
select pipeline_id, pipeline_name, max(event_id) as newest, count(*) as total,
  count(*) filter (where status = 'completed') as completed,
  count(*) filter (where status = 'failed') as failed,
  coalesce(avg(processing_ms) filter (where status = 'completed'), 0.0) as avg_ms
from job_metrics
where user_id = $1 and created_at >= $2
group by pipeline_id
order by total desc, pipeline_id;

-- name: operation_stats
-- As job_percentiles, among the successful runs of each operation.
with ranked as (
  select operation, success, duration_ms, input_bytes, output_bytes,
    count(*) over (partition by operation, success) - 1 as last,
    row_number() over (partition by operation, success order by duration_ms) - 1 as place
  from pipeline_execution_logs
  where user_id = $1 and created_at >= $2
)
select operation, count(*) as runs, count(*) filter (where success = 1) as successes,
  cast(coalesce(avg(duration_ms) filter (where success = 1), 0) as double precision) as avg_ms,
  max(duration_ms) filter (where success = 1 and place = last * 95 / 100) as p95_low,
  max(duration_ms) filter (where success = 1 and place = last * 95 / 100 + 1) as p95_high,
  cast(coalesce(sum(input_bytes) filter (where success = 1), 0) as bigint) as input_bytes,
  cast(coalesce(sum(output_bytes) filter (where success = 1), 0) as bigint) as output_bytes
from ranked
group by operation
order by runs desc, operation;

-- name: reachable
select 1 as found from job_metrics limit 1;
