//! The legs of a book laid out for repricing in many scenarios: options in lanes, everything else one by one.
//! Invariant: agrees with [`Leg::value`] to 1e-12 of the forward, and asks it where the lanes do not reach.

use super::leg::Leg;
use crate::error::RiskError;
use crate::pricing::lanes::{LANES, Lane, values};

/// Legs prepared for repricing; some of a book or all of it.
#[derive(Debug, Clone)]
pub(crate) struct FastLegs<'a> {
    legs: &'a [Leg],
    groups: Vec<Group>,
    /// What is not an option.
    others: Vec<usize>,
}

/// Options side by side. Lanes beyond `count` repeat the first one.
#[derive(Debug, Clone)]
struct Group {
    count: usize,
    place: [usize; LANES],
    /// `ln(F / K)`.
    x: Lane,
    forward: Lane,
    strike: Lane,
    sign: Lane,
    years: Lane,
}

/// Volatilities of every leg and the deviations of the options, at one time.
#[derive(Debug, Clone)]
pub(crate) struct Deviations {
    /// By leg of the book; zero for what is not an option.
    vol: Vec<f64>,
    sd: Vec<Lane>,
    elapsed: f64,
}

impl<'a> FastLegs<'a> {
    /// Prepares the legs at `places`, which must be indices of validated legs.
    pub(crate) fn new(legs: &'a [Leg], places: impl Iterator<Item = usize>) -> Self {
        let mut out = Self { legs, groups: Vec::new(), others: Vec::new() };
        for at in places {
            let Some(o) = legs[at].option() else {
                out.others.push(at);
                continue;
            };
            let x = libm::log(o.forward / o.strike);
            if out.groups.last().is_none_or(|g| g.count == LANES) {
                out.groups.push(Group {
                    count: 0,
                    place: [at; LANES],
                    x: [x; LANES],
                    forward: [o.forward; LANES],
                    strike: [o.strike; LANES],
                    sign: [o.kind.sign(); LANES],
                    years: [o.years; LANES],
                });
            }
            if let Some(g) = out.groups.last_mut() {
                let lane = g.count;
                g.place[lane] = at;
                g.x[lane] = x;
                g.forward[lane] = o.forward;
                g.strike[lane] = o.strike;
                g.sign[lane] = o.kind.sign();
                g.years[lane] = o.years;
                g.count += 1;
            }
        }
        out
    }

    /// What scenarios at these volatilities, one per leg of the book, and `elapsed` years from now share.
    pub(crate) fn deviations(&self, vol: Vec<f64>, elapsed: f64) -> Deviations {
        let sd = self
            .groups
            .iter()
            .map(|g| {
                let mut sd = [0.0; LANES];
                for ((sd, place), years) in sd.iter_mut().zip(&g.place).zip(&g.years) {
                    *sd = vol[*place] * libm::sqrt((years - elapsed).max(0.0));
                }
                sd
            })
            .collect();
        Deviations { vol, sd, elapsed }
    }

    /// [`Leg::value`] of every leg prepared, handed over with its place; `moved` is the factor of the shock and its
    /// logarithm.
    ///
    /// # Errors
    /// As [`Leg::value`].
    pub(crate) fn value(
        &self,
        (shock, ln_shock): (f64, f64),
        at: &Deviations,
        mut with: impl FnMut(usize, f64),
    ) -> Result<(), RiskError> {
        let slow = |place: usize| self.legs[place].value(shock, at.vol[place], at.elapsed);
        let mut out = [0.0; LANES];
        for (g, sd) in self.groups.iter().zip(&at.sd) {
            let (x, forward) = (g.x.map(|x| x + ln_shock), g.forward.map(|f| f * shock));
            let fit = values(&x, sd, &forward, &g.strike, &g.sign, &mut out);
            for lane in 0..g.count {
                let place = g.place[lane];
                with(place, if fit[lane] { out[lane] } else { slow(place)? });
            }
        }
        for place in &self.others {
            with(*place, slow(*place)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pricing::{ClmmLeg, OptionKind};
    use crate::scenario::GridInstrument;

    proptest! {
        #[test]
        fn lanes_agree_with_one_leg_at_a_time(
            ks in prop::collection::vec((0.2..5.0_f64, 0.0..3.0_f64, 0.0..1.5_f64), 1..80),
            shock in 0.1..4.0_f64, elapsed in 0.0..0.4_f64,
        ) {
            let mut legs: Vec<Leg> = ks.iter().enumerate().map(|(i, (k, vol, years))| Leg::Option(GridInstrument {
                kind: if i % 2 == 0 { OptionKind::Call } else { OptionKind::Put },
                strike: 2_000.0 * k, forward: 2_000.0, vol: *vol, years: *years,
            })).collect();
            legs.insert(legs.len() / 2, Leg::Spot { price: 2_000.0 });
            legs.push(Leg::Range { price: 2_000.0, leg: ClmmLeg { liquidity: 3.0, lower: 1_500.0, upper: 2_500.0 } });
            let fast = FastLegs::new(&legs, 0..legs.len());
            let vol: Vec<f64> = legs.iter().map(|l| l.option().map_or(0.0, |o| o.vol)).collect();
            let at = fast.deviations(vol.clone(), elapsed);
            let mut seen = vec![0; legs.len()];
            fast.value((shock, libm::log(shock)), &at, |place, got| {
                seen[place] += 1;
                let want = legs[place].value(shock, vol[place], elapsed).unwrap();
                assert!((got - want).abs() <= 1e-11 * 2_000.0 * shock.max(1.0), "{:?} {got} {want}", legs[place]);
            }).unwrap();
            prop_assert!(seen.iter().all(|n| *n == 1));
            prop_assert!(fast.value((-1.0, 0.0), &at, |_, _| ()).is_err());
        }
    }
}
