"""A second opinion on manifests: validate_manifests.py [--kubernetes 1.37] FILE_OR_DIRECTORY...

For every document of every .yaml and .yml file:
  - three readers see the same values of the same types, and no key twice: YAML 1.1 (PyYAML, with the
    one-letter booleans of kubectl's reader), YAML 1.2 (ruamel.yaml), and the core schema of YAML 1.2 to
    the letter (ruamel.yaml still takes 1_000 for a number);
  - kubernetes-validate --strict accepts it: a kind that it does not know, or a misspelt field, is an error
    (not asked about a file that a kustomization beside it names as a patch: that is a part of an object);
  - what kustomize reads (which has no schema there) names files that are there.
Prints one line for each document that is right, one for each mistake, and ends with 1 if there was any.
"""

import argparse
import datetime
import pathlib
import re
import sys

import kubernetes_validate
import ruamel.yaml
import yaml


class Yaml11(yaml.SafeLoader):
    """YAML 1.1 as kubectl's reader takes it: `y` and `n` are booleans too, and PyYAML leaves them alone."""


Yaml11.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), list("yYnN"))
Yaml11.add_constructor(
    "tag:yaml.org,2002:bool",
    lambda loader, node: node.value.lower() in ("y", "yes", "on", "true"),
)


class Yaml12(yaml.SafeLoader):
    """The core schema of YAML 1.2, section 10.3.2: these expressions and no other."""

    yaml_implicit_resolvers: dict = {}


for tag, expression, first in [
    ("null", r"^(?:null|Null|NULL|~|)$", ["n", "N", "~", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+0123456789."),
    ),
]:
    Yaml12.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(expression), first)
# PyYAML's own constructor reads 010 as eight.
Yaml12.add_constructor(
    "tag:yaml.org,2002:int",
    lambda loader, node: int(node.value, 0 if node.value[:2] in ("0o", "0x") else 10),
)
Yaml12.add_constructor(
    "tag:yaml.org,2002:float",
    lambda loader, node: float(re.sub(r"\.(?=[iInN])", "", node.value)),
)


def read_11(text: str) -> list:
    return list(yaml.load_all(text, Loader=Yaml11))


def read_12(text: str) -> list:
    reader = ruamel.yaml.YAML(typ="safe", pure=True)
    reader.version = (1, 2)
    reader.allow_duplicate_keys = False
    return list(reader.load_all(text))


def read_core(text: str) -> list:
    return list(yaml.load_all(text, Loader=Yaml12))


def differences(old, new, path: str = "") -> list[str]:
    """Where the two readings are not the same value of the same type."""
    if isinstance(old, dict) and isinstance(new, dict):
        # Keys are compared by type as well: True == 1 in Python.
        keys = lambda d: {(type(k).__name__, str(k)): k for k in d}
        old_keys, new_keys = keys(old), keys(new)
        found = [f"{path}.{k[1]}: the key is read in one version only" for k in sorted(old_keys.keys() ^ new_keys.keys())]
        for key in sorted(old_keys.keys() & new_keys.keys()):
            found += differences(old[old_keys[key]], new[new_keys[key]], f"{path}.{key[1]}")
        return found
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            return [f"{path}: {len(old)} entries in YAML 1.1, {len(new)} in YAML 1.2"]
        return [d for i, (a, b) in enumerate(zip(old, new)) for d in differences(a, b, f"{path}[{i}]")]
    if type(old) is not type(new) or old != new:
        return [f"{path}: {show(old)} in YAML 1.1, {show(new)} in YAML 1.2"]
    if isinstance(old, (datetime.date, datetime.datetime)):
        return [f"{path}: a date; Kubernetes has strings only, so it must be quoted"]
    return []


def show(value) -> str:
    return f"{value!r} ({type(value).__name__})"


def is_kustomize(document: dict) -> bool:
    return str(document.get("apiVersion", "")).startswith("kustomize.config.k8s.io/")


def check_kustomize(document: dict, directory: pathlib.Path) -> list[str]:
    names = list(document.get("resources", [])) + list(document.get("components", []))
    names += [patch["path"] for patch in document.get("patches", []) if isinstance(patch, dict) and "path" in patch]
    return [f"{name} is not there" for name in names if not (directory / str(name)).exists()]


def patches_of(directory: pathlib.Path) -> set[str]:
    """Names of the files in a directory that its kustomization applies as patches."""
    file = directory / "kustomization.yaml"
    try:
        document = yaml.safe_load(file.read_text("utf-8")) if file.exists() else None
    except yaml.YAMLError:
        return set()  # said where that file is checked
    patches = document.get("patches", []) if isinstance(document, dict) else []
    return {str(patch.get("path")) for patch in patches if isinstance(patch, dict)}


def check_schema(document, version: str) -> list[str]:
    if not isinstance(document, dict) or "kind" not in document or "apiVersion" not in document:
        return ["not an object with apiVersion and kind"]
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(str(p) for p in error.path)}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError:
        return [f"Kubernetes {version} has no {document['apiVersion']} {document['kind']}"]
    return []


def check_file(file: pathlib.Path, version: str) -> tuple[list[str], list[str]]:
    """What was right and what was wrong in one file."""
    text = file.read_bytes().decode("utf-8")
    try:
        old, new, core = read_11(text), read_12(text), read_core(text)
    except (yaml.YAMLError, ruamel.yaml.YAMLError) as error:
        return [], [f"{file}: {' '.join(str(error).split())}"]
    if not new:
        return [], [f"{file}: holds no document"]
    right, wrong = [], [f"{file}{d}" for d in differences(old, new) or differences(old, core)]
    for number, document in enumerate(new):
        where = f"{file}[{number}]"
        if isinstance(document, dict) and is_kustomize(document):
            problems = check_kustomize(document, file.parent)
        elif file.name in patches_of(file.parent):
            problems = []
            document = {"kind": "patch"}
        else:
            problems = check_schema(document, version)
        wrong += [f"{where}: {p}" for p in problems]
        if not problems:
            name = document.get("metadata", {}).get("name", "")
            right.append(f"{where}: {document['kind']} {name}".rstrip())
    return right, wrong


def find_files(names: list[str]) -> list[pathlib.Path]:
    files = []
    for path in map(pathlib.Path, names):
        if path.is_dir():
            files += sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml"))
        else:
            files.append(path)
    return files


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubernetes", default=kubernetes_validate.latest_version(), metavar="VERSION")
    parser.add_argument("names", nargs="+", metavar="FILE_OR_DIRECTORY")
    options = parser.parse_args(arguments)
    files = find_files(options.names)
    wrong_at_all = [] if files else ["no .yaml file was found"]
    for file in files:
        right, wrong = check_file(file, options.kubernetes)
        for line in right:
            print(line)
        wrong_at_all += wrong
    for line in wrong_at_all:
        print(f"error: {line}", file=sys.stderr)
    return 1 if wrong_at_all else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
