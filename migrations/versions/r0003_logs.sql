-- What WhaleFall itself said, class by class, so that errors outlive chatter.

-- Who writes log entries: one row a process, with how far its entries have arrived
CREATE TABLE log_producers (
    id            bigint      GENERATED ALWAYS AS IDENTITY,
    token         uuid        NOT NULL,
    host          text        NOT NULL,
    process_id    integer     NOT NULL,
    started_at    timestamptz NOT NULL,
    last_sequence bigint      NOT NULL DEFAULT 0,
    last_entry_at timestamptz,
    lost_count    bigint      NOT NULL DEFAULT 0,
    CONSTRAINT pk_log_producers PRIMARY KEY (id),
    CONSTRAINT uq_log_producers_token UNIQUE (token)
);

CREATE TABLE log_entries (
    occurred_at    timestamptz NOT NULL,
    producer_id    bigint      NOT NULL,
    sequence       bigint      NOT NULL,
    fingerprint    bigint,  -- equal for identical errors of many targets
    run_id         bigint,
    item_id        bigint,
    instance_id    integer,
    severity_class text        NOT NULL,
    level          text        NOT NULL,
    logger         text        NOT NULL,
    module         text,
    event          text        NOT NULL,
    fields         jsonb,
    traceback      text,
    CONSTRAINT ck_log_entries_severity_class CHECK (severity_class IN ('info', 'warning', 'error'))
) PARTITION BY LIST (severity_class);
CREATE TABLE log_entries_info PARTITION OF log_entries
    FOR VALUES IN ('info') PARTITION BY RANGE (occurred_at);
CREATE TABLE log_entries_info_default PARTITION OF log_entries_info DEFAULT;
CREATE TABLE log_entries_warning PARTITION OF log_entries
    FOR VALUES IN ('warning') PARTITION BY RANGE (occurred_at);
CREATE TABLE log_entries_warning_default PARTITION OF log_entries_warning DEFAULT;
CREATE TABLE log_entries_error PARTITION OF log_entries
    FOR VALUES IN ('error') PARTITION BY RANGE (occurred_at);
CREATE TABLE log_entries_error_default PARTITION OF log_entries_error DEFAULT;
CREATE INDEX ix_log_entries_time ON log_entries (occurred_at);
CREATE INDEX ix_log_entries_run ON log_entries (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX ix_log_entries_fingerprint ON log_entries (fingerprint, occurred_at)
    WHERE fingerprint IS NOT NULL;
CREATE INDEX ix_log_entries_instance ON log_entries (instance_id, occurred_at)
    WHERE instance_id IS NOT NULL;

-- Old runs are deleted: whoever points to one is found without reading everything
CREATE INDEX ix_task_runs_retry_of_id ON task_runs (retry_of_id) WHERE retry_of_id IS NOT NULL;
CREATE INDEX ix_job_fires_run_id ON job_fires (run_id) WHERE run_id IS NOT NULL;
