"""`mediaconvert move --to FILE`: from an embedded installation to one that servers hold."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import trio

from mediaconvert import logs
from mediaconvert.cli.options import load_configuration
from mediaconvert.config import Configuration, load
from mediaconvert.errors import StartupError, StorageFull, Unavailable
from mediaconvert.moving.move import Moved, move
from mediaconvert.settings import Settings
from mediaconvert.supervisor import make_data_dir

_CONTENT = ("database.url", "storage.s3_endpoint")
_FOLDERS = ("server.data_dir", "storage.directory")
_SERVERS = ("database.url", "redis.url", "storage.s3_endpoint", "analytics.clickhouse_dsn")


def run(arguments: argparse.Namespace) -> int:
    """0 when everything is there and has been compared."""
    configuration = load(environment=os.environ, flags={}, config_file=arguments.to)
    _check_target(configuration, arguments.to)
    target = configuration.settings
    source = _source_settings(arguments)
    logs.configure(replace(source.logging, level="warning"))
    try:
        with _folder_to_work_in(target.server.data_dir):
            moved = trio.run(partial(move, source, target, _say))
    except (Unavailable, StorageFull) as error:
        raise StartupError(
            f"{error or 'the target has no room left'}; what was copied stays: run the same "
            "command again"
        ) from error
    _sum_up(moved, arguments.to)
    return 0


def _check_target(configuration: Configuration, file: Path) -> None:
    """An embedded one has to be named by the file: what the environment says of folders is said
    of the source too."""
    for origin in configuration.origins:
        named = origin.source != "default" and bool(origin.value)
        if origin.name in _CONTENT and named:
            return
        if origin.name in _FOLDERS and named and origin.source == str(file):
            return
    raise StartupError(
        f"{file} names nothing to move to: neither it nor the environment has a database.url "
        "(DATABASE_URL) or a storage.s3_endpoint (S3_ENDPOINT)"
    )


@contextmanager
def _folder_to_work_in(data_dir: Path) -> Iterator[None]:
    """The target's data folder. Of what is made here a refused move leaves nothing."""
    folders = (data_dir / "move", data_dir, *data_dir.parents)
    # Of one that this user may not look into, os.path says no, and what follows says why.
    made = [folder for folder in folders if not os.path.exists(folder)]  # noqa: PTH110
    make_data_dir(data_dir)
    try:
        yield
    finally:
        for folder in made:
            with suppress(OSError):  # it holds something, and stays
                folder.rmdir()


def _source_settings(arguments: argparse.Namespace) -> Settings:
    """Those of the embedded installation: its own file and --data-dir. The environment, and
    .env, speak of the target where they name servers."""
    configuration = load_configuration(arguments)
    settings = configuration.settings
    for origin in configuration.origins:
        section, _, key = origin.name.partition(".")
        is_variable = origin.source.partition(" ")[0].isupper()
        if origin.name in _SERVERS and is_variable:
            values = {section: replace(getattr(settings, section), **{key: ""})}
            settings = replace(settings, **values)
    if settings.database.url:
        raise StartupError(
            "the installation to be moved is not an embedded one: its configuration names a "
            "database of its own; name the embedded one's with --config and --data-dir"
        )
    return settings


def _say(line: str) -> None:
    print(line, flush=True)


def _sum_up(moved: Moved, target: Path) -> None:
    print(
        f"moved: {moved.blobs:,} blobs ({moved.size_bytes / 2**20:,.0f} MiB) copied and read "
        f"back, {moved.rows:,} rows copied and compared, {moved.events:,} analytics events"
    )
    print(f"the source is as it was; start the nodes now: mediaconvert serve --config {target}")
