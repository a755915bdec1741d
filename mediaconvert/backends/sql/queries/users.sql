-- Users, and the failed logins that are counted against guessing.

-- name: user_add
insert into users (email, email_key, password_hash, created_at)
values ($1, $2, $3, $4)
returning *;

-- name: user_by_email
select * from users where email_key = $1;

-- name: user_by_id
select * from users where id = $1;

-- name: user_set_password
-- Ends every token of the user at once.
update users set password_hash = $2, token_version = token_version + 1
where id = $1
returning *;

-- name: user_set_disabled
update users set is_disabled = $2, token_version = token_version + 1
where id = $1
returning *;

-- name: login_failure_add
insert into login_failures (subject, created_at) values ($1, $2);

-- name: login_failures_count
select count(*) as failures from login_failures where subject = $1 and created_at > $2;

-- name: login_failures_forget
delete from login_failures where subject = $1;

-- name: login_failures_forget_old
delete from login_failures where created_at < $1;
