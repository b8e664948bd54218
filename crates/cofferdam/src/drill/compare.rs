//! The decision rules beside each other on the same drills: what the full one does earlier, later, or not
//! at all.

use std::fmt::Write;

use cofferdam_core::plan::Policy;
use cofferdam_drill::{Scorecard, scenario::Variant};
use serde::Serialize;

use super::{Drill, RunOptions, StageError, run_variant};

/// One variant of a drill under both rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The drill.
    pub drill: String,
    /// The variant.
    pub variant: String,
    /// Whether nothing happens in it that calls for an action.
    pub benign: bool,
    /// Under the one-shot rule.
    pub one_shot: Scorecard,
    /// Under the rule of the plan.
    pub full: Scorecard,
}

impl Comparison {
    /// Plays the variant under both rules.
    ///
    /// # Errors
    /// If the drill itself fails.
    pub async fn of(
        drill: &Drill,
        variant: &Variant,
        options: &RunOptions,
    ) -> Result<Self, StageError> {
        let under = |policy, folder: &str| {
            let drill = drill.decided_by(policy);
            let options = RunOptions { out: options.out.join(folder), ..options.clone() };
            async move {
                std::fs::create_dir_all(&options.out)
                    .map_err(|it| StageError::Other(format!("{}: {it}", options.out.display())))?;
                run_variant(&drill, variant, &options).await.map(|it| it.card)
            }
        };
        Ok(Self {
            drill: drill.scenario.id.clone(),
            variant: variant.id.clone(),
            benign: drill.scenario.benign,
            one_shot: under(Policy::OneShot, "one-shot").await?,
            full: under(Policy::Sequential, "sequential").await?,
        })
    }

    /// Where harm was real, the full rule contained no later and lost no more; elsewhere it abstained.
    pub fn holds(&self) -> bool {
        let never = u64::MAX;
        let when =
            |it: &Scorecard| (it.contain_blocks.unwrap_or(never), it.contain_ms.unwrap_or(never));
        match self.benign {
            true => self.full.contain_ms.is_none() && self.full.ordinary_blocked == 0,
            false => {
                when(&self.full) <= when(&self.one_shot) && self.full.loss <= self.one_shot.loss
            }
        }
    }

    /// The comparisons as a table.
    pub fn table(all: &[Self]) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<34} {:>10} {:>10} {:>14} {:>14} {:>14}  verdict",
            "drill / variant", "one-shot", "full", "lost one-shot", "lost full", "undefended"
        );
        let when = |it: &Scorecard| {
            it.contain_blocks.map_or("–".to_owned(), |it| format!("{it} blocks"))
        };
        for it in all {
            let verdict = match (it.holds(), it.benign) {
                (true, true) => "abstains",
                (true, false) => "no later",
                (false, true) => "ACTS ON A CONTROL",
                (false, false) => "LATER",
            };
            let _ = writeln!(
                out,
                "{:<34} {:>10} {:>10} {:>14} {:>14} {:>14}  {verdict}",
                format!("{} / {}", it.drill, it.variant),
                when(&it.one_shot),
                when(&it.full),
                it.one_shot.loss.to_string(),
                it.full.loss.to_string(),
                it.full.control.loss.to_string(),
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use cofferdam_core::Usd;
    use cofferdam_drill::Control;
    use expect_test::expect;

    use super::*;

    fn card(blocks: Option<u64>, loss: i128) -> Scorecard {
        Scorecard {
            drill: "d".into(),
            variant: "v".into(),
            chain: "local".into(),
            control: Control { loss: Usd::whole(1_000) },
            loss: Usd::whole(loss),
            saved_bps: None,
            detected: true,
            detect_ms: None,
            contain_ms: blocks.map(|it| it * 12_000),
            contain_blocks: blocks,
            react_us: None,
            gas_used: 0,
            ordinary_blocked: 0,
            false_trips: 0,
            journal_entries: None,
            shortfalls: vec![],
            remark: String::new(),
        }
    }

    #[test]
    fn later_and_overeager_decisions_are_named() {
        let pair = |benign, one_shot, full| Comparison {
            drill: "d1".into(),
            variant: "split".into(),
            benign,
            one_shot,
            full,
        };
        let all = [
            pair(false, card(Some(1), 10), card(Some(1), 10)),
            pair(false, card(Some(1), 10), card(None, 900)),
            pair(true, card(None, 0), card(None, 0)),
            pair(true, card(None, 0), card(Some(1), 0)),
        ];
        expect![[r#"
            drill / variant                      one-shot       full  lost one-shot      lost full     undefended  verdict
            d1 / split                           1 blocks   1 blocks         $10.00         $10.00         $1,000  no later
            d1 / split                           1 blocks          –         $10.00        $900.00         $1,000  LATER
            d1 / split                                  –          –          $0.00          $0.00         $1,000  abstains
            d1 / split                                  –   1 blocks          $0.00          $0.00         $1,000  ACTS ON A CONTROL
        "#]]
        .assert_eq(&Comparison::table(&all));
    }
}
