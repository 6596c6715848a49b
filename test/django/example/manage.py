#!/usr/bin/env python3
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    # Not needed where django_trustpoint is installed.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_config.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
