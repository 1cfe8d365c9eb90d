"""`taskd schema`: install, upgrade, status, print, roles."""

from __future__ import annotations

import click

from taskd.cli.database import open_database
from taskd.cli.invocation import current
from taskd.cli.output import print_json
from taskd.cli.parameters import json_option
from taskd.errors import SchemaMissing
from taskd.store import roles as store_roles
from taskd.store import schema as store_schema
from taskd.store.schema import Migration, SchemaStatus

EXAMPLES = """\b
Examples:
  taskd --database postgresql://taskd@db.example/shop schema install
  taskd schema print | less
  taskd --database postgresql://postgres@db.example/shop schema roles --apply
"""


@click.group(epilog=EXAMPLES)
def schema() -> None:
    """Install, upgrade, look at or print the database schema; its roles.

    A daemon does the first two by itself at its start.
    """


@schema.command()
def install() -> None:
    """Install the schema into the database; does nothing where it is."""
    with open_database(current().client()) as connection:
        _tell(store_schema.install_or_upgrade(connection))


@schema.command()
def upgrade() -> None:
    """Bring an installed schema to the version that this program knows."""
    with open_database(current().client()) as connection:
        if store_schema.status(connection).version is None:
            raise SchemaMissing
        _tell(store_schema.install_or_upgrade(connection))


def _tell(done: tuple[Migration, ...]) -> None:
    for migration in done:
        click.echo(f"ran migration {migration.version}, {migration.name}")
    click.echo(f"the schema is at version {store_schema.KNOWN}")


@schema.command()
@json_option
def status(as_json: bool) -> None:
    """Show the schema's version; status 1 unless this program can work with it."""
    with open_database(current().client()) as connection:
        found = store_schema.status(connection)
        if as_json:
            print_json(_as_json(found))
        elif found.version is not None:
            click.echo(
                f"version {found.version}; usable by programs that know version "
                f"{found.min_compatible} or later, this one knows {found.known}"
            )
        store_schema.check_compatible(connection)


def _as_json(found: SchemaStatus) -> dict[str, object]:
    return {
        "version": found.version,
        "min_compatible": found.min_compatible,
        "known": found.known,
        "pending": [migration.name for migration in found.pending],
    }


@schema.command("print")
def print_command() -> None:
    """Print the whole schema as one SQL script, to review it or to run it by hand."""
    click.echo(store_schema.print_sql(), nl=False)


@schema.command()
@click.option("--apply", "is_applied", is_flag=True, help="Do it instead of printing it.")
def roles(is_applied: bool) -> None:
    """Print the SQL that makes the roles taskd_daemon, taskd_enqueuer and taskd_reader.

    With --apply, make them and give each what it needs in the database, no more. Do it once, while
    no daemon works, and again after each upgrade of the schema.
    """
    if not is_applied:
        click.echo(store_roles.print_roles(), nl=False)
        return
    with open_database(current().client()) as connection:
        store_roles.apply_roles(connection)
    click.echo(
        "taskd_daemon, taskd_enqueuer and taskd_reader are as they must be: "
        "grant one of them to each role that logs in"
    )
