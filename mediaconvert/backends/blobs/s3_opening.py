"""Makes sure at the start that the S3 store can be used, or says in one sentence why not.

Finds or creates the bucket, and writes, reads and deletes a trial object; the checks of `/ready`
do a part of it. Blocking; called by `s3.py` in threads. Asks for no permission that
config/s3-policy.json does not grant.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from io import BytesIO
from xml.etree.ElementTree import ParseError

from minio.commonconfig import ENABLED, Filter
from minio.error import InvalidResponseError, S3Error
from minio.helpers import check_bucket_name
from minio.lifecycleconfig import AbortIncompleteMultipartUpload, LifecycleConfig, Rule
from urllib3.exceptions import HTTPError

from mediaconvert.backends.blobs.s3_client import Store
from mediaconvert.backends.blobs.s3_errors import (
    CLOCK_CODES,
    CLOCK_SENTENCE,
    FAILURES,
    code_of,
    is_distrust,
    reason,
    refusal,
    store_errors,
)
from mediaconvert.backends.blobs.s3_http import Patience
from mediaconvert.errors import StartupError, StorageFull, Unavailable

log = logging.getLogger("mediaconvert.backends.blobs")

TRIAL = "trial-"
"""Begins the name of a trial object, after the prefix. One that a dead process left is swept
with the orphans, when it is as old as they are."""
ABORT_DAYS = 7
"""Parts of an upload whose process was killed stay for so long in a bucket that we created: with
several processes nobody can tell which uploads are dead. A bucket of somebody else's making needs
the same rule."""

CA_SETTING = "storage.s3_ca_file"
NAME_RULE = (
    "it takes 3 to 63 lower-case letters, digits and hyphens, and begins and ends with a letter "
    "or a digit"
)
_TRIAL_BYTES = b"mediaconvert"
_ELSEWHERE = frozenset(
    {
        "PermanentRedirect",
        "TemporaryRedirect",
        "Redirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidLocationConstraint",
        "InvalidRegion",
    }
)


def prepare_bucket(store: Store, trials: Trials) -> None:
    """Raises StartupError. A store that is merely full can be used: for reading."""
    _check_name(store)
    with store.http.patient(Patience()):
        try:
            if not _has_bucket(store):
                _create_bucket(store)
        except FAILURES as error:
            raise StartupError(_sentence(store, error)) from error
        try:
            trials.write()
        except StorageFull:
            log.warning("the S3 store at %s is full: uploads will be refused", store.endpoint)
        except Unavailable as error:
            cause = error.__cause__ or error
            raise StartupError(_sentence(store, cause, doing="write")) from error


def has_bucket(store: Store) -> bool:
    """Whether it is there, by looking only: for `mediaconvert doctor`. Raises StartupError."""
    _check_name(store)
    with store.http.patient(Patience()):
        try:
            return _has_bucket(store)
        except FAILURES as error:
            raise StartupError(_sentence(store, error)) from error


class Trials:
    """Writes, reads and deletes an object. Its name is used again: what one trial could not
    delete, or what a store that hung has stored only later, another one overwrites and deletes.
    Of two trials at once each has a name of its own; used by several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._idle: deque[str] = deque()

    def write(self) -> None:
        """Raises StorageFull, Unavailable."""
        try:
            # The oldest: in the end each name has its turn.
            key = self._idle.popleft()
        except IndexError:
            key = f"{self._store.prefix}{TRIAL}{secrets.token_hex(16)}"
        try:
            _write_trial(self._store, key)
        finally:
            self._idle.append(key)


def _write_trial(store: Store, key: str) -> None:
    with store_errors("writing a trial object"):
        data = BytesIO(_TRIAL_BYTES)
        store.client.put_object(store.bucket, key, data, len(_TRIAL_BYTES))
        try:
            response = store.client.get_object(store.bucket, key)
            try:
                is_same = response.read() == _TRIAL_BYTES
            finally:
                response.close()
                response.release_conn()
        finally:
            store.client.remove_object(store.bucket, key)
    if not is_same:
        raise Unavailable("the blob store does not answer with what was written to it")


def find_bucket(store: Store) -> None:
    """A request that costs next to nothing. Raises Unavailable."""
    with store_errors("looking for its bucket"):
        found = store.client.bucket_exists(store.bucket)
    if not found:
        raise Unavailable("the blob store's bucket is gone; create it again")


def _check_name(store: Store) -> None:
    try:
        check_bucket_name(store.bucket, s3_check=store.endpoint.is_aws)
    except ValueError as error:
        raise StartupError(
            f"S3_BUCKET '{store.bucket}' is not a valid bucket name: {NAME_RULE}"
        ) from error


def _has_bucket(store: Store) -> bool:
    """By a listing: unlike a HEAD it is answered with a code when it is refused. A bucket that
    is there may have a name of former days; raises StartupError where no new one can have it."""
    try:
        listing = store.client.list_objects(
            store.bucket, prefix=f"{store.prefix}{TRIAL}", recursive=True
        )
        next(listing, None)
    except S3Error as error:
        if error.code != "NoSuchBucket":
            raise
        _check_new_name(store)
        return False
    return True


def _check_new_name(store: Store) -> None:
    try:
        check_bucket_name(store.bucket, strict=True, s3_check=store.endpoint.is_aws)
    except ValueError as error:
        raise StartupError(
            f"the bucket '{store.bucket}' does not exist at {store.endpoint} and cannot be made: "
            f"this is no name for a new bucket, for {NAME_RULE}; mend S3_BUCKET"
        ) from error


def _create_bucket(store: Store) -> None:
    try:
        store.client.make_bucket(store.bucket, store.region)
    except S3Error as error:
        if error.code != "BucketAlreadyOwnedByYou":  # by another node, just now
            raise
    log.info("created the bucket '%s' at %s", store.bucket, store.endpoint)
    rule = Rule(
        ENABLED,
        rule_filter=Filter(prefix=store.prefix),
        rule_id="mediaconvert-torn-uploads",
        abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(ABORT_DAYS),
    )
    try:
        store.client.set_bucket_lifecycle(store.bucket, LifecycleConfig([rule]))
    except FAILURES as error:
        log.warning(
            "the S3 store takes no lifecycle rule (%s); parts of uploads that a crash tears stay "
            "in the bucket '%s' until you abort them",
            reason(error),
            store.bucket,
        )


def _sentence(store: Store, error: BaseException, *, doing: str = "list") -> str:
    place, code = f"the S3 store at {store.endpoint}", code_of(error)
    if code in _ELSEWHERE:
        assert isinstance(error, S3Error)
        region = error.response.headers.get("x-amz-bucket-region") or "its region"
        return (
            f"the bucket '{store.bucket}' at {store.endpoint} is not in region '{store.region}'; "
            f"set S3_REGION to {region}"
        )
    if code:
        return _told(store, code, doing)
    if is_distrust(error):
        return f"{place} cannot be used: {reason(error)}; name its authority's file in {CA_SETTING}"
    if isinstance(error, HTTPError):
        return (
            f"{place} cannot be used: {reason(error)}; start it, or mend S3_ENDPOINT "
            "(and its http or https)"
        )
    if isinstance(error, ValueError) and "providers" in str(error):
        return (
            f"no keys for {place} were found; set S3_ACCESS_KEY and S3_SECRET_KEY, or give this "
            "machine a role"
        )
    if isinstance(error, InvalidResponseError | ParseError | ValueError):
        return (
            f"what answers at {store.endpoint} is no S3 store; mend S3_ENDPOINT (and its http or "
            "https)"
        )
    return f"{place} cannot be used: {refusal('looking for its bucket', error)}"


def _told(store: Store, code: str, doing: str) -> str:
    """Of what the store itself has said."""
    bucket, place = f"bucket '{store.bucket}'", f"the S3 store at {store.endpoint}"
    if code in CLOCK_CODES:
        return CLOCK_SENTENCE
    sentences = {
        "InvalidAccessKeyId": f"{place} does not know the access key; check S3_ACCESS_KEY",
        "SignatureDoesNotMatch": f"{place} does not accept the secret key; check S3_SECRET_KEY",
        "BucketAlreadyExists": (
            f"the {bucket} at {store.endpoint} belongs to somebody else; choose another S3_BUCKET"
        ),
        "AccessDenied": (
            f"{place} does not let the access key {doing} in the {bucket}, or it belongs to "
            "somebody else; the key needs what config/s3-policy.json grants"
        ),
        "InvalidBucketName": (
            f"{place} does not accept the bucket name '{store.bucket}': {NAME_RULE}; mend S3_BUCKET"
        ),
    }
    return sentences.get(code) or f"{place} cannot be used: it answers {code}"
