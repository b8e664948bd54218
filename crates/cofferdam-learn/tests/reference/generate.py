#!/usr/bin/env python3
"""Reference values for the streaming models, computed another way than the models do.

Explicit sums instead of recursions, a general optimiser instead of Grimshaw's equation, and a recount of
every window instead of counters. Needs numpy and scipy; writes streams.json beside itself:

    python3 generate.py
"""

import json
import pathlib

import numpy as np
from scipy import optimize, stats

rng = np.random.default_rng(20240229)


def ewma(xs, alpha):
    out = []
    for n in range(1, len(xs) + 1):
        weights = alpha * (1 - alpha) ** np.arange(n - 1, -1, -1.0)
        weights[0] = (1 - alpha) ** (n - 1)
        mean = float(weights @ xs[:n])
        out.append([mean, float(weights @ (xs[:n] - mean) ** 2)])
    return out


def cusum(xs, warm_up, k):
    first = xs[:warm_up]
    z = (xs[warm_up:] - np.mean(first)) / np.std(first, ddof=1)
    out = []
    for n in range(1, len(z) + 1):
        up = max([0.0] + [float(np.sum(z[i:n] - k)) for i in range(n)])
        down = max([0.0] + [float(np.sum(-z[i:n] - k)) for i in range(n)])
        out.append(max(up, down))
    return out


def page_hinkley(xs, delta):
    means = np.cumsum(xs) / np.arange(1, len(xs) + 1)
    rise = np.cumsum(xs - means - delta)
    fall = np.cumsum(xs - means + delta)
    up = rise - np.minimum(np.minimum.accumulate(rise), 0)
    down = np.maximum(np.maximum.accumulate(fall), 0) - fall
    return np.maximum(up, down).tolist()


def pareto(excesses):
    """The likeliest generalised Pareto, over both parameters at once, from several starts."""
    y = np.asarray(excesses)
    mean, most = y.mean(), y.max()

    def loss(p):
        gamma, sigma = p[0], np.exp(p[1])
        base = 1 + gamma * y / sigma
        if np.any(base <= 0) or gamma <= -1:
            return np.inf
        if abs(gamma) < 1e-9:
            return len(y) * np.log(sigma) + y.sum() / sigma
        return len(y) * np.log(sigma) + (1 + 1 / gamma) * np.log(base).sum()

    best = None
    for gamma in (-0.3, 0.05, 0.3, 0.8):
        start = [gamma, np.log(max(mean, 1.1 * -gamma * most))]
        options = {"xatol": 1e-12, "fatol": 1e-13, "maxiter": 10_000, "maxfev": 20_000}
        found = optimize.minimize(loss, start, method="Nelder-Mead", options=options)
        if best is None or found.fun < best.fun:
            best = found
    return float(best.x[0]), float(np.exp(best.x[1])), -float(best.fun)


def spot(xs, q, level, warm_up, kept):
    first = np.sort(xs[:warm_up])
    threshold = float(first[int(level * warm_up)])
    excesses = [float(x - threshold) for x in xs[:warm_up] if x > threshold]
    seen, peaks = warm_up, len(excesses)
    gamma, sigma, _ = pareto(excesses[-kept:])

    def limit():
        frozen = stats.genpareto(c=gamma, scale=sigma)
        return threshold + float(frozen.isf(q * seen / peaks))

    begun, alarms = limit(), []
    for index in range(warm_up, len(xs)):
        x = float(xs[index])
        if x > limit():
            alarms.append(index)
            continue
        seen += 1
        if x > threshold:
            excesses.append(x - threshold)
            peaks += 1
            gamma, sigma, _ = pareto(excesses[-kept:])
    return {"limit": begun, "alarms": alarms, "last_limit": limit()}


def philox(key, counter):
    """Philox4x32-10 (Salmon et al. 2011)."""
    c, k = list(counter), [key & 0xFFFFFFFF, key >> 32]
    for step in range(10):
        if step:
            k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b % 2**32, (a >> 32) ^ c[3] ^ k[1], a % 2**32]
    return c


def uniform(key, stream, index):
    w = philox(key, [index % 2**32, index >> 32, stream % 2**32, stream >> 32])
    return (((w[0] << 20) | (w[1] >> 12)) + 0.5) / 2**52


def half_space(rows, trees, height, window, seed):
    width = rows.shape[1]

    def grow(tree, at, limits, nodes):
        if 2 * at + 2 >= 2 ** (height + 1) - 1:
            return
        total, feature = sum(b - a for a, b in limits), 0
        rest = uniform(seed, tree, 2 * at) * total
        for feature, (a, b) in enumerate(limits):
            rest -= b - a
            if rest < 0:
                break
        a, b = limits[feature]
        cut = a + (0.15 + 0.7 * uniform(seed, tree, 2 * at + 1)) * (b - a)
        nodes[at] = (feature, np.float32(cut))
        inner = list(limits)
        inner[feature] = (a, cut)
        grow(tree, 2 * at + 1, inner, nodes)
        inner[feature] = (cut, b)
        grow(tree, 2 * at + 2, inner, nodes)

    forest = []
    for tree in range(trees):
        nodes = {}
        grow(tree, 0, [(0.0, 1.0)] * width, nodes)
        forest.append(nodes)

    def path(nodes, row):
        at, out = 0, [0]
        while at in nodes:
            feature, cut = nodes[at]
            at = 2 * at + 1 + int(row[feature] >= cut)
            out.append(at)
        return out

    scaled = []
    for n in range(1, len(rows) + 1):
        low, high = rows[:n].min(axis=0), rows[:n].max(axis=0)
        span = np.where(high > low, high - low, 1.0)
        scaled.append(((rows[n - 1] - low) / span).astype(np.float32))
    paths = [[path(nodes, row) for row in scaled] for nodes in forest]
    out = []
    for n in range(len(rows)):
        start = n // window * window
        if start == 0:
            out.append(None)
            continue
        mass = 0
        for walked in paths:
            for depth, node in enumerate(walked[n]):
                before = sum(it[depth] == node for it in walked[start - window : start])
                mass += before << depth
                if before < 0.1 * window:
                    break
        out.append(1 - mass / (trees * window * (2 ** (height + 1) - 1)))
    return out


def main():
    steady = np.round(rng.lognormal(2.0, 0.5, 300), 6)
    steady[200:] = np.round(steady[200:] + 6.0, 6)
    tails = {
        "heavy": np.round(rng.pareto(2.0, 200) * 3 + 1e-6, 9),
        "exponential": np.round(rng.exponential(0.02, 400) + 1e-6, 9),
        "bounded": np.round(rng.beta(1.0, 3.0, 300) * 1e6 + 1e-3, 6),
    }
    stream = np.round(rng.standard_normal(2_500), 6)
    stream[[1_500, 2_000]] = [9.0, 12.0]
    rows = np.round(rng.normal(0.0, 1.0, (330, 3)), 6)
    rows[300] = [9.0, -9.0, 9.0]
    doc = {
        "steady": steady.tolist(),
        "ewma": ewma(steady, 0.1),
        "cusum": cusum(steady, 100, 0.5),
        "page_hinkley": page_hinkley(steady, 0.05),
        "tails": {
            name: {"excesses": ys.tolist(), "fit": pareto(ys)} for name, ys in tails.items()
        },
        "stream": stream.tolist(),
        "spot": spot(stream, 1e-4, 0.98, 1_000, 200),
        "rows": rows.tolist(),
        "half_space_trees": half_space(rows, 5, 6, 50, 7),
    }
    target = pathlib.Path(__file__).with_name("streams.json")
    target.write_text(json.dumps(doc, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
