"""The systems that are measured beside each other, a folder each, taskd among them.

    peer.py           what it is, how its workers are started, and why so: read by the harness
    app.py            its tasks and how it enqueues: imported by its workers and its client
    requirements.txt  what its own virtual environment holds, versions pinned

Every app has the same tasks (work.py), and is driven by the same client (client.py).
"""
