"""What users import: tasks, enqueueing, job handles; and how a worker runs one attempt of a job.

    task          @task, Task: a function that can be enqueued
      options       queue, priority, timeout, retry, and their defaults
        option_values   the value that each may have
        resources       what a job can need beside a worker
        needs           what the jobs of a task need of that
        fair            by which key they take turns
      names         under which name a worker finds a function
      registry      name -> Task
    calls         checked and encoded calls on their way into the store
      signature     do the arguments fit the function?
      batches       as they go into the store
      arguments     values -> JSON text
        json_faults   what in a value is not JSON, and where
    enqueue       enqueue, enqueue_many
    client        which database this process enqueues into
      database_client   the connections to it
    job           the handle on an enqueued job
      log_reader    its log lines, also while they come

    run           one attempt: find, check, call, encode; its end is a value
      resolve       a task's name + the allowed imports -> Task
      context       current_job()
      progress      what a job may say of how far it is
      outcome       how an attempt ended
      failure       an exception as bounded, storable text
      retry         when to try again
    publish       what may be run, for `taskd tasks`
    offers        the versions of the code that jobs may require here

    schedule      Cron, Every, At: which slot is next
      own_schedules those that a task brings along
      wall_clock    cron expressions on a clock that is changed
      preview       the next slots as such a clock shows them
    definition    what file and code say of schedules -> what is stored -> a job
    catch_up      what a schedule that is due enqueues, after however long a time

Nothing here imports psycopg or gevent before a database is needed.
"""
