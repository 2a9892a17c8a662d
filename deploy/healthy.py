"""Exit with 0 when the service in this container can answer searches, else with 1 and the reason."""

import os
import sys
import urllib.error
import urllib.request

URL = f"http://127.0.0.1:{os.environ.get('RUVECTOR_HTTP_PORT', '8080')}/health/ready"

try:
    with urllib.request.urlopen(URL, timeout=4) as answer:
        print(answer.read().decode())
except urllib.error.HTTPError as error:
    sys.exit(error.read().decode())
except OSError as error:
    sys.exit(f"{URL}: {error}")
