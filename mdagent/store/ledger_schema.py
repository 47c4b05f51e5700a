"""The tables of the ledger, one step for each version of it. Instants are epoch microseconds, UTC."""

from __future__ import annotations

STEPS: tuple[str, ...] = (
    # 1
    """
    CREATE TABLE IF NOT EXISTS attempts (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL, source TEXT NOT NULL, endpoint TEXT NOT NULL, host TEXT NOT NULL, run TEXT NOT NULL,
        subject TEXT NOT NULL, cost INTEGER NOT NULL, state TEXT NOT NULL, status INTEGER, kind TEXT, detail TEXT, ms REAL, size INTEGER,
        noticed INTEGER);
    CREATE INDEX IF NOT EXISTS attempts_by_source ON attempts (source, at);
    CREATE TABLE IF NOT EXISTS blocks (
        source TEXT PRIMARY KEY, since INTEGER NOT NULL, until INTEGER NOT NULL, strikes INTEGER NOT NULL, reason TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS unknown_symbols (
        source TEXT NOT NULL, symbol TEXT NOT NULL, until INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (source, symbol));
    CREATE TABLE IF NOT EXISTS epochs (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, fingerprint TEXT NOT NULL, flat TEXT NOT NULL)
    """,
    # 2: an account is a source under one key; what was sent before keys were told apart counts for all of them
    """
    ALTER TABLE attempts ADD COLUMN account TEXT;
    ALTER TABLE attempts ADD COLUMN priority INTEGER NOT NULL DEFAULT 2;
    ALTER TABLE attempts ADD COLUMN usd REAL NOT NULL DEFAULT 0;
    ALTER TABLE attempts ADD COLUMN interval TEXT NOT NULL DEFAULT '';
    ALTER TABLE attempts ADD COLUMN unreachable INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE attempts ADD COLUMN rows INTEGER;
    ALTER TABLE attempts ADD COLUMN bad INTEGER;
    ALTER TABLE attempts ADD COLUMN score REAL;
    UPDATE attempts SET account = source;
    UPDATE attempts SET cost = 0 WHERE state = 'refunded';
    DROP INDEX attempts_by_source;
    CREATE INDEX attempts_by_account ON attempts (account, at, cost);
    CREATE INDEX attempts_paid ON attempts (at, usd, source) WHERE usd > 0;
    CREATE TABLE breakers (
        account TEXT NOT NULL, endpoint TEXT NOT NULL, state TEXT NOT NULL, generation INTEGER NOT NULL, told TEXT NOT NULL,
        PRIMARY KEY (account, endpoint)) WITHOUT ROWID;
    CREATE TABLE paces (account TEXT PRIMARY KEY, factor REAL NOT NULL, changed INTEGER, overloads INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE waiting (
        id INTEGER PRIMARY KEY, account TEXT NOT NULL, priority INTEGER NOT NULL, cost INTEGER NOT NULL, since INTEGER NOT NULL,
        until INTEGER NOT NULL, run TEXT NOT NULL, what TEXT NOT NULL, why TEXT NOT NULL);
    CREATE TABLE flights (series TEXT PRIMARY KEY, run TEXT NOT NULL, pid INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE marks (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID
    """,
    # 3: `clock` is the run of the machine in which a request went, `stamp` what the clock said first, where it was set since
    """
    ALTER TABLE attempts ADD COLUMN clock INTEGER;
    ALTER TABLE attempts ADD COLUMN stamp INTEGER;
    DROP INDEX attempts_by_account;
    CREATE INDEX attempts_by_account ON attempts (account, at, cost, noticed, stamp);
    CREATE INDEX attempts_stamped ON attempts (stamp) WHERE stamp IS NOT NULL;
    CREATE TABLE clocks (id INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, began INTEGER NOT NULL);
    ALTER TABLE paces RENAME TO old_paces;
    CREATE TABLE paces (
        account TEXT PRIMARY KEY, factor REAL NOT NULL, overloads INTEGER NOT NULL, slowed INTEGER, eased INTEGER,
        refused INTEGER) WITHOUT ROWID;
    INSERT INTO paces SELECT account, factor, overloads, changed, NULL, changed FROM old_paces;
    DROP TABLE old_paces
    """,
    # 4: how much of `usd` was paid for credits beyond the quota, and the grades of prices and volumes apart
    """
    ALTER TABLE attempts ADD COLUMN overage REAL NOT NULL DEFAULT 0;
    ALTER TABLE attempts ADD COLUMN price_score REAL;
    ALTER TABLE attempts ADD COLUMN volume_score REAL
    """,
    # 5: reports of experiments; and when a request was sent once more, for all processes have one budget of retries
    """
    CREATE TABLE drills (
        id INTEGER PRIMARY KEY, at INTEGER NOT NULL, experiment TEXT NOT NULL, seed INTEGER NOT NULL, verdict TEXT NOT NULL,
        suite TEXT NOT NULL, told TEXT NOT NULL);
    CREATE TABLE retries (source TEXT NOT NULL, at INTEGER NOT NULL)
    """,
)
VERSION = len(STEPS)
