//! The inspector that lets an attacker's contracts play their script.

use std::sync::Arc;

use alloy_primitives::{Address, Log, U256};
use revm::{
    Inspector,
    bytecode::Bytecode,
    context_interface::CreateScheme,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter,
        interpreter::EthInterpreter, interpreter_types::Jumps,
    },
};

use super::{
    fresh::Fresh,
    script::{Cursor, Invocation, SHOWN_CODE, Script},
};
use crate::{
    machine::{Ctx, Traces},
    overlay::Missing,
    tracer::{Trace, Tracer},
};

/// Builds the call tree and hands the script's code to the attacker's contracts.
#[derive(Debug)]
pub(crate) struct Actor {
    tracer: Tracer,
    script: Arc<Script>,
    cursor: Cursor,
    fresh: Fresh,
    /// Whether what is absent and rightly zero counts as missing, too.
    strict: bool,
}

impl Actor {
    pub(crate) fn new(script: Arc<Script>) -> Self {
        let (tracer, cursor, fresh) = (Tracer::default(), Cursor::default(), Fresh::default());
        Self { tracer, script, cursor, fresh, strict: false }
    }

    /// One that forgives nothing: it tells which slots a balance of the attacker would stand in.
    pub(crate) fn strict(script: Arc<Script>) -> Self {
        Self { strict: true, ..Self::new(script) }
    }

    /// The code of the next invocation of `address`. A transaction starts over at its own part, so that it
    /// does not matter what became of the ones before.
    fn next(&mut self, context: &Ctx<'_>, inputs: &CallInputs) -> Option<Invocation> {
        let address = inputs.bytecode_address;
        if self.tracer.is_idle() && address == self.script.root {
            let input = inputs.input.bytes(context);
            let part = self.script.parts.get(part_of(&input))?;
            self.cursor = part.start.clone();
            return Some(part.code.clone());
        }
        let known = self.script.invocations.get(&address)?;
        let invoked = self.cursor.invoked.entry(address).or_default();
        *invoked += 1;
        known.get(*invoked - 1).cloned()
    }
}

/// Which part a transaction plays: the second word of its calldata, as [`super::Act`] writes it.
pub(super) fn part_of(input: &[u8]) -> usize {
    let word = input.get(4..36).map(U256::from_be_slice);
    word.and_then(|it| usize::try_from(it).ok()).unwrap_or(0)
}

impl Traces for Actor {
    fn take(&mut self) -> Trace {
        self.tracer.take()
    }

    fn forgive(&self, missing: &mut Missing) {
        if !self.strict {
            missing.forget(|read| self.fresh.forgives(read));
        }
    }
}

impl<'a> Inspector<Ctx<'a>, EthInterpreter> for Actor {
    fn step(&mut self, interp: &mut Interpreter<EthInterpreter>, _: &mut Ctx<'a>) {
        self.fresh.step(interp, &self.script.addresses);
        let (opcode, stack) = (interp.bytecode.opcode(), &interp.stack);
        self.tracer.note(opcode, || stack.data().last().copied());
    }

    fn step_end(&mut self, interp: &mut Interpreter<EthInterpreter>, _: &mut Ctx<'a>) {
        self.fresh.step_end(interp);
    }

    fn log(&mut self, _: &mut Ctx<'a>, _: Log) {}

    fn call(&mut self, context: &mut Ctx<'a>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if self.script.is_attackers(inputs.bytecode_address) {
            let known = self.next(context, inputs).map(|it| (it.hash, it.code));
            // An invocation that was never recorded does nothing.
            inputs.known_bytecode = known.unwrap_or_else(|| {
                let stop = Bytecode::new_legacy(SHOWN_CODE.into());
                (stop.hash_slow(), stop)
            });
        }
        Inspector::<Ctx<'a>, EthInterpreter>::call(&mut self.tracer, context, inputs)
    }

    fn call_end(&mut self, context: &mut Ctx<'a>, inputs: &CallInputs, out: &mut CallOutcome) {
        Inspector::<Ctx<'a>, EthInterpreter>::call_end(&mut self.tracer, context, inputs, out);
    }

    fn create(&mut self, context: &mut Ctx<'a>, it: &mut CreateInputs) -> Option<CreateOutcome> {
        if let Some(known) = self.script.creations.get(&it.caller()) {
            let created = self.cursor.created.entry(it.caller()).or_default();
            if let Some(address) = known.get(*created) {
                it.set_scheme(CreateScheme::Custom { address: *address });
            }
            *created += 1;
        }
        Inspector::<Ctx<'a>, EthInterpreter>::create(&mut self.tracer, context, it)
    }

    fn create_end(&mut self, context: &mut Ctx<'a>, it: &CreateInputs, out: &mut CreateOutcome) {
        Inspector::<Ctx<'a>, EthInterpreter>::create_end(&mut self.tracer, context, it, out);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        Inspector::<Ctx<'a>, EthInterpreter>::selfdestruct(
            &mut self.tracer,
            contract,
            target,
            value,
        );
    }
}
