//! Who pays when accounts are under water: equity, then the insurance fund, then winners, then the treasury.
//! Integer micro-USD throughout. Invariant: shortfall = fund paid + haircuts + treasury + uncovered, exactly.

pub mod lending;

use serde::{Deserialize, Serialize};

use crate::error::RiskError;

/// Micro per unit, for money and sizes.
pub const MICRO: i128 = 1_000_000;

/// One linear position with its margin. Amounts in millionths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Identifier; ties are broken by it.
    pub id: String,
    /// Size in micro-coins, positive long, negative short.
    pub size: i128,
    /// Entry price in micro-USD per coin.
    pub entry: i128,
    /// Collateral in micro-USD.
    pub collateral: i128,
}

/// One account after marking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marked {
    /// Identifier.
    pub id: String,
    /// Unrealised profit, rounded down.
    pub upnl: i128,
    /// Collateral plus profit.
    pub equity: i128,
    /// Price at which equity is zero, in micro-USD; absent for an empty position.
    pub bankruptcy_price: Option<i128>,
    /// `(uPnL / entry notional) (notional / equity)` for winners: deleveraging order, highest first.
    pub adl_rank: Option<f64>,
    /// Hyperliquid's index `(mark/entry) (notional/equity)`, inverted for shorts.
    pub ratio_rank: Option<f64>,
}

/// A claim on one winner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Haircut {
    /// Who pays.
    pub id: String,
    /// How much, micro-USD.
    pub amount: i128,
    /// Size closed at the mark to realise it, micro-coins; zero for a pro-rata haircut.
    pub closed: i128,
}

/// How the residual is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LossSharing {
    /// In proportion to profit: the only rule that satisfies the usual fairness axioms (arXiv 2512.01112).
    ProRata,
    /// By rank until the residual is covered, as most venues do.
    Queue,
}

/// The waterfall, top to bottom. Micro-USD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waterfall {
    /// Every account, in the order given.
    pub accounts: Vec<Marked>,
    /// Sum of negative equity.
    pub shortfall: i128,
    /// Paid by the insurance fund.
    pub fund_paid: i128,
    /// Left after the fund.
    pub residual: i128,
    /// Taken from winners.
    pub haircuts: Vec<Haircut>,
    /// Paid by the treasury.
    pub treasury_paid: i128,
    /// Nobody pays this.
    pub uncovered: i128,
}

/// Runs the waterfall at a mark price in micro-USD.
///
/// # Errors
/// A price that is not positive, negative collateral or funds, a duplicate account, or overflow.
pub fn waterfall(
    accounts: &[Account],
    mark: i128,
    fund: i128,
    treasury: i128,
    sharing: LossSharing,
) -> Result<Waterfall, RiskError> {
    for (name, value) in
        [("insurance fund", fund), ("treasury", treasury), ("mark price", mark - 1)]
    {
        if value < 0 {
            return Err(RiskError::OutOfDomain {
                name,
                value: value as f64,
                domain: "not negative",
            });
        }
    }
    let mut ids: Vec<&str> = accounts.iter().map(|a| a.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|w| w[0] == w[1]) {
        return Err(RiskError::Duplicate { name: "account", id: pair[0].to_owned() });
    }
    let marked: Vec<Marked> =
        accounts.iter().map(|a| mark_account(a, mark)).collect::<Result<_, _>>()?;
    let shortfall = marked
        .iter()
        .try_fold(0_i128, |sum, m| sum.checked_add((-m.equity).max(0)))
        .ok_or(RiskError::Overflow { name: "shortfall" })?;
    let fund_paid = shortfall.min(fund);
    let residual = shortfall - fund_paid;
    let haircuts = share(accounts, &marked, residual, sharing)?;
    let taken: i128 = haircuts.iter().map(|h| h.amount).sum();
    let treasury_paid = (residual - taken).min(treasury);
    let uncovered = residual - taken - treasury_paid;
    Ok(Waterfall {
        accounts: marked,
        shortfall,
        fund_paid,
        residual,
        haircuts,
        treasury_paid,
        uncovered,
    })
}

/// The waterfall over accounts that are marked already, whatever they hold; the residual is shared in proportion to
/// profit. Amounts in micro-USD.
///
/// # Errors
/// Negative funds, a duplicate account, or overflow.
pub fn waterfall_marked(
    marked: Vec<Marked>,
    fund: i128,
    treasury: i128,
) -> Result<Waterfall, RiskError> {
    for (name, value) in [("insurance fund", fund), ("treasury", treasury)] {
        if value < 0 {
            let value = value as f64;
            return Err(RiskError::OutOfDomain { name, value, domain: "not negative" });
        }
    }
    let mut ids: Vec<&str> = marked.iter().map(|m| m.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|w| w[0] == w[1]) {
        return Err(RiskError::Duplicate { name: "account", id: pair[0].to_owned() });
    }
    let shortfall = marked
        .iter()
        .try_fold(0_i128, |sum, m| sum.checked_add(m.equity.checked_neg()?.max(0)))
        .ok_or(RiskError::Overflow { name: "shortfall" })?;
    let fund_paid = shortfall.min(fund);
    let residual = shortfall - fund_paid;
    let haircuts = share(&[], &marked, residual, LossSharing::ProRata)?;
    let taken: i128 = haircuts.iter().map(|h| h.amount).sum();
    let treasury_paid = (residual - taken).min(treasury);
    let uncovered = residual - taken - treasury_paid;
    Ok(Waterfall {
        accounts: marked,
        shortfall,
        fund_paid,
        residual,
        haircuts,
        treasury_paid,
        uncovered,
    })
}

fn mark_account(a: &Account, mark: i128) -> Result<Marked, RiskError> {
    let overflow = || RiskError::Overflow { name: "profit" };
    if a.entry <= 0 || a.collateral < 0 {
        let (name, value) =
            if a.entry <= 0 { ("entry price", a.entry) } else { ("collateral", a.collateral) };
        return Err(RiskError::OutOfDomain { name, value: value as f64, domain: "positive" });
    }
    let raw = mark.checked_sub(a.entry).and_then(|d| d.checked_mul(a.size)).ok_or_else(overflow)?;
    let upnl = raw.div_euclid(MICRO);
    let equity = a.collateral.checked_add(upnl).ok_or_else(overflow)?;
    let bankruptcy_price = (a.size != 0)
        .then(|| a.collateral.checked_mul(MICRO).map(|c| a.entry - c / a.size))
        .flatten();
    let size = a.size.unsigned_abs() as f64;
    let (entry_notional, notional) = (size * a.entry as f64, size * mark as f64 / MICRO as f64);
    let leverage = notional / equity as f64;
    let winner = upnl > 0 && equity > 0;
    let ratio =
        if a.size > 0 { mark as f64 / a.entry as f64 } else { a.entry as f64 / mark as f64 };
    Ok(Marked {
        id: a.id.clone(),
        upnl,
        equity,
        bankruptcy_price,
        adl_rank: winner.then(|| upnl as f64 * MICRO as f64 / entry_notional * leverage),
        ratio_rank: winner.then_some(ratio * leverage),
    })
}

/// Winners in deleveraging order: rank descending, ties by identifier.
#[must_use]
pub fn adl_queue(marked: &[Marked]) -> Vec<usize> {
    let rank = |i: usize| marked[i].adl_rank.unwrap_or(0.0);
    let mut order: Vec<usize> =
        (0..marked.len()).filter(|i| marked[*i].adl_rank.is_some()).collect();
    order.sort_by(|a, b| {
        rank(*b).total_cmp(&rank(*a)).then_with(|| marked[*a].id.cmp(&marked[*b].id))
    });
    order
}

fn share(
    accounts: &[Account],
    marked: &[Marked],
    residual: i128,
    how: LossSharing,
) -> Result<Vec<Haircut>, RiskError> {
    let overflow = || RiskError::Overflow { name: "haircut" };
    let order = adl_queue(marked);
    let total = order
        .iter()
        .try_fold(0_i128, |s, i| s.checked_add(marked[*i].upnl))
        .ok_or_else(overflow)?;
    let due = residual.min(total);
    if due <= 0 {
        return Ok(Vec::new());
    }
    if how == LossSharing::Queue {
        let mut left = due;
        let mut out = Vec::new();
        for i in order {
            let amount = left.min(marked[i].upnl);
            if amount > 0 {
                let size = accounts[i].size.abs();
                let scaled = size.checked_mul(amount).ok_or_else(overflow)?;
                let closed = (scaled + marked[i].upnl - 1) / marked[i].upnl;
                out.push(Haircut { id: marked[i].id.clone(), amount, closed });
                left -= amount;
            }
        }
        return Ok(out);
    }
    // Largest remainder, so that the parts sum to the whole; ties go to the smaller identifier.
    let mut parts: Vec<(usize, i128, i128)> = Vec::with_capacity(order.len());
    for i in order {
        let scaled = due.checked_mul(marked[i].upnl).ok_or_else(overflow)?;
        parts.push((i, scaled / total, scaled % total));
    }
    let mut left = due - parts.iter().map(|p| p.1).sum::<i128>();
    parts.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| marked[a.0].id.cmp(&marked[b.0].id)));
    for p in &mut parts {
        if left > 0 && p.2 > 0 {
            p.1 += 1;
            left -= 1;
        }
    }
    parts.sort_by(|a, b| marked[a.0].id.cmp(&marked[b.0].id));
    let haircut =
        |p: &(usize, i128, i128)| Haircut { id: marked[p.0].id.clone(), amount: p.1, closed: 0 };
    Ok(parts.iter().filter(|p| p.1 > 0).map(haircut).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn book() -> impl Strategy<Value = Vec<Account>> {
        prop::collection::vec((-50_i128..50, 1_i128..200, 0_i128..3_000), 1..12).prop_map(|rows| {
            rows.into_iter()
                .enumerate()
                .map(|(i, (size, entry, collateral))| Account {
                    id: format!("{i:02}"),
                    size: size * MICRO,
                    entry: entry * MICRO,
                    collateral: collateral * MICRO + i as i128,
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn every_micro_dollar_of_shortfall_is_accounted_for(
            accounts in book(), fund in 0_i128..2_000_000_000, treasury in 0_i128..1_000_000_000, queue in prop::bool::ANY,
        ) {
            let how = if queue { LossSharing::Queue } else { LossSharing::ProRata };
            let w = waterfall(&accounts, 100 * MICRO, fund, treasury, how).unwrap();
            let taken: i128 = w.haircuts.iter().map(|h| h.amount).sum();
            prop_assert_eq!(w.shortfall, w.fund_paid + taken + w.treasury_paid + w.uncovered);
            for h in &w.haircuts {
                let m = w.accounts.iter().find(|m| m.id == h.id).unwrap();
                prop_assert!(h.amount <= m.upnl && m.upnl > 0);
            }
            let more = waterfall(&accounts, 100 * MICRO, fund + 1_000, treasury, how).unwrap();
            prop_assert!(more.residual <= w.residual && more.uncovered <= w.uncovered);
            let mut reversed = accounts.clone();
            reversed.reverse();
            let other = waterfall(&reversed, 100 * MICRO, fund, treasury, how).unwrap();
            prop_assert_eq!(other.haircuts, w.haircuts);
        }
    }

    #[test]
    fn marked_accounts_share_a_residual_in_proportion_to_their_profit() {
        let marked = |id: &str, upnl: i128, equity: i128| Marked {
            id: id.into(),
            upnl,
            equity,
            bankruptcy_price: None,
            adl_rank: (upnl > 0 && equity > 0).then_some(1.0),
            ratio_rank: None,
        };
        let book = vec![
            marked("a", -50, -30),
            marked("b", 30, 40),
            marked("c", 10, 90),
            marked("d", 0, 5),
        ];
        let w = waterfall_marked(book, 10, 3).unwrap();
        assert_eq!((w.shortfall, w.fund_paid, w.residual), (30, 10, 20));
        let taken: Vec<_> = w.haircuts.iter().map(|h| (h.id.as_str(), h.amount)).collect();
        assert_eq!(taken, [("b", 15), ("c", 5)]);
        assert_eq!((w.treasury_paid, w.uncovered), (0, 0));
        assert!(waterfall_marked(vec![marked("a", 0, 0), marked("a", 0, 0)], 0, 0).is_err());
        assert!(waterfall_marked(vec![marked("a", 0, i128::MIN)], 0, 0).is_err());
        assert!(waterfall_marked(Vec::new(), -1, 0).is_err());
    }

    #[test]
    fn duplicates_and_bad_prices_are_refused() {
        let a = Account { id: "a".into(), size: MICRO, entry: MICRO, collateral: 0 };
        assert!(waterfall(&[a.clone(), a.clone()], MICRO, 0, 0, LossSharing::ProRata).is_err());
        assert!(waterfall(std::slice::from_ref(&a), 0, 0, 0, LossSharing::ProRata).is_err());
        let huge = Account { size: i128::MAX, ..a };
        assert!(waterfall(&[huge], 9 * MICRO, 0, 0, LossSharing::ProRata).is_err());
    }
}
