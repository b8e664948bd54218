//! Tests of the language as a whole.

mod docs;
mod errors;
mod grammar;
mod model;
mod rule;
mod semantics;

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use cofferdam_core::{
    Usd,
    read::{Answer, Reading, Readings},
};

use super::{
    Entity, Int, Machine, Module, Price, Signature, Spec,
    error::{ExprError, Fault, Trap},
    event::{Field, Source, Trigger},
};

pub(super) const VAULT: Address = Address::repeat_byte(0x11);
pub(super) const TOKEN: Address = Address::repeat_byte(0x22);

/// The parameters of a made-up event.
pub(super) struct Values(pub(super) [Int; 8]);

impl Source for Values {
    fn field(&self, field: Field) -> Result<Int, Fault> {
        match field {
            Field::Own(index) => self.0.get(usize::from(index)).copied().ok_or(Fault::Shape),
            _ => Ok(Int::from(1_000)),
        }
    }
}

pub(super) fn trigger() -> Trigger {
    let event =
        "E(int256 a, int256 b, int256 c, bool p, bool q, address who, bytes32 hash, bytes4 f)";
    Trigger::Log(Signature::parse(event).unwrap())
}

pub(super) fn entity() -> Entity {
    let price =
        |token: Int, decimals, dollars| Price::new(token, decimals, Usd::whole(dollars)).unwrap();
    Entity {
        accounts: vec![VAULT],
        prices: vec![price(Int::ZERO, 18, 2_000), price(Int::from(TOKEN), 6, 1)],
        value_at_risk: Some(Usd::whole(5_000)),
        this: Some(VAULT),
    }
}

/// Loads a condition with names.
pub(super) fn load(condition: &str, lets: &[(&str, &str)]) -> Result<Module, ExprError> {
    let lets: BTreeMap<String, String> =
        lets.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    let spec = Spec { condition, lets: &lets, loss: None, summary: "" };
    Module::load(spec, &trigger(), &entity())
}

/// Loads an integer.
pub(super) fn load_int(text: &str) -> Result<Module, ExprError> {
    let lets = BTreeMap::new();
    let spec = Spec { condition: "p", lets: &lets, loss: Some(text), summary: "" };
    Module::load(spec, &trigger(), &entity())
}

pub(super) fn values(a: i64, b: i64, c: i64, p: bool, q: bool) -> Values {
    let int = |it: i64| Int::signed(U256::from(it.unsigned_abs()), it < 0);
    let truth = Int::truth;
    let who = Int::from(VAULT);
    Values([int(a), int(b), int(c), truth(p), truth(q), who, Int::from(7), Int::from(0x8456_cb59)])
}

/// Readings that answer each of the module's reads, in order, with (before, after).
pub(super) fn answers(module: &Module, of: &[(Answer, Answer)]) -> Readings {
    let reading = |(before, after): &(Answer, Answer)| Reading {
        before: before.clone(),
        after: after.clone(),
    };
    module.reads().iter().cloned().zip(of.iter().map(reading)).collect()
}

/// Evaluates a condition on one event.
pub(super) fn holds(module: &Module, values: &Values, readings: &Readings) -> Result<bool, Trap> {
    let mut machine = module.machine();
    step(module, &mut machine, values, readings, 1_000)
}

/// Evaluates a condition on one event at a time in milliseconds.
pub(super) fn step(
    module: &Module,
    machine: &mut Machine,
    values: &Values,
    readings: &Readings,
    time: u64,
) -> Result<bool, Trap> {
    module.begin(machine, readings);
    module.update(machine, values, time, |_| {});
    module.holds(machine, values)
}
