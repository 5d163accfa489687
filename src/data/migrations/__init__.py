"""Alembic's environment and the versions of the schema.

Versions only ever expand: the release before this one keeps working on the schema, so that a
deployment can shift traffic step by step and roll back.
"""
