"""OpenPGP messages against the standard's own sample: RFC 9580, appendix A.4 (the key) and A.8 (the message)."""

import base64

import pytest

from enclave.crypto import openpgp
from enclave.crypto.secret import Secret
from enclave.errors import Rejected

KEY = Secret(b"""-----BEGIN PGP PRIVATE KEY BLOCK-----

xUsGY4d/4xsAAAAg+U2nu0jWCmHlZ3BqZYfQMxmZu52JGggkLq2EVD34laMAGXKB
exK+cH6NX1hs5hNhIB00TrJmosgv3mg1ditlsLfCsQYfGwoAAABCBYJjh3/jAwsJ
BwUVCg4IDAIWAAKbAwIeCSIhBssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce6
2azJBScJAgcCAAAAAK0oIBA+LX0ifsDm185Ecds2v8lwgyU2kCcUmKfvBXbAf6rh
RYWzuQOwEn7E/aLwIwRaLsdry0+VcallHhSu4RN6HWaEQsiPlR4zxP/TP7mhfVEe
7XWPxtnMUMtf15OyA51YBMdLBmOHf+MZAAAAIIaTJINn+eUBXbki+PSAld2nhJh/
LVmFsS+60WyvXkQ1AE1gCk95TUR3XFeibg/u/tVY6a//1q0NWC1X+yui3O24wpsG
GBsKAAAALAWCY4d/4wKbDCIhBssYbE8GCaaX5NUt+mxyKwwfHifBilZwj2Ul7Ce6
2azJAAAAAAQBIKbpGG2dWTX8j+VjFM21J0hqWlEg+bdiojWnKfA5AQpWUWtnNwDE
M0g12vYxoWM8Y81W+bHBw805I8kWVkXU6vFOi+HWvv/ira7ofJu16NnoUkhclkUr
k0mXubZvyl4GBg==
-----END PGP PRIVATE KEY BLOCK-----
""")
BODY = b"""wV0GIQYSyD8ecG9jCP4VGkF3Q6HwM3kOk+mXhIjR2zeNqZMIhRmHzxjV8bU/gXzO
WgBM85PMiVi93AZfJfhK9QmxfdNnZBjeo1VDeVZheQHgaVf7yopqR6W1FT6NOrfS
aQIHAgZhZBZTW+CwcW1g4FKlbExAf56zaw76/prQoN+bAzxpohup69LA7JW/Vp0l
yZnuSj3hcFj0DfqLTGgr4/u717J+sPWbtQBfgMfG9AOIwwrUBqsFE9zW+f1zdlYo
bhF30A+IitsxxA==
"""
MESSAGE = base64.b64decode(BODY)
WHOSE_KEY = range(4, 37)
"""Version and fingerprint of the key that the message is encrypted to (5.1.2): a hint, not authenticated."""


def test_the_standards_sample_opens() -> None:
    """In armour and as packets, to the text that the standard states."""
    armoured = b"-----BEGIN PGP MESSAGE-----\n\n" + BODY + b"-----END PGP MESSAGE-----\n"
    assert openpgp.open(armoured, KEY, limit=100) == openpgp.open(MESSAGE, KEY, limit=100) == b"Hello, world!"


def test_the_standards_sample_altered_anywhere_never_opens_to_another_text() -> None:
    """Whichever byte is another, nothing comes out; but for the note of whose key it is, which decides nothing."""
    for place in range(len(MESSAGE)):
        altered = MESSAGE[:place] + bytes([MESSAGE[place] ^ 1]) + MESSAGE[place + 1 :]
        if place in WHOSE_KEY:
            assert openpgp.open(altered, KEY, limit=100) == b"Hello, world!"
        else:
            with pytest.raises(Rejected, match="E_OPENPGP"):
                openpgp.open(altered, KEY, limit=100)
