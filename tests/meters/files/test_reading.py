"""What is read as a file, row by row, and what is not: each refusal names the mend."""

import csv
import gzip
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meters.files import reading
from meters.files.opening import Unusable

Rows = list[tuple[int, Any]]


def read(data: bytes, name: str = "usage.csv", limit: int = 10_000_000) -> reading.Rows:
    return reading.read(io.BytesIO(data), name, limit)


def rows(data: bytes, name: str = "usage.csv") -> Rows:
    """(place, what stands there, or the code of its fault)."""
    return [
        (each.place, each.fault.code if each.fault else json.loads(each.item or b""))
        for each in read(data, name).records
    ]


TWO: Rows = [(2, {"a": "1", "b": "x"}), (3, {"a": "2", "b": "y"})]


@pytest.mark.parametrize(
    "data",
    {
        "plain": b"a,b\n1,x\n2,y\n",
        "no last newline": b"a,b\n1,x\n2,y",
        "CRLF": b"a,b\r\n1,x\r\n2,y\r\n",
        "byte order mark": b"\xef\xbb\xbfa,b\n1,x\n2,y\n",
        "gzip": gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0),
        "semicolons": b"a;b\n1;x\n2;y\n",
        "tabs": b"a\tb\n1\tx\n2\ty\n",
        "quotes": b'"a","b"\n"1","x"\n"2","y"\n',
        "spaces": b"a, b\n 1 , x\n2,  y \n",
        "empty rows at the end": b"a,b\n1,x\n2,y\n\n,\n",
        "empty cells more than columns": b"a,b\n1,x,,\n2,y\n",
    }.values(),
)
def test_one_table_in_many_guises(data: bytes) -> None:
    assert rows(data) == TWO
    assert read(data).columns == ["a", "b"]


def test_quotes_hold_delimiters_newlines_and_quotes() -> None:
    data = b'a,b\n"1,2","say ""hi""\nto all"\r\n3,\xf0\x9f\x98\x80\n'
    assert rows(data) == [(2, {"a": "1,2", "b": 'say "hi"\nto all'}), (4, {"a": "3", "b": "😀"})]


def test_places_are_lines_whatever_is_above() -> None:
    assert rows(b'\n \na\n\n"x\ny"\n\nz\n') == [(5, {"a": "x\ny"}), (8, {"a": "z"})]


def test_an_empty_cell_is_absent_and_a_column_without_a_name_has_a_number() -> None:
    assert read(b"a,,c\n1,2,3\n").columns == ["a", "column 2", "c"]
    assert rows(b"a,,c\n,2,\n") == [(2, {"column 2": "2"})]


def test_bad_rows_spoil_no_others() -> None:
    data = b'a,b\n1\n1,2,3\n"1"x,2\n1,x\n2,"never closed\n'
    found = [(place, what) for place, what in rows(data) if what != {"a": "1", "b": "x"}]
    assert found == [
        (2, "wrong_number_of_cells"),
        (3, "wrong_number_of_cells"),
        (4, "malformed_csv"),
        (6, "malformed_csv"),
    ]
    assert (5, {"a": "1", "b": "x"}) in rows(data)


@pytest.mark.parametrize(
    ("data", "read_after"),
    [
        (b'a,b\n1,x\n2,"y\n3,z\n4,w\n', []),
        (b'a,b\n1,x\n2,"y\n3,z\n4,"w\n5,v\n', [6]),
    ],
    ids=["to the end", "to the next mark"],
)
def test_an_open_quotation_mark_tells_which_lines_it_takes_along(data: bytes, read_after: list[int]) -> None:
    _, fault, *after = read(data).records
    assert (fault.place, fault.fault.code if fault.fault else "") == (3, "malformed_csv")
    assert fault.fault
    assert "it goes on to line 5, and none of these lines is read" in fault.fault.message
    assert [each.place for each in after] == read_after


def test_a_long_row_is_a_fault() -> None:
    long = b"a,b\n1," + b"x" * 70_000 + b"\n2," + b'"' + b"y" * 140_000 + b'"\n3,z\n'
    assert [what for _, what in rows(long)][:2] == ["event_too_large", "malformed_csv"]
    assert rows(long)[-1] == (4, {"a": "3", "b": "z"})


@pytest.mark.parametrize("name", ["usage.jsonl", "usage.ndjson.gz", "usage.json", "usage"])
def test_json_lines(name: str) -> None:
    data = b'\xef\xbb\xbf{"a": 1}\r\n\n {"a": 2}'
    assert rows(gzip.compress(data) if name.endswith("gz") else data, name) == [(1, {"a": 1}), (3, {"a": 2})]


def test_bad_lines_of_json() -> None:
    data = b'{"a": 1}\n{"a": \n[1]\n3\n{"a": NaN}\n{"a": 1}{"b": 2}\n{"a": "' + b"x" * 70_000 + b'"}\n{"a": 2}'
    assert rows(data, "usage.jsonl") == [
        (1, {"a": 1}),
        (2, "malformed_json"),
        (3, "not_an_object"),
        (4, "not_an_object"),
        (5, "malformed_json"),
        (6, "malformed_json"),
        (7, "event_too_large"),
        (8, {"a": 2}),
    ]


def test_half_of_a_surrogate_pair_reaches_the_checks_of_events() -> None:
    (record,) = read(b'{"a": "\\ud800"}', "usage.jsonl").records
    assert record.item == b'{"a": "\\ud800"}'


@pytest.mark.parametrize("name", ["usage.json", "usage.json.gz", "usage"])
def test_a_json_array(name: str) -> None:
    assert rows(b' [{"a": 1},\n\n {"a": 2}, 3]', name) == [(1, {"a": 1}), (2, {"a": 2}), (3, 3)]


def test_a_long_array_on_one_line() -> None:
    data = json.dumps([{"a": "x" * 1_000}] * 2_000).encode()
    assert len(data) > 1_000_000
    assert len(rows(data, "usage.json")) == 2_000
    assert len(rows(gzip.compress(data), "usage")) == 2_000


def test_one_json_object_over_several_lines() -> None:
    assert rows(b'{\n  "a": 1\n}\n', "usage.json") == [(1, {"a": 1})]


@pytest.mark.parametrize(
    ("data", "code", "mend"),
    [
        (b"", "empty_file", "is empty"),
        (gzip.compress(b"", mtime=0), "empty_file", "is empty"),
        (b"\n \r\n", "empty_file", "blank lines"),
        ("a,b\n1,2\n".encode("utf-16"), "not_text", "UTF-16, and UTF-8 is read: save it as “CSV UTF-8”"),
        ("a,b\n1,2\n".encode("utf-16-be"), "not_text", "may be UTF-16"),
        ("a,b\n1,é\n".encode("latin-1"), "not_utf8", "Line 2 is not UTF-8 (byte 0xe9)"),
        (b"PK\x03\x04rest", "not_text", "Excel workbook or a ZIP archive"),
        (gzip.compress(gzip.compress(b"a,b\n", mtime=0), mtime=0), "not_text", "gzip inside gzip"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-5], "malformed_gzip", "compress it again"),
        (b"a,b\r1,2\r", "old_line_ends", "old Macintosh"),
        (b"x" * 1_000_001, "line_too_long", "Line 1 has more than 1,000,000 bytes"),
        (b"a,a\n1,2\n", "wrong_header", "2 columns are called “a”"),
        (b"2026-03-01 12:00:00,a\n", "wrong_header", "“2026-03-01 12:00:00”, which is no name of a column"),
        (b"acme,374,44\n", "wrong_header", "“374”"),
        (b"a\0b,c\n1,2\n", "wrong_header", "holds the character NUL"),
        (b"x" * 201 + b",b\n", "wrong_header", "at most 200 characters"),
        (b"a" + b",a" * 200, "wrong_header", "201 columns"),
        (b'"a,b\n1,2\n', "malformed_csv", "look for a quotation mark"),
    ],
)
def test_refused_as_a_whole(data: bytes, code: str, mend: str) -> None:
    with pytest.raises(Unusable) as refused:
        rows(data)
    assert (refused.value.code, mend in refused.value.message) == (code, True), refused.value.message


@pytest.mark.parametrize(
    ("data", "mend"), [(b"[1", "ends too early"), (b'{"a"\n:}', "at byte"), (b'[{"a": NaN}]', "NaN")]
)
def test_malformed_json(data: bytes, mend: str) -> None:
    with pytest.raises(Unusable, match=mend) as refused:
        rows(data, "usage.json")
    assert refused.value.message.startswith("The file is not valid JSON")


def test_what_it_inflates_to_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"a\n" + b"1\n" * 1_000
    with pytest.raises(Unusable, match="more than 2,001 bytes when inflated"):
        list(read(gzip.compress(data), limit=len(data) - 1).records)
    assert len(list(read(gzip.compress(data), limit=len(data)).records)) == 1_000
    monkeypatch.setattr(reading, "MAX_JSON_BYTES", 10)
    with pytest.raises(Unusable, match="upload JSON Lines"):
        rows(b'[{"a": 123}]', "usage.json")


def test_the_digest_is_of_what_is_inside() -> None:
    data = b"a\n1\n2\n"
    found = []
    for each in (data, gzip.compress(data, 1), gzip.compress(data, 9), data + b"3\n"):
        opened = read(each)
        list(opened.records)
        found.append(opened.digest())
    assert found[0] == found[1] == found[2] != found[3]


CELLS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=2, max_size=2)


@given(st.lists(CELLS, max_size=8), st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]))
def test_any_table_that_is_written_is_read(written: list[list[str]], delimiter: str, end: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *written])
    stripped = [[cell.strip() for cell in cells] for cells in written]
    expected = [
        {name: cell for name, cell in zip("ab", cells, strict=True) if cell} for cells in stripped if any(cells)
    ]
    assert [what for _, what in rows(text.getvalue().encode())] == expected
