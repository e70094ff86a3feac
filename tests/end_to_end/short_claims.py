"""`raysweep` whose claims expire after a few seconds, for tests that wait until they have."""

from __future__ import annotations

from raysweep.__main__ import main
from raysweep.store import claims

claims.EXPIRY_S, claims.RENEW_S = 8.0, 1.0

if __name__ == "__main__":
    main()
