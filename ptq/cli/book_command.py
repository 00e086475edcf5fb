"""Commands of the book, which work in its repository only."""

import click

from ptq import paths


class BookCommand(click.Command):
    """A command that reads or writes the book's own files."""

    def invoke(self, ctx: click.Context):
        """Run the command; RepositoryError where the repository is missing.

        The check comes first: outside the repository the libraries that the
        command imports may be missing, too.
        """
        paths.repository(f"`python -m ptq {ctx.info_name}`")
        return super().invoke(ctx)
