//! The bus's contract.

use std::sync::Arc;

use alloy_primitives::Bytes;
use cofferdam_core::ports::{Boxed, Bus, BusError, Subscription};

use super::{Outcome, holds, same, told};

type Shared = Arc<dyn Bus>;
type Case = fn(Shared) -> Boxed<'static, Outcome>;

/// Every case with its name and the queue its bus has.
pub(super) const CASES: &[(&str, usize, Case)] = &[
    ("messages come in order", 64, |it| Box::pin(order(it))),
    ("every subscriber gets every message", 64, |it| Box::pin(fan_out(it))),
    ("subjects are apart", 64, |it| Box::pin(subjects(it))),
    ("a message before the subscription is not delivered", 64, |it| Box::pin(no_history(it))),
    ("nobody needs to listen", 64, |it| Box::pin(no_listener(it))),
    ("a slow subscriber is told what it lost and slows nobody", 8, |it| Box::pin(lag(it))),
    ("a waiting subscriber is woken", 64, |it| Box::pin(woken(it))),
    ("a dropped wait loses nothing", 64, |it| Box::pin(cancelled(it))),
    ("a wrong subject is refused", 64, |it| Box::pin(wrong_subject(it))),
    ("a message beyond the limit is refused", 64, |it| Box::pin(too_large(it))),
];

const SUBJECT: &str = "findings.eip155-1";

async fn publish(bus: &Shared, subject: &str, number: u64) -> Outcome {
    bus.publish(subject, message(number)).await.map_err(told)
}

async fn subscribe(bus: &Shared, subject: &str) -> Result<Box<dyn Subscription>, String> {
    bus.subscribe(subject).await.map_err(told)
}

async fn expect(subscription: &mut Box<dyn Subscription>, number: u64) -> Outcome {
    same("message", &subscription.next().await.map_err(told)?, &message(number))
}

fn message(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

async fn order(bus: Shared) -> Outcome {
    let mut subscription = subscribe(&bus, SUBJECT).await?;
    for number in 0..50 {
        publish(&bus, SUBJECT, number).await?;
    }
    for number in 0..50 {
        expect(&mut subscription, number).await?;
    }
    Ok(())
}

async fn fan_out(bus: Shared) -> Outcome {
    let mut first = subscribe(&bus, SUBJECT).await?;
    let mut second = subscribe(&bus, SUBJECT).await?;
    publish(&bus, SUBJECT, 1).await?;
    drop(subscribe(&bus, SUBJECT).await?);
    publish(&bus, SUBJECT, 2).await?;
    for subscription in [&mut first, &mut second] {
        expect(subscription, 1).await?;
        expect(subscription, 2).await?;
    }
    Ok(())
}

async fn subjects(bus: Shared) -> Outcome {
    let mut here = subscribe(&bus, "a.b").await?;
    let mut there = subscribe(&bus, "a.c").await?;
    publish(&bus, "a.c", 1).await?;
    publish(&bus, "a", 2).await?;
    publish(&bus, "a.b", 3).await?;
    publish(&bus, "a.c", 4).await?;
    expect(&mut here, 3).await?;
    expect(&mut there, 1).await?;
    expect(&mut there, 4).await
}

async fn no_history(bus: Shared) -> Outcome {
    let _earlier = subscribe(&bus, SUBJECT).await?;
    publish(&bus, SUBJECT, 1).await?;
    let mut subscription = subscribe(&bus, SUBJECT).await?;
    publish(&bus, SUBJECT, 2).await?;
    expect(&mut subscription, 2).await
}

async fn no_listener(bus: Shared) -> Outcome {
    publish(&bus, SUBJECT, 1).await?;
    drop(subscribe(&bus, SUBJECT).await?);
    publish(&bus, SUBJECT, 2).await
}

async fn lag(bus: Shared) -> Outcome {
    let mut slow = subscribe(&bus, SUBJECT).await?;
    let mut quick = subscribe(&bus, SUBJECT).await?;
    for number in 0..100 {
        publish(&bus, SUBJECT, number).await?;
        expect(&mut quick, number).await?;
    }
    let lost = match slow.next().await {
        Err(BusError::Lagged { count }) => count,
        other => return Err(format!("a lagging subscriber got {other:?}")),
    };
    holds("it lost some and not all", (1..100).contains(&lost))?;
    for number in lost..100 {
        expect(&mut slow, number).await?;
    }
    publish(&bus, SUBJECT, 100).await?;
    expect(&mut slow, 100).await
}

async fn woken(bus: Shared) -> Outcome {
    let mut subscription = subscribe(&bus, SUBJECT).await?;
    let waiting = tokio::spawn(async move { expect(&mut subscription, 7).await });
    tokio::task::yield_now().await;
    publish(&bus, SUBJECT, 7).await?;
    waiting.await.map_err(told)?
}

async fn cancelled(bus: Shared) -> Outcome {
    let mut subscription = subscribe(&bus, SUBJECT).await?;
    let mut next = subscription.next();
    std::future::poll_fn(|context| {
        let _ = next.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
    drop(next);
    publish(&bus, SUBJECT, 1).await?;
    expect(&mut subscription, 1).await
}

async fn wrong_subject(bus: Shared) -> Outcome {
    for subject in ["", ".", "a..b", "a.*", ">", "a b", "a\n", "é", &"a".repeat(256)] {
        let refused = bus.publish(subject, Bytes::new()).await.is_err();
        holds(&format!("publishing on {subject:?} is refused"), refused)?;
        let refused = bus.subscribe(subject).await.is_err();
        holds(&format!("subscribing to {subject:?} is refused"), refused)?;
    }
    Ok(())
}

async fn too_large(bus: Shared) -> Outcome {
    let mut subscription = subscribe(&bus, SUBJECT).await?;
    let most = Bytes::from(vec![7u8; crate::bus::MESSAGE_BYTES_MAX]);
    let more = Bytes::from(vec![7u8; crate::bus::MESSAGE_BYTES_MAX + 1]);
    holds("the largest is taken", bus.publish(SUBJECT, most.clone()).await.is_ok())?;
    holds("a larger one is refused", bus.publish(SUBJECT, more).await.is_err())?;
    same("message", &subscription.next().await.map_err(told)?, &most)
}
