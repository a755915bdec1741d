-- MediaConvert's tables in ClickHouse, for operators who make them by hand. Without this file
-- the service makes them itself, with the database that CLICKHOUSE_DSN names, as soon as the
-- server can be reached. Written by `make schema`.
--
--   clickhouse-client --multiquery < config/clickhouse.sql
--
-- Least privileges. A user who makes everything itself needs CREATE DATABASE, CREATE TABLE,
-- SELECT and INSERT on mediaconvert.*; where this file was run beforehand, this is enough:
--
--   create user mediaconvert identified by '…';
--   grant select, insert on mediaconvert.job_metrics to mediaconvert;
--   grant select, insert on mediaconvert.job_status_history_analytics to mediaconvert;
--   grant select, insert on mediaconvert.pipeline_execution_logs to mediaconvert;
--
-- The user's profile must not be `readonly`: inserts carry settings (insert_deduplication_token,
-- async_insert).
--
-- Nothing is ever deleted. To keep a year, by whole months:
--
--   alter table mediaconvert.job_metrics modify ttl toDateTime(created_at) + interval 1 year;
--   alter table mediaconvert.job_status_history_analytics
--     modify ttl toDateTime(created_at) + interval 1 year;
--   alter table mediaconvert.pipeline_execution_logs
--     modify ttl toDateTime(created_at) + interval 1 year;
--   -- and for each of them, so that a part is dropped as a whole and never rewritten:
--   alter table mediaconvert.job_metrics modify setting ttl_only_drop_parts = 1;
--
-- On a cluster of replicas: the same with ReplicatedMergeTree and `on cluster`; repeated
-- deliveries are recognised there too. One installation a database: events are told apart by
-- the numbers that its catalog gave them.

create database if not exists mediaconvert;

use mediaconvert;

-- One table a kind of event. event_id is the number that the catalog's outbox gave the event. A
-- batch of events is one insert a table, with a token; the deduplication window is how many
-- inserts back (a month each) a repeated one is recognised. fsync: an insert that was answered
-- survives the loss of power.

-- One row a transition of a job, each with all that was known then: the one with the greatest
-- event_id counts.
create table if not exists job_metrics (
  event_id UInt64 codec(Delta, ZSTD),
  job_id UInt64 codec(Delta, ZSTD),
  user_id UInt64 codec(ZSTD),
  pipeline_id UInt64 codec(ZSTD),
  pipeline_name LowCardinality(String),
  content_type LowCardinality(String),
  input_bytes Int64 codec(ZSTD),
  output_bytes Int64 codec(ZSTD),
  status LowCardinality(String),
  attempt Int64 codec(ZSTD),
  processing_ms Nullable(Int64) codec(ZSTD),
  error Nullable(String) codec(ZSTD),
  error_code LowCardinality(Nullable(String)),
  created_at DateTime64(6, 'UTC') codec(Delta, ZSTD),
  finished_at Nullable(DateTime64(6, 'UTC')) codec(ZSTD)
)
engine = MergeTree
partition by toYYYYMM(created_at)
order by (user_id, created_at, job_id, event_id)
settings non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;

-- One row a transition, with what was said about it.
create table if not exists job_status_history_analytics (
  event_id UInt64 codec(Delta, ZSTD),
  job_id UInt64 codec(Delta, ZSTD),
  user_id UInt64 codec(ZSTD),
  from_status LowCardinality(Nullable(String)),
  to_status LowCardinality(String),
  triggered_by LowCardinality(String),
  message String codec(ZSTD),
  created_at DateTime64(6, 'UTC') codec(Delta, ZSTD)
)
engine = MergeTree
partition by toYYYYMM(created_at)
order by (user_id, job_id, event_id)
settings non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;

-- One row a step that ran of a job that has ended; created_at is that end.
create table if not exists pipeline_execution_logs (
  event_id UInt64 codec(Delta, ZSTD),
  job_id UInt64 codec(Delta, ZSTD),
  user_id UInt64 codec(ZSTD),
  pipeline_id UInt64 codec(ZSTD),
  pipeline_name LowCardinality(String),
  step_index Int64 codec(ZSTD),
  step_id LowCardinality(String),
  operation LowCardinality(String),
  duration_ms Int64 codec(ZSTD),
  input_bytes Int64 codec(ZSTD),
  output_bytes Int64 codec(ZSTD),
  success UInt8 codec(ZSTD),
  error Nullable(String) codec(ZSTD),
  created_at DateTime64(6, 'UTC') codec(Delta, ZSTD)
)
engine = MergeTree
partition by toYYYYMM(created_at)
order by (user_id, created_at, event_id)
settings non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;
