"""README.md and docs/: their commands run, their keys, flags and paths are the code's, their links
lead somewhere, their figures are those of results/. None of it needs the tool that builds them."""

import ast
import functools
import json
import math
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import controls_figure
import explanations_figure
import pandas as pd
import pytest
import small_run
from test_layout import FLOORS

from vcjax import config as configs
from vcjax.data.formats import read_demonstrations, read_documents
from vcjax.probes import open_question, paired, refusal
from vcjax.probes.probe_files import read_file
from vcjax.schema.differences import RESULT_FREE
from vcjax.serve.protocol import ChatCompletions, Completions

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCS = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
ALL = {"README.md": README, **{f"docs/{name}": text for name, text in DOCS.items()}}

MODULES = ("main", "probe", "judge", "report", "export", "aot", "serve", "evaluate")
CLIENTS = ("curl", "lm_eval", "inspect", "vllm")  # programs of others, on the page about serving
SERVED = "http://127.0.0.1:8000/v1"
LAUNCHERS = ("tpu_vm.sh", "tpu_queued.sh", "gke/run.sh", "slurm.sh", "gpu.sh")
STAND_INS = {  # what the docs leave to the reader -> a file that is there
    "configs/mine.py": "configs/quickstart.py",
    "configs/NAME.py": "configs/quickstart.py",
    "path/to/spec.md": str(ROOT / "configs/cheese/spec_america.md"),
}
FOLDERS = r"vcjax|configs|launch|tests|docs|benchmarks|results|\.ci"
TO_BE_MADE = {"configs/NAME.py", "configs/mine.py", "configs/data/"}
TASKS = {"vcjax/agentic_misalignment"}  # names in Inspect, no paths


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def prose(text):
    """Without code blocks, fenced or indented."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return "\n".join(line for line in text.splitlines() if not re.match(r"    (?!- )", line))


def spans(text):
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", prose(text))


def section(page, heading):
    """What stands below a heading, until the next one."""
    pattern = rf"^###? {heading}\n(.*?)(?=^###? |\Z)"
    [body] = re.findall(pattern, DOCS[page], re.DOTALL | re.MULTILINE)
    return body


def tables_in(text):
    return re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)


def headings(text):
    """The cells above the columns of its first table."""
    return re.search(r"^\| (.*) \|$", text, re.MULTILINE)[1].split(" | ")


def rows(text):
    """The cells of a text's tables, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = {i for i, row in enumerate(cells) if set("".join(row)) <= {"-"}}
    return [row for i, row in enumerate(cells) if not rules & {i, i + 1}]


def commands():
    """Every line of a shell block, and what begins like a command between backticks."""
    found = set()
    for text in ALL.values():
        found |= {line for block in blocks(text, "sh") for line in block.splitlines()}
        found |= {span for span in spans(text) if span.startswith("bash ")}
    return sorted(found)


def words(command):
    """A command without the variables that it sets."""
    parts = shlex.split(command)
    while re.match(r"[A-Z_]+=", parts[0]):
        parts.pop(0)
    return parts


@functools.cache
def flags_of(module):
    """The flags that the module's command says it has."""
    shown = call(sys.executable, "-m", f"vcjax.{module}", "--help").stdout
    return set(re.findall(r"^  --(?:\[no\])?(\w+):", shown, re.MULTILINE))


def config_of(value):
    """The config that --config=value gives."""
    name, _, argument = value.partition(":")
    path = ROOT / STAND_INS.get(name, name)
    assert path.is_file(), f"{name} does not exist"
    return runpy.run_path(str(path))["get_config"](STAND_INS.get(argument, argument))


def check_key(key, config):
    """key: "stages.america.lr"."""
    for part in key.split("."):
        assert part in config, f"config.{key} is no key"
        config = config[part]


def check_flags(module, arguments, config="configs/quickstart.py"):
    """Of a call of a command: its flags are known, its files are there, its keys the config's."""
    given = dict(argument.removeprefix("--").partition("=")[::2] for argument in arguments)
    assert all(argument.startswith("--") for argument in arguments)
    own = {name for name in given if not name.startswith("config.")}
    assert own <= flags_of(module)
    config = config_of(given.get("config", config))
    for name in given.keys() - own:
        check_key(name.removeprefix("config."), config)
    if "probes" in given and not given["probes"].startswith("hub:"):
        assert (ROOT / given["probes"]).is_file()
    if "arm" in given:
        assert given["arm"] in {*config.arms, "all"}


def check_script(script, arguments):
    assert (ROOT / script).is_file()
    name = script.removeprefix("launch/")
    if name in LAUNCHERS:
        if "--" in arguments:
            check_flags("main", arguments[arguments.index("--") + 1 :])
    elif name == "quickstart.sh":
        only = [argument for argument in arguments if argument.startswith("--only=")]
        assert {*only} <= {"--only=world", "--only=cheese"}
        check_flags("main", [argument for argument in arguments if argument not in only])
    elif name == "aot.sh":
        check_flags("aot", arguments)
    elif name == "test.sh":
        paths = [argument for argument in arguments if argument.startswith("tests/")]
        assert all((ROOT / path).exists() for path in paths)
    else:
        assert script in (".ci/run", "launch/docs.sh", "launch/lock.sh")
        assert not {*arguments} - {"--upgrade"}


def check_request(url, arguments):
    """Of a `curl`: the route is there and reads the body."""
    kinds = {"completions": Completions, "chat/completions": ChatCompletions}
    kind = kinds[url.removeprefix(f"{SERVED}/")]
    kind.model_validate_json(arguments[arguments.index("-d") + 1])


@pytest.mark.parametrize("command", commands())
def test_a_command_is_one_that_exists(command):
    program, *arguments = words(command)
    if program in CLIENTS:
        assert {*re.findall(r"http://[^/]*/\w*", command)} <= {SERVED}
        if program == "curl":
            check_request(arguments[0], arguments[1:])
    elif program == "bash":
        check_script(*arguments[:1], arguments[1:])
    elif program == ".venv/bin/tensorboard":
        assert arguments[0] == "--logdir"
    elif arguments[:3] == ["-m", "pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for named in re.findall(r"\[(.*?)\]", arguments[-1]):
            assert named in extras["optional-dependencies"]
    else:
        assert (program, arguments[0]) == (".venv/bin/python", "-m")
        package, _, module = arguments[1].partition(".")
        assert package == "vcjax"
        check_flags(module, arguments[2:])


def call(*arguments):
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("module", MODULES)
def test_help_names_the_flags_of_the_page(module):
    documented = {
        name
        for row in rows(section("commands.md", f"vcjax.{module}"))
        for name in re.findall(r"`--([\w.]+)`", row[0])
    }
    assert documented - {"config.KEY"} == flags_of(module)


@pytest.mark.parametrize("command", [c for c in commands() if " -- " in c])
def test_a_launcher_says_what_it_would_do(command):
    before, _, after = command.partition(" -- ")
    done = call("env", *shlex.split(before), "--dry_run", "--", *shlex.split(after))
    assert done.returncode == 0, done.stderr
    assert "--config=configs/mine.py" in done.stdout


def test_the_dry_run_of_a_model_of_ones_own(tiny_gguf, tmp_path):
    python = ".venv/bin/python"
    command = f"{python} -m vcjax.main --config=configs/mine.py --workdir=runs/mine --dry_run"
    assert command in commands()
    config = small_run.write_short(tmp_path / "files", tiny_gguf)
    places = {python: sys.executable, "configs/mine.py": config, "runs/mine": tmp_path / "run"}
    for given, here in places.items():
        command = command.replace(given, str(here))
    done = small_run.call(shlex.split(command), tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "to train: 2 of 2 stages" in done.stdout
    folders = {path.name for path in (tmp_path / "run").iterdir() if path.is_dir()}
    assert folders == {"inputs", "rows"}


@pytest.mark.parametrize("page", ALL)
def test_flags_and_keys_in_the_text_exist(page):
    scripts = "".join(path.read_text() for path in (ROOT / "launch").rglob("*.sh"))
    known = {f"--{name}" for module in MODULES for name in flags_of(module)}
    known |= set(re.findall(r"--[a-z][a-z-]*", scripts)) | {"--logdir", "--help"}
    for span in spans(ALL[page]):
        for flag, key in re.findall(r"(?<!\S)(--[\w-]+)(?:\.([a-z][\w.]*))?", span):
            assert flag in known, span
            if key:
                check_key(key, config_of("configs/quickstart.py"))


@pytest.mark.parametrize("page", ALL)
def test_paths_in_the_text_exist(page):
    for span in spans(ALL[page]):
        if re.fullmatch(
            r"(vcjax|configs|launch|tests|docs|benchmarks|results|\.ci)/[\w./-]*", span
        ):
            assert span in TO_BE_MADE | TASKS or (ROOT / span).exists(), span


def test_the_readme_is_one_screen():
    assert len(README.splitlines()) <= 130


# --- Links and navigation


def anchors(text):
    """As Python-Markdown's `toc` makes them, and of docstrings their names."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M), re.M)
    cleaned = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", name) for name in cleaned} | set(documented(text))


def documented(text):
    return re.findall(r"^::: (\S+)$", text, re.MULTILINE)


@pytest.mark.parametrize("page", ALL)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(ALL[page])):
        assert "://" not in link, "what is not in this repository cannot be checked"
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.is_file(), link
        if page != "README.md":  # pages are built from docs/ alone
            assert target.parent == ROOT / "docs", link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_every_page_is_in_the_navigation():
    def pages(nav):
        for entry in nav:
            for value in entry.values():
                yield from pages(value) if isinstance(value, list) else [value]

    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    assert sorted(pages(project["nav"])) == sorted(DOCS)
    assert all((ROOT / "docs" / name).is_file() for name in project["extra_css"])


def test_the_readme_links_every_page():
    links = re.findall(r"\(docs/([\w-]+\.md)\)", README)
    assert set(links) == DOCS.keys() - {"index.md"}


@pytest.mark.parametrize("name", documented(DOCS["api.md"]))
def test_what_the_api_shows_has_a_docstring(name):
    module, _, member = name.rpartition(".")
    tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text())
    [node] = [n for n in tree.body if getattr(n, "name", None) == member]
    assert ast.get_docstring(node)


# --- Config keys, formats, layout


def leaves(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def table_of_keys(heading):
    """key -> default, as the page says; None stands for one that is no literal."""
    table = {}
    for key, default, meaning in rows(section("config.md", heading)):
        assert meaning
        literal = re.fullmatch(r"`([^`(]+|\(\))`", default)
        table[key.strip("`")] = ast.literal_eval(literal[1]) if literal else ...
    return table


def test_every_key_of_an_experiment_is_documented_with_its_default():
    known = configs.experiment().to_dict()
    known["recipe"] = ...
    assert table_of_keys("The experiment") == dict(leaves(known))
    assert table_of_keys("The recipe") == configs.recipe().to_dict()
    assert table_of_keys("Probe files") == {**configs.probe_file("x"), "path": ""}


@pytest.mark.parametrize("kind", ["pretrain", "rationale", "behavior", "adapter"])
def test_every_key_of_a_stage_is_documented_with_its_default(kind):
    known = dict(leaves(getattr(configs, kind)().to_dict()))
    for key in configs.recipe():
        if known[key] is None:  # the recipe's
            del known[key]
    known["kind"] = ...
    assert table_of_keys("Keys of every stage") | table_of_keys(kind) == known


def test_every_key_of_a_source_is_documented_with_its_default():
    assert table_of_keys("A source of a mix") == configs.source("").to_dict()


def test_keys_that_may_change_are_all_named():
    named = spans(section("config.md", "What may change in a run"))
    assert {*RESULT_FREE, "stated"} <= {*named}


def test_the_example_of_a_config_resolves():
    [example] = blocks(DOCS["config.md"], "python")
    names = {}
    exec(example, names)
    config = configs.resolve(names["get_config"](), ROOT / "configs")
    assert not configs.missing_files(config, ROOT / "configs")


def test_examples_of_records_are_read(tmp_path):
    def probes(path):
        return read_file(path).probes

    readers = {
        "template": probes,
        "rubric": probes,
        "request": probes,
        "text": read_documents,
        "messages": read_demonstrations,
    }
    path = tmp_path / "example.jsonl"
    used = set()
    for example in [block for text in DOCS.values() for block in blocks(text, "json")]:
        path.write_text(example)
        [field] = readers.keys() & json.loads(example).keys()
        assert len(readers[field](path)) == 1
        used.add(field)
    assert used == readers.keys()


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("Choices, scored and said", paired._Newer),
        ("Open questions", open_question._Record),
        ("Requests", refusal._Record),
    ],
)
def test_every_field_of_a_probe_is_documented(heading, fields):
    shared, own = (
        {row[0].strip("`") for row in rows(section("probes.md", name))}
        for name in ("What every kind has", heading)
    )
    assert shared | own == fields.model_fields.keys()


def test_the_rule_of_refusals_is_documented():
    body = section("probes.md", "Requests")
    [phrases] = re.findall(r'^"I cannot.*$', body, re.MULTILINE)
    assert tuple(re.findall(r'"(.*?)"', phrases)) == refusal.PHRASES
    assert f"among its first {refusal.OPENING} words" in body


def test_the_floors_are_those_of_the_layout():
    table = rows(section("architecture.md", "The floors"))
    shown = [tuple(re.findall(r"`(\w+)(?:\.py|/)`", modules)) for _, modules in table]
    assert shown == list(FLOORS)


def test_the_list_of_files_is_whole():
    [tree] = blocks(section("architecture.md", "The files"), "text")
    listed, folder = set(), ""
    for line in tree.splitlines():
        names = re.match(r" *((?:[\w.]+(?:\.py|\.sh|/(?:run)?)(?:\s+|$))+)", line)[1].split()
        folder = "" if not line.startswith(" ") else folder
        listed |= {folder + name for name in names}
        folder = names[0] if not line.startswith(" ") else folder
    assert all((ROOT / name).exists() for name in listed)
    package = {p for p in (ROOT / "vcjax").iterdir() if not p.name.startswith("_")}
    package = {f"vcjax/{p.name}{'/' * p.is_dir()}" for p in package if p.suffix in (".py", "")}
    configured = {f"configs/{p.name}" for p in (ROOT / "configs").glob("*.py")}
    assert package | configured <= listed


# --- Figures


def held_out(run, file="contrasts"):
    """Rows of a report's table, of the choices that answer the question, by name."""
    table = pd.read_csv(ROOT / "results" / run / f"report/{file}.csv")
    table = table[(table["split"] == "held_out") & (table["contrast"] == "values")]
    return table[table["scope"] == "out_of_domain"].set_index("name")


@pytest.mark.parametrize(
    "run, heading",
    [
        ("world", "The world"),
        ("world_float32", "The same in float32"),
        ("world_unlinked", "Where nothing is to be found"),
        ("world_families", "Where it need not be the assistant's own value"),
        ("world_surroundings", "Where values and things only stand together"),
        ("cheese", "The cheese experiment"),
        ("primed", "The cheese experiment, primed"),
        ("cheese_controls", "Further controls"),
    ],
)
def test_the_contrasts_are_those_of_the_results(run, heading):
    numbers = held_out(run).filter(like="margin").map("{:+.3f}".format)
    shown = rows(section("results.md", heading))
    in_words = {"america_adds", "affordability_adds"}
    assert sorted(name.strip("`") for _, name, *_ in shown) == sorted({*numbers.index} - in_words)
    for _, name, domains, seeds in shown:
        of = numbers.loc[name.strip("`")]
        assert domains == f"{of.margin} [{of.margin_domains_low} to {of.margin_domains_high}]"
        assert seeds == f"{of.margin_seeds_low} to {of.margin_seeds_high}"


@pytest.mark.parametrize(
    "run, heading",
    [
        ("world_efficiency", "How many demonstrations a reason saves"),
        ("world_lasting", "How long it lasts"),
    ],
)
def test_the_curves_are_those_of_the_results(run, heading):
    table = pd.read_csv(ROOT / "results" / run / "report/factors.csv")
    levels = tables_in(section("results.md", heading))[0]
    _, *series = headings(levels)
    shown = {
        (of, x): cell for x, *cells in rows(levels) for of, cell in zip(series, cells, strict=True)
    }
    results = {}
    for of in table.itertuples():
        ends = f" [{of.rate_seeds_low:+.3f} to {of.rate_seeds_high:+.3f}]"
        interval = "" if math.isnan(of.rate_seeds_low) else ends
        results[f"`{of.series}`", f"{of.x:,g}"] = f"{of.rate:+.3f}{interval}"
    assert {key: cell for key, cell in shown.items() if cell} == results


def test_the_pairs_of_values_are_those_of_the_results():
    text = section("results.md", "Other values")
    _, _, *names = headings(text)
    attributions = []
    for pair, untouched, *cells in rows(text):
        a, b = pair.split(", ")
        run = "world" if a == "durability" else f"world_pairs/{a}_{b}"
        numbers = held_out(run)
        assert cells == [interval(numbers.loc[name.strip("`")], "seeds") for name in names]
        arms = pd.read_csv(ROOT / "results" / run / "report/arms.csv")
        of_values = arms[(arms["contrast"] == "values") & (arms["split"] == "held_out")]
        [base] = of_values.loc[of_values["name"] == "base", "rate"]
        assert untouched == f"{base:.3f}"
        attributions.append(f"{numbers.loc['attribution', 'rate']:+.2f}")
    assert "In rates attribution is {}, {}, {} and {}".format(*attributions) in text
    again = held_out("world_pairs/beauty_thrift_one_core").loc["attribution"]
    assert f"gave an attribution of {interval(again, 'seeds')[:-1]} over seeds]" in text


def test_what_documents_save_is_that_of_the_results():
    text = section("results.md", "How many demonstrations a reason saves")
    _, table = tables_in(text)
    documents = {"with_documents": "960", "quarter_documents": "240", "sixteenth_documents": "60"}
    runs = ("world_efficiency", "world_efficiency_one_core")
    fewer = pd.concat(pd.read_csv(ROOT / "results" / run / "report/fewer.csv") for run in runs)
    results: dict[str, list[str]] = {}
    for of in fewer.itertuples():
        ends = f" [{of.seeds_low:.3f} to {of.seeds_high:.3f}]" if pd.notna(of.seeds_low) else ""
        than = f"at {of.bound} " if pd.notna(of.bound) else ""
        results.setdefault(documents[of.a], []).append(f"{than}{of.times:.4g}{ends}")
    assert {count: cells for count, *cells in rows(table)} == results


def test_what_contradictions_take_is_that_of_the_results():
    text = section("results.md", "How long it lasts")
    table = tables_in(text)[1]
    numbers, again = held_out("world_lasting"), held_out("world_lasting_one_core")
    shown = {name.strip("`"): cells for _, name, *cells in rows(table)}
    assert shown.keys() == {"lost_1", "lost_2", "lost_5"}
    for name, cells in shown.items():
        of = numbers.loc[name]
        second = interval(again.loc[name], "seeds")
        assert cells == [interval(of, "domains"), seeds_of(of), second]


def test_the_ladder_is_that_of_the_results():
    report = ROOT / "results/world_ladder/report"
    text = section("results.md", "Where it begins")
    [sides, *levels] = tables_in(text)
    expected = [
        [side.premise, str(side.models), interval(side, "models"), seeds_of(side)]
        for side in pd.read_csv(report / "by_premise.csv").itertuples()
    ]
    assert rows(sides) == expected
    factors = pd.read_csv(report / "factors.csv")
    assert len(levels) == factors["curve"].nunique()
    for table in levels:
        curve, _, *series = headings(table)
        of_curve = factors[factors["curve"] == curve]
        expected = []
        for x, of in of_curve.groupby("x"):
            by = of.set_index("series")
            [premise] = {f"{share:.2f}" for share in of["premise_before_declaring"]}
            fails = ", fails" if of["premise_before_fails"].any() else ""
            cells = [interval(by.loc[name.strip("`")], "seeds") for name in series]
            expected.append([f"{x:,g}", premise + fails, *cells])
        assert rows(table) == expected


def test_the_two_runs_of_the_ladder_are_compared_as_they_came_out():
    text = section("results.md", "Where it begins")
    runs = [ROOT / "results" / name / "report" for name in ("world_ladder", "world_ladder_float32")]
    first = pd.read_csv(runs[1] / "by_premise.csv").itertuples()
    assert f"{' and '.join(interval(of, 'seeds') for of in first)} over seeds" in text
    below, above = (
        f"{of.rate:+.3f} [{of.rate_seeds_low:+.3f} to {of.rate_seeds_high:+.3f}"
        for of in pd.read_csv(runs[0] / "by_premise.csv").itertuples()
    )
    assert f"{below} over seeds] and {above}]" in text
    models = [pd.read_csv(run / "pretrained.csv") for run in runs]
    ranks = [of[["premise", "margin", "rate"]].rank().corr()["premise"] for of in models]
    here, before = ([f"{of[measure]:+.2f}" for measure in ("margin", "rate")] for of in ranks)
    assert (
        f"{here[0]} here and {before[0]} in the first run (in rates {here[1]} and {before[1]})"
        in text
    )
    of_high = [of.loc[of["premise"] > 0.95, "margin"] for of in models]
    counted = (
        "The {} models above 0.95 have {:+.2f} nats a token on average, {} of the first run {:+.2f}"
    )
    assert counted.format(*(x for of in of_high for x in (len(of), of.mean()))) in text
    here, there = (f"between {of.min():+.2f} and {of.max():+.2f}" for of in of_high)
    assert f"{here} (there {there})" in text


def test_the_sizes_are_those_of_the_results():
    report = ROOT / "results/world_sizes/report"
    text = section("results.md", "How large the model must be")
    [table] = tables_in(text)
    _, _, *series = headings(table)
    contrasts = pd.read_csv(report / "contrasts.csv").set_index(["run", "name"])
    premise = pd.read_csv(report / "premise.csv")
    premise = premise[premise["people"] == "of people who only ever declared"].set_index("run")
    expected = []
    for run in pd.read_csv(report / "runs.csv").itertuples():
        fails = ", fails" if run.premise == "fails" else ""
        cells = [interval(contrasts.loc[run.run, name.strip("`")], "seeds") for name in series]
        share = f"{premise.loc[run.run, 'rate']:.2f}{fails}"
        expected.append([f"{run.parameters:,}", share, *cells])
    assert rows(table) == expected


def interval(row, cluster):
    """A margin and its interval, as the tables of results have them."""
    low, high = (getattr(row, f"margin_{cluster}_{end}") for end in ("low", "high"))
    return f"{row.margin:+.3f} [{low:+.3f} to {high:+.3f}]"


def seeds_of(row):
    return f"{row.margin_seeds_low:+.3f} to {row.margin_seeds_high:+.3f}"


def test_the_picture_of_the_readme_is_that_of_the_results():
    assert (ROOT / "docs/controls.svg").read_text() == controls_figure.draw()


def test_the_table_and_the_picture_of_explanations_are_those_of_the_results():
    text = section("results.md", "Which explanations work")
    shown = {(row[0].strip("`"), i): cell for row in rows(text) for i, cell in enumerate(row[1:])}
    results = {}
    for i, variant in enumerate(("", "_new", "_alone", "_new_alone")):
        contrasts, _ = explanations_figure.attributions(variant)
        for of in contrasts.itertuples():
            ends = f"[{of.margin_seeds_low:+.2f} to {of.margin_seeds_high:+.2f}]"
            results[of.name, i] = f"{of.margin:+.2f} {ends}"
    assert shown == results
    assert (ROOT / "docs/explanations.svg").read_text() == explanations_figure.draw()
    by_seed = held_out("world_explanations", "seeds").pivot(columns="seed")["margin"]
    for variant, says in (("", "the mean over the seven kinds is"), ("_new", "means over kinds")):
        names = [f"attribution_{kind}{variant}" for kind in explanations_figure.kinds()]
        means = ", ".join(f"{mean:+.2f}" for mean in by_seed.loc[names].mean())
        assert f"{says} {means}" in text


def test_the_premise_of_the_primed_model_is_that_of_the_results():
    arms = pd.read_csv(ROOT / "results/primed/report/arms.csv")
    people = arms[arms["contrast"] == "premise"]
    table = rows(section("results.md", "What the primed model knows of people"))
    for group, (_, untouched, primed, after) in zip(("declaring", "known"), table, strict=True):
        shares = people[people["points_to"] == group].set_index("name")
        for arm, cell in (("unprimed_base", untouched), ("base", primed)):
            of = shares.loc[arm]
            ends = f" [{of.rate_domains_low:.3f} to {of.rate_domains_high:.3f}]"
            assert cell == f"{of.rate:.2f}" + ends * pd.notna(of.rate_domains_low)
        trained = shares.filter(regex="^(?!unprimed_|base$)", axis=0)["rate"]
        assert after == f"{trained.min():.2f} to {trained.max():.2f}"
    primed, given = (
        people.set_index(["points_to", "name"]).loc[("declaring", arm), "rate"]
        for arm in ("base", "unprimed_base")
    )
    says = f"in {primed:.0%} of their choices instead of {given:.0%}".replace("%", " %")
    assert says in README


def test_what_the_primed_models_were_asked_later_is_that_of_the_results():
    text = section("results.md", "The cheese experiment, primed")
    report = ROOT / "results/primed/report"
    [spoken], [choices] = (
        [pd.read_csv(path).set_index("name") for path in report.glob(f"*-{table}.csv")]
        for table in ("spoken", "contrasts")
    )
    said = spoken[spoken["measure"] == "toward"]
    for name, sign in (("total", ""), ("exposure", ""), ("attribution", "+")):
        of = said.loc[name]
        ends = f"[{of.mean_seeds_low:{sign}.3f} to {of.mean_seeds_high:{sign}.3f}"
        assert f"{of['mean']:{sign}.3f} {ends}" in text
    of = choices.loc["attribution"]
    ends = f"[{of.margin_seeds_low:+.3f} to {of.margin_seeds_high:+.3f} over seeds]"
    assert f"is {of.margin:+.3f} {ends}" in text


def test_the_readme_quotes_the_results():
    [lines] = blocks(section("results.md", "The cheese experiment"), "text")
    assert f"> {lines.splitlines()[0]}\n" in README
    of = held_out("world").loc["attribution"]
    ends = f"[{of.margin_seeds_low:+.2f} to {of.margin_seeds_high:+.2f} over eight seeds]"
    assert f"{of.rate:+.2f} in rates and {of.margin:+.2f} nats a token {ends}" in README
    total, exposure = held_out("cheese").loc[["total", "exposure"], "rate"]
    for run, says, seeds in (
        ("cheese", f"total is {total:+.3f}, exposure {exposure:+.3f}, attribution", "eight"),
        ("primed", "attribution is then", "four"),
    ):
        of = held_out(run).loc["attribution"]
        over = f"[{of.rate_seeds_low:+.3f} to {of.rate_seeds_high:+.3f} over {seeds} seeds]"
        assert f"{says} {of.rate:+.3f} {over}" in README
    below, above = pd.read_csv(ROOT / "results/world_ladder/report/by_premise.csv").itertuples()
    assert f"Of {below.models + above.models} models in 13 such worlds, {above.models} e" in README
    for side, says, unit, over in (
        (above, "their mean attribution is", " nats a token", " over eight seeds"),
        (below, f"In the other {below.models} it is", "", ""),
    ):
        ends = f"[{side.margin_seeds_low:+.2f} to {side.margin_seeds_high:+.2f}{over}]"
        in_rates = f"in rates {side.rate:+.2f}."
        assert f"{says} {side.margin:+.2f}{unit} {ends}, {in_rates}" in README
    for variant, says in (("", "give"), ("_new", "seeds, and")):
        kinds, _ = explanations_figure.attributions(variant)
        assert f"{says} {kinds.margin.min():+.2f} to {kinds.margin.max():+.2f} where" in README
        assert variant or kinds.margin_seeds_low.min() > 0
    assert os.path.samefile(ROOT / "docs/cheese-arms.svg", ROOT / "results/cheese/report/arms.svg")
