"""Several processes do whatever jobs allow, some of them are killed, and a witness looks on.

`witness` is a set of tables of its own that the mechanism knows nothing of: who says that it holds
what, in which order jobs were let into their queues, which enqueues were committed. `client` is one
process. `run` starts and kills them, then lets everything end, and judges. `make stress` is the
long form.
"""
