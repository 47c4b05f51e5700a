"""The two files mdagent keeps: bars.duckdb for market data, ledger.db for what processes must agree on."""
