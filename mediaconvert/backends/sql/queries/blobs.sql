-- Digests of blobs and which of them are damaged. Bytes are the blob store's.

-- name: blob_add
-- With the first object or part that refers to it; a commit that runs again finds it there.
insert into blobs (blob_id, size, digests) values ($1, $2, $3)
on conflict (blob_id) do nothing;

-- name: blob_digests
-- $1 is a JSON array of names.
select blob_id, size, digests, damaged_at from blobs
where blob_id in (select value from json_array_elements_text(cast($1 as json)));

-- name: blob_digests [sqlite]
select blob_id, size, digests, damaged_at from blobs
where blob_id in (select value from json_each($1));

-- name: blobs_page
-- Blobs that are referred to, after the name $1, at most $2. Of each: how many of its bytes are
-- referred to, its digest, and the MD5 where an object consists of nothing else (the ETag of a
-- multipart object has a hyphen, and is longer).
select u.blob_id, b.size, b.digests, b.damaged_at,
  (
    select max(r.used) from (
      select s.start + s.size as used from object_segments s where s.blob_id = u.blob_id
      union all
      select p.start + p.size from part_segments p where p.blob_id = u.blob_id
    ) r
  ) as used,
  (
    select min(o.etag) from object_segments s join objects o on o.id = s.object_id
    where s.blob_id = u.blob_id and s.start = 0 and s.size = o.size and length(o.etag) = 32
  ) as md5
from (
  select * from (
    select distinct s.blob_id from object_segments s
    where s.blob_id > $1 order by s.blob_id limit $2
  ) in_objects
  union
  select * from (
    select distinct p.blob_id from part_segments p
    where p.blob_id > $1 order by p.blob_id limit $2
  ) in_parts
) u
left join blobs b on b.blob_id = u.blob_id
order by u.blob_id limit $2;

-- name: blob_damage
-- Marks a blob that is referred to, also one without a digest; 1 row the first time. (A digest of
-- no bytes stands for none.)
insert into blobs (blob_id, size, digests, damaged_at)
select cast($1 as text), 0, cast('' as bytea), cast($2 as bigint)
where exists (select 1 from object_segments where blob_id = $1)
   or exists (select 1 from part_segments where blob_id = $1)
on conflict (blob_id) do update set damaged_at = excluded.damaged_at
where blobs.damaged_at is null;

-- name: blob_damage [sqlite]
insert into blobs (blob_id, size, digests, damaged_at)
select $1, 0, x'', $2
where exists (select 1 from object_segments where blob_id = $1)
   or exists (select 1 from part_segments where blob_id = $1)
on conflict (blob_id) do update set damaged_at = excluded.damaged_at
where blobs.damaged_at is null;

-- name: blob_intact
update blobs set damaged_at = null where blob_id = $1 and damaged_at is not null;

-- name: blob_digest_set
-- Of a blob that has been read whole: adds its digest where it has none.
insert into blobs (blob_id, size, digests)
select cast($1 as text), cast($2 as bigint), cast($3 as bytea)
where exists (select 1 from object_segments where blob_id = $1)
   or exists (select 1 from part_segments where blob_id = $1)
on conflict (blob_id) do update set size = excluded.size, digests = excluded.digests
where length(blobs.digests) = 0;

-- name: blob_digest_set [sqlite]
insert into blobs (blob_id, size, digests)
select $1, $2, $3
where exists (select 1 from object_segments where blob_id = $1)
   or exists (select 1 from part_segments where blob_id = $1)
on conflict (blob_id) do update set size = excluded.size, digests = excluded.digests
where length(blobs.digests) = 0;

-- name: blobs_count_damaged
-- Not those that an older node's sweep of garbage has left behind.
select count(*) as damaged from blobs b
where b.damaged_at is not null
  and (
    exists (select 1 from object_segments s where s.blob_id = b.blob_id)
    or exists (select 1 from part_segments p where p.blob_id = b.blob_id)
  );

-- name: blobs_damaged_objects
-- Objects that contain a damaged blob, at most $1.
select k.name as bucket, o.key, s.blob_id, o.is_current
from object_segments s
join objects o on o.id = s.object_id
join buckets k on k.id = o.bucket_id
where s.blob_id in (select d.blob_id from blobs d where d.damaged_at is not null)
order by k.name, o.key, s.blob_id limit $1;

-- name: blob_forget
delete from blobs where blob_id = $1;
