-- How big everything is, how it grew, when it is full, and what could not be sized.

-- What has a size ----------------------------------------------------------------------------------

ALTER TABLE databases
    ADD COLUMN sized_at     timestamptz,  -- of its last row in database_sizes
    ADD COLUMN relations_at timestamptz;  -- of its last rows in relation_sizes

CREATE TABLE relations (
    id            integer     GENERATED ALWAYS AS IDENTITY,
    database_id   integer     NOT NULL,
    engine_key    text        NOT NULL,
    schema_name   text,
    name          text        NOT NULL,
    kind          text        NOT NULL,
    parent_id     integer,  -- the partitioned table that it is a part of
    first_seen_at timestamptz NOT NULL,
    closed_at     timestamptz,
    CONSTRAINT pk_relations PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_relations_open ON relations (database_id, engine_key)
    WHERE closed_at IS NULL;
CREATE INDEX ix_relations_parent_id ON relations (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE storages (
    id            integer     GENERATED ALWAYS AS IDENTITY,
    instance_id   integer     NOT NULL,
    kind          text        NOT NULL,
    engine_key    text        NOT NULL,
    name          text        NOT NULL,
    first_seen_at timestamptz NOT NULL,
    closed_at     timestamptz,
    sized_at      timestamptz,  -- of its last row in storage_sizes
    CONSTRAINT pk_storages PRIMARY KEY (id),
    CONSTRAINT fk_storages_instance_id_instances
        FOREIGN KEY (instance_id) REFERENCES instances (id),
    CONSTRAINT ck_storages_kind CHECK (kind IN ('tablespace', 'volume'))
);
CREATE UNIQUE INDEX uq_storages_open ON storages (instance_id, kind, engine_key)
    WHERE closed_at IS NULL;

-- What each collection found -----------------------------------------------------------------------

CREATE TABLE capacity_collections (
    collected_at timestamptz NOT NULL,  -- also of every size that it found
    instance_id  integer     NOT NULL,
    run_item_id  bigint      NOT NULL,
    ended_at     timestamptz,
    CONSTRAINT pk_capacity_collections PRIMARY KEY (instance_id, collected_at)
) PARTITION BY RANGE (collected_at);
CREATE INDEX ix_capacity_collections_item ON capacity_collections (run_item_id);
CREATE TABLE capacity_collections_default PARTITION OF capacity_collections DEFAULT;

CREATE TABLE instance_sizes (
    collected_at      timestamptz NOT NULL,
    total_bytes       bigint,  -- NULL: not all of it is known
    known_bytes       bigint      NOT NULL,
    instance_id       integer     NOT NULL,
    database_count    integer     NOT NULL,
    unsized_databases integer     NOT NULL
) PARTITION BY RANGE (collected_at);
CREATE INDEX ix_instance_sizes_instance ON instance_sizes (instance_id, collected_at);
CREATE TABLE instance_sizes_default PARTITION OF instance_sizes DEFAULT;

CREATE TABLE database_sizes (
    collected_at        timestamptz NOT NULL,
    total_bytes         bigint      NOT NULL,
    data_bytes          bigint,
    index_bytes         bigint,
    free_bytes          bigint,
    allocated_bytes     bigint,
    error_bytes         bigint,  -- by how much the sizes of its relations may be wrong together
    instance_id         integer     NOT NULL,
    database_id         integer     NOT NULL,
    relation_count      integer,  -- NULL: its relations could not be listed
    exact_relations     integer,
    estimated_relations integer,
    unsized_relations   integer
) PARTITION BY RANGE (collected_at);
CREATE INDEX ix_database_sizes_database ON database_sizes (database_id, collected_at);
CREATE INDEX ix_database_sizes_instance ON database_sizes (instance_id, collected_at);
CREATE TABLE database_sizes_default PARTITION OF database_sizes DEFAULT;

CREATE TABLE relation_sizes (
    collected_at    timestamptz NOT NULL,
    exact_at        timestamptz,  -- when it was measured; NULL: never, this is an estimate
    total_bytes     bigint      NOT NULL,
    data_bytes      bigint,
    toast_bytes     bigint,
    index_bytes     bigint,
    free_bytes      bigint,
    allocated_bytes bigint,
    row_estimate    bigint,
    change_mark     bigint,  -- equal marks: the engine saw no change in between
    database_id     integer     NOT NULL,
    relation_id     integer     NOT NULL
) PARTITION BY RANGE (collected_at);
CREATE INDEX ix_relation_sizes_database ON relation_sizes (database_id, collected_at);
CREATE TABLE relation_sizes_default PARTITION OF relation_sizes DEFAULT;

CREATE TABLE storage_sizes (
    collected_at timestamptz NOT NULL,
    used_bytes   bigint      NOT NULL,
    free_bytes   bigint,
    limit_bytes  bigint,  -- what it can hold at most; NULL: not known, or without a limit of its own
    instance_id  integer     NOT NULL,
    storage_id   integer     NOT NULL
) PARTITION BY RANGE (collected_at);
CREATE INDEX ix_storage_sizes_storage ON storage_sizes (storage_id, collected_at);
CREATE TABLE storage_sizes_default PARTITION OF storage_sizes DEFAULT;

-- What could not be sized, as of the last collection: an unknown, not a zero
CREATE TABLE unsized_objects (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    instance_id integer     NOT NULL,
    database_id integer,  -- NULL: the instance itself, or one of its storages
    relation_id integer,  -- NULL: the database itself
    name        text        NOT NULL,
    kind        text        NOT NULL,
    reason_code text        NOT NULL,
    reason      text        NOT NULL,
    remedy      text,
    since       timestamptz NOT NULL,
    observed_at timestamptz NOT NULL,
    CONSTRAINT pk_unsized_objects PRIMARY KEY (id)
);
CREATE UNIQUE INDEX uq_unsized_objects ON unsized_objects
    (instance_id, database_id, relation_id, kind, name) NULLS NOT DISTINCT;

-- Health of partitioned tables on the servers, as of the last collection
CREATE TABLE partitioned_relations (
    relation_id      integer     NOT NULL,
    strategy         text        NOT NULL,
    partition_count  integer     NOT NULL,
    key_definition   text        NOT NULL,
    last_partition   text,
    last_bound       text,
    last_bound_at    timestamptz,  -- the last bound, where it is a moment
    default_name     text,
    default_rows     bigint,  -- an estimate of the engine's; NULL: no default, or not known
    observed_at      timestamptz NOT NULL,
    CONSTRAINT pk_partitioned_relations PRIMARY KEY (relation_id)
);

-- Aggregates ---------------------------------------------------------------------------------------

CREATE TABLE capacity_rollups (
    start_on    date        NOT NULL,
    instance_id integer     NOT NULL,
    object_id   integer     NOT NULL,
    period      text        NOT NULL,
    scope       text        NOT NULL,
    seen        integer     NOT NULL,
    expected    integer     NOT NULL,
    estimated   integer     NOT NULL,
    sum_bytes   numeric,
    min_bytes   bigint,
    max_bytes   bigint,
    first_bytes bigint,
    first_at    timestamptz,
    last_bytes  bigint,
    last_at     timestamptz,
    CONSTRAINT pk_capacity_rollups PRIMARY KEY (object_id, start_on, scope, period),
    CONSTRAINT ck_capacity_rollups_period CHECK (period IN ('day', 'week', 'month', 'quarter')),
    CONSTRAINT ck_capacity_rollups_scope
        CHECK (scope IN ('instance', 'database', 'relation', 'storage'))
) PARTITION BY LIST (period);
CREATE TABLE capacity_rollups_day PARTITION OF capacity_rollups
    FOR VALUES IN ('day') PARTITION BY RANGE (start_on);
CREATE TABLE capacity_rollups_day_default PARTITION OF capacity_rollups_day DEFAULT;
CREATE TABLE capacity_rollups_week PARTITION OF capacity_rollups
    FOR VALUES IN ('week') PARTITION BY RANGE (start_on);
CREATE TABLE capacity_rollups_week_default PARTITION OF capacity_rollups_week DEFAULT;
CREATE TABLE capacity_rollups_month PARTITION OF capacity_rollups
    FOR VALUES IN ('month') PARTITION BY RANGE (start_on);
CREATE TABLE capacity_rollups_month_default PARTITION OF capacity_rollups_month DEFAULT;
CREATE TABLE capacity_rollups_quarter PARTITION OF capacity_rollups
    FOR VALUES IN ('quarter') PARTITION BY RANGE (start_on);
CREATE TABLE capacity_rollups_quarter_default PARTITION OF capacity_rollups_quarter DEFAULT;
CREATE INDEX ix_capacity_rollups_start ON capacity_rollups USING brin (start_on);

CREATE TABLE capacity_periods (
    period      text        NOT NULL,
    start_on    date        NOT NULL,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    computed_at timestamptz NOT NULL,
    sealed_at   timestamptz,
    expired_at  timestamptz,  -- since when not all is there any more that it was computed from
    CONSTRAINT pk_capacity_periods PRIMARY KEY (period, start_on),
    CONSTRAINT ck_capacity_periods_period CHECK (period IN ('day', 'week', 'month', 'quarter'))
);

-- What has to be computed (again). Only inserted and deleted: whoever computes takes the marks that
-- he sees, and those of a transaction that has not ended yet stay for the next time.
CREATE TABLE dirty_periods (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    period      text        NOT NULL,
    start_on    date        NOT NULL,
    instance_id integer     NOT NULL,
    marked_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_dirty_periods PRIMARY KEY (id),
    CONSTRAINT ck_dirty_periods_period CHECK (period IN ('day', 'week', 'month', 'quarter'))
);
CREATE INDEX ix_dirty_periods_period ON dirty_periods (period, start_on);

-- Of which days rows of which table of samples are gone with their partitions
CREATE TABLE expired_samples (
    table_name text        NOT NULL,
    start_on   date        NOT NULL,
    whole      boolean     NOT NULL,  -- false: a part of the day's rows is still there
    expired_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_expired_samples PRIMARY KEY (start_on, table_name)
);

-- The states of what is gone of such a part-expired day, to be merged with the rows that are left
CREATE TABLE capacity_residues (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    table_name  text        NOT NULL,
    start_on    date        NOT NULL,
    instance_id integer     NOT NULL,
    object_id   integer     NOT NULL,
    scope       text        NOT NULL,
    seen        integer     NOT NULL,
    expected    integer     NOT NULL,
    estimated   integer     NOT NULL,
    sum_bytes   numeric,
    min_bytes   bigint,
    max_bytes   bigint,
    first_bytes bigint,
    first_at    timestamptz,
    last_bytes  bigint,
    last_at     timestamptz,
    CONSTRAINT pk_capacity_residues PRIMARY KEY (id)
);
CREATE INDEX ix_capacity_residues_start ON capacity_residues (start_on, table_name);

-- Forecast -----------------------------------------------------------------------------------------

CREATE TABLE capacity_limits (
    scope       text        NOT NULL,
    object_id   integer     NOT NULL,
    limit_bytes bigint      NOT NULL,
    set_at      timestamptz NOT NULL DEFAULT now(),
    set_by      text,
    CONSTRAINT pk_capacity_limits PRIMARY KEY (scope, object_id),
    CONSTRAINT ck_capacity_limits_scope CHECK (scope IN ('instance', 'database', 'storage')),
    CONSTRAINT ck_capacity_limits_limit_bytes CHECK (limit_bytes > 0)
);

CREATE TABLE capacity_forecasts (
    scope            text             NOT NULL,
    object_id        integer          NOT NULL,
    instance_id      integer          NOT NULL,
    computed_at      timestamptz      NOT NULL,
    as_of            date             NOT NULL,
    current_bytes    bigint,
    limit_bytes      bigint,
    limit_source     text,
    status           text             NOT NULL,
    reason           text,
    bytes_per_day    double precision,
    days_to_limit    double precision,
    days_earliest    double precision,
    days_latest      double precision,
    history_days     integer          NOT NULL,
    regime_since     date,  -- the last step or change of slope; NULL: there was none
    backtest_error   double precision,  -- median absolute percentage error of the largest size, over held-out days
    backtest_count   integer,
    CONSTRAINT pk_capacity_forecasts PRIMARY KEY (scope, object_id),
    CONSTRAINT ck_capacity_forecasts_scope CHECK (scope IN ('instance', 'database', 'storage')),
    CONSTRAINT ck_capacity_forecasts_status
        CHECK (status IN ('fills', 'stable', 'shrinks', 'full', 'no_limit', 'cannot_say'))
);
CREATE INDEX ix_capacity_forecasts_days ON capacity_forecasts (days_to_limit)
    WHERE days_to_limit IS NOT NULL;

-- Partitions of our own tables ---------------------------------------------------------------------

CREATE TABLE partition_health (
    table_name      text        NOT NULL,
    measured_at     timestamptz NOT NULL,
    partition_count integer     NOT NULL,
    runway_days     integer     NOT NULL,
    default_rows    bigint      NOT NULL,
    total_bytes     bigint      NOT NULL,
    oldest_at       timestamptz,
    problem         text,
    CONSTRAINT pk_partition_health PRIMARY KEY (table_name)
);
