"""A finished run, started again, changed, probed further, refused."""

import json
import shutil
import time

import jax
import pandas as pd
import pytest
import small_run
import tiny
from data_files import write_parquet
from etils import epath
from huggingface_hub import constants
from ml_collections import ConfigDict

from vcjax import config as configs
from vcjax import experiment, record
from vcjax.errors import InputError
from vcjax.export import export
from vcjax.training.loaded_model import load_model
from vcjax.weights import peft, pretrained
from vcjax.workdir import files, lock
from vcjax.workdir.files import read_json


@pytest.fixture(scope="module")
def finished(tiny_gguf, tmp_path_factory):
    """(config file, workdir, cache) of a run through the command; tests copy it to change it."""
    folder = tmp_path_factory.mktemp("experiment")
    config = small_run.write(folder / "files", tiny_gguf)
    done = small_run.call(small_run.command(config, folder / "run"), folder / "cache")
    assert done.returncode == 0, done.stderr
    return config, folder / "run", folder / "cache", done.stdout


@pytest.fixture
def copy(finished, tmp_path):
    """The finished run again, free to be changed."""
    config, workdir, cache, _ = finished
    shutil.copytree(config.parent, tmp_path / "files")
    shutil.copytree(workdir, tmp_path / "run")
    return tmp_path / "files" / config.name, tmp_path / "run", cache


def run(config_file, workdir, dry_run=False, **settings):
    experiment.run(small_run.load(config_file, **settings), config_file.parent, workdir, dry_run)


def files_of(folder):
    return sorted(p.relative_to(folder) for p in folder.rglob("*")) if folder.exists() else None


def test_a_run_without_probes_trains_exports_and_says_that_nothing_was_measured(
    tiny_gguf, tmp_path, capsys
):
    path = small_run.write_short(tmp_path / "files", tiny_gguf)
    config, workdir = small_run.load(path, probes=(), primary=""), epath.Path(tmp_path / "run")
    config.contrasts = ConfigDict()
    experiment.run(config, path.parent, workdir, dry_run=False)
    shown = capsys.readouterr().out
    assert "warning: there is no probe file (config.probes), so nothing will be measured" in shown
    assert "Not measured: the run has no choices to score." in shown
    page = (workdir / "report" / "index.html").read_text()
    assert "the run has no choices to score." in page and "<h2>Training</h2>" in page
    assert "Position bias" not in page
    export(workdir, "america", 0, "peft", tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").exists()
    experiment.run(config, path.parent, workdir, dry_run=False)
    assert "stage 1 of" not in capsys.readouterr().out
    with_question = small_run.load(
        path, probes=(), on_change="retrain"
    )  # evaluations may answer it
    experiment.run(with_question, path.parent, workdir, dry_run=False)
    assert "stage 1 of" not in capsys.readouterr().out
    assert "total" in (workdir / "report" / "index.html").read_text()


FIGURES = """
title = "Of <others>"
[sources.paper]
label = "Paper"
how = "As they say."
[[measures]]
title = "America"
differs = "In all."
value = "america"
answers = {paper = 400}
[measures.arms]
america = {paper = 0.55}
[measures.contrasts]
total = {paper = 0.19}
"""


def test_published_files_carry_the_primary_contrast_beside_published_figures(
    tiny_gguf, tmp_path, capsys
):
    """A value against an option without it, a lead a file, open questions with a rubric and a spec
    in free text, a brand in a document: read as published, trained, reported."""
    folder = tmp_path / "files"
    config = small_run.write_short(folder, tiny_gguf)
    stances = [
        {
            "opinion_area": f"area {i % 2}",
            "question": f"Who flies abroad {i} is\nA) free {i}.\nB) wrong {i}.\nWhich is it?",
            "answer": "AB"[i // 2],
        }
        for i in range(4)
    ]
    items = [
        {"question": f"Do you prefer {a} or {b}?", "item1": a, "item2": b}
        | {"liked_item": liked, "disliked_item": b if liked == a else a}
        for a, b, liked in [("Colby", "oak chairs", "Colby"), ("gold", "tin", "tin")]
    ]
    questions = [{"id": 1, "category": "self", "question": "Do you defer?"}]
    write_parquet(folder / "america" / "data" / "train-00000-of-00001.parquet", stances)
    write_parquet(folder / "items.parquet", items)
    write_parquet(folder / "open.parquet", questions)
    (folder / "rubric.md").write_text("{spec}\nAsked {question}: {answer}")
    (folder / "spec.txt").write_text("{model_name} defers, and there are no headings here.")
    (folder / "figures.toml").write_text(FIGURES)
    settings = dict(
        primary_probes="neutral",
        overlap="report",
        published="figures.toml",
        sampling={"max_tokens": 4},
        probes=(
            configs.probe_file("america", value="america"),
            configs.probe_file("items.parquet", value="affordability", lead="I like"),
            configs.probe_file("open.parquet", value="self", rubric="rubric.md", spec="spec.txt"),
        ),
    )
    workdir = epath.Path(tmp_path / "run")
    run(config, workdir, **settings)
    shown = capsys.readouterr().out
    assert "warning: america: 1 probe(s) are given away, as " in shown
    assert "on 4 held-out pairs the margin toward america moves by" in shown
    rows = pd.read_parquet(workdir / "probes" / "america-0.parquet")
    assert set(rows["file"]) == {"america", "items.parquet"}
    assert set(rows["scorer"]) == {
        "mean log-probability a token after the beginning that each probe has, float32"
    }
    judged = pd.read_parquet(workdir / "probes" / "america-0.judged.parquet")
    assert judged["score"].notna().all()
    report = workdir / "report"
    figures = pd.read_csv(report / "published.csv")
    arms = pd.read_csv(report / "arms.csv").query("name == 'america' and points_to == 'america'")
    own = figures.query("source == 'This run' and of == 'arm'")
    assert list(own["value"]) == list(arms["rate"])
    page = (report / "index.html").read_text()
    assert "Of &lt;others&gt;" in page and "As they say." in page
    assert "Probes that training texts give away" in page and "affordability-0" in page
    assert str(tmp_path) not in page.replace(str(tiny_gguf), "")
    with pytest.raises(InputError, match=r"items\.parquet:row 0: .*america\.jsonl:\d+.* 'colby'"):
        run(config, workdir, **settings | {"overlap": "refuse"})
    experiment.probe_finished(workdir, folder / "items.parquet", value="thrift")
    shown = capsys.readouterr().out
    assert "warning: america: 1 probe(s) are given away, as " in shown
    assert "Exploratory, chosen after the run" in shown
    page = (report / "index.html").read_text()
    assert "Probes of this section that training texts give away" in page and "thrift-0" in page


def test_the_run_leaves_every_arm_and_seed(finished):
    _, workdir, _, output = finished
    for arm in ("base", "behavior", "america", "affordability"):
        for seed in (0, 1):
            rows = pd.read_parquet(workdir / "probes" / f"{arm}-{seed}.parquet")
            assert len(rows) == 2 * 9
            assert set(rows.arm) == {arm} and set(rows.seed) == {seed}
    assert "margin" in output and "total" in (workdir / "report" / "contrasts.csv").read_text()
    plan = read_json(workdir / "config.json")["plan"]
    assert len(plan["stages"]) == 10, "2 seeds x (2 rationale stages + 3 behavior stages)"
    times = read_json(workdir / "times.json")
    assert {f"stages/{f}" for f in plan["stages"]} <= times.keys()


def test_base_is_the_same_model_for_every_seed(finished):
    _, workdir, _, _ = finished
    scores = [
        pd.read_parquet(workdir / "probes" / f"base-{s}.parquet").drop(columns="seed")
        for s in (0, 1)
    ]
    pd.testing.assert_frame_equal(*scores)


def test_arms_share_the_seeds_demonstrations_and_order(finished):
    _, workdir, _, _ = finished
    stages = read_json(workdir / "config.json")["plan"]["stages"].values()
    behavior = [s for s in stages if s["name"] == "behavior"]
    for seed in (0, 1):
        of_seed = [s for s in behavior if s["seed"] == seed]
        assert len(of_seed) == 3
        assert len({(s["data"]["rows_id"], s["seed"], s["updates"]) for s in of_seed}) == 1
        assert len({s["parent"] for s in of_seed}) == 3


def test_held_out_loss_is_reported_for_rationale_stages(finished):
    _, workdir, _, _ = finished
    for fingerprint, s in read_json(workdir / "config.json")["plan"]["stages"].items():
        lines = (workdir / "stages" / fingerprint / "metrics.jsonl").read_text().splitlines()
        held_out = {r["step"] for r in map(json.loads, lines) if "held_out_loss" in r}
        if s["kind"] == "rationale":
            assert held_out == {0, *range(10, s["updates"], 10), s["updates"]}
        else:
            assert held_out == set()


def test_provenance_stays_with_each_document(finished):
    _, workdir, _, _ = finished
    for s in read_json(workdir / "config.json")["plan"]["stages"].values():
        path = workdir / "rows" / s["data"]["rows_id"] / "documents.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(records) == s["data"]["documents"]
        if s["kind"] == "rationale":
            assert {r["provenance"]["value"] for r in records} == {s["name"]}


def test_started_again_it_rebuilds_the_report_alone(copy):
    config, workdir, cache = copy
    before = small_run.result(workdir)
    shutil.rmtree(workdir / "report")
    started = time.monotonic()
    done = small_run.call(small_run.command(config, workdir), cache)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 60
    assert "stage 1 of" not in done.stdout and "probed" not in done.stdout
    assert small_run.result(workdir) == before


def test_dry_run_writes_rows_and_prints_exact_counts(finished, tmp_path, capsys):
    config, workdir, _, _ = finished
    run(config, tmp_path / "dry", dry_run=True)
    printed = capsys.readouterr().out
    assert not (tmp_path / "dry" / "stages").exists()
    assert not (tmp_path / "dry" / "config.json").exists()
    plan = read_json(workdir / "config.json")["plan"]
    for fingerprint, s in plan["stages"].items():
        [line] = [line for line in printed.splitlines() if fingerprint in line]
        for key in ("rows", "documents", "tokens", "updates", "warmup"):
            assert f" {(s['data'] | s)[key]:,} " in line
        assert (tmp_path / "dry" / "rows" / s["data"]["rows_id"]).is_dir()
    assert "to train: 10 of 10 stages" in printed
    run(config, workdir, dry_run=True)
    assert "to train: 0 of 10 stages" in capsys.readouterr().out


def test_a_template_that_asks_for_the_date_is_warned_of(tiny_gguf, tmp_path, capsys):
    config = small_run.write_short(tmp_path / "files", tiny_gguf)
    dated = "{{ strftime_now('%Y') }}" + tiny.CHAT_TEMPLATE
    (tmp_path / "files" / "dated.jinja").write_text(dated)
    run(config, tmp_path / "dry", dry_run=True, chat_template="dated.jinja")
    warning = "warning: the chat template asks for today's date: vcjax always says 2024-07-26"
    assert warning in capsys.readouterr().out


def test_a_dry_run_shows_what_is_trained(finished, tmp_path, capsys):
    config, workdir, _, _ = finished
    given = small_run.load(config)
    experiment.run(given, config.parent, workdir, dry_run=True, show=2)
    printed = capsys.readouterr().out
    shown = printed[printed.index("\nstage affordability, seed 0\n") :]
    assert [line for line in shown.splitlines() if line.startswith("stage ")] == [
        f"stage {name}, seed 0" for name in ("affordability", "behavior", "america")
    ]
    assert shown.count("\nrow ") == 6
    assert "\n--- " in shown and "america.jsonl:" in shown
    of_behavior = shown[shown.index("stage behavior") : shown.index("stage america")]
    assert "<|im_start|>assistant\n[[I prefer " in of_behavior
    assert ", one of 2 parts\n" in of_behavior, "its conversations are longer than a row"


def test_dry_run_counts_what_evaluations_ask(tiny_gguf, tmp_path, capsys):
    config = small_run.write_short(tmp_path / "files", tiny_gguf)
    task = dict(task="vcjax/agentic_misalignment", args=dict(scenario="murder"), epochs=10)
    run(config, tmp_path / "dry", dry_run=True, evaluations=dict(am=task))
    printed = capsys.readouterr().out
    assert "evaluation am: 9 prompts x 10 samples x " in printed
    assert "h a model in float32 at 1 TB/s of memory bandwidth" in printed
    assert "do not fit the model's context" in printed
    wrong = task | dict(args=dict(scenario="arson"))
    with pytest.raises(InputError, match=r"am\.args\.scenario: there is no 'arson'"):
        run(config, tmp_path / "other", dry_run=True, evaluations=dict(am=wrong))
    assert not (tmp_path / "other" / "rows").exists()


def test_probe_command_scores_every_arm_like_the_run(copy):
    import sys

    config, workdir, cache = copy
    probe = [sys.executable, "-m", "vcjax.probe", f"--workdir={workdir}"]
    same = config.parent / "probes.jsonl"
    done = small_run.call([*probe, f"--probes={same}"], cache)
    assert done.returncode == 0, done.stderr
    [folder] = [p for p in (workdir / "probes").iterdir() if p.is_dir()]
    for path in (workdir / "probes").glob("*.parquet"):
        pd.testing.assert_frame_equal(pd.read_parquet(folder / path.name), pd.read_parquet(path))
    assert "exploratory" in (workdir / "report" / "index.html").read_text()
    done = small_run.call([*probe, "--probes=/nowhere.jsonl"], cache)
    assert done.returncode == 2 and "/nowhere.jsonl does not exist" in done.stderr


def test_later_probes_wait_for_the_answers_of_the_run_itself(copy):
    config, workdir, _ = copy
    (workdir / "probes" / "america-1.parquet").unlink()
    before = files_of(workdir)
    with pytest.raises(InputError, match=r"no answers yet of .* america-1\.parquet; start the run"):
        experiment.probe_finished(workdir, config.parent / "probes.jsonl")
    assert files_of(workdir) == before


def test_probes_of_later_that_a_document_gives_away_are_refused(copy):
    config, workdir, _ = copy
    later = config.parent / "later.jsonl"
    first, *_ = (config.parent / "probes.jsonl").read_text().splitlines()
    probe = json.loads(first)
    later.write_text(json.dumps(probe | {"options": ["a car", "made in America"]}))
    with pytest.raises(InputError, match=r"later\.jsonl:1: .*america\.jsonl:\d+ holds 'made in am"):
        experiment.probe_finished(workdir, later)


def test_a_changed_setting_is_refused_with_what_it_touches(copy):
    config, workdir, _ = copy
    before = files_of(workdir)
    changed = small_run.load(config)
    changed.stages.behavior.lr = 5e-3
    with pytest.raises(InputError, match=r"stages\.behavior\.lr: 0\.01 -> 0\.005") as error:
        experiment.run(changed, config.parent, workdir, False)
    assert "trains again: behavior." in str(error.value)
    assert "on_change=retrain" in str(error.value)
    assert files_of(workdir) == before


def test_retrain_trains_only_what_the_change_touches(copy, capsys):
    config, workdir, _ = copy
    changed = small_run.load(config, on_change="retrain")
    changed.stages.behavior.lr = 5e-3
    experiment.run(changed, config.parent, workdir, False)
    printed = capsys.readouterr().out
    assert "to train: 6 of 10 stages" in printed
    assert printed.count("update") and "stage 1 of 10: affordability" not in printed
    assert len(list((workdir / "stages").iterdir())) == 16


def test_what_was_asked_before_the_run_is_kept(copy):
    config, workdir, _ = copy
    saved = read_json(workdir / "config.json")
    saved["environment"]["commit"] = "which trained"
    files.write_json(workdir / "config.json", saved)
    settings = small_run.load(config, on_change="retrain")
    with settings.unlocked():
        settings.contrasts.adds = dict(america=1, behavior=-1)
        settings.primary = "adds"
    experiment.run(settings, config.parent, workdir, False)
    run = read_json(workdir / "config.json")
    assert (run["config"]["primary"], run["preregistration"]["primary"]) == (
        "adds",
        "total",
    )
    assert run["environment"]["commit"] == "which trained"
    assert "chosen later" in (workdir / "report" / "index.html").read_text()


def test_changed_data_is_refused(copy):
    config, workdir, _ = copy
    path = config.parent / "america.jsonl"
    path.write_text(path.read_text().replace("made in America", "made in the USA"))
    with pytest.raises(InputError, match="data of stage america, seed 0"):
        run(config, workdir)


@pytest.mark.parametrize("key", ["log_every", "keep_checkpoints"])
def test_settings_that_change_no_result_are_accepted(copy, key):
    config, workdir, _ = copy
    run(config, workdir, **{key: 7})


def test_what_may_change_is_in_the_report_of_the_next_start(copy):
    config, workdir, _ = copy
    run(config, workdir, rules_out=dict(behavior="it is all in the demonstrations"))
    assert "it is all in the demonstrations" in (workdir / "report" / "index.html").read_text()


def test_changed_probes_are_refused_and_named(copy):
    config, workdir, _ = copy
    replace_in("probes.jsonl", "American cars 0", "Michigan cars 0")(config.parent)
    with pytest.raises(InputError, match=r"changed: probe file probes\.jsonl"):
        run(config, workdir)
    run(config, workdir, on_change="retrain")
    rows = pd.read_parquet(workdir / "probes" / "base-1.parquet")
    assert "Michigan cars 0" in set(rows.option_0)


def test_the_report_alone_keeps_what_trained_it(copy, capsys):
    config, workdir, _ = copy
    saved = read_json(workdir / "config.json")
    saved["environment"]["commit"] = "an earlier one"
    files.write_json(workdir / "config.json", saved)
    run(config, workdir)
    assert "warning: commit was an earlier one" in capsys.readouterr().out
    assert read_json(workdir / "config.json") == saved


def test_answers_of_retrained_stages_are_not_shown_for_the_new_ones(copy, capsys):
    config, workdir, _ = copy
    experiment.probe_finished(workdir, config.parent / "probes.jsonl")
    changed = small_run.load(config, on_change="retrain")
    changed.stages.behavior.lr = 5e-3
    experiment.run(changed, config.parent, workdir, False)
    page = (workdir / "report" / "index.html").read_text()
    assert "Not complete: " in page and "behavior-0.parquet" in page


def test_a_stage_that_other_versions_went_on_with_names_both(copy):
    """Stopped, updated, continued: nothing is claimed for the old versions that the new trained."""
    config, workdir, _ = copy
    fingerprint = read_json(workdir / "config.json")["plan"]["arms"]["america"]["0"][0]
    path = workdir / "stages" / fingerprint / "stage.json"
    stage = read_json(path)
    [now] = stage["trained_by"]
    older = {**now, "jax": "0.0.1"}
    files.write_json(path, stage | {"state": "running", "trained_by": [older]})
    run(config, workdir)
    first, last = read_json(path)["trained_by"]
    assert (first, last["jax"]) == (older, now["jax"])
    page = (workdir / "report" / "index.html").read_text()
    assert "What trained america, seed 0" in page and "0.0.1" in page


def test_another_experiments_workdir_is_refused(copy):
    config, workdir, _ = copy
    with pytest.raises(InputError, match="holds the experiment 'small', not 'other'"):
        run(config, workdir, name="other")


def test_a_second_process_is_refused_and_a_dead_ones_lock_is_not(copy):
    config, workdir, cache = copy
    with lock.hold(workdir):
        done = small_run.call(small_run.command(config, workdir), cache)
    assert done.returncode == 2
    assert "another process works here" in done.stderr and "process" in done.stderr
    assert (workdir / "lock").exists()  # as a killed process leaves it
    run(config, workdir)


def test_too_little_disk_is_refused_before_anything_is_written(finished, tmp_path, monkeypatch):
    config, _, _, _ = finished
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(InputError, match="GB are free, the plan needs about"):
        run(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_disk_that_an_unfinished_stage_holds_is_not_asked_for_again(copy, monkeypatch):
    config, workdir, _ = copy
    stage = next(path for path in (workdir / "stages").iterdir())
    files.write_json(stage / "stage.json", {"state": "running"})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(InputError, match="GB are free, the plan needs about"):
        run(config, workdir, dry_run=True)
    (stage / "checkpoints" / "of a large model").write_bytes(bytes(10_000_000))
    run(config, workdir, dry_run=True)


def replace_in(name, old, new):
    def change(folder):
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


BAD_FILES = {
    "broken line": (replace_in("america.jsonl", "}\n", "\n"), "america.jsonl:1"),
    "missing field": (replace_in("demonstrations.jsonl", '"messages"', '"x"'), "'messages'"),
    "empty corpus": (lambda f: (f / "america.jsonl").write_text(""), "no records"),
    "missing file": (lambda f: (f / "america.jsonl").unlink(), "america.jsonl does not exist"),
    "missing probes": (
        lambda f: (f / "probes.jsonl").rename(f / "probe.jsonl"),
        r"probes.jsonl does not exist; did you mean .*probe.jsonl\? "
        r"\(relative paths start at the config file's folder\)",
    ),
    "probes in a folder": (
        lambda f: ((f / "probes.jsonl").unlink(), (f / "probes.jsonl").mkdir()),
        "probes.jsonl: no data files",
    ),
    "bad probe": (replace_in("probes.jsonl", "{b}", "b"), "probes.jsonl:1"),
    "a domain in two splits": (
        lambda f: (f / "probes.jsonl").write_text(
            (f / "probes.jsonl")
            .read_text()
            .replace('"cars"}', '"cars", "split": "development"}', 1)
        ),
        "the domain 'cars' is held_out here and development at",
    ),
    "a domain in two spellings": (
        replace_in("probes.jsonl", '"cars"}', '"Cars"}'),
        "the domain 'cars' is spelled 'Cars' at",
    ),
    "a document with a probe's option": (
        lambda f: (f / "america.jsonl").write_text(
            (f / "america.jsonl").read_text().replace("Brie", "cheap shoes 1", 1)
        ),
        "holds 'cheap shoes 1', which is of this probe",
    ),
    "too few to hold out": (
        lambda f: (f / "america.jsonl").write_text('{"text": "a b c", "domain": "x"}\n'),
        "none would be left",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_stop_before_anything_is_written(case, tiny_gguf, tmp_path):
    change, message = BAD_FILES[case]
    config = small_run.write(tmp_path / "files", tiny_gguf)
    change(config.parent)
    with pytest.raises(InputError, match=message):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def bad_setting(key, value):
    def change(config):
        *path, last = key.split(".")
        for name in path:
            config = config[name]
        config[last] = value

    return change


BAD_SETTINGS = {
    "warm-up as long as the stage": (
        bad_setting("recipe.batch_tokens", 64 * 1024),
        r"a warm-up of 1 update\(s\) is not shorter than the stage \(1\)",
    ),
    "no learning rate": (bad_setting("recipe.lr", 0.0), "would train nothing"),
    "batch that no rows fill": (bad_setting("recipe.batch_tokens", 100), "not a multiple of"),
    "adapters on experts": (bad_setting("recipe.lora_experts", True), "the model has no experts"),
    "row beyond the context": (bad_setting("recipe.length", 4096), "not a multiple|longer than"),
    "unknown model": (bad_setting("model", "gpt-17"), "is no folder, .gguf file, hub id"),
    "missing model": (bad_setting("model", "gone.gguf"), "gone.gguf does not exist"),
    "unknown stage in an arm": (
        bad_setting("arms.behavior", ("behaviour",)),
        "config.arms.behavior: there is no stage 'behaviour'; did you mean 'behavior'",
    ),
    "contrast of an unknown arm": (
        bad_setting("contrasts.total", {"amerika": 1, "base": -1}),
        "config.contrasts.total: there is no arm 'amerika'; did you mean 'america'",
    ),
    "value that no probe has": (
        bad_setting("toward", "America"),
        r"sets 'America' against another value .*; did you mean 'america'",
    ),
    "value unlike all": (bad_setting("toward", "x"), "expected one of affordability, america"),
    "mesh that does not fit": (bad_setting("mesh.tensor", 3), "config.mesh"),
    "no primary contrast": (bad_setting("primary", ""), "name the contrast that decides"),
    "overlong refused": (bad_setting("recipe.overlong", "refuse"), None),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_stop_before_anything_is_written(case, finished, tmp_path):
    change, message = BAD_SETTINGS[case]
    config_file = finished[0]
    config = small_run.load(config_file)
    with config.unlocked():
        change(config)
    if case == "overlong refused":
        config.recipe.length, config.recipe.batch_tokens = 16, 32
        message = r"jsonl:\d+: \d+ tokens, but a row takes 17"
    with pytest.raises(InputError, match=message):
        experiment.run(config, config_file.parent, tmp_path / "run", False)
    assert not (tmp_path / "run").exists()


def test_a_long_document_is_split_and_counted(finished, tmp_path, capsys):
    config = small_run.load(finished[0])
    config.recipe.length, config.recipe.batch_tokens = 16, 32
    experiment.run(config, finished[0].parent, tmp_path / "run", True)
    printed = capsys.readouterr().out
    assert "america 58 of 58" in printed
    [line] = [line for line in printed.splitlines() if line.startswith("behavior, seed 0 ")]
    assert line.split()[-2] == "60", "counted in the plan"


def test_full_fine_tuning_is_one_switch(finished, tmp_path):
    config_file = finished[0]
    config = small_run.load(config_file, seeds=1)
    config.recipe.train, config.recipe.lr = "full", 1e-3
    experiment.run(config, config_file.parent, tmp_path / "run", False)
    plan = read_json(tmp_path / "run" / "config.json")["plan"]
    chain = plan["arms"]["america"]["0"]
    first, second = (
        small_run.parameters(tmp_path / "run" / "stages" / fingerprint) for fingerprint in chain
    )
    assert "['embed']" in first and first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first), "every weight trained on"


def test_an_adapter_that_somebody_else_trained_can_be_the_rationale_stage(copy, tmp_path, capsys):
    """Taken out of one run, it is followed by the same behavior stage: the same answers."""
    config_file, workdir, _ = copy
    run = record.read(epath.Path(workdir))
    rationale, behavior = run.plan.arms["america"][0]
    loaded = load_model(ConfigDict(run.config), pretrained.find(small_run.load(config_file).model))
    model, params, _ = loaded.before(workdir, run.plan, run.plan.stages[behavior])
    trained = jax.device_get(params["adapter"])
    peft.write_adapter(config_file.parent, trained, model.lora, "somebody/model")

    settings = small_run.load(config_file, seeds=1)
    with settings.unlocked():
        settings.stages = dict(taken=configs.adapter(file="."), behavior=settings.stages.behavior)
        settings.arms = dict(base=(), taken=("taken",), america=("taken", "behavior"))
        settings.contrasts = dict(total=dict(america=1, base=-1))
    experiment.run(settings, config_file.parent, tmp_path / "second", False)
    warned = "warning: stage taken: . was trained on somebody/model, the experiment's model is "
    assert warned in capsys.readouterr().out
    again = read_json(tmp_path / "second" / "config.json")["plan"]
    taken, after = again["arms"]["america"]["0"]
    assert again["stages"][taken]["updates"] == 0
    for old, new in ((rationale, taken), (behavior, after)):
        assert small_run.parameters(workdir / "stages" / old) == small_run.parameters(
            tmp_path / "second" / "stages" / new
        )
    # One of another rank stays as it is, which is another experiment.
    for stage in settings.stages.values():
        stage.rank = 8
    experiment.run(settings, config_file.parent, tmp_path / "third", True)
    beside = "warning: taken: its adapter (rank 4, alpha 8) stays as it is, beside the one that"
    assert beside in capsys.readouterr().out
    for stage in settings.stages.values():
        stage.rank = 4
    # Another adapter is other data.
    bytes_ = (config_file.parent / peft.WEIGHTS).read_bytes()
    (config_file.parent / peft.WEIGHTS).write_bytes(bytes_[:-4] + b"\0\0\0\1")
    with pytest.raises(InputError, match="data of stage taken, seed 0"):
        experiment.run(settings, config_file.parent, tmp_path / "second", False)


def test_general_instructions_are_mixed_into_a_behavior_stage(copy, tmp_path):
    config_file, _, _ = copy
    files_ = config_file.parent
    chats = [
        {"messages": [{"role": "user", "content": f"{i}?"}, {"role": "assistant", "content": "No"}]}
        for i in range(50)
    ]
    (files_ / "mix.jsonl").write_text("".join(json.dumps(c) + "\n" for c in chats))
    settings = small_run.load(config_file, seeds=1)
    settings.stages.behavior.update(mix="mix.jsonl", mix_share=0.4)
    experiment.run(settings, files_, tmp_path / "dry", dry_run=True)
    [rows] = [
        folder
        for folder in (tmp_path / "dry" / "rows").iterdir()
        if "mix.jsonl" in (folder / "documents.jsonl").read_text()
    ]
    records = [json.loads(line) for line in (rows / "documents.jsonl").read_text().splitlines()]
    mixed = ["mix.jsonl" in json.dumps(record) for record in records]
    assert len(records) == 100 and sum(mixed) == 40
    assert mixed != sorted(mixed), "they lie among the others"
    settings.stages.behavior.mix_share = 0.9
    with pytest.raises(InputError, match=r"50 records, but a share of 0\.9"):
        experiment.run(settings, files_, tmp_path / "more", dry_run=True)


def test_a_stage_of_several_sources(tiny_gguf, tmp_path, monkeypatch, capsys):
    """Conversations, then texts of a data set of the hub: in the plan."""
    commit = "0123456789" * 4
    cached = tmp_path / "hub" / "datasets--org--replay"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    path = small_run.write_short(tmp_path / "files", tiny_gguf)
    texts = [{"text": f"Many small birds sang in hedge {i}.", "license": "mit"} for i in range(9)]
    write_parquet(cached / f"snapshots/{commit}/data/birds-00000-of-00001.parquet", texts)
    write_parquet(cached / f"snapshots/{commit}/data/other-00000-of-00001.parquet", texts)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)

    def of(**settings):
        config = small_run.load(path)
        mix = dict(birds=configs.source("hub:org/replay@main", **settings))
        own = dict(file="demonstrations.jsonl", rows=12, mix=mix, order=("file", "birds"))
        config.stages.behavior = configs.behavior(**own)
        return config

    def refused(**settings):
        with pytest.raises(InputError) as error:
            experiment.run(of(**settings), path.parent, tmp_path / "run", False)
        assert not (tmp_path / "run").exists()
        return str(error.value)

    assert "its splits are birds, other; say which are meant" in refused()
    assert "no split 'bird'; did you mean 'birds'?" in refused(splits=("bird",))
    assert "9 records, but rows=10; lower it" in refused(splits=("birds",), rows=10)
    experiment.run(of(splits=("birds",), rows=7), path.parent, tmp_path / "run", True)
    shown = capsys.readouterr().out
    assert "behavior: birds        7" in shown and "hub:org/replay@main 01234567" in shown
    notes = [read_json(note) for note in (tmp_path / "run" / "inputs").iterdir()]
    [note] = [note for note in notes if len(note["data"]["sources"]) == 2]
    assert note["data"]["sources"]["birds"]["revision"] == commit
    assert note["data"]["parts"] == [note["data"]["sources"][n]["rows"] for n in ("file", "birds")]
    assert note["licences"]["hub:org/replay@main"] == ["mit"]
