//! Checks of learned guards: advisory until a person has promoted them, and promoted only after a run in
//! shadow that the plan records (`onchain.md` §2.1).

use super::{Check, at};
use crate::plan::{Mode, Rule};

/// The detector that evaluates what `cofferdam learn` proposed.
pub const LEARNED: &str = "learned-guard";
/// Least run in shadow before a promotion, in seconds: 30 days.
pub const SHADOW_SECONDS_MIN: u64 = 30 * 86_400;

impl Check<'_> {
    pub(super) fn learned(&mut self) {
        let plan = self.plan;
        for (index, rule) in plan.rules.iter().enumerate() {
            if rule.detector == LEARNED {
                self.promotion(index, rule);
            }
        }
    }

    fn promotion(&mut self, index: usize, rule: &Rule) {
        let settings = &rule.settings;
        let promoted = settings.get("promoted").and_then(toml::Value::as_bool) == Some(true);
        if !promoted {
            let hint = "let it run in `shadow` or `alert` for 30 days, then set `promoted = true` and record the run under `shadow`";
            let path = at!["rules", index, "mode"];
            let advisory = rule.mode <= Mode::Alert;
            self.require(advisory, path, "a learned guard acts only once it is promoted", hint);
            return;
        }
        let shadow = settings.get("shadow").and_then(toml::Value::as_table);
        let Some(shadow) = shadow else {
            let path = at!["rules", index, "settings", "promoted"];
            let hint = "add `shadow = { from = …, until = …, findings = … }` in seconds since the Unix epoch";
            self.report(path, "it is promoted without a recorded run in shadow", hint);
            return;
        };
        let time = |table: &toml::Table, key| {
            table.get(key).and_then(toml::Value::as_integer).and_then(|it| u64::try_from(it).ok())
        };
        let path = at!["rules", index, "settings", "shadow"];
        let run = time(shadow, "from").zip(time(shadow, "until"));
        let Some((from, until)) = run else {
            let hint = "`from` and `until` are seconds since the Unix epoch";
            self.report(path, "this says not when it ran in shadow", hint);
            return;
        };
        let long = until.checked_sub(from).is_some_and(|it| it >= SHADOW_SECONDS_MIN);
        let hint = "at least 30 days: rare transactions are the ones that cry wolf";
        self.require(long, path, "the run in shadow is too short", hint);
        let counted = time(shadow, "findings").is_some();
        let hint = "`findings` is how many it made, all looked at";
        self.require(counted, path, "this says not what was found in shadow", hint);
        // What it was judged on must not be what it ran on.
        let later = time(settings, "learned-until").is_some_and(|it| it <= from);
        let hint = "a run over the blocks it was learned from proves nothing: `from` is at or after `learned-until`";
        self.require(later, path, "the run in shadow begins before the history ends", hint);
        let fresh = time(settings, "expires").is_some_and(|it| it > until);
        let path = at!["rules", index, "settings", "expires"];
        let hint = "learn it again: what held a quarter ago is no evidence";
        self.require(fresh, path, "it expires before its run in shadow ends", hint);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use crate::plan::parse;

    #[track_caller]
    fn check(mode: &str, settings: &str, expect: Expect) {
        let text = format!(
            "version = 1\nname = \"x\"\nchains = [{{ id = \"eip155:1\" }}]\n[[rules]]\nid = \"l\"\ndetector = \"learned-guard\"\nmode = \"{mode}\"\n[rules.settings]\nlearned-until = 1000000\nexpires = 9000000\n{settings}\n"
        );
        let outcome = parse(&text, "p").map_or_else(|it| it.to_string(), |_| "accepted".into());
        expect.assert_eq(&outcome);
    }

    #[test]
    fn nothing_learned_may_act_before_it_is_promoted() {
        check("shadow", "", expect!["accepted"]);
        check("alert", "promoted = false", expect!["accepted"]);
        let refused = || {
            expect![[r#"
            p:7:8: a learned guard acts only once it is promoted
                hint: let it run in `shadow` or `alert` for 30 days, then set `promoted = true` and record the run under `shadow`"#]]
        };
        check("automatic", "promoted = false", refused());
        check("one-click", "", refused());
        check("automatic", "promoted = \"true\"", refused());
    }

    #[test]
    fn a_promotion_rests_on_a_recorded_run_in_shadow() {
        let good = "promoted = true\nshadow = { from = 1000000, until = 3592000, findings = 0 }";
        check("automatic", good, expect!["accepted"]);
        check(
            "shadow",
            "promoted = true",
            expect![[r#"
                p:11:12: it is promoted without a recorded run in shadow
                    hint: add `shadow = { from = …, until = …, findings = … }` in seconds since the Unix epoch"#]],
        );
        let short = "promoted = true\nshadow = { from = 999999, until = 3591998 }";
        check(
            "automatic",
            short,
            expect![[r#"
                p:12:10: the run in shadow begins before the history ends
                    hint: a run over the blocks it was learned from proves nothing: `from` is at or after `learned-until`
                p:12:10: the run in shadow is too short
                    hint: at least 30 days: rare transactions are the ones that cry wolf
                p:12:10: this says not what was found in shadow
                    hint: `findings` is how many it made, all looked at"#]],
        );
        let late = "promoted = true\nshadow = { from = 7000000, until = 9592000, findings = 3 }";
        check(
            "automatic",
            late,
            expect![[r#"
                p:10:11: it expires before its run in shadow ends
                    hint: learn it again: what held a quarter ago is no evidence"#]],
        );
    }
}
