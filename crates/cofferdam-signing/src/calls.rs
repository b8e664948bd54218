//! The tree of calls that a transaction would make: through MultiSend, nested Safes and modules, every leaf decoded or
//! marked as not decoded.
//!
//! **Invariant:** every byte of the calldata is in exactly one node; a node that cannot be read keeps its bytes and says
//! why.

use alloy_primitives::{Address, Bytes, U256, hex};
use serde::{Deserialize, Serialize};

use crate::{
    Operation, SafeTx,
    abi::{Function, Value, decode},
    clear::{Clear, Registry, Subject},
    known::{self, Class},
    multisend,
    policy::Policy,
};

/// Deepest nesting of batches.
pub const DEPTH_MAX: usize = 4;
/// Most calls of one transaction, through all batches.
pub const CALLS_MAX: usize = 512;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its place: `1`, `1.2`.
    pub path: String,
    /// The target.
    pub to: Address,
    /// The policy's name of the target.
    pub name: Option<String>,
    /// Wei.
    #[serde(with = "crate::quantity")]
    pub value: U256,
    /// Call or delegatecall.
    pub operation: Operation,
    /// Calldata.
    pub data: Bytes,
    /// What the calldata says.
    pub decoded: Option<Decoded>,
    /// Why it could not be read, or not wholly.
    pub problem: Option<String>,
    /// What its authors say it means, by an ERC-7730 descriptor: beside the raw arguments, never in their place.
    pub clear: Option<Clear>,
    /// Why a descriptor for it could not be applied.
    pub clear_problem: Option<String>,
    /// The action approved in advance that it is, to the byte.
    pub action: Option<String>,
    /// What it runs.
    pub calls: Vec<Node>,
}

/// Decoded calldata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decoded {
    /// Name and types.
    pub function: String,
    /// What kind of power it uses.
    pub class: Class,
    /// Whether the policy names this function for this target.
    pub in_policy: bool,
    /// Raw arguments in order.
    pub arguments: Vec<Argument>,
}

/// A raw argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// Its name, or its position.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its value as text.
    pub value: String,
}

impl Node {
    /// It and everything below it, in order.
    pub fn walk(&self) -> Vec<&Self> {
        let mut out = vec![self];
        self.calls.iter().for_each(|it| out.extend(it.walk()));
        out
    }

    /// The selector, if there is one.
    pub fn selector(&self) -> Option<[u8; 4]> {
        self.data.get(..4).and_then(|it| it.try_into().ok())
    }

    /// Whether governance approved all of it in advance: the call itself, or every call of the batch that it is.
    pub fn is_approved(&self) -> bool {
        let batch = !self.calls.is_empty() && self.calls.iter().all(Self::is_approved);
        self.action.is_some() || batch
    }

    /// The class of what it calls.
    pub fn class(&self) -> Option<Class> {
        self.decoded.as_ref().map(|it| it.class)
    }
}

/// Reads transactions by what a policy and descriptors know.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The Safe that would act.
    pub safe: Address,
    /// Its chain.
    pub chain: u64,
    /// Names and functions.
    pub policy: Option<&'a Policy>,
    /// Descriptors.
    pub registry: Option<&'a Registry>,
}

struct Call {
    to: Address,
    value: U256,
    data: Bytes,
    operation: Operation,
}

impl Reader<'_> {
    /// The tree of `tx`.
    pub fn read(&self, tx: &SafeTx) -> Node {
        let mut budget = CALLS_MAX;
        let call =
            Call { to: tx.to, value: tx.value, data: tx.data.clone(), operation: tx.operation };
        self.node("1".into(), call, 0, &mut budget)
    }

    fn node(&self, path: String, call: Call, depth: usize, budget: &mut usize) -> Node {
        let Call { to, value, data, operation } = call;
        let mut node = Node {
            name: self.name(to),
            action: self
                .policy
                .and_then(|it| it.action(to, value, &data, operation))
                .map(|it| it.id.clone()),
            path,
            to,
            value,
            operation,
            data,
            decoded: None,
            problem: None,
            clear: None,
            clear_problem: None,
            calls: Vec::new(),
        };
        if node.data.is_empty() {
            return node;
        }
        let Some(selector) = node.selector() else {
            node.problem = Some("its calldata is shorter than a selector".into());
            return node;
        };
        let named = self.policy.and_then(|it| it.function(to, selector));
        let in_policy = named.is_some();
        let known = || known::function(selector).map(|it| it.0);
        let described = || self.registry.and_then(|it| it.function(self.chain, to, selector));
        let Some(function) = named.or_else(known).or_else(described) else {
            let selector = hex::encode_prefixed(selector);
            node.problem = Some(format!("nobody has said what selector {selector} is"));
            return node;
        };
        let values = match decode(&function.inputs, node.data.get(4..).unwrap_or_default()) {
            Ok(it) => it,
            Err(error) => {
                node.problem = Some(format!("read as {}: {error}", function.canonical()));
                return node;
            }
        };
        let class = known::class(selector);
        node.decoded = Some(Decoded {
            function: function.canonical(),
            class,
            in_policy,
            arguments: arguments(&function, &values),
        });
        self.describe(&mut node);
        if class == Class::Batch {
            self.open(&mut node, &function, &values, depth, budget);
        }
        node
    }

    fn describe(&self, node: &mut Node) {
        let Some(registry) = self.registry else { return };
        let subject = Subject {
            chain: self.chain,
            to: node.to,
            from: Some(self.safe),
            value: node.value,
            data: node.data.clone(),
        };
        match registry.describe(&subject) {
            None => {}
            Some(Ok(it)) => node.clear = Some(it),
            Some(Err(error)) => node.clear_problem = Some(error.to_string()),
        }
    }

    fn open(
        &self,
        node: &mut Node,
        function: &Function,
        values: &[Value],
        depth: usize,
        budget: &mut usize,
    ) {
        let inner = match inner(node, function, values) {
            Ok(it) => it,
            Err(what) => {
                node.problem = Some(what);
                return;
            }
        };
        if depth == DEPTH_MAX || inner.len() > *budget {
            node.problem = Some("it holds more calls, or deeper ones, than can be shown".into());
            return;
        }
        *budget -= inner.len();
        for (index, mut call) in inner.into_iter().enumerate() {
            // MultiSend since 1.5.0 takes zero for the Safe itself.
            if call.to.is_zero() && function.name == "multiSend" {
                call.to = self.safe;
            }
            let path = format!("{}.{}", node.path, index + 1);
            node.calls.push(self.node(path, call, depth + 1, budget));
        }
    }

    fn name(&self, to: Address) -> Option<String> {
        if to == self.safe {
            return Some("this Safe".into());
        }
        let named = self.policy.and_then(|it| it.name(to)).map(crate::text::plain);
        let ours = || {
            let found = known::CALL_ONLY.iter().find(|it| it.0 == to);
            found.map(|it| format!("MultiSendCallOnly {}", it.1))
        };
        named.or_else(ours)
    }
}

fn inner(node: &Node, function: &Function, values: &[Value]) -> Result<Vec<Call>, String> {
    if function.name == "multiSend" {
        let calls = multisend::read(&node.data).map_err(|it| {
            let cause = std::error::Error::source(&it).map(ToString::to_string);
            cause.map_or(it.to_string(), |cause| format!("{it}: {cause}"))
        })?;
        let of = |it: multisend::Inner| Call {
            to: it.to,
            value: it.value,
            data: it.data,
            operation: it.operation,
        };
        return Ok(calls.into_iter().map(of).collect());
    }
    let [Value::Address(to), Value::Uint(value), Value::Bytes(data), Value::Uint(operation), ..] =
        values
    else {
        return Err("it is not the batch it looks like".into());
    };
    let operation = u8::try_from(*operation).ok().and_then(Operation::from_u8);
    let operation = operation.ok_or("its operation is neither 0 nor 1")?;
    Ok(vec![Call { to: *to, value: *value, data: data.clone().into(), operation }])
}

fn arguments(function: &Function, values: &[Value]) -> Vec<Argument> {
    let pairs = function.inputs.iter().zip(values).enumerate();
    let named = pairs.map(|(index, (param, value))| Argument {
        name: if param.name.is_empty() { format!("#{index}") } else { param.name.clone() },
        ty: param.ty.canonical(),
        value: value.to_string(),
    });
    named.collect()
}
