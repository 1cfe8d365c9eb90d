"""The configuration: one YAML file, the environment and the flags, made into one `Settings`.

The way of a setting, each step one module:

    document        YAML text -> nodes that know their lines (bounded, one document, no tags)
    tree            nodes -> plain values; duplicate keys, merge keys
    substitution      `${VAR}` inside them
    scalars           what a plain word means: true, 5, 2.5, null, or just text
    overrides       flags and TASKD_ variables, as layers of the same shape
    model           every layer checked by pydantic: types, ranges, unknown keys
    sentences         what pydantic found, in our words
    load            file < environment < flags, all faults at once -> settings.Settings
    client          the few settings that enqueueing needs, without a file if possible

`settings`, `units`, `names`, `dsn`, `paths`, `files` and `client` need the standard library alone.
"""
