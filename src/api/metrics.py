"""What Prometheus scrapes; one registry for each application, so that two never mix.

Label values are bounded: routes are templates of declared paths, methods and statuses known ones.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from api.serving import Models, ModelStore

# Seconds: dense around the aim (15 ms) and the documented limit (100 ms).
BUCKETS = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
# Of predictions: fine, and the same in every release, since a deploy compares the distributions of
# two of them. Rounded, so that no other C library gives a bound another last digit.
UNITS_BOUNDS = tuple(float(f"{10 ** (step / 20 - 4):.6g}") for step in range(201))  # 1e-4 to 1e6
PROBABILITY_BOUNDS = tuple(step / 50 for step in range(1, 51))
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"
# The status that is counted when the client left before its answer (as proxies log it).
CLIENT_LEFT = 499


class Metrics:
    """The counters of one application."""

    def __init__(self, store: ModelStore, git_sha: str | None) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "http_requests",
            "Requests answered; status 499: the client left first.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "From the request's first byte to the answer's last.",
            ("method", "route"),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._errors = Counter(
            "http_errors",
            "Requests that failed: by the client's fault (4xx) or the server's (5xx).",
            ("route", "fault"),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight", "Requests being worked on.", registry=self.registry
        )
        predictions = Counter(
            "predictions", "Intervals predicted.", ("endpoint",), registry=self.registry
        )
        self._predictions = {name: predictions.labels(name) for name in ("single", "batch")}
        self._units = Distribution(
            "prediction_units_kwh", "Predicted consumption of an interval in kWh.", UNITS_BOUNDS
        )
        self._probability = Distribution(
            "prediction_high_probability",
            "Predicted probability that an interval is one of high consumption.",
            PROBABILITY_BOUNDS,
        )
        self.registry.register(self._units)
        self.registry.register(self._probability)
        self.synthetic = Counter(
            "http_requests_synthetic",
            "Of http_requests_total, those that a deploy sent itself.",
            registry=self.registry,
        )
        build = Gauge("build_info", "Always 1.", ("git_sha",), registry=self.registry)
        build.labels(git_sha or "unknown").set(1)
        self.registry.register(_ModelCollector(store))
        # One lookup of label values takes as long as three increments.
        self._series = lru_cache(maxsize=256)(self._lookup)

    def _lookup(
        self, method: str, route: str, status: int
    ) -> tuple[Callable[[], None], Callable[[float], None], Callable[[], None] | None]:
        method = method if method in METHODS else "OTHER"
        fault = "server" if status >= 500 else "client" if status >= 400 else None
        return (
            self._requests.labels(method, route, str(status)).inc,
            self._seconds.labels(method, route).observe,
            self._errors.labels(route, fault).inc if fault else None,
        )

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one finished request; ``route`` is its declared path, None if there is none."""
        count, observe, error = self._series(method, route or UNMATCHED, status)
        count()
        observe(seconds)
        if error is not None:
            error()

    def predicted(
        self, endpoint: str, units: Sequence[float], probability: Sequence[float]
    ) -> None:
        """Count predicted intervals of the ``single`` or ``batch`` endpoint, and what they are."""
        self._predictions[endpoint].inc(len(units))
        self._units.observe(units)
        self._probability.observe(probability)

    def render(self) -> bytes:
        """Return the text exposition (format 0.0.4), UTF-8."""
        return generate_latest(self.registry)


class Distribution(Collector):
    """A histogram of many fixed buckets, whose number costs an observation next to nothing.

    The library's own goes through its buckets one by one, which takes longer than a prediction.
    """

    def __init__(self, name: str, documentation: str, bounds: Sequence[float]) -> None:
        """Take the ascending upper bounds (included) of all buckets but the last."""
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(bounds)
        self._labels = [*map(floatToGoString, self._bounds), "+Inf"]
        self._counts = [0] * len(self._labels)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, values: Sequence[float]) -> None:
        """Count finite values."""
        bounds, counts = self._bounds, self._counts
        with self._lock:
            for value in values:
                counts[bisect_left(bounds, value)] += 1
                self._sum += value

    def collect(self) -> Iterable[Metric]:
        """Yield the histogram."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric((), list(zip(self._labels, accumulate(counts), strict=True)), total)
        yield family


class _ModelCollector(Collector):
    """Reads models and drift at the time of the scrape, so that requests don't pay for it."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    def collect(self) -> Iterable[Metric]:
        """Yield the versions served, and the drift of each input feature."""
        info = GaugeMetricFamily("model_info", "Always 1.", labels=("model", "version"))
        for name, version in self._store.versions.items():
            info.add_metric((name, version), 1)
        yield info
        yield _drift(self._store.models)


def _drift(models: Models | None) -> Metric:
    family = GaugeMetricFamily(
        "input_drift_psi",
        "Population stability index of the last requests against the training data; "
        "0.1: look at it, 0.25: shifted, NaN: too few requests to tell.",
        labels=("feature",),
    )
    if models is not None and models.drift is not None:
        for feature, value in models.drift.psi().items():
            family.add_metric((feature,), value)
    return family
