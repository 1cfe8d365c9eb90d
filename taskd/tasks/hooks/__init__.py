"""What users hang in: around enqueues and attempts, into the life of workers, after failures.

registry      what has been registered, each kind in the order in which it is called
signatures    can a function be a hook at all?
middleware    Middleware and @middleware; around an attempt
  enqueueing    the calls of an enqueue on their way through the middleware
  new_call      one of them, and how it may be changed
  headers       what middleware lets travel with a job
  listed        the middleware that the configuration names
workers       @on_worker_start, @on_worker_stop, @after_fork
failures      @on_failure, and which handlers a failure concerns
  unseen        jobs whose failure no worker has seen
"""
