//! Whether a payment agrees with the message that it claims to pay.

use alloy_primitives::{U256, U512};
use cofferdam_core::{Finding, Severity, Timestamp, Usd, finding::Evidence};

use super::{Known, Moved, Paid, Route, Sent, Terms, Verdict};
use crate::{ratio::ONE, report::llr, watch::VALUE_MAX};

impl Route {
    /// Judges a payment by its origin, if that is known. `again` says that the same message was paid
    /// before in another transaction or log.
    pub fn judge(&self, paid: &Paid, sent: Option<&Sent>, known: Known, again: bool) -> Verdict {
        let Terms { skew, delay_min, .. } = self.terms;
        if again {
            let text = "the same message was paid again";
            return self.wrong(paid, sent, self.loss(paid), text);
        }
        // What begins after its payment is no origin.
        let latest = paid.at.plus_ms(skew);
        let Some(sent) = sent.filter(|it| it.at <= latest) else {
            return self.without_origin(paid, known);
        };
        if let Some(verdict) = self.compare(paid, sent) {
            return verdict;
        }
        let early = sent.at.plus_ms(delay_min) > latest;
        if early {
            let took = paid.at.since_ms(sent.at) / 1_000;
            let least = delay_min / 1_000;
            let text = format!("paid {took} s after its origin, at least {least} s are agreed");
            return self.lesser(paid, sent, Severity::Medium, text);
        }
        Verdict::Fine
    }

    fn without_origin(&self, paid: &Paid, known: Known) -> Verdict {
        let Terms { skew, delay_min, history_from, .. } = self.terms;
        // An origin is at least `delay_min` older, give or take the clocks.
        let needed = Timestamp(paid.at.0.saturating_sub(delay_min)).plus_ms(skew);
        let oldest = Timestamp(paid.at.0.saturating_sub(self.delay_max));
        let oldest = history_from.map_or(oldest, |it| it.max(oldest));
        let seen = known.until.is_some_and(|it| it >= needed)
            && known.since.is_some_and(|it| it <= oldest);
        if !seen {
            return Verdict::Unknown;
        }
        self.wrong(paid, None, self.loss(paid), "paid without an origin")
    }

    /// Asset, amount and recipient, as far as both ends tell them.
    fn compare(&self, paid: &Paid, sent: &Sent) -> Option<Verdict> {
        let mut shift = 0;
        if let (Some(from), Some(to)) = (sent.what.asset, paid.what.asset) {
            let pairs = &self.terms.assets;
            let pair = pairs.iter().find(|it| it.origin == from && it.destination == to);
            let both = pairs.iter().any(|it| it.origin == from)
                && pairs.iter().any(|it| it.destination == to);
            match pair {
                Some(pair) => shift = pair.shift,
                None if pairs.is_empty() && from == to => {}
                None if pairs.is_empty() || both => {
                    let text = "paid in another asset than was sent";
                    return Some(self.wrong(paid, Some(sent), self.loss(paid), text));
                }
                None => {
                    let text = "paid in an asset that the plan does not map".to_owned();
                    return Some(self.lesser(paid, sent, Severity::Medium, text));
                }
            }
        }
        if let (Some(from), Some(to)) = (sent.what.amount, paid.what.amount) {
            let due = shifted(from, shift);
            let to = U512::from(to);
            if to > due {
                let over = to.saturating_sub(due);
                let share = over.saturating_to::<U256>();
                let loss = self.value(&paid.what, share);
                let text = format!("paid {share} base units more than was sent");
                return Some(self.wrong(paid, Some(sent), loss, &text));
            }
            let fee = due.saturating_sub(to);
            let most = due.saturating_mul(U512::from(self.terms.fee_max)) / U512::from(ONE);
            // What the smaller unit cannot express is no fee.
            if fee > most.saturating_add(U512::from(1)) {
                let text = format!("{fee} base units were kept, at most {most} are agreed");
                return Some(self.lesser(paid, sent, Severity::Medium, text));
            }
        }
        match (sent.what.recipient, paid.what.recipient) {
            (Some(from), Some(to)) if from != to => {
                let text = "paid to another recipient than was named";
                Some(self.wrong(paid, Some(sent), self.loss(paid), text))
            }
            _ => None,
        }
    }

    fn loss(&self, paid: &Paid) -> Option<Usd> {
        self.value(&paid.what, paid.what.amount?)
    }

    /// `None` if the plan has no price of it.
    fn value(&self, what: &Moved, amount: U256) -> Option<Usd> {
        let asset = what.asset?;
        let (_, decimals, price) = self.terms.prices.iter().find(|it| it.0 == asset)?;
        Some(Usd::of(amount, *decimals, *price).min(VALUE_MAX))
    }

    /// Money left that should not have: critical from the plan's limit on.
    fn wrong(&self, paid: &Paid, sent: Option<&Sent>, loss: Option<Usd>, text: &str) -> Verdict {
        let critical = loss.is_some_and(|it| it >= self.terms.critical);
        let severity = if critical { Severity::Critical } else { Severity::High };
        Verdict::Wrong(self.finding(paid, sent, severity, loss.unwrap_or_default(), text.into()))
    }

    fn lesser(&self, paid: &Paid, sent: &Sent, severity: Severity, text: String) -> Verdict {
        Verdict::Wrong(self.finding(paid, Some(sent), severity, Usd::ZERO, text))
    }

    fn finding(
        &self,
        paid: &Paid,
        sent: Option<&Sent>,
        severity: Severity,
        loss: Usd,
        text: String,
    ) -> Finding {
        let mut evidence = vec![Evidence::new("route", &self.name)];
        let told = [
            ("asset", paid.what.asset.map(|it| format!("{it:#x}"))),
            ("amount, base units", paid.what.amount.map(|it| it.to_string())),
            ("recipient", paid.what.recipient.map(|it| format!("{it:#x}"))),
            ("sent in", sent.map(|it| it.tx.to_string())),
            ("sent, base units", sent.and_then(|it| it.what.amount).map(|it| it.to_string())),
        ];
        let told = told.into_iter().filter_map(|(label, it)| Some(Evidence::new(label, it?)));
        evidence.extend(told);
        Finding {
            severity,
            loss,
            llr_millinats: llr(severity),
            summary: format!("{}: {text}", self.name),
            evidence,
            ..paid.finding.clone()
        }
    }
}

/// `amount` in units of the destination, rounded down.
fn shifted(amount: U256, shift: i16) -> U512 {
    let scale = U512::from(10).saturating_pow(U512::from(shift.unsigned_abs()));
    let amount = U512::from(amount);
    if shift < 0 { amount / scale } else { amount.saturating_mul(scale) }
}
