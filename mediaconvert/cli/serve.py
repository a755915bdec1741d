"""`mediaconvert serve`: the service in the foreground."""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from functools import partial

import trio

from mediaconvert import logs
from mediaconvert.cli.options import load_configuration
from mediaconvert.errors import StartupError
from mediaconvert.moving.note import find_note
from mediaconvert.settings import Settings
from mediaconvert.supervisor import Running, supervise

FEWEST_FILES = 80
"""Enough to start; tools are given descriptors from number 64 up (`tools.starter`)."""

log = logging.getLogger("mediaconvert.serve")

# mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 after a drain that was asked for."""
    # Not the caller's: with some, the service could not use the folders that it makes.
    os.umask(0o077)
    configuration = load_configuration(arguments)
    logs.configure(configuration.settings.logging)
    _warn_of_move(configuration.settings)
    _take_signals()
    _raise_file_limit()
    _reuse_large_buffers()
    trio.run(
        partial(
            supervise,
            configuration.settings,
            reload=lambda: load_configuration(arguments).settings,
            announce=_announce,
        ),
        # A failure in the tree is one error, with its own traceback, in the log.
        strict_exception_groups=True,
    )
    return 0


def _warn_of_move(settings: Settings) -> None:
    """An embedded installation that was moved may go on, but not unnoticed."""
    if not settings.database.url and (note := find_note(settings.server.data_dir)) is not None:
        log.warning("%s; %s", note.sentence, note.remedy)


def _take_signals() -> None:
    """Until the supervisor listens, and after it did: nothing has begun, or all is written."""
    signal.signal(signal.SIGTERM, _end_early)
    # A handler and not SIG_IGN, which children would inherit.
    signal.signal(signal.SIGHUP, lambda *_: None)


def _end_early(*_: object) -> None:
    logs.flush()
    os._exit(0)


def _raise_file_limit() -> None:
    """All the descriptors that we may have: the usual 1,024 are for programs that call select(),
    and fewer than `server.max_connections` with a file each. Raises StartupError."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < FEWEST_FILES:
        raise StartupError(
            f"this process may open {hard} files, and needs at least {FEWEST_FILES}; raise the "
            "limit with 'ulimit -n' or LimitNOFILE="
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _reuse_large_buffers() -> None:
    """Have malloc keep buffers of up to 4 MiB, and 16 MiB of free memory in all, instead of
    returning them to the kernel: a transfer allocates one per MiB, and each new mapping costs
    256 page faults. A hint; other C libraries have none."""
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 4 << 20)
        mallopt(_M_TRIM_THRESHOLD, 16 << 20)


def _announce(running: Running) -> None:
    if sys.stderr.isatty():
        print(f"MediaConvert is ready: {running.url}", file=sys.stderr)
        print(f"  S3 endpoint and REST API: {running.url}", file=sys.stderr)
        print("  stop with Ctrl-C", file=sys.stderr)
