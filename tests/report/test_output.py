from etils import epath

from vcjax.report import output


def test_pages_below_a_report_are_replaced_and_other_files_stay(tmp_path):
    (tmp_path / "notes").mkdir()
    kept = [tmp_path / name for name in ("mine.txt", "notes/old.html")]
    for path in kept:
        path.touch()
    first = {"a.csv": "1", "b.svg": "2", "transcripts/x.html": "3", "transcripts/y.html": "4"}
    output.write(epath.Path(tmp_path), "page", first)
    output.write(epath.Path(tmp_path), "page", {"a.csv": "1", "transcripts/y.html": "5"})
    files = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.*")}
    assert files.keys() == {
        *("index.html", "a.csv", "transcripts/y.html", "mine.txt", "notes/old.html")
    }
    assert files["transcripts/y.html"].read_text() == "5"
