-- Who exists on every server, what they may do, what changed, and the runs that found it out.

-- What we look after ---------------------------------------------------------------------------

CREATE TABLE credentials (
    id         integer     GENERATED ALWAYS AS IDENTITY,
    name       text        NOT NULL,
    username   text        NOT NULL,
    secret     bytea       NOT NULL,  -- a MultiFernet token
    created_at timestamptz NOT NULL DEFAULT now(),
    rotated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_credentials PRIMARY KEY (id),
    CONSTRAINT uq_credentials_name UNIQUE (name)
);

CREATE TABLE instances (
    id             integer     GENERATED ALWAYS AS IDENTITY,
    name           text        NOT NULL,
    engine         text        NOT NULL,
    host           text        NOT NULL,
    port           integer     NOT NULL,
    database       text,
    tls_mode       text        NOT NULL DEFAULT 'verify-full',
    tls_ca         text,
    tags           text[]      NOT NULL DEFAULT '{}',
    credential_id  integer,
    enabled        boolean     NOT NULL DEFAULT true,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    removed_at     timestamptz,
    server_version text,
    rights         jsonb,
    CONSTRAINT pk_instances PRIMARY KEY (id),
    CONSTRAINT fk_instances_credential_id_credentials
        FOREIGN KEY (credential_id) REFERENCES credentials (id),
    CONSTRAINT ck_instances_credential_unless_removed
        CHECK (removed_at IS NOT NULL OR credential_id IS NOT NULL),
    CONSTRAINT ck_instances_port CHECK (port BETWEEN 0 AND 65535),
    CONSTRAINT ck_instances_tls_mode
        CHECK (tls_mode IN ('verify-full', 'verify-ca', 'require', 'disable'))
);
CREATE UNIQUE INDEX uq_instances_name ON instances (name) WHERE removed_at IS NULL;
CREATE INDEX ix_instances_tags ON instances USING gin (tags);
CREATE INDEX ix_instances_credential_id ON instances (credential_id);

CREATE TABLE databases (
    id            integer     GENERATED ALWAYS AS IDENTITY,
    instance_id   integer     NOT NULL,
    engine_key    text        NOT NULL,
    name          text        NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    closed_at     timestamptz,
    CONSTRAINT pk_databases PRIMARY KEY (id),
    CONSTRAINT fk_databases_instance_id_instances
        FOREIGN KEY (instance_id) REFERENCES instances (id)
);
CREATE UNIQUE INDEX uq_databases_open ON databases (instance_id, engine_key) WHERE closed_at IS NULL;

-- The ledger -----------------------------------------------------------------------------------

CREATE TABLE accounts (
    id                 bigint      GENERATED ALWAYS AS IDENTITY,
    instance_id        integer     NOT NULL,
    engine_key         text        NOT NULL,
    name               text        NOT NULL,
    kind               text        NOT NULL,
    can_login          boolean,
    locked             boolean,
    expires_at         text,
    privileged         boolean     NOT NULL,
    privileged_because text[]      NOT NULL DEFAULT '{}',
    first_seen_at      timestamptz NOT NULL DEFAULT now(),
    removed_at         timestamptz,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT fk_accounts_instance_id_instances
        FOREIGN KEY (instance_id) REFERENCES instances (id),
    CONSTRAINT ck_accounts_kind CHECK (kind IN ('user', 'role', 'system', 'public'))
);
CREATE UNIQUE INDEX uq_accounts_open ON accounts (instance_id, engine_key) WHERE removed_at IS NULL;
CREATE INDEX ix_accounts_name ON accounts (name, id);
CREATE INDEX ix_accounts_privileged ON accounts (instance_id, id)
    WHERE privileged AND removed_at IS NULL;

CREATE TABLE entitlements (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    instance_id integer     NOT NULL,
    account_id  bigint      NOT NULL,
    database_id integer,  -- NULL: the server
    valid_from  timestamptz NOT NULL,
    valid_to    timestamptz,
    digest      bytea       NOT NULL,
    facts       jsonb       NOT NULL,
    CONSTRAINT pk_entitlements PRIMARY KEY (id),
    CONSTRAINT ck_entitlements_interval CHECK (valid_to >= valid_from)
);
CREATE UNIQUE INDEX uq_entitlements_open ON entitlements (account_id, database_id)
    NULLS NOT DISTINCT WHERE valid_to IS NULL;
CREATE INDEX ix_entitlements_closed ON entitlements (account_id, valid_to)
    WHERE valid_to IS NOT NULL;
CREATE INDEX ix_entitlements_scope ON entitlements (instance_id, database_id) WHERE valid_to IS NULL;

CREATE TABLE account_scopes (
    id          integer     GENERATED ALWAYS AS IDENTITY,
    instance_id integer     NOT NULL,
    database_id integer,  -- NULL: the server
    status      text        NOT NULL,
    reason      text,
    remedy      text,
    expected    boolean     NOT NULL DEFAULT false,
    observed_at timestamptz NOT NULL,
    first_full_at timestamptz,  -- what was held before is unknown, not nothing
    full_at     timestamptz,
    full_digest bytea,
    CONSTRAINT pk_account_scopes PRIMARY KEY (id),
    CONSTRAINT fk_account_scopes_instance_id_instances
        FOREIGN KEY (instance_id) REFERENCES instances (id),
    CONSTRAINT fk_account_scopes_database_id_databases
        FOREIGN KEY (database_id) REFERENCES databases (id),
    CONSTRAINT ck_account_scopes_status
        CHECK (status IN ('full', 'partial', 'denied', 'skipped', 'failed'))
);
CREATE UNIQUE INDEX uq_account_scopes ON account_scopes (instance_id, database_id)
    NULLS NOT DISTINCT;

CREATE TABLE held_removals (
    id              integer     GENERATED ALWAYS AS IDENTITY,
    instance_id     integer     NOT NULL,
    held_at         timestamptz NOT NULL,
    account_ids     bigint[]    NOT NULL,
    accounts_before integer     NOT NULL,
    state           text        NOT NULL,
    decided_at      timestamptz,
    decided_by      text,
    CONSTRAINT pk_held_removals PRIMARY KEY (id),
    CONSTRAINT fk_held_removals_instance_id_instances
        FOREIGN KEY (instance_id) REFERENCES instances (id),
    CONSTRAINT ck_held_removals_state CHECK (state IN ('held', 'confirmed', 'returned'))
);
CREATE UNIQUE INDEX uq_held_removals_open ON held_removals (instance_id) WHERE state = 'held';

CREATE TABLE account_changes (
    id            bigint      GENERATED ALWAYS AS IDENTITY,
    occurred_at   timestamptz NOT NULL,
    run_item_id   bigint,
    instance_id   integer     NOT NULL,
    account_id    bigint,
    account_name  text,
    database_id   integer,
    database_name text,
    kind          text        NOT NULL,
    raised        boolean     NOT NULL,
    diff          jsonb       NOT NULL,
    CONSTRAINT pk_account_changes PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX ix_account_changes_instance ON account_changes (instance_id, occurred_at);
CREATE INDEX ix_account_changes_account ON account_changes (account_id, occurred_at);
CREATE INDEX ix_account_changes_raised ON account_changes (occurred_at) WHERE raised;
CREATE TABLE account_changes_default PARTITION OF account_changes DEFAULT;

CREATE TABLE scope_observations (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    observed_at timestamptz NOT NULL,
    run_item_id bigint      NOT NULL,
    instance_id integer     NOT NULL,
    database_id integer,
    scope       text        NOT NULL,
    status      text        NOT NULL,
    reason      text,
    remedy      text,
    changed     integer     NOT NULL DEFAULT 0,
    duration_ms integer     NOT NULL,
    CONSTRAINT pk_scope_observations PRIMARY KEY (id, observed_at),
    CONSTRAINT ck_scope_observations_status
        CHECK (status IN ('full', 'partial', 'denied', 'skipped', 'failed'))
) PARTITION BY RANGE (observed_at);
CREATE INDEX ix_scope_observations_item ON scope_observations (run_item_id);
CREATE INDEX ix_scope_observations_instance ON scope_observations (instance_id, observed_at);
CREATE TABLE scope_observations_default PARTITION OF scope_observations DEFAULT;

-- Runs and the schedule ------------------------------------------------------------------------

CREATE TABLE task_runs (
    id                  bigint      GENERATED ALWAYS AS IDENTITY,
    task                text        NOT NULL,
    trigger             text        NOT NULL,
    requested_by        text,
    parameters          jsonb       NOT NULL DEFAULT '{}',
    retry_of_id         bigint,
    state               text        NOT NULL DEFAULT 'queued',
    requested_at        timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    ended_at            timestamptz,
    cancel_requested_at timestamptz,
    planned_at          timestamptz,
    item_count          integer     NOT NULL DEFAULT 0,
    succeeded_count     integer     NOT NULL DEFAULT 0,
    partial_count       integer     NOT NULL DEFAULT 0,
    failed_count        integer     NOT NULL DEFAULT 0,
    cancelled_count     integer     NOT NULL DEFAULT 0,
    result              jsonb,
    error               text,
    CONSTRAINT pk_task_runs PRIMARY KEY (id),
    CONSTRAINT fk_task_runs_retry_of_id_task_runs
        FOREIGN KEY (retry_of_id) REFERENCES task_runs (id),
    CONSTRAINT ck_task_runs_state
        CHECK (state IN ('queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled'))
);
CREATE UNIQUE INDEX uq_task_runs_active ON task_runs (task) WHERE state IN ('queued', 'running');
CREATE INDEX ix_task_runs_task ON task_runs (task, id);

CREATE TABLE task_run_items (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    run_id      bigint      NOT NULL,
    instance_id integer     NOT NULL,
    state       text        NOT NULL DEFAULT 'queued',
    attempt     integer     NOT NULL DEFAULT 0,
    job_id      bigint,
    started_at  timestamptz,
    ended_at    timestamptz,
    error_code  text,
    error       text,
    coverage    jsonb,
    receipt     jsonb,
    CONSTRAINT pk_task_run_items PRIMARY KEY (id),
    CONSTRAINT fk_task_run_items_run_id_task_runs
        FOREIGN KEY (run_id) REFERENCES task_runs (id) ON DELETE CASCADE,
    CONSTRAINT fk_task_run_items_instance_id_instances
        FOREIGN KEY (instance_id) REFERENCES instances (id),
    CONSTRAINT ck_task_run_items_state
        CHECK (state IN ('queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled'))
);
CREATE UNIQUE INDEX uq_task_run_items_target ON task_run_items (run_id, instance_id);
CREATE INDEX ix_task_run_items_instance ON task_run_items (instance_id, id);
CREATE INDEX ix_task_run_items_active ON task_run_items (run_id)
    WHERE state IN ('queued', 'running');

CREATE TABLE job_settings (
    job_id          text        NOT NULL,
    task            text        NOT NULL,
    name            text        NOT NULL,
    code_cron       text        NOT NULL,
    cron            text,
    paused          boolean     NOT NULL DEFAULT false,
    effective_since timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    updated_by      text,
    CONSTRAINT pk_job_settings PRIMARY KEY (job_id)
);

CREATE TABLE job_fires (
    job_id       text        NOT NULL,
    scheduled_at timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    outcome      text        NOT NULL,
    run_id       bigint,
    CONSTRAINT pk_job_fires PRIMARY KEY (job_id, scheduled_at),
    CONSTRAINT fk_job_fires_run_id_task_runs
        FOREIGN KEY (run_id) REFERENCES task_runs (id) ON DELETE SET NULL
);
