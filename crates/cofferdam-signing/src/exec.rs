//! Calldata of a Safe's own functions that the program sends or asks.

use alloy_primitives::{Address, B256, Bytes, U256};

use crate::{
    Operation, SafeTx,
    abi::{AbiError, Function, Value, decode, encode},
};

const EXEC: &str = "execTransaction(address to, uint256 value, bytes data, uint8 operation, uint256 safeTxGas, uint256 baseGas, uint256 gasPrice, address gasToken, address refundReceiver, bytes signatures)";
const HASH: &str = "getTransactionHash(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)";

/// Calldata of `signature` with these values.
///
/// # Errors
/// [`AbiError`] if the signature cannot be read.
pub fn call(signature: &str, values: &[Value]) -> Result<Bytes, AbiError> {
    let mut out = Function::parse(signature)?.selector().to_vec();
    out.extend(encode(values));
    Ok(out.into())
}

fn fields(tx: &SafeTx) -> Vec<Value> {
    vec![
        Value::Address(tx.to),
        Value::Uint(tx.value),
        Value::Bytes(tx.data.to_vec()),
        Value::Uint(U256::from(tx.operation.as_u8())),
        Value::Uint(tx.safe_tx_gas),
        Value::Uint(tx.base_gas),
        Value::Uint(tx.gas_price),
        Value::Address(tx.gas_token),
        Value::Address(tx.refund_receiver),
    ]
}

/// Calldata of `execTransaction` with packed signatures.
///
/// # Errors
/// Never in practice: the signature is ours.
pub fn exec_transaction(tx: &SafeTx, signatures: &Bytes) -> Result<Bytes, AbiError> {
    let mut values = fields(tx);
    values.push(Value::Bytes(signatures.to_vec()));
    call(EXEC, &values)
}

/// Calldata of the Safe's own `getTransactionHash`: a second opinion on our hash.
///
/// # Errors
/// Never in practice: the signature is ours.
pub fn get_transaction_hash(tx: &SafeTx) -> Result<Bytes, AbiError> {
    let mut values = fields(tx);
    values.push(Value::Uint(tx.nonce));
    call(HASH, &values)
}

/// Calldata of `approveHash`, by which an owner agrees on chain.
///
/// # Errors
/// Never in practice: the signature is ours.
pub fn approve_hash(hash: B256) -> Result<Bytes, AbiError> {
    call("approveHash(bytes32)", &[Value::FixedBytes(hash.to_vec())])
}

/// Reads `execTransaction` back; the nonce is not in it.
///
/// # Errors
/// [`AbiError`] if it is another call or not canonical.
pub fn read_exec_transaction(data: &[u8], nonce: U256) -> Result<(SafeTx, Bytes), AbiError> {
    let function = Function::parse(EXEC)?;
    let other = AbiError::Data("it is no execTransaction");
    let arguments = data.strip_prefix(&function.selector()).ok_or(other.clone())?;
    let values = decode(&function.inputs, arguments)?;
    let address = |index: usize| match values.get(index) {
        Some(Value::Address(it)) => Ok::<Address, AbiError>(*it),
        _ => Err(other.clone()),
    };
    let uint = |index: usize| match values.get(index) {
        Some(Value::Uint(it)) => Ok(*it),
        _ => Err(other.clone()),
    };
    let bytes = |index: usize| match values.get(index) {
        Some(Value::Bytes(it)) => Ok(Bytes::from(it.clone())),
        _ => Err(other.clone()),
    };
    let operation = u8::try_from(uint(3)?).ok().and_then(Operation::from_u8);
    let tx = SafeTx {
        to: address(0)?,
        value: uint(1)?,
        data: bytes(2)?,
        operation: operation.ok_or(AbiError::Data("its operation is neither 0 nor 1"))?,
        safe_tx_gas: uint(4)?,
        base_gas: uint(5)?,
        gas_price: uint(6)?,
        gas_token: address(7)?,
        refund_receiver: address(8)?,
        nonce,
    };
    Ok((tx, bytes(9)?))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Bytes, U256, hex};

    use super::{exec_transaction, get_transaction_hash, read_exec_transaction};
    use crate::{Operation, SafeTx};

    #[test]
    fn an_execution_is_read_as_written() {
        let tx = SafeTx {
            to: Address::repeat_byte(1),
            value: U256::from(5),
            data: vec![1, 2, 3].into(),
            operation: Operation::DelegateCall,
            nonce: U256::from(9),
            ..SafeTx::default()
        };
        let signatures = Bytes::from(vec![7; 65]);
        let data = exec_transaction(&tx, &signatures).unwrap();
        assert_eq!(data[..4], hex!("6a761202"));
        assert_eq!(read_exec_transaction(&data, tx.nonce), Ok((tx.clone(), signatures)));
        assert_eq!(get_transaction_hash(&tx).unwrap()[..4], hex!("d8d11f78"));
    }
}
