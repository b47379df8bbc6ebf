"""Verify an exported audit log on any machine, trusting neither the server nor its operator.

One file, Python 3.9 or later, standard library only:

    python verify.py LOG --checkpoints DIR --vkey FILE [--older CHECKPOINT]
    python verify.py --proof FILE --vkey FILE
    python verify.py --consistency FILE --older CHECKPOINT --vkey FILE

It shares no code with the server, so that a mistake in one is not repeated in the other. Exit 0: everything holds;
4: something does not. Take the key from paper or from an earlier delivery, not from the folder that is being checked.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import functools
import hashlib
import json
import re
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

Found = TypeVar("Found")
MAXIMUM_FINDINGS = 50
CLOCK_TOLERANCE = timedelta(minutes=5)


# ---- Ed25519 verification (RFC 8032), on the curve −x² + y² = 1 + d·x²·y² over integers modulo P ----

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]  # (X, Y, Z, T) with x = X/Z, y = Y/Z, x·y = T/Z


@functools.cache  # a log whose key was replaced has its checkpoints read once for each key
def ed25519_verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature over a message was made by the holder of this key."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key, commitment = _decompress(public_key), _decompress(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= ORDER:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % ORDER
    left, right = _multiply(scalar, BASE), _add(commitment, _multiply(challenge, key))
    same_x = (left[0] * right[2] - right[0] * left[2]) % P == 0
    return same_x and (left[1] * right[2] - right[1] * left[2]) % P == 0


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _multiply(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _decompress(encoded: bytes) -> Point | None:
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    if y >= P:
        return None
    x = _recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def _recover_x(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = _recover_x(BASE_Y, 0) or 0
BASE: Point = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


# ---- Signed notes (C2SP) and Merkle trees (RFC 6962) ----


class WrongError(Exception):
    """What was read is not in order; the text holds no content of it."""


class Key(NamedTuple):
    """A key that checkpoints are verified with."""

    name: str
    key_id: bytes
    public: bytes


class Checkpoint(NamedTuple):
    """A head whose signature verified."""

    origin: str
    size: int
    root: bytes


def read_keys(text: str) -> list[Key]:
    """The keys of a file with one verification key on each line: NAME+KEYID+BASE64."""
    keys = []
    for line in text.split():
        name, _, rest = line.partition("+")
        content = _base64(rest.partition("+")[2])
        key_id = hashlib.sha256(name.encode() + b"\n" + content).digest()[:4]
        if len(content) != 33 or content[0] != 1 or rest.partition("+")[0] != key_id.hex():
            raise WrongError("nøkkelfilen er ikke gyldig")
        keys.append(Key(name, key_id, content[1:]))
    if not keys:
        raise WrongError("nøkkelfilen er tom")
    return keys


def read_checkpoint(note: bytes, keys: list[Key]) -> Checkpoint:
    """The head that a note states, if one of the keys has signed it."""
    text, blank, tail = note.rpartition(b"\n\n")
    text += b"\n"
    stated = re.fullmatch(rb"([a-z0-9./-]+)\n(0|[1-9][0-9]{0,17})\n([A-Za-z0-9+/]{43}=)\n", text)
    if not blank or not stated or not tail.endswith(b"\n"):
        raise WrongError("sjekkpunktet har feil form")
    origin, signed = stated[1].decode(), False
    for line in tail[:-1].decode("utf-8", "replace").split("\n"):
        words = line.split(" ")
        if len(words) != 3 or words[0] != "\u2014":
            raise WrongError("sjekkpunktet har feil form")
        for key in keys:
            value = _base64(words[2])
            if words[1] == origin == key.name and value[:4] == key.key_id:
                if not ed25519_verifies(key.public, text, value[4:]):
                    raise WrongError("signaturen stemmer ikke")
                signed = True
    if not signed:
        raise WrongError("sjekkpunktet er ikke signert med den oppgitte nøkkelen")
    return Checkpoint(origin, int(stated[2]), _base64(stated[3].decode()))


def _base64(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise WrongError("ikke base64") from None
    if base64.b64encode(content).decode() != text:
        raise WrongError("ikke base64")
    return content


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def roots_at(leaves: list[bytes], sizes: set[int]) -> dict[int, bytes]:
    """The root over the first N leaves, for each N asked for that the log reaches."""
    found: dict[int, bytes] = {}
    subtrees: list[tuple[int, bytes]] = []  # (height, hash), largest first
    for size in range(len(leaves) + 1):
        if size in sizes:
            total = subtrees[-1][1] if subtrees else hashlib.sha256(b"").digest()
            for _, left in reversed(subtrees[:-1]):
                total = node(left, total)
            found[size] = total
        if size < len(leaves):
            height, value = 0, leaves[size]
            while subtrees and subtrees[-1][0] == height:
                value = node(subtrees.pop()[1], value)
                height += 1
            subtrees.append((height, value))
    return found


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to; None if it has the wrong length."""
    if size == 1:
        return leaf if not proof else None
    if not proof:
        return None
    half = 1 << ((size - 1).bit_length() - 1)
    if index < half:
        inner = root_from_inclusion(leaf, index, half, proof[:-1])
        return None if inner is None else node(inner, proof[-1])
    inner = root_from_inclusion(leaf, index - half, size - half, proof[:-1])
    return None if inner is None else node(proof[-1], inner)


def roots_from_consistency(old: int, size: int, proof: list[bytes], known: bytes | None) -> tuple[bytes, bytes] | None:
    """The old and the new root that a consistency proof leads to; `known` is the old root while it is a subtree."""
    if old == size:
        if known is not None:
            return (known, known) if not proof else None
        return (proof[0], proof[0]) if len(proof) == 1 else None
    if not proof:
        return None
    half, last = 1 << ((size - 1).bit_length() - 1), proof[-1]
    if old <= half:
        inner = roots_from_consistency(old, half, proof[:-1], known)
        return None if inner is None else (inner[0], node(inner[1], last))
    inner = roots_from_consistency(old - half, size - half, proof[:-1], None)
    return None if inner is None else (node(last, inner[0]), node(last, inner[1]))


# ---- The schema of a line ----

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
WORD = r"([a-z][a-z0-9_]{0,29})?"
PERSON = re.compile(r"[0-9]{10}|[0-9]{6}[^0-9]?[0-9]{5}|[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-")
TEXTS = {
    "act": r"[a-z_]{1,30}\.[a-z_]{1,40}",
    "phase": r"intent|done|failed|recovered|abandoned|note",
    "registry": WORD,
    "job": WORD,
    "run": rf"({UUID4})?",
    "object_kind": WORD,
    "object_id": rf"{UUID4}|[0-9a-f]{{64}}|([A-Za-z0-9][A-Za-z0-9._-]{{0,63}})?",
    "actor": r"server|job:[a-z_]{1,30}|(person|institution):[a-z][a-z0-9-]{0,39}",
    "reason": r"([A-Z][A-Z0-9_]{0,59})?",
    "purpose": r"|own_results|comparison|national|linkage|research|own_rows|access|withdraw|reserve|correct|erase|"
    r"reidentify|operation|recovery|supervision",
    "case_number": r"[A-Za-z0-9/-]{0,40}",
    "log": UUID4,
    "prev": r"[0-9a-f]{64}",
    "ts": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z",
    "boot": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
IDS = {"run", "log", "prev", "ts", "boot"}  # random or hashed, or a time: digits there are no person
NUMBERS = {"seq", "mono", "v"}
FIELDS = {*TEXTS, *NUMBERS, "intent_seq", "counts", "digests"}
OUTCOMES = {"done", "failed", "recovered", "abandoned"}


def read_line(line: bytes) -> dict[str, Any]:
    """A line of the log as its fields, or WrongError with what is the matter."""
    try:
        entry = json.loads(line)
        again = json.dumps(entry, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise WrongError("linjen er ikke JSON") from None
    if again != line or not isinstance(entry, dict):
        raise WrongError("linjen er ikke skrevet på den ene tillatte måten")
    if set(entry) != FIELDS or entry["v"] != 1:
        raise WrongError("linjen har andre felt enn skjemaet")
    bad = [name for name, pattern in TEXTS.items() if not _text_holds(name, entry[name], pattern)]
    bad += [name for name in NUMBERS if not _is_count(entry[name])]
    bad += [] if entry["intent_seq"] is None or _is_count(entry["intent_seq"]) else ["intent_seq"]
    bad += [name for name in ("counts", "digests") if not _mapping_holds(name, entry[name])]
    if not bad and (entry["phase"] in OUTCOMES) != (entry["intent_seq"] is not None):
        bad = ["intent_seq"]
    if bad:
        raise WrongError("ugyldig innhold i " + ", ".join(sorted(bad)))
    return entry


def _text_holds(name: str, value: object, pattern: str) -> bool:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        return False
    is_id = name in IDS or (name == "object_id" and re.fullmatch(rf"{UUID4}|[0-9a-f]{{64}}", value))
    return bool(is_id) or not PERSON.search(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _mapping_holds(name: str, value: object) -> bool:
    if not isinstance(value, dict):
        return False
    keys_hold = all(re.fullmatch(r"[a-z][a-z0-9_]{0,39}", key) and not PERSON.search(key) for key in value)
    if name == "counts":
        return keys_hold and all(_is_count(count) and count < 10**9 for count in value.values())
    return keys_hold and all(isinstance(v, str) and re.fullmatch(r"[0-9a-f]{64}", v) for v in value.values())


# ---- The log as a whole ----


class Report:
    """What was found: faults, and what a reader should know though nothing is wrong."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.remarks: list[str] = []

    def fault(self, code: str, place: str, text: str) -> None:
        """Note a fault; its code is stable, its text is for people."""
        self.faults.append(f"FEIL  {code}  {place}: {text}")

    def remark(self, text: str) -> None:
        """Note what is not wrong but should be known."""
        self.remarks.append(f"MERK  {text}")


class Log:
    """Everything that the lines of a log say about each other; faults go to the report, and reading goes on."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.leaves: list[bytes] = []
        self.open: dict[int, dict[str, Any]] = {}
        self.first: dict[str, Any] | None = None
        self.last: dict[str, Any] | None = None
        self.named: dict[str, int] = {}  # further keys: by digest, the line that names it first
        self._prev = "0" * 64

    def take(self, line: bytes) -> None:
        """Read the next line, without its newline."""
        seq = len(self.leaves)
        leaf = hashlib.sha256(b"\x00" + line).digest()
        self.leaves.append(leaf)
        place = f"linje {seq}"
        try:
            entry = read_line(line)
        except WrongError as wrong:
            self.report.fault("SCHEMA", place, str(wrong))
            self._prev = leaf.hex()
            return
        self._check_place(entry, seq, place)
        self._check_time(entry, place)
        self._check_outcome(entry, place)
        if (entry["act"], entry["phase"]) == ("log.key", "note") and "vkey" in entry["digests"]:
            self.named.setdefault(entry["digests"]["vkey"], seq)
        self.first, self.last, self._prev = self.first or entry, entry, leaf.hex()

    def _check_place(self, entry: dict[str, Any], seq: int, place: str) -> None:
        if entry["seq"] != seq:
            self.report.fault("SEQ", place, f"løpenummeret er {entry['seq']}")
        if entry["prev"] != self._prev:
            self.report.fault("PREV", place, "linjen bygger ikke på linjen før")
        if self.first and entry["log"] != self.first["log"]:
            self.report.fault("LOG", place, "linjen hører til en annen logg")
        if seq == 0 and (entry["act"], entry["phase"]) != ("log.created", "note"):
            self.report.fault("FIRST", place, "loggen begynner ikke med begynnelsen")

    def _check_time(self, entry: dict[str, Any], place: str) -> None:
        try:
            now = datetime.fromisoformat(entry["ts"].replace("Z", "+00:00"))
        except ValueError:
            self.report.fault("TIME", place, "tidspunktet finnes ikke")
            entry["ts"] = "1970-01-01T00:00:00.000000Z"
            return
        if entry["act"] == "log.torn_tail":
            self.report.remark(
                f"{place}: et avbrutt skriveforsøk ble tatt vare på ({entry['counts'].get('bytes')} byte)"
            )
        if entry["act"] == "log.clock_accepted":
            self.report.remark(f"{place}: klokken ble stilt tilbake, og det ble godtatt")
        elif self.last and now < datetime.fromisoformat(self.last["ts"].replace("Z", "+00:00")) - CLOCK_TOLERANCE:
            self.report.fault("TIME", place, "klokken har gått tilbake")
        if self.last and entry["boot"] == self.last["boot"] and entry["mono"] < self.last["mono"]:
            self.report.fault("MONO", place, "rekkefølgen stemmer ikke med maskinens egen klokke")

    def _check_outcome(self, entry: dict[str, Any], place: str) -> None:
        if entry["phase"] == "intent":
            self.open[entry["seq"]] = entry
        elif entry["phase"] in OUTCOMES:
            intent = self.open.pop(entry["intent_seq"], None)
            same = ("act", "object_kind", "object_id", "registry")
            if intent is None or any(intent[name] != entry[name] for name in same):
                self.report.fault("OUTCOME", place, "utfallet svarer ikke til en åpen hensikt")


def verify_log(content: bytes, keys: list[Key], notes: dict[str, bytes], older: dict[str, bytes]) -> tuple[Log, Report]:
    """Check a whole log against its checkpoints and those that were kept elsewhere."""
    report = Report()
    log = Log(report)
    *lines, tail = content.split(b"\n")
    for line in lines:
        log.take(line)
    if tail:
        report.fault("TAIL", f"linje {len(lines)}", "siste linje er avbrutt; eksporter på nytt")
    if log.first is None:
        report.fault("EMPTY", "loggen", "loggen har ingen lesbar linje")
        return log, report
    if log.first["digests"].get("vkey") not in {_digest(key) for key in keys}:
        report.fault("VKEY", "nøkkelen", "loggen ble ikke begynt med denne nøkkelen")
    else:
        keys = _trusted(log, keys, {**notes, **older}, report)
    heads = _read_heads(notes, keys, report, "CHECKPOINT") | _read_heads(older, keys, report, "OLDER")
    roots = roots_at(log.leaves, {head.size for head in heads.values()})
    origin = f"enclave/{log.first['object_id']}/{log.first['log']}"
    for name, head in sorted(heads.items(), key=lambda item: (item[1].size, item[0])):
        code = "OLDER" if name in older else "CHECKPOINT"
        if head.origin != origin:
            report.fault(code, name, "sjekkpunktet gjelder en annen logg")
        elif head.size not in roots:
            report.fault(code, name, f"loggen er kortere ({len(log.leaves)}) enn sjekkpunktet ({head.size})")
        elif roots[head.size] != head.root:
            report.fault(
                code, name, f"de første {head.size} linjene er ikke de som ble signert: historien er omskrevet"
            )
    covered = max((head.size for head in heads.values()), default=0)
    report.remark(f"{len(heads)} sjekkpunkter; det nyeste dekker {covered} av {len(log.leaves)} linjer")
    for intent in log.open.values():
        report.remark(f"linje {intent['seq']}: {intent['act']} har ikke fått noe utfall ennå")
    return log, report


def _digest(key: Key) -> str:
    return hashlib.sha256(key.public).hexdigest()


def _trusted(log: Log, keys: list[Key], notes: dict[str, bytes], report: Report) -> list[Key]:
    """The key that the log was begun with, and each that a line names under a checkpoint by one that is trusted."""
    begun = log.first["digests"]["vkey"] if log.first else ""
    trusted = [key for key in keys if _digest(key) == begun]
    others = [key for key in keys if _digest(key) != begun]
    while others:
        covered = max((head.size for head in _read_heads(notes, trusted, Report(), "").values()), default=0)
        vouched = [key for key in others if log.named.get(_digest(key), covered) < covered]
        if not vouched:
            report.fault("VKEY", "nøkkelen", "ingen eldre nøkkel i loggen går god for en av nøklene")
            break
        trusted += vouched
        others = [key for key in others if key not in vouched]
    if set(log.named) - {_digest(key) for key in keys}:
        report.remark("loggen nevner en nøkkel som ikke er oppgitt; den står i vkey i eksporten")
    return trusted


def _read_heads(notes: dict[str, bytes], keys: list[Key], report: Report, code: str) -> dict[str, Checkpoint]:
    heads = {}
    for name, note in notes.items():
        try:
            heads[name] = read_checkpoint(note, keys)
        except WrongError as wrong:
            report.fault(code, name, str(wrong))
    return heads


def verify_proof(content: bytes, keys: list[Key]) -> dict[str, Any]:
    """The record in a C2SP tlog-proof, if the checkpoint in it covers that record; else WrongError."""
    head, _, note = content.partition(b"\n\n")
    first, *lines = head.decode("ascii", "replace").split("\n")
    if first != "c2sp.org/tlog-proof@v1" or len(lines) < 2 or not lines[0].startswith("extra "):
        raise WrongError("beviset har feil form")
    index = re.fullmatch(r"index (0|[1-9][0-9]{0,17})", lines[1])
    signed = read_checkpoint(note, keys)
    line = _base64(lines[0][len("extra ") :])
    if not index or int(index[1]) >= signed.size:
        raise WrongError("beviset har feil form")
    leaf = hashlib.sha256(b"\x00" + line).digest()
    proof = [_base64(text) for text in lines[2:]]
    if len(proof) > 64 or root_from_inclusion(leaf, int(index[1]), signed.size, proof) != signed.root:
        raise WrongError("linjen står ikke i loggen som sjekkpunktet er signert over")
    return read_line(line)


def verify_consistency(content: bytes, older: bytes, keys: list[Key]) -> tuple[Checkpoint, Checkpoint]:
    """The older and the newer head, if the file proves that one is the beginning of the other; else WrongError."""
    head, _, note = content.partition(b"\n\n")
    first, *lines = head.decode("ascii", "replace").split("\n")
    old, new = read_checkpoint(older, keys), read_checkpoint(note, keys)
    proof = [_base64(text) for text in lines]
    if first != f"old {old.size}" or old.origin != new.origin or len(proof) > 64 or not 0 < old.size <= new.size:
        raise WrongError("beviset gjelder ikke disse sjekkpunktene")
    if roots_from_consistency(old.size, new.size, proof, old.root) != (old.root, new.root):
        raise WrongError("det eldre sjekkpunktet er ikke begynnelsen på det nyere: historien er omskrevet")
    return old, new


# ---- The command ----


def main(arguments: list[str]) -> int:
    """Run the command; print the report; answer the exit code."""
    parser = argparse.ArgumentParser(description="Kontrollerer en eksportert revisjonslogg.")
    parser.add_argument("log", nargs="?", type=Path, help="loggen (log.jsonl)")
    parser.add_argument("--checkpoints", type=Path, help="mappen med sjekkpunkter")
    parser.add_argument("--vkey", type=Path, required=True, help="nøkkelen som sjekkpunkter kontrolleres med")
    parser.add_argument("--older", type=Path, action="append", default=[], help="et sjekkpunkt som ble tatt vare på")
    parser.add_argument("--proof", type=Path, help="bevis for at én linje står i loggen")
    parser.add_argument("--consistency", type=Path, help="bevis for at et sjekkpunkt er begynnelsen på et nyere")
    chosen = parser.parse_args(arguments)
    if sum(given is not None for given in (chosen.log, chosen.proof, chosen.consistency)) != 1:
        parser.error("oppgi enten loggen, --proof eller --consistency")
    if chosen.consistency and len(chosen.older) != 1:
        parser.error("--consistency trenger ett sjekkpunkt i --older")
    try:
        keys = read_keys(chosen.vkey.read_text("ascii", "replace"))
        if chosen.proof:
            proof = chosen.proof.read_bytes()
            entry = by_first_key_or_later(keys, lambda trusted: verify_proof(proof, trusted))
            say(json.dumps(entry, indent=2, sort_keys=True), "RESULTAT  linjen står i loggen")
            return 0
        if chosen.consistency:
            proof, older_note = chosen.consistency.read_bytes(), chosen.older[0].read_bytes()
            old, new = by_first_key_or_later(keys, lambda trusted: verify_consistency(proof, older_note, trusted))
            say(f"RESULTAT  de første {old.size} av {new.size} linjer er uendret")
            return 0
        folder = sorted(chosen.checkpoints.iterdir()) if chosen.checkpoints else []
        notes = {path.name: path.read_bytes() for path in folder if re.fullmatch(r"[0-9]+", path.name)}
        older = {f"eldre:{path.name}": path.read_bytes() for path in chosen.older}
        log, report = verify_log(chosen.log.read_bytes(), keys, notes, older)
    except OSError as error:
        say(f"FEIL  FILE  {error.filename}: filen kan ikke leses")
        return 4
    except WrongError as wrong:
        say(f"FEIL  PROOF  {wrong}")
        return 4
    return tell(log, report)


def by_first_key_or_later(keys: list[Key], check: Callable[[list[Key]], Found]) -> Found:
    """What a check finds by the file's first key; or by a later one, for which no log vouches here: that is told."""
    try:
        return check(keys[:1])
    except WrongError:
        found = check(keys)
    say(
        "MERK  sjekkpunktet er signert med en senere nøkkel enn den første i nøkkelfilen: "
        "stol på den bare når hele loggen er kontrollert med den"
    )
    return found


def tell(log: Log, report: Report) -> int:
    """Print what was found in a log."""
    name = log.first["log"] if log.first else "?"
    say(f"Logg {name}: {len(log.leaves)} linjer, {len(log.open)} åpne hensikter")
    say(*report.faults[:MAXIMUM_FINDINGS])
    if len(report.faults) > MAXIMUM_FINDINGS:
        say(f"… og {len(report.faults) - MAXIMUM_FINDINGS} feil til")
    say(*report.remarks)
    say("RESULTAT  loggen er IKKE i orden" if report.faults else "RESULTAT  loggen er i orden")
    return 4 if report.faults else 0


def say(*lines: str) -> None:
    """Print lines without control characters, on terminals of any encoding."""
    for line in lines:
        clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in line) + "\n"
        sys.stdout.buffer.write(clean.encode(sys.stdout.encoding or "utf-8", "replace"))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
