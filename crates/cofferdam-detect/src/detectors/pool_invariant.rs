//! S03: a pool's invariant or the worth of its liquidity fell. The page beside this file says how and with which limits.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256, U512};
use cofferdam_core::{Class, Fact, Finding, Severity, Tx, finding::Evidence, plan::BasisPoints};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    BuildCx, BuildError, Context, Detector, Entry, Interest, Meta, Need, Question,
    index::sole,
    pools::{PairSwap, pair_swaps, product},
    ratio::{fall, isqrt, percent},
    reads,
    report::{About, Voice, group, llr},
    watch::{Ward, Wards},
};

pub(crate) static ENTRY: Entry = Entry {
    meta: Meta {
        id: "pool-invariant",
        signal: "S03",
        summary: "a pool's invariant or the worth of its liquidity fell",
        needs: &[Need::Logs, Need::Reads],
        docs: include_str!("pool_invariant.md"),
    },
    build: |cx| Ok(Box::new(PoolInvariant::new(cx)?)),
    schema: || schemars::schema_for!(Settings),
};

/// Bits by which a product of reserves is shifted before its root is taken, so that small pools do
/// not lose precision: 2 × 112 bits of reserves and 256 more fill 480 of 512.
const ROOT_SHIFT: usize = 256;

/// Settings of `pool-invariant`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    /// Which kind of pool the entity's contracts are.
    kind: Kind,
    /// Relative fall that is rounding, in parts per billion.
    tolerance_ppb: u64,
    /// Fall of the worth of a pair's liquidity between blocks that is its protocol fee being taken.
    dilution: BasisPoints,
    /// Fall of a virtual price or rate that may be a re-peg or an update; up to here it is low.
    repeg: BasisPoints,
    /// A larger fall is critical.
    critical: BasisPoints,
}

/// Kinds of pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Whatever the contract answers to.
    #[default]
    Auto,
    /// Uniswap-v2 pairs: product of the reserves.
    Pair,
    /// Curve pools: `get_virtual_price()`.
    Curve,
    /// Balancer pools and rate providers: `getRate()`.
    Balancer,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: Kind::Auto,
            tolerance_ppb: 1,
            dilution: BasisPoints(5_000),
            repeg: BasisPoints(100),
            critical: BasisPoints(10_000),
        }
    }
}

#[derive(Debug)]
struct PoolInvariant {
    voice: Voice,
    settings: Settings,
    wards: Wards,
}

impl PoolInvariant {
    fn new(cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let voice = Voice::new("pool-invariant", cx);
        Ok(Self { voice, settings: cx.settings()?, wards: Wards::new(cx) })
    }

    fn is(&self, kind: Kind) -> bool {
        self.settings.kind == kind || self.settings.kind == Kind::Auto
    }

    /// Whether `after` is below `before` by more than rounding.
    fn fell(&self, before: U512, after: U512) -> bool {
        let Some(lost) = before.checked_sub(after) else { return false };
        let tolerated =
            before / U512::from(1_000_000_000u64) * U512::from(self.settings.tolerance_ppb);
        lost > tolerated
    }

    fn severity(&self, fell: u64) -> Severity {
        if fell > self.settings.critical.0 { Severity::Critical } else { Severity::High }
    }

    fn finding(
        &self,
        cx: &Context<'_>,
        about: About<'_>,
        fell: u64,
        what: &str,
        evidence: Vec<Evidence>,
    ) -> Finding {
        let severity = self.severity(fell);
        Finding {
            summary: format!("{what} fell by {}", percent(fell)),
            evidence,
            ..self.voice.finding(cx, about, severity, Class::Damage, group::PRICE)
        }
    }

    /// The swap of `pair` whose product fell furthest.
    fn worst_swap(&self, tx: &Tx, pair: Address) -> Option<(u64, PairSwap)> {
        let swaps = pair_swaps(tx, pair).into_iter();
        let unfair = swaps.filter(|it| self.fell(product(it.before), product(it.after)));
        unfair.map(|it| (root_fall(it.before, it.after), it)).max_by_key(|it| it.0)
    }

    /// Worth of a pair's liquidity: root of the product of its reserves per share.
    fn liquidity(&self, cx: &Context<'_>, pair: Address) -> Option<u64> {
        let reserves = reads::view(pair, reads::GET_RESERVES);
        let (a0, a1) = reads::pair_at(cx, &reserves, 0).both()?;
        let (b0, b1) = reads::pair_at(cx, &reserves, 1).both()?;
        let (s0, s1) = reads::pair(cx, &reads::view(pair, reads::TOTAL_SUPPLY)).both()?;
        let bits = [a0, a1, b0, b1, s0, s1].map(|it| it.bit_len()).into_iter().max()?;
        if bits > 112 || s0.is_zero() || s1.is_zero() {
            return None;
        }
        let root = |reserves| isqrt(product(reserves) << ROOT_SHIFT);
        // The worth before is root0 / s0; cross-multiplied so that nothing is rounded twice.
        let before = root([a0, b0]) * U512::from(s1);
        let after = root([a1, b1]) * U512::from(s0);
        let lost = before.checked_sub(after)?;
        let million = U512::from(1_000_000u64);
        lost.checked_mul(million)?.checked_div(before).map(|it| u64::try_from(it).unwrap_or(0))
    }

    fn look(&self, cx: &Context<'_>, ward: &Ward, pool: Address) -> Option<Finding> {
        let about = About { tx: sole(&cx.observation.txs, pool), entity: &ward.id, subject: pool };
        if self.is(Kind::Pair)
            && let Some(fell) = self.liquidity(cx, pool).filter(|it| *it > self.settings.dilution.0)
        {
            return Some(self.finding(cx, about, fell, "the worth of its liquidity", vec![]));
        }
        let views = [
            (Kind::Curve, reads::GET_VIRTUAL_PRICE, "the virtual price"),
            (Kind::Balancer, reads::GET_RATE, "the rate"),
        ];
        for (_, selector, what) in views.into_iter().filter(|it| self.is(it.0)) {
            let Some((before, after)) = reads::pair(cx, &reads::view(pool, selector)).both() else {
                continue;
            };
            if self.fell(U512::from(before), U512::from(after)) {
                let evidence = vec![Evidence::new("before", before), Evidence::new("after", after)];
                let fell = fall(before, after);
                let found = self.finding(cx, about, fell, what, evidence);
                return Some(if fell > self.settings.repeg.0 { found } else { low(found) });
            }
        }
        None
    }
}

fn low(finding: Finding) -> Finding {
    let (severity, llr_millinats) = (Severity::Low, llr(Severity::Low));
    Finding { severity, llr_millinats, ..finding }
}

/// How far the root of the product fell, in parts per million.
fn root_fall(before: [U256; 2], after: [U256; 2]) -> u64 {
    let (before, after) = (isqrt(product(before)), isqrt(product(after)));
    let saturated = |it: U512| U256::saturating_from(it);
    fall(saturated(before), saturated(after))
}

impl Detector for PoolInvariant {
    fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    fn questions(&self) -> Vec<Question> {
        let kinds = [
            (Kind::Pair, reads::GET_RESERVES),
            (Kind::Pair, reads::TOTAL_SUPPLY),
            (Kind::Curve, reads::GET_VIRTUAL_PRICE),
            (Kind::Balancer, reads::GET_RATE),
        ];
        let views = kinds.into_iter().filter(|it| self.is(it.0)).map(|it| it.1);
        self.wards.questions(|pool| views.clone().map(move |it| reads::view(pool, it)))
    }

    fn on_tx(&mut self, cx: &Context<'_>, tx: &Tx, out: &mut Vec<Finding>) {
        if !self.is(Kind::Pair) {
            return;
        }
        let swapped = tx.facts.iter().filter_map(|it| match it {
            Fact::PairSwap { pair, .. } => Some(*pair),
            _ => None,
        });
        for pair in swapped.collect::<BTreeSet<Address>>() {
            let Some(ward) = self.wards.of(pair) else { continue };
            let Some((fell, swap)) = self.worst_swap(tx, pair) else { continue };
            let about = About { tx: Some(tx), entity: &ward.id, subject: pair };
            let text = |[a, b]: [U256; 2]| format!("{a} × {b}");
            let evidence = vec![
                Evidence::new("reserves before", text(swap.before)),
                Evidence::new("reserves after", text(swap.after)),
            ];
            out.push(self.finding(cx, about, fell, "the invariant of a swap", evidence));
        }
    }

    fn on_block(&mut self, cx: &Context<'_>, out: &mut Vec<Finding>) {
        for (ward, pool) in self.wards.accounts() {
            let told = out.iter().any(|it| self.voice.spoke(it) && it.subject == pool);
            if !told {
                out.extend(self.look(cx, ward, pool));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use crate::fixture::check;

    #[test]
    fn a_swap_that_lowers_the_product_is_found_in_its_transaction() {
        check(
            "pool-invariant",
            "",
            "
            block 1
              tx 0xee -> 0xec
                sync 0xaa 100e18 100e18
                swap 0xaa in 1e18 0 out 0 900e18 to 0xee
            block 2
              tx 0xee -> 0xec
                sync 0xaa 1000e18 999e18
                swap 0xaa in 1e18 0 out 0 2e18 to 0xee
            ",
            expect![[r#"
                1 critical pool-invariant 0xaa $0.00: the invariant of a swap fell by 68.21 %
                2 high pool-invariant 0xaa $0.00: the invariant of a swap fell by 0.04 %
            "#]],
        );
    }

    #[test]
    fn virtual_prices_rates_and_liquidity_are_compared_across_the_block() {
        check(
            "pool-invariant",
            "",
            "
            block 1
              read view 0xaa 0xbb7b8b80 1050e15 -> 1000e15
              tx 0xee -> 0xaa
            block 2
              read view 0xab 0x679aefce 1000e15 -> 999e15
              tx 0xee -> 0xab
            block 4
              read view 0xaa 0xbb7b8b80 1000000e12 -> 999999e12
              tx 0xee -> 0xaa
            block 3
              read view 0xaa 0x0902f1ac 100e18,100e18,1 -> 100e18,10e18,2
              read view 0xaa 0x18160ddd 100e18 -> 100e18
              tx 0xee -> 0xaa
            ",
            expect![[r#"
                1 critical pool-invariant 0xaa $0.00: the virtual price fell by 4.76 %
                2 high pool-invariant 0xab $0.00: the rate fell by 0.10 %
                4 low pool-invariant 0xaa $0.00: the virtual price fell by 0.00 %
                3 critical pool-invariant 0xaa $0.00: the worth of its liquidity fell by 68.37 %
            "#]],
        );
    }

    #[test]
    fn fair_swaps_fees_withdrawn_liquidity_and_foreign_pairs_are_silent() {
        check(
            "pool-invariant",
            "",
            "
            block 1
              read view 0xaa 0x0902f1ac 1000e18,1000e18,1 -> 500e18,500e18,2
              read view 0xaa 0x18160ddd 1000e18 -> 500e18
              read view 0xaa 0xbb7b8b80 1000000000000000001 -> 1000000000000000000
              tx 0xee -> 0xec
                sync 0xaa 1001e18 1000e18
                swap 0xaa in 1e18 0 out 0 990000000000000000 to 0xee
              tx 0xee -> 0xec
                transfer 0x70 1 from 0xaa to 0xee
                sync 0xdd 100e18 100e18
                swap 0xdd in 1e18 0 out 0 900e18 to 0xee
            ",
            expect![[""]],
        );
    }
}
