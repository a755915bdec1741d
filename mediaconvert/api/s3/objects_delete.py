"""The verbs DeleteObject and DeleteObjects.

A key that is not there is deleted all the same, as S3 has it. Never touches bytes: what was
deleted becomes garbage once nothing reads it.
"""

from __future__ import annotations

from mediaconvert.api.s3.documents import DeleteEntry, read_delete
from mediaconvert.api.s3.errors import S3Error, from_refusal
from mediaconvert.api.s3.payload import read_document
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response, no_content, xml_response
from mediaconvert.api.s3.write_conditions import delete_conditions
from mediaconvert.api.s3.xml import MAX_BODY_BYTES, Element, render
from mediaconvert.errors import PreconditionFailed


async def delete_object(services: Services, request: S3Request) -> Response:
    """S3 API: DeleteObject, with its conditions on ETag, size and times."""
    conditions = delete_conditions(request.headers)
    (result,) = await services.catalog.objects.delete(request.ref, [(request.key, conditions)])
    if isinstance(result, PreconditionFailed):
        raise result
    return no_content()


async def delete_objects(services: Services, request: S3Request) -> Response:
    """S3 API: DeleteObjects. All keys in one transaction; each answers for itself."""
    body = await read_document(services, request, MAX_BODY_BYTES, needs_digest=True)
    wanted = read_delete(body)
    errors = [_refusal(entry) for entry in wanted.entries]
    keys = [
        (entry.key, entry.conditions)
        for entry, error in zip(wanted.entries, errors, strict=True)
        if error is None
    ]
    results = iter(await services.catalog.objects.delete(request.ref, keys))
    children = []
    for entry, error in zip(wanted.entries, errors, strict=True):
        if error is not None:
            children.append(_error(entry, error))
            continue
        result = next(results)
        if isinstance(result, PreconditionFailed):
            children.append(_error(entry, from_refusal(result)))
        elif not wanted.is_quiet:
            children.append(_deleted(entry))
    return xml_response(render(Element("DeleteResult", children)))


def _refusal(entry: DeleteEntry) -> S3Error | None:
    """Why an entry is not even tried. Objects of a bucket without versions have the one version
    `null`."""
    if entry.version_id not in (None, "", "null"):
        return S3Error("NoSuchVersion", "no such version exists")
    return entry.error


def _deleted(entry: DeleteEntry) -> Element:
    version = [Element("VersionId", entry.version_id)] if entry.version_id else []
    return Element("Deleted", (Element("Key", entry.key), *version))


def _error(entry: DeleteEntry, error: S3Error) -> Element:
    version = [Element("VersionId", entry.version_id)] if entry.version_id else []
    return Element(
        "Error",
        (
            Element("Key", entry.key),
            *version,
            Element("Code", error.code),
            Element("Message", error.message),
        ),
    )
