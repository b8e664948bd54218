//! Programs against a naive evaluator over unbounded integers.

use alloy_primitives::U256;
use cofferdam_core::read::Readings;
use num_bigint::{BigInt, Sign};
use proptest::prelude::*;

use super::{Int, Values, load, load_int};

/// An expression, and all that is said about it twice.
enum Number {
    Literal(BigInt),
    Field(usize),
    Binary(char, Box<Number>, Box<Number>),
    Negate(Box<Number>),
    Absolute(Box<Number>),
    Root(Box<Number>),
    Pick(bool, Box<Number>, Box<Number>),
    MulDiv(Box<Number>, Box<Number>, Box<Number>),
    Choice(Box<Truth>, Box<Number>, Box<Number>),
}

enum Truth {
    Field(usize),
    Compare(&'static str, Number, Number),
    And(Box<Truth>, Box<Truth>),
    Or(Box<Truth>, Box<Truth>),
    Not(Box<Truth>),
}

/// Expressions from bytes: every sequence is one.
struct Seed<'a>(std::slice::Iter<'a, u8>);

impl Seed<'_> {
    fn pick(&mut self, choices: u8) -> u8 {
        self.0.next().map_or(0, |it| it % choices)
    }

    fn literal(&mut self) -> BigInt {
        let bits = usize::from(self.pick(9)) * 32;
        match self.pick(3) {
            0 => BigInt::from(self.pick(10)),
            1 => (BigInt::from(1) << bits) - 1,
            _ => BigInt::from(1) << bits.saturating_sub(1),
        }
    }

    fn number(&mut self, depth: u8) -> Number {
        let below = |seed: &mut Self| Box::new(seed.number(depth.saturating_sub(1)));
        match if depth == 0 { self.pick(2) } else { self.pick(12) } {
            0 => Number::Literal(self.literal()),
            1 => Number::Field(usize::from(self.pick(3))),
            2 => Number::Negate(below(self)),
            3 => Number::Absolute(below(self)),
            4 => Number::Root(below(self)),
            5 => Number::Pick(self.pick(2) == 1, below(self), below(self)),
            6 => Number::MulDiv(below(self), below(self), below(self)),
            7 => Number::Choice(Box::new(self.truth(depth - 1)), below(self), below(self)),
            _ => {
                let operator = ['+', '-', '*', '/', '%'][usize::from(self.pick(5))];
                Number::Binary(operator, below(self), below(self))
            }
        }
    }

    fn truth(&mut self, depth: u8) -> Truth {
        let below = |seed: &mut Self| Box::new(seed.truth(depth.saturating_sub(1)));
        match if depth == 0 { 0 } else { self.pick(6) } {
            0 => Truth::Field(3 + usize::from(self.pick(2))),
            1 => Truth::And(below(self), below(self)),
            2 => Truth::Or(below(self), below(self)),
            3 => Truth::Not(below(self)),
            _ => {
                let operator = ["==", "!=", "<", "<=", ">", ">="][usize::from(self.pick(6))];
                Truth::Compare(operator, self.number(depth - 1), self.number(depth - 1))
            }
        }
    }
}

const FIELDS: [&str; 5] = ["a", "b", "c", "p", "q"];

fn bounded(value: BigInt) -> Option<BigInt> {
    (value.bits() <= 256).then_some(value)
}

fn big(it: Int) -> BigInt {
    let sign = if it.is_negative() { Sign::Minus } else { Sign::Plus };
    BigInt::from_bytes_be(sign, &it.magnitude().to_be_bytes::<32>())
}

impl Number {
    fn text(&self) -> String {
        match self {
            Self::Literal(value) => value.to_string(),
            Self::Field(index) => FIELDS[*index].into(),
            Self::Binary(operator, a, b) => format!("({} {operator} {})", a.text(), b.text()),
            Self::Negate(a) => format!("-({})", a.text()),
            Self::Absolute(a) => format!("abs({})", a.text()),
            Self::Root(a) => format!("sqrt({})", a.text()),
            Self::Pick(max, a, b) => {
                format!("{}({}, {})", if *max { "max" } else { "min" }, a.text(), b.text())
            }
            Self::MulDiv(a, b, c) => format!("mul_div({}, {}, {})", a.text(), b.text(), c.text()),
            Self::Choice(p, a, b) => {
                format!("(if {} then {} else {})", p.text(), a.text(), b.text())
            }
        }
    }

    /// `None` is a fault.
    fn value(&self, fields: &[Int; 8]) -> Option<BigInt> {
        let zero = BigInt::from(0);
        let value = match self {
            Self::Literal(value) => value.clone(),
            Self::Field(index) => big(fields[*index]),
            Self::Negate(a) => -a.value(fields)?,
            Self::Absolute(a) => a.value(fields)?.magnitude().clone().into(),
            Self::Root(a) => {
                let a = a.value(fields)?;
                (a >= zero).then(|| a.sqrt())?
            }
            Self::Pick(true, a, b) => a.value(fields)?.max(b.value(fields)?),
            Self::Pick(false, a, b) => a.value(fields)?.min(b.value(fields)?),
            Self::MulDiv(a, b, c) => {
                let (a, b, c) = (a.value(fields)?, b.value(fields)?, c.value(fields)?);
                (c != zero).then(|| a * b / c)?
            }
            Self::Choice(p, a, b) => {
                if p.value(fields)? {
                    a.value(fields)?
                } else {
                    b.value(fields)?
                }
            }
            Self::Binary(operator, a, b) => {
                let (a, b) = (a.value(fields)?, b.value(fields)?);
                match operator {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    '/' => (b != zero).then(|| a / b)?,
                    _ => (b != zero).then(|| a % b)?,
                }
            }
        };
        bounded(value)
    }
}

impl Truth {
    fn text(&self) -> String {
        match self {
            Self::Field(index) => FIELDS[*index].into(),
            Self::Compare(operator, a, b) => format!("({} {operator} {})", a.text(), b.text()),
            Self::And(a, b) => format!("({} and {})", a.text(), b.text()),
            Self::Or(a, b) => format!("({} or {})", a.text(), b.text()),
            Self::Not(a) => format!("not ({})", a.text()),
        }
    }

    fn value(&self, fields: &[Int; 8]) -> Option<bool> {
        Some(match self {
            Self::Field(index) => fields[*index].is_true(),
            Self::And(a, b) => a.value(fields)? && b.value(fields)?,
            Self::Or(a, b) => a.value(fields)? || b.value(fields)?,
            Self::Not(a) => !a.value(fields)?,
            Self::Compare(operator, a, b) => {
                let (a, b) = (a.value(fields)?, b.value(fields)?);
                match *operator {
                    "==" => a == b,
                    "!=" => a != b,
                    "<" => a < b,
                    "<=" => a <= b,
                    ">" => a > b,
                    _ => a >= b,
                }
            }
        })
    }
}

fn fields() -> impl Strategy<Value = [Int; 8]> {
    let int =
        (any::<[u64; 4]>(), 0..256_usize, any::<bool>()).prop_map(|(limbs, shift, negative)| {
            Int::signed(U256::from_limbs(limbs) >> shift, negative)
        });
    ([int.clone(), int.clone(), int], any::<[bool; 2]>()).prop_map(|([a, b, c], [p, q])| {
        let zero = Int::ZERO;
        [a, b, c, Int::truth(p), Int::truth(q), zero, zero, zero]
    })
}

/// A part that faults whatever the event is refused at load; the model has no opinion on that.
fn refused_as_constant(what: &str) -> bool {
    what.starts_with("this always") || what.starts_with("this is always")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn integers_equal_the_model_and_fault_where_it_leaves_the_range(
        seed in prop::collection::vec(any::<u8>(), 1..80),
        fields in fields(),
    ) {
        let model = Seed(seed.iter()).number(4);
        let text = model.text();
        match load_int(&text) {
            Ok(module) => {
                let mut machine = module.machine();
                module.begin(&mut machine, &Readings::default());
                let found = module.loss(&mut machine, &Values(fields)).ok().flatten();
                let expected = model.value(&fields).map(|it| it.to_string());
                prop_assert_eq!(found.map(|it| it.to_string()), expected, "{}", text);
            }
            Err(error) => prop_assert!(refused_as_constant(&error.what), "{}", error),
        }
    }

    #[test]
    fn truths_equal_the_model_and_fault_where_it_does(
        seed in prop::collection::vec(any::<u8>(), 1..80),
        fields in fields(),
    ) {
        let model = Seed(seed.iter()).truth(5);
        let text = model.text();
        match load(&text, &[]) {
            Ok(module) => {
                let mut machine = module.machine();
                module.begin(&mut machine, &Readings::default());
                let found = module.holds(&mut machine, &Values(fields)).ok();
                prop_assert_eq!(found, model.value(&fields), "{}", text);
            }
            Err(error) => prop_assert!(refused_as_constant(&error.what), "{}", error),
        }
    }
}
