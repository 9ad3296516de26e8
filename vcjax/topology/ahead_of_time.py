"""Compiles a config's train steps for a TPU slice; `vcjax.aot` is its command."""

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from vcjax import config as configs
from vcjax import sharding
from vcjax.config import RECIPE
from vcjax.errors import InputError
from vcjax.models.architecture import Architecture, known_architecture
from vcjax.plan import idle
from vcjax.topology import chips, search, step
from vcjax.topology.step_cost import measure
from vcjax.weights import pretrained, scratch
from vcjax.workdir import files

# The keys of a recipe that the compiled step does not depend on.
NOT_IN_THE_STEP = ("lr", "schedule", "warmup", "epochs", "overlong")


def run(
    config: ConfigDict,
    folder: Path,
    *,
    topology_name: str,
    slices: int,
    stage: str | None = None,
    compiles: int = 0,
    out: Path | None = None,
    executables: Path | None = None,
    texts: Path | None = None,
) -> None:
    """Compiles the stages' steps, prints and saves their figures. Raises InputError.

    folder: what the config's relative paths are relative to. compiles: how many steps a search may
    compile for each stage; 0: no search. executables: a folder for the compiled steps. texts: a
    folder for the optimized HLO, NAME.hlo.txt.
    """
    topology = chips.parse(topology_name, slices)
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            "libtpu, the TPU compiler, is not installed: bash launch/aot.sh, with the same "
            "arguments, installs it into .venv-tpu and goes on (or: pip install 'vcjax[tpu]')"
        )
    for flag, folder_to_write in (("--save_executables", executables), ("--save_hlo", texts)):
        if compiles and folder_to_write is not None:
            raise InputError(f"{flag}: search first, then save with the flags that it gives")
    if config.get("compute_dtype") == "auto":
        config.compute_dtype = "bfloat16"  # the TPU's, whatever this machine has
    config = configs.resolve(config, folder)
    names = _stages(config, stage)
    architecture, devices = _architecture(config, folder), topology.devices()
    _cache_executables(executables)
    title = f"{slices} x {topology_name}" if slices > 1 else topology_name
    print(f"{config.name}: {config.model} on {title}, {topology.chips} chips")
    results: dict[str, Any] = {}
    mesh = None if compiles else sharding.make_mesh(config.mesh.to_dict(), devices)
    for name, same in alike(config, names):
        print(f"{', '.join(same)}:")
        if mesh is None:
            candidates = search.run(config, name, architecture, topology, devices, compiles)
            print(search.describe(candidates, same))
            results |= {stage: [candidate.as_json() for candidate in candidates] for stage in same}
            continue
        rows = step.micro_batch_rows(config.stages[name])
        if wrong := idle(rows, sharding.shards("batch", mesh.shape)):
            print(f"warning: {wrong}")
        print("  compiling, a few minutes", flush=True)
        text = texts / f"{name}.hlo.txt" if texts is not None else None
        result = measure(config, name, architecture, topology, mesh, text)
        print(result.describe())
        results |= dict.fromkeys(same, result.as_json())
    if executables is not None:
        print(f"executables: {executables}; on the pod set JAX_COMPILATION_CACHE_DIR to it")
    if out is not None:
        versions = {p: importlib.metadata.version(p) for p in ("vcjax", "jax", "jaxlib", "libtpu")}
        facts = {"config": configs.as_json(config), "versions": versions, "stages": results}
        files.write_json(out, facts)
        print(f"figures: {out}")


def _stages(config: ConfigDict, only: str | None) -> list[str]:
    names = [n for n in configs.used_stages(config) if config.stages[n].kind != "adapter"]
    if only is not None and only not in names:
        raise InputError(f"--stage={only}: the stages that train are {', '.join(names)}")
    return names if only is None else [only]


def alike(config: ConfigDict, names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Stages in groups with the same compiled step: (the first, all of the group)."""
    groups: dict[tuple, list[str]] = {}
    for name in names:
        recipe = config.stages[name]
        decides = tuple(recipe[key] for key in RECIPE if key not in NOT_IN_THE_STEP)
        groups.setdefault(decides, []).append(name)
    return [(group[0], group) for group in groups.values()]


def _architecture(config: ConfigDict, folder: Path) -> Architecture:
    """From the table of known models, or else from the model's files, or the config's shape."""
    if config.model == configs.SCRATCH:
        return scratch.find(config, folder).architecture
    return known_architecture(config.model) or pretrained.find(config.model).architecture


def _cache_executables(folder: Path | None) -> None:
    """Makes the folder JAX's compilation cache, from which a pod can start; None: no cache.

    The cache's key holds the program, the compiler's version and options, and the slice, but no
    device. A pod with another version compiles again. Nothing in it is pickled.
    """
    jax.config.update("jax_enable_compilation_cache", folder is not None)
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # Without a TPU the compiler can write such files but not read them.
        warnings.filterwarnings("ignore", message="Error reading persistent compilation cache")
