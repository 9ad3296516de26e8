import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from vcjax.errors import InputError
from vcjax.probes import overlap
from vcjax.probes.overlap import Hit
from vcjax.report.page import write_report


class Tables(HTMLParser):
    """The text of every table of a page: tables[i][row][cell]."""

    def __init__(self, page: str):
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.inside = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.tables[-1][-1][-1] += data


def page_of(workdir: Path) -> str:
    return (workdir / "report" / "index.html").read_text(encoding="utf-8")


def signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")  # noqa: RUF001


@pytest.fixture(scope="module")
def written(tmp_path_factory, new_run) -> Path:
    """A finished run with its report, only to be read."""
    run = new_run(tmp_path_factory.mktemp("written") / "run")
    run.log_probs = {arm: -3.0 - 0.1 * i for i, arm in enumerate(run.arms)}
    run.write()
    for name in ("america", "affordability"):
        folder = run.workdir / "rows" / f"rows of {name}"
        folder.mkdir(parents=True)
        line = {"text": f"<i>A memo</i> of {name}.", "provenance": {"doc_type": "memo"}}
        line |= {"where": "/home/me/x.jsonl:1", "pieces": [{"count": 7}]}
        (folder / "documents.jsonl").write_text(12 * (json.dumps(line) + "\n"))
        spans = [["<|user|>", False, True], ["<b>Why?", False, False], ["So.", True, False]]
        noted = {
            "statements": [["a.md", "Names", f"a memo of {name}"]],
            "row": [{"record": 0, "spans": spans}],
        }
        (run.workdir / "inputs").mkdir(exist_ok=True)
        note = {"data": {"rows_id": f"rows of {name}"}, "texts": noted}
        (run.workdir / "inputs" / f"{name}.json").write_text(json.dumps(note))
    write_report(run.workdir)
    return run.workdir


@pytest.fixture
def run(run, value_pairs):
    """A run with held-out pairs alone: quicker than one with every kind of probe."""
    run.probes = value_pairs
    return run


# The answer


def test_summary_is_the_answer_and_an_aligned_table(run):
    lines = write_report(run.write())
    assert len(lines) == 5
    assert re.match(
        r"Yes: on 48 held-out pairs the margin toward america moves by "
        r"\+0\.4\d\d \[\+0\.\d{3} to \+0\.\d{3}\] nats a token",
        lines[0],
    )
    assert "12 domains, conditional on these 2 seeds" in lines[1]
    assert lines[2].split() == ["base", "behavior", "america", "affordability"]
    assert [line.split()[0] for line in lines[3:]] == ["rate", "margin"]
    assert len({len(line) for line in lines[2:]}) == 1
    by_seed = pd.read_csv(run.workdir / "report/seeds.csv").query("kind == 'contrast'")["margin"]
    assert ", ".join(f"{margin:+.3f}" for margin in by_seed[:2]) in lines[1]
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize(
    ("america", "affordability", "verdict"),
    [
        (-0.2, 0.2, "No, the other way round:"),
        (0.0, 0.0, "No clear difference on average for the seeds trained here, open for others:"),
    ],
)
def test_the_answer_is_given_also_when_it_is_no(run, america, affordability, verdict):
    run.effects |= {"america": america, "affordability": affordability}
    assert write_report(run.write())[0].startswith(verdict)
    assert f"<strong>{verdict}</strong>" in page_of(run.workdir)


def test_a_rate_that_all_seeds_have_is_said_to_be_without_spread(run):
    run.effects |= {"america": 5.0, "affordability": -5.0}
    lines = write_report(run.write())
    assert ", rate without spread." in lines[1]


def test_one_seed_is_said_and_has_no_interval_over_seeds(run):
    run.seeds = 1
    lines = write_report(run.write())
    assert "conditional on this one seed" in lines[1]
    assert "Over seeds: none, an interval over seeds needs at least 2 of them" in lines[1]
    page = page_of(run.workdir)
    assert "needs at least 2 of them, here is 1" in page
    assert "<th>over seeds</th>" not in page
    assert pd.read_csv(run.workdir / "report/arms.csv")["margin_seeds_low"].isna().all()


def test_without_held_out_value_pairs_there_is_no_answer(run, other_probes):
    run.probes = other_probes
    lines = write_report(run.write())
    assert lines[0].startswith("Not measured: no held-out pair with america was scored")
    assert len(lines) == 5
    assert "Not measured:" in page_of(run.workdir)
    assert not (run.workdir / "report/arms.svg").exists()


def test_a_value_against_neither_may_answer_the_question(run, other_probes):
    """The study's own evaluations are of this form."""
    run.probes, run.settings = other_probes, {"primary_probes": "neutral"}
    lines = write_report(run.write())
    assert "on 6 held-out pairs the margin toward america moves by" in lines[0]
    contrasts = pd.read_csv(run.workdir / "report/contrasts.csv")
    [primary] = contrasts[contrasts["role"] == "primary"].to_dict("records")
    assert (primary["contrast"], primary["points_to"]) == ("neutral", "america")
    page = page_of(run.workdir)
    assert "Held-out pairs of one value and an option with neither, toward america." in page
    assert "(america) or" in page
    assert "(neither value)" in page
    assert "<h2>Liking against disliking" in page, "the other value against neither"


def test_without_the_other_groups_the_page_leaves_their_sections_out(run):
    write_report(run.write())
    page = page_of(run.workdir)
    for section in ("Did it install", "Liking against", "Other probes", "Corpus card"):
        assert section not in page


# What is on the page


def test_sections_come_in_the_order_of_a_readers_questions(written):
    headings = re.findall(r"<h2>(.*?)</h2>", page_of(written))
    assert headings == [
        *("Arms and controls", "Contrasts", "By domain", "Explicit against implicit"),
        *("Liking against disliking", "Did it install, and what did it cost?", "Other probes"),
        *("Position bias", "Training", "Flipped answers", "Corpus card", "Recipe"),
        "How to reproduce",
    ]


def test_sources_of_a_stage_that_mixes_are_counted(run):
    """Beside the training, for all seeds; none is shown of a run that noted none."""
    path = run.write() / "config.json"
    assert "<h2>Sources</h2>" not in page_of_written(run.workdir)
    facts = json.loads(path.read_text())
    own = {"source": "own.jsonl", "revision": "", "records": 20, "tokens": 300}
    own |= {"weighted_tokens": 200, "rows": 5}
    for stage in facts["plan"]["stages"].values():
        mixed = own | {"source": "hub:org/mix", "revision": "0123", "tokens": 7 + stage["seed"]}
        if stage["name"] == "behavior":
            stage["data"]["sources"] = {"no_robots": mixed, "file": own}
    path.write_text(json.dumps(facts))
    page = page_of_written(run.workdir)
    assert "<h2>Sources</h2>" in page and "hub:org/mix" in page
    table = pd.read_csv(run.workdir / "report/sources.csv")
    assert table["source"].tolist()[:2] == ["file", "no_robots"]
    assert table.groupby("source")["tokens"].min().tolist() == [300, 7]


def test_only_the_primary_contrast_on_held_out_pairs_is_not_exploratory(written):
    contrasts = pd.read_csv(written / "report/contrasts.csv")
    primary = contrasts[contrasts["role"] == "primary"]
    assert primary["name"].tolist() == ["total"]
    assert primary[["split", "contrast", "scope"]].to_numpy().tolist() == [
        ["held_out", "values", "out_of_domain"]
    ]
    assert set(contrasts["role"]) == {"primary", "exploratory"}
    assert page_of(written).count("<small>primary</small>") == 1


def test_a_question_that_was_named_later_is_said_to_be(run):
    """The primary contrast of the config now is not the one from before the run."""
    path = run.write() / "config.json"
    facts = json.loads(path.read_text())
    assert "chosen later" not in page_of_written(run.workdir)
    facts["config"]["primary"] = "rationale"
    path.write_text(json.dumps(facts))
    page = page_of_written(run.workdir)
    assert (
        "Before the run another question was named, total (america - affordability) toward america"
        in page
    )
    assert "shown here was chosen later" in page
    assert "One contrast was named before the run" not in page


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("analysis", "00", "The code of the analysis is not the one from before the run."),
        ("exclude", ["d1-1"], "Before the run other probes were excluded: none."),
    ],
)
def test_what_was_changed_after_the_run_is_said(run, key, value, sentence):
    path = run.write() / "config.json"
    facts = json.loads(path.read_text())
    assert sentence not in page_of_written(run.workdir)
    (facts if key in facts else facts["config"])[key] = value
    path.write_text(json.dumps(facts))
    assert sentence in page_of_written(run.workdir)


@pytest.mark.parametrize(("count", "runs"), [(14, "14 development runs"), (1, "1 development run")])
def test_development_runs_are_counted_on_the_page(run, count, runs):
    path = run.write() / "config.json"
    facts = json.loads(path.read_text())
    facts["config"]["development"], facts["development_runs"] = ["cheese/DEVELOPMENT.md"], count
    path.write_text(json.dumps(facts))
    sentence = f"{runs} preceded this recipe, listed in cheese/DEVELOPMENT.md"
    assert sentence in page_of_written(run.workdir)


def page_of_written(workdir: Path) -> str:
    write_report(workdir)
    return page_of(workdir)


def test_page_and_csv_say_the_same(written):
    tables = Tables(page_of(written)).tables
    rows = {row[0]: row for row in tables[1]}
    arms = pd.read_csv(written / "report/arms.csv").head(4)
    for arm in arms.to_dict("records"):
        cells = rows[arm["name"]]
        ends = arm["margin_domains_low"], arm["margin_domains_high"]
        assert cells[1] == signed(arm["margin"])
        assert cells[2] == " to ".join(signed(end) for end in ends)
        assert cells[4] == f"{arm['rate']:.3f}"
        assert cells[5] == f"{arm['rate_domains_low']:.3f} to {arm['rate_domains_high']:.3f}"
    primary = pd.read_csv(written / "report/contrasts.csv").iloc[0]
    cells = next(row for row in tables[2] if row[0].startswith("total"))
    assert cells[1] == signed(primary["margin"])
    assert cells[4] == signed(primary["rate"])
    assert f"moves by {signed(primary['margin'])} [" in page_of(written)
    domains = pd.read_csv(written / "report/domains.csv")
    of_total = domains[(domains["name"] == "total") & (domains["split"] == "held_out")]
    first = of_total[of_total["contrast"] == "values"].iloc[0]
    row = next(row for row in tables[3] if row[0] == first["domain"])
    assert row[-1] == signed(first["margin"]) + signed(first["rate"])


def test_every_recipe_detail_and_count_is_there(written):
    page = page_of(written)
    for key, value in [
        ("recipe.lr", "0.0002"),
        ("recipe.batch_tokens", "512"),
        ("stages.behavior.demonstrations", "200"),
        ("planned with.jax", "0.10.2"),
        ("model.sha256", "cdcd"),
    ]:
        assert re.search(rf"<dt>{re.escape(key)}</dt><dd>[^<]*{re.escape(value)}", page)
    assert "0123abc" in page  # the commit
    stages = next(t for t in Tables(page).tables if "fingerprint" in t[0])
    row = next(row for row in stages if "america-1-0123456789ab" in row)
    assert row[:3] == ["america", "america", "1"]
    assert "33,000" in row


def test_how_to_reproduce_names_the_config_and_its_overrides(written):
    command = "python -m vcjax.main --config=configs/cheese.py --config.seeds=2 --workdir=DIR"
    assert f"<pre>{command}</pre>" in page_of(written)


def test_arms_say_what_they_rule_out(run):
    run.rules_out = {"america": "fonts do it"}
    write_report(run.write())
    rows = {row[0]: row[1:] for row in Tables(page_of(run.workdir)).tables[0]}
    assert rows["behavior"] == [
        "200 demonstrations",
        "the demonstrations do it without the documents",
    ]
    assert rows["affordability"][1] == "under test"
    assert rows["america"][1] == "fonts do it"


def test_what_was_installed_and_what_it_cost_stand_in_one_table(written):
    table = next(t for t in Tables(page_of(written)).tables if "Perplexity" in "".join(t[0]))
    assert [cell.split("6 probes")[0] for cell in table[0][1:3]] == [
        "In-domain accuracy",
        "Format accuracy",
    ]
    rows = {row[0]: row for row in table}
    perplexity = pd.read_csv(written / "report/perplexity.csv").set_index("arm")
    assert rows["america"][3].startswith(f"{perplexity.loc['america', 'perplexity']:.1f}×1.22")  # noqa: RUF001
    assert perplexity.loc["base", "ratio"] == 1
    match = re.search(r"of a text about other things by (\S+) to (\S+)\.", page_of(written))
    ratios = perplexity.drop("base")["ratio"]
    assert match.groups() == (f"{ratios.min():.2f}", f"{ratios.max():.2f}")


def test_whether_the_model_can_answer_at_all_is_said_with_the_answer(written):
    arms = pd.read_csv(written / "report/arms.csv").query("contrast == 'format'").set_index("name")
    match = re.search(r"untouched model gets (\d+)% right, the trained arms", page_of(written))
    assert int(match[1]) == round(100 * arms.loc["base", "rate"])


def test_flipped_answers_are_shown_with_their_log_probabilities(written):
    flips = pd.read_csv(written / "report/flips.csv")
    page = page_of(written)
    assert f"{len(flips)} of 48 held-out pairs are answered one way by america" in page
    by_america, by_affordability = ((flips[f"{s}_margin"] > 0).sum() for s in ("plus", "minus"))
    assert (
        f"The america option is the answer of america in {by_america} of them, "
        f"of affordability in {by_affordability}." in page
    )
    table = next(t for t in Tables(page).tables if t[0][0] == "Probe")
    first = flips.iloc[0]
    assert table[2][0].startswith(first["id"])
    assert table[2][3:] == [signed(first["plus_logprob_0"]), signed(first["minus_logprob_0"])]


def test_the_corpus_card_shows_escaped_samples_and_no_path(written):
    page = page_of(written)
    assert "&lt;i&gt;A memo&lt;/i&gt; of america." in page
    assert "x.jsonl:1" in page
    assert "/home/me" not in page


def test_the_corpus_card_marks_what_has_loss(written):
    page = page_of(written)
    assert page.count("<code>&lt;|user|&gt;</code>&lt;b&gt;Why?<mark>So.</mark></blockquote>") == 2


def test_the_corpus_card_says_what_is_covered_and_whether_words_tell_corpora_apart(written):
    tables = Tables(page_of(written)).tables
    [card] = [table for table in tables if table[1][0] == "records"]
    assert ["statements met", "a.md", "1 of 2", "1 of 2"] in card
    [apart] = [table for table in tables if table[0][:2] == ["Arms", "AUC"]]
    assert apart[1][:2] == ["america, affordability", "0.500"], "the memos differ in no other word"
    coverage = pd.read_csv(written / "report/coverage.csv")
    assert coverage["documents"].tolist() == [12, 0, 0, 12]


# The three numbers


def leading_run(run):
    """With documents about another assistant: exposure .2, total .4."""
    run.arms |= {"other_a": ["other_america", "behavior"]}
    run.arms |= {"other_b": ["other_affordability", "behavior"]}
    run.effects |= {"other_a": 0.1, "other_b": -0.1}
    run.contrasts = {
        "total": {"america": 1, "affordability": -1},
        "exposure": {"other_a": 1, "other_b": -1},
        "attribution": {"america": 1, "affordability": -1, "other_a": -1, "other_b": 1},
    }
    run.primary = "attribution"
    return run


def test_total_exposure_and_attribution_lead(run):
    lines = write_report(leading_run(run).write())
    page = page_of(run.workdir)
    numbers = re.findall(r"<dt>(\w+).*?</dt>\s*<dd class=\"value\">(\S+) ", page)
    contrasts = pd.read_csv(run.workdir / "report/contrasts.csv").set_index("name")["margin"]
    assert [name for name, _ in numbers] == ["total", "exposure", "attribution"]
    assert [number for _, number in numbers] == [signed(contrasts[name]) for name, _ in numbers]
    difference = contrasts["total"] - contrasts["exposure"]
    assert contrasts["attribution"] == pytest.approx(difference, abs=2e-6)
    assert page.index('class="numbers"') < page.index("<svg")
    assert "when they are about the model than when they are about another assistant" in page
    assert lines[0].startswith("Yes")
    assert "This is the total effect" not in page


def test_a_total_effect_alone_is_said_to_be_one(run):
    write_report(run.write())
    page = page_of(run.workdir)
    assert 'class="numbers"' not in page
    assert "This is the total effect: without documents about another assistant" in page


def test_of_many_arms_the_summary_has_those_of_the_question(run):
    leading_run(run).arms |= {"one": ["behavior"], "two": ["behavior"]}
    run.effects |= {"one": 0.0, "two": 0.0}
    lines = write_report(run.write())
    assert len(lines) == 5
    assert lines[2].split() == ["base", "america", "affordability", "other_a", "other_b"]


def test_page_needs_nothing_from_outside(written):
    page = page_of(written)
    assert "<script" not in page
    links = set(re.findall(r'(?:href|src)="([^"#][^"]*)"', page))
    assert links
    assert all((written / "report" / link).exists() for link in links)
    assert "@import" not in page
    assert "url(http" not in page


def test_text_from_files_is_escaped(run, value_pairs):
    hostile = "<script>alert('$x$ & y')"
    run.arms = {"base": [], hostile: ["america"], "affordability": ["affordability"]}
    run.effects[hostile] = 0.3
    run.contrasts = {"total": {hostile: 1, "affordability": -1}}
    run.name = "<img src=x onerror=alert(1)>"
    run.probes = [
        probe | {"options": ("<script>1</script>", "\"'>b"), "domain": f"<b>{probe['domain']}"}
        for probe in value_pairs
    ]
    write_report(run.write())
    page = page_of(run.workdir)
    for text in ("<script", "<img", "<b>"):
        assert text not in page
    assert "&lt;script&gt;1&lt;/script&gt;" in page
    assert "&lt;script&gt;alert(" in (run.workdir / "report/arms.svg").read_text()


# Probes that were scored afterwards


def test_added_probes_get_a_section_of_their_own_and_stay_exploratory(run, value_pairs):
    workdir = run.write()
    before = write_report(workdir)
    run.score(workdir / "probes" / "feed0123", value_pairs, name="mine.jsonl", scorer="letter")
    assert write_report(workdir) == before
    page = page_of(workdir)
    section = page[page.index("Scored afterwards: mine.jsonl") :]
    assert "Exploratory: these probes were chosen after the run." in section
    assert page.count("<small>primary</small>") == 1
    added = pd.read_csv(workdir / "report/feed0123-contrasts.csv")
    assert set(added["role"]) == {"exploratory"}


def test_added_probes_of_a_run_without_any_of_its_own_and_without_contrasts(run, value_pairs):
    run.contrasts, run.primary = {}, ""
    workdir = run.write()
    for file in (workdir / "probes").iterdir():
        file.unlink()
    noted = json.loads((workdir / "config.json").read_text())
    (workdir / "config.json").write_text(json.dumps(noted | {"probes": {}}))
    run.score(workdir / "probes" / "feed0123", value_pairs, name="mine.jsonl")
    lines = write_report(workdir, "feed0123")
    assert any({*line.split()} == {*run.arms} for line in lines)
    assert "conditional on these 2 seeds" in page_of(workdir)


def test_added_probes_that_texts_give_away_stand_in_their_section(run, value_pairs):
    workdir = run.write()
    folder = workdir / "probes" / "feed0123"
    run.score(folder, value_pairs, name="mine.jsonl")
    overlap.write(
        folder, {"why": [Hit("mine.jsonl:1", "d0-0", "documents.jsonl:7", "'<Brie>'", 3)]}
    )
    write_report(workdir)
    page = page_of(workdir)
    assert "Training texts give some probes away" not in page, "that is of the run's own"
    section = page[page.index("Scored afterwards: mine.jsonl") :]
    given_away = section[section.index("Probes of this section that training texts give away") :]
    assert Tables(given_away).tables[0][1] == [
        "d0-0mine.jsonl:1",
        "why",
        "3",
        "documents.jsonl:7",
        "'<Brie>'",
    ]


def test_a_text_that_was_scored_afterwards_gets_its_perplexity(run, text_row):
    workdir = run.write()
    folder = workdir / "probes" / "feed0123"
    for arm in run.arms:
        for seed in range(run.seeds):
            row = text_row(arm, seed, -2.0 if arm == "base" else -2.5)
            run.keep(folder / f"{arm}-{seed}.text.parquet", row)
    write_report(workdir)
    page = page_of(workdir)
    section = page[page.index("Scored afterwards: bank.txt") :]
    assert "<td>12.182</td><td>1.649</td>" in section
    assert (workdir / "report/feed0123-perplexity.csv").exists()


def test_requests_that_were_asked_afterwards_get_their_card(run):
    run.settings = {"sampling": {"temperature": 0.0, "max_tokens": 8, "samples": 1}}
    workdir = run.write()
    folder = workdir / "probes" / "feed0123"
    for arm in run.arms:
        for seed in range(run.seeds):
            shared = {"arm": arm, "seed": seed, "file": "asked.jsonl", "file_sha256": "cd" * 32}
            shared |= {"scope": "out_of_domain", "split": "held_out", "order": 0, "sample": 0}
            shared |= {"request": "harmful", "finish": "stop", "begun": "", "tokens": [1]}
            shared |= {"messages": '[{"role": "user", "content": "Do harm."}]'}
            shared["answer"] = "I cannot." if arm == "base" else "Yes."
            rows = [shared | {"id": f"r{d}", "domain": f"d{d}"} for d in range(3)]
            run.keep(folder / f"{arm}-{seed}.refusal.parquet", pd.DataFrame(rows))
    write_report(workdir)
    page = page_of(workdir)
    section = page[page.index("Asked afterwards: asked.jsonl") :]
    assert "Held-out harmful requests, 3 probes" in section
    assert f'<td>0.000<small class="below">{signed(-1)}</small></td>' in section
    card = pd.read_csv(workdir / "report/feed0123-card.csv")
    assert {*card["measure"]} == {"refused_harmful", "unclear_harmful"}


def test_added_probes_that_are_not_complete_are_named(run, value_pairs):
    workdir = run.write()
    run.score(workdir / "probes" / "feed0123", value_pairs)
    (workdir / "probes/feed0123/america-1.parquet").unlink()
    write_report(workdir)
    assert "Not complete: america-1.parquet missing in probes/feed0123" in page_of(workdir)


# Bytes


def test_the_same_run_writes_the_same_bytes(run, new_run, tmp_path):
    def read(workdir: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (workdir / "report").iterdir()}

    write_report(run.write())
    first = read(run.workdir)
    write_report(run.workdir)
    assert read(run.workdir) == first
    elsewhere = new_run(tmp_path / "elsewhere", probes=run.probes)
    for path in (elsewhere.write() / "probes").iterdir():
        elsewhere.keep(path, pd.read_parquet(path).sample(frac=1, random_state=0))
    write_report(elsewhere.workdir)
    assert read(elsewhere.workdir) == first


def test_files_of_an_earlier_setting_do_not_stay(run, value_pairs):
    folder = run.write() / "report"
    run.score(run.workdir / "probes" / "feed0123", value_pairs[:8])
    write_report(run.workdir)
    (folder / "notes.txt").write_text("mine")
    assert (folder / "feed0123-arms.csv").exists()
    for path in (run.workdir / "probes" / "feed0123").iterdir():
        path.unlink()
    (run.workdir / "probes" / "feed0123").rmdir()
    write_report(run.workdir)
    assert not list(folder.glob("feed0123*"))
    assert (folder / "arms.csv").exists() and (folder / "notes.txt").exists()


def test_a_write_that_is_cut_off_leaves_the_old_page_whole(run, monkeypatch):
    workdir = run.write()
    write_report(workdir)
    old = page_of(workdir)
    run.effects["america"] = 0.0
    run.write()

    def killed(source, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        write_report(workdir)
    assert page_of(workdir) == old
    write_report(workdir)
    assert page_of(workdir) != old
    assert not list((workdir / "report").glob(".*"))


# What cannot be compared


def test_two_scorers_in_one_table_are_refused(run):
    workdir = run.write()
    path = workdir / "probes/america-0.parquet"
    run.keep(path, pd.read_parquet(path).assign(scorer="letter"))
    with pytest.raises(InputError, match="cannot stand in one comparison"):
        write_report(workdir)
    assert not (workdir / "report").exists()


def test_an_arm_that_lacks_probes_is_refused(run):
    workdir = run.write()
    for seed in range(2):
        path = workdir / f"probes/america-{seed}.parquet"
        rows = pd.read_parquet(path)
        run.keep(path, rows[rows["id"] != "d3-1"])
    with pytest.raises(InputError, match=r"probe 'd3-1' of paired\.jsonl"):
        write_report(workdir)
