-- Multipart uploads, their parts and the parts' segments.

-- name: upload_add
insert into uploads (
  id, bucket_id, key, content_type, system_headers, user_metadata, storage_class,
  checksum_algorithm, checksum_type, version_id, created_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: upload_get
-- Open or completed; the caller looks at its state.
select * from uploads where id = $1 and bucket_id = $2 and key = $3;

-- name: upload_share
-- The same, and it is neither completed nor aborted before the transaction has ended.
select * from uploads where id = $1 and bucket_id = $2 and key = $3 for share;

-- name: upload_lock
-- The same, and no part comes to it before the transaction has ended.
select * from uploads where id = $1 and bucket_id = $2 and key = $3 for update;

-- name: uploads_page
-- Open uploads after a place in the order of keys and creation, below key $4.
-- The key first as the index has it, then as its row has it.
select u.key, t.key as stored_key, t.* from uploads u join uploads t on t.id = u.id
where u.bucket_id = $1 and u.state = 'open' and (u.key, u.id) > ($2, $3) and u.key < $4
order by u.key, u.id limit $5;

-- name: uploads_last
-- The last keys below $2, found from the other end.
select o.id, o.key, t.key as stored_key from uploads o join uploads t on t.id = o.id
where o.bucket_id = $1 and o.state = 'open' and o.key < $2
order by o.key desc limit $3;

-- name: upload_complete
update uploads set state = 'completed', completed_at = $2, object_id = $3, job_id = $4
where id = $1 and state = 'open';

-- name: upload_abort
delete from uploads where id = $1 and state = 'open';

-- name: uploads_stale
-- Ids begin with the time of creation: those below $1 were begun before it.
select id from uploads where state = 'open' and id < $1 order by id limit $2
for update skip locked;

-- name: uploads_forget
-- Completed ones are remembered for a repeated CompleteMultipartUpload: those that were begun
-- before the id $1 are looked at.
delete from uploads where state = 'completed' and id < $1 and completed_at <= $2;

-- name: part_add
insert into upload_parts (
  upload_id, number, size, md5, checksum_algorithm, checksum_value, checksum_type, created_at
) values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: part_add_segment
insert into part_segments (upload_id, number, position, blob_id, start, size)
values ($1, $2, $3, $4, $5, $6);

-- name: part_delete
delete from upload_parts where upload_id = $1 and number = $2;

-- name: parts_page
select * from upload_parts
where upload_id = $1 and number > $2
order by number limit $3;

-- name: parts_segments
-- Of the parts above $2 up to $3.
select number, blob_id, start, size from part_segments
where upload_id = $1 and number > $2 and number <= $3
order by number, position;

-- name: parts_delete
delete from upload_parts where upload_id = $1;

-- name: garbage_of_part
-- Before a part is replaced: its blobs that nothing else refers to.
insert into garbage (blob_id, created_at)
select distinct s.blob_id, cast($3 as bigint) from part_segments s
where s.upload_id = $1 and s.number = $2
  and not exists (
    select 1 from part_segments p
    where p.blob_id = s.blob_id and (p.upload_id <> s.upload_id or p.number <> s.number)
  )
  and not exists (select 1 from object_segments o where o.blob_id = s.blob_id)
on conflict (blob_id) do nothing;

-- name: garbage_keep_part
-- The same part committed once more, after an uncertain commit, uses the blobs that it replaced.
delete from garbage
where blob_id in (select blob_id from part_segments where upload_id = $1 and number = $2);

-- name: garbage_of_upload
-- Before an upload's parts are deleted: their blobs that no object and no other upload uses.
insert into garbage (blob_id, created_at)
select distinct s.blob_id, cast($2 as bigint) from part_segments s
where s.upload_id = $1
  and not exists (
    select 1 from part_segments p where p.blob_id = s.blob_id and p.upload_id <> s.upload_id
  )
  and not exists (select 1 from object_segments o where o.blob_id = s.blob_id)
on conflict (blob_id) do nothing;
