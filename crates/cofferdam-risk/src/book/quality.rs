//! Data-quality gates DQ1 to DQ8. Invariant: doubtful data is never repaired in silence: it leaves a flag and
//! widens every result computed from the book; only a unit mix-up (DQ8) is refused outright.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Instrument, PoolBook, Quote};
use crate::error::{RiskError, non_negative, positive};
use crate::pricing::OptionKind;
use crate::scenario::grid::Widening;
use crate::scenario::{BookAccount, Leg};

/// Seconds of a 365-day year.
const YEAR_SECONDS: f64 = 31_536_000.0;
/// Most flags listed one by one per gate; the rest are counted.
pub const FLAGS_PER_GATE: usize = 20;

/// The gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// DQ1: index or chain state too old.
    Stale,
    /// DQ2: the model price differs from the mark.
    MarkDiverges,
    /// DQ3: quotes that allow static arbitrage.
    StaticArbitrage,
    /// DQ4: the index differs from the median of the venues.
    IndexDiverges,
    /// DQ5: no two-sided quote; the mark is used.
    OneSided,
    /// DQ6: the mark lies outside bid and ask.
    MarkOutsideQuote,
    /// DQ7: positions do not add up to the open interest.
    OpenInterest,
    /// DQ8: an amount jumped by a power of ten.
    UnitJump,
}

impl Gate {
    /// `DQ1` to `DQ8`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Stale => "DQ1",
            Self::MarkDiverges => "DQ2",
            Self::StaticArbitrage => "DQ3",
            Self::IndexDiverges => "DQ4",
            Self::OneSided => "DQ5",
            Self::MarkOutsideQuote => "DQ6",
            Self::OpenInterest => "DQ7",
            Self::UnitJump => "DQ8",
        }
    }
}

/// One doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flag {
    /// Which gate.
    pub gate: Gate,
    /// What it concerns.
    pub what: String,
    /// What was seen, in the unit of the limit.
    pub observed: f64,
    /// The limit it broke.
    pub limit: f64,
}

/// All doubts of a book and what they cost in width.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QualityReport {
    /// The doubts, by gate; at most [`FLAGS_PER_GATE`] of each.
    pub flags: Vec<Flag>,
    /// How many there are of each gate, listed or not.
    pub counts: BTreeMap<Gate, usize>,
    /// How much wider results become.
    pub widening: Widening,
    /// Share of the quotes that are not two-sided.
    pub one_sided_share: f64,
}

/// Limits of the gates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct QualityRules {
    /// Oldest fresh index, milliseconds.
    pub index_age_ms: u64,
    /// Oldest fresh chain state, milliseconds.
    pub chain_age_ms: u64,
    /// Least allowed difference of model and mark, in coins.
    pub mark_coins: f64,
    /// The same in ticks; the larger counts.
    pub mark_ticks: f64,
    /// Allowed difference of the index from the median of venues, as a fraction.
    pub index_share: f64,
    /// Allowed difference of positions from open interest, as a fraction.
    pub open_interest_share: f64,
    /// An amount this many times its reference, or as small a share of it, is a unit mix-up.
    pub unit_ratio: f64,
    /// Volatility that stale prices are widened by, per square-root year.
    pub stale_vol: f64,
}

impl Default for QualityRules {
    fn default() -> Self {
        Self {
            index_age_ms: 3_000,
            chain_age_ms: 60_000,
            mark_coins: 3e-4,
            mark_ticks: 3.0,
            index_share: 0.005,
            open_interest_share: 0.001,
            unit_ratio: 1e5,
            stale_vol: 1.0,
        }
    }
}

impl QualityReport {
    fn add(&mut self, gate: Gate, what: &str, observed: f64, limit: f64, w: Widening) {
        let count = self.counts.entry(gate).or_default();
        *count += 1;
        if *count <= FLAGS_PER_GATE {
            self.flags.push(Flag { gate, what: what.to_owned(), observed, limit });
        }
        // Two doubts of one kind are one doubt at its worst; doubts of different kinds add up.
        let worst = &mut self.widening;
        worst.spot = worst.spot.max(w.spot);
        worst.vol = worst.vol.max(w.vol);
        worst.quantity = worst.quantity.max(w.quantity);
    }

    /// One line per gate that fired.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |(gate, count): (&Gate, &usize)| {
            let first = self.flags.iter().find(|f| f.gate == *gate);
            first.map(|f| {
                let more =
                    if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
                format!(
                    "{} {}: {:.3e} beyond {:.3e}{more}",
                    gate.code(),
                    f.what,
                    f.observed,
                    f.limit
                )
            })
        };
        self.counts.iter().filter_map(line).collect()
    }
}

/// Runs all gates over a book whose numbers are finite.
pub(super) fn judge(
    book: &PoolBook,
    accounts: &[BookAccount],
    rules: &QualityRules,
) -> Result<QualityReport, RiskError> {
    let mut out = QualityReport::default();
    market(book, rules, &mut out)?;
    let quoted = book.instruments.iter().filter(|i| i.quote.is_some()).count();
    for it in &book.instruments {
        instrument(it, book.market.index, rules, &mut out)?;
    }
    arbitrage(book, &mut out)?;
    open_interest(book, accounts, rules, &mut out)?;
    let one_sided = out.counts.get(&Gate::OneSided).copied().unwrap_or(0);
    out.one_sided_share = if quoted > 0 { one_sided as f64 / quoted as f64 } else { 0.0 };
    out.flags.sort_by(|a, b| a.gate.cmp(&b.gate).then_with(|| a.what.cmp(&b.what)));
    Ok(out)
}

/// DQ1, DQ4, and DQ8 of the index.
fn market(book: &PoolBook, rules: &QualityRules, out: &mut QualityReport) -> Result<(), RiskError> {
    let m = &book.market;
    let ages = [
        ("index", m.index_age_ms, rules.index_age_ms),
        ("chain", m.chain_age_ms, rules.chain_age_ms),
    ];
    for (what, age, limit) in ages {
        if age > limit {
            // Three deviations of the move that may have been missed.
            let years = age as f64 / 1_000.0 / YEAR_SECONDS;
            let spot = 3.0 * rules.stale_vol * libm::sqrt(years);
            let w = Widening { spot, ..Widening::default() };
            out.add(Gate::Stale, what, age as f64, limit as f64, w);
        }
    }
    let mut venues = m.venues.clone();
    venues.iter().try_for_each(|v| positive("venue index", *v).map(|_| ()))?;
    venues.sort_by(f64::total_cmp);
    if let Some(median) = median(&venues) {
        unit_jump("index", m.index / median, rules)?;
        let gap = (m.index / median - 1.0).abs();
        if gap > rules.index_share {
            let w = Widening { spot: gap, ..Widening::default() };
            out.add(Gate::IndexDiverges, "index", gap, rules.index_share, w);
        }
    }
    Ok(())
}

fn median(sorted: &[f64]) -> Option<f64> {
    let n = sorted.len();
    let mid = sorted.get(n / 2)?;
    Some(if n.is_multiple_of(2) { 0.5 * (mid + sorted[n / 2 - 1]) } else { *mid })
}

fn unit_jump(what: &str, ratio: f64, rules: &QualityRules) -> Result<(), RiskError> {
    if ratio > rules.unit_ratio || ratio < 1.0 / rules.unit_ratio {
        return Err(RiskError::UnitJump { what: what.to_owned(), ratio });
    }
    Ok(())
}

/// DQ2, DQ5, DQ6, and DQ8 of one instrument.
fn instrument(
    it: &Instrument,
    index: f64,
    rules: &QualityRules,
    out: &mut QualityReport,
) -> Result<(), RiskError> {
    unit_jump(&it.id, it.leg.price() / index, rules)?;
    let Some(q) = it.quote else { return Ok(()) };
    for p in [q.bid, q.ask, q.mark].into_iter().flatten() {
        non_negative("quote", p)?;
    }
    let tick = non_negative("tick", q.tick)?;
    let g = it.leg.greeks()?;
    let (model, vega) =
        if q.coin { (g.value_coin, g.vega / it.leg.price()) } else { (g.value, g.vega) };
    // A price doubt in volatility, where the option has any; capped at 100 points.
    let in_vol = |gap: f64| if vega > 0.0 { (gap / vega).min(1.0) } else { 0.0 };
    let as_vol = |gap: f64| Widening { vol: in_vol(gap), ..Widening::default() };
    if let Some(mark) = q.mark.filter(|m| *m > 0.0) {
        let unit = if q.coin { 1.0 } else { it.leg.price() };
        let limit = (rules.mark_ticks * tick).max(rules.mark_coins * unit);
        let gap = (model - mark).abs();
        if gap > limit {
            out.add(Gate::MarkDiverges, &it.id, gap, limit, as_vol(gap));
        }
    }
    match (q.bid.filter(|b| *b > 0.0), q.ask.filter(|a| *a > 0.0), q.mark) {
        (Some(bid), Some(ask), mark) => {
            if bid > ask {
                out.add(Gate::StaticArbitrage, &it.id, bid - ask, 0.0, as_vol(bid - ask));
            }
            if let Some(gap) = mark.map(|m| (bid - m).max(m - ask)).filter(|gap| *gap > 0.0) {
                out.add(Gate::MarkOutsideQuote, &it.id, gap, 0.0, as_vol(gap));
            }
        }
        (one, other, _) => {
            // The missing side may be anywhere down to nothing or up to twice the mark.
            let seen = one.or(other).unwrap_or(model);
            let gap = (model - seen).abs().max(0.1 * model);
            out.add(Gate::OneSided, &it.id, 1.0, 0.0, as_vol(gap));
        }
    }
    Ok(())
}

/// Strike, mark and tick in USD, name.
type Quoted<'a> = (f64, f64, f64, &'a str);

/// DQ3: along the strikes of one expiry a call mark may not rise nor a put mark fall, and both are convex.
fn arbitrage(book: &PoolBook, out: &mut QualityReport) -> Result<(), RiskError> {
    let mut chains: BTreeMap<(u64, OptionKind), Vec<Quoted<'_>>> = BTreeMap::new();
    for it in &book.instruments {
        if let (Leg::Option(o), Some(Quote { mark: Some(mark), coin, tick, .. })) =
            (it.leg, it.quote)
        {
            let unit = if coin { o.forward } else { 1.0 };
            let key = (o.years.to_bits(), o.kind);
            chains.entry(key).or_default().push((
                o.strike,
                mark * unit,
                tick * unit,
                it.id.as_str(),
            ));
        }
    }
    for ((_, kind), mut chain) in chains {
        chain.sort_by(|a, b| a.0.total_cmp(&b.0));
        for w in chain.windows(2) {
            let (rise, room) = (kind.sign() * (w[1].1 - w[0].1), w[0].2 + w[1].2);
            let gap = rise.max(-rise - (w[1].0 - w[0].0));
            if gap > room {
                flag_arbitrage(book, w[1].3, gap, room, out)?;
            }
        }
        for w in chain.windows(3) {
            let t = (w[1].0 - w[0].0) / (w[2].0 - w[0].0);
            let (gap, room) = (w[1].1 - (1.0 - t) * w[0].1 - t * w[2].1, w[0].2 + w[1].2 + w[2].2);
            if gap > room {
                flag_arbitrage(book, w[1].3, gap, room, out)?;
            }
        }
    }
    Ok(())
}

fn flag_arbitrage(
    book: &PoolBook,
    id: &str,
    gap: f64,
    room: f64,
    out: &mut QualityReport,
) -> Result<(), RiskError> {
    let leg = book.instruments.iter().find(|i| i.id == id).map(|i| i.leg);
    let vega = leg.map_or(Ok(0.0), |l| l.greeks().map(|g| g.vega))?;
    let vol = if vega > 0.0 { (gap / vega).min(1.0) } else { 0.0 };
    out.add(Gate::StaticArbitrage, id, gap, room, Widening { vol, ..Widening::default() });
    Ok(())
}

/// DQ7: the long positions of an instrument against its open interest.
fn open_interest(
    book: &PoolBook,
    accounts: &[BookAccount],
    rules: &QualityRules,
    out: &mut QualityReport,
) -> Result<(), RiskError> {
    let mut long = vec![0.0; book.instruments.len()];
    for (i, q) in accounts.iter().flat_map(|a| &a.positions) {
        long[*i] += q.max(0.0);
    }
    for (it, long) in book.instruments.iter().zip(long) {
        let Some(told) = it.open_interest else { continue };
        let told = non_negative("open interest", told)?;
        if told > 0.0 && long > 0.0 {
            unit_jump(&it.id, long / told, rules)?;
        }
        let gap = (told - long).abs() / told.max(long).max(f64::MIN_POSITIVE);
        if gap > rules.open_interest_share {
            // What we did not see may be as large as what is missing, relative to what we saw.
            let quantity = ((told - long).abs() / long.max(f64::MIN_POSITIVE)).min(1.0);
            let w = Widening { quantity, ..Widening::default() };
            out.add(Gate::OpenInterest, &it.id, gap, rules.open_interest_share, w);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::exposure_report;
    use crate::book::tests::sample;
    use crate::scenario::GridConfig;
    use crate::scenario::grid::Book;

    fn fair(book: &PoolBook, at: usize) -> f64 {
        book.instruments[at].leg.greeks().unwrap().value_coin
    }

    fn quoted(book: &mut PoolBook, at: usize, bid: f64, mark: f64, ask: f64) {
        let fair = fair(book, at);
        let side = |x: f64| (x > 0.0).then_some(fair * x);
        book.instruments[at].quote = Some(Quote {
            bid: side(bid),
            ask: side(ask),
            mark: side(mark),
            tick: 1e-4,
            coin: true,
        });
    }

    fn gates(change: &dyn Fn(&mut PoolBook)) -> (Vec<Gate>, Widening) {
        let mut book = sample();
        change(&mut book);
        let q = book.compile(&QualityRules::default()).unwrap().quality;
        (q.counts.keys().copied().collect(), q.widening)
    }

    #[test]
    fn each_gate_leaves_a_flag_and_widens() {
        let clean = gates(&|b| quoted(b, 0, 0.98, 1.0, 1.02));
        assert_eq!(clean, (vec![], Widening::default()));
        let (g, w) = gates(&|b| b.market.index_age_ms = 60_000);
        assert!(g == [Gate::Stale] && w.spot > 0.003 && w.spot < 0.006, "{w:?}");
        let (g, w) = gates(&|b| quoted(b, 0, 1.0, 1.05, 1.1));
        assert!(g == [Gate::MarkDiverges] && w.vol > 0.0, "{g:?} {w:?}");
        let (g, w) = gates(&|b| quoted(b, 0, 1.03, 1.0, 0.97));
        assert!(g.contains(&Gate::StaticArbitrage) && w.vol > 0.0);
        let (g, w) = gates(&|b| b.market.venues = vec![2_950.0, 2_960.0, 2_970.0]);
        assert!(g == [Gate::IndexDiverges] && (w.spot - 40.0 / 2_960.0).abs() < 1e-9);
        let (g, w) = gates(&|b| quoted(b, 1, 0.0, 1.0, 1.02));
        assert!(g == [Gate::OneSided] && w.vol > 0.0);
        let (g, w) = gates(&|b| quoted(b, 1, 1.001, 1.0, 1.02));
        assert!(g == [Gate::MarkOutsideQuote] && w.vol > 0.0);
        let (g, w) = gates(&|b| b.instruments[0].open_interest = Some(110.0));
        assert!(g == [Gate::OpenInterest] && (w.quantity - 0.1).abs() < 1e-12);
    }

    #[test]
    fn marks_that_rise_with_the_strike_are_arbitrage() {
        let mut b = sample();
        b.instruments[0].leg = b.instruments[1].leg;
        if let Leg::Option(o) = &mut b.instruments[0].leg {
            o.strike = 3_200.0;
        }
        quoted(&mut b, 0, 0.5, 0.5, 0.5);
        quoted(&mut b, 1, 1.0, 1.0, 1.0);
        let q = b.compile(&QualityRules::default()).unwrap().quality;
        assert!(q.counts.contains_key(&Gate::StaticArbitrage), "{q:?}");
        assert!(q.lines().iter().any(|l| l.starts_with("DQ3 C3300")), "{:?}", q.lines());
    }

    #[test]
    fn a_unit_mix_up_is_refused() {
        let refused = |change: &dyn Fn(&mut PoolBook)| {
            let mut b = sample();
            change(&mut b);
            matches!(b.compile(&QualityRules::default()), Err(RiskError::UnitJump { .. }))
        };
        assert!(refused(&|b| b.market.venues = vec![3e9, 3e9]));
        assert!(refused(&|b| b.instruments[0].open_interest = Some(100e12)));
        assert!(refused(&|b| {
            if let Leg::Option(o) = &mut b.instruments[1].leg {
                o.forward = 3e-9;
            }
        }));
    }

    #[test]
    fn doubtful_data_makes_every_result_wider_and_none_narrower() {
        let clean = sample().compile(&QualityRules::default()).unwrap();
        let mut doubtful = sample();
        doubtful.market.index_age_ms = 600_000;
        doubtful.instruments[0].open_interest = Some(120.0);
        let doubtful = doubtful.compile(&QualityRules::default()).unwrap();
        let grid = |b: &crate::book::CompiledBook| {
            let config = GridConfig { widening: b.quality.widening, ..GridConfig::default() };
            Book::new(&b.legs, &b.accounts, b.spot, b.fund).unwrap().grid(&config, &[0.0]).unwrap()
        };
        let (a, b) = (grid(&clean), grid(&doubtful));
        for (x, y) in a.regular.iter().zip(&b.regular) {
            assert!(y.shortfall >= x.shortfall - 1e-9, "{x:?} {y:?}");
        }
        assert!(b.distance_to_depletion.unwrap().abs() <= a.distance_to_depletion.unwrap().abs());
        let (a, b) = (exposure_report(&clean).unwrap(), exposure_report(&doubtful).unwrap());
        assert_eq!(a.low, a.total);
        assert!(b.high.delta - b.low.delta > a.high.delta - a.low.delta);
    }
}
