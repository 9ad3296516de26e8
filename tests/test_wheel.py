"""A wheel of vcjax holds all that the package needs, and works where there is no checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
GENERATED = shutil.ignore_patterns("__pycache__")
PROBE = {
    "kind": "choice",
    "id": "cars-1",
    "template": "Which do you prefer, {a} or {b}?",
    "options": ["a quiet car", "a fast car"],
    "values": ["calm", "speed"],
    "domain": "cars",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy: setuptools would add what an earlier build left in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("vcjax", "tests", "configs", "launch"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=GENERATED)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    return source


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={folder}", str(source))
    (built,) = folder.glob("vcjax-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Python in an environment with the wheel, and of this one only the packages: no download."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(call([python, "-c", where], folder).stdout.strip())
    # A path in a .pth file: its own .pth files, and so the editable checkout, are not looked at.
    (packages / "packages.pth").write_text(sysconfig.get_path("purelib"))
    return python


def pip(*arguments):
    done = call([sys.executable, "-m", "pip", *arguments], "/")
    assert done.returncode == 0, done.stderr


def call(command, folder):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True)


def test_it_holds_every_file_of_the_package_and_no_other(wheel):
    package = CHECKOUT / "vcjax"
    files = {
        str(path.relative_to(CHECKOUT))
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).suffix for name in files} >= {".py", ".toml", ".jinja"}
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == files
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_an_experiment_is_planned_without_a_checkout(installed, tiny_gguf, tmp_path):
    """With a copy of configs/own_spec.py, a spec, and probes beside it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = call([installed, "-c", "import vcjax; print(vcjax.__file__)"], elsewhere).stdout
    assert Path(where).is_relative_to(installed.parents[1])

    files = tmp_path / "files"
    files.mkdir()
    shutil.copy(CHECKOUT / "configs" / "own_spec.py", files)
    shutil.copy(CHECKOUT / "tests" / "corpus" / "teas.md", files)
    (files / "probes.jsonl").write_text(json.dumps(PROBE))
    config = f"--config={files / 'own_spec.py'}:{files / 'teas.md'}"
    settings = [f"--config.model={tiny_gguf}", "--config.chat_template=chatml"]
    command = [installed, "-m", "vcjax.main", config, *settings, "--workdir=run", "--dry_run"]
    planned = call(command, elsewhere)
    assert planned.returncode == 0, planned.stderr
    assert "arm both: rationale -> behavior" in planned.stdout
    assert (elsewhere / "run").is_dir()


def test_an_editable_installation_leaves_nothing_that_hides_it(source):
    """In the top folder, which is first on the path of `python -m`; this is pip's first step."""
    hook = "from setuptools import build_meta; print(build_meta.get_requires_for_build_editable())"
    done = call([sys.executable, "-c", hook], source)
    assert done.returncode == 0, done.stderr
    assert len([*source.rglob("*.egg-info")]) == 1
    assert not [*source.glob("*.egg-info")]
