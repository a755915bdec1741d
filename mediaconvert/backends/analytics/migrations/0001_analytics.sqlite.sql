-- The analytics store: one table a kind of event. event_id is the outbox's id: what tells
-- events apart, and which of a job's snapshots is the newest. Times are microseconds UTC.

-- One row a job, its newest state.
create table job_metrics (
  job_id integer primary key,
  event_id integer not null,
  user_id integer not null,
  pipeline_id integer not null,
  pipeline_name text not null,
  content_type text not null,
  input_bytes integer not null,
  output_bytes integer not null,
  status text not null,
  attempt integer not null,
  processing_ms integer,
  error text,
  error_code text,
  created_at integer not null,
  finished_at integer
) strict;

create index job_metrics_user on job_metrics (user_id, created_at);

create table job_status_history_analytics (
  event_id integer primary key,
  job_id integer not null,
  user_id integer not null,
  from_status text,
  to_status text not null,
  triggered_by text not null,
  message text not null,
  created_at integer not null
) strict;

-- One row a step of a job that has ended.
create table pipeline_execution_logs (
  event_id integer primary key,
  job_id integer not null,
  user_id integer not null,
  pipeline_id integer not null,
  pipeline_name text not null,
  step_index integer not null,
  step_id text not null,
  operation text not null,
  duration_ms integer not null,
  input_bytes integer not null,
  output_bytes integer not null,
  success integer not null,
  error text,
  created_at integer not null
) strict;
