//! The contagion view: names in, DebtRank, cut values and backing alarms out.

use cofferdam_risk::{
    RiskError,
    contagion::{
        backing::{BackingAlarm, backing_alarm, backing_ratio},
        debtrank::{Edge, ImpactNetwork},
    },
};

use super::{document::ContagionLine, input::Contagion};

/// Edges listed by what cutting them saves.
const CUTS: usize = 10;

/// Computes the view.
pub(super) fn line(it: &Contagion) -> Result<ContagionLine, RiskError> {
    let names: Vec<&String> = it.nodes.keys().collect();
    let place = |name: &str| {
        names
            .iter()
            .position(|n| *n == name)
            .ok_or(RiskError::Unknown { name: "node", id: name.to_owned() })
    };
    let mut edges = Vec::with_capacity(it.edges.len());
    for e in &it.edges {
        edges.push(Edge { from: place(&e.from)?, to: place(&e.to)?, weight: e.weight });
    }
    let mut shock = vec![0.0; names.len()];
    for (name, share) in &it.shock {
        shock[place(name)?] = *share;
    }
    let values: Vec<f64> = it.nodes.values().copied().collect();
    let network = ImpactNetwork::new(edges, values.clone())?;
    let distress = network.linear(&shock)?;
    let loss = network.loss(&shock)?;
    let first: f64 = shock.iter().zip(&values).map(|(h, v)| h * v).sum();
    let cuts = network.edge_cut_values(&shock)?;
    let end =
        |i: usize| it.edges.get(i).map(|e| (e.from.clone(), e.to.clone())).unwrap_or_default();
    Ok(ContagionLine {
        loss_usd: loss,
        spread_usd: loss - first,
        nodes: names
            .iter()
            .zip(values.iter().zip(&distress))
            .map(|(n, (v, h))| ((*n).clone(), *v, *h))
            .collect(),
        edges: it
            .edges
            .iter()
            .map(|e| (e.from.clone(), e.to.clone(), e.kind.clone(), e.weight))
            .collect(),
        cuts: cuts
            .into_iter()
            .take(CUTS)
            .map(|(i, saved)| {
                let (from, to) = end(i);
                (from, to, saved)
            })
            .collect(),
        backing: it
            .wrapped
            .iter()
            .map(|w| {
                let ratio = backing_ratio(w.locked, w.minted);
                let verified = (w.blind_seconds <= it.rule.blind_seconds).then_some(ratio);
                let alarm = backing_alarm(&it.rule, verified, w.blind_seconds, false);
                (w.name.clone(), ratio, alarm.map(word), w.verifiers.clone())
            })
            .collect(),
    })
}

fn word(alarm: BackingAlarm) -> String {
    match alarm {
        BackingAlarm::Unbacked => "unbacked",
        BackingAlarm::Unverifiable => "unverifiable",
        BackingAlarm::MintedBeyondLimiter => "minted beyond its limiter",
    }
    .to_owned()
}
