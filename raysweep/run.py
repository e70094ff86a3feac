"""The `run` verb as a script: the target of `ray submit cluster/cluster.yaml raysweep/run.py -- STUDY...`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts a script's own folder first on its path, where our modules would hide packages of the same names.
    folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != folder]
    sys.path.append(str(folder.parent))
    from raysweep.__main__ import main

    main(["run", *sys.argv[1:]])
