// CPU time of forta-agent's filterLog per log, and how many pairs of log and detector it finds.
const fs = require("fs");
const { TransactionEvent } = require("forta-agent");

const EVENT = "event Transfer(address indexed from, address indexed to, uint256 value)";
const LOGS_PER_TX = 8;
const ROUNDS = 3;

const { logs, detectors } = JSON.parse(fs.readFileSync(process.argv[2]));
const hash = (digit) => "0x" + digit.repeat(64);
const block = { hash: hash("1"), number: 1, timestamp: 1 };

const events = [];
for (let at = 0; at < logs.length; at += LOGS_PER_TX) {
  const own = logs.slice(at, at + LOGS_PER_TX).map((log, index) => ({
    ...log,
    logIndex: index,
    blockNumber: 1,
    blockHash: hash("1"),
    transactionIndex: 0,
    transactionHash: hash("2"),
    removed: false,
  }));
  const tx = { hash: hash("2"), from: own[0].address, to: own[0].address, nonce: 1, gas: "0x5208", gasPrice: "0x1", value: "0x0", data: "0x", r: "", s: "", v: "" };
  events.push(new TransactionEvent(0, 1, tx, [], {}, block, own, null));
}

const pass = () => {
  let hits = 0;
  for (const event of events) {
    for (const detector of detectors) hits += event.filterLog(EVENT, detector).length;
  }
  return hits;
};

const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
};

const hits = pass();
let best = Infinity;
for (let round = 0; round < ROUNDS; round++) {
  const started = cpu();
  pass();
  best = Math.min(best, cpu() - started);
}
console.log(JSON.stringify({ hits, ns_per_log: best / logs.length }));
