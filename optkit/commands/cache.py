"""`optkit cache`: the finished steps that are kept so that they are not computed twice."""

import json

import click

from optkit.commands._options import json_option


@click.command(name="cache")
@click.option("--clear", is_flag=True, help="Delete everything that is kept.")
@json_option
def command(clear: bool, as_json: bool) -> None:
    """Show what is kept of earlier runs and where, or delete it.

    The folder is that of $OPTKIT_CACHE where it is set. The steps used least recently go when it grows beyond its limit.
    """
    from optkit.store import Store, default_place
    from optkit.units import show_bytes

    store = Store(default_place())
    freed = store.clear() if clear else None
    entries = store.entries()
    size = sum(entry.size for entry in entries)
    if as_json:
        facts = {"folder": str(store.place), "steps": len(entries), "bytes": size, "limit": store.limit, "freed": freed}
        return click.echo(json.dumps(facts, indent=2))
    if freed is not None:
        return click.echo(f"{show_bytes(freed)} freed in {store.place}")
    kept = f"{len(entries)} step{'' if len(entries) == 1 else 's'}, {show_bytes(size)} of at most {show_bytes(store.limit)}"
    return click.echo(f"{store.place}\n{kept}\nDelete them with optkit cache --clear.")
