"""`/health`, `/ready`, `/metrics`: what machines ask about this process.

`/health` touches nothing. Served by every process, with or without the api role.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

import trio

from mediaconvert import SOURCE_URL, __version__
from mediaconvert.api.rest.models import Health, Ready
from mediaconvert.api.rest.readiness import Readiness
from mediaconvert.api.rest.routes import AnyRoute, Call, Reply, Route, Text
from mediaconvert.errors import NotAuthenticated, Unavailable
from mediaconvert.metrics import CONTENT_TYPE, Metrics
from mediaconvert.ports.catalog import Catalog
from mediaconvert.settings import ServerSettings

_GAUGES_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class HealthCalls:
    settings: ServerSettings
    readiness: Readiness
    metrics: Metrics
    catalog: Catalog
    is_metrics_open: bool
    """On a listener of its own, which is nobody's business but the operator's, /metrics asks
    for no token."""

    async def health(self, call: Call[None, None]) -> Health:
        return Health(version=__version__, source=self.settings.source_url or SOURCE_URL)

    async def ready(self, call: Call[None, None]) -> Ready | Reply:
        report = await self.readiness.report()
        return report if report.status == "ready" else Reply(503, report)

    async def scrape(self, call: Call[None, None]) -> Text:
        if not self.is_metrics_open:
            self._check_token(call.bearer)
        gauges = None
        try:
            with trio.move_on_after(_GAUGES_SECONDS):
                gauges = await self.catalog.housekeeping.gauges()
        except Unavailable:
            pass  # said by mediaconvert_catalog_up
        return Text(self.metrics.render(gauges), CONTENT_TYPE)

    def _check_token(self, bearer: str | None) -> None:
        token = self.settings.metrics_token
        if not token:
            raise NotAuthenticated("/metrics is shut; set server.metrics_token to open it")
        if bearer is None or not hmac.compare_digest(bearer.encode(), token.encode()):
            raise NotAuthenticated("/metrics needs the metrics token: Authorization: Bearer …")

    def routes(self) -> tuple[AnyRoute, ...]:
        return (
            Route(
                method="GET",
                path="/health",
                summary="Whether the process is alive",
                handler=self.health,
                answer=Health,
                is_public=True,
            ),
            Route(
                method="GET",
                path="/ready",
                summary="Whether everything that the service depends on works",
                handler=self.ready,
                answer=Ready,
                is_public=True,
                other_answers=((503, "not ready, or draining"),),
            ),
            Route(
                method="GET",
                path="/metrics",
                summary="Prometheus metrics; wants the metrics token",
                handler=self.scrape,
                answer=None,
                content_type=CONTENT_TYPE,
                is_public=True,
                refusals=(NotAuthenticated,),
            ),
        )
