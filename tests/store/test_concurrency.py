"""Several servers may write one registry: states and drop numbers stay gapless, and nothing is lost."""

import threading

from enclave.model.purpose import Purpose
from enclave.store.write import RegistryWriter, StateMovedError
from tests.store.registry import FOLLOW_UP, PLAIN, Database, position, records, settlement

WRITERS = 4
DROPS = 4


def test_writers_at_the_same_time_are_put_in_a_row(database: Database) -> None:
    """Each settles all its drops, planning again where another came first; no number is skipped or given twice."""
    database.writer()
    failures: list[BaseException] = []

    def work(sender: str) -> None:
        try:
            writer = RegistryWriter(database.engine, PLAIN)
            for number in range(DROPS):
                _settle_in_the_end(writer, sender, number)
        except BaseException as failure:  # noqa: BLE001 - reported by the test's own thread
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(f"sender-{number}",)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = database.reader()

    assert failures == []
    assert [kept.drop_number for kept in reader.settlements()] == list(range(1, WRITERS * DROPS + 1))
    assert [kept.state for kept in reader.settlements()] == list(range(1, WRITERS * DROPS + 1))
    assert reader.read("follow_up", state=None, purpose=Purpose.NATIONAL).height == WRITERS * DROPS


def _settle_in_the_end(writer: RegistryWriter, sender: str, number: int) -> None:
    drop = [records(FOLLOW_UP, sender, [{"course": f"{sender}-{number}", "person": f"{sender}-{number}", "score": 1}])]
    while True:
        plan = writer.plan(drop)
        try:
            writer.settle(plan, settlement(plan), [], position())
        except StateMovedError:
            continue
        return
