"""Tables of our own store. Importing this package registers every one of them."""

from __future__ import annotations

from app.models.account import Account
from app.models.account_change import AccountChange
from app.models.account_scope import AccountScope
from app.models.capacity_forecast import CapacityForecast, CapacityLimit
from app.models.capacity_period import CapacityPeriod, DirtyPeriod, ExpiredSample
from app.models.capacity_rollup import CapacityResidue, CapacityRollup
from app.models.credential import Credential
from app.models.database import Database
from app.models.entitlement import Entitlement
from app.models.held_removal import HeldRemoval
from app.models.instance import Instance
from app.models.job_fire import JobFire
from app.models.job_setting import JobSetting
from app.models.log_entry import LogEntry, LogProducer
from app.models.model import Model, db
from app.models.partition_health import PartitionHealth
from app.models.partitioned_relation import PartitionedRelation
from app.models.relation import Relation
from app.models.scope_observation import ScopeObservation
from app.models.size_samples import (
    CapacityCollection,
    DatabaseSize,
    InstanceSize,
    RelationSize,
    StorageSize,
)
from app.models.storage import Storage
from app.models.task_run import TaskRun
from app.models.task_run_item import TaskRunItem
from app.models.unsized_object import UnsizedObject

__all__ = [
    "Account",
    "AccountChange",
    "AccountScope",
    "CapacityCollection",
    "CapacityForecast",
    "CapacityLimit",
    "CapacityPeriod",
    "CapacityResidue",
    "CapacityRollup",
    "Credential",
    "Database",
    "DatabaseSize",
    "DirtyPeriod",
    "Entitlement",
    "ExpiredSample",
    "HeldRemoval",
    "Instance",
    "InstanceSize",
    "JobFire",
    "JobSetting",
    "LogEntry",
    "LogProducer",
    "Model",
    "PartitionHealth",
    "PartitionedRelation",
    "Relation",
    "RelationSize",
    "ScopeObservation",
    "Storage",
    "StorageSize",
    "TaskRun",
    "TaskRunItem",
    "UnsizedObject",
    "db",
]
