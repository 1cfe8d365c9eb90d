"""The configuration: one YAML file, the environment and the flags, made into one `Settings`.

The way of a setting through the modules:

    files             the file is found and read
    document          YAML text -> nodes that know their lines; bounded, one document, no tags
    tree              nodes -> plain values; duplicate keys refused, merge keys followed
      substitution      `${VAR}` put in
      scalars           what an unquoted word means: true, 5, 2.5, null, or just text
    overrides         flags and TASKD_ variables as values of the same shape
    layer             what one source says, and on which lines
    model             a layer checked by pydantic: types, ranges, unknown keys
      repeats           names given twice in a list
      values            how single values are read
      cron              cron expressions, time zones, moments
      rates             rates such as 100/m
      sentences         what was found, in the reader's words
    schedule_faults   what no single setting of a schedule can know
    limit_faults      what no single setting of a limit can know
    load              file < environment < flags, all faults at once -> settings.Settings

    lasting           what a reload leaves as it was
    handover          settings on their way to another process

What a setting means and which values it takes stands once, beside its field in `settings`,
`sections`, `queues` and `schedules`, as an `About`; the checks, `schema` and the reference page
take it from there.

`settings`, `client`, `dsn`, `names`, `paths`, `rates`, `units`, `versions` and `weights` need the
standard library alone, so that every process of the daemon can import them.
"""
