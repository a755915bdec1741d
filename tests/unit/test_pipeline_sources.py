"""The two readers: what YAML and JSON may hold, and that nothing at all makes them fail
otherwise than by saying why."""

from __future__ import annotations

import json
import string

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from mediaconvert.errors import InvalidPipeline
from mediaconvert.operations import OPERATIONS
from mediaconvert.pipeline import Pipeline, parse
from mediaconvert.pipeline.json_source import read_json
from mediaconvert.pipeline.nodes import Problems, plain
from mediaconvert.pipeline.yaml_source import read_yaml
from tests.unit.pipeline_texts import pipeline_text, problems_of, step


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x 1\nb: 2", "anchors (&) are not supported"),
        ("a: &x 1\nb: *x", "aliases (*) are not supported"),
        ("<<: {a: 1}", "merge keys (<<) are not supported"),
        ("a: !!python/object/apply:os.system [ls]", "tags ("),
        ("a: !x 1", "tags (!x) are not supported"),
        ("a: 1\na: 2", "is given twice; the first is on line 1"),
        ("a\n---\nb", "holds more than one document"),
        ("? [a]\n: b", "a key must be a word"),
        ("[" * 60_000, "nested deeper than 20 levels"),
        ("a: " * 20 + "b", "is not valid YAML"),
        ("{input: ${input}}", "inside { } put ${…} in quotes"),
        ("a: \x07", "holds a character that YAML does not allow"),
        ('a: "\\UFFFFFFFF"', "is not valid YAML"),
        ("a: \0", "holds a NUL character"),
        ("a: \ud800", "holds half of a surrogate pair"),
    ],
)
def test_yaml_that_is_more_than_plain_data_is_refused(text: str, words: str) -> None:
    assert any(words in message for _, _, message in problems_of(text))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "is empty"),
        ('{"a": 1,}', 1, "expected a key in double quotes"),
        ('{"a": 1}\n{', 2, "something follows the end"),
        ('{"a": NaN}', 1, "unexpected 'N'"),
        ('{"a": Infinity}', 1, "unexpected 'I'"),
        ('{"a": 01}', 1, "expected ',' or '}'"),
        ('{"a": ' + "1" * 50 + "}", 1, "more than 40 characters"),
        ("{'a': 1}", 1, "expected a key in double quotes"),
        ('{"a": "\n"}', 1, "a string does not end"),
        ('{"a": "\\x"}', 1, "in a string: invalid \\escape"),
        ('{"a": "\\u00g0"}', 1, "in a string: invalid \\u"),
        ("[" * 30_000, 1, "nested deeper than 20 levels"),
        ('{"a": 1,\n"a": 2}', 2, "is given twice; the first is on line 1"),
        ('{"name": "\\ud800"}', 1, "holds half of a surrogate pair"),
        ('{"name": "\\u0000"}', 1, "holds a NUL character"),
        ("name: a", 1, "unexpected 'n'"),
        ("// x\n{}", 1, "unexpected '/'"),
    ],
)
def test_json_that_is_not_strictly_json_is_refused(text: str, line: int, words: str) -> None:
    found = problems_of(text, "json")
    assert any(words in message and where == line for _, where, message in found), found


def test_plain_yaml_values_are_read_without_surprises() -> None:
    text = (
        "a: 00:00:01\nb: 010\nc: yes\nd: 1e3\ne: ~\nf: 0x10\ng: 2024-01-01\nh: 1_000\ni: .5\nj: ''"
    )
    assert plain(read_yaml(text, Problems())) == {
        "a": "00:00:01",
        "b": 10,
        "c": True,
        "d": 1000.0,
        "e": None,
        "f": "0x10",
        "g": "2024-01-01",
        "h": "1_000",
        "i": 0.5,
        "j": "",
    }


# Pieces of the language, so that random texts come near to valid ones.
_WORDS = [
    "name", "steps", "operation", "input", "output", "params", "id", "${input}", "${output}/a.mp4",
    "${steps.a.output}", *(entry.operation for entry in OPERATIONS),
    *(field for entry in OPERATIONS for field in entry.model_fields),
    "{", "}", "[", "]", ":", ",", "-", "\n", "  ", '"', "'", "&a", "*a", "!!int", "|", ">", "#",
    "50%", "00:00:01", "-1", "1e999", "nan", "9" * 400, "h264", "\t", "\u2028", "\x85",
    "?", "%YAML",
]  # fmt: skip


@given(
    st.lists(st.sampled_from(_WORDS), max_size=60).map("".join), st.sampled_from(["yaml", "json"])
)
@example("[[" * 500, "yaml")
@example('"\\u', "json")
def test_any_text_is_a_pipeline_or_refused_with_reasons(text: str, format: str) -> None:
    _parse_or_refuse(text, format)


@given(st.text(max_size=300), st.sampled_from(["yaml", "json"]))
def test_any_characters_are_a_pipeline_or_refused_with_reasons(text: str, format: str) -> None:
    _parse_or_refuse(text, format)


def _parse_or_refuse(text: str, format: str) -> None:
    try:
        assert isinstance(parse(text, format), Pipeline)
    except InvalidPipeline as error:
        assert error.details
        lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + 2
        assert all(d.line is None or 1 <= d.line <= lines for d in error.details)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["50%", "00:00:01", "128k", "h264", "copy", "none", "#fff", "1-3", "all", "png"]
    ),
    st.lists(st.integers(-5, 500) | st.sampled_from(["1%", "0:01"]), max_size=4),
    st.dictionaries(st.sampled_from("abc"), st.integers(), max_size=2),
)


@given(st.data())
def test_any_params_are_accepted_or_refused_with_reasons(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(OPERATIONS))
    names = st.sampled_from([*operation.model_fields, "other"])
    params = data.draw(st.dictionaries(names, _VALUES, max_size=5))
    ending = data.draw(st.sampled_from(["mp4", "webm", "mp3", "wav", "jpg", "avif", "txt", "json"]))
    one = {
        "operation": operation.operation,
        "input": "${input}",
        "output": f"${{output}}/a.{ending}",
        "params": params,
    }
    text = json.dumps({"name": "x", "steps": [one]})
    _parse_or_refuse(text, "json")


_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.text(alphabet=string.printable + "äß€😀", max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet=string.ascii_letters, max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_PLAIN)
def test_json_reads_what_the_standard_library_wrote(value: object) -> None:
    assert plain(read_json(json.dumps(value, indent=1), Problems())) == value


@given(_PLAIN)
def test_yaml_reads_what_another_writer_wrote(value: object) -> None:
    text = yaml.safe_dump(value, default_style='"', allow_unicode=True)
    problems = Problems()
    if "!!" in text:
        return  # The writer tags what the style would turn into text.
    assert plain(read_yaml(text, problems)) == value


def test_yaml_and_json_see_the_same_lines() -> None:
    data = {"name": "x", "steps": [{"operation": "probe", "input": "${input}"}]}
    text = json.dumps(data, indent=2)
    assert problems_of(text, "json") == problems_of(text, "yaml")


def test_nothing_of_a_refused_text_is_kept_whole_in_a_message() -> None:
    found = problems_of(pipeline_text(step("x" * 5_000, source="y" * 5_000)))
    assert all(len(message) < 400 for _, _, message in found)
