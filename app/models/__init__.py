"""Tables of our own store. Importing this package registers every one of them."""

from __future__ import annotations

from app.models.account import Account
from app.models.account_change import AccountChange
from app.models.account_scope import AccountScope
from app.models.credential import Credential
from app.models.database import Database
from app.models.entitlement import Entitlement
from app.models.held_removal import HeldRemoval
from app.models.instance import Instance
from app.models.job_fire import JobFire
from app.models.job_setting import JobSetting
from app.models.model import Model, db
from app.models.scope_observation import ScopeObservation
from app.models.task_run import TaskRun
from app.models.task_run_item import TaskRunItem

__all__ = [
    "Account",
    "AccountChange",
    "AccountScope",
    "Credential",
    "Database",
    "Entitlement",
    "HeldRemoval",
    "Instance",
    "JobFire",
    "JobSetting",
    "Model",
    "ScopeObservation",
    "TaskRun",
    "TaskRunItem",
    "db",
]
