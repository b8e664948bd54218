//! The rows of the batch kernel.

use cofferdam_risk::pricing::{
    BatchBook, BatchExpiry, BatchGreeks, BatchOption, BlackInput, Block, price_report,
};

use super::{EXPIRIES, Timer};

/// The batch kernel over every position, and its worst error against the scalar one; returns the seconds of one pass.
pub(crate) fn batch(t: &mut Timer, all: &[BlackInput]) -> f64 {
    let book = book_of(all);
    let per = |seconds: f64| seconds / all.len() as f64;
    // Summed and not kept, as the peers do and as an exposure does.
    let whole = Timer::best(25, || {
        let mut sums = [[0.0; Block::WIDTH]; 6];
        book.each_block(|places, block| {
            for (sum, column) in sums.iter_mut().zip(block.columns()) {
                // A full block has a length that the compiler knows.
                match <&[f64; Block::WIDTH]>::try_from(&column[..places.len()]) {
                    Ok(whole) => sum.iter_mut().zip(whole).for_each(|(s, c)| *s += c),
                    Err(_) => {
                        sum.iter_mut().zip(&column[..places.len()]).for_each(|(s, c)| *s += c)
                    }
                }
            }
        })
        .unwrap();
        sums
    });
    t.row("batch: Black price and five Greeks, per option of a million", per(whole), "ns", 60.0);
    let values = Timer::best(9, || {
        let mut sum = 0.0;
        book.each_value(|_, v| sum += v.iter().sum::<f64>()).unwrap();
        sum
    });
    t.row("batch: Black price alone", per(values), "ns", 60.0);
    let all_greeks = Timer::best(9, || {
        let mut sum = 0.0;
        book.each_full_block(|places, b, h| {
            for column in b.columns().into_iter().chain(h.columns()) {
                sum += column[..places.len()].iter().sum::<f64>();
            }
        })
        .unwrap();
        sum
    });
    t.row("batch: price and all ten Greeks", per(all_greeks), "ns", 150.0);
    let mut out = vec![BatchGreeks::default(); all.len()];
    let kept = Timer::best(5, || book.price(&mut out).unwrap());
    t.row("batch: price and five Greeks kept in the order given", per(kept), "ns", 60.0);
    let raw = Timer::best(3, || book_of(all));
    println!(
        "{:58} {:>10.2} ns",
        "batch: laying out the book, once per list of instruments",
        per(raw) * 1e9
    );
    accuracy(all, &out);
    whole
}

/// Everything an exchange lists, laid out.
fn book_of(all: &[BlackInput]) -> BatchBook {
    let options: Vec<BatchOption> = all
        .iter()
        .map(|i| {
            let expiry = ((i.years - 0.02) / 0.08).round() as u32;
            BatchOption::new(i.kind, i.strike, i.vol, expiry).unwrap()
        })
        .collect();
    BatchBook::new(some_expiries(), &options).unwrap()
}

fn some_expiries() -> Vec<BatchExpiry> {
    (0..EXPIRIES)
        .map(|e| {
            BatchExpiry::new(60_000.0 * (1.0 + 0.001 * f64::from(e)), 0.02 + 0.08 * f64::from(e))
                .unwrap()
        })
        .collect()
}

fn accuracy(all: &[BlackInput], out: &[BatchGreeks]) {
    // Against the scalar kernel, on every option that has a value worth comparing.
    let mut worst = 0.0_f64;
    for (i, g) in all.iter().zip(out).step_by(97) {
        let want = price_report(i).unwrap();
        for (a, b, floor) in [
            (g.value, want.price.value, 1e-3 * i.forward),
            (g.delta, want.usd.delta, 1e-3),
            (g.gamma, want.usd.gamma, 1e-3 / i.forward),
            (g.vega, want.usd.vega, 1e-3 * i.forward),
            (g.theta, want.usd.theta, 1e-3 * i.forward),
            (g.dual_delta, want.usd.dual_delta, 1e-3),
        ] {
            worst = worst.max((a - b).abs() / b.abs().max(floor));
        }
    }
    println!(
        "{:58} {worst:>10.1e}    target    1e-12 {}",
        "batch: worst error against the scalar kernel",
        if worst <= 1e-12 { "met" } else { "MISSED" }
    );
}
