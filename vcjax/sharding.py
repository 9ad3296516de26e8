"""The mesh, and ONE table: logical axis -> mesh axes. Nothing else names a mesh axis."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils, multihost_utils
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from vcjax.errors import InputError

PyTree = Any

MESH_AXES = ("replica", "fsdp", "tensor", "sequence")

RULES: dict[str, tuple[str, ...]] = {
    # activations
    "batch": ("replica", "fsdp"),
    "length": ("sequence",),
    "attended_heads": ("tensor", "sequence"),  # where attention takes rows whole (a GPU's)
    # weights; `embed` shards them over a data axis, as in ZeRO-3 / FSDP
    "embed": ("fsdp",),
    "heads": ("tensor",),
    "experts": ("tensor",),
    "mlp": ("tensor",),
    "vocab": ("tensor",),  # of the embeddings
    "classes": ("fsdp", "tensor", "sequence"),  # the vocabulary of the head
    # of an adapter's A or B; takes the data axis where the other dimension is not `embed`
    "rank": ("fsdp",),
    # never sharded: `layer` is scanned over, norms and what a router says are small
    "layer": (),
    "norm": (),
    "router": (),
}


def make_mesh(sizes: dict[str, int], devices: Sequence[jax.Device] | None = None) -> Mesh:
    """sizes: mesh axis -> devices; one of them may be -1, which fills it.

    devices: by default all of this run. On several slices only `replica` spans slices. Raises
    InputError where the sizes do not fit the devices.
    """
    devices = jax.devices() if devices is None else devices
    if sizes.keys() != set(MESH_AXES):
        raise InputError(f"config.mesh: {sizes}; give each of {', '.join(MESH_AXES)} once")
    sizes, count = dict(sizes), len(devices)
    fill = [axis for axis, size in sizes.items() if size == -1]
    known = math.prod(size for size in sizes.values() if size != -1)
    if len(fill) == 1 and known > 0 and count % known == 0:
        sizes[fill[0]] = count // known
    if min(sizes.values()) < 1 or math.prod(sizes.values()) != count:
        raise InputError(
            f"config.mesh: {sizes} does not fit {count} device(s); the product of the axes must "
            "be their number, and one axis may be -1 to fill"
        )
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if sizes["replica"] % slices:
        raise InputError(
            f"config.mesh.replica: {sizes['replica']} is not a multiple of the {slices} slices; "
            "replicas alone can lie on different slices"
        )
    shape = tuple(sizes[axis] for axis in MESH_AXES)
    types = (AxisType.Auto,) * len(MESH_AXES)
    if slices == 1:
        return jax.make_mesh(shape, MESH_AXES, axis_types=types, devices=devices)
    within = (shape[0] // slices, *shape[1:])
    between = (slices,) + (1,) * (len(shape) - 1)
    return Mesh(
        mesh_utils.create_hybrid_device_mesh(within, between, devices), MESH_AXES, axis_types=types
    )


def spec(
    logical: tuple[str | None, ...], shape: tuple[int, ...], mesh: Mesh | AbstractMesh
) -> PartitionSpec:
    """The PartitionSpec of an array with these logical axes.

    A mesh axis shards one dimension of an array, the first whose logical axis names it. A dimension
    that its mesh axes do not divide is not sharded.
    """
    used: set[str] = set()
    entries = []
    for name, size in zip(logical, shape, strict=True):
        axes = () if name is None else tuple(a for a in RULES[name] if a not in used)
        if size % math.prod(mesh.shape[a] for a in axes):
            axes = ()
        used.update(axes)
        entries.append(axes or None)
    return PartitionSpec(*entries)


def axes_of(logical: str, size: int, mesh: Mesh | AbstractMesh) -> tuple[str, ...]:
    """The mesh axes that shard a dimension of this size."""
    return axes_in(spec((logical,), (size,), mesh)[0])


def axes_in(entry: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The mesh axes of one dimension of a PartitionSpec."""
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


def shardings(axes: PyTree, tree: PyTree, mesh: Mesh) -> PyTree:
    """The NamedSharding of every leaf of `tree`, whose logical axes are the tuples of `axes`."""
    return jax.tree.map(
        lambda names, leaf: NamedSharding(mesh, spec(names, leaf.shape, mesh)),
        axes,
        tree,
        is_leaf=lambda x: isinstance(x, tuple),
    )


def mesh_in_use() -> AbstractMesh | None:
    """The mesh of `jax.set_mesh`; None where none is set or it has only one device."""
    mesh = jax.sharding.get_abstract_mesh()
    return None if mesh.empty or mesh.size == 1 else mesh


def shards(logical: str, sizes: Mapping[str, int]) -> int:
    """The number of shards of a dimension that is sharded; sizes: mesh axis -> devices."""
    return math.prod(sizes[axis] for axis in RULES[logical])


def constrain(x: jax.Array, *logical: str | None) -> jax.Array:
    """Constrains an activation's sharding to its logical axes, where a mesh is in use."""
    mesh = mesh_in_use()
    if mesh is None:
        return x
    return jax.lax.with_sharding_constraint(x, spec(logical, x.shape, mesh))


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Host arrays [..., rows, length] onto the mesh, rows over the batch axes."""

    def place(x: np.ndarray) -> jax.Array:
        logical = (None,) * (x.ndim - 2) + ("batch", "length")
        return put(x, NamedSharding(mesh, spec(logical, x.shape, mesh)))

    return {name: place(x) for name, x in batch.items()}


def put(tree: PyTree, placed: PyTree) -> PyTree:
    """Host arrays, whole in every process, onto the mesh: each process fills its own devices.

    placed: the sharding of every leaf.
    """
    return jax.tree.map(
        lambda x, s: jax.make_array_from_process_local_data(s, x, x.shape), tree, placed
    )


def to_host(tree: PyTree) -> PyTree:
    """Host arrays from the mesh, whole in every process; all processes call it together."""
    return multihost_utils.process_allgather(tree, tiled=True)
