//! Any text as a pool's book: read, judged and valued, or refused with a typed error.
#![no_main]

use cofferdam_risk::book::{PoolBook, QualityRules, exposure_report};
use cofferdam_risk::scenario::GridConfig;
use cofferdam_risk::scenario::grid::Book;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(book) = serde_json::from_slice::<PoolBook>(data) else { return };
    let Ok(compiled) = book.compile(&QualityRules::default()) else { return };
    let _ = exposure_report(&compiled);
    if let Ok(book) = Book::new(&compiled.legs, &compiled.accounts, compiled.spot, compiled.fund) {
        let _ = book.grid(&GridConfig::default(), &[0.0, 1e-3]);
    }
});
