"""From a cold start to the first result: the hits of one detector, as few lines as each library needs.

    python first.py duckdb|polars FOLDER ADDRESS TOPIC0
"""

import sys

WHICH, FOLDER, ADDRESS, TOPIC = sys.argv[1:]
LOGS = f"{FOLDER}/*__logs__*.parquet"
ADDRESS, TOPIC = bytes.fromhex(ADDRESS), bytes.fromhex(TOPIC)

if WHICH == "duckdb":
    import duckdb

    query = f"SELECT block_number, log_index FROM read_parquet('{LOGS}') WHERE address = ? AND topic0 = ? LIMIT 1"
    print(duckdb.execute(query, (ADDRESS, TOPIC)).fetchall(), flush=True)
else:
    import polars as pl

    rows = pl.scan_parquet(LOGS).filter((pl.col("address") == ADDRESS) & (pl.col("topic0") == TOPIC))
    print(rows.select("block_number", "log_index").head(1).collect().rows(), flush=True)
