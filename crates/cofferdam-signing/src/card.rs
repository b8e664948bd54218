//! The signer card: everything a signer must see before signing, computed on the signer's own machine.
//!
//! **Invariant:** a card is accepted only if no flag refuses it, and it shows its red flags before anything else. What is
//! not known is written as unknown and is refused by the lint; there are no empty lines that could be read as "none".

use std::fmt::Write as _;

use alloy_primitives::Address;
use serde::Serialize;

use crate::{
    Hashes,
    calls::Node,
    clear::{Clear, Shown},
    evidence::{Effect, Evidence, Outcome},
    flag::{Flag, Weight},
    known::SINGLETONS,
    lint::Case,
    proposal::Proposal,
    text::{grouped, plain, spoken},
};

/// A signer card.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    /// Whether it may be signed.
    pub accepted: bool,
    /// Red flags, worst first.
    pub flags: Vec<Flag>,
    /// The Safe as CAIP-10.
    pub safe: String,
    /// What is proposed.
    pub proposal: Proposal,
    /// Our own hashes.
    pub hashes: Hashes,
    /// Six words for reading the hash aloud.
    pub spoken: String,
    /// The tree of calls.
    pub calls: Node,
    /// What the chain says.
    pub evidence: Option<Evidence>,
    /// Names of the accounts that appear, from the policy.
    pub names: std::collections::BTreeMap<Address, String>,
}

impl Card {
    /// The card of a case.
    pub fn of(case: &Case<'_>) -> Self {
        let calls = case.calls();
        let flags = case.flags(&calls);
        let hashes = case.proposal.hashes();
        let mut names = std::collections::BTreeMap::new();
        if let (Some(policy), Some(evidence)) = (case.policy, case.evidence) {
            let state = &evidence.state;
            let parts = [state.guard, state.module_guard, state.fallback_handler, state.singleton];
            let all = state.owners.iter().chain(&state.modules).chain(&parts);
            let named = all.filter_map(|it| policy.name(*it).map(|name| (*it, plain(name))));
            names.extend(named);
            let release = SINGLETONS.iter().find(|it| it.0 == state.singleton);
            if let Some((address, version)) = release {
                names.entry(*address).or_insert_with(|| format!("Safe {version}"));
            }
        }
        Self {
            accepted: flags.iter().all(|it| it.weight != Weight::Refuse),
            flags,
            safe: format!("{}:{}", case.proposal.chain, case.proposal.safe),
            proposal: case.proposal.clone(),
            hashes,
            spoken: spoken(hashes.signed),
            calls,
            evidence: case.evidence.cloned(),
            names,
        }
    }

    /// The card as text for a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let refusals = self.flags.iter().filter(|it| it.weight == Weight::Refuse).count();
        if self.accepted {
            out.push_str("MAY BE SIGNED, if the hashes on your device are these\n\n");
        } else {
            let reasons = if refusals == 1 { "reason" } else { "reasons" };
            let _ = writeln!(out, "REFUSED for {refusals} {reasons}: do not sign\n");
        }
        out.push_str(&flags_text(&self.flags));
        self.safe_text(&mut out);
        self.hash_text(&mut out);
        out.push_str("\nWhat it does\n");
        for node in self.calls.walk() {
            node_text(node, &mut out);
        }
        self.effects_text(&mut out);
        self.provenance_text(&mut out);
        out
    }

    fn named(&self, address: Address) -> String {
        match self.names.get(&address) {
            _ if address.is_zero() => "none".into(),
            Some(name) => format!("{name} {address}"),
            None => format!("UNNAMED {address}"),
        }
    }

    fn safe_text(&self, out: &mut String) {
        let tx = &self.proposal.transaction;
        let _ = writeln!(out, "\nSafe            {}", self.safe);
        let _ = writeln!(out, "release         {}", self.proposal.version);
        let Some(evidence) = &self.evidence else {
            let _ = writeln!(out, "nonce           {} (the Safe's: UNKNOWN)", tx.nonce);
            out.push_str(
                "owners          UNKNOWN\nthreshold       UNKNOWN\nguard, modules  UNKNOWN\n",
            );
            return;
        };
        let state = &evidence.state;
        let _ = writeln!(out, "nonce           {} (the Safe is at {})", tx.nonce, state.nonce);
        let after = self.threshold_after();
        let owners = state.owners.len();
        let _ =
            writeln!(out, "threshold       {} of {owners}, afterwards {after}", state.threshold);
        for owner in &state.owners {
            let _ = writeln!(out, "owner           {}", self.named(*owner));
        }
        let _ = writeln!(out, "code            {}", self.named(state.singleton));
        let _ = writeln!(out, "guard           {}", self.named(state.guard));
        let _ = writeln!(out, "module guard    {}", self.named(state.module_guard));
        let _ = writeln!(out, "handler         {}", self.named(state.fallback_handler));
        if state.modules.is_empty() {
            out.push_str("modules         none\n");
        }
        for module in &state.modules {
            let _ = writeln!(out, "module          {}", self.named(*module));
        }
        let source = plain(&evidence.source);
        let _ = writeln!(
            out,
            "read from       {source}, block {} {}",
            evidence.block, evidence.block_hash
        );
        match &evidence.history {
            Some(it) => {
                let count = it.changes.len();
                let _ =
                    writeln!(out, "history         {count} changes since block {}", it.from_block);
            }
            None => out.push_str("history         UNKNOWN\n"),
        }
    }

    /// The threshold after the transaction, as the simulations show it.
    fn threshold_after(&self) -> String {
        let Some(evidence) = self.evidence.as_ref().filter(|it| !it.simulations.is_empty()) else {
            return "UNKNOWN".into();
        };
        let effects = evidence.simulations.iter().flat_map(|it| &it.effects);
        let mut changed = effects.filter_map(|it| match it {
            Effect::SafeStorage { slot, after, .. } if Effect::slot_name(*slot) == "threshold" => {
                Some(alloy_primitives::U256::from_be_bytes(after.0).to_string())
            }
            _ => None,
        });
        changed.next_back().unwrap_or_else(|| evidence.state.threshold.to_string())
    }

    fn hash_text(&self, out: &mut String) {
        out.push_str("\nOn your device\n");
        let _ = writeln!(out, "domain hash     {}", grouped(self.hashes.domain));
        let _ = writeln!(out, "message hash    {}", grouped(self.hashes.message));
        let _ = writeln!(out, "safeTxHash      {}", self.hashes.signed);
        let _ = writeln!(out, "read aloud      {}", self.spoken);
    }

    fn effects_text(&self, out: &mut String) {
        out.push_str("\nWhat the simulations showed\n");
        let simulations = self.evidence.iter().flat_map(|it| &it.simulations);
        let mut any = false;
        for it in simulations {
            any = true;
            let outcome = match &it.outcome {
                Outcome::Succeeds => "succeeds".to_owned(),
                Outcome::Fails(why) => format!("FAILS: {}", plain(why)),
                Outcome::Incomplete(why) => format!("UNKNOWN: {}", plain(why)),
            };
            let _ = writeln!(out, "  {:<22} {outcome}", plain(&it.context));
            for effect in &it.effects {
                let _ = writeln!(out, "    {}", effect_text(effect));
            }
        }
        if !any {
            out.push_str("  UNKNOWN: nothing was simulated\n");
        }
    }

    fn provenance_text(&self, out: &mut String) {
        let it = &self.proposal.provenance;
        let or_unknown = |it: &Option<String>| it.as_deref().map_or("not stated".to_owned(), plain);
        out.push_str("\nWhere it comes from (as the proposer says)\n");
        let _ = writeln!(out, "  proposer      {}", or_unknown(&it.proposer));
        let _ = writeln!(out, "  reason        {}", or_unknown(&it.reason));
        let _ = writeln!(out, "  incident      {}", or_unknown(&it.incident));
        let _ = writeln!(out, "  step          {}", or_unknown(&it.step));
        let _ = writeln!(out, "  action        {}", or_unknown(&it.action));
        for alert in &it.alerts {
            let _ = writeln!(out, "  alert         {}", plain(alert));
        }
    }
}

/// Flags, one a line.
pub fn flags_text(flags: &[Flag]) -> String {
    let mut out = String::new();
    for flag in flags {
        let mark = match flag.weight {
            Weight::Refuse => "RED",
            Weight::Warn => "look",
            Weight::Note => "note",
        };
        let call = flag.call.as_deref().map_or(String::new(), |it| format!("call {it}: "));
        let _ = writeln!(out, "{mark:<5} {:<20} {call}{}", flag.code, flag.text);
    }
    out
}

fn node_text(node: &Node, out: &mut String) {
    let depth = node.path.matches('.').count();
    let indent = "  ".repeat(depth + 1);
    let name = node.name.as_deref().unwrap_or("UNNAMED");
    let operation = node.operation.as_str();
    let _ = writeln!(out, "{indent}{} {operation} {name} {}", node.path, node.to);
    let _ = writeln!(out, "{indent}  value     {} wei", node.value);
    if let Some(action) = &node.action {
        let _ = writeln!(out, "{indent}  action    {}, approved in advance", plain(action));
    }
    clear_text(node, &indent, out);
    match &node.decoded {
        Some(decoded) => {
            let _ = writeln!(out, "{indent}  function  {}", decoded.function);
            for it in &decoded.arguments {
                let _ = writeln!(out, "{indent}    {} {} = {}", it.ty, plain(&it.name), it.value);
            }
        }
        None if node.data.is_empty() => {
            let _ = writeln!(out, "{indent}  function  none: no calldata");
        }
        None => {
            let _ = writeln!(out, "{indent}  function  UNKNOWN");
        }
    }
    // A batch's bytes are those of the calls below it.
    if node.calls.is_empty() {
        let _ = writeln!(out, "{indent}  raw       {}", node.data);
    }
}

/// What the contract's authors say; the raw arguments follow in any case.
fn clear_text(node: &Node, indent: &str, out: &mut String) {
    if let Some(problem) = &node.clear_problem {
        let _ =
            writeln!(out, "{indent}  meaning   UNKNOWN: its descriptor does not apply: {problem}");
    }
    if let Some(clear) = &node.clear {
        let owner = &clear.owner;
        let _ = writeln!(out, "{indent}  meaning   {} (as {owner} says)", clear.intent);
        clear_fields(clear, indent, out);
    }
}

fn clear_fields(clear: &Clear, indent: &str, out: &mut String) {
    for field in &clear.fields {
        match &field.value {
            Shown::Text(it) => {
                let _ = writeln!(out, "{indent}    {}: {it}", field.label);
            }
            Shown::Call(it) => {
                let _ = writeln!(
                    out,
                    "{indent}    {}: {} (as {} says)",
                    field.label, it.intent, it.owner
                );
                clear_fields(it, &format!("{indent}  "), out);
            }
        }
    }
}

fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::SafeStorage { slot, before, after } => {
            format!("THE SAFE ITSELF: {} from {before} to {after}", Effect::slot_name(*slot))
        }
        Effect::Allowance { token, spender } => format!("allowance of {token} for {spender}"),
        Effect::Outflow { token, to, amount } if token.is_zero() => format!("{amount} wei to {to}"),
        Effect::Outflow { token, to, amount } => format!("{amount} of {token} to {to}"),
        Effect::Storage { contract, slots } => {
            let unit = if *slots == 1 { "slot" } else { "slots" };
            format!("{slots} {unit} of {contract}")
        }
    }
}
