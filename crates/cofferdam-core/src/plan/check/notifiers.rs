//! Checks of who is told: a receiver that can be reached, and no secret in the plan.

use super::{Check, at, secrets};

const ADDRESS: &str = "`https://`, `http://` or `env:NAME`";

impl Check<'_> {
    pub(super) fn notifiers(&mut self) {
        for (index, notifier) in self.plan.notifiers.iter().enumerate() {
            let path = at!["notifiers", index, "address"];
            let known = ["http://", "https://", "env:"];
            match secrets::endpoint(&notifier.address) {
                Err(it) if it.secret => self.report_secret(path, it.message, it.hint),
                Err(it) => self.report(path, it.message, it.hint),
                Ok(()) => {
                    let reachable = known.iter().any(|it| notifier.address.starts_with(it));
                    self.require(reachable, path, "nothing can be sent there", ADDRESS);
                }
            }
            let path = at!["notifiers", index, "key"];
            let Some(key) = &notifier.key else { continue };
            match key.strip_prefix("env:") {
                Some(name) => self.variable(path, name),
                None => {
                    let hint = "put it into an environment variable and write `env:NAME`";
                    self.report_secret(path, "a plan holds no secret", hint);
                }
            }
        }
    }
}
