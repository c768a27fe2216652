"""What the tests ask of a client made with an SSH library: a line on standard input, a line on standard output.

At first it says what was agreed on, and when it begins key exchanges:

    ready CIPHER MAC anytime|idle|never

    forward PORT   ->  forwarded PORT     PORT may be 0; the answer has the port given
    cancel PORT    ->  cancelled PORT
    exchanges      ->  exchanges N        key exchanges so far, the first among them
    rekey          ->  rekeying           the client begins one, whatever flows at that moment
    quit           ->  (ends)

Anything that fails is a traceback on standard error and the end.
"""

import sys


def answer(*words):
    print(*words, flush=True)


def steps():
    """The test's lines, in words."""
    for line in sys.stdin:
        words = line.split()
        if words[0] == "quit":
            return
        yield words[0], int(words[1]) if len(words) > 1 else None
