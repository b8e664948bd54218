//! The scorecard of a drill (`onchain.md` §6.1): what the defence achieved against no defence.

use std::fmt::Write;

use cofferdam_core::Usd;
use serde::Serialize;

/// What the same attack did without a defence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Control {
    /// Loss without a defence, in micro-dollars.
    pub loss: Usd,
}

/// One drill, one variant, one chain: what happened and how it compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scorecard {
    /// The drill.
    pub drill: String,
    /// The variant.
    pub variant: String,
    /// `local` or `anvil`.
    pub chain: String,
    /// The control run.
    pub control: Control,
    /// Loss with the defence.
    pub loss: Usd,
    /// Share of the control's loss that was saved, in hundredths of a percent; `None` if the control
    /// lost nothing.
    pub saved_bps: Option<u64>,
    /// Whether a critical finding was made.
    pub detected: bool,
    /// Milliseconds of chain time from the first attack transaction to the first critical finding.
    pub detect_ms: Option<u64>,
    /// Milliseconds of chain time from the first attack transaction to the effect.
    pub contain_ms: Option<u64>,
    /// Blocks from the first attack block to the block in which the pause is effective; 0 if in the
    /// same block or before.
    pub contain_blocks: Option<u64>,
    /// Microseconds of wall time from handing the observation to the engine to the transaction in the
    /// pool.
    pub react_us: Option<u64>,
    /// Gas used by containment.
    pub gas_used: u64,
    /// Ordinary transactions that failed because of the defence.
    pub ordinary_blocked: u64,
    /// Incidents opened by ordinary use.
    pub false_trips: u64,
    /// Whether the journal verified afterwards, and how many entries it holds.
    pub journal_entries: Option<u64>,
    /// What fell short of the scenario's expectation; empty means pass.
    pub shortfalls: Vec<String>,
    /// Said plainly: why no more could be saved.
    pub remark: String,
}

impl Scorecard {
    /// Share saved: 1 − L/L0 in basis points, 0 if more was lost than without a defence.
    pub fn saved(control: Usd, loss: Usd) -> Option<u64> {
        if control.0 <= 0 {
            return None;
        }
        let kept = control.0.saturating_sub(loss.0.max(0)).max(0);
        u64::try_from(kept.saturating_mul(10_000) / control.0).ok()
    }

    /// Whether the drill met its expectation.
    pub fn passed(&self) -> bool {
        self.shortfalls.is_empty()
    }

    /// The card as text.
    pub fn render(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  {name:<26} {value}");
        };
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "–".into());
        line("lost without a defence", self.control.loss.to_string());
        line("lost with Cofferdam", self.loss.to_string());
        let saved = self.saved_bps.map(|it| format!("{}.{:02} %", it / 100, it % 100));
        line("funds saved", or_dash(saved));
        line("critical finding", if self.detected { "yes" } else { "no" }.into());
        line("time to detect", or_dash(self.detect_ms.map(|it| format!("{it} ms of chain time"))));
        line(
            "time to contain",
            or_dash(self.contain_ms.map(|it| format!("{it} ms of chain time"))),
        );
        line("blocks to contain", or_dash(self.contain_blocks.map(|it| it.to_string())));
        line(
            "seen → in the pool",
            or_dash(self.react_us.map(|it| format!("{}.{:03} ms", it / 1_000, it % 1_000))),
        );
        line("gas of containment", self.gas_used.to_string());
        line("ordinary use blocked", self.ordinary_blocked.to_string());
        line("false trips", self.false_trips.to_string());
        line("journal", or_dash(self.journal_entries.map(|it| format!("{it} entries, verified"))));
        if !self.remark.is_empty() {
            line("remark", self.remark.clone());
        }
        for it in &self.shortfalls {
            line("SHORTFALL", it.clone());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use cofferdam_core::Usd;

    use super::Scorecard;

    #[test]
    fn saved_is_one_minus_the_share_lost() {
        assert_eq!(Scorecard::saved(Usd::whole(100), Usd::whole(25)), Some(7_500));
        assert_eq!(Scorecard::saved(Usd::whole(100), Usd::whole(150)), Some(0));
        assert_eq!(Scorecard::saved(Usd::whole(100), Usd::whole(-5)), Some(10_000));
        assert_eq!(Scorecard::saved(Usd::ZERO, Usd::ZERO), None);
    }
}
