//! Functions: arithmetic, conversions, state reads and windows.

use alloy_primitives::{Bytes, U256};
use cofferdam_core::read::StateRead;

use super::{
    abi::{AbiType, Signature},
    ast::{Call, Expr, Kind},
    check::Checker,
    error::{ExprError, Span, Wrong, nearest},
    int::Int,
    typed::{Binary, Node, Slot, Take, Ty, Typed, Unary, WindowNode},
    window::{Aggregate, WINDOW_SECS_MAX},
};

/// The most state reads of one rule on one contract.
pub(crate) const READS_MAX: usize = 64;

/// The most windows of one rule on one contract.
pub(crate) const WINDOWS_MAX: usize = 16;

/// Every function, as written in messages.
pub(crate) const FUNCTIONS: &[(&str, &str)] = &[
    ("abs", "abs(integer)"),
    ("abs_diff", "abs_diff(integer, integer)"),
    ("address", "address(integer or bytes32)"),
    ("balance", "balance(address)"),
    ("balance_of", "balance_of(token, address)"),
    ("before", "before(expression with a state read)"),
    ("bits", "bits(integer, shift, count)"),
    ("bytes32", "bytes32(integer)"),
    ("call", "call(address, \"signature(types)(returned type)\", arguments…)"),
    ("code_hash", "code_hash(address)"),
    ("count", "count(10m) or count(condition, 10m)"),
    ("first", "first(value, 10m)"),
    ("int", "int(value)"),
    ("max", "max(integer, integer) or max(integer, 10m)"),
    ("min", "min(integer, integer) or min(integer, 10m)"),
    ("mul_div", "mul_div(integer, integer, integer)"),
    ("priced", "priced(token)"),
    ("reverted", "reverted(call(…))"),
    ("sqrt", "sqrt(integer)"),
    ("storage", "storage(address, slot)"),
    ("sum", "sum(integer, 10m)"),
    ("usd", "usd(amount, token)"),
];

/// Checks a call of a function.
///
/// # Errors
/// An unknown name, the wrong number or types of arguments, or a state read that is not known
/// beforehand.
pub(crate) fn check(cx: &mut Checker<'_>, call: &Call, span: Span) -> Result<Typed, ExprError> {
    if let Some(window) = aggregate(call) {
        return self::window(cx, call, window, span);
    }
    if let Some(key) = &call.key {
        return Err(
            cx.fail(Wrong::new(key.span, "`by` belongs to a window, such as `sum(x, 10m)`"))
        );
    }
    match (call.name.as_str(), call.args.as_slice()) {
        ("abs", [a]) => maths(cx, Unary::Abs, a, span),
        ("sqrt", [a]) => maths(cx, Unary::Sqrt, a, span),
        ("abs_diff", [a, b]) => pair(cx, Binary::AbsDiff, a, b, span),
        ("min", [a, b]) => pair(cx, Binary::Min, a, b, span),
        ("max", [a, b]) => pair(cx, Binary::Max, a, b, span),
        ("mul_div", [a, b, c]) => {
            let a = cx.check_as(a, Ty::Int)?;
            let b = cx.check_as(b, Ty::Int)?;
            let c = cx.check_as(c, Ty::Int)?;
            cx.mul_div([a, b, c], span)
        }
        ("bits", [value, shift, count]) => bits(cx, value, shift, count, span),
        ("int", [a]) => {
            let typed = cx.check(a)?;
            Ok(Typed { ty: Ty::Int, ..typed })
        }
        ("address", [a]) => convert(cx, a, Ty::Address, 160, span),
        ("bytes32", [a]) => convert(cx, a, Ty::Bytes32, 256, span),
        ("usd", [amount, token]) => usd(cx, amount, token, span),
        ("priced", [token]) => {
            let token = cx.check_as(token, Ty::Address)?;
            let known: Box<[Int]> = cx.entity.prices.iter().map(|it| it.token).collect();
            Ok(cx.within(token, known, span))
        }
        ("before", [inner]) => before(cx, inner, span),
        ("reverted", [inner]) => reverted(cx, inner, span),
        ("balance", [of]) => {
            let of = address(cx, of)?;
            let take = Take::Word(0, AbiType::Uint(256));
            read(cx, StateRead::Balance(of.address()), take, Ty::Int, span)
        }
        ("code_hash", [of]) => {
            let of = address(cx, of)?;
            let take = Take::Word(0, AbiType::FixedBytes(32));
            read(cx, StateRead::CodeHash(of.address()), take, Ty::Bytes32, span)
        }
        ("storage", [of, slot]) => {
            let (of, slot) = (address(cx, of)?, slot_number(cx, slot)?);
            let read_of = StateRead::Storage { address: of.address(), slot };
            read(cx, read_of, Take::Word(0, AbiType::Uint(256)), Ty::Int, span)
        }
        ("balance_of", [token, of]) => {
            let (token, of) = (address(cx, token)?, address(cx, of)?);
            let mut data = vec![0x70, 0xa0, 0x82, 0x31];
            data.extend_from_slice(&of.magnitude().to_be_bytes::<32>());
            let read_of = StateRead::Call { to: token.address(), data: data.into() };
            read(cx, read_of, Take::Word(0, AbiType::Uint(256)), Ty::Int, span)
        }
        ("call", [to, signature, args @ ..]) => view(cx, to, signature, args, 0, span),
        _ => Err(misused(cx, call, span)),
    }
}

/// Checks `call(…)[index]`.
///
/// # Errors
/// As [`check`]; also if there is no such value.
pub(crate) fn index(
    cx: &mut Checker<'_>,
    operand: &Expr,
    index: u16,
    span: Span,
) -> Result<Typed, ExprError> {
    match &operand.kind {
        Kind::Call(call) if call.name == "call" && call.key.is_none() => {
            if let [to, signature, args @ ..] = call.args.as_slice() {
                return view(cx, to, signature, args, usize::from(index), span);
            }
            Err(misused(cx, call, span))
        }
        _ => {
            let wrong = Wrong::new(span, "only the values returned by `call(…)` have positions");
            Err(cx.fail(wrong))
        }
    }
}

fn misused(cx: &Checker<'_>, call: &Call, span: Span) -> ExprError {
    let known = FUNCTIONS.iter().map(|it| it.0);
    let wrong = match FUNCTIONS.iter().find(|it| it.0 == call.name) {
        Some((_, usage)) => {
            Wrong::new(span, format!("wrong number of arguments for `{}`", call.name))
                .hint(format!("write `{usage}`"))
        }
        None => Wrong::new(call.name_span, format!("unknown function `{}`", call.name))
            .maybe_hint(nearest(&call.name, known).map(|it| format!("did you mean `{it}`?"))),
    };
    cx.fail(wrong)
}

fn maths(cx: &mut Checker<'_>, op: Unary, a: &Expr, span: Span) -> Result<Typed, ExprError> {
    let a = cx.check_as(a, Ty::Int)?;
    cx.unary(op, a, Ty::Int, span)
}

fn pair(
    cx: &mut Checker<'_>,
    op: Binary,
    a: &Expr,
    b: &Expr,
    span: Span,
) -> Result<Typed, ExprError> {
    let a = cx.check_as(a, Ty::Int)?;
    let b = cx.check_as(b, Ty::Int)?;
    cx.binary(op, a, b, Ty::Int, span)
}

fn bits(
    cx: &mut Checker<'_>,
    value: &Expr,
    shift: &Expr,
    count: &Expr,
    span: Span,
) -> Result<Typed, ExprError> {
    let value = cx.check_as(value, Ty::Int)?;
    let mut known = |expr: &Expr| -> Result<u16, ExprError> {
        let number = cx.check_as(expr, Ty::Int)?.constant().filter(|it| !it.is_negative());
        let small = number.and_then(|it| u16::try_from(it.magnitude()).ok());
        let wrong = || cx.fail(Wrong::new(expr.span, "expected a constant from 0 to 256"));
        small.filter(|it| *it <= 256).ok_or_else(wrong)
    };
    let (shift, count) = (known(shift)?, known(count)?);
    cx.unary(Unary::Bits { shift, count }, value, Ty::Int, span)
}

fn convert(
    cx: &mut Checker<'_>,
    from: &Expr,
    to: Ty,
    bits: u16,
    span: Span,
) -> Result<Typed, ExprError> {
    let typed = cx.check(from)?;
    if matches!(typed.ty, Ty::Bool | Ty::Bytes4) {
        let what = format!("{} cannot become {}", typed.ty.name(), to.name());
        return Err(cx.fail(Wrong::new(from.span, what)));
    }
    cx.unary(Unary::Fits(bits), typed, to, span)
}

fn usd(cx: &mut Checker<'_>, amount: &Expr, token: &Expr, span: Span) -> Result<Typed, ExprError> {
    let amount = cx.check_as(amount, Ty::Int)?;
    let at = token.span;
    let token = cx.check_as(token, Ty::Address)?;
    let Some(known) = token.constant() else {
        return Ok(cx.typed(Ty::Int, Node::Usd(Box::new(amount), Box::new(token)), span));
    };
    let found = cx.entity.prices.binary_search_by(|it| it.token.cmp(&known)).ok();
    let Some(price) = found.and_then(|it| cx.entity.prices.get(it)).copied() else {
        let wrong = Wrong::new(at, "the plan has no price for this token");
        return Err(cx.fail(wrong.hint("list it under the entity's `assets`")));
    };
    let rate = cx.typed(Ty::Int, Node::Const(price.micros), span);
    let scale = cx.typed(Ty::Int, Node::Const(price.scale), span);
    cx.mul_div([amount, rate, scale], span)
}

fn before(cx: &mut Checker<'_>, inner: &Expr, span: Span) -> Result<Typed, ExprError> {
    let (met, outer) = (cx.reads_met, std::mem::replace(&mut cx.before, true));
    let typed = cx.check(inner);
    cx.before = outer;
    let typed = typed?;
    if cx.reads_met == met {
        let wrong = Wrong::new(inner.span, "nothing in here is read from the state");
        let hint = "`before` looks at the parent block; an event has no value there";
        return Err(cx.fail(wrong.hint(hint)));
    }
    Ok(Typed { place: cx.place(span), ..typed })
}

fn reverted(cx: &mut Checker<'_>, inner: &Expr, span: Span) -> Result<Typed, ExprError> {
    let typed = cx.check(inner)?;
    let Node::Slot(slot) = typed.node else {
        return Err(cx.fail(Wrong::new(inner.span, "only a `call(…)` can revert")));
    };
    let read = cx.tables.slots.get(usize::from(slot)).copied();
    let Some(slot) = read else { return Err(cx.fail(Wrong::new(span, "unknown state read"))) };
    let index = add_slot(cx, Slot { take: Take::Reverted, place: cx.place(span), ..slot }, span)?;
    Ok(cx.typed(Ty::Bool, Node::Slot(index), span))
}

/// A value that must be known when the plan is loaded.
fn known(cx: &mut Checker<'_>, expr: &Expr, ty: Ty) -> Result<Int, ExprError> {
    let typed = cx.check_as(expr, ty)?;
    typed.constant().ok_or_else(|| {
        let what = "a state read needs arguments that are known when the plan is loaded";
        let hint = "use constants, `self` or `entity.account`: state is asked for beforehand";
        cx.fail(Wrong::new(expr.span, what).hint(hint))
    })
}

fn address(cx: &mut Checker<'_>, expr: &Expr) -> Result<Int, ExprError> {
    known(cx, expr, Ty::Address)
}

fn slot_number(cx: &mut Checker<'_>, expr: &Expr) -> Result<U256, ExprError> {
    let ty = if matches!(expr.kind, Kind::Hash(_)) { Ty::Bytes32 } else { Ty::Int };
    let value = known(cx, expr, ty)?;
    if value.is_negative() {
        return Err(cx.fail(Wrong::new(expr.span, "a storage slot is not negative")));
    }
    Ok(value.magnitude())
}

fn view(
    cx: &mut Checker<'_>,
    to: &Expr,
    signature: &Expr,
    args: &[Expr],
    index: usize,
    span: Span,
) -> Result<Typed, ExprError> {
    let to = address(cx, to)?;
    let Kind::Text(text) = &signature.kind else {
        let wrong = Wrong::new(signature.span, "expected a signature in quotes");
        return Err(cx.fail(wrong.hint("such as \"totalAssets()(uint256)\"")));
    };
    let parsed = Signature::parse(text).map_err(|wrong| {
        // One byte for the opening quote.
        let shift = signature.span.start + 1;
        let span = Span::new(wrong.span.start + shift, wrong.span.end + shift);
        cx.fail(Wrong { span, ..wrong })
    })?;
    if args.len() != parsed.params.len() {
        let what = format!("expected {} arguments, found {}", parsed.params.len(), args.len());
        return Err(cx.fail(Wrong::new(span, what).hint(format!("calls `{}`", parsed.canonical))));
    }
    let mut data = parsed.selector().to_vec();
    for (param, arg) in parsed.params.iter().zip(args) {
        let Some(ty) = param.ty.ty() else {
            return Err(cx.fail(Wrong::new(arg.span, "arguments of this type cannot be given")));
        };
        let word = param.ty.encode(known(cx, arg, ty)?);
        let wrong = || cx.fail(Wrong::new(arg.span, "the value does not fit its parameter"));
        data.extend_from_slice(&word.ok_or_else(wrong)?.to_be_bytes::<32>());
    }
    let (word, abi) = match &parsed.returns {
        None if index == 0 => (0, AbiType::Uint(256)),
        returns => {
            let found = returns.as_ref().and_then(|it| it.get(index));
            let wrong = || {
                Wrong::new(signature.span, format!("no value is returned at position {index}"))
                    .hint("name the returned types, such as \"f()(uint256,address)\"")
            };
            let param = found.ok_or_else(|| cx.fail(wrong()))?;
            (param.place, param.ty)
        }
    };
    let opaque = || cx.fail(Wrong::new(signature.span, "the returned type has no value here"));
    let ty = abi.ty().ok_or_else(opaque)?;
    let take = Take::Word(u16::try_from(word).unwrap_or(u16::MAX), abi);
    let read_of = StateRead::Call { to: to.address(), data: Bytes::from(data) };
    read(cx, read_of, take, ty, span)
}

fn read(
    cx: &mut Checker<'_>,
    read: StateRead,
    take: Take,
    ty: Ty,
    span: Span,
) -> Result<Typed, ExprError> {
    cx.reads_met += 1;
    let reads = &mut cx.tables.reads;
    let index = reads.iter().position(|it| *it == read).unwrap_or_else(|| {
        reads.push(read);
        reads.len() - 1
    });
    if index >= READS_MAX {
        return Err(cx.fail(Wrong::new(span, format!("more than {READS_MAX} state reads"))));
    }
    let (before, place) = (cx.before, cx.place(span));
    let slot = Slot { read: u16::try_from(index).unwrap_or(u16::MAX), before, take, place };
    let slot = add_slot(cx, slot, span)?;
    Ok(cx.typed(ty, Node::Slot(slot), span))
}

fn add_slot(cx: &mut Checker<'_>, slot: Slot, span: Span) -> Result<u16, ExprError> {
    let same = |it: &Slot| (it.read, it.before, it.take) == (slot.read, slot.before, slot.take);
    let found = cx.tables.slots.iter().position(same);
    let index = found.unwrap_or_else(|| {
        cx.tables.slots.push(slot);
        cx.tables.slots.len() - 1
    });
    u16::try_from(index).map_err(|_| cx.fail(Wrong::new(span, "too many state reads")))
}

/// Which window the call is, if it is one: its last argument is a duration.
fn aggregate(call: &Call) -> Option<Aggregate> {
    let timed = matches!(call.args.last().map(|it| &it.kind), Some(Kind::Duration(_)));
    match call.name.as_str() {
        "sum" if timed => Some(Aggregate::Sum),
        "count" if timed => Some(Aggregate::Count),
        "min" if timed => Some(Aggregate::Min),
        "max" if timed => Some(Aggregate::Max),
        "first" if timed => Some(Aggregate::First),
        _ => None,
    }
}

fn window(
    cx: &mut Checker<'_>,
    call: &Call,
    aggregate: Aggregate,
    span: Span,
) -> Result<Typed, ExprError> {
    if cx.in_window || cx.before {
        let within = if cx.in_window { "another window" } else { "`before`" };
        return Err(cx.fail(Wrong::new(span, format!("a window cannot stand within {within}"))));
    }
    cx.in_window = true;
    let parts = window_parts(cx, call, aggregate, span);
    cx.in_window = false;
    let (seconds, value, key) = parts?;
    let place = cx.place(span);
    let ty = match (&value, aggregate) {
        (Some(value), Aggregate::First) => value.ty,
        _ => Ty::Int,
    };
    let windows = &mut cx.tables.windows;
    let found = windows.iter().position(|it| it.place == place);
    let index = found.unwrap_or_else(|| {
        windows.push(WindowNode { aggregate, millis: seconds * 1_000, value, key, place });
        windows.len() - 1
    });
    if index >= WINDOWS_MAX {
        return Err(cx.fail(Wrong::new(span, format!("more than {WINDOWS_MAX} windows"))));
    }
    Ok(cx.typed(ty, Node::Window(u16::try_from(index).unwrap_or(u16::MAX)), span))
}

type WindowParts = (u64, Option<Typed>, Option<Typed>);

fn window_parts(
    cx: &mut Checker<'_>,
    call: &Call,
    aggregate: Aggregate,
    span: Span,
) -> Result<WindowParts, ExprError> {
    let (value, duration) = match (call.args.as_slice(), aggregate) {
        ([duration], Aggregate::Count) => (None, duration),
        ([value, duration], Aggregate::Count) => (Some(cx.check_as(value, Ty::Bool)?), duration),
        ([value, duration], Aggregate::First) => (Some(cx.check(value)?), duration),
        ([value, duration], _) => (Some(cx.check_as(value, Ty::Int)?), duration),
        _ => return Err(misused(cx, call, span)),
    };
    let Kind::Duration(seconds) = duration.kind else { return Err(misused(cx, call, span)) };
    if seconds == 0 || seconds > WINDOW_SECS_MAX {
        let days = WINDOW_SECS_MAX / 86_400;
        let what = format!("a window is longer than nothing and at most {days} days long");
        return Err(cx.fail(Wrong::new(duration.span, what)));
    }
    let key = match &call.key {
        Some(key) => Some(cx.check(key)?),
        None => None,
    };
    Ok((seconds, value, key))
}
