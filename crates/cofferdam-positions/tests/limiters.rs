//! Our integer models against the Solidity they model, step by step in the EVM, equal to the wei: our circuit breaker
//! and OpenZeppelin's `RateLimiter`. `COFFERDAM_SEQUENCES` sets how many random sequences run (default 60).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed test should panic; a count is printed"
)]

mod chain;

use alloy_primitives::{Address, U256};
use chain::{OWNER, World, artifact, compile, creation, word};
use cofferdam_risk::limiters::{Breaker, BreakerParams, RefillingBucket, SlidingWindow};
use cofferdam_risk::numeric::random::Philox;

/// Steps of one sequence.
const STEPS: u64 = 12;
/// Sequences on one chain before a fresh one.
const PER_CHAIN: u64 = 20;

fn sequences() -> u64 {
    std::env::var("COFFERDAM_SEQUENCES").ok().and_then(|n| n.parse().ok()).unwrap_or(60)
}

/// Random draws of one sequence.
struct Dice {
    rng: Philox,
    stream: u64,
    drawn: u64,
}

impl Dice {
    fn new(stream: u64, key: u64) -> Self {
        Self { rng: Philox::new(key), stream, drawn: 0 }
    }

    fn uniform(&mut self) -> f64 {
        self.drawn += 1;
        self.rng.uniform(self.stream, self.drawn)
    }

    fn below(&mut self, n: u64) -> u64 {
        ((self.uniform() * n as f64) as u64).min(n - 1)
    }

    /// Amounts over many orders of magnitude, with the edges often.
    fn amount(&mut self, scale: u128) -> u128 {
        match self.below(8) {
            0 => 0,
            1 => scale,
            2 => scale / 2 + 1,
            3 => u128::from(self.below(1_000)),
            _ => (scale as f64 * 1.3 * self.uniform() * self.uniform()) as u128,
        }
    }

    /// Mostly short waits, sometimes longer than a window.
    fn wait(&mut self, window: u64) -> u64 {
        match self.below(5) {
            0 => 1,
            1 => 1 + self.below(2 * window),
            2 => window,
            _ => 1 + self.below((window / 6).max(2)),
        }
    }
}

const NATIVE: Address = Address::with_last_byte(1);
const POOL: Address = Address::repeat_byte(0xbb);

/// The chain answers for a later second than the call's; the model is asked for the same one.
fn agree(world: &World, breaker: Address, model: &Breaker, step: u64) {
    let now = world.now();
    let available = world.call(breaker, "available(address)", &[word(NATIVE)])[0];
    let triggered = world.call(breaker, "isRateLimitTriggered(address)", &[word(NATIVE)])[0];
    let capacity = world.call(breaker, "capacity(address)", &[word(NATIVE)])[0];
    assert_eq!(U256::from(model.capacity()), capacity, "step {step}");
    assert_eq!(U256::from(model.state(now).unwrap().1), available, "step {step}");
    assert_eq!(model.is_triggered(), triggered == U256::from(1), "step {step}");
}

fn breaker_sequence(world: &World, code: &[u8], dice: &mut Dice) {
    let breaker =
        world.deploy(code, &[word(OWNER), word(OWNER), U256::from(3_600), U256::from(86_400)]);
    let digits = 12 + dice.below(18) as u32;
    let tvl = 1_000 + dice.amount(10_u128.pow(digits));
    let mut held = tvl;
    world.chain.set_balance(POOL, U256::from(held)).unwrap();
    world.call(
        breaker,
        "addProtectedContracts(address[])",
        &[U256::from(32), U256::from(1), word(POOL)],
    );
    let draw = |dice: &mut Dice| BreakerParams {
        bps: 1 + dice.below(10_000) as u16,
        min_amount: dice.amount(tvl / 10),
        window: 60 + dice.below(86_400),
    };
    let mut params = draw(dice);
    let words = |p: &BreakerParams| {
        [word(NATIVE), U256::from(p.bps), U256::from(p.min_amount), U256::from(p.window)]
    };
    let mut arguments = words(&params).to_vec();
    arguments.push(U256::from(tvl));
    world.call(breaker, "registerAsset(address,uint256,uint256,uint48,uint256)", &arguments);
    let mut model = Breaker::register(params, tvl, world.now()).unwrap();
    for step in 0..STEPS {
        world.wait(dice.wait(params.window));
        let now = world.now();
        match dice.below(10) {
            0..=5 => {
                let amount = dice.amount(model.capacity()).min(held);
                held -= amount;
                let arguments = [word(Address::repeat_byte(0xcc)), U256::ZERO];
                world
                    .send(POOL, breaker, amount, "onNativeAssetOutflow(address,bool)", &arguments)
                    .unwrap();
                model.outflow(amount, held, now).unwrap();
            }
            6 | 7 => {
                let amount = dice.amount(model.capacity());
                held = held.saturating_add(amount);
                world.chain.set_balance(POOL, U256::from(held)).unwrap();
                world
                    .send(POOL, breaker, 0, "onNativeAssetInflow(uint256)", &[U256::from(amount)])
                    .unwrap();
                model.inflow(amount, now).unwrap();
            }
            8 => {
                params = draw(dice);
                world.call(
                    breaker,
                    "updateAssetParams(address,uint256,uint256,uint48)",
                    &words(&params),
                );
                model.set_params(params, now).unwrap();
            }
            _ => {
                let tvl = 1 + dice.amount(tvl);
                world.call(breaker, "reseed(address,uint256)", &[word(NATIVE), U256::from(tvl)]);
                model.reseed(tvl, now).unwrap();
            }
        }
        agree(world, breaker, &model, step);
    }
}

#[test]
fn our_breaker_and_its_model_agree_to_the_wei() {
    let Some(it) = artifact("abi/WithdrawalCircuitBreaker.json") else { return };
    let code = creation(&it);
    let mut world = World::new();
    for i in 0..sequences() {
        if i % PER_CHAIN == 0 {
            world = World::new();
        }
        breaker_sequence(&world, &code, &mut Dice::new(i, 1));
    }
    println!("{} sequences of {STEPS} steps agree", sequences());
}

fn limiter_sequence(world: &World, harness: Address, key: U256, dice: &mut Dice) {
    let scale = 10_u128.pow(6 + dice.below(24) as u32);
    let (mut bucket, mut sliding) = (RefillingBucket::default(), SlidingWindow::default());
    let mut window = 30 + dice.below(7_200);
    let mut set =
        |world: &World, dice: &mut Dice, b: &mut RefillingBucket, s: &mut SlidingWindow| {
            window = if dice.below(12) == 0 { 0 } else { 30 + dice.below(7_200) };
            let capacity = dice.amount(scale);
            let arguments = [U256::from(window), U256::from(capacity)];
            world.call(harness, "bucketSettings(uint48,uint208)", &arguments);
            world.call(harness, "windowSettings(uint48,uint208)", &arguments);
            b.update_settings(window, capacity);
            s.update_settings(window, capacity);
            window.max(1)
        };
    let mut span = set(world, dice, &mut bucket, &mut sliding);
    for step in 0..STEPS {
        // Several calls may share a second.
        if dice.below(4) > 0 {
            world.wait(dice.wait(span));
        }
        let now = world.now();
        match dice.below(12) {
            0 => span = set(world, dice, &mut bucket, &mut sliding),
            1 => {
                world.call(harness, "bucketSync(bytes32)", &[key]);
                bucket.sync(now).unwrap();
            }
            2 => {
                world.call(harness, "bucketReset(bytes32)", &[key]);
                world.call(harness, "windowReset(bytes32)", &[key]);
                bucket.reset();
                sliding.reset();
            }
            _ => {
                let quantity = dice.amount(scale);
                let arguments = [key, U256::from(quantity)];
                let got = world.call(harness, "bucketConsume(bytes32,uint256)", &arguments);
                let fits = bucket.try_consume(quantity, now).unwrap();
                let (used, available) = bucket.state(now).unwrap();
                let want = [U256::from(u8::from(fits)), U256::from(used), U256::from(available)];
                assert_eq!(got, want, "bucket, step {step}");
                let got = world.call(harness, "windowConsume(bytes32,uint256)", &arguments);
                let fits = sliding.try_consume(quantity, now).unwrap();
                let (used, available) = sliding.state(now);
                let want = [U256::from(u8::from(fits)), U256::from(used), U256::from(available)];
                assert_eq!(got, want, "window, step {step}");
            }
        }
    }
}

#[test]
fn openzeppelins_limiters_and_their_models_agree_to_the_wei() {
    let Some(code) = compile("RateLimiterHarness") else { return };
    let mut world = World::new();
    let mut harness = Address::ZERO;
    for i in 0..sequences() {
        if i % PER_CHAIN == 0 {
            world = World::new();
            harness = world.deploy(&code, &[]);
        }
        limiter_sequence(&world, harness, U256::from(i + 1), &mut Dice::new(i, 2));
    }
    println!("{} sequences of {STEPS} steps agree", sequences());
}
