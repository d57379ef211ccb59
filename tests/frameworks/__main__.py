"""Writes into each page what arrived of its program, and what was counted."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.frameworks.counts import draw_counts
from tests.frameworks.following import follow
from tests.frameworks.pages import ARRIVED, COUNTED, PAGES

wanted = sys.argv[1:]
for page in PAGES:
    if not wanted or page.name in wanted:
        with TemporaryDirectory() as folder:
            followed = follow(page, Path(folder))
        page.draw(ARRIVED, followed.arrived)
        page.draw(COUNTED, draw_counts(followed.counts))
