"""What a search looks at, in which order, and what it prints. Nothing is compiled."""

import dataclasses
import math

import jax
import pytest
import tiny

from vcjax import config, sharding
from vcjax.models.architecture import KNOWN
from vcjax.models.lora import of_recipe
from vcjax.plan import idle
from vcjax.topology import chips, search, step, step_cost

LLAMA = KNOWN["meta-llama/Llama-3.1-8B"]
V5E = chips.parse("v5e:4x4", 1)
RECIPE = config.recipe(length=4096, batch_tokens=65536)


def test_meshes_fill_the_slices():
    topology = chips.parse("v5e:4x4", 2)
    found = [*search.meshes(topology, LLAMA, 4096)]
    assert all(math.prod(mesh.values()) == 32 and mesh["replica"] == 2 for mesh in found)
    assert dict(replica=2, fsdp=16, tensor=1, sequence=1) in found
    assert dict(replica=2, fsdp=2, tensor=4, sequence=2) in found
    assert max(mesh["tensor"] for mesh in found) == 8  # no key head is cut


@pytest.mark.parametrize(
    ("rows", "accumulation", "fsdp", "wrong"),
    [(16, 1, 16, False), (32, 2, 16, False), (8, 1, 16, True), (16, 2, 16, True), (8, 1, 8, False)],
)
def test_rows_that_leave_chips_idle(rows, accumulation, fsdp, wrong):
    recipe = config.recipe(length=64, batch_tokens=64 * rows, accumulation=accumulation)
    sizes = dict(replica=1, fsdp=fsdp, tensor=1, sequence=1)
    said = idle(step.micro_batch_rows(recipe), sharding.shards("batch", sizes))
    assert (said is not None) == wrong


def test_the_estimate_prefers_few_bytes():
    def seconds(accumulation=1, **mesh):
        recipe = config.recipe(length=4096, batch_tokens=65536, accumulation=accumulation)
        sizes = dict(replica=1, fsdp=1, tensor=1, sequence=1) | mesh
        return search.estimated_seconds(recipe, LLAMA, V5E, sizes)

    assert seconds(fsdp=16) < seconds(fsdp=16, accumulation=8)  # weights are gathered more often
    assert seconds(fsdp=16) < seconds(fsdp=2, tensor=8)  # activations are larger than weights
    compute = step_cost.shape_flops(LLAMA, RECIPE) / 16 / V5E.chip.peak
    assert seconds(fsdp=16) == pytest.approx(compute)


def test_flops_by_the_shapes():
    """6 a weight and token where it trains, 4 where it is frozen; norms and embeddings are none."""
    full = config.recipe(length=4096, batch_tokens=4096, train="full")
    weights = LLAMA.num_params() - LLAMA.vocab_size * LLAMA.embed_dim
    assert step_cost.shape_flops(LLAMA, full) == pytest.approx(6 * weights * 4096, rel=1e-4)
    lora = config.recipe(length=4096, batch_tokens=4096, rank=64)
    expected = 4 * weights + 6 * LLAMA.num_adapter_params(of_recipe(lora))
    assert step_cost.shape_flops(LLAMA, lora) == pytest.approx(expected * 4096, rel=1e-4)


def a_step_cost(**changes):
    memory = dict(
        arguments=int(6e9),
        outputs_aliased=int(5e9),
        outputs_other=int(1e9),
        temporaries=int(4e9),
        program=0,
    )
    facts = dict(
        topology="v5e:4x4",
        slices=1,
        mesh=dict(replica=1, fsdp=16, tensor=1, sequence=1),
        rows=16,
        accumulation=1,
        length=4096,
        remat="full",
        train="lora",
        memory=memory,
        memory_limit=V5E.chip.memory,
        host_bytes=0,
        program_flops=int(2e14),
        shape_flops=197e12,
        cycles=int(3e9),
        cycles_outside_conditionals=int(2e9),
        kernels=0,
        ici_bytes={"all-gather": int(9e10)},
        dcn_bytes={},
        compute_seconds=2.0,
        ici_seconds=1.0,
        dcn_seconds=0.0,
        host_seconds=0.0,
        constants=dict(
            clock_hz=1.5e9,
            peak_flops_per_second=197e12,
            ici_link_bytes_per_second=4.5e10,
            ici_bytes_per_second=9e10,
            dcn_bytes_per_second=3e9,
            host_bytes_per_second=1.5e10,
        ),
    )
    return step_cost.StepCost(**{**facts, **changes})


def test_the_largest_of_compute_and_links_binds():
    assert (a_step_cost().seconds, a_step_cost().limit) == (2.0, "compute")
    assert (a_step_cost(ici_seconds=4.0).seconds, a_step_cost(ici_seconds=4.0).limit) == (
        4.0,
        "link (ICI)",
    )
    assert a_step_cost(dcn_seconds=5.0).limit == "link (DCN)"
    assert a_step_cost(host_seconds=6.0).limit == "link (host)"
    assert a_step_cost().mfu_bound == 0.5  # one second of work at the peak takes two
    assert a_step_cost(ici_seconds=4.0).mfu_bound == 0.25
    assert a_step_cost().tokens_per_second == 16 * 4096 / 2


def test_outputs_in_the_place_of_arguments_count_once():
    assert a_step_cost().memory_bytes == int(11e9)
    assert a_step_cost().as_json()["memory_bytes"] == int(11e9)
    assert "11 of 16.9 GB (15.75 GiB)" in a_step_cost().describe()


def an_experiment():
    stages = dict(a=config.rationale(file="a.jsonl"))
    recipe = config.recipe(length=64, batch_tokens=64 * 4, rank=4)
    found = config.experiment(name="x", recipe=recipe, stages=stages, arms=dict(a=("a",)))
    found.stages.a.update(recipe)
    found.compute_dtype = "float32"
    return found


class Slice:
    """Stands for a topology whose devices are this machine's one."""

    def __init__(self, memory):
        self.chips, self.slices = 1, 1
        self.chip = dataclasses.replace(V5E.chip, memory=memory)


def searched(monkeypatch, outcomes, compiles=10, memory=10**9):
    """The candidates that `run` compiles, with these results one after the other."""
    results = iter(outcomes)

    def measure(*_):
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(search, "measure", measure)
    return search.run(
        an_experiment(), "a", tiny.ARCHITECTURE, Slice(memory), jax.devices()[:1], compiles
    )


FITS, TOO_LARGE = a_step_cost(), step_cost.DoesNotFit(2e10, V5E.chip.memory)


def test_a_search_goes_on_to_policies_that_keep_less_until_one_fits(monkeypatch):
    fast = a_step_cost(compute_seconds=1.5)
    found = searched(monkeypatch, [TOO_LARGE, FITS, fast, TOO_LARGE], 4)
    assert [c.result for c in found] == [fast, FITS, TOO_LARGE, TOO_LARGE]
    by_accumulation = [(c.accumulation, c.remat) for c in found]
    assert len({*by_accumulation}) == 4  # nothing is compiled twice
    first, second, third = found[2], found[1], found[0]
    assert first.accumulation == second.accumulation != third.accumulation  # that one is settled
    assert first.remat == "none" and second.remat != "none"


def test_what_is_expected_to_be_slower_than_the_best_is_not_compiled(monkeypatch):
    found = searched(monkeypatch, [a_step_cost(compute_seconds=0.0, ici_seconds=1e-12)])
    assert len(found) == 1


def test_a_candidate_that_cannot_be_compiled_is_left_out(monkeypatch, capsys):
    refused = search.InputError("config.recipe.length: of no use here")
    found = searched(monkeypatch, [refused, FITS], compiles=2)
    assert [c.result for c in found] == [FITS]
    assert "left out: config.recipe.length: of no use here" in capsys.readouterr().out


def test_what_surely_does_not_fit_is_not_compiled(monkeypatch):
    with pytest.raises(search.InputError, match=r"^--search: a: .*take more chips"):
        searched(monkeypatch, [], memory=10**5)


def test_the_table_and_what_to_paste():
    mesh = dict(replica=1, fsdp=8, tensor=2, sequence=1)
    found = [
        search.Candidate(mesh, 2, "full", 1.0, FITS),
        search.Candidate(mesh, 1, "none", 1.0, TOO_LARGE),
    ]
    *table, use = search.describe(found, ["a", "b"]).splitlines()
    assert "2 s, compute binds, 11.0 of 16.9 GB" in table[1]
    assert "does not fit, needs 20 of 16.9 GB" in table[2]
    assert use == (
        "use: --config.mesh.replica=1 --config.mesh.fsdp=8 --config.mesh.tensor=2 "
        "--config.mesh.sequence=1 --config.stages.a.accumulation=2 "
        "--config.stages.b.accumulation=2 --config.remat=full"
    )


def test_where_nothing_fits_no_flags_are_given():
    mesh = dict(replica=1, fsdp=8, tensor=2, sequence=1)
    found = [search.Candidate(mesh, 1, "none", 1.0, TOO_LARGE)]
    assert "nothing fits" in search.describe(found, ["a"]).splitlines()[-1]
