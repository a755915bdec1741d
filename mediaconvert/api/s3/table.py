"""Every operation of the S3 API, one row each; those without a handler answer 501.

The names are those of the S3 API reference, its newest edition included. To add a verb, write
its handler and name it here. Never holds logic; read by `dispatch.py` through `routes.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from mediaconvert.api.s3.bucket_config import (
    get_bucket_acl,
    get_bucket_location,
    get_bucket_versioning,
)
from mediaconvert.api.s3.buckets import create_bucket, delete_bucket, head_bucket, list_buckets
from mediaconvert.api.s3.multipart_complete import complete_multipart_upload
from mediaconvert.api.s3.multipart_create import abort_multipart_upload, create_multipart_upload
from mediaconvert.api.s3.multipart_list import list_multipart_uploads, list_parts
from mediaconvert.api.s3.multipart_parts import upload_part, upload_part_copy
from mediaconvert.api.s3.objects_attributes import (
    get_object_acl,
    get_object_attributes,
    get_object_tagging,
)
from mediaconvert.api.s3.objects_copy import copy_object
from mediaconvert.api.s3.objects_delete import delete_object, delete_objects
from mediaconvert.api.s3.objects_get import get_object, head_object
from mediaconvert.api.s3.objects_list import list_objects, list_objects_v2
from mediaconvert.api.s3.objects_put import put_object
from mediaconvert.api.s3.routes import Access, Handler, Level, Route, Routes

READ, WRITE = Access.READ, Access.WRITE


def _row(level: Level) -> Callable[..., Route]:
    def row(
        operation: str,
        method: str,
        access: Access,
        *queries: str,
        header: str | None = None,
        handler: Handler | None = None,
        optional: frozenset[str] = frozenset(),
        has_body: bool = False,
    ) -> Route:
        return Route(operation, method, level, access, handler, queries, header, optional, has_body)

    return row


_service, _bucket, _object = _row(Level.SERVICE), _row(Level.BUCKET), _row(Level.OBJECT)

ROUTES = Routes(
    (
        _service("ListBuckets", "GET", READ, handler=list_buckets),
        _service("ListDirectoryBuckets", "GET", READ, "max-directory-buckets"),
        _bucket("CreateBucket", "PUT", WRITE, handler=create_bucket, has_body=True),
        _bucket("CreateBucketMetadataConfiguration", "POST", WRITE, "metadataConfiguration"),
        _bucket("CreateBucketMetadataTableConfiguration", "POST", WRITE, "metadataTable"),
        _bucket("CreateSession", "GET", WRITE, "session"),
        _bucket("DeleteBucket", "DELETE", WRITE, handler=delete_bucket),
        _bucket("DeleteBucketAnalyticsConfiguration", "DELETE", WRITE, "analytics", "id"),
        _bucket("DeleteBucketCors", "DELETE", WRITE, "cors"),
        _bucket("DeleteBucketEncryption", "DELETE", WRITE, "encryption"),
        _bucket(
            "DeleteBucketIntelligentTieringConfiguration",
            "DELETE",
            WRITE,
            "intelligent-tiering",
            "id",
        ),
        _bucket("DeleteBucketInventoryConfiguration", "DELETE", WRITE, "inventory", "id"),
        _bucket("DeleteBucketLifecycle", "DELETE", WRITE, "lifecycle"),
        _bucket("DeleteBucketMetadataConfiguration", "DELETE", WRITE, "metadataConfiguration"),
        _bucket("DeleteBucketMetadataTableConfiguration", "DELETE", WRITE, "metadataTable"),
        _bucket("DeleteBucketMetricsConfiguration", "DELETE", WRITE, "metrics", "id"),
        _bucket("DeleteBucketOwnershipControls", "DELETE", WRITE, "ownershipControls"),
        _bucket("DeleteBucketPolicy", "DELETE", WRITE, "policy"),
        _bucket("DeleteBucketReplication", "DELETE", WRITE, "replication"),
        _bucket("DeleteBucketTagging", "DELETE", WRITE, "tagging"),
        _bucket("DeleteBucketWebsite", "DELETE", WRITE, "website"),
        _bucket("DeleteObjects", "POST", WRITE, "delete", handler=delete_objects, has_body=True),
        _bucket("DeletePublicAccessBlock", "DELETE", WRITE, "publicAccessBlock"),
        _bucket("GetBucketAbac", "GET", READ, "abac"),
        _bucket("GetBucketAccelerateConfiguration", "GET", READ, "accelerate"),
        _bucket("GetBucketAcl", "GET", READ, "acl", handler=get_bucket_acl),
        _bucket("GetBucketAnalyticsConfiguration", "GET", READ, "analytics", "id"),
        _bucket("GetBucketCors", "GET", READ, "cors"),
        _bucket("GetBucketEncryption", "GET", READ, "encryption"),
        _bucket(
            "GetBucketIntelligentTieringConfiguration", "GET", READ, "intelligent-tiering", "id"
        ),
        _bucket("GetBucketInventoryConfiguration", "GET", READ, "inventory", "id"),
        _bucket("GetBucketLifecycleConfiguration", "GET", READ, "lifecycle"),
        _bucket("GetBucketLocation", "GET", READ, "location", handler=get_bucket_location),
        _bucket("GetBucketLogging", "GET", READ, "logging"),
        _bucket("GetBucketMetadataConfiguration", "GET", READ, "metadataConfiguration"),
        _bucket("GetBucketMetadataTableConfiguration", "GET", READ, "metadataTable"),
        _bucket("GetBucketMetricsConfiguration", "GET", READ, "metrics", "id"),
        _bucket("GetBucketNotificationConfiguration", "GET", READ, "notification"),
        _bucket("GetBucketOwnershipControls", "GET", READ, "ownershipControls"),
        _bucket("GetBucketPolicy", "GET", READ, "policy"),
        _bucket("GetBucketPolicyStatus", "GET", READ, "policyStatus"),
        _bucket("GetBucketReplication", "GET", READ, "replication"),
        _bucket("GetBucketRequestPayment", "GET", READ, "requestPayment"),
        _bucket("GetBucketTagging", "GET", READ, "tagging"),
        _bucket("GetBucketVersioning", "GET", READ, "versioning", handler=get_bucket_versioning),
        _bucket("GetBucketWebsite", "GET", READ, "website"),
        _bucket("GetObjectLockConfiguration", "GET", READ, "object-lock"),
        _bucket("GetPublicAccessBlock", "GET", READ, "publicAccessBlock"),
        _bucket("HeadBucket", "HEAD", READ, handler=head_bucket),
        _bucket("ListBucketAnalyticsConfigurations", "GET", READ, "analytics"),
        _bucket("ListBucketIntelligentTieringConfigurations", "GET", READ, "intelligent-tiering"),
        _bucket("ListBucketInventoryConfigurations", "GET", READ, "inventory"),
        _bucket("ListBucketMetricsConfigurations", "GET", READ, "metrics"),
        _bucket("ListMultipartUploads", "GET", READ, "uploads", handler=list_multipart_uploads),
        _bucket("ListObjectVersions", "GET", READ, "versions"),
        _bucket("ListObjects", "GET", READ, handler=list_objects),
        _bucket("ListObjectsV2", "GET", READ, "list-type=2", handler=list_objects_v2),
        _bucket("PutBucketAbac", "PUT", WRITE, "abac"),
        _bucket("PutBucketAccelerateConfiguration", "PUT", WRITE, "accelerate"),
        _bucket("PutBucketAcl", "PUT", WRITE, "acl"),
        _bucket("PutBucketAnalyticsConfiguration", "PUT", WRITE, "analytics", "id"),
        _bucket("PutBucketCors", "PUT", WRITE, "cors"),
        _bucket("PutBucketEncryption", "PUT", WRITE, "encryption"),
        _bucket(
            "PutBucketIntelligentTieringConfiguration", "PUT", WRITE, "intelligent-tiering", "id"
        ),
        _bucket("PutBucketInventoryConfiguration", "PUT", WRITE, "inventory", "id"),
        _bucket("PutBucketLifecycleConfiguration", "PUT", WRITE, "lifecycle"),
        _bucket("PutBucketLogging", "PUT", WRITE, "logging"),
        _bucket("PutBucketMetricsConfiguration", "PUT", WRITE, "metrics", "id"),
        _bucket("PutBucketNotificationConfiguration", "PUT", WRITE, "notification"),
        _bucket("PutBucketOwnershipControls", "PUT", WRITE, "ownershipControls"),
        _bucket("PutBucketPolicy", "PUT", WRITE, "policy"),
        _bucket("PutBucketReplication", "PUT", WRITE, "replication"),
        _bucket("PutBucketRequestPayment", "PUT", WRITE, "requestPayment"),
        _bucket("PutBucketTagging", "PUT", WRITE, "tagging"),
        _bucket("PutBucketVersioning", "PUT", WRITE, "versioning"),
        _bucket("PutBucketWebsite", "PUT", WRITE, "website"),
        _bucket("PutObjectLockConfiguration", "PUT", WRITE, "object-lock"),
        _bucket("PutPublicAccessBlock", "PUT", WRITE, "publicAccessBlock"),
        _bucket(
            "UpdateBucketMetadataAnnotationTableConfiguration",
            "PUT",
            WRITE,
            "metadataAnnotationTable",
        ),
        _bucket(
            "UpdateBucketMetadataInventoryTableConfiguration",
            "PUT",
            WRITE,
            "metadataInventoryTable",
        ),
        _bucket(
            "UpdateBucketMetadataJournalTableConfiguration", "PUT", WRITE, "metadataJournalTable"
        ),
        _bucket("WriteGetObjectResponse", "POST", WRITE, header="x-amz-request-route"),
        _bucket("PostObject", "POST", WRITE),
        _bucket("PreflightBucket", "OPTIONS", READ),
        _object(
            "AbortMultipartUpload", "DELETE", WRITE, "uploadId", handler=abort_multipart_upload
        ),
        _object(
            "CompleteMultipartUpload",
            "POST",
            WRITE,
            "uploadId",
            handler=complete_multipart_upload,
            has_body=True,
        ),
        _object("CopyObject", "PUT", WRITE, header="x-amz-copy-source", handler=copy_object),
        _object("CreateMultipartUpload", "POST", WRITE, "uploads", handler=create_multipart_upload),
        _object("DeleteObject", "DELETE", WRITE, handler=delete_object),
        _object("DeleteObjectAnnotation", "DELETE", WRITE, "annotation", "annotationName"),
        _object("DeleteObjectTagging", "DELETE", WRITE, "tagging"),
        _object("GetObject", "GET", READ, handler=get_object, optional=frozenset({"partNumber"})),
        _object("GetObjectAcl", "GET", READ, "acl", handler=get_object_acl),
        _object("GetObjectAnnotation", "GET", READ, "annotation", "annotationName"),
        _object("GetObjectAttributes", "GET", READ, "attributes", handler=get_object_attributes),
        _object("GetObjectLegalHold", "GET", READ, "legal-hold"),
        _object("GetObjectRetention", "GET", READ, "retention"),
        _object("GetObjectTagging", "GET", READ, "tagging", handler=get_object_tagging),
        _object("GetObjectTorrent", "GET", READ, "torrent"),
        _object(
            "HeadObject", "HEAD", READ, handler=head_object, optional=frozenset({"partNumber"})
        ),
        _object("ListObjectAnnotations", "GET", READ, "annotation"),
        _object("ListParts", "GET", READ, "uploadId", handler=list_parts),
        _object("PutObject", "PUT", WRITE, handler=put_object, has_body=True),
        _object("PutObjectAcl", "PUT", WRITE, "acl"),
        _object("PutObjectAnnotation", "PUT", WRITE, "annotation", "annotationName"),
        _object("PutObjectLegalHold", "PUT", WRITE, "legal-hold"),
        _object("PutObjectRetention", "PUT", WRITE, "retention"),
        _object("PutObjectTagging", "PUT", WRITE, "tagging"),
        _object("RenameObject", "PUT", WRITE, "renameObject"),
        _object("RestoreObject", "POST", WRITE, "restore"),
        _object("SelectObjectContent", "POST", READ, "select", "select-type=2"),
        _object("UpdateObjectEncryption", "PUT", WRITE, "encryption"),
        _object(
            "UploadPart", "PUT", WRITE, "partNumber", "uploadId", handler=upload_part, has_body=True
        ),
        _object(
            "UploadPartCopy",
            "PUT",
            WRITE,
            "partNumber",
            "uploadId",
            header="x-amz-copy-source",
            handler=upload_part_copy,
        ),
        _object("PreflightObject", "OPTIONS", READ),
    )
)
