//! Calls into a protocol from within an open call to the same protocol.

use alloy_primitives::Address;
use cofferdam_core::{
    Tx,
    tx::{CallKind, Frame},
};

/// The calls of `tx` to accounts that `owns` accepts, below an open state-changing call to such an account,
/// with code of `cluster` in between. Empty if the call tree is no evidence.
pub(crate) fn reentries<'a>(
    tx: &'a Tx,
    owns: &dyn Fn(Address) -> bool,
    cluster: &[Address],
) -> Vec<&'a Frame> {
    if !tx.tracing.is_evidence() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut open: Vec<&Frame> = Vec::new();
    for frame in &tx.frames {
        open.truncate(usize::from(frame.depth));
        let calls = matches!(frame.kind, CallKind::Call | CallKind::StaticCall);
        if calls && !frame.undone && owns(frame.to) && !owns(frame.from) {
            let entered = open.iter().any(|it| is_entry(it, owns));
            let mut between = open.iter().rev().take_while(|it| !is_entry(it, owns));
            let through = between.any(|it| cluster.contains(&it.to));
            if through && entered {
                found.push(frame);
            }
        }
        open.push(frame);
    }
    found
}

fn is_entry(frame: &Frame, owns: &dyn Fn(Address) -> bool) -> bool {
    frame.kind == CallKind::Call && owns(frame.to)
}
