"""Takes a finished attempt's files over into the blob store, ready for one commit.

Until the catalog's transaction names them, the blobs are invisible and may be thrown away.
Called by the runner while the workspace still exists.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import trio

from mediaconvert.digests import BlockDigests
from mediaconvert.model import (
    BlobId,
    ClaimedJob,
    JobOutcome,
    NewObject,
    ObjectHeaders,
    Segment,
)
from mediaconvert.workers import manifest
from mediaconvert.workers.engine import EngineResult
from mediaconvert.workers.outputs import OutputFile
from mediaconvert.workers.store_watch import StoreWatch
from mediaconvert.workers.workspace import Workspace, surroundings

JOB_METADATA = "mediaconvert-job"
"""User metadata of every output: the id of the job that made it."""


@dataclass(slots=True)
class Adopted:
    """What one attempt has put into the store so far."""

    blob_ids: list[BlobId] = field(default_factory=list)


async def adopt_outputs(
    job: ClaimedJob,
    result: EngineResult,
    manifest_text: bytes,
    workspace: Workspace,
    store: StoreWatch,
    adopted: Adopted,
) -> JobOutcome:
    """Every output and then the manifest, durable in the store and noted in `adopted` one by
    one. Raises Unavailable, StorageFull, InfrastructureFailure. That no output is called as the
    manifest is checked when the pipeline is parsed."""
    folder = f"results/job-{job.id}/"
    outputs = []
    for file in result.files:
        blob_id = await store.adopt(file.path)
        adopted.blob_ids.append(blob_id)
        outputs.append(_as_object(job, folder, file, blob_id))
    outputs.append(await _adopt_manifest(job, folder, manifest_text, workspace, store, adopted))
    described = [
        {"key": folder + file.output_name, "step": file.step_id, **manifest.summary(file)}
        for file in result.files
    ]
    return JobOutcome(
        outputs=tuple(outputs),
        result={
            "output_files": [folder + file.output_name for file in result.files],
            "outputs": described,
            "manifest": folder + manifest.NAME,
        },
        steps=result.steps,
        output_bytes=sum(file.size for file in result.files),
    )


def _as_object(job: ClaimedJob, folder: str, file: OutputFile, blob_id: BlobId) -> NewObject:
    return NewObject(
        key=folder + file.output_name,
        size=file.size,
        etag=file.md5,
        headers=ObjectHeaders(file.content_type, user={JOB_METADATA: str(job.id)}),
        segments=(Segment(blob_id, 0, file.size, file.digest),),
    )


async def _adopt_manifest(
    job: ClaimedJob,
    folder: str,
    text: bytes,
    workspace: Workspace,
    store: StoreWatch,
    adopted: Adopted,
) -> NewObject:
    with surroundings():
        await trio.to_thread.run_sync(workspace.manifest.write_bytes, text)
    blob_id = await store.adopt(workspace.manifest)
    adopted.blob_ids.append(blob_id)
    blocks = BlockDigests()
    blocks.update(text)
    return NewObject(
        key=folder + manifest.NAME,
        size=len(text),
        etag=hashlib.md5(text, usedforsecurity=False).hexdigest(),
        headers=ObjectHeaders(manifest.CONTENT_TYPE, user={JOB_METADATA: str(job.id)}),
        segments=(Segment(blob_id, 0, len(text), blocks.blob_digest()),),
    )
