"""What every benchmark reports: p50, p95 and p99 of its rounds in milliseconds, in ``extra_info``.

pytest-benchmark has no p99, so it comes from the raw data. Where benchmarks are disabled (under
xdist) each runs once, checks its answer, and reports nothing.
"""

from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _percentiles(benchmark) -> Iterator[None]:
    """Add the percentiles of the rounds, unless the test has put better ones there."""
    yield
    data = benchmark.stats.stats.data if benchmark.stats else []
    if data and "p99_ms" not in benchmark.extra_info:
        values = np.percentile(np.array(data) * 1000, [50, 95, 99]).round(4)
        benchmark.extra_info.update(zip(("p50_ms", "p95_ms", "p99_ms"), values.tolist()))
        benchmark.extra_info["rounds"] = len(data)
