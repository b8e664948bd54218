//! From book and parameters to the document. Everything is computed once here; tables, charts and JSON only show it.

use cofferdam_core::ports::Cause;
use cofferdam_risk::{
    EvidenceGroup, RiskError, StoppingProblem, StoppingTable,
    book::{CompiledBook, ExposureReport, PoolBook, exposure_report},
    cost::{CostReport, Input, Source},
    fuse, logit, net_benefit,
    numeric::random::Philox,
    scenario::{
        Cell, GridConfig, PauseInput, PauseReport, ScenarioGrid, VolShift, grid::Book, pause_report,
    },
    severity::Drain,
    solvency::{MICRO, Marked, waterfall_marked},
};

use super::{document::*, input::Params, network};

/// Moves of the waterfall table.
const WATERFALL_MOVES: [f64; 5] = [-0.3, -0.16, 0.0, 0.16, 0.3];

/// Everything computed.
pub(crate) struct Views {
    /// The checked book.
    pub(super) book: CompiledBook,
    /// The document.
    pub(crate) document: IncidentView,
}

/// Computes all views.
pub(crate) fn views(source: &PoolBook, params: &Params, inputs: &[&str]) -> Result<Views, Cause> {
    let mut source = source.clone();
    if let Some(fund) = params.fund_usd {
        source.fund_usd = fund;
    }
    let book = source.compile(&params.quality)?;
    let own = own_accounts(&book, &params.own)?;
    let exposure = exposure_report(&own)?;
    let config = GridConfig { widening: book.quality.widening, ..GridConfig::default() };
    let priced = Book::new(&book.legs, &book.accounts, book.spot, book.fund)?;
    let hours = params.hours.first().copied().unwrap_or(6.0);
    let times = [0.0, hours / 2.0 / 8_760.0, hours / 8_760.0];
    let mut grid = priced.grid(&config, &times)?;
    let mine = Book::new(&own.legs, &own.accounts, own.spot, own.fund)?.grid(&config, &times)?;
    for (all, mine) in [(&mut grid.regular, &mine.regular), (&mut grid.tail, &mine.tail)] {
        for (cell, mine) in all.iter_mut().zip(mine) {
            (cell.pnl_usd, cell.pnl_coin) = (mine.pnl_usd, mine.pnl_coin);
        }
    }
    let rng = Philox::new(params.seed);
    let mut pauses = Vec::with_capacity(params.hours.len());
    for hours in &params.hours {
        let mut report = pause(&book, params, *hours, rng)?;
        if own.accounts.len() < book.accounts.len() {
            let mine = pause(&own, params, *hours, rng)?;
            report = PauseReport {
                pnl_mean: mine.pnl_mean,
                pnl_sd: mine.pnl_sd,
                pnl_range: mine.pnl_range,
                es_975: mine.es_975,
                es_999: mine.es_999,
                histogram: mine.histogram,
                expiries: mine.expiries,
                ..report
            };
        }
        pauses.push(report);
    }
    let solvency = solvency(&book, &priced, &config, &grid, params)?;
    let contagion = params.contagion.as_ref().map(network::line).transpose()?;
    let mut document = IncidentView {
        schema: SCHEMA_VERSION,
        incident: None,
        money: None,
        actions: Vec::new(),
        book: book_line(&source, &book, &exposure),
        pauses: pauses.iter().map(|p| pause_line(&book, p)).collect(),
        solvency,
        grid: grid.regular.iter().chain(&grid.tail).map(grid_cell).collect(),
        contagion,
        data: data_line(&source, &book, inputs),
        reversals: Vec::new(),
    };
    decide(&mut document, params, pauses.first())?;
    Ok(Views { book, document })
}

/// The book with the named accounts alone; all of it for none.
fn own_accounts(book: &CompiledBook, own: &[String]) -> Result<CompiledBook, RiskError> {
    for id in own {
        if !book.holders.contains(id) {
            return Err(RiskError::Unknown { name: "account", id: id.clone() });
        }
    }
    let mut out = book.clone();
    if own.is_empty() {
        return Ok(out);
    }
    (out.accounts, out.holders) = book
        .accounts
        .iter()
        .zip(&book.holders)
        .filter(|(_, id)| own.contains(id))
        .map(|(a, id)| (a.clone(), id.clone()))
        .unzip();
    Ok(out)
}

fn pause(
    book: &CompiledBook,
    params: &Params,
    hours: f64,
    rng: Philox,
) -> Result<PauseReport, RiskError> {
    let w = book.quality.widening;
    let years = hours / 8_760.0;
    // Doubtful data is more movement: of the price over the horizon, and of its volatility.
    let extra = if years > 0.0 { w.spot * w.spot / years } else { 0.0 } + w.vol * w.vol;
    let sigma = (params.market.sigma * params.market.sigma + extra).sqrt();
    let market = cofferdam_risk::vol::MertonJumps { sigma, ..params.market };
    let input = PauseInput {
        instruments: &book.legs,
        accounts: &book.accounts,
        spot: book.spot,
        market,
        hours,
        fund: book.fund,
        no_pause_loss: 0.0,
        paths: params.paths,
    };
    pause_report(&input, rng)
}

fn book_line(source: &PoolBook, book: &CompiledBook, e: &ExposureReport) -> BookLine {
    let ranged = |value, low, high| Ranged { value, low, high };
    let (t, lo, hi) = (&e.total, &e.low, &e.high);
    BookLine {
        pool: source.pool.clone(),
        asset: source.asset.clone(),
        index_usd: book.spot,
        value_usd: ranged(t.value_usd, lo.value_usd, hi.value_usd),
        value_coin: t.value_coin,
        delta_usd_measure_coin: ranged(t.delta, lo.delta, hi.delta),
        delta_coin_measure_coin: t.delta_coin,
        gamma_per_percent_coin: t.gamma_percent,
        vega_per_point_usd: ranged(t.vega_point, lo.vega_point, hi.vega_point),
        theta_per_day_usd: t.theta_day,
        vanna_per_point_coin: t.vanna_point,
        volga_per_point_usd: t.volga_point,
        concentration: e.concentration,
        top_accounts: e
            .top_accounts
            .iter()
            .map(|a| (a.id.clone(), a.equity_usd, a.share))
            .collect(),
    }
}

fn pause_line(book: &CompiledBook, p: &PauseReport) -> PauseLine {
    let name = |list: &[String], i: usize| list.get(i).cloned().unwrap_or_default();
    let spread = 1.645 * p.standard_error;
    PauseLine {
        hours: p.hours,
        pnl_mean_usd: p.pnl_mean,
        pnl_range_usd: p.pnl_range,
        es_975_usd: p.es_975,
        es_999_usd: p.es_999,
        shortfall_usd: Ranged {
            value: p.expected_shortfall,
            low: (p.expected_shortfall - spread).max(0.0),
            high: p.expected_shortfall + spread,
        },
        fund_empty: p.p_fund_exhausted,
        expiries: p
            .expiries
            .iter()
            .map(|e| (name(&book.names, e.instrument), e.hours, e.net_quantity, e.pin_risk))
            .collect(),
        top_accounts: p
            .top_accounts
            .iter()
            .map(|(i, usd)| (name(&book.holders, *i), *usd))
            .collect(),
        histogram: p.histogram.clone(),
    }
}

fn vol_word(vol: VolShift) -> &'static str {
    match vol {
        VolShift::Up => "up",
        VolShift::Same => "same",
        VolShift::Down => "down",
    }
}

fn grid_cell(c: &Cell) -> GridCell {
    GridCell {
        spot: c.spot,
        vol: vol_word(c.vol).to_owned(),
        hours: c.elapsed * 8_760.0,
        weight: c.weight,
        pnl_usd: c.pnl_usd,
        pnl_coin: c.pnl_coin,
        insolvent: c.insolvent,
        shortfall_usd: c.shortfall,
        fund_left_usd: c.fund_left,
    }
}

fn solvency(
    book: &CompiledBook,
    priced: &Book<'_>,
    config: &GridConfig,
    grid: &ScenarioGrid,
    params: &Params,
) -> Result<SolvencyLine, RiskError> {
    let now = priced.cell(config, 0.0, VolShift::Same, 0.0, 1.0)?.shortfall;
    let worst = grid.regular.iter().max_by(|a, b| a.shortfall.total_cmp(&b.shortfall));
    let worst_shortfall = worst.map_or(0.0, |c| c.shortfall);
    let waterfalls = WATERFALL_MOVES
        .iter()
        .map(|spot| waterfall_at(book, config, *spot, params.treasury_usd))
        .collect::<Result<_, _>>()?;
    Ok(SolvencyLine {
        shortfall_now_usd: now,
        shortfall_worst_usd: worst_shortfall,
        worst_cell: worst.filter(|c| c.shortfall > 0.0).map_or("none".to_owned(), |c| {
            format!("{:+.0} % spot, vol {}", 100.0 * c.spot, vol_word(c.vol))
        }),
        fund_usd: book.fund,
        fund_used: if worst_shortfall == 0.0 {
            0.0
        } else if book.fund > 0.0 {
            (worst_shortfall / book.fund).min(1.0)
        } else {
            1.0
        },
        distance_to_depletion: grid.distance_to_depletion,
        waterfalls,
    })
}

/// Marks every account at a move with volatility up and runs the integer waterfall.
fn waterfall_at(
    book: &CompiledBook,
    config: &GridConfig,
    spot: f64,
    treasury: f64,
) -> Result<WaterfallLine, RiskError> {
    let micro = |usd: f64| -> Result<i128, RiskError> {
        let scaled = (usd * MICRO as f64).floor();
        if scaled.abs() < 1e33 {
            Ok(scaled as i128)
        } else {
            Err(RiskError::Overflow { name: "equity" })
        }
    };
    let shock = 1.0 + config.widening.spot_move(spot);
    let mut base = Vec::with_capacity(book.legs.len());
    let mut shocked = Vec::with_capacity(book.legs.len());
    for l in &book.legs {
        let vol = l.option().map_or(0.0, |o| o.vol);
        let up = l.option().map_or(0.0, |o| config.shift(o.vol, o.years, VolShift::Up));
        base.push(l.value(1.0, vol, 0.0)?);
        shocked.push(l.value(shock, if spot == 0.0 { vol } else { up }, 0.0)?);
    }
    let mut marked = Vec::with_capacity(book.accounts.len());
    for (a, id) in book.accounts.iter().zip(&book.holders) {
        let held = |prices: &[f64]| a.positions.iter().map(|(i, q)| q * prices[*i]).sum::<f64>();
        let (equity, gain) =
            (a.usd + a.coins * book.spot * shock + held(&shocked), held(&shocked) - held(&base));
        let (equity, upnl) = (micro(equity)?, micro(gain)?);
        let winner = upnl > 0 && equity > 0;
        marked.push(Marked {
            id: id.clone(),
            // Nobody is cut below zero: what an account can give is bounded by its equity.
            upnl: if winner { upnl.min(equity) } else { upnl },
            equity,
            bankruptcy_price: None,
            adl_rank: winner.then_some(1.0),
            ratio_rank: None,
        });
    }
    let w = waterfall_marked(marked, micro(book.fund)?, micro(treasury)?)?;
    let mut cut: Vec<(String, i128)> =
        w.haircuts.iter().map(|h| (h.id.clone(), h.amount)).collect();
    cut.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    cut.truncate(10);
    let taken: i128 = w.haircuts.iter().map(|h| h.amount).sum();
    Ok(WaterfallLine {
        spot,
        shortfall_micro_usd: w.shortfall.to_string(),
        fund_micro_usd: w.fund_paid.to_string(),
        haircuts_micro_usd: taken.to_string(),
        treasury_micro_usd: w.treasury_paid.to_string(),
        uncovered_micro_usd: w.uncovered.to_string(),
        cut: cut.into_iter().map(|(id, amount)| (id, amount.to_string())).collect(),
    })
}

fn data_line(source: &PoolBook, book: &CompiledBook, inputs: &[&str]) -> DataLine {
    let q = &book.quality;
    let mut all = Vec::new();
    for text in inputs {
        // Lengths first, so that two inputs cannot run into each other.
        all.extend_from_slice(&(text.len() as u64).to_be_bytes());
        all.extend_from_slice(text.as_bytes());
    }
    DataLine {
        index_age_ms: source.market.index_age_ms,
        chain_age_ms: source.market.chain_age_ms,
        block: source.market.block,
        one_sided: q.one_sided_share,
        flags: q.lines(),
        widened_spot: q.widening.spot,
        widened_vol: q.widening.vol,
        widened_quantity: q.widening.quantity,
        model: format!("cofferdam-risk {}", env!("CARGO_PKG_VERSION")),
        input_hash: alloy_primitives::keccak256(&all).to_string(),
    }
}

/// Posterior, expected loss, actions and the verdict.
fn decide(
    out: &mut IncidentView,
    params: &Params,
    pause: Option<&PauseReport>,
) -> Result<(), RiskError> {
    let Some(it) = &params.incident else { return Ok(()) };
    let (groups, lines) = evidence(it)?;
    let p = cofferdam_risk::try_fuse(it.prior, &groups)?;
    let (low, high) =
        (fuse(it.prior_range.0, &groups).min(p), fuse(it.prior_range.1, &groups).max(p));
    let remaining = (it.at_risk_usd - it.lost_usd).max(0.0);
    let blocks = it.drain_blocks.max(1);
    let next = Drain::Linear { blocks: blocks as f64 }.next_block(remaining, 0.0, None);
    let drain = Drained { p, remaining, next, blocks, evidence: it.evidence_per_block };
    let mut tables = Vec::with_capacity(it.actions.len());
    for a in &it.actions {
        let (line, table) = action_line(a, pause, &drain)?;
        tables.push((line.name.clone(), table));
        out.actions.push(line);
    }
    out.actions
        .sort_by(|a, b| a.threshold.total_cmp(&b.threshold).then_with(|| a.name.cmp(&b.name)));
    let acting = |a: &&ActionLine| p >= a.threshold && a.net_benefit_usd > 0.0;
    let best = out
        .actions
        .iter()
        .filter(acting)
        .max_by(|a, b| a.net_benefit_usd.total_cmp(&b.net_benefit_usd))
        .cloned();
    let shown = best.as_ref().or(out.actions.first());
    let (cost, threshold) = shown.map_or((0.0, 1.0), |a| (a.cost_if_false_usd.value, a.threshold));
    let waiting = shown
        .and_then(|a| tables.iter().find(|t| t.0 == a.name))
        .map_or(0.0, |t| -t.1.cost_of_waiting(blocks, p));
    out.incident = Some(IncidentLine {
        id: it.id.clone(),
        pool: out.book.pool.clone(),
        chain: it.chain.clone(),
        probability: Ranged { value: p, low, high },
        stage: it.stage.clone(),
        evidence_nats: groups.iter().map(EvidenceGroup::llr).sum(),
        prior_nats: logit(it.prior),
        evidence: lines,
        false_alarms_left: it.false_alarm_budget.map(|(left, _)| left),
    });
    out.money = Some(MoneyLine {
        expected_loss_usd: Ranged {
            value: p * remaining,
            low: low * remaining,
            high: high * remaining,
        },
        at_risk_usd: remaining,
        next_block_usd: p * next,
        threshold,
        value_of_waiting_usd: waiting,
        verdict: if best.is_some() { "act" } else { "wait" }.to_owned(),
        action: best.map(|a| a.name),
    });
    out.reversals = reversals(p, cost, &drain, threshold);
    Ok(())
}

/// Evidence by cause, and as it is shown.
fn evidence(
    it: &super::input::Incident,
) -> Result<(Vec<EvidenceGroup>, Vec<EvidenceLine>), RiskError> {
    let mut groups = Vec::with_capacity(it.evidence.len());
    let mut lines = Vec::with_capacity(it.evidence.len());
    for g in &it.evidence {
        let items = g.llr.values().map(|l| cofferdam_risk::Evidence::new(*l, 1.0));
        let group = EvidenceGroup::new(g.cap, items.collect::<Result<_, _>>()?)?;
        lines.push(EvidenceLine {
            cause: g.cause.clone(),
            raw_nats: g.llr.values().sum(),
            counted_nats: group.llr(),
            detectors: g.llr.keys().cloned().collect(),
        });
        groups.push(group);
    }
    Ok((groups, lines))
}

/// What an attack, if it is one, still takes.
struct Drained {
    p: f64,
    remaining: f64,
    next: f64,
    blocks: usize,
    evidence: f64,
}

/// The action's terms, and the stopping table behind its threshold.
fn action_line(
    a: &super::input::Action,
    pause: Option<&PauseReport>,
    d: &Drained,
) -> Result<(ActionLine, StoppingTable), RiskError> {
    let mut cost = a.cost;
    if let Some(r) = pause.filter(|_| a.pauses_the_book) {
        cost.pause_risk = pause_input(r);
    }
    let report: CostReport = cost.price()?;
    let stops = a.stops.clamp(0.0, 1.0);
    let table = StoppingTable::solve(StoppingProblem {
        cost_false: report.total,
        loss_per_block: stops * d.remaining / d.blocks as f64,
        blocks: d.blocks,
        evidence_per_block: d.evidence,
    })?;
    // Against never acting; what leaves before the action works is not saved.
    let late = d.next * f64::from(a.in_effect_blocks);
    let saved = stops * (d.remaining - late).max(0.0);
    let line = ActionLine {
        name: a.name.clone(),
        threshold: table.threshold(d.blocks),
        net_benefit_usd: net_benefit(d.p, report.total, saved),
        cost_if_false_usd: Ranged {
            value: report.total,
            low: report.range.0,
            high: report.range.1,
        },
        pause_risk_usd: cost.pause_risk.value,
        stops: a.stops,
        users: a.users,
        reversible: a.reversible,
        expires_hours: a.expires_hours,
        approvals: a.approvals.clone(),
        in_effect_blocks: a.in_effect_blocks,
        tornado: report.tornado.iter().map(|s| (s.input.to_owned(), s.low, s.high)).collect(),
    };
    Ok((line, table))
}

/// The pause engine's expected shortfall as an input of a cost.
fn pause_input(r: &PauseReport) -> Input {
    let spread = 1.645 * r.standard_error;
    let value = r.pause_risk.max(0.0);
    Input { value, low: (value - spread).max(0.0), high: value + spread, source: Source::Measured }
}

/// Where each number alone would turn the decision. Cost and loss turn it where `C / (C + dL)` equals the posterior,
/// the upper bound of the sequential threshold.
fn reversals(p: f64, cost: f64, d: &Drained, threshold: f64) -> Vec<Reversal> {
    let line = |input: &str, now: f64, turns_at: f64, unit: &str| Reversal {
        input: input.to_owned(),
        now,
        turns_at,
        unit: unit.to_owned(),
    };
    let mut out = vec![line("probability of an exploit", p, threshold, "probability")];
    if p > 0.0 && p < 1.0 {
        let odds = p / (1.0 - p);
        out.push(line("cost of acting for nothing", cost, odds * d.next, "usd"));
        out.push(line("loss in the next block", d.next, cost / odds, "usd"));
        if d.next > 0.0 {
            let scaled = d.remaining * cost / odds / d.next;
            out.push(line("value at risk at this speed", d.remaining, scaled, "usd"));
        }
    }
    out
}
