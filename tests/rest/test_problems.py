"""The one table from refusals to statuses is complete and says what the codes promise."""

from __future__ import annotations

import inspect

import pytest

from mediaconvert import errors
from mediaconvert.api.rest.problems import MAX_DETAILS, STATUS, answer_refusal, status_of
from mediaconvert.errors import Detail, InvalidPipeline, InvalidRequest, Refusal, Unavailable


def refusals() -> list[type[Refusal]]:
    """Every class of the program, however deep."""
    found: list[type[Refusal]] = []
    waiting = [Refusal]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if kind.__module__.startswith("mediaconvert."):
                found.append(kind)
    return found


@pytest.mark.parametrize("kind", refusals(), ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_row_of_its_own(kind: type[Refusal]) -> None:
    assert kind in STATUS
    assert 400 <= status_of(kind) < 600


def test_every_row_is_a_refusal_that_exists() -> None:
    assert set(STATUS) <= set(refusals())


def test_codes_are_stable_names_and_none_means_two_things() -> None:
    codes = [kind.code for kind in refusals()]
    assert all(code and code == code.lower() and code.replace("_", "").isalnum() for code in codes)
    assert len(set(codes)) == len(codes)


def test_errors_of_the_domain_know_no_http() -> None:
    text = inspect.getsource(errors)
    assert "status_code" not in text and "HTTPStatus" not in text


def test_a_class_without_a_row_inherits_its_parents() -> None:
    class Special(InvalidRequest):
        pass

    assert status_of(Special) == 400


def test_retry_after_is_told_where_waiting_helps() -> None:
    answer = answer_refusal(Unavailable("the store is away", 7), "id")
    assert (answer.status, answer.headers) == (503, {"Retry-After": "7"})


def test_a_flood_of_details_is_cut_and_counted() -> None:
    details = [Detail(f"steps[{n}]", "is wrong") for n in range(MAX_DETAILS + 50)]
    listed = answer_refusal(InvalidPipeline(details), "id").problem.details
    assert listed is not None and len(listed) == MAX_DETAILS + 1
    assert listed[-1].message == "and 50 more"
