"""Runs in: the place of each worker's guard in the stock stack; becomes the worker."""

import os
import sys

os.execvp(sys.argv[1], sys.argv[1:])
