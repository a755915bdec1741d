"""The table knows every operation of the S3 API; what it does not know never falls through."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from mediaconvert.api.s3.routes import Access, Level, NoRoute
from mediaconvert.api.s3.table import ROUTES
from tests.s3.errors import refused
from tests.s3.signing import Signer

MODEL = botocore.session.get_session().get_service_model("s3")
LEVELS = {"/": Level.SERVICE, "/{Bucket}": Level.BUCKET, "/{Bucket}/{Key+}": Level.OBJECT}
# Told apart by their host, which path style does not have.
ELSEWHERE = {"WriteGetObjectResponse", "ListDirectoryBuckets"}

OPERATIONS = [
    name
    for name in MODEL.operation_names
    if name not in ELSEWHERE and not MODEL.operation_model(name).deprecated
]


def request_of(name: str) -> tuple[str, Level, dict[str, str], dict[str, str]]:
    """Method, level, query and headers that an operation always has."""
    operation = MODEL.operation_model(name)
    path, _, query_text = operation.http["requestUri"].partition("?")
    query = {q.partition("=")[0]: q.partition("=")[2] for q in query_text.split("&") if q}
    headers = {}
    shape = operation.input_shape
    for member in shape.required_members if shape else []:
        place = shape.members[member].serialization
        if place.get("location") == "querystring":
            query[place["name"]] = "1"
        elif place.get("location") == "header":
            headers[place["name"].lower()] = "x"
    return operation.http["method"], LEVELS[path], query, headers


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_of_the_api_has_its_row(name: str) -> None:
    method, level, query, headers = request_of(name)
    assert ROUTES.match(method, level, query, headers).operation == name
    assert ROUTES.match(method, level, query | {"x-id": name}, headers).operation == name


def test_reading_rows_never_change_anything() -> None:
    for row in ROUTES.rows:
        if row.method in ("PUT", "DELETE") or (row.handler and row.method == "POST"):
            assert row.access is Access.WRITE, row.operation


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize(
    "query", ["acl", "tagging", "brandNew", "torrent", "uploads", "partNumber"]
)
def test_a_subresource_never_reaches_the_plain_row(method: str, query: str) -> None:
    plain = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
    try:
        row = ROUTES.match(method, Level.OBJECT, {query: ""}, {})
    except NoRoute:
        return
    reads_a_part = query == "partNumber" and method in ("GET", "HEAD")
    assert row.operation != plain.get(method) or reads_a_part


def test_parameters_that_only_shape_the_answer_do_not_matter() -> None:
    query = {"prefix": "", "marker": "", "response-expires": "", "whatever": "value"}
    assert ROUTES.match("GET", Level.BUCKET, query, {}).operation == "ListObjects"
    assert ROUTES.match("GET", Level.OBJECT, query, {}).operation == "GetObject"


def test_tagging_an_object_is_refused_and_overwrites_nothing(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"the object")
    tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert refused(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=tags) == (
        501,
        "NotImplemented",
    )
    assert refused(s3.put_object_acl, Bucket=bucket, Key="k", ACL="private")[0] == 501
    assert refused(s3.delete_object_tagging, Bucket=bucket, Key="k")[0] == 501
    assert refused(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={})[0] == 501
    assert refused(s3.list_object_versions, Bucket=bucket)[0] == 501
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"the object"


def test_what_no_row_has_is_a_method_not_allowed_or_not_implemented(
    signer: Signer, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"the object")
    assert signer.error("PUT", f"/{bucket}/k?brandNew") == (501, "NotImplemented")
    assert signer.error("DELETE", f"/{bucket}/k?brandNew") == (501, "NotImplemented")
    assert signer.error("DELETE", f"/{bucket}/k?acl") == (405, "MethodNotAllowed")
    assert signer.error("PUT", f"/{bucket}/k?partNumber=1") == (405, "MethodNotAllowed")
    assert signer.error("POST", f"/{bucket}/k") == (405, "MethodNotAllowed")
    assert signer.error("PATCH", f"/{bucket}/k") == (405, "MethodNotAllowed")
    assert signer.error("DELETE", "/") == (405, "MethodNotAllowed")
    assert signer.error("GET", f"/{bucket}?list-type=3") == (405, "MethodNotAllowed")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"the object"
