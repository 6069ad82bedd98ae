"""Download a model and check it: URL SHA256 FILE."""

import hashlib
import os
import sys
import urllib.request

url, expected, path = sys.argv[1:]
digest = hashlib.sha256()
with urllib.request.urlopen(url, timeout=60) as response, open(f"{path}.part", "wb") as file:
    while block := response.read(2**20):
        digest.update(block)
        file.write(block)
if digest.hexdigest() != expected:
    sys.exit(f"{url} has the sha256 {digest.hexdigest()}, not {expected}")
os.replace(f"{path}.part", path)
