"""Jobs a second that do nothing, on procrastinate. Run with the benches' own environment:
`procrastinate_queue.py URL COUNT CONCURRENCY`; prints the seconds."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

import procrastinate

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=sys.argv[1]))


@app.task(name="nothing")
async def nothing(number: int) -> None:
    """A job whose work costs nothing."""


async def main(count: int, concurrency: int) -> None:
    async with app.open_async():
        # The schema stays from the last run.
        with contextlib.suppress(procrastinate.exceptions.ConnectorException):
            await app.schema_manager.apply_schema_async()
        for begin in range(0, count, 500):
            batch = [{"number": n} for n in range(begin, min(count, begin + 500))]
            await nothing.batch_defer_async(*batch)
        begin_at = time.perf_counter()
        # Without wait it ends when nothing is left; jobs stay in the table, as ours do.
        await app.run_worker_async(
            concurrency=concurrency, wait=False, install_signal_handlers=False
        )
        print(time.perf_counter() - begin_at)


asyncio.run(main(int(sys.argv[2]), int(sys.argv[3])))
