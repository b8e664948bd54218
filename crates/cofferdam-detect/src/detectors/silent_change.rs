//! S10: somebody's balance of an entity's token changed and no transfer says why. The page beside this file says how and with which limits.

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    Class, Finding, Severity, Tx, Usd,
    finding::Evidence,
    plan::{Asset, AssetId, BasisPoints, UsdText},
    read::StateRead,
    tx::CallKind,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, flows, reads,
    report::{About, Voice, group},
    suspicion::initiators,
    watch::{Ward, Wards, value},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "silent-change",
        signal: "S10",
        summary: "somebody's balance of an entity's token changed and no transfer says why",
        needs: &[Need::Logs, Need::Reads],
        docs: include_str!("silent_change.md"),
    },
    build: |cx| Ok(Box::new(SilentChange::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Accounts of one transaction whose balances are asked for.
const PARTIES_MAX: usize = 16;

/// Settings of `silent-change`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Least value that appeared or vanished.
    min_loss: UsdText,
    /// From here on it is critical.
    critical_loss: UsdText,
    /// A change up to this share of what the account had or received is interest or a rebase.
    rebase: BasisPoints,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min_loss: UsdText(Usd::whole(10_000)),
            critical_loss: UsdText(Usd::whole(50_000)),
            rebase: BasisPoints(100_000),
        }
    }
}

#[derive(Debug)]
struct SilentChange {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

impl SilentChange {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let wards = Wards::with_assets(cx)?;
        Ok(Self { voice: Voice::new("silent-change", cx), settings: cx.settings()?, wards })
    }

    /// Those who started `tx`, and whoever is named to a contract of an entity.
    fn parties(&self, tx: &Tx) -> Vec<Address> {
        let mut parties = initiators(tx, |it| self.voice.is_ours(it));
        let entries = tx
            .calls()
            .filter(|it| it.kind == CallKind::Call && self.wards.position(it.to).is_some());
        for word in entries.flat_map(|it| it.input.get(4..).unwrap_or_default().chunks_exact(32)) {
            let Some(account) = account(word).filter(|it| !self.voice.is_ours(*it)) else {
                continue;
            };
            if parties.len() < PARTIES_MAX && !parties.contains(&account) {
                parties.push(account);
            }
        }
        parties.truncate(PARTIES_MAX);
        parties
    }

    fn judge(
        &self,
        cx: &Context<'_>,
        tx: &Tx,
        ward: &Ward,
        at: usize,
        party: Address,
    ) -> Option<Finding> {
        let asset = ward.assets.get(at)?;
        let (before, after) = reads::pair(cx, &reads::holding(asset.token, party)).both()?;
        let (mut received, mut sent) = (U256::ZERO, U256::ZERO);
        for tx in &cx.observation.txs {
            let leg = flows::gained(ward, tx, &[party]).get(at).copied().unwrap_or_default();
            received = received.saturating_add(leg.paid_in);
            sent = sent.saturating_add(leg.paid_out);
        }
        let (had, has) = (before.saturating_add(received), after.saturating_add(sent));
        let changed = had.abs_diff(has);
        let loss = value(asset, changed);
        if loss < self.settings.min_loss.0 || changed <= self.settings.rebase.of(had) {
            return None;
        }
        let critical = loss >= self.settings.critical_loss.0;
        let severity = if critical { Severity::Critical } else { Severity::High };
        let subject = match asset.token {
            AssetId::Token(token) => token,
            AssetId::Native => return None,
        };
        let about = About { tx: Some(tx), entity: &ward.id, subject };
        let how = if has > had { "appeared" } else { "vanished" };
        Some(Finding {
            loss,
            summary: format!("{loss} of {} {how} without a transfer", asset.symbol),
            evidence: vec![
                Evidence::new("account", party),
                Evidence::new("balance before", before),
                Evidence::new("received by transfers", received),
                Evidence::new("sent by transfers", sent),
                Evidence::new("balance after", after),
            ],
            ..self.voice.finding(cx, about, severity, Class::Damage, group::VALUE)
        })
    }
}

/// A word of calldata that looks like an account: not a small number, not a large one.
fn account(word: &[u8]) -> Option<Address> {
    let (high, account) = word.split_at_checked(12)?;
    let small = account.iter().take(8).all(|it| *it == 0);
    let is_account = high.iter().all(|it| *it == 0) && !small;
    is_account.then(|| Address::try_from(account).ok()).flatten()
}

/// The assets of `ward` that one of its own contracts keeps the balances of, by position.
fn own(ward: &Ward) -> impl Iterator<Item = (usize, &Asset)> {
    let issues = |it: &Asset| matches!(it.token, AssetId::Token(token) if ward.owns(token));
    ward.assets.iter().enumerate().filter(move |it| issues(it.1))
}

impl Detector for SilentChange {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn asks(&self, tx: &Tx) -> Vec<StateRead> {
        let tokens: Vec<AssetId> =
            self.wards.iter().flat_map(own).map(|(_, asset)| asset.token).collect();
        let of = |it: Address| tokens.iter().map(move |token| reads::holding(*token, it));
        self.parties(tx).into_iter().flat_map(of).collect()
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        for ward in self.wards.iter() {
            for (at, _) in own(ward) {
                let mut parties = self.parties(tx).into_iter();
                out.extend(parties.find_map(|it| self.judge(cx, tx, ward, at, it)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check_plan;

    /// An entity whose contract 0xaa keeps the balances of TOK ($1).
    const PLAN: &str = r#"
        [[entities]]
        id = "issuer"
        accounts = ["eip155:1:0x00000000000000000000000000000000000000aa"]
        assets = [
            { token = "0x00000000000000000000000000000000000000aa", symbol = "TOK", decimals = 18, price = "1 usd" },
        ]
        [[rules]]
        id = "r"
        detector = "silent-change"
    "#;

    #[test]
    fn a_balance_that_changed_without_a_transfer_is_critical() {
        check_plan(
            PLAN,
            "
            block 1
              read token 0xaa of 0xec 11e18 -> 900000e18
              tx 0xee -> 0xec
                call 0xec 0xaa 0x01020304
            block 2
              read token 0xaa of 0xee 0 -> 30000e18
              tx 0xee -> 0xec
                call 0xec 0xaa 0x01020304
                transfer 0xaa 10000e18 from 0xdd to 0xee
            block 3
              read token 0xaa of 0xdad1234567890abcdef1234567890abcdef12345 90000e18 -> 0
              tx 0xee -> 0xec
                call 0xec 0xaa 0x01020304000000000000000000000000dad1234567890abcdef1234567890abcdef12345
            ",
            expect![[r#"
                1 critical silent-change 0xaa $899,989: $899,989 of TOK appeared without a transfer
                2 high silent-change 0xaa $20,000: $20,000 of TOK appeared without a transfer
                3 critical silent-change 0xaa $90,000: $90,000 of TOK vanished without a transfer
            "#]],
        );
    }

    #[test]
    fn transfers_rebases_and_unknown_balances_are_silent() {
        check_plan(
            PLAN,
            "
            block 1
              read token 0xaa of 0xec 0 -> 900000e18
              tx 0xee -> 0xec
                transfer 0xaa 900000e18 from 0xdd to 0xec
            block 2
              read token 0xaa of 0xec 1000000e18 -> 1050000e18
              tx 0xee -> 0xec
                call 0xec 0xaa 0x01020304
            block 3
              tx 0xee -> 0xec
                call 0xec 0xaa 0x01020304
            ",
            expect![[""]],
        );
    }
}
