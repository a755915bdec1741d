"""`mediaconvert migrate`: brings the catalog's schema up to date, before a start or instead of the
first node's; with `--accept-jwt-key` it also makes another JWT key the installation's."""

from __future__ import annotations

import argparse

import trio

from mediaconvert import logs
from mediaconvert.backends import open_catalog
from mediaconvert.cli.options import load_configuration
from mediaconvert.errors import StartupError
from mediaconvert.settings import Settings
from mediaconvert.vault import Keys, accept_jwt_key, load_keys


def run(arguments: argparse.Namespace) -> int:
    """0 when the schema is that of this program."""
    settings = load_configuration(arguments).settings
    # What is changed is told there, one line a migration.
    logs.configure(settings.logging)
    keys = _new_keys(settings) if arguments.accept_jwt_key else None
    trio.run(_migrate, settings, keys, strict_exception_groups=True)
    return 0


async def _migrate(settings: Settings, keys: Keys | None) -> None:
    async with open_catalog(settings) as catalog:
        server = await catalog.housekeeping.check()
        print(f"{server}: the schema is up to date")
        if keys is not None:
            await accept_jwt_key(catalog, keys)
            print("the JWT key of these settings is the installation's; start all nodes with it")


def _new_keys(settings: Settings) -> Keys:
    if not settings.database.url:
        raise StartupError(
            "--accept-jwt-key is for nodes that share a database; an embedded installation takes "
            "a new JWT key at its next start"
        )
    keys = load_keys(settings)
    if keys.is_jwt_key_own:
        # Perhaps made just now, by this command: then no node could start any more.
        raise StartupError(
            "--accept-jwt-key takes the key that all nodes are given; set JWT_SECRET (or "
            "auth.jwt_secret_file) to it here as well"
        )
    return keys
