"""Notices as they travel through Redis: small JSON, read with suspicion.

Pure. Whoever else may publish on the channel can wake workers and drop cached keys, no more:
what is not one of our messages is nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from mediaconvert.ports.notices import Notice, Topic

MAX_BYTES = 1024
"""Ours have less than 200."""
_KNOWN = frozenset(topic.value for topic in Topic)


@dataclass(frozen=True, slots=True)
class Message:
    sender: str
    """Random, one a process: by it a process knows its own echo."""
    notice: Notice | None = None
    probe: int | None = None
    """Counts the sender's probes of itself; such a message carries no notice."""


def encode(message: Message) -> bytes:
    if message.notice is None:
        return json.dumps({"from": message.sender, "probe": message.probe}).encode()
    notice = message.notice
    content = {"from": message.sender, "topic": notice.topic.value, "value": notice.value}
    return json.dumps(content).encode()


def decode(data: bytes) -> Message | None:
    """None for what is not ours, too large, or of a topic that this version does not know."""
    if len(data) > MAX_BYTES:
        return None
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    sender, probe = content.get("from"), content.get("probe")
    topic, value = content.get("topic"), content.get("value")
    if not isinstance(sender, str):
        return None
    if isinstance(probe, int):
        return Message(sender, probe=probe)
    if isinstance(topic, str) and topic in _KNOWN and isinstance(value, str):
        return Message(sender, Notice(Topic(topic), value))
    return None
