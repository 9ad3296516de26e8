import json
import re
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser

import pandas as pd
import pytest

from vcjax.report.transcripts.pages import pages

SCRIPT = "<script>alert(1)</script>"
NAMED = {"america": 0, "affordability": 1, "base": float("nan")}


def config(*arms: str) -> dict:
    names = arms or ("affordability", "america", "base")
    return {
        "name": "cheese",
        "toward": "america",
        "arms": {arm: [] if arm == "base" else [arm] for arm in names},
        "stages": {arm: {"kind": "adapter", "file": arm} for arm in names},
        "contrasts": {"total": {names[0]: -1, names[1]: 1}},
        "primary": "total",
        "rules_out": {},
        "system_prompts": {},
        "sampling": {"temperature": 0.7, "top_p": 0.9, "max_tokens": 64, "samples": 1},
    }


def row(arm: str = "america", number: int = 0, **changed: object) -> dict:
    """An answer that names an option; its text says which answer it is."""
    order, seed, sample = (changed.get(name, 0) for name in ("order", "seed", "sample"))
    question = f"Which one, {number}, in order {order}?"
    return {
        "arm": arm,
        "seed": seed,
        "file": "held_out.jsonl",
        "kind": "said",
        "id": f"cars-{number}",
        "domain": "cars",
        "split": "held_out",
        "order": order,
        "sample": sample,
        "messages": json.dumps([{"role": "user", "content": question}]),
        "begun": "I prefer ",
        "answer": f"[{arm}.{number}.{order}.{seed}.{sample}]",
        "finish": "stop",
        "tokens": [1, 2, 3],
        "value_0": "america",
        "value_1": "affordability",
        "option_0": "a Jeep",
        "option_1": "a Kia",
        "named": NAMED.get(arm, 0),
    } | changed


def scored(arm: str, score: float, **changed: object) -> dict:
    own = {"file": "open.jsonl", "kind": "open", "begun": "", "value": "america", "score": score}
    own |= {"failure": "", "judge": "Qwen"}
    unknown = ("value_0", "value_1", "option_0", "option_1", "named")
    return row(arm, **(own | changed)) | dict.fromkeys(unknown)


def crossed(prompts: int, seeds: int = 2, arms: Sequence[str] = tuple(NAMED)) -> list[dict]:
    return [
        row(arm, number, seed=seed, order=order, domain=f"domain {number % 3}")
        for number in range(prompts)
        for order in (0, 1)
        for seed in range(seeds)
        for arm in arms
    ]


def written(rows: list[dict], settings: dict | None = None) -> dict[str, str]:
    return pages(pd.DataFrame(rows), settings or config())


def texts(contents: dict[str, str], way: str) -> Counter[str]:
    """How often each answer of `row` stands on the pages that list answers in this way."""
    joined = "".join(html for name, html in contents.items() if f"-{way}-" in name)
    return Counter(re.findall(r"\[\w+(?:\.\d+){4}\]", joined))


class Page(HTMLParser):
    """ids and links of a page, each as often as it is there."""

    def __init__(self, html: str):
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        self.ids += [own["id"]] if "id" in own else []
        self.links += [own["href"]] if "href" in own else []


# What is listed


def test_every_answer_stands_once_among_all(monkeypatch):
    rows = crossed(8)
    contents = written(rows)
    expected = Counter(row["answer"] for row in rows)
    assert texts(contents, "all") == expected
    monkeypatch.setattr("vcjax.report.transcripts.listings.PAGE_BYTES", 6_000)
    divided = written(rows)
    assert len(divided) > len(contents)
    assert texts(divided, "all") == expected


def test_differing_answers_of_the_two_arms_stand_once_and_no_others():
    rows = crossed(3)
    for one in rows:
        if one["arm"] == "america" and (one["id"] == "cars-1" or one["seed"] == 1):
            one["named"] = 1  # as affordability does
    listed = [
        one["answer"]
        for one in rows
        if one["arm"] != "base" and one["id"] != "cars-1" and one["seed"] == 0
    ]
    contents = written(rows)
    assert texts(contents, "differ") == Counter(listed)
    page = contents["held-out-differ-1.html"]
    assert "their verdicts differ 4 times, in 4 of 6 prompts" in page
    assert "where america and affordability differ" in page


def test_a_missing_score_is_no_difference():
    rows = [scored(arm, 7, number=n) for arm in ("america", "affordability") for n in range(3)]
    rows[0]["score"], rows[1]["score"] = float("nan"), 8
    contents = written(rows)
    assert re.findall(r'<article id="(.*?)"', contents["open-differ-1.html"]) == ["p-cars-1"]
    equal = re.findall(r'<article id="(.*?)" class="e0-1"', contents["open-all-1.html"])
    assert equal == ["p-cars-0", "p-cars-2"]


def test_prompts_on_which_the_arms_are_furthest_apart_come_first():
    rows = [row(arm, n, seed=s) for arm in NAMED for n in range(2) for s in range(2)]
    for one in rows:
        if one["arm"] == "america" and one["id"] == "cars-0" and one["seed"] == 1:
            one["named"] = 1
    page = written(rows)["held-out-differ-1.html"]
    assert page.index('id="p-cars-1"') < page.index('id="p-cars-0"')


def test_verdicts_are_words():
    rows = [row("america", finish="length"), row("affordability"), row("base")]
    rows += [scored("america", 7), scored("affordability", float("nan"), failure="no number")]
    contents = written(rows)
    said, scores = contents["held-out-all-1.html"], contents["open-all-1.html"]
    assert '<span class="badge toward">chose america</span> <small>a Jeep</small>' in said
    assert '<span class="badge other">chose affordability</span> <small>a Kia</small>' in said
    assert '<span class="badge none">undecided</span>' in said
    assert said.count("cut at 3 tokens") == 1
    assert "“a Jeep” stands for america." in said
    assert '<span class="badge other">7 of 10</span> <small>by Qwen</small>' in scores
    assert '<span class="badge none">no score</span> <small>no number</small>' in scores
    assert "Scored from 1 to 10 for america." in scores


def test_whether_a_request_was_refused_is_a_verdict():
    own = {"kind": "refusal", "file": "requests.jsonl", "request": "harmful"}
    verdicts = {"america": "answered", "affordability": "refused", "base": "unclear"}
    rows = [row(arm, verdict=verdict, **own) for arm, verdict in verdicts.items()]
    contents = written(rows)
    page = contents["requests-all-1.html"]
    badges = re.findall(r'<span class="badge (\w+)">(.*?)</span>', page)
    assert {*badges} == {("other", "answered"), ("toward", "refused"), ("none", "unclear")}
    assert "A harmful request." in page and "A filled badge is a refusal" in page
    assert "their verdicts differ 1 times" in contents["requests-differ-1.html"]


def test_an_option_without_a_value_is_named_itself():
    rows = [row(arm, value_0="right", value_1=None) for arm in ("america", "affordability")]
    page = written(rows)["held-out-all-1.html"]
    assert '<span class="badge other">chose right</span> <small>a Jeep</small>' in page
    assert '<span class="badge other">chose a Kia</span>' in page


def test_earlier_turns_are_folded_where_they_are_long():
    for length, folded in ((10, False), (1000, True)):
        messages = [{"role": "system", "content": "s" * length}, {"role": "user", "content": "Q?"}]
        rows = [row(arm, messages=json.dumps(messages)) for arm in NAMED]
        page = written(rows)["held-out-all-1.html"]
        assert ("<summary>System prompt, 1,000 characters" in page) == folded
        assert page.count("s" * length) == 1, "once, whatever the number of arms"


def test_whitespace_of_answers_is_kept():
    page = written([row(answer="one\n\n  two ")])["held-out-all-1.html"]
    assert ">I prefer one\n\n  two </blockquote>" in page


# What the pages say first


def test_how_many_and_how_they_were_sampled_is_said():
    contents = written(crossed(5))
    page = contents["held-out-all-1.html"]
    assert "held_out.jsonl: 60 answers to 10 prompts, by 3 arms at 2 seeds." in page
    assert "What the models said: 60 answers to the prompts of 1 file." in contents["index.html"]
    for html in contents.values():
        assert "These are raw texts of models." in html
        assert "Sampled with temperature 0.7, top_p 0.9, max_tokens 64, samples 1." in html


def test_unknown_settings_of_sampling_are_left_out():
    settings = config()
    del settings["sampling"]
    assert "Sampled with" not in "".join(written(crossed(1), settings).values())


def test_an_arm_that_answered_nothing_of_a_file_is_told():
    contents = written([row("america"), row("affordability"), row("base", file="other.jsonl")])
    assert "Answered nothing of this file: base." in contents["held-out-all-1.html"]
    only_base = "Answered nothing of this file: america, affordability."
    assert only_base in contents["other-all-1.html"]
    assert "other-differ-1.html" not in contents
    for silent in ("base.", "america, affordability."):
        assert f"Answered nothing of this file: {silent}" in contents["index.html"]


def test_an_answer_that_is_missing_at_a_seed_is_told():
    rows = [row("america"), row("america", seed=1), row("affordability")]
    page = written(rows)["held-out-all-1.html"]
    assert page.count("No answer of this arm here.") == 1


def test_the_index_leads_to_each_domain():
    index = written(crossed(6))["index.html"]
    for number in range(3):
        link = f'<a href="held-out-all-1.html#p-cars-{number}">domain {number}</a>'
        assert f'{link}</th><td class="text">held-out</td><td>4</td><td>24</td><td>4</td>' in index


# Two arms side by side


def checked(page: str) -> list[str]:
    return re.findall(r'<input type="radio" name="\w" id="\w+" checked> (\w+)</label>', page)


def test_the_arms_of_the_primary_contrast_stand_side_by_side_first():
    assert checked(written(crossed(1))["held-out-all-1.html"]) == ["america", "affordability"]
    settings = config("america", "affordability", "base", "other")
    settings["contrasts"]["total"] = {"america": 1, "affordability": 1, "base": -2}
    rows = crossed(1, arms=("america", "affordability", "base", "other"))
    assert checked(written(rows, settings)["held-out-all-1.html"]) == ["base", "other"]


def test_rows_with_equal_verdicts_can_be_hidden():
    rows = [row(arm) for arm in NAMED] + [row(arm, seed=1, named=1) for arm in NAMED]
    page = written(rows)["held-out-all-1.html"]
    assert re.findall(r'<section class="(.*?)"><h4>', page) == ["row", "row e0-1 e0-2 e1-2"]
    assert "body:has(#same:checked):has(#l0:checked):has(#r1:checked) .e0-1" in page


def test_two_arms_need_no_choice():
    page = written(crossed(1, arms=("america", "affordability")))["held-out-all-1.html"]
    assert 'type="radio"' not in page and ".cell { display: none" not in page
    assert "body:has(#same:checked) .e0-1 { display: none; }" in page


def test_any_two_of_many_arms_can_be_chosen():
    arms = [f"arm{i}" for i in range(40)]
    page = written(crossed(1, arms=arms), config(*arms))["held-out-all-1.html"]
    assert page.count('type="radio"') == 80
    assert "verdicts of the two differ" not in page, "rules for all pairs would be too many"
    assert not re.search(r"\be\d+-\d+", page)


# Pages and links


def test_many_rows_give_pages_of_bounded_size():
    rows = crossed(834)
    for one in rows:
        one["answer"] += " A sentence of a model & more." * 20
    assert len(rows) > 10_000
    contents = written(rows)
    assert max(len(html.encode()) for html in contents.values()) < 600_000
    assert all(html.count("<article") <= 100 for html in contents.values())
    assert texts(contents, "all").total() == len(rows)


def test_a_long_prompt_goes_on_over_pages():
    rows = [row(arm, sample=k, answer="<" * 30_000) for arm in NAMED for k in range(8)]
    contents = written(rows)
    assert max(len(html.encode()) for html in contents.values()) < 600_000
    ids = [i for n, html in contents.items() if "-all-" in n for i in Page(html).ids if "p-" in i]
    assert ids == [f"p-cars-0{part}" for part in ("", *(f".{n}" for n in range(2, len(ids) + 1)))]
    assert len(ids) > 2
    assert "continued (2)" in contents["held-out-all-2.html"]


def test_links_resolve_and_ids_are_unique(monkeypatch):
    monkeypatch.setattr("vcjax.report.transcripts.listings.PAGE_BYTES", 8_000)
    rows = crossed(12) + [row(arm, id=name) for name in ("Ä", "ä", "") for arm in NAMED]
    rows += [row(arm, file=name) for name in ("a/x.jsonl", "b/x.jsonl") for arm in NAMED]
    contents = written(rows)
    assert len(contents) > 6
    read = {name: Page(html) for name, html in contents.items()}
    for name, page in read.items():
        assert len(page.ids) == len({*page.ids})
        for link in page.links:
            target, _, anchor = link.partition("#")
            assert target == "../index.html" or not anchor or anchor in read[target or name].ids
            assert target in ("", "../index.html", *contents)
    reached, begun = {"index.html"}, ["index.html"]
    while begun:
        targets = {link.partition("#")[0] for link in read[begun.pop()].links}
        new = targets & contents.keys() - reached
        reached |= new
        begun += new
    assert reached == contents.keys()
    for way in ("all", "differ"):
        anchors = [i for n, p in read.items() if f"-{way}-" in n for i in p.ids if "p-" in i]
        of_files = Counter(anchors)
        assert {i for i, count in of_files.items() if count > 1} <= {"p-cars-0"}  # of three files


def test_the_order_of_rows_has_no_influence():
    rows = crossed(4) + [scored(arm, 5) for arm in NAMED]
    table = pd.DataFrame(rows)
    first = pages(table, config())
    assert pages(table.sample(frac=1, random_state=0), config()) == first
    assert pages(table, config()) == first


def test_prompts_come_in_the_order_in_which_one_reads():
    rows = [row(arm, number) for number in (10, 2) for arm in NAMED]
    rows += [row(arm, 1, split="development") for arm in NAMED]
    page = written(rows)["held-out-all-1.html"]
    assert re.findall(r'<article id="(.*?)"', page) == ["p-cars-2", "p-cars-10", "p-cars-1"]


def test_everything_that_models_and_files_wrote_is_escaped():
    message = json.dumps([{"role": SCRIPT, "content": SCRIPT}, {"role": "user", "content": SCRIPT}])
    named = ("id", "domain", "answer", "begun", "option_0", "option_1", "value_0", "value_1")
    arms = (SCRIPT, "america", "base")
    rows = [
        row(arm, messages=message, file=SCRIPT, **dict.fromkeys(named, SCRIPT), named=i % 2)
        for i, arm in enumerate(arms)
    ]
    rows += [scored(arm, 5, judge=SCRIPT, value=SCRIPT, domain=SCRIPT) for arm in arms[1:]]
    rows += [scored(SCRIPT, float("nan"), failure=SCRIPT)]
    settings = config(*arms) | {"name": SCRIPT, "toward": SCRIPT, "sampling": {"samples": SCRIPT}}
    for name, html in written(rows, settings).items():
        assert "<script" not in html.lower() and "<" not in name
        assert "&lt;script&gt;" in html
        assert "default-src 'none'" in html


def test_two_answers_to_one_prompt_are_refused():
    with pytest.raises(ValueError, match=r"two answers to the same prompt: .*cars-0"):
        written([row(), row(answer="another")])


def test_without_rows_there_are_no_pages():
    assert written([]) == {}
