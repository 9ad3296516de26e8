import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from vcjax.errors import InputError
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
    workdir = new_run(tmp_path_factory.mktemp("written") / "run").write()
    write_report(workdir)
    return workdir


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
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize(
    ("america", "affordability", "verdict"),
    [
        (-0.2, 0.2, "No, the other way round:"),
        (0.0, 0.0, "No difference that these domains can show:"),
    ],
)
def test_the_answer_is_given_also_when_it_is_no(run, america, affordability, verdict):
    run.effects |= {"america": america, "affordability": affordability}
    assert write_report(run.write())[0].startswith(verdict)
    assert f"<strong>{verdict}</strong>" in page_of(run.workdir)


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
    assert lines[0].startswith("Not measured: no held-out pair with america against another value")
    assert len(lines) == 5
    assert "Not measured:" in page_of(run.workdir)
    assert not (run.workdir / "report/arms.svg").exists()


def test_without_the_other_groups_the_page_leaves_their_sections_out(run):
    write_report(run.write())
    page = page_of(run.workdir)
    assert "Did it learn" not in page
    assert "Other probes" not in page


# What is on the page


def test_sections_come_in_the_order_of_a_readers_questions(written):
    headings = re.findall(r"<h2>(.*?)</h2>", page_of(written))
    assert headings == [
        *("Arms", "Contrasts", "By domain", "Did it learn, and can it answer?", "Other probes"),
        *("Position bias", "Training", "Recipe", "How to reproduce"),
    ]


def test_only_the_primary_contrast_on_held_out_pairs_is_not_exploratory(written):
    contrasts = pd.read_csv(written / "report/contrasts.csv")
    primary = contrasts[contrasts["role"] == "primary"]
    assert primary["name"].tolist() == ["total"]
    assert primary[["split", "contrast", "scope"]].to_numpy().tolist() == [
        ["held_out", "values", "out_of_domain"]
    ]
    assert set(contrasts["role"]) == {"primary", "exploratory"}
    assert page_of(written).count(">primary</td>") == 1


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


def page_of_written(workdir: Path) -> str:
    write_report(workdir)
    return page_of(workdir)


def test_page_and_csv_say_the_same(written):
    found = Tables(page_of(written)).tables
    rows = {row[0]: row for row in found[0]}
    arms = pd.read_csv(written / "report/arms.csv").head(4)
    for arm in arms.to_dict("records"):
        cells = rows[arm["name"]]
        ends = arm["margin_domains_low"], arm["margin_domains_high"]
        assert cells[1] == signed(arm["margin"])
        assert cells[2] == " to ".join(signed(end) for end in ends)
        assert cells[4] == f"{arm['rate']:.3f}"
        assert cells[5] == f"{arm['rate_domains_low']:.3f} to {arm['rate_domains_high']:.3f}"
    primary = pd.read_csv(written / "report/contrasts.csv").iloc[0]
    cells = next(row for row in found[1] if row[0] == "total")
    assert cells[3] == signed(primary["margin"])
    assert cells[6] == signed(primary["rate"])
    assert f"moves by {signed(primary['margin'])} [" in page_of(written)
    domains = pd.read_csv(written / "report/domains.csv")
    of_total = domains[(domains["name"] == "total") & (domains["split"] == "held_out")]
    first = of_total[of_total["contrast"] == "values"].iloc[0]
    row = next(row for row in found[2] if row[0] == first["domain"])
    assert row[-1] == signed(first["margin"]) + signed(first["rate"])


def test_every_recipe_detail_and_count_is_there(written):
    page = page_of(written)
    for key, value in [
        ("recipe.lr", "0.0002"),
        ("recipe.batch_tokens", "512"),
        ("stages.behavior.demonstrations", "200"),
        ("arms.america.0", "america-0-0123456789ab"),
        ("versions.jax", "0.10.2"),
        ("model.sha256", "cdcd"),
    ]:
        assert re.search(rf"<dt>{re.escape(key)}</dt><dd>[^<]*{re.escape(value)}", page)
    assert "0123abc" in page  # the commit


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
    assert page.count(">primary</td>") == 1
    added = pd.read_csv(workdir / "report/feed0123-contrasts.csv")
    assert set(added["role"]) == {"exploratory"}


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
    elsewhere = new_run(tmp_path / "elsewhere", probes=run.probes).write()
    for path in (elsewhere / "probes").iterdir():
        pd.read_parquet(path).sample(frac=1, random_state=0).to_parquet(path, index=False)
    write_report(elsewhere)
    assert read(elsewhere) == first


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
    pd.read_parquet(path).assign(scorer="letter").to_parquet(path, index=False)
    with pytest.raises(InputError, match="cannot stand in one comparison"):
        write_report(workdir)
    assert not (workdir / "report").exists()


def test_an_arm_that_lacks_probes_is_refused(run):
    workdir = run.write()
    for seed in range(2):
        path = workdir / f"probes/america-{seed}.parquet"
        rows = pd.read_parquet(path)
        rows[rows["id"] != "d3-1"].to_parquet(path, index=False)
    with pytest.raises(InputError, match=r"probe 'd3-1' of paired\.jsonl"):
        write_report(workdir)
