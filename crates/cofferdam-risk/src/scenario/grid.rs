//! The scenario grid: full repricing of every instrument in every cell, then every account. Never portfolio
//! profit alone: solvent accounts do not pay for insolvent ones.

use serde::{Deserialize, Serialize};

use super::fast::{Deviations, FastLegs};
use super::leg::Leg;
use super::sweep::{Crowd, Equity};
use crate::error::{RiskError, finite, non_negative};
use crate::pricing::OptionKind;

/// Regular spot moves.
pub const SPOT_MOVES: [f64; 9] = [-0.16, -0.12, -0.08, -0.04, 0.0, 0.04, 0.08, 0.12, 0.16];
/// Extended moves and their weights (Paradex's published set).
pub const TAIL_MOVES: [(f64, f64); 8] = [
    (-0.66, 0.24),
    (-0.33, 0.48),
    (0.5, 0.32),
    (1.0, 0.16),
    (2.0, 0.08),
    (3.0, 0.0533),
    (4.0, 0.04),
    (5.0, 0.032),
];
/// Distance to depletion is found to one basis point.
const BASIS_POINT: f64 = 1e-4;
/// Cells that go through the accounts together.
const TOGETHER: usize = 8;

/// Direction of the volatility shock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolShift {
    /// Up.
    Up,
    /// Unchanged.
    Same,
    /// Down.
    Down,
}

/// Shape of the volatility shocks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GridConfig {
    /// Relative shock up at 30 days.
    pub vol_up: f64,
    /// Relative shock down at 30 days.
    pub vol_down: f64,
    /// Least volatility after a shock up.
    pub vol_floor: f64,
    /// Power of `30 / days` below 30 days.
    pub short_power: f64,
    /// The same from 30 days on.
    pub long_power: f64,
    /// What doubtful data adds to every shock.
    pub widening: Widening,
}

/// How much wider a result must be because its inputs are doubtful. All parts are zero or above.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Widening {
    /// Added to every spot move, as a fraction.
    pub spot: f64,
    /// Added to every volatility shock, as a fraction of one (0.01 is a point).
    pub vol: f64,
    /// Every quantity may be this much larger, as a fraction.
    pub quantity: f64,
}

impl Widening {
    /// Both doubts at once.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            spot: self.spot + other.spot,
            vol: self.vol + other.vol,
            quantity: self.quantity + other.quantity,
        }
    }

    fn validate(&self) -> Result<(), RiskError> {
        non_negative("spot widening", self.spot)?;
        non_negative("volatility widening", self.vol)?;
        non_negative("quantity widening", self.quantity).map(|_| ())
    }

    /// A spot move made larger in its own direction, never beyond -99 %. A move of zero stays zero.
    #[must_use]
    pub fn spot_move(&self, spot: f64) -> f64 {
        if spot > 0.0 {
            spot + self.spot
        } else if spot < 0.0 {
            (spot - self.spot).max(spot.min(-0.99))
        } else {
            spot
        }
    }
}

impl Default for GridConfig {
    fn default() -> Self {
        Self {
            vol_up: 0.5,
            vol_down: 0.25,
            vol_floor: 0.5,
            short_power: 0.3,
            long_power: 0.13,
            widening: Widening::default(),
        }
    }
}

impl GridConfig {
    /// Shocked volatility of an option `years` from expiry.
    #[must_use]
    pub fn shift(&self, vol: f64, years: f64, shift: VolShift) -> f64 {
        let factor = || {
            let days = (years * 365.0).max(1.0);
            let power = if days < 30.0 { self.short_power } else { self.long_power };
            libm::exp(power * libm::log(30.0 / days))
        };
        match shift {
            VolShift::Up => {
                (vol * (1.0 + self.vol_up * factor())).max(self.vol_floor) + self.widening.vol
            }
            VolShift::Same => vol,
            VolShift::Down => (vol * (1.0 - self.vol_down * factor()) - self.widening.vol).max(0.0),
        }
    }
}

/// One option of the book.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GridInstrument {
    /// Call or put.
    pub kind: OptionKind,
    /// Strike.
    pub strike: f64,
    /// Forward of its expiry.
    pub forward: f64,
    /// Implied volatility.
    pub vol: f64,
    /// Years to expiry.
    pub years: f64,
}

/// One account: collateral and `(instrument, quantity)`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BookAccount {
    /// Collateral in USD.
    pub usd: f64,
    /// Collateral in coins.
    pub coins: f64,
    /// Index into the instruments, and quantity (long above zero).
    pub positions: Vec<(usize, f64)>,
}

/// A cell to evaluate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shock {
    /// Spot move, as a fraction.
    pub spot: f64,
    /// Volatility shock.
    pub vol: VolShift,
    /// Years elapsed.
    pub elapsed: f64,
    /// Weight of a tail cell, one for a regular one.
    pub weight: f64,
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Spot move.
    pub spot: f64,
    /// Volatility shock.
    pub vol: VolShift,
    /// Years elapsed.
    pub elapsed: f64,
    /// Weight of a tail cell, one for a regular one.
    pub weight: f64,
    /// Profit of the book in USD.
    pub pnl_usd: f64,
    /// Profit of the book in coins.
    pub pnl_coin: f64,
    /// Accounts with negative equity.
    pub insolvent: usize,
    /// Sum of negative equity in USD.
    pub shortfall: f64,
    /// Left of the insurance fund.
    pub fund_left: f64,
}

/// The evaluated grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioGrid {
    /// Regular cells.
    pub regular: Vec<Cell>,
    /// Tail cells, volatility up.
    pub tail: Vec<Cell>,
    /// Smallest absolute spot move at volatility up that exhausts the fund, as a signed fraction.
    pub distance_to_depletion: Option<f64>,
}

/// A book ready to be shocked.
#[derive(Debug, Clone)]
pub struct Book<'a> {
    legs: &'a [Leg],
    fast: FastLegs<'a>,
    crowd: Crowd,
    spot: f64,
    fund: f64,
    base: Vec<f64>,
    /// Quantity of each leg over all accounts.
    net: Vec<f64>,
    /// Coins over all accounts.
    coins: f64,
}

impl<'a> Book<'a> {
    /// Checks and prices the book at `spot` (values coin collateral) with a fund in USD.
    ///
    /// # Errors
    /// Inputs outside their domain, or a position in an instrument that does not exist.
    pub fn new(
        legs: &'a [Leg],
        accounts: &'a [BookAccount],
        spot: f64,
        fund: f64,
    ) -> Result<Self, RiskError> {
        let spot = crate::error::positive("spot", spot)?;
        let fund = non_negative("insurance fund", fund)?;
        legs.iter().try_for_each(Leg::validate)?;
        let (mut net, mut coins) = (vec![0.0; legs.len()], 0.0);
        for a in accounts {
            finite("collateral", a.usd + a.coins)?;
            coins += a.coins;
            for (i, q) in &a.positions {
                let q = finite("quantity", *q)?;
                let sum = net.get_mut(*i).ok_or(RiskError::OutOfDomain {
                    name: "instrument index",
                    value: *i as f64,
                    domain: "an instrument of the book",
                })?;
                *sum += q;
            }
        }
        let base = legs
            .iter()
            .map(|l| l.value(1.0, l.option().map_or(0.0, |i| i.vol), 0.0))
            .collect::<Result<_, _>>()?;
        let (fast, crowd) = (FastLegs::new(legs, 0..legs.len()), Crowd::new(accounts));
        Ok(Self { legs, fast, crowd, spot, fund, base, net, coins })
    }

    /// Evaluates one cell; the configuration's widening is on top of the move asked for.
    ///
    /// # Errors
    /// A move of -100 % or beyond, a widening that is negative, or sums out of range.
    pub fn cell(
        &self,
        config: &GridConfig,
        spot: f64,
        vol: VolShift,
        elapsed: f64,
        weight: f64,
    ) -> Result<Cell, RiskError> {
        config.widening.validate()?;
        let shock = Shock { spot, vol, elapsed, weight };
        let at = self.deviations(config, &shock);
        let [cell] = self.together(config, [&shock], [&at])?;
        Ok(cell)
    }

    /// Evaluates many cells, several in one pass through the accounts.
    ///
    /// # Errors
    /// As [`Book::cell`].
    pub fn cells(&self, config: &GridConfig, shocks: &[Shock]) -> Result<Vec<Cell>, RiskError> {
        config.widening.validate()?;
        let mut known: Vec<(VolShift, f64, Deviations)> = Vec::new();
        for s in shocks {
            if !known.iter().any(|k| (k.0, k.1) == (s.vol, s.elapsed)) {
                known.push((s.vol, s.elapsed, self.deviations(config, s)));
            }
        }
        // Every shock was met above; the first is as good as any where none was asked for.
        let at = |s: &Shock| known.iter().position(|k| (k.0, k.1) == (s.vol, s.elapsed));
        let mut out = Vec::with_capacity(shocks.len());
        for some in shocks.chunks(TOGETHER) {
            let pick = |i: usize| &some[i.min(some.len() - 1)];
            let which: [&Shock; TOGETHER] = std::array::from_fn(pick);
            let times = which.map(|s| &known[at(s).unwrap_or(0)].2);
            let cells: [Cell; TOGETHER] = self.together(config, which, times)?;
            out.extend_from_slice(&cells[..some.len()]);
        }
        Ok(out)
    }

    fn deviations(&self, config: &GridConfig, s: &Shock) -> Deviations {
        let vol = |l: &Leg| l.option().map_or(0.0, |i| config.shift(i.vol, i.years, s.vol));
        self.fast.deviations(self.legs.iter().map(vol).collect(), s.elapsed)
    }

    /// Prices the legs under each shock, then takes all of them through the accounts at once.
    fn together<const N: usize>(
        &self,
        config: &GridConfig,
        shocks: [&Shock; N],
        at: [&Deviations; N],
    ) -> Result<[Cell; N], RiskError> {
        let more = 1.0 + config.widening.quantity;
        let mut prices = vec![[0.0; N]; self.legs.len()];
        let mut coin = [0.0; N];
        let mut pnl = [(0.0, 0.0); N];
        for n in 0..N {
            let shock = 1.0 + config.widening.spot_move(shocks[n].spot);
            coin[n] = self.spot * shock;
            let moved = (shock, libm::log(shock.max(f64::MIN_POSITIVE)));
            self.fast.value(moved, at[n], |place, price| prices[place][n] = price)?;
            for (((leg, price), base), net) in
                self.legs.iter().zip(&prices).zip(&self.base).zip(&self.net)
            {
                let price = price[n];
                pnl[n].0 += net * (price - base);
                pnl[n].1 += net * (price / (leg.price() * shock) - base / leg.price());
            }
        }
        let equity = self.crowd.sweep(&prices, coin, more);
        let cell = |n: usize| {
            let Equity { insolvent, shortfall } = equity[n];
            let (usd, coins): (f64, f64) = pnl[n];
            Cell {
                spot: shocks[n].spot,
                vol: shocks[n].vol,
                elapsed: shocks[n].elapsed,
                weight: shocks[n].weight,
                // A doubtful quantity makes a loss larger and no gain.
                pnl_usd: usd.min(usd * more),
                pnl_coin: coins.min(coins * more),
                insolvent,
                shortfall,
                fund_left: (self.fund - shortfall).max(0.0),
            }
        };
        let cells: [Cell; N] = std::array::from_fn(cell);
        for c in &cells {
            finite("cell", c.pnl_usd + c.pnl_coin + c.shortfall)?;
        }
        Ok(cells)
    }

    /// Coins held as collateral over all accounts.
    #[must_use]
    pub fn collateral_coins(&self) -> f64 {
        self.coins
    }

    /// The instruments.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        self.legs
    }

    /// Net quantity of each instrument.
    #[must_use]
    pub fn net(&self) -> &[f64] {
        &self.net
    }

    /// Evaluates the whole grid at the given times (years from now; the first is usually zero).
    ///
    /// # Errors
    /// As [`Book::cell`].
    pub fn grid(&self, config: &GridConfig, times: &[f64]) -> Result<ScenarioGrid, RiskError> {
        let mut regular = Vec::with_capacity(times.len() * SPOT_MOVES.len() * 3);
        for elapsed in times.iter().copied() {
            for spot in SPOT_MOVES {
                for vol in [VolShift::Up, VolShift::Same, VolShift::Down] {
                    regular.push(Shock { spot, vol, elapsed, weight: 1.0 });
                }
            }
        }
        let wild = |(spot, weight)| Shock { spot, vol: VolShift::Up, elapsed: 0.0, weight };
        let regular = self.cells(config, &regular)?;
        let tail = self.cells(config, &TAIL_MOVES.map(wild))?;
        let (down, up) = (self.depletion(config, -0.99)?, self.depletion(config, 5.0)?);
        let distance_to_depletion = match (down, up) {
            (Some(d), Some(u)) => Some(if -d <= u { d } else { u }),
            (one, other) => one.or(other),
        };
        Ok(ScenarioGrid { regular, tail, distance_to_depletion })
    }

    /// Smallest move towards `end` that exhausts the fund: a scan in steps of 1 %, then bisection.
    fn depletion(&self, config: &GridConfig, end: f64) -> Result<Option<f64>, RiskError> {
        let dry = |c: &Cell| c.shortfall > 0.0 && c.shortfall >= self.fund;
        let up = |spot| Shock { spot, vol: VolShift::Up, elapsed: 0.0, weight: 1.0 };
        let mut safe = 0.0;
        let scan: Vec<f64> = (0..=100).map(|step| end * f64::from(step) / 100.0).collect();
        for some in scan.chunks(TOGETHER) {
            let shocks: Vec<Shock> = some.iter().copied().map(up).collect();
            let cells = self.cells(config, &shocks)?;
            let Some(first) = cells.iter().position(dry) else {
                safe = some[some.len() - 1];
                continue;
            };
            let mut bad = some[first];
            if first > 0 {
                safe = some[first - 1];
            }
            while (bad - safe).abs() > BASIS_POINT {
                let mid = 0.5 * (bad + safe);
                let cell = self.cell(config, mid, VolShift::Up, 0.0, 1.0)?;
                if dry(&cell) { bad = mid } else { safe = mid }
            }
            return Ok(Some(bad));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instrument(kind: OptionKind, strike: f64) -> Leg {
        Leg::Option(GridInstrument { kind, strike, forward: 60_000.0, vol: 0.6, years: 0.05 })
    }

    #[test]
    fn doubling_the_book_doubles_its_profit_and_the_fund_only_helps() {
        let instruments =
            [instrument(OptionKind::Put, 55_000.0), instrument(OptionKind::Call, 65_000.0)];
        let one = [BookAccount { usd: 0.0, coins: 3.0, positions: vec![(0, -10.0), (1, 2.0)] }];
        let two = [BookAccount { usd: 0.0, coins: 6.0, positions: vec![(0, -20.0), (1, 4.0)] }];
        let config = GridConfig::default();
        let a =
            Book::new(&instruments, &one, 60_000.0, 1e5).unwrap().grid(&config, &[0.0]).unwrap();
        let b =
            Book::new(&instruments, &two, 60_000.0, 2e5).unwrap().grid(&config, &[0.0]).unwrap();
        for (x, y) in a.regular.iter().zip(&b.regular) {
            assert!((2.0 * x.pnl_usd - y.pnl_usd).abs() <= 1e-9 * y.pnl_usd.abs());
            assert!((2.0 * x.fund_left - y.fund_left).abs() < 1e-6);
        }
        let d = a.distance_to_depletion.unwrap();
        assert!(d < -0.1 && d > -0.9, "{d}");
        let richer =
            Book::new(&instruments, &one, 60_000.0, 2e5).unwrap().grid(&config, &[0.0]).unwrap();
        assert!(richer.distance_to_depletion.unwrap() < d);
        assert!(
            Book::new(
                &instruments,
                &[BookAccount { positions: vec![(9, 1.0)], ..one[0].clone() }],
                1.0,
                0.0
            )
            .is_err()
        );
    }
}
