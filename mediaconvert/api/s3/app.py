"""Puts the S3 side together: services in, one ASGI application out."""

from __future__ import annotations

from mediaconvert.api.places import Places
from mediaconvert.api.s3.auth import Authenticator
from mediaconvert.api.s3.dispatch import Dispatcher
from mediaconvert.api.s3.request import Services
from mediaconvert.intake import Intake
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.settings import Settings

LARGE_DOCUMENTS = 16
"""16 x 8 MiB: at most 128 MiB of documents that are still coming."""
LARGE_DOCUMENTS_OF_ONE_USER = 8


def make_s3_app(
    *,
    intake: Intake,
    catalog: Catalog,
    blobs: BlobStore,
    authenticator: Authenticator,
    settings: Settings,
) -> Dispatcher:
    """The application of the S3 door. `authenticator.run` is the caller's to start."""
    most = settings.server.max_uploads
    uploads = Places(most, of_one_user=max(1, most * 3 // 4), what="uploads are being received")
    places = Places(LARGE_DOCUMENTS, of_one_user=LARGE_DOCUMENTS_OF_ONE_USER)
    return Dispatcher(Services(intake, catalog, blobs, settings, uploads, places), authenticator)
