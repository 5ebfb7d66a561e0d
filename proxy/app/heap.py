"""What was imported never goes away, so the garbage collector need not look at it again and again.

Under load every hundred thousandth request or so sets off a full collection. With rules, driver and
ingest imported that would stop the loop for 20-50 ms; without them it takes one.
"""

import gc


def settle() -> None:
    """Call once everything heavy is there. Reference counts still free what is let go; only cycles
    made of what exists now stay for good.
    """
    gc.freeze()
