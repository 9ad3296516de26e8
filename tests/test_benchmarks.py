"""What the benchmarks make of what they measure; they themselves take minutes and a quiet machine.

Their modules: pyproject.toml has benchmarks/ in pytest's path.
"""

import json
import sys

import cpu
import hbm_bytes
import numpy as np
import pytest
import restart
import world

from vcjax.models.architecture import Architecture, Layer, Rope
from vcjax.models.lora import of_recipe

SIZES = Architecture(
    num_layers=2,
    embed_dim=8,
    mlp_dim=16,
    num_heads=2,
    num_kv_heads=1,
    head_dim=4,
    vocab_size=32,
    context_length=64,
    period=(Layer(Rope(10000.0)),),
    norm_eps=1e-5,
    tied_embeddings=True,
)
CPUINFO = """processor\t: 0
model name\t: AMD EPYC
flags\t\t: fpu avx512_bf16 avx512vl

processor\t: 1
model name\t: AMD EPYC
flags\t\t: fpu avx512_bf16 avx512vl
"""
STUB = """import json, sys
print("a library's line")
works = sys.argv[2:]
with open(sys.argv[1] + "/calls", "a") as file:
    file.write(" ".join(works) + "\\n")
rates = {work: 2.0 if work.endswith("both") else 1.0 for work in works}
print(json.dumps({work: dict(seconds=[1.0], amount=r, results=[]) for work, r in rates.items()}))
"""
UNITS = cpu.Machine("one with units", 2, ["avx512_bf16"])
NONE = cpu.Machine("one without", 2, [])


def said(rate, results=()):
    """What a script says of a work that it does at `rate`."""
    return {"seconds": [1.0, 3.0], "amount": 2.0 * rate, "results": [*results]}


def repeat(slower=1.0, ours=3.0, loss=4.0):
    """One repeat on a machine without units, on which all is `slower` for that time."""
    stages = {f"{work}:float32": 1.0 for work in ("rationale", "behavior", "scoring")}
    matmuls = {"body:float32": said(100 / slower), "head:float32": said(50 / slower)}
    torch = {("scoring:float32:8" if w.startswith("scoring") else w): r for w, r in stages.items()}
    return {
        "vcjax": {w: said(ours / slower, [4.0]) for w in stages} | matmuls,
        "torch": {w: said(r / slower, [loss]) for w, r in torch.items()} | matmuls,
        "trl": {w: said(0.5 / slower) for w in ("rationale:float32", "behavior:float32")},
    }


def report(repeats, machine=NONE):
    return cpu.report(repeats, machine, "float32", SIZES, dict(rationale=1.0, behavior=0.15))


def test_machine_says_whether_it_has_units_for_bfloat16():
    found = cpu.read_machine(CPUINFO)
    assert (found.cpu, found.units) == ("AMD EPYC", ["avx512_bf16"])
    assert cpu.read_machine(CPUINFO.replace("avx512_bf16", "avx512f")).types == ("float32",)
    assert cpu.read_machine("").units == []  # not Linux, or an ARM


def test_bfloat16_is_tried_in_every_way_and_only_where_there_are_units():
    tried = cpu.works(UNITS.types, "bfloat16")
    ways = [work for work in tried["trl"] if work.startswith("rationale:bfloat16")]
    assert ways == [f"rationale:bfloat16:{way}" for way in cpu.WAYS]
    assert "rationale:float32" in tried["trl"] and "rationale:bfloat16" in tried["vcjax"]
    assert "scoring:bfloat16:8" in tried["torch"]
    without = [work for works in cpu.works(NONE.types, "float32").values() for work in works]
    assert not any("bfloat16" in work for work in without)


def test_the_fastest_way_of_each_kind_goes_on():
    works = {
        "rationale:bfloat16:both": said(2),
        "rationale:bfloat16:autocast": said(3),
        "rationale:float32": said(1),
    }
    assert cpu.fastest(works) == ["rationale:bfloat16:autocast", "rationale:float32"]


def test_what_libraries_print_before_the_last_line_is_no_result():
    line = json.dumps({"rationale:float32": said(1)})
    assert cpu.last_line("{'loss': 1}\nwarning\n" + line + "\n") == json.loads(line)


def test_programs_take_turns_and_later_repeats_leave_slow_ways_out(tmp_path, monkeypatch):
    (tmp_path / "stub.py").write_text(STUB)
    monkeypatch.setattr(cpu, "SCRIPTS", dict.fromkeys(("vcjax", "trl"), tmp_path / "stub.py"))
    pythons = dict.fromkeys(("vcjax", "trl"), sys.executable)
    ways = ["behavior:bfloat16:autocast", "behavior:bfloat16:both"]
    asked = dict(vcjax=["behavior:bfloat16"], trl=ways)
    repeats = cpu.measure(tmp_path, pythons, asked, 2)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["behavior:bfloat16", " ".join(ways), "behavior:bfloat16", ways[1]]
    assert cpu.rates_of(repeats)["trl", "behavior:bfloat16"] == [2.0, 2.0]


def test_a_program_that_fails_ends_the_benchmark(tmp_path, monkeypatch):
    (tmp_path / "stub.py").write_text("raise SystemExit('out of order')")
    monkeypatch.setattr(cpu, "SCRIPTS", dict(trl=tmp_path / "stub.py"))
    with pytest.raises(SystemExit, match="failed"):
        cpu.run(sys.executable, "trl", tmp_path, ["behavior:float32"])


def test_ratios_are_paired_so_that_a_slow_minute_changes_none():
    found = report([repeat(), repeat(slower=2.0), repeat(slower=3.0)])
    for kind in ("rationale", "behavior", "scoring"):
        figure = found[kind]
        assert figure["repeats"] == pytest.approx([3.0, 3.0, 3.0]) and figure["holds"]
        assert figure["against"].startswith("torch")  # TRL is slower
    assert found["ok"]
    json.dumps(found)


def test_vcjax_is_held_against_the_fastest_other_whatever_its_type():
    rates = {
        ("vcjax", "rationale:bfloat16"): [30.0, 40.0],
        ("vcjax", "rationale:float32"): [90.0, 90.0],
        ("torch", "rationale:float32"): [20.0, 20.0],
        ("trl", "rationale:bfloat16"): [10.0, 10.0],
    }
    found = cpu.ratio(rates, "rationale", "bfloat16", 1.8)
    assert found["value"] == pytest.approx(1.75) and not found["holds"]
    assert (found["lowest"], found["highest"]) == pytest.approx((1.5, 2.0))
    assert found["against"] == "torch rationale:float32"


def test_targets_are_higher_with_units_and_one_that_is_missed_is_not_ok():
    slow = [repeat(ours=1.3)]
    assert report(slow)["rationale"]["holds"] and not report(slow, UNITS)["rationale"]["holds"]
    assert not report(slow)["ok"]  # scoring is to be twice as fast


def test_programs_that_do_not_compute_the_same_are_not_ok():
    found = report([repeat(loss=4.1)])
    assert found["rationale_float32_apart"]["value"] == pytest.approx(0.1)
    assert not found["ok"]


def test_share_is_one_where_nothing_but_matmuls_takes_time():
    rates = {
        (program, f"{work}:float32"): [rate]
        for program, faster in (("vcjax", 1.0), ("torch", 0.5))
        for work, rate in (("body", 100 * faster), ("head", 50 * faster))
    }
    head = 4 * SIZES.vocab_size * SIZES.embed_dim / 1e9
    body = SIZES.train_flops(of_recipe(cpu.RECIPE), 1, 0) / 1e9
    quickest = 1 / (body / 100 + 0.5 * head / 50)
    assert cpu.share(quickest, "rationale:float32", rates, SIZES, 0.5) == pytest.approx(1.0)


def test_a_second_start_is_timed_up_to_the_plan(capfd):
    plan = "import time; print('warning: x'); print('stage  rows'); time.sleep(0.5)"
    assert restart.seconds_to_plan([sys.executable, "-c", plan]) < 60
    for broken in ("print('no plan')", "print('stage  rows'); raise SystemExit(2)"):
        with pytest.raises(SystemExit, match="failed"):
            restart.seconds_to_plan([sys.executable, "-c", broken])
    assert restart.figures_of(100.0, 9.9)["ok"] and not restart.figures_of(1.0, 10.0)["ok"]


def test_texts_of_a_restart_have_a_large_vocabulary():
    draw = np.random.default_rng(0)
    words = restart.vocabulary(draw)
    assert len(set(words)) == restart.WORDS
    text = restart.sentences(words, draw, 20000)
    assert len(text.split()) == 20000 and len(set(text.lower().split())) > 2000


# --- The bytes that a program reads

HLO = """
HloModule step

%fused (param_0.1: bf16[4,8,16], param_1.1: s32[], param_2.1: f32[8]) -> f32[8,16] {
  %param_0.1 = bf16[4,8,16]{2,1,0} parameter(0)
  %param_1.1 = s32[]{:T(128)} parameter(1)
  %constant.1 = s32[] constant(0)
  %dynamic-slice.1 = bf16[1,8,16]{2,1,0} dynamic-slice(%param_0.1, %param_1.1, %param_1.1)
  %param_2.1 = f32[8]{0} parameter(2)
  ROOT %add.1 = f32[8,16]{1,0} add(%dynamic-slice.1, %param_2.1)
}

%body (arg: (s32[], bf16[4,8,16], f32[8])) -> (s32[], bf16[4,8,16], f32[8]) {
  %arg = (s32[], bf16[4,8,16]{2,1,0}, f32[8]{0:S(1)}) parameter(0)
  %i = s32[]{:T(128)S(6)} get-tuple-element(%arg), index=0
  %weights = bf16[4,8,16]{2,1,0} get-tuple-element(%arg), index=1
  %x = f32[8]{0:S(1)} get-tuple-element(%arg), index=2
  %y = f32[8,16]{1,0} fusion(%weights, %i, %x), kind=kLoop, calls=%fused
  %z = f32[8]{0:S(1)} reduce(%y, %x), dimensions={1}, to_apply=%sum
  ROOT %out = (s32[], bf16[4,8,16]{2,1,0}, f32[8]{0:S(1)}) tuple(%i, %weights, %z)
}

%condition (arg.2: (s32[], bf16[4,8,16], f32[8])) -> pred[] {
  %arg.2 = (s32[], bf16[4,8,16]{2,1,0}, f32[8]{0:S(1)}) parameter(0)
  %i.2 = s32[]{:T(128)S(6)} get-tuple-element(%arg.2), index=0
  %limit = s32[] constant(4)
  ROOT %less = pred[]{:S(6)} compare(%i.2, %limit), direction=LT
}

ENTRY %main (a: bf16[4,8,16], b: f32[8], c: f32[100]) -> f32[100] {
  %a = bf16[4,8,16]{2,1,0} parameter(0)
  %b = f32[8]{0} parameter(1)
  %c = f32[100]{0} parameter(2)
  %b.near = f32[8]{0:S(1)} copy(%b)
  %start = (s32[], bf16[4,8,16]{2,1,0}, f32[8]{0:S(1)}) tuple(%b.near, %a, %b.near)
  %loop = (s32[], bf16[4,8,16], f32[8]{0:S(1)}) while(%start), condition=%condition, body=%body
  %last = f32[8]{0:S(1)} get-tuple-element(%loop), index=2
  ROOT %c.new = f32[100]{0} dynamic-update-slice(%c, %last, %last)
}
"""


def test_bytes_read_are_those_of_slices_in_every_iteration():
    weights, copied, reduced = 8 * 16 * 2, 8 * 4, 8 * 16 * 4
    # The cache `c` is written in place, and what lies on the chip (S) costs nothing.
    assert hbm_bytes.bytes_read(HLO) == copied + 4 * (weights + reduced)


def test_the_worlds_update_is_timed_on_its_own_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(world, "UPDATES", 2)
    world.write_inputs(tmp_path)
    rows = np.load(tmp_path / "people.npz")
    assert rows["tokens"].shape == (3, 10, 64)
    assert (rows["segment_ids"] > 0).mean() > 0.8
    settings = json.loads((tmp_path / "settings.json").read_text())
    assert settings["recipe"]["train"] == "full"
    sizes = json.loads((tmp_path / "model/config.json").read_text())
    assert rows["tokens"].max() < sizes["vocab_size"]
    assert (sizes["num_hidden_layers"], sizes["hidden_size"]) == (4, 96)
