"""Start a peer that has no command line: `launch.py bjoern|fastwsgi PORT MODULE CALLABLE`."""

import importlib
import signal
import sys


def main() -> None:
    """Import the application, then the server, and serve on loopback until SIGTERM."""
    server_name, port, module, name = sys.argv[1:]
    app = getattr(importlib.import_module(module), name)
    # Both run their own loop in C and would notice a Python-level handler late or never.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    server = importlib.import_module(server_name)
    if server_name == "bjoern":
        server.run(app, "127.0.0.1", int(port))
    else:
        server.run(wsgi_app=app, host="127.0.0.1", port=int(port), loglevel=0)


main()
