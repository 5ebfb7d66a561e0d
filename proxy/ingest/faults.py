"""What may be wrong with a posted body, each with the status the protocol itself would answer."""


class BodyFault(Exception):
    """A body that is not taken:

    ``status`` for the sender, ``counter`` for us, the sentence for both.
    """

    status = 400
    counter = "malformed"


class Malformed(BodyFault):
    """Not what it claims to be."""


class TooLarge(BodyFault):
    """Over a bound of ``limits``."""

    status = 413
    counter = "too_large"


class UnknownEncoding(BodyFault):
    """A content coding we do not read."""

    status = 415
    counter = "unknown_encoding"


class TooSlow(BodyFault):
    status = 408
    counter = "too_slow"
