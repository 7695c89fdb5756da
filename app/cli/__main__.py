from __future__ import annotations

from app.cli.root import main

main()
