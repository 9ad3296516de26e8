"""The plan, from made-up counts."""

import dataclasses

import pytest

from vcjax.config import adapter, behavior, experiment, rationale, recipe, resolve
from vcjax.corpus.stage_data import StageData
from vcjax.errors import InputError
from vcjax.models.architecture import Architecture, Layer, Rope
from vcjax.models.lora import LoRA
from vcjax.plan import cost, describe, make_plan, warnings

PERIOD = (Layer(Rope(1e4)),)
ARCHITECTURE = Architecture(2, 32, 48, 4, 2, 8, 320, 2048, PERIOD, 1e-5, True)
DATA = StageData(
    rows_id="r",
    held_out_id=None,
    rows=100,
    documents=180,
    held_out_documents=0,
    tokens=6000,
    weighted_tokens=6000,
    split_documents=0,
    most_documents=3,
)


@pytest.fixture
def config(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("{}\n")
    config = experiment(
        name="planned",
        recipe=recipe(length=64, batch_tokens=256, rank=4, alpha=8.0, warmup=0.1),
        stages=dict(why=rationale(file="a.jsonl"), what=behavior(file="b.jsonl")),
        arms=dict(base=(), what=("what",), both=("why", "what"), swapped=("what", "why")),
        contrasts=dict(total=dict(both=1, what=-1)),
        primary="total",
        probes=("a.jsonl",),
        compute_dtype="float32",
    )
    return resolve(config, tmp_path)


def plan_of(config, identity="model", **changes):
    data = {}
    for name in config.stages:
        for seed in range(config.seeds):
            facts = {"rows_id": "{name}{seed}"} | changes
            facts["rows_id"] = facts["rows_id"].format(name=name, seed=seed)
            data[name, seed] = dataclasses.replace(DATA, **facts)
    return make_plan(config, identity, data)


def test_a_stage_shared_by_arms_is_planned_once(config):
    plan = plan_of(config)
    assert len(plan.stages) == 4, "what, why, why > what, what > why"
    assert plan.arms["base"][0] == ()
    assert plan.arms["swapped"][0][0] == plan.arms["what"][0][0]
    assert len({plan.arms[arm][0][-1] for arm in ("what", "both", "swapped")}) == 3


def test_parents_come_before_children(config):
    seen = set()
    for fingerprint, stage in plan_of(config).stages.items():
        assert stage.parent is None or stage.parent in seen
        seen.add(fingerprint)


def test_updates_and_warm_up(config):
    stage = next(iter(plan_of(config).stages.values()))
    assert (stage.rows_per_update, stage.updates, stage.warmup) == (4, 25, 3)


@pytest.mark.parametrize("key", ["lr", "rank", "experts", "seed", "model", "rows", "dtype", "mesh"])
def test_the_fingerprint_covers_what_determines_the_result(config, key):
    before = plan_of(config).arms["both"][0]
    identity, changes = "model", {}
    if key == "lr":
        config.stages.why.lr = 5e-4
    if key == "rank":
        config.stages.why.rank = config.stages.what.rank = 8
    if key == "experts":
        config.stages.why.lora_experts = config.stages.what.lora_experts = True
    if key == "seed":
        config.seeds = 2
        assert set(plan_of(config).arms["both"][1]).isdisjoint(before)
        return
    if key == "model":
        identity = "another"
    if key == "rows":
        changes = {"rows_id": "changed{name}"}
    if key == "dtype":
        config.compute_dtype = "bfloat16"
    if key == "mesh":
        config.mesh.tensor = 2
    after = plan_of(config, identity, **changes).arms["both"][0]
    if key == "mesh":
        assert after == before
    else:
        assert set(after).isdisjoint(before)


def test_fingerprints_are_those_of_earlier_releases(config):
    """With the default of each key that came since; raise NUMERICS where results change."""
    assert plan_of(config).arms["both"][0] == ("ffcec3cc73001a36", "4d7a70f5142bf456")


def test_a_changed_second_stage_leaves_the_first(config):
    before = plan_of(config).arms["both"][0]
    config.stages.what.lr = 5e-4
    after = plan_of(config).arms["both"][0]
    assert after[0] == before[0] and after[1] != before[1]


def test_one_stage_under_two_names_is_refused(config):
    data = {(name, 0): DATA for name in config.stages}
    with pytest.raises(InputError, match=r"why and what are the same stage.* use why in the arms"):
        make_plan(config, "model", data)


def test_a_stage_without_weight_is_refused(config):
    with pytest.raises(InputError, match=r"stage \w+, seed 0: no token has weight"):
        plan_of(config, weighted_tokens=0)


def test_a_warm_up_not_shorter_than_its_stage_is_refused(config):
    with pytest.raises(InputError, match=r"a warm-up of 1 update\(s\) is not shorter"):
        plan_of(config, rows=3)


def test_few_updates_and_split_documents_are_warned_of_once(config):
    config.seeds = 2
    assert warnings(plan_of(config, rows=400), batch_shards=1) == []
    few = plan_of(config, rows=40, split_documents=5, left_out_tokens=1234)
    for fingerprint, stage in few.stages.items():
        if (stage.name, stage.seed) == ("why", 1):
            few.stages[fingerprint] = dataclasses.replace(stage, updates=9)
    assert warnings(few, batch_shards=1) == [
        "few updates: why 10 or 9, what 10. Re-runs of the study saw no effect after 3, nor of 1M "
        "tokens after 31, and one after about 246; lower batch_tokens or raise epochs.",
        "documents longer than a row (`length` tokens) were split: why 5 of 180, what 5 of 180",
        "tokens are left out: why 1,234, what 1,234. They are parts of split documents in which "
        "nothing is trained on, as of a prompt longer than a row.",
    ]


def test_parts_are_part_of_the_fingerprint_only_where_there_are_some(config):
    before, same, apart, otherwise = (
        plan_of(config, **changes).arms["both"][0]
        for changes in ({}, {"parts": ()}, {"parts": (40, 60)}, {"parts": (60, 40)})
    )
    assert before == same
    assert len({before, apart, otherwise}) == 3


def test_rows_that_do_not_divide_over_the_devices_are_warned_of(config):
    rows = next(iter(plan_of(config).stages.values())).rows_per_update
    assert warnings(plan_of(config, rows=400), batch_shards=rows) == []
    [line] = warnings(plan_of(config, rows=400), batch_shards=2 * rows)
    assert line.startswith(f"why, what: {rows} row(s) at a time cannot be divided over {2 * rows}")


def test_what_is_done_costs_nothing(config):
    plan = plan_of(config)
    all_of_it = cost(plan, set(), ARCHITECTURE, config)
    one_less = cost(plan, {next(iter(plan.stages))}, ARCHITECTURE, config)
    nothing = cost(plan, set(plan.stages), ARCHITECTURE, config)
    assert all_of_it.flops == pytest.approx(one_less.flops * 4 / 3)
    assert nothing.flops == nothing.disk_bytes == 0
    assert all_of_it.memory_bytes == nothing.memory_bytes > 0


def ending(config, keep=(5, 20)):
    """With arms that end in the stage `what`, which has 25 updates."""
    config.stages.what.keep = keep
    config.arms = dict(both=("why", "what"), early=("why", "what@5"), late=("why", "what@20"))
    return config


def test_arms_that_end_inside_a_stage_train_it_once(config):
    plan = plan_of(ending(config))
    assert len(plan.stages) == 2
    assert plan.arms["early"] == plan.arms["late"] == plan.arms["both"]
    assert plan.ends == dict(early=5, late=20)
    text = describe(plan, set(), cost(plan, set(), ARCHITECTURE, config), 1e12)
    assert "arm early: why -> what@5\narm late: why -> what@20" in text


def test_what_a_stage_keeps_is_part_of_its_fingerprint_and_of_the_disk(config):
    before = plan_of(config)
    after = plan_of(ending(config))
    assert after.arms["both"][0][0] == before.arms["both"][0][0]
    assert after.arms["both"][0][1] != before.arms["both"][0][1]
    assert plan_of(ending(config, (20, 5, 5))).stages == after.stages, "a set of updates"
    config.stages.what.keep = ()
    config.arms = dict(both=("why", "what"))
    without = cost(plan_of(config), set(), ARCHITECTURE, config).disk_bytes
    adapter = 4 * ARCHITECTURE.num_adapter_params(LoRA(4, 8.0))
    kept = cost(after, set(), ARCHITECTURE, config).disk_bytes
    assert kept == without + 2 * adapter


@pytest.mark.parametrize("update", [25, 26])
def test_an_update_to_keep_that_is_not_before_the_end_is_refused(config, update):
    with pytest.raises(InputError, match=rf"what\.keep: {update}, but stage what, .* 25 update"):
        plan_of(ending(config, (5, 20, update)))


Q_TO_UP = 32 * 32 + 2 * 32 * 16 + 32 * 32 + 2 * 32 * 48  # a layer's weights but those of `down`
DOWN = 48 * 32
POSITIONS = 100 * 64


def test_the_cost_counts_a_matmul_for_every_weight(config):
    """4 FLOPs a frozen weight, 6 a trained one, 2 more where recomputed, 4 a weight of the head."""
    config.arms = dict(what=("what",))
    adapters, of_down = 4 * (64 + 48 + 48 + 64 + 2 * 80), 4 * 80
    layer = 6 * Q_TO_UP + 4 * DOWN + 8 * adapters + 6 * of_down
    expected = 2 * POSITIONS * layer + 6000 * 4 * 320 * 32
    assert cost(plan_of(config), set(), ARCHITECTURE, config).flops == expected


def test_the_cost_of_training_all_weights(config):
    """6 FLOPs a weight, 2 more where recomputed; those of the head for each token with weight."""
    config.arms = dict(what=("what",))
    config.stages.what.train = "full"
    expected = 2 * POSITIONS * (8 * Q_TO_UP + 6 * DOWN) + 6000 * 6 * 320 * 32
    assert cost(plan_of(config), set(), ARCHITECTURE, config).flops == expected


def test_a_policy_that_keeps_more_takes_more_memory_and_less_work(config):
    costs = {}
    for config.remat in ("full", "attended", "gate", "dots"):
        costs[config.remat] = cost(plan_of(config), set(), ARCHITECTURE, config)
    memory = [each.memory_bytes for each in costs.values()]
    work = [each.flops for each in costs.values()]
    assert memory == sorted(set(memory))
    assert work == sorted(set(work), reverse=True)


def test_updates_to_trace_that_a_stage_does_not_have_are_refused(config):
    config.profile = "24:25"
    plan_of(config)
    config.profile = "25:26"
    with pytest.raises(InputError, match=r"config.profile: 25:26, but stage \w+, seed 0 has 25"):
        plan_of(config)


def test_the_description_names_stages_counts_and_what_exists(config):
    plan = plan_of(config)
    first = next(iter(plan.stages))
    text = describe(plan, {first}, cost(plan, {first}, ARCHITECTURE, config), 1e12)
    assert "exists" in text and first not in text
    assert text.splitlines()[0].endswith("  split  fingerprint")
    assert "what after why, seed 0" in text
    assert "arm base: the untouched model" in text
    assert "arm both: why -> what" in text
    assert "to train: 3 of 4 stages" in text


# --- Adapters: how one starts, and where a given one stands


@pytest.mark.parametrize("start", [dict(start="b"), dict(start_seed=0)])
def test_how_an_adapter_starts_counts_where_one_does(config, start):
    """In the first stage of an arm alone, and not where it is what it always was."""

    def fingerprints(of):
        for stage in config.stages.values():
            stage.update(dict(start="a", start_seed=-1) | (start if stage is of else {}))
        plan = plan_of(config)
        return {arm: plan.arms[arm][0] for arm in ("what", "both")}

    before, of_why, of_what = map(fingerprints, (None, config.stages.why, config.stages.what))
    assert of_why["both"][0] != before["both"][0] and of_why["what"] == before["what"]
    assert of_what["both"] == before["both"] and of_what["what"] != before["what"]


@pytest.fixture
def given(config):
    """given(arm, lora): the stages of an arm with an adapter `given`, of this rank and alpha."""
    config.stages.given = config.stages.why.copy_and_resolve_references()
    config.stages.given.update(adapter(file="given").to_dict() | config.recipe.to_dict())

    def stages(arm, lora):
        config.arms.own = arm
        data = {(n, 0): dataclasses.replace(DATA, rows_id=n) for n in ("why", "what")}
        data["given", 0] = StageData.for_adapter("identity", lora)
        plan = make_plan(config, "model", data)
        return plan, plan.arms["own"][0]

    return stages


def test_an_adapter_that_fits_is_gone_on_with_where_it_comes_first(given):
    plan, (taken, after) = given(("given", "what"), LoRA(4, 8.0))
    assert plan.stages[taken].beside is None
    assert plan.adapters(after) == (after, []) and plan.adapters(taken) == (taken, [])


@pytest.mark.parametrize("lora", [LoRA(3, 8.0), LoRA(4, 4.0)])
def test_one_of_another_rank_or_alpha_stands_beside(given, lora):
    plan, (beside, after) = given(("given", "what"), lora)
    assert plan.stages[beside].beside == lora
    assert plan.adapters(after) == (after, [beside]) and plan.adapters(beside) == (None, [beside])
    [warned] = [line for line in warnings(plan, 1) if line.startswith("given: ")]
    assert f"(rank {lora.rank}, alpha {lora.alpha:g}) stays as it is, beside" in warned
    assert warned.endswith("the one that the other stages of own train"), "other arms have none"


def test_so_does_one_after_a_stage_that_trains(given):
    plan, (first, beside, after) = given(("why", "given", "what"), LoRA(4, 8.0))
    assert plan.adapters(after) == (after, [beside]) and plan.adapters(beside) == (first, [beside])
