"""The demo: real servers of our own in the ledger, as long as there is nothing else in it."""

from __future__ import annotations

from app.constants.engines import TlsMode
from app.services.credentials.credentials_service import credentials_service
from app.services.demo.fleet import MONITOR, DemoServer, Fleet
from app.services.instances.instances_service import instances_service

TAG = "demo"


class DemoService:
    """Registers the demo fleet like any other servers."""

    def only_demo_registered(self) -> bool:
        """Tell whether no instance is registered but those of an earlier demo."""
        return all(TAG in row.tags for row in instances_service.list_instances())

    def register(self, fleet: Fleet) -> list[str]:
        """Make the ledger know the servers of the fleet that it does not know yet.

        Returns:
            The names of those that were added.

        """
        known = {row.name: row for row in instances_service.list_instances(tags=[TAG])}
        added = []
        for server in fleet.servers:
            row = known.get(server.name)
            if row is None:
                self._add(server)
                added.append(server.name)
            elif (row.host, row.port, row.state) != (server.host, server.port, "enabled"):
                instances_service.edit(
                    server.name, host=server.host, port=server.port, enabled=True
                )
        return added

    def stand_down(self) -> list[str]:
        """Keep the servers of an earlier demo out of runs, because nobody starts them any more.

        Returns:
            The names of those that took part until now; their ledger stays.

        """
        names = [row.name for row in instances_service.list_instances(tags=[TAG], state="enabled")]
        for name in names:
            instances_service.disable(name)
        return names

    def _add(self, server: DemoServer) -> None:
        known = {row.name for row in credentials_service.list_credentials()}
        if server.name in known:
            credentials_service.rotate(server.name, server.password)
        else:
            credentials_service.add(server.name, MONITOR, server.password)
        instances_service.add(
            name=server.name,
            engine=server.engine.value,
            host=server.host,
            port=server.port,
            credential=server.name,
            tls_mode=TlsMode.DISABLE.value,
            tags=[TAG],
        )


demo_service = DemoService()
