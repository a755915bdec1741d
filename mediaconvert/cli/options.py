"""Command-line flags that stand for settings, and the loading of all of them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mediaconvert.config import Configuration, load

_FLAGS = {
    "host": ("--host", "server.host", "address to listen on (default 127.0.0.1)"),
    "port": ("--port", "server.port", "TCP port (default 8080; 0 takes a free one)"),
    "data_dir": ("--data-dir", "server.data_dir", "folder of everything kept (default ./data)"),
    "role": ("--role", "server.role", "all, api or worker (default all)"),
}


def add_settings_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """`--config` and the named flags."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings file (default ./mediaconvert.yaml, /etc/mediaconvert/mediaconvert.yaml)",
    )
    for name in names:
        flag, _, text = _FLAGS[name]
        parser.add_argument(flag, dest=name, help=text)


def load_configuration(arguments: argparse.Namespace) -> Configuration:
    """Raises ConfigError."""
    flags = {
        setting: value
        for name, (_, setting, _) in _FLAGS.items()
        if (value := getattr(arguments, name, None)) is not None
    }
    return load(environment=os.environ, flags=flags, config_file=arguments.config)
