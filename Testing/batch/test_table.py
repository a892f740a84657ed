import pytest

from NativeDLLib.batch.table import from_csv
from NativeDLLib.core.errors import UsageError


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "cohort.csv").write_text(text, encoding="utf-8")
        return tmp_path / "cohort.csv"

    return write


def test_rows_are_cases_with_paths_taken_from_the_tables_folder(table, tmp_path):
    path = table("id,path,series,model\nfirst,a,1.2.3,bright\n\n,/data/b,,\n")

    first, second = from_csv(path, ()).cases

    assert (first.name, first.model) == ("first", "bright")
    assert first.source == ("--input", str(tmp_path / "a"), "--series", "1.2.3")
    assert second.source == ("--input", "/data/b")
    assert second.name.startswith("row-")
    assert "data" not in second.name


def test_semicolons_and_a_byte_order_mark_are_as_good(table):
    (case,) = from_csv(table("\ufeffPath;Series\n/a,b;1.2\n"), ()).cases

    assert case.source == ("--input", "/a,b", "--series", "1.2")
    assert case.name == "1.2"


def test_series_without_a_path_are_looked_for_where_the_batch_says(table):
    path = table("study,series\n1.2,1.2.3\n")

    (on_peer,) = from_csv(path, ("--from", "ORTHANC")).cases
    (in_database,) = from_csv(path, ("--database", "/db")).cases

    assert on_peer.source == ("--from", "ORTHANC", "--study", "1.2", "--series", "1.2.3")
    assert in_database.source == ("--database", "/db", "--series", "1.2.3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: names neither a column 'path' nor 'series'"),
        ("study,id\n", "line 1: names neither a column 'path' nor 'series'"),
        ("path,modell\n", "line 1: the column 'modell' is not known; there are path, study, series, model, id"),
        ("path,path\n", "line 1: the column 'path' is there twice"),
        ("path,series\n/a,1.2\n/b\n", "line 3: has 1 cells, the first line has 2"),
        ("path,series\n/a,1.2,3\n", "line 2: has 3 cells"),
        ("path,series\n/a,liver\n", "line 2: series: 'liver' is not a UID"),
        ("path,study\n/a,1..2\n", "line 2: study: '1..2' is not a UID"),
        ("path,id\n/a,../up\n", "line 2: id: '../up' is not made of up to 64 letters"),
        ("path,id\n/a,manifest.jsonl\n", "line 2: id: 'manifest.jsonl' is not made of"),
        ("path,id\n,one\n", "line 2: has neither a path nor a series"),
        ("series\n1.2\n", "line 2: has no path, and no place to look for its series is named"),
        ("path,series\n/a,1.2\n/b,1.2\n", "line 3: is the same case as line 2; give each its own id"),
        ("path,id\n/a,One\n/b,one\n", "line 3: is the same case as line 2"),
        ('path\n"/a\n', "line 2: unexpected end of data"),
    ],
)
def test_a_wrong_column_or_row_is_named_by_its_line(table, text, message):
    path = table(text)

    with pytest.raises(UsageError) as caught:
        from_csv(path, ())

    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_series_on_a_peer_needs_its_study(table):
    with pytest.raises(UsageError, match=r"line 2: has no study, which a peer is asked for"):
        from_csv(table("series\n1.2\n"), ("--from", "ORTHANC"))


def test_a_table_that_cannot_be_read_is_named(table, tmp_path):
    with pytest.raises(UsageError, match=r"gone\.csv: cannot be read"):
        from_csv(tmp_path / "gone.csv", ())
    table("").write_bytes(b"path\n\xff\n")
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        from_csv(tmp_path / "cohort.csv", ())
