"""Rows and spreadsheets: what is written is what is read, and nothing is guessed."""

import csv
import io
from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.charges.row_checks import DraftRow
from catalog.grid.sheet_reading import Reading, ReadRow, ReadSheet, read
from catalog.grid.sheets import guarded, unguarded, write
from catalog.pricing.price import Model, Price, per_unit
from catalog.pricing.tiers import Tier
from tests.catalog.pricing_texts import prices

D = Decimal
HOW = Reading(("model", "token_type"))
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd"), min_size=1).filter(
    lambda text: text not in ("*", "")
)
rows = st.lists(
    st.builds(DraftRow, st.dictionaries(st.sampled_from(["model", "token_type"]), values), prices), max_size=6
)


def file_of(table: Iterable[list[str]], delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(table)
    return text.getvalue()


def drafted(sheet: ReadSheet) -> list[DraftRow]:
    assert (sheet.commas, sheet.faults, sheet.marks) == ((), (), ())
    found = []
    for row in sheet.rows:
        assert row.price is not None
        found.append(DraftRow({name: value for name, value in row.values.items() if value != "*"}, row.price))
    return found


@given(rows, st.sampled_from([",", ";", "\t"]))
def test_a_file_is_read_as_it_was_written(written: list[DraftRow], delimiter: str) -> None:
    how = Reading(("model", "token_type"), comma="thousands" if delimiter == ";" else None)
    assert drafted(read(file_of(write(how.names, written), delimiter), how)) == written


@given(st.text())
def test_what_a_spreadsheet_would_run_is_harmless_and_comes_back(text: str) -> None:
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unguarded(guarded(text)) == text


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    sheet = read(text, HOW)
    assert not (sheet.rows and (sheet.faults or sheet.commas))


def test_a_file_looks_like_this() -> None:
    tiers = Price(Model.GRADUATED, tiers=(Tier(D(1000), D("0.02")), Tier(None, D("0.01"), D(5))))
    written = [DraftRow({"model": "=cmd()"}, per_unit(D("0.00001"))), DraftRow({}, tiers)]
    assert file_of(write(HOW.names, written)) == (
        "model,token_type,price model,price per unit\r\n"
        "'=cmd(),*,per_unit,0.00001\r\n"
        "*,*,graduated,1000: 0.02; : 0.01 + 5\r\n"
    )


def test_what_is_copied_out_of_a_spreadsheet() -> None:
    text = 'gpt-4o\tinput\tPer unit\t0.00001\r\n"two\nlines ""quoted"""\t\tpackage\t2 per 1000\r\n'
    assert read(text, HOW).rows == (
        ReadRow({"model": "gpt-4o", "token_type": "input"}, Model.PER_UNIT, per_unit(D("0.00001"))),
        ReadRow(
            {"model": 'two\nlines "quoted"', "token_type": "*"}, Model.PACKAGE, Price(Model.PACKAGE, D(2), D(1000))
        ),
    )


def test_a_part_of_the_columns_is_what_stands_there_from_the_cell_on() -> None:
    how = Reading(("model", "token_type"), start=3, models=[Model.PER_UNIT, Model.COST_PLUS], scale=6)
    sheet = read("10\n20%\n\n30\n\n", how)
    assert sheet.columns == ("price per unit",)
    assert sheet.rows == (
        ReadRow({}, None, per_unit(D("0.00001"))),
        ReadRow({}, None, Price(Model.COST_PLUS, percent=D(20))),
        ReadRow({}),
        ReadRow({}, None, per_unit(D("0.00003"))),
    )
    too_wide = read("10\t20", how)
    assert [fault.field for fault in too_wide.faults] == ["rows.0"]
    assert "Line 1 has 2 cells, and there are 1 columns" in too_wide.faults[0].message


def test_a_head_names_columns_in_any_order() -> None:
    sheet = read("Price\t token_type\nx\t\n0.5\tinput\n", HOW)
    assert sheet.head
    assert sheet.columns == ("price per unit", "token_type")
    assert sheet.rows[1] == ReadRow({"token_type": "input"}, None, per_unit(D("0.5")))
    assert read("model\ttoken_type\na\tb", HOW).rows == (ReadRow({"model": "a", "token_type": "b"}),)
    # One word alone is a value, not a head.
    assert not read("model", HOW).head


@pytest.mark.parametrize(
    ("title", "price"),
    [("price", "0.00001"), ("price per unit", "10"), ("Price per 1,000", "0.01"), ("price per million", "0.00001")],
)
def test_a_head_says_for_how_many_units_prices_are(title: str, price: str) -> None:
    how = Reading(("model",), scale=6)
    assert read(f"model\t{title}\na\t10", how).rows[0].price == per_unit(D(price))


def test_a_dimension_of_the_name_price_is_a_dimension() -> None:
    how = Reading(("price",))
    sheet = read("price,price per unit\n5,0.5", how)
    assert sheet.rows == (ReadRow({"price": "5"}, None, per_unit(D("0.5"))),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Model\tprice\na\t1", "There is no column “Model”: did you mean “model”."),
        ("zzz\tprice\na\t1", "There is no column “zzz”: there are “model”, “token_type”, “price model”"),
        ("model\tmodel\tprice\na\tb\t1", "The column “model” is there twice: keep one."),
        ("a\tb\tfree\t1", "“free” is no price model: write one of per_unit, package"),
        ("a\tb\tper_unit\t1\tx", "Line 1 has 5 cells, and there are 4 columns"),
        ("model\tprice\na\t1\tx", "Line 1 has 3 cells, and there are 2 columns"),
        ('a\t"b', "The text is no table"),
    ],
)
def test_what_is_no_table_of_these_columns_is_refused(text: str, said: str) -> None:
    sheet = read(text, HOW)
    assert sheet.rows == ()
    assert said in sheet.faults[0].message


def test_a_price_that_cannot_be_read_is_kept_and_marked() -> None:
    sheet = read("a\tb\t\tn/a\nc\td\t\t5", HOW)
    assert sheet.faults == ()
    assert [row.text for row in sheet.rows] == ["n/a", ""]
    assert [(mark.field, mark.code) for mark in sheet.marks] == [("rows.0.price", "price_unreadable")]


def test_numbers_without_a_head_are_prices_where_models_would_be() -> None:
    how = Reading(("model", "token_type"), scale=6)
    sheet = read("gpt-4o\tinput\t3.6\nmini\t\t$0.15\nnone\tinput", Reading(how.names, scale=6, currency="USD"))
    assert sheet.columns == ("model", "token_type", "price per unit")
    assert sheet.rows == (
        ReadRow({"model": "gpt-4o", "token_type": "input"}, None, per_unit(D("0.0000036"))),
        ReadRow({"model": "mini", "token_type": "*"}, None, per_unit(D("0.00000015"))),
        ReadRow({"model": "none", "token_type": "input"}),
    )
    assert sheet.told == (
        "The last column holds numbers, which were taken for prices:"
        " to say what columns are, add a header row: model, token_type, price."
    )
    assert read("input\t3", Reading(how.names, 1)).columns == ("token_type", "price per unit")
    # What needs no guess, is none: models, cells of one column, and all columns.
    for text, start in (("a\tb\tflat", 0), ("flat\t3", 2), ("a\tb", 0), ("a\tb\tflat\t3", 0)):
        assert read(text, Reading(how.names, start)).told == ""
    for text, start in (("3", 2), ("a\tb\t3\na\tb\tflat", 0)):
        sheet = read(text, Reading(how.names, start))
        assert (sheet.rows, sheet.told) == ((), "")
        assert sheet.faults[0].message.endswith(
            "cost_plus; if it is a price, to say what columns are, add a header row: model, token_type, price."
        )


@pytest.mark.parametrize(
    ("text", "currency", "price"),
    [
        ("$3.60", "USD", "3.6"),
        ("3.6 $", "CAD", "3.6"),
        ("-$ 3", "USD", "-3"),
        ("€\xa0.5", "EUR", "0.5"),
        ("3.6\xa0€", "EUR", "3.6"),
        ("¥3", "JPY", "3"),
    ],
)
def test_the_sign_of_the_own_currency_is_taken_away(text: str, currency: str, price: str) -> None:
    [row] = read(f"a\tb\t\t{text}", Reading(HOW.names, currency=currency)).rows
    assert row.price == per_unit(D(price))


def test_a_sign_beside_each_part_of_a_price_is_taken_away() -> None:
    text = "a\tb\tgraduated\t1000: $0.02; : $0.01 + $5\nc\td\tpackage\t$2 per 1000"
    prices_ = [row.price for row in read(text, Reading(HOW.names, currency="USD")).rows]
    tiers = (Tier(D(1000), D("0.02")), Tier(None, D("0.01"), D(5)))
    assert prices_ == [Price(Model.GRADUATED, tiers=tiers), Price(Model.PACKAGE, D(2), D(1000))]


@pytest.mark.parametrize(("text", "currency", "what"), [("€3.6", "USD", "USD"), ("$3", "", "credits")])
def test_a_sign_of_another_currency_is_no_price(text: str, currency: str, what: str) -> None:
    sheet = read(f"a\tb\t{text}", Reading(HOW.names, currency=currency))
    assert [row.text for row in sheet.rows] == [text]
    assert sheet.marks[0].message == (
        f"“{text}” has a sign of another currency, and prices here are in {what}: write the number alone."
    )


def test_columns_that_were_not_copied_are_left_alone() -> None:
    assert read("a\nb", HOW).rows == (ReadRow({"model": "a"}), ReadRow({"model": "b"}))
    models = read("package\n\nflat\n", Reading(("model", "token_type"), start=2))
    assert (models.columns, [row.model for row in models.rows]) == (
        ("price model",),
        [Model.PACKAGE, None, Model.FLAT],
    )


def test_blanks_around_values_are_taken_away_and_counted() -> None:
    sheet = read("TRUE \tinput\t\t1\n\xa0b\t \t\t 2 \nc\tinput\t\t3", HOW)
    assert [row.values for row in sheet.rows] == [
        {"model": "TRUE", "token_type": "input"},
        {"model": "b", "token_type": "*"},
        {"model": "c", "token_type": "input"},
    ]
    assert (sheet.trimmed, sheet.rows[1].price) == (3, per_unit(D(2)))


@pytest.mark.parametrize("value", ["M\ufffdnchen", "nul\0", "half\ud800"])
def test_a_file_that_is_not_in_utf_8_is_refused_at_its_cell(value: str) -> None:
    sheet = read(f"model,token_type,price\na,input,1\nb,{value},2\n", HOW)
    assert sheet.rows == ()
    [fault] = sheet.faults
    assert fault.code == "sheet_garbled"
    assert fault.message.startswith(f"Line 3, cell 2, “{value}”, has characters that could not be read")
    assert "save the file as “CSV UTF-8”" in fault.message


def test_prices_of_what_was_read_are_for_so_many_units() -> None:
    assert read("a\tb\t\tn/a", Reading(("model", "token_type"), scale=6)).scale == 6
    assert read("model\tprice per 1000\na\tn/a", HOW).scale == 3


def test_what_a_comma_means_is_asked() -> None:
    text = "a,1\tinput\t\t0,5\nb\tinput\t\t1,000\n"
    sheet = read(text, HOW)
    assert (sheet.commas, sheet.rows) == (("0,5", "1,000"), ())

    def said(text: str, comma: str) -> list[object]:
        how = Reading(("model", "token_type"), comma=comma)
        return [row.price.unit_price if row.price else row.text for row in read(text, how).rows]

    assert said(text, "decimal") == [D("0.5"), D(1)]
    assert said(text, "thousands") == ["0,5", D(1000)]
    assert said("a\tb\t\t1.234,5\nc\td\t\t1.5\ne\tf\t\t1,2,3\n", "decimal") == [D("1234.5"), "1.5", "1,2,3"]
    assert said("a\tb\t\t1,234.5\nc\td\t\t1.5\ne\tf\t\t12,34\n", "thousands") == [D("1234.5"), D("1.5"), "12,34"]


def test_a_comma_between_parts_of_a_price_is_none_of_a_number() -> None:
    sheet = read("a\tb\tpackage\t2 per 1000, 500 free", HOW)
    assert sheet.commas == ()
    assert sheet.rows[0].price == Price(Model.PACKAGE, D(2), D(1000), D(500))
    assert read("", HOW) == ReadSheet(columns=("model", "token_type", "price model", "price per unit"))
