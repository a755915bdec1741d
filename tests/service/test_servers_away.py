"""Each server away, at the start and while running: one sentence, one row of /ready, and back
by itself; `doctor` says the same before a start."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.program import PHOTO, ROOT, Person, clean_environment, run_program, wait_until
from tests.servers import seaweedfs as store
from tests.servers.clickhouse import ClickHouse
from tests.servers.postgres import USER, Postgres
from tests.servers.process import free_port
from tests.servers.proxy import Proxy, open_proxy
from tests.servers.redis import KIND, Redis
from tests.servers.seaweedfs import SeaweedFS
from tests.service.readiness import Rows, rows, rows_once, rows_once_ready
from tests.service.test_health_command import ask_until
from tests.service.test_redis import EASY_PIPELINE

Variables = dict[str, str]


def command(
    folder: Path, *arguments: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mediaconvert.cli.main", *arguments],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), **environment),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def database_at(port: int, name: str = "films", password: str = "hunter2") -> Variables:
    return {"DATABASE_URL": f"postgres://mediaconvert:{password}@127.0.0.1:{port}/{name}"}


def store_at(port: int, secret: str = store.SECRET_KEY) -> Variables:
    return {
        "S3_ENDPOINT": f"http://127.0.0.1:{port}",
        "S3_ACCESS_KEY": store.ACCESS_KEY,
        "S3_SECRET_KEY": secret,
        "S3_BUCKET": f"b{secrets.token_hex(6)}",
    }


@pytest.mark.parametrize("what", ["database", "storage"])
def test_without_it_the_start_is_refused_with_one_sentence(tmp_path: Path, what: str) -> None:
    port = free_port()
    environment = database_at(port) if what == "database" else store_at(port, "hunter2hunter2")
    done = command(tmp_path, "serve", "--port", "0", environment=environment)
    (sentence,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence.startswith("mediaconvert: the ")
    assert f"127.0.0.1:{port}" in sentence
    assert "hunter2" not in done.stderr


@pytest.fixture
def proxies(postgres: Postgres, seaweedfs: SeaweedFS) -> Iterator[dict[str, Proxy]]:
    with ExitStack() as stack:
        yield {
            "database": stack.enter_context(open_proxy(postgres.port)),
            "storage": stack.enter_context(open_proxy(seaweedfs.port)),
        }


@pytest.mark.parametrize("what", ["database", "storage"])
def test_lost_while_running_it_is_a_row_and_comes_back_by_itself(
    tmp_path: Path, postgres: Postgres, proxies: dict[str, Proxy], what: str
) -> None:
    name = postgres.create_database()
    environment = database_at(proxies["database"].port, name) | store_at(proxies["storage"].port)
    with run_program(tmp_path, environment=environment, expect_errors=True) as program:
        person = Person(program.url)
        person.save_pipeline("easy", EASY_PIPELINE)
        before = rows_once_ready(program.url)
        assert before["database"]["version"].startswith("PostgreSQL 18.")
        assert before["storage"]["version"]

        proxies[what].refuse()
        told = rows_once(
            program.url, lambda found: found[what]["status"] == "unavailable", "/ready tells of it"
        )
        assert told["status"] == "unavailable"
        assert told[what]["detail"]
        assert "hunter2" not in str(told)
        # As long as it is away, whatever the moment.
        assert httpx.get(f"{program.url}/ready", timeout=60).status_code == 503
        assert httpx.get(f"{program.url}/health", timeout=60).status_code == 200

        proxies[what].open()
        wait_until(lambda: rows(program.url)["status"] == "ready", "/ready tells of the return")
        job_id = person.upload("after.jpg", PHOTO, "easy")
        assert job_id is not None
        assert person.wait_for_job(job_id)["status"] == "completed"
        assert not [line for line in program.log if line["level"] == "raw"]


def test_ready_tells_why_the_database_lets_nobody_in_any_more(
    tmp_path: Path, servers_folder: Path
) -> None:
    server = Postgres(servers_folder / f"postgres-{secrets.token_hex(4)}")
    server.process.start()
    try:
        server.execute("postgres", "create role films login password 'hunter2'")
        server.execute("postgres", "create database films owner films")
        rules = server.socket_folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all {USER} all trust\nhost all films all scram-sha-256\n")
        server.process.restart()
        url = f"postgres://films:hunter2@127.0.0.1:{server.port}/films"

        def change(statement: str) -> None:
            server.execute("postgres", statement)
            # Connections that stand are not asked again.
            server.execute(
                "postgres",
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'films'",
            )

        with run_program(tmp_path, environment={"DATABASE_URL": url}) as program:
            port = program.url.rpartition(":")[2]

            def both_rows_say(why: str) -> Callable[[Rows], bool]:
                told = f"the database cannot be used: {why}"
                return lambda found: all(
                    (found[name]["status"], found[name].get("detail")) == ("unavailable", told)
                    for name in ("database", "queue")
                )

            rows_once_ready(program.url)
            change("alter role films password 'hunter3'")
            why = 'password authentication failed for user "films"'
            rows_once(program.url, both_rows_say(why), "/ready tells of the password")
            health = ask_until("unavailable", tmp_path, "--ready", "--port", port)
            said = [line for line in health.stdout.splitlines() if line.startswith("FAIL")]
            assert len(said) == 2 and all(line.endswith(f"used: {why}") for line in said)
            # The same words, once for each outage.
            assert program.wait_for_log(f"the database is away: {why}")

            change("alter role films password 'hunter2'")
            rows_once_ready(program.url)
            change("alter role films nologin")
            server.rename_database("films", "movies")
            change("alter role films login")
            why = 'database "films" does not exist'
            rows_once(program.url, both_rows_say(why), "/ready tells of the database's name")

            server.rename_database("movies", "films")
            rows_once_ready(program.url)
            server.process.stop()
            rows_once(program.url, both_rows_say("Connection refused"), "/ready tells of its end")
            answer = httpx.post(
                f"{program.url}/auth/login", json={"email": "a@b.cd", "password": "hunter2"}
            )
            # A user's business is what became of the request.
            sentence = "the database cannot be reached; nothing was changed"
            assert (answer.status_code, answer.json()["error"]) == (503, sentence)
            assert "hunter" not in str(program.log)
    finally:
        server.process.stop()


REPORTS = (
    *("jobs/stats", "jobs/percentiles", "jobs/timeline", "pipelines/stats", "operations/stats"),
)
NO_REPORTS = (
    "reports are not available just now; nothing is lost: what happens meanwhile is in them when "
    "they are back"
)


def test_users_are_told_what_does_not_work_and_not_where_the_servers_are(
    tmp_path: Path, postgres: Postgres, clickhouse: ClickHouse, proxies: dict[str, Proxy]
) -> None:
    name = postgres.create_database()
    environment = database_at(proxies["database"].port, name) | store_at(proxies["storage"].port)
    with open_proxy(clickhouse.port) as proxy, clickhouse.database() as reports:
        environment["CLICKHOUSE_DSN"] = clickhouse.dsn(reports, port=proxy.port)
        secrets_of_ours = (
            *(f":{each.port}" for each in (proxy, *proxies.values())),
            *(name, reports, environment["S3_BUCKET"], "hunter2"),
        )

        def is_kept_from_users(answer: httpx.Response) -> None:
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) >= 1
            assert not [each for each in secrets_of_ours if each in answer.text]

        with run_program(tmp_path, environment=environment, expect_errors=True) as program:
            person = Person(program.url)
            person.upload("before.jpg", PHOTO)

            def s3_answers(method: str, call: str, **parameters: str) -> httpx.Response:
                url = person.s3.generate_presigned_url(
                    call, {"Bucket": person.bucket, **parameters}, HttpMethod=method
                )
                body = b"film" if method == "PUT" else None
                return httpx.request(method, url, content=body, timeout=120)

            def has_reports() -> bool:
                return person.rest.get("/api/analytics/jobs/stats").status_code == 200

            def said_of_reports() -> list[str]:
                told = [str(line["message"]).partition(": ") for line in program.log]
                return [what for what, _, _ in told if what.startswith("reports are ")]

            wait_until(has_reports, "reports are answered")
            proxy.refuse()
            for report in REPORTS:
                answer = person.rest.get(f"/api/analytics/{report}")
                is_kept_from_users(answer)
                assert answer.json()["error"] == NO_REPORTS
            why = f"ClickHouse at 127.0.0.1:{proxy.port}/{reports} cannot be used: "
            program.wait_for_log(f"reports are not available: {why}", is_prefix=True)

            proxies["storage"].refuse()
            is_kept_from_users(s3_answers("GET", "get_object", Key="before.jpg"))
            is_kept_from_users(s3_answers("PUT", "put_object", Key="after.jpg"))
            proxies["database"].refuse()
            is_kept_from_users(s3_answers("GET", "get_object", Key="before.jpg"))
            is_kept_from_users(s3_answers("PUT", "put_object", Key="after.jpg"))
            is_kept_from_users(s3_answers("GET", "list_objects_v2"))
            is_kept_from_users(person.rest.get("/api/jobs"))
            is_kept_from_users(person.rest.get("/api/analytics/jobs/stats"))
            login = {"email": "a@b.cd", "password": "film-film"}
            is_kept_from_users(httpx.post(f"{program.url}/auth/login", json=login, timeout=60))

            for each in (proxy, *proxies.values()):
                each.open()
            wait_until(has_reports, "reports are answered again")
            wait_until(
                lambda: said_of_reports()[-1] == "reports are available again",
                "their return is logged",
            )
            # Once each time, however many asked: a machine that pauses may lose it more often.
            outages = len(said_of_reports()) // 2
            lost_and_back = ["reports are not available", "reports are available again"]
            assert said_of_reports() == lost_and_back * outages


def test_without_clickhouse_it_starts_and_says_so_until_it_is_there(
    tmp_path: Path, clickhouse: ClickHouse
) -> None:
    def analytics_are(status: str, detail: str = "") -> Callable[[Rows], bool]:
        def holds(found: Rows) -> bool:
            row = found["analytics"]
            is_so = row["status"] == status and detail in row.get("detail", "")
            return bool(found["status"] == "ready" and is_so)

        return holds

    with open_proxy(clickhouse.port) as proxy, clickhouse.database() as name:
        proxy.refuse()
        environment = {"CLICKHOUSE_DSN": clickhouse.dsn(name, port=proxy.port)}
        with run_program(tmp_path, environment=environment) as program:
            place = f"127.0.0.1:{proxy.port}"
            rows_once(program.url, analytics_are("degraded", place), "it is said who is away")
            proxy.open()
            found = rows_once(program.url, analytics_are("ok"), "it is found")
            assert found["analytics"]["version"].startswith("ClickHouse ")
            proxy.refuse()
            rows_once(program.url, analytics_are("degraded", place), "its loss is told")
            assert program.terminate() == 0


def test_doctor_shows_the_version_of_each_server_and_changes_nothing(
    tmp_path: Path,
    postgres: Postgres,
    seaweedfs: SeaweedFS,
    redis_server: Redis,
    clickhouse: ClickHouse,
) -> None:
    name = postgres.create_database()
    environment = database_at(postgres.port, name) | store_at(seaweedfs.port)
    environment["REDIS_URL"] = redis_server.address
    environment["CLICKHOUSE_DSN"] = clickhouse.dsn("not_made_yet")
    done = command(tmp_path, "doctor", environment=environment)
    said = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("ok")}
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PostgreSQL 18." in said["database"] and "empty" in said["database"]
    assert "is made at the first start" in said["storage"]
    assert f"{KIND} " in said["queue"]
    assert "ClickHouse " in said["analytics"]
    assert "not_made_yet" not in clickhouse.execute("show databases")
    assert "hunter2" not in done.stdout
    tables = "select count(*) from information_schema.tables where table_schema = 'public'"
    assert postgres.execute(name, tables) == "0"
    assert list(tmp_path.iterdir()) == []


def test_doctor_says_what_is_wrong_with_each_server(tmp_path: Path) -> None:
    port = free_port()
    nowhere = f"127.0.0.1:{port}"
    environment = database_at(port) | store_at(port)
    environment |= {"REDIS_URL": nowhere, "CLICKHOUSE_DSN": nowhere}
    done = command(tmp_path, "doctor", environment=environment)
    said = {line.split()[1]: line for line in done.stdout.splitlines() if line[:4].strip()}
    assert done.returncode == 1
    assert done.stderr == ""
    assert said["database"].startswith("FAIL") and f"127.0.0.1:{port}" in said["database"]
    assert said["storage"].startswith("FAIL") and f"127.0.0.1:{port}" in said["storage"]
    assert said["queue"].startswith("warn") and "connection refused" in said["queue"]
    assert said["analytics"].startswith("warn") and nowhere in said["analytics"]


def test_doctor_fails_for_a_setting_that_cannot_be_read(tmp_path: Path) -> None:
    done = command(tmp_path, "doctor", environment={"REDIS_URL": "http://:hunter2@cache"})
    assert done.returncode == 1
    assert "FAIL  queue" in done.stdout and "redis.url begins with 'http://'" in done.stdout
    assert "hunter2" not in done.stdout
