//! Many accounts under several scenarios in one pass: each position is read once, and its price under every scenario
//! lies side by side. Invariant: every account is summed in the order of its positions, so the number of scenarios
//! taken together changes no bit of the result.

use super::grid::BookAccount;

/// Accounts with their positions in one list.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    accounts: Vec<Purse>,
    positions: Vec<(u32, f64)>,
}

#[derive(Debug, Clone)]
struct Purse {
    usd: f64,
    coins: f64,
    /// Where its positions end.
    end: usize,
}

/// What a scenario leaves of the accounts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Equity {
    /// Accounts below zero.
    pub(crate) insolvent: usize,
    /// What they lack, USD.
    pub(crate) shortfall: f64,
}

impl Crowd {
    /// Lays out accounts whose positions are indices of a book's legs.
    pub(crate) fn new(accounts: &[BookAccount]) -> Self {
        let mut out = Self { accounts: Vec::with_capacity(accounts.len()), positions: Vec::new() };
        for a in accounts {
            out.positions.extend(a.positions.iter().map(|(i, q)| (*i as u32, *q)));
            out.accounts.push(Purse { usd: a.usd, coins: a.coins, end: out.positions.len() });
        }
        out
    }

    /// Equity of every account with `prices` by leg and scenario, the coin worth `coin`, and quantities that may be
    /// `more` times as large where they owe.
    pub(crate) fn sweep<const N: usize>(
        &self,
        prices: &[[f64; N]],
        coin: [f64; N],
        more: f64,
    ) -> [Equity; N] {
        let mut out = [Equity { insolvent: 0, shortfall: 0.0 }; N];
        let mut from = 0;
        for a in &self.accounts {
            let mut held = [0.0; N];
            for (i, q) in &self.positions[from..a.end] {
                let price = &prices[*i as usize];
                for n in 0..N {
                    held[n] += q * price[n];
                }
            }
            from = a.end;
            for n in 0..N {
                // Doubtful quantities hurt: they may be larger where they owe, not where they are owed.
                let equity = a.usd + a.coins * coin[n] + held[n].min(held[n] * more);
                if equity < 0.0 {
                    out[n].insolvent += 1;
                    out[n].shortfall -= equity;
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_taken_together_are_those_taken_alone() {
        let accounts = [
            BookAccount { usd: 10.0, coins: 1.0, positions: vec![(0, -3.0), (1, 0.1)] },
            BookAccount { usd: 0.0, coins: 0.0, positions: vec![] },
            BookAccount { usd: -0.3, coins: 0.0, positions: vec![(1, 7.0), (0, -9.0)] },
        ];
        let crowd = Crowd::new(&accounts);
        let prices = [[4.0, 1.0, 9.0], [3.0, 2.0, 0.1]];
        let coin = [2.0, 1.0, 0.5];
        let together = crowd.sweep(&prices, coin, 1.5);
        for n in 0..3 {
            let [alone] = crowd.sweep(&prices.map(|p| [p[n]]), [coin[n]], 1.5);
            assert_eq!(together[n], alone);
        }
        // First: 10 + 2 - 1.5 * 11.7 < 0. Third: -0.3 - 1.5 * 15.
        assert_eq!(together[0].insolvent, 2);
        assert!((together[0].shortfall - (5.55 + 22.8)).abs() < 1e-12);
    }
}
