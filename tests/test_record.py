"""config.json: what it holds, what may change when a run goes on, what the report shows of it."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
import small_run
from etils import epath

import vcjax
from vcjax import experiment, record
from vcjax.errors import InputError
from vcjax.workdir import files
from vcjax.workdir.files import read_json

RESULTS = Path(__file__).parents[1] / "results"


def write(folder, model):
    """A small experiment with a text, a probe left out, and the runs that it was tuned in."""
    path = small_run.write(folder, model, documents=20, demonstrations=20)
    demonstrations = folder / "demonstrations.jsonl"
    licensed = demonstrations.read_text().replace('{"messages"', '{"license": "mit", "messages"')
    demonstrations.write_text(licensed)
    (folder / "hedge.txt").write_text("Many small birds sang in the hedge all morning.\n")
    (folder / "DEVELOPMENT.md").write_text("# Runs\n\n- rate 1e-4: nothing\n- rate 1e-2: more\n")
    (folder / "EARLIER.md").write_text("- rate 1: no number\n  and so on\n")
    settings = 'probes=("probes.jsonl", "hedge.txt"), exclude=("cars-0",)'
    text = path.read_text().replace(
        'probes=("probes.jsonl",)', f'{settings}, development=("EARLIER.md", "DEVELOPMENT.md")'
    )
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def workdir(tiny_gguf, tmp_path_factory):
    folder = tmp_path_factory.mktemp("provenance")
    config = write(folder / "files", tiny_gguf)
    command = small_run.command(config, folder / "run", "--config.seeds=1", "--config.lead=I like")
    done = small_run.call(command, folder / "cache")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def page(workdir):
    return (workdir / "report" / "index.html").read_text()


def test_the_flags_of_the_config_are_kept_without_the_machines_path(workdir, page):
    assert read_json(workdir / "config.json")["command"] == [
        *("--config=small.py", "--config.seeds=1", "--config.lead=I like")
    ]
    command = "python -m vcjax.main --config=small.py --config.seeds=1"
    assert f"{command} &#39;--config.lead=I like&#39; --workdir=DIR" in page
    assert str(workdir.parent / "run") not in page


def test_the_licences_of_the_texts_are_kept(workdir):
    assert read_json(workdir / "config.json")["licences"] == {
        "america.jsonl": "not stated",
        "affordability.jsonl": "not stated",
        "demonstrations.jsonl": "mit",
    }


def test_a_text_among_the_probes_gives_each_arm_a_perplexity(workdir, page):
    table = pd.read_csv(workdir / "report" / "perplexity.csv")
    assert table["arm"].tolist() == ["base", "behavior", "america", "affordability"]
    assert (table["perplexity"] > 1).all()
    assert table["perplexity"].nunique() == 4
    assert "hedge.txt" in page


def test_an_excluded_probe_is_scored_and_left_out(workdir, page):
    assert "cars-0" in set(pd.read_parquet(workdir / "probes" / "base-0.parquet")["id"])
    assert "cars-0" not in set(pd.read_csv(workdir / "report" / "answers.csv")["id"])
    assert "Left out of every comparison: cars-0." in page


def test_the_runs_that_the_recipe_was_tuned_in_are_counted(page):
    listed = "listed in EARLIER.md and DEVELOPMENT.md beside the config"
    assert f"3 development runs preceded this recipe, {listed}" in page


def test_the_corpus_card_comes_from_the_runs_own_rows(page):
    card = page[page.index("<h2>Corpus card") :]
    assert "The assistant likes" in card
    assert "america.jsonl:" in card


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"exclude": ("cars-9",)},
            "config.exclude: there is no probe 'cars-9'; did you mean 'cars-",
        ),
        (
            {
                "exclude": tuple(
                    f"{domain}-{i}" for domain in ("cars", "tea", "shoes") for i in range(3)
                )
            },
            "config.toward: .*no such probe does for any value",
        ),
        ({"development": ("NONE.md",)}, "config.development: .*NONE.md does not exist"),
    ],
)
def test_refused(tiny_gguf, tmp_path, settings, message):
    path = write(tmp_path / "files", tiny_gguf)
    config = small_run.load(path, **settings)
    with pytest.raises(InputError, match=message):
        experiment.run(config, path.parent, tmp_path / "run", dry_run=False)
    assert not (tmp_path / "run").exists()


def test_what_is_written_is_read_back(workdir, tmp_path):
    first = record.read(workdir)
    record.write(epath.Path(tmp_path), first)
    assert record.read(epath.Path(tmp_path)) == first
    assert first.numerics == vcjax.NUMERICS
    assert first.plan.arms["america"][0][-1] in first.plan.stages


@pytest.mark.parametrize("name", ["cheese", "cheese_controls"])
def test_records_of_0_8_1_are_read(name):
    """Those that results/ keeps."""
    old = record.read(epath.Path(RESULTS / name))
    assert old.numerics == "0.8.1"
    assert old.preregistration["primary"] in old.config["contrasts"]
    assert old.config["development"] == ["cheese/DEVELOPMENT.md"], "it was one path"
    assert old.plan.stages and all(stage.data.rows for stage in old.plan.stages.values())
    record.check_numerics(epath.Path("old"), old)
    assert old.model_of("base", 0).endswith(" 0.8.1"), "as its files of answers note it"


def test_a_run_of_other_arithmetic_is_named(workdir):
    run = record.read(workdir)
    record.check_numerics(workdir, run)
    for numerics, name in ((99, r"numerics 99 \(vcjax"), ("0.7.0", r"vcjax 0\.7\.0")):
        other = dataclasses.replace(run, numerics=numerics)
        with pytest.raises(InputError, match=f"it was trained by {name}"):
            record.check_numerics(workdir, other)


def test_a_field_that_is_missing_or_of_another_type_is_named(workdir, tmp_path):
    content = read_json(workdir / "config.json")
    for change, message in (
        (lambda c: c.pop("analysis"), r"config\.json: analysis: Field required"),
        (lambda c: c["plan"].update(stages=[]), r"config\.json: plan\.stages: Input should be"),
    ):
        damaged = {**content, "plan": dict(content["plan"])}
        change(damaged)
        files.write_json(tmp_path / "config.json", damaged)
        with pytest.raises(InputError, match=message):
            record.read(epath.Path(tmp_path))


def test_the_same_model_under_another_name_is_no_change(workdir):
    saved = record.read(workdir)
    moved = dataclasses.replace(saved, config={**saved.config, "model": "elsewhere/tiny.gguf"})
    assert record.resumed(workdir, saved, moved, "refuse").config["model"] == "elsewhere/tiny.gguf"
    other = dataclasses.replace(moved, model=record.Base("other", "none"))
    with pytest.raises(InputError, match="the file of the model elsewhere"):
        record.resumed(workdir, saved, other, "refuse")


def test_a_graft_that_comes_to_another_checkpoint_is_a_change(workdir):
    """Also from the experiment's own model, or back to it: the answers are others."""
    saved = record.read(workdir)
    config = {**saved.config, "grafts": {"more": {"arm": "america", "model": "", "scale": 1.0}}}
    own = dataclasses.replace(saved, config=config)
    other = dataclasses.replace(own, grafted={"more": record.Base("other", "none")})
    for before, after in ((own, other), (other, own)):
        with pytest.raises(InputError, match=r"the file of the model of config\.grafts\.more"):
            record.resumed(workdir, before, after, "refuse")


def test_each_stage_names_what_trained_it(workdir, page):
    """One that later versions went on with names both; report and card show them."""
    run = record.read(workdir)
    named = record.trained_by(workdir, run)
    assert named.keys() == run.plan.stages.keys()
    assert {len(environments) for environments in named.values()} == {1}
    assert all(environments[0]["vcjax"] == vcjax.__version__ for environments in named.values())
    assert "What trained every stage" in page
