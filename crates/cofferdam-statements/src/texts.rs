//! The templates that the program brings: one for each audience and phase.
//!
//! **Invariant:** none says that funds are safe, names a cause, or promises a sum; who wants to say so
//! writes it, with evidence. Every one but the last says when the reader hears again.

use crate::{Audience, Phase};

/// The text of the template for `audience` in `phase`, to be read by [`crate::Template::read`].
pub fn text(audience: Audience, phase: Phase) -> String {
    let title = match phase {
        Phase::Holding => "{{protocol}}: we are looking into an incident",
        Phase::Contained => "{{protocol}}: an incident is contained",
        Phase::Recovering => "{{protocol}}: service comes back in stages",
        Phase::Resolved => "{{protocol}}: the incident is resolved",
    };
    let happened = match phase {
        Phase::Holding => {
            "At {{detected}} we noticed an incident that concerns {{entity}} on {{chain}}. It was \
             contained at {{contained}}. We are still finding out what it means for you."
        }
        Phase::Contained => {
            "At {{detected}} we noticed an incident that concerns {{entity}} on {{chain}}. It was \
             contained at {{contained}}. Affected: {{scope}}."
        }
        Phase::Recovering => {
            "The incident on {{entity}} of {{detected}} was contained at {{contained}}. Service comes \
             back in stages, with lower limits at first. Affected: {{scope}}."
        }
        Phase::Resolved => {
            "The incident on {{entity}} of {{detected}} is resolved. It was contained at \
             {{contained}}. Affected: {{scope}}."
        }
    };
    let meaning = meaning(audience, phase);
    let last = match phase {
        Phase::Resolved => {
            "A full account follows at {{page}}. Questions: {{contact}}. Reference: {{case}}."
        }
        _ => {
            "You hear from us again by {{next-update}}, at {{page}} and nowhere else first. Nobody of us \
             writes to you privately or asks for keys, signatures or deposits. Questions: {{contact}}. \
             Reference: {{case}}."
        }
    };
    format!("{title}\n\n{happened}\n\n{meaning}\n\n{last}")
}

fn meaning(audience: Audience, phase: Phase) -> &'static str {
    match (audience, phase) {
        (Audience::LiquidityProviders, Phase::Holding | Phase::Contained) => {
            "If you provide liquidity: deposits and withdrawals may be stopped while this lasts. What you \
             can do now: {{action}}."
        }
        (Audience::LiquidityProviders, Phase::Recovering) => {
            "If you provide liquidity: withdrawals open first, deposits later. What you can do now: \
             {{action}}."
        }
        (Audience::LiquidityProviders, Phase::Resolved) => {
            "If you provide liquidity: how claims are computed and when they can be drawn is written at \
             {{page}}. What you can do now: {{action}}."
        }
        (Audience::Traders, Phase::Holding | Phase::Contained) => {
            "If you trade: new trades may be stopped, and prices shown elsewhere may not be those at which \
             you can close. What you can do now: {{action}}."
        }
        (Audience::Traders, _) => {
            "If you trade: reducing and closing positions opens before new ones. What you can do now: \
             {{action}}."
        }
        (Audience::Integrators, Phase::Holding | Phase::Contained) => {
            "If you build on us: treat our contracts as stopped. Do not take our tokens or shares as \
             collateral and do not read prices from us until we say so. Please answer that you have read \
             this. What you can do now: {{action}}."
        }
        (Audience::Integrators, _) => {
            "If you build on us: you are told before each stage opens. Check that your side works with the \
             lower limits. Please answer that you have read this. What you can do now: {{action}}."
        }
        (Audience::Exchanges, Phase::Holding | Phase::Contained) => {
            "If you take deposits: a list of addresses with the transactions that prove them comes by the \
             channel agreed with you. Please hold what comes from them, answer with a reference and a \
             time, and do not tell the depositor. What you can do now: {{action}}."
        }
        (Audience::Exchanges, _) => {
            "If you take deposits: please keep holding what was reported to you until we or a court say \
             otherwise. What you can do now: {{action}}."
        }
        (Audience::Public, _) => "What you can do now: {{action}}.",
    }
}
