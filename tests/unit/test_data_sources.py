"""Files as publishers write them, and as they break them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.create_datasets import SAMPLE
from data.readings import COLUMNS, ReadingError, validate_readings
from data.sources import SOURCES, parse_file, read_source

STEEL = "date,Usage_kWh,Lagging_Current_Power_Factor"
HOUSE = "Date,Time,Global_active_power,Global_reactive_power,Voltage"
VIC = "Time,Demand,Temperature"
OWN = ",".join(COLUMNS)
OWN_ROW = "M1,2025-01-31T13:00+01:00,1.5,230,20,0.9,2,50,1,ok"


@pytest.fixture(name="write")
def write_fixture(tmp_path):
    """Return a function that writes lines (or bytes) to a file and returns its path."""

    def write(*lines, name="file.csv", end="\n", raw=None):
        path = tmp_path / name
        path.write_bytes(raw if raw is not None else end.join([*lines, ""]).encode())
        return path

    return write


def dates(frame):
    return [date.isoformat() for date in frame["reading_date"]]


# --- what the publishers write


def test_steel_labels_are_ends_and_midnight_is_24_00(write):
    path = write(
        *(STEEL, "1/1/2018 0:15,3.17,73.21", "01/01/2018 23:45,4,66.77", "1/1/2018 0:00,5,100"),
        end="\r\n",
    )
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    frame = read_source(path)
    assert dates(frame) == [
        "2018-01-01T00:00:00+09:00",
        "2018-01-01T23:30:00+09:00",
        "2018-01-01T23:45:00+09:00",
    ]
    assert frame["units"].tolist() == [3.17, 4, 5]
    assert frame["power_factor"].tolist() == [73.21 / 100, 66.77 / 100, 1.0]
    lacking = ["voltage", "temperature", "load_kw", "frequency_hz", "phase", "status"]
    assert frame[lacking].isna().all(axis=None)


def test_household_dates_are_day_month_and_units_of_a_minute(write):
    path = write(HOUSE, "1/2/2007,00:00:00,0.6,0.8,243.15", "1/2/2007,00:01:00,0,0,?")
    frame = read_source(path)
    assert dates(frame) == ["2007-02-01T00:00:00+01:00", "2007-02-01T00:01:00+01:00"]
    assert frame["units"].tolist() == [0.6 / 60, 0]
    assert frame["load_kw"].tolist() == [0.6, 0]
    assert frame["power_factor"].tolist() == pytest.approx([0.6, np.nan], nan_ok=True)
    assert frame["voltage"].tolist() == pytest.approx([243.15, np.nan], nan_ok=True)


def test_vic_demand_is_average_megawatts_from_utc(write):
    frame = read_source(write(VIC, "2011-12-31T13:00:00Z,4382.5,21.4"))
    assert dates(frame) == ["2012-01-01T00:00:00+11:00"]
    assert frame[["load_kw", "units", "temperature"]].iloc[0].tolist() == [4382500, 2191250, 21.4]


def test_own_columns_in_any_order_with_more_of_them_and_quotes(write):
    path = write(
        '"extra",' + ",".join(reversed(COLUMNS)),
        'x, "ok" ,2,49.98,NA,0.5,,229.5,7.25,2025-01-31T12:00:00Z, M:1',
    )
    frame = read_source(write(path.read_text().strip().replace(', "ok" ,', ',"ok",')))
    validate_readings(frame)
    assert dates(frame) == ["2025-01-31T13:00:00+01:00"]
    row = frame.iloc[0]
    assert row["meter_id"] == "M:1" and row["phase"] == 2 and row["status"] == "ok"
    assert row["units"] == 7.25 and np.isnan(row["temperature"]) and np.isnan(row["load_kw"])
    assert frame["phase"].dtype == "Int64"


def test_rows_come_sorted_whatever_the_file_says(write):
    rows = [f"M{m},2025-01-31T{h:02}:00Z,{h},,,,,,,ok" for h in (5, 1, 3) for m in (2, 1)]
    frame = validate_readings(read_source(write(OWN, *rows)))
    assert frame["units"].tolist() == [1, 3, 5, 1, 3, 5]


# --- clocks that change


def test_hour_that_occurs_twice_keeps_both(write):
    times = ["01:59:00", "02:00:00", "02:59:00", "02:00:00", "02:59:00", "03:00:00"]
    path = write(HOUSE, *(f"28/10/2007,{time},{n},0,230" for n, time in enumerate(times)))
    frame = read_source(path)
    assert dates(frame) == [
        "2007-10-28T01:59:00+02:00",
        "2007-10-28T02:00:00+02:00",
        "2007-10-28T02:59:00+02:00",
        "2007-10-28T02:00:00+01:00",
        "2007-10-28T02:59:00+01:00",
        "2007-10-28T03:00:00+01:00",
    ]
    assert frame["load_kw"].tolist() == [0, 1, 2, 3, 4, 5]


def test_third_row_of_a_doubled_hour_is_a_repeat(write):
    parsed = parse_file(write(HOUSE, *["28/10/2007,02:00:00,1,0,230"] * 3))
    assert len(parsed.frame) == 2
    assert [(bad.line, bad.reason) for bad in parsed.rejected] == [
        (4, "repeats the reading of line 3")
    ]


def test_hour_that_is_left_out_is_rejected(write):
    parsed = parse_file(
        write(HOUSE, *(f"25/3/2007,{t},1,0,230" for t in ("01:59:00", "02:30:00", "03:00:00")))
    )
    assert dates(parsed.frame) == ["2007-03-25T01:59:00+01:00", "2007-03-25T03:00:00+02:00"]
    assert parsed.rejected[0].line == 3 and "does not exist" in parsed.rejected[0].reason


# --- lines that are wrong


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        pytest.param("M1,2025-01-31T13:00,1,,,,,,,ok", "not ISO 8601 with an offset", id="naive"),
        pytest.param("M1,31/01/2025 13:00,1,,,,,,,ok", "not ISO 8601", id="other-form"),
        pytest.param("M1,2025-02-30T13:00Z,1,,,,,,,ok", "not ISO 8601", id="30-february"),
        pytest.param("M1,2025-01-31T23:59:60Z,1,,,,,,,ok", "not ISO 8601", id="leap-second"),
        pytest.param("M1,,1,,,,,,,ok", "not ISO 8601", id="no-date"),
        pytest.param("M1,0205-01-31T13:00Z,1,,,,,,,ok", "outside 1970 to 2099", id="year-0205"),
        pytest.param("M1,2100-01-01T00:00Z,1,,,,,,,ok", "outside 1970 to 2099", id="year-2100"),
        pytest.param(",2025-01-31T13:00Z,1,,,,,,,ok", "meter_id is missing", id="no-meter"),
        pytest.param("=cmd(),2025-01-31T13:00Z,1,,,,,,,ok", "meter_id", id="formula"),
        pytest.param("M1;--,2025-01-31T13:00Z,1,,,,,,,ok", "meter_id", id="sql"),
        pytest.param("M" * 65 + ",2025-01-31T13:00Z,1,,,,,,,ok", "meter_id", id="long-meter"),
        pytest.param("M1,2025-01-31T13:00Z,1_0,,,,,,,ok", "units is not a number", id="1_0"),
        pytest.param("M1,2025-01-31T13:00Z,0x10,,,,,,,ok", "units is not a number", id="hex"),
        pytest.param("M1,2025-01-31T13:00Z,True,,,,,,,ok", "units is not a number", id="bool"),
        pytest.param("M1,2025-01-31T13:00Z,inf,,,,,,,ok", "units is not a number", id="inf"),
        pytest.param("M1,2025-01-31T13:00Z,١,,,,,,,ok", "units is not a number", id="arabic-1"),
        pytest.param("M1,2025-01-31T13:00Z,1e999,,,,,,,ok", "units is outside", id="overflow"),
        pytest.param("M1,2025-01-31T13:00Z,-0.1,,,,,,,ok", "units is outside", id="negative"),
        pytest.param("M1,2025-01-31T13:00Z,1,1001,,,,,,ok", "voltage is outside", id="volts"),
        pytest.param("M1,2025-01-31T13:00Z,1,,,95,,,,ok", "power_factor is outside", id="percent"),
        pytest.param("M1,2025-01-31T13:00Z,1,,,,,,4,ok", "phase is none of", id="phase-4"),
        pytest.param("M1,2025-01-31T13:00Z,1,,,,,,1.5,ok", "phase is none of", id="phase-1.5"),
        pytest.param("M1,2025-01-31T13:00Z,1,,,,,,,OK", "status is none of", id="status"),
        pytest.param("M1,2025-01-31T13:00Z,1,5,,,,,,,ok", "11 fields instead of 10", id="comma"),
        pytest.param("M1,2025-01-31T13:00Z,1", "3 fields instead of 10", id="short"),
        pytest.param('M1,2025-01-31T13:00Z,"1,,,,,,,ok', "a quote is not closed", id="quote"),
        pytest.param(OWN, "not ISO 8601", id="header-again"),
        pytest.param(OWN_ROW, "repeats the reading of line 2", id="duplicate"),
        pytest.param(OWN_ROW.replace("1.5", "9"), "repeats the reading of line 2", id="conflict"),
        pytest.param(
            OWN_ROW.replace("T13:00+01:00", "T12:00Z"), "repeats the reading", id="same-instant"
        ),
    ],
)
def test_bad_line_is_set_aside_and_the_rest_is_read(write, row, reason):
    path = write(OWN, OWN_ROW, "", row, OWN_ROW.replace("13:00", "14:00"))
    parsed = parse_file(path)
    assert parsed.frame["units"].tolist() == [1.5, 1.5]
    (bad,) = parsed.rejected
    assert (bad.line, bad.raw) == (4, row) and reason in bad.reason
    with pytest.raises(ReadingError, match=r"file.csv, line 4: .*correct the file"):
        read_source(path)


def test_first_of_a_bad_and_a_good_reading_does_not_hide_the_good_one(write):
    parsed = parse_file(write(OWN, OWN_ROW.replace("1.5", "-1"), OWN_ROW))
    assert parsed.frame["units"].tolist() == [1.5]
    assert [bad.line for bad in parsed.rejected] == [2]


def test_rejected_lines_come_in_the_order_of_the_file(write):
    parsed = parse_file(write(OWN, "a,b", OWN_ROW.replace("1.5", "x"), "c,d", OWN_ROW))
    assert [bad.line for bad in parsed.rejected] == [2, 3, 4]


@pytest.mark.parametrize("row", ["32/1/2018 0:15", "1/13/2018 0:15", "2018-01-01 00:15", "1/1/18"])
def test_steel_date_of_another_form_is_rejected(write, row):
    parsed = parse_file(write(STEEL, f"{row},1,50", "1/1/2018 0:15,1,50"))
    assert [bad.reason for bad in parsed.rejected] == ["date is not of the form d/m/Y H:M"]


@pytest.mark.parametrize("mark", ["", "?", "NA", "N/A", "NaN", "nan", "null", "NULL"])
def test_marks_of_missing_values(write, mark):
    frame = read_source(write(OWN, OWN_ROW.replace("1.5", mark)))
    assert np.isnan(frame["units"][0])


# --- files that are broken


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "file.csv is empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf", "file.csv is empty", id="only-a-mark"),
        pytest.param(b"\r\n \n\n", "file.csv is empty", id="blank-lines"),
        pytest.param(OWN.encode(), "header but no rows", id="header-only"),
        pytest.param(OWN.encode() + b"\n\n", "header but no rows", id="header-and-blank"),
        pytest.param(b"a,b\n1,2\n", r"line 1: unknown header \(a, b\)", id="unknown"),
        pytest.param(b"\x1b[31m,b\n1,2\n", r"header \(\\x1b\[31m, b\)", id="escape-in-header"),
        pytest.param(
            f"{OWN}\n{OWN_ROW}\nM1,2025-01-31T14:0".encode(),
            "line 3: the file ends in the middle",
            id="truncated",
        ),
        pytest.param(
            f"{OWN}\n{OWN_ROW}\n{OWN_ROW}".encode().replace(b"1.5", b"\xff.5", 1),
            "line 2: not UTF-8",
            id="not-utf-8-in-the-middle",
        ),
        pytest.param(f"{OWN},größe\n".encode("latin-1"), "line 1: .*LATIN1", id="latin-1"),
        pytest.param(f"{OWN}\n{OWN_ROW}\n".encode("utf-16"), "is UTF-16", id="utf-16"),
        pytest.param(f"{OWN}\n{OWN_ROW}\nM\0".encode(), "line 3: NUL byte", id="nul"),
        pytest.param(f"{OWN},units\n{OWN_ROW},1\n".encode(), "repeats a name", id="repeated-name"),
        pytest.param(OWN.replace(",", ";").encode() + b"\n1\n", "unknown header", id="semicolons"),
        pytest.param(f"{OWN}\r{OWN_ROW}\r".encode(), "header but no rows", id="old-mac"),
    ],
)
def test_broken_file_is_refused_as_a_whole(write, content, message):
    with pytest.raises(ReadingError, match=message):
        parse_file(write(raw=content))


def test_last_line_needs_no_line_feed(write):
    assert len(read_source(write(raw=f"{OWN}\n{OWN_ROW}".encode()))) == 1


@pytest.mark.parametrize("name", ["no.csv", "a\nb.csv", "a\x1b[31mb.csv", "a\0b.csv"])
def test_missing_file_with_any_name(tmp_path, name):
    with pytest.raises(ReadingError, match="check the path") as raised:
        parse_file(tmp_path / name)
    assert str(raised.value).isprintable()


def test_folder_is_not_a_file(tmp_path):
    with pytest.raises(ReadingError, match="directory"):
        parse_file(tmp_path)


@pytest.mark.parametrize("name", ["a b.csv", "'; DROP TABLE readings;--.csv", "-rf", "ü$(id).csv"])
def test_hostile_file_name_is_only_a_name(write, name):
    assert parse_file(write(OWN, OWN_ROW, name=name)).name == name


def test_source_by_name(write):
    path = write(STEEL, "1/1/2018 0:15,1,50")
    assert parse_file(path, "steel").source is SOURCES["steel"]
    with pytest.raises(ReadingError, match="no column Time: not vic data"):
        parse_file(path, "vic")
    with pytest.raises(ReadingError, match="unknown source 'x': known are steel"):
        parse_file(path, "x")


def test_quote_that_is_not_closed_swallows_no_other_line(write):
    rows = [OWN_ROW.replace("13:00", f"{hour}:00") for hour in range(10, 20)]
    rows[3] = rows[3].replace(",ok", ',"ok')
    parsed = parse_file(write(OWN, *rows))
    assert len(parsed.frame) == 9 and [bad.line for bad in parsed.rejected] == [5]


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 20_000), junk=st.binary(min_size=1, max_size=8))
def test_damaged_bytes_never_crash_or_invent_readings(tmp_path_factory, position, junk):
    path = tmp_path_factory.mktemp("damage") / "damaged.csv"
    content = SAMPLE.read_bytes()[:20_000].rpartition(b"\n")[0] + b"\n"
    path.write_bytes(content[:position] + junk + content[position + len(junk) :])
    try:
        parsed = parse_file(path)
    except ReadingError as error:
        assert "damaged.csv" in str(error)
        return
    validate_readings(parsed.frame)
    lines = len([x for x in path.read_bytes().split(b"\n") if x.decode("utf-8-sig").strip()]) - 1
    assert len(parsed.frame) + len(parsed.rejected) == lines
