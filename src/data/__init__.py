"""Readings of electricity meters: their contract, sources, features, store and ingestion.

Flow: ``sources`` (files) -> ``ingestion`` -> ``database`` -> ``create_datasets`` -> ``models``.
``features`` needs numpy only, since the serving image has no pandas; import submodules by name.
"""
