"""How a store that an older labhub wrote becomes one of today. Pure data.

Each step leads from the version before to its own, adds what that one knows more, and takes
nothing away. All steps of an opening are one transaction: a store is of one version, always.
New tables need no step, they are made where they are missing, unless a later step changes them.
"""

STEPS: dict[int, tuple[str, ...]] = {
    2: (  # what a run may use, and until when
        "ALTER TABLE runs ADD COLUMN cpus FLOAT DEFAULT '0' NOT NULL",
        "ALTER TABLE runs ADD COLUMN pids INTEGER DEFAULT '0' NOT NULL",
        "ALTER TABLE runs ADD COLUMN gpus INTEGER DEFAULT '0' NOT NULL",
        "ALTER TABLE runs ADD COLUMN shm_bytes BIGINT DEFAULT '0' NOT NULL",
        "ALTER TABLE runs ADD COLUMN groups JSON DEFAULT '[]' NOT NULL",
        "ALTER TABLE runs ADD COLUMN session_seconds INTEGER",
        "ALTER TABLE runs ADD COLUMN idle_seconds INTEGER",
        "ALTER TABLE runs ADD COLUMN extend_seconds INTEGER",
        "ALTER TABLE runs ADD COLUMN ends_at DATETIME",
        "ALTER TABLE runs ADD COLUMN extended_at DATETIME",
        "ALTER TABLE runs ADD COLUMN chosen_seconds INTEGER",
        "ALTER TABLE runs ADD COLUMN extended_seconds INTEGER DEFAULT '0' NOT NULL",
        "ALTER TABLE runs ADD COLUMN extensions INTEGER DEFAULT '0' NOT NULL",
        "ALTER TABLE runs ADD COLUMN warned_at DATETIME",
        "ALTER TABLE receipts ADD COLUMN allowed_seconds INTEGER",
        "ALTER TABLE receipts ADD COLUMN extensions INTEGER DEFAULT '0' NOT NULL",
    ),
    3: (  # which GPUs a run has
        "ALTER TABLE runs ADD COLUMN devices JSON DEFAULT '[]' NOT NULL",
    ),
    4: (  # how it came to them; and the queue
        "ALTER TABLE runs ADD COLUMN late BOOLEAN DEFAULT '0' NOT NULL",
        "ALTER TABLE runs ADD COLUMN offered DATETIME",
        "CREATE TABLE tickets (id INTEGER NOT NULL, user TEXT NOT NULL, server TEXT NOT NULL, "
        "since DATETIME NOT NULL, gpus INTEGER NOT NULL, cpus FLOAT NOT NULL, "
        "memory_bytes BIGINT NOT NULL, pids INTEGER NOT NULL, asked_seconds INTEGER, "
        "groups JSON NOT NULL, options JSON NOT NULL, rank INTEGER NOT NULL, lost_at DATETIME, "
        "PRIMARY KEY (id), UNIQUE (user, server))",
    ),
    5: (  # which budget of GPU time ended it
        "ALTER TABLE runs ADD COLUMN spent JSON",
        "ALTER TABLE receipts ADD COLUMN spent JSON",
    ),
    6: (  # which rows changed
        "ALTER TABLE runs ADD COLUMN stamp BIGINT DEFAULT '0' NOT NULL",
        "CREATE TRIGGER runs_stamp AFTER UPDATE ON runs BEGIN "
        "UPDATE runs SET stamp = random() WHERE rowid = new.rowid; END",
        "ALTER TABLE tickets ADD COLUMN stamp BIGINT DEFAULT '0' NOT NULL",
        "CREATE TRIGGER tickets_stamp AFTER UPDATE ON tickets BEGIN "
        "UPDATE tickets SET stamp = random() WHERE rowid = new.rowid; END",
    ),
}
# The version that this labhub writes.
SCHEMA = max(STEPS)


def steps_from(version: int) -> tuple[str, ...]:
    """Return the statements that lead from a version to today's, in order."""
    return tuple(step for each in sorted(STEPS) if each > version for step in STEPS[each])
