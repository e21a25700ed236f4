"""Started by the engine (`--policy-pack policies`): serves the rules."""

import sys
from pathlib import Path

# The engine runs this folder as a program, so the checkout has to be made importable.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from policies.pack import serve

serve()
