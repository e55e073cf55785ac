"""``python -m mqtt_bridge`` is ``upkeep-bridge``."""

import sys

from mqtt_bridge.cli.main import main

sys.exit(main())
