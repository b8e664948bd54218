"""Trains the small gradient-boosted model that the parity test evaluates, on synthetic rows of our own.

Writes model.json (LightGBM's own dump) and cases.json (rows and the trainer's raw scores) beside itself.
Needs lightgbm and numpy:  python train.py
"""

import json
import pathlib

import lightgbm as lgb
import numpy as np

HERE = pathlib.Path(__file__).parent
NAMES = ["contract_age_days", "flash_loan_over_tvl", "call_depth", "verified", "share_price_jump", "outflow_z"]

rng = np.random.default_rng(20261123)
n = 4000
x = np.column_stack([
    rng.exponential(200.0, n),
    np.where(rng.random(n) < 0.9, 0.0, rng.exponential(0.5, n)),
    rng.poisson(4, n).astype(float),
    (rng.random(n) < 0.7).astype(float),
    rng.standard_t(3, n) * 0.01,
    rng.standard_t(4, n),
])
z = -5.0 + 3.0 * (x[:, 1] > 0.1) + 1.5 * (x[:, 0] < 3) + 0.25 * x[:, 2] - 1.0 * x[:, 3] + 40 * np.abs(x[:, 4]) + 0.3 * x[:, 5]
y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
# Missing values must travel too.
x[rng.random(x.shape) < 0.05] = np.nan

params = dict(objective="binary", num_leaves=15, learning_rate=0.1, min_data_in_leaf=20, deterministic=True,
              force_row_wise=True, num_threads=1, seed=1, verbosity=-1)
model = lgb.train(params, lgb.Dataset(x, y, feature_name=NAMES), num_boost_round=40)
dump = model.dump_model()
keep = {k: dump[k] for k in ("name", "version", "num_class", "num_tree_per_iteration", "max_feature_idx", "objective",
                             "average_output", "feature_names")}


def slim(node):
    if "leaf_value" in node:
        return {"leaf_value": node["leaf_value"]}
    fields = ("split_feature", "threshold", "decision_type", "default_left", "missing_type")
    return {**{k: node[k] for k in fields}, "left_child": slim(node["left_child"]), "right_child": slim(node["right_child"])}


keep["tree_info"] = [{"shrinkage": t["shrinkage"], "tree_structure": slim(t["tree_structure"])} for t in dump["tree_info"]]
(HERE / "model.json").write_text(json.dumps(keep) + "\n")

rows = x[:300].copy()
# Exactly at a threshold, and zero, where the missing rules differ.
rows[0, :] = 0.0
rows[1, :] = np.nan
raw = model.predict(rows, raw_score=True)
cases = [{"row": [None if np.isnan(v) else float(v) for v in r], "raw": float(s)} for r, s in zip(rows, raw)]
(HERE / "cases.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
