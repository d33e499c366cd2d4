BEGIN TRANSACTION;
CREATE TABLE drains (
	device TEXT NOT NULL, 
	since DATETIME NOT NULL, 
	actor TEXT NOT NULL, 
	PRIMARY KEY (device)
);
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
	spent JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "receipts" VALUES(1,'lab-eve-1','eve','','server','2026-03-01 12:00:00.123456','exited',8589934592,1,3221225472,'','["\u00fcnicode <b>"]',NULL,0,NULL);
INSERT INTO "receipts" VALUES(2,'lab-ada-1','ada','','kernel','2026-03-01 12:00:00.123456','out_of_memory',8589934592,NULL,8589934592,'','[]',NULL,0,NULL);
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
	devices JSON DEFAULT '[]' NOT NULL, 
	late BOOLEAN DEFAULT '0' NOT NULL, 
	offered DATETIME, 
	session_seconds INTEGER, 
	idle_seconds INTEGER, 
	extend_seconds INTEGER, 
	ends_at DATETIME, 
	extended_at DATETIME, 
	chosen_seconds INTEGER, 
	extended_seconds INTEGER DEFAULT '0' NOT NULL, 
	extensions INTEGER DEFAULT '0' NOT NULL, 
	warned_at DATETIME, 
	spent JSON, 
	PRIMARY KEY (name)
);
INSERT INTO "runs" VALUES('lab-ada-1','ada','','lab/image:1',8589934592,'2026-03-01 12:00:00.123456','c0ffee',NULL,'',1,0.0,0,0,0,'[]','[]',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL);
INSERT INTO "runs" VALUES('lab-bob-1','bob','gpu','lab/image:1',4294967296,'2026-03-01 12:01:00.123456','','admin','ada',0,0.0,0,0,0,'[]','[]',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL);
CREATE TABLE schema (
	version INTEGER NOT NULL
);
INSERT INTO "schema" VALUES(5);
CREATE TABLE tickets (
	id INTEGER NOT NULL, 
	user TEXT NOT NULL, 
	server TEXT NOT NULL, 
	since DATETIME NOT NULL, 
	gpus INTEGER NOT NULL, 
	cpus FLOAT NOT NULL, 
	memory_bytes BIGINT NOT NULL, 
	pids INTEGER NOT NULL, 
	asked_seconds INTEGER, 
	groups JSON NOT NULL, 
	options JSON NOT NULL, 
	rank INTEGER NOT NULL, 
	lost_at DATETIME, 
	PRIMARY KEY (id), 
	UNIQUE (user, server)
);
INSERT INTO "tickets" VALUES(1,'eve','night','2026-03-01 12:00:00.123456',1,2.0,1073741824,64,3600,'["staff"]','{"gpus": 1}',0,NULL);
CREATE TABLE uses (
	id INTEGER NOT NULL, 
	run TEXT NOT NULL, 
	user TEXT NOT NULL, 
	server TEXT NOT NULL, 
	groups JSON NOT NULL, 
	gpus INTEGER NOT NULL, 
	devices JSON NOT NULL, 
	cpus FLOAT NOT NULL, 
	memory_bytes BIGINT NOT NULL, 
	since DATETIME NOT NULL, 
	until DATETIME, 
	PRIMARY KEY (id)
);
INSERT INTO "uses" VALUES(1,'lab-ada-1','ada','','[]',0,'[]',0.0,8589934592,'2026-03-01 12:00:00.123456',NULL);
INSERT INTO "uses" VALUES(2,'lab-bob-1','bob','gpu','[]',0,'[]',0.0,4294967296,'2026-03-01 12:01:00.123456',NULL);
INSERT INTO "uses" VALUES(3,'lab-eve-1','eve','','[]',0,'[]',0.0,8589934592,'2026-03-01 12:00:00.123456','2026-03-01 12:00:00.123456');
CREATE INDEX runs_of_holder ON runs (user, server);
CREATE INDEX receipts_of_user ON receipts (user, id);
CREATE INDEX receipts_of_run ON receipts (run);
CREATE UNIQUE INDEX one_end_per_run ON receipts (run) WHERE kind = 'server';
CREATE INDEX uses_of_user ON uses (user, until);
CREATE UNIQUE INDEX one_open_use_per_run ON uses (run) WHERE until IS NULL;
CREATE INDEX uses_by_end ON uses (until);
COMMIT;
