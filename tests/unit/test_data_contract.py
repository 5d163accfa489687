"""The reader of data contracts: what ingestion takes from them, and what broken ones say."""

from datetime import datetime, timezone

import pytest

from data import contract, readings
from data.contract import ContractError, load_contract

CONTRACT = """\
name: x
schema:
  primaryKey: a
  fields:
    - name: a
      type: number
      unit: kWh
      constraints: {required: true, minimum: 0, maximum: 1.5}
    - name: b
      type: integer
      constraints: {enum: [1, 2]}
    - name: c
      type: datetime
      constraints: {minimum: 2020-01-01T00:00:00Z, maximum: 2021-01-01T00:00:00Z}
    - name: d
      type: date
      constraints: {minimum: 2020-01-01}
"""


@pytest.fixture(name="written")
def written_fixture(tmp_path, monkeypatch):
    monkeypatch.setenv(contract.VARIABLE, str(tmp_path))

    def write(content, name="x"):
        (tmp_path / f"{name}.yaml").write_bytes(content.encode())

    return write


def test_contract_is_read_as_it_is_written(written):
    written(CONTRACT)
    found = load_contract("x")
    assert found.key == ("a",) and list(found.fields) == ["a", "b", "c", "d"]
    assert found.fields["a"].limits() == (0.0, 1.5) and found.fields["a"].required
    assert found.fields["b"].enum == (1, 2) and not found.fields["b"].required
    start = datetime(2020, 1, 1, tzinfo=timezone.utc)
    assert found.fields["c"].period() == (start, start.replace(year=2021))
    assert found.fields["d"].minimum is None


def test_readings_are_what_their_contract_says():
    declared = load_contract("readings")
    assert readings.COLUMNS == list(declared.fields) and readings.KEY == list(declared.key)
    assert [n for n, f in declared.fields.items() if f.required] == readings.KEY
    assert readings.MEASUREMENTS["voltage"] == readings.Measurement("V", 0.0, 1000.0)
    assert readings.PHASES == (1, 2, 3) and "fault" in readings.STATUSES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file.*: set METER_CONTRACTS", id="missing"),
        pytest.param("a: [", "is not YAML", id="not-yaml"),
        pytest.param("name: x\n", "lacks 'schema': run mage data", id="no-schema"),
        pytest.param("", "is no contract", id="empty"),
        pytest.param("schema: {fields: [{type: any}]}", "lacks 'name'", id="no-name"),
        pytest.param(CONTRACT.replace("1.5", "much"), "'much'", id="no-number"),
        pytest.param(CONTRACT.replace("2020-01-01T", "soon"), "soon", id="no-date"),
    ],
)
def test_broken_contract_is_told(written, content, message):
    if content is not None:
        written(content)
    with pytest.raises(ContractError, match=message):
        load_contract("x")


def test_open_ends_are_told(written):
    written(CONTRACT)
    fields = load_contract("x").fields
    with pytest.raises(ContractError, match="b needs a minimum and a maximum"):
        fields["b"].limits()
    with pytest.raises(ContractError, match="d needs a minimum and a maximum"):
        fields["d"].period()
