"""River's half-space trees over its bundled Shuttle data, score then learn, as its documentation does.

    python stream.py OUT TREES HEIGHT WINDOW SEED...

Writes OUT/rows.txt once (label, then the features as they are) and OUT/scores-SEED.txt for each seed; prints
one JSON object with CPU nanoseconds per row for each seed. Rows are scaled beforehand, by their range so far,
and the trees are built before the clock starts: what is timed is the detector alone.
"""

import json
import pathlib
import sys
import time

import river
from river import anomaly, datasets, preprocessing


def main():
    out, trees, height, window, *seeds = sys.argv[1:]
    out = pathlib.Path(out)
    scaler, rows, labels = preprocessing.MinMaxScaler(), [], []
    with open(out / "rows.txt", "w", encoding="ascii") as file:
        for x, y in datasets.Shuttle():
            file.write(f"{y} {' '.join(str(it) for it in x.values())}\n")
            scaler.learn_one(x)
            rows.append(scaler.transform_one(x))
            labels.append(y)
    times = []
    for seed in map(int, seeds):
        model = anomaly.HalfSpaceTrees(
            n_trees=int(trees), height=int(height), window_size=int(window), seed=seed
        )
        scores = [model.score_one(rows[0])]
        model.learn_one(rows[0])
        begun = time.thread_time_ns()
        for row in rows[1:]:
            scores.append(model.score_one(row))
            model.learn_one(row)
        times.append((time.thread_time_ns() - begun) / (len(rows) - 1))
        text = "\n".join(repr(float(it)) for it in scores)
        (out / f"scores-{seed}.txt").write_text(text, encoding="ascii")
    print(json.dumps({"version": river.__version__, "ns_per_row": times}))


if __name__ == "__main__":
    main()
