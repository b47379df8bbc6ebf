"""The same sealed files, walked on PostgreSQL, give the same bytes as on SQLCipher."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from enclave.flow import DropState
from tests.flow.conftest import WITHDRAWN, Walked
from tests.flow.road import LENDER, SENDERS, Road, courses, definition, found_road, upload, walk
from tests.servers.postgres import Cluster
from tests.servers.sshd import running_sshd


@pytest.fixture(scope="module")
def on_postgres(
    walked: Walked, postgres_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Road, str, str]]:
    """The road on PostgreSQL, registry and vault in two databases of two roles: (road, registry, vault)."""
    work = tmp_path_factory.mktemp("postgres")
    registry, vault = postgres_cluster.new_database(), postgres_cluster.new_database()
    with running_sshd([*SENDERS, LENDER]) as sshd:
        road = found_road(sshd, work, database=registry, vault_database=vault, like=walked.road)
        for sender, drop in walked.drops:
            upload(road, sender, drop)
        walk(road, work, withdrawn=WITHDRAWN.person_id)
        yield road, registry, vault


def results(road: Road, institution: str) -> dict[str, bytes]:
    """The page, the workbook and the tables of an institution's bundle."""
    (bundle,) = road.delivered(institution, "bundles")
    kept = ("csv/", "rapport.html", "resultater.xlsx")
    return {name: content for name, content in road.opened(institution, bundle).items() if name.startswith(kept)}


@pytest.mark.parametrize("institution", SENDERS)
def test_page_workbook_and_tables_are_byte_identical(
    institution: str, walked: Walked, on_postgres: tuple[Road, str, str]
) -> None:
    """Every csv/*, rapport.html and resultater.xlsx is the same byte for byte on both databases."""
    one, other = results(walked.road, institution), results(on_postgres[0], institution)
    tables = sorted(f"csv/{table.id}.csv" for table in definition().tables)
    assert sorted(one) == [*tables, "rapport.html", "resultater.xlsx"]
    assert len(tables) == 16
    assert sorted(other) == sorted(one)
    assert [name for name in one if one[name] != other[name]] == []


def test_the_working_folder_has_no_database_of_its_own(on_postgres: tuple[Road, str, str]) -> None:
    """On PostgreSQL the working folder holds neither registry.db nor vault.db, and every drop is admitted."""
    road, _, _ = on_postgres
    assert not road.lies.database.exists()
    assert not road.lies.vault.exists()
    states = [drop.state for drop in road.drops() if drop.sender != LENDER]
    assert states == [DropState.ADMITTED] * 5


def test_registry_and_vault_are_apart(on_postgres: tuple[Road, str, str]) -> None:
    """The registry's database holds no identity in clear, and its role has no table in the vault's database."""
    _, registry, vault = on_postgres
    tables = {}
    for name, url in (("registry", registry), ("vault", vault)):
        engine = create_engine(url)
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
            tables[name] = {row[0] for row in rows}
            words = "".join(
                str(row)
                for table in sorted(tables[name])
                for row in connection.execute(text(f'SELECT * FROM "{table}"'))
            )
        engine.dispose()
        for sender in SENDERS:
            for course in courses(sender):
                assert course.person_id not in words
                assert course.course_id not in words
    assert "identity" in tables["vault"]
    assert not {"identity", "reference", "person"} & tables["registry"]
