"""Each test here is a hop on the real parts that `mage integration` provides; see README.md."""

import json
import os
from collections.abc import Iterator

import hops
import pytest
from sqlalchemy.engine import Engine

from data import database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the stage there are no parts and no earlier hops: say so instead of failing."""
    if os.environ.get(hops.DIRECTORY):
        return
    for item in items:
        if item.path.parent == hops.Path(__file__).parent:
            item.add_marker(pytest.mark.skip(reason="a hop: `mage integration` runs it"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """Report what the stage reads: a part that is down, or what was sent, came and was expected."""
    if call.excinfo is not None and os.environ.get(hops.DIRECTORY):
        _explain(item, call.excinfo.value)
    return (yield)


def _explain(item: pytest.Item, error: BaseException) -> None:
    if isinstance(error, hops.PartDown):
        item.user_properties.append(("part_down", str(error)))
        return
    if isinstance(error, hops.Mismatch):
        for name, value in error.parts.items():
            if value is not None:
                text = value if isinstance(value, str) else json.dumps(value, default=str)
                item.user_properties.append((name, text))
    # Whatever it was that failed: without its parts, nothing was judged.
    item.user_properties.extend(("part_down", why) for why in hops.parts_down())


@pytest.fixture(autouse=True)
def isolated_stores() -> None:
    """In place of that of all tests: the stage has set up stores for these."""
    hops.directory().mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True, scope="module")
def parts() -> None:
    """Every hop begins with its parts in place."""
    for why in hops.parts_down() if os.environ.get(hops.DIRECTORY) else []:
        raise hops.PartDown(why)


@pytest.fixture(scope="module")
def engine(parts: None) -> Iterator[Engine]:
    """An engine on the database that all hops share."""
    made = database.engine()
    yield made
    made.dispose()
