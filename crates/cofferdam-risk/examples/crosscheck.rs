//! Random options with our prices, Greeks and implied volatilities, one a line, for comparison with other libraries
//! (`cargo xtask crosscheck risk`). The argument is how many.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use cofferdam_risk::numeric::random::Philox;
use cofferdam_risk::pricing::{BlackInput, IvQuote, OptionKind, implied_vol, price_report};

fn main() -> Result<(), cofferdam_risk::RiskError> {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let rng = Philox::new(20_261_125);
    println!("kind,forward,strike,years,vol,rate,value,delta,gamma,vega,theta,undiscounted,iv");
    for i in 0..count {
        let u = |k| rng.uniform(i, k);
        let years = libm::exp(-6.0 + 7.0 * u(0));
        let vol = 0.05 + 2.0 * u(1);
        let forward = libm::exp(11.0 * u(2));
        // Within four deviations of the forward.
        let strike = forward * libm::exp((8.0 * u(3) - 4.0) * vol * libm::sqrt(years));
        let rate = 0.1 * u(4) - 0.02;
        let kind = if u(5) < 0.5 { OptionKind::Call } else { OptionKind::Put };
        let input = BlackInput { forward, strike, years, vol, rate, kind };
        let r = price_report(&input)?;
        let undiscounted = BlackInput { rate: 0.0, ..input };
        let price = price_report(&undiscounted)?.price.value;
        let quote = IvQuote { forward, strike, years, price, half_tick: 0.0, kind };
        let iv = implied_vol(&quote).mid.map_or_else(String::new, |v| format!("{v:e}"));
        let side = if kind == OptionKind::Call { "c" } else { "p" };
        let g = r.usd;
        println!(
            "{side},{forward:e},{strike:e},{years:e},{vol:e},{rate:e},{:e},{:e},{:e},{:e},{:e},{price:e},{iv}",
            r.price.value, g.delta, g.gamma, g.vega, g.theta
        );
    }
    Ok(())
}
