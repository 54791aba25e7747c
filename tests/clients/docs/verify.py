"""Reads [{secret, headers, body}, …] from standard input and prints for each whether the function of a document takes it."""
import json, runpy, sys

verify = runpy.run_path(sys.argv[1])["verify"]

def verdict(case):
    try:
        return bool(verify(case["secret"], case["headers"], case["body"].encode()))
    except Exception:
        return False

print(json.dumps([verdict(case) for case in json.load(sys.stdin)]))
