"""Compares the lines of the example `crosscheck_safe` (standard input) with safe-eth-py and prints what was compared.

Needs:  pip install safe-eth-py==7.27.0
"""

import json
import sys

from eth_utils import to_checksum_address
from safe_eth.eth.contracts import get_safe_V1_4_1_contract
from safe_eth.eth.eip712 import eip712_encode, eip712_encode_hash
from safe_eth.safe.safe_deployments import safe_deployments
from safe_eth.safe.safe_tx import SafeTx
from web3 import Web3

contract = get_safe_V1_4_1_contract(Web3())
counts = {"hash": 0, "domain and message": 0, "message hash": 0, "execTransaction": 0, "address": 0}
wrong = []


def compare(what, ours, theirs, line):
    counts[what] += 1
    if ours.lower() != theirs.lower():
        wrong.append(f"{what}: ours {ours}, safe-eth-py {theirs}: {line[:300]}")


def bytes_of(text):
    return bytes.fromhex(text[2:])


def message_hash(version, chain, safe, text):
    """As the fallback handler computes it, through the library's own EIP-712."""
    from eth_account.messages import _hash_eip191_message, encode_defunct

    domain = [{"name": "verifyingContract", "type": "address"}]
    values = {"verifyingContract": safe}
    if tuple(int(part) for part in version.split(".")) >= (1, 3, 0):
        domain.insert(0, {"name": "chainId", "type": "uint256"})
        values["chainId"] = chain
    return eip712_encode_hash({
        "types": {"EIP712Domain": domain, "SafeMessage": [{"name": "message", "type": "bytes"}]},
        "primaryType": "SafeMessage",
        "domain": values,
        "message": {"message": _hash_eip191_message(encode_defunct(primitive=text))},
    })


for line in sys.stdin:
    row = json.loads(line)
    if "callOnly" in row:
        for version, address in row["callOnly"]:
            places = safe_deployments[version]["MultiSendCallOnly"].values()
            compare("address", address, address if any(address in it for it in places) else "none", line)
        for version, address in row["singletons"]:
            named = [v for k, v in safe_deployments[version].items() if k in ("GnosisSafe", "GnosisSafeL2", "Safe", "SafeL2")]
            listed = any(address in places for it in named for places in it.values())
            compare("address", address, address if listed else "none", line)
        continue
    tx = row["tx"]
    fields = dict(
        to=to_checksum_address(tx["to"]), value=int(tx["value"]), data=bytes_of(tx["data"]), operation=tx["operation"],
        safe_tx_gas=int(tx["safeTxGas"]), base_gas=int(tx["baseGas"]), gas_price=int(tx["gasPrice"]),
        gas_token=to_checksum_address(tx["gasToken"]), refund_receiver=to_checksum_address(tx["refundReceiver"]),
    )
    theirs = SafeTx(
        None, row["safe"], **fields, safe_nonce=int(tx["nonce"]), safe_version=row["version"], chain_id=row["chain"],
    )
    compare("hash", row["hashes"]["signed"], "0x" + bytes(theirs.safe_tx_hash).hex(), line)
    _, domain, message = eip712_encode(theirs.eip712_structured_data)
    compare("domain and message", row["hashes"]["domain"], "0x" + bytes(domain).hex(), line)
    compare("domain and message", row["hashes"]["message"], "0x" + bytes(message).hex(), line)
    text = message_hash(row["version"], row["chain"], row["safe"], bytes_of(row["text"]))
    compare("message hash", row["message"], "0x" + bytes(text).hex(), line)
    data = contract.encode_abi("execTransaction", [
        fields["to"], fields["value"], fields["data"], fields["operation"], fields["safe_tx_gas"], fields["base_gas"],
        fields["gas_price"], fields["gas_token"], fields["refund_receiver"], bytes_of(row["signatures"]),
    ])
    compare("execTransaction", row["exec"], data, line)

for what, count in counts.items():
    print(f"{what:<20} {count:>6} compared")
print(f"{len(wrong)} differ")
for it in wrong[:20]:
    print(it)
sys.exit(1 if wrong or not counts["hash"] else 0)
