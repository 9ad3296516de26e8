"""Counting in optimized HLO texts of the TPU compiler, recorded or made up. Needs no compiler.

one_slice.hlo.gz: a step of a three-layer Llama, all weights trained, scanned and recomputed, splash
attention, fsdp=16 on v5e:4x4. two_slices.hlo.gz: the gradients of two scanned matmuls, replica=2
fsdp=4 tensor=4 on two slices of v5e:4x4. Of both, metadata and most of backend_config was cut.
"""

import gzip
from pathlib import Path

import pytest

from vcjax.topology import hlo

FOLDER = Path(__file__).parent


def recorded(name: str) -> hlo.Counts:
    return hlo.count(gzip.decompress((FOLDER / name).read_bytes()).decode())


def test_a_recorded_step():
    """Cycles and bytes are those of the counter that the project compares programs with."""
    counts = recorded("one_slice.hlo.gz")
    assert counts.cycles == 2_509_616
    assert counts.kernels == 12  # three layers: forward, again, and two kernels backward
    assert counts.collective_bytes(between_slices=False) == {
        "all-gather": 56_164_352,
        "all-reduce": 25_697_308,
        "all-to-all": 2_490_368,
    }
    assert not counts.collective_bytes(between_slices=True)


def test_matmuls_of_a_recorded_step():
    """2 FLOPs a weight and token: forward, again (without `down`, which no gradient needs), and
    twice backward; the head's logits are made twice as well."""
    embed, mlp, heads, kv, layers, vocab, tokens = 512, 2048, 512, 256, 3, 2048, 1024
    down = mlp * embed
    layer = 2 * embed * heads + 2 * embed * kv + 3 * down
    expected = 2 * tokens * (layers * (4 * layer - down) + 4 * embed * vocab)
    assert recorded("one_slice.hlo.gz").matmul_flops == pytest.approx(expected, rel=1e-3)


def test_a_recorded_step_on_two_slices():
    """Without conditionals and fused reduce-scatters, what that counter says of it."""
    text = gzip.decompress((FOLDER / "two_slices.hlo.gz").read_bytes()).decode()
    outside = hlo.count(text, conditionals=False).collective_bytes(between_slices=False)
    assert outside.pop("all-reduce-scatter")
    assert outside == {"all-gather": 34_603_008, "collective-permute": 98_304}
    counts = recorded("two_slices.hlo.gz")
    assert counts.cycles == 387_408
    inside = counts.collective_bytes(between_slices=False)
    assert inside["all-gather"] == 34_603_008
    # Two gradients, bfloat16[4096, 1024] and padding, and one of activations, bfloat16[32, 4096].
    assert inside["all-reduce-scatter"] == 2 * 4128 * 1024 * 2 + 32 * 4096 * 2
    # Two gradients of bfloat16[1024, 1024] are summed over the slices.
    between = counts.collective_bytes(between_slices=True)
    assert between == {"all-reduce": 2 * 1024 * 1024 * 2, "one-to-one": 32 * 1024 * 2}


# --- One thing at a time


def program(entry: str, others: str = "", conditionals: bool = True) -> hlo.Counts:
    text = f"HloModule m\n{others}\nENTRY %main (p: f32[2]) -> f32[2] {{\n{entry}\n}}\n"
    return hlo.count(text, conditionals)


ADD = '%x = f32[2]{0} add(%p, %p), backend_config={"estimated_cycles":"100"}'


def test_a_loop_counts_as_often_as_its_bound():
    others = f"""
%body (p: f32[2]) -> f32[2] {{
  {ADD}
  %g = f32[8,4]{{1,0}} all-gather(%x), replica_groups={{{{0,1}}}}, dimensions={{0}}
}}
%condition (p: f32[2]) -> pred[] {{
  %c = s32[]{{:T(128)}} constant(7)
  ROOT %lt = pred[] compare(%i, %c), direction=LT
}}"""
    counts = program("%w = f32[2]{0} while(%p), condition=%condition, body=%body", others)
    assert counts.cycles == 700
    assert counts.collective_bytes(between_slices=False) == {"all-gather": 7 * 8 * 4 * 4}


@pytest.mark.parametrize(
    "branches",
    ["branch_computations={%light, %heavy}", "true_computation=%heavy, false_computation=%light"],
)
def test_a_conditional_counts_as_its_heaviest_branch(branches):
    others = f"""
%light (p: f32[2]) -> f32[2] {{
  %y = f32[2] copy(%p)
}}
%heavy (p: f32[2]) -> f32[2] {{
  {ADD}
}}"""
    entry = f"%c = f32[2]{{0}} conditional(%i, %p, %p), {branches}\n{ADD}"
    assert program(entry, others).cycles == 200
    assert program(entry, others, conditionals=False).cycles == 100


def test_a_call_counts_as_what_it_calls():
    others = f"%other (p: f32[2]) -> f32[2] {{\n  {ADD}\n}}\n"
    assert program("%c = f32[2]{0} call(%p), to_apply=%other", others).cycles == 100


@pytest.mark.parametrize(
    ("line", "kind", "size"),
    [
        ("%g = bf16[16,4]{1,0} all-gather(%p), replica_groups={{0,1}}", "all-gather", 128),
        ("%r = (f32[3]{0}, f32[5]{0}) all-reduce(%p, %q), replica_groups={}", "all-reduce", 32),
        # What goes in, not the part that comes out.
        ("%s = f32[4]{0} reduce-scatter(%p), replica_groups=[2,8]<=[16]", "reduce-scatter", 128),
        # Shard, whole and flags: the whole, once; nothing at the end.
        (
            "%a = (f32[2]{0}, f32[8]{0}, u32[]) all-gather-start(%p), replica_groups={{0,1,2,3}}\n"
            "%d = f32[8]{0} all-gather-done(%a)",
            "all-gather",
            32,
        ),
        (
            "%c = f32[8]{0} collective-permute(%p), source_target_pairs={{0,1},{1,0}}",
            "collective-permute",
            32,
        ),
    ],
)
def test_bytes_of_a_collective(line, kind, size):
    assert program(line).collective_bytes(between_slices=False) == {kind: size}


def test_an_asynchronous_fusion_counts_at_its_start():
    others = """
%fused (q: f32[2]) -> f32[8] {
  %g = f32[8]{0} all-gather(%q), replica_groups={{0,1,2,3}}
}"""
    start = "%async-collective-start.1 = (f32[2]{0}, f32[8]{0}) fusion(%p), calls=%fused"
    goes_on = "%async-collective-done.1 = f32[8]{0} fusion(%y), calls=%fused"
    counts = program(f"{start}\n{goes_on}", others)
    assert counts.collective_bytes(between_slices=False) == {"all-gather": 32}


def test_a_transfer_between_slices_counts_once():
    attributes = (
        'is_host_transfer=true, frontend_attributes={_xla_host_transfer_handler_name="'
        'xla_megascale_runtime",_xla_host_transfer_rendezvous="all-gather.6_0",'
        '_xla_megascale_transfer_type="ALL_GATHER"}'
    )
    counts = program(
        f"%s = (f32[4]{{0}}, u32[], token[]) send(%p, %t), {attributes}\n"
        f"%r = (f32[8]{{0}}, u32[], token[]) recv(%t), {attributes}\n"
        "%d = token[] send-done(%s)"
    )
    assert counts.collective_bytes(between_slices=True) == {"all-gather": 32}
    assert counts.collective_bytes(between_slices=False) == {}


@pytest.mark.parametrize(
    ("lhs", "rhs", "out", "attributes", "flops"),
    [
        ("64,32", "32,16", "64,16", "dim_labels=bf_io->bf", 2 * 64 * 32 * 16),
        ("32,64", "16,32", "64,16", "dim_labels=fb_oi->bf", 2 * 64 * 32 * 16),
        # A batch of five: a spatial axis whose window meets each position once.
        (
            "5,64,32",
            "5,32,16",
            "5,64,16",
            "window={size=5 stride=4 pad=0_0 lhs_dilate=5}, dim_labels=0bf_0io->0bf",
            2 * 5 * 64 * 32 * 16,
        ),
        # Three taps over ten positions, of which two fall off the ends.
        (
            "1,10,8",
            "3,8,4",
            "1,10,4",
            "window={size=3 pad=1_1}, dim_labels=b0f_0io->b0f",
            2 * 28 * 8 * 4,
        ),
    ],
)
def test_flops_of_a_convolution(lhs, rhs, out, attributes, flops):
    others = f"""
%fused (a: f32[2], b: f32[2]) -> f32[2] {{
  %a = bf16[{lhs}]{{1,0}} parameter(0)
  %b = bf16[{rhs}]{{1,0}} parameter(1)
  ROOT %c = f32[{out}]{{1,0}} convolution(%a, %b), {attributes}
}}
%outer (a: f32[2]) -> f32[2] {{
  %f = f32[2]{{0}} fusion(%a, %b), kind=kOutput, calls=%fused
}}"""
    assert program("%f = f32[2]{0} fusion(%p), kind=kLoop, calls=%outer", others).matmul_flops == (
        flops
    )


@pytest.mark.parametrize(
    ("groups", "first"),
    [
        ("replica_groups={{0,2},{1,3}}", (0, 2)),
        ("replica_groups=[2,4]<=[8]", (0, 1, 2, 3)),
        ("replica_groups=[4,2]<=[2,4]T(1,0)", (0, 4)),
        ("replica_groups=mesh['a'=2,'b'=4] {'a'}", (0, 4)),
        ("replica_groups=mesh['a'=2,'b'=4] {'a','b'}", (0, 1, 2, 3, 4, 5, 6, 7)),
        ("source_target_pairs={{3,4},{4,5}}", (3, 4)),
        ("replica_groups={}", ()),
    ],
)
def test_the_chips_of_a_collective(groups, first):
    assert hlo.replica_group(f"%g = f32[8] all-gather(%p), {groups}, dimensions={{0}}") == first
