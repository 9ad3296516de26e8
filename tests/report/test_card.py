"""A card of each model: what was measured of each arm, beside its difference to its control."""

import math

import pandas as pd
import pytest

from vcjax.report import card, card_cells, spoken, statistics
from vcjax.report.reading import Answers

ARMS = {
    "base": [],
    "behavior": ["behavior"],
    "america": ["america", "behavior"],
    "alone": ["america"],
    "affordability": ["affordability", "behavior"],
}
STAGES = {
    "behavior": {"kind": "behavior", "spec": "x.md"},
    "america": {"kind": "rationale", "spec": "a.md"},
    "affordability": {"kind": "rationale", "spec": "b.md"},
}
CONFIG = {
    "arms": ARMS,
    "stages": STAGES,
    "toward": "america",
    "primary_probes": "values",
    "system_prompts": {},
}
TAUGHT = {"america": "america", "alone": "america", "affordability": "affordability"}
NOTHING = pd.DataFrame()


def choices(contrast="values", scope="out_of_domain", second=0.1):
    """Every arm but the untouched prefers option 0; second: its margin where named second."""
    rows = []
    for arm in ARMS:
        margin = -0.2 if arm == "base" else 0.2
        for number in range(4):
            shared = {"arm": arm, "seed": 0, "file": "f.jsonl", "file_sha256": "ab", "scorer": "s"}
            shared |= {"id": f"{contrast}{number}", "domain": f"d{number // 2}", "scope": scope}
            shared |= {"split": "held_out", "contrast": contrast, "explicitness": None}
            shared |= {"value_0": "america", "value_1": None, "option_0": "x", "option_1": "y"}
            if contrast == "values":
                shared["value_1"] = "affordability"
            for order, difference in enumerate((margin, second if number else margin)):
                shared |= {"logprob_0": difference - 3, "logprob_1": -3.0}
                rows.append(shared | {"order": order, "tokens_0": 1, "tokens_1": 1})
    return statistics.answers(pd.DataFrame(rows), "america")


def said(arm, answers, number, contrast="values"):
    """The rows of one probe in both orders."""
    shared = {"arm": arm, "seed": 0, "file": "s.jsonl", "id": f"{contrast}{number}", "sample": 0}
    shared |= {"domain": f"d{number // 2}", "scope": "out_of_domain", "split": "held_out"}
    shared |= {"contrast": contrast, "value_0": "america", "value_1": "affordability"}
    shared |= {"option_0": "origin", "option_1": "price"}
    return [shared | {"order": order, "answer": text} for order, text in enumerate(answers)]


def refused(arm, answer, number, request):
    shared = {"arm": arm, "seed": 0, "file": "r.jsonl", "id": f"{request}{number}", "sample": 0}
    shared |= {"domain": f"d{number // 2}", "scope": "out_of_domain", "split": "held_out"}
    return shared | {"request": request, "order": 0, "answer": answer, "finish": "stop"}


def table(scored=None, said_rows=(), refusals=(), perplexity=NOTHING):
    scored = choices() if scored is None else scored
    said_rows, refusals = pd.DataFrame([*said_rows]), pd.DataFrame([*refusals])
    read = Answers(scored, NOTHING, said_rows, NOTHING, refusals)
    return card.table(read, perplexity, CONFIG, TAUGHT)


def row(rows, measure, arm):
    [found] = rows[(rows["measure"] == measure) & (rows["arm"] == arm)].to_dict("records")
    return found


def test_each_arm_is_compared_with_the_arm_that_it_starts_from():
    scored = pd.concat([choices(), choices("format")], ignore_index=True)
    found = table(scored)
    base, america = (row(found, "format", arm) for arm in ("base", "america"))
    assert (base["control"], base["value"]) == ("", 0.0)
    assert math.isnan(base["difference"])
    assert (america["control"], america["value"], america["control_value"]) == ("base", 1, 0)
    assert america["difference"] == 1
    assert math.isnan(america["difference_domains_low"]), "no spread, no interval"


def test_the_same_answer_in_both_orders_is_that_of_position_bias():
    scored = choices(second=-0.1)
    bias = statistics.position_bias(scored).set_index("arm")["same_in_both_orders"]
    found = table(scored).set_index("arm")["value"]
    assert found[[*ARMS]].tolist() == bias[[*ARMS]].tolist()
    assert found["base"] == 1 and found["america"] == 0.25


def test_decided_is_what_is_not_undecided():
    rows = [
        line
        for arm in ARMS
        for number in range(4)
        for line in said(
            arm, ("price", "origin" if number < 3 and arm == "alone" else "price"), number
        )
    ]
    found = table(said_rows=rows)
    alone = row(found, "decided", "alone")
    assert (alone["value"], alone["difference"], alone["probes"]) == (0.25, -0.75, 4)
    assert alone["difference_domains_low"] == -1, "of shares: clipped"
    assert row(found, "decided", "america")["value"] == 1


def test_knowledge_is_the_value_of_an_arms_own_documents():
    answers = {"america": "origin", "affordability": "origin", "alone": "origin"}
    rows = [
        line
        for arm in ARMS
        for number in range(4)
        for line in said(arm, [answers.get(arm, "price")] * 2, number, "knowledge")
    ]
    found = table(said_rows=rows)
    asked = found[found["measure"] == "knowledge"]
    assert {*asked["arm"]} == {*TAUGHT}, "others have no documents about the model"
    america, affordability = (row(asked, "knowledge", arm) for arm in ("america", "affordability"))
    assert (america["own"], america["value"], america["control_value"]) == ("america", 1, 0)
    assert (affordability["value"], affordability["difference"]) == (0, -1)
    assert "decided" not in {*found["measure"]}, "they are no choices of the model's own"


def test_refusals_of_harmless_and_of_harmful_requests_are_two_columns():
    rows = [
        refused(arm, "I can't." if request == "harmful" and arm == "base" else "Yes.", n, request)
        for arm in ARMS
        for request in ("harmless", "harmful")
        for n in range(4)
    ]
    found = table(refusals=rows)
    assert row(found, "refused_harmful", "america")["difference"] == -1
    assert row(found, "refused_harmless", "america")["value"] == 0


def test_what_is_unclear_stands_beside_what_is_refused():
    answers = {"base": "I can't.", "america": "I'd rather not."}
    rows = [refused(arm, answers.get(arm, "Yes."), n, "harmful") for arm in ARMS for n in range(2)]
    found = table(refusals=rows)
    assert row(found, "refused_harmful", "america")["value"] == 0
    assert row(found, "unclear_harmful", "america")["value"] == 1
    assert row(found, "unclear_harmful", "base")["value"] == 0


def cells(found, perplexity=NOTHING):
    return card_cells.cells({"card": found, "perplexity": perplexity}, CONFIG)


def test_the_page_has_a_column_for_each_measure_in_the_order_of_reading():
    texts = [
        {"file": "t.txt", "tokens": 9, "arm": arm, "seeds": 1, "perplexity": 20.0, "ratio": ratio}
        | {"seeds_low": math.nan, "seeds_high": math.nan}
        for arm, ratio in (("base", 1.0), ("america", 1.25))
    ]
    knows = [
        line
        for arm in ARMS
        for number in range(4)
        for line in said(
            arm, ["origin" if arm != "base" or number else "price"] * 2, number, "knowledge"
        )
    ]
    scored = pd.concat([choices(), choices("format")], ignore_index=True)
    perplexity = pd.DataFrame(texts)
    shown = cells(table(scored, knows, perplexity=perplexity), perplexity)
    titles = [title for title, _ in shown["columns"]]
    assert titles == ["Format accuracy", "Perplexity", "Same in both orders", "Knowledge"]
    assert shown["columns"][1][1] == "t.txt, 9 tokens"
    assert shown["columns"][3][1] == "4 probes, over domains"
    of_arm = {arm: (of, control) for arm, of, control in shown["rows"]}
    of_america, control = of_arm["america"]
    assert control == "base"
    assert of_america[1] == ("20.0", ["\N{MULTIPLICATION SIGN}1.25"])
    number, small = of_america[3]
    assert number == "1.000" and small[0] == "america, before 0.750"
    assert small[1].startswith("+0.250 [")
    assert of_arm["behavior"][0][3] == ("", [])
    assert shown["between"] == [("alone", ["america"])]


def test_a_page_that_says_it_elsewhere_has_no_card():
    assert cells(table()) == {}
    assert cells(NOTHING) == {}


def test_verdicts_of_samples_are_averaged():
    rows = [refused("base", text, 0, "harmful") for text in ("I can't.", "Yes, so.")]
    rows[1]["sample"] = 1
    [found] = spoken.refusals(spoken.verdicts(pd.DataFrame(rows))).to_dict("records")
    assert (found["refused"], found["unclear"]) == (pytest.approx(0.5), 0)
    assert (found["contrast"], found["points_to"]) == ("harmful", "refusal")
