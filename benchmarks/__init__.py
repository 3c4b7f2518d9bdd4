"""Side by side with the plaintext way: the same broker, the same events, the same machine, one run (``make bench``)."""
