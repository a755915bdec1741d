"""A bucket with objects and an upload in it, and for each operation a call that succeeds."""

from __future__ import annotations

import copy
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from tests.serving import Person

Params = dict[str, Any]


@dataclass
class Stocked:
    """Keys `d/e`, `k` and `k2` of five bytes each; an upload of `k` with one part."""

    s3: Any
    person: Person
    bucket: str
    upload_id: str
    part_etag: str
    etag: str
    modified: datetime

    def base(self, operation: str) -> Params:
        """Parameters with which the operation succeeds."""
        at: Params = {"Bucket": self.bucket}
        key = at | {"Key": "k"}
        upload = key | {"UploadId": self.upload_id}
        source = {"Bucket": self.bucket, "Key": "k2"}
        parts = {"Parts": [{"PartNumber": 1, "ETag": self.part_etag}]}
        bases: dict[str, Params] = {
            "ListBuckets": {},
            "CreateBucket": {"Bucket": f"{self.bucket}-new"},
            "DeleteBucket": {"Bucket": f"{self.bucket}-empty"},
            "DeleteObjects": at | {"Delete": {"Objects": [{"Key": "k"}]}},
            "ListObjects": at,
            "ListObjectsV2": at,
            "ListMultipartUploads": at,
            "AbortMultipartUpload": upload,
            "CompleteMultipartUpload": upload | {"MultipartUpload": parts},
            "CopyObject": key | {"CopySource": source},
            "CreateMultipartUpload": key,
            "GetObjectAttributes": key | {"ObjectAttributes": ["ObjectSize"]},
            "ListParts": upload,
            "PutObject": key | {"Body": b"12345"},
            "UploadPart": upload | {"PartNumber": 2, "Body": b"12345"},
            "UploadPartCopy": upload | {"PartNumber": 2, "CopySource": source},
        }
        return copy.deepcopy(bases.get(operation, key if "Object" in operation else at))

    def call(self, operation: str, params: Params) -> Params:
        answer: Params = getattr(self.s3, xform_name(operation))(**params)
        return answer

    def with_member(self, operation: str, path: str, value: object) -> Params:
        """The parameters of a call with one member, which may stand in a document."""
        params = self.base(operation)
        at: Any = params
        *outer, last = path.split(".")
        for name in outer:
            made: Any = [{}] if name in ("Objects", "Parts", "Tags") else {}
            at = at.setdefault(name, made)
            at = at[0] if isinstance(at, list) else at
        at[last] = value
        if path.startswith("CreateBucketConfiguration.Tags"):
            at.setdefault("Key", "k")
            at.setdefault("Value", "v")
        return params

    def state(self) -> object:
        """All that a refused call must leave as it is."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]
        uploads = self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return (
            [(o["Key"], o["ETag"], o["LastModified"]) for o in listed],
            [(u["UploadId"], self._parts(u)) for u in uploads],
            [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]],
        )

    def keys(self) -> list[str]:
        return [o["Key"] for o in self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]]

    def region(self, bucket: str) -> str:
        found: str = self.s3.get_bucket_location(Bucket=bucket)["LocationConstraint"]
        return found

    def read(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def stored(self, operation: str, params: Params) -> Params:
        """HEAD of the object that a call creates."""
        at = {"Bucket": self.bucket, "Key": "new"}
        answer = self.call(operation, params | at)
        if "UploadId" in answer:
            upload = at | {"UploadId": answer["UploadId"]}
            part = self.s3.upload_part(**upload, PartNumber=1, Body=b"12345")
            parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            self.s3.complete_multipart_upload(**upload, MultipartUpload=parts)
        head: Params = self.s3.head_object(**at)
        return head

    def _parts(self, upload: Params) -> list[tuple[int, str]]:
        wanted = {"Bucket": self.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        parts = self.s3.list_parts(**wanted).get("Parts", [])
        return [(part["PartNumber"], part["ETag"]) for part in parts]

    def refusal(self, operation: str, params: Params) -> tuple[int, str, str]:
        """(status, code, message) of a call that must fail."""
        try:
            self.call(operation, params)
        except ClientError as error:
            response: Any = error.response
            status: int = response["ResponseMetadata"]["HTTPStatusCode"]
            return status, response["Error"]["Code"], response["Error"].get("Message", "")
        raise AssertionError(f"{operation} was not refused: {params}")


def stock(s3: Any, person: Person) -> Stocked:
    bucket = f"stocked-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=f"{bucket}-empty")
    for key in ("d/e", "k", "k2"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"hello", Metadata={"old": "1"})
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=b"12345")
    head = s3.head_object(Bucket=bucket, Key="k")
    return Stocked(s3, person, bucket, upload_id, part["ETag"], head["ETag"], head["LastModified"])


PAST = datetime(2001, 1, 1, tzinfo=UTC)
FUTURE = datetime(2199, 1, 1, tzinfo=UTC)
