//! Any six numbers: prices, Greeks and implied volatilities are finite and within their bounds, or refused.
#![no_main]

use cofferdam_risk::pricing::{
    BatchBook, BatchExpiry, BatchGreeks, BatchOption, BlackInput, IvQuote, IvStatus, OptionKind,
    black_price, implied_vol, price_report,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: ([u64; 6], bool)| {
    let [forward, strike, years, vol, rate, price] = data.0.map(f64::from_bits);
    let kind = if data.1 { OptionKind::Call } else { OptionKind::Put };
    let input = BlackInput { forward, strike, years, vol, rate, kind };
    let priced = black_price(&input);
    if let Ok(it) = &priced {
        assert!(
            it.value.is_finite() && it.value >= 0.0 && it.time_value >= 0.0,
            "{input:?} {it:?}"
        );
    }
    if price_report(&input).is_ok() {
        assert!(priced.is_ok(), "{input:?}");
    }
    let quote = IvQuote { forward, strike, years, price, half_tick: 0.0, kind };
    let iv = implied_vol(&quote);
    assert_eq!(iv.mid.is_some(), iv.status == IvStatus::Ok, "{quote:?} {iv:?}");
    assert!(iv.mid.is_none_or(|it| it.is_finite() && it > 0.0), "{quote:?} {iv:?}");
    batch(&input);
});

/// A batch of one answers as the kernel, or refuses.
fn batch(input: &BlackInput) {
    let Ok(expiry) = BatchExpiry::new(input.forward, input.years) else { return };
    let Ok(option) = BatchOption::new(input.kind, input.strike, input.vol, 0) else { return };
    let Ok(book) = BatchBook::new(vec![expiry], &[option]) else { return };
    let mut out = [BatchGreeks::default()];
    if book.price(&mut out).is_ok() {
        assert!(out[0].value.is_finite() && out[0].value >= 0.0, "{input:?} {out:?}");
    }
}
