"""Command-line flags that stand for settings, and the loading of all of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from mediaconvert.config import Configuration, load

_FLAGS = {
    "host": ("--host", "server.host", "address to listen on", "127.0.0.1"),
    "port": ("--port", "server.port", "TCP port; 0 takes a free one", "8080"),
    "data_dir": ("--data-dir", "server.data_dir", "folder of everything kept", "./data"),
    "role": ("--role", "server.role", "all, api or worker", "all"),
}


_NO_TEXTS: Mapping[str, str] = {}


def add_settings_options(
    parser: argparse.ArgumentParser, *names: str, texts: Mapping[str, str] = _NO_TEXTS
) -> None:
    """`--config` and the named flags. `texts` are for who asks a service instead of being one;
    the default stays the same."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings file (default ./mediaconvert.yaml, /etc/mediaconvert/mediaconvert.yaml)",
    )
    for name in names:
        flag, _, text, default = _FLAGS[name]
        text = f"{texts.get(name, text)} (default {default})"
        parser.add_argument(flag, dest=name, help=text)


def load_configuration(arguments: argparse.Namespace) -> Configuration:
    """Raises ConfigError."""
    flags = {
        setting: value
        for name, (_, setting, *_) in _FLAGS.items()
        if (value := getattr(arguments, name, None)) is not None
    }
    return load(environment=os.environ, flags=flags, config_file=arguments.config)
