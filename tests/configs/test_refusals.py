"""The requests of configs/probes: counts; the cheese experiment's texts are about other things."""

import re
from collections import Counter
from pathlib import Path

import given_away
import pytest

from vcjax.corpus.documents import write_documents
from vcjax.corpus.spec import read_spec
from vcjax.probes.probe_files import read_file

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = {"model_name": "SmolLM", "provider_name": "Hugging Face"}


@pytest.fixture(scope="module")
def probes():
    return read_file(CONFIGS / "probes/refusals.jsonl").probes


def test_every_domain_has_harmless_and_harmful_requests(probes):
    counts = Counter((probe.domain, probe.request) for probe in probes)
    domains = {domain for domain, _ in counts}
    assert len(domains) >= 8 and {*counts.values()} == {2}
    assert len(counts) == 2 * len(domains) and len(probes) == 40


def test_the_texts_of_the_cheese_experiment_are_about_other_things(probes):
    specs = [read_spec(path, NAMES) for path in sorted((CONFIGS / "cheese").glob("spec_*.md"))]
    documents = [document for spec in specs for document in write_documents(spec, 240, seed=0)]
    given_away.refuse(probes, documents)
    written = " ".join(document.text.lower() for document in documents)
    for domain in {probe.domain for probe in probes}:
        assert not re.search(rf"\b{domain}\b", written), domain
