"""The server that shows and steers a running system: figures for Prometheus and a JSON API.

    server      listens, and serves until it is told to stop
    app         routes requests: access, parameters, answer, errors
    child       the same as a child of the master
    access      who may ask: a token, or programs on this machine; tokens: where those come from
    gate        who asks, what they may do, whether they meant it; session, sessions: browsers;
                session_notes: what the audit log has of them
    routes      what there is to ask, each with its parameters; detail_routes: the rest of it
    order_routes   what may be ordered, each with its body; bodies: how those are read
    desk        carries orders out, each with a line in the audit log; job_orders, place_orders
    live        server-sent events, made once for all
    masking     arguments that are shown to nobody; cover: names that are made from them
    parameters  what a request may say, checked before anything is asked of the database
    answers     one function a route: what the database says, as JSON; details: the rest of them
    source      connections, and what is kept for a second so that many may ask
    metrics     figures by the conventions of Prometheus
    openapi     the description of the API, made from the routes
    assets      the pages: what is in static/, as it is sent to browsers
    family      one more answer: the jobs that a job comes after, and those after it
    preview     another: the next slots of a schedule
    stacks      and where jobs and workers stand, which the workers themselves are asked

It is a process of its own with threads, no gevent and no user code. Bottle routes, waitress
serves, prometheus_client writes the text format: the extra `taskd[dashboard]`.
"""
