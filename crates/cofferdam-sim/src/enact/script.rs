//! What the attacker's contracts do, taken from a recorded trace: at its n-th invocation a contract makes
//! the calls recorded for that invocation and returns the recorded output.
//!
//! **Invariant:** no code of the attacker is involved: scripts are made of recorded calls alone. A call that
//! succeeded in the recording and fails now makes its invocation fail, as an attacker who checks results
//! would: so containment stops a re-enactment.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256};
use cofferdam_core::{
    trace::AttackTrace,
    tx::{CallKind, Frame},
};
use revm::bytecode::{Bytecode, opcode};

use crate::code;

/// The code that an attacker's contract shows to others: one STOP.
pub(crate) const SHOWN_CODE: [u8; 1] = [opcode::STOP];

/// Scripts of all contracts of an attacker.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The attacker's addresses, sender included.
    pub(crate) addresses: Vec<Address>,
    /// The contract that the transactions call.
    pub(crate) root: Address,
    /// What it does in the k-th transaction.
    pub(crate) parts: Vec<Part>,
    pub(crate) invocations: BTreeMap<Address, Vec<Invocation>>,
    /// By creator: the addresses of what it creates, in order.
    pub(crate) creations: BTreeMap<Address, Vec<Address>>,
}

/// One transaction of the attack.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) code: Invocation,
    pub(crate) start: Cursor,
}

/// How far the script is: invocations and creations so far, by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    pub(crate) invoked: BTreeMap<Address, usize>,
    pub(crate) created: BTreeMap<Address, usize>,
}

/// The code of one invocation.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) hash: B256,
    pub(crate) code: Bytecode,
}

impl Script {
    /// The script of `trace`, its root cut before the given calls into several transactions: `[2]` makes
    /// the first two calls of the root in one transaction and the rest in another.
    pub fn of(trace: &AttackTrace, cuts: &[usize]) -> Self {
        let mut script = Self {
            addresses: trace.contracts.iter().copied().chain([trace.eoa]).collect(),
            root: trace.frames.first().map(|it| it.to).unwrap_or_default(),
            ..Self::default()
        };
        let calls: Vec<usize> = trace.children(0).collect();
        let mut edges: Vec<usize> = cuts.iter().map(|it| (*it).min(calls.len())).collect();
        edges.extend([0, calls.len()]);
        edges.sort_unstable();
        edges.dedup();
        if edges.len() < 2 {
            edges.push(calls.len());
        }
        let mut starts = BTreeMap::new();
        for window in edges.windows(2) {
            let [from, to] = *window else { continue };
            let children = calls.get(from..to).unwrap_or_default();
            let code = invocation(trace, trace.frames.first(), children);
            starts.insert(children.first().copied().unwrap_or(1), code);
        }
        script.read(trace, &starts);
        script
    }

    /// Reads off every invocation and where each part starts.
    fn read(&mut self, trace: &AttackTrace, starts: &BTreeMap<usize, Invocation>) {
        let mut cursor = Cursor::default();
        for (index, frame) in trace.frames.iter().enumerate() {
            if let Some(code) = starts.get(&index) {
                let (code, start) = (code.clone(), cursor.clone());
                self.parts.push(Part { code, start });
            }
            if trace.is_attackers(frame) {
                let children: Vec<usize> = trace.children(index).collect();
                let code = invocation(trace, Some(frame), &children);
                self.invocations.entry(frame.to).or_default().push(code);
                *cursor.invoked.entry(frame.to).or_default() += 1;
            }
            if frame.kind == CallKind::Create && trace.contracts.contains(&frame.from) {
                self.creations.entry(frame.from).or_default().push(frame.to);
                *cursor.created.entry(frame.from).or_default() += 1;
            }
        }
        if self.parts.is_empty() {
            // The root calls nobody.
            self.parts
                .extend(starts.values().map(|it| Part { code: it.clone(), start: cursor.clone() }));
        }
    }

    /// How many transactions it takes.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Whether `address` belongs to the attacker.
    pub fn is_attackers(&self, address: Address) -> bool {
        self.addresses.contains(&address)
    }
}

fn invocation(trace: &AttackTrace, frame: Option<&Frame>, children: &[usize]) -> Invocation {
    let (output, ok) = frame.map_or((Bytes::new(), true), |it| (it.output.clone(), it.succeeded));
    let bytes = Assembler::default().script(trace, children, &output, ok);
    let (hash, code) = code::analysed(&bytes);
    Invocation { hash, code }
}

/// Writes code whose constants lie behind it.
#[derive(Default)]
struct Assembler {
    code: Vec<u8>,
    data: Vec<u8>,
    /// Places in `code` that hold an offset into `data`.
    fixups: Vec<usize>,
}

impl Assembler {
    /// Makes the calls `children` and returns `output` (or reverts with it).
    fn script(
        mut self,
        trace: &AttackTrace,
        children: &[usize],
        output: &Bytes,
        ok: bool,
    ) -> Bytes {
        for index in children {
            if let Some(child) = trace.frames.get(*index) {
                self.call(trace, *index, child);
            }
        }
        self.load(output);
        self.number(output.len());
        self.number(0);
        self.code.push(if ok { opcode::RETURN } else { opcode::REVERT });
        self.finish()
    }

    fn call(&mut self, trace: &AttackTrace, index: usize, it: &Frame) {
        if it.kind == CallKind::Create {
            // Its input was not recorded; what it did in its constructor was.
            let children: Vec<usize> = trace.children(index).collect();
            let shown = Bytes::from_static(&SHOWN_CODE);
            let init = Self::default().script(trace, &children, &shown, true);
            self.load(&init);
            self.number(init.len());
            self.number(0);
            self.word(it.value);
            self.code.push(opcode::CREATE);
            return self.check(it.succeeded);
        }
        self.load(&it.input);
        self.number(0);
        self.number(0);
        self.number(it.input.len());
        self.number(0);
        if matches!(it.kind, CallKind::Call | CallKind::CallCode) {
            self.word(it.value);
        }
        self.code.push(opcode::PUSH20);
        self.code.extend_from_slice(it.to.as_slice());
        self.code.push(opcode::GAS);
        match it.kind {
            CallKind::Call => self.code.push(opcode::CALL),
            CallKind::CallCode => self.code.push(opcode::CALLCODE),
            CallKind::DelegateCall => self.code.push(opcode::DELEGATECALL),
            // Recordings hold no self-destructs of the attacker.
            CallKind::StaticCall | CallKind::Create | CallKind::SelfDestruct => {
                self.code.push(opcode::STATICCALL);
            }
        }
        self.check(it.succeeded);
    }

    /// Reverts with the return data if the top of the stack is zero although it must not be.
    fn check(&mut self, must_succeed: bool) {
        if !must_succeed {
            self.code.push(opcode::POP);
            return;
        }
        const FAIL: [u8; 10] = [
            opcode::RETURNDATASIZE,
            opcode::PUSH1,
            0,
            opcode::DUP1,
            opcode::RETURNDATACOPY,
            opcode::RETURNDATASIZE,
            opcode::PUSH1,
            0,
            opcode::REVERT,
            opcode::JUMPDEST,
        ];
        // PUSH4, its operand and JUMPI stand before FAIL, whose last byte is the target.
        self.number(self.code.len() + 6 + FAIL.len() - 1);
        self.code.push(opcode::JUMPI);
        self.code.extend_from_slice(&FAIL);
    }

    /// Copies `bytes` to the start of memory.
    fn load(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.number(bytes.len());
        self.number(self.data.len());
        self.fixups.push(self.code.len() - 4);
        self.number(0);
        self.code.push(opcode::CODECOPY);
        self.data.extend_from_slice(bytes);
    }

    fn number(&mut self, number: usize) {
        self.code.push(opcode::PUSH4);
        self.code.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn word(&mut self, word: U256) {
        self.code.push(opcode::PUSH32);
        self.code.extend_from_slice(&word.to_be_bytes::<32>());
    }

    fn finish(mut self) -> Bytes {
        let base = self.code.len();
        for at in self.fixups {
            if let Some(place) = self.code.get_mut(at..)
                && let Some(place) = place.first_chunk_mut::<4>()
            {
                let offset = u32::from_be_bytes(*place) as usize + base;
                *place = u32::try_from(offset).unwrap_or(u32::MAX).to_be_bytes();
            }
        }
        self.code.extend_from_slice(&self.data);
        self.code.into()
    }
}
