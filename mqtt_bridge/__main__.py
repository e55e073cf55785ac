"""``python -m mqtt_bridge`` is ``upkeep-bridge``."""

import sys

from mqtt_bridge.cli import main

sys.exit(main())
