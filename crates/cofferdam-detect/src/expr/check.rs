//! Names and types: from expressions as written to [`Typed`] ones.
//!
//! **Invariant:** what passes here cannot go wrong at run time except by a [`Fault`]: every name is
//! known, every operand has its type, every state read is known beforehand. Constant parts are
//! computed, and a constant part that faults is an error.
//!
//! [`Fault`]: super::error::Fault

use super::{
    ast::{Expr, Kind, List, Operator},
    error::{ExprError, Span, Wrong, nearest},
    event::Trigger,
    functions,
    int::Int,
    typed::{Binary, Entity, Node, Place, Tables, Ty, Typed, Unary, micros},
};

/// The most nodes of one expression, names of `let` replaced by what they stand for.
pub(crate) const NODES_MAX: usize = 4_096;

/// The deepest nesting, names of `let` replaced by what they stand for.
const NESTING_MAX: usize = 128;

/// A text to be checked, and the setting it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceText {
    pub(crate) place: String,
    pub(crate) text: String,
}

/// A name that the rule gives to an expression.
#[derive(Clone, Debug)]
pub(crate) struct Let {
    pub(crate) name: String,
    /// Index into the sources.
    pub(crate) source: u16,
    pub(crate) expr: Expr,
}

/// Checks the expressions of one rule, collecting what they share.
#[derive(Debug)]
pub(crate) struct Checker<'a> {
    pub(crate) trigger: &'a Trigger,
    pub(crate) entity: &'a Entity,
    sources: &'a [SourceText],
    lets: &'a [Let],
    pub(crate) tables: Tables,
    source: u16,
    /// Within `before(…)`.
    pub(crate) before: bool,
    /// Within a window.
    pub(crate) in_window: bool,
    /// How many state reads were met.
    pub(crate) reads_met: usize,
    visiting: Vec<usize>,
    nesting: usize,
    nodes: usize,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(
        trigger: &'a Trigger,
        entity: &'a Entity,
        sources: &'a [SourceText],
        lets: &'a [Let],
    ) -> Self {
        Self {
            trigger,
            entity,
            sources,
            lets,
            tables: Tables::default(),
            source: 0,
            before: false,
            in_window: false,
            reads_met: 0,
            visiting: Vec::new(),
            nesting: 0,
            nodes: 0,
        }
    }

    /// Checks `expr`, which stands in `source`.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub(crate) fn run(&mut self, source: u16, expr: &Expr) -> Result<Typed, ExprError> {
        self.source = source;
        self.nodes = 0;
        self.check(expr)
    }

    /// As [`Checker::run`], and the value must be of type `ty`.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn run_as(&mut self, source: u16, expr: &Expr, ty: Ty) -> Result<Typed, ExprError> {
        let typed = self.run(source, expr)?;
        self.source = source;
        self.require(typed, ty, expr.span)
    }

    pub(crate) fn fail(&self, wrong: Wrong) -> ExprError {
        let empty = ("", "");
        let source = self.sources.get(usize::from(self.source));
        let (place, text) = source.map_or(empty, |it| (it.place.as_str(), it.text.as_str()));
        wrong.within(place, text)
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        Place { source: self.source, span }
    }

    pub(crate) fn typed(&self, ty: Ty, node: Node, span: Span) -> Typed {
        Typed { ty, node, place: self.place(span) }
    }

    /// Checks `expr` and that its value is of type `ty`.
    pub(crate) fn check_as(&mut self, expr: &Expr, ty: Ty) -> Result<Typed, ExprError> {
        let typed = self.check(expr)?;
        self.require(typed, ty, expr.span)
    }

    fn require(&self, typed: Typed, ty: Ty, span: Span) -> Result<Typed, ExprError> {
        if typed.ty == ty {
            return Ok(typed);
        }
        let what = format!("expected {}, found {}", ty.name(), typed.ty.name());
        Err(self.fail(Wrong::new(span, what).maybe_hint(conversion(typed.ty, ty))))
    }

    pub(crate) fn check(&mut self, expr: &Expr) -> Result<Typed, ExprError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX || self.nesting >= NESTING_MAX {
            let wrong = Wrong::new(expr.span, "the expression costs too much");
            let hint = format!("at most {NODES_MAX} parts, {NESTING_MAX} deep, names written out");
            return Err(self.fail(wrong.hint(hint)));
        }
        self.nesting += 1;
        let typed = self.check_kind(expr);
        self.nesting -= 1;
        typed
    }

    fn check_kind(&mut self, expr: &Expr) -> Result<Typed, ExprError> {
        let span = expr.span;
        let constant = |it: &Self, ty, value| Ok(it.typed(ty, Node::Const(value), span));
        match &expr.kind {
            Kind::Number(value) => constant(self, Ty::Int, *value),
            Kind::Duration(seconds) => constant(self, Ty::Int, Int::from(*seconds)),
            Kind::Truth(value) => constant(self, Ty::Bool, Int::truth(*value)),
            Kind::Address(value) => constant(self, Ty::Address, Int::from(*value)),
            Kind::Hash(value) => constant(self, Ty::Bytes32, Int::from(*value)),
            Kind::Selector(it) => {
                constant(self, Ty::Bytes4, Int::from(u64::from(u32::from_be_bytes(*it))))
            }
            Kind::Text(_) => Err(self.fail(
                Wrong::new(span, "text is no value").hint("only signatures in `call` are text"),
            )),
            Kind::Name(name) => self.name(name, span),
            Kind::Not(operand) => {
                let operand = self.check_as(operand, Ty::Bool)?;
                self.unary(Unary::Not, operand, Ty::Bool, span)
            }
            Kind::Negate(operand) => {
                let operand = self.check_as(operand, Ty::Int)?;
                self.unary(Unary::Neg, operand, Ty::Int, span)
            }
            Kind::Binary(operator, left, right) => self.operator(*operator, left, right, span),
            Kind::Share { numerator, denominator, operand } => {
                let operand = self.check_as(operand, Ty::Int)?;
                let numerator = self.typed(Ty::Int, Node::Const(*numerator), span);
                let denominator = self.typed(Ty::Int, Node::Const(*denominator), span);
                self.mul_div([operand, numerator, denominator], span)
            }
            Kind::In(operand, list) => self.membership(operand, list, span),
            Kind::If(parts) => self.choice(parts, span),
            Kind::Call(call) => functions::check(self, call, span),
            Kind::Index(operand, index) => functions::index(self, operand, *index, span),
        }
    }

    fn name(&mut self, name: &str, span: Span) -> Result<Typed, ExprError> {
        let constant = |it: &Self, ty, value| Ok(it.typed(ty, Node::Const(value), span));
        if let Some(index) = self.lets.iter().position(|it| it.name == name) {
            return self.named(index, span);
        }
        match name {
            "native" => return constant(self, Ty::Address, Int::ZERO),
            "self" => {
                let Some(this) = self.entity.this else { return Err(self.unknown(name, span)) };
                return constant(self, Ty::Address, Int::from(this));
            }
            "entity.account" => {
                let first = self.entity.accounts.first();
                let missing = || self.fail(Wrong::new(span, "the entity has no account here"));
                let account = *first.ok_or_else(missing)?;
                return constant(self, Ty::Address, Int::from(account));
            }
            "entity.value_at_risk" => {
                let wrong = Wrong::new(span, "the entity has no `value-at-risk` in the plan");
                let value = self.entity.value_at_risk.ok_or_else(|| self.fail(wrong))?;
                return constant(self, Ty::Int, micros(value));
            }
            "entity.accounts" | "entity.assets" => {
                let wrong = Wrong::new(span, format!("`{name}` is a list"));
                return Err(self.fail(wrong.hint(format!("write `x in {name}`"))));
            }
            _ => {}
        }
        match self.trigger.field(name) {
            Some((field, ty)) => Ok(self.typed(ty, Node::Field(field), span)),
            None => Err(self.unknown(name, span)),
        }
    }

    /// The expression that a name of `let` stands for, in its place.
    fn named(&mut self, index: usize, span: Span) -> Result<Typed, ExprError> {
        let lets = self.lets;
        let Some(it) = lets.get(index) else { return Err(self.unknown("", span)) };
        if self.visiting.contains(&index) {
            let what = format!("`{}` is defined by itself", it.name);
            return Err(self.fail(Wrong::new(span, what)));
        }
        self.visiting.push(index);
        let source = std::mem::replace(&mut self.source, it.source);
        let typed = self.check(&it.expr);
        self.source = source;
        self.visiting.pop();
        typed
    }

    fn unknown(&self, name: &str, span: Span) -> ExprError {
        const MORE: [&str; 3] = ["entity.account", "entity.value_at_risk", "native"];
        let fields = self.trigger.names();
        let lets = self.lets.iter().map(|it| it.name.as_str());
        let known = fields.iter().map(String::as_str).chain(lets).chain(MORE);
        let hint = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", fields.join(", ")),
        };
        self.fail(Wrong::new(span, format!("unknown name `{name}`")).hint(hint))
    }

    fn operator(
        &mut self,
        operator: Operator,
        left: &Expr,
        right: &Expr,
        span: Span,
    ) -> Result<Typed, ExprError> {
        let operation = match operator {
            Operator::And | Operator::Or => return self.logic(operator, left, right, span),
            Operator::Eq => Binary::Eq,
            Operator::Ne => Binary::Ne,
            Operator::Lt => Binary::Lt,
            Operator::Le => Binary::Le,
            Operator::Gt => Binary::Gt,
            Operator::Ge => Binary::Ge,
            Operator::Add => Binary::Add,
            Operator::Sub => Binary::Sub,
            Operator::Mul => Binary::Mul,
            Operator::Div => Binary::Div,
            Operator::Rem => Binary::Rem,
        };
        if matches!(operation, Binary::Eq | Binary::Ne) {
            let a = self.check(left)?;
            let b = self.check(right)?;
            if a.ty != b.ty {
                let (a, b) = (a.ty, b.ty);
                let what = format!("cannot compare {} with {}", a.name(), b.name());
                let wrong = Wrong::new(span, what);
                return Err(self.fail(wrong.maybe_hint(conversion(b, a))));
            }
            return self.binary(operation, a, b, Ty::Bool, span);
        }
        let a = self.operand(operator, left)?;
        let b = self.operand(operator, right)?;
        let ty = if operation.is_comparison() { Ty::Bool } else { Ty::Int };
        self.binary(operation, a, b, ty, span)
    }

    fn operand(&mut self, operator: Operator, expr: &Expr) -> Result<Typed, ExprError> {
        let typed = self.check(expr)?;
        if typed.ty == Ty::Int {
            return Ok(typed);
        }
        let what = format!("`{}` needs integers, this is {}", operator.text(), typed.ty.name());
        Err(self.fail(Wrong::new(expr.span, what).maybe_hint(conversion(typed.ty, Ty::Int))))
    }

    fn logic(
        &mut self,
        operator: Operator,
        left: &Expr,
        right: &Expr,
        span: Span,
    ) -> Result<Typed, ExprError> {
        let a = self.check_as(left, Ty::Bool)?;
        let b = self.check_as(right, Ty::Bool)?;
        let is_and = operator == Operator::And;
        if let Some(known) = a.constant() {
            // The left side decides, or the right side is all that is left.
            return Ok(if known.is_true() == is_and { b } else { a });
        }
        let (a, b) = (Box::new(a), Box::new(b));
        let node = if is_and { Node::And(a, b) } else { Node::Or(a, b) };
        Ok(self.typed(Ty::Bool, node, span))
    }

    fn choice(&mut self, parts: &[Expr; 3], span: Span) -> Result<Typed, ExprError> {
        let [condition, then, otherwise] = parts;
        let condition = self.check_as(condition, Ty::Bool)?;
        let yes = self.check(then)?;
        let no = self.check_as(otherwise, yes.ty)?;
        let ty = yes.ty;
        Ok(match condition.constant() {
            Some(known) if known.is_true() => yes,
            Some(_) => no,
            None => self.typed(ty, Node::If(Box::new([condition, yes, no])), span),
        })
    }

    fn membership(&mut self, operand: &Expr, list: &List, span: Span) -> Result<Typed, ExprError> {
        let operand = self.check(operand)?;
        let mut items = match list {
            List::Items(exprs) => {
                let mut items = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    let item = self.check_as(expr, operand.ty)?;
                    let wrong = || {
                        Wrong::new(expr.span, "items of a list must be constants")
                            .hint("compare with `==` and join with `or`")
                    };
                    items.push(item.constant().ok_or_else(|| self.fail(wrong()))?);
                }
                items
            }
            List::Name(name, at) => {
                let found = self.list(name, *at)?;
                if operand.ty != Ty::Address {
                    let what = format!("`{name}` holds addresses, this is {}", operand.ty.name());
                    return Err(self.fail(Wrong::new(span, what)));
                }
                found
            }
        };
        items.sort_unstable();
        items.dedup();
        Ok(self.within(operand, items.into(), span))
    }

    fn list(&self, name: &str, span: Span) -> Result<Vec<Int>, ExprError> {
        match name {
            "entity.accounts" => Ok(self.entity.accounts.iter().copied().map(Int::from).collect()),
            "entity.assets" => Ok(self.entity.prices.iter().map(|it| it.token).collect()),
            _ => {
                let wrong = Wrong::new(span, format!("`{name}` is not a list"));
                let hint = "lists are `[a, b]`, `entity.accounts` and `entity.assets`";
                Err(self.fail(wrong.hint(hint)))
            }
        }
    }

    /// Whether `operand` is one of the sorted `items`.
    pub(crate) fn within(&self, operand: Typed, items: Box<[Int]>, span: Span) -> Typed {
        let node = match operand.constant() {
            Some(value) => Node::Const(Int::truth(items.binary_search(&value).is_ok())),
            None => Node::In(Box::new(operand), items),
        };
        self.typed(Ty::Bool, node, span)
    }

    pub(crate) fn unary(
        &self,
        operation: Unary,
        operand: Typed,
        ty: Ty,
        span: Span,
    ) -> Result<Typed, ExprError> {
        let node = match operand.constant() {
            Some(value) => self.folded(operation.apply(value), span)?,
            None => Node::Unary(operation, Box::new(operand)),
        };
        Ok(self.typed(ty, node, span))
    }

    pub(crate) fn binary(
        &self,
        operation: Binary,
        a: Typed,
        b: Typed,
        ty: Ty,
        span: Span,
    ) -> Result<Typed, ExprError> {
        let node = match (a.constant(), b.constant()) {
            (Some(a), Some(b)) => self.folded(operation.apply(&a, &b), span)?,
            (None, Some(zero))
                if zero == Int::ZERO && matches!(operation, Binary::Div | Binary::Rem) =>
            {
                return Err(self.fail(Wrong::new(span, "this always divides by zero")));
            }
            _ => Node::Binary(operation, Box::new(a), Box::new(b)),
        };
        Ok(self.typed(ty, node, span))
    }

    pub(crate) fn mul_div(&self, parts: [Typed; 3], span: Span) -> Result<Typed, ExprError> {
        let [a, b, c] = &parts;
        let node = match (a.constant(), b.constant(), c.constant()) {
            (Some(a), Some(b), Some(c)) => self.folded(a.mul_div(b, c), span)?,
            _ => Node::MulDiv(Box::new(parts)),
        };
        Ok(self.typed(Ty::Int, node, span))
    }

    fn folded(
        &self,
        value: Result<Int, super::error::Fault>,
        span: Span,
    ) -> Result<Node, ExprError> {
        let wrong = |fault| self.fail(Wrong::new(span, format!("this always faults: {fault}")));
        value.map(Node::Const).map_err(wrong)
    }
}

/// How to make one type of another, if there is a way.
fn conversion(from: Ty, to: Ty) -> Option<String> {
    let function = match (from, to) {
        (Ty::Bool, _) | (_, Ty::Bool) => return None,
        (_, Ty::Int) => "int",
        (_, Ty::Address) => "address",
        (_, Ty::Bytes32) => "bytes32",
        (_, Ty::Bytes4) => return None,
    };
    Some(format!("convert it with `{function}(…)`"))
}
