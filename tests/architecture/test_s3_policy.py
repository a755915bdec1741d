"""The policy that we publish for S3 stores grants what the blob store asks for, and no more."""

from __future__ import annotations

import ast
import json

from tests.architecture.source import ROOT, modules

# What each call of the SDK needs (AWS: Actions, resources, and condition keys for Amazon S3).
ACTIONS = {
    "abort_upload": {"s3:AbortMultipartUpload"},
    "bucket_exists": {"s3:ListBucket"},
    "get_object": {"s3:GetObject"},
    "list_objects": {"s3:ListBucket"},
    "make_bucket": {"s3:CreateBucket"},
    "open_uploads": {"s3:ListBucketMultipartUploads"},
    "put_object": {"s3:PutObject", "s3:AbortMultipartUpload"},
    "remove_object": {"s3:DeleteObject"},
    "remove_objects": {"s3:DeleteObject"},
    "set_bucket_lifecycle": {"s3:PutLifecycleConfiguration"},
    "stat_object": {"s3:GetObject"},
}
NO_REQUEST = {"enable_virtual_style_endpoint", "disable_virtual_style_endpoint"}


def _calls() -> set[str]:
    """Methods of anything named `client` in the S3 blob store."""
    return {
        node.func.attr
        for module in modules()
        if module.name.startswith("backends.blobs.s3")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and "client" in ast.unparse(node.func.value).split(".")
    }


def test_the_policy_grants_exactly_what_the_calls_need() -> None:
    granted: set[str] = set()
    for statement in json.loads((ROOT / "config/s3-policy.json").read_text())["Statement"]:
        actions = statement["Action"]
        granted |= {actions} if isinstance(actions, str) else set(actions)
    assert granted == set().union(*(ACTIONS[call] for call in _calls() - NO_REQUEST))


def test_only_public_calls_of_the_sdk_are_used() -> None:
    assert _calls()
    assert not [call for call in _calls() if call.startswith("_")]
