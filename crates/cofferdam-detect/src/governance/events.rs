//! What governors, timelocks and vote tokens say in their logs.
//!
//! **Invariant:** a log that is not of the shape its signature promises is no event; lengths and offsets in
//! it are checked, whoever wrote them.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use cofferdam_core::read::{REHEARSED_CALLS_MAX, RehearsedCall};

/// Something that a governance contract said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Calls were put to the vote.
    Proposed { id: B256, proposer: Address, calls: Vec<RehearsedCall> },
    /// A call waits for its time; `index` counts within a batch.
    Scheduled { id: B256, call: RehearsedCall, delay: u64 },
    /// As `Scheduled`, with the time itself.
    QueuedAt { id: B256, call: RehearsedCall, eta: u64 },
    /// A proposal may be executed from `eta` on.
    Queued { id: B256, eta: u64 },
    /// Somebody voted.
    Voted { id: B256, voter: Address, weight: U256 },
    /// It was done.
    Executed { id: B256 },
    /// It will not be done.
    Cancelled { id: B256 },
    /// The least delay changed.
    Delay { before: u64, after: u64 },
    /// Votes of a delegate changed.
    Votes { delegate: Address, before: U256, after: U256 },
}

type Reader = fn(&Log) -> Option<Event>;

/// The events of OpenZeppelin Governor, Compound Governor Bravo, OpenZeppelin TimelockController, Compound
/// Timelock, Aave's governance and its executors, and ERC20Votes, with their readers.
const EVENTS: [(&str, Reader); 17] = [
    (
        "ProposalCreated(uint256,address,address[],uint256[],string[],bytes[],uint256,uint256,string)",
        proposed,
    ),
    ("CallScheduled(bytes32,uint256,address,uint256,bytes,bytes32,uint256)", |log| {
        let call = RehearsedCall {
            to: address(data(log, 0)?)?,
            value: data(log, 1)?,
            data: bytes(log, 2)?,
            delegated: false,
        };
        Some(Event::Scheduled { id: topic(log, 1)?, call, delay: secs(data(log, 4)?) })
    }),
    ("QueueTransaction(bytes32,address,uint256,string,bytes,uint256)", |log| {
        let to = address(U256::from_be_bytes(topic(log, 2)?.0))?;
        let data_ = with_signature(&bytes(log, 1)?, bytes(log, 2)?);
        let call = RehearsedCall { to, value: data(log, 0)?, data: data_, delegated: false };
        Some(Event::QueuedAt { id: topic(log, 1)?, call, eta: secs(data(log, 3)?) })
    }),
    ("ProposalQueued(uint256,uint256)", |log| {
        Some(Event::Queued { id: data(log, 0)?.into(), eta: secs(data(log, 1)?) })
    }),
    ("VoteCast(address,uint256,uint8,uint256,string)", voted),
    ("VoteCastWithParams(address,uint256,uint8,uint256,string,bytes)", voted),
    ("ProposalExecuted(uint256)", |log| Some(Event::Executed { id: data(log, 0)?.into() })),
    ("CallExecuted(bytes32,uint256,address,uint256,bytes)", |log| {
        Some(Event::Executed { id: topic(log, 1)? })
    }),
    ("ProposalCanceled(uint256)", |log| Some(Event::Cancelled { id: data(log, 0)?.into() })),
    ("Cancelled(bytes32)", |log| Some(Event::Cancelled { id: topic(log, 1)? })),
    ("MinDelayChange(uint256,uint256)", |log| {
        Some(Event::Delay { before: secs(data(log, 0)?), after: secs(data(log, 1)?) })
    }),
    ("NewDelay(uint256)", |log| {
        let after = secs(U256::from_be_bytes(topic(log, 1)?.0));
        Some(Event::Delay { before: u64::MAX, after })
    }),
    (
        "ProposalCreated(uint256,address,address,address[],uint256[],string[],bytes[],bool[],uint256,uint256,address,bytes32)",
        aave_proposed,
    ),
    ("QueuedAction(bytes32,address,uint256,string,bytes,uint256,bool)", aave_queued),
    ("ExecutedAction(bytes32,address,uint256,string,bytes,uint256,bool,bytes)", |log| {
        Some(Event::Executed { id: data(log, 0)?.into() })
    }),
    ("CancelledAction(bytes32,address,uint256,string,bytes,uint256,bool)", |log| {
        Some(Event::Cancelled { id: data(log, 0)?.into() })
    }),
    ("DelegateVotesChanged(address,uint256,uint256)", |log| {
        let delegate = address(U256::from_be_bytes(topic(log, 1)?.0))?;
        Some(Event::Votes { delegate, before: data(log, 0)?, after: data(log, 1)? })
    }),
];

/// Calls of Maker's pause, noted in anonymous logs whose first topic is the selector, with their readers.
const NOTES: [(&str, Reader); 3] = [
    ("plot(address,bytes32,bytes,uint256)", plotted),
    ("exec(address,bytes32,bytes,uint256)", |log| Some(Event::Executed { id: noted(log)?.0 })),
    ("drop(address,bytes32,bytes,uint256)", |log| Some(Event::Cancelled { id: noted(log)?.0 })),
];

/// Readers by topic.
#[derive(Debug)]
pub(crate) struct Events(BTreeMap<B256, Reader>);

impl Events {
    pub(crate) fn new() -> Self {
        let named = EVENTS.iter().map(|(signature, it)| (keccak256(signature), *it));
        let noted = NOTES.iter().map(|(signature, it)| (note_topic(signature), *it));
        Self(named.chain(noted).collect())
    }

    /// What `log` says, if it is one of the known events.
    pub(crate) fn read(&self, log: &Log) -> Option<Event> {
        self.0.get(log.data.topics().first()?)?(log)
    }
}

fn proposed(log: &Log) -> Option<Event> {
    let calls = calls(log, [2, 3, 4, 5], None)?;
    Some(Event::Proposed { id: data(log, 0)?.into(), proposer: address(data(log, 1)?)?, calls })
}

/// Targets, values, signatures and arguments from the arrays whose offsets are these words, and which of them are
/// delegated.
fn calls(log: &Log, heads: [usize; 4], delegated: Option<usize>) -> Option<Vec<RehearsedCall>> {
    let [targets, values, signatures, inputs] = heads.map(|it| list(log, it));
    let (targets, values, signatures, inputs) = (targets?, values?, signatures?, inputs?);
    let count = targets.count;
    if values.count != count || signatures.count != count || inputs.count != count {
        return None;
    }
    let flags = match delegated {
        Some(head) => Some(list(log, head).filter(|it| it.count == count)?),
        None => None,
    };
    let call = |at: usize| {
        let signature = dynamic(signatures.rest, at)?;
        Some(RehearsedCall {
            to: address(word(targets.rest, at)?)?,
            value: word(values.rest, at)?,
            data: with_signature(&signature, dynamic(inputs.rest, at)?),
            delegated: match &flags {
                Some(flags) => !word(flags.rest, at)?.is_zero(),
                None => false,
            },
        })
    };
    (0..count).map(call).collect()
}

/// Aave's governors say who made a proposal, and who will execute it, in topics.
fn aave_proposed(log: &Log) -> Option<Event> {
    let proposer = address(U256::from_be_bytes(topic(log, 1)?.0))?;
    let calls = calls(log, [1, 2, 3, 4], Some(5))?;
    Some(Event::Proposed { id: data(log, 0)?.into(), proposer, calls })
}

fn aave_queued(log: &Log) -> Option<Event> {
    let call = RehearsedCall {
        to: address(U256::from_be_bytes(topic(log, 1)?.0))?,
        value: data(log, 1)?,
        data: with_signature(&bytes(log, 2)?, bytes(log, 3)?),
        delegated: !data(log, 5)?.is_zero(),
    };
    Some(Event::QueuedAt { id: data(log, 0)?.into(), call, eta: secs(data(log, 4)?) })
}

/// Maker's pause notes its calls as they came, without a name: the spell's code runs as the pause's proxy. What is
/// planned is known by all that it is planned with.
fn plotted(log: &Log) -> Option<Event> {
    let (id, call) = noted(log)?;
    let input = bytes(log, 1)?;
    Some(Event::QueuedAt { id, call, eta: secs(word(input.get(4..)?, 3)?) })
}

fn noted(log: &Log) -> Option<(B256, RehearsedCall)> {
    let input = bytes(log, 1)?;
    let arguments = input.get(4..)?;
    let call = RehearsedCall {
        to: address(word(arguments, 0)?)?,
        value: U256::ZERO,
        data: dynamic(arguments, 2)?,
        delegated: true,
    };
    let parts = [word(arguments, 0)?, word(arguments, 1)?, word(arguments, 3)?];
    let parts = parts.map(|it| it.to_be_bytes::<32>()).concat();
    Some((keccak256([parts.as_slice(), &call.data].concat()), call))
}

/// A selector as the first topic of a note.
fn note_topic(signature: &str) -> B256 {
    let [a, b, c, d, ..] = keccak256(signature).0;
    B256::right_padding_from(&[a, b, c, d])
}

fn voted(log: &Log) -> Option<Event> {
    let voter = address(U256::from_be_bytes(topic(log, 1)?.0))?;
    Some(Event::Voted { id: data(log, 0)?.into(), voter, weight: data(log, 2)? })
}

/// Bravo keeps the signature apart from the arguments.
fn with_signature(signature: &[u8], arguments: Bytes) -> Bytes {
    match signature.is_empty() {
        true => arguments,
        false => [&keccak256(signature)[..4], &arguments].concat().into(),
    }
}

/// A dynamic array: how many, and what follows its length.
struct List<'a> {
    count: usize,
    rest: &'a [u8],
}

fn list(log: &Log, head: usize) -> Option<List<'_>> {
    let rest = tail(&log.data.data, head)?;
    let count = usize::try_from(word(rest, 0)?).ok().filter(|it| *it <= REHEARSED_CALLS_MAX)?;
    Some(List { count, rest: rest.get(32..)? })
}

fn bytes(log: &Log, head: usize) -> Option<Bytes> {
    dynamic(&log.data.data, head)
}

/// The dynamic value whose offset, counted from the start of `area`, is word `head`.
fn dynamic(area: &[u8], head: usize) -> Option<Bytes> {
    let rest = tail(area, head)?;
    let length = usize::try_from(word(rest, 0)?).ok()?;
    let end = length.checked_add(32)?;
    rest.get(32..end).map(Bytes::copy_from_slice)
}

fn tail(area: &[u8], head: usize) -> Option<&[u8]> {
    area.get(usize::try_from(word(area, head)?).ok()?..)
}

fn word(area: &[u8], index: usize) -> Option<U256> {
    let start = index.checked_mul(32)?;
    area.get(start..start.checked_add(32)?).map(U256::from_be_slice)
}

fn data(log: &Log, index: usize) -> Option<U256> {
    word(&log.data.data, index)
}

fn topic(log: &Log, index: usize) -> Option<B256> {
    log.data.topics().get(index).copied()
}

fn address(word: U256) -> Option<Address> {
    (word.bit_len() <= 160).then(|| Address::from_word(word.into()))
}

/// Seconds; what does not fit is as good as never.
fn secs(word: U256) -> u64 {
    word.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use alloy_primitives::{Address, B256, Bytes, Log, U256, hex, keccak256};

    use super::{EVENTS, Event, Events, NOTES, RehearsedCall};

    /// Words and byte strings, ABI-encoded as arguments; only what the tests need.
    pub(crate) enum Value {
        Word(U256),
        Words(Vec<U256>),
        Bytes(Vec<u8>),
        List(Vec<Vec<u8>>),
    }

    fn padded(it: &[u8]) -> Vec<u8> {
        let mut out = U256::from(it.len()).to_be_bytes::<32>().to_vec();
        out.extend_from_slice(it);
        out.resize(out.len().next_multiple_of(32), 0);
        out
    }

    pub(crate) fn encode(values: &[Value]) -> Vec<u8> {
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        for it in values {
            let body = match it {
                Value::Word(it) => {
                    head.extend_from_slice(&it.to_be_bytes::<32>());
                    continue;
                }
                Value::Words(it) => {
                    let mut body = U256::from(it.len()).to_be_bytes::<32>().to_vec();
                    it.iter().for_each(|it| body.extend_from_slice(&it.to_be_bytes::<32>()));
                    body
                }
                Value::Bytes(it) => padded(it),
                Value::List(it) => {
                    let items: Vec<Value> = it.iter().map(|it| Value::Bytes(it.clone())).collect();
                    let mut body = U256::from(it.len()).to_be_bytes::<32>().to_vec();
                    body.extend(encode(&items));
                    body
                }
            };
            let offset = values.len() * 32 + tail.len();
            head.extend_from_slice(&U256::from(offset).to_be_bytes::<32>());
            tail.extend(body);
        }
        head.extend(tail);
        head
    }

    /// `ProposalCreated` of Governor with one call.
    pub(crate) fn proposal(id: u64, to: Address, signature: &str, input: &[u8]) -> Log {
        let word = |it: Address| U256::from_be_bytes(it.into_word().0);
        let data = encode(&[
            Value::Word(U256::from(id)),
            Value::Word(word(Address::with_last_byte(0xee))),
            Value::Words(vec![word(to)]),
            Value::Words(vec![U256::ZERO]),
            Value::List(vec![signature.as_bytes().to_vec()]),
            Value::List(vec![input.to_vec()]),
            Value::Word(U256::from(1)),
            Value::Word(U256::from(2)),
            Value::Bytes(b"harmless".to_vec()),
        ]);
        log(EVENTS[0].0, &[], data)
    }

    pub(crate) fn log(signature: &str, topics: &[U256], data: Vec<u8>) -> Log {
        let mut all = vec![keccak256(signature)];
        all.extend(topics.iter().map(|it| B256::from(*it)));
        Log::new_unchecked(Address::with_last_byte(0x60), all, data.into())
    }

    #[test]
    fn known_topics_are_those_of_the_specification() {
        let starts = [
            ("ProposalCreated", "7d84a626"),
            ("CallScheduled", "4cf4410c"),
            ("CallExecuted", "c2617efa"),
            ("VoteCast", "b8e13888"),
        ];
        for (name, hash) in starts {
            let it = EVENTS.iter().find(|it| it.0.starts_with(&format!("{name}("))).unwrap();
            assert_eq!(hex::encode(&keccak256(it.0)[..4]), hash, "{name}");
        }
    }

    #[test]
    fn a_proposal_has_its_calls_with_or_without_signatures() {
        let to = Address::with_last_byte(0xaa);
        let call = |data: Vec<u8>| RehearsedCall {
            to,
            value: U256::ZERO,
            data: Bytes::from(data),
            delegated: false,
        };
        for (signature, input, data) in [
            ("", vec![1, 2, 3, 4, 5], vec![1, 2, 3, 4, 5]),
            ("pause()", vec![], hex!("8456cb59").to_vec()),
        ] {
            let Some(Event::Proposed { id, calls, .. }) =
                Events::new().read(&proposal(7, to, signature, &input))
            else {
                panic!("a proposal")
            };
            assert_eq!((id, calls), (U256::from(7).into(), vec![call(data)]));
        }
    }

    #[test]
    fn what_aave_and_maker_execute_by_delegatecall_is_told_so() {
        let (spell, word) = (Address::with_last_byte(0xaa), |it: u64| Value::Word(U256::from(it)));
        let data = encode(&[
            word(9),
            Value::Words(vec![U256::from(0xaa)]),
            Value::Words(vec![U256::ZERO]),
            Value::List(vec![b"execute()".to_vec()]),
            Value::List(vec![vec![]]),
            Value::Words(vec![U256::ONE]),
        ]);
        let aave = EVENTS.iter().find(|it| it.0.contains("bool[]")).unwrap().0;
        let read = Events::new().read(&log(aave, &[U256::from(0xee), U256::from(0x61)], data));
        let Some(Event::Proposed { proposer, calls, .. }) = read else { panic!("{read:?}") };
        assert_eq!(proposer, Address::with_last_byte(0xee));
        assert_eq!((calls[0].to, calls[0].delegated), (spell, true));
        assert_eq!(calls[0].data, Bytes::copy_from_slice(&keccak256("execute()")[..4]));

        let input = encode(&[
            word(0xaa),
            word(0x7a6),
            Value::Bytes(hex!("61461954").to_vec()),
            word(5_000),
        ]);
        let note = |signature: &str| {
            let selector = &keccak256(signature)[..4];
            let fax = [selector, &input].concat();
            let mut it = log(
                "",
                &[U256::from(0xee), U256::from(0xaa), U256::ZERO],
                encode(&[word(0), Value::Bytes(fax)]),
            );
            let mut topics = it.data.topics().to_vec();
            topics[0] = super::note_topic(signature);
            it.data = alloy_primitives::LogData::new_unchecked(topics, it.data.data.clone());
            Events::new().read(&it)
        };
        let Some(Event::QueuedAt { id, call, eta }) = note(NOTES[0].0) else { panic!("a plan") };
        assert_eq!((call.to, call.delegated, eta), (spell, true, 5_000));
        assert_eq!(call.data, Bytes::from(hex!("61461954")));
        assert_eq!(note(NOTES[1].0), Some(Event::Executed { id }), "the same plan");
        assert_eq!(note(NOTES[2].0), Some(Event::Cancelled { id }));
    }

    #[test]
    fn mutated_logs_are_read_or_refused_but_never_panic() {
        let events = Events::new();
        let good = proposal(7, Address::with_last_byte(0xaa), "pause()", &[9; 70]);
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut data = good.data.data.to_vec();
            for _ in 0..=next() % 3 {
                let at = (next() as usize) % data.len();
                data[at] = if next() % 4 == 0 { 0xff } else { next() as u8 };
            }
            if next() % 5 == 0 {
                data.truncate((next() as usize) % data.len());
            }
            let it = Log::new_unchecked(good.address, good.data.topics().to_vec(), data.into());
            refused += u32::from(events.read(&it).is_none());
        }
        assert!(refused > 1_000, "{refused}");
        for (signature, _) in EVENTS {
            assert_eq!(events.read(&log(signature, &[], vec![0; 31])), None, "{signature}");
        }
    }
}
