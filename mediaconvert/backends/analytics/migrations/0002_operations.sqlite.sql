-- For the report by operation.
create index pipeline_execution_logs_user on pipeline_execution_logs (user_id, created_at);
