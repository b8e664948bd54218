//! The machine that evaluates programs.
//!
//! **Invariant:** no allocation, no panic, time bounded by the program's length; a fault ends the
//! evaluation and is handed up, never replaced by a value.

use cofferdam_core::read::{Answer, Readings};

use super::{
    compile::{Op, Operand, Program, REGISTERS},
    error::{Fault, Trap},
    event::Source,
    int::Int,
    typed::{Price, Slot, Tables, Take},
};

/// A value or why there is none.
pub(crate) type Value = Result<Int, Fault>;

/// What programs read from.
#[derive(Debug)]
pub(crate) struct Inputs<'a, S> {
    pub(crate) source: &'a S,
    pub(crate) slots: &'a [Value],
    pub(crate) windows: &'a [Value],
    /// Sorted by token.
    pub(crate) prices: &'a [Price],
}

// Derived, these would ask the same of the source.
impl<S> Clone for Inputs<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Inputs<'_, S> {}

/// The machine's registers, kept between evaluations.
#[derive(Clone, Debug)]
pub(crate) struct Registers([Int; REGISTERS]);

impl Default for Registers {
    fn default() -> Self {
        Self([Int::ZERO; REGISTERS])
    }
}

impl Registers {
    // The mask keeps the index within the array, whatever the program says.
    #[inline]
    fn get(&self, index: u8) -> &Int {
        &self.0[usize::from(index) & (REGISTERS - 1)]
    }

    #[inline]
    fn set(&mut self, index: u8, value: Int) {
        self.0[usize::from(index) & (REGISTERS - 1)] = value;
    }
}

impl Program {
    /// Evaluates the program.
    ///
    /// # Errors
    /// The first fault met, with its place. Parts skipped by `and`, `or` and `if` raise none.
    pub(crate) fn run<S: Source>(
        &self,
        inputs: Inputs<'_, S>,
        registers: &mut Registers,
    ) -> Result<Int, Trap> {
        let mut at = 0;
        while let Some(op) = self.ops.get(at) {
            match self.step(op, inputs, registers) {
                Ok(None) => at += 1,
                // Forward only: a damaged target ends the program instead of looping.
                Ok(Some(target)) => at = usize::from(target).max(at + 1),
                Err(fault) => {
                    let place = self.places.get(at).copied().unwrap_or(self.place);
                    return Err(Trap { fault, place });
                }
            }
        }
        let trap = |fault| Trap { fault, place: self.place };
        let mut field = Int::ZERO;
        self.fetch(self.result, inputs, registers, &mut field).copied().map_err(trap)
    }

    #[inline]
    fn step<S: Source>(
        &self,
        op: &Op,
        inputs: Inputs<'_, S>,
        registers: &mut Registers,
    ) -> Result<Option<u16>, Fault> {
        // Operands are borrowed where they lie; only a field is put here first.
        let (mut x, mut y, mut z) = (Int::ZERO, Int::ZERO, Int::ZERO);
        let (to, value) = match *op {
            Op::Binary { op, to, a, b } => {
                let a = self.fetch(a, inputs, registers, &mut x)?;
                let b = self.fetch(b, inputs, registers, &mut y)?;
                (to, op.apply(a, b)?)
            }
            Op::Compare { op, a, b, is, target } => {
                let a = self.fetch(a, inputs, registers, &mut x)?;
                let b = self.fetch(b, inputs, registers, &mut y)?;
                return Ok((op.compare(a, b) == is).then_some(target));
            }
            Op::Move { to, a } => (to, *self.fetch(a, inputs, registers, &mut x)?),
            Op::Unary { op, to, a } => (to, op.apply(*self.fetch(a, inputs, registers, &mut x)?)?),
            Op::MulDiv { to, a, b, c } => {
                let a = self.fetch(a, inputs, registers, &mut x)?;
                let b = self.fetch(b, inputs, registers, &mut y)?;
                let c = self.fetch(c, inputs, registers, &mut z)?;
                (to, a.mul_div(*b, *c)?)
            }
            Op::In { to, a, list } => {
                let value = self.fetch(a, inputs, registers, &mut x)?;
                let list = self.lists.get(usize::from(list)).ok_or(Fault::Damaged)?;
                (to, Int::truth(list.binary_search(value).is_ok()))
            }
            Op::Usd { to, amount, token } => {
                let amount = self.fetch(amount, inputs, registers, &mut x)?;
                let token = self.fetch(token, inputs, registers, &mut y)?;
                (to, in_usd(inputs.prices, *amount, *token)?)
            }
            Op::SkipIf { a, is, target } => {
                let skip = self.fetch(a, inputs, registers, &mut x)?.is_true() == is;
                return Ok(skip.then_some(target));
            }
            Op::Skip { target } => return Ok(Some(target)),
        };
        registers.set(to, value);
        Ok(None)
    }

    #[inline]
    fn fetch<'a, S: Source>(
        &'a self,
        operand: Operand,
        inputs: Inputs<'a, S>,
        registers: &'a Registers,
        field: &'a mut Int,
    ) -> Result<&'a Int, Fault> {
        let known = |it: Option<&'a Value>| match it {
            Some(Ok(value)) => Ok(value),
            Some(Err(fault)) => Err(*fault),
            None => Err(Fault::Damaged),
        };
        match operand {
            Operand::Register(index) => Ok(registers.get(index)),
            Operand::Constant(index) => {
                self.constants.get(usize::from(index)).ok_or(Fault::Damaged)
            }
            Operand::Field(of) => {
                *field = inputs.source.field(of)?;
                Ok(field)
            }
            Operand::Slot(index) => known(inputs.slots.get(usize::from(index))),
            Operand::Window(index) => known(inputs.windows.get(usize::from(index))),
        }
    }
}

/// Puts the values that `tables` wants from `readings` into `slots`.
pub(crate) fn fill(tables: &Tables, readings: &Readings, slots: &mut Vec<Value>) {
    slots.clear();
    slots.extend(tables.slots.iter().map(|slot| answered(tables, readings, slot)));
}

fn answered(tables: &Tables, readings: &Readings, slot: &Slot) -> Value {
    let read = tables.reads.get(usize::from(slot.read)).ok_or(Fault::Damaged)?;
    let reading = readings.get(read).ok_or(Fault::Unavailable)?;
    let answer = if slot.before { &reading.before } else { &reading.after };
    match (answer, slot.take) {
        (Answer::Unavailable, _) => Err(Fault::Unavailable),
        // The language has no rehearsals.
        (Answer::Rehearsed(_), _) => Err(Fault::Malformed),
        (Answer::Reverted, Take::Reverted) => Ok(Int::ONE),
        (Answer::Reverted, Take::Word(..)) => Err(Fault::Reverted),
        (Answer::Bytes(_), Take::Reverted) => Ok(Int::ZERO),
        (Answer::Bytes(_), Take::Word(word, abi)) => {
            let word = answer.word(usize::from(word)).ok_or(Fault::Malformed)?;
            abi.decode(word).ok_or(Fault::Malformed)
        }
    }
}

/// Micro-dollars of `amount` of `token`, truncated toward zero.
fn in_usd(prices: &[Price], amount: Int, token: Int) -> Value {
    let found = prices.binary_search_by(|it| it.token.cmp(&token)).ok();
    let price = found.and_then(|it| prices.get(it)).ok_or(Fault::Unpriced)?;
    amount.mul_div(price.micros, price.scale)
}
