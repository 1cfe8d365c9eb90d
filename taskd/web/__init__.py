"""The server that shows a running system: figures for Prometheus and a JSON API that only reads.

    server      listens, and serves until it is told to stop
    app         routes requests: access, parameters, answer, errors
    access      who may ask: a token, or programs on this machine
    routes      what there is to ask, each with its parameters: the API and its description
    parameters  what a request may say, checked before anything is asked of the database
    answers     one function a route: what the database says, as JSON
    source      connections that only read, and what is kept for a second so that many may ask
    metrics     figures by the conventions of Prometheus
    openapi     the description of the API, made from the routes
    assets      the pages: what is in static/, as it is sent to browsers
    family      one more answer: the jobs that a job comes after, and those after it

It is a process of its own with threads, no gevent and no user code. Bottle routes, waitress
serves, prometheus_client writes the text format: the extra `taskd[dashboard]`.
"""
