#!/usr/bin/env python3
"""Ask the real kernel what a filter does with every number: probe.py FILTER MODE NUMBER…

MODE is native, x32 or i386; a NUMBER may be a range, 0-600. For each a child installs the filter (prctl, no_new_privs first) and makes
the call with arguments that no call can do harm with (all -1: bad pointers, bad
descriptors, impossible ids). One line a number: `NUMBER killed SIGNAL`,
`NUMBER errno N`, `NUMBER returned N` or `NUMBER silent` (the child lives on
somewhere else: an allowed exit, a blocking call).
"""
import ctypes
import mmap
import os
import resource
import signal
import struct
import sys
import time

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
X32 = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def install(code: ctypes.Array) -> None:
    program = Program(len(code) // 8, ctypes.addressof(code))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        os._exit(99)


def legacy_call() -> ctypes._CFuncPtr:
    """A function that makes call eax through int 0x80, the i386 entry of x86_64."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    # push rbx; mov eax, edi; or ebx, -1; mov ecx, ebx; mov edx, ebx; int 0x80; pop rbx; ret
    page.write(bytes.fromhex("53 89f8 83cbff 89d9 89da cd80 5b c3"))
    legacy_call.page = page
    return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))


def child(number: int, code: ctypes.Array, answer: int, mode: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    legacy = legacy_call() if mode == "i386" else None
    bad = ctypes.c_long(-1)
    install(code)
    ctypes.set_errno(0)
    if legacy:
        value = legacy(number)
        error = -value if -4096 < value < 0 else 0
    else:
        value = libc.syscall(ctypes.c_long(number), bad, bad, bad, bad, bad, bad)
        error = ctypes.get_errno() if value == -1 else 0
    # Written to memory shared with the parent: write(2) may be what the filter refuses.
    # The kind comes last, because the parent waits for it.
    struct.pack_into("<q", ANSWERS, 16 * answer + 8, error or value)
    struct.pack_into("<q", ANSWERS, 16 * answer, 2 if error else 1)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    global ANSWERS
    path, mode, *words = sys.argv[1:]
    with open(path, "rb") as file:
        data = file.read()
    code = ctypes.create_string_buffer(data, len(data))
    numbers = [n for word in words for n in range(int(word.split("-")[0]), int(word.split("-")[-1]) + 1)]
    ANSWERS = mmap.mmap(-1, 16 * len(numbers))
    for at, number in enumerate(numbers):
        pid = os.fork()
        if pid == 0:
            child(number | X32 if mode == "x32" else number, code, at, mode)
            os._exit(98)
        deadline = time.monotonic() + 2
        status = None
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
            kind, value = struct.unpack_from("<qq", ANSWERS, 16 * at)
            if done or kind:
                break
            time.sleep(0.0005)
        try:
            os.kill(pid, signal.SIGKILL)
            if not done or os.WIFSTOPPED(status):
                os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        if kind:
            print(number, "errno" if kind == 2 else "returned", value)
        elif done and os.WIFSIGNALED(status):
            print(number, "killed", os.WTERMSIG(status))
        else:
            print(number, "silent", os.WEXITSTATUS(status) if done and os.WIFEXITED(status) else "-")


main()
