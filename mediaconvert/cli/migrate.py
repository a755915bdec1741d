"""`mediaconvert migrate`: brings the databases' schema up to date, before a start or instead of the
first node's, or says how far it is; with `--accept-jwt-key` it also makes another JWT key the
installation's."""

from __future__ import annotations

import argparse

import trio

from mediaconvert.backends import open_catalog
from mediaconvert.backends.schema import Schema, look_at_schemas, migrate_schemas
from mediaconvert.cli.options import load_configuration
from mediaconvert.errors import StartupError
from mediaconvert.settings import Settings
from mediaconvert.vault import Keys, accept_jwt_key, load_keys


def run(arguments: argparse.Namespace) -> int:
    """0 when the schema is that of this program; with `--check`, 1 when something is waiting."""
    settings = load_configuration(arguments).settings
    if arguments.check:
        schemas = trio.run(look_at_schemas, settings)
        print("\n".join(map(_state, schemas)))
        return int(any(schema.waiting for schema in schemas))
    keys = _new_keys(settings) if arguments.accept_jwt_key else None
    print("\n".join(map(_work, trio.run(migrate_schemas, settings))))
    if keys is not None:
        trio.run(_accept, settings, keys, strict_exception_groups=True)
        print("the JWT key of these settings is the installation's; start all nodes with it")
    return 0


def _state(schema: Schema) -> str:
    if not schema.waiting:
        return f"{schema.where}: version {schema.version}, the schema is up to date"
    return (
        f"{schema.where}: version {schema.version}; waiting: {', '.join(schema.waiting)}; "
        "`mediaconvert migrate` or the next start applies them"
    )


def _work(schema: Schema) -> str:
    if not schema.waiting:
        return _state(schema)
    return f"{schema.where}: applied {', '.join(schema.waiting)}; the schema is up to date"


async def _accept(settings: Settings, keys: Keys) -> None:
    async with open_catalog(settings) as catalog:
        await accept_jwt_key(catalog, keys)


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
