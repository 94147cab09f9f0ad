"""MLServer's own runtimes of scikit-learn and XGBoost, in the server's process: python app.py PORT.

The folder that it is started in says which; MLSERVER_MODEL_URI is the file that the framework saved.
"""

import os
import socket
import sys
from pathlib import Path


def free() -> str:
    with socket.create_server(("127.0.0.1", 0)) as s:
        return str(s.getsockname()[1])


if __name__ == "__main__":
    os.environ |= {
        "MLSERVER_HTTP_PORT": sys.argv[1],
        "MLSERVER_GRPC_PORT": free(),
        "MLSERVER_METRICS_PORT": free(),
    }
    os.execv(Path(sys.executable).with_name("mlserver"), ["mlserver", "start", "."])
