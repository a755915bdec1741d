"""`mediaconvert demo`: one real film through the whole service, from nothing to a report.

Runs the service in this process on a free loopback port, with a data folder of its own, and
beside it, in a thread, a user who knows only its public interface. Leaves the results, the
report and the service's log in its folder; nothing else on the machine is touched.
"""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import cast

import trio

from mediaconvert.cli import demo_frames
from mediaconvert.cli.demo_client import DemoClient, DemoFailed, Json
from mediaconvert.cli.demo_report import ReportFile, render
from mediaconvert.settings import LogSettings, ServerSettings, Settings
from mediaconvert.supervisor import Running, supervise

FILM = "bigbuckbunny.mp4"
PIPELINE = "video-complete"


def run(arguments: argparse.Namespace) -> int:
    folder = cast("Path | None", arguments.output) or Path("demo-output")
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = _pipeline_text()
    film = Path(str(resources.files("mediaconvert") / "samples" / FILM))
    if not film.is_file():
        raise DemoFailed(f"the sample film {film} is missing; install MediaConvert again")
    trio.run(_main, folder.resolve(), film, pipeline, strict_exception_groups=True)
    return 0


def _pipeline_text() -> str:
    """pipelines/video-complete.yaml, beside the package."""
    beside = Path(str(resources.files("mediaconvert"))).parent / "pipelines" / f"{PIPELINE}.yaml"
    try:
        return beside.read_text(encoding="utf-8")
    except OSError as error:
        raise DemoFailed(
            f"{beside} cannot be read ({error.strerror}); run the demo from a checkout"
        ) from error


async def _main(folder: Path, film: Path, pipeline: str) -> None:
    data = folder / "data"
    settings = Settings(
        server=ServerSettings(host="127.0.0.1", port=0, data_dir=data),
        logging=LogSettings(format="json"),
    )
    log = folder / "service.log"
    stop = trio.Event()
    with _log_to(log):
        async with trio.open_nursery() as nursery:
            running: Running = await nursery.start(partial(supervise, settings, stop=stop))
            print(f"service     {running.url}  (log: {_shown(log)})")
            try:
                walk = partial(_Walk, running, folder, film, pipeline)
                files, timings = await trio.to_thread.run_sync(
                    lambda: walk().go(), abandon_on_cancel=True
                )
                await _report(folder, film, files, timings, replace(settings).tools)
            finally:
                stop.set()
    print("the service has stopped")


@contextmanager
def _log_to(file: Path) -> Iterator[None]:
    """The service's log goes to a file, so that the terminal shows the demo alone."""
    from mediaconvert.logs import JsonFormatter

    handler = logging.FileHandler(file, mode="w", encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("mediaconvert")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True
        handler.close()


class _Walk:
    """The user's side: blocking calls, one after another, each said and timed."""

    def __init__(self, running: Running, folder: Path, film: Path, pipeline: str) -> None:
        self._client = DemoClient("127.0.0.1", running.port)
        self._folder, self._film, self._pipeline = folder, film, pipeline
        self._timings: list[tuple[str, float]] = []
        self._shown = ""

    def go(self) -> tuple[list[Path], list[tuple[str, float]]]:
        email = f"demo-{secrets.token_hex(4)}@example.com"
        with self._timed("register, make S3 credentials, save the pipeline"):
            account = self._client.sign_up(email, secrets.token_urlsafe(12))
            self._client.save_pipeline(account, PIPELINE, self._pipeline)
        print(f"user        {email}, bucket {account.bucket}, pipeline {PIPELINE}")
        with self._timed(f"upload {self._film.name}"):
            job_id = self._client.upload(account, self._film, PIPELINE)
        print(f"upload      {self._film.name}, {self._film.stat().st_size:,} bytes: job {job_id}")
        with self._timed("job, from the upload's answer to completed"):
            job = self._client.watch(account, job_id, self._progress)
        if sys.stdout.isatty():
            print()
        results = self._folder / "results"
        results.mkdir(exist_ok=True)
        result = cast("Json", job["result_info"])
        with self._timed("download of the results"):
            keys = cast("list[str]", result["output_files"])
            keys = [*keys, f"results/job-{job_id}/manifest.json"]
            files = self._client.download(account, keys, results)
        return files, self._timings

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self._timings.append((what, time.monotonic() - begin))

    def _progress(self, job: Json) -> None:
        steps = cast("list[Json]", job["steps"])
        now = " ".join(f"{s['id']}={s['status']}" for s in steps)
        line = f"job         {cast('float', job['progress']):5.1f} %  {job['status']}  {now}"
        if line == self._shown:
            return
        end = "\n"
        if sys.stdout.isatty():
            line, end = f"\r\x1b[K{line}", ""
        print(line, end=end, flush=True)
        self._shown = line


def _shown(path: Path) -> str:
    """A path as short as it can be pasted."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


async def _report(
    folder: Path,
    film: Path,
    files: list[Path],
    timings: list[tuple[str, float]],
    tools: object,
) -> None:
    """Probe what came out, print it, and write report.html."""
    media = [f for f in files if f.suffix != ".json"]
    described = await demo_frames.describe([film, *media])
    rows = [ReportFile(p.name, p.stat().st_size, described[p]) for p in (film, *media)]
    manifest = next((f for f in files if f.name == "manifest.json"), None)
    if manifest is not None:
        rows.append(ReportFile(manifest.name, manifest.stat().st_size, "what was done, and how"))
    for row in rows:
        what = "source" if row is rows[0] else "result"
        print(f"{what:11} {row.name:18} {row.size:>9,} bytes  {row.description}")
    video = next((f for f in media if f.suffix == ".mp4"), film)
    frames = await demo_frames.pairs(film, video, (1.0, 2.5, 4.5))
    poster = next((f.read_bytes() for f in media if f.suffix == ".jpg"), None)
    report = folder / "report.html"
    report.write_text(render(rows[0], rows[1:], frames, timings, poster), encoding="utf-8")
    print(f"results     {_shown(folder / 'results')}")
    print(f"report      {_shown(report)}")
