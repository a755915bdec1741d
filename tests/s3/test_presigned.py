from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from mediaconvert.settings import S3Settings
from tests.program import WAIT_SECONDS
from tests.serving import Person, Served, serving

FORMS = {"v4": "s3v4", "v2": "s3-query"}


@pytest.fixture(params=FORMS)
def signing(request: pytest.FixtureRequest, served: Served, person: Person) -> Any:
    return served.client(person, signature_version=FORMS[request.param])


def test_a_presigned_get_and_head(signing: Any, s3: Any, bucket: str) -> None:
    key = "a b/ü+%2F//x"
    s3.put_object(Bucket=bucket, Key=key, Body=b"found")
    params = {"Bucket": bucket, "Key": key}
    url = signing.generate_presigned_url("get_object", params)
    assert requests.get(url, timeout=WAIT_SECONDS).content == b"found"
    assert requests.get(url, headers={"Range": "bytes=1-2"}, timeout=WAIT_SECONDS).content == b"ou"
    head = requests.head(
        signing.generate_presigned_url("head_object", params), timeout=WAIT_SECONDS
    )
    assert (head.status_code, head.headers["content-length"]) == (200, "5")
    # The URL is good for what was signed and nothing else.
    assert requests.delete(url, timeout=WAIT_SECONDS).status_code == 403
    assert requests.get(url + "&acl", timeout=WAIT_SECONDS).status_code == 403
    assert requests.get(url.replace("x?", "y?"), timeout=WAIT_SECONDS).status_code == 403


def test_a_presigned_get_with_overrides(signing: Any, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    params = {"Bucket": bucket, "Key": "k", "ResponseContentType": "text/x-y"}
    url = signing.generate_presigned_url("get_object", params)
    assert requests.get(url, timeout=WAIT_SECONDS).headers["content-type"] == "text/x-y"


def test_a_presigned_put_and_delete(signing: Any, s3: Any, bucket: str) -> None:
    params = {"Bucket": bucket, "Key": "k"}
    url = signing.generate_presigned_url("put_object", params)
    assert requests.put(url, data=b"by url", timeout=WAIT_SECONDS).status_code == 200
    assert s3.get_object(**params)["Body"].read() == b"by url"
    gone = requests.delete(
        signing.generate_presigned_url("delete_object", params), timeout=WAIT_SECONDS
    )
    assert gone.status_code == 204
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_signed_metadata_are_the_objects(
    s3: Any, served: Served, person: Person, bucket: str
) -> None:
    signing = served.client(person, signature_version="s3v4")
    params = {"Bucket": bucket, "Key": "k", "Metadata": {"colour": "blue"}}
    url = signing.generate_presigned_url("put_object", params)
    answer = requests.put(
        url, data=b"x", headers={"x-amz-meta-colour": "blue"}, timeout=WAIT_SECONDS
    )
    assert answer.status_code == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"colour": "blue"}
    unsigned = {"x-amz-meta-colour": "blue", "x-amz-meta-pipeline": "p"}
    assert requests.put(url, data=b"x", headers=unsigned, timeout=WAIT_SECONDS).status_code == 403


def test_sigv2_urls_can_be_turned_off(tmp_path: Path) -> None:
    with serving(tmp_path, s3=S3Settings(sigv2_presign=False)) as served:
        signing = served.client(served.person(), signature_version="s3-query")
        answer = requests.get(signing.generate_presigned_url("list_buckets"), timeout=WAIT_SECONDS)
        assert (answer.status_code, b"InvalidRequest" in answer.content) == (400, True)
