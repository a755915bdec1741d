-- Objects: a row a stored version, of which the current one is visible; their segments; blobs
-- that nothing refers to any more.

-- name: object_current
select * from objects where bucket_id = $1 and key = $2 and is_current = 1;

-- name: object_lock_current
-- The same, and it stays so until the transaction has ended. Nothing where somebody else has
-- just replaced it.
select * from objects where bucket_id = $1 and key = $2 and is_current = 1 for update;

-- name: object_share_current
-- The same, for a copy: it is neither replaced nor purged before the copy is there.
select * from objects where bucket_id = $1 and key = $2 and is_current = 1 for share;

-- name: object_share
-- By its id, current or not; not purged before the transaction has ended.
select * from objects where id = $1 for share;

-- name: object_segments
-- With the digests of blobs up to 64 MiB; those of larger ones are asked for when they are read,
-- so that looking at an object of terabytes does not load megabytes of them.
select s.blob_id, s.start, s.size, b.size as blob_size,
  case when length(b.digests) <= 512 then b.digests end as digests, b.damaged_at
from object_segments s left join blobs b on b.blob_id = s.blob_id
where s.object_id = $1 order by s.position;

-- name: object_newest_job
-- The newest job of an object, for HEAD.
select id, status, progress from jobs where source_id = $1 order by id desc limit 1;

-- name: object_add
insert into objects (
  bucket_id, key, size, etag, content_type, system_headers, user_metadata, storage_class,
  checksum_algorithm, checksum_value, checksum_type, parts, created_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
returning id;

-- name: object_add_many
-- Without an answer: Python 3.12 and 3.13 cannot run a statement that answers many times on SQLite.
insert into objects (
  bucket_id, key, size, etag, content_type, system_headers, user_metadata, storage_class,
  checksum_algorithm, checksum_value, checksum_type, parts, created_at
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: object_add_segment
insert into object_segments (object_id, position, blob_id, start, size)
values ($1, $2, $3, $4, $5);

-- name: object_detach
update objects set is_current = 0, detached_at = $2 where id = $1 and is_current = 1;

-- name: object_detach_key
-- Whatever is current under a key.
update objects set is_current = 0, detached_at = $3
where bucket_id = $1 and key = $2 and is_current = 1;

-- name: objects_detached_at
-- What this transaction has detached in a bucket: its instant tells.
select id from objects where bucket_id = $1 and is_current = 0 and detached_at = $2;

-- name: object_add_segment_of_key
-- Of the object that is current under a key.
insert into object_segments (object_id, position, blob_id, start, size)
select o.id, $3, $4, $5, $6 from objects o
where o.bucket_id = $1 and o.key = $2 and o.is_current = 1;

-- name: objects_lock_detached
-- Of the objects in the JSON array $1. Before their readers are counted: nobody begins to read
-- them meanwhile.
select id from objects where id in ids_in($1) and is_current = 0 order by id for update;

-- name: objects_unread_of
-- Those of them, detached, that no unended job reads.
select id from objects o
where o.id in ids_in($1) and o.is_current = 0
  and not exists (
    select 1 from jobs j where j.source_id = o.id and j.status in ('pending', 'processing')
  );

-- name: objects_unread
select id from objects o
where o.is_current = 0
  and not exists (
    select 1 from jobs j where j.source_id = o.id and j.status in ('pending', 'processing')
  )
order by o.detached_at limit $1;

-- name: objects_delete
delete from objects where id in ids_in($1) and is_current = 0;

-- name: garbage_of_objects
-- Before objects (the JSON array $1) are deleted: their blobs that nothing else refers to.
insert into garbage (blob_id, created_at)
select distinct s.blob_id, cast($2 as bigint) from object_segments s
where s.object_id in ids_in($1)
  and not exists (
    select 1 from object_segments o
    where o.blob_id = s.blob_id and o.object_id not in ids_in($1)
  )
  and not exists (select 1 from part_segments p where p.blob_id = s.blob_id)
on conflict (blob_id) do nothing;

-- name: list_from
-- A page of keys from one on.
select id, key, key as stored_key, size, etag, storage_class, created_at, checksum_algorithm, checksum_type
from objects
where bucket_id = $1 and is_current = 1 and key >= $2 and key < $3
order by key limit $4;

-- name: list_from [sqlite]
-- The key as the index has it, and as its row has it: one of the two may be damaged.
select o.id, o.key, t.key as stored_key, t.size, t.etag, t.storage_class, t.created_at,
  t.checksum_algorithm, t.checksum_type
from objects o join objects t on t.id = o.id
where o.bucket_id = $1 and o.is_current = 1 and o.key >= $2 and o.key < $3
order by o.key limit $4;

-- name: list_after
-- A page of keys after one.
select id, key, key as stored_key, size, etag, storage_class, created_at, checksum_algorithm, checksum_type
from objects
where bucket_id = $1 and is_current = 1 and key > $2 and key < $3
order by key limit $4;

-- name: list_after [sqlite]
-- The key as the index has it, and as its row has it: one of the two may be damaged.
select o.id, o.key, t.key as stored_key, t.size, t.etag, t.storage_class, t.created_at,
  t.checksum_algorithm, t.checksum_type
from objects o join objects t on t.id = o.id
where o.bucket_id = $1 and o.is_current = 1 and o.key > $2 and o.key < $3
order by o.key limit $4;

-- name: list_last
-- The last keys below $2, found from the other end.
select o.id, o.key, t.key as stored_key from objects o join objects t on t.id = o.id
where o.bucket_id = $1 and o.is_current = 1 and o.key < $2
order by o.key desc limit $3;

-- name: list_walk
-- With a delimiter: one index seek for each object or common prefix, from key $2 on. $4 is the
-- prefix, $5 the delimiter, $6 is greater than whatever can follow a common prefix in a key; at
-- most $7 rows.
with recursive walk (n, key) as (
  select 1, cast($2 as text) collate "C"
  union all
  select w.n + 1, (
    select min(o.key) from objects o
    where o.bucket_id = $1 and o.is_current = 1 and o.key < $3
      and o.key > case strpos(substr(w.key, length($4) + 1), $5)
        when 0 then w.key
        else left(
          w.key,
          length($4) + strpos(substr(w.key, length($4) + 1), $5) - 1 + length($5)
        ) || $6
      end
  )
  from walk w where w.key is not null and w.n < $7
)
select o.id, o.key, o.key as stored_key, o.size, o.etag, o.storage_class, o.created_at, o.checksum_algorithm,
  o.checksum_type
from walk w join objects o on o.bucket_id = $1 and o.is_current = 1 and o.key = w.key
order by w.n;

-- name: list_walk [sqlite]
-- In bytes, since SQLite's text functions end at a NUL.
with recursive walk (n, key) as (
  select 1, $2
  union all
  select w.n + 1, (
    select min(o.key) from objects o
    where o.bucket_id = $1 and o.is_current = 1 and o.key < $3
      and o.key > case instr(
        substr(cast(w.key as blob), length(cast($4 as blob)) + 1), cast($5 as blob)
      )
        when 0 then w.key
        else cast(
          substr(
            cast(w.key as blob), 1,
            length(cast($4 as blob)) + instr(
              substr(cast(w.key as blob), length(cast($4 as blob)) + 1), cast($5 as blob)
            ) - 1 + length(cast($5 as blob))
          ) as text
        ) || $6
      end
  )
  from walk w where w.key is not null and w.n < $7
)
-- A key in a wrong place of a damaged index may not be found again; it is answered nevertheless.
select coalesce(o.id, 0) as id, w.key, t.key as stored_key, t.size, t.etag, t.storage_class,
  t.created_at, t.checksum_algorithm, t.checksum_type
from walk w left join objects o on o.bucket_id = $1 and o.is_current = 1 and o.key = w.key
left join objects t on t.id = o.id
where w.key is not null
order by w.n;
