"""The Python client: a Recorder inside an agent, a Client for everything else.

    recorder.py     Recorder: replies as they happen, sent from the background
    open_reply.py   OpenReply: a reply while the agent works on it
    invocations.py  functions that are actions
    delivery.py     the thread that sends, and what becomes of what it cannot send
    backlog.py      what waits, in memory; folder.py: in a folder, over a restart
    client.py       Client and AsyncClient
    operations.py   the operations of the API, as values that either client carries out
    calls.py        what such a value is, and how it becomes a method of both
    events.py       a stream of events, over any number of connections
    answers.py      an HTTP answer as a typed result or an error

Nothing here needs the service's own packages.
"""
