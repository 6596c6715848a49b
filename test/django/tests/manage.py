#!/usr/bin/env python3
import multiprocessing
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    # Django 5.2 does not know the default of Python 3.14, and `test --parallel` would wait for ever.
    multiprocessing.set_start_method("fork")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
