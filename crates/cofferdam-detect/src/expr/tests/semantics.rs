//! What expressions mean.

use alloy_primitives::{Address, Bytes, U256};
use cofferdam_core::read::{Answer, Readings, StateRead};

use super::{
    super::{Entity, Module, Spec},
    Fault, Int, answers, holds, load, load_int, step, trigger, values,
};

/// The integer that `text` is for a = 7, b = −2, c = 3, p = true, q = false.
fn int(text: &str) -> Result<String, Fault> {
    let module = load_int(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut machine = module.machine();
    let values = values(7, -2, 3, true, false);
    module.begin(&mut machine, &Readings::default());
    module.update(&mut machine, &values, 1_000, |_| {});
    let found = module.loss(&mut machine, &values).map_err(|it| it.fault)?;
    Ok(found.unwrap().to_string())
}

fn truth(text: &str) -> Result<bool, Fault> {
    let module = load(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"));
    holds(&module, &values(7, -2, 3, true, false), &Readings::default()).map_err(|it| it.fault)
}

#[test]
fn operators_bind_as_in_mathematics() {
    for (text, expected) in [
        ("a + b * c", "1"),
        ("(a + b) * c", "15"),
        ("a - b - c", "6"),
        ("a - (b - c)", "12"),
        ("-a + 1", "-6"),
        ("- a * 2", "-14"),
        ("a / b", "-3"),
        ("a % b", "1"),
        ("-a % c", "-1"),
        ("100 / 7 * 7", "98"),
        ("if p then a else b", "7"),
        ("if q then a else b + 1", "-1"),
        ("1 + if q then 1 else if p then 2 else 3", "3"),
        ("10 % of 1_000", "100"),
        ("10% of 999 + 1", "100"),
        ("12.5 % of 80", "10"),
        ("50 bps of 20_000", "100"),
        ("a %c", "1"),
        ("2 eth - 1 gwei", "1999999999000000000"),
        ("1.5e18 + 0 wei", "1500000000000000000"),
        ("100 usd", "100000000"),
        ("10m + 1h + 2d + 3s", "177003"),
        ("mul_div(a, 2, 4)", "3"),
        ("abs(b) + abs_diff(b, c) + min(a, b) + max(a, b)", "12"),
        ("sqrt(a * a + 1)", "7"),
        ("bits(a, 1, 2)", "3"),
        ("bits(b, 252, 4)", "15"),
        ("int(f) % 256 + int(hash)", "96"),
        ("int(p) + int(q)", "1"),
        ("usd(3_000_000, 0x2222222222222222222222222222222222222222)", "3000000"),
        ("usd(a * 1 eth, native)", "14000000000"),
        ("entity.value_at_risk", "5000000000"),
        ("block.number", "1000"),
        ("arg0", "7"),
    ] {
        assert_eq!(int(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn truths_are_as_they_read() {
    for (text, expected) in [
        ("p and not q", true),
        ("q or p and q", false),
        ("not q and p", true),
        ("not (q or p)", false),
        ("not a == 7", false),
        ("a + 1 > 7 == p or q", true),
        ("who == self and who in entity.accounts", true),
        ("who in entity.assets", false),
        ("a in [1, 7, 9]", true),
        ("a in []", false),
        ("f == 0x8456cb59", true),
        ("f in [0x8456cb59, 0x00000000]", true),
        ("hash == bytes32(7)", true),
        ("address(int(who)) == entity.account", true),
        ("priced(who)", false),
        ("b < 0 and -b > 1 and b <= -2 and b != a", true),
    ] {
        // `a == b == c` does not chain; this one is bracketed for the reader below.
        let text = text.replace("a + 1 > 7 == p", "(a + 1 > 7) == p");
        assert_eq!(truth(&text), Ok(expected), "{text}");
    }
}

#[test]
fn a_fault_is_never_false() {
    let top = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert_eq!(int(&format!("a + {top}")), Err(Fault::Overflow));
    assert_eq!(int(&format!("b - {top}")), Err(Fault::Overflow));
    assert_eq!(int(&format!("a * {top}")), Err(Fault::Overflow));
    assert_eq!(int(&format!("mul_div({top}, a, a)")).as_deref(), Ok(top));
    assert_eq!(int("a / (b + 2)"), Err(Fault::DivisionByZero));
    assert_eq!(int("a % (b + 2)"), Err(Fault::DivisionByZero));
    assert_eq!(int("sqrt(b)"), Err(Fault::NegativeRoot));
    assert_eq!(truth("address(b) == who"), Err(Fault::Range));
    assert_eq!(int("usd(a, who)"), Err(Fault::Unpriced));
    assert_eq!(truth("not (a / (b + 2) > 1)"), Err(Fault::DivisionByZero));
}

#[test]
fn what_is_skipped_does_not_fault() {
    assert_eq!(truth("q and a / (b + 2) > 1"), Ok(false));
    assert_eq!(truth("p or a / (b + 2) > 1"), Ok(true));
    assert_eq!(int("if p then a else a / (b + 2)").as_deref(), Ok("7"));
    assert_eq!(truth("a / (b + 2) > 1 and q"), Err(Fault::DivisionByZero));
}

#[test]
fn a_fault_names_the_part_that_faulted() {
    let module = load("a > 5 and\n a / (b + 2) > 1", &[]).unwrap();
    let trap = holds(&module, &values(7, -2, 3, true, false), &Readings::default()).unwrap_err();
    assert_eq!(module.describe(trap.place), "`a / (b + 2)` in `if`, line 2, column 2");
}

fn word(value: u64) -> Answer {
    Answer::of(U256::from(value))
}

#[test]
fn state_is_read_at_the_block_and_at_its_parent() {
    let lets = [("tvl", "call(self, 'totalAssets()')")];
    let module = load("tvl < 90 % of before(tvl)", &lets).unwrap();
    let asked =
        [StateRead::Call { to: super::VAULT, data: Bytes::from_static(&[1, 0xe1, 0xd1, 0x14]) }];
    assert_eq!(module.reads(), asked);
    let values = values(0, 0, 0, false, false);
    for (before, after, expected) in [(100, 89, true), (100, 90, false), (100, 100, false)] {
        let readings = answers(&module, &[(word(before), word(after))]);
        assert_eq!(holds(&module, &values, &readings), Ok(expected));
    }
}

#[test]
fn an_answer_that_is_not_there_leaves_the_condition_unknown() {
    let module = load("call(self, 'f()(uint8)') > 5", &[]).unwrap();
    let values = values(0, 0, 0, false, false);
    let check = |answer: Answer| {
        let readings = answers(&module, &[(Answer::Unavailable, answer)]);
        holds(&module, &values, &readings).map_err(|it| it.fault)
    };
    assert_eq!(check(word(6)), Ok(true));
    assert_eq!(check(Answer::Unavailable), Err(Fault::Unavailable));
    assert_eq!(check(Answer::Reverted), Err(Fault::Reverted));
    assert_eq!(check(Answer::Bytes(Bytes::new())), Err(Fault::Malformed));
    assert_eq!(check(word(300)), Err(Fault::Malformed));
    let none = holds(&module, &values, &Readings::default()).map_err(|it| it.fault);
    assert_eq!(none, Err(Fault::Unavailable));
}

#[test]
fn a_revert_can_be_asked_for() {
    let module = load("reverted(call(self, 'f()')) or call(self, 'f()') > 5", &[]).unwrap();
    let values = values(0, 0, 0, false, false);
    let check = |answer: Answer| {
        let readings = answers(&module, &[(word(1), answer)]);
        holds(&module, &values, &readings).map_err(|it| it.fault)
    };
    assert_eq!(check(Answer::Reverted), Ok(true));
    assert_eq!(check(word(5)), Ok(false));
    assert_eq!(check(Answer::Unavailable), Err(Fault::Unavailable));
}

#[test]
fn arguments_and_returned_values_follow_the_abi() {
    let text = "call(self, 'f(address,int8,bool,bytes4)(bytes,(uint8,uint8),address)', who2, -1, \
                true, 0x8456cb59)[2] == self";
    let text = text.replace("who2", "entity.account");
    let module = load(&text, &[]).unwrap();
    let [StateRead::Call { data, .. }] = module.reads() else { panic!("one call") };
    assert_eq!(data.len(), 4 + 4 * 32);
    assert_eq!(data[4 + 12..36], super::VAULT[..]);
    assert_eq!(data[36..68], [0xff; 32]);
    assert_eq!(data[100..104], [0x84, 0x56, 0xcb, 0x59]);
    // The address stands after the offset of `bytes` and the two words of the tuple.
    let mut answer = [0_u8; 128];
    answer[96 + 12..].copy_from_slice(super::VAULT.as_slice());
    let answer = Answer::Bytes(Bytes::copy_from_slice(&answer));
    let readings = answers(&module, &[(Answer::Unavailable, answer)]);
    assert_eq!(holds(&module, &values(0, 0, 0, false, false), &readings), Ok(true));
}

#[test]
fn other_state_can_be_read() {
    let text = "balance(self) == 1 and storage(self, 5) == 2 and balance_of(who2, self) == 3 and \
                address(bits(storage(self, 6), 0, 160)) == self and code_hash(self) == bytes32(4)";
    let text = text.replace("who2", "0x2222222222222222222222222222222222222222");
    let module = load(&text, &[]).unwrap();
    assert_eq!(module.reads().len(), 5);
    let packed = Int::from(super::VAULT).magnitude() | (U256::from(9) << 160);
    let answer = |it: Answer| (Answer::Unavailable, it);
    let all = [word(1), word(2), word(3), Answer::of(packed), word(4)].map(answer);
    let readings = answers(&module, &all);
    assert_eq!(holds(&module, &values(0, 0, 0, false, false), &readings), Ok(true));
}

#[test]
fn a_window_covers_the_events_of_its_time_by_key() {
    let module = load("sum(a, 10s) by c >= 10 and count(p, 10s) >= 2", &[]).unwrap();
    let mut machine = module.machine();
    let mut at = |secs: u64, a: i64, c: i64| {
        let values = values(a, 0, c, a > 1, false);
        step(&module, &mut machine, &values, &Readings::default(), secs * 1_000)
    };
    assert_eq!(at(100, 6, 1), Ok(false));
    assert_eq!(at(101, 9, 2), Ok(false));
    assert_eq!(at(102, 4, 1), Ok(true));
    assert_eq!(at(109, 1, 1), Ok(true));
    assert_eq!(at(110, 1, 1), Ok(false));
    assert_eq!(at(130, 10, 1), Ok(false));
}

#[test]
fn windows_see_every_event_whatever_the_condition_skips() {
    let module = load("q and count(10m) == 3", &[]).unwrap();
    let mut machine = module.machine();
    for (q, expected) in [(false, false), (false, false), (true, true)] {
        let values = values(0, 0, 0, false, q);
        let found = step(&module, &mut machine, &values, &Readings::default(), 1_000);
        assert_eq!(found, Ok(expected));
    }
}

#[test]
fn an_event_that_a_window_cannot_take_in_is_reported_even_if_the_condition_skips_it() {
    let module = load("q and sum(a / b, 10m) > 3", &[]).unwrap();
    let mut machine = module.machine();
    let mut missed = Vec::new();
    let values = values(1, 0, 0, false, false);
    module.begin(&mut machine, &Readings::default());
    module.update(&mut machine, &values, 1_000, |trap| missed.push(trap.fault));
    assert_eq!(missed, [Fault::DivisionByZero]);
    assert_eq!(module.holds(&mut machine, &values), Ok(false));
}

#[test]
fn sentences_carry_values_and_say_unknown_for_a_fault() {
    let spec = Spec {
        condition: "p",
        lets: &[("rate".to_owned(), "a * 1e18 / c".to_owned())].into(),
        loss: None,
        summary: "{who} moved {a:1} at {rate:18}, {usd(a * 1 usd, native):usd}, {1000 / b}",
    };
    let module = Module::load(spec, &trigger(), &Entity { this: None, ..super::entity() }).unwrap();
    let values = values(7, 0, 2, true, false);
    let mut machine = module.machine();
    module.begin(&mut machine, &Readings::default());
    let expected = format!(
        "{} moved 0.7 at 3.5, $0.00, unknown (division by zero)",
        Address::repeat_byte(0x11)
    );
    assert_eq!(module.summary(&mut machine, &values), expected);
    assert_eq!(
        module.named(&mut machine, &values),
        [("rate".into(), "3500000000000000000".into())]
    );
}
