"""`python -m frugalrl`."""

from frugalrl.cli import main

raise SystemExit(main())
