"""A root that rpm filled, of a Debian that dpkg filled: rpm_root.py DEBIAN.tar OUT.tar

Each package becomes one of rpm, with the same files, owners, modes, links and configuration files, and with dependencies
of the same names; alternatives become rich dependencies. rpmbuild makes the packages and rpm puts them into a root, so
that nothing of the database is ours. Needs root, rpm (apt) and tar.
"""

import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile

DOCUMENTS = "/usr/share/doc/"


def main(debian: str, out: str) -> None:
    with tempfile.TemporaryDirectory(dir=pathlib.Path(out).parent) as name:
        work = pathlib.Path(name)
        source = work / "debian"
        source.mkdir()
        subprocess.run(["tar", "-C", source, "-xf", debian], check=True)
        spec = work / "all.spec"
        spec.write_text(specification(source))
        build(work, source, spec)
        root = install(work, source)
        subprocess.run(["tar", "-C", root, "-cf", out, "."], check=True)


def specification(source: pathlib.Path) -> str:
    """One spec with a subpackage for each package."""
    paragraphs = (source / "var/lib/dpkg/status").read_text().strip().split("\n\n")
    packages = [dict(re.findall(r"^([A-Za-z-]+): (.*)$", one, re.M)) for one in paragraphs]
    conffiles = set(re.findall(r"^ (/\S+) [0-9a-f]{32}$", "\n".join(paragraphs), re.M))
    users = accounts(source / "etc/passwd")
    groups = accounts(source / "etc/group")
    text = "Name: debian\nVersion: 1\nRelease: 1\nSummary: s\nLicense: none\n%description\nd\n"
    taken: set[str] = set()
    for package in packages:
        name = package["Package"]
        epoch, _, version = package["Version"].rpartition(":")
        text += f"%package -n {name}\nVersion: {version.replace('-', '.')}\nRelease: 1\nSummary: s\nAutoReqProv: no\n"
        text += f"Epoch: {epoch}\n" if epoch else ""
        for field in ("Depends", "Pre-Depends"):
            for group in filter(None, package.get(field, "").split(",")):
                names = [re.sub(r"[:(].*", "", one).strip() for one in group.split("|")]
                text += f"Requires: {names[0] if len(names) == 1 else '(' + ' or '.join(names) + ')'}\n"
        for provided in filter(None, package.get("Provides", "").split(",")):
            text += f"Provides: {re.sub('[(].*', '', provided).strip()}\n"
        if name == "bash":
            text += "Provides: /bin/sh\n"
        if name == "nginx-common":
            text += "Requires(post): /bin/sh\n"
        text += f"%description -n {name}\nd\n%files -n {name}\n"
        lists = [f"{name}.list", f"{name}:{package['Architecture']}.list"]
        for path in (path for one in lists for path in lines(source / "var/lib/dpkg/info" / one)):
            text += entry(source, path, path in conffiles, users, groups, taken)
    return text


def accounts(path: pathlib.Path) -> dict[int, str]:
    return {int(line.split(":")[2]): line.split(":")[0] for line in lines(path)}


def lines(path: pathlib.Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and line != "/."] if path.exists() else []


def entry(source: pathlib.Path, path: str, config: bool, users: dict, groups: dict, taken: set[str]) -> str:
    """A line of %files; nothing for what is not there, is another package's too, or is a link of the usr-merge."""
    base = os.path.realpath(source)
    real = os.path.join(os.path.realpath(base + os.path.dirname(path)), os.path.basename(path))
    shown = real[len(base):]
    if not os.path.lexists(real) or shown in ("/bin", "/sbin", "/lib", "/lib64"):
        return ""
    found = os.lstat(real)
    directory = stat.S_ISDIR(found.st_mode)
    if shown in taken and not directory:
        return ""
    taken.add(shown)
    if stat.S_ISLNK(found.st_mode):
        return f'"{shown}"\n'
    owner = f"{users[found.st_uid]},{groups[found.st_gid]}"
    kind = "%dir " if directory else "%config(noreplace) " if config else "%doc " if DOCUMENTS in shown else ""
    return f'%attr({found.st_mode & 0o7777:o},{owner}) {kind}"{shown}"\n'


def build(work: pathlib.Path, source: pathlib.Path, spec: pathlib.Path) -> None:
    settings = {
        "_topdir": work / "build",
        "_unpackaged_files_terminate_build": 0,
        "__os_install_post": "%{nil}",
        "__check_files": "%{nil}",
        "debug_package": "%{nil}",
        "_build_id_links": "none",
        "_binary_payload": "w0.gzdio",
    }
    defines = [word for key, value in settings.items() for word in ("--define", f"{key} {value}")]
    # The tree itself is what is packed: nothing is built, and nothing cleaned up.
    subprocess.run(["rpmbuild", "-bb", "--quiet", "--noclean", "--buildroot", source, *defines, spec], check=True)


def install(work: pathlib.Path, source: pathlib.Path) -> pathlib.Path:
    root = work / "root"
    for directory in ("etc", "dev", "proc", "sys", "run", "tmp"):
        (root / directory).mkdir(parents=True)
    for link in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / link).mkdir(parents=True)
        (root / link).symlink_to(f"usr/{link}")
    for file in ("passwd", "group"):
        (root / "etc" / file).write_bytes((source / "etc" / file).read_bytes())
    packages = sorted((work / "build/RPMS").glob("*/*.rpm"))
    options = ["--dbpath", "/var/lib/rpm", "--nodeps", "--noscripts", "--root", root]
    subprocess.run(["rpm", *options, "-i", *packages], check=True)
    return root


main(*sys.argv[1:])
