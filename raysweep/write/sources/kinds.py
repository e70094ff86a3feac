"""The kinds of sources that are files or folders: one entry for each, the first that recognises a path opens it."""

from __future__ import annotations

from raysweep.write.sources import folder, parquet, table, webdataset
from raysweep.write.sources.kind import Kind

KINDS: tuple[Kind, ...] = (parquet.KIND, folder.KIND, webdataset.KIND, table.KIND)
