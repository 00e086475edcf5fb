"""The commands of ``python -m ptq``, by their names."""

import click

from ptq.cli import (
    bench_command,
    error_messages,
    judge_command,
    network_commands,
    quantize_command,
    run_commands,
    sweep_commands,
)


class _Commands(click.Group):
    """Commands whose errors end in a sentence, from the first import on."""

    def invoke(self, ctx):
        with error_messages.told():
            return super().invoke(ctx)


COMMANDS = {
    "data": network_commands.data,
    "train": network_commands.train,
    "quantize": quantize_command.quantize,
    "bench": bench_command.bench,
    "judge": judge_command.judge,
    "run": run_commands.run,
    "assets": run_commands.assets,
    "headline": run_commands.headline,
    "style": run_commands.style,
    "sweep": sweep_commands.sweep,
    "sweep-overhead": sweep_commands.overhead,
    "reference": sweep_commands.reference,
    "coverage": sweep_commands.coverage,
}


@click.group(
    cls=_Commands,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
def main():
    """Post-training quantization of compact CNNs, measured."""
