//! What the detectors of losses share: the entities with their assets, and their losses transaction by
//! transaction.

use alloy_primitives::Address;
use cofferdam_core::{Tx, Usd, plan::BasisPoints};

use crate::{
    BuildCx, BuildError, Context, Interest, Question, flows,
    loss::{self, Loss, Terms},
    report::Voice,
    watch::{self, Ward, Wards},
};

/// The watched entities of a rule that judges losses.
#[derive(Debug)]
pub(crate) struct Losses {
    /// The name under which the rule speaks.
    pub(crate) voice: Voice,
    /// The entities, at least one of them with assets.
    pub(crate) wards: Wards,
    terms: Terms,
}

impl Losses {
    /// The losses of the rule being built, for `detector`.
    ///
    /// # Errors
    /// [`BuildError::Unusable`] if no entity lists an asset.
    pub(crate) fn new(
        detector: &'static str,
        cx: &BuildCx<'_>,
        price_tolerance: BasisPoints,
        recipients: Vec<Address>,
    ) -> Result<Self, BuildError> {
        let wards = Wards::with_assets(cx)?;
        let terms = Terms { price_tolerance, recipients };
        Ok(Self { voice: Voice::new(detector, cx), wards, terms })
    }

    /// An interest in every account.
    pub(crate) fn interests(&self) -> Vec<Interest> {
        self.wards.interests()
    }

    /// The reads that a loss is judged by.
    pub(crate) fn questions(&self) -> Vec<Question> {
        self.wards.iter().flat_map(loss::questions).collect()
    }

    /// What left each entity in `tx` beyond what came in, at plan prices and whoever was paid; negative if more came
    /// in.
    pub(crate) fn net(&self, tx: &Tx) -> Vec<(&Ward, Usd)> {
        let flows = flows::flows(&self.wards, tx).into_iter();
        let net = flows.filter_map(|(position, flow)| {
            let ward = self.wards.at(position)?;
            let legs = ward.assets.iter().zip(&flow.legs);
            let net = legs.fold(Usd::ZERO, |sum, (asset, leg)| {
                let of = |amount| watch::value(asset, amount);
                sum.plus(of(leg.net_out())).minus(of(leg.net_in()))
            });
            Some((ward, net))
        });
        net.filter(|it| it.1 != Usd::ZERO).collect()
    }

    /// Every entity that `tx` moved something of, by position, with what it lost, if anything.
    pub(crate) fn of<'a>(
        &'a self,
        cx: &Context<'_>,
        tx: &Tx,
    ) -> Vec<(usize, &'a Ward, Option<Loss>)> {
        let is_ours = |it| self.voice.is_ours(it);
        let flows = flows::flows(&self.wards, tx).into_iter();
        let judged = flows.filter_map(|(position, flow)| {
            let ward = self.wards.at(position)?;
            let loss = loss::assess(cx, &self.terms, ward, tx, flow, &is_ours);
            Some((position, ward, loss))
        });
        judged.collect()
    }
}
