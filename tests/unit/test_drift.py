"""Drift: PSI by hand, bins that see what they must, and a window that forgets."""

import json
import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.drift import EPSILON, SHIFTED, WATCH, DriftBaseline, DriftMonitor, psi

NAN = math.nan
NAMES = ("load", "flag", "lag")


def training(rows: int = 5000, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    flag = (random.random(rows) < 0.1).astype(float)
    lag = np.where(random.random(rows) < 0.5, NAN, random.normal(5, 1, rows))
    return np.column_stack([random.normal(10, 2, rows), flag, lag])


def monitor(**options: int) -> DriftMonitor:
    return DriftMonitor(DriftBaseline.from_matrix(training(), NAMES, ["lag"]), **options)


@pytest.mark.parametrize(
    ("expected", "actual", "wanted"),
    [
        pytest.param([0.5, 0.5], [0.5, 0.5], 0.0, id="same"),
        pytest.param([0.5, 0.5], [0.25, 0.75], 0.25 * math.log(2) + 0.25 * math.log(1.5), id="two"),
        pytest.param([1.0, 0.0], [0.0, 1.0], 2 * (1 - EPSILON) * math.log(1 / EPSILON), id="swap"),
        pytest.param([1.0], [1.0], 0.0, id="one-bin"),
    ],
)
def test_psi_by_hand(expected: list[float], actual: list[float], wanted: float) -> None:
    assert psi(expected, actual) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        pytest.param([0.5, 0.5], [1.0], id="other-bins"),
        pytest.param([], [], id="no-bins"),
        pytest.param([[1.0]], [[1.0]], id="matrix"),
        pytest.param([0.5, 0.4], [0.5, 0.5], id="expected-sum"),
        pytest.param([0.5, 0.5], [0.5, 0.6], id="actual-sum"),
        pytest.param([1.5, -0.5], [0.5, 0.5], id="negative"),
        pytest.param([0.5, 0.5], [NAN, 0.5], id="nan"),
    ],
)
def test_psi_refuses_what_is_no_distribution(expected: list, actual: list) -> None:
    with pytest.raises(ValueError, match="psi needs shares"):
        psi(expected, actual)


counts = st.lists(st.integers(1, 100), min_size=3, max_size=3)


@given(counts, counts)
def test_psi_is_symmetric_and_never_negative(one: list[int], other: list[int]) -> None:
    first, second = np.array(one) / sum(one), np.array(other) / sum(other)
    assert psi(first, second) == pytest.approx(psi(second, first))
    assert psi(first, second) >= 0
    assert psi(first, first) == 0


def test_baseline_has_even_bins_and_sums_to_one() -> None:
    baseline = DriftBaseline.from_matrix(training(), NAMES, ["lag"])
    load, flag, lag = baseline.shares
    assert load[:-1] == pytest.approx([0.1] * 10, abs=0.001) and load[-1] == 0
    assert [sum(load), sum(flag), sum(lag)] == pytest.approx([1, 1, 1])
    # Below 0, 0, between, 1, above 1, missing.
    assert flag == pytest.approx([0, 0.9, 0, 0.1, 0, 0], abs=0.02)
    assert lag[-1] == 0, "the missing share of an optional feature is no part of it"


def test_missing_share_of_a_required_feature_is_part_of_the_baseline() -> None:
    baseline = DriftBaseline.from_matrix([[NAN], [1.0], [2.0], [NAN]], ["voltage"])
    assert baseline.shares[0][-1] == 0.5


def test_baseline_survives_json() -> None:
    baseline = DriftBaseline.from_matrix(training(), NAMES, ["lag"])
    assert DriftBaseline.from_dict(json.loads(json.dumps(baseline.to_dict())), NAMES) == baseline


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda c: c.pop("flag"), "other features", id="lacks-feature"),
        pytest.param(lambda c: c["flag"].pop("edges"), "malformed", id="lacks-edges"),
        pytest.param(lambda c: c["flag"].update(edges=None), "malformed", id="no-edges"),
        pytest.param(lambda c: c["load"]["shares"].pop(), "bins and shares", id="lacks-share"),
        pytest.param(lambda c: c["load"]["edges"].reverse(), "bins and shares", id="unsorted"),
    ],
)
def test_malformed_baseline_is_refused(change, message: str) -> None:
    content = DriftBaseline.from_matrix(training(), NAMES).to_dict()
    change(content)
    with pytest.raises(ValueError, match=message):
        DriftBaseline.from_dict(content, NAMES)


@pytest.mark.parametrize(
    ("matrix", "bins"),
    [
        pytest.param(np.zeros((0, 3)), 10, id="no-rows"),
        pytest.param(np.zeros((5, 2)), 10, id="columns"),
        pytest.param(np.zeros(3), 10, id="flat"),
        pytest.param(np.zeros((5, 3)), 1, id="one-bin"),
        pytest.param(np.full((5, 3), np.inf), 10, id="infinite"),
    ],
)
def test_baseline_refuses_what_it_cannot_bin(matrix: np.ndarray, bins: int) -> None:
    with pytest.raises(ValueError, match="drift baseline needs"):
        DriftBaseline.from_matrix(matrix, NAMES, bins=bins)


def test_rows_like_in_training_show_no_drift() -> None:
    watch = monitor()
    watch.observe(training(1000, seed=2))
    assert max(watch.psi().values()) < WATCH


@pytest.mark.parametrize(
    ("column", "change"),
    [
        pytest.param(0, lambda load: load * 1.2, id="load-rises"),
        pytest.param(0, lambda load: np.where(np.arange(len(load)) % 4, load, NAN), id="load-lost"),
        pytest.param(1, lambda flag: 1 - flag, id="flag-flips"),
        pytest.param(1, lambda flag: flag - 1, id="flag-below-all-seen"),
        pytest.param(1, lambda flag: flag * 0.5, id="flag-between-those-seen"),
        pytest.param(1, lambda flag: flag * 2, id="flag-above-all-seen"),
        pytest.param(2, lambda lag: lag + 2, id="lag-rises"),
    ],
)
def test_drift_shows_in_its_feature_alone(column: int, change) -> None:
    watch = monitor()
    rows = training(1000, seed=2)
    rows[:, column] = change(rows[:, column])
    watch.observe(rows)
    found = watch.psi()
    assert found[NAMES[column]] > SHIFTED
    assert all(value < WATCH for name, value in found.items() if name != NAMES[column])


def test_client_without_optional_features_is_no_drift() -> None:
    watch = monitor()
    rows = training(1000, seed=2)
    rows[:, 2] = NAN
    watch.observe(rows)
    assert math.isnan(watch.psi()["lag"]), "nothing was seen of it"
    rows[:300, 2] = 5 + np.random.default_rng(3).normal(0, 1, 300)
    watch.observe(rows)
    assert watch.psi()["lag"] < WATCH


def test_optional_feature_that_training_lacked_stays_unknown() -> None:
    baseline = DriftBaseline.from_matrix([[NAN]] * 9, ["lag"], ["lag"])
    watch = DriftMonitor(baseline, window=10, min_observations=1)
    watch.observe([[1.0]] * 10)
    assert math.isnan(watch.psi()["lag"])


def test_feature_that_training_lacked_shows_when_it_appears() -> None:
    watch = DriftMonitor(DriftBaseline.from_matrix([[NAN]] * 9, ["voltage"]), 10, 1)
    watch.observe([[NAN]] * 10)
    assert watch.psi()["voltage"] == 0
    watch.observe([[230.0]] * 10)
    assert watch.psi()["voltage"] > SHIFTED


def test_too_few_rows_are_not_judged() -> None:
    watch = monitor(window=300, min_observations=200)
    watch.observe(training(199, seed=2))
    assert all(math.isnan(value) for value in watch.psi().values())
    watch.observe(training(1, seed=3))
    assert not math.isnan(watch.psi()["load"])


@pytest.mark.parametrize("batch", [1, 7, 100, 250, 1000], ids="batch-{}".format)
def test_window_forgets_what_left_it(batch: int) -> None:
    """However the rows come, only the last `window` count."""
    rows = training(1000, seed=2)
    rows[:600, 0] += 100
    piecewise, last = (monitor(window=250, min_observations=100) for _ in range(2))
    for start in range(0, len(rows), batch):
        piecewise.observe(rows[start : start + batch])
    last.observe(rows[-250:])
    np.testing.assert_equal(piecewise.psi(), last.psi())
    assert last.psi()["load"] < SHIFTED


def test_single_precision_does_not_move_a_value_to_another_bin() -> None:
    """0.1 as float32 is above 0.1: requests are float32, training may not be."""
    rows = np.tile([[0.1], [0.7]], (500, 1))
    watch = DriftMonitor(DriftBaseline.from_matrix(rows, ["power_factor"]))
    watch.observe(rows.astype(np.float32))
    assert watch.psi()["power_factor"] == 0


@pytest.mark.parametrize("shape", [(3,), (1, 2), (1, 1, 3)], ids=str)
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="observe needs"):
        monitor().observe(np.zeros(shape))


@pytest.mark.parametrize(("window", "least"), [(10, 11), (10, 0), (0, 0)])
def test_window_must_hold_what_is_asked_for(window: int, least: int) -> None:
    with pytest.raises(ValueError, match="min_observations"):
        monitor(window=window, min_observations=least)


def test_threads_lose_no_row() -> None:
    watch = monitor(window=10_000, min_observations=1)
    rows = training(500, seed=2)
    threads = [threading.Thread(target=watch.observe, args=(rows,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    once = monitor(window=10_000, min_observations=1)
    once.observe(np.tile(rows, (8, 1)))
    np.testing.assert_equal(watch.psi(), once.psi())
