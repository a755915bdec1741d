-- The batch of events that is on its way to the analytics store: at most one, so one row. It
-- holds the ids, so that whoever takes it over sends the very same events under the same token.
create table outbox_batch (
  id integer primary key check (id = 1),
  token text not null,
  -- A JSON array, in the order of sending.
  event_ids text not null,
  -- Who sends it, and until when it is nobody else's.
  holder text not null,
  lease_until integer not null
) strict;
