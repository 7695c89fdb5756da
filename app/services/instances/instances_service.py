"""Instances: the servers that we look after, and whether we can reach them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError

from app.config import current_settings
from app.constants.engines import Engine, TlsMode
from app.constants.reading import FailureKind
from app.models import Credential, Instance, db
from app.repositories import credentials, instances
from app.repositories.remote.facts import ReadError, Target
from app.services.instances.connection import Step, connection_steps
from app.services.instances.csv_import import LineVerdict, read_lines, with_store
from app.services.instances.rows import InstanceRow, row_of
from app.services.instances.validation import InstanceSpec, check_instance
from app.utils.refusal import NotFound, Refused
from app.utils.secrets import SecretsError, decrypt

STATES = ("enabled", "disabled", "removed")


@dataclass(frozen=True)
class Removal:
    """What the removal of an instance keeps and lets go of."""

    name: str
    accounts_kept: int
    """Accounts that the ledger held as existing; their history stays."""
    credential: str | None
    """Which it logged in with; it stays until it is removed itself."""


@dataclass(frozen=True)
class Import:
    """What an import found and did."""

    lines: list[LineVerdict]
    added: int
    """0 if nothing was written."""


class InstancesService:
    """Keeps the list of servers; nothing that it answers, logs or raises holds a password."""

    def add(self, **fields: Any) -> InstanceRow:
        """Register a server; the fields are those of ``InstanceSpec``, most have a default.

        Raises:
            Invalid: Values are not usable; it names each.
            Refused: The name is taken, or there is no such credential.

        """
        spec = check_instance(fields)
        instance = Instance()
        _apply(instance, spec, _credential_named(spec.credential))
        db.session.add(instance)
        return self._written(instance)

    def list_instances(
        self, *, tags: Sequence[str] = (), engine: str | None = None, state: str | None = None
    ) -> list[InstanceRow]:
        """Return instances by name; without a state all but the removed ones."""
        found = instances.search(
            db.session,
            tags=tags,
            engine=engine,
            enabled=None if state in {None, "removed"} else state == "enabled",
            removed=state == "removed",
        )
        return [row_of(instance) for instance in found]

    def get(self, name: str) -> InstanceRow:
        """Return one instance, or raise NotFound."""
        return row_of(_get(name))

    def edit(self, name: str, /, **changes: Any) -> InstanceRow:
        """Change some fields; ``tls_ca=""`` and ``database=""`` unset theirs.

        Raises:
            NotFound: There is no such instance.
            Invalid: Values are not usable; it names each.
            Refused: The new name is taken, the credential unknown, or the engine fixed.

        """
        instance = _get(name, lock=True)
        fields = asdict(_spec_of(instance)) | changes
        spec = check_instance(fields)
        if spec.engine != instance.engine and instance.server_version is not None:
            db.session.rollback()
            raise Refused(
                f"{name} has been read as {instance.engine} before; its ledger is of that engine",
                f"Add the other server under a name of its own, and remove {name}.",
            )
        _apply(instance, spec, _credential_named(spec.credential))
        return self._written(instance)

    def enable(self, name: str) -> InstanceRow:
        """Let an instance take part in runs again, or raise NotFound."""
        return self.edit(name, enabled=True)

    def disable(self, name: str) -> InstanceRow:
        """Keep an instance out of runs; its ledger stays as it is. Raises NotFound."""
        return self.edit(name, enabled=False)

    def removal_of(self, name: str) -> Removal:
        """Return what ``remove`` would keep, or raise NotFound."""
        return _removal_of(_get(name))

    def remove(self, name: str) -> Removal:
        """Stop looking after a server. Its ledger stays readable and its name is free again.

        Raises:
            NotFound: There is no such instance.

        """
        instance = _get(name, lock=True)
        removal = _removal_of(instance)
        instance.removed_at = func.now()
        instance.updated_at = func.now()
        instance.enabled = False
        instance.credential = None
        db.session.commit()
        return removal

    def import_csv(
        self, content: bytes, *, folder: Path, skip_bad: bool = False, dry_run: bool = False
    ) -> Import:
        """Register every server of a CSV file, or none.

        Args:
            content: The file. Columns and what they hold: ``csv_import.COLUMNS``.
            folder: Where relative paths of CA files begin.
            skip_bad: Register the good lines although others are bad.
            dry_run: Only judge the lines.

        Raises:
            Refused: The file as a whole is not usable.

        """
        ids = credentials.ids_by_name(db.session)
        lines = read_lines(content, folder)
        taken = instances.by_names(db.session, [line.name for line in lines if line.name])
        lines = with_store(lines, taken_names=set(taken), credential_names=set(ids))
        bad = any(line.problems for line in lines)
        if dry_run or (bad and not skip_bad):
            db.session.rollback()
            return Import(lines, 0)
        good = [line.spec for line in lines if line.spec is not None and not line.problems]
        for spec in good:
            instance = Instance()
            _apply(instance, spec, None)
            instance.credential_id = ids[spec.credential]
            db.session.add(instance)
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            raise Refused(
                "somebody else registered one of these instances at this moment",
                "Nothing was written: import again, and the line in question will be named.",
            ) from None
        return Import(lines, len(good))

    def test(
        self, name: str, *, progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Step]:
        """Return the steps of a connection to an instance, as they end.

        Raises:
            NotFound: There is no such instance.
            ReadError: Its password cannot be decrypted.

        """
        instance = _get(name)
        target = self.target_of(instance)
        db.session.rollback()  # hold no snapshot while a server keeps us waiting
        return connection_steps(name, target, progress=progress)

    def ids_of(self, *, names: Sequence[str] = (), tags: Sequence[str] = ()) -> list[int]:
        """Return the ids of the named instances and of the enabled ones that carry every tag.

        Raises:
            NotFound: A name is not known, or nothing enabled carries the tags.
            Refused: A named instance is disabled.

        """
        known = instances.by_names(db.session, names)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise NotFound(
                f"there is no instance named {', '.join(unknown)}",
                "whalefall instance list shows them all.",
            )
        for name, instance in known.items():
            if not instance.enabled:
                raise Refused(f"{name} is disabled", f"whalefall instance enable {name}")
        ids = {instance.id for instance in known.values()}
        if tags:
            tagged = instances.search(db.session, tags=tags, enabled=True)
            if not tagged:
                raise NotFound(
                    f"no enabled instance carries the tags {', '.join(tags)}",
                    "whalefall instance list shows the tags of each.",
                )
            ids.update(instance.id for instance in tagged)
        return sorted(ids)

    def target_of(self, instance: Instance) -> Target:
        """Return where and how to log in to an instance.

        Raises:
            ReadError: It was removed, or its password cannot be decrypted.

        """
        credential = instance.credential
        if credential is None:
            raise ReadError(
                FailureKind.LOGIN,
                f"{instance.name} was removed and has no credential any more",
                "Add it again: whalefall instance add …",
            )
        try:
            password = decrypt(credential.secret)
        except SecretsError:
            raise ReadError(
                FailureKind.LOGIN,
                f"the password of credential {credential.name} cannot be decrypted with our keys",
                "Restore the encryption key file that it was stored with, or store it again: "
                f"whalefall credential rotate {credential.name}",
            ) from None
        settings = current_settings()
        return Target(
            engine=Engine(instance.engine),
            host=instance.host,
            port=instance.port,
            username=credential.username,
            password=password,
            database=instance.database,
            tls_mode=TlsMode(instance.tls_mode),
            tls_ca=instance.tls_ca,
            connect_timeout_seconds=settings.connect_timeout_seconds,
            statement_timeout_seconds=settings.statement_timeout_seconds,
            lock_timeout_seconds=settings.lock_timeout_seconds,
        )

    def _written(self, instance: Instance) -> InstanceRow:
        name = instance.name
        try:
            db.session.flush()
        except IntegrityError as error:
            db.session.rollback()
            if "uq_instances_name" not in str(error.orig):
                raise
            raise Refused(
                f"an instance named {name} exists already",
                f"Choose another name, or change it: whalefall instance edit {name}",
            ) from None
        db.session.refresh(instance)
        row = row_of(instance)
        db.session.commit()
        return row


def _get(name: str, *, lock: bool = False) -> Instance:
    instance = instances.find(db.session, name, lock=lock)
    if instance is None:
        raise NotFound(
            f"there is no instance named {name}", "whalefall instance list shows them all."
        )
    return instance


def _credential_named(name: str) -> Credential:
    credential = credentials.find(db.session, name)
    if credential is None:
        raise NotFound(
            f"there is no credential named {name}",
            f"Make it: whalefall credential add {name} --username USER",
        )
    return credential


def _spec_of(instance: Instance) -> InstanceSpec:
    return InstanceSpec(
        name=instance.name,
        engine=Engine(instance.engine),
        host=instance.host,
        port=instance.port,
        database=instance.database,
        tls_mode=TlsMode(instance.tls_mode),
        tls_ca=instance.tls_ca,
        tags=tuple(instance.tags),
        credential=instance.credential.name if instance.credential else "",
        enabled=instance.enabled,
    )


def _apply(instance: Instance, spec: InstanceSpec, credential: Credential | None) -> None:
    instance.name = spec.name
    instance.engine = spec.engine.value
    instance.host = spec.host
    instance.port = spec.port
    instance.database = spec.database
    instance.tls_mode = spec.tls_mode.value
    instance.tls_ca = spec.tls_ca
    instance.tags = list(spec.tags)
    instance.enabled = spec.enabled
    instance.updated_at = func.now()
    if credential is not None:
        instance.credential = credential


def _removal_of(instance: Instance) -> Removal:
    return Removal(
        instance.name,
        instances.open_account_count(db.session, instance.id),
        instance.credential.name if instance.credential else None,
    )


instances_service = InstancesService()
