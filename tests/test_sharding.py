"""The mesh, the rules, and that eight devices compute what one computes.

The numbers of eight devices come from one process that has eight virtual CPU devices: this file,
run as a program.
"""

import functools
import json
import re
import tempfile
from pathlib import Path

import eight_devices
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.sharding import AbstractMesh
from jax.sharding import PartitionSpec as P

from vcjax import config, sharding
from vcjax.errors import InputError
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.training import checkpoint, train_step
from vcjax.training.compiled_step import param_shardings, state_shardings

MESHES = {
    "fsdp": dict(replica=1, fsdp=8, tensor=1, sequence=1),
    "fsdp-tensor": dict(replica=1, fsdp=4, tensor=2, sequence=1),
    "replica-fsdp": dict(replica=2, fsdp=4, tensor=1, sequence=1),
    "all": dict(replica=1, fsdp=2, tensor=2, sequence=2),
}
CASES = [f"{train}, {mesh}" for train in ("lora", "full") for mesh in MESHES]
FAMILIES = ("granite", "olmo3", "gemma3", "smollm3", "qwen3_moe")
UPDATES = 3
LR = np.float32(1e-3)


@pytest.fixture(scope="module")
def measured():
    """What `main` below prints, from its own process."""
    return eight_devices.said_by(__file__)


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_one_device(measured, case):
    found, one = measured[case], measured[case.split(",")[0]]
    assert abs(one["losses"][-1] - one["losses"][0]) > 0.01
    np.testing.assert_allclose(found["losses"], one["losses"], rtol=1e-5)
    assert found["gradient_difference"] < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_so_they_are_of_every_family(measured, family):
    assert measured[family]["loss_difference"] < 1e-5
    assert measured[family]["gradient_difference"] < 1e-4


@pytest.mark.parametrize("case", CASES)
def test_a_device_holds_its_share_alone(measured, case):
    """The frozen base, or weights and moments, lie in as many pieces as fsdp x tensor."""
    sizes = MESHES[case.split(", ")[1]]
    share = measured[case]["largest_share"] * sizes["fsdp"] * sizes["tensor"]
    assert 0.8 < share < 1.1  # norms are whole everywhere, the head lies in more pieces


@pytest.mark.parametrize("train", ["lora", "full"])
def test_tensor_parallel_devices_gather_no_weight_whole(measured, train):
    """Over the batch's axes they do: every device has its half of the MLP, of all of `embed`."""
    embed, mlp = tiny.UNTIED.embed_dim, tiny.UNTIED.mlp_dim
    gathered = [{*sizes} for sizes in measured[f"{train}, fsdp-tensor"]["gathered"]]
    assert {embed, mlp // 2} in gathered
    assert {embed, mlp} not in gathered


@pytest.mark.parametrize("train", ["lora", "full"])
def test_a_checkpoint_goes_on_on_another_mesh(measured, train):
    """Saved with fsdp=8 after two updates, restored with fsdp=4 x tensor=2 for the third."""
    restored = measured[f"{train}, restored"]
    assert restored["identical"]
    assert restored["placed"]
    assert restored["loss"] == pytest.approx(measured[train]["losses"][2], rel=1e-5)


def test_one_axis_may_fill(measured):
    assert measured["filled"] == dict(replica=2, fsdp=4, tensor=1, sequence=1)


# --- The rules


@pytest.mark.parametrize(
    ("logical", "shape", "expected"),
    [
        (("batch", "length"), (8, 32), P(("replica", "fsdp"), "sequence")),
        (("batch", "length", "embed"), (8, 32, 16), P(("replica", "fsdp"), "sequence", None)),
        (("layer", "embed", "mlp"), (2, 16, 32), P(None, "fsdp", "tensor")),
        (("layer", "heads", "embed"), (2, 16, 32), P(None, "tensor", "fsdp")),
        (("vocab", "embed"), (64, 16), P("tensor", "fsdp")),
        (("layer", "embed", "rank"), (2, 16, 8), P(None, "fsdp", None)),
        (("layer", "rank", "heads"), (2, 8, 16), P(None, "fsdp", "tensor")),
        (("layer", "norm"), (2, 16), P(None, None)),
        ((None, "batch", "length"), (3, 8, 32), P(None, ("replica", "fsdp"), "sequence")),
        # What does not divide is kept whole, and its axes go to whoever comes next.
        (("vocab", "embed"), (65, 16), P(None, "fsdp")),
        (("batch", "embed"), (7, 16), P(None, "fsdp")),
        (("mlp", "heads"), (5, 16), P(None, "tensor")),
        (("mlp", "heads"), (16, 16), P("tensor", None)),
    ],
)
def test_spec(logical, shape, expected):
    mesh = AbstractMesh((2, 4, 2, 2), sharding.MESH_AXES)
    found = sharding.spec(logical, shape, mesh)
    assert [_names(entry) for entry in found] == [_names(entry) for entry in expected]


def _names(entry):
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


def test_every_weight_has_rules():
    for lora in (None, LoRA(4, 8)):
        axes = transformer.logical_axes(tiny.model(tiny.UNTIED, lora))
        names = jax.tree.leaves(axes)
        assert set(names) <= sharding.RULES.keys()


def test_the_rules_name_axes_of_the_mesh_alone():
    used = {axis for axes in sharding.RULES.values() for axis in axes}
    assert used == set(sharding.MESH_AXES)


@pytest.mark.parametrize(
    "sizes",
    [
        dict(replica=1, fsdp=4, tensor=1, sequence=1),
        dict(replica=1, fsdp=16, tensor=1, sequence=1),
        dict(replica=3, fsdp=-1, tensor=1, sequence=1),
        dict(replica=-1, fsdp=-1, tensor=1, sequence=1),
        dict(replica=1, fsdp=0, tensor=1, sequence=1),
        dict(replica=0, fsdp=-1, tensor=1, sequence=1),
        dict(replica=-2, fsdp=-4, tensor=1, sequence=1),
        dict(replica=1, fsdp=8),
        dict(replica=1, fsdp=8, tensor=1, sequence=1, expert=1),
    ],
)
def test_a_mesh_that_does_not_fit_is_refused(sizes, monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: jax.local_devices()[:1] * 8)
    with pytest.raises(InputError, match=r"^config\.mesh: [^\n]*$"):
        sharding.make_mesh(sizes)


def test_without_a_mesh_an_activation_is_left_alone():
    x = jnp.ones((2, 3))
    assert sharding.constrain(x, "batch", "length") is x


# --- In a process with eight devices

# Hands gradients on as they are and keeps them as its state, where a test can see them.
record = optax.GradientTransformation(
    init=lambda params: jax.tree.map(jnp.zeros_like, params),
    update=lambda grads, state, params=None: (grads, grads),
)


def setup(train):
    """(model, params, base, optimizer, step); the adapter is one that was trained."""
    # Four pieces of rank 4 there are, but no eight: with "fsdp" some adapters are whole everywhere.
    model = tiny.model(tiny.UNTIED, LoRA(4, 10) if train == "lora" else None)
    weights = tiny.weights(tiny.UNTIED)
    if train == "lora":
        weights |= tiny.randomized(transformer.init_adapter(model, jax.random.key(0)))
    recipe = config.recipe(train=train)
    optimizer = optax.chain(record, train_step.make_optimizer(recipe))
    loss = functools.partial(train_step.summed_loss, model=model)
    step = functools.partial(train_step.train_step, loss=loss, optimizer=optimizer)
    return model, *tiny.split(weights, model), optimizer, step


def on_one_device(train):
    """(function of (state, batch number), state) on the first device alone."""
    _, params, base, optimizer, step = setup(train)
    jitted = jax.jit(step)
    return lambda state, i: jitted(state, base, batch(i), LR), train_step.init_state(
        params, optimizer
    )


def on_mesh(train, mesh):
    """The same on a mesh, placed as a stage does it; the largest share a device holds, gathers."""
    model, params, base, optimizer, step = setup(train)
    placed = state_shardings(params, optimizer, model, mesh)
    init = functools.partial(train_step.init_state, optimizer=optimizer)
    state = jax.jit(init, out_shardings=placed)(params)
    base = jax.device_put(base, param_shardings(base, model, mesh))
    jitted = jax.jit(step, out_shardings=(placed, None), donate_argnums=0)
    found = {
        "largest_share": largest_share(base or state),
        "gathered": gathered(jitted, state, base, sharding.put_batch(batch(0), mesh), LR),
    }
    return (
        lambda state, i: jitted(state, base, sharding.put_batch(batch(i), mesh), LR),
        state,
        found,
    )


def gathered(jitted, *operands):
    """What the compiled step's all-gathers make: sizes without those of one."""
    text = jitted.lower(*operands).compile().as_text()
    made = re.findall(r"= \w+\[([\d,]+)\]\S* all-gather\(", text)
    return [[n for n in map(int, sizes.split(",")) if n > 1] for sizes in made]


def batch(i):
    return tiny.micro_batches(tiny.batch(16, seed=i), 2)


def largest_share(tree):
    """What the first device holds of all bytes."""
    leaves = jax.tree.leaves(tree)
    return sum(x.addressable_shards[0].data.nbytes for x in leaves) / sum(x.nbytes for x in leaves)


def train_three(update, state, folder=None):
    """(losses, gradients of the first update); what is there after two goes to `folder`."""
    losses, grads = [], None
    for i in range(UPDATES):
        state, metrics = update(state, i)
        losses.append(float(metrics["loss"]))
        grads = grads or jax.tree.map(np.asarray, state.opt_state[0])
        if i == 1 and folder is not None:
            with checkpoint.open_manager(folder, 1) as manager:
                checkpoint.save(manager, 2, state)
                manager.wait_until_finished()
            saved = jax.tree.map(np.asarray, state)
    return (losses, grads) if folder is None else (losses, grads, saved)


def difference(a, b):
    """|a - b| / |b| over all leaves."""
    return float(optax.tree.norm(jax.tree.map(np.subtract, a, b)) / optax.tree.norm(b))


def measure(train, results):
    losses, grads = train_three(*on_one_device(train))
    results[train] = {"losses": losses}
    with tempfile.TemporaryDirectory() as folder:
        for name, sizes in MESHES.items():
            mesh = sharding.make_mesh(sizes)
            with jax.set_mesh(mesh):
                update, state, facts = on_mesh(train, mesh)
                if name == "fsdp":
                    losses, found, saved = train_three(update, state, Path(folder))
                else:
                    if name == "fsdp-tensor":
                        results[f"{train}, restored"] = restored(
                            *on_mesh(train, mesh)[:2], saved, Path(folder)
                        )
                    losses, found = train_three(update, state)
            results[f"{train}, {name}"] = {
                "losses": losses,
                "gradient_difference": difference(found, grads),
                **facts,
            }


def of_family(family):
    """How far loss and gradients of a family's weights on a mesh are from those of one device."""
    model = tiny.model(tiny.FAMILIES[family])
    weights, rows = tiny.weights(model.architecture), tiny.batch(8)
    gradient = jax.jit(jax.value_and_grad(functools.partial(train_step.summed_loss, model=model)))
    loss, grads = jax.tree.map(np.asarray, gradient(weights, {}, rows))
    mesh = sharding.make_mesh(MESHES["all"])
    with jax.set_mesh(mesh):
        placed = jax.device_put(weights, param_shardings(weights, model, mesh))
        micro = {name: x[0] for name, x in batch_on(mesh, rows).items()}
        found, found_grads = jax.tree.map(np.asarray, gradient(placed, {}, micro))
    return {
        "loss_difference": abs(float(found / loss) - 1),
        "gradient_difference": difference(found_grads, grads),
    }


def batch_on(mesh, rows):
    return sharding.put_batch(tiny.micro_batches(rows, 1), mesh)


def restored(update, like, saved, folder):
    """The third update, from the checkpoint, on another mesh than it was saved on."""
    with checkpoint.open_manager(folder, 1) as manager:
        state = checkpoint.restore(manager, manager.latest_step(), like)
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), state, saved)
    placed = jax.tree.map(lambda a, b: a.sharding == b.sharding, state, like)
    return {
        "identical": all(jax.tree.leaves(same)),
        "placed": all(jax.tree.leaves(placed)),
        "loss": float(update(state, 2)[1]["loss"]),
    }


def main():
    fill = sharding.make_mesh(dict(replica=2, fsdp=-1, tensor=1, sequence=1))
    results = {"filled": dict(fill.shape)}
    for train in ("lora", "full"):
        measure(train, results)
    results |= {family: of_family(family) for family in FAMILIES}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
