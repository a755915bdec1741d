-- Buckets and the S3 credentials made for them.

-- name: bucket_by_name
-- Of whomever: the caller compares the owner, to tell forbidden from missing.
select * from buckets where name = $1;

-- name: bucket_hold
-- The same, and it is not deleted before the transaction has ended: something comes into it.
select * from buckets where name = $1 for key share;

-- name: bucket_lock
-- The same, and nothing comes into it before the transaction has ended.
select * from buckets where name = $1 for update;

-- name: bucket_by_id
-- Where a job puts its outputs: the very bucket, not another one that took its name.
select * from buckets where id = $1 and owner_id = $2 for key share;

-- name: bucket_add
insert into buckets (name, owner_id, region, created_at)
values ($1, $2, $3, $4)
on conflict (name) do nothing
returning *;

-- name: buckets_of_user
select * from buckets where owner_id = $1 order by name;

-- name: buckets_count
select count(*) as buckets from buckets where owner_id = $1;

-- name: bucket_content
-- Anything that keeps a bucket from being deleted.
select 1 as found
where exists (select 1 from objects where bucket_id = $1 and is_current = 1)
   or exists (select 1 from uploads where bucket_id = $1 and state = 'open');

-- name: bucket_delete
delete from buckets where id = $1 and owner_id = $2;

-- name: credential_add
insert into s3_credentials (user_id, access_key, sealed_secret, bucket_name, created_at)
values ($1, $2, $3, $4, $5)
returning *;

-- name: credentials_of_user
select * from s3_credentials where user_id = $1 order by id;

-- name: credentials_active_count
select count(*) as active from s3_credentials where user_id = $1 and is_active = 1;

-- name: credential_revoke
update s3_credentials set is_active = 0, revoked_at = coalesce(revoked_at, $3)
where id = $2 and user_id = $1
returning *;

-- name: signing_key
-- All that checking a signature needs, in one trip.
select c.id, c.user_id, c.access_key, c.sealed_secret, c.is_active, u.is_disabled, u.email
from s3_credentials c join users u on u.id = c.user_id
where c.access_key = $1;
