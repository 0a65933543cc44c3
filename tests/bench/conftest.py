import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"

sys.path.append(str(BENCH))  # the benchmark's modules are scripts beside each other, no package
