-- Pipelines and their texts.

-- name: pipeline_add
insert into pipelines (user_id, name, newest_version, created_at, updated_at)
values ($1, $2, 1, $3, $3)
returning id;

-- name: pipeline_add_version
insert into pipeline_versions (pipeline_id, version, name, format, content, digest, created_at)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: pipeline_replace
update pipelines set name = $3, newest_version = newest_version + 1, updated_at = $4
where id = $2 and user_id = $1 and deleted_at is null
returning newest_version;

-- name: pipeline_get
select p.id, p.user_id, p.name, p.created_at, p.updated_at,
  v.id as version_id, v.version, v.format, v.content, v.digest
from pipelines p
join pipeline_versions v on v.pipeline_id = p.id and v.version = p.newest_version
where p.id = $2 and p.user_id = $1 and p.deleted_at is null;

-- name: pipeline_by_name
select p.id, p.user_id, p.name, p.created_at, p.updated_at,
  v.id as version_id, v.version, v.format, v.content, v.digest
from pipelines p
join pipeline_versions v on v.pipeline_id = p.id and v.version = p.newest_version
where p.user_id = $1 and p.name = $2 and p.deleted_at is null;

-- name: pipelines_of_user
select p.id, p.user_id, p.name, p.created_at, p.updated_at,
  v.id as version_id, v.version, v.format, v.content, v.digest
from pipelines p
join pipeline_versions v on v.pipeline_id = p.id and v.version = p.newest_version
where p.user_id = $1 and p.deleted_at is null
order by p.id;

-- name: pipeline_names
select name from pipelines where user_id = $1 and deleted_at is null order by name;

-- name: pipeline_delete
update pipelines set deleted_at = $3
where id = $2 and user_id = $1 and deleted_at is null;

-- name: pipeline_version
-- A pinned text, of a deleted pipeline too.
select v.id, v.pipeline_id, v.name
from pipeline_versions v join pipelines p on p.id = v.pipeline_id
where v.id = $2 and p.user_id = $1;
