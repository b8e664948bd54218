"""Prints the coefficients of src/pricing/lanes.rs: a near-minimax rational function of the Mills ratio on [0, 12] and a
polynomial of (exp(r) - 1 - r) / r^2 on half an octave, with their largest relative errors. Needs mpmath."""

from mpmath import chebyfit, cos, erfc, exp, log, lu_solve, matrix, mp, mpf, nstr, pi, sqrt

mp.dps = 70
END, TOP, BOTTOM, POINTS, ROUNDS = mpf(12), 8, 9, 160, 12


def mills(x):
    return sqrt(pi / 2) * erfc(x / sqrt(mpf(2))) * exp(x * x / 2)


def horner(c, x):
    total = mpf(0)
    for a in reversed(c):
        total = total * x + a
    return total


def rational():
    """Least squares on P - R Q, reweighted by the last Q and, after Lawson, by the last error."""
    xs = [END * ((1 - cos(pi * (i + mpf(1) / 2) / POINTS)) / 2) ** 2 for i in range(POINTS)]
    rs = [mills(x) for x in xs]
    lawson, q, best = [mpf(1)] * POINTS, [mpf(1)], None
    for turn in range(ROUNDS):
        n = TOP + 1 + BOTTOM
        a, b = matrix(n, n), matrix(n, 1)
        for x, r, l in zip(xs, rs, lawson):
            s = l / (r * horner(q, x)) ** 2
            row = [x**k for k in range(TOP + 1)] + [-r * x**k for k in range(1, BOTTOM + 1)]
            for i in range(n):
                b[i] += s * row[i] * r
                for j in range(n):
                    a[i, j] += s * row[i] * row[j]
        c = lu_solve(a, b)
        p, q = [c[i] for i in range(TOP + 1)], [mpf(1)] + [c[TOP + 1 + i] for i in range(BOTTOM)]
        errors = [abs(horner(p, x) / horner(q, x) / r - 1) for x, r in zip(xs, rs)]
        worst = max(errors)
        if best is None or worst < best[0]:
            best = worst, p, q
        if turn > 2:
            lawson = [l * (mpf("0.02") + e / worst) for l, e in zip(lawson, errors)]
            lawson = [l * POINTS / sum(lawson) for l in lawson]
    return best


def tail(r):
    return mpf(1) / 2 + r / 6 if abs(r) < mpf("1e-12") else (exp(r) - 1 - r) / r**2


worst, p, q = rational()
print("MILLS_TOP", [float(a) for a in p], "\nMILLS_BOTTOM", [float(a) for a in q], "\nworst", nstr(worst, 3))
half = log(mpf(2)) / 2 * mpf("1.002")
poly, error = chebyfit(tail, [-half, half], 10, error=True)
print("EXP", [float(c) for c in poly[::-1]], "\nworst", nstr(error * half * half, 3))
