"""Confines its own process: Landlock for files, seccomp for everything else.

What stands in for bubblewrap where user namespaces are forbidden (Linux: Documentation/
userspace-api/landlock.rst). Standard library only. Called in a freshly forked child by
`tools.starter`, and by the image server's workers.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from typing import Any

CHILD_VARIABLE = "MEDIACONVERT_CHILD"
"""How this program, started again as a child of its own, learns what it is: `starter:FD`,
`images:FD` or `files`."""

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38
_SECCOMP_MODE_FILTER = 2
_SYS_CREATE_RULESET, _SYS_ADD_RULE, _SYS_RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_ABI_1_RIGHTS = (1 << 13) - 1
_READING = _EXECUTE | _READ_FILE | _READ_DIR
# Making and removing plain files; no devices, sockets, pipes or links.
_WRITING = _WRITE_FILE | _READ_FILE | _READ_DIR | _TRUNCATE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_ALL_NETWORK, _ALL_SCOPES = 3, 3


class _Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def apply(libc: ctypes.CDLL, rules: dict[str, Any]) -> None:
    """Put this process under `sandbox.confine_rules` for good. Raises OSError."""
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    if rules["landlock"]:
        restrict_files(libc, rules["readable"], rules["writable"])
    install_filter(libc, bytes.fromhex(rules["seccomp"]))


def landlock_version() -> int:
    """The kernel's Landlock ABI; 0 when there is none."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_SYS_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    return max(int(version), 0)


def restrict_files(libc: ctypes.CDLL, readable: list[str], writable: list[str]) -> None:
    """From here on only these files and what lies below these folders can be opened. What the
    kernel's version knows beyond files is denied altogether: TCP, abstract sockets, signals to
    processes outside."""
    version = landlock_version()
    handled = _ABI_1_RIGHTS
    handled |= _REFER if version >= 2 else 0
    handled |= _TRUNCATE if version >= 3 else 0
    handled |= _IOCTL_DEV if version >= 5 else 0
    attributes = struct.pack("=Q", handled)
    if version >= 4:
        attributes += struct.pack("=Q", _ALL_NETWORK)
    if version >= 6:
        attributes += struct.pack("=Q", _ALL_SCOPES)
    ruleset = _checked(
        libc.syscall(_SYS_CREATE_RULESET, attributes, len(attributes), 0), "landlock ruleset"
    )
    for paths, rights in ((readable, _READING), (writable, _WRITING)):
        for path in paths:
            _allow(libc, ruleset, path, rights & handled)
    _checked(libc.syscall(_SYS_RESTRICT_SELF, ruleset, 0), "landlock restrict")
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _ON_FILES
        rule = struct.pack("=Qi", rights, fd)
        _checked(libc.syscall(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0), path)
    finally:
        os.close(fd)


def install_filter(libc: ctypes.CDLL, program: bytes) -> None:
    """Put this process under a seccomp filter for good. `no_new_privs` must be set."""
    instructions = ctypes.create_string_buffer(program, len(program))
    filter_ = _Program(len(program) // 8, ctypes.cast(instructions, ctypes.c_void_p))
    _checked(
        libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter_), 0, 0), "seccomp"
    )


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)} ({what})")
    return result
