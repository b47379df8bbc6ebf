"""The national pages wait for two people, and what lies for a web server to show is what those two approved."""

import hashlib
import json
from collections.abc import Iterator

import pytest
from sqlalchemy import update

import jobs.publish
import jobs.seal
from enclave.control.releases import Release, tables_of
from enclave.control.requests import SIGNATURE_NAMESPACE
from enclave.control.tables import release as ledger
from enclave.crypto import keyring, sshsig
from enclave.crypto.secret import Secret
from enclave.errors import Halt, Refused
from enclave.flow import Act, ReleaseState
from enclave.grants import Folder
from enclave.model.draft import Kind
from tests.jobs.clinics import CLOSED, OLD, REGISTRY, Server
from tests.kills.forks import Forks, Request

PAGES = {"index.html", "nyheter.html", "koblinger.html", "bli-med.html", f"resultater-{CLOSED}.html"}
BESIDE = {"MANIFEST.json", "MANIFEST.json.sig", "sjekkpunkt.txt"}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose national pages wait."""
    with Forks() as forks:
        server = Server(tmp_path_factory.mktemp("publication"), forks)
        server.send()
        server.run("analyse", "release", "checkpoint")
        yield server


def site_of(server: Server, *states: ReleaseState) -> Release:
    """The one release to everyone in these states."""
    (release,) = (one for one in server.releases(Kind.RELEASABLE_TABLE, *states) if not one.recipient)
    return release


def sign(server: Server, release: Release, key: Secret | None = None, namespace: str = SIGNATURE_NAMESPACE) -> bytes:
    """Somebody's signature over a release, the project lead's where nobody is named."""
    text = release.signed_text(tables_of(server.control, release.release_id))
    return sshsig.sign(text, key or server.lead, namespace)


def approve(server: Server) -> Release:
    """Two people approve the site that waits."""
    release = site_of(server, ReleaseState.PROPOSED)
    server.desk.decide_release(release.release_id, ReleaseState.APPROVED, sign(server, release))
    return release


def shown(server: Server) -> dict[str, bytes]:
    """What lies where a web server may show it."""
    folder = server.folder.registry(REGISTRY).folder(Folder.SITE)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_pages_wait_for_two_people(server: Server) -> None:
    """They are drafted in the same run and state as the clinics' results; one person alone publishes nothing."""
    release = site_of(server)
    others = [one for one in server.releases(Kind.RELEASABLE_TABLE) if one.recipient]
    assert {file.name for file in server.draft(release).files} == PAGES
    assert (release.state, {one.registry_state for one in others}) == (
        ReleaseState.PROPOSED,
        {release.registry_state},
    )

    with pytest.raises(Refused, match="R_SECOND_PERSON"):
        server.desk.decide_release(release.release_id, ReleaseState.APPROVED)
    server.run("seal", "deliver")

    assert site_of(server).state is ReleaseState.PROPOSED
    assert shown(server) == {}


def test_only_the_leads_signature_over_this_very_release_publishes(server: Server) -> None:
    """Another key, another text, another namespace, or bytes that are no signature are all refused."""
    release = site_of(server)
    text = release.signed_text(tables_of(server.control, release.release_id))
    stranger, _ = sshsig.new_key("stranger")
    for wrong in (
        sign(server, release, stranger),
        sign(server, release, namespace="site@kar"),
        sshsig.sign(text.replace(b'"kar"', b'"kax"'), server.lead, SIGNATURE_NAMESPACE),
        sshsig.sign(text + b"\n", server.lead, SIGNATURE_NAMESPACE),
        b"",
        b"\xff\xfe",
    ):
        with pytest.raises(Refused, match="R_SECOND_PERSON"):
            server.desk.decide_release(release.release_id, ReleaseState.APPROVED, wrong)

    assert site_of(server).state is ReleaseState.PROPOSED


def test_the_site_is_what_was_approved(server: Server) -> None:
    """Page for page the draft, beside a manifest with hashes and checkpoint, signed with the bundles' key."""
    release = approve(server)
    draft = server.draft(release)
    server.run("seal", "deliver")

    published, lies = site_of(server), shown(server)
    assert published.state is ReleaseState.DELIVERED
    assert set(lies) == PAGES | BESIDE
    assert {name: lies[name] for name in PAGES} == {file.name: file.content for file in draft.files}
    assert published.sealed == {name: hashlib.sha256(content).hexdigest() for name, content in lies.items()}
    manifest = json.loads(lies["MANIFEST.json"])
    assert (manifest["state"], manifest["definition"]) == (draft.state, draft.definition)
    assert {one["name"]: one["sha256"] for one in manifest["files"]} == {
        name: hashlib.sha256(lies[name]).hexdigest() for name in PAGES
    }
    assert manifest["checkpoint"]["sha256"] == hashlib.sha256(lies["sjekkpunkt.txt"]).hexdigest()
    public = keyring.public(server.folder.registry(REGISTRY).keys, "bundle-sign")
    signer = sshsig.AllowedSigner("enclave@kar", " ".join(public.split()[:2]), ("site@kar",))
    at = server.wiring("seal").now
    sshsig.verify(lies["MANIFEST.json"], lies["MANIFEST.json.sig"], (signer,), "enclave@kar", "site@kar", at)


def test_no_person_and_no_clinic_stands_on_the_pages(server: Server) -> None:
    """Neither numbers and references that were sent, nor a clinic's name."""
    approve(server)
    server.run("seal")

    written = b"".join(shown(server).values())
    assert not [one for one in OLD if one.person.encode() in written or one.reference.encode() in written]
    assert b"Klinikk alfa" not in written


def test_the_signature_is_kept_and_its_digest_is_in_the_log(server: Server) -> None:
    """Whoever reads the log later can tell which signature a site was published on."""
    release = approve(server)

    kept = site_of(server).signature.encode()
    decided = [
        one
        for one in server.wiring("seal").log.entries()
        if (one.act, one.object_id) == ("release.decide", release.release_id)
    ]
    assert kept == sign(server, release)
    assert decided[0].digests["signature"] == hashlib.sha256(kept).hexdigest()


def test_who_only_edits_the_ledger_publishes_nothing(server: Server) -> None:
    """A signature that was exchanged after the decision is not enough; the job asks again before it publishes."""
    approve(server)
    with server.control.noting() as edited:
        edited.execute(update(ledger).where(ledger.c.recipient == "").values(signature="forged"))
    server.run("seal")

    assert site_of(server).state is ReleaseState.APPROVED
    assert shown(server) == {}


def test_a_withdrawal_before_approval_cancels_the_pages(server: Server) -> None:
    """They are made again without the person, and the first ones can be approved no more."""
    first = site_of(server)
    server.withdraw(OLD[0].person)
    assert site_of(server).state is ReleaseState.CANCELLED
    with pytest.raises(Halt, match="H_STATE"):
        server.desk.decide_release(first.release_id, ReleaseState.APPROVED, sign(server, first))

    server.run("analyse", "release")

    again = site_of(server, ReleaseState.PROPOSED)
    assert again.registry_state > first.registry_state
    assert again.draft_sha256 != first.draft_sha256


def test_a_withdrawal_after_approval_and_before_publication_cancels_too(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even in the middle of the job: nothing of the pages is ever in the folder."""
    approve(server)
    signed = jobs.publish.signed_pages

    def overtaken(*arguments: object, **named: object) -> object:
        server.withdraw(OLD[0].person)
        return signed(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs.publish, "signed_pages", overtaken)
    wiring = server.wiring("seal")
    note = wiring.log.newest_checkpoint()
    assert note is not None
    release = site_of(server)
    with (
        pytest.raises(Refused, match="R_NO_LONGER_APPROVED"),
        wiring.acts.act(Act.RELEASE_SEAL, "release", release.release_id) as act,
    ):
        jobs.publish.publish(wiring, release, note, act.position)

    assert site_of(server).state is ReleaseState.CANCELLED
    assert shown(server) == {}


def test_the_same_pages_are_not_drafted_again_but_news_are(server: Server) -> None:
    """While a site waits, and after it was published, nothing new waits; news make a new one with the same tables."""
    server.run("release")
    approve(server)
    server.run("seal", "release")
    first = site_of(server)
    assert first.state is ReleaseState.DELIVERED

    words = server.folder.registry(REGISTRY).pages
    added = '\n[[news]]\ndate = 2026-02-03\ntitle = "Nytt"\ntext = "Noe nytt."\n'
    words.write_text(words.read_text(encoding="utf-8") + added, encoding="utf-8")
    server.run("release")

    second = site_of(server, ReleaseState.PROPOSED)
    before, after = ({file.name: file.content for file in server.draft(one).files} for one in (first, second))
    changed = {name for name in PAGES if before[name] != after[name]}
    assert changed == {"nyheter.html"}
    assert tables_of(server.control, second.release_id) == tables_of(server.control, first.release_id)
    server.desk.decide_release(second.release_id, ReleaseState.APPROVED, sign(server, second))
    server.run("seal")
    assert b"Noe nytt." in shown(server)["nyheter.html"]


def test_a_published_year_stays_as_it_was(server: Server) -> None:
    """Rows that change later change no published number: the year's page is made of the state it was published as."""
    approve(server)
    server.run("seal")
    before = shown(server)[f"resultater-{CLOSED}.html"]
    server.withdraw(OLD[0].person)
    words = server.folder.registry(REGISTRY).pages
    words.write_text(words.read_text(encoding="utf-8").replace("about = [", 'about = ["Nytt.",'), encoding="utf-8")
    server.run("analyse", "release")

    again = site_of(server, ReleaseState.PROPOSED)
    assert {file.name: file.content for file in server.draft(again).files}[f"resultater-{CLOSED}.html"] == before


def test_what_somebody_puts_into_the_folder_is_put_right(server: Server) -> None:
    """A page that was altered, added or removed is as it was published after the next run."""
    approve(server)
    server.run("seal")
    published = shown(server)
    folder = server.folder.registry(REGISTRY).folder(Folder.SITE)
    (folder / "index.html").write_text("forged")
    (folder / "more.html").write_text("forged")
    (folder / "nyheter.html").unlink()

    server.run("seal")

    assert shown(server) == published


def test_killed_anywhere_the_site_ends_as_if_it_had_not_been(server: Server) -> None:
    """Killed at every third effect and run again: the same pages, published once; never a page before the ledger."""
    approve(server)
    with server.undone():
        whole = server.forks.run(Request(str(server.folder.root), "seal"))
        expected = {name: content for name, content in shown(server).items() if name in PAGES}
    assert len(expected) == len(PAGES)
    for at in range(1, len(whole.effects) + 1, 3):
        with server.undone():
            killed = server.forks.run(Request(str(server.folder.root), "seal", at=at))
            assert killed.killed, (at, killed.output)
            if site_of(server).state is not ReleaseState.DELIVERED:
                assert shown(server) == {}, whole.effects[at - 1]
            server.run("seal")
            lies = shown(server)
            assert {name: lies[name] for name in PAGES} == expected, whole.effects[at - 1]
            assert set(lies) == PAGES | BESIDE
            assert site_of(server).state is ReleaseState.DELIVERED
