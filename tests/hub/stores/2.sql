BEGIN TRANSACTION;
CREATE TABLE receipts (
	id INTEGER NOT NULL, 
	run TEXT NOT NULL, 
	user TEXT NOT NULL, 
	server TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	reason TEXT NOT NULL, 
	limit_bytes BIGINT NOT NULL, 
	exit_code INTEGER, 
	peak_bytes BIGINT, 
	actor TEXT NOT NULL, 
	log JSON NOT NULL, 
	allowed_seconds INTEGER, 
	extensions INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "receipts" VALUES(1,'lab-eve-1','eve','','server','2026-03-01 12:00:00.123456','exited',8589934592,1,3221225472,'','["\u00fcnicode <b>"]',NULL,0);
INSERT INTO "receipts" VALUES(2,'lab-ada-1','ada','','kernel','2026-03-01 12:00:00.123456','out_of_memory',8589934592,NULL,8589934592,'','[]',NULL,0);
CREATE TABLE runs (
	name TEXT NOT NULL, 
	user TEXT NOT NULL, 
	server TEXT NOT NULL, 
	image TEXT NOT NULL, 
	memory_bytes BIGINT NOT NULL, 
	began DATETIME NOT NULL, 
	container TEXT NOT NULL, 
	stop TEXT, 
	actor TEXT NOT NULL, 
	kills INTEGER NOT NULL, 
	cpus FLOAT DEFAULT '0' NOT NULL, 
	pids INTEGER DEFAULT '0' NOT NULL, 
	gpus INTEGER DEFAULT '0' NOT NULL, 
	shm_bytes BIGINT DEFAULT '0' NOT NULL, 
	groups JSON DEFAULT '[]' NOT NULL, 
	session_seconds INTEGER, 
	idle_seconds INTEGER, 
	extend_seconds INTEGER, 
	ends_at DATETIME, 
	extended_at DATETIME, 
	chosen_seconds INTEGER, 
	extended_seconds INTEGER DEFAULT '0' NOT NULL, 
	extensions INTEGER DEFAULT '0' NOT NULL, 
	warned_at DATETIME, 
	PRIMARY KEY (name)
);
INSERT INTO "runs" VALUES('lab-ada-1','ada','','lab/image:1',8589934592,'2026-03-01 12:00:00.123456','c0ffee',NULL,'',1,0.0,0,0,0,'[]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL);
INSERT INTO "runs" VALUES('lab-bob-1','bob','gpu','lab/image:1',4294967296,'2026-03-01 12:01:00.123456','','admin','ada',0,0.0,0,0,0,'[]',NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL);
CREATE TABLE schema (
	version INTEGER NOT NULL
);
INSERT INTO "schema" VALUES(2);
CREATE INDEX runs_of_holder ON runs (user, server);
CREATE INDEX receipts_of_run ON receipts (run);
CREATE INDEX receipts_of_user ON receipts (user, id);
CREATE UNIQUE INDEX one_end_per_run ON receipts (run) WHERE kind = 'server';
COMMIT;
