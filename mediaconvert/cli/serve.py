"""`mediaconvert serve`: the service in the foreground."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
from functools import partial

import trio

from mediaconvert import logs
from mediaconvert.cli.options import load_configuration
from mediaconvert.supervisor import Running, supervise


def run(arguments: argparse.Namespace) -> int:
    """Exit status 0 after a drain that was asked for."""
    configuration = load_configuration(arguments)
    logs.configure(configuration.settings.logging)
    _take_signals()
    _raise_file_limit()
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


def _take_signals() -> None:
    """Until the supervisor listens, and after it did: nothing has begun, or all is written."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    # A handler and not SIG_IGN, which children would inherit.
    signal.signal(signal.SIGHUP, lambda *_: None)


def _raise_file_limit() -> None:
    """All the descriptors that we may have: the usual 1,024 are for programs that call select(),
    and fewer than `server.max_connections` with a file each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _announce(running: Running) -> None:
    if sys.stderr.isatty():
        print(f"MediaConvert is ready: {running.url}", file=sys.stderr)
        print(f"  S3 endpoint and REST API: {running.url}", file=sys.stderr)
        print("  stop with Ctrl-C", file=sys.stderr)
