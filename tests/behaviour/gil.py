"""Which tests need a Python with a GIL, and which one without."""

from __future__ import annotations

import sysconfig

import pytest

# Of the build: in the tests' process an extension of theirs may have brought the GIL back.
IS_FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

needs_gil = pytest.mark.skipif(IS_FREE_THREADED, reason="without a GIL no C code can keep it")
needs_free_threading = pytest.mark.skipif(not IS_FREE_THREADED, reason="this Python has a GIL")
