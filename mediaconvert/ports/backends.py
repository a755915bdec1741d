"""The four exchangeable backends as one value, so that rooms can be handed all of them."""

from __future__ import annotations

from dataclasses import dataclass

from mediaconvert.ports.analytics import AnalyticsStore
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notices


@dataclass(frozen=True, slots=True)
class Backends:
    catalog: Catalog
    blobs: BlobStore
    notices: Notices
    analytics: AnalyticsStore
    is_embedded: bool
    """This process alone holds the catalog: what it finds running at start is dead."""
