"""The real data sets, read whole. They are no part of the repository, so no gate waits for them."""

import shutil
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from data.readings import validate_readings
from data.sources import parse_file


@pytest.fixture(name="real", scope="module")
def real_fixture(real_data, tmp_path_factory):
    """Return a function that parses a real set, once, under a name that tells nothing."""

    @cache
    def parse(name):
        path = tmp_path_factory.mktemp("real") / "any name.csv"
        shutil.copy(real_data / name, path)
        return parse_file(path)

    return parse


@pytest.mark.parametrize(
    ("name", "rows", "first", "last", "units"),
    [
        pytest.param(
            *("steel_industry.csv", 35_040, "2018-01-01T00:00:00+09:00"),
            *("2018-12-31T23:45:00+09:00", (3.17, 3.67)),
            id="steel",
        ),
        pytest.param(
            *("household_power.csv", 2_880, "2007-02-01T00:00:00+01:00"),
            *("2007-02-02T23:59:00+01:00", (0.326 / 60, 3.68 / 60)),
            id="household",
        ),
        pytest.param(
            *("vic_electricity.csv", 52_608, "2012-01-01T00:00:00+11:00"),
            *("2014-12-31T23:30:00+11:00", (2191412.587, 1904707.293)),
            id="vic",
        ),
    ],
)
def test_real_set_is_read_whole(real, name, rows, first, last, units):
    parsed = real(name)
    frame = validate_readings(parsed.frame)
    assert (len(frame), parsed.rejected) == (rows, [])
    assert [date.isoformat() for date in frame["reading_date"].iloc[[0, -1]]] == [first, last]
    assert (frame["units"].iloc[0], frame["units"].iloc[-1]) == pytest.approx(units)
    spacing = frame["reading_date"].diff().dropna().unique()
    assert list(spacing) == [parsed.source.interval]  # no gap, no repeat, no jump
    assert Path(name).match(parsed.source.pattern)


def test_steel_week_days_agree_with_the_file(real, real_data):
    path = real_data / "steel_industry.csv"
    said = pd.read_csv(path, encoding="utf-8-sig", usecols=["Day_of_week"])["Day_of_week"]
    assert real(path.name).frame["reading_date"].dt.day_name().tolist() == said.tolist()


def test_vic_dates_agree_with_the_file(real, real_data):
    path = real_data / "vic_electricity.csv"
    said = pd.to_datetime(pd.read_csv(path, usecols=["Date"])["Date"], format="%Y-%m-%d")
    read = real(path.name).frame["reading_date"].dt.tz_localize(None).dt.normalize()
    assert (read == said).all() and len(read) == len(said)
