-- Names that a driver itself calls.

-- name: clock
-- Microseconds since 1970 UTC, once a transaction. PostgreSQL's driver has its own.
select instant() as now_us;
