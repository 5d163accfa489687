"""What Prometheus scrapes; one registry for each application, so that two never mix.

Label values are bounded: routes are templates of declared paths, methods and statuses known ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.serving import Models, ModelStore

# Seconds: dense around the aim (15 ms) and the documented limit (100 ms).
BUCKETS = (0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
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
        self._predictions = Counter(
            "predictions", "Intervals predicted.", ("endpoint",), registry=self.registry
        )
        for endpoint in ("single", "batch"):
            self._predictions.labels(endpoint)
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

    def predicted(self, endpoint: str, intervals: int) -> None:
        """Count predicted intervals of the ``single`` or ``batch`` endpoint."""
        self._predictions.labels(endpoint).inc(intervals)

    def render(self) -> bytes:
        """Return the text exposition (format 0.0.4), UTF-8."""
        return generate_latest(self.registry)


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
