"""Ingestion into a real PostgreSQL."""

from data.create_datasets import SAMPLE, data_hash, load_data
from data.ingestion import IngestionReport, ingest_file, load_readings


def test_sample_round_trip(engine):
    first = ingest_file(SAMPLE, engine)
    assert first == IngestionReport(10_080, 10_080, 0, 0, 0)
    assert ingest_file(SAMPLE, engine) == IngestionReport(10_080, 0, 0, 10_080, 0)
    assert data_hash(load_readings(engine)) == data_hash(load_data())
