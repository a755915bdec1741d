-- Garbage is handed out by the time at which it is due: what is condemned is due in the future,
-- and however much of it waits, none of it is read before.
create index garbage_due on garbage (created_at, id);
