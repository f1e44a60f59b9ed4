"""The other process of `benchmarks.leases`: it keeps counters, and takes its time to lease one.

A line of JSON comes in for each question, `[number, method, counter]`, and one goes out for each answer, `[number, value]`.
"""

import json
import sys
import threading

counters: dict[int, int] = {}
asked: dict[str, int] = {}
writing = threading.Lock()


def answer(number: int, value: object) -> None:
    with writing:
        print(json.dumps([number, value]), flush=True)


def lease(number: int) -> None:
    """A new counter, by its number."""
    counters[number] = 0
    answer(number, number)


def main(lease_s: float) -> None:
    for line in sys.stdin:
        number, method, counter = json.loads(line)
        asked[method] = asked.get(method, 0) + 1
        if method == "lease":
            threading.Timer(lease_s, lease, [number]).start()
        elif method == "add":
            counters[counter] += 1
            answer(number, counters[counter])
        elif method == "read":
            answer(number, {"count": counters[counter]})
        elif method == "release":
            answer(number, counters.pop(counter))
        else:
            answer(number, asked)


if __name__ == "__main__":
    main(float(sys.argv[1]))
