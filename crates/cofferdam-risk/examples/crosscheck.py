"""Compares the lines of the example `crosscheck` (standard input) with QuantLib and vollib and prints the worst errors.

Needs:  pip install QuantLib==1.44 vollib==1.0.11
"""

import csv
import math
import sys

import QuantLib as ql
from vollib.black import black
from vollib.black.greeks import analytical as greeks
from vollib.black.implied_volatility import implied_volatility_of_undiscounted_option_price as implied

worst = {}


def note(library, what, ours, theirs, scale, row):
    """Relative error, absolute below `scale` (the size at which the peer's own rounding ends)."""
    error = abs(ours - theirs) / max(abs(theirs), scale)
    key = (library, what)
    if key not in worst or error > worst[key][0]:
        worst[key] = (error, row)


count = refused = 0
for row in csv.DictReader(sys.stdin):
    kind = row.pop("kind")
    v = {k: (float(x) if x else math.nan) for k, x in row.items()}
    f, k, t, s, r = v["forward"], v["strike"], v["years"], v["vol"], v["rate"]
    count += 1
    side = ql.Option.Call if kind == "c" else ql.Option.Put
    q = ql.BlackCalculator(ql.PlainVanillaPayoff(side, k), f, s * math.sqrt(t), math.exp(-r * t))
    tiny = 1e-8
    note("QuantLib", "price", v["value"], q.value(), tiny * f, row)
    note("QuantLib", "delta", v["delta"], q.deltaForward(), tiny, row)
    note("QuantLib", "gamma", v["gamma"], q.gammaForward(), tiny / f, row)
    note("QuantLib", "vega", v["vega"], q.vega(t), tiny * f, row)
    note("vollib", "price", v["value"], black(kind, f, k, t, r, s), tiny * f, row)
    note("vollib", "delta", v["delta"], greeks.delta(kind, f, k, t, r, s), tiny, row)
    note("vollib", "gamma", v["gamma"], greeks.gamma(kind, f, k, t, r, s), tiny / f, row)
    note("vollib", "vega", v["vega"], 100 * greeks.vega(kind, f, k, t, r, s), tiny * f, row)
    note("vollib", "theta", v["theta"], 365 * greeks.theta(kind, f, k, t, r, s), tiny * f, row)
    if math.isnan(v["iv"]):
        refused += 1
        continue
    # A price determines its volatility only to the price's own rounding over vega.
    vega = max(v["vega"] * math.exp(r * t), 1e-300)
    slack = 4 * v["undiscounted"] * 2.2e-16 / vega / s
    note("vollib", "implied volatility (beyond conditioning)", v["iv"], implied(v["undiscounted"], f, k, t, kind) if slack < 1e-6 else v["iv"], 1e9 * slack if slack > 1e-9 else 0.0, row)
    note("itself", "implied volatility (beyond conditioning)", v["iv"], s, 0.0 if slack < 1e-9 else 1e9 * slack, row)

print(f"{count} random points, {refused} volatilities refused as undetermined by their price")
print(f"{'library':10} {'quantity':42} worst relative error")
limits = {"price": 1e-9, "delta": 1e-9, "gamma": 1e-9, "vega": 1e-9, "theta": 1e-7}
failed = False
for (library, what), (error, row) in sorted(worst.items()):
    print(f"{library:10} {what:42} {error:.2e}")
    failed |= error > limits.get(what, 1e-6)
sys.exit(1 if failed else 0)
