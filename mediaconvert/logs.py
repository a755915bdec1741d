"""Logging: readable lines on a terminal, one JSON object a line elsewhere.

Everything goes to standard error through the standard library's loggers named
`mediaconvert.<room>`; fields are passed with `extra={"fields": {...}}`. Never hand a secret,
a token or a presigned query to a logger. Logging never fails and never waits for a reader:
`log_writer` has the lines, and counts those that are lost.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from mediaconvert.log_writer import LogWriter
from mediaconvert.settings import LogSettings

FLUSH_SECONDS = 1.0
_UNFORMATTABLE = (TypeError, ValueError, LookupError, AttributeError, RuntimeError)


class JsonFormatter(logging.Formatter):
    """`{"time","level","logger","message", …fields, "exception"?}`"""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """`10:22:01 info  workers.pool: claimed a job  job=12`"""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        room = record.name.removeprefix("mediaconvert.")
        fields = "".join(f"  {k}={v}" for k, v in getattr(record, "fields", {}).items())
        # A control character in a client's name must not forge a line or drive the terminal.
        text = _printable(record.getMessage() + fields)
        line = f"{clock} {record.levelname.lower():7} {room}: {text}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _timestamp(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except _UNFORMATTABLE as error:
            # A call of ours whose arguments do not fit its message costs its text, no request.
            faulty = {"message": str(record.msg), "error": f"cannot be formatted: {error!r}"}
            line = json.dumps(faulty | {"level": "error", "logger": record.name}, default=str)
        _writer.put(line)

    def flush(self) -> None:
        """Called by logging at exit."""
        flush()


def _lost_line(lines: int) -> str:
    record = logging.LogRecord(
        "mediaconvert.logs", logging.WARNING, "", 0, "log lines were lost", None, None
    )
    record.fields = {"lines": lines}
    handlers = logging.getLogger().handlers
    formatter = handlers[0].formatter if handlers else None
    return (formatter or JsonFormatter()).format(record)


_writer = LogWriter(2, _lost_line)


def lost_lines() -> int:
    """Log lines of this process that nobody can read."""
    return _writer.lost_lines


def flush(seconds: float = FLUSH_SECONDS) -> None:
    """Wait for lines on their way; before the process ends without its usual exit."""
    _writer.flush(seconds)


def configure(settings: LogSettings) -> None:
    """Set up the root logger; called by the command line, and again for changed settings."""
    text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    handler = _Handler()
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("mediaconvert").setLevel(settings.level.upper())
    logging.captureWarnings(True)
