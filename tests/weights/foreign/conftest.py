import sys
from pathlib import Path

# The module that writes bundles and archives stands beside the tests.
sys.path.insert(0, str(Path(__file__).parent))
