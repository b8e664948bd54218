//! Checks of what may be done: bounded, payable, provable, by somebody who exists.

use alloy_primitives::U256;

use super::{Check, at, secrets, watches};
use crate::{
    AccountId, ChainId,
    plan::{Action, ActionCall, Autonomy, KeySource, Mode, Rung, Step, Verify},
};

/// Rules that an irreversible action needs, at least.
const IRREVERSIBLE_RULES_MIN: usize = 2;

impl Check<'_> {
    pub(super) fn actions(&mut self) {
        for (index, action) in self.plan.actions.iter().enumerate() {
            self.containment(index, action);
            self.call(index, &action.call);
            self.bounds(index, action);
            self.asymmetry(index, action);
            self.sources(index, action);
            for (number, verify) in action.verify.iter().enumerate() {
                self.verify(index, number, action.call.chain(), verify);
            }
        }
    }

    pub(super) fn relayers(&mut self) {
        for (index, relayer) in self.plan.relayers.iter().enumerate() {
            self.declared(at!["relayers", index, "account"], relayer.account);
            match &relayer.key {
                KeySource::Keystore { path, password_env } => {
                    self.folder(at!["relayers", index, "key", "path"], path);
                    self.variable(at!["relayers", index, "key", "password-env"], password_env);
                }
                KeySource::Env { name } => {
                    self.variable(at!["relayers", index, "key", "name"], name);
                }
            }
        }
    }

    /// What it stops exists, and its rung is one that calls something.
    fn containment(&mut self, index: usize, action: &Action) {
        let calls = !matches!(action.rung, Rung::Watch | Rung::Notify);
        let hint = "watching and notifying need no action; `limit` is the lowest rung that calls a contract";
        self.require(calls, at!["actions", index, "rung"], "nothing is called on this rung", hint);
        let path = at!["actions", index, "contains"];
        let hint = "name the entities whose loss it stops";
        self.require(!action.contains.is_empty(), path, "an action that contains nothing", hint);
        self.entity_names("actions", index, "contains", &action.contains);
        let chain = action.call.chain();
        for (number, name) in action.contains.iter().enumerate() {
            let Some(entity) = self.plan.entity(name) else { continue };
            if !entity.accounts.iter().any(|it| it.chain == chain) {
                let message = format!("`{name}` has no contract on {chain}, where the action runs");
                let hint = "an action stops losses on its own chain only";
                self.report(at!["actions", index, "contains", number], message, hint);
            }
        }
    }

    fn call(&mut self, index: usize, call: &ActionCall) {
        let path = |field| [Step::from("actions"), index.into(), "call".into(), Step::from(field)];
        let chain = call.chain();
        match call {
            ActionCall::Guardian { guardian, tier, target, authorisations, .. } => {
                self.on_chain(&path("guardian"), *guardian, chain);
                self.on_chain(&path("target"), *target, chain);
                let hint = "0: one signer, short; 1: quorum, long";
                self.require(*tier <= 1, &path("tier"), "there is no such tier", hint);
                self.folder(&path("authorisations"), authorisations);
                self.some_relayer(&path("guardian"), chain);
            }
            ActionCall::Direct { target, relayer, .. } => {
                self.on_chain(&path("target"), *target, chain);
                match self.plan.relayers.iter().find(|it| it.id == *relayer) {
                    None => {
                        let known = self.plan.relayers.iter().map(|it| it.id.as_str());
                        self.unknown(&path("relayer"), "relayer", relayer, known);
                    }
                    Some(it) if it.account.chain != chain => {
                        let message = format!("relayer `{relayer}` is not on {chain}");
                        self.report(
                            &path("relayer"),
                            message,
                            "the role is held by an account on the target's chain",
                        );
                    }
                    Some(_) => {}
                }
            }
            ActionCall::SafeModule { module, safe, target, authorisations, .. } => {
                for (field, account) in [("module", module), ("safe", safe), ("target", target)] {
                    self.on_chain(&path(field), *account, chain);
                }
                self.folder(&path("authorisations"), authorisations);
                self.some_relayer(&path("module"), chain);
            }
        }
    }

    fn on_chain(&mut self, path: &[Step<'_>], account: AccountId, chain: ChainId) {
        self.declared(path, account);
        if account.chain != chain {
            let message = format!("it is on {}, the call runs on {chain}", account.chain);
            self.report(path, message, "one action runs on one chain");
        }
    }

    fn some_relayer(&mut self, path: &[Step<'_>], chain: ChainId) {
        if !self.plan.relayers.iter().any(|it| it.account.chain == chain) {
            let message = format!("nobody could send this: there is no relayer on {chain}");
            self.report(path, message, "add `[[relayers]]` with an account on that chain");
        }
    }

    fn bounds(&mut self, index: usize, action: &Action) {
        let path = |field| [Step::from("actions"), index.into(), Step::from(field)];
        let budget =
            |field| [Step::from("actions"), index.into(), "budget".into(), Step::from(field)];
        let share = (1..=1_000_000).contains(&action.stops.0);
        self.require(
            share,
            &path("stops"),
            "a share is more than 0 % and at most 100 %",
            "e.g. `\"95 %\"`",
        );
        let share = (1..=1_000_000).contains(&action.success.0);
        let message = "a probability is more than 0 % and at most 100 %";
        self.require(share, &path("success"), message, "e.g. `\"95 %\"`");
        let hint = "1: in the next block";
        let possible = action.threshold_ppb.is_none_or(|it| (1..1_000_000_000).contains(&it));
        let message = "a threshold is neither impossible nor certain";
        let range = "parts per billion, 1 to 999999999: what `cofferdam calibrate` proposes";
        self.require(possible, &path("threshold-ppb"), message, range);
        self.require(
            action.effect_blocks > 0,
            &path("effect-blocks"),
            "nothing is that fast",
            hint,
        );
        self.shares_of_cost(index, action);
        let pays = action.fee_budget.0 > U256::ZERO;
        self.require(
            pays,
            &path("fee-budget"),
            "an order that may pay no fee is not included",
            "e.g. `\"0.5 eth\"`",
        );
        let hint = "one person at least: e.g. 1, or 2 for two different people";
        self.require(action.approvals > 0, &path("approvals"), "nobody would approve it", hint);
        let lives = action.valid_for.0 > 0;
        self.require(
            lives,
            &path("valid-for"),
            "an order would expire when it is decided",
            "e.g. `\"10m\"`",
        );
        let free = action.autonomy != Autonomy::Propose;
        let allowed = action.budget.automatic_max > 0;
        let hint = "set it to 1 or more, or `autonomy = { level = \"propose\" }`";
        self.require(
            !free || allowed,
            &budget("automatic-max"),
            "the action may act, but never does",
            hint,
        );
        let window = action.budget.window.0 > 0;
        self.require(
            window,
            &budget("window"),
            "a budget over no time is no bound",
            "e.g. `\"1d\"`",
        );
        if let Autonomy::Veto { window } = action.autonomy {
            let path = at!["actions", index, "autonomy", "window"];
            let hint = "say how long people have, or use `level = \"act\"`";
            self.require(window.0 > 0, path, "nobody could veto in no time", hint);
            let path = at!["actions", index, "valid-for"];
            let hint = "make it longer than the veto window";
            let outlives = action.valid_for.0 > window.0;
            self.require(outlives, path, "an order would expire before its veto window ends", hint);
        }
    }

    fn shares_of_cost(&mut self, index: usize, action: &Action) {
        let path = |field| [Step::from("actions"), index.into(), "cost".into(), Step::from(field)];
        let cost = &action.cost;
        for (field, share) in [
            ("catch-up", cost.catch_up),
            ("opportunity", cost.opportunity),
            ("lp-margin", cost.lp_margin),
            ("spread", cost.spread),
        ] {
            let hint = "e.g. `\"50 %\"`";
            self.require(share.0 <= 1_000_000, &path(field), "a share is at most 100 %", hint);
        }
        let recurs = cost.expiry.as_ref().is_none_or(|it| it.every.0 > 0);
        self.require(
            recurs,
            &path("expiry"),
            "expiries without time between them",
            "e.g. `\"1d\"`",
        );
    }

    /// What lowers liquidity harms users for as long as it lasts. A plan that does not say how long,
    /// or what it costs, would weigh an attack against nothing.
    fn asymmetry(&mut self, index: usize, action: &Action) {
        if !matches!(action.rung, Rung::Limit | Rung::PauseMarket | Rung::PauseProtocol) {
            return;
        }
        let path = at!["actions", index, "cost", "duration"];
        let id = &action.id;
        if action.cost.duration.0 == 0 {
            let message = format!("`{id}` lowers liquidity but does not say for how long at most");
            let hint = "set `cost.duration` to what the contract enforces, e.g. `\"4h\"`";
            self.report(path, message, hint);
        }
        let free = action.cost.fixed.0.0 == 0 && action.cost.per_hour.0.0 == 0;
        if free && action.autonomy != Autonomy::Propose {
            let message =
                format!("`{id}` costs nothing, so any suspicion would be worth acting on");
            let hint =
                "state `fixed` or `per-hour`: fees lost, users held up, liquidations not made";
            self.report(at!["actions", index, "cost"], message, hint);
        }
    }

    fn sources(&mut self, index: usize, action: &Action) {
        if !action.irreversible {
            return;
        }
        for name in &action.contains {
            let counts = |mode| matches!(mode, Mode::OneClick | Mode::Automatic);
            let rules = self.plan.rules.iter();
            let rules = rules.filter(|it| counts(it.mode) && watches(it, name)).count();
            if self.plan.entity(name).is_some() && rules < IRREVERSIBLE_RULES_MIN {
                let message = format!(
                    "`{}` is irreversible, and {rules} of the two rules it needs may act for `{name}`",
                    action.id
                );
                let hint = "two independent rules in mode `one-click` or `automatic` must watch the entity";
                self.report(at!["actions", index, "irreversible"], message, hint);
            }
        }
    }

    fn verify(&mut self, action: usize, number: usize, chain: ChainId, verify: &Verify) {
        let field = |name| {
            let [a, b, c, d, e] = at!["actions", action, "verify", number, name];
            [*a, *b, *c, *d, *e]
        };
        self.on_chain(&field("contract"), verify.contract, chain);
        let selector = verify.data.len() >= 4;
        let hint = "four bytes of a selector at least, e.g. `0x5c975abb` for `paused()`";
        self.require(selector, &field("data"), "this calls no function", hint);
        let number = verify.expect.bytes().all(|it| it.is_ascii_digit())
            && U256::from_str_radix(&verify.expect, 10).is_ok()
            && !verify.expect.is_empty();
        let known = number || verify.expect == "reverts";
        let hint = "a decimal number, e.g. `\"1\"`, or `\"reverts\"`";
        self.require(known, &field("expect"), "this is nothing a call can answer", hint);
    }

    pub(super) fn folder(&mut self, path: &[Step<'_>], text: &str) {
        if let Err(it) = secrets::relative_path(text) {
            self.report(path, it.message, it.hint);
        }
    }

    pub(super) fn variable(&mut self, path: &[Step<'_>], text: &str) {
        match secrets::variable(text) {
            Ok(()) => {}
            Err(it) if it.secret => self.report_secret(path, it.message, it.hint),
            Err(it) => self.report(path, it.message, it.hint),
        }
    }
}
