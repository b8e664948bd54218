//! Checks of people, machines and the console: nobody is two, no quorum is out of reach, no origin is a stranger's.

use std::collections::BTreeSet;

use super::{Check, at, is_name, secrets};
use crate::plan::{Action, SIGNER, Step};

/// Most people and machines in all.
const PEOPLE_MAX: usize = 200;
/// Most accounts, or roles, of one person.
const EACH_MAX: usize = 16;
/// The longest session, in milliseconds: a day.
const SESSION_MAX_MS: u64 = 86_400_000;

impl Check<'_> {
    pub(super) fn people(&mut self) {
        let plan = self.plan;
        let all = plan.people.len() + plan.machines.len();
        let hint = "at most 200 people and machines";
        self.require(all <= PEOPLE_MAX, at!["people"], "there are too many of them", hint);
        let (mut accounts, mut tokens) = (BTreeSet::new(), BTreeSet::new());
        for (index, person) in plan.people.iter().enumerate() {
            let path = |field| [Step::from("people"), index.into(), Step::from(field)];
            let few = person.accounts.len() <= EACH_MAX && person.roles.len() <= EACH_MAX;
            self.require(few, &path("roles"), "this is too much for one person", "at most 16");
            let reached = !person.accounts.is_empty() || person.token_sha256.is_some();
            let hint = "name an account, or the hash of a token";
            self.require(reached, &path("id"), "nothing says who this is", hint);
            for (number, it) in person.accounts.iter().enumerate() {
                let path = at!["people", index, "accounts", number];
                let hint = "two names for one key would count as two people";
                self.require(
                    accounts.insert(it.address),
                    path,
                    "this account is named before",
                    hint,
                );
            }
            for (number, it) in person.roles.iter().enumerate() {
                let path = at!["people", index, "roles", number];
                self.require(is_name(it), path, "this is not a role", "e.g. `signer`");
            }
            if let Some(it) = person.token_sha256 {
                let hint = "give each a token of their own";
                let path = path("token-sha256");
                self.require(tokens.insert(it), &path, "somebody else has this token", hint);
            }
        }
        for (index, machine) in plan.machines.iter().enumerate() {
            let path = at!["machines", index, "token-sha256"];
            let hint = "give each a token of its own";
            self.require(tokens.insert(machine.token_sha256), path, "another has this token", hint);
            let person = plan.people.iter().any(|it| it.id == machine.id);
            let path = at!["machines", index, "id"];
            self.require(
                !person,
                path,
                "a person has this name",
                "the journal tells them apart by it",
            );
        }
        for (index, action) in plan.actions.iter().enumerate() {
            self.quorum(index, action);
        }
        self.console();
    }

    /// Every role that must approve an action is had by enough people.
    fn quorum(&mut self, index: usize, action: &Action) {
        let mut seen = BTreeSet::new();
        for (number, it) in action.quorum.iter().enumerate() {
            let path = at!["actions", index, "quorum", number];
            let able = self.plan.people.iter().filter(|person| person.has(&it.role)).count();
            let hint = format!("{able} of the people have the role `{}`", it.role);
            let reached = it.count > 0 && usize::from(it.count) <= able;
            self.require(reached, path, "this quorum can never be reached", &hint);
            let hint = "one line for each role";
            self.require(seen.insert(&it.role), path, "this role is named before", hint);
        }
        let console = self.plan.console.is_some() && action.quorum.is_empty();
        let signers = self.plan.people.iter().filter(|it| it.has(SIGNER)).count();
        if console && !self.plan.people.is_empty() && usize::from(action.approvals) > signers {
            let hint = format!("{signers} of the people have the role `signer`");
            let path = at!["actions", index, "approvals"];
            self.report(path, "so many approvals can never be had", &hint);
        }
    }

    fn console(&mut self) {
        let Some(console) = &self.plan.console else { return };
        let path = |field| [Step::from("console"), Step::from(field)];
        let hint = "scheme, host and port and nothing else, e.g. `https://cofferdam.example`; plain `http` for \
                    `localhost` and `127.0.0.1` only";
        let web = console.is_https() || console.origin.starts_with("http://");
        let bare = !console.domain().contains('/') && console.origin.is_ascii();
        let lower = !console.origin.bytes().any(|it| it.is_ascii_uppercase());
        let proper = web && bare && lower && secrets::endpoint(&console.origin).is_ok();
        let host = console.domain().split(':').next().unwrap_or_default();
        let safe = console.is_https() || matches!(host, "localhost" | "127.0.0.1");
        self.require(proper && safe, &path("origin"), "this is no origin for a console", hint);
        let known = self.plan.chains.iter().any(|it| it.id == console.chain);
        let hint = "wallets sign for a chain that the plan watches";
        self.require(known, &path("chain"), "this chain is not declared", hint);
        for (field, it) in [("idle", console.idle.0), ("lasts", console.lasts.0)] {
            let sane = (60_000..=SESSION_MAX_MS).contains(&it);
            let hint = "from `\"1m\"` to `\"24h\"`";
            self.require(sane, &path(field), "this is no length of a session", hint);
        }
        let hint = "add `[[people]]` with accounts";
        let someone = self.plan.people.iter().any(|it| !it.accounts.is_empty());
        let someone = someone || !self.plan.machines.is_empty();
        self.require(someone, &path("origin"), "nobody could sign in", hint);
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{parse, template};

    /// What is wrong with the starter plan and `more`.
    fn faults(more: &str) -> String {
        let text = format!("{}\n{more}", template("Example"));
        parse(&text, "plan.toml").map_or_else(|it| it.to_string(), |_| String::new())
    }

    const ALICE: &str = "[[people]]\nid = \"alice\"\nroles = [\"signer\"]\n\
        accounts = [\"eip155:1:0x7777777777777777777777777777777777777777\"]\n";
    const CONSOLE: &str =
        "[console]\norigin = \"https://cofferdam.example\"\nchain = \"eip155:1\"\n";

    #[test]
    fn a_plan_with_people_and_a_console_is_a_plan() {
        assert_eq!(faults(&format!("{ALICE}{CONSOLE}")), "");
        assert_eq!(
            faults(&format!(
                "{ALICE}{}",
                CONSOLE.replace("https://cofferdam.example", "http://localhost:9700")
            )),
            ""
        );
    }

    #[test]
    fn nobody_is_two_people_and_no_origin_is_a_strangers() {
        let twice = format!("{ALICE}{}", ALICE.replace("alice", "bob"));
        assert!(faults(&twice).contains("named before"));
        let nobody = "[[people]]\nid = \"bob\"\n";
        assert!(faults(nobody).contains("nothing says who this is"));
        for origin in [
            "http://cofferdam.example",
            "https://cofferdam.example/path",
            "https://user@cofferdam.example",
            "ws://localhost",
            "https://Cofferdam.example",
            "https://",
            "env:ORIGIN",
        ] {
            let console = CONSOLE.replace("https://cofferdam.example", origin);
            assert!(faults(&format!("{ALICE}{console}")).contains("no origin"), "{origin}");
        }
        assert!(faults(CONSOLE).contains("nobody could sign in"));
        let other = CONSOLE.replace("eip155:1", "eip155:10");
        assert!(faults(&format!("{ALICE}{other}")).contains("not declared"));
    }
}
