//! Labels: which transactions belong to which attack.
//!
//! **Invariant:** hostile text: bounded, each entry checked; nothing outside of the labels is called an attack.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use cofferdam_core::{Usd, plan::UsdText};
use serde::{Deserialize, Serialize};

use crate::BacktestError;

/// Labels that are read from one file at most.
const LABELS_MAX: usize = 1_000_000;
/// Longest name of an incident, class or split, in characters.
const NAME_CHARS_MAX: usize = 120;

/// What is known of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Name of the attack it is part of.
    pub incident: String,
    /// Class of attack, e.g. `reentrancy`.
    pub class: String,
    /// `train`, `test`, or empty: then the split is by time alone.
    pub split: String,
    /// What the victim lost by this transaction; `None` if that is not known.
    pub loss: Option<Usd>,
}

/// The labels of a data set by transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<B256, Label>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    incident: String,
    #[serde(default)]
    class: String,
    #[serde(default)]
    split: String,
    #[serde(default)]
    loss: Option<serde_json::Value>,
}

impl Labels {
    /// Reads `labels.json`: an object from transaction hash to `incident`, `class`, `split` and `loss` (dollars as
    /// a number, or as `"1250 usd"`).
    ///
    /// # Errors
    /// [`BacktestError::Labels`] with the transaction that is wrong.
    pub fn parse(text: &str) -> Result<Self, BacktestError> {
        let wrong = |what: String| BacktestError::Labels { what };
        let raw: BTreeMap<B256, Raw> =
            serde_json::from_str(text).map_err(|it| wrong(it.to_string()))?;
        if raw.len() > LABELS_MAX {
            return Err(wrong(format!("{} of them, at most {LABELS_MAX}", raw.len())));
        }
        let label = |(hash, it): (B256, Raw)| {
            let long = [&it.incident, &it.class, &it.split];
            if it.incident.is_empty() || long.iter().any(|it| it.chars().count() > NAME_CHARS_MAX) {
                let what = format!("{hash}: names are 1 to {NAME_CHARS_MAX} characters long");
                return Err(wrong(what));
            }
            let loss = it.loss.map(|loss| usd(&loss)).transpose();
            let loss = loss.map_err(|what| wrong(format!("{hash}: {what}")))?;
            let (incident, class, split) = (it.incident, it.class, it.split);
            Ok((hash, Label { incident, class, split, loss }))
        };
        raw.into_iter().map(label).collect::<Result<_, _>>().map(Self)
    }

    /// The label of a transaction.
    pub fn get(&self, hash: &B256) -> Option<&Label> {
        self.0.get(hash)
    }

    /// Adds a label, unless the transaction has one.
    pub fn add(&mut self, hash: B256, label: Label) {
        self.0.entry(hash).or_insert(label);
    }

    /// All of them, sorted by transaction.
    pub fn iter(&self) -> impl Iterator<Item = (&B256, &Label)> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn usd(value: &serde_json::Value) -> Result<Usd, String> {
    let text = match value {
        serde_json::Value::Number(it) => format!("{it} usd"),
        serde_json::Value::String(it) => it.clone(),
        other => return Err(format!("`{other}` is no amount in dollars")),
    };
    // More than six places are fractions of a micro-dollar.
    let (whole, unit) = text.split_once(' ').unwrap_or((&text, "usd"));
    let cut = match whole.split_once('.') {
        Some((left, right)) => format!("{left}.{}", right.get(..6).unwrap_or(right)),
        None => whole.to_owned(),
    };
    format!("{cut} {unit}").parse::<UsdText>().map(|it| it.0).map_err(|it| it.to_string())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use cofferdam_core::Usd;

    use super::Labels;

    #[test]
    fn a_loss_is_a_number_or_a_text_and_what_is_no_label_is_refused_with_its_transaction() {
        let hash = B256::repeat_byte(1);
        let of = |body: &str| Labels::parse(&format!("{{\"{hash}\": {body}}}"));
        let loss = |body: &str| of(body).unwrap().get(&hash).unwrap().loss;
        assert_eq!(loss(r#"{"incident": "a", "loss": 12.5}"#), Some(Usd(12_500_000)));
        assert_eq!(
            loss(r#"{"incident": "a", "loss": 25492489.00050001}"#).map(|it| it.0 % 1000),
            Some(500)
        );
        assert_eq!(loss(r#"{"incident": "a", "loss": "3 usd"}"#), Some(Usd::whole(3)));
        assert_eq!(loss(r#"{"incident": "a"}"#), None);
        for wrong in [r#"{"incident": ""}"#, r#"{"incident": "a", "loss": []}"#, r#"{"loss": 1}"#] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        let told = of(r#"{"incident": "a", "loss": "much"}"#).unwrap_err().to_string();
        assert!(told.contains(&hash.to_string()), "{told}");
    }
}
