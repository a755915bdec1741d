"""`mediaconvert move --to FILE`: from an embedded installation to one that servers hold."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import trio

from mediaconvert import logs
from mediaconvert.cli.options import load_configuration
from mediaconvert.config import load
from mediaconvert.errors import StartupError, StorageFull, Unavailable
from mediaconvert.moving.move import Moved, move
from mediaconvert.settings import Settings
from mediaconvert.supervisor import make_data_dir

_SERVERS = ("database.url", "redis.url", "storage.s3_endpoint", "analytics.clickhouse_dsn")


def run(arguments: argparse.Namespace) -> int:
    """0 when everything is there and has been compared."""
    target = load(environment=os.environ, flags={}, config_file=arguments.to).settings
    source = _source_settings(arguments)
    logs.configure(replace(source.logging, level="warning"))
    make_data_dir(target.server.data_dir)
    try:
        moved = trio.run(partial(move, source, target, _say))
    except (Unavailable, StorageFull) as error:
        raise StartupError(
            f"{error or 'the target has no room left'}; what was copied stays: run the same "
            "command again"
        ) from error
    _sum_up(moved, arguments.to)
    return 0


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
