//! Heston's stochastic volatility (1993) by Lewis's single integral in the "little trap" form. Used to ask how
//! far a price depends on the volatility model; not for inner loops.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, positive};
use crate::numeric::quadrature::gauss_legendre;
use crate::pricing::black::log_ratio;

/// Width of one panel of the integral.
const PANEL: f64 = 2.0;
const NODES_PER_PANEL: usize = 24;
const MAX_PANELS: usize = 4_000;

/// Parameters per year.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Heston {
    /// Variance now.
    pub v0: f64,
    /// Speed of reversion.
    pub kappa: f64,
    /// Long-run variance.
    pub theta: f64,
    /// Volatility of variance.
    pub xi: f64,
    /// Correlation, in (-1, 1).
    pub rho: f64,
}

#[derive(Debug, Clone, Copy)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    fn new(re: f64, im: f64) -> Self {
        Self { re, im }
    }
    fn add(self, o: Self) -> Self {
        Self::new(self.re + o.re, self.im + o.im)
    }
    fn sub(self, o: Self) -> Self {
        Self::new(self.re - o.re, self.im - o.im)
    }
    fn mul(self, o: Self) -> Self {
        Self::new(self.re * o.re - self.im * o.im, self.re * o.im + self.im * o.re)
    }
    fn scale(self, s: f64) -> Self {
        Self::new(self.re * s, self.im * s)
    }
    fn div(self, o: Self) -> Self {
        let norm = o.re * o.re + o.im * o.im;
        self.mul(Self::new(o.re, -o.im)).scale(1.0 / norm)
    }
    fn exp(self) -> Self {
        let r = libm::exp(self.re);
        Self::new(r * libm::cos(self.im), r * libm::sin(self.im))
    }
    fn ln(self) -> Self {
        Self::new(libm::log(libm::hypot(self.re, self.im)), libm::atan2(self.im, self.re))
    }
    fn sqrt(self) -> Self {
        let r = libm::hypot(self.re, self.im);
        let re = libm::sqrt(0.5 * (r + self.re).max(0.0));
        let im = libm::sqrt(0.5 * (r - self.re).max(0.0));
        Self::new(re, if self.im < 0.0 { -im } else { im })
    }
}

impl Heston {
    /// Undiscounted call on a forward.
    ///
    /// # Errors
    /// Parameters outside their domain, or an integral that does not settle.
    pub fn call(&self, forward: f64, strike: f64, years: f64) -> Result<f64, RiskError> {
        let (f, k, t) =
            (positive("forward", forward)?, positive("strike", strike)?, positive("years", years)?);
        positive("v0", self.v0)?;
        positive("kappa", self.kappa)?;
        positive("theta", self.theta)?;
        positive("xi", self.xi)?;
        if finite("rho", self.rho)?.abs() >= 1.0 {
            return Err(RiskError::OutOfDomain { name: "rho", value: self.rho, domain: "(-1, 1)" });
        }
        let x = log_ratio(f, k);
        let rule = gauss_legendre(NODES_PER_PANEL, 0.0, PANEL)?;
        let mut total = 0.0;
        for panel in 0..MAX_PANELS {
            let from = panel as f64 * PANEL;
            let (mut part, mut size) = (0.0, 0.0);
            for q in &rule {
                let u = from + q.x;
                let cf = self.characteristic(Complex::new(u, -0.5), t);
                let turn = Complex::new(0.0, u * x).exp();
                let value = turn.mul(cf).re / (u * u + 0.25);
                part += q.w * value;
                size += q.w * libm::hypot(cf.re, cf.im) / (u * u + 0.25);
            }
            total += part;
            if size < 1e-15 * total.abs() {
                let price = f - libm::sqrt(f * k) / core::f64::consts::PI * total;
                return finite("heston price", price.clamp((f - k).max(0.0), f));
            }
        }
        Err(RiskError::NoConvergence { name: "heston integral", iterations: MAX_PANELS })
    }

    /// Characteristic function of the log return at complex `u`.
    fn characteristic(&self, u: Complex, t: f64) -> Complex {
        let Self { v0, kappa, theta, xi, rho } = *self;
        let iu = Complex::new(-u.im, u.re);
        let lead = Complex::new(kappa, 0.0).sub(iu.scale(rho * xi));
        let d = lead.mul(lead).add(iu.add(u.mul(u)).scale(xi * xi)).sqrt();
        let (minus, plus) = (lead.sub(d), lead.add(d));
        let g = minus.div(plus);
        let decay = d.scale(-t).exp();
        let one = Complex::new(1.0, 0.0);
        let bent = one.sub(g.mul(decay));
        let log = bent.div(one.sub(g)).ln();
        let c = minus.scale(t).sub(log.scale(2.0)).scale(kappa * theta / (xi * xi));
        let v = minus.scale(1.0 / (xi * xi)).mul(one.sub(decay)).div(bent);
        c.add(v.scale(v0)).exp()
    }
}
