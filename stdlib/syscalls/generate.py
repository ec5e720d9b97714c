#!/usr/bin/env python3
"""Write tables.txt: the names and numbers of system calls for x86_64 and aarch64.

The source is the kernel's own user headers as Debian's package linux-libc-dev
ships them for every architecture (since 6.11 in usr/lib/linux/uapi/ARCH/asm).
Take the newest one (sid's) and unpack it aside; it need not be installed:

    apt-get download linux-libc-dev
    dpkg -x linux-libc-dev_*_all.deb headers
    stdlib/syscalls/generate.py headers > stdlib/syscalls/tables.txt

A number never changes once a kernel was released, so a newer table only adds
lines; the test `numbers_are_the_ones_of_the_kernel` compares with the headers
of the machine where there are some.
"""
import pathlib
import re
import sys

UAPI = "usr/lib/linux/uapi"
COLUMNS = [("x86_64", "x86"), ("aarch64", "arm64")]


def numbers(header: pathlib.Path) -> dict[str, int]:
    """The __NR_ lines of one generated unistd_64.h."""
    found = re.findall(r"^#define __NR_(\w+)\s+(\d+)$", header.read_text(), re.M)
    if len(found) < 250:
        sys.exit(f"generate.py: {header} holds only {len(found)} numbers; is it a generated header?")
    return {name: int(number) for name, number in found}


def kernel(root: pathlib.Path) -> str:
    """The version of the kernel that the headers are from, as "7.2"."""
    text = (root / "usr/include/linux/version.h").read_text()
    major = re.search(r"LINUX_VERSION_MAJOR (\d+)", text)
    minor = re.search(r"LINUX_VERSION_PATCHLEVEL (\d+)", text)
    if not major or not minor:
        sys.exit("generate.py: no version in usr/include/linux/version.h")
    return f"{major[1]}.{minor[1]}"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: generate.py DIRECTORY-OF-AN-UNPACKED-linux-libc-dev > tables.txt")
    root = pathlib.Path(sys.argv[1])
    tables = [numbers(root / UAPI / folder / "asm/unistd_64.h") for _, folder in COLUMNS]
    print(f"# System calls of Linux {kernel(root)}: name, then its number on {', then '.join(c for c, _ in COLUMNS)}; - where there is none.")
    print("# Written by generate.py from the kernel's headers; do not edit.")
    for name in sorted(set().union(*tables)):
        print(name, *(table.get(name, "-") for table in tables))


if __name__ == "__main__":
    main()
