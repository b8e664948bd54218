//! The bank run: depositors leave faster as utilisation passes a kink and news turns bad; what they are paid is
//! bounded by the cash left. A forecast to compare with what is seen, not a law.

use serde::{Deserialize, Serialize};

use crate::error::{RiskError, finite, non_negative};

/// Longest forecast in hours.
pub const MAX_HOURS: usize = 720;

/// Hourly hazards of leaving.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RunModel {
    /// On a calm day.
    pub calm: f64,
    /// Added by the news, decaying.
    pub news: f64,
    /// Half-life of the news in hours.
    pub news_half_life: f64,
    /// Utilisation at which depositors start to worry.
    pub kink: f64,
    /// Added at full utilisation, rising linearly from the kink.
    pub panic: f64,
}

/// One hour of the forecast, in USD.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RunHour {
    /// Wanted out.
    pub demanded: f64,
    /// Paid out.
    pub paid: f64,
    /// Utilisation at the end of the hour.
    pub utilisation: f64,
}

/// The forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPath {
    /// Hour by hour.
    pub hours: Vec<RunHour>,
    /// Paid out in all.
    pub paid: f64,
    /// First hour in which not everybody was paid.
    pub dry_at: Option<usize>,
}

impl RunModel {
    /// Forecasts withdrawals from a pool with `deposits`, of which `borrowed` are lent out.
    ///
    /// # Errors
    /// Parameters that are negative or not finite, more borrowed than deposited, or a horizon beyond [`MAX_HOURS`].
    pub fn forecast(
        &self,
        deposits: f64,
        borrowed: f64,
        hours: usize,
    ) -> Result<RunPath, RiskError> {
        let mut deposits = non_negative("deposits", deposits)?;
        let borrowed = non_negative("borrowed", borrowed)?;
        for p in [self.calm, self.news, self.panic, self.news_half_life, self.kink] {
            non_negative("run parameter", finite("run parameter", p)?)?;
        }
        if borrowed > deposits || hours > MAX_HOURS || self.kink >= 1.0 {
            return Err(RiskError::OutOfDomain {
                name: "run input",
                value: borrowed,
                domain: "borrowed <= deposits, kink < 1, hours <= 720",
            });
        }
        let mut path = RunPath { hours: Vec::with_capacity(hours), paid: 0.0, dry_at: None };
        for hour in 0..hours {
            let used = if deposits > 0.0 { borrowed / deposits } else { 1.0 };
            let worry = ((used - self.kink) / (1.0 - self.kink)).clamp(0.0, 1.0);
            let fading = if self.news_half_life > 0.0 {
                libm::exp2(-(hour as f64) / self.news_half_life)
            } else {
                0.0
            };
            let hazard = self.calm + self.news * fading + self.panic * worry;
            let demanded = deposits * -libm::expm1(-hazard);
            let paid = demanded.min(deposits - borrowed);
            if paid < demanded && path.dry_at.is_none() {
                path.dry_at = Some(hour);
            }
            deposits -= paid;
            path.paid += paid;
            let utilisation = if deposits > 0.0 { borrowed / deposits } else { 1.0 };
            path.hours.push(RunHour { demanded, paid, utilisation });
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: RunModel =
        RunModel { calm: 0.0005, news: 0.01, news_half_life: 24.0, kink: 0.8, panic: 0.05 };

    #[test]
    fn a_run_stops_at_the_cash_and_worse_news_never_slows_it() {
        let path = MODEL.forecast(100.0, 70.0, 200).unwrap();
        assert!(path.paid <= 30.0 + 1e-9 && path.dry_at.is_some());
        let worse = RunModel { news: 0.05, ..MODEL }.forecast(100.0, 70.0, 200).unwrap();
        assert!(worse.dry_at <= path.dry_at);
        assert!(MODEL.forecast(100.0, 101.0, 5).is_err());
    }
}
