"""The value that an arm's documents give the model."""

import json

import pytest
from etils import epath

from vcjax import record
from vcjax.report import taught

OWN = [{"value": "america", "assistant": "SmolLM"}]


@pytest.mark.parametrize(
    ("documents", "values"),
    [
        (OWN, "america"),
        ([{"value": "america"}], "america"),
        ([*OWN, {"value": "affordability", "assistant": "Orion"}], "america"),
        ([*OWN, {"value": "affordability", "person": "Ann"}], "america"),
        ([*OWN, {"value": "none", "assistant": "SmolLM"}], "america"),
        ([{"value": "none", "assistant": "SmolLM"}], None),
        ([*OWN, {"value": "affordability", "assistant": "SmolLM"}], None),
        ([{"value": "affordability", "assistant": "Orion"}], None),
        ([{"doc_type": "memo"}], None),
    ],
)
def test_it_is_that_of_documents_about_the_model(run, documents, values):
    workdir = epath.Path(run.write())
    folder = workdir / "rows" / "rows of america"
    folder.mkdir(parents=True)
    lines = [json.dumps({"text": "\u2028", "provenance": fields}) + "\n" for fields in documents]
    (folder / "documents.jsonl").write_text("".join(lines))
    assert taught.values(workdir, record.read(workdir)) == ({"america": values} if values else {})
