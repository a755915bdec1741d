"""Pipelines: saved byte for byte, checked all at once, versioned, one's own only."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.rest.service import YAML, Person, Service, submit_job

URL = "/api/pipelines"
TEXT = YAML.format(name="look")
FOLDER = Path(__file__).parents[2] / "pipelines"
DOCUMENTS = {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.yaml"))}


def body(name: str = "look", content: str = TEXT, format: str = "yaml") -> dict[str, str]:
    return {"name": name, "format": format, "content": content}


async def test_a_saved_pipeline_comes_back_byte_for_byte(person: Person) -> None:
    content = "# é 用户 \t\n" + TEXT + "\n\n# the end\r\n"
    answer = await person.http.post(URL, json=body(content=content))
    assert answer.status_code == 201
    saved = answer.json()
    assert {"id", "name", "format", "content", "created_at", "updated_at"} <= set(saved)
    assert (saved["name"], saved["format"], saved["content"]) == ("look", "yaml", content)
    assert saved["warnings"] == []
    assert (await person.http.get(f"{URL}/{saved['id']}")).json()["content"] == content


async def test_a_new_user_has_none(person: Person) -> None:
    assert (await person.http.get(URL)).json() == {"pipelines": []}


async def test_json_is_taken_too(person: Person) -> None:
    content = json.dumps(yaml.safe_load(TEXT))
    answer = await person.http.post(URL, json=body(content=content, format="json"))
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_the_documents_that_come_along_can_be_saved(person: Person, name: str) -> None:
    answer = await person.http.post(URL, json=body(name, DOCUMENTS[name]))
    assert answer.status_code == 201, answer.text
    assert answer.json()["warnings"] == []


async def test_every_problem_of_a_text_is_told_with_path_and_line(person: Person) -> None:
    content = "name: x\nsteps:\n  - operation: transcod\n    input: /etc/passwd\n    output: ../y\n"
    answer = await person.http.post(URL, json=body(content=content))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_pipeline")
    details = answer.json()["details"]
    assert len(details) >= 3
    assert all(detail["path"] and detail["message"] for detail in details)
    assert {3, 4, 5} <= {detail.get("line") for detail in details}
    assert (await person.http.get(URL)).json() == {"pipelines": []}


async def test_another_name_in_the_text_is_a_warning_that_names_both(person: Person) -> None:
    answer = await person.http.post(URL, json=body("other"))
    assert answer.status_code == 201
    [warning] = answer.json()["warnings"]
    assert "'look'" in warning and "'other'" in warning


async def test_a_name_is_taken_for_oneself_only(person: Person, stranger: Person) -> None:
    await person.http.post(URL, json=body())
    answer = await person.http.post(URL, json=body())
    assert (answer.status_code, answer.json()["code"]) == (409, "pipeline_name_taken")
    assert (await stranger.http.post(URL, json=body())).status_code == 201


@pytest.mark.parametrize(
    "name", ["", " look", "look ", "x" * 101, "a\nb", "a\0b", "caf\u00e9", "\t", 5, None, ["x"]]
)
async def test_a_name_that_no_header_could_carry_is_a_400(person: Person, name: object) -> None:
    answer = await person.http.post(URL, json={**body(), "name": name})
    assert answer.status_code == 400
    assert answer.json()["details"][0]["path"] == "name"


async def test_a_name_may_be_what_a_header_can_carry(person: Person) -> None:
    for name in ("x", "x" * 100, "Video (web), 720p: ~50%!"):
        assert (await person.http.post(URL, json=body(name))).status_code == 201


async def test_a_text_may_have_64_kib_and_no_more(person: Person) -> None:
    padding = 65_536 - len(TEXT.encode())
    exact, over = TEXT + "#" * padding, TEXT + "#" * (padding + 1)
    assert (await person.http.post(URL, json=body("exact", exact))).status_code == 201
    answer = await person.http.post(URL, json=body("over", over))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_pipeline")


@pytest.mark.parametrize("format", ["xml", "YAML", "", None, 1])
async def test_only_yaml_and_json_are_formats(person: Person, format: object) -> None:
    answer = await person.http.post(URL, json={**body(), "format": format})
    assert (answer.status_code, answer.json()["details"][0]["path"]) == (400, "format")


async def test_replacing_makes_a_new_version(person: Person) -> None:
    first = (await person.http.post(URL, json=body())).json()
    text = TEXT + "# second\n"
    answer = await person.http.put(f"{URL}/{first['id']}", json=body(content=text))
    assert answer.status_code == 200
    second = answer.json()
    assert (second["id"], second["version"], second["content"]) == (first["id"], 2, text)
    assert second["created_at"] == first["created_at"]
    assert (await person.http.get(f"{URL}/{first['id']}")).json()["version"] == 2


async def test_replacing_checks_like_saving(person: Person) -> None:
    kept = (await person.http.post(URL, json=body())).json()
    other = (await person.http.post(URL, json=body("other"))).json()
    path = f"{URL}/{other['id']}"
    bad = await person.http.put(path, json=body("other", "steps: 5"))
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_pipeline")
    taken = await person.http.put(path, json=body(kept["name"]))
    assert (taken.status_code, taken.json()["code"]) == (409, "pipeline_name_taken")
    assert (await person.http.get(path)).json()["version"] == 1


async def test_a_deleted_pipeline_is_gone_and_its_name_free(person: Person) -> None:
    saved = (await person.http.post(URL, json=body())).json()
    answer = await person.http.delete(f"{URL}/{saved['id']}")
    assert (answer.status_code, answer.json()) == (
        200,
        {"message": "Pipeline deleted successfully"},
    )
    assert (await person.http.get(f"{URL}/{saved['id']}")).status_code == 404
    assert (await person.http.delete(f"{URL}/{saved['id']}")).status_code == 404
    assert (await person.http.post(URL, json=body())).status_code == 201


async def test_a_foreign_a_missing_and_an_impossible_id_are_one_answer(
    person: Person, stranger: Person
) -> None:
    saved = (await person.http.post(URL, json=body())).json()
    for text in (str(saved["id"]), "999999", "0", "abc", "9" * 30):
        for method, sent in (("GET", None), ("PUT", body("mine")), ("DELETE", None)):
            answer = await stranger.http.request(method, f"{URL}/{text}", json=sent)
            assert (answer.status_code, answer.json()["code"]) == (404, "pipeline_not_found")
            assert answer.json()["error"] == f"pipeline {text} does not exist"
    assert (await person.http.get(f"{URL}/{saved['id']}")).json()["version"] == 1


async def test_lists_hold_ones_own_oldest_first(person: Person, stranger: Person) -> None:
    for name in ("b", "a", "c"):
        await person.http.post(URL, json=body(name))
    await stranger.http.post(URL, json=body("d"))
    listed = (await person.http.get(URL)).json()["pipelines"]
    assert [row["name"] for row in listed] == ["b", "a", "c"]
    assert all(row["content"] == TEXT for row in listed)


async def test_checking_saves_nothing(person: Person) -> None:
    good = await person.http.post(f"{URL}/check", json={"format": "yaml", "content": TEXT})
    assert (good.status_code, good.json()) == (
        200,
        {"valid": True, "name": "look", "details": []},
    )
    bad = await person.http.post(f"{URL}/check", json={"format": "yaml", "content": "steps: 5"})
    assert bad.status_code == 200
    assert bad.json()["valid"] is False and bad.json()["details"]
    assert (await person.http.get(URL)).json() == {"pipelines": []}


async def test_the_published_schema_takes_what_saving_takes(
    service: Service, person: Person
) -> None:
    answer = await service.http.get(f"{URL}/schema")
    assert answer.status_code == 200
    schema = answer.json()
    jsonschema.validate(yaml.safe_load(TEXT), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "x", "steps": 5}, schema)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\0",
        "{",
        "a: &a [*a, *a]",
        "- " * 10_000,
        "name: !!python/object:os.system x",
        "[" * 5000,
    ],
)
async def test_hostile_texts_are_a_400(person: Person, content: str) -> None:
    for format in ("yaml", "json"):
        answer = await person.http.post(URL, json=body(content=content, format=format))
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_pipeline")


async def test_a_job_keeps_the_text_that_it_was_made_with(service: Service, person: Person) -> None:
    job_id = await submit_job(service, person)
    [saved] = (await person.http.get(URL)).json()["pipelines"]
    await person.http.put(f"{URL}/{saved['id']}", json=body(content=TEXT + "# new\n"))
    job = (await person.http.get(f"/api/jobs/{job_id}")).json()
    assert job["pipeline"]["content"] == TEXT
