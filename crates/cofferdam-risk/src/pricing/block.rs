//! Results of the batch kernels, number by number.

use serde::{Deserialize, Serialize};

use super::greeks::PriceReport;
use super::lanes::{LANES, Lane};

/// Price and Greeks of one option; undiscounted, raw derivatives as in [`super::Greeks`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct BatchGreeks {
    /// USD.
    pub value: f64,
    /// dV/dF.
    pub delta: f64,
    /// d²V/dF².
    pub gamma: f64,
    /// dV/dσ.
    pub vega: f64,
    /// dV/dt per year.
    pub theta: f64,
    /// dV/dK.
    pub dual_delta: f64,
}

/// Price and Greeks of up to [`Block::WIDTH`] options of one expiry.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub(super) value: Lane,
    pub(super) delta: Lane,
    pub(super) gamma: Lane,
    pub(super) vega: Lane,
    pub(super) theta: Lane,
    pub(super) dual_delta: Lane,
}

/// The Greeks of second and third order of the same options.
#[derive(Debug, Clone, PartialEq)]
pub struct HigherBlock {
    pub(super) vanna: Lane,
    pub(super) volga: Lane,
    pub(super) charm: Lane,
    pub(super) speed: Lane,
    pub(super) zomma: Lane,
}

impl Block {
    /// Options of one block.
    pub const WIDTH: usize = LANES;

    pub(super) const ZERO: Self = Self {
        value: [0.0; LANES],
        delta: [0.0; LANES],
        gamma: [0.0; LANES],
        vega: [0.0; LANES],
        theta: [0.0; LANES],
        dual_delta: [0.0; LANES],
    };

    /// What one option of the block is worth and how it moves; `None` beyond [`Block::WIDTH`].
    #[must_use]
    pub fn get(&self, lane: usize) -> Option<BatchGreeks> {
        Some(BatchGreeks {
            value: *self.value.get(lane)?,
            delta: self.delta[lane],
            gamma: self.gamma[lane],
            vega: self.vega[lane],
            theta: self.theta[lane],
            dual_delta: self.dual_delta[lane],
        })
    }

    /// Values, deltas, gammas, vegas, thetas and dual deltas, one number per option.
    #[must_use]
    pub fn columns(&self) -> [&[f64]; 6] {
        [&self.value, &self.delta, &self.gamma, &self.vega, &self.theta, &self.dual_delta]
    }

    pub(super) fn set(&mut self, lane: usize, r: &PriceReport) {
        self.value[lane] = r.price.value;
        self.delta[lane] = r.usd.delta;
        self.gamma[lane] = r.usd.gamma;
        self.vega[lane] = r.usd.vega;
        self.theta[lane] = r.usd.theta;
        self.dual_delta[lane] = r.usd.dual_delta;
    }
}

impl HigherBlock {
    pub(super) const ZERO: Self = Self {
        vanna: [0.0; LANES],
        volga: [0.0; LANES],
        charm: [0.0; LANES],
        speed: [0.0; LANES],
        zomma: [0.0; LANES],
    };

    /// Vannas, volgas, charms, speeds and zommas, one number per option, as in [`super::Greeks`].
    #[must_use]
    pub fn columns(&self) -> [&[f64]; 5] {
        [&self.vanna, &self.volga, &self.charm, &self.speed, &self.zomma]
    }

    pub(super) fn set(&mut self, lane: usize, r: &PriceReport) {
        self.vanna[lane] = r.usd.vanna;
        self.volga[lane] = r.usd.volga;
        self.charm[lane] = r.usd.charm;
        self.speed[lane] = r.usd.speed;
        self.zomma[lane] = r.usd.zomma;
    }
}
