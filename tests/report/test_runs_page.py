import json
import re
from pathlib import Path

import pandas as pd
import pytest
from etils import epath

from vcjax.errors import InputError
from vcjax.report.runs_page import write_report

SIZES = {"c": 192, "a": 48, "b": 96}  # name of a folder -> width; not in their order
EFFECT = {48: 0.0, 96: 0.1, 192: 0.3}


@pytest.fixture(scope="module")
def workdirs(new_run, tmp_path_factory, value_pairs, premise_probes) -> list[Path]:
    """Three runs that differ in one number; the premise fails in the narrowest. Only to be read."""
    folder = tmp_path_factory.mktemp("runs")
    for name, width in SIZES.items():
        run = new_run(folder / name, probes=value_pairs[:24] + premise_probes)
        run.trained = f"{width:012}"
        run.settings = {"shape": {"embed_dim": width}}
        run.effects = {"base": 0.05 if width == 48 else 0.9, "behavior": 0.0}
        run.effects |= {"america": EFFECT[width], "affordability": -EFFECT[width]}
        if width == 96:
            run.contrasts["mine"] = {"america": 1, "base": -1}
        run.write()
    return [folder / name for name in SIZES]


def write(workdirs, out, x=None):
    return write_report([epath.Path(workdir) for workdir in workdirs], out, x)


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def written(workdirs, tmp_path_factory):
    """(summary, folder) of their report, which is only to be read."""
    out = tmp_path_factory.mktemp("report") / "out"
    before = {workdir: contents(workdir) for workdir in workdirs}
    lines = write(workdirs, out)
    assert before == {workdir: contents(workdir) for workdir in workdirs}, "runs stay as they are"
    return lines, out


@pytest.fixture(scope="module")
def page(written):
    return (written[1] / "index.html").read_text(encoding="utf-8")


def test_the_effect_of_each_pretrained_model_stands_against_its_premise(written):
    _, out = written
    models = pd.read_csv(out / "pretrained.csv")
    contrasts = pd.read_csv(out / "contrasts.csv").set_index(["run", "name"])
    for run, rows in models.groupby("run"):
        assert rows["margin"].mean() == pytest.approx(contrasts.loc[(run, "total"), "margin"])
    assert pd.read_csv(out / "by_premise.csv")["models"].sum() == len(models)
    assert 'href="by-premise.svg"' in (out / "index.html").read_text(encoding="utf-8")


def test_runs_come_in_the_order_of_the_factor(written):
    lines, out = written
    table = pd.read_csv(out / "runs.csv")
    assert table["shape.embed_dim"].tolist() == [48, 96, 192]
    assert table["run"].tolist() == ["cheese-test 1", "cheese-test 2", "cheese-test 3"]
    assert table["premise"].tolist() == ["fails", "holds", "holds"]
    for line, row in zip(lines, table.to_dict("records"), strict=True):
        assert line.startswith(f"{row['run']} (shape.embed_dim = {row['shape.embed_dim']}): ")
        assert f"{row['answer']}: on 24 held-out pairs" in line
        assert line.isascii()
        fails = row["premise"] == "fails"
        assert line.endswith("The premise fails.") == fails
        assert (row["answer"] == "This run cannot tell") == fails


def test_each_runs_answer_leads_and_a_premise_that_fails_stands_above(written, page):
    assert page.index("The premise fails in cheese-test 1 (shape.embed_dim = 48):") < page.index(
        'class="answer"'
    )
    said = dict(re.findall(r"<strong>(.*?):</strong> (.*?)\.</p>", page))
    for row in pd.read_csv(written[1] / "runs.csv").to_dict("records"):
        label = f"{row['run']} (shape.embed_dim = {row['shape.embed_dim']})"
        assert label in said[row["answer"]].split(", ")


def test_contrasts_have_the_numbers_of_each_run_with_both_intervals(written, page):
    table = pd.read_csv(written[1] / "contrasts.csv")
    assert set(table["name"]) == {"total", "rationale"}
    assert not [column for column in table if column.endswith("_p")]
    total = table[table["name"] == "total"].set_index("shape.embed_dim")
    for width, effect in EFFECT.items():
        assert total.loc[width, "margin"] == pytest.approx(2 * effect, abs=0.05)
    row = total.loc[192]
    for cell in (row["margin_domains_low"], row["rate"], row["margin_seeds_high"]):
        assert f"{cell:+.3f}".replace("-", "−") in page  # noqa: RUF001
    assert "and so not here: mine." in page


def test_the_premise_is_a_table(written, page):
    table = pd.read_csv(written[1] / "premise.csv")
    assert len(table) == 6
    assert "Choices of people who only ever declared" in page
    assert set(table.loc[table["shape.embed_dim"] == 192, "rate"]) == {1}


def test_what_differs_is_shown_and_nothing_else(page):
    section = page[page.index("<h2>What differs") : page.index("<h2>How to")]
    keys = re.findall(r'<th scope="row">(.*?)</th>', section)
    assert keys == ["shape.embed_dim", "contrasts.mine"]
    assert re.search(r"shape.embed_dim</th><td>48</td><td>96</td><td>192</td>", section)
    assert "contrasts.mine</th><td></td><td>given</td><td></td>" in section
    assert "in other settings, too" not in page


def test_the_page_needs_nothing_from_outside(written, page):
    assert "default-src 'none'" in page and "<script" not in page
    links = set(re.findall(r'(?:href|src)="([^"#][^"]*)"', page))
    assert links == {path.name for path in written[1].iterdir()} - {"index.html"}


def test_it_holds_no_path(workdirs, written):
    for content in contents(written[1]).values():
        assert str(workdirs[0].parent).encode() not in content


def test_the_same_runs_give_the_same_bytes(workdirs, written, tmp_path):
    lines, first = written
    out = tmp_path / "out"
    for order in (workdirs[::-1], workdirs):  # the second time over a report
        assert write(order, out) == lines
        assert contents(out) == contents(first)
    write(workdirs[:2], out)
    assert len(pd.read_csv(out / "runs.csv")) == 2


# Without a factor, and with other ones


@pytest.fixture
def pair(new_run, tmp_path, value_pairs):
    """Two runs that can be compared, to be changed by a test."""
    runs = [new_run(tmp_path / name, seeds=1, probes=value_pairs[:16]) for name in ("one", "two")]
    runs[1].trained = "f" * 12
    return runs


def test_without_a_factor_runs_stand_as_they_are_given(pair, tmp_path):
    pair[0].name, pair[1].name = "the <b>first", "second"
    pair[1].settings = {"lead": "<i>I choose"}
    one, two = (run.write() for run in pair)
    lines = write([two, one], tmp_path / "out")
    assert [line.partition(":")[0] for line in lines] == ["second", "the <b>first"]
    page = (tmp_path / "out/index.html").read_text()
    assert "&lt;i&gt;I choose" in page and "the &lt;b&gt;first" in page
    assert "<b>" not in page and "<i>" not in page
    assert not (tmp_path / "out/premise.csv").exists() and "<h2>Premise" not in page
    assert "<th>over seeds</th>" not in page


def test_runs_of_equal_settings_differ_in_their_data(pair, tmp_path):
    write([run.write() for run in pair], tmp_path / "out")
    assert "Their settings are the same" in (tmp_path / "out/index.html").read_text()


def test_other_settings_beside_the_factor_are_said(pair, tmp_path):
    pair[0].settings, pair[1].settings = {"a": 1, "b": 0.1}, {"a": 2, "b": 0.4}
    workdirs = [run.write() for run in pair]
    write(workdirs, tmp_path / "out", "b")
    page = (tmp_path / "out/index.html").read_text()
    assert "The runs differ in other settings, too" in page
    assert "--out=DIR --x=b</code>" in page
    with pytest.raises(InputError, match="--x: c is missing"):
        write(workdirs, tmp_path / "out", "c")


def test_against_the_number_of_weights(pair, tmp_path):
    for run, width in zip(pair, (8, 16), strict=True):
        shape = {"num_layers": 2, "mlp_dim": 32, "num_heads": 2, "context_length": 32}
        run.settings = {"model": "scratch", "shape": shape | {"embed_dim": width}}
        run.write()
        (run.workdir / "model").mkdir()
        tokenizer = {"model": {"vocab": {"a": 0}}, "added_tokens": [{}]}
        (run.workdir / "model/tokenizer.json").write_text(json.dumps(tokenizer))
    write([run.workdir for run in pair], tmp_path / "out", "parameters")
    counts = pd.read_csv(tmp_path / "out/runs.csv")["parameters"]
    assert counts.tolist() == sorted(counts) and counts[0] > 0
    assert "in other settings, too" not in (tmp_path / "out/index.html").read_text()


def test_a_question_that_was_chosen_later_is_said(pair, tmp_path):
    workdirs = [run.write() for run in pair]
    path = workdirs[1] / "config.json"
    facts = json.loads(path.read_text())
    facts["preregistration"]["primary"] = "rationale"
    path.write_text(json.dumps(facts))
    write(workdirs, tmp_path / "out")
    page = (tmp_path / "out/index.html").read_text()
    assert "<strong>cheese-test 2:</strong> Before the run another question was named" in page


# Where it may be written


@pytest.mark.parametrize("place", ["c", "c/report", "c/new"])
def test_it_is_not_written_into_a_run(workdirs, place):
    with pytest.raises(InputError, match=r"lies in the run .*c; give a folder elsewhere"):
        write(workdirs, workdirs[0].parent / place)


def test_other_files_are_left_alone(workdirs, tmp_path):
    (tmp_path / "mine.csv").touch()
    with pytest.raises(InputError, match=r"--out: .* is not empty \(mine\.csv\)"):
        write(workdirs, tmp_path)
    with pytest.raises(InputError, match=r"--out: .* is a file; give a folder"):
        write(workdirs, tmp_path / "mine.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]
