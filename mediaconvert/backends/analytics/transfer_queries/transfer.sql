-- Whole tables, a page at a time, for moving the embedded analytics to another store: rows whose
-- key is above $1, of events before $2, from which on the outbox still holds them.

-- name: move_job_metrics
select * from job_metrics where job_id > $1 and event_id < $2 order by job_id limit $3;

-- name: move_job_status_history
select * from job_status_history_analytics
where event_id > $1 and event_id < $2
order by event_id limit $3;

-- name: move_pipeline_execution
select * from pipeline_execution_logs
where event_id > $1 and event_id < $2
order by event_id limit $3;
