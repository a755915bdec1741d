-- The catalog. Times are microseconds since 1970 UTC by the database's clock; JSON is text;
-- yes and no are 1 and 0. Text compares bytewise (BINARY is SQLite's default), which is what
-- S3's order of keys means. Ids that anything outside of their table remembers are never used
-- twice (autoincrement): objects, buckets, jobs, events.

create table users (
  id integer primary key autoincrement,
  email text not null,
  -- What is compared: the address without case.
  email_key text not null unique,
  password_hash text not null,
  token_version integer not null default 1,
  is_disabled integer not null default 0,
  created_at integer not null
) strict;

create table login_failures (
  id integer primary key,
  subject text not null,
  created_at integer not null
) strict;

create index login_failures_subject on login_failures (subject, created_at);
create index login_failures_age on login_failures (created_at);

create table s3_credentials (
  id integer primary key autoincrement,
  user_id integer not null references users (id),
  access_key text not null unique,
  sealed_secret blob not null,
  -- The bucket that it was made for, which may be gone by now.
  bucket_name text not null,
  is_active integer not null default 1,
  created_at integer not null,
  revoked_at integer
) strict;

create index s3_credentials_user on s3_credentials (user_id, id);

create table buckets (
  id integer primary key autoincrement,
  name text not null unique,
  owner_id integer not null references users (id),
  region text not null,
  created_at integer not null
) strict;

create index buckets_owner on buckets (owner_id, name);

-- One row a stored version. A row that is not current is invisible; it stays (detached) while
-- a job that has not ended reads it, even when its bucket has gone: so no foreign key there.
create table objects (
  id integer primary key autoincrement,
  bucket_id integer not null,
  key text not null,
  is_current integer not null default 1,
  size integer not null,
  etag text not null,
  content_type text not null,
  system_headers text not null,
  user_metadata text not null,
  storage_class text not null,
  checksum_algorithm text,
  checksum_value text,
  checksum_type text,
  parts text not null,
  created_at integer not null,
  detached_at integer
) strict;

create unique index objects_current on objects (bucket_id, key) where is_current = 1;
create index objects_detached on objects (detached_at) where is_current = 0;

-- An object's bytes, in order. Copies share blobs: how often one is used is a query.
create table object_segments (
  object_id integer not null references objects (id) on delete cascade,
  position integer not null,
  blob_id text not null,
  start integer not null,
  size integer not null,
  primary key (object_id, position)
) strict, without rowid;

create index object_segments_blob on object_segments (blob_id);

-- Ids begin with the time of creation: their order is the order of creation, and a place in a
-- listing outlives the upload that it names. state: open, completed.
create table uploads (
  id text primary key,
  bucket_id integer not null references buckets (id) on delete cascade,
  key text not null,
  state text not null default 'open',
  content_type text not null,
  system_headers text not null,
  user_metadata text not null,
  storage_class text not null,
  checksum_algorithm text,
  checksum_type text,
  version_id integer references pipeline_versions (id),
  created_at integer not null,
  completed_at integer,
  object_id integer,
  job_id integer
) strict, without rowid;

create index uploads_listing on uploads (bucket_id, state, key, id);
create index uploads_age on uploads (state, created_at);

create table upload_parts (
  upload_id text not null references uploads (id) on delete cascade,
  number integer not null,
  size integer not null,
  md5 text not null,
  checksum_algorithm text,
  checksum_value text,
  checksum_type text,
  created_at integer not null,
  primary key (upload_id, number)
) strict, without rowid;

create table part_segments (
  upload_id text not null,
  number integer not null,
  position integer not null,
  blob_id text not null,
  start integer not null,
  size integer not null,
  primary key (upload_id, number, position),
  foreign key (upload_id, number) references upload_parts (upload_id, number) on delete cascade
) strict, without rowid;

create index part_segments_blob on part_segments (blob_id);

-- Blobs that nothing refers to any more, waiting to be deleted from the store.
create table garbage (
  id integer primary key,
  blob_id text not null unique,
  created_at integer not null
) strict;

create table pipelines (
  id integer primary key autoincrement,
  user_id integer not null references users (id),
  name text not null,
  newest_version integer not null,
  created_at integer not null,
  updated_at integer not null,
  deleted_at integer
) strict;

create unique index pipelines_name on pipelines (user_id, name) where deleted_at is null;

-- Texts as they were saved; never changed, never deleted: jobs keep referring to them.
create table pipeline_versions (
  id integer primary key autoincrement,
  pipeline_id integer not null references pipelines (id),
  version integer not null,
  name text not null,
  format text not null,
  content text not null,
  digest text not null,
  created_at integer not null,
  unique (pipeline_id, version)
) strict;

-- status: pending, processing, completed, failed, canceled. What a job says about its source
-- and its bucket is copied here, because it outlives both.
create table jobs (
  id integer primary key autoincrement,
  user_id integer not null references users (id),
  bucket_id integer not null,
  bucket_name text not null,
  source_id integer not null,
  source_key text not null,
  source_size integer not null,
  source_content_type text not null,
  pipeline_id integer not null,
  version_id integer not null references pipeline_versions (id),
  status text not null default 'pending',
  priority integer not null default 50,
  progress real not null default 0,
  eta_seconds real,
  steps text not null default '[]',
  result text not null default '{}',
  output_bytes integer not null default 0,
  error text,
  error_code text,
  attempt integer not null default 0,
  infra_failures integer not null default 0,
  crashes integer not null default 0,
  worker_id text,
  lease_token text,
  lease_until integer,
  -- Since when it may be claimed; the age that the queue goes by.
  available_at integer not null,
  rerun_of integer,
  created_at integer not null,
  started_at integer,
  finished_at integer
) strict;

create index jobs_user on jobs (user_id, id);
create index jobs_user_status on jobs (user_id, status, id);
create index jobs_source on jobs (source_id, id);
-- Small, however many jobs have ended. The status leads although it is one only: without it in
-- the index, SQLite would rather read all of jobs_user_status.
create index jobs_queue on jobs (status, priority, user_id, available_at, id)
  where status = 'pending';
create index jobs_due on jobs (status, available_at) where status = 'pending';
create index jobs_running on jobs (status, user_id) where status = 'processing';
create index jobs_leases on jobs (status, lease_until) where status = 'processing';

create table job_history (
  id integer primary key autoincrement,
  job_id integer not null references jobs (id) on delete cascade,
  from_status text,
  to_status text not null,
  message text not null,
  triggered_by text not null,
  created_at integer not null
) strict;

create index job_history_job on job_history (job_id, id);

-- Analytics events, each written with what it describes, waiting to be sent.
create table outbox (
  id integer primary key autoincrement,
  kind text not null,
  payload text not null
) strict;

create table meta (
  name text primary key,
  value text not null
) strict, without rowid;
