"""The SDK's client, with the two calls on open multipart uploads that it keeps to itself.

`Minio` uses both for its own uploads but publishes neither. A subclass is the place from which
protected methods may be called. Written for minio 7.2; the conformance tests show when a newer
one changes them. Blocking; made by `s3_client.py`, raises what the SDK raises.
"""

from __future__ import annotations

from collections.abc import Iterator

from minio import Minio


class StoreClient(Minio):
    def open_uploads(self, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
        """Keys and ids of the multipart uploads that have not ended (S3 API:
        ListMultipartUploads), page by page."""
        key: str | None = None
        upload_id: str | None = None
        while True:
            page = self._list_multipart_uploads(
                bucket, prefix=prefix, key_marker=key, upload_id_marker=upload_id
            )
            for upload in page.uploads:
                if upload.object_name and upload.upload_id:
                    yield upload.object_name, upload.upload_id
            if not page.is_truncated or not page.next_key_marker:
                return
            key, upload_id = page.next_key_marker, page.next_upload_id_marker

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """S3 API: AbortMultipartUpload."""
        self._abort_multipart_upload(bucket, key, upload_id)
