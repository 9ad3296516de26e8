"""Mixtures of experts: as in `transformers`, with adapters, and on eight devices as on one.

The numbers of eight devices come from one process that has eight virtual CPU devices: this file,
run as a program.
"""

import functools
import json
import re

import eight_devices
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding

from vcjax import sharding
from vcjax.models.experts import AXES, Weights, mix_experts, route

EXPERTS, CHOSEN, EMBED, MLP, RANK = 8, 3, 16, 12, 4
MESHES = {
    "fsdp": dict(replica=2, fsdp=4, tensor=1, sequence=1),
    "fsdp-tensor": dict(replica=1, fsdp=2, tensor=4, sequence=1),
    "all": dict(replica=1, fsdp=2, tensor=2, sequence=2),
}
# One row is divided over no mesh, as with one token of each text: then weights stay where they are.
CASES = [(mesh, rows) for mesh in MESHES for rows in (8, 1)]


def arrays(rows=2, experts=EXPERTS, adapters=False):
    """(x, router, weights), float32; the router has favourites, and an expert that nobody takes."""
    draw = np.random.default_rng(0)
    normal = lambda *size: draw.standard_normal(size).astype(np.float32)  # noqa: E731
    sizes = {"gate": (EMBED, MLP), "up": (EMBED, MLP), "down": (MLP, EMBED)}
    weights = {}
    for name, (inputs, outputs) in sizes.items():
        own = [normal(experts, inputs, outputs) / inputs**0.5]
        if adapters:
            own += [normal(experts, inputs, RANK) / inputs**0.5, normal(experts, RANK, outputs)]
        weights[name] = tuple(own)
    x = normal(rows, 24, EMBED)
    x[..., 0] = 1
    router = normal(EMBED, experts)
    router[0] = np.linspace(2, -2, experts)
    router[0, 1] = -100
    return x, router, Weights(**weights)


@functools.partial(jax.jit, static_argnames="normalised")
def mixed(x, router, weights, normalised=True):
    odds, chosen = route(jnp.einsum("bld,de->ble", x, router), CHOSEN, normalised)
    return mix_experts(x, odds, chosen, weights)


def loss(x, router, weights, normalised=True):
    """(a sum in which each output counts differently, the outputs)"""
    y = mixed(x, router, weights, normalised)
    return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum(), y


grads_of = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True), static_argnums=3)


@pytest.mark.parametrize("normalised", [True, False])
def test_outputs_and_gradients_are_those_of_transformers(torch, normalised):
    from transformers import Qwen3MoeConfig
    from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

    x, router, weights = arrays()
    config = Qwen3MoeConfig(
        hidden_size=EMBED,
        moe_intermediate_size=MLP,
        num_experts=EXPERTS,
        num_experts_per_tok=CHOSEN,
        norm_topk_prob=normalised,
    )
    block = Qwen3MoeSparseMoeBlock(config)
    gate, up, down = (torch.from_numpy(w[0]).transpose(1, 2) for w in weights)
    with torch.no_grad():
        block.gate.weight.copy_(torch.from_numpy(router.T))
        block.experts.gate_up_proj.copy_(torch.cat([gate, up], dim=1))
        block.experts.down_proj.copy_(down)
    theirs_in = torch.from_numpy(x).requires_grad_()
    theirs = block(theirs_in)
    grads, ours = grads_of(x, router, weights, normalised)
    assert np.ptp(ours) > 1
    np.testing.assert_allclose(ours, theirs.detach(), atol=1e-5)

    (theirs * torch.cos(torch.arange(x.size)).reshape(x.shape)).sum().backward()
    grad_gate, grad_up, grad_down = (grad[0].swapaxes(1, 2) for grad in grads[2])
    expected = {
        "x": (grads[0], theirs_in.grad),
        "router": (grads[1].T, block.gate.weight.grad),
        "gate and up": (
            jnp.concatenate([grad_gate, grad_up], axis=1),
            block.experts.gate_up_proj.grad,
        ),
        "down": (grad_down, block.experts.down_proj.grad),
    }
    for name, (found, true) in expected.items():
        np.testing.assert_allclose(found, true, rtol=1e-4, atol=1e-4, err_msg=name)


def test_a_token_does_not_depend_on_the_others():
    x, router, weights = arrays()
    together = mixed(x, router, weights)
    apart = mixed(x.reshape(-1, 1, EMBED)[7:8], router, weights)
    np.testing.assert_allclose(together.reshape(-1, EMBED)[7], apart[0, 0], atol=1e-5)
    edited = mixed(np.concatenate([x[:1], -x[1:]]), router, weights)
    np.testing.assert_allclose(together[0], edited[0], atol=1e-5)


def test_an_adapter_is_its_product_added_to_each_expert():
    x, router, weights = arrays(adapters=True)
    merged = Weights(*((w + a @ b,) for w, a, b in weights))
    np.testing.assert_allclose(
        mixed(x, router, weights), mixed(x, router, merged), rtol=1e-4, atol=1e-4
    )

    @jax.jit
    @jax.grad
    def through_merged(weights):
        return loss(x, router, Weights(*((w + a @ b,) for w, a, b in weights)))[0]

    found, expected = grads_of(x, router, weights)[0][2], through_merged(weights)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, expected
    )


def test_in_bfloat16_it_is_about_the_same():
    x, router, weights = arrays()
    odds, chosen = route(x @ router, CHOSEN, True)
    exact = jax.jit(mix_experts)(x, odds, chosen, weights)
    rounded = jax.jit(mix_experts)(x.astype(jnp.bfloat16), odds, chosen, weights)
    assert rounded.dtype == jnp.bfloat16
    assert np.abs(rounded.astype(np.float32) - exact).max() < 0.03 * np.abs(exact).max()


def test_arms_that_sample_together_are_each_alone():
    x, router, weights = arrays()
    xs = jnp.stack([x, 0.5 * x])
    both = jax.vmap(mixed, (0, None, None))(xs, router, weights)
    for found, x in zip(both, xs, strict=True):
        np.testing.assert_allclose(found, mixed(x, router, weights), atol=1e-5)


# --- Eight devices


@pytest.fixture(scope="module")
def measured():
    """What `main` below prints, from its own process."""
    return eight_devices.said_by(__file__)


@pytest.mark.parametrize(("mesh", "rows"), CASES)
def test_eight_devices_compute_what_one_does(measured, mesh, rows):
    found = measured[f"{mesh}, {rows}"]
    assert found["output"] < 1e-5
    assert found["gradients"] < 1e-5


@pytest.mark.parametrize(("mesh", "rows"), CASES)
def test_no_device_gathers_the_experts_of_another(measured, mesh, rows):
    """Over the axes of the batch a device gathers its own; for a single row nothing of them."""
    gathered = [s for s in measured[f"{mesh}, {rows}"]["gathered"] if {EMBED, MLP} <= {*s}]
    own = EXPERTS // MESHES[mesh]["tensor"]
    assert {sizes[0] for sizes in gathered} == ({own} if rows > 1 else set())


def test_experts_that_do_not_divide(measured):
    """Six experts over four devices: each has a part of every expert's MLP."""
    assert measured["six experts"]["output"] < 1e-5
    assert measured["six experts"]["gradients"] < 1e-5


def relative(found, expected):
    """|found - expected| / |expected|, the largest over the leaves."""
    errors = jax.tree.map(
        lambda a, b: float(np.linalg.norm(a - b) / np.linalg.norm(b)), found, expected
    )
    return max(jax.tree.leaves(errors))


def placed(x, router, weights, mesh):
    """As a step has them on the mesh."""

    def put(array, names):
        return jax.device_put(array, NamedSharding(mesh, sharding.spec(names, array.shape, mesh)))

    def projection(name, arrays):
        first, inputs, outputs = AXES[name]
        names = (first, inputs, outputs), (first, inputs, "rank"), (first, "rank", outputs)
        return tuple(map(put, arrays, names))

    weights = Weights(**{name: projection(name, own) for name, own in weights._asdict().items()})
    return put(x, ("batch", "length", "embed")), put(router, ("embed", None)), weights


def measure(sizes, *case):
    mesh = sharding.make_mesh(sizes)
    expected = grads_of(*case)
    with jax.set_mesh(mesh):
        on_mesh = placed(*case, mesh)
        compiled = grads_of.lower(*on_mesh).compile()
        found = jax.tree.map(np.asarray, compiled(*on_mesh))
    made = re.findall(r"= \w+\[([\d,]+)\]\S* all-gather\(", compiled.as_text())
    return {
        "output": relative(found[1], expected[1]),
        "gradients": relative(found[0], expected[0]),
        "gathered": [[*map(int, sizes.split(","))] for sizes in made],
    }


def main():
    results = {
        f"{mesh}, {rows}": measure(MESHES[mesh], *arrays(rows, adapters=True))
        for mesh, rows in CASES
    }
    results["six experts"] = measure(MESHES["fsdp-tensor"], *arrays(8, experts=6))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
