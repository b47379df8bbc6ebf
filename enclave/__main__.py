"""`python -m enclave`: the command line."""

from enclave.cli.main import main

main()
