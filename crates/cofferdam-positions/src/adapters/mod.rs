//! The registry: closed, sorted, greppable. One more protocol is one file, one page and one line.

mod aave_v3;
mod compound;
mod derive;
mod erc4626;
mod gmx_v2;
mod opyn_gamma;
mod panoptic;
mod uniswap_v3;

use crate::Adapter;

/// Every adapter, sorted by name. Books of venues off the chain are read by [`crate::book`].
pub static ADAPTERS: &[&dyn Adapter] = &[
    &aave_v3::AaveV3,
    &compound::Compound,
    &derive::Derive,
    &erc4626::Erc4626,
    &gmx_v2::GmxV2,
    &opyn_gamma::OpynGamma,
    &panoptic::Panoptic,
    &uniswap_v3::UniswapV3,
];

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use alloy_primitives::{Address, B256, Bytes, U256};
    use cofferdam_core::read::{Answer, StateRead};

    use super::ADAPTERS;
    use crate::abi::call;
    use crate::{Adapter, AdapterError, Request, Snapshot, take_snapshot};

    /// A contract that answers by heart.
    #[derive(Default)]
    pub(crate) struct Scripted(BTreeMap<StateRead, Answer>);

    impl Scripted {
        pub(crate) fn on(
            &mut self,
            to: Address,
            signature: &str,
            arguments: &[U256],
            words: &[U256],
        ) -> &mut Self {
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes::<32>()).collect();
            self.0.insert(call(to, signature, arguments), Answer::Bytes(bytes.into()));
            self
        }

        pub(crate) fn run(
            &self,
            adapter: &dyn Adapter,
            request: &Request,
        ) -> Result<Snapshot, AdapterError> {
            take_snapshot(adapter, request, |reads| {
                reads.iter().map(|r| self.0.get(r).cloned().unwrap_or(Answer::Reverted)).collect()
            })
        }

        /// Every answer replaced by each kind of bad one, one at a time: an error each time, never a panic.
        pub(crate) fn survives_bad_answers(&self, adapter: &dyn Adapter, request: &Request) {
            assert!(self.run(adapter, request).is_ok());
            for key in self.0.keys() {
                let bad = [
                    Answer::Reverted,
                    Answer::Unavailable,
                    Answer::Bytes(Bytes::new()),
                    Answer::Bytes(vec![0xff; 31].into()),
                    Answer::Bytes(vec![0xff; 640].into()),
                ];
                for (kind, answer) in bad.into_iter().enumerate() {
                    let mut broken = Self(self.0.clone());
                    broken.0.insert(key.clone(), answer);
                    // Words of all ones are a number some fields may take; everything else is refused.
                    let outcome = broken.run(adapter, request);
                    assert!(kind == 4 || outcome.is_err(), "{key:?} {kind}");
                }
            }
        }
    }

    pub(crate) fn n(value: u128) -> U256 {
        U256::from(value)
    }

    pub(crate) fn at(byte: u8) -> Address {
        Address::repeat_byte(byte)
    }

    pub(crate) fn w(address: Address) -> U256 {
        U256::from_be_bytes(B256::from(address.into_word()).0)
    }

    #[test]
    fn the_list_is_sorted_and_every_page_says_what_must_be_said() {
        assert!(ADAPTERS.windows(2).all(|p| p[0].id() < p[1].id()));
        for a in ADAPTERS {
            let page = a.page();
            assert!(page.starts_with(&format!("# `{}`\n", a.id())), "{}", a.id());
            for heading in [
                "## Request",
                "## What is read",
                "## What it means",
                "## What a pause freezes",
                "## Limits",
            ] {
                assert!(page.contains(heading), "{} lacks {heading}", a.id());
            }
            assert!(!a.semantics().is_empty() && !a.summary().is_empty());
        }
    }

    #[test]
    fn an_adapter_that_asks_for_ever_is_stopped() {
        struct Endless;
        impl Adapter for Endless {
            fn id(&self) -> &'static str {
                "endless"
            }
            fn summary(&self) -> &'static str {
                ""
            }
            fn page(&self) -> &'static str {
                ""
            }
            fn questions(
                &self,
                _: &Request,
                known: &crate::Answers,
            ) -> Result<Vec<StateRead>, AdapterError> {
                let next = (0..).map(|i| call(at(1), "f(uint256)", &[n(i)]));
                Ok(next.filter(|q| known.get(q).is_none()).take(1).collect())
            }
            fn interpret(&self, _: &Request, _: &crate::Answers) -> Result<Snapshot, AdapterError> {
                Err(AdapterError::TooMany { what: "never", limit: 0 })
            }
            fn semantics(&self) -> &'static [crate::Semantics] {
                &[]
            }
        }
        let outcome = take_snapshot(&Endless, &Request::default(), |r| {
            r.iter().map(|_| Answer::Bytes(Bytes::new())).collect()
        });
        assert!(matches!(outcome, Err(AdapterError::TooMany { what: "rounds of questions", .. })));
    }
}
