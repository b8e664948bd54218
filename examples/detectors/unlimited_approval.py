#!/usr/bin/env python3
"""A detector in a process of its own: a protected contract approves somebody for everything it has.

One question a line on stdin, answers on stdout. Reports about contracts that the feed's rule does not
watch are ignored by Cofferdam, so this reports every owner and leaves the choice to the plan.
"""
import json
import sys

# Approval(address,address,uint256)
APPROVAL = "0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925"
# What wallets call unlimited: at least 2^255.
UNLIMITED = 1 << 255


def address(word):
    return "0x" + word[-40:]


def findings(observation):
    chain = observation["block"]["chain"]
    for tx in observation["txs"]:
        for log in tx["logs"]:
            topics, data = log["topics"], log["data"]
            if len(topics) != 3 or topics[0] != APPROVAL or int(data, 16) < UNLIMITED:
                continue
            yield {
                "chain": chain,
                "subject": address(topics[1]),
                "summary": f"unlimited approval of {log['address']} to {address(topics[2])}",
                "severity": "medium",
                "tx": tx["hash"],
                "actors": [tx["from"]],
                "evidence": [{"label": "spender", "value": address(topics[2])}],
            }


for line in sys.stdin:
    question = json.loads(line)
    seq = question["seq"]
    for finding in findings(question["observation"]):
        print(json.dumps({"seq": seq, "finding": finding}))
    print(json.dumps({"seq": seq, "done": True}), flush=True)
