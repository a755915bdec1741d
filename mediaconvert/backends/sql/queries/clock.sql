-- Names that the driver itself calls.

-- name: clock
-- Microseconds since 1970 UTC, once a transaction. The text that every driver overrides.
select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) as now_us;

-- name: clock [sqlite]
-- 'now' has milliseconds in SQLite; rounding takes out what the day's fraction adds to them.
select cast(round((julianday('now') - 2440587.5) * 86400000.0) as integer) * 1000 as now_us;
