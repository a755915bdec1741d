"""Blows against a cluster, in an order that a seed decides: kills, stops, cuts and restarts.

A blow falls only while every job that lost a worker before has ended, and nobody dead or stopped
holds a lease. So hardly any job loses two workers (one that is taken back between the look and
the blow) and none loses three, which would rightly make it `poison`; and a test may demand that
every job is completed, whatever the seed and however slow the machine: chance decides what is
hit and when, never whether the verdict is fair.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from tests.cluster.nodes import Node
from tests.cluster.topology import Cluster
from tests.program import wait_until

LEASE_SECONDS = 6.0
"""Long enough for a worker on a crowded machine; short enough for a test."""
FLUSH = b"H\0\0\0\x04"
"""The message of PostgreSQL's protocol that ends what a statement is; the one that says that it be
run comes after the answer. Sent where a connection runs a statement for the first time."""


class Chaos:
    def __init__(self, cluster: Cluster, seed: int) -> None:
        self._cluster = cluster
        self._chance = random.Random(seed)
        self._lost: set[str] = set()
        """Worker ids that will renew no lease again, or not for now."""
        self._down: list[Node] = []
        self.told: list[str] = []
        """What was done, for a test that fails."""

    def run(self) -> None:
        """All blows, each kind at least once; every node runs at the end."""
        blows: list[Callable[[], None]] = [
            *[self._kill_worker] * 6,
            *[self._stop_worker] * 4,
            *[self._pause_worker] * 3,
            *[self._cut_worker_off] * 4,
            *[self._drain_worker] * 2,
            *[self._kill_api] * 2,
            lambda: self._restart_postgres(is_killed=False),
            lambda: self._restart_postgres(is_killed=True),
            self._restart_redis,
        ]
        self._chance.shuffle(blows)
        for blow in blows:
            wait_until(self._is_settled, "the blow before is got over")
            blow()
            if self._chance.random() < 0.7 or len(self._down) > 1:
                self._bring_back()
        self._bring_back()

    def _is_settled(self) -> bool:
        ended = "('completed', 'failed', 'canceled')"
        unended = f"select count(*) from jobs where status not in {ended} and worker_deaths > 0"
        holders = self._cluster.sql("select worker_id from jobs where status = 'processing'")
        return self._cluster.sql(unended) == "0" and not self._lost & set(holders.split())

    def _choose(self, nodes: list[Node]) -> Node:
        return self._chance.choice([node for node in nodes if node not in self._down])

    def _choose_worker(self) -> Node:
        """One with a job, most of the time."""
        holders = self._cluster.sql("select worker_id from jobs where status = 'processing'")
        busy = [
            node
            for node in self._cluster.workers
            if node not in self._down and node.worker_id in holders.split()
        ]
        if busy and self._chance.random() < 0.8:
            return self._chance.choice(busy)
        return self._choose(self._cluster.workers)

    def _tell(self, what: str) -> None:
        self.told.append(what)

    def _bring_back(self) -> None:
        if self._down:
            self._tell(f"start {' '.join(node.name for node in self._down)}")
            self._cluster.start(self._down)
            self._down.clear()

    # --- the blows -----------------------------------------------------------------------

    def _kill_worker(self) -> None:
        node = self._choose_worker()
        self._tell(f"kill {node.name}")
        self._lost.add(node.worker_id)
        node.kill()
        self._down.append(node)

    def _stop_worker(self) -> None:
        """Until others have its jobs; then it goes on, and finds that it has none."""
        node = self._choose_worker()
        whole = self._chance.random() < 0.5
        self._tell(f"stop {node.name}" + (" with its tools" if whole else ""))
        if self._chance.random() < 0.5:
            self._stop_within_statement(node, self._chance.randrange(1, 12))
        node.suspend(whole=whole)
        self._lost.add(node.worker_id)
        wait_until(self._is_settled, "others have taken what it held")
        self._lost.discard(node.worker_id)
        node.resume()

    def _stop_within_statement(self, node: Node, count: int) -> None:
        is_suspended = node.suspend_at(FLUSH, count=count)
        # To new connections all statements are new.
        node.proxies["postgres"].cut()
        if is_suspended.wait(LEASE_SECONDS):
            self._tell(f"at its statement {count} that is new to a connection")
        node.proxies["postgres"].await_nothing()

    def _pause_worker(self) -> None:
        """For less than it may be away."""
        node = self._choose_worker()
        self._tell(f"pause {node.name}")
        node.suspend()
        self._wait(self._chance.uniform(0.1, LEASE_SECONDS / 4))
        node.resume()

    def _cut_worker_off(self) -> None:
        """From all servers or from one, for less or for more than a lease."""
        node = self._choose_worker()
        server = self._chance.choice([*node.proxies, "all"])
        seconds = self._chance.uniform(0.1, 1.5 * LEASE_SECONDS)
        self._tell(f"cut {node.name} off from {server} for {seconds:.1f} s")
        node.cut_off(*(node.proxies if server == "all" else [server]))
        self._wait(seconds)
        node.join()

    def _drain_worker(self) -> None:
        node = self._choose_worker()
        self._tell(f"drain {node.name}")
        assert node.terminate() == 0
        self._down.append(node)

    def _kill_api(self) -> None:
        apis = [node for node in self._cluster.apis if node not in self._down]
        if len(apis) < 2:
            self._bring_back()
        node = self._choose(self._cluster.apis)
        self._tell(f"kill {node.name}")
        node.kill()
        self._down.append(node)

    def _restart_postgres(self, *, is_killed: bool) -> None:
        server = self._cluster.servers.postgres.process
        self._tell(f"{'kill' if is_killed else 'stop'} postgres and start it again")
        if is_killed:
            server.kill()
        else:
            server.stop()
        self._wait(self._chance.uniform(0, LEASE_SECONDS))
        server.start()

    def _restart_redis(self) -> None:
        redis = self._cluster.servers.redis
        assert redis is not None
        self._tell("kill redis and start it again")
        redis.process.kill()
        self._wait(self._chance.uniform(0, 2))
        redis.process.start()

    @staticmethod
    def _wait(seconds: float) -> None:
        """How long a fault lasts is part of the fault."""
        threading.Event().wait(seconds)
