"""`python -m jobs run NAME --registry ID --config FILE`: one job as a process, for the scheduler and for systemd."""

import argparse
import os
import sys
from pathlib import Path

import structlog

from enclave.folders import WorkingFolder
from jobs.runner import run_job


def main() -> int:
    """Read the command line and run the job it names."""
    parser = argparse.ArgumentParser(prog="python -m jobs", description=__doc__)
    parser.add_argument("command", choices=["run"])
    parser.add_argument("job")
    parser.add_argument("--registry", required=True)
    parser.add_argument("--config", required=True, type=Path)
    asked = parser.parse_args()
    log_to_stdout()
    # systemd hands a unit the private keys of its row here (LoadCredentialEncrypted=), and no others.
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    folder = WorkingFolder(asked.config.resolve().parent, Path(credentials) if credentials else None)
    return run_job(folder, asked.job, asked.registry)


def log_to_stdout() -> None:
    """One JSON line for each event: names, codes and counts, never an exception's text or local variables."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )


if __name__ == "__main__":
    sys.exit(main())
