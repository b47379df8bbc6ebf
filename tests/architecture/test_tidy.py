"""What lies in the repository: nothing that names a workplace, no room grown too large, files written in one place."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.sources import REPOSITORY, modules

MOST_LINES = 350
LARGER_FOR_A_REASON = {
    "enclave/audit/verify.py": "one file by design: an auditor copies it and reads it, and needs nothing else",
}

# Written in pieces, so that this file itself is no finding.
WORKPLACE = re.compile(
    "|".join(
        (
            "/wor" + "k/(main|shared|steering|[.]library|[.]mirror)",
            "/far" + "m/",
            "far" + "m-(studio|bench)",
            "/tmp/" + "(build|bash_jobs)",
            "pythonhos" + "ted[.]",
            "pypi[.]" + "org/simple",
            "registry[.]" + "npm",
            "de" + "b[.]debian",
            "proxy[.]golang" + "[.]org",
        )
    )
)

BROAD = {"Exception", "BaseException"}
BROAD_FOR_A_REASON = {
    ("jobs/runner.py", "_run_locked"): "the one place: a mistake of ours ends the job, not the server",
}

WRITES = {
    "write_text",
    "write_bytes",
    "touch",
    "mkdir",
    "rename",
    "replace",
    "unlink",
    "rmdir",
    "symlink_to",
    "hardlink_to",
    "chmod",
    "link",
    "symlink",
    "remove",
    "removedirs",
    "makedirs",
    "renames",
    "truncate",
    "ftruncate",
    "rmtree",
    "copy",
    "copy2",
    "copyfile",
    "copytree",
    "move",
}
OF_PATHS = {"write_text", "write_bytes", "touch", "symlink_to", "hardlink_to"}
WRITING_FLAGS = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC"}
WRITES_FOR_A_REASON = {
    "enclave/durable.py": "the only code that writes files",
    "jobs/confine.py": "the job's own temporary folder, in memory, which is to be forgotten",
    "enclave/airlock/folder.py": "names at the airlock, relative to an open folder: no planted link is followed",
    "enclave/cli/client.py": "the institution's side, which also runs on Windows",
    "enclave/demo/airlock.py": "the airlock's side of the demo",
    "enclave/demo/walk.py": "clears the embedded airlock away at the end of the demo",
    "enclave/terminal/recovery.py": "sets a damaged log aside as a whole folder",
}


def committed() -> list[Path]:
    """Every file that is committed or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout.decode()
    return [path for name in listed.split("\0") if name and (path := REPOSITORY / name).is_file()]


def test_no_file_names_a_workplace_or_a_package_registry() -> None:
    """Neither a path of somebody's machine nor the host of a registry stands in any file."""
    named = {
        str(path.relative_to(REPOSITORY)): sorted({found.group() for found in WORKPLACE.finditer(text)})
        for path in committed()
        if WORKPLACE.search(text := path.read_bytes().decode("utf-8", "replace"))
    }

    assert named == {}


def test_no_private_key_lies_in_the_repository() -> None:
    """No file holds a private key in any of the forms that this server uses."""
    forms = re.compile("-----BEGIN " + "[A-Z ]*PRIVATE KEY-----\\n[A-Za-z0-9+/]{40}|AGE-SECRET-" + "KEY-1[A-Z0-9]{20}")

    assert [path.name for path in committed() if forms.search(path.read_bytes().decode("utf-8", "replace"))] == []


def test_no_room_has_grown_too_large() -> None:
    """A module has at most 350 lines, unless it says here why it is one."""
    lines = {path: len((REPOSITORY / path).read_text(encoding="utf-8").splitlines()) for path in modules()}

    assert {path: count for path, count in lines.items() if count > MOST_LINES}.keys() == LARGER_FOR_A_REASON.keys()


@pytest.mark.parametrize("path", modules())
def test_everything_public_says_what_it_is(path: str) -> None:
    """Every module, public class and public function has a docstring."""
    module = modules()[path]
    silent = [node.name for node in public(module) if not ast.get_docstring(node)]

    assert ast.get_docstring(module)
    assert silent == []


def public(scope: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """The public classes, functions and methods of a module, not those inside functions."""
    for node in scope.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not is_overload(node):
                yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether this is a typing overload or a property's setter, whose words stand at the first of its name."""
    names = {
        part.id if isinstance(part, ast.Name) else part.attr
        for decorator in node.decorator_list
        for part in ast.walk(decorator)
        if isinstance(part, ast.Name | ast.Attribute)
    }
    return bool(names & {"overload", "setter"})


def test_no_mistake_is_caught_by_a_net() -> None:
    """A broad or bare `except` that does not end by raising the same again stands only where its reason is listed."""
    found = {
        (path, function.name)
        for path, module in modules().items()
        for function in ast.walk(module)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.ExceptHandler) and is_broad(node.type) and not raises_again(node)
    }
    at_the_top = {path for path, module in modules().items() for node in module.body if isinstance(node, ast.Try)}

    assert found == BROAD_FOR_A_REASON.keys()
    assert at_the_top == set()


def is_broad(caught: ast.expr | None) -> bool:
    """Whether a handler catches everything."""
    if caught is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in BROAD for node in ast.walk(caught))


def raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether a handler ends with a bare `raise`."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_files_are_written_in_one_place() -> None:
    """Opening for writing, renaming, removing and making folders stand in `durable`, or have a reason here."""
    found = Counter(path for path, module in modules().items() for _ in writes_of(module))

    assert dict(found).keys() == WRITES_FOR_A_REASON.keys(), {
        path: [call.lineno for call in writes_of(modules()[path])] for path in found if path not in WRITES_FOR_A_REASON
    }


def writes_of(module: ast.Module) -> Iterator[ast.Call]:
    """The calls that change the file system, as far as they can be told by name."""
    taken = {alias.asname or alias.name for node in ast.walk(module) if of_files(node) for alias in names_of(node)}
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and (opens_to_write(node) or changes_names(node, taken)):
            yield node


def of_files(node: ast.AST) -> bool:
    """Whether this takes functions out of `os` or `shutil`."""
    return isinstance(node, ast.ImportFrom) and node.module in {"os", "shutil"}


def names_of(node: ast.AST) -> list[ast.alias]:
    """What an import takes."""
    assert isinstance(node, ast.ImportFrom)
    return node.names


def opens_to_write(call: ast.Call) -> bool:
    """`open(…, "w")`, `path.open("w")`, `os.open(…, O_CREAT)`, and the temporary files of the standard library."""
    function = call.func
    name = (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
    if name in {
        "NamedTemporaryFile",
        "TemporaryFile",
        "TemporaryDirectory",
        "mkdtemp",
        "mkstemp",
        "SpooledTemporaryFile",
    }:
        return True
    if name not in {"open", "fdopen"}:
        return False
    named_file = 1 if isinstance(function, ast.Name) or name == "fdopen" else 0
    given = [*call.args[named_file:], *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    flags = {node.attr for one in given for node in ast.walk(one) if isinstance(node, ast.Attribute)}
    return any(re.fullmatch(r"[rwaxbt]*[wax+][rwaxbt+]*", mode) for mode in modes) or bool(flags & WRITING_FLAGS)


def changes_names(call: ast.Call, taken: set[str]) -> bool:
    """`os.rename(…)`, `shutil.rmtree(…)`, `path.mkdir()` and the like; `text.replace(a, b)` is not one of them."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id in WRITES & taken
    if not isinstance(function, ast.Attribute) or function.attr not in WRITES:
        return False
    if isinstance(function.value, ast.Name) and function.value.id in {"os", "shutil"}:
        return True
    return function.attr in OF_PATHS or looks_like_a_path(function, call)


def looks_like_a_path(function: ast.Attribute, call: ast.Call) -> bool:
    """Whether a method with a common name is called as a path's: by what it stands on, or by how it is called."""
    words = {node.id for node in ast.walk(function.value) if isinstance(node, ast.Name)}
    words |= {node.attr for node in ast.walk(function.value) if isinstance(node, ast.Attribute)}
    on_a_path = any(re.search(r"path|folder|file$|temporary|^own$|^Path$", word) for word in words)
    keywords = {keyword.arg for keyword in call.keywords}
    return bool(keywords & {"parents", "exist_ok", "missing_ok"}) or (
        on_a_path and function.attr not in {"replace", "copy"}
    )


@pytest.mark.parametrize(
    "line",
    [
        "open('a', 'w')",
        "path.open('ab')",
        "open('a', mode='x')",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "path.write_text('a')",
        "os.rename(a, b)",
        "shutil.rmtree(a)",
        "folder.mkdir()",
        "out.mkdir(exist_ok=True)",
        "from os import unlink\nunlink(a)",
        "(folder / 'a').unlink()",
        "tempfile.NamedTemporaryFile()",
    ],
)
def test_a_write_is_seen(line: str) -> None:
    """The scan above finds each way to write that it knows."""
    assert len(list(writes_of(ast.parse(line)))) == 1


@pytest.mark.parametrize("line", ["open('a')", "path.open('rb')", "text.replace('a', 'b')", "os.open(p, os.O_RDONLY)"])
def test_what_only_reads_is_no_write(line: str) -> None:
    """The scan above does not take reading for writing."""
    assert list(writes_of(ast.parse(line))) == []
