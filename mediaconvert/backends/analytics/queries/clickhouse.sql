-- The reports on ClickHouse. A job has one row a transition there: its newest is found first.
-- Parameters are bound by the server, by name. (A tuple keeps the NULLs that argMax alone would
-- skip; it is taken apart a step later, where its parts' names mean the parts.)

-- name: version [clickhouse]
select version() as version;

-- name: job_stats [clickhouse]
with states as (
  select argMax((status, processing_ms, input_bytes), event_id) as newest
  from job_metrics
  where user_id = {user_id:UInt64}
    and created_at >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
  group by job_id
), jobs as (
  select tupleElement(newest, 1) as status, tupleElement(newest, 2) as ms,
    tupleElement(newest, 3) as input_bytes
  from states
)
select count() as total,
  countIf(status = 'completed') as completed,
  countIf(status = 'failed') as failed,
  countIf(status = 'pending') as pending,
  countIf(status = 'processing') as processing,
  ifNull(avgOrNullIf(ms, status = 'completed'), 0) as avg_ms,
  sumIf(input_bytes, status = 'completed') as processed_bytes
from jobs;

-- name: job_percentiles [clickhouse]
-- By places that begin at 1, each with its share of the way to the next.
with states as (
  select argMax((status, processing_ms), event_id) as newest
  from job_metrics
  where user_id = {user_id:UInt64}
    and created_at >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
  group by job_id
), sorted as (
  select arraySort(groupArray(assumeNotNull(tupleElement(newest, 2)))) as ms, toInt64(length(ms)) - 1 as last
  from states
  where tupleElement(newest, 1) = 'completed' and tupleElement(newest, 2) is not null
)
select length(ms) as completed,
  arrayMap(
    percent -> if(last < 0, 0,
      ms[intDiv(last * percent, 100) + 1]
        + (ms[least(intDiv(last * percent, 100) + 1, last) + 1]
          - ms[intDiv(last * percent, 100) + 1]) * ((last * percent) % 100) / 100),
    [50, 90, 95, 99]
  ) as percentiles
from sorted;

-- name: timeline [clickhouse]
with states as (
  select argMax((status, processing_ms), event_id) as newest,
    any(toUnixTimestamp64Micro(created_at)) as created_us
  from job_metrics
  where user_id = {user_id:UInt64}
    and created_at >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
  group by job_id
), jobs as (
  select tupleElement(newest, 1) as status, tupleElement(newest, 2) as ms, created_us from states
)
select intDiv(created_us, {span_us:Int64}) * {span_us:Int64} as time, count() as total,
  countIf(status = 'completed') as completed,
  countIf(status = 'failed') as failed,
  ifNull(avgOrNullIf(ms, status = 'completed'), 0) as avg_ms
from jobs
group by time
order by time;

-- name: pipeline_stats [clickhouse]
with states as (
  select argMax((status, processing_ms, pipeline_id, pipeline_name), event_id) as newest,
    max(event_id) as newest_id
  from job_metrics
  where user_id = {user_id:UInt64}
    and created_at >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
  group by job_id
), jobs as (
  select tupleElement(newest, 1) as status, tupleElement(newest, 2) as ms,
    tupleElement(newest, 3) as pipeline_id, tupleElement(newest, 4) as pipeline_name, newest_id
  from states
)
select pipeline_id, argMax(pipeline_name, newest_id) as name, count() as total,
  countIf(status = 'completed') as completed,
  countIf(status = 'failed') as failed,
  ifNull(avgOrNullIf(ms, status = 'completed'), 0) as avg_ms
from jobs
group by pipeline_id
order by total desc, pipeline_id;

-- name: operation_stats [clickhouse]
with sorted as (
  select operation, count() as runs, countIf(success = 1) as successes,
    ifNull(avgOrNullIf(duration_ms, success = 1), 0) as avg_ms,
    arraySort(groupArrayIf(duration_ms, success = 1)) as ms, toInt64(length(ms)) - 1 as last,
    sumIf(input_bytes, success = 1) as bytes_in,
    sumIf(output_bytes, success = 1) as bytes_out
  from pipeline_execution_logs
  where user_id = {user_id:UInt64}
    and created_at >= fromUnixTimestamp64Micro({since_us:Int64}, 'UTC')
  group by operation
)
select operation, runs, successes, avg_ms,
  if(last < 0, 0,
    ms[intDiv(last * 95, 100) + 1]
      + (ms[least(intDiv(last * 95, 100) + 1, last) + 1]
        - ms[intDiv(last * 95, 100) + 1]) * ((last * 95) % 100) / 100) as p95_ms,
  bytes_in as input_bytes, bytes_out as output_bytes
from sorted
order by runs desc, operation;
