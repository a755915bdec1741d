-- Whole tables, a page at a time, for moving an installation to another database. One block
-- reads the rows after a key, one adds a row as it is. A row that is there already is left: a
-- page that was interrupted is sent again.

-- name: move_users
select
  id, email, email_key, password_hash, token_version, is_disabled, created_at
from users
where id > $1
order by id limit $2;

-- name: add_users
insert into users (
  id, email, email_key, password_hash, token_version, is_disabled, created_at
) values (
  $1, $2, $3, $4, $5, $6, $7
) on conflict do nothing;

-- name: move_s3_credentials
select
  id, user_id, access_key, sealed_secret, bucket_name, is_active, created_at, revoked_at
from s3_credentials
where id > $1
order by id limit $2;

-- name: add_s3_credentials
insert into s3_credentials (
  id, user_id, access_key, sealed_secret, bucket_name, is_active, created_at, revoked_at
) values (
  $1, $2, $3, $4, $5, $6, $7, $8
) on conflict do nothing;

-- name: move_buckets
select
  id, name, owner_id, region, created_at
from buckets
where id > $1
order by id limit $2;

-- name: add_buckets
insert into buckets (
  id, name, owner_id, region, created_at
) values (
  $1, $2, $3, $4, $5
) on conflict do nothing;

-- name: move_pipelines
select
  id, user_id, name, newest_version, created_at, updated_at, deleted_at
from pipelines
where id > $1
order by id limit $2;

-- name: add_pipelines
insert into pipelines (
  id, user_id, name, newest_version, created_at, updated_at, deleted_at
) values (
  $1, $2, $3, $4, $5, $6, $7
) on conflict do nothing;

-- name: move_pipeline_versions
select
  id, pipeline_id, version, name, format, content, digest, created_at
from pipeline_versions
where id > $1
order by id limit $2;

-- name: add_pipeline_versions
insert into pipeline_versions (
  id, pipeline_id, version, name, format, content, digest, created_at
) values (
  $1, $2, $3, $4, $5, $6, $7, $8
) on conflict do nothing;

-- name: move_objects
select
  id, bucket_id, key, is_current, size, etag, content_type, system_headers, user_metadata,
  storage_class, checksum_algorithm, checksum_value, checksum_type, parts, created_at, detached_at
from objects
where id > $1
order by id limit $2;

-- name: add_objects
insert into objects (
  id, bucket_id, key, is_current, size, etag, content_type, system_headers, user_metadata,
  storage_class, checksum_algorithm, checksum_value, checksum_type, parts, created_at, detached_at
) values (
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16
) on conflict do nothing;

-- name: move_object_segments
select
  object_id, position, blob_id, start, size
from object_segments
where (object_id, position) > ($1, $2)
order by object_id, position limit $3;

-- name: add_object_segments
insert into object_segments (
  object_id, position, blob_id, start, size
) values (
  $1, $2, $3, $4, $5
) on conflict do nothing;

-- name: move_uploads
select
  id, bucket_id, key, state, content_type, system_headers, user_metadata, storage_class,
  checksum_algorithm, checksum_type, version_id, created_at, completed_at, object_id, job_id
from uploads
where id > $1
order by id limit $2;

-- name: add_uploads
insert into uploads (
  id, bucket_id, key, state, content_type, system_headers, user_metadata, storage_class,
  checksum_algorithm, checksum_type, version_id, created_at, completed_at, object_id, job_id
) values (
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
) on conflict do nothing;

-- name: move_upload_parts
select
  upload_id, number, size, md5, checksum_algorithm, checksum_value, checksum_type, created_at
from upload_parts
where (upload_id, number) > ($1, $2)
order by upload_id, number limit $3;

-- name: add_upload_parts
insert into upload_parts (
  upload_id, number, size, md5, checksum_algorithm, checksum_value, checksum_type, created_at
) values (
  $1, $2, $3, $4, $5, $6, $7, $8
) on conflict do nothing;

-- name: move_part_segments
select
  upload_id, number, position, blob_id, start, size
from part_segments
where (upload_id, number, position) > ($1, $2, $3)
order by upload_id, number, position limit $4;

-- name: add_part_segments
insert into part_segments (
  upload_id, number, position, blob_id, start, size
) values (
  $1, $2, $3, $4, $5, $6
) on conflict do nothing;

-- name: move_jobs
select
  id, user_id, bucket_id, bucket_name, source_id, source_key, source_size, source_content_type,
  pipeline_id, version_id, status, priority, progress, eta_seconds, steps, result, output_bytes,
  error, error_code, attempt, infra_failures, crashes, worker_id, lease_token, lease_until,
  available_at, rerun_of, created_at, started_at, finished_at, worker_deaths, lone_deaths,
  is_suspect, runs_alone, clock_offset
from jobs
where id > $1
order by id limit $2;

-- name: add_jobs
insert into jobs (
  id, user_id, bucket_id, bucket_name, source_id, source_key, source_size, source_content_type,
  pipeline_id, version_id, status, priority, progress, eta_seconds, steps, result, output_bytes,
  error, error_code, attempt, infra_failures, crashes, worker_id, lease_token, lease_until,
  available_at, rerun_of, created_at, started_at, finished_at, worker_deaths, lone_deaths,
  is_suspect, runs_alone, clock_offset
) values (
  $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
  $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35
) on conflict do nothing;

-- name: move_job_history
select
  id, job_id, from_status, to_status, message, triggered_by, created_at
from job_history
where id > $1
order by id limit $2;

-- name: add_job_history
insert into job_history (
  id, job_id, from_status, to_status, message, triggered_by, created_at
) values (
  $1, $2, $3, $4, $5, $6, $7
) on conflict do nothing;

-- name: move_garbage
select
  id, blob_id, created_at
from garbage
where id > $1
order by id limit $2;

-- name: add_garbage
insert into garbage (
  id, blob_id, created_at
) values (
  $1, $2, $3
) on conflict do nothing;

-- name: move_outbox
select
  id, kind, payload
from outbox
where id > $1
order by id limit $2;

-- name: add_outbox
insert into outbox (
  id, kind, payload
) values (
  $1, $2, $3
) on conflict do nothing;

-- name: clear_users
delete from users where id in (select id from users limit $1);

-- name: clear_s3_credentials
delete from s3_credentials where id in (select id from s3_credentials limit $1);

-- name: clear_buckets
delete from buckets where id in (select id from buckets limit $1);

-- name: clear_pipelines
delete from pipelines where id in (select id from pipelines limit $1);

-- name: clear_pipeline_versions
delete from pipeline_versions where id in (select id from pipeline_versions limit $1);

-- name: clear_objects
delete from objects where id in (select id from objects limit $1);

-- name: clear_object_segments
delete from object_segments where (object_id, position) in (select object_id, position from object_segments limit $1);

-- name: clear_uploads
delete from uploads where id in (select id from uploads limit $1);

-- name: clear_upload_parts
delete from upload_parts where (upload_id, number) in (select upload_id, number from upload_parts limit $1);

-- name: clear_part_segments
delete from part_segments where (upload_id, number, position) in (select upload_id, number, position from part_segments limit $1);

-- name: clear_blobs
delete from blobs where blob_id in (select blob_id from blobs limit $1);

-- name: clear_jobs
delete from jobs where id in (select id from jobs limit $1);

-- name: clear_job_history
delete from job_history where id in (select id from job_history limit $1);

-- name: clear_garbage
delete from garbage where id in (select id from garbage limit $1);

-- name: clear_outbox
delete from outbox where id in (select id from outbox limit $1);

-- name: any_user
select id from users limit 1;

-- name: blobs_used
-- Blobs that rows refer to, after name $1, with the bytes of each that are needed, and its digest.
select used.blob_id, used.size, b.size as blob_size, b.digests
from (
  select blob_id, max(ends) as size
  from (
    select blob_id, start + size as ends from object_segments where blob_id > $1
    union all
    select blob_id, start + size as ends from part_segments where blob_id > $1
  ) referred
  group by blob_id
) used
left join blobs b on b.blob_id = used.blob_id
order by used.blob_id limit $2;

-- name: move_blobs
select
  blob_id, size, digests, damaged_at
from blobs
where blob_id > $1
order by blob_id limit $2;

-- name: add_blobs
insert into blobs (
  blob_id, size, digests, damaged_at
) values (
  $1, $2, $3, $4
) on conflict do nothing;

-- name: ids_given [sqlite]
-- The highest id that each table ever gave, deleted rows' included.
select name, seq from sqlite_sequence;

-- name: ids_continue [sqlite]
-- The next id that a table gives is above $2.
update sqlite_sequence set seq = max(seq, $2) where name = $1;

-- name: ids_continue
-- The next id that a table gives is above $2.
select setval(
  pg_get_serial_sequence($1, 'id'),
  greatest($2, nextval(pg_get_serial_sequence($1, 'id')))
);

-- name: outbox_first
select id from outbox order by id limit 1;

-- name: move_outbox_batch
-- The batch that was on its way: sent again under its token, should both have one ClickHouse.
select id, token, event_ids, holder, lease_until
from outbox_batch
where id > $1
order by id limit $2;

-- name: add_outbox_batch
insert into outbox_batch (id, token, event_ids, holder, lease_until)
values ($1, $2, $3, $4, $5) on conflict do nothing;

-- name: clear_outbox_batch
delete from outbox_batch where id in (select id from outbox_batch limit $1);
