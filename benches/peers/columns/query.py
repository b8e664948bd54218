"""DuckDB and polars over the logs of a folder of Parquet files, one command a line on standard input.

    python query.py FOLDER THREADS

FOLDER/detectors.csv has `id,address,topic0,stateful` (hex without 0x). Commands and answers (one JSON object a line):

    join               every stateless detector by one DuckDB hash join: seconds, hits by detector
    windows            every stateful detector by one DuckDB window query: hits by detector
    duckdb ID          one query for one detector: seconds, hits
    polars ID          the same with polars

A hit is one row; of a detector count and sum of `block_number * 10000 + log_index` are told. A stateful detector hits
where its logs of the last 600 seconds (12 to a block) are at least 3.
"""

import json
import os
import sys
import time

FOLDER, THREADS = sys.argv[1], sys.argv[2]
os.environ["POLARS_MAX_THREADS"] = THREADS

import duckdb
import polars as pl

LOGS = f"{FOLDER}/*__logs__*.parquet"
DETECTORS = {}
with open(f"{FOLDER}/detectors.csv", encoding="ascii") as file:
    next(file)
    for line in file:
        ident, address, topic, stateful = line.strip().split(",")
        DETECTORS[int(ident)] = (bytes.fromhex(address), bytes.fromhex(topic), stateful == "1")

DB = duckdb.connect()
DB.execute(f"SET threads TO {THREADS}")
DB.execute("CREATE TABLE detectors (id INTEGER, address BLOB, topic0 BLOB, stateful BOOLEAN)")
DB.executemany(
    "INSERT INTO detectors VALUES (?, ?, ?, ?)",
    [(ident, *rest) for ident, rest in DETECTORS.items()],
)
JOIN = f"""SELECT d.id, l.block_number, l.log_index FROM read_parquet('{LOGS}') l
JOIN detectors d ON l.address = d.address AND l.topic0 = d.topic0 WHERE d.stateful = %s"""
WINDOW = """SELECT id, block_number, log_index FROM (SELECT id, block_number, log_index,
count(*) OVER (PARTITION BY id ORDER BY block_number * 12 RANGE BETWEEN 599 PRECEDING AND CURRENT ROW) n
FROM (%s)) WHERE n >= 3"""


def told(rows, seconds):
    """Rows of id, block, log as numpy columns."""
    ids, blocks, logs = (rows[it].astype("int64") for it in ("id", "block_number", "log_index"))
    out = {}
    for ident, place in zip(ids.tolist(), (blocks * 10_000 + logs).tolist()):
        count, total = out.get(ident, (0, 0))
        out[ident] = (count + 1, total + place)
    return {"seconds": seconds, "hits": out}


def timed(query, args=()):
    begun = time.perf_counter()
    rows = DB.execute(query, args).fetchnumpy()
    return rows, time.perf_counter() - begun


def by_duckdb(ident):
    address, topic, stateful = DETECTORS[ident]
    query = f"""SELECT {ident} id, block_number, log_index FROM read_parquet('{LOGS}')
WHERE address = ? AND topic0 = ?"""
    return told(*timed(WINDOW % query if stateful else query, (address, topic)))


def by_polars(ident):
    address, topic, stateful = DETECTORS[ident]
    begun = time.perf_counter()
    rows = (
        pl.scan_parquet(LOGS)
        .filter((pl.col("address") == address) & (pl.col("topic0") == topic))
        .select("block_number", "log_index")
    )
    if stateful:
        # Logs of one detector are few: the window is over what the filter leaves.
        rows = (
            rows.sort("block_number", "log_index")
            .with_columns(ts=pl.col("block_number").cast(pl.Int64) * 12, one=1)
            .with_columns(n=pl.col("one").rolling_sum_by("ts", window_size="600i", closed="right"))
            .filter(pl.col("n") >= 3)
        )
    rows = rows.select("block_number", "log_index").collect()
    seconds = time.perf_counter() - begun
    columns = {name: rows[name].to_numpy() for name in ("block_number", "log_index")}
    columns["id"] = columns["block_number"] * 0 + ident
    return told(columns, seconds)


def main():
    print(json.dumps({"duckdb": duckdb.__version__, "polars": pl.__version__}), flush=True)
    for line in sys.stdin:
        command, *rest = line.split()
        if command == "join":
            answer = told(*timed(JOIN % "false"))
        elif command == "windows":
            answer = told(*timed(WINDOW % (JOIN % "true")))
        elif command == "duckdb":
            answer = by_duckdb(int(rest[0]))
        else:
            answer = by_polars(int(rest[0]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
