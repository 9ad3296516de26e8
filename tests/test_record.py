"""What a run keeps of how it was asked for, and what its report says of it."""

import pandas as pd
import pytest
import small_run

from vcjax import experiment
from vcjax.errors import InputError
from vcjax.workdir.files import read_json


def write(folder, model):
    """A small experiment with a text, a probe left out, and the runs that it was tuned in."""
    path = small_run.write(folder, model, documents=20, demonstrations=20)
    demonstrations = folder / "demonstrations.jsonl"
    licensed = demonstrations.read_text().replace('{"messages"', '{"license": "mit", "messages"')
    demonstrations.write_text(licensed)
    (folder / "hedge.txt").write_text("Many small birds sang in the hedge all morning.\n")
    (folder / "DEVELOPMENT.md").write_text("# Runs\n\n- rate 1e-4: nothing\n- rate 1e-2: more\n")
    settings = 'probes=("probes.jsonl", "hedge.txt"), exclude=("cars-0",)'
    text = path.read_text().replace(
        'probes=("probes.jsonl",)', f'{settings}, development="DEVELOPMENT.md"'
    )
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def workdir(tiny_gguf, tmp_path_factory):
    folder = tmp_path_factory.mktemp("provenance")
    config = write(folder / "files", tiny_gguf)
    asked = small_run.command(config, folder / "run", "--config.seeds=1", "--config.lead=I like")
    done = small_run.call(asked, folder / "cache")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def page(workdir):
    return (workdir / "report" / "index.html").read_text()


def test_the_flags_of_the_config_are_kept_without_the_machines_path(workdir, page):
    assert read_json(workdir / "config.json")["command"] == [
        *("--config=small.py", "--config.seeds=1", "--config.lead=I like")
    ]
    said = "python -m vcjax.main --config=small.py --config.seeds=1"
    assert f"{said} &#39;--config.lead=I like&#39; --workdir=DIR" in page
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
    assert "2 development runs preceded this recipe" in page


def test_the_corpus_card_comes_from_the_runs_own_rows(page):
    card = page[page.index("<h2>Corpus card") :]
    assert "The assistant likes" in card
    assert "america.jsonl:" in card


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exclude": ("cars-9",)}, "config.exclude: no probe has the id 'cars-9'"),
        (
            {
                "exclude": tuple(
                    f"{domain}-{i}" for domain in ("cars", "tea", "shoes") for i in range(3)
                )
            },
            "config.toward: no held-out probe",
        ),
        ({"development": "NONE.md"}, "config.development: .*NONE.md does not exist"),
    ],
)
def test_refused(tiny_gguf, tmp_path, settings, message):
    path = write(tmp_path / "files", tiny_gguf)
    config = small_run.load(path, **settings)
    with pytest.raises(InputError, match=message):
        experiment.run(config, path.parent, tmp_path / "run", dry_run=False)
    assert not (tmp_path / "run").exists()
