"""Assembles the system call filters that children run under. Pure, standard library only.

A filter is classic BPF over `struct seccomp_data` (Linux: Documentation/userspace-api/
seccomp_filter.rst). It denies what no decoder needs and what kernel exploits start from; what
it does not name stays allowed. x86-64 only. Used by bubblewrap (`--seccomp`), by
`tools.confine` and by the image server's children, and so must import nothing of ours.
"""

from __future__ import annotations

import struct
from enum import Enum

_ARCH_X86_64 = 0xC000003E
_X32_BIT = 0x40000000
_EPERM, _ENOSYS = 1, 38
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_OFFSET_NR, _OFFSET_ARCH, _OFFSET_ARG0, _OFFSET_ARG1 = 0, 4, 16, 24

_CLONE, _CLONE3, _IOCTL, _TGKILL, _PRLIMIT = 56, 435, 16, 234, 302
_CLONE_THREAD = 0x00010000
# NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET, as `clone` takes them.
_CLONE_NAMESPACES = 0x7E020000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C

# Denied to every child: other processes' memory, mounts, modules, keys, the clock, io_uring.
_NEVER = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "pidfd_getfd": 438, "process_madvise": 440, "perf_event_open": 298, "bpf": 321,
    "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "add_key": 248, "request_key": 249, "keyctl": 250, "mount": 165, "umount2": 166,
    "pivot_root": 155, "chroot": 161, "setns": 308, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "fanotify_init": 300, "swapon": 167,
    "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172,
    "ioperm": 173, "init_module": 175, "delete_module": 176, "finit_module": 313,
    "kexec_load": 246, "kexec_file_load": 320, "quotactl": 179, "quotactl_fd": 443, "acct": 163,
    "syslog": 103, "settimeofday": 164, "clock_settime": 227, "clock_adjtime": 305,
    "adjtimex": 159, "personality": 135, "uselib": 134, "modify_ldt": 154, "vhangup": 153,
    "move_pages": 279, "migrate_pages": 256, "memfd_secret": 447, "lookup_dcookie": 212,
    "socket": 41, "connect": 42, "bind": 49, "listen": 50, "accept": 43, "accept4": 288,
    # Shared memory and queues outlive who made them, and would be seen by the next job's child.
    "shmget": 29, "shmat": 30, "semget": 64, "msgget": 68, "mq_open": 240,
    # Landlock does not rule these: any file of the service's user would be open to them.
    "chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452, "chown": 92, "fchown": 93,
    "lchown": 94, "fchownat": 260, "utime": 132, "utimes": 235, "futimesat": 261,
    "utimensat": 280, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "setxattrat": 463,
    "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199, "removexattrat": 466,
    "file_setattr": 469,
}  # fmt: skip

# Denied as well to a tool that needs no process beside itself. `setsid` and `setpgid` keep it
# in the process group that is killed where there is no PID namespace.
_NO_CHILDREN = {
    "fork": 57, "vfork": 58, "unshare": 272, "socketpair": 53, "setsid": 112, "setpgid": 109,
    # Nothing to be done to others, where they can be seen: the service itself is one of them.
    "kill": 62, "tkill": 200, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297,
    "pidfd_open": 434, "pidfd_send_signal": 424, "setpriority": 141, "ioprio_set": 251,
    "sched_setparam": 142, "sched_setscheduler": 144, "sched_setaffinity": 203,
    "sched_setattr": 314,
}  # fmt: skip
_NO_EXEC = {"execve": 59, "execveat": 322}


class Profile(Enum):
    """How much a child may do."""

    TOOL = "tool"
    """ffmpeg, ffprobe: threads, files, one exec (the tool itself), no further process."""
    SERVER = "server"
    """The image server: forks, and makes user and PID namespaces for its children."""
    WORKER = "worker"
    """A child of the image server: as TOOL, and no exec either."""


def program(profile: Profile, *, sees_others: bool = False) -> bytes:
    """The filter as an array of `struct sock_filter`, in the machine's byte order. Where there
    is no PID namespace the child `sees_others`: then `abort` cannot signal either, and ends as
    a segmentation fault instead."""
    denied = dict(_NEVER)
    if sees_others:
        denied["tgkill"] = _TGKILL
    if profile is not Profile.SERVER:
        denied |= _NO_CHILDREN
    if profile is Profile.WORKER:
        denied |= _NO_EXEC
    lines = [
        _line(_LOAD, _OFFSET_ARCH),
        _line(_EQUAL, _ARCH_X86_64, yes=1),
        _line(_RETURN, _KILL),
        _line(_LOAD, _OFFSET_NR),
        _line(_AT_LEAST, _X32_BIT, no=1),
        _line(_RETURN, _KILL),
    ]
    for number in denied.values():
        lines += [_line(_EQUAL, number, no=1), _line(_RETURN, _ERRNO | _EPERM)]
    # The flags of clone3 lie in memory, where a filter cannot look: libc falls back to clone.
    lines += [_line(_EQUAL, _CLONE3, no=1), _line(_RETURN, _ERRNO | _ENOSYS)]
    lines += _argument_checks(profile)
    lines.append(_line(_RETURN, _ALLOW))
    return b"".join(lines)


def _argument_checks(profile: Profile) -> list[bytes]:
    lines = [
        _line(_EQUAL, _IOCTL, no=5),
        _line(_LOAD, _OFFSET_ARG1),
        _line(_EQUAL, _TIOCSTI, yes=1),
        _line(_EQUAL, _TIOCLINUX, no=1),
        _line(_RETURN, _ERRNO | _EPERM),
        _line(_RETURN, _ALLOW),
    ]
    if profile is Profile.SERVER:
        return lines
    lines += [
        # One's own limits may be asked for and lowered; 0 is oneself.
        _line(_EQUAL, _PRLIMIT, no=4),
        _line(_LOAD, _OFFSET_ARG0),
        _line(_EQUAL, 0, yes=1),
        _line(_RETURN, _ERRNO | _EPERM),
        _line(_RETURN, _ALLOW),
        _line(_EQUAL, _CLONE, no=4),
        _line(_LOAD, _OFFSET_ARG0),
        _line(_ANY_BIT, _CLONE_NAMESPACES, yes=1),
        _line(_ANY_BIT, _CLONE_THREAD, yes=1),
        _line(_RETURN, _ERRNO | _EPERM),
    ]
    return lines


def _line(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """One instruction; `yes` and `no` are how many to skip when a test holds or fails."""
    return struct.pack("=HBBI", code, yes, no, value)
