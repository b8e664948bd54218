//! Builds the call tree while a transaction runs.
//!
//! **Invariant:** frames are in call order, a parent before its children; reaching a cap drops the
//! rest and says so, it never stops the execution.

use alloy_primitives::{Address, Bytes, U256};
use cofferdam_core::tx::{CallKind, Frame, StaleWrite};
use revm::{
    Inspector,
    context_interface::{ContextTr, JournalTr},
    interpreter::{
        CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, Interpreter,
        interpreter_types::{InterpreterTypes, Jumps, StackTr},
    },
};

use crate::{stale::Stale, surroundings::Surroundings};

/// Frames kept of one transaction. A call costs at least 100 gas, so that no transaction within the
/// 2^24 gas of EIP-7825 reaches this; of an older one only a crafted transaction.
pub const TRACE_FRAMES_MAX: usize = 1 << 18;
/// Depth of frames kept; the EVM itself stops at 1,024 below the root.
pub const TRACE_DEPTH_MAX: usize = 1_025;
/// Bytes of inputs and outputs kept of one transaction. The same megabyte can be passed for 100 gas
/// again and again, so gas alone is no bound.
pub const TRACE_BYTES_MAX: usize = 64 << 20;
/// Bytes that an input or output keeps once [`TRACE_BYTES_MAX`] is reached: the selector and a few words.
const CUT_BYTES: usize = 4 + 4 * 32;

/// The inspector.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    frames: Vec<Frame>,
    /// Indices of the open frames; `None` for one that a cap dropped.
    open: Vec<Option<usize>>,
    bytes: usize,
    truncated: bool,
    asked: Surroundings,
    stale: Stale,
}

/// The call tree of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) frames: Vec<Frame>,
    /// A cap was reached: the tree is not the whole tree.
    pub(crate) truncated: bool,
    /// What the code asked about its surroundings, in all frames.
    pub(crate) asked: Surroundings,
    /// Writes after a re-entry.
    pub(crate) stale: Vec<StaleWrite>,
}

impl Tracer {
    /// The finished tree; the tracer is ready for the next transaction.
    pub(crate) fn take(&mut self) -> Trace {
        let mut it = std::mem::take(self);
        let stale = it.stale.take();
        let mut trace =
            Trace { frames: it.frames, truncated: it.truncated, asked: it.asked, stale };
        for index in 0..trace.frames.len() {
            let parent = trace.frames.get(index).and_then(|it| it.parent);
            let parent = parent.and_then(|it| trace.frames.get(it as usize));
            let above = parent.is_some_and(|it| it.undone);
            if let Some(frame) = trace.frames.get_mut(index) {
                frame.undone = above || !frame.succeeded;
            }
        }
        trace
    }

    /// Whether no frame is open: the next one is a root.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    fn cut(&mut self, length: usize) -> usize {
        let keep = if self.bytes.saturating_add(length) > TRACE_BYTES_MAX && length > CUT_BYTES {
            self.truncated = true;
            CUT_BYTES
        } else {
            length
        };
        self.bytes = self.bytes.saturating_add(keep);
        keep
    }

    fn keep(&mut self, bytes: &Bytes) -> Bytes {
        let keep = self.cut(bytes.len());
        if keep == bytes.len() { bytes.clone() } else { Bytes::copy_from_slice(&bytes[..keep]) }
    }

    /// Notes an instruction that is about to run.
    #[inline]
    pub(crate) fn note(&mut self, opcode: u8, top: impl FnOnce() -> Option<U256>) {
        self.asked.note(opcode);
        self.stale.note(opcode, top);
    }

    fn push(&mut self, kind: CallKind, from: Address, to: Address, value: U256, input: Bytes) {
        let dropped = self.frames.len() >= TRACE_FRAMES_MAX || self.open.len() >= TRACE_DEPTH_MAX;
        let storage =
            if matches!(kind, CallKind::DelegateCall | CallKind::CallCode) { from } else { to };
        self.stale.push(storage, (!dropped).then_some(self.frames.len()));
        if dropped {
            self.truncated = true;
            self.open.push(None);
            return;
        }
        let parent = self.open.last().copied().flatten();
        self.frames.push(Frame {
            parent: parent.and_then(|it| u32::try_from(it).ok()),
            depth: u16::try_from(self.open.len()).unwrap_or(u16::MAX),
            kind,
            from,
            to,
            value,
            input,
            output: Bytes::new(),
            succeeded: true,
            undone: false,
        });
        self.open.push(Some(self.frames.len() - 1));
    }

    fn pop(&mut self, succeeded: bool, output: &Bytes, created: Option<Address>) {
        self.stale.pop();
        let Some(Some(index)) = self.open.pop() else { return };
        let output = self.keep(output);
        if let Some(frame) = self.frames.get_mut(index) {
            (frame.succeeded, frame.output) = (succeeded, output);
            if let Some(created) = created {
                frame.to = created;
            }
        }
    }
}

impl<C: ContextTr, I: InterpreterTypes> Inspector<C, I> for Tracer {
    #[inline]
    fn step(&mut self, interp: &mut Interpreter<I>, _: &mut C) {
        let (opcode, stack) = (interp.bytecode.opcode(), &interp.stack);
        self.note(opcode, || stack.data().last().copied());
    }

    fn call(&mut self, context: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let keep = self.cut(inputs.input.len());
        let input =
            Bytes::copy_from_slice(inputs.input.as_bytes(context).get(..keep).unwrap_or_default());
        let (target, code) = (inputs.target_address, inputs.bytecode_address);
        let value = inputs.value.get();
        match inputs.scheme {
            CallScheme::Call => self.push(CallKind::Call, inputs.caller, target, value, input),
            CallScheme::StaticCall => {
                self.push(CallKind::StaticCall, inputs.caller, target, U256::ZERO, input);
            }
            // The apparent value does not move.
            CallScheme::DelegateCall => {
                self.push(CallKind::DelegateCall, target, code, U256::ZERO, input);
            }
            CallScheme::CallCode => self.push(CallKind::CallCode, target, code, value, input),
        }
        None
    }

    fn call_end(&mut self, _: &mut C, _: &CallInputs, outcome: &mut CallOutcome) {
        self.pop(outcome.result.result.is_ok(), &outcome.result.output, None);
    }

    fn create(&mut self, context: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        // The nonce is not raised yet. A failed read fails the creation itself right after.
        let nonce = context.journal_mut().load_account(inputs.caller());
        let nonce = nonce.map(|it| it.data.info.nonce).unwrap_or_default();
        let created = inputs.created_address(nonce);
        let input = self.keep(inputs.init_code());
        self.push(CallKind::Create, inputs.caller(), created, inputs.value(), input);
        None
    }

    fn create_end(&mut self, _: &mut C, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.pop(outcome.result.result.is_ok(), &outcome.result.output, outcome.address);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.push(CallKind::SelfDestruct, contract, target, value, Bytes::new());
        self.stale.pop();
        self.open.pop();
    }
}
