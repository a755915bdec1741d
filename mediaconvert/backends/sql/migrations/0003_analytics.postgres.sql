-- The analytics store of a service without ClickHouse, beside the catalog: one table a kind of
-- event, as the SQLite one has them. Nothing on a job's path touches these. (SQLite's catalog has
-- no migration of this number: its analytics are a file of their own.)

-- One row a job, its newest state.
create table job_metrics (
  job_id bigint primary key,
  event_id bigint not null,
  user_id bigint not null,
  pipeline_id bigint not null,
  pipeline_name text collate "C" not null,
  content_type text collate "C" not null,
  input_bytes bigint not null,
  output_bytes bigint not null,
  status text collate "C" not null,
  attempt bigint not null,
  processing_ms bigint,
  error text collate "C",
  error_code text collate "C",
  created_at bigint not null,
  finished_at bigint
);

create index job_metrics_user on job_metrics (user_id, created_at);

create table job_status_history_analytics (
  event_id bigint primary key,
  job_id bigint not null,
  user_id bigint not null,
  from_status text collate "C",
  to_status text collate "C" not null,
  triggered_by text collate "C" not null,
  message text collate "C" not null,
  created_at bigint not null
);

-- One row a step of a job that has ended.
create table pipeline_execution_logs (
  event_id bigint primary key,
  job_id bigint not null,
  user_id bigint not null,
  pipeline_id bigint not null,
  pipeline_name text collate "C" not null,
  step_index bigint not null,
  step_id text collate "C" not null,
  operation text collate "C" not null,
  duration_ms bigint not null,
  input_bytes bigint not null,
  output_bytes bigint not null,
  success bigint not null,
  error text collate "C",
  created_at bigint not null
);

create index pipeline_execution_logs_user on pipeline_execution_logs (user_id, created_at);
