"""``simbus completion``: the script with which a shell completes commands, options, files and the paths of ``--set``."""

import click
from click.shell_completion import get_completion_class

_EPILOG = """\b
To use it:
  bash  echo 'eval "$(simbus completion bash)"' >> ~/.bashrc
  zsh   echo 'eval "$(simbus completion zsh)"' >> ~/.zshrc
  fish  simbus completion fish > ~/.config/fish/completions/simbus.fish

\b
Exit code:
  0  the script was printed
  2  a shell that it does not know

\b
Example:
  eval "$(simbus completion bash)"
"""

_NO_SPACE = {  # behind a path and its equals sign stands a value; fish knows that by itself
    "bash": ("COMPREPLY+=($value)", "COMPREPLY+=($value)\n            [[ $value == *= ]] && compopt -o nospace"),
    "zsh": (
        "compadd -U -V unsorted -a completions",
        "compadd -U -S '' -V unsorted -- ${(M)completions:#*=}\n        compadd -U -V unsorted -- ${completions:#*=}",
    ),
}


@click.command(epilog=_EPILOG, short_help="Print what makes a shell complete words.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, options, files and paths.

    After "simbus run shop.toml --set" it completes the paths of that file, such as consumers.charge.count.
    """
    made = get_completion_class(shell)
    if made is not None:
        text = made(context.find_root().command, {}, "simbus", "_SIMBUS_COMPLETE").source()
        click.echo(text.replace(*_NO_SPACE.get(shell, ("", ""))))
