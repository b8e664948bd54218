//! Asking several endpoints for the same thing, the next one before the last one has failed.
//!
//! **Invariant:** one endpoint is asked as long as it answers in its usual time; a further one costs
//! a request only if the ones before it failed, have nothing, or are slow.

use std::{sync::Arc, time::Duration};

use cofferdam_core::ports::Boxed;
use futures_util::{StreamExt as _, future::join, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{
    endpoint::Endpoint,
    fault::{FaultKind, RpcFault},
};

/// An endpoint may take this many times its mean before the next one is asked.
const SLOW_FACTOR: u32 = 4;
/// The next endpoint is asked after this long at the earliest.
const HEDGE_MIN: Duration = Duration::from_millis(200);
/// The next endpoint is asked after this long at the latest.
const HEDGE_MAX: Duration = Duration::from_millis(800);

/// Asks `endpoints` in order until `judge` accepts an answer. Returns the one that was accepted.
///
/// An endpoint that was overtaken counts as failed, for it made us wait.
pub(crate) async fn race<'a, T, R>(
    endpoints: Vec<Arc<Endpoint>>,
    method: &'static str,
    ask: impl Fn(Arc<Endpoint>) -> Boxed<'a, T>,
    mut judge: impl FnMut(Arc<Endpoint>, T) -> Option<R>,
) -> Option<R> {
    let mut waiting = endpoints.into_iter();
    let mut running = FuturesUnordered::new();
    let mut asked: Vec<(Arc<Endpoint>, Instant, Duration)> = Vec::new();
    let mut wants_next = true;
    loop {
        if std::mem::take(&mut wants_next)
            && let Some(endpoint) = waiting.next()
        {
            let hedge = hedge(&endpoint);
            asked.push((Arc::clone(&endpoint), Instant::now(), hedge));
            let answer = ask(Arc::clone(&endpoint));
            running.push(join(std::future::ready(endpoint), answer));
        }
        let more = waiting.len() > 0;
        let slow_at = asked.last().map_or_else(Instant::now, |it| it.1 + it.2);
        tokio::select! {
            biased;
            Some((endpoint, answer)) = running.next() => {
                asked.retain(|it| it.0.label() != endpoint.label());
                if let Some(accepted) = judge(endpoint, answer) {
                    overtaken(&asked, method);
                    return Some(accepted);
                }
                wants_next = true;
            }
            () = sleep_until(slow_at), if more => wants_next = true,
            else => return None,
        }
        if running.is_empty() && waiting.len() == 0 {
            return None;
        }
    }
}

/// How long `endpoint` may take before the next one is asked too.
fn hedge(endpoint: &Endpoint) -> Duration {
    let usual = endpoint.with_health(|it| it.latency()).unwrap_or_default();
    usual.saturating_mul(SLOW_FACTOR).clamp(HEDGE_MIN, HEDGE_MAX)
}

fn overtaken(asked: &[(Arc<Endpoint>, Instant, Duration)], method: &'static str) {
    for (endpoint, began, hedge) in asked {
        let took = began.elapsed();
        if took >= *hedge {
            let limit_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let kind = FaultKind::TimedOut { limit_ms };
            let fault: RpcFault = endpoint.fault(method, kind);
            endpoint.note_fault(&fault);
        }
    }
}
