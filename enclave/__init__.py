"""A batch server for sensitive registry data. Read `enclave/flow.py` first."""

__version__ = "0.1.0"
