"""Fuzz one parser with atheris: `python -m tests.fuzz.one PARSER CORPUS [libFuzzer options]`, as `tests.fuzz` does."""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["enclave"]):
    from tests.fuzz.parsers import PARSERS


def main() -> None:
    """Write the parser's corpus where there is none, and try until the runs are over or a finding stops it."""
    parser, corpus = PARSERS[sys.argv[1]], Path(sys.argv[2])
    for number, seed in enumerate(parser.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def tried(content: bytes) -> None:
        try:
            parser.read(content)
        except parser.expected:
            return

    atheris.Setup([sys.argv[0], str(corpus), *sys.argv[3:]], tried)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
