-- Deaths of a job's worker process are suspicion, and only those of a process that ran nothing
-- else are evidence: see suspects.py. A suspect (is_suspect) runs alone, and is claimed apart.
alter table jobs add column worker_deaths bigint not null default 0;
-- In a row, with no other death of a process in between.
alter table jobs add column lone_deaths bigint not null default 0;
alter table jobs add column is_suspect bigint not null default 0;
-- It is running now, and its process runs no other job.
alter table jobs add column runs_alone bigint not null default 0;
-- What the job's dates are ahead of steady time (available_at, lease_until): the steps of the
-- wall clock until the job was made. See clock.py.
alter table jobs add column clock_offset bigint not null default 0;

drop index jobs_queue;
create index jobs_queue on jobs (priority, user_id, available_at, id)
  where status = 'pending' and is_suspect = 0;
create index jobs_suspects on jobs (available_at, id)
  where status = 'pending' and is_suspect = 1;

-- An upload's id begins with the steady time at which it was begun.
drop index uploads_age;
create index uploads_begun on uploads (state, id);
