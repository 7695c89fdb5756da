"""Peak memory of one first sync, in a process that does nothing else.

``python -m benchmarks.memory URL DATA_DIR INSTANCE_ID`` prints two numbers of bytes: the
peak before the sync, and after it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

from benchmarks.syncing import application, sync


def peak_of_first_sync(url: str, data_dir: Path, instance_id: int) -> tuple[int, int]:
    """Return the peak of a process before it syncs the instance and after it, in bytes."""
    command = [sys.executable, "-m", "benchmarks.memory", url, str(data_dir), str(instance_id)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    before, after = done.stdout.split()
    return int(before), int(after)


def peak_bytes() -> int:
    """Return this process' largest resident set so far.

    Linux hands ru_maxrss on to a new program, so what the kernel says of this one is asked first.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    with application(sys.argv[1], Path(sys.argv[2])):
        at_rest = peak_bytes()
        sync(int(sys.argv[3]))
        print(at_rest, peak_bytes())
