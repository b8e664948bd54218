//! From checked expressions to a flat list of operations.
//!
//! **Invariant:** jumps go forward only, so the cost of a program is bounded by its length, which is
//! known and limited when it is loaded.

use super::{
    error::Wrong,
    event::Field,
    int::Int,
    typed::{Binary, Node, Place, Ty, Typed, Unary},
};

/// Registers of the machine; a power of two.
pub(crate) const REGISTERS: usize = 32;

/// The most that one event may cost a rule on one contract, in simple operations.
pub(crate) const COST_MAX: u32 = 16_384;

/// An expression ready to be evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) ops: Vec<Op>,
    /// Where each operation comes from.
    pub(crate) places: Vec<Place>,
    pub(crate) constants: Vec<Int>,
    pub(crate) lists: Vec<Box<[Int]>>,
    pub(crate) result: Operand,
    pub(crate) ty: Ty,
    /// The whole expression.
    pub(crate) place: Place,
    /// The most it can cost, in simple operations.
    pub(crate) cost: u32,
}

/// Where an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Register(u8),
    Constant(u16),
    Field(Field),
    Slot(u16),
    Window(u16),
}

/// One operation. Targets are indices of operations further on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Move {
        to: u8,
        a: Operand,
    },
    Unary {
        op: Unary,
        to: u8,
        a: Operand,
    },
    Binary {
        op: Binary,
        to: u8,
        a: Operand,
        b: Operand,
    },
    MulDiv {
        to: u8,
        a: Operand,
        b: Operand,
        c: Operand,
    },
    In {
        to: u8,
        a: Operand,
        list: u16,
    },
    Usd {
        to: u8,
        amount: Operand,
        token: Operand,
    },
    /// Skips if the comparison is (not) true.
    Compare {
        op: Binary,
        a: Operand,
        b: Operand,
        is: bool,
        target: u16,
    },
    SkipIf {
        a: Operand,
        is: bool,
        target: u16,
    },
    Skip {
        target: u16,
    },
}

/// Compiles `typed`.
///
/// # Errors
/// If it needs more registers than there are, with the place.
pub(crate) fn compile(typed: &Typed) -> Result<Program, (Place, Wrong)> {
    let mut compiler = Compiler {
        ops: Vec::new(),
        places: Vec::new(),
        constants: Vec::new(),
        lists: Vec::new(),
        cost: 1,
    };
    let result = compiler.emit(typed, 0)?;
    let Compiler { ops, places, constants, lists, cost } = compiler;
    let (ty, place) = (typed.ty, typed.place);
    Ok(Program { ops, places, constants, lists, result, ty, place, cost })
}

struct Compiler {
    ops: Vec<Op>,
    places: Vec<Place>,
    constants: Vec<Int>,
    lists: Vec<Box<[Int]>>,
    cost: u32,
}

type Emitted = Result<Operand, (Place, Wrong)>;

impl Compiler {
    /// Emits `typed`; its value is then in the operand given back, register `to` at most.
    fn emit(&mut self, typed: &Typed, to: u8) -> Emitted {
        let place = typed.place;
        if usize::from(to) >= REGISTERS {
            let wrong = Wrong::new(place.span, "too many unfinished parts at this point");
            return Err((place, wrong.hint("put the longer side of an operator on its left")));
        }
        match &typed.node {
            Node::Const(value) => return Ok(self.constant(*value)),
            Node::Field(field) => return Ok(Operand::Field(*field)),
            Node::Slot(index) => return Ok(Operand::Slot(*index)),
            Node::Window(index) => return Ok(Operand::Window(*index)),
            Node::Unary(op, a) => {
                let a = self.emit(a, to)?;
                self.push(Op::Unary { op: *op, to, a }, place);
            }
            Node::Binary(op, a, b) => {
                let a = self.emit(a, to)?;
                let b = self.emit(b, above(a, to))?;
                self.push(Op::Binary { op: *op, to, a, b }, place);
            }
            Node::MulDiv(parts) => {
                let [a, b, c] = &**parts;
                let a = self.emit(a, to)?;
                let second = above(a, to);
                let b = self.emit(b, second)?;
                let c = self.emit(c, above(b, second))?;
                self.push(Op::MulDiv { to, a, b, c }, place);
            }
            Node::Usd(amount, token) => {
                let amount = self.emit(amount, to)?;
                let token = self.emit(token, above(amount, to))?;
                self.push(Op::Usd { to, amount, token }, place);
            }
            Node::In(a, items) => {
                let a = self.emit(a, to)?;
                self.cost += items.len().checked_ilog2().unwrap_or(0);
                let list = index(self.lists.len());
                self.lists.push(items.clone());
                self.push(Op::In { to, a, list }, place);
            }
            Node::And(..) | Node::Or(..) => self.logic(typed, to)?,
            Node::If(parts) => self.choice(parts, to)?,
        }
        Ok(Operand::Register(to))
    }

    /// The value of an `and` or `or`.
    fn logic(&mut self, typed: &Typed, to: u8) -> Result<(), (Place, Wrong)> {
        let mut skips = Vec::new();
        self.branch(typed, false, to, &mut skips)?;
        let (yes, no) = (self.constant(Int::ONE), self.constant(Int::ZERO));
        self.push(Op::Move { to, a: yes }, typed.place);
        let leave = self.ops.len();
        self.push(Op::Skip { target: 0 }, typed.place);
        self.land(&skips);
        self.push(Op::Move { to, a: no }, typed.place);
        self.land(&[leave]);
        Ok(())
    }

    /// Emits what falls through unless `typed` is `on`; the jumps taken then are added to `skips`.
    fn branch(
        &mut self,
        typed: &Typed,
        on: bool,
        to: u8,
        skips: &mut Vec<usize>,
    ) -> Result<(), (Place, Wrong)> {
        let target = 0;
        match &typed.node {
            Node::Unary(Unary::Not, a) => return self.branch(a, !on, to, skips),
            Node::And(a, b) | Node::Or(a, b) => {
                // An `and` is false as soon as one side is, an `or` true.
                let decided = matches!(typed.node, Node::Or(..));
                if on == decided {
                    self.branch(a, on, to, skips)?;
                    return self.branch(b, on, to, skips);
                }
                let mut here = Vec::new();
                self.branch(a, decided, to, &mut here)?;
                self.branch(b, on, to, skips)?;
                self.land(&here);
                return Ok(());
            }
            Node::Binary(op, a, b) if op.is_comparison() => {
                let a = self.emit(a, to)?;
                let b = self.emit(b, above(a, to))?;
                skips.push(self.ops.len());
                self.push(Op::Compare { op: *op, a, b, is: on, target }, typed.place);
            }
            _ => {
                let a = self.emit(typed, to)?;
                skips.push(self.ops.len());
                self.push(Op::SkipIf { a, is: on, target }, typed.place);
            }
        }
        Ok(())
    }

    fn choice(&mut self, parts: &[Typed; 3], to: u8) -> Result<(), (Place, Wrong)> {
        let [condition, yes, no] = parts;
        let mut skips = Vec::new();
        self.branch(condition, false, to, &mut skips)?;
        self.put_in_register(yes, to)?;
        let leave = self.ops.len();
        self.push(Op::Skip { target: 0 }, yes.place);
        self.land(&skips);
        self.put_in_register(no, to)?;
        self.land(&[leave]);
        Ok(())
    }

    fn put_in_register(&mut self, typed: &Typed, to: u8) -> Result<(), (Place, Wrong)> {
        let a = self.emit(typed, to)?;
        if a != Operand::Register(to) {
            self.push(Op::Move { to, a }, typed.place);
        }
        Ok(())
    }

    /// Makes the jumps at `from` go to what is emitted next.
    fn land(&mut self, from: &[usize]) {
        let here = index(self.ops.len());
        for at in from {
            let jump = self.ops.get_mut(*at);
            if let Some(
                Op::SkipIf { target, .. } | Op::Skip { target } | Op::Compare { target, .. },
            ) = jump
            {
                *target = here;
            }
        }
    }

    fn constant(&mut self, value: Int) -> Operand {
        let found = self.constants.iter().position(|it| *it == value);
        let at = found.unwrap_or_else(|| {
            self.constants.push(value);
            self.constants.len() - 1
        });
        Operand::Constant(index(at))
    }

    fn push(&mut self, op: Op, place: Place) {
        self.cost += match op {
            Op::Unary { op: Unary::Sqrt, .. } => 64,
            Op::MulDiv { .. } | Op::Usd { .. } => 8,
            _ => 1,
        };
        self.ops.push(op);
        self.places.push(place);
    }
}

/// The first register free beside the one that holds `a`, which was emitted at `to`.
fn above(a: Operand, to: u8) -> u8 {
    if a == Operand::Register(to) { to.saturating_add(1) } else { to }
}

/// Programs have at most a few operations for each of [`super::check::NODES_MAX`] nodes.
fn index(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}
