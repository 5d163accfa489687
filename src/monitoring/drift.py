"""Input drift as the population stability index (PSI) against the training baseline.

PSI = sum over bins of (a - e) * ln(a / e), where e is a bin's share in training and a its share
now; it is the symmetric Kullback-Leibler divergence of the two (Siddiqi, "Credit Risk
Scorecards", Wiley 2006, chapter 8). The customary reading: below 0.1 stable, 0.1 to 0.25 to be
looked at, above 0.25 shifted. Without any drift PSI is about (bins - 1) / n for n observations
(Yurdakul, "Statistical Properties of Population Stability Index", 2018), hence the floor under n.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

WATCH = 0.1
SHIFTED = 0.25
# A share of 0 would make PSI infinite; this floor is the customary one.
EPSILON = 1e-4
BINS = 10
# A feature of at most this many values (flags) has each of them as a bin, so that a new one shows.
DISCRETE_VALUES = 4

FloatArray = npt.NDArray[np.float64]


def psi(expected: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """The population stability index of two distributions over the same bins.

    `expected` and `actual` are shares of shape (bins,), not negative, summing to 1 each; shares
    below EPSILON count as EPSILON. Returns a number >= 0. Raises ValueError when they are no such
    distributions.
    """
    before, now = np.asarray(expected, np.float64), np.asarray(actual, np.float64)
    if before.ndim != 1 or before.shape != now.shape or before.size == 0:
        raise ValueError(f"psi needs shares over the same bins, got {before.shape}, {now.shape}")
    for shares in (before, now):
        if not (np.all(shares >= 0) and np.isclose(shares.sum(), 1.0, atol=1e-6)):
            raise ValueError("psi needs shares that are not negative and sum to 1")
    before, now = np.maximum(before, EPSILON), np.maximum(now, EPSILON)
    return float(np.sum((now - before) * np.log(now / before)))


@dataclass(frozen=True)
class DriftBaseline:
    """How each feature was distributed in training.

    For feature i, `edges[i]` are the ascending upper bounds (included) of all bins but the last,
    and `shares[i]` the shares of its len(edges[i]) + 1 bins followed by that of missing values.
    For the features in `optional` a missing value is the client's choice and no drift: their
    shares are over present values only and end with 0.
    """

    features: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    optional: frozenset[str] = frozenset()

    @classmethod
    def from_matrix(
        cls,
        matrix: npt.ArrayLike,
        features: Sequence[str],
        optional: Collection[str] = (),
        bins: int = BINS,
    ) -> DriftBaseline:
        """The baseline of a training matrix of shape (n, features), n >= 1, NaN for missing.

        Raises ValueError for another shape, for infinite values, or for fewer than two bins.
        """
        values = _single(matrix)
        if values.ndim != 2 or values.shape[1] != len(features) or len(values) == 0 or bins < 2:
            raise ValueError(
                f"drift baseline needs (n, {len(features)}) values and 2 bins or more, "
                f"got {values.shape} and {bins}"
            )
        if np.isinf(values).any():
            raise ValueError("drift baseline needs finite or missing values")
        edges, shares = [], []
        for name, column in zip(features, values.T, strict=True):
            bounds = _bounds(column[~np.isnan(column)], bins)
            counts = np.bincount(_bin(column, bounds), minlength=len(bounds) + 2)
            if name in optional:
                counts[-1] = 0
            edges.append(tuple(bounds.tolist()))
            shares.append(tuple((counts / max(counts.sum(), 1)).tolist()))
        return cls(tuple(features), tuple(edges), tuple(shares), frozenset(optional))

    def to_dict(self) -> dict[str, Any]:
        """The baseline as what JSON can hold: per feature its edges, shares and optionality."""
        rows = zip(self.features, self.edges, self.shares, strict=True)
        return {
            name: {"edges": list(edges), "shares": list(shares), "optional": name in self.optional}
            for name, edges, shares in rows
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], features: Sequence[str]) -> DriftBaseline:
        """Read what `to_dict` wrote, in the order of `features`; ValueError when it doesn't fit."""
        if set(content) != set(features):
            raise ValueError("drift baseline is of other features: train the model again")
        try:
            edges = tuple(tuple(float(x) for x in content[name]["edges"]) for name in features)
            shares = tuple(tuple(float(x) for x in content[name]["shares"]) for name in features)
            optional = frozenset(name for name in features if content[name]["optional"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"drift baseline is malformed ({error!r})") from error
        for bounds, portions in zip(edges, shares, strict=True):
            if len(portions) != len(bounds) + 2 or any(np.diff(bounds) <= 0):
                raise ValueError("drift baseline is malformed: bins and shares differ")
        return cls(tuple(features), edges, shares, optional)


class DriftMonitor:
    """PSI of each feature over the last `window` observed rows; safe to share between threads.

    Until `min_observations` values of a feature were seen its PSI is NaN ("not known yet"): at 200
    and ten bins chance alone gives about 0.05, at 20 it would alarm. An optional feature that was
    always missing in training has nothing to be compared with and stays NaN.
    """

    def __init__(
        self, baseline: DriftBaseline, window: int = 1000, min_observations: int = 200
    ) -> None:
        """Raises ValueError unless 1 <= min_observations <= window."""
        if not 1 <= min_observations <= window:
            raise ValueError(f"1 <= {min_observations} (min_observations) <= {window} (window)?")
        self._baseline = baseline
        self._window = window
        self._min_observations = min_observations
        width = max(len(edges) for edges in baseline.edges)
        self._edges = np.full((len(baseline.features), width), np.inf)
        for row, edges in zip(self._edges, baseline.edges, strict=True):
            row[: len(edges)] = edges
        # The bin of missing values is the last one of every feature, whatever its bin count.
        self._missing = width + 1
        # counts is flat, so that one bincount adds a whole batch.
        self._offsets = np.arange(len(baseline.features)) * (width + 2)
        self._counts = np.zeros(len(baseline.features) * (width + 2), np.int64)
        self._ring = np.zeros((window, len(baseline.features)), np.int64)
        self._seen = 0
        self._lock = threading.Lock()

    def observe(self, matrix: npt.ArrayLike) -> None:
        """Count rows of shape (n, features), NaN for missing; ValueError for another shape."""
        values = _single(matrix)
        if values.ndim != 2 or values.shape[1] != len(self._edges):
            raise ValueError(f"observe needs (n, {len(self._edges)}) values, got {values.shape}")
        values = values[-self._window :]
        cells = (values[:, :, None] > self._edges).sum(axis=2)
        cells[np.isnan(values)] = self._missing
        cells += self._offsets
        with self._lock:
            slots = (self._seen + np.arange(len(cells))) % self._window
            leaving = self._ring[slots[max(self._window - self._seen, 0) :]]
            np.add.at(self._counts, cells, 1)
            np.subtract.at(self._counts, leaving, 1)
            self._ring[slots] = cells
            self._seen += len(cells)

    def psi(self) -> dict[str, float]:
        """PSI per feature, NaN where too little was seen to tell."""
        with self._lock:
            counts = self._counts.reshape(len(self._edges), -1).copy()
        result = {}
        for index, name in enumerate(self._baseline.features):
            expected = np.array(self._baseline.shares[index])
            bins = len(expected) - 1
            actual = np.append(counts[index, :bins], counts[index, self._missing])
            if name in self._baseline.optional:
                actual[-1] = 0
            total = int(actual.sum())
            known = total >= self._min_observations and expected.sum() > 0
            result[name] = psi(expected, actual / total) if known else float("nan")
        return result


def _single(matrix: npt.ArrayLike) -> FloatArray:
    # Requests are float32: 0.1 there is above 0.1 here, so both sides are rounded alike.
    return np.asarray(matrix, np.float32).astype(np.float64)


def _bounds(present: FloatArray, bins: int) -> FloatArray:
    values = np.unique(present)
    if len(values) <= DISCRETE_VALUES:
        # (…, v), [v], (v, next): a value never seen in training falls into a bin of share 0.
        return np.sort(np.concatenate([np.nextafter(values, -np.inf), values]))
    bounds: FloatArray = np.unique(np.quantile(present, np.arange(1, bins) / bins))
    return bounds


def _bin(column: FloatArray, bounds: FloatArray) -> npt.NDArray[np.int64]:
    cells = np.searchsorted(bounds, column, side="left")
    cells[np.isnan(column)] = len(bounds) + 1
    return cells.astype(np.int64)
