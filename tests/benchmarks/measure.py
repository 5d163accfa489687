"""Time one thing in a process of its own, for the pipeline's benchmark stage.

    python tests/benchmarks/measure.py load|single|batch|features [--requests FILE] OUTPUT

OUTPUT becomes a JSON object: `schema` 1, `unit` "s", and in `rounds` the wall time of each round in
seconds, in order. Every answer is checked, so that an empty loop can't pass for a fast model; a
wrong one ends the process with exit code 1. A round that takes long makes for fewer of them.

The models are those of MODEL_DIR, as in service, and each round asks all of them.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 1.5  # after which no further round begins
BATCH = 100
ROWS = 200_000
METERS = 100


class WrongAnswerError(Exception):
    """What was timed did not do its work."""


def clock(action: Callable[[], Any], rounds: int, check: Callable[[Any], None]) -> list[float]:
    """Seconds of each round; `check` sees every answer, outside of the measured time."""
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < rounds and (len(times) < 2 or time.perf_counter() < end):
        begin = time.perf_counter()
        answer = action()
        times.append(time.perf_counter() - begin)
        check(answer)
    return times


def warmed(action: Callable[[], Any], rounds: int, check: Callable[[Any], None]) -> list[float]:
    """As `clock`, after rounds that don't count: a server predicts many times, and warm."""
    clock(action, max(rounds // 20, 2), check)
    return clock(action, rounds, check)


def load(_requests: list[dict[str, Any]]) -> list[float]:
    """Loading every model; the first of ten rounds is cold, so p95 of all is of cold ones."""
    from models.artifact import MODEL_NAMES
    from models.inference import load_latest_model

    def check(loaded: list[Any]) -> None:
        if [predictor.metadata.name for predictor in loaded] != list(MODEL_NAMES):
            raise WrongAnswerError("other models were loaded than were asked for")

    return clock(lambda: [load_latest_model(name) for name in MODEL_NAMES], 10, check)


def single(requests: list[dict[str, Any]]) -> list[float]:
    """One prediction of every model, of another request each time."""
    predictors = load_predictors()
    following = cycle(requests)
    seen = []

    def check(answer: list[float]) -> None:
        if not all(math.isfinite(value) and value >= 0 for value in answer):
            raise WrongAnswerError(f"a prediction is {answer}")
        seen.append(answer[0])

    times = warmed(lambda: [p.predict_one(next(following)) for p in predictors], 500, check)
    varied(seen, requests)
    return times


def batch(requests: list[dict[str, Any]]) -> list[float]:
    """A hundred requests at once, of every model."""
    from data.features import request_matrix

    predictors = load_predictors()
    following = cycle(requests)
    hundred = [next(following) for _ in range(BATCH)]

    def check(answer: list[Any]) -> None:
        if any(values.shape != (BATCH,) or not np.isfinite(values).all() for values in answer):
            raise WrongAnswerError(f"a batch of {BATCH} has not {BATCH} finite predictions")
        varied(answer[0].tolist(), hundred)

    return warmed(lambda: [p.predict(request_matrix(hundred)) for p in predictors], 120, check)


def features(_requests: list[dict[str, Any]]) -> list[float]:
    """Computing the features of 200,000 readings, which take a fifth of a million's time."""
    import pandas as pd

    from data.create_datasets import create_features
    from data.readings import MEASUREMENTS

    count = ROWS // METERS
    random = np.random.default_rng(1)
    starts = pd.date_range("2024-01-01", periods=count, freq="15min", tz="UTC").to_numpy()
    readings = pd.DataFrame(
        {
            "meter_id": np.repeat([f"M{number:05}" for number in range(METERS)], count),
            "reading_date": pd.DatetimeIndex(np.tile(starts, METERS), tz="UTC").tz_convert(
                "Europe/Berlin"
            ),
            **{name: random.random(ROWS) for name in MEASUREMENTS},
        }
    )

    def check(made: Any) -> None:
        if len(made) != ROWS or made["units_lag_1"].isna().sum() != METERS:
            raise WrongAnswerError(f"the features are of {len(made)} rows, not of {ROWS}")

    return clock(lambda: create_features(readings), 5, check)


def load_predictors() -> list[Any]:
    """Every model that is served."""
    from models.artifact import MODEL_NAMES
    from models.inference import load_latest_model

    return [load_latest_model(name) for name in MODEL_NAMES]


def varied(answers: Sequence[float], requests: Sequence[dict[str, Any]]) -> None:
    """Raise WrongAnswerError where different requests all get one answer."""
    if len({json.dumps(request, sort_keys=True) for request in requests}) < 2:
        raise WrongAnswerError("the requests don't vary, so nothing shows that they are read")
    if len(set(answers)) < 2:
        raise WrongAnswerError("every request gets the same prediction")


MEASURES: dict[str, Callable[[list[dict[str, Any]]], list[float]]] = {
    "load": load,
    "single": single,
    "batch": batch,
    "features": features,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line asks; 0 done, 1 a wrong answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measure", choices=list(MEASURES))
    parser.add_argument("output", type=Path)
    parser.add_argument("--requests", type=Path, help="JSON array of request bodies")
    options = parser.parse_args(arguments)
    requests = json.loads(options.requests.read_text("utf-8")) if options.requests else []
    try:
        rounds = MEASURES[options.measure](requests)
    except WrongAnswerError as error:
        print(f"measure: {error}", file=sys.stderr)
        return 1
    content = {"schema": 1, "unit": "s", "rounds": rounds}
    options.output.write_text(json.dumps(content), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
